//! Stories of lists that are doubtful as a whole.

use amplinkd::domain::{
    decide::{deadline_may_end, regardless_of_age},
    emptied::{Ages, Before, Loss, loss, needs_list, weak_is_enough},
    listing::Status,
    matching::Findings,
    observation::Observation as O,
    policy::Policy,
    request::{Baseline, Outcome, PendingConfirmation, Request, Sighting, State},
    time::Time,
};
use proptest::prelude::*;

use super::{
    START, link, minutes, program, unlink,
    walk::{Teller, lives, observations},
};

/// A link of the numbered program that stands.
fn linked(number: u8) -> Request {
    let mut request = Request { program: program(number), state: State::Linked, attempt: 1, ..link() };
    request.memory.seen = Some(Status::Linked);
    request
}

fn unlinking(number: u8) -> Request {
    let mut request = Request { program: program(number), state: State::Initiated, attempt: 1, ..unlink() };
    request.memory.seen = Some(Status::Linked);
    request
}

fn judged(requests: &[Request], seen: Vec<O>, before: &Before, emptied_at: Option<Time>, now: Time) -> Loss {
    let findings = Findings { observations: seen, ..Findings::default() };
    loss((&findings, requests), before, emptied_at, &Policy::default(), (Ages::Known, now))
}

const HELD: Loss = Loss::Held { since: START };

fn vanished(programs: &[Option<u8>]) -> Before {
    Before { still_listed: false, vanished: programs.iter().map(|number| number.map(program)).collect() }
}

#[test]
fn a_list_that_lost_everything_at_once_is_held() {
    let nothing = Before::default();
    assert_eq!(judged(&[linked(1)], vec![O::Absent], &nothing, None, START), HELD);
    assert_eq!(judged(&[linked(1), linked(2)], vec![O::Absent, O::Absent], &nothing, None, START), HELD);
    let others = vanished(&[Some(7), None]);
    let initiated = Request { state: State::Initiated, attempt: 1, ..link() };
    assert_eq!(judged(&[initiated], vec![O::AbsentBesideOld], &others, None, START), HELD, "others' links vanished");
}

#[test]
fn a_list_that_lost_a_part_is_believed() {
    let requests = [linked(1), linked(2)];
    let partly = vec![O::Absent, O::Listed(Status::Linked)];
    assert_eq!(judged(&requests, partly, &Before::default(), None, START), Loss::Partial);
    let another_stands = Before { still_listed: true, ..vanished(&[Some(1), Some(2)]) };
    assert_eq!(judged(&requests, vec![O::Absent, O::Absent], &another_stands, None, START), Loss::Partial);
    assert_eq!(judged(&requests, vec![O::Absent, O::Unidentified], &Before::default(), None, START), HELD);
}

#[test]
fn a_list_in_which_nothing_stood_lost_nothing() {
    let initiated = Request { state: State::Initiated, attempt: 1, ..link() };
    assert_eq!(judged(&[initiated], vec![O::Absent], &Before::default(), None, START), Loss::Partial);
    let mut gone_before = linked(1);
    gone_before.memory.doubt = Some(PendingConfirmation { sighting: Sighting::Absent, at: START });
    assert_eq!(judged(&[gone_before], vec![O::Absent], &Before::default(), None, START), Loss::Partial);
}

/// The list of another account may show a program that is asked for here, too.
#[test]
fn what_came_into_a_doubtful_list_does_not_vouch_for_it() {
    let came = Request { since: START + minutes(1), ..linked(2) };
    let seen = || vec![O::Absent, O::Listed(Status::Linked)];
    let now = START + minutes(2);
    assert_eq!(judged(&[linked(1), came.clone()], seen(), &Before::default(), Some(START), now), HELD);
    let stood = Request { since: START, ..came };
    assert_eq!(judged(&[linked(1), stood], seen(), &Before::default(), Some(START), now), Loss::Partial);
}

#[test]
fn what_nobody_waits_for_holds_nothing_up() {
    assert_eq!(judged(&[link()], vec![O::Absent], &vanished(&[Some(7)]), None, START), Loss::Partial);
    assert_eq!(judged(&[], vec![], &vanished(&[Some(7)]), None, START), Loss::Partial);
}

#[test]
fn what_we_asked_to_remove_is_no_loss() {
    let pair = [linked(1), unlinking(1)];
    let both = || vec![O::AbsentAsAsked, O::AbsentAsAsked];
    assert_eq!(judged(&pair, both(), &vanished(&[Some(1)]), None, START), Loss::Partial);
    assert_eq!(judged(&pair, both(), &vanished(&[Some(1), Some(7)]), None, START), HELD, "another vanished with it");
    assert_eq!(judged(&pair, both(), &vanished(&[None]), None, START), HELD, "nobody knows whose that was");
}

#[test]
fn a_loss_is_believed_once_it_has_lasted() {
    let policy = Policy::default();
    let at = |now, since| judged(&[linked(1)], vec![O::Absent], &Before::default(), Some(since), now);
    assert_eq!(at(START + policy.appear_within - minutes(1), START), HELD);
    assert_eq!(at(START + policy.appear_within, START), Loss::Believed { since: START });
    let ahead = START + minutes(500);
    assert_eq!(at(START, ahead), HELD, "noted before the clock was stepped back: it begins anew");
    let findings = Findings { observations: vec![O::Absent], ..Findings::default() };
    let long = START + minutes(999);
    let doubtful = loss((&findings, &[linked(1)]), &Before::default(), Some(START), &policy, (Ages::Doubtful, long));
    assert_eq!(doubtful, HELD, "nobody knows how long that is");
}

#[test]
fn a_held_list_takes_back_every_absence_and_nothing_else() {
    let seen = vec![O::Absent, O::AbsentAsAsked, O::AbsentBesideOld, O::Unidentified, O::Listed(Status::Linked)];
    let mut findings = Findings { observations: seen, ..Findings::default() };
    findings.hold();
    let held = [O::AbsentWithAll, O::AbsentWithAll, O::AbsentWithAll, O::Unidentified, O::Listed(Status::Linked)];
    assert_eq!(findings.observations, held);
}

#[test]
fn an_answer_without_a_list_is_enough_for_first_calls_alone() {
    let again = Request { attempt: 1, ..link() };
    let deferred = |attempt| Request { state: State::Deferred(START), attempt, ..link() };
    assert!(weak_is_enough(&[], false));
    assert!(weak_is_enough(&[link(), deferred(0)], false));
    assert!(!weak_is_enough(&[link()], true), "it has listed something before");
    let initiating = Request { state: State::Initiating(Outcome::Pending), attempt: 1, ..link() };
    for needs in [again, deferred(1), initiating, linked(1), unlink(), unlinking(1)] {
        assert!(needs_list(&needs), "{needs:?}");
        assert!(!weak_is_enough(&[link(), needs], false));
    }
}

/// FAULTS 12.
#[test]
fn a_deadline_ends_a_request_only_after_a_list_read_since_or_a_day_without() {
    let policy = Policy { deadline: Some(minutes(60)), ..Policy::default() };
    let deadline = START + minutes(60);
    let day = minutes(24 * 60);
    let may = |read_at, now| deadline_may_end(&link(), &policy, read_at, now);
    assert!(!may(Some(deadline), deadline - minutes(1)), "too early");
    assert!(may(Some(deadline), deadline));
    assert!(!may(Some(deadline - minutes(1)), deadline + minutes(600)), "that list was read before");
    assert!(!may(None, deadline + minutes(600)), "none was read");
    assert!(!may(None, deadline + day - minutes(1)));
    assert!(may(None, deadline + day));
    assert!(!may(Some(deadline + minutes(9)), deadline + minutes(3)), "read before the clock was stepped back");
    assert!(!deadline_may_end(&linked(1), &policy, Some(deadline), deadline), "it has ended");
    assert!(!deadline_may_end(&link(), &Policy::default(), Some(deadline), deadline + day));
}

#[test]
fn while_ages_are_doubtful_nothing_counts_that_needs_one() {
    let old = |request: &Request| {
        let mut old = request.clone();
        old.memory.baseline = Baseline::Rejected;
        old
    };
    let calling = Request { state: State::Initiating(Outcome::Unknown), attempt: 1, ..unlink() };
    for (request, seen) in [
        (link(), O::Absent),
        (linked(1), O::AbsentAsAsked),
        (linked(1), O::AbsentBesideOld),
        (old(&link()), O::Listed(Status::Rejected)),
        (calling.clone(), O::Listed(Status::Linked)),
    ] {
        assert_eq!(regardless_of_age(&request, seen.clone()), O::Unidentified, "{seen:?}");
    }
    for (request, seen) in [
        (link(), O::Listed(Status::Rejected)),
        (old(&link()), O::Listed(Status::Linked)),
        (unlinking(1), O::Listed(Status::Linked)),
        (calling, O::Unreadable),
        (linked(1), O::AbsentWithAll),
        (link(), O::Weak),
        (link(), O::CallLost),
    ] {
        assert_eq!(regardless_of_age(&request, seen.clone()), seen);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing is called twice, ended or gone back to while nobody knows how long ago anything was.
    #[test]
    fn regardless_of_ages_no_absence_moves_anything(life in lives(Teller::Wild), seen in observations()) {
        let absent = matches!(seen, O::Absent | O::AbsentAsAsked | O::AbsentBesideOld | O::AbsentWithAll);
        let told = regardless_of_age(&life.request, seen);
        if absent {
            let next = amplinkd::domain::decide::decide(&life.request, &told, &life.policy, life.now).next;
            prop_assert_eq!(next.state, life.request.state);
        }
    }

    #[test]
    fn every_loss_is_believed_in_time_and_none_before(
        life in lives(Teller::Lawful), wait in 0_u64..60, emptied in prop::option::of(0_u64..60),
    ) {
        let now = life.now + minutes(wait);
        let emptied_at = emptied.map(|ago| now - minutes(ago));
        let findings = Findings { observations: vec![O::Absent], ..Findings::default() };
        let requests = [life.request];
        let found = loss((&findings, &requests), &vanished(&[None]), emptied_at, &life.policy, (Ages::Known, now));
        match found {
            Loss::Partial => prop_assert!(!needs_list(&requests[0])),
            Loss::Held { since } => prop_assert!(now.since(since) < life.policy.appear_within),
            Loss::Believed { since } => prop_assert!(now.since(since) >= life.policy.appear_within),
        }
    }
}
