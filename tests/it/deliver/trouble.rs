//! Refusals, dead letters and hands that ask for them again.

use amplinkd::{clock::Clock, store::read::audit::Histories};

use super::{Answer, Post, hours, minutes};
use crate::story::poison::past_all_checks;

const REFUSED: Answer = Answer { status: 400, ..Answer::TAKEN };
const GONE: Answer = Answer { status: 410, ..Answer::TAKEN };

#[tokio::test]
async fn what_is_refused_is_tried_for_a_day_seldom_and_given_up() {
    let mut post = Post::open(&["hook"]).await;
    let first = post.owe("one").await;
    let second = post.owe("one").await;
    let bad = first.clone();
    post.receiver.mood(move |arrival| if arrival.id == bad { REFUSED } else { Answer::TAKEN });
    post.run_for(minutes(1)).await;
    assert_eq!(post.delivery(&second, "hook").await, ("delivered".to_owned(), 1, 0), "its key goes on");
    post.run_for(hours(23)).await;
    assert_eq!(post.delivery(&first, "hook").await.0, "pending");
    post.run_for(hours(2)).await;
    let (state, tries, refusals) = post.delivery(&first, "hook").await;
    assert!(state == "dead" && tries == refusals && (50..120).contains(&tries), "{state} after {tries}");
    let ledger = post.receiver.ledger().clone();
    let first_hour = ledger.iter().filter(|arrival| arrival.at < hours(1)).count();
    assert!(first_hour <= 14, "{first_hour} in the first hour");
}

/// Refusals that pass: of an ingress without its service, a robot that is being set up, a proxy that must be logged in to.
#[tokio::test]
async fn what_is_refused_for_a_while_is_not_lost() {
    for status in [400, 401, 403, 404, 405, 413, 422, 302] {
        let mut post = Post::open(&["hook"]).await;
        post.receiver.mood(move |_| Answer { status, ..Answer::TAKEN });
        for _ in 0..4 {
            post.owe_many(3).await;
            post.run_for(minutes(5)).await;
        }
        post.restart().await;
        post.receiver.mood(|_| Answer::TAKEN);
        post.run_for(minutes(25)).await;
        assert_eq!(post.receiver.taken("hook").into_values().collect::<Vec<_>>(), [1; 12], "{status}: each once");
        assert_eq!(post.count("state <> 'delivered'").await, 0, "{status}");
        post.receiver.assert_in_order(&format!("{status} for a while"));
    }
}

/// One message that its receiver cannot take, whatever it says to it, and what comes behind it.
#[tokio::test]
async fn what_cannot_be_taken_holds_up_its_key_for_minutes_and_not_for_days() {
    for status in [400, 413, 500] {
        let mut post = Post::open(&["hook"]).await;
        let (first, second) = (post.owe("one").await, post.owe("one").await);
        let bad = [first.clone(), second.clone()];
        post.receiver.mood(
            move |arrival| {
                if bad.contains(&arrival.id) { Answer { status, ..Answer::TAKEN } } else { Answer::TAKEN }
            },
        );
        let behind = post.owe("one").await;
        // Of two in a row the second is only tried behind the first.
        post.run_for(minutes(if status == 500 { 20 } else { 3 })).await;
        assert_eq!(post.delivery(&behind, "hook").await.0, "delivered", "{status}");
        let fresh = post.owe("one").await;
        post.settle().await;
        assert_eq!(post.delivery(&fresh, "hook").await, ("delivered".to_owned(), 1, 0), "{status}: at once");
        post.restart().await;
        let after_restart = post.owe("one").await;
        post.settle().await;
        assert_eq!(post.delivery(&after_restart, "hook").await.0, "delivered", "{status}: a new process knows");
        assert_eq!(post.count("state = 'pending'").await, 2, "{status}: both are still owed");
        assert_eq!(post.stuck().await, Vec::<String>::new());
        post.receiver.mood(|_| Answer::TAKEN);
        post.run_for(minutes(25)).await;
        assert_eq!(post.receiver.taken("hook").into_values().collect::<Vec<_>>(), [1; 5], "{status}: each once");
    }
}

#[tokio::test]
async fn what_will_never_be_taken_is_given_up_at_once() {
    let mut post = Post::open(&["hook"]).await;
    post.receiver.mood(|arrival| if arrival.key == "long" { GONE } else { Answer::TAKEN });
    let long = post.owe("long").await;
    let short = post.owe("short").await;
    post.settle().await;
    assert_eq!(post.delivery(&long, "hook").await, ("dead".to_owned(), 1, 0));
    assert_eq!(post.delivery(&short, "hook").await.0, "delivered");
    post.settle().await;
    assert_eq!(post.health("hook").dead, 1);
    post.restart().await;
    post.settle().await;
    assert_eq!(post.health("hook").dead, 1, "a new process counts them, too");
    assert_eq!(post.store().dead_of("hook").await.unwrap(), 1);
}

#[tokio::test]
async fn a_dead_letter_that_is_asked_for_again_is_sent_under_its_own_id() {
    let mut post = Post::open(&["hook"]).await;
    post.receiver.mood(|_| GONE);
    let letter = post.owe("one").await;
    post.run_for(minutes(3)).await;
    let later = post.owe("one").await;
    post.receiver.mood(|_| Answer::TAKEN);
    post.run_for(minutes(1)).await;
    let now = post.clock.now().ms();
    post.sql(&format!("UPDATE delivery SET state = 'pending', refusals = 0, next_at = {now} WHERE state = 'dead'"))
        .await;
    post.settle().await;
    assert_eq!(post.delivery(&letter, "hook").await, ("delivered".to_owned(), 2, 0));
    assert_eq!(post.receiver.taken("hook").into_iter().collect::<Vec<_>>(), [(letter, 1), (later, 1)]);
    post.run_for(minutes(2)).await;
    assert_eq!(post.health("hook"), amplinkd::alerting::deliver::Health::default());
}

#[tokio::test]
async fn a_service_that_refuses_us_for_hours_costs_no_letter() {
    let mut post = Post::open(&["hook"]).await;
    post.receiver.mood(|_| Answer { status: 401, ..Answer::TAKEN });
    for _ in 0..12 {
        post.owe_many(20).await;
        post.run_for(minutes(10)).await;
    }
    assert_eq!(post.count("state = 'dead'").await, 0);
    let calls = post.receiver.calls("hook");
    assert!(calls < 120, "{calls} within two hours");
    assert!(post.health("hook").since.is_some());
    post.receiver.mood(|_| Answer::TAKEN);
    post.run_for(minutes(15)).await;
    assert_eq!(post.count("state = 'delivered'").await, 240);
}

#[tokio::test]
async fn what_waits_for_a_channel_that_was_taken_away_is_given_up_and_says_why() {
    let mut post = Post::open(&["hook", "gone"]).await;
    post.receiver.mood(|_| Answer::AWAY);
    post.owe_many(30).await;
    post.run_for(minutes(1)).await;
    post.channels = vec!["hook"];
    post.restart().await;
    let why = "channel is no longer configured";
    assert_eq!(post.count(&format!("channel = 'gone' AND state = 'dead' AND last_error = '{why}'")).await, 30);
    assert_eq!(post.count("channel = 'hook' AND state = 'pending'").await, 30);
    post.receiver.mood(|_| Answer::TAKEN);
    post.run_for(minutes(10)).await;
    assert_eq!(post.receiver.taken("hook").len(), 30);
    assert_eq!(post.store().waiting_deliveries().await.unwrap().len(), 0);
}

/// What is wrong with a message that is owed, and what it was before.
const POISONS: [(&str, &str); 6] = [
    ("attempts = '3 or so'", "attempts = 3"),
    ("attempts = -5", "attempts = 0"),
    ("refusals = x'00'", "refusals = 0"),
    ("created_at = 'then'", "created_at = next_at"),
    // That it was taken could not be written down: it must not be sent every quarter of a second.
    ("last_error = x'ff'", "last_error = NULL"),
    ("next_at = 'later'", "next_at = created_at"),
];

#[tokio::test]
async fn a_row_that_cannot_be_read_delays_only_itself_and_is_named() {
    for (poison, mend) in POISONS {
        let mut post = Post::open(&["hook"]).await;
        let broken = post.owe("broken").await;
        post.owe_many(5).await;
        post.sql(&past_all_checks(&format!("UPDATE delivery SET {poison} WHERE event_id = '{broken}'"))).await;
        post.settle().await;
        post.restart().await;
        post.run_for(minutes(5)).await;
        assert_eq!(post.receiver.taken("hook").len(), 5, "{poison}");
        let found = post.store().audit(0, Histories::All, 100).await.unwrap();
        let named: Vec<_> = found.iter().map(|found| (found.rule.as_str(), found.subject.as_str())).collect();
        assert_eq!(named, [("bad_row", format!("delivery {broken}/hook").as_str())], "{poison}");
        post.sql(&past_all_checks(&format!("UPDATE delivery SET {mend} WHERE event_id = '{broken}'"))).await;
        post.settle().await;
        assert_eq!(post.receiver.taken("hook").into_values().collect::<Vec<_>>(), [1; 6], "{poison}: each once");
    }
}

#[tokio::test]
async fn an_old_message_that_cannot_be_read_holds_up_no_new_one() {
    let mut post = Post::open(&["hook"]).await;
    // How many were sent lately is asked of the database where a service allows only so many.
    post.pace = Some(amplinkd::notify::Pace { at_once: 4, most: Some((20, minutes(1))) });
    post.owe("old").await;
    post.settle().await;
    post.sql(&past_all_checks("UPDATE delivery SET delivered_at = 'once'")).await;
    post.restart().await;
    post.owe("new").await;
    post.settle().await;
    assert_eq!(post.receiver.taken("hook").len(), 2);
}

#[tokio::test]
async fn what_was_old_before_it_was_ever_tried_has_its_tries() {
    let mut post = Post::open(&["hook"]).await;
    post.owe_many(3).await;
    post.stop().await;
    post.clock.advance(hours(24 * 30));
    post.start().await;
    post.receiver.mood(|_| Answer::AWAY);
    post.settle().await;
    assert_eq!(post.count("state = 'pending' AND attempts = 1").await, 3, "not given up by its first failure");
    post.receiver.mood(|_| Answer::TAKEN);
    post.run_for(minutes(1)).await;
    assert_eq!(post.receiver.taken("hook").len(), 3);
}
