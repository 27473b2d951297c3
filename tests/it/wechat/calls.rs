//! Stories of calls: what is sent, how often, and what each mishap is taken for.

use amplinkd::wechat::ReadError;
use tokio::io::AsyncReadExt as _;

use super::*;
use crate::skip::skipped;

async fn link(server: &Server) -> Result<(), CallError> {
    client(&server.url).link(&token(SECRET), &program(), LinkOptions::default()).await
}

#[tokio::test]
async fn the_documented_bodies_are_sent() {
    let server =
        Server::start(|_, request| Reply::Ok(if request.contains("wxamplinkget") { LISTING } else { DONE }.to_owned()))
            .await;
    let wechat = client(&format!("{}/proxy/", server.url));
    let token = token(SECRET);
    let raw = wechat.listing(&token).await.unwrap();
    wechat.link(&token, &program(), LinkOptions { notify_users: false, show_profile: true }).await.unwrap();
    wechat.unlink(&token, &program()).await.unwrap();

    assert_eq!(raw.read().unwrap().whole().unwrap().items.len(), 1);
    assert_eq!(raw.fingerprint(), wechat.listing(&token).await.unwrap().fingerprint());
    let requests = server.requests();
    let query = "?access_token=61W3mEpU66027wgNZ%2BMhGHN%2FQDHnFATkDa9%3D HTTP/1.1\r\n";
    for (request, path, body) in [
        (&requests[0], "wxamplinkget", "{}"),
        (&requests[1], "wxamplink", r#"{"appid":"wx00000000000000aa","notify_users":"0","show_profile":"1"}"#),
        (&requests[2], "wxampunlink", r#"{"appid":"wx00000000000000aa"}"#),
    ] {
        assert!(request.starts_with(&format!("POST /proxy/cgi-bin/wxopen/{path}{query}")), "{request}");
        assert!(request.ends_with(&format!("\r\n\r\n{body}")), "{request}");
        let head = request.to_ascii_lowercase();
        for line in
            ["content-type: application/json", "user-agent: amplinkd/", &format!("content-length: {}", body.len())]
        {
            assert!(head.contains(line), "{request}");
        }
        assert!(!head.contains("referer") && !head.contains("transfer-encoding"), "{request}");
    }
}

#[tokio::test]
async fn connections_are_reused() {
    let server = Server::always(Reply::Ok(LISTING.to_owned())).await;
    let wechat = client(&server.url);
    for _ in 0..20 {
        wechat.listing(&token(SECRET)).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (20, 1));
}

/// Asks for both with this reply: each arrives once, and brings an error without the token in it.
async fn brought(reply: Reply) -> [CallError; 2] {
    let shown: String = format!("{reply:?}").chars().take(80).collect();
    let server = Server::always(reply).await;
    let linked = link(&server).await.unwrap_err();
    assert_eq!(server.requests().len(), 1, "{shown}");
    let listed = client(&server.url).listing(&token(SECRET)).await.unwrap_err();
    assert_eq!(server.requests().len(), 2, "{shown}");
    assert_clean(&linked);
    assert_clean(&listed);
    [linked, listed]
}

/// A page that quotes the request.
const ECHO: &str = "<html>POST /?access_token=61W3mEpU66027wgNZ%2BMhGHN%2FQDHnFATkDa9%3D</html>";

/// Every way to lose an answer, for a call and for a listing: the request arrives once and its outcome is unknown.
#[tokio::test]
async fn a_lost_answer_is_unknown_and_sent_once() {
    let mut half = server::http(200, LISTING);
    half.truncate(half.len() - 10);
    let endless = format!("HTTP/1.1 502 Bad\r\nContent-Length: 9000000\r\n\r\n{}", " ".repeat(9_000_000));
    for reply in [
        Reply::Close,
        Reply::Silence,
        Reply::Raw(half),
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n".to_vec()),
        Reply::Raw(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
        Reply::Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec()),
        Reply::Late(Duration::from_secs(2), DONE.to_owned()),
        Reply::Raw(endless.into_bytes()),
        Reply::Status(502, ECHO.to_owned()),
        Reply::Status(502, r#"{"message":"Bad gateway"}"#.to_owned()),
        Reply::Status(500, DONE.to_owned()),
        Reply::Status(500, LISTING.to_owned()),
        Reply::Status(503, r#"{"errcode":503,"errmsg":"upstream"}"#.to_owned()),
        Reply::Raw(b"HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".to_vec()),
    ] {
        let shown: String = format!("{reply:?}").chars().take(80).collect();
        let errors = brought(reply).await;
        assert!(errors.iter().all(|error| matches!(error, CallError::Lost(_))), "{shown}: {errors:?}");
    }
}

/// An answer comes, and says nothing: its outcome is as unknown, and a list is told apart from one that nobody brought.
#[tokio::test]
async fn an_answer_that_is_none_of_wechats_is_unreadable() {
    let endless = format!("HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n{}", " ".repeat(9_000_000));
    for reply in [
        Reply::Raw(endless.into_bytes()),
        Reply::Ok(String::new()),
        Reply::Ok(ECHO.to_owned()),
        Reply::Ok(format!("\"{SECRET}\"")),
        Reply::Ok("[]".to_owned()),
    ] {
        let shown: String = format!("{reply:?}").chars().take(80).collect();
        let errors = brought(reply).await;
        assert!(errors.iter().all(|error| matches!(error, CallError::Unreadable(_))), "{shown}: {errors:?}");
    }
}

/// A proxy knows codes, too, or repeats one that it saw: nothing is refused, and no request ends, by any of them.
#[tokio::test]
async fn a_code_counts_only_with_http_200() {
    for code in [-1, 42_001, 45_009, 61_003, 61_004, 89_007, 89_008, 89_010, 89_015, 1] {
        for status in [201, 204, 302, 400, 403, 404, 429, 500, 502, 503, 504] {
            // A 204 has no body.
            let body = if status == 204 { String::new() } else { refused(code) };
            let errors = brought(Reply::Status(status, body)).await;
            let are_lost = errors.iter().all(|error| matches!(error, CallError::Lost(_)));
            assert!(are_lost, "HTTP {status} with {code}: {errors:?}");
            assert!(errors[0].to_string().contains(&status.to_string()), "{}", errors[0]);
        }
    }
}

#[tokio::test]
async fn an_object_without_an_errcode_is_neither_success_nor_refusal() {
    for body in ["{}", r#"{"message":"ok"}"#, r#"{"errcode":null}"#] {
        let server = Server::always(Reply::Ok(body.to_owned())).await;
        assert!(matches!(link(&server).await, Err(CallError::Unreadable(_))), "{body}");
        let raw = client(&server.url).listing(&token(SECRET)).await.unwrap();
        assert!(matches!(raw.read(), Err(ReadError::Unreadable(_))), "{body}");
    }
}

/// A connection that the server closes while it idles: hyper may only repeat what was never begun.
#[tokio::test]
async fn a_dead_kept_connection_never_doubles_a_call() {
    for _ in 0..50 {
        let server = Server::always(Reply::OkThenClose(DONE.to_owned())).await;
        let wechat = client(&server.url);
        let mut answered = 0;
        for call in 1..=4 {
            answered += usize::from(wechat.link(&token(SECRET), &program(), LinkOptions::default()).await.is_ok());
            assert!(server.requests().len() <= call, "sent more often than called");
        }
        assert!(answered <= server.requests().len());
    }
}

#[tokio::test]
async fn a_kept_connection_that_dies_after_reading_loses_the_answer_once() {
    let server = Server::start(|n, _| if n == 0 { Reply::Ok(DONE.to_owned()) } else { Reply::Close }).await;
    let wechat = client(&server.url);
    wechat.unlink(&token(SECRET), &program()).await.unwrap();
    let lost = wechat.link(&token(SECRET), &program(), LinkOptions::default()).await.unwrap_err();
    assert!(matches!(lost, CallError::Lost(_)), "{lost:?}");
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    for url in [format!("http://127.0.0.1:{port}"), "http://no-such-host.invalid".to_owned()] {
        let wechat = client(&url);
        let error = wechat.link(&token(SECRET), &program(), LinkOptions::default()).await.unwrap_err();
        assert!(matches!(error, CallError::NotSent(_)), "{error:?}");
        assert_clean(&error);
    }
}

/// The server takes the connection and never speaks TLS: the wait ends while connecting, before anything was sent.
#[tokio::test]
async fn a_handshake_that_never_ends_sent_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let reading = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        stream.read_to_end(&mut seen).await.unwrap();
        seen
    });
    let Ok(wechat) = Client::new(&ClientConfig {
        base_url: url,
        timeout: Duration::from_millis(600),
        connect_timeout: Duration::from_hours(1),
        ..ClientConfig::default()
    }) else {
        return skipped("a machine without CA certificates has no TLS client");
    };
    let error = wechat.link(&token(SECRET), &program(), LinkOptions::default()).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent(_)), "{error:?}");
    assert!(!String::from_utf8_lossy(&reading.await.unwrap()).contains("wxamplink"));
}

#[tokio::test]
async fn a_code_is_a_refusal_and_keeps_its_rid() {
    let server = Server::always(Reply::Ok(r#"{"errcode":89010,"errmsg":"sent rid: 1-2-3"}"#.to_owned())).await;
    let Err(CallError::Refused(refusal)) = link(&server).await else { panic!("no refusal") };
    assert_eq!((refusal.errcode, refusal.errmsg.as_str()), (89_010, "sent rid: 1-2-3"));
    assert!(matches!(client(&server.url).listing(&token(SECRET)).await, Err(CallError::Refused(_))));
}

#[tokio::test]
async fn a_refusal_that_quotes_the_token_is_cleaned() {
    for padding in ["", &" ".repeat(5_000)] {
        let body = format!("{{\"errcode\":40001,\"errmsg\":\"invalid {SECRET} rid: 1\"{padding}}}");
        let server = Server::always(Reply::Ok(body)).await;
        let error = link(&server).await.unwrap_err();
        assert_clean(&error);
        match client(&server.url).listing(&token(SECRET)).await {
            Err(error) => assert_clean(&error),
            Ok(raw) => assert_clean(&raw.read().unwrap_err()),
        }
    }
}

#[test]
fn nothing_that_is_made_of_a_token_prints_it() {
    let token = token(SECRET);
    assert!(!format!("{token:?}").contains("61W3"));
    let source = TokenSource::Static(HashMap::from([("*".to_owned(), SecretString::from(SECRET))]));
    assert!(!format!("{source:?}").contains("61W3"));
    let tokens = Tokens::new(source, clock()).unwrap();
    assert!(!format!("{:?}", Wechat::new(client("http://127.0.0.1:1"), tokens)).contains("61W3"));
}

#[test]
fn a_base_url_that_cannot_be_called_is_refused() {
    install_tls();
    install_tls();
    for bad in ["", "api.weixin.qq.com", "ftp://a.example", "http://me:pw@a.example", "http://a.example/?x=1"] {
        let config = ClientConfig { base_url: bad.to_owned(), ..ClientConfig::default() };
        let error = Client::new(&config).unwrap_err().to_string();
        assert!(!error.contains("pw"), "{error}");
    }
}
