//! When people must have been notified, for the audit.

use std::time::Duration;

use crate::{
    domain::{
        alert_rules::{AlertPolicy, QuietHours, Rule},
        request::StateKind,
        time::Time,
    },
    store::read::audit::{Aged, Telling},
};

/// How far past its time a step may be before it counts as stalled: longer than a full agenda takes to be worked off
/// after a restart, shorter than anybody's patience.
pub const OVERDUE_AFTER: Duration = Duration::from_mins(15);

/// How long it is asked whether a request was looked at since it got old: an alert that a person resolved is kept for longer.
const ALERTS_KEPT: Duration = Duration::from_hours(7 * 24);

/// When an operator wants people to be told, as `[alerts]` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertDeadlines {
    /// How long an account's list may be unreadable.
    pub unread_after: Duration,
    /// How long the first of a group waits for the others.
    pub group_within: Duration,
    /// When nobody is disturbed.
    pub quiet: Option<QuietHours>,
    /// Rules that are told also then.
    pub quiet_except: Vec<Rule>,
    /// States in which age alone may concern somebody, and from which age on.
    pub aging: Vec<(StateKind, Duration)>,
    /// Whether the daemon keeps the platform's own tokens.
    pub keeps_tokens: bool,
}

impl Default for AlertDeadlines {
    fn default() -> Self {
        Self {
            unread_after: AlertPolicy::default().unread_after,
            group_within: Duration::from_secs(30),
            quiet: None,
            quiet_except: vec![Rule::Daemon],
            aging: Vec::new(),
            keeps_tokens: false,
        }
    }
}

impl AlertDeadlines {
    /// By when people should have been told of what.
    pub(super) fn by(&self, now: Time) -> Telling {
        let late = OVERDUE_AFTER + self.group_within;
        // What was held back through quiet hours has as long after their end, which is at a whole minute.
        let minutes = (0..=late.as_secs().div_ceil(60)).map(|minutes| now - Duration::from_secs(60 * minutes));
        let was_quiet = self.quiet.as_ref().is_some_and(|quiet| minutes.into_iter().any(|at| quiet.hold(at)));
        let aged = |(state, age): &(StateKind, Duration)| Aged {
            state: state.as_str(),
            since_after: now - *age - ALERTS_KEPT,
            since_before: now - *age - OVERDUE_AFTER,
        };
        Telling {
            aged: self.aging.iter().map(aged).collect(),
            unread_before: now - self.unread_after,
            due_before: now - late,
            rules: was_quiet.then(|| self.quiet_except.iter().map(|rule| rule.as_str()).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tenth of March 2026 in Beijing.
    fn at(hour: u64, minute: u64) -> Time {
        Time::from_ms(1_773_072_000_000) + Duration::from_hours(hour) + Duration::from_mins(minute)
    }

    #[test]
    fn what_waits_for_the_morning_is_not_late_at_night_nor_when_the_morning_comes() {
        let quiet = Some(QuietHours { from: 22 * 60, until: 8 * 60, zone: crate::domain::time::BEIJING });
        let promised = AlertDeadlines { quiet, ..AlertDeadlines::default() };
        let all = |hour, minute| promised.by(at(hour, minute)).rules.is_none();
        assert!(all(21, 59) && !all(22, 0) && !all(3, 0) && !all(8, 0) && !all(8, 15) && all(8, 16));
        assert_eq!(promised.by(at(3, 0)).rules, Some(vec!["daemon"]));
        assert!(AlertDeadlines::default().by(at(3, 0)).rules.is_none());
    }
}
