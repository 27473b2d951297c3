//! How long approvals took, stage by stage, and whether reminders helped.

use std::{collections::BTreeSet, time::Duration};

use askama::Template;
use axum::{extract::State, response::Response};

use super::{charts::Chart, filtered::Filtered, view::View};
use crate::{
    domain::stage_durations::Measured,
    engine::approvals::{ApprovalRow, approval_rows},
    http::api::{
        problem::Problem,
        query::{self, Query},
        reports,
        state::Api,
    },
    store::read::stage_times::{By, StageTimes},
};

/// Groups on the page; the API has all.
const GROUPS: usize = 50;

#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage<'p> {
    view: &'p View,
    list: Filtered,
    /// How many settled requests were measured, and whether there are older ones.
    requests: u64,
    is_cut: bool,
    by: By,
    rows: Vec<&'p ApprovalRow>,
    /// Those of them whose administrators were reminded.
    nudged: Vec<&'p ApprovalRow>,
    histograms: Vec<Histogram>,
    /// All groups, when the page does not show them all.
    groups: Option<u64>,
    within: Duration,
}

/// How long one stage took.
struct Histogram {
    title: String,
    chart: Chart,
    counts: Vec<(String, u64)>,
}

impl ReportPage<'_> {
    fn is_grouped(&self) -> bool {
        self.by != By::Nothing
    }

    fn took(&self, seconds: &Option<u64>) -> String {
        seconds.map_or_else(|| "–".to_owned(), |seconds| self.view.span(Duration::from_secs(seconds)))
    }

    /// The list of a group's requests.
    fn list_of(&self, group: &Option<String>) -> Option<String> {
        let group = group.as_deref()?;
        match &self.by {
            By::Account => Some(self.view.url(&format!("/accounts/{group}"))),
            By::Label(name) => {
                Some(self.view.url(&format!("/requests?label={}", query::encoded(&format!("{name}={group}")))))
            }
            By::Nothing => None,
        }
    }
}

/// The page.
pub(super) async fn show(State(api): State<Api>, view: View, mut query: Query) -> Result<Response, Problem> {
    let sample = reports::filters(&mut query, api.now());
    query.done()?;
    let (times, effects) = reports::measured(&api, &sample).await?;
    let rows = approval_rows(&times, &effects, &sample.by);
    let groups = rows.iter().map(|row| &row.group).collect::<BTreeSet<_>>().len();
    let shown: Vec<&ApprovalRow> = few(&rows).filter(|row| has_something(row) || sample.by == By::Nothing).collect();
    Ok(view.page(&ReportPage {
        list: Filtered::of(&view, &presets(&view), None),
        requests: u64::try_from(times.requests).unwrap_or(u64::MAX),
        is_cut: times.is_cut,
        nudged: shown.iter().filter(|row| row.nudges > 0).copied().collect(),
        rows: shown,
        histograms: histograms(&view, &times),
        groups: (groups > GROUPS).then(|| u64::try_from(groups).unwrap_or(u64::MAX)),
        within: api.config().nudge.effect_within,
        by: sample.by,
        view: &view,
    }))
}

const fn has_something(row: &ApprovalRow) -> bool {
    row.approved + row.ended_otherwise + row.nudges > 0
}

/// The rows of as many groups as are shown.
fn few(rows: &[ApprovalRow]) -> impl Iterator<Item = &ApprovalRow> {
    let mut groups = BTreeSet::new();
    rows.iter().take_while(move |row| {
        groups.insert(&row.group);
        groups.len() <= GROUPS
    })
}

fn presets(view: &View) -> [(&'static str, &'static str); 4] {
    [
        (view.t("All requests", "全部请求"), ""),
        (view.t("Last 30 days", "最近 30 天"), "since=30d"),
        (view.t("Last 7 days", "最近 7 天"), "since=7d"),
        (view.t("By account", "按公众号"), "by=account"),
    ]
}

/// One for each stage in which anybody agreed, of everything together.
fn histograms(view: &View, times: &StageTimes) -> Vec<Histogram> {
    let Some(stages) = times.groups.get(&None) else { return Vec::new() };
    let of = |measured: Measured| {
        let bars = stages.get(measured.as_str())?.took.histogram();
        let counts: Vec<(String, u64)> = bars.into_iter().map(|bar| (view.range(&bar.range), bar.count)).collect();
        let title = view.measured(measured.as_str()).to_owned();
        let chart = Chart::of(measured.as_str(), title.clone(), &counts);
        (!counts.is_empty()).then_some(Histogram { title, chart, counts })
    };
    Measured::ALL.into_iter().filter_map(of).collect()
}
