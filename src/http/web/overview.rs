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
        account::SuspendedBy,
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
    /// Who suspended accounts, and how many.
    suspended: Vec<(&'static str, i64)>,
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

/// The least of a bar that is seen, in thousandths of the longest.
pub(super) const SEEN: u64 = 6;

/// A part of a bar: where it begins and ends, in thousandths of the longest bar.
#[derive(Clone, Copy, Default)]
struct Slice {
    from: u64,
    width: u64,
    count: u64,
}

/// What came to an end in the last day.
struct DayFigure {
    what: String,
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
        suspended: suspended(&figures),
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
            Stage::AccountAdmin => {
                (view.waits_for("account_admin"), "/requests?state=awaiting_account_admin&read=true")
            }
            Stage::ProgramAdmin => {
                (view.waits_for("program_admin"), "/requests?state=awaiting_program_admin&read=true")
            }
            Stage::Unlink => (view.waits_for("unlink"), "/requests?state=initiated&kind=unlink&read=true"),
            Stage::Initiated => (view.waits_for("initiated"), "/requests?state=initiated&kind=link&read=true"),
            Stage::Requested => (view.waits_for("us"), "/requests?state=requested,initiating&read=true"),
        };
        StageBar { what, to, total: waiting.total(), ages: slices(waiting.by_age, longest) }
    };
    waiting.iter().map(bar).collect()
}

/// A bar of these counts, beside others of which the longest is of so many. Something is seen of anything.
fn slices(counts: [u64; AGES.len()], longest: u64) -> [Slice; AGES.len()] {
    let mut widths = counts.map(|count| if count == 0 { 0 } else { (count * 1_000 / longest).max(SEEN) });
    let surplus = widths.iter().sum::<u64>().saturating_sub(1_000);
    if let Some(widest) = widths.iter_mut().max() {
        *widest -= surplus;
    }
    let mut from = 0;
    let mut slices = [Slice::default(); AGES.len()];
    for ((slice, width), count) in slices.iter_mut().zip(widths).zip(counts) {
        *slice = Slice { from, width, count };
        from += width;
    }
    slices
}

fn day(view: &View, figures: &Figures) -> Vec<DayFigure> {
    let figure = |word: &str, to, tone| {
        let count = figures.ended.iter().find(|count| count.word == word).map_or(0, |count| count.count);
        DayFigure { what: view.state(word).to_owned(), to, tone, count }
    };
    vec![
        figure("linked", "/requests?state=linked&since=24h", "good"),
        figure("rejected", "/requests?state=rejected&since=24h", "bad"),
        figure("failed", "/requests?state=failed&since=24h", "bad"),
        figure("lapsed", "/requests?state=lapsed&since=24h", "calm"),
        figure("cancelled", "/requests?state=cancelled&since=24h", "calm"),
        figure("unlinked", "/requests?state=unlinked&kind=unlink&since=24h", "good"),
    ]
}

/// Accounts that somebody suspended, with whatever code.
fn suspended(figures: &Figures) -> Vec<(&'static str, i64)> {
    let of = |by: SuspendedBy| {
        let hand = by.as_str();
        (hand, figures.suspended.iter().filter(|cause| cause.suspended_by == hand).map(|cause| cause.count).sum())
    };
    [SuspendedBy::Operator, SuspendedBy::Wechat].map(of).into_iter().filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_many_is_seen_and_a_bar_ends_where_the_longest_does() {
        let drawn = |counts, longest| slices(counts, longest).map(|slice| (slice.from, slice.width));
        assert_eq!(drawn([1, 0, 0, 1_000_000], 1_000_001), [(0, SEEN), (SEEN, 0), (SEEN, 0), (SEEN, 1_000 - SEEN)]);
        assert_eq!(drawn([1, 1, 1, 0], 1_000_000), [(0, SEEN), (SEEN, SEEN), (2 * SEEN, SEEN), (3 * SEEN, 0)]);
        assert_eq!(drawn([50, 50, 0, 0], 200), [(0, 250), (250, 250), (500, 0), (500, 0)]);
        assert_eq!(drawn([0; AGES.len()], 1).map(|(_, width)| width), [0; AGES.len()]);
    }
}
