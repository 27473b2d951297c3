//! Whole lives by chance: requests, people, faults, operators and crashes from one seed, and the promises held against
//! every step. It must never pass because it looked away: what it would notice is shown, too.

use std::time::Duration;

use amplinkd::selftest::{Life, Lived, live};

const DAY: Duration = Duration::from_hours(24);

async fn lived(seed: u64, days: u32, at_once: usize) -> Lived {
    let folder = tempfile::tempdir().unwrap();
    let life = Life { seed, span: DAY * days, at_once };
    live(life, folder.path()).await.unwrap_or_else(|broken| panic!("{broken}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_through_lives_of_weeks() {
    let from: u64 = std::env::var("SEED").map_or(1, |s| s.parse().unwrap());
    let count: u64 = std::env::var("COUNT").map_or(6, |s| s.parse().unwrap());
    let at_once: usize = std::env::var("ATONCE").map_or(1, |s| s.parse().unwrap());
    for seed in from..from+count {
        let begun = std::time::Instant::now();
        let lived = lived(seed, 14, at_once).await;
        println!("seed {seed}: {lived:?} {:?}", begun.elapsed());
    }
}
