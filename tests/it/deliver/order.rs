//! Events of one key come in order, those of others at once.

use std::{collections::BTreeSet, time::Duration};

use super::{Answer, Post, minutes, seconds};
use amplinkd::{clock::Clock, notify::Pace};

#[tokio::test]
async fn events_of_one_key_come_one_after_the_other_however_slow_the_answers() {
    let mut post = Post::open(&["hook"]).await;
    for _ in 0..5 {
        post.owe_many(12).await;
    }
    let mut calls = 0_u64;
    post.receiver.mood(move |_| {
        calls += 1;
        // The later a message begins, the sooner it is answered.
        Answer { wait: Duration::from_millis(40 - calls % 8 * 5), ..Answer::TAKEN }
    });
    post.settle().await;
    assert_eq!(post.receiver.taken("hook").len(), 60);
    assert_eq!(post.receiver.calls("hook"), 60, "each once");
    post.receiver.assert_in_order("slow answers");
    assert_eq!(post.count("state = 'delivered' AND attempts = 1 AND delivered_at IS NOT NULL").await, 60);
}

#[tokio::test]
async fn a_failure_holds_back_its_own_key_and_no_other() {
    let mut post = Post::open(&["hook"]).await;
    let first = post.owe("one").await;
    for _ in 0..4 {
        post.owe("one").await;
        post.owe("other").await;
    }
    let (mut refusals, waits_for) = (3, first.clone());
    post.receiver.mood(move |arrival| {
        if arrival.id == waits_for && refusals > 0 {
            refusals -= 1;
            return Answer::AWAY;
        }
        Answer::TAKEN
    });
    post.settle().await;
    assert_eq!(post.receiver.taken("hook").len(), 4, "the other key's");
    assert_eq!(post.delivery(&first, "hook").await, ("pending".to_owned(), 1, 0));
    post.run_for(minutes(1)).await;
    assert_eq!(post.receiver.taken("hook").len(), 9);
    assert_eq!(post.delivery(&first, "hook").await, ("delivered".to_owned(), 4, 0));
    post.receiver.assert_in_order("a failure");
    let tries: Vec<Duration> = post.receiver.ledger().iter().filter(|a| a.id == first).map(|a| a.at).collect();
    let pauses: Vec<Duration> = tries.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    assert!(pauses.iter().zip([1, 2, 4]).all(|(pause, least)| *pause >= seconds(least)), "{pauses:?}");
}

#[tokio::test]
async fn a_restart_in_the_middle_goes_on_where_it_was() {
    let mut post = Post::open(&["hook", "other"]).await;
    for round in 0..6_u32 {
        post.owe_many(9).await;
        post.receiver.mood(
            move |arrival| if arrival.sequence % 3 == i64::from(round % 3) { Answer::AWAY } else { Answer::TAKEN },
        );
        post.run_for(seconds(2)).await;
        post.restart().await;
    }
    post.receiver.mood(|_| Answer::TAKEN);
    post.run_for(minutes(5)).await;
    for channel in ["hook", "other"] {
        assert_eq!(post.receiver.taken(channel).len(), 54);
    }
    assert_eq!(post.count("state <> 'delivered'").await, 0);
    post.receiver.assert_in_order("restarts");
}

#[tokio::test]
async fn a_service_that_takes_twenty_a_minute_is_sent_no_more() {
    let mut post = Post::open(&["robot"]).await;
    post.pace = Some(Pace { at_once: 4, most: Some((20, minutes(1))) });
    post.restart().await;
    post.owe_many(130).await;
    let minute = minutes(1);
    for begun in 1..=6 {
        post.run_for(seconds(59)).await;
        assert_eq!(post.receiver.calls("robot"), 20 * begun);
        // A new process knows what the one before sent.
        post.restart().await;
        post.settle().await;
        assert_eq!(post.receiver.calls("robot"), 20 * begun, "after a restart");
        post.run_for(seconds(1)).await;
    }
    assert_eq!(post.receiver.taken("robot").len(), 130);
    let moments: Vec<Duration> = post.receiver.ledger().iter().map(|arrival| arrival.at).collect();
    for (index, first) in moments.iter().enumerate() {
        assert!(moments[index..].iter().filter(|at| **at < *first + minute).count() <= 20, "from {first:?} on");
    }
    assert_eq!(post.stuck().await, Vec::<String>::new());
}

#[tokio::test]
async fn thousands_under_one_key_do_not_hold_up_the_others() {
    let mut post = Post::open(&["hook"]).await;
    post.sql(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO log (id, type, subject, partition_key, at, data)
         SELECT 'many-' || i, 'amplinkd.request.linked', 'many', 'many', 1773100800000, '{}' FROM n;
         INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, created_at, next_at)
         SELECT id, id, seq, partition_key, 'hook', 'pending', at, at FROM outbox;",
    )
    .await;
    post.receiver.mood(|arrival| if arrival.key == "many" { Answer::AWAY } else { Answer::TAKEN });
    post.clock.advance(seconds(1));
    post.owe_many(20).await;
    post.settle().await;
    let keys: BTreeSet<String> = post.receiver.ledger().iter().map(|arrival| arrival.key.clone()).collect();
    assert_eq!((keys.len(), post.receiver.taken("hook").len()), (21, 20));
    assert_eq!(post.clock.monotonic(), seconds(1));
    assert_eq!(post.count("attempts > 0 AND state = 'pending'").await, 1);
}
