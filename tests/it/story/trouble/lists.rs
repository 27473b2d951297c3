//! Lists that say nothing: an unreadable answer ends and moves no request. And the mirror of those that say something.

use std::collections::BTreeMap;

use amplinkd::sim::{By, FaultKind, Phase};

use super::super::{ACCOUNT, Daemon, FULL, PROGRAM, days, hours, minutes, to_link};

const UNREADABLE: [FaultKind; 5] =
    [FaultKind::HtmlPage, FaultKind::EmptyBody, FaultKind::TruncatedJson, FaultKind::BadGateway, FaultKind::LostAnswer];

fn nothing_but(faults: &[FaultKind]) -> BTreeMap<FaultKind, f64> {
    faults.iter().map(|fault| (*fault, 1.0)).collect()
}

#[tokio::test]
async fn an_unreadable_list_ends_and_moves_nothing() {
    for (place, fault) in UNREADABLE.into_iter().enumerate() {
        // How long it lasts makes no difference to what is unreadable: one of them lasts.
        let span = if place == 0 { 3 } else { 1 };
        let mut daemon = Daemon::start().await;
        daemon.nobody_answers();
        let link = daemon.link().await;
        daemon.run_for(minutes(2)).await;
        let before = daemon.story(&link).await;
        let now = daemon.sim.now();
        daemon.sim.world().remove(ACCOUNT, PROGRAM, now).unwrap();
        daemon.sim.world().place(ACCOUNT, PROGRAM, Phase::AwaitingProgramAdmin, now).unwrap();
        daemon.sim.world().faults.rates = nothing_but(&[fault]);

        daemon.run_for(days(span)).await;

        daemon.assert_story(&link, &before).await;
        let account = daemon.account(ACCOUNT).await;
        assert!(account.failures > 9 && account.last_error.is_some(), "{fault:?}: {account:?}");
        let polls = daemon.sim.stats().wxamplinkget;
        assert!(polls < 130 * span, "{fault:?}: {polls} polls in {span} days, it backs off");

        daemon.sim.world().faults.rates = BTreeMap::new();
        daemon.run_for(hours(1)).await;
        daemon.assert_story(&link, &format!("{before} awaiting_program_admin")).await;
        assert_eq!(daemon.account(ACCOUNT).await.failures, 0);
    }
}

#[tokio::test]
async fn an_answer_that_is_no_list_is_told_apart_from_no_answer_of_wechats() {
    let unreadable = [FaultKind::HtmlPage, FaultKind::EmptyBody, FaultKind::TruncatedJson];
    let unreachable = [FaultKind::BadGateway, FaultKind::LostAnswer, FaultKind::ResetBefore];
    for (faults, trouble) in [(unreadable, "unreadable"), (unreachable, "unreachable")] {
        for fault in faults {
            let mut daemon = Daemon::start().await;
            daemon.sim.world().faults.rates = nothing_but(&[fault]);
            daemon.link().await;
            daemon.settle().await;
            let mut connection = daemon.connection().await;
            let said: Option<String> =
                sqlx::query_scalar("SELECT trouble FROM v_account").fetch_one(&mut connection).await.unwrap();
            assert_eq!(said.as_deref(), Some(trouble), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn nothing_is_called_before_a_list_was_read() {
    for fault in UNREADABLE {
        let mut daemon = Daemon::start().await;
        daemon.sim.world().faults.rates = nothing_but(&[fault]);
        let link = daemon.link().await;
        daemon.run_for(hours(6)).await;

        daemon.assert_story(&link, "requested").await;
        assert_eq!(daemon.sim.stats().wxamplink, 0, "{fault:?}");
    }
}

#[tokio::test]
async fn a_list_that_fails_between_two_absences_does_not_confirm_them() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    let link = daemon.link().await;
    daemon.run_for(hours(1)).await;
    let now = daemon.sim.now();
    daemon.sim.world().show_status(ACCOUNT, PROGRAM, Some(2), now).unwrap();
    daemon.run_for(hours(1)).await;
    let before = daemon.story(&link).await;
    assert!(before.ends_with("awaiting_program_admin"));

    // One list shows it gone, the rest cannot be read.
    daemon.sim.world().remove(ACCOUNT, PROGRAM, now).unwrap();
    while daemon.request(&link).await.memory.doubt.is_none() {
        daemon.run_for(std::time::Duration::from_secs(10)).await;
    }
    daemon.sim.world().faults.rates = nothing_but(&[FaultKind::TruncatedJson]);
    daemon.run_for(days(2)).await;

    daemon.assert_story(&link, &before).await;
}

/// FAULTS 12: the administrators agree while the list cannot be read, and meanwhile a deadline passes.
#[tokio::test]
async fn a_deadline_that_passes_in_an_outage_lets_the_next_list_speak_first() {
    for outage in [hours(2), hours(20)] {
        let mut daemon = Daemon::with(|settings| settings.policy.deadline = Some(hours(6))).await;
        daemon.nobody_answers();
        let link = daemon.link().await;
        daemon.run_for(hours(5)).await;
        daemon.sim.world().faults.rates = nothing_but(&[FaultKind::BadGateway]);
        for by in [By::AccountAdmin, By::ProgramAdmin] {
            let now = daemon.sim.now();
            daemon.sim.world().approve(ACCOUNT, PROGRAM, by, now).unwrap();
        }
        daemon.run_for(hours(1) + outage).await;
        daemon.assert_story(&link, "requested initiating initiated awaiting_account_admin").await;

        daemon.sim.world().faults.rates = BTreeMap::new();
        daemon.run_for(hours(1)).await;
        daemon.assert_story(&link, "requested initiating initiated awaiting_account_admin linked").await;
    }
}

#[tokio::test]
async fn a_deadline_ends_a_request_after_a_day_without_a_list() {
    let mut daemon = Daemon::with(|settings| settings.policy.deadline = Some(hours(6))).await;
    daemon.nobody_answers();
    let link = daemon.link().await;
    daemon.run_for(hours(5)).await;
    daemon.sim.world().faults.rates = nothing_but(&[FaultKind::HtmlPage]);
    daemon.run_for(hours(24)).await;
    daemon.assert_story(&link, "requested initiating initiated awaiting_account_admin").await;

    daemon.run_for(hours(3)).await;

    daemon.assert_story(&link, "requested initiating initiated awaiting_account_admin lapsed").await;
}

#[tokio::test]
async fn a_very_bad_day_ends_as_a_good_one() {
    for seed in 1..=3 {
        let mut daemon = Daemon::start().await;
        daemon.sim.world().seed = seed;
        let mut faults = amplinkd::sim::Faults::nasty();
        faults.slow_for = amplinkd::sim::Span::millis(1);
        daemon.sim.world().faults = faults;
        let mut links = Vec::new();
        for number in 1..=10 {
            links.push(daemon.ask(to_link(ACCOUNT, &format!("wxbbbb{number:012}"))).await);
        }
        daemon.run_for(days(4)).await;

        for (number, link) in (1..=10).zip(&links) {
            let view = daemon.view(link).await;
            let sent = daemon.sim.world().invitations(ACCOUNT, &format!("wxbbbb{number:012}"));
            assert!(i64::try_from(sent).unwrap() <= view.attempt.max(1), "{sent} invitations: {view:?}");
            assert_eq!(view.state, "linked", "seed {seed}: {}", daemon.story(link).await);
        }
        daemon.assert_sound().await;
    }
}

#[tokio::test]
async fn the_mirror_knows_when_a_program_was_first_seen_and_when_it_was_gone() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    let link = daemon.link().await;
    daemon.run_for(minutes(3)).await;
    let mirrored = async |daemon: &Daemon| daemon.store().program_views(Some(ACCOUNT), None, 9).await.unwrap();
    let first = mirrored(&daemon).await.remove(0);
    assert_eq!((first.program.as_deref(), first.status), (Some(PROGRAM), 12));
    assert_eq!((first.gone_at.as_deref(), first.nickname.is_some()), (None, true));

    let now = daemon.sim.now();
    daemon.sim.world().remove(ACCOUNT, PROGRAM, now).unwrap();
    daemon.run_for(minutes(30)).await;
    daemon.assert_story(&link, "requested initiating initiated awaiting_account_admin lapsed").await;
    let gone = mirrored(&daemon).await.remove(0);
    assert_eq!(gone.first_seen_at, first.first_seen_at);
    assert!(gone.gone_at.is_some());
    assert_eq!(gone.last_seen_at, gone.gone_at.clone().unwrap());

    daemon.link().await;
    daemon.run_for(minutes(30)).await;
    let back = mirrored(&daemon).await.remove(0);
    assert_eq!((back.gone_at.as_deref(), back.first_seen_at), (None, first.first_seen_at));
    assert!(back.status_since > gone.gone_at.unwrap());
}

#[tokio::test]
async fn two_requests_beside_each_other_take_their_own_ways() {
    let mut daemon = Daemon::start().await;
    let first = daemon.link().await;
    daemon.run_for(minutes(90)).await;
    let second = daemon.ask(to_link(ACCOUNT, super::super::OTHER_PROGRAM)).await;
    daemon.run_for(hours(4)).await;
    daemon.assert_story(&first, FULL).await;
    daemon.assert_story(&second, FULL).await;
}
