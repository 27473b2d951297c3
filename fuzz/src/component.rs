//! An answer of a component API: a first line with the call, the HTTP status and a secret, then the body.

use amplinkd::wechat::{
    CallError,
    component::{
        to_authorization, to_authorizer_info, to_authorizer_list, to_authorizer_token, to_component_token,
        to_start_push_ticket,
    },
    errmsg::ERRMSG_CHARS_MAX,
};
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::{
    answers::{can_be_looked_for, ends_in_no_secret, shows_no_secret},
    ending,
    listing::TOKEN,
};

/// Characters of a fault's explanation, with what stands before it.
const FAULT_MAX: usize = 260;

/// Every property of one answer.
pub fn hold(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (first, body) = (String::from_utf8_lossy(&data[..end]), data.get(end + 1..).unwrap_or_default());
    let mut words = first.split_ascii_whitespace();
    let call = words.next().unwrap_or_default();
    let status = words.next().and_then(|word| StatusCode::from_bytes(word.as_bytes()).ok()).unwrap_or(StatusCode::OK);
    let secret = words.next().filter(|secret| can_be_looked_for(secret)).unwrap_or(TOKEN);
    let read = answered(call, status, body, secret);
    assert_eq!(read, answered(call, status, body, secret), "read twice, differently");
    match read {
        Ok(secrets) => {
            assert_eq!(status, StatusCode::OK, "an answer of WeChat's with HTTP {status}");
            let Some(reading) = ending::second_reading(body, "an answer") else { return };
            assert!(ending::number(reading.get("errcode")).is_none_or(|code| code == 0.0), "success beside a code");
            let texts = texts(&reading);
            assert!(secrets.iter().all(|secret| texts.contains(&secret.as_str())), "a secret that nobody said");
        }
        Err(error) => refused(&error, status, body, secret),
    }
}

/// The secrets that the answer brought.
fn answered(call: &str, status: StatusCode, body: &[u8], secret: &str) -> Result<Vec<String>, CallError> {
    let sent = [secret];
    let text = |secret: SecretString| secret.expose_secret().to_owned();
    match call {
        "token" => to_component_token(status, body, &sent).map(|grant| vec![text(grant.token)]),
        "authorizer" => {
            let grant = to_authorizer_token(status, body, &sent)?;
            Ok([Some(grant.token), grant.refresh].into_iter().flatten().map(text).collect())
        }
        "code" => {
            let traded = to_authorization(status, body, &sent)?;
            Ok([traded.token, traded.refresh].into_iter().flatten().map(text).collect())
        }
        "list" => {
            let page = to_authorizer_list(status, body, &sent)?;
            assert!(page.listed.len() <= page.rows, "more accounts than rows");
            Ok(page.listed.into_iter().filter_map(|row| row.refresh).map(text).collect())
        }
        "info" => to_authorizer_info(status, body, &sent).map(|_| Vec::new()),
        _ => to_start_push_ticket(status, body, &sent).map(|()| Vec::new()),
    }
}

fn refused(error: &CallError, status: StatusCode, body: &[u8], secret: &str) {
    shows_no_secret(&error.to_string(), secret);
    ends_in_no_secret(&error.to_string(), secret);
    shows_no_secret(&format!("{error:?}"), secret);
    match error {
        CallError::Refused(refusal) => {
            assert_eq!(status, StatusCode::OK, "WeChat's word with HTTP {status}");
            assert_ne!(refusal.errcode, 0);
            assert!(refusal.errmsg.chars().count() <= ERRMSG_CHARS_MAX, "an errmsg without end");
            if let Some(reading) = ending::second_reading(body, "a refusal") {
                assert_eq!(ending::number(reading.get("errcode")), Some(ending::approximately(refusal.errcode)));
            }
        }
        CallError::Lost(why) => {
            assert!(status != StatusCode::OK && why.chars().count() <= FAULT_MAX, "lost with HTTP {status}: {why}");
        }
        CallError::Unreadable(why) => {
            assert!(status == StatusCode::OK && why.chars().count() <= FAULT_MAX, "unreadable, HTTP {status}: {why}");
        }
        CallError::NotSent(_) | CallError::NoToken(_) => panic!("it was sent: {error}"),
    }
}

/// Every text of a value, however deep.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}
