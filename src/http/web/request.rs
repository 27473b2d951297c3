//! One request: why it stands where it does, every step with the time between, both sides of conflicts, alerts, reminders,
//! and what can be done.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};

use super::view::View;
use crate::{
    domain::alert_state::AlertState,
    engine::explanation,
    http::api::{problem::Problem, query::Query, requests, state::Api, tag},
    store::read::{
        alert_views::{AlertFilter, AlertView},
        nudge_effects::NudgeView,
        views::{ConflictFilter, ConflictView, RequestView, TransitionView},
    },
};

/// Of each kind of thing beside a request.
const BESIDE: u32 = 100;

#[derive(Template)]
#[template(path = "request.html")]
struct RequestPage<'p> {
    view: &'p View,
    row: &'p RequestView,
    sentences: Vec<String>,
    steps: Vec<Step<'p>>,
    conflicts: Vec<ConflictView>,
    alerts: Vec<AlertView>,
    nudges: Vec<NudgeView>,
    tag: String,
}

/// A step, and how long it took to come to it.
struct Step<'p> {
    row: &'p TransitionView,
    after: Option<String>,
}

impl RequestPage<'_> {
    const fn is_open(&self) -> bool {
        self.row.finished_at.is_none()
    }

    fn waits_for_a_person(&self) -> bool {
        ["awaiting_account_admin", "awaiting_program_admin"].contains(&self.row.state.as_str())
            || (self.row.state == "initiated" && self.row.kind == "unlink")
    }
}

/// The page.
pub(super) async fn show(
    State(api): State<Api>,
    Path(text): Path<String>,
    view: View,
    query: Query,
) -> Result<Response, Problem> {
    query.done()?;
    let (id, store) = (requests::id(&text)?, api.store());
    let row = requests::row(&api, &id).await?;
    let history = api.reading(store.history(id.as_str())).await?;
    let of_it = ConflictFilter { request: Some(id.to_string()), ..ConflictFilter::default() };
    let alerts =
        AlertFilter { request: Some(id.to_string()), states: AlertState::ALL.to_vec(), ..AlertFilter::default() };
    let budget = api.config().polling.daily_budget;
    let told = explanation::told(api.recorder(), store, &id, budget, (view.language(), view.zone()));
    Ok(view.page(&RequestPage {
        sentences: api.reading(told).await?,
        conflicts: api.reading(store.conflict_page(&of_it, None, BESIDE)).await?,
        alerts: api.reading(store.alert_page(&alerts, None, BESIDE)).await?,
        nudges: api.reading(store.nudges_of(id.as_str(), BESIDE)).await?,
        tag: tag::tag(&row, &()).to_str().unwrap_or_default().to_owned(),
        steps: steps(&view, &history),
        row: &row,
        view: &view,
    }))
}

fn steps<'p>(view: &View, history: &'p [TransitionView]) -> Vec<Step<'p>> {
    let before = [None].into_iter().chain(history.iter().map(|row| Some(row.at.as_str())));
    history
        .iter()
        .zip(before)
        .map(|(row, before)| Step { row, after: before.map(|before| view.between(before, &row.at)) })
        .collect()
}
