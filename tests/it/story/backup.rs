//! Copies of the database: made while the daemon works, put back when the world has moved on.

use std::path::{Path, PathBuf};

use amplinkd::{
    clock::Clock,
    domain::{action, id::RequestId},
    sim::{Api, FaultKind, PlanSet, Quotas, Span, approves_after, never_answers, refuses_after},
    store::{
        Store,
        file::{
            backup::Salvaged,
            restore::{Ready, ReplaceError},
        },
    },
};

use super::{Daemon, MORNING, OTHER_PROGRAM, PROGRAM, days, hours, minutes, to_link};

/// How a copy comes into the database's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `db restore`, which still reads the replaced database.
    Restore,
    /// `db restore` where the replaced database is garbage.
    RestoreOverGarbage,
    /// `cp`, by somebody who does not know of `db restore`.
    Cp,
}

const WAYS: [Way; 3] = [Way::Restore, Way::RestoreOverGarbage, Way::Cp];

impl Daemon {
    async fn back_up(&self) -> PathBuf {
        let copy = self.database().with_extension("copy");
        Store::backup(&self.database(), &copy, self.clock.now()).await.unwrap();
        assert!(Store::verify(&copy, 10).await.unwrap().is_empty());
        copy
    }

    /// Ends the process, puts the copy in the database's place, starts again.
    async fn put_back(&mut self, copy: &Path, way: Way) -> Option<Salvaged> {
        self.stop().await;
        let location = crate::place::location(self.database(), 0o640);
        let salvaged = match way {
            Way::Cp => {
                std::fs::copy(copy, location.path().unwrap()).unwrap();
                None
            }
            Way::Restore | Way::RestoreOverGarbage => {
                if way == Way::RestoreOverGarbage {
                    std::fs::write(location.path().unwrap(), "gone ".repeat(9_999)).unwrap();
                }
                let ready = Ready::make((location.path().unwrap(), 0o640), copy, self.clock.now()).await.unwrap();
                let salvaged = ready.salvaged;
                let kept = ready.place(self.clock.now()).await.unwrap().unwrap();
                assert!(kept.exists() && kept.to_string_lossy().contains(".replaced-"));
                salvaged
            }
        };
        assert_eq!(salvaged.is_some(), way == Way::Restore);
        self.boot().await;
        salvaged
    }

    fn effects(&self, api: Api, account: &str) -> usize {
        self.sim.ledger().iter().filter(|call| call.api == api && call.account == account && call.effect).count()
    }

    fn plan(&self, account: &str, account_admin: amplinkd::sim::Plan, program_admin: amplinkd::sim::Plan) {
        let plans = PlanSet { account_admin: Some(account_admin), program_admin: Some(program_admin), unlink: None };
        self.sim.world().plans.set(Some(account), None, plans);
    }
}

pub(super) fn account(number: usize) -> String {
    format!("wxaaaa{number:012}")
}

#[tokio::test]
async fn an_old_copy_invites_nobody_twice_whose_invitation_the_list_still_shows() {
    let soon = || approves_after(Span::minutes(30));
    for way in WAYS {
        let mut daemon = Daemon::start().await;
        let worlds = [
            ("awaiting_account_admin", never_answers(), soon()),
            ("awaiting_program_admin", soon(), never_answers()),
            ("linked", soon(), soon()),
            ("rejected", soon(), refuses_after(Span::minutes(30))),
        ];
        let mut links = Vec::new();
        for (number, (_, account_admin, program_admin)) in worlds.iter().enumerate() {
            daemon.plan(&account(number), *account_admin, *program_admin);
            links.push(daemon.ask(to_link(&account(number), PROGRAM)).await);
        }
        let copy = daemon.back_up().await;
        daemon.run_for(hours(3)).await;

        daemon.put_back(&copy, way).await;
        daemon.run_for(hours(3)).await;

        for (number, (state, ..)) in worlds.iter().enumerate() {
            assert_eq!(daemon.view(&links[number]).await.state, *state, "{way:?}");
            assert_eq!(daemon.effects(Api::Link, &account(number)), 1, "{way:?} {state}");
        }
        assert_eq!(daemon.sim.stats().wxamplink, worlds.len() as u64, "{way:?}: not even a refused call");
        daemon.assert_sound().await;
    }
}

#[tokio::test]
async fn an_invitation_that_is_not_listed_yet_is_waited_for() {
    for way in WAYS {
        let mut daemon = Daemon::start().await;
        daemon.sim.world().switches.listing_delay = Span::minutes(8);
        let link = daemon.link().await;
        let copy = daemon.back_up().await;
        daemon.settle().await;
        assert_eq!(daemon.invitations(), 1);

        daemon.put_back(&copy, way).await;
        assert_eq!(daemon.view(&link).await.attempt, 1);
        daemon.run_for(hours(4)).await;

        let through = if way == Way::Restore { "initiated" } else { "initiating" };
        let story = format!("requested {through} awaiting_account_admin awaiting_program_admin linked");
        daemon.assert_story(&link, &story).await;
        assert_eq!((daemon.invitations(), daemon.sim.stats().wxamplink), (1, 1), "{way:?}");
    }
}

#[tokio::test]
async fn a_call_that_was_out_when_the_copy_was_made_is_settled_by_the_list() {
    for way in WAYS {
        let mut daemon = Daemon::start().await;
        daemon.sim.world().switches.listing_delay = Span::minutes(8);
        daemon.sim.world().faults.next(Some(Api::Link), FaultKind::LostAnswer);
        let link = daemon.link().await;
        daemon.settle().await;
        let copy = daemon.back_up().await;
        daemon.run_for(minutes(5)).await;

        daemon.put_back(&copy, way).await;
        daemon.run_for(hours(4)).await;

        assert_eq!(daemon.view(&link).await.state, "linked", "{way:?}");
        assert_eq!((daemon.invitations(), daemon.view(&link).await.attempt), (1, 1), "{way:?}");
        daemon.assert_sound().await;
    }
}

/// What has come and gone leaves nothing in the list: only the replaced database can tell of it.
#[tokio::test]
async fn an_invitation_that_has_come_and_gone_is_not_sent_again_where_the_replaced_database_tells_of_it() {
    for way in WAYS {
        let mut daemon = Daemon::start().await;
        daemon.plan(super::ACCOUNT, refuses_after(Span::minutes(30)), never_answers());
        let link = daemon.link().await;
        let copy = daemon.back_up().await;
        daemon.run_for(hours(3)).await;
        assert_eq!(daemon.view(&link).await.state, "lapsed");

        let salvaged = daemon.put_back(&copy, way).await;
        daemon.run_for(minutes(25)).await;

        if way == Way::Restore {
            assert_eq!(salvaged, Some(Salvaged { taken: 1, ..Salvaged::default() }));
            daemon.assert_story(&link, "requested initiated lapsed").await;
            assert_eq!(daemon.invitations(), 1);
        } else {
            assert_eq!(daemon.invitations(), 2, "{way:?}: nothing tells that it was ever sent");
        }
        daemon.assert_sound().await;
    }
}

#[tokio::test]
async fn a_rejection_that_the_copy_knew_holds_nothing_up_and_one_it_did_not_know_is_an_answer() {
    for way in [Way::RestoreOverGarbage, Way::Cp] {
        let mut daemon = Daemon::start().await;
        daemon.plan(super::ACCOUNT, approves_after(Span::minutes(1)), refuses_after(Span::minutes(1)));
        let first = daemon.link().await;
        daemon.run_for(hours(1)).await;
        assert_eq!(daemon.view(&first).await.state, "rejected");
        daemon.people(PlanSet { account_admin: None, program_admin: None, unlink: None });
        daemon.plan(super::ACCOUNT, never_answers(), never_answers());
        let again = daemon.link().await;
        let copy = daemon.back_up().await;

        daemon.put_back(&copy, way).await;
        daemon.run_for(hours(1)).await;

        let story = "requested initiating requested initiating initiated awaiting_account_admin";
        daemon.assert_story(&again, story).await;
        assert_eq!((daemon.invitations(), daemon.view(&again).await.attempt), (2, 1), "one each: {way:?}");
    }
}

#[tokio::test]
async fn a_deferred_request_that_was_called_since_is_not_called_again() {
    for way in WAYS {
        let mut daemon = Daemon::start().await;
        daemon.nobody_answers();
        daemon.sim.world().quotas.program_links_per_month = Some(0);
        let link = daemon.link().await;
        daemon.settle().await;
        let copy = daemon.back_up().await;
        daemon.sim.world().quotas = Quotas::default();
        daemon.run_for(days(24)).await;
        assert_eq!((daemon.view(&link).await.state.as_str(), daemon.invitations()), ("awaiting_account_admin", 1));

        daemon.put_back(&copy, way).await;
        daemon.run_for(hours(2)).await;

        assert_eq!((daemon.view(&link).await.state.as_str(), daemon.invitations()), ("awaiting_account_admin", 1));
        daemon.assert_sound().await;
    }
}

#[tokio::test]
async fn a_deferred_request_whose_time_has_not_come_waits_on() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().quotas.program_links_per_month = Some(0);
    let link = daemon.link().await;
    daemon.settle().await;
    let copy = daemon.back_up().await;
    daemon.put_back(&copy, Way::Cp).await;
    daemon.run_for(days(2)).await;
    daemon.assert_story(&link, "requested initiating deferred").await;
    assert_eq!(daemon.sim.stats().wxamplink, 1);
}

#[tokio::test]
async fn what_was_cancelled_since_stays_so_where_the_replaced_database_tells_of_it() {
    let mut daemon = Daemon::start().await;
    daemon
        .engine()
        .store()
        .set_standing(&super::ACCOUNT.parse().unwrap(), suspended(), action::By::simulated(), MORNING)
        .await
        .unwrap();
    let (before, after) = (daemon.link().await, daemon.ask(to_link(&account(7), PROGRAM)).await);
    let copy = daemon.back_up().await;
    daemon.engine().recorder().by(action::By::simulated()).cancel(&before).await.unwrap();
    daemon.run_for(minutes(5)).await;
    daemon.engine().recorder().by(action::By::simulated()).cancel(&after).await.unwrap();

    let salvaged = daemon.put_back(&copy, Way::Restore).await;
    assert_eq!(salvaged.unwrap().cancelled, 2);
    daemon.run_for(hours(5)).await;

    for link in [&before, &after] {
        daemon.assert_story(link, "requested cancelled").await;
    }
    assert_eq!((daemon.invitations(), daemon.effects(Api::Link, &account(7))), (0, 1));
}

fn suspended() -> amplinkd::store::write::standing::Standing {
    amplinkd::store::write::standing::Standing::SuspendedByOperator
}

#[tokio::test]
async fn an_unlink_asks_the_administrator_once() {
    for (way, answers) in WAYS.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let mut daemon = Daemon::start().await;
        let link = daemon.link().await;
        daemon.run_for(hours(4)).await;
        if !answers {
            daemon.nobody_answers();
        }
        let unlink = daemon.unlink().await;
        let copy = daemon.back_up().await;
        daemon.run_for(hours(3)).await;

        daemon.put_back(&copy, way).await;
        daemon.run_for(hours(3)).await;

        let state = daemon.view(&unlink).await.state;
        assert_eq!(state, if answers { "unlinked" } else { "initiated" }, "{way:?}");
        assert_eq!(daemon.effects(Api::Unlink, super::ACCOUNT), 1, "{way:?}");
        assert_eq!(daemon.view(&link).await.state, if answers { "unlinked" } else { "linked" });
        daemon.assert_sound().await;
    }
}

#[tokio::test]
async fn a_request_that_was_never_called_is_called_once_the_list_had_its_time() {
    let mut daemon = Daemon::with(|settings| settings.policy.attempts = 1).await;
    let link = daemon.link().await;
    let copy = daemon.back_up().await;
    daemon.put_back(&copy, Way::Cp).await;
    daemon.run_for(minutes(9)).await;
    assert_eq!(daemon.sim.stats().wxamplink, 0);
    assert!(daemon.view(&link).await.outcome_unknown);

    daemon.run_for(hours(4)).await;

    daemon.assert_story(&link, &format!("requested initiating {}", super::FULL)).await;
    assert_eq!((daemon.invitations(), daemon.view(&link).await.attempt), (1, 1));
}

#[tokio::test]
async fn what_only_the_replaced_database_has_is_counted() {
    let mut daemon = Daemon::start().await;
    let copy = daemon.back_up().await;
    daemon.link().await;
    let salvaged = daemon.put_back(&copy, Way::Restore).await;
    assert_eq!(salvaged.unwrap().newer, 1);
}

#[tokio::test]
async fn a_restore_that_is_cut_short_is_done_again_by_the_next_start() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    let mut links: Vec<RequestId> = Vec::new();
    for number in 0..30 {
        links.push(daemon.ask(to_link(&account(number), PROGRAM)).await);
    }
    let copy = daemon.back_up().await;
    daemon.run_for(hours(1)).await;
    daemon.stop().await;
    std::fs::copy(&copy, daemon.database()).unwrap();
    // Everything is written but the end.
    daemon.sql("CREATE TRIGGER cut BEFORE DELETE ON copy BEGIN SELECT raise(ABORT, 'cut short'); END").await;
    let process = daemon.process.clone();
    let first = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        drop(runtime.block_on(process.boot()));
    });
    assert!(first.await.is_err(), "it was cut short");
    daemon.sql("DROP TRIGGER cut").await;

    daemon.boot().await;
    daemon.run_for(hours(2)).await;

    for (number, link) in links.iter().enumerate() {
        daemon.assert_story(link, "requested initiating awaiting_account_admin").await;
        assert_eq!(daemon.effects(Api::Link, &account(number)), 1);
    }
    // From now on it is no copy: a second start waits for nothing.
    daemon.restart().await;
    let late = daemon.ask(to_link(&account(0), OTHER_PROGRAM)).await;
    daemon.settle().await;
    assert_eq!(daemon.view(&late).await.state, "initiated");
}

#[tokio::test]
async fn under_a_running_daemon_nothing_is_put_back_and_nothing_changes() {
    let daemon = Daemon::start().await;
    let copy = daemon.back_up().await;
    let location = crate::place::location(daemon.database(), 0o640);
    let refused = Ready::make((location.path().unwrap(), 0o640), &copy, daemon.clock.now()).await;
    assert!(matches!(refused, Err(ReplaceError::Driven(_))), "{refused:?}");
    assert!(daemon.store().is_in_place());
}
