//! The first page: what needs a person, who is waited for and since when, the day, and the machine.

use std::sync::Arc;

use askama::Template;
use axum::{Extension, extract::State, response::Response};

use super::{
    shared::{Figures, Shared},
    view::View,
};
use crate::{
    domain::{
        alert_rules::Stage,
        digest::{AGES, Waiting},
        text::render::wants_a_person,
    },
    engine::Readings,
    http::api::{problem::Problem, query::Query, state::Api},
    store::read::alert_groups::AlertGroup,
};

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview<'p> {
    view: &'p View,
    figures: &'p Figures,
    /// Groups of alerts that need a person, and the others.
    urgent: Vec<&'p AlertGroup>,
    others: Vec<&'p AlertGroup>,
    stages: Vec<StageBar>,
    day: Vec<DayFigure>,
    readings: Readings,
    findings: Option<usize>,
}

/// Who is waited for in one stage.
struct StageBar {
    what: &'static str,
    /// The list of those who wait.
    to: &'static str,
    total: u64,
    /// By age: the first is the youngest.
    ages: [Slice; AGES.len()],
}

/// A part of a bar: where it begins and ends, in thousandths of the longest bar.
#[derive(Clone, Copy, Default)]
struct Slice {
    from: u64,
    width: u64,
    count: u64,
}

/// What came to an end in the last day.
struct DayFigure {
    what: &'static str,
    to: &'static str,
    tone: &'static str,
    count: u64,
}

/// The page.
pub(super) async fn show(
    State(api): State<Api>,
    Extension(shared): Extension<Shared>,
    view: View,
    query: Query,
) -> Result<Response, Problem> {
    query.done()?;
    let figures: Arc<Figures> = shared.figures(&api).await?;
    let is_urgent = |group: &&AlertGroup| group.state == "firing" && wants_a_person(&group.reason);
    let (urgent, others) = figures.groups.iter().partition(is_urgent);
    Ok(view.page(&Overview {
        view: &view,
        urgent,
        others,
        stages: stages(&view, &figures),
        day: day(&view, &figures),
        readings: api.engine().readings(),
        findings: api.engine().findings().map(|findings| findings.len()),
        figures: &figures,
    }))
}

fn stages(view: &View, figures: &Figures) -> Vec<StageBar> {
    let waiting = &figures.digest.waiting;
    let longest = waiting.iter().map(Waiting::total).max().unwrap_or(0).max(1);
    let bar = |waiting: &Waiting| {
        let (what, to) = match waiting.stage {
            Stage::AccountAdmin => (view.waits_for("account_admin"), "/requests?state=awaiting_account_admin"),
            Stage::ProgramAdmin => (view.waits_for("program_admin"), "/requests?state=awaiting_program_admin"),
            Stage::Unlink => (view.waits_for("unlink"), "/requests?state=initiated&kind=unlink"),
            Stage::Initiated => (view.waits_for("initiated"), "/requests?state=initiated&kind=link"),
            Stage::Requested => (view.waits_for("us"), "/requests?state=requested,initiating"),
        };
        let mut ages = [Slice::default(); AGES.len()];
        let mut from = 0;
        for (slice, count) in ages.iter_mut().zip(waiting.by_age) {
            *slice = Slice { from, width: count * 1_000 / longest, count };
            from += slice.width;
        }
        StageBar { what, to, total: waiting.total(), ages }
    };
    waiting.iter().map(bar).collect()
}

fn day(view: &View, figures: &Figures) -> Vec<DayFigure> {
    let figure = |what, to, tone, words: &[&str]| DayFigure { what, to, tone, count: figures.digest.ended_as(words) };
    vec![
        figure(view.state("linked"), "/requests?state=linked", "good", &["linked"]),
        figure(view.state("rejected"), "/requests?state=rejected", "bad", &["rejected"]),
        figure(view.state("failed"), "/requests?state=failed", "bad", &["failed"]),
        figure(view.state("lapsed"), "/requests?state=lapsed", "calm", &["lapsed"]),
        figure(view.state("cancelled"), "/requests?state=cancelled", "calm", &["cancelled"]),
        figure(view.state("unlinked"), "/requests?state=unlinked", "good", &["unlinked"]),
    ]
}
