//! What is shown after a form: the page that it stood on, or in its place a problem, or an answer that is read and not kept.

use askama::Template;
use axum::{
    body::to_bytes,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::Value;

use super::{
    form::{self, Form},
    view::View,
};
use crate::http::api::{problem::Problem, word::Word};

/// The most that an answer of the API to a form may hold.
const ANSWER_MAX: usize = 1 << 20;

/// A problem as a page.
#[derive(Template)]
#[template(path = "problem.html")]
pub(super) struct ProblemPage<'p> {
    view: &'p View,
    title: String,
    detail: String,
    faults: Vec<(String, String)>,
    code: &'static str,
    /// Where a form stood that met it.
    back: Option<String>,
}

impl<'p> ProblemPage<'p> {
    pub(super) fn of(view: &'p View, problem: &Problem, back: Option<String>) -> Self {
        let language = view.language();
        let fault =
            |(pointer, detail): (&str, &str)| (pointer.trim_start_matches(['/', '?']).to_owned(), detail.to_owned());
        // What the API says to programs is no help to people.
        let detail = match problem.word() {
            Word::Changed if problem.detail(language) == Word::Changed.detail().pick(language) => {
                view.t("Somebody or something was faster: look at it again.", "已有其他人或系统先行更改，请重新查看。")
            }
            Word::Invalid | Word::Malformed | Word::MediaType => {
                view.t("Something is missing or not as it must be.", "有内容缺失或不符合要求。")
            }
            Word::TooMany => view.t("That was too often: try again in a moment.", "操作过于频繁，请稍后再试。"),
            _ => problem.detail(language),
        };
        Self {
            view,
            title: problem.word().title().pick(language).to_owned(),
            detail: view.told(detail),
            faults: problem.faults(language).map(fault).collect(),
            code: problem.word().as_str(),
            back,
        }
    }
}

/// The words of a reminder.
#[derive(Template)]
#[template(path = "reminder.html")]
struct ReminderPage<'p> {
    view: &'p View,
    text: &'p str,
    channel: Option<&'p str>,
    back: &'p str,
}

/// What an action on many would touch.
#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewPage<'p> {
    view: &'p View,
    action: &'p str,
    count: u64,
    sample: Vec<&'p str>,
    cutoff: &'p str,
    digest: &'p str,
    filters: Vec<(&'p str, Vec<&'p str>)>,
    wait: Option<&'p str>,
    subject: &'static str,
    back: &'p str,
}

/// A token, once.
#[derive(Template)]
#[template(path = "token.html")]
struct TokenPage<'p> {
    view: &'p View,
    token: &'p str,
    back: &'p str,
}

/// What became of a test.
#[derive(Template)]
#[template(path = "tested.html")]
struct TestedPage<'p> {
    view: &'p View,
    is_taken: bool,
    error: Option<&'p str>,
    back: &'p str,
}

fn text<'v>(said: &'v Value, member: &str) -> &'v str {
    said[member].as_str().unwrap_or_default()
}

/// The page that a form asked for.
pub(super) fn page(view: &View, show: &str, form: &Form, said: &Value) -> Response {
    let back = form.back.as_str();
    match show {
        "preview" => view.page(&preview(view, form, said)),
        "token" => view.page(&TokenPage { view, token: text(said, "token"), back }),
        "test" => {
            let (is_taken, error) = (said["taken"] == true, said["error"].as_str());
            view.page(&TestedPage { view, is_taken, error, back })
        }
        _ => view.page(&ReminderPage { view, text: text(said, "text"), channel: said["channel"].as_str(), back }),
    }
}

fn preview<'p>(view: &'p View, form: &'p Form, said: &'p Value) -> PreviewPage<'p> {
    let texts = |value: &'p Value| value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let filters = form.body.get("filter").and_then(Value::as_object).into_iter().flatten();
    let word = |member: &str| form.body.get(member).and_then(Value::as_str);
    let action = word("action").unwrap_or_default();
    PreviewPage {
        view,
        action,
        count: said["count"].as_u64().unwrap_or_default(),
        sample: texts(&said["sample"]),
        cutoff: text(said, "cutoff"),
        digest: text(said, "digest"),
        filters: filters.map(|(name, values)| (name.as_str(), texts(values))).collect(),
        wait: word("for"),
        subject: match action {
            "suspend" | "resume" => "accounts",
            "acknowledge" | "snooze" | "resolve" => "alerts",
            _ => "requests",
        },
        back: &form.back,
    }
}

/// The page after a form: what was made, or the one that it stood on, or what is to be shown. `tell` is where and for whom a
/// word of what was done is kept until then.
pub(super) async fn after(view: &View, form: Form, tell: (&str, &HeaderMap), response: Response) -> Response {
    let (parts, body) = response.into_parts();
    if let Some(show) = &form.show {
        let Ok(bytes) = to_bytes(body, ANSWER_MAX).await else { return Problem::of(Word::Defect).into_response() };
        let said = serde_json::from_slice(&bytes).unwrap_or_default();
        return page(view, show, &form, &said);
    }
    let made = parts.headers.get(header::LOCATION).and_then(|made| made.to_str().ok()).and_then(form::page_of);
    let (to, done) = made.map_or_else(|| (form.back.as_str(), form.done()), |made| (made, None));
    let response = (StatusCode::SEE_OTHER, [(header::LOCATION, view.url(to))]).into_response();
    form::tell_done(form::with_cookies(response, &parts.headers), done, tell)
}
