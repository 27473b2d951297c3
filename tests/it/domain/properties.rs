//! What holds for every life of a request.

use std::{collections::BTreeSet, time::Duration};

use amplinkd::domain::{
    decide::{Verdict, decide, verdict},
    listing::Status,
    observation::{Observation, ResetBy},
    pace::{Pace, Stretch},
    plan::{Action, next_action, plan_account, reread_at},
    policy::{LOOK_EVERY_MAX, Policy},
    quota::{GRACE_MAX, PROBE_EVERY, Period, SPREAD},
    request::{Failure, State},
    time::Time,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::{
    refused,
    walk::{Teller, is_readable, listings, lives, observations, statuses, waits},
};

fn unstretched(policy: &Policy) -> Pace<'_> {
    Pace { policy, stretch: Stretch::NONE }
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() }
}

/// A guard for all the others: a property over lives that go nowhere would hold of anything.
#[test]
fn lives_lead_into_every_state() {
    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeSet::new();
    for _ in 0..2_000 {
        let life = lives(Teller::Lawful).new_tree(&mut runner).expect("a life").current();
        reached.extend(life.story.iter().map(|word| (life.request.kind.as_str(), *word)));
    }
    let links = [
        "requested",
        "initiating",
        "initiated",
        "awaiting_account_admin",
        "awaiting_program_admin",
        "deferred",
        "linked",
        "rejected",
        "failed",
        "lapsed",
        "cancelled",
        "unlinked",
    ];
    let unlinks = ["requested", "initiating", "initiated", "deferred", "failed", "lapsed", "cancelled", "unlinked"];
    let all = links.map(|word| ("link", word)).into_iter().chain(unlinks.map(|word| ("unlink", word))).collect();
    assert_eq!(reached, all);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_finished_request_never_moves_but_from_linked_to_unlinked(
        life in lives(Teller::Wild), seen in observations(), wait in waits(),
    ) {
        let before = &life.request;
        let decision = decide(before, &seen, &life.policy, life.now + wait);
        if !before.is_open() && decision.moves(before) {
            prop_assert_eq!((before.state, decision.next.state), (State::Linked, State::Unlinked));
        }
        if !before.is_open() && before.state != State::Linked {
            prop_assert!(decision.conflict.is_none() && decision.settles.is_none());
        }
    }

    #[test]
    fn the_same_observation_told_twice_changes_nothing_the_second_time(
        life in lives(Teller::Wild), seen in observations(), wait in waits(),
    ) {
        let now = life.now + wait;
        let once = decide(&life.request, &seen, &life.policy, now).next;
        let twice = decide(&once, &seen, &life.policy, now);
        prop_assert!(!twice.changes(&once), "{once:#?}\nbecame\n{twice:#?}");
    }

    #[test]
    fn every_open_request_has_a_next_step_with_a_time(life in lives(Teller::Wild), wait in waits()) {
        let now = life.now + wait;
        let step = next_action(&life.request, &life.policy, now);
        if let Some(step) = step {
            prop_assert!(step.due >= now);
            let far = step.due > now + LOOK_EVERY_MAX;
            prop_assert!(!far || matches!(life.request.state, State::Deferred(_)), "{step:?}");
        }
        prop_assert!(step.is_some() || !life.request.is_open());
        let waits_for_confirmation = life.request.state == State::Linked;
        prop_assert!(step.is_none() || life.request.is_open() || waits_for_confirmation);
    }

    #[test]
    fn an_account_is_due_when_its_first_request_is(family in prop::collection::vec(lives(Teller::Lawful), 0..4)) {
        let policy = Policy::default();
        let now = family.iter().map(|life| life.now).max().unwrap_or_default();
        let requests: Vec<_> = family.into_iter().map(|life| life.request).collect();
        let first = requests.iter().filter_map(|request| next_action(request, &policy, now)).map(|step| step.due).min();
        let plan = plan_account(&requests, unstretched(&policy), None, now);
        prop_assert_eq!(plan.due, first);
        prop_assert!(plan.due.is_some() || !requests.iter().any(amplinkd::domain::request::Request::is_open));
        for request in &requests {
            if let Some(at) = reread_at(request, &policy, now) {
                prop_assert!(plan.reread_at.is_some_and(|of_all| of_all <= at));
            }
        }
    }

    #[test]
    fn unreadable_answers_are_evidence_of_nothing(
        life in lives(Teller::Wild), pauses in prop::collection::vec(waits(), 1..20),
    ) {
        let mut after = life.clone();
        for wait in pauses {
            after.now = after.now + wait;
            after.learn(Observation::Unreadable);
        }
        after.request.looked_at = life.request.looked_at;
        prop_assert_eq!(after.request, life.request);
    }

    /// Whoever reads the listings believes them after a time, and says then that it is absent.
    #[test]
    fn listings_that_lost_everything_end_nothing_however_many_there_are(
        life in lives(Teller::Wild), pauses in prop::collection::vec(waits(), 1..20),
    ) {
        let mut after = life.clone();
        for wait in pauses {
            after.now = after.now + wait;
            after.learn(Observation::AbsentWithAll);
            let again = next_action(&after.request, &after.policy, after.now).map(|step| step.action);
            prop_assert!(again != Some(Action::Call) || life.request.attempt == 0, "{:?}", after.request);
        }
        prop_assert_eq!((after.request.state, after.request.attempt), (life.request.state, life.request.attempt));
    }

    /// What came back is believed at once, and what stays away needs its two listings all the same.
    #[test]
    fn a_loss_that_was_partial_after_all_is_confirmed_as_any_other(life in lives(Teller::Wild), wait in waits()) {
        let held = decide(&life.request, &Observation::AbsentWithAll, &life.policy, life.now + wait).next;
        let once = decide(&held, &Observation::Absent, &life.policy, life.now + wait + wait).next;
        prop_assert_eq!(once.state, life.request.state);
    }

    #[test]
    fn weak_answers_are_evidence_of_nothing(
        life in lives(Teller::Wild), pauses in prop::collection::vec(waits(), 1..20),
    ) {
        let mut after = life.clone();
        for wait in pauses {
            after.now = after.now + wait;
            after.learn(Observation::Weak);
            let called = after.request.looked_at.is_some();
            let is_first = life.request.state == State::Requested && life.request.attempt == 0 && life.request.is_link();
            prop_assert_eq!(called, is_first, "{:?}", after.request);
        }
        after.request.looked_at = life.request.looked_at;
        // What was listed before a first call nobody has seen.
        if life.request.attempt == 0 {
            after.request.memory.baseline = life.request.memory.baseline;
        }
        prop_assert_eq!(after.request, life.request);
    }

    #[test]
    fn one_listing_alone_takes_nothing_back(life in lives(Teller::Wild), wait in waits()) {
        let now = life.now + wait;
        let mut request = life.request;
        request.memory.doubt = None;
        for seen in [Observation::Absent, Observation::AbsentAsAsked, Observation::AbsentBesideOld] {
            let verdict = verdict(&request, &seen, &life.policy, now);
            prop_assert!(matches!(verdict, Verdict::Stay | Verdict::PendingConfirmation(_)), "{verdict:?}");
        }
        let backward: &[Status] = match request.state {
            State::AwaitingProgramAdmin => &[Status::AwaitingAccountAdmin],
            State::Linked => &[Status::AwaitingAccountAdmin, Status::AwaitingProgramAdmin, Status::Rejected],
            _ => &[],
        };
        for status in backward {
            let once = decide(&request, &Observation::Listed(*status), &life.policy, now).next;
            prop_assert_eq!(once.state, request.state);
            let told_again = decide(&once, &Observation::Listed(*status), &life.policy, now).next;
            prop_assert_eq!(told_again.state, request.state);
        }
    }

    #[test]
    fn a_readable_listing_that_says_otherwise_ends_a_doubt(life in lives(Teller::Wild), wait in waits()) {
        let seen = Observation::Listed(Status::Other(77));
        prop_assert!(decide(&life.request, &seen, &life.policy, life.now + wait).next.memory.doubt.is_none());
    }

    #[test]
    fn attempts_stay_within_the_policy_and_each_stands_for_one_call(life in lives(Teller::Wild)) {
        prop_assert!(life.request.attempt <= life.policy.attempts);
        prop_assert!(life.request.attempt <= life.calls, "{} attempts, {} calls", life.request.attempt, life.calls);
    }

    #[test]
    fn a_call_is_made_only_right_after_a_listing(life in lives(Teller::Lawful), wait in waits()) {
        for now in [life.now, life.now + wait, life.now - wait] {
            if next_action(&life.request, &life.policy, now).is_some_and(|step| step.action == Action::Call) {
                prop_assert_eq!(life.request.state, State::Requested);
                let Some((seen, at)) = &life.last else { panic!("called without a look") };
                let is_first = life.request.attempt == 0 && life.request.is_link();
                prop_assert!(is_readable(seen) || (is_first && *seen == Observation::Weak), "{seen:?}");
                prop_assert!(now >= *at && now.since(*at) < Duration::from_mins(1));
            }
        }
    }

    #[test]
    fn without_a_deadline_nothing_expires(mut life in lives(Teller::Wild), wait in waits()) {
        life.policy.deadline = None;
        life.now = life.now + wait;
        let step = next_action(&life.request, &life.policy, life.now);
        prop_assert!(step.is_none_or(|step| step.action != Action::Expire));
        let before = life.request.state;
        life.learn(Observation::DeadlinePassed);
        prop_assert_eq!(life.request.state, before);
    }

    #[test]
    fn with_a_deadline_every_open_request_comes_to_its_end(life in lives(Teller::Lawful)) {
        let Some(deadline) = life.policy.deadline else { return Ok(()) };
        let now = (life.request.requested_at + deadline).max(life.now);
        if life.request.is_open() {
            let step = next_action(&life.request, &life.policy, now);
            prop_assert_eq!(step.map(|step| (step.action, step.due)), Some((Action::Expire, now)));
            let end = decide(&life.request, &Observation::DeadlinePassed, &life.policy, now).next.state;
            prop_assert!(matches!(end, State::Lapsed | State::Failed(Failure::Deadline)));
        }
    }

    #[test]
    fn no_clock_and_no_number_makes_it_panic(
        life in lives(Teller::Wild), seen in observations(), status in statuses(), ms in any::<i64>(), far in 0..4_u8,
    ) {
        let now = Time::from_ms([ms, i64::MAX, i64::MIN, 0][usize::from(far)]);
        for seen in [seen, Observation::Listed(status), refused(89_007)] {
            for mut request in [life.request.clone(), super::link()] {
                request.state = if far == 1 { State::Initiating(amplinkd::domain::request::Outcome::Pending) } else { request.state };
                let next = decide(&request, &seen, &life.policy, now).next;
                let planned = plan_account([&next], unstretched(&life.policy), None, now);
                prop_assert!(planned.due.is_some() || !next.is_open());
            }
        }
        prop_assert!(now.next_beijing_day() >= now || now.ms() > i64::MAX - 86_400_000);
        prop_assert!(!now.to_string().is_empty());
    }

    #[test]
    fn a_monthly_quota_defers_into_the_next_beijing_month_or_while_one_rolls_by_half_an_hour(
        mut life in lives(Teller::Lawful), wait in waits(), code in prop::sample::select(vec![89_007, 89_016, 89_017, 89_030]),
    ) {
        life.now = life.now + wait;
        life.learn(Observation::Absent);
        life.learn(Observation::CallStarted);
        let called = matches!(life.request.state, State::Initiating(_));
        life.learn(refused(code));
        if !called { return Ok(()) }
        let State::Deferred(until) = life.request.state else { panic!("{:?}", life.request.state) };
        if Period::Month.is_early(life.now) {
            prop_assert_eq!((months(until), until), (months(life.now), life.now + PROBE_EVERY));
        } else {
            prop_assert_eq!(months(until), months(life.now) + 1);
            let into_it = until.since(until.this_beijing_month());
            let grace = life.policy.rollover_grace;
            prop_assert!(grace <= GRACE_MAX && into_it >= grace && into_it < grace + SPREAD, "{until}");
        }
        life.now = until - Duration::from_millis(1);
        life.learn(Observation::QuotaReset { by: ResetBy::Calendar });
        prop_assert_eq!(life.request.state, State::Deferred(until));
        life.now = until;
        life.learn(Observation::QuotaReset { by: ResetBy::Calendar });
        prop_assert_eq!(life.request.state, State::Requested);
    }

    #[test]
    fn no_conflict_outlives_its_request(life in lives(Teller::Lawful)) {
        let awaits_the_list = life.request.state == State::Linked && life.request.memory.seen != Some(Status::Linked);
        if !life.request.is_open() && !awaits_the_list {
            prop_assert!(life.conflicts.is_empty(), "{:?}", life.conflicts);
        }
    }

    /// A call is never repeated on top of one that WeChat may have taken: between two calls lies an answer that it had
    /// no effect, or the list showed twice that it left no trace.
    #[test]
    fn a_call_whose_answer_was_lost_is_not_repeated_while_it_may_still_appear(
        mut life in lives(Teller::Lawful), seen in prop::collection::vec(listings(), 1..20),
    ) {
        life.learn(Observation::Absent);
        life.learn(Observation::CallStarted);
        if !matches!(life.request.state, State::Initiating(_)) { return Ok(()) }
        life.learn(Observation::CallLost);
        let called_at = life.request.called_at.unwrap_or(life.now);
        if life.now.since(called_at) >= life.policy.appear_within { return Ok(()) }
        let pause = life.policy.appear_within / 20;
        for listing in seen {
            life.now = (life.now + pause).min(called_at + life.policy.appear_within - Duration::from_millis(1));
            life.learn(listing);
            prop_assert_ne!(life.request.state, State::Requested);
        }
    }
}

/// Months of the Beijing calendar since year 0, by another calendar than the one under test.
fn months(at: Time) -> i32 {
    let moment = jiff::Timestamp::from_millisecond(at.ms()).expect("within the calendar");
    let day = moment.in_tz("Asia/Shanghai").expect("a bundled zone").date();
    i32::from(day.year()) * 12 + i32::from(day.month())
}
