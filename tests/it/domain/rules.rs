//! Stories of one request each, for what the table cannot show: what is counted, kept and remembered.

use amplinkd::domain::{
    decide::{ConflictKind, decide},
    listing::Status,
    observation::Observation as O,
    plan::{Action, next_action},
    policy::Policy,
    request::{Failure, Outcome, Request, State, StateKind},
};

use super::{START, after, link, minutes, refusal, refused, unlink};

const CALLED: [(u64, O); 2] = [(0, O::Absent), (0, O::CallStarted)];

fn told(then: &[(u64, O)]) -> Vec<(u64, O)> {
    [&CALLED[..], then].concat()
}

#[test]
fn a_first_call_follows_its_look_at_once() {
    let policy = Policy::default();
    for seen in [O::Absent, O::Listed(Status::Rejected), O::Unidentified, O::AbsentWithAll, O::Weak] {
        let request = after(link(), &[(0, seen.clone())], &policy);
        assert_eq!(next_action(&request, &policy, START).map(|step| step.action), Some(Action::Call), "{seen:?}");
    }
    for seen in [O::Unreadable, O::Listed(Status::Other(7)), O::CallNotSent] {
        let request = after(link(), &[(0, seen.clone())], &policy);
        assert_eq!(next_action(&request, &policy, START).map(|step| step.action), Some(Action::Look), "{seen:?}");
    }
}

#[test]
fn after_a_lost_answer_an_unnamed_item_may_be_the_very_invitation() {
    let policy = Policy::default();
    let untraced = told(&[(1, O::CallLost), (2, O::Absent), (11, O::Absent), (12, O::Unidentified)]);
    let request = after(link(), &untraced, &policy);
    assert_eq!((request.state, request.attempt), (State::Requested, 1));
    let next = next_action(&request, &policy, START + minutes(12)).map(|step| step.action);
    assert_eq!(next, Some(Action::Look));
}

#[test]
fn an_answer_is_lost_and_the_list_shows_that_the_call_arrived() {
    let policy = Policy::default();
    let lost = after(link(), &told(&[(1, O::CallLost)]), &policy);
    assert_eq!((lost.state, lost.attempt), (State::Initiating(Outcome::Unknown), 1));
    let listed = decide(&lost, &O::Listed(Status::AwaitingAccountAdmin), &policy, START + minutes(2));
    assert_eq!((listed.next.state, listed.conflict), (State::AwaitingAccountAdmin, None));
}

#[test]
fn three_calls_without_a_trace_are_the_end() {
    let policy = Policy::default();
    let mut request = link();
    for round in 0..3 {
        let at = round * 30;
        let story =
            [(at, O::Absent), (at, O::CallStarted), (at + 1, refused(-1)), (at + 2, O::Absent), (at + 15, O::Absent)];
        request = after(request, &story, &policy);
    }
    assert_eq!((request.state, request.attempt), (State::Failed(Failure::Attempts), 3));
    assert_eq!(request.refusal, Some(refusal(-1)), "the last word of WeChat is kept");
}

#[test]
fn a_call_that_was_surely_not_taken_is_given_back() {
    let policy = Policy::default();
    for answer in [O::CallNotSent, refused(40_001), refused(45_009), refused(61_004), refused(61_003), refused(89_007)]
    {
        let request = after(link(), &told(&[(1, answer.clone())]), &policy);
        assert_eq!(request.attempt, 0, "{answer:?}");
    }
}

/// A call was lost, left no trace and was given up; then its answer comes after all, and tells nothing.
#[test]
fn a_late_answer_that_tells_nothing_costs_no_attempt() {
    let policy = Policy::default();
    let given_up = after(link(), &told(&[(2, O::Absent), (11, O::Absent)]), &policy);
    for answer in [refused(-1), refused(77_777), O::CallLost] {
        let request = after(given_up.clone(), &[(12, answer)], &policy);
        assert_eq!((request.state, request.attempt), (State::Requested, 1));
    }
}

#[test]
fn a_refusal_met_by_another_request_explains_only_whom_it_holds_back() {
    let policy = Policy::default();
    let held_back = O::HeldBack { until: START + minutes(9_000), refusal: refusal(89_007) };
    let waiting = after(link(), &[(0, held_back.clone())], &policy);
    assert_eq!(waiting.refusal, Some(refusal(89_007)));
    let calling = after(link(), &told(&[(1, held_back)]), &policy);
    assert_eq!((calling.state, calling.refusal), (State::Initiating(Outcome::Pending), None));
}

#[test]
fn a_request_that_is_held_back_longer_stands_where_it_stood() {
    let policy = Policy::default();
    let held_back = |at| O::HeldBack { until: START + minutes(at), refusal: refusal(89_016) };
    let waiting = after(unlink(), &[(0, O::Listed(Status::Linked)), (0, held_back(90)), (1, O::Absent)], &policy);
    let decision = decide(&waiting, &held_back(120), &policy, START + minutes(90));
    assert!(decision.changes(&waiting) && !decision.moves(&waiting), "no step of its history");
    let Request { state, since, memory, .. } = &decision.next;
    assert_eq!((*state, *since), (State::Deferred(START + minutes(120)), START));
    assert_eq!(*memory, waiting.memory, "what the list has shown once is confirmed by the next list");
    let refused = after(link(), &told(&[(1, refused(89_007))]), &policy);
    let later = after(refused.clone(), &[(90, held_back(120))], &policy);
    assert_eq!((later.refusal, later.attempt), (refused.refusal, 0), "its own refusal explains it");
}

#[test]
fn a_conflict_is_opened_by_the_code_and_settled_by_the_list() {
    let policy = Policy::default();
    let called = after(link(), &CALLED, &policy);
    let told = decide(&called, &refused(89_015), &policy, START + minutes(1));
    assert_eq!(
        (told.next.state, told.conflict, told.settles),
        (State::Linked, Some(ConflictKind::AlreadyLinked), None)
    );
    assert!(next_action(&told.next, &policy, START + minutes(1)).is_some(), "the list must confirm it");
    let listed = decide(&told.next, &O::Listed(Status::Linked), &policy, START + minutes(2));
    assert_eq!((listed.conflict, listed.settles), (None, Some(StateKind::Linked)));
    assert_eq!(next_action(&listed.next, &policy, START + minutes(2)), None);
}

#[test]
fn an_old_rejection_is_not_the_answer_to_a_new_invitation() {
    let policy = Policy::default();
    let invited = [(0, O::Listed(Status::Rejected)), (0, O::CallStarted), (0, O::CallAccepted)];
    let stale = after(link(), &[&invited[..], &[(9, O::Listed(Status::Rejected))]].concat(), &policy);
    assert_eq!(stale.state, State::Initiated);
    assert_eq!(after(stale, &[(10, O::Listed(Status::Rejected))], &policy).state, State::Rejected);
    let answered = [(1, O::Listed(Status::AwaitingProgramAdmin)), (2, O::Listed(Status::Rejected))];
    assert_eq!(after(link(), &[&invited[..], &answered].concat(), &policy).state, State::Rejected);
}

/// The look that finds no trace of a lost call is the one before the next call, which is made on it at once.
#[test]
fn what_stood_before_a_second_call_is_what_the_look_before_it_showed() {
    let policy = Policy::default();
    let lost = [(0, O::Listed(Status::Rejected)), (0, O::CallStarted), (1, O::CallLost), (2, O::Absent)];
    for (looked, state) in [(O::Absent, State::Rejected), (O::AbsentBesideOld, State::Initiated)] {
        let again = [(11, looked), (11, O::CallStarted), (11, O::CallAccepted), (12, O::Listed(Status::Rejected))];
        assert_eq!(after(link(), &[&lost[..], &again].concat(), &policy).state, state);
    }
}

/// The list held an unnamed item before the call; only afterwards another account's list teaches whose it is.
#[test]
fn an_old_rejection_that_is_named_only_after_the_call_is_still_old() {
    let policy = Policy::default();
    let named_late =
        [(0, O::Unidentified), (0, O::CallStarted), (0, O::CallAccepted), (1, O::Listed(Status::Rejected))];
    assert_eq!(after(link(), &named_late, &policy).state, State::Initiated);
}

/// Lost, no trace, called again, told of the quota: then the first call turns out to have been refused by a person.
#[test]
fn a_rejection_of_an_earlier_call_is_believed_while_a_quota_is_waited_for() {
    let policy = Policy::default();
    let story = told(&[
        (1, O::CallLost),
        (2, O::Absent),
        (11, O::Absent),
        (11, O::CallStarted),
        (12, refused(89_007)),
        (20, O::Listed(Status::Rejected)),
    ]);
    assert_eq!(after(link(), &story, &policy).state, State::Rejected);
}

#[test]
fn a_clock_stepped_back_does_not_put_off_a_confirmation() {
    let policy = Policy::default();
    let listed = told(&[(0, O::CallAccepted), (301, O::Listed(Status::AwaitingAccountAdmin)), (302, O::Absent)]);
    assert_eq!(after(link(), &[&listed[..], &[(2, O::Absent)]].concat(), &policy).state, State::Lapsed);
}

#[test]
fn an_unlink_reaches_its_goal_without_a_call_when_nothing_is_linked() {
    let policy = Policy::default();
    let request = after(unlink(), &[(0, O::Absent), (1, O::Absent)], &policy);
    assert_eq!((request.state, request.attempt), (State::Unlinked, 0));
}

#[test]
fn a_link_that_vanishes_is_a_conflict_unless_we_asked_for_it() {
    let policy = Policy::default();
    let linked = after(link(), &[(0, O::Listed(Status::Linked)), (5, O::Absent)], &policy);
    let gone = decide(&linked, &O::Absent, &policy, START + minutes(6));
    assert_eq!((gone.next.state, gone.conflict), (State::Unlinked, Some(ConflictKind::Vanished)));
    let asked = decide(&linked, &O::AbsentAsAsked, &policy, START + minutes(6));
    assert_eq!((asked.next.state, asked.conflict), (State::Unlinked, None));
}
