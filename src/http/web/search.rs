//! One box: an id, an appid, a key or a label leads to what it names.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::view::View;
use crate::{
    domain::id::{AccountId, ProgramId, RequestId},
    http::api::{
        problem::{Fault, Problem},
        query::{self, Query},
        state::Api,
        text::Text,
    },
    store::read::{id_suffix::Noun, views::RequestView},
};

/// Goes to what the text names.
pub(super) async fn find(State(api): State<Api>, view: View, mut query: Query) -> Result<Response, Problem> {
    let text = query.one_by("q", |text| Ok(text.trim().to_owned())).unwrap_or_default();
    query.done()?;
    let to = place(&api, &text).await?.ok_or_else(|| nothing(&text))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, view.url(&to))]).into_response())
}

async fn place(api: &Api, text: &str) -> Result<Option<String>, Problem> {
    let (lower, encoded) = (text.to_ascii_lowercase(), query::encoded(text));
    if text.is_empty() {
        return Ok(Some("/requests".to_owned()));
    }
    if let Ok(id) = lower.parse::<RequestId>() {
        let is_request = api.reading(api.store().request_view(id.as_str())).await?.is_some();
        let noun = if is_request { "requests" } else { "alerts" };
        return Ok(Some(format!("/{noun}/{id}")));
    }
    let ending = lower.trim_start_matches('…');
    if ending.len() >= 6 && ending.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        for (noun, path) in [(Noun::Request, "requests"), (Noun::Alert, "alerts")] {
            let found = api.reading(api.store().ids_ending(noun, ending, 2)).await?;
            if let [id] = found.as_slice() {
                return Ok(Some(format!("/{path}/{id}")));
            }
        }
    }
    if text.parse::<AccountId>().is_ok() {
        let is_account = !api.reading(api.store().account_views(Some(text), None, 1)).await?.is_empty();
        let is_program = !is_account && text.parse::<ProgramId>().is_ok();
        return Ok(Some(if is_program { format!("/requests?program={text}") } else { format!("/accounts/{text}") }));
    }
    if let Some(RequestView { id, .. }) = api.reading(api.store().request_by_key(text)).await? {
        return Ok(Some(format!("/requests/{id}")));
    }
    Ok(text.split_once('=').map(|_| format!("/requests?label={encoded}")))
}

fn nothing(text: &str) -> Problem {
    let detail = Text::new(
        format!(
            "Nothing is called {text:?}. Search by the id of a request or an alert, an appid, a key, or a label as NAME=VALUE."
        ),
        format!("没有名为 {text:?} 的对象。可按请求或告警的 id、appid、键，或标签 NAME=VALUE 搜索。"),
    );
    Problem::invalid(vec![Fault { pointer: "?q".to_owned(), detail }])
}
