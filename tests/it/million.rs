//! What an audit costs with a million requests, and what it costs to take old ones away. None of it runs unasked: it writes a
//! gigabyte and takes minutes.
//!
//! `cargo test --release --test it million -- --ignored --nocapture`

use std::time::Duration;

use amplinkd::{
    clock::{Clock, ManualClock, SystemClock},
    domain::{
        action,
        policy::Policy,
        request::{Kind, LinkOptions},
        time::Time,
    },
    engine::{record::Recorder, wish::Wish},
    store::{
        Location, Role, Store,
        read::stage_times::{REPORT_REQUESTS, Sample},
    },
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

/// The moment of the audit; everything is due later.
const NOW: Time = Time::from_ms(1_795_000_000_000);

/// Half a million open, half a million linked, ten of each account, four or five steps each, ten thousand open conflicts.
/// Their hashes are made up: the audit compares the last with the request, and computes none.
const FILL: &str = "
    WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 99999)
    INSERT INTO account (account, state, since, next_check_at, pace_from)
    SELECT printf('wxa%015d', n), 'active', 1795000000000, 1795000000000 + n, 1795000000000 FROM c;
    WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 999999)
    INSERT INTO request (id, kind, account, program, notify_users, show_profile, state, outcome_unknown, since,
                         requested_at, finished_at, attempt, called_at, seen_status, baseline_rejected, labels, version,
                         last_seq, chain)
    SELECT printf('%08x-%04x-7000-8000-%012x', 27389526 + n / 65536, n % 65536, (n * 2654435761) & 281474976710655),
           'link', printf('wxa%015d', n / 10), printf('wxp%015d', n % 10), 0, 0,
           CASE n % 2 WHEN 0 THEN 'awaiting_account_admin' ELSE 'linked' END, 0, 1795000000000, 1794999999990,
           CASE n % 2 WHEN 1 THEN 1795000000000 END, 1, 1794999999995, CASE n % 2 WHEN 0 THEN 12 ELSE 1 END, 0, '{}', 5,
           4 + n % 2, randomblob(32)
    FROM c;
    INSERT INTO log (request, step, from_state, to_state, at, cause, hash)
    SELECT row, 1, NULL, 0, requested_at, 0, randomblob(32) FROM request
    UNION ALL SELECT row, 2, 0, 1, requested_at, 2, randomblob(32) FROM request
    UNION ALL SELECT row, 3, 1, 2, requested_at, 3, randomblob(32) FROM request
    UNION ALL SELECT row, 4, 2, 3, since, 1, CASE last_seq WHEN 4 THEN chain ELSE randomblob(32) END FROM request
    UNION ALL SELECT row, 5, 3, 6, since, 1, chain FROM request WHERE last_seq = 5;
    INSERT INTO conflict (id, request_id, kind, at, our_state)
    SELECT 'c' || id, id, 'adopted', since, 'requested' FROM request WHERE finished_at IS NULL LIMIT 10000";

#[tokio::test]
#[ignore = "it writes a gigabyte and takes minutes: run it by name"]
async fn an_audit_of_a_million_requests_is_cheap_enough_for_every_minute() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::file(folder.path().join("million.db"), 0o600);
    let store = Store::open(&location, Role::Tool).await.unwrap();
    let options = SqliteConnectOptions::new().filename(location.path().unwrap()).pragma("cache_size", "-400000");
    let mut connection = SqliteConnection::connect_with(&options.pragma("synchronous", "off")).await.unwrap();
    sqlx::raw_sql(FILL).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let recorder = Recorder::new(store, ManualClock::starting_at(NOW), Policy::default());
    let stopwatch = SystemClock::new();
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..20 {
        let begun = stopwatch.monotonic();
        assert_eq!(recorder.audit().await.unwrap(), []);
        took.push(stopwatch.monotonic().saturating_sub(begun));
    }
    let begun = stopwatch.monotonic();
    assert_eq!(recorder.audit_all().await.unwrap(), []);
    let all = stopwatch.monotonic().saturating_sub(begun);
    let begun = stopwatch.monotonic();
    let times = recorder.store().stage_times(&Sample { limit: REPORT_REQUESTS, ..Sample::default() }).await.unwrap();
    assert_eq!((times.requests, times.is_cut), (REPORT_REQUESTS, true));
    println!("approval times of the newest {REPORT_REQUESTS}: {:?}", stopwatch.monotonic().saturating_sub(begun));
    let begun = stopwatch.monotonic();
    recorder.store().learned_thresholds(NOW + Duration::from_hours(24 * 30)).await.unwrap();
    println!("what they teach: {:?}", stopwatch.monotonic().saturating_sub(begun));
    let begun = stopwatch.monotonic();
    let digest = recorder.store().digest(NOW - Duration::from_hours(24), NOW).await.unwrap();
    assert_eq!(digest.waiting(), 500_000);
    println!("the digest: {:?}", stopwatch.monotonic().saturating_sub(begun));
    took.sort();
    println!("an audit: median {:?}, longest {:?}; with every history: {all:?}", took[10], took[19]);
    assert!(took[10] < Duration::from_secs(1), "{took:?}");
}

/// Old requests; each was cancelled.
const OLD: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes: run it by name"]
async fn old_requests_go_by_thousands_and_hold_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::file(folder.path().join("old.db"), 0o600);
    let store = Store::open(&location, Role::Tool).await.unwrap();
    let then = ManualClock::starting_at(NOW - Duration::from_hours(24 * 500));
    let recorder = std::sync::Arc::new(Recorder::new(store, then, Policy::default()));
    let wish = |number: usize| Wish {
        kind: Kind::Link(LinkOptions::default()),
        account: format!("wxa{:015}", number / 10).parse().unwrap(),
        program: format!("wxp{number:015}").parse().unwrap(),
        username: None,
        key: Some(format!("key-{number}")),
        labels: std::collections::BTreeMap::new(),
    };
    let accepted = recorder.by(action::By::simulated()).accept((0..OLD).map(wish).collect()).await.unwrap();
    for some in accepted.chunks(500) {
        let mut under_way = tokio::task::JoinSet::new();
        for one in some {
            let (recorder, id) = (std::sync::Arc::clone(&recorder), one.id.parse().unwrap());
            under_way.spawn(async move { recorder.by(action::By::simulated()).cancel(&id).await.unwrap() });
        }
        under_way.join_all().await;
    }
    let stopwatch = SystemClock::new();
    let begun = stopwatch.monotonic();
    let now = Recorder::new(recorder.store().clone(), std::sync::Arc::new(SystemClock::new()), Policy::default());
    let pruned = now.prune_requests(NOW - Duration::from_hours(24 * 400), u64::MAX, &mut |_| Ok(())).await.unwrap();
    println!("{OLD} old requests: {:?}", stopwatch.monotonic().saturating_sub(begun));
    assert_eq!(pruned.requests(), OLD as u64);
}
