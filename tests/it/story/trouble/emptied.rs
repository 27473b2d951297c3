//! Lists that lose everything at once, as those of a token source do that mixes accounts up: doubt, for a while.

use std::{collections::BTreeMap, time::Duration};

use amplinkd::{
    domain::id::RequestId,
    sim::{FaultKind, Phase},
};

use super::super::{ACCOUNT, Daemon, FULL, OTHER_ACCOUNT, OTHER_PROGRAM, PROGRAM, hours, minutes, seconds, to_link};

/// Strangers' programs.
const STRANGERS: [&str; 2] = ["wxbbbb000000000008", "wxbbbb000000000009"];

impl Daemon {
    /// A link that stands and one that waits for an administrator, in one account.
    async fn two_links(&mut self) -> [RequestId; 2] {
        let linked = self.link().await;
        self.run_for(hours(3)).await;
        self.assert_story(&linked, FULL).await;
        self.nobody_answers();
        let pending = self.ask(to_link(ACCOUNT, OTHER_PROGRAM)).await;
        self.run_for(minutes(5)).await;
        assert!(self.story(&pending).await.ends_with("awaiting_account_admin"));
        [linked, pending]
    }

    fn forget(&self, programs: &[&str]) {
        let now = self.sim.now();
        for program in programs {
            self.sim.world().remove(ACCOUNT, program, now).unwrap();
        }
    }

    fn show(&self, programs: &[(&str, Phase)]) {
        let now = self.sim.now();
        for (program, phase) in programs {
            self.sim.world().place(ACCOUNT, program, *phase, now).unwrap();
        }
    }

    /// Accounts whose lists lost everything, and items of this one that are gone.
    async fn lost(&self) -> (u64, usize) {
        let emptied = self.store().emptied(9).await.unwrap();
        assert_eq!(emptied.count, u64::try_from(emptied.accounts.len()).unwrap());
        let items = self.store().program_views(Some(ACCOUNT), None, 9).await.unwrap();
        (emptied.count, items.iter().filter(|item| item.gone_at.is_some()).count())
    }

    /// Lets time pass until the account is found to have lost everything.
    async fn until_it_is_noticed(&mut self) {
        for _ in 0..200 {
            if self.lost().await.0 == 1 {
                return;
            }
            self.run_for(seconds(30)).await;
        }
        panic!("nobody noticed");
    }
}

const BOTH: [(&str, Phase); 2] = [(PROGRAM, Phase::Linked), (OTHER_PROGRAM, Phase::AwaitingAccountAdmin)];

/// FAULTS 11.
#[tokio::test]
async fn a_list_that_loses_everything_and_finds_it_again_ends_nothing() {
    let mut daemon = Daemon::start().await;
    let links = daemon.two_links().await;
    let before = [daemon.story(&links[0]).await, daemon.story(&links[1]).await];
    let first_seen = daemon.store().program_views(Some(ACCOUNT), None, 9).await.unwrap();

    daemon.sim.world().faults.rates = BTreeMap::from([(FaultKind::EmptyList, 1.0)]);
    daemon.until_it_is_noticed().await;
    let polls = daemon.sim.stats().wxamplinkget;
    daemon.run_for(minutes(9)).await;
    daemon.restart().await;
    assert!(daemon.sim.stats().wxamplinkget > polls + 10, "it was looked at again and again");
    assert_eq!(daemon.lost().await, (1, 0), "told, and nothing is gone");
    for (link, before) in links.iter().zip(&before) {
        daemon.assert_story(link, before).await;
    }

    daemon.sim.world().faults.rates = BTreeMap::new();
    daemon.run_for(hours(4)).await;
    assert_eq!(daemon.lost().await, (0, 0));
    for (link, before) in links.iter().zip(&before) {
        daemon.assert_story(link, before).await;
    }
    let after = daemon.store().program_views(Some(ACCOUNT), None, 9).await.unwrap();
    for (before, after) in first_seen.iter().zip(&after) {
        assert_eq!((&before.first_seen_at, &before.status_since), (&after.first_seen_at, &after.status_since));
    }
}

#[tokio::test]
async fn a_list_that_stays_empty_is_believed_after_its_time() {
    let mut daemon = Daemon::start().await;
    let links = daemon.two_links().await;
    daemon.forget(&[PROGRAM, OTHER_PROGRAM]);
    daemon.until_it_is_noticed().await;
    let noticed = daemon.store().emptied(1).await.unwrap().accounts.remove(0).1;
    daemon.run_for(minutes(15)).await;

    assert!(daemon.story(&links[0]).await.ends_with("linked unlinked"));
    assert!(daemon.story(&links[1]).await.ends_with("awaiting_account_admin lapsed"));
    assert_eq!(daemon.conflicts(&links[0]).await.remove(0).kind, "vanished");
    assert_eq!(daemon.lost().await, (0, 2));
    for item in daemon.store().program_views(Some(ACCOUNT), None, 9).await.unwrap() {
        assert_eq!(item.gone_at, Some(noticed.to_string()), "gone since the first list that lacked it");
        assert_eq!(item.last_seen_at, noticed.to_string());
    }
    let ended = daemon.request(&links[0]).await.since;
    assert!(ended >= noticed + minutes(10), "{ended} {noticed}");
    daemon.assert_sound().await;
}

/// The list of another account looks as right as one's own.
#[tokio::test]
async fn a_list_that_shows_only_strangers_is_not_believed_either() {
    let mut daemon = Daemon::start().await;
    let links = daemon.two_links().await;
    let before = [daemon.story(&links[0]).await, daemon.story(&links[1]).await];
    daemon.forget(&[PROGRAM, OTHER_PROGRAM]);
    daemon.show(&STRANGERS.map(|program| (program, Phase::Linked)));
    daemon.until_it_is_noticed().await;
    daemon.run_for(minutes(9)).await;
    let shown = daemon.store().program_views(Some(ACCOUNT), None, 9).await.unwrap();
    assert_eq!(shown.len(), 2, "strangers are not remembered as this account's: {shown:?}");

    daemon.forget(&STRANGERS);
    daemon.show(&BOTH);
    daemon.run_for(hours(1)).await;
    assert_eq!(daemon.lost().await, (0, 0));
    for (link, before) in links.iter().zip(&before) {
        daemon.assert_story(link, before).await;
    }
}

#[tokio::test]
async fn a_list_that_loses_a_part_is_believed_by_the_next() {
    let mut daemon = Daemon::start().await;
    let links = daemon.two_links().await;
    daemon.forget(&[OTHER_PROGRAM]);
    let mut waited = Duration::ZERO;
    while !daemon.story(&links[1]).await.ends_with("lapsed") {
        daemon.run_for(seconds(30)).await;
        waited += seconds(30);
        assert_eq!(daemon.lost().await.0, 0);
        assert!(waited < minutes(5), "the other one still stands there");
    }
    daemon.assert_story(&links[0], FULL).await;
}

#[tokio::test]
async fn what_we_asked_to_remove_is_believed_by_the_next() {
    let mut daemon = Daemon::start().await;
    let link = daemon.link().await;
    daemon.run_for(hours(3)).await;
    let unlink = daemon.unlink().await;
    daemon.run_for(minutes(30)).await;
    assert!(daemon.story(&unlink).await.ends_with("initiated"));
    let now = daemon.sim.now();
    daemon.sim.world().approve(ACCOUNT, PROGRAM, amplinkd::sim::By::AccountAdmin, now).unwrap();

    daemon.run_for(minutes(5)).await;
    daemon.assert_story(&unlink, "requested initiating initiated unlinked").await;
    daemon.assert_story(&link, &format!("{FULL} unlinked")).await;
    assert_eq!(daemon.lost().await, (0, 1));
    assert!(daemon.conflicts(&link).await.is_empty());
}

/// One account's trouble is its own, and a request that waits for its first call is not held up by it.
#[tokio::test]
async fn an_emptied_list_holds_up_no_first_call_and_no_other_account() {
    let mut daemon = Daemon::start().await;
    let links = daemon.two_links().await;
    daemon.forget(&[PROGRAM, OTHER_PROGRAM]);
    daemon.until_it_is_noticed().await;
    let elsewhere = daemon.ask(to_link(OTHER_ACCOUNT, PROGRAM)).await;
    let first = daemon.ask(to_link(ACCOUNT, STRANGERS[0])).await;
    daemon.run_for(minutes(3)).await;

    assert!(daemon.story(&elsewhere).await.ends_with("awaiting_account_admin"));
    assert!(daemon.story(&first).await.ends_with("awaiting_account_admin"));
    assert!(daemon.story(&links[1]).await.ends_with("awaiting_account_admin"));
    assert_eq!(daemon.lost().await.0, 1);
}
