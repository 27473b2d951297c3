//! The demo, with the tokens of either source, its API, and what its database says afterwards.

use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Desk;
use crate::skip::{can, skipped};

/// Until what is asked for over HTTP shows.
const LOOKS: u32 = 200;
const LOOK: Duration = Duration::from_millis(50);

/// Ended with its test, however that ends.
struct Shown(Child);

impl Drop for Shown {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The line for curl that the demo prints.
fn pasted(from: impl Read) -> (String, BufReader<impl Read>) {
    let mut lines = BufReader::new(from);
    let mut line = String::new();
    while !line.contains("curl ") {
        line.clear();
        assert!(lines.read_line(&mut line).is_ok_and(|read| read > 0), "it ended without a line for curl");
    }
    (line.trim().to_owned(), lines)
}

/// What a shell makes of a line.
fn shell(line: &str) -> String {
    let said = Command::new("sh").args(["-c", line]).output().expect("a shell");
    assert!(said.status.success(), "{line}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).expect("text")
}

#[test]
fn the_demo_answers_the_line_that_it_prints_and_ends_its_token() {
    if !can("curl", &["--version"]) {
        return skipped("there is no curl");
    }
    let desk = Desk::new();
    let mut demo = desk.process("demo --plain --requests 30 --dir kept");
    let mut demo = Shown(demo.stdout(Stdio::piped()).spawn().expect("it starts"));
    let (line, mut rest) = pasted(demo.0.stdout.take().expect("its words"));
    let page: Value = serde_json::from_str(&shell(&line)).expect("JSON");
    assert_eq!(page["items"].as_array().map(Vec::len), Some(3), "{page}");
    let list = "/api/v1/requests?limit=3'";
    assert!(line.ends_with(list), "{line}");
    let metrics = shell(&line.replace(list, "/metrics'"));
    assert!(metrics.contains("\namplinkd_requests{kind=\"link\",state=\"requested\"}"), "{metrics}");
    assert!(metrics.contains("amplinkd_http_requests_total{method=\"GET\",route=\"/api/v1/requests\",code=\"200\"} 1"));

    // The daemon is at work behind it, on many, too.
    let one = page["items"][0]["id"].as_str().expect("an id");
    let post = |path: &str, body: &str| {
        let to = format!("{path}' -d '{body}' -H 'Content-Type: application/json'");
        serde_json::from_str::<Value>(&shell(&line.replace(list, &to))).expect("JSON")
    };
    assert_eq!(post(&format!("/api/v1/requests/{one}/cancel"), "{}")["state"], "cancelled");
    let all = r#""action":"suspend","filter":{"label":"demo=yes"}"#;
    let preview = post("/api/v1/actions", &format!("{{{all},\"dry_run\":true}}"));
    let shown = format!(r#""cutoff":{},"digest":{}"#, preview["cutoff"], preview["digest"]);
    let begun = post("/api/v1/actions", &format!("{{{all},{shown}}}"));
    let action = line.replace(list, &format!("/api/v1/actions/{}'", begun["id"].as_str().unwrap_or_default()));
    let is_done = (0..LOOKS).any(|_| {
        thread::sleep(LOOK);
        serde_json::from_str::<Value>(&shell(&action)).expect("JSON")["state"] == "finished"
    });
    assert!(is_done, "{}", shell(&action));

    let mut told = String::new();
    kill_process(Pid::from_child(&demo.0), Signal::INT).expect("it lives");
    rest.read_to_string(&mut told).expect("text");
    assert!(demo.0.wait().expect("it ends").success() && told.contains("audit findings"), "{told}");
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:kept/amplinkd.db\"\n");
    let token = desk.json("api-token list")[0].clone();
    assert!(token["role"] == "operator" && token["revoked_at"].is_string(), "{token}");
}

#[test]
fn the_link_of_the_demo_signs_in_once_and_its_administrators_are_played() {
    if !can("curl", &["--version"]) {
        return skipped("there is no curl");
    }
    let desk = Desk::new();
    let mut demo = desk.process("demo --plain --requests 20 --speed 1000");
    let mut demo = Shown(demo.stdout(Stdio::piped()).spawn().expect("it starts"));
    let mut lines = BufReader::new(demo.0.stdout.take().expect("its words"));
    let mut said = String::new();
    while !said.contains("/enter/") {
        said.clear();
        assert!(lines.read_line(&mut said).is_ok_and(|read| read > 0), "it ended without a link");
    }
    let link = said.trim().to_owned();
    let base = link.split("/enter/").next().expect("an address").to_owned();
    let jar = desk.folder.path().join("jar");
    let curl = |rest: &str| {
        let jar = jar.display();
        shell(&format!("curl -sS --noproxy '*' -H 'Accept: text/html' -b {jar} -c {jar} -w '%{{http_code}}' {rest}"))
    };
    // Whoever only looks at the link uses nothing up.
    for _ in 0..2 {
        assert!(curl(&link).ends_with("200"));
    }
    assert!(curl(&format!("{base}/")).ends_with("303"), "nobody has signed in yet");
    assert!(curl(&format!("-X POST {link}")).ends_with("303"));
    assert!(curl(&format!("-X POST {link}")).ends_with("404"), "it works once");
    let overview = curl(&format!("{base}/"));
    assert!(overview.ends_with("200") && overview.contains("Who is waited for"), "{overview}");
    let waiting = (0..LOOKS).find_map(|_| {
        thread::sleep(LOOK);
        let rows: Value = serde_json::from_str(
            curl(&format!("'{base}/api/v1/requests?state=awaiting_account_admin'")).strip_suffix("200")?,
        )
        .ok()?;
        // Whoever never answers by themselves.
        rows["items"].as_array()?.iter().find(|row| row["program"] == "wxapp0000000000007").cloned()
    });
    let waiting = waiting.expect("somebody is waited for");
    let played = |says: &str| {
        let fields = [("account", &waiting["account"]), ("program", &waiting["program"])]
            .map(|(name, value)| format!("-d {name}={}", value.as_str().expect("a text")));
        curl(&format!("{} -d by=account -d says={says} -d _back=/ {base}/demo/answer", fields.join(" ")))
    };
    assert!(played("no").ends_with("303"));
    let again = played("yes");
    assert!(again.ends_with("409"), "nothing is left to answer: {again}");
    let id = waiting["id"].as_str().expect("an id");
    let is_seen = (0..LOOKS).any(|_| {
        thread::sleep(LOOK);
        let row = curl(&format!("{base}/api/v1/requests/{id}"));
        serde_json::from_str::<Value>(row.strip_suffix("200").unwrap_or_default())
            .is_ok_and(|row| row["state"] == "lapsed")
    });
    assert!(is_seen, "the account's administrator said no");
}

#[test]
fn the_demo_takes_the_next_free_port() {
    let desk = Desk::new();
    // It may be taken by a demo beside this test, which is as well.
    let taken = std::net::TcpListener::bind("127.0.0.1:8750");
    let mut demo = desk.process("demo --plain --requests 3 --speed 1");
    let mut demo = Shown(demo.stdout(Stdio::piped()).spawn().expect("it starts"));
    let (line, _rest) = pasted(demo.0.stdout.take().expect("its words"));
    let (_, port) = line.split_once("127.0.0.1:").expect("an address");
    let port: u16 = port.split('/').next().unwrap_or_default().parse().expect("a port");
    drop(taken);
    assert!((8751..8800).contains(&port), "{line}");
}

#[test]
fn on_a_terminal_the_demo_serves_until_it_is_interrupted() {
    if !can("script", &["--version"]) {
        return skipped("there is no script(1), which has a terminal");
    }
    let desk = Desk::new();
    let mut terminal = Command::new("script");
    terminal.current_dir(desk.folder.path());
    let binary = env!("CARGO_BIN_EXE_amplinkd");
    // The shell outlives ctrl-C and says the exit code itself: that of script(1) may be lost when its reader is slow.
    let typed = format!("trap : INT; {binary} demo --requests 3 --speed 36000; echo it ended with $?");
    terminal.args(["-qc", &typed, "/dev/null"]);
    let mut shown = Shown(terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts"));
    let mut keys = shown.0.stdin.take().expect("a keyboard");
    let (line, mut screen) = pasted(shown.0.stdout.take().expect("a screen"));
    let mut row = String::new();
    while !row.contains("until ctrl-C") {
        row.clear();
        assert!(screen.read_line(&mut row).is_ok_and(|read| read > 0), "it ended by itself");
    }
    assert!(row.contains("everything is settled; the API answers at http://127.0.0.1:"), "{row}");
    if can("curl", &["--version"]) {
        assert!(shell(&line).contains("\"state\""), "it still answers");
    }
    keys.write_all(b"\x03").expect("ctrl-C");
    let mut rest = String::new();
    let _ = screen.read_to_string(&mut rest);
    shown.0.wait().expect("it ends");
    assert!(rest.contains("Everything is settled after") && rest.contains("it ended with 0"), "{rest}");
}

#[test]
fn the_demo_of_a_platform_ends_by_itself_and_its_database_can_be_asked() {
    let desk = Desk::new();
    let said = desk.run("demo --plain --tokens component --requests 6 --speed 20000 --dir kept");
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("Everything is settled"), "{}", said.out);
    assert!(said.out.contains("authorizes the platform") && said.out.contains("account tokens"), "{}", said.out);
    assert!(!said.out.contains("  +  "), "an event is shown by names that it does not have: {}", said.out);
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:kept/amplinkd.db\"\n");
    let listed = desk.json("authorizer list");
    let authorized = listed.as_array().expect("rows").iter().filter(|row| row["state"] == "authorized").count();
    assert_eq!(authorized, 2, "{listed}");
    assert_eq!(desk.json("component status")["errcode"], Value::Null);
}
