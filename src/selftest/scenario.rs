//! The parameters of a simulation and the report on it.

use std::{fmt, time::Duration};

use crate::domain::time::Time;

/// What a life is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// Everything that happens follows from it.
    pub seed: u64,
    /// How long things happen; then everybody comes to rest.
    pub span: Duration,
    /// How often something happens, on average.
    pub turn_every: Duration,
    /// Polls and calls under way at once. Only with one does the same seed bring the very same life: with more, the
    /// machine decides whose answer comes first.
    pub at_once: usize,
}

/// A life in which every promise was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lived {
    /// Its own time, until everybody had come to rest.
    pub took: Duration,
    /// Moments at which everything was looked at.
    pub steps: u64,
    /// Requests that were asked for.
    pub requests: usize,
    /// Lists that were asked for.
    pub polls: u64,
    /// Calls of `wxamplink` and `wxampunlink` that arrived.
    pub calls: u64,
    /// Calls that met a fault.
    pub faults: u64,
    /// Processes that were killed.
    pub kills: u64,
    /// Calls whose tokens were looked for on disk, where the platform keeps its tokens itself.
    pub tokens: Option<u64>,
    /// Everything that came about, as one number: the same life has the same.
    pub digest: u64,
}

/// A promise that was broken, and how to see it again.
#[derive(Debug)]
pub struct Broken {
    /// The life.
    pub life: Scenario,
    /// When, on its own calendar.
    pub at: Time,
    /// At which step.
    pub step: u64,
    /// The promise.
    pub promise: &'static str,
    /// What was seen.
    pub what: String,
    /// What had happened, the latest last.
    pub told: Vec<String>,
}

impl Scenario {
    /// How often something happens in an ordinary life.
    pub const ORDINARY: Duration = Duration::from_mins(45);
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scenario { seed, span, turn_every, at_once } = self.life;
        let (days, minutes) = (span.as_secs() / 86_400, turn_every.as_secs() / 60);
        writeln!(f, "broken promise: {}", self.promise)?;
        writeln!(f, "  {}", self.what)?;
        writeln!(
            f,
            "  seed {seed}, {days} days, a turn every {minutes} minutes, {at_once} at once; step {}, {}",
            self.step, self.at
        )?;
        writeln!(f, "what had happened:")?;
        self.told.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl std::error::Error for Broken {}
