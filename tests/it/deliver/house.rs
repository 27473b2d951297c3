//! What is kept and what is accused: spent messages go, owed ones never, and the audit speaks when nobody tries. It must
//! never need a daemon of WeChat.

use std::time::Duration;

use amplinkd::{clock::Clock, store::write::housekeeping::Retention};

use super::{Answer, Post, hours, minutes};

impl Post {
    async fn housekeep(&mut self) -> u64 {
        let now = self.clock.now();
        let keep = Retention { events: now - days(30), dead: now - days(90) };
        let mut taken = 0;
        loop {
            match self.store().prune(keep, now).await.unwrap() {
                0 => return taken,
                some => taken += some,
            }
        }
    }

    async fn events(&mut self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(&mut self.connection).await.unwrap()
    }
}

fn days(count: u64) -> Duration {
    hours(24 * count)
}

#[tokio::test]
async fn spent_messages_go_after_a_month_dead_ones_after_three_and_owed_ones_never() {
    let mut post = Post::open(&["hook", "other"]).await;
    post.receiver.mood(|arrival| match (arrival.key.as_str(), arrival.channel.as_str()) {
        ("dead", "hook") => Answer { status: 410, ..Answer::TAKEN },
        _ => Answer::TAKEN,
    });
    post.owe_many(50).await;
    post.owe("dead").await;
    let stopped = post.owe("kept").await;
    post.run_for(minutes(1)).await;
    post.sql(&format!(
        "UPDATE delivery SET state = 'pending', next_at = 1, delivered_at = NULL
         WHERE event_id = '{stopped}' AND channel = 'other'"
    ))
    .await;
    post.stop().await;
    post.clock.advance(days(29));
    post.start().await;
    assert_eq!(post.housekeep().await, 0);
    post.clock.advance(days(2));
    assert_eq!(post.housekeep().await, 102 + 50, "and the dead one's other delivery, and the owed one's");
    assert_eq!((post.events().await, post.count("true").await), (2, 2));
    assert_eq!(post.housekeep().await, 0);
    post.clock.advance(days(62));
    assert_eq!(post.housekeep().await, 2);
    assert_eq!((post.events().await, post.count("state = 'pending'").await), (1, 1));
    post.settle().await;
    assert_eq!(post.receiver.taken("other")[&stopped], 2, "it is still there to be sent");
}

#[tokio::test]
async fn what_the_watch_has_not_read_is_kept() {
    let mut post = Post::open(&[]).await;
    for _ in 0..4 {
        post.owe_to(&[], "one").await;
    }
    post.sql("INSERT INTO watch (one, seq, policy) VALUES (1, 3, '')").await;
    post.clock.advance(days(31));
    assert_eq!(post.housekeep().await, 3);
    assert_eq!(post.events().await, 1);
    post.sql("UPDATE watch SET seq = 4").await;
    assert_eq!(post.housekeep().await, 1);
}

#[tokio::test]
async fn the_audit_accuses_when_nobody_tries_and_only_then() {
    let mut post = Post::open(&["away", "well"]).await;
    post.receiver.mood(|arrival| if arrival.channel == "away" { Answer::AWAY } else { Answer::TAKEN });
    for _ in 0..30 {
        post.owe_many(7).await;
        post.run_for(minutes(20)).await;
        assert_eq!(post.stuck().await, Vec::<String>::new());
    }
    let quiet = post.owe("key-1").await;
    post.clock.advance(minutes(14));
    assert_eq!(post.stuck().await, Vec::<String>::new(), "not yet");
    // From now on nobody tries. What waits behind another one is not accused.
    post.clock.advance(hours(1));
    let found = post.stuck().await;
    assert_eq!(found.len(), 7 + 1, "{found:?}");
    assert!(found.contains(&format!("{quiet}/well")) && !found.contains(&format!("{quiet}/away")));
}

#[tokio::test]
async fn a_slow_channel_that_is_far_behind_is_not_accused() {
    let mut post = Post::open(&["robot"]).await;
    post.pace = Some(amplinkd::notify::Pace { at_once: 1, most: Some((20, minutes(1))) });
    post.restart().await;
    post.owe_many(800).await;
    for _ in 0..4 {
        post.run_for(minutes(9)).await;
        assert_eq!(post.stuck().await, Vec::<String>::new());
    }
    assert!(post.count("state = 'pending'").await > 50);
}

/// Figures for the report: run with `--ignored --nocapture`.
#[tokio::test]
#[ignore = "a hundred thousand messages"]
async fn a_hundred_thousand_that_wait() {
    for (case, keys) in [("each under a key of its own", 100_000), ("ten to a key", 10_000), ("all under one key", 1)] {
        let mut post = Post::open(&["hook"]).await;
        post.sql(&format!(
            "BEGIN;
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             INSERT INTO log (id, type, subject, partition_key, at, data)
             SELECT 'event-' || i, 'amplinkd.alert.fired', 'x', 'key-' || (i % {keys}), 1773100800000, '{{}}' FROM n;
             INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, created_at, next_at)
             SELECT id, id, seq, partition_key, 'hook', 'pending', at, at FROM outbox;
             COMMIT;"
        ))
        .await;
        let clock = amplinkd::clock::SystemClock::new();
        let now = post.clock.now();
        let due = amplinkd::store::read::due_deliveries::Due {
            now,
            unbelievable: now + hours(2),
            attempts_max: i64::MAX,
            passed: &std::collections::BTreeSet::new(),
        };
        let began = clock.monotonic();
        let found = post.store().due_deliveries("hook", due, 64).await.unwrap().len();
        let asked = clock.monotonic().saturating_sub(began);
        let began = clock.monotonic();
        post.store().audit((now + hours(1)).ms(), amplinkd::store::read::audit::Histories::All, 100).await.unwrap();
        let audited = clock.monotonic().saturating_sub(began);
        println!("{case}: {found} heads in {asked:?}, an audit in {audited:?}");
    }
}
