//! The polling state of an account: why its list cannot be read, how urgent its next poll is and when it comes, whether
//! calls may be made. The outcome of a poll or call moves it, purely and totally; `ARCHITECTURE.md` has the table
//! generated from here.

mod parts;

use std::time::Duration;

pub use self::parts::{Budget, Calls, Evidence, Outcome, Status, SuspendedBy, Trouble};
use super::{
    alignment::{next_round, put_off},
    backoff::{Backoff, part_of},
    errcode::Class as Code,
    pace::{Class, PROBE_EVERY, Pace},
    plan::AccountPlan,
    policy::LOOK_EVERY_MAX,
    time::Time,
};

/// The longest pause after looks, or calls, that failed in a row.
pub const RETRY_MAX: Duration = Duration::from_mins(30);

/// The shortest pause after 45011, which counts the calls of a minute.
pub const TOO_FAST_PAUSE: Duration = Duration::from_mins(1);

/// "From now on", in a way that no step of the calendar turns into "later".
pub const AT_ONCE: Time = Time::from_ms(0);

/// An account as its polls are decided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountState {
    /// The row's number: neighbours come round together.
    pub row: i64,
    /// Whether it can be read.
    pub status: Status,
    /// Looks in a row that failed.
    pub failures: u32,
    /// Calls in a row that were refused.
    pub calls: Calls,
    /// When it is looked at next; `None` when nothing waits, or an operator suspended it.
    pub due: Option<Time>,
    /// Somebody waits for that look.
    pub asked: bool,
    /// Since when its youngest state that waits for the list stands.
    pub pace_from: Option<Time>,
    /// From when on a list must be read although it equals the last one.
    pub reread_at: Option<Time>,
    /// When its list could last be read.
    pub read_at: Option<Time>,
    /// Fingerprint of the last list that was read.
    pub listing_hash: Option<i64>,
    /// Looks of this day.
    pub budget: Budget,
}

impl AccountState {
    /// An account that was never looked at.
    #[must_use]
    pub const fn new(row: i64) -> Self {
        Self {
            row,
            status: Status::Active,
            failures: 0,
            calls: Calls { refused: 0, since: None, after: None },
            due: None,
            asked: false,
            pace_from: None,
            reread_at: None,
            read_at: None,
            listing_hash: None,
            budget: Budget { day: 0, used: 0 },
        }
    }

    /// Whether `WeChat` or a person suspended it.
    #[must_use]
    pub const fn is_suspended(&self) -> bool {
        matches!(self.status, Status::Suspended(_))
    }

    /// How urgent its next look is.
    #[must_use]
    pub fn class(&self, now: Time) -> Class {
        match self.status {
            Status::Active | Status::Unread { .. } if self.asked => Class::Asked,
            Status::Active | Status::Unread { .. } => Class::of_age(self.pace_from, now),
            Status::Suspended(_) => Class::Drift,
        }
    }

    /// The account after what came of a look, a call, or a person's word at `now`.
    #[must_use]
    pub fn after(&self, outcome: Outcome, pace: Pace<'_>, now: Time) -> Self {
        let state = self.clone();
        match outcome {
            Outcome::Unchanged => state.read(now).unchanged(pace, now),
            Outcome::Listed { plan, hash } => Self { listing_hash: hash, ..state.read(now).planned(plan, now) },
            Outcome::Weak { plan, evidence: Evidence::NotNeeded } => {
                Self { listing_hash: None, ..state.healed().planned(plan, now) }
            }
            Outcome::Weak { evidence: Evidence::Needed, .. } | Outcome::Panicked => {
                state.failed(Trouble::Unreadable, Duration::ZERO, pace, now)
            }
            Outcome::Moved { plan } => state.planned(plan, now),
            Outcome::Refused(code) => state.refused(code, pace, now),
            Outcome::Failed(trouble) => state.failed(trouble, Duration::ZERO, pace, now),
            Outcome::HeldBack(until) => state.due_at(until.max(now)),
            Outcome::CallAccepted => Self { calls: Calls::default(), ..state },
            Outcome::CallRefused(code) => state.call_refused(code, pace, now),
            Outcome::CallNotSent => state.call_held(Duration::ZERO, pace, now),
            Outcome::CallLost => state,
            Outcome::Suspended => {
                Self { status: Status::Suspended(SuspendedBy::Operator), failures: 0, due: None, asked: false, ..state }
            }
            Outcome::Resumed => state.resumed().due_now(now),
            Outcome::Restored => Self { listing_hash: None, ..state }.due_now(now),
        }
    }

    /// When it is due after a look at `now` that changes nothing.
    #[must_use]
    pub fn due_if_unchanged(&self, pace: Pace<'_>, now: Time) -> Time {
        let every = match (self.pace_from, self.reread_at) {
            _ if self.is_suspended() => PROBE_EVERY,
            // Something waits for this very look: if the process does not live to record it, the next one makes it soon.
            (_, Some(at)) if at <= now => pace.every(Duration::ZERO),
            (Some(from), _) => pace.every(now.since(from)),
            // A month that rolls over is all that is waited for: now and then somebody else may link it meanwhile.
            (None, Some(_)) => LOOK_EVERY_MAX,
            (None, None) => pace.every(Duration::MAX),
        };
        let due = next_round(self.row, now, every);
        // A time limit is kept although the list does not change.
        self.reread_at.filter(|at| *at > now).map_or(due, |at| at.min(due))
    }

    fn unchanged(self, pace: Pace<'_>, now: Time) -> Self {
        let due = self.due_if_unchanged(pace, now);
        self.due_at(due)
    }

    /// A list was read: whatever was wrong is over.
    fn read(self, now: Time) -> Self {
        Self { read_at: Some(now), ..self.healed() }
    }

    fn healed(self) -> Self {
        let status = match self.status {
            Status::Active | Status::Unread { .. } | Status::Suspended(SuspendedBy::Wechat) => Status::Active,
            // A person's word outlives what a look under way has learned.
            Status::Suspended(SuspendedBy::Operator) => self.status,
        };
        Self { status, failures: 0, asked: false, ..self }
    }

    fn resumed(self) -> Self {
        Self { status: Status::Active, failures: 0, calls: Calls::default(), ..self }
    }

    fn due_now(self, now: Time) -> Self {
        Self { reread_at: Some(AT_ONCE), ..self.due_at(now) }
    }

    /// Due then, unless an operator suspended it.
    fn due_at(self, due: Time) -> Self {
        let is_stopped = matches!(self.status, Status::Suspended(SuspendedBy::Operator));
        Self { due: (!is_stopped).then_some(due), ..self }
    }

    /// As its requests need it, spread: what is written is what is done.
    fn planned(self, plan: AccountPlan, now: Time) -> Self {
        let row = self.row;
        let reread_at = plan.reread_at.map(|at| if at <= now { AT_ONCE } else { at });
        let state = Self { pace_from: plan.pace_from, reread_at, ..self };
        match (plan.due, state.status) {
            (None, _) => Self { due: None, ..state },
            // It keeps the time of its probe.
            (Some(_), Status::Suspended(SuspendedBy::Wechat)) => {
                let due = state.due.unwrap_or(now);
                state.due_at(due)
            }
            (Some(due), Status::Active | Status::Unread { .. } | Status::Suspended(SuspendedBy::Operator)) => {
                state.due_at(if due > now { next_round(row, now, now.until(due)) } else { due })
            }
        }
    }

    fn failed(self, trouble: Trouble, least: Duration, pace: Pace<'_>, now: Time) -> Self {
        let pause = match self.status {
            // The spread takes a tenth away: what is left is no less than the least.
            Status::Active | Status::Unread { .. } => retry(pace).after(self.failures).max(least * 10 / 9),
            Status::Suspended(_) => PROBE_EVERY,
        };
        let due = now + self.spread(pause);
        let status = match self.status {
            Status::Active => Status::Unread { since: now, trouble },
            Status::Unread { since, .. } => Status::Unread { since, trouble },
            Status::Suspended(by) => Status::Suspended(by),
        };
        Self { status, failures: self.failures.saturating_add(1), asked: false, ..self }.due_at(due)
    }

    /// A code in place of the list: it holds back what it concerns, and nothing more.
    fn refused(self, code: Code, pace: Pace<'_>, now: Time) -> Self {
        match code {
            Code::AuthorizationGone | Code::PermissionMissing | Code::AccountRestricted => {
                self.suspended_by_wechat(PROBE_EVERY, now)
            }
            Code::TokenBad => self.failed(Trouble::Token, Duration::ZERO, pace, now),
            Code::TooFast => self.failed(Trouble::Refused, TOO_FAST_PAUSE, pace, now),
            // These close a gate for more than this account, or for its day: it is due when that opens.
            Code::IpNotAllowed | Code::DailyQuota => {
                let pause = self.spread(retry(pace).after(0));
                Self { asked: false, ..self }.due_at(now + pause)
            }
            Code::Done
            | Code::InvitationOut
            | Code::ConsoleLink
            | Code::AlreadyLinked
            | Code::UnlinkOut
            | Code::ProgramMonth
            | Code::AccountMonth
            | Code::Final
            | Code::Busy
            | Code::OurBug
            | Code::Unknown => self.failed(Trouble::Refused, Duration::ZERO, pace, now),
        }
    }

    fn suspended_by_wechat(self, probe_after: Duration, now: Time) -> Self {
        let due = now + self.spread(probe_after);
        let status = match self.status {
            Status::Active | Status::Unread { .. } | Status::Suspended(SuspendedBy::Wechat) => {
                Status::Suspended(SuspendedBy::Wechat)
            }
            Status::Suspended(SuspendedBy::Operator) => self.status,
        };
        Self { status, failures: self.failures.saturating_add(1), asked: false, ..self }.due_at(due)
    }

    fn call_refused(self, code: Code, pace: Pace<'_>, now: Time) -> Self {
        match code {
            // The first time the whole account is suspended: most likely its list is refused, too, and the probe comes
            // soon. Where the list can be read all the same, only its calls wait from then on.
            Code::AuthorizationGone | Code::PermissionMissing | Code::AccountRestricted if self.calls.refused == 0 => {
                let soon = pace.every(Duration::ZERO).min(PROBE_EVERY);
                self.call_held(Duration::ZERO, pace, now).suspended_by_wechat(soon, now)
            }
            Code::AuthorizationGone | Code::PermissionMissing | Code::AccountRestricted | Code::TokenBad => {
                self.call_held(Duration::ZERO, pace, now)
            }
            Code::TooFast => self.call_held(TOO_FAST_PAUSE, pace, now),
            // A gate holds back what these concern; of the others nobody knows what they say of the account.
            Code::IpNotAllowed | Code::DailyQuota | Code::Busy | Code::OurBug | Code::Unknown => self,
            // A "no" to this one request: WeChat has looked at it.
            Code::Done
            | Code::InvitationOut
            | Code::ConsoleLink
            | Code::AlreadyLinked
            | Code::UnlinkOut
            | Code::ProgramMonth
            | Code::AccountMonth
            | Code::Final => Self { calls: Calls::default(), ..self },
        }
    }

    fn call_held(mut self, least: Duration, pace: Pace<'_>, now: Time) -> Self {
        self.calls.refuse(pace, least, now);
        self
    }

    /// A pause, shorter by up to a tenth: what failed together is not tried together, and nothing waits beyond its cap.
    fn spread(&self, pause: Duration) -> Duration {
        // Neighbouring rows and following failures lie far apart (Knuth's multiplicative hashing).
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let chance = self.row.cast_unsigned().wrapping_add(u64::from(self.failures) << 32).wrapping_mul(GOLDEN);
        pause.saturating_sub(part_of(put_off(pause), chance))
    }
}

/// Pauses between looks that fail: from the shortest interval of the policy to half an hour.
fn retry(pace: Pace<'_>) -> Backoff {
    Backoff::new(pace.every(Duration::ZERO), RETRY_MAX)
}
