//! Databases of any size, made in seconds, as they stand after a month of work.

use std::{path::Path, time::Duration};

use amplinkd::domain::{alignment::next_round, time::Time};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

use crate::server;

/// The month that the history lies in.
const MONTH_MS: i64 = 30 * 86_400_000;

/// What turns an import into requests that were invited and listed: nine of ten wait for the account's administrator, the
/// tenth for the program's; one of a hundred met an invitation of somebody else. $1 is now, $2 a month, $3 the accounts,
/// $4 the hash of the listing.
const LIVED: [&str; 9] = [
    "DELETE FROM wakeup",
    "UPDATE account SET since = $1 - $2 + id * $2 / $3, pace_from = $1 - $2 + id * $2 / $3, reread_at = NULL,
         checked_at = $1, listing_hash = $4, budget_day = $1 / 86400000, budget_used = 12, next_check_at = $1 + id % 10000",
    "UPDATE request SET requested_at = a.since, called_at = a.since + 1000, attempt = 1,
         state = CASE WHEN a.id % 10 = 0 THEN 'awaiting_program_admin' ELSE 'awaiting_account_admin' END,
         seen_status = CASE WHEN a.id % 10 = 0 THEN 2 ELSE 12 END, since = a.since + 9000, version = version + 3
     FROM account AS a WHERE a.account = request.account",
    "UPDATE log SET at = r.requested_at FROM request AS r WHERE r.row = log.request",
    "INSERT INTO log (request, step, from_state, to_state, at, cause, status, hash, attempt)
     SELECT r.row, s.step, s.step - 2, coalesce(s.after, CASE r.seen_status WHEN 2 THEN 4 ELSE 3 END),
            r.requested_at + s.later, s.cause, CASE WHEN s.after IS NULL THEN r.seen_status END, zeroblob(32), 1
     FROM request AS r, (
         SELECT 2 AS step, 1 AS after, 1000 AS later, 2 AS cause
         UNION ALL SELECT 3, 2, 1300, 3
         UNION ALL SELECT 4, NULL, 9000, 1) AS s",
    // Nobody checks these chains; their heads must be where the audit looks for them.
    "UPDATE request SET last_seq = 4, chain = zeroblob(32)",
    "INSERT INTO conflict (id, request_id, kind, errcode, errmsg, at, our_state, their_status, resolved_at, resolution)
     SELECT r.id, r.id, 'invitation_already_out', 89010, 'has sent invite rid: 1', r.called_at, 'initiating', 12,
            CASE WHEN a.id % 200 = 0 THEN r.since END, CASE WHEN a.id % 200 = 0 THEN 'listed' END
     FROM request AS r JOIN account AS a ON a.account = r.account WHERE a.id % 100 = 0",
    "INSERT INTO program (account, item, program, username, status, nickname, headimg_url, email, source, selected,
         nearby_display_status, released, func_infos, status_since, first_seen_at)
     SELECT r.account, 'gh_bench0000001', r.program, 'gh_bench0000001', r.seen_status, '示例小程序',
            'http://wx.example/1.png', 'a@b.example', 'SOURCE_NORMAL', 1, 0, 1, '[]', r.since, r.since
     FROM request AS r",
    "UPDATE account SET state = 'suspended', suspended_by = 'operator', next_check_at = NULL WHERE id % 1000 = 999",
];

/// When accounts are due, by row.
const DUE: &str = "
    UPDATE account SET next_check_at = j.value ->> 1 FROM jsonb_each($1) AS j
    WHERE account.id = j.value ->> 0 AND account.next_check_at IS NOT NULL";

/// Rows in one statement.
const PAGE: usize = 5_000;

async fn open(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).journal_mode(SqliteJournalMode::Wal);
    options.pragma("cache_size", "-262144").connect().await.expect("the database")
}

/// Makes an import into a month of history.
pub(crate) async fn live_a_month(path: &Path, accounts: usize) {
    let mut connection = open(path).await;
    let hash = xxhash_rust::xxh3::xxh3_64(server::listing().as_bytes()).cast_signed();
    for step in LIVED {
        // Every statement takes as many of the four as it names.
        let named = (1..=4).filter(|number| step.contains(&format!("${number}"))).max().unwrap_or(0);
        let values = [now_ms(), MONTH_MS, i64::try_from(accounts).unwrap_or(i64::MAX), hash];
        let statement = sqlx::query(AssertSqlSafe(step.to_owned()));
        let statement = values.into_iter().take(named).fold(statement, sqlx::query::Query::bind);
        statement.execute(&mut connection).await.expect(step);
    }
    fold(connection).await;
}

/// Makes every account due within a wait from `from_ms` on, as it is after a while of polls that change nothing: each began
/// at a moment of chance, and the daemon's own rule said when it comes round again. With `by_chance` that moment stays.
pub(crate) async fn spread_dues(path: &Path, accounts: usize, from_ms: i64, every: Duration, by_chance: bool) {
    let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
    let due = |row: i64| {
        let begun = (row.wrapping_mul(2_654_435_761).rem_euclid(1 << 32) * every_ms) >> 32;
        let mut due = Time::from_ms(from_ms - if by_chance { 0 } else { 40 * every_ms } + begun);
        while due.ms() < from_ms {
            due = next_round(row, due, every);
        }
        (row, due.ms())
    };
    let dues: Vec<(i64, i64)> = (1..=i64::try_from(accounts).unwrap_or(i64::MAX)).map(due).collect();
    let mut connection = open(path).await;
    let mut transaction = connection.begin().await.expect("a transaction");
    for page in dues.chunks(PAGE) {
        let page = serde_json::to_string(page).expect("numbers");
        sqlx::query(DUE).bind(page).execute(&mut *transaction).await.expect("due times");
    }
    transaction.commit().await.expect("a commit");
    fold(connection).await;
}

/// Puts the log into the file, so that no part pays for the one before it.
async fn fold(mut connection: SqliteConnection) {
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.expect("a checkpoint");
    connection.close().await.expect("an end");
}

/// The calendar, in milliseconds.
pub(crate) fn now_ms() -> i64 {
    let passed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    passed.map_or(0, |passed| i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
}
