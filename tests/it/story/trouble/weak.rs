//! Answers that are 0 and hold no list: nobody knows whether an account without links is written so. They are enough for a
//! first call, and evidence of nothing else.

use amplinkd::sim::{Api, EmptyItems, FaultKind, Phase};

use super::super::{ACCOUNT, Daemon, FULL, OTHER_PROGRAM, PROGRAM, days, hours, minutes, to_link};

const FORMS: [EmptyItems; 4] =
    [EmptyItems::NoWxopens, EmptyItems::Absent, EmptyItems::WxopensArray, EmptyItems::WxopensNull];

impl Daemon {
    /// Why the account's list cannot be read, and when it was last read.
    async fn trouble(&self) -> (Option<String>, Option<i64>) {
        let mut connection = self.connection().await;
        sqlx::query_as("SELECT trouble, checked_at FROM account WHERE account = $1")
            .bind(ACCOUNT)
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn an_account_without_links_may_write_its_list_as_it_likes() {
    for form in FORMS {
        let mut daemon = Daemon::start().await;
        daemon.sim.world().switches.empty_items = form;
        let link = daemon.link().await;
        let other = daemon.ask(to_link(ACCOUNT, OTHER_PROGRAM)).await;
        daemon.settle().await;
        assert_eq!(daemon.trouble().await, (None, None), "{form:?}: nothing was read, and nobody minds");
        daemon.run_for(hours(4)).await;

        daemon.assert_story(&link, FULL).await;
        daemon.assert_story(&other, FULL).await;
        assert_eq!((daemon.invitations(), daemon.sim.stats().wxamplink), (1, 2), "{form:?}");
        assert!(matches!(daemon.trouble().await, (None, Some(_))), "{form:?}");
    }
}

#[tokio::test]
async fn after_the_first_call_such_an_answer_is_no_evidence() {
    for form in FORMS {
        let mut daemon = Daemon::start().await;
        daemon.sim.world().switches.empty_items = form;
        daemon.sim.world().faults.next(Some(Api::Link), FaultKind::BusyBefore);
        let link = daemon.link().await;
        daemon.run_for(days(3)).await;

        daemon.assert_story(&link, "requested initiating").await;
        assert_eq!(daemon.sim.stats().wxamplink, 1, "{form:?}");
        assert_eq!(daemon.trouble().await, (Some("unreadable".to_owned()), None), "{form:?}");
        assert!(daemon.account(ACCOUNT).await.last_error.unwrap().contains("without a list"));
        let polls = daemon.sim.stats().wxamplinkget;
        assert!(polls < 400, "{form:?}: {polls} polls in three days, it backs off");

        daemon.sim.world().switches.empty_items = EmptyItems::Array;
        daemon.run_for(hours(5)).await;
        daemon.assert_story(&link, &format!("requested initiating {FULL}")).await;
        assert_eq!((daemon.invitations(), daemon.trouble().await.0), (1, None), "{form:?}");
    }
}

#[tokio::test]
async fn such_an_answer_ends_nothing_and_calls_nothing_where_something_was_listed() {
    for form in FORMS {
        let mut daemon = Daemon::start().await;
        daemon.nobody_answers();
        let link = daemon.link().await;
        daemon.run_for(minutes(5)).await;
        let before = daemon.story(&link).await;
        assert!(before.ends_with("awaiting_account_admin"), "{before}");
        let read_at = daemon.trouble().await.1;

        let now = daemon.sim.now();
        daemon.sim.world().switches.empty_items = form;
        daemon.sim.world().remove(ACCOUNT, PROGRAM, now).unwrap();
        let other = daemon.ask(to_link(ACCOUNT, OTHER_PROGRAM)).await;
        daemon.run_for(days(2)).await;

        daemon.assert_story(&link, &before).await;
        daemon.assert_story(&other, "requested").await;
        let (trouble, last) = daemon.trouble().await;
        assert_eq!(trouble.as_deref(), Some("unreadable"), "{form:?}");
        assert!(last <= read_at.map(|at| at + 600_000), "{form:?}: no list was read since: {read_at:?} {last:?}");

        daemon.sim.world().switches.empty_items = EmptyItems::Array;
        daemon.run_for(hours(2)).await;
        daemon.assert_story(&link, &format!("{before} lapsed")).await;
        assert!(daemon.story(&other).await.ends_with("awaiting_account_admin"));
    }
}

#[tokio::test]
async fn an_unlink_waits_for_a_list() {
    for form in FORMS {
        let mut daemon = Daemon::start().await;
        daemon.sim.world().switches.empty_items = form;
        let unlink = daemon.unlink().await;
        daemon.run_for(hours(5)).await;
        daemon.assert_story(&unlink, "requested").await;
        assert_eq!(daemon.trouble().await.0.as_deref(), Some("unreadable"), "{form:?}");

        let now = daemon.sim.now();
        daemon.sim.world().place(ACCOUNT, PROGRAM, Phase::Linked, now).unwrap();
        daemon.run_for(hours(3)).await;
        let story = daemon.story(&unlink).await;
        assert!(story.starts_with("requested initiating initiated"), "{form:?}: {story}");
    }
}

/// What was there before is told by the code of the first call, which is why that call is safe.
#[tokio::test]
async fn a_first_call_on_such_an_answer_finds_what_was_there() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    let now = daemon.sim.now();
    daemon.sim.world().place(ACCOUNT, PROGRAM, Phase::Linked, now).unwrap();
    daemon.sim.world().switches.empty_items = EmptyItems::Absent;
    daemon.sim.world().faults.next(Some(Api::Listing), FaultKind::EmptyList);
    let link = daemon.link().await;
    daemon.run_for(minutes(5)).await;

    daemon.assert_story(&link, "requested initiating linked").await;
    let conflict = daemon.conflicts(&link).await.remove(0);
    assert_eq!((conflict.errcode, conflict.resolution.as_deref()), (Some(89_015), Some("linked")));
}
