//! The pure time step: everything that happens by itself until `now`.

use super::{
    plan::{Plan, Plans},
    span::Span,
    switches::Switches,
    world::{Account, Change, Link, Phase, World},
};

/// Brings every link up to `now` (milliseconds UTC), and what a third-party platform is pushed. Calls do so for their
/// own account; this is for looking at all.
pub fn advance(world: &mut World, now: i64) {
    let rules = Rules { seed: world.seed, plans: &world.plans, switches: &world.switches };
    for (name, account) in &mut world.accounts {
        rules.advance_account(name, account, now);
    }
    world.advance_component(now);
}

/// What decides how links go on.
#[derive(Clone, Copy)]
pub(super) struct Rules<'w> {
    pub(super) seed: u64,
    pub(super) plans: &'w Plans,
    pub(super) switches: &'w Switches,
}

impl Rules<'_> {
    pub(super) fn advance_account(self, name: &str, account: &mut Account, now: i64) {
        let unlinked = &mut account.unlinked;
        account.links.retain_mut(|link| {
            while let Some(change) = link.change.filter(|change| change.at <= now) {
                // The next wait begins when this one ended, not when somebody looked.
                if !self.apply(name, link, change) {
                    if link.phase == Phase::LinkedUnlinkAsked {
                        *unlinked.entry(link.program.clone()).or_default() += 1;
                    }
                    return false;
                }
            }
            true
        });
    }

    /// Moves a link; `false` means that it leaves the list.
    fn apply(self, account: &str, link: &mut Link, change: Change) -> bool {
        let Some(phase) = change.to else {
            return false;
        };
        self.enter(account, link, phase, change.at);
        true
    }

    /// Puts a link into a phase and finds out what happens to it next.
    pub(super) fn enter(self, account: &str, link: &mut Link, phase: Phase, at: i64) {
        link.phase = phase;
        link.since = at;
        link.change = self.next_change(account, &link.program, phase, at);
    }

    fn next_change(self, account: &str, program: &str, phase: Phase, at: i64) -> Option<Change> {
        let lifetime = self.switches.invitation_lifetime;
        let (plan, lifetime) = match phase {
            Phase::AwaitingAccountAdmin => (self.plans.account_admin(self.seed, account, program), lifetime),
            Phase::AwaitingProgramAdmin => (self.plans.program_admin(self.seed, account, program), lifetime),
            Phase::LinkedUnlinkAsked => (self.plans.unlink(self.seed, account, program), lifetime),
            Phase::Linked => (Plan::NeverAnswers, None),
            Phase::Rejected => (Plan::NeverAnswers, self.switches.rejected_lifetime),
        };
        let planned = match plan {
            Plan::ApprovesAfter(span) => Some((span, approved(phase))),
            Plan::RefusesAfter(span) => Some((span, refused(phase))),
            Plan::ExpiresAfter(span) => Some((span, expired(phase))),
            Plan::NeverAnswers => None,
        };
        let expires = lifetime.map(|span| (span, expired(phase)));
        [planned, expires].into_iter().flatten().min_by_key(|(span, _)| *span).map(|(span, to)| change_at(at, span, to))
    }
}

fn change_at(at: i64, span: Span, to: Option<Phase>) -> Change {
    Change { at: at.saturating_add(span.as_millis()), to }
}

/// Where a link goes when the administrator it waits for agrees.
pub(super) fn approved(phase: Phase) -> Option<Phase> {
    match phase {
        Phase::AwaitingAccountAdmin => Some(Phase::AwaitingProgramAdmin),
        Phase::AwaitingProgramAdmin | Phase::Linked => Some(Phase::Linked),
        Phase::LinkedUnlinkAsked => None,
        Phase::Rejected => Some(Phase::Rejected),
    }
}

/// Where a link goes when the administrator it waits for says no.
pub(super) fn refused(phase: Phase) -> Option<Phase> {
    match phase {
        // WeChat has no status for this: the item is simply gone.
        Phase::AwaitingAccountAdmin => None,
        Phase::AwaitingProgramAdmin | Phase::Rejected => Some(Phase::Rejected),
        Phase::Linked | Phase::LinkedUnlinkAsked => Some(Phase::Linked),
    }
}

/// Where a link goes when nobody answered for too long.
fn expired(phase: Phase) -> Option<Phase> {
    match phase {
        Phase::AwaitingAccountAdmin | Phase::AwaitingProgramAdmin | Phase::Rejected => None,
        Phase::Linked | Phase::LinkedUnlinkAsked => Some(Phase::Linked),
    }
}
