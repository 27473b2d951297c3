//! Ends in every wrong moment: a message may then come twice, under the same id, and never not at all.

use std::{sync::Arc, time::Duration};

use amplinkd::{
    alerting::deliver::Deliver,
    clock::{Clock, SystemClock},
    shutdown::Shutdown,
};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{Answer, GIVE_UP_AFTER, Post, minutes, seconds};

const REFUSE_ALL: &str = "
    CREATE TRIGGER barrier BEFORE UPDATE ON delivery BEGIN SELECT RAISE(ABORT, 'the disk says no'); END;";

const LIFT: &str = "DROP TRIGGER barrier;";

#[tokio::test]
async fn a_crash_between_sending_and_writing_sends_again_under_the_same_id() {
    let mut post = Post::open(&["hook"]).await;
    let first = post.owe("one").await;
    let second = post.owe("one").await;
    post.sql(REFUSE_ALL).await;
    post.settle().await;
    assert_eq!(post.receiver.taken("hook").into_iter().collect::<Vec<_>>(), [(first.clone(), 1)]);
    assert_eq!(post.delivery(&first, "hook").await.0, "pending");
    post.restart().await;
    post.sql(LIFT).await;
    post.settle().await;
    assert_eq!(post.receiver.taken("hook").into_iter().collect::<Vec<_>>(), [(first, 2), (second, 1)]);
    post.receiver.assert_in_order("a crash");
}

#[tokio::test]
async fn without_a_crash_what_could_not_be_written_is_not_sent_again() {
    let mut post = Post::open(&["hook"]).await;
    post.owe_many(30).await;
    post.sql(REFUSE_ALL).await;
    post.run_for(minutes(2)).await;
    post.sql(LIFT).await;
    assert_eq!(post.count("state = 'pending'").await, 30);
    post.run_for(minutes(1)).await;
    assert_eq!(post.count("state = 'delivered'").await, 30);
    assert!(post.receiver.taken("hook").values().all(|times| *times == 1));
}

#[tokio::test]
async fn a_result_that_cannot_be_written_holds_up_its_own_key_and_no_other() {
    let mut post = Post::open(&["hook"]).await;
    post.owe_many(10).await;
    post.sql(
        "CREATE TRIGGER barrier BEFORE UPDATE ON delivery WHEN NEW.partition_key = 'key-4'
         BEGIN SELECT RAISE(ABORT, 'the disk says no'); END;",
    )
    .await;
    post.owe_many(10).await;
    post.settle().await;
    assert_eq!(post.count("state = 'delivered'").await, 18);
    assert_eq!(post.receiver.calls("hook"), 19);
    post.sql(LIFT).await;
    post.run_for(seconds(20)).await;
    assert_eq!(post.count("state = 'delivered'").await, 20);
    assert_eq!(post.receiver.calls("hook"), 20);
    post.receiver.assert_in_order("one row");
}

#[tokio::test]
async fn what_a_hand_changed_meanwhile_is_not_overwritten() {
    let mut post = Post::open(&["hook"]).await;
    let letter = post.owe("one").await;
    // Somebody gives the message up while it is on its way.
    post.receiver.mood(|_| Answer { wait: Duration::from_millis(300), ..Answer::TAKEN });
    let options = SqliteConnectOptions::new().filename(post.dir.path().join("amplinkd.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let receiver = post.receiver.clone();
    let meanwhile = async {
        while receiver.calls("hook") == 0 {
            tokio::task::yield_now().await;
        }
        sqlx::raw_sql("UPDATE delivery SET state = 'dead', next_at = NULL, last_error = 'by hand'")
            .execute(&mut connection)
            .await
            .unwrap();
    };
    tokio::join!(post.settle(), meanwhile);
    assert_eq!(post.delivery(&letter, "hook").await, ("dead".to_owned(), 0, 0));
}

/// The loops on the machine's own clock.
fn in_real_time(post: &Post) -> Deliver {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    Deliver::new(post.store().clone(), clock, post.outlets(), GIVE_UP_AFTER)
}

/// Waits until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let came = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), came).await.is_ok(), "waited in vain for {what}");
}

#[tokio::test]
async fn a_channel_that_never_answers_holds_up_no_other_and_new_messages_are_sent_as_soon_as_the_bell_rings() {
    let mut post = Post::open(&["hangs", "well"]).await;
    post.receiver.mood(|arrival| {
        if arrival.channel == "hangs" {
            Answer { wait: Duration::from_hours(1), ..Answer::TAKEN }
        } else {
            Answer::TAKEN
        }
    });
    let (shutdown, deliver) = (Shutdown::new(), in_real_time(&post));
    let (channels, asked) = (deliver.channels().clone(), shutdown.clone());
    let running = tokio::spawn(async move { deliver.run(&asked).await });
    for _ in 0..5 {
        post.owe_many(20).await;
    }
    channels.notify();
    let receiver = post.receiver.clone();
    until("the other channel", || receiver.taken("well").len() == 100).await;
    assert_eq!(receiver.calls("hangs"), 8, "as many as may be under way at once");
    assert_eq!(channels.health()["well"].since, None);
    running.abort();
}

#[tokio::test]
async fn an_end_waits_for_what_is_under_way_and_writes_it_down() {
    let mut post = Post::open(&["hook"]).await;
    post.receiver.mood(|_| Answer { wait: Duration::from_millis(400), ..Answer::TAKEN });
    post.owe_many(40).await;
    let (shutdown, deliver) = (Shutdown::new(), in_real_time(&post));
    let asked = shutdown.clone();
    let running = tokio::spawn(async move { deliver.run(&asked).await });
    let receiver = post.receiver.clone();
    until("the first", || receiver.calls("hook") >= 8).await;
    shutdown.ask();
    running.await.unwrap();
    let taken = i64::try_from(post.receiver.calls("hook")).unwrap();
    assert!((8..40).contains(&taken), "nothing new is begun: {taken}");
    assert_eq!(post.count("state = 'delivered'").await, taken);
}
