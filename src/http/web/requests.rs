//! The list of requests, with filters that stand in its address, and what can be done to all that they choose.

use askama::Template;
use axum::{extract::State, response::Response};

use super::view::View;
use crate::{
    http::api::{
        page::Page,
        problem::Problem,
        query::{self, Query},
        requests,
        state::Api,
    },
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
    presets: [Preset; 6],
    /// Which filters are in force, each with the address of the page without it.
    chips: Vec<Chip>,
    /// The filters, for forms.
    fields: Vec<(String, String)>,
    next: Option<String>,
    is_first: bool,
}

/// A list that people ask for again and again.
struct Preset {
    what: &'static str,
    query: &'static str,
    is_here: bool,
}

/// A filter in force.
struct Chip {
    name: String,
    value: String,
    without: String,
}

impl RequestsPage<'_> {
    fn has_state(&self, state: &&str) -> bool {
        self.filter.states.iter().any(|given| given == state)
    }

    const fn states(&self) -> [&'static str; STATES.len()] {
        STATES
    }

    fn labels(&self) -> String {
        self.filter.labels.first().map(|(name, value)| format!("{name}={value}")).unwrap_or_default()
    }
}

/// The page.
pub(super) async fn list(State(api): State<Api>, view: View, mut query: Query) -> Result<Response, Problem> {
    let (filter, span) = (requests::filters(&mut query), query.page());
    query.done()?;
    let asked = RequestFilter { after: span.after.clone(), ..filter.clone() };
    let rows = api.reading(api.store().list_requests(&asked, span.rows())).await?;
    let Page { items, next } = span.page(rows, |row| row.id.clone());
    let fields: Vec<(String, String)> = query::pairs(&view.look.query);
    let of_page = |name: &str| ["after", "limit"].contains(&name);
    let fields: Vec<_> = fields.into_iter().filter(|(name, _)| !of_page(name)).collect();
    Ok(view.page(&RequestsPage {
        rows: &items,
        filter: &filter,
        presets: presets(&view),
        chips: chips(&view, &fields),
        next: next.map(|next| address(&view, fields.iter().chain([&("after".to_owned(), next)]))),
        is_first: span.after.is_none(),
        fields,
        view: &view,
    }))
}

fn presets(view: &View) -> [Preset; 6] {
    [
        (view.t("Open", "进行中"), "open=true"),
        (view.t("Account's admin", "待公众号管理员"), "state=awaiting_account_admin"),
        (view.t("Program's admin", "待小程序管理员"), "state=awaiting_program_admin"),
        (view.t("Linked", "已关联"), "state=linked"),
        (view.t("Failed or refused", "失败或被拒"), "state=failed,rejected,lapsed"),
        (view.t("All", "全部"), ""),
    ]
    .map(|(what, query)| Preset { what, query, is_here: view.look.query == query })
}

fn address<'f>(view: &View, fields: impl Iterator<Item = &'f (String, String)>) -> String {
    let pairs: Vec<String> = fields.map(|(name, value)| format!("{name}={}", query::encoded(value))).collect();
    let joint = if pairs.is_empty() { "" } else { "?" };
    view.url(&format!("{}{joint}{}", view.look.path, pairs.join("&")))
}

fn chips(view: &View, fields: &[(String, String)]) -> Vec<Chip> {
    let chip = |(at, (name, value)): (usize, &(String, String))| {
        let others = fields.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, field)| field);
        Chip { name: name.clone(), value: value.clone(), without: address(view, others) }
    };
    fields.iter().enumerate().map(chip).collect()
}
