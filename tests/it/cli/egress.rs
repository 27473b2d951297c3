//! The ways out at the command line: what `config check` warns of, and tests of a channel and of the heartbeat.

use std::{
    io::{BufRead, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    thread,
};

use super::{Desk, Said};
use crate::harness::{Log, Process};

const TOKENS: &str = "[database]\nurl = \"sqlite:a.db\"\n[tokens]\nsource = \"command\"\ncommand = [\"true\"]\n";

/// A service that answers every request alike, whatever it is asked through or for.
fn answers(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

fn with_proxies(desk: &Desk, arguments: &str) -> Said {
    let mut command = desk.command(arguments);
    Said::from(command.env("HTTPS_PROXY", "http://me:hush@proxy.example:3128").output().expect("the binary runs"))
}

#[test]
fn a_proxy_of_the_environment_that_is_not_used_is_told() {
    let desk = Desk::new();
    desk.write("amplinkd.toml", TOKENS);
    let said = with_proxies(&desk, "config check").well();
    assert!(said.err.starts_with("warning: HTTPS_PROXY") && said.err.contains("[wechat]"), "{}", said.err);
    assert!(!said.err.contains("hush") && !said.out.contains("hush"));
    for variable in ["NO_PROXY", "no_proxy"] {
        let proxies = [("HTTPS_PROXY", "http://proxy.example:3128"), (variable, "*")];
        let said = Said::from(desk.command("config check").envs(proxies).output().expect("the binary runs"));
        assert_eq!(said.well().err, "", "nobody is to go through that proxy");
    }
    desk.write("amplinkd.toml", &format!("{TOKENS}[wechat]\nproxy = \"http://me:hush@proxy.example:3128\"\n"));
    let said = with_proxies(&desk, "config check").well();
    assert!(said.err.is_empty(), "{}", said.err);
    assert!(said.out.contains("http://(hidden)@proxy.example:3128") && !said.out.contains("hush"), "{}", said.out);
}

#[test]
fn the_daemon_tells_of_it_too() {
    let desk = Desk::new();
    desk.write("amplinkd.toml", &format!("{TOKENS}[log]\nformat = \"json\"\n"));
    let mut command = desk.process("run");
    command.env("https_proxy", "http://me:hush@proxy.example:3128");
    let log = Log::default();
    Process::start_blocking(command, &log).stop();
    assert_eq!(log.count("config.odd"), 1);
    assert!(!log.lines().join("").contains("hush"), "{}", log.tail());
}

#[test]
fn a_heartbeat_is_tested_in_the_way_of_its_kind() {
    let desk = Desk::new();
    desk.write("amplinkd.toml", TOKENS);
    desk.run("heartbeat test").refused(1, "there is no heartbeat: set `url` or `url_file` in [heartbeat]");
    let kuma = answers("HTTP/1.1 200 OK\r\ncontent-length: 11\r\nconnection: close\r\n\r\n{\"ok\":true}");
    let section = format!("{TOKENS}[heartbeat]\nkind = \"kuma\"\nurl = \"http://{kuma}/api/push/Hush1234\"\n");
    desk.write("amplinkd.toml", &section);
    let tested = desk.json("heartbeat test");
    assert_eq!((&tested["kind"], &tested["result"]), (&"kuma".into(), &"taken".into()));

    // What it is to an address of another kind: odd at the check, and named when it is refused.
    let missing = answers("HTTP/1.1 404 Not Found\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{\"ok\":false}");
    let section = section.replace("kind = \"kuma\"\n", "").replace(&kuma.to_string(), &missing.to_string());
    desk.write("amplinkd.toml", &section);
    let checked = desk.run("config check").well();
    assert!(
        checked.err.contains("warning: [heartbeat] url: ") && checked.err.contains("kind = \"kuma\""),
        "{}",
        checked.err
    );
    let said = desk.run("heartbeat test");
    assert!(said.code == 1 && said.err.contains("HTTP 404") && said.err.contains("kind = \"kuma\""), "{}", said.err);
    assert!(!said.err.contains("Hush1234"), "{}", said.err);
}

#[test]
fn a_channel_is_tested_through_its_proxy() {
    let desk = Desk::new();
    let refusing = answers("HTTP/1.1 407 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let channel = "[[alerts.channel]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"https://hooks.example/k\"\n";
    desk.write("amplinkd.toml", &format!("{TOKENS}{channel}proxy = \"http://me:hush@{refusing}\"\n"));
    let said = desk.run("channel test ops");
    assert!(
        said.code == 1 && said.err.contains("`proxy`") && said.err.contains("fix the configuration"),
        "{}",
        said.err
    );
    assert!(!said.err.contains("hush"), "{}", said.err);
}

#[test]
#[cfg(not(feature = "otel"))]
fn a_binary_that_cannot_trace_says_so() {
    let desk = Desk::new();
    let config = "[database]\nurl = \"sqlite:a.db\"\n[telemetry]\notlp_endpoint = \"http://127.0.0.1:9\"\n";
    desk.write("amplinkd.toml", config);
    let said = desk.run("config check").well();
    assert!(said.err.contains("[telemetry] otlp_endpoint") && said.err.contains("feature otel"), "{}", said.err);
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:a.db\"\n[telemetry]\nsample_ratio = 0.5\n");
    assert!(!desk.run("config check").well().err.contains("[telemetry]"));
}
