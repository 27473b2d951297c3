//! What only a demo has: a link that signs in once, and a panel on which its administrators are played.

use std::time::Duration;

use askama::Template;
use axum::{
    Extension, Form, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};

use super::{
    form,
    played::{Answer, Demo},
    view::View,
};
use crate::http::api::{identity::Origin, problem::Problem, sign_in, state::Api, text::Text, word::Word};

/// A demo's clock is so fast that no session would last: theirs last longer by this.
const MORE: Duration = Duration::from_hours(100 * 365 * 24);

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/enter/{ticket}", get(show).post(enter)).route("/demo/answer", post(answer))
}

/// One button: whoever only looks at a link, as chat programs do, signs nobody in.
#[derive(Template)]
#[template(path = "enter.html")]
struct EnterPage<'p> {
    view: &'p View,
    ticket: &'p str,
}

fn used_up() -> Problem {
    let text = Text::fixed(
        "This link has been used, or belongs to another demo: it works once. Start `amplinkd demo` again for a new one.",
        "该链接已被使用，或属于另一个演示：每个链接只能用一次。请重新运行 `amplinkd demo` 获取新链接。",
    );
    Problem::new(Word::NotFound, text)
}

async fn show(Extension(demo): Extension<Demo>, Path(ticket): Path<String>, view: View) -> Result<Response, Problem> {
    if !demo.is_ticket(&ticket) {
        return Err(used_up());
    }
    Ok(view.page(&EnterPage { view: &view, ticket: &ticket }))
}

async fn enter(
    State(api): State<Api>,
    Extension(demo): Extension<Demo>,
    Path(ticket): Path<String>,
    Origin(address): Origin,
    view: View,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !demo.take(&ticket) {
        return Err(used_up());
    }
    let cookie = sign_in::begin(&api, demo.user(), (address, &headers), MORE).await?;
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, view.url("/"))]).into_response();
    response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    Ok(response)
}

async fn answer(
    State(api): State<Api>,
    Extension(demo): Extension<Demo>,
    view: View,
    headers: HeaderMap,
    Form(answer): Form<Answer>,
) -> Result<Response, Problem> {
    demo.play(&answer).map_err(|wrong| {
        let zh = format!("该管理员目前没有待答复的邀请：{wrong}。");
        Problem::new(Word::Changed, Text::new(format!("That administrator has nothing to answer now: {wrong}."), zh))
    })?;
    let to = view.url(&form::own(&answer.back));
    let response = (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
    Ok(form::tell_done(response, Some("answer"), (&api.http.base_path, &headers)))
}
