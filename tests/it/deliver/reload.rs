//! Channels that are given another configuration while they run.

use std::sync::Arc;

use amplinkd::{
    alerting::deliver::{Configured, Deliver},
    clock::{Clock, SystemClock},
    shutdown::Shutdown,
};

use super::{Answer, GIVE_UP_AFTER, Post, minutes};

/// Waits until so many messages are delivered.
async fn delivered(post: &mut Post, count: i64) {
    let all = async {
        while post.count("state = 'delivered'").await < count {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), all).await.expect("delivered in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_sent_at_once_by_the_new_configuration() {
    let mut post = Post::open(&["hook", "other"]).await;
    post.receiver.mood(|_| Answer { status: 401, ..Answer::TAKEN });
    post.owe_many(3).await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let later = (clock.now() + minutes(15)).ms();
    post.sql(&format!(
        "UPDATE delivery SET attempts = 9, refusals = 9, next_at = {later}, created_at = {}",
        clock.now().ms()
    ))
    .await;
    let outlets = post.outlets();
    let mut deliver = Deliver::new(post.store().clone(), clock, outlets, GIVE_UP_AFTER);
    let control = deliver.control();
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    let running = tokio::spawn(async move { deliver.run(&asked).await });
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(post.receiver.ledger().len(), 0, "it is not their time");

    post.receiver.mood(|_| Answer::TAKEN);
    let outlets = post.outlets().into_iter().map(Arc::new).collect();
    control.set(Configured { outlets, give_up_after: GIVE_UP_AFTER }).await;
    delivered(&mut post, 6).await;
    shutdown.ask();
    running.await.unwrap();
}
