//! What is counted of the log, of alerts and of messages, for metrics. Steps are counted as the evaluator reads them from
//! the log, so that those of commands and of the time before a start count, too.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use crate::{
    domain::{
        action::Via,
        alert_rules::{Rule, Stage},
        history::is_possible,
        observation::Cause,
        request::{KIND_WORDS, StateKind},
        stage_durations::{Ended, stage_ended},
        time::Time,
    },
    meters::{Counter, Histogram},
    store::{read::news::StepNews, write::deliveries::Outcome},
};

/// Upper bounds of how long an approval takes, microseconds: 15 minutes to a fortnight.
const APPROVAL_US: [u64; 9] = {
    const HOUR: u64 = 3_600_000_000;
    [HOUR / 4, HOUR, 4 * HOUR, 12 * HOUR, 24 * HOUR, 48 * HOUR, 96 * HOUR, 168 * HOUR, 336 * HOUR]
};

/// Upper bounds of how long a message takes to be taken or not, microseconds.
const DELIVERY_US: [u64; 8] = [25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 30_000_000];

/// Stages whose approvals are measured.
pub const APPROVALS: [Stage; 3] = [Stage::AccountAdmin, Stage::ProgramAdmin, Stage::Unlink];

const STEPS: usize = KIND_WORDS.len() * StateKind::ALL.len() * Cause::ALL.len();

/// What alerting has counted since the start.
#[derive(Debug)]
pub struct AlertMeters {
    steps: [Counter; STEPS],
    approvals: [Histogram<{ APPROVAL_US.len() }>; APPROVALS.len()],
    fired: [Counter; Rule::ALL.len()],
    accepted: [Counter; Via::ALL.len()],
}

impl Default for AlertMeters {
    fn default() -> Self {
        Self {
            steps: [const { Counter::new() }; STEPS],
            approvals: [const { Histogram::new(APPROVAL_US) }; APPROVALS.len()],
            fired: [const { Counter::new() }; Rule::ALL.len()],
            accepted: Default::default(),
        }
    }
}

/// What a step is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepClass {
    /// `link` or `unlink`.
    pub kind: &'static str,
    /// The state that it led to.
    pub to: StateKind,
    /// Where it came from.
    pub cause: Cause,
}

impl StepClass {
    /// Every class that a step can be of.
    pub fn all() -> impl Iterator<Item = Self> {
        let kinds = KIND_WORDS.into_iter();
        let pairs = kinds.flat_map(|kind| StateKind::ALL.into_iter().map(move |to| (kind, to)));
        let all = pairs.flat_map(|(kind, to)| Cause::ALL.into_iter().map(move |cause| Self { kind, to, cause }));
        all.filter(Self::is_possible)
    }

    fn is_possible(&self) -> bool {
        let Self { kind, to, cause } = *self;
        let is_first = cause == Cause::Accepted && to == StateKind::Requested;
        let leads_there = |from: StateKind| is_possible(kind, from.as_str(), cause.as_str(), to.as_str());
        is_first || StateKind::ALL.into_iter().any(leads_there)
    }

    fn place(self) -> usize {
        let kind = usize::from(self.kind != KIND_WORDS[0]);
        (kind * StateKind::ALL.len() + self.to as usize) * Cause::ALL.len() + self.cause as usize
    }
}

impl AlertMeters {
    /// Counts a step that was read.
    pub(super) fn step(&self, step: &StepNews) {
        let Some(kind) = KIND_WORDS.into_iter().find(|kind| *kind == step.kind) else { return };
        self.steps[StepClass { kind, to: step.to, cause: step.cause }.place()].add_one();
        if let Some(via) = step.via {
            self.accepted[via as usize].add_one();
        }
        let (Some(from), Some(waited)) = (step.from, step.waited) else { return };
        if let Some((stage, Ended::Forward)) = stage_ended(kind, from.as_str(), step.to.as_str())
            && let Some(place) = APPROVALS.iter().position(|measured| *measured == stage)
        {
            self.approvals[place].note_duration(waited);
        }
    }

    /// Counts an alert that began to fire.
    pub(super) fn fired(&self, rule: Rule) {
        self.fired[rule as usize].add_one();
    }

    /// Steps of this class.
    #[must_use]
    pub fn steps(&self, class: StepClass) -> u64 {
        self.steps[class.place()].get()
    }

    /// Requests that came in by this door.
    #[must_use]
    pub fn accepted(&self, via: Via) -> u64 {
        self.accepted[via as usize].get()
    }

    /// How long approvals of each stage of [`APPROVALS`] took.
    #[must_use]
    pub const fn approvals(&self) -> &[Histogram<{ APPROVAL_US.len() }>; APPROVALS.len()] {
        &self.approvals
    }

    /// Alerts of a rule that began to fire.
    #[must_use]
    pub fn alerts_fired(&self, rule: Rule) -> u64 {
        self.fired[rule as usize].get()
    }
}

/// What a try to deliver a message came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryResult {
    /// The service took it.
    Taken,
    /// It is tried again later.
    Later,
    /// The service refused it; it is tried again.
    Refused,
    /// It was given up.
    GivenUp,
}

impl DeliveryResult {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Taken, Self::Later, Self::Refused, Self::GivenUp];

    /// The word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Later => "later",
            Self::Refused => "refused",
            Self::GivenUp => "given_up",
        }
    }

    /// What became of a message that had been refused so often before.
    pub(super) const fn of(outcome: &Outcome, refusals_before: i64) -> Self {
        match outcome {
            Outcome::Delivered { .. } => Self::Taken,
            Outcome::Again { refusals, .. } if *refusals > refusals_before => Self::Refused,
            Outcome::Again { .. } => Self::Later,
            Outcome::Dead { .. } => Self::GivenUp,
        }
    }
}

/// Tries of one channel since the start.
#[derive(Debug)]
pub struct ChannelMeters {
    results: [Counter; DeliveryResult::ALL.len()],
    /// How long a try took, whatever came of it.
    pub took: Histogram<{ DELIVERY_US.len() }>,
}

impl Default for ChannelMeters {
    fn default() -> Self {
        Self { results: Default::default(), took: Histogram::new(DELIVERY_US) }
    }
}

impl ChannelMeters {
    pub(super) fn note(&self, result: DeliveryResult) {
        self.results[result as usize].add_one();
    }

    /// Tries that came to this.
    #[must_use]
    pub fn tries(&self, result: DeliveryResult) -> u64 {
        self.results[result as usize].get()
    }

    pub(super) fn took(&self, took: Duration) {
        self.took.note_duration(took);
    }
}

/// The meters of all channels, by name. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct DeliveryMeters(Arc<Mutex<BTreeMap<String, Arc<ChannelMeters>>>>);

impl DeliveryMeters {
    /// Every channel's; those of channels that are no longer configured go with them.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Arc<ChannelMeters>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// These are all channels from now on.
    pub(super) fn keep<'a>(&self, names: impl Iterator<Item = &'a String>) {
        // Nothing in here panics halfway through a change.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all = names.map(|name| (name.clone(), all.remove(name).unwrap_or_default())).collect();
    }

    pub(super) fn of(&self, name: &str) -> Arc<ChannelMeters> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(name).cloned().unwrap_or_default()
    }
}

/// When the heartbeat was last heard. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LastHeard(Arc<AtomicI64>);

/// There is no heartbeat.
const NONE: i64 = i64::MIN;

impl Default for LastHeard {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(NONE)))
    }
}

impl LastHeard {
    /// There is a heartbeat now, or none.
    pub(crate) fn configure(&self, is_configured: bool) {
        if !is_configured {
            self.0.store(NONE, Ordering::Relaxed);
        } else if self.0.load(Ordering::Relaxed) == NONE {
            self.0.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn note(&self, at: Time) {
        self.0.store(at.ms(), Ordering::Relaxed);
    }

    /// When a beat last arrived, the beginning of 1970 while none has; `None` where there is no heartbeat.
    #[must_use]
    pub fn get(&self) -> Option<Time> {
        let at = self.0.load(Ordering::Relaxed);
        (at != NONE).then(|| Time::from_ms(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_steps_has_a_place_of_its_own_and_there_are_few() {
        let classes: Vec<StepClass> = StepClass::all().collect();
        let mut places: Vec<usize> = classes.iter().map(|class| class.place()).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), classes.len());
        assert!((40..80).contains(&classes.len()), "{}", classes.len());
    }

    #[test]
    fn an_approval_is_measured_where_whoever_was_waited_for_agreed() {
        let meters = AlertMeters::default();
        let step = |kind: &str, from, to, hours| StepNews {
            kind: kind.to_owned(),
            from: Some(from),
            to,
            cause: Cause::Listing,
            via: None,
            waited: Some(Duration::from_hours(hours)),
        };
        meters.step(&step("link", StateKind::AwaitingAccountAdmin, StateKind::AwaitingProgramAdmin, 3));
        meters.step(&step("link", StateKind::AwaitingAccountAdmin, StateKind::Lapsed, 3));
        meters.step(&step("unlink", StateKind::Initiated, StateKind::Unlinked, 30));
        let sums = meters.approvals().each_ref().map(|stage| stage.read().sum / 3_600_000_000);
        assert_eq!(sums, [3, 0, 30]);
        let lapsed = StepClass { kind: "link", to: StateKind::Lapsed, cause: Cause::Listing };
        assert_eq!(meters.steps(lapsed), 1);
    }
}
