//! Random lives: requests as they are after learning many things at advancing times.

use std::time::Duration;

use amplinkd::domain::{
    decide::{ConflictKind, decide},
    listing::Status,
    observation::{Observation, ResetBy},
    plan::{Action, next_action},
    policy::Policy,
    request::{Kind, LinkOptions, Request, State},
    time::Time,
};
use proptest::prelude::*;

use super::{START, asked, minutes, refusal};

/// One step of a life.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Time passes, then this is learned.
    Learn(Duration, Observation),
    /// What comes next is done, when it is due.
    Follow,
}

/// Who tells a request what it learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Teller {
    /// The daemon: it calls only when told to, and only a call that is out is answered.
    Lawful,
    /// Anybody, anything.
    Wild,
}

/// A request after its steps, and what is worth asking about how it came there.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) request: Request,
    pub(super) policy: Policy,
    pub(super) now: Time,
    /// The calls that were begun.
    pub(super) calls: u32,
    /// The last thing learned, and when.
    pub(super) last: Option<(Observation, Time)>,
    /// The last listing that could be read, and when.
    pub(super) listing: Option<(Observation, Time)>,
    /// The conflicts that nothing has settled yet.
    pub(super) conflicts: Vec<ConflictKind>,
    /// The words of the states it went through.
    pub(super) story: Vec<&'static str>,
}

impl Life {
    pub(super) fn begin(kind: Kind, policy: Policy) -> Self {
        let request = asked(kind);
        let story = vec![request.state.as_str()];
        Self { request, policy, now: START, calls: 0, last: None, listing: None, conflicts: vec![], story }
    }

    fn live(mut self, steps: &[Step], teller: Teller) -> Self {
        for step in steps {
            match step {
                Step::Learn(wait, seen) => {
                    self.now = self.now + *wait;
                    if teller == Teller::Wild || self.could_be_told(seen) {
                        self.learn(seen.clone());
                    }
                }
                Step::Follow => {
                    self.follow();
                }
            }
        }
        self
    }

    pub(super) fn learn(&mut self, seen: Observation) {
        let decision = decide(&self.request, &seen, &self.policy, self.now);
        if decision.moves(&self.request) {
            self.story.push(decision.next.state.as_str());
        }
        self.calls += u32::from(seen == Observation::CallStarted && decision.moves(&self.request));
        self.conflicts.extend(decision.conflict);
        if decision.settles.is_some() {
            self.conflicts.clear();
        }
        self.request = decision.next;
        if is_readable(&seen) {
            self.listing = Some((seen.clone(), self.now));
        }
        self.last = Some((seen, self.now));
    }

    /// Does what comes next, when it is due; returns what was learned by it.
    pub(super) fn follow(&mut self) -> Option<Observation> {
        let step = next_action(&self.request, &self.policy, self.now)?;
        self.now = self.now.max(step.due);
        let seen = match step.action {
            Action::Look => return None,
            Action::Call => Observation::CallStarted,
            Action::Resume => Observation::QuotaReset { by: ResetBy::Calendar },
            Action::Expire => Observation::DeadlinePassed,
        };
        self.learn(seen.clone());
        Some(seen)
    }

    pub(super) fn could_be_told(&self, seen: &Observation) -> bool {
        let next = next_action(&self.request, &self.policy, self.now).map(|step| step.action);
        match seen {
            Observation::CallStarted => next == Some(Action::Call),
            Observation::DeadlinePassed => next == Some(Action::Expire),
            Observation::CallAccepted
            | Observation::CallRefused(_)
            | Observation::CallLost
            | Observation::CallNotSent => matches!(self.request.state, State::Initiating(_)),
            Observation::Listed(_)
            | Observation::Absent
            | Observation::AbsentAsAsked
            | Observation::AbsentBesideOld
            | Observation::AbsentWithAll
            | Observation::Unidentified
            | Observation::Weak
            | Observation::Unreadable
            | Observation::HeldBack { .. }
            | Observation::QuotaReset { .. }
            | Observation::CancelAsked => true,
            // Only at a start, with every list read anew: a story of its own.
            Observation::Restored { .. } => false,
        }
    }
}

pub(super) const fn is_readable(seen: &Observation) -> bool {
    matches!(
        seen,
        Observation::Listed(_)
            | Observation::Absent
            | Observation::AbsentAsAsked
            | Observation::AbsentBesideOld
            | Observation::AbsentWithAll
            | Observation::Unidentified
    )
}

pub(super) fn waits() -> impl Strategy<Value = Duration> {
    prop_oneof![
        2 => Just(Duration::ZERO),
        6 => (1_u64..90).prop_map(Duration::from_secs),
        4 => (1_u64..30).prop_map(minutes),
        1 => (1_u64..60 * 24 * 40).prop_map(minutes),
    ]
}

pub(super) fn statuses() -> impl Strategy<Value = Status> {
    prop_oneof![
        8 => prop::sample::select(vec![1, 2, 3, 12]).prop_map(Status::from_number),
        1 => any::<i64>().prop_map(Status::from_number),
    ]
}

/// What one listing can say of a request.
pub(super) fn listings() -> impl Strategy<Value = Observation> {
    prop_oneof![
        6 => statuses().prop_map(Observation::Listed),
        4 => Just(Observation::Absent),
        1 => Just(Observation::AbsentAsAsked),
        1 => Just(Observation::AbsentBesideOld),
        1 => Just(Observation::AbsentWithAll),
        1 => Just(Observation::Unidentified),
    ]
}

fn codes() -> impl Strategy<Value = i64> {
    let known: Vec<i64> = amplinkd::domain::errcode::TABLE.iter().map(|row| row.code).collect();
    let conflicts = vec![89_010, 89_035, 89_015, 89_018, 89_007, -1];
    prop_oneof![3 => prop::sample::select(conflicts), 3 => prop::sample::select(known), 1 => any::<i64>()]
}

pub(super) fn observations() -> impl Strategy<Value = Observation> {
    prop_oneof![
        10 => listings(),
        2 => Just(Observation::Unreadable),
        1 => Just(Observation::Weak),
        2 => Just(Observation::CallStarted),
        3 => Just(Observation::CallAccepted),
        3 => codes().prop_map(|code| Observation::CallRefused(refusal(code))),
        2 => Just(Observation::CallLost),
        1 => Just(Observation::CallNotSent),
        1 => (0_u64..60 * 24 * 31).prop_map(|wait| Observation::HeldBack {
            until: START + minutes(wait),
            refusal: refusal(89_007),
        }),
        1 => Just(Observation::QuotaReset { by: ResetBy::Calendar }),
        1 => Just(Observation::QuotaReset { by: ResetBy::Operator }),
        1 => Just(Observation::DeadlinePassed),
        1 => prop::bool::weighted(0.2)
            .prop_map(|asked| if asked { Observation::CancelAsked } else { Observation::Unreadable }),
    ]
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![2 => (waits(), observations()).prop_map(|(wait, seen)| Step::Learn(wait, seen)), 1 => Just(Step::Follow)]
}

pub(super) fn policies() -> impl Strategy<Value = Policy> {
    let deadlines = prop_oneof![3 => Just(None), 1 => (1_u64..60 * 24 * 60).prop_map(|wait| Some(minutes(wait)))];
    (1_u32..4, 0_u64..20, deadlines).prop_map(|(attempts, appear, deadline)| Policy {
        attempts,
        appear_within: minutes(appear),
        deadline,
        ..Policy::default()
    })
}

pub(super) fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![2 => Just(Kind::Link(LinkOptions::default())), 1 => Just(Kind::Unlink)]
}

/// Lives of all lengths.
pub(super) fn lives(teller: Teller) -> impl Strategy<Value = Life> {
    (kinds(), policies(), prop::collection::vec(steps(), 0..40))
        .prop_map(move |(kind, policy, steps)| Life::begin(kind, policy).live(&steps, teller))
}
