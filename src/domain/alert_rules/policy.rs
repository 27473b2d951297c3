//! The alert thresholds that an operator sets.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::{
    Stage,
    learned::{LEARNED_FROM, learned},
};
use crate::domain::{
    event::to_json,
    id::AccountId,
    request::Request,
    time::{BEIJING, Time},
};

/// How long a stage may last before somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// So long.
    After(Duration),
    /// As long as this platform's own requests took in 95 of 100 cases; the default's duration until enough are known.
    Learned,
}

/// A threshold for each stage that waits for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StuckAfter {
    /// Listed 12: the account's administrator has not answered.
    pub account_admin: Threshold,
    /// Listed 2: the program's administrator has not answered.
    pub program_admin: Threshold,
    /// An unlink that the account's administrator has not confirmed.
    pub unlink: Threshold,
    /// Called, and not listed yet.
    pub initiated: Threshold,
    /// Not called yet. It is never learned.
    pub requested: Threshold,
}

impl StuckAfter {
    /// The durations that hold without any configuration, and where a learned one is not known yet.
    #[must_use]
    pub const fn fixed(stage: Stage) -> Duration {
        match stage {
            Stage::AccountAdmin => Duration::from_hours(24),
            Stage::ProgramAdmin | Stage::Unlink => Duration::from_hours(48),
            Stage::Initiated | Stage::Requested => Duration::from_hours(1),
        }
    }

    /// The threshold of one stage.
    #[must_use]
    pub const fn of(&self, stage: Stage) -> Threshold {
        match stage {
            Stage::AccountAdmin => self.account_admin,
            Stage::ProgramAdmin => self.program_admin,
            Stage::Unlink => self.unlink,
            Stage::Initiated => self.initiated,
            Stage::Requested => self.requested,
        }
    }
}

impl Default for StuckAfter {
    fn default() -> Self {
        let fixed = |stage| Threshold::After(Self::fixed(stage));
        Self {
            account_admin: fixed(Stage::AccountAdmin),
            program_admin: fixed(Stage::ProgramAdmin),
            unlink: fixed(Stage::Unlink),
            initiated: fixed(Stage::Initiated),
            requested: fixed(Stage::Requested),
        }
    }
}

/// Whose thresholds differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Requests with this label, by name and value.
    Label(String, String),
    /// Requests of this account.
    Account(AccountId),
}

impl Whose {
    /// Whether this request is meant.
    #[must_use]
    pub fn is(&self, request: &Request) -> bool {
        match self {
            Self::Label(name, value) => request.labels.get(name) == Some(value),
            Self::Account(account) => request.account == *account,
        }
    }
}

/// Thresholds of some requests; `None` keeps the general one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Whose.
    pub whose: Whose,
    /// As in [`StuckAfter`].
    pub account_admin: Option<Threshold>,
    /// As in [`StuckAfter`].
    pub program_admin: Option<Threshold>,
    /// As in [`StuckAfter`].
    pub unlink: Option<Threshold>,
    /// As in [`StuckAfter`].
    pub initiated: Option<Threshold>,
    /// As in [`StuckAfter`].
    pub requested: Option<Threshold>,
}

impl Override {
    const fn of(&self, stage: Stage) -> Option<Threshold> {
        match stage {
            Stage::AccountAdmin => self.account_admin,
            Stage::ProgramAdmin => self.program_admin,
            Stage::Unlink => self.unlink,
            Stage::Initiated => self.initiated,
            Stage::Requested => self.requested,
        }
    }
}

/// The thresholds of every request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Thresholds {
    /// What holds in general.
    pub stuck_after: StuckAfter,
    /// What holds for some; the last one that fits wins.
    pub overrides: Vec<Override>,
}

impl Thresholds {
    /// Whether any of them is learned.
    #[must_use]
    pub fn learn(&self) -> bool {
        let is_learned = |stage: Stage| {
            let own = self.overrides.iter().filter_map(|one| one.of(stage));
            own.chain([self.stuck_after.of(stage)]).any(|threshold| threshold == Threshold::Learned)
        };
        Stage::ALL.into_iter().any(is_learned)
    }

    /// What holds for this request in this stage.
    #[must_use]
    pub fn of(&self, request: &Request, stage: Stage) -> Threshold {
        let own = self.overrides.iter().rev().filter(|one| one.whose.is(request)).find_map(|one| one.of(stage));
        own.unwrap_or_else(|| self.stuck_after.of(stage))
    }
}

/// Hours of the day in which nobody is to be disturbed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietHours {
    /// The minute of the day with which they begin.
    pub from: u16,
    /// The minute of the day with which they are over; before `from`, it is the next day's.
    pub until: u16,
    /// Whose day.
    pub zone: TimeZone,
}

impl QuietHours {
    /// Whether they hold at this moment.
    #[must_use]
    pub fn hold(&self, now: Time) -> bool {
        let Ok(moment) = jiff::Timestamp::from_millisecond(now.ms()) else { return false };
        let local = self.zone.to_datetime(moment);
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        let (from, until) = (i32::from(self.from), i32::from(self.until));
        if from <= until { (from..until).contains(&minute) } else { minute >= from || minute < until }
    }
}

/// What this platform's own requests teach of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LearnedThreshold {
    /// Longer than this took 5 of 100.
    pub after: Duration,
    /// Of so many settled requests.
    pub requests: u64,
}

/// Everything the rules go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertPolicy {
    /// From when on a request is stuck.
    pub thresholds: Thresholds,
    /// What was learned of each stage, in the order of [`Stage::ALL`].
    pub learned_thresholds: [Option<LearnedThreshold>; Stage::ALL.len()],
    /// How long an end that somebody should act on is news.
    pub keep_outcomes: Duration,
    /// How long an account's list may be unreadable before that is told, and nobody is blamed by an older one any more.
    pub unread_after: Duration,
    /// Whose time the sentences tell.
    pub zone: TimeZone,
}

impl AlertPolicy {
    /// A text that differs exactly when the rules do: the database keeps the one that every request was last evaluated by.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let ms = |span: Duration| span.as_millis();
        let after = |threshold: Threshold| match threshold {
            Threshold::After(after) => ms(after).to_string(),
            Threshold::Learned => "learned".to_owned(),
        };
        let Thresholds { stuck_after, overrides } = &self.thresholds;
        let general = Stage::ALL.map(|stage| after(stuck_after.of(stage)));
        let own = overrides.iter().map(|one| {
            let whose = match &one.whose {
                Whose::Label(name, value) => ("label", name.as_str(), value.as_str()),
                Whose::Account(account) => ("account", account.as_str(), ""),
            };
            (whose, Stage::ALL.map(|stage| one.of(stage).map(after)))
        });
        let learned = self.learned_thresholds.map(|lesson| lesson.map(|lesson| ms(lesson.after)));
        let spans = (ms(self.keep_outcomes), ms(self.unread_after));
        to_json(&(general, own.collect::<Vec<_>>(), learned, spans))
    }

    /// The shortest that any request may stay in this stage: what is younger concerns nobody.
    #[must_use]
    pub fn shortest(&self, stage: Stage) -> Duration {
        let Thresholds { stuck_after, overrides } = &self.thresholds;
        let learned = self.learned_thresholds[stage as usize].map_or(StuckAfter::fixed(stage), |lesson| lesson.after);
        let own = overrides.iter().filter_map(|one| one.of(stage));
        let durations = own.chain([stuck_after.of(stage)]).map(|threshold| match threshold {
            Threshold::After(after) => after,
            Threshold::Learned => learned,
        });
        durations.min().unwrap_or(learned)
    }

    /// [`Self::shortest`] for whoever does not know what was learned: no lesson makes it longer.
    #[must_use]
    pub fn shortest_whatever_is_learned(&self, stage: Stage) -> Duration {
        let longest = learned(stage, LEARNED_FROM, Duration::MAX).unwrap_or_default().max(StuckAfter::fixed(stage));
        let lessons =
            [(); Stage::ALL.len()].map(|()| Some(LearnedThreshold { after: longest, requests: LEARNED_FROM }));
        Self { learned_thresholds: lessons, ..self.clone() }.shortest(stage)
    }

    /// How long this request may stay in this stage, and the lesson when that is where it comes from.
    #[must_use]
    pub fn patience(&self, request: &Request, stage: Stage) -> (Duration, Option<LearnedThreshold>) {
        match (self.thresholds.of(request, stage), self.learned_thresholds[stage as usize]) {
            (Threshold::After(after), _) => (after, None),
            (Threshold::Learned, Some(lesson)) => (lesson.after, Some(lesson)),
            (Threshold::Learned, None) => (StuckAfter::fixed(stage), None),
        }
    }
}

impl Default for AlertPolicy {
    fn default() -> Self {
        Self {
            thresholds: Thresholds::default(),
            learned_thresholds: [None; Stage::ALL.len()],
            keep_outcomes: Duration::from_hours(7 * 24),
            unread_after: Duration::from_mins(15),
            zone: BEIJING,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_differs_when_any_rule_does() {
        let policy = AlertPolicy::default();
        let hour = Duration::from_hours(1);
        let whose = Whose::Label("customer".to_owned(), "7".to_owned());
        let none = Override {
            whose,
            account_admin: None,
            program_admin: None,
            unlink: None,
            initiated: None,
            requested: Some(Threshold::Learned),
        };
        let mut others = vec![
            AlertPolicy { keep_outcomes: hour, ..policy.clone() },
            AlertPolicy { unread_after: hour, ..policy.clone() },
            AlertPolicy { zone: TimeZone::UTC, ..policy.clone() },
        ];
        let mut thresholds = Thresholds { overrides: vec![none.clone()], ..Thresholds::default() };
        others.push(AlertPolicy { thresholds: thresholds.clone(), ..policy.clone() });
        thresholds.overrides = vec![Override { requested: None, ..none }];
        others.push(AlertPolicy { thresholds, ..policy.clone() });
        let stuck_after = StuckAfter { unlink: Threshold::Learned, ..StuckAfter::default() };
        let thresholds = Thresholds { stuck_after, overrides: Vec::new() };
        others.push(AlertPolicy { thresholds, ..policy.clone() });
        let mut learned = policy.clone();
        learned.learned_thresholds[1] = Some(LearnedThreshold { after: hour, requests: 99 });
        others.push(learned);
        let mut prints: Vec<String> = others.iter().map(AlertPolicy::fingerprint).collect();
        // In which zone times are told changes no rule.
        assert_eq!(prints.remove(2), policy.fingerprint());
        prints.push(policy.fingerprint());
        let different: std::collections::BTreeSet<&String> = prints.iter().collect();
        assert_eq!(different.len(), prints.len());
    }
}
