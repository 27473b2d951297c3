//! Stories of tokens: kept, shared, renewed, refused.

use amplinkd::wechat::{CommandSource, GrantNames, HttpSource, TokenError};

use super::*;

pub(super) fn service(server: &Server) -> TokenSource {
    TokenSource::Http(HttpSource {
        url: format!("{}/token/{{account}}?key={SECRET}", server.url),
        headers: vec![("X-Key".to_owned(), SecretString::from(SECRET))],
        names: GrantNames::default(),
        timeout: Duration::from_millis(500),
        ..HttpSource::default()
    })
}

fn granted(token: &str, seconds: i64) -> String {
    format!(r#"{{"access_token":"{token}","expires_in":{seconds}}}"#)
}

/// A service that hands out a new token each time: t0, t1, …
async fn counting(seconds: i64) -> Server {
    Server::start(move |n, _| Reply::Late(Duration::from_millis(30), granted(&format!("t{n}"), seconds))).await
}

#[tokio::test]
async fn fifty_callers_share_one_fetch() {
    let server = counting(7_200).await;
    let tokens = Tokens::new(service(&server), clock()).unwrap();
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.get(&account()).await })
        })
        .collect();
    // The first caller goes away; the others get their token all the same.
    callers[0].abort();
    for caller in callers.into_iter().skip(1) {
        assert_eq!(caller.await.unwrap().unwrap(), token("t0"));
    }
    assert_eq!(server.requests().len(), 1);
    let request = &server.requests()[0];
    assert!(request.starts_with("GET /token/wx0123456789abcdef?key="), "{request}");
    assert!(request.to_ascii_lowercase().contains("x-key: 61w3"), "{request}");
}

#[tokio::test]
async fn a_token_is_kept_until_shortly_before_its_end() {
    let server = counting(7_200).await;
    let clock = ManualClock::starting_at(Time::from_ms(0));
    let tokens = Tokens::new(service(&server), Arc::clone(&clock) as SharedClock).unwrap();
    assert_eq!(tokens.get(&account()).await, Ok(token("t0")));
    clock.step(10 * 86_400_000);
    clock.advance(Duration::from_secs(6_899));
    assert_eq!(tokens.get(&account()).await, Ok(token("t0")), "a stepped calendar ends no token");
    clock.advance(Duration::from_secs(2));
    assert_eq!(tokens.get(&account()).await, Ok(token("t1")));
}

#[tokio::test]
async fn a_lifetime_may_be_missing_a_text_over_or_absurd() {
    for (said, kept_for) in [("", 54), (r#","expires_in":"600""#, 540), (r#","expires_in":9e15"#, 6_900)] {
        let body = format!(r#"{{"authorizer_access_token":"t"{said}}}"#);
        let server = Server::always(Reply::Ok(body)).await;
        let clock = ManualClock::starting_at(Time::from_ms(0));
        let tokens = Tokens::new(service(&server), Arc::clone(&clock) as SharedClock).unwrap();
        tokens.get(&account()).await.unwrap();
        clock.advance(Duration::from_secs(kept_for - 1));
        tokens.get(&account()).await.unwrap();
        assert_eq!(server.requests().len(), 1, "{said}");
        clock.advance(Duration::from_secs(1));
        tokens.get(&account()).await.unwrap();
        assert_eq!(server.requests().len(), 2, "{said}");
    }
    for seconds in [0, -7] {
        let server = counting(seconds).await;
        let tokens = Tokens::new(service(&server), clock()).unwrap();
        assert_eq!(tokens.get(&account()).await, Ok(token("t0")));
        assert_eq!(tokens.get(&account()).await, Ok(token("t1")), "used once");
        assert_eq!(tokens.kept(), 0);
    }
}

#[tokio::test]
async fn only_the_token_that_was_used_is_dropped() {
    let server = counting(7_200).await;
    let tokens = Tokens::new(service(&server), clock()).unwrap();
    let first = tokens.get(&account()).await.unwrap();
    assert!(!tokens.invalidate(&account(), &token("another")));
    assert!(tokens.invalidate(&account(), &first));
    let second = tokens.get(&account()).await.unwrap();
    assert!(!tokens.invalidate(&account(), &first), "somebody renewed it already");
    assert_eq!(tokens.get(&account()).await, Ok(second));
}

#[tokio::test]
async fn tokens_that_have_ended_are_swept() {
    let server = Server::always(Reply::Ok(granted("t", 60))).await;
    let clock = ManualClock::starting_at(Time::from_ms(0));
    let tokens = Tokens::new(service(&server), Arc::clone(&clock) as SharedClock).unwrap();
    for n in 0..1_100 {
        if n == 1_024 {
            assert_eq!(tokens.kept(), 1_024);
            clock.advance(Duration::from_mins(1));
        }
        tokens.get(&format!("wx{n:016}").parse().unwrap()).await.unwrap();
    }
    assert_eq!(tokens.kept(), 76);
}

#[tokio::test]
async fn a_service_that_gives_none_says_why_and_is_asked_again() {
    let quote = format!(r#"{{"errcode":61003,"errmsg":"not authorized, rid: 61932a5b-0e248764-42d1c1b2 {SECRET}"}}"#);
    for (reply, code) in [
        (Reply::Ok(quote.clone()), Some(61_003)),
        (Reply::Status(403, quote.clone()), Some(61_003)),
        (Reply::Status(404, quote.clone()), Some(61_003)),
        (Reply::Status(500, quote.clone()), None),
        (Reply::Status(502, quote.clone()), None),
        (Reply::Status(302, quote), None),
        (Reply::Status(500, format!("<html>{SECRET}</html>")), None),
        (Reply::Ok(format!("\"{SECRET}\"")), None),
        (Reply::Ok(format!(r#"{{"access_token":"{SECRET} "}}"#)), None),
        (Reply::Ok(r#"{"access_token":"a\nb"}"#.to_owned()), None),
        (Reply::Ok(r#"{"access_token":""}"#.to_owned()), None),
        (Reply::Ok(r#"{"access_token":{"a":1}}"#.to_owned()), None),
        (Reply::Ok(r#"{"access_token":"t","expires_in":"soon"}"#.to_owned()), None),
        (Reply::Ok("{}".to_owned()), None),
        (Reply::Ok("x".repeat(100_000)), None),
        (Reply::Close, None),
        (Reply::Silence, None),
    ] {
        let shown: String = format!("{reply:?}").chars().take(80).collect();
        let server = Server::always(reply).await;
        let tokens = Tokens::new(service(&server), clock()).unwrap();
        let error = tokens.get(&account()).await.unwrap_err();
        assert_clean(&error);
        assert!(!format!("{error:?}").contains("key="), "{error:?}");
        let got = if let TokenError::Refused(refusal) = &error { Some(refusal.errcode) } else { None };
        assert_eq!(got, code, "{shown}: {error:?}");
        assert_eq!(format!("{error}").contains("rid: 61932a5b-0e248764-42d1c1b2"), code.is_some(), "{error}");
        let _ = tokens.get(&account()).await;
        assert_eq!(server.requests().len(), 2, "{shown}");
    }
}

#[tokio::test]
async fn a_service_that_quotes_what_it_was_sent_is_not_repeated() {
    let quote = r#"{"errcode":40013,"errmsg":"bad Hdr-val, Key-16-chars/ok, Key-16-chars%2Fok, pass-w0rd of wx0123456789abcdef v1"}"#;
    for reply in [Reply::Ok(quote.to_owned()), Reply::Status(403, quote.to_owned())] {
        let server = Server::always(reply).await;
        let source = TokenSource::Http(HttpSource {
            url: format!(
                "{}/{{account}}?a={{account}}&v=1&key=Key-16-chars%2Fok",
                server.url.replace("//", "//user:pass-w0rd@")
            ),
            headers: vec![("X-Key".to_owned(), SecretString::from("Bearer Hdr-val"))],
            names: GrantNames::default(),
            timeout: Duration::from_millis(500),
            ..HttpSource::default()
        });
        let TokenError::Refused(refusal) = Tokens::new(source, clock()).unwrap().get(&account()).await.unwrap_err()
        else {
            panic!("no refusal")
        };
        assert_eq!(refusal.errmsg, "bad [secret], [secret], [secret], [secret] of wx0123456789abcdef v1");
    }
}

#[tokio::test]
async fn configured_tokens_are_given_by_account_or_to_all() {
    let fixed = |pairs: &[(&str, &str)]| {
        TokenSource::Static(pairs.iter().map(|(name, text)| ((*name).to_owned(), SecretString::from(*text))).collect())
    };
    let tokens = Tokens::new(fixed(&[("wx0123456789abcdef", "mine"), ("*", "other")]), clock()).unwrap();
    assert_eq!(tokens.get(&account()).await, Ok(token("mine")));
    assert_eq!(tokens.get(&"wx00000000000000bb".parse().unwrap()).await, Ok(token("other")));
    let one = Tokens::new(fixed(&[("wx00000000000000bb", "x")]), clock()).unwrap();
    assert!(matches!(one.get(&account()).await, Err(TokenError::Unavailable(_))));
    for bad in [("somebody", "x"), ("*", "a b")] {
        assert!(Tokens::new(fixed(&[bad]), clock()).is_err());
    }
}

/// A shell script as the token source.
pub(super) fn script(dir: &tempfile::TempDir, text: &str) -> TokenSource {
    let path = dir.path().join("token.sh");
    std::fs::write(&path, text).unwrap();
    TokenSource::Command(CommandSource {
        program: "/bin/sh".into(),
        args: vec![path.to_str().unwrap().to_owned(), "first".to_owned()],
        names: GrantNames::default(),
        timeout: Duration::from_secs(2),
    })
}

#[tokio::test]
async fn a_program_prints_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let source = script(&dir, r#"echo "{\"access_token\":\"$1-$2\",\"expires_in\":60}"; head -c 300000 /dev/zero >&2"#);
    let tokens = Tokens::new(source, clock()).unwrap();
    assert_eq!(tokens.get(&account()).await, Ok(token("first-wx0123456789abcdef")));
}

#[tokio::test]
async fn a_program_that_fails_is_quoted_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    for (text, word) in [
        (format!("echo 'vault is sealed {SECRET}' >&2; exit 3"), "vault is sealed"),
        ("printf '\\n no key\\nGET ?key=61W3mEpU\\n' >&2; exit 3".to_owned(), "no key"),
        ("echo 'denied for 61W3mEpU6602' >&2; exit 3".to_owned(), "denied for [secret]"),
        (format!("echo '{}{SECRET}' >&2; exit 3", "word ".repeat(39)), "word word"),
        (format!("echo '{SECRET}'"), "unreadable"),
        ("echo '{\"errcode\":61023,\"errmsg\":\"gone\"}'; exit 1".to_owned(), "61023"),
        ("exec sleep 30".to_owned(), "killed"),
        ("head -c 300000 /dev/zero".to_owned(), "too much"),
    ] {
        let error = Tokens::new(script(&dir, &text), clock()).unwrap().get(&account()).await.unwrap_err();
        assert_clean(&error);
        assert!(error.to_string().contains(word), "{error}");
    }
    let missing = TokenSource::Command(CommandSource {
        program: dir.path().join("nothing"),
        args: Vec::new(),
        names: GrantNames::default(),
        timeout: Duration::from_secs(1),
    });
    assert!(matches!(Tokens::new(missing, clock()).unwrap().get(&account()).await, Err(TokenError::Unavailable(_))));
}

/// Whether a process lives: one that has ended and was not waited for does not.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// What the script has written there, once it is there.
async fn pid_in(path: &std::path::Path) -> String {
    loop {
        let pid = std::fs::read_to_string(path).unwrap_or_default();
        if pid.ends_with('\n') {
            return pid.trim().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn is_over(pid: &str) {
    while lives(pid) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_a_program_printed_counts_whoever_holds_its_output_open() {
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join("left");
    let text = format!("sleep 600 & echo $! > {}; echo '{{\"access_token\":\"t\",\"expires_in\":60}}'", left.display());
    let tokens = Tokens::new(script(&dir, &text), clock()).unwrap();
    assert_eq!(tokens.get(&account()).await, Ok(token("t")));
    let pid = pid_in(&left).await;
    assert!(lives(&pid), "it has the program's own time");
    is_over(&pid).await;
}

#[tokio::test]
async fn what_another_process_prints_for_a_program_counts_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let text = "(sleep 0.05; echo '{\"access_token\":\"t\",\"expires_in\":60}') & exit 0";
    assert_eq!(Tokens::new(script(&dir, text), clock()).unwrap().get(&account()).await, Ok(token("t")));
}

#[tokio::test]
async fn what_a_program_leaves_behind_in_good_order_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join("left");
    let text = format!("sleep 600 >/dev/null 2>&1 & echo $! > {}; echo '{{\"access_token\":\"t\"}}'", left.display());
    assert_eq!(Tokens::new(script(&dir, &text), clock()).unwrap().get(&account()).await, Ok(token("t")));
    let pid = pid_in(&left).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(lives(&pid), "it has closed what it was given, as a service of its own does");
    std::process::Command::new("kill").arg(&pid).status().unwrap();
}

#[tokio::test]
async fn a_program_that_runs_too_long_ends_with_all_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join("left");
    let text = format!("sleep 600 & echo $! > {}; wait", left.display());
    let error = Tokens::new(script(&dir, &text), clock()).unwrap().get(&account()).await.unwrap_err();
    assert!(error.to_string().contains("killed"), "{error}");
    is_over(&pid_in(&left).await).await;
}

/// WeChat refuses `bad` tokens and takes every other.
async fn wechat(bad: &'static [&'static str], source: TokenSource) -> (Wechat, Server) {
    let server = Server::start(move |_, request| {
        let used = request.split_once("access_token=").unwrap().1.split_whitespace().next().unwrap();
        Reply::Ok(match (bad.contains(&used), request.contains("wxamplinkget")) {
            (true, _) => refused(42_001),
            (false, true) => LISTING.to_owned(),
            (false, false) => DONE.to_owned(),
        })
    })
    .await;
    (Wechat::new(client(&server.url), Tokens::new(source, clock()).unwrap()), server)
}

#[tokio::test]
async fn a_bad_token_is_renewed_once_per_call() {
    let service_of = counting(7_200).await;
    let (wechat, server) = wechat(&["t0", "t2", "t3"], service(&service_of)).await;
    wechat.listing(&account()).await.unwrap();
    assert_eq!((server.requests().len(), service_of.requests().len()), (2, 1 + 1));

    let token_for = wechat.token_for(&account()).await.unwrap();
    assert_eq!(token_for, token("t1"));
    wechat.link(&account(), &token_for, &program(), LinkOptions::default()).await.unwrap();
    assert_eq!(server.requests().len(), 3);

    wechat.tokens().invalidate(&account(), &token_for);
    let Err(CallError::Refused(refusal)) = wechat.unlink(&account(), &token("t2"), &program()).await else {
        panic!("t2 and t3 are bad")
    };
    assert_eq!(refusal.errcode, 42_001);
}

#[tokio::test]
async fn the_same_token_again_ends_the_call() {
    let source = TokenSource::Static(HashMap::from([("*".to_owned(), SecretString::from("bad"))]));
    let (wechat, server) = wechat(&["bad"], source).await;
    let token_for = wechat.token_for(&account()).await.unwrap();
    let error = wechat.link(&account(), &token_for, &program(), LinkOptions::default()).await.unwrap_err();
    assert!(matches!(error, CallError::Refused(_)), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let down = Server::always(Reply::Status(503, String::new())).await;
    let (wechat, server) = wechat(&[], service(&down)).await;
    assert!(matches!(wechat.token_for(&account()).await, Err(CallError::NoToken(_))));
    assert!(matches!(wechat.listing(&account()).await, Err(CallError::NoToken(_))));
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_source_that_cannot_work_is_refused_at_the_start() {
    for url in ["http://a.example/token", "a/{account}", "ftp://a.example/{account}"] {
        let source = HttpSource { url: url.to_owned(), timeout: Duration::from_secs(1), ..HttpSource::default() };
        assert!(Tokens::new(TokenSource::Http(source), clock()).is_err(), "{url}");
    }
    let headers = vec![("X-Key".to_owned(), SecretString::from("a\nb"))];
    let source = HttpSource { url: "http://a.example/{account}".to_owned(), headers, ..HttpSource::default() };
    let error = Tokens::new(TokenSource::Http(source), clock()).unwrap_err().to_string();
    assert!(error.contains("x-key") && !error.contains("a\nb"), "{error}");
}
