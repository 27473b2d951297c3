//! Histories: the moves they can hold are the moves that decisions make, no more and no fewer, and every life can be
//! replayed from them.

use std::collections::BTreeSet;

use amplinkd::domain::{
    decide::decide,
    errcode,
    history::{Hash, Identity, Replay, Step, is_possible},
    listing::Status,
    observation::{Observation as O, ResetBy, RestoredFate},
    policy::Policy,
    request::{Baseline, Failure, ListingMemory, Outcome, PendingConfirmation, Request, Sighting, State},
    time::Time,
};
use proptest::prelude::*;

use super::{START, link, minutes, refusal, refused, unlink, walk};

const KINDS: [&str; 2] = ["link", "unlink"];
const CAUSES: [&str; 8] = ["accepted", "listing", "call", "answer", "quota", "deadline", "operator", "restore"];

const STATUSES: [Status; 5] =
    [Status::Linked, Status::AwaitingProgramAdmin, Status::Rejected, Status::AwaitingAccountAdmin, Status::Other(9)];

fn states() -> Vec<State> {
    let outcomes = [Outcome::Pending, Outcome::Unknown, Outcome::Restored].map(State::Initiating);
    let failures = [Failure::Refused, Failure::OurBug, Failure::Attempts, Failure::Deadline].map(State::Failed);
    let others = [
        State::Requested,
        State::Initiated,
        State::AwaitingAccountAdmin,
        State::AwaitingProgramAdmin,
        State::Deferred(START),
        State::Deferred(START + minutes(60)),
        State::Linked,
        State::Rejected,
        State::Lapsed,
        State::Cancelled,
        State::Unlinked,
    ];
    others.into_iter().chain(outcomes).chain(failures).collect()
}

fn observations() -> Vec<O> {
    let restored = [RestoredFate::Unknown, RestoredFate::Called, RestoredFate::Taken, RestoredFate::Cancelled]
        .map(|since| O::Restored { since, baseline: Baseline::Clear });
    let others = [
        O::Absent,
        O::AbsentAsAsked,
        O::Unidentified,
        O::Unreadable,
        O::CallStarted,
        O::CallAccepted,
        O::CallLost,
        O::CallNotSent,
        O::HeldBack { until: START + minutes(60), refusal: refusal(89_007) },
        O::QuotaReset { by: ResetBy::Calendar },
        O::QuotaReset { by: ResetBy::Operator },
        O::DeadlinePassed,
        O::CancelAsked,
    ];
    let codes = errcode::TABLE.iter().map(|row| row.code).chain([0, -1, 77]).map(refused);
    STATUSES.map(O::Listed).into_iter().chain(restored).chain(others).chain(codes).collect()
}

fn memories(now: Time) -> Vec<ListingMemory> {
    let sightings = STATUSES.map(Sighting::Listed).into_iter().chain([Sighting::Absent]);
    let doubts: Vec<Option<PendingConfirmation>> =
        sightings.map(|sighting| Some(PendingConfirmation { sighting, at: now - minutes(1) })).chain([None]).collect();
    let mut memories = Vec::new();
    for baseline in [Baseline::Clear, Baseline::Rejected] {
        for seen in STATUSES.map(Some).into_iter().chain([None]) {
            memories.extend(doubts.iter().map(|doubt| ListingMemory { seen, baseline, doubt: *doubt }));
        }
    }
    memories
}

/// Every move that any decision makes, of requests that can be.
fn moves_made() -> BTreeSet<(&'static str, &'static str, &'static str, &'static str)> {
    let policy = Policy { deadline: Some(minutes(1)), ..Policy::default() };
    let mut moves = BTreeSet::new();
    let of_links_alone = |state: State| {
        matches!(state, State::AwaitingAccountAdmin | State::AwaitingProgramAdmin | State::Linked | State::Rejected)
    };
    for new in [link(), unlink()] {
        let states: Vec<State> =
            states().into_iter().filter(|state| new.is_link() || !of_links_alone(*state)).collect();
        for now in [START + minutes(2), START + minutes(30)] {
            for (state, memory) in states.iter().flat_map(|state| memories(now).into_iter().map(move |m| (state, m))) {
                for (attempt, seen) in [0, 3].into_iter().flat_map(|n| observations().into_iter().map(move |o| (n, o)))
                {
                    let called_at = (attempt > 0).then_some(START);
                    let request = Request { state: *state, memory, attempt, called_at, ..new.clone() };
                    let decision = decide(&request, &seen, &policy, now);
                    if decision.moves(&request) {
                        let (from, to) = (state.as_str(), decision.next.state.as_str());
                        moves.insert((new.kind.as_str(), from, seen.cause().as_str(), to));
                    }
                }
            }
        }
    }
    moves
}

#[test]
fn a_history_can_hold_every_move_that_is_decided_and_no_other() {
    let words: BTreeSet<&str> = states().into_iter().map(State::as_str).collect();
    let mut held = BTreeSet::new();
    for (kind, cause) in KINDS.into_iter().flat_map(|kind| CAUSES.map(|cause| (kind, cause))) {
        for (from, to) in words.iter().flat_map(|from| words.iter().map(move |to| (*from, *to))) {
            if is_possible(kind, from, cause, to) {
                held.insert((kind, from, cause, to));
            }
        }
    }
    let made = moves_made();
    let missing: Vec<_> = made.difference(&held).collect();
    let invented: Vec<_> = held.difference(&made).collect();
    assert!(missing.is_empty() && invented.is_empty(), "missing: {missing:?}; never decided: {invented:?}");
}

/// A request with the rows of its history, as the store would write them.
struct Written {
    rows: Vec<(Option<&'static str>, &'static str, Time, &'static str)>,
    request: Request,
}

impl Written {
    fn live(new: Request, seen: &[(std::time::Duration, O)], policy: &Policy) -> Self {
        let mut written = Self { rows: vec![(None, "requested", START, "accepted")], request: new };
        let mut now = START;
        for (wait, seen) in seen {
            now = now + *wait;
            let decision = decide(&written.request, seen, policy, now);
            if decision.moves(&written.request) {
                let (from, to) = (written.request.state.as_str(), decision.next.state.as_str());
                written.rows.push((Some(from), to, now, seen.cause().as_str()));
            }
            written.request = decision.next;
        }
        written
    }

    fn steps(&self) -> Vec<Step<'_>> {
        let step =
            |(seq, (from, to, at, cause)): (i64, &(Option<&'static str>, &'static str, Time, &'static str))| Step {
                request_id: self.request.id.as_str(),
                seq,
                from: *from,
                to,
                at: *at,
                cause,
                status: None,
                errcode: None,
                detail: None,
            };
        (1..).zip(&self.rows).map(step).collect()
    }
}

fn identity(request: &Request) -> Identity<'_> {
    Identity {
        id: request.id.as_str(),
        kind: request.kind.as_str(),
        account: request.account.as_str(),
        program: request.program.as_str(),
        notify_users: 0,
        show_profile: 0,
        requested_at: request.requested_at,
        retry_of: None,
    }
}

fn hashes(identity: &Identity<'_>, steps: &[Step<'_>]) -> Vec<Hash> {
    let mut head = identity.hash();
    let mut next = |step: &Step<'_>| {
        head = step.hash(&head);
        head
    };
    steps.iter().map(&mut next).collect()
}

fn restorations() -> impl Strategy<Value = O> {
    prop::sample::select(vec![
        RestoredFate::Unknown,
        RestoredFate::Unknown,
        RestoredFate::Called,
        RestoredFate::Taken,
        RestoredFate::Cancelled,
    ])
    .prop_map(|since| O::Restored { since, baseline: Baseline::Clear })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_life_can_be_replayed_from_its_history(
        kind in walk::kinds(), policy in walk::policies(),
        seen in prop::collection::vec((walk::waits(), prop_oneof![8 => walk::observations(), 1 => restorations()]), 0..40),
    ) {
        let new = super::asked(kind);
        let written = Written::live(new, &seen, &policy);
        let identity = identity(&written.request);
        let steps = written.steps();
        let mut replay = Replay::of(&identity);
        for (step, hash) in steps.iter().zip(hashes(&identity, &steps)) {
            prop_assert_eq!(replay.take(step, &hash), None);
        }
        prop_assert_eq!(&replay.state, written.request.state.as_str());
        prop_assert_eq!(replay.since, written.request.since);
        prop_assert!((replay.least..=replay.most).contains(&i64::from(written.request.attempt)), "{:?}", replay);
        prop_assert_eq!(replay.called, written.request.called_at.is_some());
        prop_assert!(written.request.attempt <= policy.attempts);
    }

    /// One field of one step, changed by somebody who does not hash anew.
    #[test]
    fn whatever_is_changed_in_a_step_is_found(at in 0_usize..4, field in 0_usize..7) {
        let seen = [O::Absent, O::CallStarted, O::CallAccepted, O::Listed(Status::Linked)].map(|o| (minutes(1), o));
        let written = Written::live(link(), &seen, &Policy::default());
        let identity = identity(&written.request);
        let mut steps = written.steps();
        let hashes = hashes(&identity, &steps);
        let step = &mut steps[at];
        match field {
            0 => step.at = step.at + minutes(1),
            1 => step.cause = "operator",
            2 => step.status = Some(3),
            3 => step.errcode = Some(0),
            4 => step.detail = Some(""),
            5 => step.to = "lapsed",
            _ => step.request_id = "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3c",
        }
        let mut replay = Replay::of(&identity);
        let found: Vec<String> =
            steps.iter().zip(&hashes).filter_map(|(step, hash)| replay.take(step, hash)).collect();
        prop_assert!(!found.is_empty());
    }
}
