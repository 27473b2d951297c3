//! What people must know about one request, from its state and its conflicts alone. What was sent before is compared in
//! `alerting/evaluator`.

use std::time::Duration;

use super::{AlertCondition, AlertPolicy, Rule, Stage};
use crate::domain::{
    account::SuspendedBy,
    decide::ConflictKind,
    quota::{PROBE_EVERY, ROLLS_WITHIN},
    request::{Failure, Kind, Request, State, StateKind},
    text::{
        Localized,
        request_alerts::{self, Late},
    },
    time::Time,
};

/// A conflict of a request that is not resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenConflict {
    /// Its id.
    pub id: String,
    /// What contradicts.
    pub kind: ConflictKind,
    /// The code that told of it.
    pub errcode: Option<i64>,
    /// When it was met.
    pub at: Time,
}

/// Whether the list of a request's account is read: what it showed last is no news of anybody when it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It is.
    Read,
    /// It cannot be.
    Unread {
        /// Since when.
        since: Time,
        /// When it was read for the last time; `None`: never.
        last_read: Option<Time>,
    },
    /// No account is read: our address is refused.
    ShutOut {
        /// Since when that is told.
        since: Time,
        /// As above.
        last_read: Option<Time>,
    },
    /// Nobody tries.
    Suspended {
        /// Who said so.
        by: SuspendedBy,
        /// Since when.
        since: Time,
        /// As above.
        last_read: Option<Time>,
    },
}

/// A request with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The request.
    pub request: Request,
    /// Its conflicts that are not resolved.
    pub conflicts: Vec<OpenConflict>,
    /// Whether somebody has acted on its end: a later request of the pair waits for the same or has come to it, or, of a
    /// link that is gone, was made after it went or was to take it away.
    pub is_succeeded: bool,
    /// Whether its account's list is read.
    pub reading: Reading,
}

/// States in which age alone makes something to be told, with the stages that they may be. (What is not called yet is looked
/// at in rounds: its account may make something of it, too.)
pub const AGING: [(StateKind, &[Stage]); 4] = [
    (StateKind::Initiating, &[Stage::Initiated]),
    (StateKind::Initiated, &[Stage::Initiated, Stage::Unlink]),
    (StateKind::AwaitingAccountAdmin, &[Stage::AccountAdmin]),
    (StateKind::AwaitingProgramAdmin, &[Stage::ProgramAdmin]),
];

impl AlertPolicy {
    /// From which age on a request in this state may condition somebody; `None` when another state, or no age, matters.
    #[must_use]
    pub fn ages(&self, state: StateKind) -> Option<Duration> {
        let (_, stages) = AGING.iter().find(|(aging, _)| *aging == state)?;
        stages.iter().map(|stage| self.shortest(*stage)).min()
    }

    /// The states of [`AGING`], with the age that is surely enough, whatever was learned.
    pub fn surely_ages(&self) -> impl Iterator<Item = (StateKind, Duration)> {
        let age = |stages: &[Stage]| stages.iter().map(|stage| self.shortest_whatever_is_learned(*stage)).min();
        AGING.into_iter().filter_map(move |(state, stages)| Some((state, age(stages)?)))
    }
}

/// Everything a person must know of a request now or, with time alone, later.
#[must_use]
pub fn of_request(subject: &Subject, policy: &AlertPolicy, now: Time) -> Vec<AlertCondition> {
    let request = &subject.request;
    let mut conditions: Vec<AlertCondition> = of_state(subject, policy, now).into_iter().collect();
    if request.is_open() || matches!(request.state, State::Linked) {
        // That a link is gone is told by its state.
        let told = |conflict: &&OpenConflict| conflict.kind != ConflictKind::Vanished;
        conditions.extend(subject.conflicts.iter().filter(told).map(|conflict| of_conflict(request, conflict, policy)));
    }
    conditions
}

fn of_state(subject: &Subject, policy: &AlertPolicy, now: Time) -> Option<AlertCondition> {
    let request = &subject.request;
    match (request.state, request.kind) {
        (State::Requested, _) => waits_for_us(subject, policy),
        (State::AwaitingAccountAdmin, _) => Some(stuck(subject, Stage::AccountAdmin, policy, now)),
        (State::AwaitingProgramAdmin, _) => Some(stuck(subject, Stage::ProgramAdmin, policy, now)),
        (State::Initiated, Kind::Unlink) => Some(stuck(subject, Stage::Unlink, policy, now)),
        (State::Initiated, Kind::Link(_)) | (State::Initiating(_), _) => {
            Some(stuck(subject, Stage::Initiated, policy, now))
        }
        (State::Deferred(until), _) => {
            let mut condition = of(request, Rule::Deferred, "deferred.monthly_quota", "");
            condition.from = deferred_from(request, until);
            condition.text = request_alerts::deferred(request, until, &policy.zone);
            Some(condition)
        }
        (State::Rejected, _) => ended(subject, Rule::Rejected, "rejected.program_admin", policy),
        (State::Lapsed, _) => ended(subject, Rule::Lapsed, "lapsed.unanswered", policy),
        (State::Failed(failure), _) => ended(subject, Rule::Failed, failed(failure), policy),
        (State::Unlinked, Kind::Link(_)) => ended(subject, Rule::Vanished, "vanished.unlisted", policy),
        // What a person ended is known to a person.
        (State::Linked | State::Cancelled, _) | (State::Unlinked, Kind::Unlink) => None,
    }
}

/// From when on it is worth telling that a request is deferred. One that only waits for a month to roll, as the one call
/// that asks does every half hour, is told of when that is over and it waits still.
fn deferred_from(request: &Request, until: Time) -> Time {
    let rolling = ROLLS_WITHIN + PROBE_EVERY;
    if request.since.until(until) <= rolling { request.since + rolling } else { request.since }
}

const fn failed(failure: Failure) -> &'static str {
    match failure {
        Failure::Refused => "failed.refused",
        Failure::OurBug => "failed.our_bug",
        Failure::Attempts => "failed.attempts",
        Failure::Deadline => "failed.deadline",
    }
}

/// A condition that begins with the state, without its sentence.
fn of(request: &Request, rule: Rule, reason: &str, part: &str) -> AlertCondition {
    AlertCondition {
        rule,
        key: format!("{}{part}/{}", rule.as_str(), request.id),
        reason: reason.to_owned(),
        request: Some(request.id.clone()),
        account: Some(request.account.clone()),
        program: Some(request.program.clone()),
        since: request.since,
        from: request.since,
        until: None,
        text: Localized::default(),
    }
}

/// Too long in a stage. While the list that says so is not read any more, nobody is blamed by it: at first nothing new is
/// told, and once that has lasted, that nobody knows is told in its place.
fn stuck(subject: &Subject, stage: Stage, policy: &AlertPolicy, now: Time) -> AlertCondition {
    let request = &subject.request;
    let late = late(request, stage, policy);
    let doubted_from = match subject.reading {
        Reading::Read => None,
        Reading::Unread { since, .. } | Reading::ShutOut { since, .. } => Some(since + policy.unread_after),
        // That it is not read is decided, and told already.
        Reading::Suspended { .. } => Some(request.since),
    };
    let is_doubted = doubted_from.is_some_and(|from| from <= now);
    let word = if is_doubted { "unread" } else { stage.as_str() };
    let mut condition = of(request, Rule::Stuck, &format!("stuck.{word}"), &format!("/{word}"));
    condition.from = doubted_from.into_iter().fold(request.since + late.patience, Time::max);
    condition.text = if is_doubted {
        request_alerts::unknown(request, &late, subject.reading, &policy.zone)
    } else {
        request_alerts::stuck(request, &late, subject.reading, &policy.zone)
    };
    condition
}

/// Nothing was called for too long. That `WeChat` suspended the account or refuses our address is told as that, and who
/// suspended it by hand knows.
fn waits_for_us(subject: &Subject, policy: &AlertPolicy) -> Option<AlertCondition> {
    let request = &subject.request;
    match subject.reading {
        Reading::Suspended { .. } | Reading::ShutOut { .. } => return None,
        Reading::Read | Reading::Unread { .. } => {}
    }
    let late = late(request, Stage::Requested, policy);
    let mut condition = of(request, Rule::Stuck, "stuck.requested", "/requested");
    condition.from = request.since + late.patience;
    condition.text = request_alerts::stuck(request, &late, subject.reading, &policy.zone);
    Some(condition)
}

fn late(request: &Request, stage: Stage, policy: &AlertPolicy) -> Late {
    let (patience, lesson) = policy.patience(request, stage);
    Late { stage, patience, lesson }
}

/// An end on which a person should act; nothing once somebody has.
fn ended(subject: &Subject, rule: Rule, reason: &str, policy: &AlertPolicy) -> Option<AlertCondition> {
    if subject.is_succeeded {
        return None;
    }
    let request = &subject.request;
    let mut condition = of(request, rule, reason, "");
    condition.until = Some(request.since + policy.keep_outcomes);
    condition.text = request_alerts::ended(request, rule, &policy.zone);
    Some(condition)
}

fn of_conflict(request: &Request, conflict: &OpenConflict, policy: &AlertPolicy) -> AlertCondition {
    let mut condition = of(request, Rule::Conflict, &format!("conflict.{}", conflict.kind.as_str()), "");
    condition.key = format!("conflict/{}", conflict.id);
    (condition.since, condition.from) = (conflict.at, conflict.at);
    condition.text = request_alerts::conflict(request, conflict, &policy.zone);
    condition
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::LinkOptions;

    #[test]
    fn a_request_that_waits_for_a_month_to_roll_is_told_of_once_that_should_be_over() {
        let hours = Duration::from_hours;
        let since = Time::from_ms(1_769_875_500_000);
        let deferred = |wait| {
            let id = "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b".parse().unwrap();
            let (account, program) = ("wx00000000000000aa".parse().unwrap(), "wx00000000000000bb".parse().unwrap());
            let new = Request::new(id, Kind::Link(LinkOptions::default()), account, program, since);
            let request = Request { state: State::Deferred(since + wait), ..new };
            let subject = Subject { request, conflicts: Vec::new(), is_succeeded: false, reading: Reading::Read };
            let conditions = of_request(&subject, &AlertPolicy::default(), since);
            assert_eq!((conditions.len(), conditions[0].rule, conditions[0].since), (1, Rule::Deferred, since));
            conditions[0].from.since(since)
        };
        assert_eq!(deferred(PROBE_EVERY), hours(6) + PROBE_EVERY, "it asks again in half an hour, and so twelve times");
        assert_eq!(deferred(hours(5)), hours(6) + PROBE_EVERY);
        assert_eq!(deferred(hours(24 * 20)), Duration::ZERO, "a month that is used up is told of at once");
    }
}
