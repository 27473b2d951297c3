//! A service that is away: it is asked seldom, nothing is lost, and nobody else notices.

use super::{Answer, Post, hours, minutes, seconds};
use amplinkd::clock::Clock;

#[tokio::test]
async fn six_hours_away_lose_nothing_and_cost_few_calls() {
    let mut post = Post::open(&["away", "well"]).await;
    post.receiver.mood(|arrival| if arrival.channel == "away" { Answer::AWAY } else { Answer::TAKEN });
    let began = post.clock.now();
    for hour in 0..6 {
        for _ in 0..3 {
            post.owe_many(25).await;
            post.run_for(minutes(20)).await;
        }
        assert_eq!(post.receiver.taken("well").len(), 75 * (hour + 1), "the other channel is told at once");
        assert_eq!(post.stuck().await, Vec::<String>::new(), "somebody tries");
    }
    let calls = post.receiver.calls("away");
    assert!(calls < 120, "{calls} calls in six hours");
    assert_eq!(post.receiver.calls("well"), 450);
    let tried = post.count("channel = 'away' AND attempts > 0").await;
    assert!(tried <= 25 && post.count("channel = 'away' AND attempts > 15").await == 0, "{tried} tried");
    let health = post.health("away");
    assert!(health.since.is_some_and(|since| since.since(began) < seconds(1)), "{health:?}");
    assert!(health.last_error.unwrap().starts_with("HTTP 503") && health.dead == 0);
    assert_eq!(post.health("well"), amplinkd::alerting::deliver::Health::default());

    post.receiver.mood(|_| Answer::TAKEN);
    post.run_for(minutes(12)).await;
    assert_eq!(post.receiver.taken("away").len(), 450);
    assert_eq!(post.count("state <> 'delivered'").await, 0);
    post.receiver.assert_in_order("an outage");
    assert_eq!(post.health("away"), amplinkd::alerting::deliver::Health::default());
}

#[tokio::test]
async fn a_day_away_with_restarts_loses_nothing() {
    let mut post = Post::open(&["away"]).await;
    post.receiver.mood(|_| Answer::AWAY);
    for _ in 0..8 {
        post.owe_many(10).await;
        post.run_for(hours(3)).await;
        post.restart().await;
    }
    post.receiver.mood(|_| Answer::TAKEN);
    post.run_for(minutes(30)).await;
    assert_eq!(post.receiver.taken("away").len(), 80);
    assert_eq!(post.count("state = 'dead'").await, 0);
    post.receiver.assert_in_order("a day");
}

#[tokio::test]
async fn one_event_that_always_fails_delays_neither_the_others_nor_for_ever_its_own_key() {
    let mut post = Post::open(&["hook"]).await;
    let poison = post.owe("poisoned").await;
    let behind = post.owe("poisoned").await;
    let bad = poison.clone();
    post.receiver
        .mood(move |arrival| if arrival.id == bad { Answer { status: 500, ..Answer::TAKEN } } else { Answer::TAKEN });
    for round in 0..72 {
        post.run_for(minutes(30)).await;
        let fresh = post.owe(&format!("key-{round}")).await;
        post.settle().await;
        assert_eq!(post.delivery(&fresh, "hook").await, ("delivered".to_owned(), 1, 0), "at once");
        post.run_for(minutes(30)).await;
    }
    assert_eq!(post.delivery(&poison, "hook").await.0, "pending", "not before its time");
    assert_eq!(post.stuck().await, Vec::<String>::new());
    post.run_for(minutes(25)).await;
    let (state, tries, _) = post.delivery(&poison, "hook").await;
    assert_eq!(state, "dead");
    // Ten to twenty minutes apart, but for the first ones.
    assert!((216..450).contains(&tries), "{tries} tries");
    assert_eq!(post.delivery(&behind, "hook").await.0, "delivered");
    assert_eq!(post.health("hook").dead, 1);
}

#[tokio::test]
async fn several_that_always_fail_on_a_quiet_channel_do_not_shut_it() {
    let mut post = Post::open(&["hook"]).await;
    post.receiver.mood(|arrival| if arrival.key.starts_with("key-") { Answer::AWAY } else { Answer::TAKEN });
    post.owe_many(8).await;
    post.run_for(hours(4)).await;
    let fresh = post.owe("good").await;
    post.run_for(minutes(11)).await;
    assert_eq!(post.delivery(&fresh, "hook").await, ("delivered".to_owned(), 1, 0));
    let another = post.owe("good").await;
    post.settle().await;
    assert_eq!(post.delivery(&another, "hook").await.0, "delivered", "the one before opened it for all");
}

#[tokio::test]
async fn a_service_that_asks_for_time_is_given_it() {
    let mut post = Post::open(&["hook"]).await;
    let began = post.clock.monotonic();
    post.receiver.mood(|_| Answer { status: 429, after: Some(1_200), ..Answer::TAKEN });
    post.owe_many(40).await;
    post.settle().await;
    let asked = post.receiver.calls("hook");
    assert!(asked <= 8, "those that were under way at once: {asked}");
    post.receiver.mood(|_| Answer::TAKEN);
    post.run_for(seconds(1_199)).await;
    assert_eq!(post.receiver.calls("hook"), asked, "not one within the time");
    post.run_for(minutes(5)).await;
    assert_eq!(post.receiver.taken("hook").len(), 40);
    let ledger = post.receiver.ledger();
    assert!(ledger[asked..].iter().all(|arrival| arrival.at >= began + seconds(1_200)));
}

#[tokio::test]
async fn one_message_alone_that_is_to_wait_does_not_hold_up_the_others_for_long() {
    let mut post = Post::open(&["hook"]).await;
    let slow = post.owe("slow").await;
    let bad = slow.clone();
    post.receiver.mood(move |arrival| {
        if arrival.id == bad { Answer { status: 503, after: Some(3_600), ..Answer::TAKEN } } else { Answer::TAKEN }
    });
    post.settle().await;
    let fresh = post.owe("other").await;
    post.run_for(minutes(1)).await;
    assert_eq!(post.delivery(&fresh, "hook").await.0, "delivered");
    post.run_for(hours(2)).await;
    let late = post.owe("other").await;
    post.settle().await;
    assert_eq!(post.delivery(&late, "hook").await.0, "delivered", "at once");
    assert_eq!(post.delivery(&slow, "hook").await, ("pending".to_owned(), 3, 0), "an hour apart");
}
