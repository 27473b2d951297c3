//! Rows that somebody changed past us, in every table: each delays itself alone, is named by the audit, and goes on once it is
//! mended, without a restart.

use super::*;

/// A row that is poisoned, and what the audit says of it.
struct Case {
    /// Makes the row where the story alone does not.
    seed: &'static str,
    poison: &'static str,
    mend: &'static str,
    /// The subject and the beginning of the finding.
    named: &'static str,
}

const fn case(seed: &'static str, poison: &'static str, mend: &'static str, named: &'static str) -> Case {
    Case { seed, poison, mend, named }
}

/// The account with the poisoned row is wxaaaa000000000001; its request is open and has been listed.
const CASES: [Case; 27] = [
    case(
        "",
        "UPDATE account SET failures = 'x' WHERE account = 'wxaaaa000000000001'",
        "UPDATE account SET failures = 0",
        "account wxaaaa000000000001: failures holds 'x'",
    ),
    case(
        "",
        "UPDATE account SET next_check_at = 'soon' WHERE account = 'wxaaaa000000000001'",
        "UPDATE account SET next_check_at = 1 WHERE account = 'wxaaaa000000000001'",
        "account wxaaaa000000000001: next_check_at holds 'soon'",
    ),
    case(
        "",
        "UPDATE account SET checked_at = x'00' WHERE account = 'wxaaaa000000000001'",
        "UPDATE account SET checked_at = 1 WHERE account = 'wxaaaa000000000001'",
        "account wxaaaa000000000001: checked_at holds X'00'",
    ),
    case(
        "",
        "UPDATE account SET failures = -5 WHERE account = 'wxaaaa000000000001'",
        "UPDATE account SET failures = 0",
        "account wxaaaa000000000001: failures holds -5",
    ),
    case(
        "",
        "UPDATE account SET state = 'x' WHERE account = 'wxaaaa000000000001'",
        "UPDATE account SET state = 'active'",
        "account wxaaaa000000000001: state holds 'x'",
    ),
    case(
        "",
        "UPDATE account SET account = 'nonsense' WHERE account = 'wxaaaa000000000001'",
        "UPDATE account SET account = 'wxaaaa000000000001' WHERE account = 'nonsense'",
        "account nonsense: account holds 'nonsense'",
    ),
    case(
        "",
        "UPDATE account SET since = -1 WHERE account = 'wxaaaa000000000001'",
        "UPDATE account SET since = 1",
        "account wxaaaa000000000001: since holds -1",
    ),
    case(
        "",
        "UPDATE request SET state = 'x' WHERE account = 'wxaaaa000000000001'",
        "UPDATE request SET state = 'awaiting_account_admin' WHERE state = 'x'",
        "state holds 'x'",
    ),
    case(
        "",
        "UPDATE request SET attempt = 'many' WHERE account = 'wxaaaa000000000001'",
        "UPDATE request SET attempt = 1 WHERE account = 'wxaaaa000000000001'",
        "attempt holds 'many'",
    ),
    case(
        "",
        "UPDATE request SET labels = 'none' WHERE account = 'wxaaaa000000000001'",
        "UPDATE request SET labels = '{}'",
        "labels holds 'none'",
    ),
    case(
        "",
        "UPDATE request SET called_at = 253400000000000 WHERE account = 'wxaaaa000000000001'",
        "UPDATE request SET called_at = since WHERE account = 'wxaaaa000000000001'",
        "",
    ),
    case(
        "",
        "UPDATE transition SET detail = x'00' WHERE seq = 2",
        "UPDATE transition SET detail = NULL WHERE seq = 2",
        "detail holds X'00'",
    ),
    case(
        "",
        "UPDATE program SET first_seen_at = 'x', status = 'x' WHERE account = 'wxaaaa000000000001'",
        "UPDATE program SET first_seen_at = 1, status = 12 WHERE account = 'wxaaaa000000000001'",
        "status holds 'x'",
    ),
    case("", "UPDATE program_name SET program = x'ff'", "DELETE FROM program_name WHERE typeof(program) = 'blob'", ""),
    case(
        "INSERT INTO gate (kind, subject, until, errcode, errmsg, at) VALUES ('program_month', 'wxbbbb000000000009', 1, 89007, '', 1)",
        "UPDATE gate SET until = 'never'",
        "DELETE FROM gate",
        "gate program_month wxbbbb000000000009: until holds 'never'",
    ),
    case(
        "INSERT INTO gate (kind, subject, until, errcode, errmsg, at) VALUES ('ip', 'all', 1, 61004, '', 1)",
        "UPDATE gate SET errcode = 'x', until = 1773100900000",
        "DELETE FROM gate",
        "gate ip all: errcode holds 'x'",
    ),
    case(
        "",
        "UPDATE log SET to_state = x'00' WHERE seq = 2",
        "UPDATE log SET to_state = 1 WHERE seq = 2",
        "to_state holds X'00'",
    ),
    case(
        "",
        "INSERT INTO wakeup (account, at) VALUES (x'ff', 1773100800000)",
        "DELETE FROM wakeup",
        "account holds X'FF'",
    ),
    case(
        "INSERT INTO job (name, ran_at, due_at) VALUES ('nobody', 1773100800000, NULL)",
        "UPDATE job SET due_at = 'x'",
        "DELETE FROM job",
        "job nobody: due_at holds 'x'",
    ),
    case("INSERT INTO copy (made_at) VALUES (1773100800000)", "UPDATE copy SET made_at = 'x'", "DELETE FROM copy", ""),
    case(
        "INSERT INTO copy (made_at) VALUES (1773100800000); INSERT INTO salvage (request_id, fate) SELECT id, 'called' FROM request",
        "UPDATE salvage SET fate = x'00'",
        "DELETE FROM salvage",
        "",
    ),
    case(
        "INSERT OR REPLACE INTO vigil (request_id, due_at) SELECT id, 1773100800000 FROM request",
        "UPDATE vigil SET due_at = 'x'",
        "DELETE FROM vigil",
        "due_at holds 'x'",
    ),
    case(
        "INSERT OR REPLACE INTO watch (one, seq, policy) VALUES (1, 99, '')",
        "UPDATE watch SET seq = 'x'",
        "DELETE FROM watch",
        // The next start mends it by itself.
        "",
    ),
    case(
        "INSERT INTO conflict (id, request_id, kind, at, our_state) SELECT 'c', id, 'adopted', 1, 'initiated' FROM request",
        "UPDATE conflict SET at = 'x'",
        "DELETE FROM conflict",
        "conflict c: at holds 'x'",
    ),
    case(
        "INSERT INTO alert (id, key, rule, reason, state, since, fired_at, message_en, message_zh) VALUES ('l', 'k', 'daemon', 'daemon.x', 'firing', 1, 1, '', '')",
        "UPDATE alert SET state = 'x'",
        "DELETE FROM alert",
        "alert l: state holds 'x'",
    ),
    case(
        "INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, created_at, next_at) SELECT 'd', id, seq, 'k', 'ops', 'pending', 1773100800000, 1773100800000 FROM outbox WHERE seq = 1",
        "UPDATE delivery SET attempts = 'x'",
        "DELETE FROM delivery",
        "delivery d: attempts holds 'x'",
    ),
    case(
        "INSERT INTO nudge (id, request_id, stage, seq, language, text, at, effect_ms) SELECT 'n', id, 'account_admin', 1, 'en', '', 1, 1 FROM request",
        "UPDATE nudge SET at = 'x'",
        "DELETE FROM nudge",
        "nudge n: at holds 'x'",
    ),
];

/// These statements, run as somebody may whose tables are not strict and who checks nothing.
pub(crate) fn past_all_checks(statements: &str) -> String {
    format!(
        "PRAGMA foreign_keys = 0; PRAGMA ignore_check_constraints = 1;
         DROP TABLE IF EXISTS temp.kept;
         CREATE TEMP TABLE kept AS SELECT name, sql FROM main.sqlite_schema WHERE type = 'table';
         PRAGMA writable_schema = 1;
         UPDATE main.sqlite_schema SET sql = replace(replace(sql, 'WITHOUT ROWID, STRICT', 'WITHOUT ROWID'), ') STRICT', ')')
         WHERE type = 'table';
         PRAGMA writable_schema = RESET;
         {statements};
         PRAGMA writable_schema = 1;
         UPDATE main.sqlite_schema SET sql = (SELECT k.sql FROM temp.kept AS k WHERE k.name = sqlite_schema.name)
         WHERE type = 'table';
         PRAGMA writable_schema = RESET;
         PRAGMA foreign_keys = 1"
    )
}

impl Daemon {
    /// Runs SQL as somebody may whose tables are not strict and who checks nothing.
    pub(crate) async fn past_all_checks(&self, statements: &str) {
        self.sql(&past_all_checks(statements)).await;
    }

    async fn bad_rows(&self) -> Vec<String> {
        let findings = self.engine().recorder().audit().await.unwrap();
        let bad = findings.into_iter().filter(|found| found.rule == "bad_row");
        bad.map(|found| format!("{}: {}", found.subject, found.finding)).collect()
    }
}

/// Poisons a row under a running daemon or before its start, and mends it.
async fn story(case: &Case, is_running: bool) {
    let what = case.poison;
    let mut daemon = Daemon::start().await;
    let (poisoned, slow) = (daemon.link().await, approves_after(Span::minutes(20)));
    daemon.people(PlanSet { account_admin: Some(slow), program_admin: Some(slow), unlink: None });
    daemon.run_for(minutes(10)).await;
    daemon.sql(case.seed).await;
    if is_running {
        daemon.past_all_checks(case.poison).await;
    } else {
        daemon.stop().await;
        daemon.past_all_checks(case.poison).await;
        daemon.boot().await;
    }
    if !case.named.is_empty() {
        let bad = daemon.bad_rows().await;
        assert!(bad.iter().any(|found| found.contains(case.named)), "{what}: {bad:#?}");
    }

    let other = daemon.ask(to_link(OTHER_ACCOUNT, PROGRAM)).await;
    daemon.run_for(hours(1)).await;
    assert_eq!(daemon.story(&other).await, FULL, "{what}: one row holds up another account");

    daemon.past_all_checks(case.mend).await;
    daemon.run_for(hours(1)).await;
    assert_eq!(daemon.bad_rows().await, Vec::<String>::new(), "{what}");
    let state = daemon.view(&poisoned).await.state;
    assert_eq!(state, "linked", "{what}: it goes on once it is mended");
}

#[tokio::test]
async fn a_row_of_any_table_that_was_poisoned_before_the_start_delays_itself_alone_and_is_named() {
    for case in &CASES {
        story(case, false).await;
    }
}

#[tokio::test]
async fn a_row_of_any_table_that_is_poisoned_under_a_running_daemon_delays_itself_alone_and_is_named() {
    for case in &CASES {
        story(case, true).await;
    }
}
