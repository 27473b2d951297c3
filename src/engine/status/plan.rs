//! The plan that is in force, of the page.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{
        text::format::{duration, rfc3339},
        time::Time,
    },
    store::write::pace::PaceRow,
};

/// The plan that the daemon works by.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it, and are those of the page")]
pub struct Plan {
    /// By how much all waits are stretched; `None` while no daemon has written a plan down.
    pub stretch: Option<f64>,
    pub late_seconds: Option<i64>,
    /// Since when the stretch is above 2.
    pub strained_since: Option<String>,
    pub lines: Vec<String>,
}

impl Plan {
    pub(super) fn of(pace: Option<PaceRow>) -> Self {
        let stretch = pace.map(|pace| f64::from(pace.stretch) / 1_000.0);
        let late_seconds = pace.map(|pace| pace.late_ms / 1_000);
        let strained_since = pace.and_then(|pace| pace.strained_since).map(|at| rfc3339(Time::from_ms(at)));
        Self { stretch, late_seconds, strained_since, lines: plan_lines(pace).to_vec() }
    }
}

/// The plan in two sentences: whether waits are stretched, and how late a look may be by it.
fn plan_lines(pace: Option<PaceRow>) -> [String; 2] {
    /// The stretch of the row is in thousandths.
    const PLAIN: u32 = 1_000;
    let Some(PaceRow { stretch, late_ms, .. }) = pace else {
        return ["unknown: no daemon has recorded one".to_owned(), "amplinkd plan computes it".to_owned()];
    };
    let first = if stretch <= PLAIN {
        "every poll is on schedule".to_owned()
    } else {
        format!(
            "demand exceeds supply, so every interval is {}.{} times the configured one",
            stretch / PLAIN,
            stretch % PLAIN / 100
        )
    };
    let late = Duration::from_millis(u64::try_from(late_ms).unwrap_or(0));
    let late = Duration::from_secs(late.as_secs());
    let second = if late.is_zero() {
        "none is planned to be late".to_owned()
    } else {
        format!("a poll may be {} late", duration(late))
    };
    [first, second]
}
