//! Bodies of requests: JSON of a known shape and a bounded size, whose mistakes are named one by one.

use axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    problem::{Fault, Problem},
    state::Api,
    text::Text,
    word::Word,
};
use crate::domain::action::{self, REASON_MAX};

/// How many times larger a body with many requests may be than another.
const BATCH: usize = 16;

/// A body of `[http] body_bytes` at most.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// A body of sixteen times as many: many requests in one.
#[derive(Debug)]
pub struct Batch<T>(pub T);

/// A [`Body`] that may be left out or null, as all of its members may be.
#[derive(Debug)]
pub struct Optional<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Api> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        read(request, api.http.body_bytes as usize).await.map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<Api> for Batch<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        read(request, api.http.body_bytes as usize * BATCH).await.map(Self)
    }
}

impl<T: DeserializeOwned + Default> FromRequest<Api> for Optional<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let most = api.http.body_bytes as usize;
        let headers = request.headers().clone();
        let bytes = bytes(request, most).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        must_be_json(&headers)?;
        match value(&bytes)? {
            Value::Null => Ok(Self(T::default())),
            value => object(value, "").map(Self).map_err(|wrong| Problem::invalid(vec![wrong])),
        }
    }
}

/// A reason or a note, as the record keeps it.
///
/// # Errors
/// [`Problem`] that names the member.
pub(super) fn words(member: &str, text: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(text) = text else { return Ok(None) };
    action::reason(text).map_err(|wrong| {
        let zh = format!("应为一行文字，不含控制字符，最多 {REASON_MAX} 字节");
        Problem::invalid(vec![Fault { pointer: format!("/{member}"), detail: Text::new(wrong, zh) }])
    })
}

async fn read<T: DeserializeOwned>(request: Request, most: usize) -> Result<T, Problem> {
    let headers = request.headers().clone();
    must_be_json(&headers)?;
    let value = value(&bytes(request, most).await?)?;
    object(value, "").map_err(|wrong| Problem::invalid(vec![wrong]))
}

fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        Ok(())
    } else {
        Err(Problem::of(Word::MediaType))
    }
}

fn value(bytes: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(bytes).map_err(|wrong| {
        Problem::new(
            Word::Malformed,
            Text::new(format!("The body is not valid JSON: {wrong}."), format!("请求体不是合法的 JSON：{wrong}。")),
        )
    })
}

/// What stands at a place as an object. Left alone, serde would take an array of the members' values for one, too.
///
/// # Errors
/// What is wrong with it.
pub(super) fn object<T: DeserializeOwned>(value: Value, at: &str) -> Result<T, Fault> {
    if !value.is_object() {
        return Err(Fault { pointer: at.to_owned(), detail: Text::fixed("expected an object", "应为 JSON 对象") });
    }
    T::deserialize(value).map_err(|wrong| fault(at, &wrong.to_string()))
}

async fn bytes(mut request: Request, most: usize) -> Result<Bytes, Problem> {
    DefaultBodyLimit::max(most).apply(&mut request);
    Bytes::from_request(request, &()).await.map_err(|unread| match unread.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::of(Word::TooLarge),
        _ => Problem::new(
            Word::Malformed,
            Text::fixed("The body is cut off or wrongly framed.", "请求体被截断，或分块格式错误。"),
        ),
    })
}

/// What serde says of what stands at a place, with the member that it names.
fn fault(at: &str, wrong: &str) -> Fault {
    let is_of_member = ["unknown field", "missing field", "duplicate field"].iter().any(|kind| wrong.starts_with(kind));
    let member = wrong.split('`').nth(1).filter(|_| is_of_member);
    let member = member.map(|member| format!("/{}", member.replace('~', "~0").replace('/', "~1"))).unwrap_or_default();
    let pointer = format!("{at}{member}");
    Fault { pointer, detail: Text::new(wrong.to_owned(), format!("内容不合法：{wrong}")) }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        name: String,
    }

    async fn said(kind: &str, body: &str) -> Result<String, StatusCode> {
        let request = Request::builder().header(header::CONTENT_TYPE, kind).body(body.to_owned().into()).unwrap();
        let read: Result<Asked, Problem> = read(request, 40).await;
        read.map(|asked| asked.name).map_err(|problem| problem.word().status())
    }

    #[tokio::test]
    async fn a_body_has_a_kind_a_size_a_syntax_and_a_shape() {
        let json = "application/json; charset=utf-8";
        assert_eq!(said(json, "{\"name\":\"a\"}").await, Ok("a".to_owned()));
        assert_eq!(said("application/merge-patch+json", "{\"name\":\"a\"}").await, Ok("a".to_owned()));
        assert_eq!(said("text/plain", "{\"name\":\"a\"}").await, Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        assert_eq!(
            said(json, &format!("{{\"name\":\"{}\"}}", "a".repeat(40))).await,
            Err(StatusCode::PAYLOAD_TOO_LARGE)
        );
        assert_eq!(said(json, "{").await, Err(StatusCode::BAD_REQUEST));
        for no_object in ["[\"a\"]", "[]", "null", "7", "\"a\""] {
            assert_eq!(said(json, no_object).await, Err(StatusCode::UNPROCESSABLE_ENTITY), "{no_object}");
        }
        assert_eq!(said(json, "{\"name\":\"a\",\"tpyo\":1}").await, Err(StatusCode::UNPROCESSABLE_ENTITY));
    }

    #[test]
    fn a_mistake_points_at_its_member() {
        assert_eq!(fault("", "unknown field `a/b`, expected `name`").pointer, "/a~1b");
        assert_eq!(fault("/requests/17", "missing field `name`").pointer, "/requests/17/name");
        assert_eq!(fault("", "invalid type: integer `7`, expected a string").pointer, "");
    }
}
