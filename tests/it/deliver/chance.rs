//! Whole lives by chance: failures, refusals, pauses, restarts and crashes in any order. Every event comes at least once,
//! and those of one key come in order. A failing life is lived again by its seed.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{Answer, Post, hours, seconds};

/// Lives in one run.
const LIVES: u64 = 8;

async fn live(seed: u64) {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut post = Post::seeded(&["one", "two"], seed).await;
    let mut barrier = false;
    for _ in 0..chance.random_range(10..30) {
        match chance.random_range(0..8) {
            0 | 1 => {
                for _ in 0..chance.random_range(1..30) {
                    post.owe(&format!("key-{}", chance.random_range(0..6))).await;
                }
            }
            2 => {
                let (mut dice, odds) = (StdRng::seed_from_u64(chance.random()), chance.random_range(0..100));
                post.receiver.mood(move |_| {
                    let wait = Duration::from_millis(dice.random_range(0..8));
                    if dice.random_range(0..100) >= odds {
                        return Answer { wait, ..Answer::TAKEN };
                    }
                    let after = dice.random_bool(0.2).then(|| dice.random_range(0..4_000));
                    Answer { status: [500, 503, 429, 408][dice.random_range(0..4)], after, wait }
                });
            }
            3 => post.restart().await,
            4 => {
                let statement = if barrier {
                    "DROP TRIGGER barrier;"
                } else {
                    "CREATE TRIGGER barrier BEFORE UPDATE ON delivery WHEN NEW.seq % 3 = 0
                     BEGIN SELECT RAISE(ABORT, 'no'); END;"
                };
                post.sql(statement).await;
                barrier = !barrier;
            }
            5 => {
                // Killed in the middle of it.
                let _ = tokio::time::timeout(Duration::from_millis(chance.random_range(0..30)), post.settle()).await;
                post.restart().await;
            }
            6 => post.clock.step(chance.random_range(-7_200_000..7_200_000)),
            _ => post.run_for(seconds(chance.random_range(1..900))).await,
        }
    }
    if barrier {
        post.sql("DROP TRIGGER barrier;").await;
    }
    post.receiver.mood(|_| Answer::TAKEN);
    post.run_for(hours(3)).await;
    let events = usize::try_from(post.events).unwrap();
    for channel in ["one", "two"] {
        assert_eq!(post.receiver.taken(channel).len(), events, "seed {seed}: {channel}");
    }
    assert_eq!(post.count("state <> 'delivered'").await, 0, "seed {seed}");
    post.receiver.assert_in_order(&format!("seed {seed}"));
}

#[tokio::test]
async fn every_event_comes_and_those_of_one_key_in_order() {
    for seed in 0..LIVES {
        live(seed).await;
    }
}

/// More of them: run with `--ignored`.
#[tokio::test]
#[ignore = "minutes"]
async fn many_lives() {
    for seed in 1_000..1_150 {
        live(seed).await;
    }
}
