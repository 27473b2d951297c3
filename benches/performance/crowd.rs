//! A database as it stands after years: many requests of each account, most of them over, some of which are rare in every way
//! that lists can be asked for.

use std::path::Path;

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{server, world::now_ms};

/// Requests of each account.
pub(crate) const OF_EACH: usize = 10;

/// Requests with the label `batch=7`, for an action on many.
pub(crate) const BATCH: usize = 10_000;

/// $1 is now, $2 the requests, $3 the hash of the listing, $4 the size of the batch. Who waits has waited for less than any
/// threshold, so that it is the callers who are measured and no crowd of alerts.
const FILL: [&str; 9] = [
    "INSERT INTO account (account, state, since, suspended_by, listing_hash, checked_at, next_check_at, pace_from)
     SELECT printf('wxa%015d', n), CASE WHEN n % 1000 < 999 THEN 'active' ELSE 'suspended' END, $1,
            CASE WHEN n % 1000 = 999 THEN 'operator' END, $3, $1, CASE WHEN n % 1000 < 999 THEN $1 END, $1 - 86400000
     FROM (WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < $2 / 10 - 1) SELECT n FROM c)",
    "INSERT INTO request (id, kind, account, program, notify_users, show_profile, state, failure, outcome_unknown, since,
                          requested_at, finished_at, attempt, called_at, seen_status, baseline_rejected, labels, version,
                          last_seq, chain)
     SELECT printf('%08x-%04x-7000-8000-%012x', 27389526 + n / 65536, n % 65536, n * 2654435761 & 281474976710655),
            CASE WHEN s = 'unlinked' THEN 'unlink' ELSE 'link' END, printf('wxa%015d', n / 10),
            CASE WHEN n < 100 THEN 'wxprare0000000001' ELSE printf('wxp%015d', n % 997) END, 0, 0, s,
            CASE s WHEN 'failed' THEN 'refused' END, 0, $1 - n % 3600000, $1 - 3600000,
            CASE WHEN s NOT LIKE 'awaiting%' THEN $1 END, 1, $1 - 3000000, 12, 0,
            json_object('env', 'prod', 'shop', printf('%04d', n % 10000)), 5, 4, zeroblob(32)
     FROM (SELECT n, CASE WHEN n < 50 THEN 'failed' WHEN n < 100 THEN 'unlinked' WHEN n % 10 < 5 THEN 'linked'
                          WHEN n % 10 = 5 THEN 'awaiting_program_admin' ELSE 'awaiting_account_admin' END AS s
           FROM (WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < $2 - 1) SELECT n FROM c))",
    "INSERT INTO request_label (name, value, request_id) SELECT 'env', 'prod', id FROM request ORDER BY id",
    "INSERT INTO request_label (name, value, request_id) SELECT 'shop', labels ->> 'shop', id FROM request ORDER BY 2, id",
    "INSERT INTO request_label (name, value, request_id)
     SELECT 'batch', '7', id FROM request WHERE finished_at IS NULL ORDER BY id DESC LIMIT $4",
    "INSERT INTO log (request, step, from_state, to_state, at, cause, status, hash, attempt)
     SELECT r.row, s.step, CASE WHEN s.step > 1 THEN s.step - 2 END, CASE s.step WHEN 4 THEN 3 ELSE s.step - 1 END,
            r.since, s.cause, NULL, zeroblob(32), 1
     FROM request AS r, (SELECT 1 AS step, 0 AS cause UNION ALL SELECT 2, 2 UNION ALL SELECT 3, 3 UNION ALL SELECT 4, 1) AS s",
    "INSERT INTO conflict (id, request_id, kind, at, our_state, resolved_at, resolution)
     SELECT r.id, r.id, 'adopted', $1, 'requested', CASE WHEN r.row <= 100 THEN $1 END, CASE WHEN r.row <= 100 THEN 'listed' END
     FROM request AS r WHERE r.row % 100 = 0 OR r.row <= 100",
    "INSERT INTO alert (id, key, rule, reason, account, state, since, fired_at, resolved_at, resolution, message_en, message_zh)
     SELECT r.id, 'old/' || r.row, CASE WHEN r.row <= 100 THEN 'conflict' ELSE 'stuck' END, 'stuck.account_admin', r.account,
            'resolved', $1, $1, $1, 'over', 'waits', '等待中'
     FROM request AS r WHERE r.row % 50 = 0 OR r.row <= 100",
    "UPDATE watch SET seq = (SELECT max(l.seq) FROM log AS l)",
];

/// Fills a database that a daemon has made.
pub(crate) async fn fill(path: &Path, requests: usize) {
    let options = SqliteConnectOptions::new().filename(path).foreign_keys(false).pragma("cache_size", "-400000");
    let mut connection: SqliteConnection = options.pragma("synchronous", "off").connect().await.expect("the database");
    let hash = xxhash_rust::xxh3::xxh3_64(server::listing().as_bytes()).cast_signed();
    let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    for step in FILL {
        let named = (1..=4).filter(|number| step.contains(&format!("${number}"))).max().unwrap_or(0);
        let values = [now_ms(), whole(requests), hash, whole(BATCH)];
        let statement = values.into_iter().take(named).fold(sqlx::query(step), sqlx::query::Query::bind);
        statement.execute(&mut connection).await.expect(step);
    }
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.expect("a checkpoint");
    connection.close().await.expect("an end");
}
