//! A calendar that is stepped: it neither kills a message nor makes it wait.

use super::{Answer, Post, hours, minutes, seconds};

const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

#[tokio::test]
async fn a_step_back_makes_nothing_wait() {
    for by_ms in [HOUR_MS / 2, 5 * HOUR_MS, YEAR_MS] {
        let mut post = Post::open(&["hook"]).await;
        post.receiver.mood(|_| Answer::AWAY);
        post.owe_many(3).await;
        post.run_for(minutes(10)).await;
        post.owe_many(1).await;
        post.clock.step(-by_ms);
        post.owe_many(1).await;
        post.receiver.mood(|_| Answer::TAKEN);
        post.run_for(seconds(1)).await;
        assert_eq!(post.receiver.taken("hook").len(), 5, "{by_ms}");
        post.receiver.assert_in_order("a step back");
    }
}

#[tokio::test]
async fn a_process_that_starts_on_a_calendar_set_back_does_not_believe_the_times_before() {
    let mut post = Post::open(&["hook"]).await;
    post.receiver.mood(|_| Answer::AWAY);
    post.owe_many(3).await;
    post.run_for(minutes(10)).await;
    post.stop().await;
    post.clock.step(-YEAR_MS);
    post.start().await;
    post.receiver.mood(|_| Answer::TAKEN);
    post.run_for(seconds(1)).await;
    assert_eq!(post.receiver.taken("hook").len(), 3);
}

#[tokio::test]
async fn a_step_ahead_gives_nothing_up() {
    let mut post = Post::open(&["hook"]).await;
    post.receiver.mood(|_| Answer::AWAY);
    post.owe_many(3).await;
    post.run_for(hours(1)).await;
    post.clock.step(YEAR_MS);
    post.run_for(hours(1)).await;
    assert_eq!(post.count("state = 'pending' AND attempts > 6").await, 3);
    post.clock.step(-YEAR_MS);
    post.receiver.mood(|_| Answer::TAKEN);
    post.run_for(minutes(1)).await;
    assert_eq!(post.receiver.taken("hook").len(), 3);
}
