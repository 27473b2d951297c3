//! Whether what a list is said to have shown is true in the world. It shares no table with the daemon: a shared mistake
//! would hide.

use crate::{
    sim::{Phase, World},
    store::read::views::{RequestView, TransitionView},
};

/// Codes after which the same call may well be taken: none of them may end a request.
const PASSING: [i64; 14] =
    [-1, 40_001, 40_014, 41_001, 42_001, 45_009, 45_011, 61_004, 89_007, 89_016, 89_017, 89_030, 61_007, 48_001];

/// How a step contradicts the world at this very moment, if it does.
pub(super) fn contradiction(world: &World, request: &RequestView, step: &TransitionView) -> Option<String> {
    let phases: Vec<Phase> = world
        .links(&request.account)
        .iter()
        .filter(|link| link.program == request.program)
        .map(|link| link.phase)
        .collect();
    let is = |phase: Phase| phases.contains(&phase);
    let is_linked = is(Phase::Linked) || is(Phase::LinkedUnlinkAsked);
    let is_pending = is(Phase::AwaitingAccountAdmin) || is(Phase::AwaitingProgramAdmin);
    let is_true = match (step.to_state.as_str(), request.kind.as_str()) {
        ("awaiting_account_admin", _) => is(Phase::AwaitingAccountAdmin),
        ("awaiting_program_admin", _) => is(Phase::AwaitingProgramAdmin),
        ("linked", _) => is_linked,
        ("rejected", _) => is(Phase::Rejected) && !is_linked && !is_pending,
        ("unlinked", _) => !is_linked,
        ("lapsed" | "requested" | "failed", "link") => !is_linked && !is_pending,
        ("requested" | "failed", _) => is_linked || is_pending,
        _ => false,
    };
    (!is_true).then(|| format!("the list is said to have shown {}, and the world holds {phases:?}", step.to_state))
}

/// Why a step may not end a request, if it does so.
pub(super) fn illegal_end(request: &RequestView, step: &TransitionView, has_deadline: bool) -> Option<String> {
    let is_legal = match (step.to_state.as_str(), step.cause.as_str()) {
        ("linked" | "rejected" | "unlinked" | "lapsed", "listing") | ("cancelled", "operator" | "restore") => true,
        ("linked", "answer") => step.errcode == Some(89_015),
        ("failed" | "lapsed", "deadline") => has_deadline,
        ("failed", "answer") => step.errcode.is_some_and(|code| !PASSING.contains(&code)),
        ("failed", "listing") => request.failure.as_deref() == Some("attempts"),
        ("linked" | "rejected" | "failed" | "lapsed" | "cancelled" | "unlinked", _) => false,
        _ => true,
    };
    (!is_legal).then(|| format!("{} by {} ({:?}) must not end it", step.to_state, step.cause, step.errcode))
}
