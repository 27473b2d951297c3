//! `request watch` over HTTP: steps as they happen, also past a restart of the daemon.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use super::*;
use crate::http::{ACCOUNT, PROGRAM};

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_printed_as_they_happen_also_past_a_restart() {
    let mut far = Far::open("[polling]\nsteps = [{ every = \"9h\" }]").await;
    let mut command =
        at(&far.house.base, &far.house.path("token"), "request watch -o jsonl --state requested,cancelled");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // It prints only what happens after it has begun; the daemon says when that is.
    let begun = || async { far.house.get("/metrics", &far.token).await.text };
    for _ in 0..200 {
        if begun().await.lines().any(|line| line.starts_with("amplinkd_http_event_streams ") && line.ends_with(" 1")) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let first = far.house.json(&format!("request link {ACCOUNT} {PROGRAM}"))["id"].as_str().unwrap().to_owned();
    let next = |lines: &mut std::io::Lines<BufReader<std::process::ChildStdout>>| -> Value {
        serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap()
    };
    let step = next(&mut lines);
    assert_eq!(
        (&step["request_id"], &step["to_state"], &step["seq"]),
        (&first.as_str().into(), &"requested".into(), &1.into())
    );
    far.house.killed().await;
    far.house.json(&format!("request cancel {first}"));
    let step = next(&mut lines);
    assert_eq!((&step["request_id"], &step["to_state"]), (&first.as_str().into(), &"cancelled".into()), "{step}");
    let columns = [
        "request_id",
        "seq",
        "from_state",
        "to_state",
        "at",
        "cause",
        "status",
        "errcode",
        "detail",
        "kind",
        "account",
        "program",
        "labels",
    ];
    assert!(columns.iter().all(|column| step.get(column).is_some()), "{step}");
    let _ = child.kill();
    let _ = child.wait();
    let settled = far.far(&format!("request watch --until-settled {first} -o json"));
    assert!(settled.code == 0 && settled.out == "[]\n" && settled.err.contains("already finished"), "{settled:?}");
}
