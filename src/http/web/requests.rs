//! The list of requests, with filters that stand in its address, and what can be done to all that they choose.

use askama::Template;
use axum::{extract::State, response::Response};

use super::{filtered::Filtered, view::View};
use crate::{
    http::api::{page::Page, problem::Problem, query::Query, requests, state::Api},
    store::read::{
        request_page::{RequestFilter, STATES},
        views::RequestView,
    },
};

#[derive(Template)]
#[template(path = "requests.html")]
struct RequestsPage<'p> {
    view: &'p View,
    rows: &'p [RequestView],
    filter: &'p RequestFilter,
    list: Filtered,
}

impl RequestsPage<'_> {
    fn has_state(&self, state: &&str) -> bool {
        self.filter.states.iter().any(|given| given == state)
    }

    const fn states(&self) -> [&'static str; STATES.len()] {
        STATES
    }

    /// What can be done to some of these at least.
    fn actions(&self) -> &'static [&'static str] {
        match self.filter.open {
            Some(true) => &["cancel"],
            Some(false) => &["retry"],
            None => &["cancel", "retry"],
        }
    }

    fn more_labels(&self) -> &[(String, String)] {
        self.filter.labels.get(1..).unwrap_or_default()
    }

    fn labels(&self) -> String {
        self.filter.labels.first().map(|(name, value)| format!("{name}={value}")).unwrap_or_default()
    }
}

/// The page.
pub(super) async fn list(State(api): State<Api>, view: View, mut query: Query) -> Result<Response, Problem> {
    let (filter, span) = (requests::filters(&mut query, api.now()), query.page());
    query.done()?;
    let asked = RequestFilter { after: span.after.clone(), ..filter.clone() };
    let looked = api.reading(api.store().look_at_requests(&asked, span.rows())).await?;
    let Page { items, next } = span.page_of(looked, |row| row.id.clone());
    let presets = [
        (view.t("Open", "进行中"), "open=true"),
        (view.t("Account's admin", "待公众号管理员"), "state=awaiting_account_admin"),
        (view.t("Program's admin", "待小程序管理员"), "state=awaiting_program_admin"),
        (view.t("Linked", "已关联"), "state=linked"),
        (view.t("Failed or refused", "失败或被拒"), "state=failed,rejected,lapsed"),
        (view.t("All", "全部"), ""),
    ];
    Ok(view.page(&RequestsPage {
        rows: &items,
        filter: &filter,
        list: Filtered::of(&view, &presets, next),
        view: &view,
    }))
}
