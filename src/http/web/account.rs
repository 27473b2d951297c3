//! One account: how it stands in sentences, its requests, its alerts, its authorization, and its programs as WeChat lists
//! them.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};

use super::{
    account_told::Told,
    accounts::{Standing, standing, used_today},
    overview::SEEN,
    view::View,
};
use crate::{
    domain::alert_state::AlertState,
    http::api::{accounts, problem::Problem, query::Query, state::Api, tag},
    store::read::{
        actions::{ActionFilter, ActionView},
        alert_views::{AlertFilter, AlertView},
        authorizers::AuthorizerView,
        request_page::RequestFilter,
        views::{AccountView, ProgramView, RequestView},
    },
};

/// Of each kind of thing beside an account; lists of their own have the rest.
const BESIDE: u32 = 50;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'p> {
    view: &'p View,
    row: &'p AccountView,
    standing: Standing<'p>,
    sentences: Vec<String>,
    requests: Vec<RequestView>,
    alerts: Vec<AlertView>,
    authorizer: Option<AuthorizerView>,
    programs: Vec<ProgramView>,
    actions: Vec<ActionView>,
    budget: u32,
    used: i64,
    tag: String,
}

impl AccountPage<'_> {
    fn can_be_suspended(&self) -> bool {
        self.row.suspended_by.as_deref() != Some("operator")
    }

    const fn can_be_resumed(&self) -> bool {
        self.row.suspended_by.is_some() || self.row.calls_refused_since.is_some()
    }

    /// How much of the day's budget is used, in thousandths.
    fn used_part(&self) -> i64 {
        (self.used * 1_000 / i64::from(self.budget.max(1))).clamp(SEEN.cast_signed(), 1_000)
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
    let (appid, store) = (accounts::appid(&text)?, api.store());
    let row = accounts::row(&api, &appid).await?;
    let (name, budget) = (row.account.as_str(), api.config().polling.daily_budget);
    let gates = api.reading(store.gates_of(name, api.now())).await?;
    let of_it = ActionFilter { subject: Some(name.to_owned()), ..ActionFilter::default() };
    let actions = api.reading(store.action_page(&of_it, None, BESIDE)).await?;
    let open = RequestFilter { account: Some(name.to_owned()), open: Some(true), ..RequestFilter::default() };
    let alerts =
        AlertFilter { account: Some(name.to_owned()), states: AlertState::OPEN.to_vec(), ..AlertFilter::default() };
    let suspension = actions.iter().find(|action| action.action == "suspend");
    let told = Told { view: &view, account: &row, gates: &gates, suspension, budget };
    Ok(view.page(&AccountPage {
        sentences: told.sentences(),
        standing: standing(&view, &row),
        used: used_today(&view, &row),
        requests: api.reading(store.list_requests(&open, BESIDE)).await?,
        alerts: api.reading(store.alert_page(&alerts, None, BESIDE)).await?,
        authorizer: api.reading(store.authorizer_view(name)).await?,
        programs: api.reading(store.program_rows((Some(name), None), ("", ""), BESIDE)).await?,
        tag: tag::tag(&row, &()).to_str().unwrap_or_default().to_owned(),
        budget,
        actions,
        row: &row,
        view: &view,
    }))
}
