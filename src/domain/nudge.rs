//! The reminder for an administrator who has not answered: whom it is for, and whether it may be sent now. Its words are
//! in [`super::text::reminder`].

use std::time::Duration;

use super::{
    alert_rules::{QuietHours, Reading, Stage},
    request::{Kind, Request, State},
    text::format::{duration, to_the_minute},
    time::Time,
};

/// The stage in which a request waits for an administrator; none when a nudge would reach nobody who can help.
#[must_use]
pub const fn stage(request: &Request) -> Option<Stage> {
    match (request.state, request.kind) {
        (State::AwaitingAccountAdmin, _) => Some(Stage::AccountAdmin),
        (State::AwaitingProgramAdmin, _) => Some(Stage::ProgramAdmin),
        (State::Initiated, Kind::Unlink) => Some(Stage::Unlink),
        (State::Initiated, Kind::Link(_))
        | (
            State::Requested
            | State::Initiating(_)
            | State::Deferred(_)
            | State::Linked
            | State::Rejected
            | State::Failed(_)
            | State::Lapsed
            | State::Cancelled
            | State::Unlinked,
            _,
        ) => None,
    }
}

/// Why nobody is nudged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No administrator can help.
    #[error("there is nobody to nudge for request {id}: {why}")]
    Nobody {
        /// The request.
        id: String,
        /// A half sentence.
        why: &'static str,
    },
    /// Somebody was nudged for it a short while ago.
    #[error(
        "request {id} was nudged {} ago, at {last}: the next nudge is due at {} ([nudge] min_interval = {}); --force does not wait",
        duration(to_the_minute(*.ago)), *.last + *.min_interval, duration(*.min_interval)
    )]
    TooSoon {
        /// The request.
        id: String,
        /// When.
        last: Time,
        /// How long before.
        ago: Duration,
        /// How long must lie between two.
        min_interval: Duration,
    },
    /// Its account's list is not read, so that whether anybody still has to answer is not known.
    #[error(
        "nobody is nudged for request {id}: the list of account {account} has not been read{}{}, so whether anybody still \
         has to answer is not known; `amplinkd account show {account}` says why",
        .last_read.map(|at| format!(" since {at}")).unwrap_or_default(),
        if *.is_suspended { ", for the account is suspended" } else { "" }
    )]
    Unread {
        /// The request.
        id: String,
        /// Its account.
        account: String,
        /// When the list was read for the last time.
        last_read: Option<Time>,
        /// Whether nobody even tries.
        is_suspended: bool,
    },
    /// It moved on while the words were found.
    #[error("request {id} moved on just now: look at it again")]
    Moved {
        /// The request.
        id: String,
    },
}

impl Refusal {
    /// That nobody can be nudged for this request, and why.
    #[must_use]
    pub fn nobody(request: &Request) -> Self {
        let why = match request.state {
            State::Requested => "nothing was sent to WeChat yet",
            State::Initiating(_) => "whether WeChat took the call is not known yet",
            State::Initiated => "WeChat has not listed it yet, so that it is not known to wait for anybody",
            State::Deferred(_) => "it waits for the next month's quota, not for a person",
            State::AwaitingAccountAdmin | State::AwaitingProgramAdmin => "it has just moved on",
            State::Linked => "it is linked already",
            State::Unlinked => "it is unlinked already",
            State::Rejected => "the program's administrator has refused; ask why, then `amplinkd request retry`",
            State::Failed(_) => "it has failed; `amplinkd request explain` says what a person can do",
            State::Lapsed => "it is gone from WeChat's list; `amplinkd request retry` invites anew",
            State::Cancelled => "it was cancelled and is no longer followed",
        };
        Self::Nobody { id: request.id.to_string(), why }
    }
}

/// Whether the list still says who has not answered.
///
/// # Errors
/// [`Refusal::Unread`].
pub fn still_read(request: &Request, reading: Reading) -> Result<(), Refusal> {
    let (last_read, is_suspended) = match reading {
        Reading::Read => return Ok(()),
        Reading::Unread { last_read, .. } | Reading::ShutOut { last_read, .. } => (last_read, false),
        Reading::Suspended { last_read, .. } => (last_read, true),
    };
    let (id, account) = (request.id.to_string(), request.account.to_string());
    Err(Refusal::Unread { id, account, last_read, is_suspended })
}

/// Whether it is too soon after the last one.
///
/// # Errors
/// [`Refusal::TooSoon`].
pub fn soon_after(request: &str, last: Option<Time>, min_interval: Duration, now: Time) -> Result<(), Refusal> {
    match last {
        Some(last) if now.since(last) < min_interval => {
            Err(Refusal::TooSoon { id: request.to_owned(), last, ago: now.since(last), min_interval })
        }
        Some(_) | None => Ok(()),
    }
}

/// What becomes of the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// They are sent to this channel.
    Sent(String),
    /// They are only printed: it was asked so, or no channel is set for these labels.
    Printed,
    /// They are only printed, because nobody is to be disturbed now; this channel would have got them.
    Quiet(String),
}

impl Way {
    /// For requests of this channel, at this moment.
    #[must_use]
    pub fn of(channel: Option<&str>, urgency: Urgency, quiet: Option<&QuietHours>, now: Time) -> Self {
        match channel {
            None => Self::Printed,
            Some(channel) if urgency == Urgency::Usual && quiet.is_some_and(|hours| hours.hold(now)) => {
                Self::Quiet(channel.to_owned())
            }
            Some(channel) => Self::Sent(channel.to_owned()),
        }
    }
}

/// Whether the rules of politeness hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// They do.
    Usual,
    /// A person said that they do not.
    Forced,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_ms(1_772_589_600_000);

    #[test]
    fn in_quiet_hours_nothing_is_sent_unasked() {
        let quiet = Some(QuietHours { from: 9 * 60, until: 11 * 60, zone: crate::domain::time::BEIJING });
        let way = |channel, urgency, now| Way::of(channel, urgency, quiet.as_ref(), now);
        assert_eq!(way(Some("chat"), Urgency::Usual, NOW), Way::Quiet("chat".to_owned()));
        assert_eq!(way(Some("chat"), Urgency::Forced, NOW), Way::Sent("chat".to_owned()));
        assert_eq!(way(Some("chat"), Urgency::Usual, NOW + Duration::from_hours(1)), Way::Sent("chat".to_owned()));
        assert_eq!(way(None, Urgency::Forced, NOW), Way::Printed);
    }

    #[test]
    fn too_soon_says_when() {
        let min_interval = Duration::from_hours(24);
        assert_eq!(soon_after("r", None, min_interval, NOW), Ok(()));
        assert_eq!(soon_after("r", Some(NOW - min_interval), min_interval, NOW), Ok(()));
        let refusal = soon_after("r", Some(NOW - Duration::from_secs(5_430)), min_interval, NOW).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "request r was nudged 1h 30m ago, at 2026-03-04T00:29:30.000Z: the next nudge is due at \
             2026-03-05T00:29:30.000Z ([nudge] min_interval = 1d); --force does not wait"
        );
    }
}
