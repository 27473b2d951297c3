//! Copies that are put back, for any life a request has led: nothing is called that may have been called since, and no
//! request ends because of it.

use std::time::Duration;

use amplinkd::domain::{
    decide::decide,
    listing::Status,
    observation::{Observation as O, RestoredFate},
    plan::{Action, next_action},
    policy::Policy,
    request::{Baseline, Failure, Outcome, Request, State},
    time::Time,
};
use proptest::prelude::*;

use super::{
    START, after, link, minutes, unlink,
    walk::{Teller, lives},
};

fn restored(since: RestoredFate) -> O {
    O::Restored { since, baseline: Baseline::Clear }
}

fn next(request: &Request, seen: &O, now: Time) -> Request {
    decide(request, seen, &Policy::default(), now).next
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_called_before_the_list_had_its_time(
        life in lives(Teller::Lawful), listings in prop::collection::vec(0_usize..2, 1..20),
    ) {
        let policy = Policy { appear_within: life.policy.appear_within.max(minutes(1)), deadline: None, ..life.policy };
        let mut request = decide(&life.request, &restored(RestoredFate::Unknown), &policy, life.now).next;
        let pause = policy.appear_within / 21;
        for (number, which) in (1_u32..).zip(listings) {
            let now = life.now + pause * number;
            let seen = [O::Absent, O::Listed(Status::Other(7))][which].clone();
            request = decide(&request, &seen, &policy, now).next;
            let step = next_action(&request, &policy, now).map(|step| step.action);
            let early = matches!(life.request.state, State::Deferred(until) if until > life.now);
            prop_assert!(early || step != Some(Action::Call), "{request:?}");
        }
    }

    #[test]
    fn told_twice_it_is_as_if_told_once(life in lives(Teller::Lawful), since in 0_usize..4, wait in 0_u64..90) {
        let since = [RestoredFate::Unknown, RestoredFate::Called, RestoredFate::Taken, RestoredFate::Cancelled][since];
        let once = decide(&life.request, &restored(since), &life.policy, life.now).next;
        let later = life.now + Duration::from_secs(wait);
        let twice = decide(&once, &restored(since), &life.policy, later).next;
        let due_meanwhile = matches!(once.state, State::Deferred(until) if until > life.now && until <= later);
        if !due_meanwhile {
            prop_assert_eq!((once.state, once.attempt, once.memory), (twice.state, twice.attempt, twice.memory));
        }
    }

    #[test]
    fn no_request_ends_because_a_copy_was_put_back(life in lives(Teller::Lawful)) {
        let after = decide(&life.request, &restored(RestoredFate::Unknown), &life.policy, life.now).next;
        prop_assert_eq!(after.is_open(), life.request.is_open());
        prop_assert!(after.attempt <= life.policy.attempts);
    }
}

#[test]
fn a_call_that_was_perhaps_never_made_costs_no_attempt_once_the_list_is_believed() {
    for (new, listed) in [(link(), O::Absent), (unlink(), O::Listed(Status::Linked))] {
        let policy = Policy { attempts: 1, ..Policy::default() };
        let perhaps = after(new, &[(0, restored(RestoredFate::Unknown))], &policy);
        assert_eq!((perhaps.state, perhaps.attempt), (State::Initiating(Outcome::Restored), 1));
        let believed = after(perhaps, &[(11, listed.clone()), (12, listed)], &policy);
        assert_eq!((believed.state, believed.attempt), (State::Requested, 0));
    }
}

#[test]
fn a_call_that_was_made_counts() {
    let policy = Policy { attempts: 1, ..Policy::default() };
    let seen = [(0, restored(RestoredFate::Called)), (11, O::Absent), (12, O::Absent)];
    assert_eq!(after(link(), &seen, &policy).state, State::Failed(Failure::Attempts));
}

#[test]
fn what_wechat_took_is_never_called_again() {
    let taken = after(link(), &[(0, restored(RestoredFate::Taken))], &Policy::default());
    assert_eq!(taken.state, State::Initiated);
    let gone = [(11, O::Absent), (12, O::Absent)];
    assert_eq!(after(taken, &gone, &Policy::default()).state, State::Lapsed);
}

#[test]
fn a_rejection_that_the_copy_does_not_know_answers_our_call_and_a_known_one_does_not() {
    for (baseline, state) in
        [(Baseline::Clear, State::Rejected), (Baseline::Rejected, State::Initiating(Outcome::Restored))]
    {
        let perhaps = next(&link(), &O::Restored { since: RestoredFate::Unknown, baseline }, START);
        assert_eq!(next(&perhaps, &O::Listed(Status::Rejected), START + minutes(1)).state, state);
    }
}

#[test]
fn a_doubt_from_before_is_forgotten() {
    let listed =
        [(0, O::Absent), (0, O::CallStarted), (0, O::CallAccepted), (1, O::Listed(Status::AwaitingAccountAdmin))];
    let doubted = after(link(), &[&listed[..], &[(2, O::Absent)]].concat(), &Policy::default());
    assert!(doubted.memory.doubt.is_some());
    let later = after(doubted, &[(900, restored(RestoredFate::Unknown)), (901, O::Absent)], &Policy::default());
    assert_eq!(later.state, State::AwaitingAccountAdmin, "one listing alone");
}
