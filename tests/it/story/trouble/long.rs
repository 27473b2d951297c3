//! Lists of any length: what one account's list can cost is bounded, and its requests go their way all the same.

use amplinkd::{sim::Phase, store::write::programs::ITEMS_REMEMBERED_MAX};

use super::super::{ACCOUNT, Daemon, FULL, PROGRAM, days, hours, minutes};

impl Daemon {
    /// Puts this many programs into the account's list, from a number on.
    fn crowd(&self, from: usize, count: usize, phase: Phase) {
        let now = self.sim.now();
        let mut world = self.sim.world();
        for number in from..from + count {
            world.place(ACCOUNT, &format!("wxcccc{number:012}"), phase, now).unwrap();
        }
    }

    fn disperse(&self, from: usize, count: usize) {
        let now = self.sim.now();
        let mut world = self.sim.world();
        for number in from..from + count {
            world.remove(ACCOUNT, &format!("wxcccc{number:012}"), now).unwrap();
        }
    }

    async fn count(&self, what: &'static str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(what)).fetch_one(&mut self.connection().await).await.unwrap()
    }

    async fn remembered(&self) -> usize {
        usize::try_from(self.count("SELECT count(*) FROM program").await).unwrap()
    }
}

const IS_OVERFULL: &str = "SELECT count(*) FROM account WHERE overfull_since IS NOT NULL";

/// FAULTS 19: every account that many ever refused has a list of items without an appid.
#[tokio::test]
async fn a_request_goes_its_way_beside_thousands_of_items_that_name_nobody() {
    let mut daemon = Daemon::start().await;
    daemon.crowd(0, 6_000, Phase::Rejected);
    let link = daemon.link().await;
    daemon.run_for(hours(3)).await;

    daemon.assert_story(&link, FULL).await;
    assert_eq!(daemon.invitations(), 1);
    assert_eq!(daemon.remembered().await, ITEMS_REMEMBERED_MAX);
    assert_eq!(daemon.count(IS_OVERFULL).await, 1);
    assert!(daemon.account(ACCOUNT).await.overfull_since.is_some(), "and whoever asks sees it");
}

/// FAULTS 20: other items at every poll.
#[tokio::test]
async fn a_list_that_is_always_another_fills_no_disk() {
    let mut daemon = Daemon::start().await;
    let link = daemon.link().await;
    daemon.run_for(minutes(5)).await;
    for round in 0..6 {
        daemon.crowd(round * 900, 900, Phase::Linked);
        daemon.run_for(minutes(2)).await;
        daemon.disperse(round * 900, 900);
    }
    assert_eq!(daemon.remembered().await, ITEMS_REMEMBERED_MAX);
    assert_eq!(daemon.count("SELECT count(*) FROM program_name").await, 2_000, "nor do names");
    assert_eq!(daemon.count(IS_OVERFULL).await, 1);
    daemon.run_for(hours(3)).await;
    daemon.assert_story(&link, FULL).await;
    assert_eq!(daemon.count(IS_OVERFULL).await, 0, "all that it lists now is remembered");

    // Gone for a quarter of a year, they make room.
    daemon.run_for(days(80)).await;
    daemon.engine().housekeep(None).await.unwrap();
    assert_eq!(daemon.remembered().await, ITEMS_REMEMBERED_MAX);
    daemon.run_for(days(11)).await;
    daemon.engine().housekeep(None).await.unwrap();
    assert_eq!(daemon.remembered().await, 1);
    assert_eq!(daemon.count("SELECT count(*) FROM program_name").await, 1);
    daemon.crowd(0, 1_000, Phase::Linked);
    daemon.link().await;
    daemon.run_for(minutes(2)).await;
    assert_eq!(daemon.remembered().await, 1_001);
    assert_eq!(daemon.store().program_views(Some(ACCOUNT), Some(PROGRAM), 9).await.unwrap().len(), 1);
}
