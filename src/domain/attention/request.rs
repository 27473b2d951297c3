//! What a person must know of one request, by its state alone and by what contradicts it. It must never know whether that
//! was told already.

use super::{Attention, Concern, Lesson, Rule, Stage, words};
use crate::domain::{
    request::{Failure, Kind, Request, State},
    time::Time,
};

/// A conflict of a request that is not resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenConflict {
    /// Its id.
    pub id: String,
    /// The word of `v_conflict.kind`.
    pub kind: String,
    /// The code that told of it.
    pub errcode: Option<i64>,
    /// When it was met.
    pub at: Time,
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
}

/// Everything a person must know of a request now or, with time alone, later.
#[must_use]
pub fn of_request(subject: &Subject, attention: &Attention) -> Vec<Concern> {
    let request = &subject.request;
    let mut concerns: Vec<Concern> = of_state(subject, attention).into_iter().collect();
    if request.is_open() || matches!(request.state, State::Linked) {
        // That a link is gone is told by its state.
        let told = |conflict: &&OpenConflict| conflict.kind != "vanished";
        concerns
            .extend(subject.conflicts.iter().filter(told).map(|conflict| of_conflict(request, conflict, attention)));
    }
    concerns
}

fn of_state(subject: &Subject, attention: &Attention) -> Option<Concern> {
    let request = &subject.request;
    match (request.state, request.kind) {
        (State::AwaitingAccountAdmin, _) => Some(stuck(request, Stage::AccountAdmin, attention)),
        (State::AwaitingProgramAdmin, _) => Some(stuck(request, Stage::ProgramAdmin, attention)),
        (State::Initiated, Kind::Unlink) => Some(stuck(request, Stage::Unlink, attention)),
        (State::Initiated, Kind::Link(_)) | (State::Initiating(_), _) => {
            Some(stuck(request, Stage::Initiated, attention))
        }
        (State::Deferred(until), _) => {
            let mut concern = of(request, Rule::Deferred, "deferred.monthly_quota", "");
            (concern.en, concern.zh) = words::deferred(request, until, attention.zone);
            Some(concern)
        }
        (State::Rejected, _) => ended(subject, Rule::Rejected, "rejected.program_admin", attention),
        (State::Lapsed, _) => ended(subject, Rule::Lapsed, "lapsed.unanswered", attention),
        (State::Failed(failure), _) => ended(subject, Rule::Failed, failed(failure), attention),
        (State::Unlinked, Kind::Link(_)) => ended(subject, Rule::Vanished, "vanished.unlisted", attention),
        // What waits for us is the daemon's affair, and what a person ended is known to a person.
        (State::Requested | State::Linked | State::Cancelled, _) | (State::Unlinked, Kind::Unlink) => None,
    }
}

const fn failed(failure: Failure) -> &'static str {
    match failure {
        Failure::Refused => "failed.refused",
        Failure::OurBug => "failed.our_bug",
        Failure::Attempts => "failed.attempts",
        Failure::Deadline => "failed.deadline",
    }
}

/// A concern that begins with the state, without its sentence.
fn of(request: &Request, rule: Rule, reason: &str, part: &str) -> Concern {
    Concern {
        rule,
        key: format!("{}{part}/{}", rule.as_str(), request.id),
        reason: reason.to_owned(),
        request: Some(request.id.clone()),
        account: Some(request.account.clone()),
        program: Some(request.program.clone()),
        since: request.since,
        from: request.since,
        until: None,
        en: String::new(),
        zh: String::new(),
    }
}

fn stuck(request: &Request, stage: Stage, attention: &Attention) -> Concern {
    let (patience, lesson): (_, Option<Lesson>) = attention.patience(request, stage);
    let word = stage.as_str();
    let mut concern = of(request, Rule::Stuck, &format!("stuck.{word}"), &format!("/{word}"));
    concern.from = request.since + patience;
    (concern.en, concern.zh) = words::stuck(request, stage, patience, lesson, attention.zone);
    concern
}

/// An end on which a person should act; nothing once somebody has.
fn ended(subject: &Subject, rule: Rule, reason: &str, attention: &Attention) -> Option<Concern> {
    if subject.is_succeeded {
        return None;
    }
    let request = &subject.request;
    let mut concern = of(request, rule, reason, "");
    concern.until = Some(request.since + attention.keep_outcomes);
    (concern.en, concern.zh) = words::ended(request, rule, attention.zone);
    Some(concern)
}

fn of_conflict(request: &Request, conflict: &OpenConflict, attention: &Attention) -> Concern {
    let mut concern = of(request, Rule::Conflict, &format!("conflict.{}", conflict.kind), "");
    concern.key = format!("conflict/{}", conflict.id);
    (concern.since, concern.from) = (conflict.at, conflict.at);
    (concern.en, concern.zh) = words::conflict(request, conflict, attention.zone);
    concern
}
