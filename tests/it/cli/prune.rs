//! Old requests are taken away, each with its proof kept on wish, and never one that anybody still needs.

use std::{fs, os::unix::fs::symlink, sync::Arc, time::Duration};

use amplinkd::{
    clock::{Clock, ManualClock, SystemClock},
    domain::{
        action,
        errcode::Refusal,
        id::RequestId,
        listing::Status,
        observation::Observation,
        policy::Policy,
        request::{Kind, LinkOptions},
    },
    engine::{record::Recorder, wish::Wish},
    store::{Record, Role, Store},
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{ACCOUNT, Desk, PROGRAM, block_on, history};

const DAY: Duration = Duration::from_hours(24);

/// Somebody who worked at a desk long ago.
struct Then {
    clock: Arc<ManualClock>,
    recorder: Recorder,
}

/// What becomes of a request.
#[derive(Clone, Copy)]
enum Fate {
    Cancelled,
    Failed,
    Rejected,
    Linked,
    /// Linked, and gone again.
    Vanished,
}

impl Fate {
    fn story(self) -> Vec<Observation> {
        let refusal = Refusal { errcode: 89_008, errmsg: "no".to_owned() };
        let called = [Observation::CallStarted, Observation::CallAccepted];
        let linked = Observation::Listed(Status::Linked);
        match self {
            Self::Cancelled => vec![Observation::CancelAsked],
            Self::Failed => vec![Observation::CallStarted, Observation::CallRefused(refusal)],
            Self::Rejected => [&called[..], &[Observation::Listed(Status::Rejected)]].concat(),
            Self::Linked => [&called[..], &[linked]].concat(),
            Self::Vanished => [&called[..], &[linked, Observation::Absent, Observation::Absent]].concat(),
        }
    }
}

impl Then {
    async fn open(desk: &Desk, days_ago: u32) -> Self {
        let clock = ManualClock::starting_at(SystemClock::new().now() - DAY * days_ago);
        let store = Store::open(&desk.location(), Role::Tool).await.expect("a database");
        Self { recorder: Recorder::new(store, Arc::clone(&clock) as _, Policy::default()), clock }
    }

    async fn ask(&self, number: usize) -> RequestId {
        let wish = Wish {
            kind: Kind::Link(LinkOptions::default()),
            account: ACCOUNT.parse().expect("an appid"),
            program: format!("wxp{number:015}").parse().expect("an appid"),
            username: None,
            key: Some(format!("key-{number}")),
            labels: [("shop".to_owned(), number.to_string())].into(),
        };
        self.recorder
            .by(action::By::simulated())
            .accept(vec![wish])
            .await
            .expect("a request")
            .remove(0)
            .id
            .parse()
            .expect("an id")
    }

    async fn live(&self, id: &RequestId, fate: Fate) {
        for seen in fate.story() {
            self.clock.advance(Duration::from_mins(1));
            let request = self.recorder.store().request(id).await.expect("it reads").expect("it is there");
            self.recorder.observe(&request, &seen, Record::default()).await.expect("it is written");
        }
    }

    async fn ended(&self, number: usize, fate: Fate) -> String {
        let id = self.ask(number).await;
        self.live(&id, fate).await;
        id.to_string()
    }

    async fn retried(&self, id: &str, fate: Option<Fate>) -> String {
        let again =
            self.recorder.by(action::By::simulated()).retry(&id.parse().expect("an id")).await.expect("a retry").id;
        if let Some(fate) = fate {
            self.live(&again.parse().expect("an id"), fate).await;
        }
        again
    }
}

async fn connection(desk: &Desk) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(desk.path("a.db")).foreign_keys(true);
    SqliteConnection::connect_with(&options).await.expect("the database opens")
}

fn ids(desk: &Desk) -> Vec<String> {
    block_on(async {
        let mut connection = connection(desk).await;
        sqlx::query_scalar("SELECT id FROM request ORDER BY id").fetch_all(&mut connection).await.expect("ids")
    })
}

/// An alert of a request, as the watch leaves it.
fn alert(request: &str, state: &str, resolved_at: &str, notify_at: &str) -> String {
    let resolution = if resolved_at == "NULL" { "NULL" } else { "'over'" };
    format!(
        "INSERT INTO alert (id, key, rule, reason, request_id, account, program, state, since, fired_at, resolved_at,
                            resolution, notify_at, message_en, message_zh)
         SELECT 'a' || id, 'k' || id, 'failed', 'failed.refused', id, account, program, '{state}', since, since,
                {resolved_at}, {resolution}, {notify_at}, 'en', 'zh' FROM request WHERE id = '{request}';"
    )
}

/// Requests that ended 500 days ago, and one that ended later: those that go, and those that stay for a reason each.
async fn furnish(desk: &Desk) -> (Vec<String>, Vec<String>) {
    let then = Then::open(desk, 500).await;
    let failed = then.ended(1, Fate::Failed).await;
    let tried = then.ended(4, Fate::Failed).await;
    let tried_again = then.retried(&tried, Some(Fate::Rejected)).await;
    let mut goes = vec![failed.clone(), tried, tried_again];
    for (number, fate) in [(0, Fate::Cancelled), (2, Fate::Rejected), (3, Fate::Vanished)] {
        goes.push(then.ended(number, fate).await);
    }
    let named = then.ended(12, Fate::Cancelled).await;
    let naming = then.retried(&named, None).await;
    let mut stays = vec![named, naming, then.ask(11).await.to_string(), then.ended(10, Fate::Linked).await];
    let mut needed = Vec::new();
    for number in 13..20 {
        needed.push(then.ended(number, Fate::Failed).await);
    }
    stays.extend_from_slice(&needed);
    stays.push(Then::open(desk, 100).await.ended(20, Fate::Cancelled).await);

    let [alerted, to_tell, lately, owed, disputed, salvaged, changed] = &needed[..] else {
        panic!("seven: {needed:?}")
    };
    let days_ago = |days: u32| (SystemClock::new().now() - DAY * days).ms().to_string();
    let more = [
        alert(&failed, "resolved", &days_ago(450), "NULL"),
        alert(alerted, "firing", "NULL", "NULL"),
        alert(to_tell, "resolved", &days_ago(450), "1"),
        alert(lately, "resolved", &days_ago(10), "NULL"),
        format!(
            "INSERT INTO vigil (request_id, due_at) VALUES ('{failed}', 9999999999999);
             INSERT INTO nudge (id, request_id, stage, seq, language, text, at, effect_ms)
             VALUES ('n', '{failed}', 'account_admin', 1, 'zh', 'words', 1, 1);
             INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, created_at, next_at)
             SELECT 'd', id, seq, partition_key, 'ops', 'pending', at, at FROM outbox WHERE subject = '{owed}' LIMIT 1;
             INSERT INTO conflict (id, request_id, kind, at, our_state)
             VALUES ('c', '{disputed}', 'adopted', 1, 'requested');
             INSERT INTO conflict (id, request_id, kind, at, our_state, resolved_at, resolution)
             VALUES ('e', '{failed}', 'adopted', 1, 'requested', 2, 'failed');
             INSERT INTO salvage (request_id, fate) VALUES ('{salvaged}', 'called');
             UPDATE transition SET detail = 'forged' WHERE request_id = '{changed}' AND seq = 2;"
        ),
    ];
    let mut connection = connection(desk).await;
    sqlx::raw_sql(AssertSqlSafe(crate::past::in_words(&more.concat()))).execute(&mut connection).await.expect("rows");
    goes.sort();
    stays.sort();
    (goes, stays)
}

fn keep_for(desk: &Desk, age: &str) {
    desk.write("amplinkd.toml", &format!("[database]\nurl = \"sqlite:a.db\"\n[retention]\nfinished = \"{age}\"\n"));
}

/// The lines of an export hold everything that could be seen of the requests before.
fn assert_exported(lines: &[Value], before: &[(Value, Value)]) {
    assert_eq!(lines.len(), before.len());
    for (row, proof) in before {
        let line = lines.iter().find(|line| line["request"]["id"] == row["id"]).expect("it was exported");
        let (steps, head) = history::checked(line);
        assert!(steps > 1 && head == proof["head"]["hash"], "{line}");
        for name in ["rule", "request", "transitions", "head", "findings"] {
            assert_eq!(line[name], proof[name], "{name}");
        }
        assert_eq!(line["record"], *row);
    }
    let beside = |line: &Value| ["conflicts", "nudges"].map(|name| line[name].as_array().map_or(0, Vec::len));
    let beside = lines.iter().map(beside).fold([0, 0], |all, one| [all[0] + one[0], all[1] + one[1]]);
    assert_eq!(beside, [2, 1], "one that was adopted, one that vanished, and a nudge");
}

#[test]
fn what_goes_is_exported_with_its_proof_and_what_is_needed_stays() {
    let desk = Desk::new();
    let (goes, stays) = block_on(furnish(&desk));
    let row = |id: &String| desk.json(&format!("request show {id}"));
    let proof = |id: &String| desk.json(&format!("request history {id} --proof"));
    let before: Vec<(Value, Value)> = goes.iter().map(|id| (row(id), proof(id))).collect();
    keep_for(&desk, "400d");

    let dry = desk.run("db prune --dry-run -o json").well();
    assert!(
        dry.err.contains("7 requests that ended before 20") && dry.err.contains("nothing was changed"),
        "{}",
        dry.err
    );
    let counted: Value = serde_json::from_str(&dry.out).expect("JSON");
    let of = |state: &str| {
        let rows = counted.as_array().expect("rows").iter().filter(|row| row["state"] == state);
        rows.map(|row| row["requests"].as_i64().expect("a number")).sum::<i64>()
    };
    // The history of one of the failed is forged, which counting does not see.
    assert_eq!(["cancelled", "failed", "rejected", "unlinked"].map(of), [1, 3, 2, 1]);
    desk.run("db prune --export out.jsonl").refused(1, "use --yes");
    assert!(!desk.path("out.jsonl").exists());

    let said = desk.run("db prune --export out.jsonl --yes -o json").well();
    let done: Value = serde_json::from_str(&said.out).expect("JSON");
    let names = ["requests", "cancelled", "failed", "rejected", "unlinked", "lapsed", "unsound"];
    assert_eq!(names.map(|name| done[name].as_i64()), [6, 1, 2, 2, 1, 0, 1].map(Some));
    assert!(said.err.contains("1 requests are kept because their histories do not verify"), "{}", said.err);
    assert_eq!(ids(&desk), stays);
    let exported = fs::read_to_string(desk.path("out.jsonl")).expect("the export");
    let lines: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_exported(&lines, &before);

    assert_eq!(desk.number("SELECT count(*) FROM pragma_foreign_key_check"), 0);
    let found: Value = serde_json::from_str(&desk.run("db verify -o json").out).expect("JSON");
    assert_eq!(found.as_array().map(Vec::len), Some(1), "the forged one alone: {found}");
    assert_eq!(desk.number("SELECT count(*) FROM transition WHERE request_id NOT IN (SELECT id FROM request)"), 0);
    // A key goes with its request: from now on it means a new one.
    assert!(!desk.run(&format!("request link {ACCOUNT} {PROGRAM} --key key-0")).well().err.contains("key"));
    let again = desk.json("db prune --yes");
    assert_eq!((&again["requests"], &again["unsound"]), (&json!(0), &json!(1)));
}

#[test]
fn nothing_is_taken_away_unasked_or_into_a_file_that_is_there() {
    let desk = Desk::new();
    let id = block_on(async { Then::open(&desk, 500).await.ended(0, Fate::Failed).await });
    desk.run("db prune --yes").refused(1, "[retention] finished is \"never\"");
    keep_for(&desk, "20d");
    desk.run("db prune --yes").refused(1, "at least 30 days (30d), or \"never\"");
    keep_for(&desk, "600d");
    assert_eq!(desk.json("db prune --dry-run"), json!([]));
    keep_for(&desk, "400d");
    desk.write("there.jsonl", "mine");
    desk.run("db prune --yes --export there.jsonl").refused(1, "there.jsonl already exists and is not overwritten");
    symlink(desk.path("elsewhere.jsonl"), desk.path("link.jsonl")).expect("a link");
    desk.run("db prune --yes --export link.jsonl").refused(1, "link.jsonl already exists");
    desk.run("db prune --yes --export missing/out.jsonl").refused(1, "cannot write missing/out.jsonl");
    desk.sql("INSERT INTO copy (made_at) VALUES (1)");
    desk.run("db prune --yes").refused(1, "a restored backup");
    desk.sql("DELETE FROM copy; INSERT INTO watch (one, seq, policy) VALUES (1, 0, '')");
    let said = desk.run("db prune --dry-run -o json").well();
    assert!(said.err.contains("the daemon has not processed events since"), "{}", said.err);
    assert_eq!((said.out.trim(), ids(&desk)), ("[]", vec![id]));
    assert_eq!(fs::read_to_string(desk.path("there.jsonl")).expect("it is there"), "mine");
    assert!(!desk.path("elsewhere.jsonl").exists());
    desk.sql("UPDATE watch SET seq = 99");
    assert_eq!(desk.json("db prune --yes")["requests"], 1);
    assert!(ids(&desk).is_empty());
}

#[test]
fn what_cannot_be_exported_does_not_go() {
    let desk = Desk::new();
    let (goes, _) = block_on(furnish(&desk));
    let before = ids(&desk);
    let refused = block_on(async {
        let then = Then::open(&desk, 0).await;
        let mut full = |_: &[_]| Err(std::io::ErrorKind::StorageFull.into());
        then.recorder.prune_requests(then.clock.now() - DAY * 400, u64::MAX, &mut full).await
    });
    assert!(refused.is_err_and(|error| error.to_string().starts_with("cannot write the archive")));
    assert_eq!(ids(&desk), before);
    assert!(goes.iter().all(|id| before.contains(id)));
}
