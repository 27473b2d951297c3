//! Copies that are made while everything goes on.

use std::path::PathBuf;

use amplinkd::{
    clock::{Clock as _, ManualClock},
    domain::action,
    store::{Role, Store},
};

use super::{Daemon, MORNING, PROGRAM, backup::account, hours, to_link};

#[tokio::test]
async fn a_daemon_that_works_goes_on_while_it_is_copied() {
    let mut daemon = Daemon::start().await;
    let mut wishes = Vec::new();
    for number in 0..60 {
        wishes.push(to_link(&account(number), PROGRAM));
    }
    daemon.engine().recorder().by(action::By::simulated()).accept(wishes).await.unwrap();
    let (folder, database, now) = (tempfile::tempdir().unwrap(), daemon.database(), daemon.clock.now());
    let copies: Vec<PathBuf> = (0..5).map(|number| folder.path().join(format!("{number}.db"))).collect();
    daemon
        .settle_while(async |_, _| {
            for copy in &copies {
                Store::backup(&database, copy, now).await.unwrap();
            }
        })
        .await;
    for copy in &copies {
        assert_eq!(Store::verify(copy, 10).await.unwrap(), []);
    }
    daemon.run_for(hours(4)).await;
    let linked = daemon.store().count_by_state().await.unwrap();
    assert_eq!(linked, [("linked".to_owned(), 60)]);
    daemon.assert_sound().await;
}

/// A commit that waits for a copy would make every door wait.
#[tokio::test(flavor = "multi_thread")]
async fn commits_do_not_wait_for_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let location = crate::place::location(folder.path().join("amplinkd.db"), 0o640);
    let store = Store::open(&location, Role::Tool).await.unwrap();
    let recorder = amplinkd::engine::record::Recorder::new(
        store.clone(),
        ManualClock::starting_at(MORNING),
        amplinkd::domain::policy::Policy::default(),
    );
    let ask = async |from: usize, count: usize| {
        let wishes = (from..from + count).map(|number| to_link(&account(number), PROGRAM)).collect();
        recorder.by(action::By::simulated()).accept(wishes).await.unwrap();
    };
    ask(0, 20_000).await;
    let copy = folder.path().join("copy.db");
    let from = location.path().unwrap().to_owned();
    let copying = tokio::spawn(async move { Store::backup(&from, &copy, MORNING).await.map(|()| copy) });
    let mut written = 20_000;
    while !copying.is_finished() {
        ask(written, 1).await;
        written += 1;
    }
    let copy = copying.await.unwrap().unwrap();
    // One that waited would be the only one.
    assert!(written > 20_003, "{} commits while the copy was made", written - 20_000);
    assert_eq!(Store::verify(&copy, 10).await.unwrap(), []);
    let held = Store::open(&crate::place::location(copy, 0o640), Role::Tool).await.unwrap();
    assert!(held.copied().await.unwrap().is_some_and(|copied| copied.made_at == MORNING));
    assert!(store.copied().await.unwrap().is_none(), "the original is never marked");
}
