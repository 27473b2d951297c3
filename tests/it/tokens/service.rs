//! The token service as other systems meet it: what each of them is answered, whom it never answers, and clients of several
//! makes. Every answer that was ever seen is searched for what may leave by no door.

mod clients;
mod slow;

use std::sync::Mutex;

use amplinkd::sim::{ComponentApi, FaultKind, SecretKind};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;

const OTHER: &str = "wx00000000000000cc";
const FOREIGN: &str = "wx00000000000000dd";

/// The keys of the callers of [`callers`].
const CRM: &str = "key-of-the-crm";
const CRM_BEFORE: &str = "key-of-the-crm-before";
const ALL: &str = "key-of-everything";
const SLOW: &str = "key-of-a-slow-one";

fn digest(text: &str) -> String {
    amplinkd::domain::history::hex(&Sha256::digest(text))
}

/// One that has two accounts and two keys, one that has all, and one that may ask three times in a minute.
fn callers(service: u16) -> String {
    let digests = [CRM, CRM_BEFORE, ALL, SLOW].map(digest);
    format!(
        "[token_service]\nlisten = \"127.0.0.1:{service}\"\n\
         [[token_service.caller]]\nname = \"crm\"\nkey_sha256 = [\"{}\", \"{}\"]\naccounts = [\"{ACCOUNT}\", \"{OTHER}\"]\n\
         [[token_service.caller]]\nname = \"all\"\nkey_sha256 = \"{}\"\naccounts = [\"*\"]\n\
         [[token_service.caller]]\nname = \"slow\"\nkey_sha256 = \"{}\"\naccounts = [\"{ACCOUNT}\"]\nper_minute = 3\n",
        digests[0], digests[1], digests[2], digests[3],
    )
}

/// An answer as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    fn token(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["access_token"].as_str().unwrap().to_owned()
    }
}

/// A daemon with callers, and all that its listeners ever answered.
struct Desk {
    platform: Platform,
    daemon: Process,
    answers: Mutex<String>,
}

impl Desk {
    /// A daemon that has a ticket, and whose account has authorized it.
    async fn open() -> Self {
        let desk = Self::closed().await;
        desk.platform.push_ticket().await;
        desk.authorize(ACCOUNT).await;
        desk
    }

    /// A daemon to which nothing was pushed yet.
    async fn closed() -> Self {
        let platform = Platform::new().await;
        platform.write_config(&callers(platform.service));
        let daemon = platform.daemon().await;
        Self { platform, daemon, answers: Mutex::default() }
    }

    async fn authorize(&self, account: &str) {
        self.platform.sim.world().authorize(account, AuthorizerKind::Account, Some(&[1, 33]), now_ms()).unwrap();
        self.platform.sim.deliver_pushes().await;
        let is_there = async || self.get(ALL, account).await.status == 200;
        assert!(wait_for(PATIENCE, is_there).await, "{}", self.daemon.log.tail());
    }

    /// Sends these bytes and reads until the other side closes, as it does after each answer.
    async fn raw(&self, port: u16, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut said = Vec::new();
        // Who is refused before all was sent may be reset after the answer.
        let _ = stream.read_to_end(&mut said).await;
        let said = String::from_utf8(said).unwrap();
        self.answers.lock().unwrap().push_str(&said);
        let (head, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {said:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    async fn ask(&self, key: &str, line: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: tokens\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.raw(self.platform.service, request.as_bytes()).await
    }

    async fn get(&self, key: &str, account: &str) -> Answer {
        self.ask(key, &format!("GET /token?appid={account}"), "").await
    }

    async fn refused(&self, key: &str, account: &str, sha256: &str) -> Answer {
        let body = serde_json::json!({ "appid": account, "sha256": sha256 }).to_string();
        self.ask(key, "POST /token/refused", &body).await
    }

    fn called(&self) -> u64 {
        self.platform.sim.world().component().unwrap().called(ComponentApi::AuthorizerToken)
    }

    /// Ends the daemon; neither an answer nor the log may hold what leaves by no door.
    fn close(mut self) {
        self.daemon.signal(Signal::TERM);
        assert!(self.daemon.end().success());
        let (answers, log) = (self.answers.into_inner().unwrap(), self.daemon.log.lines().join("\n"));
        for secret in self.platform.sim.world().secrets() {
            let is_given = secret.kind == SecretKind::AccessToken;
            assert!(is_given || !answers.contains(&secret.text), "{:?} in an answer", secret.kind);
            assert!(!log.contains(&secret.text), "{:?} in the log", secret.kind);
        }
        for key in [CRM, CRM_BEFORE, ALL, SLOW] {
            assert!(!answers.contains(key) && !log.contains(key), "a key is repeated");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_shows_no_known_key_learns_nothing_else() {
    let desk = Desk::open().await;
    let token = format!("GET /token?appid={ACCOUNT}");
    let large = "x".repeat(5_000);
    let refused = desk.get("wrong", ACCOUNT).await;
    assert_eq!(refused.status, 401);
    assert_eq!(
        (refused.header("www-authenticate"), refused.header("cache-control")),
        (Some("Bearer"), Some("no-store"))
    );
    for (line, body) in [
        (token.as_str(), ""),
        ("GET /token?appid=wx00000000000000ee", ""),
        ("GET /token?appid=nonsense", ""),
        ("GET /token", ""),
        ("GET /token?appid=%ff%fe&appid=x", ""),
        ("DELETE /token", ""),
        ("POST /token", ""),
        ("GET /token/refused", ""),
        ("POST /token/refused", "{"),
        ("POST /token/refused", &large),
        ("GET /", ""),
        ("GET /wechat/callback", ""),
        ("POST /component", ""),
    ] {
        let answer = desk.ask("wrong", line, body).await;
        assert_eq!((answer.status, &answer.body), (401, &refused.body), "{line}");
    }
    for header in [
        String::new(),
        "Authorization: \r\n".to_owned(),
        "Authorization: Bearer\r\n".to_owned(),
        "Authorization: Bearer \r\n".to_owned(),
        format!("Authorization: {CRM}\r\n"),
        format!("Authorization: Basic {CRM}\r\n"),
        format!("Authorization: Bearer {CRM}x\r\n"),
        format!("Authorization: Bearer {}\r\n", digest(CRM)),
        format!("X-Authorization: Bearer {CRM}\r\n"),
    ] {
        let request = format!("{token} HTTP/1.1\r\nHost: tokens\r\n{header}\r\n");
        let answer = desk.raw(desk.platform.service, request.as_bytes()).await;
        assert_eq!((answer.status, &answer.body), (401, &refused.body), "{header}");
    }
    // How the scheme is spelt does not matter, nor the blanks behind it.
    for spelt in ["bearer ", "BEARER  ", "Bearer\t", "Bearer \t "] {
        let request = format!("{token} HTTP/1.1\r\nHost: tokens\r\nauthorization: {spelt}{CRM}\r\n\r\n");
        assert_eq!(desk.raw(desk.platform.service, request.as_bytes()).await.status, 200, "{spelt:?}");
    }
    desk.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_is_said() {
    let desk = Desk::open().await;
    for (line, body, status) in [
        ("GET /token", "", 400),
        ("GET /token?appid=", "", 400),
        ("GET /token?appid=wx123", "", 400),
        ("GET /token?appid=WX00000000000000AA", "", 400),
        ("GET /token?APPID=wx00000000000000aa", "", 400),
        ("GET /token?appid=wx00000000000000aa&appid=wx00000000000000aa", "", 400),
        ("GET /token?appid=%ff%00wx00000000000000aa", "", 400),
        ("GET /token?appid=wx00000000000000aa%0ax", "", 400),
        ("POST /token?appid=wx00000000000000aa", "", 405),
        ("GET /token/refused", "", 405),
        ("GET /tokens", "", 404),
        ("POST /wechat/callback", "", 404),
        ("POST /token/refused", "", 400),
        ("POST /token/refused", "[]", 400),
        ("POST /token/refused", "{\"appid\": \"wx00000000000000aa\"}", 400),
        ("POST /token/refused", "{\"appid\": 7, \"sha256\": \"00\"}", 400),
        ("POST /token/refused", "{\"appid\": \"wx00000000000000aa\", \"sha256\": \"00\"}", 400),
    ] {
        let answer = desk.ask(CRM, line, body).await;
        assert_eq!(answer.status, status, "{line} {body}: {answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{line}");
        assert_eq!(answer.json()["errcode"], -1, "{line}");
    }
    let large = format!("{{\"appid\": \"{ACCOUNT}\", \"sha256\": \"{}\"}}", "0".repeat(5_000));
    assert_eq!(desk.ask(CRM, "POST /token/refused", &large).await.status, 413);
    assert!(desk.ask(CRM, "GET /token?appid=wx00000000000000aa&t=1", "").await.status == 200, "what else stands there");
    desk.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_somebody_else_is_refused_whether_it_is_known_or_not() {
    let desk = Desk::open().await;
    desk.authorize(FOREIGN).await;
    let known = desk.get(CRM, FOREIGN).await;
    let unknown = desk.get(CRM, "wx00000000000000ee").await;
    assert_eq!((known.status, unknown.status, &known.body), (403, 403, &unknown.body));
    let zeros = "0".repeat(64);
    let [known, unknown] =
        [desk.refused(CRM, FOREIGN, &zeros).await, desk.refused(CRM, "wx00000000000000ee", &zeros).await];
    assert_eq!((known.status, unknown.status, &known.body), (403, 403, &unknown.body));
    assert_eq!(desk.get(ALL, FOREIGN).await.status, 200, "a list of * has everybody");
    assert_eq!(desk.get(CRM, OTHER).await.status, 404, "its own, of which nobody has heard");
    // Whoever reports a refused token makes no account known by it.
    assert_eq!(desk.refused(ALL, "wx00000000000000ee", &zeros).await.status, 202);
    assert_eq!(desk.get(ALL, "wx00000000000000ee").await.status, 404);
    // The component's own token is nobody's, whatever its appid.
    let component = desk.platform.sim.world().component().unwrap().appid().to_owned();
    assert_eq!(desk.get(ALL, &component).await.status, 404);
    desk.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_comes_with_its_true_lifetime_and_its_absence_with_a_reason() {
    let desk = Desk::closed().await;
    assert_eq!(desk.get(CRM, ACCOUNT).await.status, 404);
    // It has authorized, and there is no ticket to trade its code with.
    desk.platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&[1, 33]), now_ms()).unwrap();
    desk.platform.sim.deliver_pushes().await;
    let later = desk.get(CRM, ACCOUNT).await;
    assert_eq!((later.status, later.header("retry-after")), (503, Some("10")), "{later:?}");
    desk.platform.push_ticket().await;
    let is_there = async || desk.get(CRM, ACCOUNT).await.status == 200;
    assert!(wait_for(PATIENCE, is_there).await, "{}", desk.daemon.log.tail());
    let first = desk.get(CRM, ACCOUNT).await;
    assert_eq!(first.header("cache-control"), Some("no-store"));
    assert_eq!(first.header("content-type"), Some("application/json"));
    let told = first.json()["expires_in"].as_u64().unwrap();
    assert!((7_000..=7_200).contains(&told), "{told}");
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let second = desk.get(CRM, ACCOUNT).await;
    assert_eq!(second.token(), first.token());
    assert!(second.json()["expires_in"].as_u64().unwrap() < told, "it counts down");
    desk.platform.sim.world().revoke(ACCOUNT, now_ms()).unwrap();
    desk.platform.sim.deliver_pushes().await;
    let gone = desk.get(CRM, ACCOUNT).await;
    assert_eq!((gone.status, gone.json()["errcode"].as_i64()), (409, Some(61_003)), "{gone:?}");
    assert_eq!(gone.header("retry-after"), None);
    desk.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_renewed_once_and_whoever_lies_takes_it_from_nobody() {
    let desk = Desk::open().await;
    let first = desk.get(CRM, ACCOUNT).await.token();
    let zeros = "0".repeat(64);
    assert_eq!(desk.refused(CRM, ACCOUNT, &zeros).await.status, 202, "of something unknown");
    assert_eq!(desk.get(CRM, ACCOUNT).await.token(), first);
    assert_eq!(desk.called(), 0);
    // WeChat answers nothing: the token that is on disk is served, and the refresh is tried once.
    for _ in 0..9 {
        desk.platform.sim.world().faults.next_component(Some(ComponentApi::AuthorizerToken), FaultKind::BusyBefore);
    }
    for _ in 0..5 {
        assert_eq!(desk.refused(CRM, ACCOUNT, &digest(&first)).await.status, 202);
        assert_eq!(desk.get(CRM, ACCOUNT).await.token(), first);
    }
    assert_eq!(desk.called(), 1, "one try, also when it fails");
    // Another account, and WeChat well again: renewed at once, and once, whoever says so how often.
    desk.platform.sim.world().faults = Faults::none();
    desk.authorize(OTHER).await;
    let first = desk.get(CRM, OTHER).await.token();
    let before = desk.called();
    assert_eq!(desk.refused(CRM, OTHER, &digest(&first).to_uppercase()).await.status, 202);
    let second = desk.get(CRM, OTHER).await.token();
    assert_ne!(second, first);
    for _ in 0..5 {
        desk.refused(CRM, OTHER, &digest(&first)).await;
        desk.refused(ALL, OTHER, &digest(&second)).await;
        assert_eq!(desk.get(CRM, OTHER).await.token(), second);
    }
    assert_eq!(desk.called() - before, 1, "once a minute and account");
    desk.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_while_both_work() {
    let desk = Desk::open().await;
    assert_eq!([desk.get(CRM, ACCOUNT).await.status, desk.get(CRM_BEFORE, ACCOUNT).await.status], [200, 200]);
    let Desk { platform, mut daemon, .. } = desk;
    daemon.signal(Signal::TERM);
    assert!(daemon.end().success());
    let only_new = callers(platform.service).replace(&format!(", \"{}\"", digest(CRM_BEFORE)), "");
    platform.write_config(&only_new);
    let daemon = platform.daemon().await;
    let desk = Desk { platform, daemon, answers: Mutex::default() };
    assert_eq!([desk.get(CRM, ACCOUNT).await.status, desk.get(CRM_BEFORE, ACCOUNT).await.status], [200, 401]);
    desk.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_waits_and_nobody_else_does() {
    let desk = Desk::open().await;
    for _ in 0..3 {
        assert_eq!(desk.get(SLOW, ACCOUNT).await.status, 200);
    }
    for line in ["GET /token?appid=wx00000000000000aa", "GET /token", "POST /token/refused"] {
        let many = desk.ask(SLOW, line, "").await;
        assert_eq!((many.status, many.header("retry-after")), (429, Some("60")), "{line}");
    }
    assert_eq!([desk.get(CRM, ACCOUNT).await.status, desk.get(ALL, ACCOUNT).await.status], [200, 200]);
    desk.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_listener_answers_what_is_its_own() {
    let desk = Desk::open().await;
    let request = format!("GET /token?appid={ACCOUNT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ALL}\r\n\r\n");
    let answer = desk.raw(desk.platform.callback, request.as_bytes()).await;
    assert_eq!(answer.status, 404, "the internet reaches this one: {answer:?}");
    let answer = desk.ask(ALL, "POST /wechat/callback", "<xml></xml>").await;
    assert_eq!(answer.status, 404, "{answer:?}");
    desk.close();
}
