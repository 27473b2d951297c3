//! A database of before the log, brought up to date: every row that anybody reads is as it was, whenever the process that
//! brings it up to date is killed.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use amplinkd::{
    domain::{
        history::{Hash, Identity, Step, hex},
        time::Time,
    },
    store::{Location, Role, Store},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// The last schema that kept history and events apart.
const BEFORE: i64 = 12;

/// The first schema that has the log alone.
const WITH_LOG: i64 = 14;

/// The last schema whose tables of tokens took anything.
const WITH_LOOSE_TOKENS: i64 = 19;

const WAY: [&str; 6] =
    ["requested", "initiating", "initiated", "awaiting_account_admin", "awaiting_program_admin", "linked"];

const CAUSES: [&str; 6] = ["accepted", "call", "answer", "listing", "listing", "listing"];

const SHOWN: [&str; 6] = [
    "SELECT json_array(id, kind, account, program, state, since, requested_at, finished_at, attempt, labels, key, retry_of,
                       next_check_at, waiting_on) FROM v_request ORDER BY id",
    "SELECT json_array(request_id, seq, from_state, to_state, at, cause, status, errcode, detail, hash)
     FROM v_transition ORDER BY request_id, seq",
    "SELECT json_array(id, request_id, account, kind, at, resolved_at) FROM v_conflict ORDER BY id",
    "SELECT json_array(id, event_id, event_type, channel, state, subject, created_at) FROM v_delivery ORDER BY id",
    "SELECT json_array(id, request_id, stage, approved_at, effective) FROM v_nudge ORDER BY id",
    // Those of steps that everybody has read are history alone.
    "SELECT json_array(o.seq, o.id, o.type, o.subject, o.partition_key, o.reach, o.at, o.data) FROM outbox AS o
     WHERE o.type NOT LIKE 'amplinkd.request.%' OR o.seq > (SELECT w.seq FROM watch AS w)
        OR EXISTS (SELECT 1 FROM delivery AS d WHERE d.event_id = o.id)
     ORDER BY o.seq",
];

async fn connect(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    options.journal_mode(sqlx::sqlite::SqliteJournalMode::Wal).connect().await.unwrap()
}

/// Everything that anybody reads.
async fn shown(path: &Path) -> Vec<Vec<String>> {
    let mut connection = connect(path).await;
    let mut all = Vec::new();
    for sql in SHOWN {
        all.push(sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap());
    }
    connection.close().await.unwrap();
    all
}

/// A request of so many steps, as it stands in the old tables.
async fn write(connection: &mut SqliteConnection, number: i64, steps: usize) {
    let id = format!("0197c2d4-8e1f-7a63-9b52-{number:012x}");
    let (account, program) = (format!("wxa{:015}", number / 3), format!("wxp{number:015}"));
    let at = |step: usize| Time::from_ms(1_772_439_330_123 + number * 1_000 + i64::try_from(step).unwrap());
    let identity = Identity {
        id: &id,
        kind: "link",
        account: &account,
        program: &program,
        notify_users: 0,
        show_profile: 0,
        requested_at: at(0),
        retry_of: None,
    };
    let mut hash: Hash = identity.hash();
    let mut history = Vec::new();
    for (step, to) in WAY.into_iter().take(steps).enumerate() {
        let from = step.checked_sub(1).map(|before| WAY[before]);
        let cause = CAUSES[step];
        let row = Step {
            request_id: &id,
            seq: i64::try_from(step).unwrap() + 1,
            from,
            to,
            at: at(step),
            cause,
            status: None,
            errcode: None,
            detail: None,
        };
        hash = row.hash(&hash);
        let from = from.map_or_else(|| "NULL".to_owned(), |from| format!("'{from}'"));
        history.push(format!(
            "INSERT INTO transition (request_id, seq, from_state, to_state, at, cause, hash)
             VALUES ('{id}', {}, {from}, '{to}', {}, '{cause}', x'{}');
             INSERT INTO outbox (id, type, subject, partition_key, at, data)
             VALUES ('e-{number}-{step}', 'amplinkd.request.{to}', '{id}', '{id}', {}, '{{\"to\":\"{to}\"}}');",
            step + 1,
            row.at.ms(),
            hex(&hash),
            row.at.ms(),
        ));
    }
    let (state, since) = (WAY[steps - 1], at(steps - 1).ms());
    let (attempt, called) = if steps > 1 { (1, at(1).ms().to_string()) } else { (0, "NULL".to_owned()) };
    let finished = if state == "linked" { since.to_string() } else { "NULL".to_owned() };
    let request = format!(
        "INSERT OR IGNORE INTO account (account, state, since) VALUES ('{account}', 'active', 1);
         INSERT INTO request (id, kind, account, program, notify_users, show_profile, state, outcome_unknown, since,
                              requested_at, finished_at, attempt, called_at, baseline_rejected, key, labels, version, last_seq, chain)
         VALUES ('{id}', 'link', '{account}', '{program}', 0, 0, '{state}', 0, {since}, {}, {finished}, {attempt}, {called}, 0, 'k{number}',
                 '{{\"n\":\"{number}\"}}', {steps}, {steps}, x'{}');",
        at(0).ms(),
        hex(&hash),
    );
    sqlx::raw_sql(AssertSqlSafe(request + history.concat().as_str())).execute(connection).await.unwrap();
}

/// What belongs to requests: a conflict, a reminder, messages in two states; and events that are no request's, of which the
/// newest are gone already.
const BESIDE: &str = "
    INSERT INTO conflict (id, request_id, kind, at, our_state) SELECT 'c' || id, id, 'adopted', since, 'requested' FROM request;
    INSERT INTO nudge (id, request_id, stage, seq, language, text, at, effect_ms)
    SELECT 'n' || id, id, 'account_admin', 4, 'zh', 'text', since - 1000, 86400000 FROM request WHERE last_seq = 5;
    INSERT INTO outbox (id, type, subject, partition_key, reach, at, data)
    VALUES ('digest', 'amplinkd.digest', 'digest', 'digest', NULL, 1772439330123, '{\"en\":{}}'),
           ('alert', 'amplinkd.alert.fired', 'a', 'stuck.unlink', 0, 1772439330123, '{\"alerts\":[]}'),
           ('last', 'amplinkd.digest', 'digest', 'digest', NULL, 1772439330123, '{}');
    INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, created_at, next_at)
    SELECT 'd' || seq, id, seq, partition_key, 'ops', 'pending', at, at FROM outbox WHERE seq % 2 = 0;
    DELETE FROM delivery WHERE event_id = 'last';
    DELETE FROM outbox WHERE id = 'last';
    INSERT INTO watch (one, seq, policy) VALUES (1, 401, '')";

async fn old(folder: &Path, requests: i64) -> PathBuf {
    let path = folder.join("a.db");
    let mut connection = connect(&path).await;
    MIGRATIONS.run_to(BEFORE, &mut connection).await.unwrap();
    let mut rng = StdRng::seed_from_u64(7);
    sqlx::raw_sql("BEGIN").execute(&mut connection).await.unwrap();
    for number in 0..requests {
        write(&mut connection, number, rng.random_range(1..=WAY.len())).await;
    }
    sqlx::raw_sql("COMMIT").execute(&mut connection).await.unwrap();
    sqlx::raw_sql(BESIDE).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    path
}

#[tokio::test]
async fn whatever_anybody_reads_is_as_it_was_and_new_steps_come_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = old(folder.path(), 300).await;
    let before = shown(&path).await;
    assert!(before.iter().all(|rows| rows.len() > 40), "there is something of everything");
    let mut connection = connect(&path).await;
    // Somebody has made a row illegal, which stops nobody.
    let poison = "PRAGMA ignore_check_constraints = ON; UPDATE request SET attempt = -1 WHERE last_seq = 1";
    sqlx::raw_sql(poison).execute(&mut connection).await.unwrap();
    let last: i64 = sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();

    let location = Location::file(path.clone(), 0o640);
    let store = Store::open(&location, Role::Daemon).await.unwrap();
    assert_eq!(store.news(last, 9).await.unwrap(), []);
    assert!(
        store.news(401, 9).await.unwrap().first().is_some_and(|event| event.seq == 402),
        "the watch goes on where it was"
    );
    store.close().await;
    let mut connection = connect(&path).await;
    sqlx::raw_sql("UPDATE request SET attempt = 0 WHERE attempt = -1").execute(&mut connection).await.unwrap();
    let next: i64 = sqlx::query_scalar(
        "INSERT INTO log (at, id, type, subject, partition_key, data) VALUES (1, 'x', 'x', 'x', 'x', '{}') RETURNING seq",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(next, last + 1, "no number is given twice");
    sqlx::raw_sql("DELETE FROM log WHERE id = 'x'").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    for (now, before) in shown(&path).await.iter().zip(&before) {
        assert_eq!(now, before);
    }
    assert_eq!(Store::verify(&path, 9).await.unwrap(), []);
}

#[tokio::test]
async fn whoever_is_killed_in_the_middle_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = old(folder.path(), 8_000).await;
    std::fs::write(folder.path().join("amplinkd.toml"), "[database]\nurl = \"sqlite:a.db\"\n").unwrap();
    let before = shown(&path).await;
    let mut rng = StdRng::seed_from_u64(11);
    let mut kills = 0;
    // Killed ten times where it is slow enough for that; then nobody disturbs it.
    loop {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amplinkd"));
        let command = command.args(["request", "list", "--limit", "1"]).current_dir(folder.path());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        if kills < 10 {
            tokio::time::sleep(Duration::from_millis(rng.random_range(20..100))).await;
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                kills += 1;
            }
        }
        let ended = child.wait().unwrap();
        if ended.success() {
            break;
        }
        assert_eq!(ended.code(), None, "nothing but a kill ends it");
    }
    assert!(kills >= 3, "{kills} kills");
    for (now, before) in shown(&path).await.iter().zip(&before) {
        assert_eq!(now, before);
    }
    assert_eq!(Store::verify(&path, 9).await.unwrap(), []);
}

#[tokio::test]
async fn a_file_with_a_log_gets_the_later_views() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let mut connection = connect(&path).await;
    sqlx::raw_sql("PRAGMA foreign_keys = OFF").execute(&mut connection).await.unwrap();
    MIGRATIONS.run_to(WITH_LOG, &mut connection).await.unwrap();
    connection.close().await.unwrap();
    let store = Store::open(&Location::file(path.clone(), 0o640), Role::Tool).await.unwrap();
    store.close().await;
    let mut connection = connect(&path).await;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await.unwrap();
    assert_eq!(Some(version), MIGRATIONS.iter().map(|one| one.version).max());
    let stages: i64 = sqlx::query_scalar("SELECT count(*) FROM v_stage").fetch_one(&mut connection).await.unwrap();
    assert_eq!(stages, 6);
    connection.close().await.unwrap();
}

/// Rows of tokens as the schema before kept them, some of them edited past us.
const TOKENS_BEFORE: &str = "
    PRAGMA ignore_check_constraints = ON;
    INSERT INTO component (appid, key_check, ticket, ticket_made, token, token_until, generation, claimed_by, claimed_until,
                           calls_used, errcode)
    VALUES ('wxc', x'01', x'02', 5, x'03', 'soon', -1, 'a process', 9, 'x', 45009);
    INSERT INTO authorizer (appid, state, since, refresh, token, token_until, generation, event_made, event, permissions)
    VALUES ('wxa', 'authorized', 7, x'04', x'05', 8, 3, 6, 'authorized', '[1,33]'),
           ('wxb', 'unauthorized', 7, x'04', x'05', 8, 3, 6, 'unauthorized', NULL),
           ('wxd', 'authorized', 'x', 'plain', x'05', 'x', 'x', 'x', 'authorized', '{'),
           ('wxe', 'odd', 7, NULL, NULL, NULL, 0, NULL, NULL, NULL),
           (x'ff', 'unknown', 7, NULL, NULL, NULL, 0, NULL, NULL, NULL);
    INSERT INTO push (id, appid, kind, made, at, code, done_at)
    VALUES ('a', 'wxa', 'authorized', 1, 2, x'06', NULL), ('b', 'wxa', 'authorized', 1, 2, x'06', 3),
           ('c', 'wxa', 'odd', 1, 2, NULL, NULL), (x'00', 'wxa', 'authorized', 1, 'x', NULL, NULL);
    INSERT INTO token_task (id, kind, appid, at, done_at, is_well)
    VALUES (1, 'sync', NULL, 1, NULL, NULL), (2, 'refresh', NULL, 1, NULL, NULL), (3, 'refresh', 'wxa', 1, 2, 1),
           (9, 'sync', NULL, 'x', NULL, NULL);
    DELETE FROM token_task WHERE id = 9";

/// What is in its place, each row as JSON.
const TOKENS_NOW: [(&str, &[&str]); 5] = [
    (
        "SELECT json_array(appid, hex(key_check), hex(ticket), ticket_made, token, token_until, generation, claimed_by,
                           claimed_until, calls_used, errcode) FROM component",
        &[r#"["wxc","01","02",5,null,null,0,null,null,0,45009]"#],
    ),
    (
        "SELECT json_array(appid, state, since, hex(refresh), hex(token), token_until, generation, event_made, permissions)
         FROM authorizer ORDER BY appid",
        &[
            r#"["wxa","authorized",7,"04","05",8,3,6,"[1,33]"]"#,
            r#"["wxb","unauthorized",7,"","",null,3,6,null]"#,
            r#"["wxd","authorized",0,"","",null,0,null,null]"#,
        ],
    ),
    (
        "SELECT json_array(id, appid, hex(code), done_at) FROM push ORDER BY id",
        &[r#"["a","wxa","06",null]"#, r#"["b","wxa","",3]"#],
    ),
    (
        "SELECT json_array(id, kind, appid, is_well) FROM token_task ORDER BY id",
        &[r#"[1,"sync",null,null]"#, r#"[3,"refresh","wxa",1]"#],
    ),
    ("SELECT json_array(appid, has_link_permission) FROM v_authorizer WHERE appid = 'wxa'", &[r#"["wxa",1]"#]),
];

#[tokio::test]
async fn rows_of_tokens_that_were_edited_are_mended_or_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let mut connection = connect(&path).await;
    MIGRATIONS.run_to(WITH_LOOSE_TOKENS, &mut connection).await.unwrap();
    sqlx::raw_sql(TOKENS_BEFORE).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let store = Store::open(&Location::file(path.clone(), 0o640), Role::Tool).await.unwrap();
    store.close().await;
    let mut connection = connect(&path).await;
    for (sql, rows) in TOKENS_NOW {
        let now: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap();
        assert_eq!(now, rows);
    }
    let number: i64 = sqlx::query_scalar("INSERT INTO token_task (kind, at) VALUES ('sync', 1) RETURNING id")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(number, 10, "no number is given twice");
    let loose = sqlx::query("UPDATE authorizer SET since = 'x'").execute(&mut connection).await;
    loose.unwrap_err();
    connection.close().await.unwrap();
}
