//! An answer of any call: a first line with the HTTP status and a token, then the body.

use amplinkd::{
    domain::errcode::Refusal,
    wechat::{
        CallError, Token,
        answer::{to_effect, to_listing},
        errmsg::{ERRMSG_CHARS_MAX, request_ip, rid},
    },
};
use bytes::Bytes;
use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::Value;

use super::{
    ending,
    listing::{TOKEN, listed},
};

/// Characters of the shortest token that is looked for: one of a few letters is part of every text.
const SECRET_MIN: usize = 20;

/// Characters of a token's beginning that may be shown.
const HEAD_MAX: usize = 16;

/// Characters of a fault's explanation, with what stands before it.
const FAULT_MAX: usize = 260;

/// Characters of the longest rid that must outlive a cut.
const RID_MAX: usize = 60;

/// Every property of one answer.
pub fn hold(data: &[u8]) {
    let (status, secret, body) = taken_apart(data);
    let token = Token::new(SecretString::from(secret.as_str())).unwrap();
    let effect = to_effect(status, body, &token);
    assert_eq!(effect, to_effect(status, body, &token), "read twice, differently");
    let is_wechats = matches!(effect, Ok(()) | Err(CallError::Refused(_)));
    assert!(!is_wechats || status == StatusCode::OK, "WeChat's word with HTTP {status}");
    ending::check_answer(body, &effect);
    let raw = to_listing(status, Bytes::copy_from_slice(body), &token);
    let listing = raw.and_then(|raw| listed(body, &raw));
    if let Ok(listing) = &listing {
        ending::check_listing(body, listing);
    }
    for error in [effect.err(), listing.err()].into_iter().flatten() {
        shows_no_secret(&error.to_string(), &secret);
        ends_in_no_secret(&error.to_string(), &secret);
        shows_no_secret(&format!("{error:?}"), &secret);
        match &error {
            CallError::Refused(refusal) => kept(refusal, body, &secret),
            CallError::Lost(why) | CallError::Unreadable(why) => {
                assert!(why.chars().count() <= FAULT_MAX, "a fault without end: {why}");
            }
            CallError::NotSent(_) | CallError::NoToken(_) => panic!("it was sent: {error}"),
        }
    }
    texts(&String::from_utf8_lossy(body));
}

/// The first line's status and token, or others where it has none.
fn taken_apart(data: &[u8]) -> (StatusCode, String, &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (first, body) = (String::from_utf8_lossy(&data[..end]), data.get(end + 1..).unwrap_or_default());
    let mut words = first.split_ascii_whitespace();
    let status = words.next().and_then(|word| StatusCode::from_bytes(word.as_bytes()).ok()).unwrap_or(StatusCode::OK);
    let secret = words.next().filter(|secret| can_be_looked_for(secret)).unwrap_or(TOKEN);
    (status, secret.to_owned(), body)
}

/// Long enough, and nothing that stands in our own texts, as a bracket does in `[secret]`. What repeats itself has
/// beginnings everywhere and is no token.
pub fn can_be_looked_for(secret: &str) -> bool {
    (SECRET_MIN..=4_096).contains(&secret.len())
        && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~/+=%@".contains(&byte))
        && secret.bytes().any(|byte| byte.is_ascii_digit())
        && (1..secret.len() - HEAD_MAX / 2).all(|at| !secret[at..].starts_with(&secret[..HEAD_MAX / 2]))
}

/// No whole secret: as it is, or as it stands in a URL.
pub fn shows_no_secret(text: &str, secret: &str) {
    for spelling in [secret.to_owned(), in_url(secret, false), in_url(secret, true)] {
        assert!(!text.contains(&spelling), "a token came out: {text}");
    }
}

/// Nor its beginning at the end, where a cut left it.
pub fn ends_in_no_secret(text: &str, secret: &str) {
    for spelling in [secret.to_owned(), in_url(secret, false), in_url(secret, true)] {
        if let Some(at) = text.rfind(&spelling[..HEAD_MAX]) {
            assert!(!spelling.starts_with(&text[at..]), "the beginning of a token came out: {text}");
        }
    }
}

fn in_url(secret: &str, lower: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| if lower { format!("%{byte:02x}") } else { format!("%{byte:02X}") };
    secret.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { escape(byte) }).collect()
}

/// A refusal has the body's own code and a bearable text that keeps its rid.
fn kept(refusal: &Refusal, body: &[u8], secret: &str) {
    assert!(refusal.errmsg.chars().count() <= ERRMSG_CHARS_MAX, "an errmsg without end: {}", refusal.errmsg);
    if let Some(reading) = ending::second_reading(body, "a refusal") {
        let code = ending::number(reading.get("errcode"));
        assert_eq!(code, Some(ending::approximately(refusal.errcode)), "a code that was not said");
    }
    let said = serde_json::from_slice::<Value>(body).ok();
    let said = said.as_ref().and_then(|body| body["errmsg"].as_str()).unwrap_or_default();
    let untouched = !said.contains(&secret[..HEAD_MAX]) && !said.contains('%');
    if let Some(id) = rid(said).filter(|id| untouched && id.len() <= RID_MAX) {
        assert_eq!(rid(&refusal.errmsg), Some(id), "{said:?} became {:?}", refusal.errmsg);
    }
}

/// What is read out of texts is part of them.
fn texts(text: &str) {
    if let Some(id) = rid(text) {
        assert!(!id.is_empty() && text.contains(id));
    }
    drop(request_ip(text).map(|ip| ip.to_string()));
}
