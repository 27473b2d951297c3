//! How long approvals took and what nudges brought about, stage by stage: the rows of the report.

use std::{borrow::Cow, collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{
        distribution::{Bar, Distribution},
        stage_durations::Measured,
    },
    store::read::{
        nudge_effects::{Effect, Effects},
        stage_times::{By, StageTimes, Tally},
    },
};

/// One stage of one group.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApprovalRow {
    /// The account or the label's value; none without `--by`, and for requests without the label.
    pub group: Option<String>,
    /// As the reports name it.
    #[schema(value_type = String)]
    pub stage: Cow<'static, str>,
    /// Approvals that were measured.
    pub approved: usize,
    /// Half of them took no longer.
    pub median_seconds: Option<u64>,
    /// Nine of ten took no longer.
    pub p90_seconds: Option<u64>,
    /// Ninety-five of a hundred took no longer.
    pub p95_seconds: Option<u64>,
    /// Requests that ended here without an approval.
    pub ended_otherwise: usize,
    /// Nudges.
    pub nudges: usize,
    /// Of these, the ones whose time is not over.
    pub nudges_undecided: usize,
    /// Of these, the ones after which the approval came in time.
    pub nudges_effective: usize,
    /// The same of a hundred that are decided.
    pub nudges_effective_percent: Option<usize>,
    /// From the nudge to the approval.
    pub median_seconds_after_nudge: Option<u64>,
}

/// All that is measured of approvals, as one document.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApprovalsReport {
    /// The rows.
    pub items: Vec<ApprovalRow>,
    /// There is one page.
    pub next: Option<String>,
    /// Settled requests that were measured.
    pub requests: usize,
    /// Whether there are more of them, of which the newest were measured.
    pub is_newest_only: bool,
    /// How soon an approval must follow a nudge to count as its effect.
    pub effect_within_seconds: u64,
    /// How the times are spread, by stage; none where requests are grouped.
    pub histograms: Vec<StageHistogram>,
}

/// How the times of one stage are spread.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StageHistogram {
    /// The stage.
    pub stage: String,
    /// Its bars, the shortest times first.
    pub bars: Vec<HistogramBar>,
}

/// Approvals that took about as long.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HistogramBar {
    /// From, inclusive, and to, exclusive: "1h-4h".
    pub range: String,
    /// How many fall into it.
    pub count: u64,
    /// The same, drawn.
    pub drawn: String,
}

/// What was measured and what nudges brought about; `within` is how soon an approval counts as the effect of one.
#[must_use]
pub fn approvals_report(times: &StageTimes, effects: &Effects, by: &By, within: Duration) -> ApprovalsReport {
    let stages = times.groups.get(&None).filter(|_| *by == By::Nothing);
    let of_stage = |stretch: Measured| {
        let bars = stages?.get(stretch.as_str())?.took.histogram();
        let bar = |bar: Bar| HistogramBar { range: bar.range, count: bar.count, drawn: bar.drawn };
        let (stage, is_shown) = (stretch.as_str().to_owned(), !bars.is_empty());
        is_shown.then(|| StageHistogram { stage, bars: bars.into_iter().map(bar).collect() })
    };
    ApprovalsReport {
        items: approval_rows(times, effects, by),
        next: None,
        requests: times.requests,
        is_newest_only: times.is_cut,
        effect_within_seconds: within.as_secs(),
        histograms: Measured::ALL.into_iter().filter_map(of_stage).collect(),
    }
}

/// Every stage of every group that has one; without groups every stage there is.
#[must_use]
pub fn approval_rows(times: &StageTimes, effects: &Effects, by: &By) -> Vec<ApprovalRow> {
    let mut groups: BTreeSet<&Option<String>> = times.groups.keys().chain(effects.keys()).collect();
    if *by == By::Nothing {
        groups.insert(&None);
    }
    let mut rows = Vec::new();
    for group in groups {
        for stretch in Measured::ALL {
            let tally = times.groups.get(group).and_then(|stages| stages.get(stretch.as_str()));
            let effect = effects.get(group).and_then(|stages| stages.get(stretch.as_str()));
            if *by == By::Nothing || tally.is_some() || effect.is_some() {
                rows.push(ApprovalRow::of(group.clone(), stretch, tally, effect));
            }
        }
    }
    rows
}

impl ApprovalRow {
    fn of(group: Option<String>, stretch: Measured, tally: Option<&Tally>, effect: Option<&Effect>) -> Self {
        let took = tally.map(|tally| &tally.took);
        let at = |percent| took.and_then(|took: &Distribution| took.percentile(percent)).map(|one| one.as_secs());
        let effect = effect.cloned().unwrap_or_default();
        let decided = effect.nudges - effect.undecided;
        Self {
            group,
            stage: stretch.as_str().into(),
            approved: took.map_or(0, Distribution::count),
            median_seconds: at(50),
            p90_seconds: at(90),
            p95_seconds: at(95),
            ended_otherwise: tally.map_or(0, |tally| tally.otherwise),
            nudges: effect.nudges,
            nudges_undecided: effect.undecided,
            nudges_effective: effect.effective,
            nudges_effective_percent: (effect.effective * 100).checked_div(decided),
            median_seconds_after_nudge: effect.took.median().map(|one| one.as_secs()),
        }
    }
}
