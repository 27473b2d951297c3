//! The list of accounts: whether each is read and called, since when not and why, and what can be done to all that filters
//! choose.

use askama::Template;
use axum::{extract::State, response::Response};

use super::{filtered::Filtered, view::View};
use crate::{
    domain::{account::Trouble, text::format::moment_as, time::BEIJING},
    http::api::{accounts, page::Page, problem::Problem, query::Query, state::Api},
    store::read::views::AccountView,
};

#[derive(Template)]
#[template(path = "accounts.html")]
struct AccountsPage<'p> {
    view: &'p View,
    rows: Vec<Row<'p>>,
    budget: u32,
    list: Filtered,
}

/// An account and what is wrong with it, if anything is.
struct Row<'p> {
    account: &'p AccountView,
    standing: Standing<'p>,
    used: i64,
}

/// How an account stands.
pub(super) struct Standing<'p> {
    /// active, unread, held or suspended.
    pub(super) word: &'static str,
    pub(super) since: &'p str,
    /// What is in the way, in a few words.
    pub(super) why: Option<String>,
    /// What was answered last.
    pub(super) said: Option<&'p str>,
}

/// Why a list cannot be read.
const TROUBLES: [&str; Trouble::ALL.len()] =
    [Trouble::Token.as_str(), Trouble::Refused.as_str(), Trouble::Unreadable.as_str(), Trouble::Unreachable.as_str()];

impl AccountsPage<'_> {
    const fn troubles(&self) -> [&'static str; TROUBLES.len()] {
        TROUBLES
    }
}

/// The page.
pub(super) async fn list(State(api): State<Api>, view: View, mut query: Query) -> Result<Response, Problem> {
    let (filter, labels, span) = (accounts::filters(&mut query), query.labels(), query.page());
    query.done()?;
    let Page { items, next } = accounts::page(&api, &filter, &labels, &span).await?;
    let row = |account| Row { account, standing: standing(&view, account), used: used_today(&view, account) };
    Ok(view.page(&AccountsPage {
        rows: items.iter().map(row).collect(),
        budget: api.config().polling.daily_budget,
        list: Filtered::of(&view, &presets(&view), next),
        view: &view,
    }))
}

fn presets(view: &View) -> [(&'static str, &'static str); 5] {
    [
        (view.t("All", "全部"), ""),
        (view.t("Cannot be read", "无法读取"), "trouble=token,refused,unreadable,unreachable"),
        (view.t("Suspended", "已暂停"), "state=suspended"),
        (view.t("Suspended by WeChat", "被微信暂停"), "suspended_by=wechat"),
        (view.t("Suspended by operators", "人工暂停"), "suspended_by=operator"),
    ]
}

/// How an account stands: what is worst comes first.
pub(super) fn standing<'p>(view: &View, row: &'p AccountView) -> Standing<'p> {
    match (row.state.as_str(), &row.unread_since, &row.calls_refused_since) {
        ("suspended", ..) => {
            let by = view.suspended_by(row.suspended_by.as_deref().unwrap_or_default());
            let code = row.errcode.map(|code| format!(" ({code})")).unwrap_or_default();
            let why = Some(format!("{by}{code}"));
            Standing { word: "suspended", since: &row.since, why, said: row.errmsg.as_deref() }
        }
        (_, Some(unread), _) => {
            let why = row.trouble.as_deref().map(|trouble| view.trouble(trouble).to_owned());
            Standing { word: "unread", since: unread, why, said: row.last_error.as_deref() }
        }
        (_, None, Some(refused)) => {
            let why = Some(view.t("WeChat refuses its calls", "微信拒绝其调用").to_owned());
            Standing { word: "held", since: refused, why, said: row.call_error.as_deref() }
        }
        (_, None, None) => Standing { word: "active", since: &row.since, why: None, said: row.last_error.as_deref() },
    }
}

/// Polls of the Beijing day that it is now.
pub(super) fn used_today(view: &View, row: &AccountView) -> i64 {
    let today = moment_as(view.now, &BEIJING, "%Y-%m-%d");
    if row.budget_day.as_deref() == Some(today.as_str()) { row.budget_used } else { 0 }
}
