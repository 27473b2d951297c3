//! Whoever holds connections, breaks off or floods a door holds up nobody else, and fills no log.

use std::time::Duration;

use super::*;

/// How long a true caller may wait beside all of that.
const SOON: Duration = Duration::from_secs(4);

const OUTER: &str = "<xml><AppId>wx00000000000000ff</AppId><Encrypt>AAAA</Encrypt></xml>";

/// So many connections that have sent this and no more.
async fn hold(port: u16, count: usize, begun: &str) -> Vec<TcpStream> {
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        held.push(stream);
    }
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_connections_without_a_key_hold_up_no_caller() {
    let desk = Desk::open().await;
    for begun in ["", "GET /token?appid=", "POST /token/refused HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n"] {
        let held = hold(desk.platform.service, 400, begun).await;
        for _ in 0..3 {
            let asked = tokio::time::timeout(SOON, desk.get(CRM, ACCOUNT)).await;
            assert_eq!(asked.map(|answer| answer.status), Ok(200), "{begun:?}");
        }
        drop(held);
    }
    desk.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_pushes_hold_up_no_true_one() {
    let desk = Desk::closed().await;
    let begin =
        "POST /wechat/callback?timestamp=1&nonce=1&msg_signature=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n";
    for begun in [begin.to_owned(), format!("{begin}\r\n<xml>")] {
        let held = hold(desk.platform.callback, 200, &begun).await;
        let pushed = tokio::time::timeout(SOON, desk.platform.push_ticket()).await;
        assert!(pushed.is_ok(), "{begun:?}");
        drop(held);
    }
    assert_eq!(desk.daemon.log.count("callback.ticket"), 1, "the first one; the next only at debug");
    assert!(desk.platform.json("component status")["ticket_at"].is_string());
    desk.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_cut_off_or_wrongly_framed_is_no_too_large_one() {
    let desk = Desk::open().await;
    let (service, callback) = (desk.platform.service, desk.platform.callback);
    for (port, path) in [(service, "/token/refused"), (callback, "/wechat/callback")] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {CRM}\r\n");
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\nnonsense\r\n");
        assert_eq!(desk.raw(port, chunked.as_bytes()).await.status, 400, "{path}");
        // Half of the connection is closed before the body has ended.
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(format!("{head}Content-Length: 90\r\n\r\n{{").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 400 "), "{path}: {said:?}");
        let large = format!("{head}Transfer-Encoding: chunked\r\n\r\n11000\r\n{}\r\n0\r\n\r\n", "x".repeat(0x11000));
        assert_eq!(desk.raw(port, large.as_bytes()).await.status, 413, "{path}");
    }
    desk.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refused_requests_is_a_few_lines_and_a_number() {
    let mut desk = Desk::open().await;
    let callback = desk.platform.callback;
    let requests = [
        format!("POST /wechat/callback HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{OUTER}", OUTER.len()),
        "GET /wechat/callback HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /else HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    ];
    let mut statuses = Vec::new();
    for request in requests.iter().cycle().take(300) {
        statuses.push(desk.raw(callback, request.as_bytes()).await.status);
    }
    assert_eq!(statuses[..3], [403, 405, 404]);
    let said = desk.daemon.log.count("callback.refused");
    assert!((3..=20).contains(&said), "{said}");

    for _ in 0..10 {
        desk.get(SLOW, ACCOUNT).await;
    }
    assert_eq!(desk.daemon.log.count("token_service.too_many"), 1);
    // What is written of a caller is what was understood.
    assert_eq!(desk.ask(CRM, "GET /token?appid=wx%0aFORGED", "").await.status, 400);
    desk.daemon.signal(Signal::TERM);
    assert!(desk.daemon.end().success());
    let log = desk.daemon.log.lines();
    let unsaid = log.iter().filter(|line| line.contains("callback.refused_more"));
    let unsaid: u64 = unsaid.map(|line| serde_json::from_str::<Value>(line).unwrap()["count"].as_u64().unwrap()).sum();
    assert_eq!(desk.daemon.log.count("callback.refused") as u64 + unsaid, 300, "each is told or counted");
    assert!(!log.iter().any(|line| line.contains("FORGED")));
}
