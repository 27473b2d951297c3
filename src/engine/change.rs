//! What a decision changes: the request, its step, the conflict it opens, the events it owes. Pure.

use crate::{
    domain::{
        action::By,
        decide::Decision,
        listing::Status,
        observation::{Observation, ResetBy, RestoredFate},
        request::{Request, State},
        time::Time,
    },
    store::{
        row_id::new_id,
        write::{
            chain::Transition,
            record::{Change, Conflict, Event},
        },
    },
};

/// Decides and prepares what must be written; nothing when nothing changes. Answers the request as it is then.
#[must_use]
pub(super) fn change(
    request: &Request,
    seen: &Observation,
    decision: Decision,
    now: Time,
) -> (Request, Option<Change>) {
    if !decision.changes(request) {
        return (decision.next, None);
    }
    let moved = decision.moves(request);
    let transition = moved.then(|| Transition {
        request_id: request.id.to_string(),
        from_state: Some(request.state.kind()),
        to_state: decision.next.state.kind(),
        at: now.ms(),
        cause: seen.cause(),
        status: seen.status().map(Status::number),
        errcode: seen.refusal().map(|refusal| refusal.errcode),
        detail: detail(request, seen, &decision.next),
        attempt: i64::from(decision.next.attempt),
        refusal: decision.next.refusal.as_ref().map(|refusal| refusal.errcode),
    });
    let conflict = decision.conflict.map(|kind| Conflict {
        id: new_id(now),
        request_id: request.id.to_string(),
        kind,
        errcode: seen.refusal().map(|refusal| refusal.errcode),
        errmsg: seen.refusal().map(|refusal| refusal.errmsg.clone()),
        at: now.ms(),
        our_state: request.state.kind(),
        their_status: seen.status().or(kind.claims()).map(Status::number),
    });
    let events = conflict.iter().map(|conflict| Event::of_conflict(conflict, request, now)).collect();
    let settled = decision.settles.map(|how| (how, now));
    let mut next = decision.next;
    let change = Change { request: next.clone(), transition, conflict, settled, events };
    next.version += 1;
    (next, Some(change))
}

/// Says in a change's step on whose word it is.
pub(super) fn attribute(change: &mut Change, by: &By) {
    if let Some(step) = &mut change.transition {
        step.detail = Some(by.detail(step.detail.as_deref()));
    }
}

/// What a person wants to know beside the columns.
fn detail(request: &Request, seen: &Observation, next: &Request) -> Option<String> {
    let text = match (seen, request.state, next.state) {
        (Observation::CallRefused(refusal) | Observation::HeldBack { refusal, .. }, ..) => refusal.errmsg.clone(),
        (Observation::CancelAsked, ..) if request.attempt == 0 => "nothing had been sent".to_owned(),
        (Observation::CancelAsked, ..) => {
            "no longer followed; WeChat cannot withdraw what was sent, so an administrator may still agree".to_owned()
        }
        (Observation::Absent | Observation::AbsentBesideOld, State::Initiating(_), State::Requested) => {
            format!("call {} left no trace in the list", request.attempt)
        }
        (Observation::QuotaReset { by: ResetBy::Operator }, ..) => "its gate was opened".to_owned(),
        (Observation::CallNotSent, ..) => "the call did not reach WeChat".to_owned(),
        (Observation::Restored { since, .. }, ..) => match since {
            RestoredFate::Unknown => "a copy was restored: whether it was called since is not known".to_owned(),
            RestoredFate::Called => {
                "a copy was restored: it was called since, with what answer is not known".to_owned()
            }
            RestoredFate::Taken => "a copy was restored: WeChat has taken the call since".to_owned(),
            RestoredFate::Cancelled => "a copy was restored: it had been cancelled since".to_owned(),
        },
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}
