//! What callers may take: sizes, kinds, time, connections; and that the end comes in time.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

use reqwest::Method;
use rustix::process::Signal;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_a_size_a_kind_and_a_shape() {
    let house = House::open("body_bytes = 16384").await;
    let said = async |kind: &str, body: String| {
        let asked = house.ask(Method::POST, "/api/v1/session").header("Content-Type", kind).body(body);
        Said::of(asked.send().await.unwrap()).await.problem()
    };
    let json = "application/json";
    let long = format!("{{\"name\":\"a\",\"password\":\"{}\"}}", "a".repeat(20_000));
    assert_eq!(said(json, long).await, (413, "too_large".to_owned()));
    assert_eq!(said("text/plain", "{}".to_owned()).await, (415, "media_type".to_owned()));
    assert_eq!(said(json, "{".to_owned()).await, (400, "malformed".to_owned()));
    assert_eq!(said(json, "{\"name\":1,\"password\":\"\"}".to_owned()).await, (422, "invalid".to_owned()));
    assert_eq!(said(json, "{\"name\":\"a\",\"password\":\"b\",\"x\":1}".to_owned()).await, (422, "invalid".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept_are_so_many_and_end_with_the_daemon() {
    let mut house = House::open("connections = 2").await;
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: whatever\r\n\r\n").unwrap();
        let mut said = [0; 4096];
        let count = stream.read(&mut said).unwrap_or_default();
        String::from_utf8_lossy(&said[..count]).into_owned()
    };
    let open = || {
        let stream = TcpStream::connect(("127.0.0.1", house.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        stream
    };
    let (mut first, mut second) = (open(), open());
    for _ in 0..3 {
        assert!(ask(&mut first).starts_with("HTTP/1.1 200") && ask(&mut second).starts_with("HTTP/1.1 200"));
    }
    let mut third = open();
    third.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert!(ask(&mut third).starts_with("HTTP/1.1 200"), "it has the place of whoever was idle for longest");
    let mut said = [0; 4096];
    first.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(first.read(&mut said).unwrap(), 0, "which is closed");
    // Whoever holds connections and sends nothing whole holds up nobody.
    let held: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = open();
            stream.write_all(b"GET /livez HTTP/1.1\r\nHo").unwrap();
            stream
        })
        .collect();
    let mut true_one = open();
    true_one.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
    assert!(ask(&mut true_one).starts_with("HTTP/1.1 200"));
    drop((held, true_one, third, second));
    let mut second = open();
    assert!(ask(&mut second).starts_with("HTTP/1.1 200"));
    // Idle ones hold nothing up.
    let mut daemon = house.daemon.take().unwrap();
    daemon.signal(Signal::TERM);
    second.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(second.read(&mut said).unwrap(), 0);
    assert!(daemon.end().success());
    assert_eq!(house.log.errors(), 0, "{}", house.log.tail());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_file_is_a_listener_too() {
    let mut house = House::open("").await;
    house.daemon.take().unwrap().stop();
    let config = std::fs::read_to_string(house.path("amplinkd.toml")).unwrap();
    let listen = format!("listen = \"127.0.0.1:{}\"", house.port);
    std::fs::write(house.path("amplinkd.toml"), config.replace(&listen, "listen = \"unix:http.sock\"")).unwrap();
    house.daemon = Some(Process::start(house.command("run"), &house.log).await);
    let said = |host: &str| {
        let mut stream = UnixStream::connect(house.path("http.sock")).unwrap();
        let request = format!("GET /api/v1/meta HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said.lines().next().unwrap_or_default().to_owned()
    };
    assert!(said("localhost").contains("401") && said("evil.example").contains("421"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_beyond_this_machine_needs_names() {
    let house = House::open("").await;
    let config = std::fs::read_to_string(house.path("amplinkd.toml")).unwrap();
    std::fs::write(house.path("wide.toml"), config.replace("127.0.0.1:2", "0.0.0.0:2")).unwrap();
    let said = house.command("config check -c wide.toml").output().unwrap();
    let why = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success() && why.contains("[http] listen") && why.contains("hosts = ["), "{why}");
}
