//! Proves that nothing stalls and that people are notified: a bounded set of queries. It only reports.

use std::{
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use super::record::Recorder;
use crate::{
    domain::{
        alert_rules::{AlertPolicy, QuietHours, Rule},
        time::Time,
    },
    store::{
        StoreError,
        read::audit::{Finding, Histories, Telling},
    },
};

/// How far past its time a step may be before it counts as stalled: longer than a full agenda takes to be worked off
/// after a restart, shorter than anybody's patience.
pub const OVERDUE_AFTER: Duration = Duration::from_mins(15);

/// Findings of each rule in one report: the first hundred tell as much as a million, and one rule hides no other.
pub const FINDINGS_MAX: u32 = 100;

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
}

impl Default for AlertDeadlines {
    fn default() -> Self {
        Self {
            unread_after: AlertPolicy::default().unread_after,
            group_within: Duration::from_secs(30),
            quiet: None,
            quiet_except: vec![Rule::Daemon],
        }
    }
}

impl AlertDeadlines {
    /// By when people should have been told of what.
    fn by(&self, now: Time) -> Telling {
        let late = OVERDUE_AFTER + self.group_within;
        // What was held back through quiet hours has as long after their end, which is at a whole minute.
        let minutes = (0..=late.as_secs().div_ceil(60)).map(|minutes| now - Duration::from_secs(60 * minutes));
        let was_quiet = self.quiet.as_ref().is_some_and(|quiet| minutes.into_iter().any(|at| quiet.hold(at)));
        Telling {
            unread_before: now - self.unread_after,
            due_before: now - late,
            rules: was_quiet.then(|| self.quiet_except.iter().map(|rule| rule.as_str()).collect()),
        }
    }
}

impl Recorder {
    /// Has the audit judge by these promises; without, by those that hold without any configuration.
    pub fn audit_by(&self, promised: AlertDeadlines) {
        // Nothing in here panics halfway through a change.
        *self.promised.lock().unwrap_or_else(PoisonError::into_inner) = promised;
    }

    /// Everything that is lost, stalled or inconsistent; nothing, when all is well. Of the histories one slice is
    /// compared with its requests, the next time the next one; a small database is one slice.
    pub async fn audit(&self) -> Result<Vec<Finding>, StoreError> {
        // A command lives for one audit: where it begins is as good as chance, so that every slice comes up.
        let begun = scrambled(self.clock().now().ms().cast_unsigned());
        let turn = match self.audits.load(Ordering::Relaxed) {
            0 => begun,
            next => next,
        };
        self.audits.store(turn.wrapping_add(1), Ordering::Relaxed);
        self.audited(Histories::Turn(turn)).await
    }

    /// [`Recorder::audit`] with every history.
    pub async fn audit_all(&self) -> Result<Vec<Finding>, StoreError> {
        self.audited(Histories::All).await
    }

    async fn audited(&self, histories: Histories) -> Result<Vec<Finding>, StoreError> {
        let now = self.clock().now();
        let telling = self.promised.lock().unwrap_or_else(PoisonError::into_inner).by(now);
        // While demand exceeds supply, a look is late by plan: that is told as what it is, by the rule `capacity`.
        let planned = self.store().pace().await?.map_or(Duration::ZERO, |pace| pace.late());
        let mut found = self.store().audit((now - OVERDUE_AFTER - planned).ms(), histories, FINDINGS_MAX).await?;
        found.extend(self.store().audit_telling(&telling, FINDINGS_MAX).await?);
        Ok(found)
    }
}

/// Numbers that follow each other become numbers that have nothing to do with each other (the step of `SplitMix64`).
const fn scrambled(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
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
