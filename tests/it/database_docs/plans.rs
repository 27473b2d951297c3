//! What docs/database.md says of cost: the queries that people ask first go along an index, and the views made for them agree
//! with the older ones.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{DOCUMENT, README, lived, queries, run};

/// What tells a query of the document apart, and what its plan must hold.
const ALONG: [(&str, &str); 10] = [
    ("JOIN v_waiting", "SEARCH r USING INDEX request_waiting (state=?)"),
    ("AS under_a_week", "SEARCH r USING INDEX request_waiting (state=? AND since>? AND since<?)"),
    ("'-2 days'", "SEARCH r USING INDEX request_waiting (state=? AND since<?)"),
    ("median_hours", "SEARCH b USING INDEX log_by_request (request=? AND step=?)"),
    ("NOT EXISTS", "SEARCH p USING PRIMARY KEY (account>?)"),
    ("FROM v_label", "SEARCH l USING PRIMARY KEY (name=? AND value=?)"),
    ("WHERE number > 0", "SEARCH l USING INTEGER PRIMARY KEY (rowid>?)"),
    ("FROM v_delivery", "USING INDEX delivery_dead"),
    ("AND +r.program", "SEARCH r USING INDEX request_by_account (account=?)"),
    ("JOIN v_transition", "SEARCH l USING INDEX log_by_request (request=?)"),
];

/// A step of a plan: its number, that of the step above it, what it does.
type Step = (i64, i64, String);

async fn plan(reader: &mut SqliteConnection, query: &str) -> Vec<Step> {
    let rows: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"))).fetch_all(reader).await.unwrap();
    rows.into_iter().map(|(id, above, _, what)| (id, above, what)).collect()
}

/// Whether a step reads a table that grows from its beginning, or builds a view before it joins it. The log may be read from
/// its end, in its order, as far as the `LIMIT` goes.
fn reads_all(plan: &[Step], (_, above, what): &Step) -> bool {
    let sorts = || plan.iter().any(|(_, beside, other)| beside == above && other.contains("TEMP B-TREE"));
    match what.as_str() {
        "SCAN r" | "SCAN a" | "SCAN d" => true,
        "SCAN l" => sorts(),
        what => what.contains("AUTOMATIC") || what.starts_with("MATERIALIZE v_") || what.starts_with("CO-ROUTINE v_"),
    }
}

#[tokio::test]
async fn no_query_reads_all_requests_or_steps() {
    let (_folder, _world, mut reader) = lived().await;
    let (_, asked) = DOCUMENT.split_once("## Questions and their queries").unwrap();
    for query in queries(asked).into_iter().chain(queries(README)) {
        let plan = plan(&mut reader, query).await;
        let wrong: Vec<&Step> = plan.iter().filter(|step| reads_all(&plan, step)).collect();
        assert!(wrong.is_empty(), "{query}\n{wrong:#?}");
    }
    for (mark, step) in ALONG {
        let query = queries(asked).into_iter().find(|query| query.contains(mark)).expect(mark);
        let plan = plan(&mut reader, query).await;
        assert!(plan.iter().any(|(.., what)| what.contains(step)), "{query}\n{plan:#?}");
    }
}

/// What two ways of asking see; the same, and not nothing.
const SAME: [(&str, &str); 7] = [
    (
        "SELECT id, kind, account, program, username, state, waiting_on, since, requested_at, attempt, outcome_unknown,
                errcode, errmsg, next_check_at, labels, key, account_state FROM v_waiting",
        "SELECT id, kind, account, program, username, state, waiting_on, since, requested_at, attempt, outcome_unknown,
                errcode, errmsg, next_check_at, labels, key, account_state FROM v_request WHERE finished_at IS NULL",
    ),
    (
        "SELECT id, since FROM v_waiting",
        "SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', since_ms / 1000.0, 'unixepoch') FROM v_waiting",
    ),
    (
        "SELECT state, requests, oldest_since, strftime('%Y-%m-%dT%H:%M:%fZ', oldest_since_ms / 1000.0, 'unixepoch')
         FROM v_stage WHERE requests > 0",
        "SELECT state, count(*), min(since), min(since) FROM v_request WHERE finished_at IS NULL GROUP BY state",
    ),
    (
        "SELECT request_id, seq, from_state, to_state, at, cause, status, errcode, detail FROM v_change",
        "SELECT request_id, seq, from_state, to_state, at, cause, status, errcode, detail FROM v_transition",
    ),
    (
        "SELECT request_id, seq, kind, account, program, labels, at FROM v_change",
        "SELECT c.request_id, c.seq, r.kind, r.account, r.program, r.labels,
                strftime('%Y-%m-%dT%H:%M:%fZ', c.at_ms / 1000.0, 'unixepoch')
         FROM v_change AS c JOIN v_request AS r ON r.id = c.request_id",
    ),
    (
        "SELECT request_id, seq, lasted_ms FROM v_change WHERE seq > 1",
        "SELECT c.request_id, c.seq, c.at_ms - b.at_ms FROM v_change AS c
         JOIN v_change AS b ON b.request_id = c.request_id AND b.seq = c.seq - 1",
    ),
    (
        "SELECT name, value, request_id, kind, account, program, state, since FROM v_label",
        "SELECT j.key, j.value, r.id, r.kind, r.account, r.program, r.state, r.since
         FROM v_request AS r, json_each(r.labels) AS j",
    ),
];

#[tokio::test]
async fn views_made_for_a_question_agree_with_the_others() {
    let (_folder, _world, mut reader) = lived().await;
    for (one, other) in SAME {
        assert!(!run(&mut reader, one).await.is_empty(), "{one}");
        for (left, right) in [(one, other), (other, one)] {
            let missing = run(&mut reader, &format!("SELECT * FROM ({left}) EXCEPT SELECT * FROM ({right})")).await;
            assert_eq!(missing.len(), 0, "{left}\nand not\n{right}");
        }
    }
}
