//! A hostile world: whoever answers instead of the daemon, and a daemon that does not do what is asked.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use super::*;
use crate::http::{ACCOUNT, PROGRAM, free_port};

/// What a strange server does with a request.
enum Does {
    /// It answers: status line and headers, and a body.
    Answers(String, String),
    /// It answers, and hangs up after half of the body.
    Breaks(String, String),
    /// It hangs up.
    HangsUp,
}

/// A server that answers each request by a rule, and remembers their first lines and bodies, and their conditions.
struct Strange {
    base: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
    conditions: Arc<Mutex<Vec<String>>>,
}

impl Strange {
    fn start(rule: impl Fn(&str, usize) -> Does + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let conditions: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, rule, known) = (Arc::clone(&asked), Arc::new(rule), Arc::clone(&conditions));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, kept, rule) = (stream.unwrap(), Arc::clone(&kept), Arc::clone(&rule));
                let known = Arc::clone(&known);
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let (mut first, mut length) = (String::new(), 0);
                    match reader.read_line(&mut first) {
                        Ok(0) => return,
                        Ok(_) => {}
                        // No text: somebody speaks TLS.
                        Err(_) => return drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
                    }
                    loop {
                        let mut line = String::new();
                        reader.read_line(&mut line).unwrap();
                        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap();
                        }
                        if let Some(tag) = line.to_ascii_lowercase().strip_prefix("if-match:") {
                            known.lock().unwrap().push(tag.trim().to_owned());
                        }
                        if line.trim().is_empty() {
                            break;
                        }
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    let line = first.rsplit_once(' ').unwrap().0.to_owned();
                    let count = {
                        let mut kept = kept.lock().unwrap();
                        kept.push((line.clone(), String::from_utf8(body).unwrap()));
                        kept.iter().filter(|(asked, _)| *asked == line).count()
                    };
                    let (head, body, sent) = match rule(&line, count) {
                        Does::Answers(head, body) => (head, body.clone(), body),
                        Does::Breaks(head, body) => (head, body.clone(), body[..body.len() / 2].to_owned()),
                        Does::HangsUp => return,
                    };
                    let length = body.len();
                    let _ = write!(
                        stream,
                        "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{sent}"
                    );
                });
            }
        });
        Self { base, asked, conditions }
    }

    fn count(&self, line: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(asked, _)| asked.starts_with(line)).count()
    }
}

fn json(status: &str, body: impl Into<String>) -> Does {
    Does::Answers(format!("{status}\r\nContent-Type: application/json"), body.into())
}

fn problem(status: &str, more: &str, code: &str, detail: &str) -> Does {
    let body = serde_json::json!({
        "type": format!("/problems/{code}"), "title": "t", "status": status[..3].parse::<u16>().unwrap(),
        "detail": detail, "instance": "i", "code": code
    });
    Does::Answers(format!("{status}\r\nContent-Type: application/problem+json{more}"), body.to_string())
}

fn meta() -> Does {
    json("200 OK", r#"{"version":"0.1.0","schema":1,"at":"2026-03-01T12:00:00.000Z","time_zone":"UTC"}"#)
}

/// The answer to the first call, whatever that is.
fn first(answer: impl Fn() -> Does + Send + Sync + 'static, arguments: &str) -> Printed {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    write_token(&token, "amplinkd_secret_token");
    let said = Printed::of(at(&Strange::start(move |_, _| answer()).base, &token, arguments));
    assert!(!said.err.contains("amplinkd_secret_token"), "{said:?}");
    said
}

#[test]
fn whoever_answers_instead_is_named() {
    let list = "request list -o json";
    for (answer, words) in [
        (
            (|| Does::Answers("502 Bad Gateway\r\nContent-Type: text/html".to_owned(), "<h1>502</h1>".to_owned()))
                as fn() -> Does,
            "status 502 and text/html, which is not amplinkd",
        ),
        (|| Does::Answers("200 OK\r\nContent-Type: text/html; charset=utf-8".into(), "<p>".into()), "text/html"),
        (|| json("200 OK", "{\"hello\":1}"), "does not understand"),
        (|| json("200 OK", "{\"at\""), "does not understand"),
        (|| json("404 Not Found", "{\"error\":\"no route\"}"), "status 404 and application/json"),
        (
            || Does::Answers("302 Found\r\nLocation: https://sso.example/login?token=abc".into(), String::new()),
            "redirects (status 302) to https://sso.example/login:",
        ),
        (|| Does::HangsUp, "no answer came"),
        (|| problem("401 Unauthorized", "", "unauthenticated", "Send a token."), "does not accept the token in /"),
        (|| problem("421 Misdirected Request", "", "host", "Add it to [http] hosts."), "add it to [http] hosts"),
        (
            || problem("503 Service Unavailable", "\r\nRetry-After: 900", "ending", "Stopping."),
            "asks to wait 900 seconds",
        ),
    ] {
        let said = first(answer, list);
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{words}: {said:?}");
        assert!(said.err.contains(words), "{words}: {said:?}");
    }
    assert!(
        !first(|| Does::Answers("302 Found\r\nLocation: /x?token=abc".into(), String::new()), list).err.contains("abc")
    );
}

/// A command at a server whose `/meta` is a daemon's.
fn behind_meta(answer: impl Fn(&str, usize) -> Does + Send + Sync + 'static, arguments: &str) -> (Printed, Strange) {
    let server = Strange::start(move |line, count| if line.contains("/meta") { meta() } else { answer(line, count) });
    let folder = tempfile::tempdir().unwrap();
    write_token(&folder.path().join("token"), "amplinkd_a_b");
    (Printed::of(at(&server.base, &folder.path().join("token"), arguments)), server)
}

#[test]
fn what_is_refused_is_said_once_in_plain_words() {
    let invalid = || {
        let body = r#"{"type":"/problems/invalid","title":"t","status":422,"detail":"Some of it is not valid.","instance":"i",
                       "code":"invalid","errors":[{"pointer":"?kind","detail":"expected one of ip, account"}]}"#;
        Does::Answers("422 Unprocessable Content\r\nContent-Type: application/problem+json".into(), body.into())
    };
    let (said, server) = behind_meta(move |_, _| invalid(), "gate list -o json");
    assert_eq!((said.code, said.out.as_str(), server.count("GET /api/v1/gates")), (1, "", 1), "{said:?}");
    assert!(said.err.contains("amplinkd: some of it is not valid; kind: expected one of ip, account\n"), "{said:?}");
    // Whoever reads this must do something first, so that nothing is waited for.
    let unwritable = |_: &str, _: usize| {
        problem("503 Service Unavailable", "\r\nRetry-After: 5", "unwritable", "The disk is full: make room.")
    };
    let (said, server) = behind_meta(unwritable, &format!("request link {ACCOUNT} {PROGRAM}"));
    assert_eq!((said.code, said.out.as_str(), server.count("POST /api/v1/requests")), (1, "", 1), "{said:?}");
    assert!(said.err.contains("amplinkd: the disk is full: make room\n"), "{said:?}");
    // One that ends is asked again a few times, and not for ever.
    let ending =
        |_: &str, _: usize| problem("503 Service Unavailable", "\r\nRetry-After: 1", "ending", "It is stopping.");
    let (said, server) = behind_meta(ending, "gate list -o json");
    assert_eq!((said.code, server.count("GET /api/v1/gates")), (1, 4), "{said:?}");
    assert!(said.err.contains("asks to wait 1 second"), "{said:?}");
}

#[test]
fn an_answer_that_is_cut_off_is_no_answer() {
    let cut = |_: &str, _: usize| {
        Does::Breaks("200 OK\r\nContent-Type: application/json".into(), "{\"items\":[],\"next\":null}".into())
    };
    let (said, server) = behind_meta(cut, "gate list -o json");
    assert_eq!((said.code, said.out.as_str(), server.count("GET /api/v1/gates")), (1, "", 2), "{said:?}");
    assert!(said.err.contains("no answer came") && said.err.contains("nothing was changed"), "{said:?}");
    let once = move |line: &str, count: usize| {
        if count == 1 { cut(line, count) } else { json("200 OK", "{\"items\":[],\"next\":null}") }
    };
    let (said, _) = behind_meta(once, "gate list -o json");
    assert_eq!((said.code, said.out.as_str()), (0, "[]\n"), "{said:?}");
    assert!(said.err.contains("asking once more"), "{said:?}");
    let (said, server) = behind_meta(cut, "api-token new ci");
    assert_eq!((said.code, server.count("POST")), (1, 1), "{said:?}");
    assert!(said.err.contains("it may have been done; look before you run it again"), "{said:?}");
}

/// An alert with this state, under a tag.
fn alert(tag: &str, state: &str) -> Does {
    let row = serde_json::json!({
        "id": ALERT, "key": "k", "rule": "rejected", "request_id": null, "account": ACCOUNT, "state": state,
        "since": "2026-03-01T12:00:00.000Z", "fired_at": "2026-03-01T12:00:00.000Z", "acknowledged_at": null,
        "snoozed_until": null, "resolved_at": null, "notified_at": null, "notifications": 0, "message_en": "so",
        "message_zh": "\u{5982}\u{6b64}", "reason": "rejected", "program": null, "resolution": null, "notify_at": null,
        "acknowledged_by": null, "snoozed_by": null, "resolved_by": null, "note": null, "deliveries": []
    });
    Does::Answers(format!("200 OK\r\nContent-Type: application/json\r\nETag: \"{tag}\""), row.to_string())
}

const ALERT: &str = "0197c2d7-0000-7000-8000-0000000000a1";

#[test]
fn what_changed_since_it_was_seen_is_looked_at_again() {
    let changed = || problem("412 Precondition Failed", "", "changed", "It has changed since: look again.");
    // The first try meets a change; the second is of what is there then.
    let (said, server) = behind_meta(
        move |line, count| match (line.starts_with("POST"), count) {
            (true, 1) => changed(),
            (true, _) => alert("c", "acknowledged"),
            (false, 1) => alert("a", "firing"),
            (false, 2) => alert("b", "firing"),
            (false, _) => alert("c", "acknowledged"),
        },
        &format!("alert ack {ALERT} -o json"),
    );
    assert_eq!((said.code, &said.json()[0]["state"]), (0, &"acknowledged".into()), "{said:?}");
    assert_eq!(*server.conditions.lock().unwrap(), ["\"a\"", "\"b\""]);
    // One that never rests is left as it is, and that is said.
    let (said, server) = behind_meta(
        move |line, _| if line.starts_with("POST") { changed() } else { alert("a", "firing") },
        &format!("alert ack {ALERT}"),
    );
    assert_eq!((said.code, server.count("POST")), (1, 3), "{said:?}");
    assert!(said.err.contains("it has changed since: look again"), "{said:?}");
}

#[test]
fn a_page_that_breaks_ends_with_an_error_and_what_was_printed_stands() {
    let server = Strange::start(|line, _| match line {
        line if line.contains("/meta") => meta(),
        line if line.contains("after=") => {
            Does::Answers("502 Bad Gateway\r\nContent-Type: text/html".into(), String::new())
        }
        _ => json(
            "200 OK",
            r#"{"items":[{"kind":"ip","subject":"all","until":"2026-03-01T12:00:00.000Z","errcode":1,"errmsg":"m","at":"2026-03-01T12:00:00.000Z","early":false}],"next":"61"}"#,
        ),
    });
    let folder = tempfile::tempdir().unwrap();
    write_token(&folder.path().join("token"), "amplinkd_a_b");
    let said = Printed::of(at(&server.base, &folder.path().join("token"), "gate list -o jsonl"));
    assert_eq!((said.code, said.out.lines().count()), (1, 1), "{said:?}");
    assert!(said.err.contains("status 502"), "{said:?}");
}

#[test]
fn a_busy_daemon_is_waited_for_and_a_lost_answer_is_asked_for_once() {
    let busy = Strange::start(|line, count| match (line, count) {
        (line, 1) if line.contains("/meta") => {
            problem("429 Too Many Requests", "\r\nRetry-After: 1", "too_many", "Later.")
        }
        (line, _) if line.contains("/meta") => meta(),
        _ => json("200 OK", "{\"items\":[],\"next\":null}"),
    });
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    write_token(&token, "amplinkd_a_b");
    let said = Printed::of(at(&busy.base, &token, "gate list -o json"));
    assert_eq!((said.code, said.out.as_str()), (0, "[]\n"), "{said:?}");
    assert!(said.err.contains("asks to wait 1 s (too_many)"), "{said:?}");
    let lossy = Strange::start(|line, _| if line.contains("/meta") { meta() } else { Does::HangsUp });
    let link = Printed::of(at(&lossy.base, &token, &format!("request link {ACCOUNT} {PROGRAM}")));
    assert!(link.code == 1 && link.err.contains("asking once more"), "{link:?}");
    assert!(link.err.contains("run the same command again, which does nothing twice"), "{link:?}");
    let asked = lossy.asked.lock().unwrap().clone();
    let sent: Vec<&String> = asked.iter().filter(|(line, _)| line.starts_with("POST")).map(|(_, body)| body).collect();
    assert!(sent.len() == 2 && sent[0] == sent[1] && sent[0].contains("\"key\":\"cli-"), "{sent:?}");
    // What would be done twice is asked for once.
    let remove = Printed::of(at(&lossy.base, &token, "api-token new ci"));
    assert!(remove.code == 1 && remove.err.contains("look before you run it again"), "{remove:?}");
    assert_eq!(lossy.count("POST /api/v1/tokens"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_may_not_do_is_said_with_its_file() {
    let far = Far::open("").await;
    let id = far.house.request(&far.token, PROGRAM).await;
    let viewer = far.with(Role::Viewer, &[Scope::Read]).await;
    assert_eq!(far.far_as(&viewer, "request list -o json").code, 0);
    for command in [format!("request cancel {id}"), "user list".to_owned(), format!("account suspend {ACCOUNT}")] {
        let said = far.far_as(&viewer, &command);
        assert!(said.code == 1 && said.err.contains(&viewer.display().to_string()), "{command}: {said:?}");
    }
    far.house.sql("UPDATE api_token SET revoked_at = 1").await;
    let revoked = far.far("request list");
    assert!(revoked.code == 1 && revoked.err.contains("has expired or was revoked"), "{revoked:?}");
}

#[test]
fn a_server_without_tls_is_told_from_one_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    write_token(&token, "amplinkd_a_b");
    let plain = Strange::start(|_, _| meta());
    let said = Printed::of(at(&plain.base.replace("http:", "https:"), &token, "request list"));
    assert!(said.code == 1 && said.err.contains("the server speaks no TLS on this port"), "{said:?}");
    assert!(said.err.contains("nothing was sent"), "{said:?}");
    assert_eq!(plain.count("GET"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_daemon_cannot_be_reached() {
    let mut far = Far::open("").await;
    drop(far.house.daemon.take());
    let said = far.far("request list");
    assert!(
        said.code == 1 && said.err.contains("cannot be reached") && said.err.contains("nothing was sent"),
        "{said:?}"
    );
}
