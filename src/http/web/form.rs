//! Forms. `/do/` and an address of the API, sent as a form, becomes a request of the API by the same person; so a form can do
//! nothing else, and nothing that they may not do.
//!
//! Fields become members of the body: `name` a text, `name!` true, `name[]` an array, `filter.name` an array in the object
//! `filter`; empty ones are left out. `_tag` is the condition `If-Match`, `_method` another method, `_back` the page to come
//! back to, and `_show` what of the answer is shown in place of that.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use crate::http::api::{cookie, problem::Problem, query, state::Api, word::Word};

/// Where forms are sent to.
pub(super) const FORMS: &str = "/do/";

/// What is known of a form when the API has answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Form {
    /// The address of the API below `/api/v1/`.
    pub(super) target: String,
    /// The page to come back to.
    pub(super) back: String,
    /// What of the answer is shown.
    pub(super) show: Option<String>,
    /// The script of the page sent it: it is told in JSON.
    pub(super) is_by_script: bool,
    /// The fields, for what is shown next.
    pub(super) body: Map<String, Value>,
}

/// The request of the API that a form stands for.
pub(super) async fn translated(request: Request, target: &str, api: &Api) -> Result<(Request, Form), Problem> {
    let (mut parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return Err(Problem::of(Word::Method));
    }
    let kind = parts.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !kind.starts_with(b"application/x-www-form-urlencoded") {
        return Err(Problem::of(Word::MediaType));
    }
    let bytes = to_bytes(body, api.http.body_bytes as usize).await.map_err(|_| Problem::of(Word::TooLarge))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Problem::of(Word::Malformed))?;
    let is_by_script = parts.headers.get(header::ACCEPT).is_some_and(|accept| accept == "application/json");
    let mut form = Form { target: target.to_owned(), back: "/".to_owned(), is_by_script, ..Form::default() };
    for (name, value) in query::pairs(text) {
        let unknown = |_| Problem::of(Word::Malformed);
        match name.as_str() {
            "_back" => form.back = own(&value),
            "_show" => form.show = Some(value),
            "_method" => parts.method = Method::from_bytes(value.as_bytes()).map_err(|_| Problem::of(Word::Method))?,
            "_tag" => drop(parts.headers.insert(header::IF_MATCH, value.parse().map_err(unknown)?)),
            _ => put(&mut form.body, &name, value),
        }
    }
    parts.uri = Uri::try_from(format!("/api/v1/{target}")).map_err(|_| Problem::of(Word::NotFound))?;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::IF_NONE_MATCH);
    let body = if form.body.is_empty() {
        parts.headers.remove(header::CONTENT_TYPE);
        Body::empty()
    } else {
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Body::from(Value::Object(form.body.clone()).to_string())
    };
    Ok((Request::from_parts(parts, body), form))
}

/// A page of ours: whatever else is given is none.
pub(super) fn own(path: &str) -> String {
    let is_own = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && path.bytes().all(|byte| byte.is_ascii_graphic());
    if is_own { path.to_owned() } else { "/".to_owned() }
}

fn put(body: &mut Map<String, Value>, name: &str, value: String) {
    if value.is_empty() {
        return;
    }
    if let Some(member) = name.strip_prefix("filter.") {
        if let Some(filter) = body.entry("filter").or_insert_with(|| json!({})).as_object_mut() {
            push(filter, member, value);
        }
    } else if let Some(member) = name.strip_suffix("[]") {
        push(body, member, value);
    } else if let Some(member) = name.strip_suffix('!') {
        body.insert(member.to_owned(), Value::Bool(true));
    } else {
        body.insert(name.to_owned(), value.into());
    }
}

fn push(object: &mut Map<String, Value>, member: &str, value: String) {
    if let Some(values) = object.entry(member).or_insert_with(|| json!([])).as_array_mut() {
        values.push(value.into());
    }
}

pub(super) fn with_cookies(mut response: Response, from: &HeaderMap) -> Response {
    for cookie in from.get_all(header::SET_COOKIE) {
        response.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    response
}

/// The page of what the API has made.
pub(super) fn page_of(made: &str) -> Option<&str> {
    let (_, below) = made.split_once("/api/v1")?;
    ["/requests/", "/actions/"].iter().any(|prefix| below.starts_with(prefix)).then_some(below)
}

/// The same for the script of a page: a problem stays one, and what was made is named.
pub(super) fn told_to_script(api: &Api, form: &Form, browser: &HeaderMap, response: Response) -> Response {
    if response.extensions().get::<Problem>().is_some() {
        return response;
    }
    let made = response.headers().get(header::LOCATION).and_then(|made| made.to_str().ok()).and_then(page_of);
    let location = made.map(|made| format!("{}{made}", api.http.base_path));
    let done = if made.is_none() { form.done() } else { None };
    let told = axum::Json(json!({ "location": location })).into_response();
    tell_done(with_cookies(told, response.headers()), done, (&api.http.base_path, browser))
}

/// Has the next page of this browser tell what was done.
pub(super) fn tell_done(mut response: Response, done: Option<&str>, (base, browser): (&str, &HeaderMap)) -> Response {
    let cookie = done.and_then(|done| cookie::tell_done(done, base, browser));
    response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

impl Form {
    /// The word of what it did; who signs in or out sees that.
    pub(super) fn done(&self) -> Option<&str> {
        let word = self.target.rsplit('/').next().filter(|word| *word != "session")?;
        // A session or a token is ended by its id.
        Some(if word.bytes().all(|byte| byte.is_ascii_lowercase()) { word } else { "done" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_members() {
        let mut body = Map::new();
        for (name, value) in [
            ("reason", "why"),
            ("note", ""),
            ("force!", "on"),
            ("ids[]", "1"),
            ("ids[]", "2"),
            ("filter.state", "failed"),
        ] {
            put(&mut body, name, value.to_owned());
        }
        let expected = json!({ "reason": "why", "force": true, "ids": ["1", "2"], "filter": { "state": ["failed"] } });
        assert_eq!(Value::Object(body), expected);
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        for (path, to) in [
            ("/requests?open=true", "/requests?open=true"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("", "/"),
            ("/a\r\nSet-Cookie: b=c", "/"),
        ] {
            assert_eq!(own(path), to, "{path}");
        }
    }
}
