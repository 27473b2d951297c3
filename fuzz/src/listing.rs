//! A body of `wxamplinkget`, from its bytes to what it does to every request.

use amplinkd::{
    domain::listing::{Listing, Reading},
    wechat::{CallError, ITEMS_MAX, RawListing, ReadError, Token, answer::to_listing},
};
use bytes::Bytes;
use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::Value;

use super::ending;

/// The token of the call, which seeds quote.
pub const TOKEN: &str = "61_W3mEpU66027wgNZ-MhGHNQDHnFATkDa9";

/// Characters of an appid or a `gh_` id that are kept, and of every other text.
const NAME_MAX: usize = 128;
const TEXT_MAX: usize = 1_024;

/// Places at which a body is cut, beside the last few bytes.
const CUTS: usize = 6;

/// Every property of one body.
pub fn hold(body: &[u8]) {
    let first = read(body);
    assert_eq!(first, read(body), "read twice, differently");
    for status in [201, 302, 404, 500, 502] {
        assert!(answered(status, body).is_err(), "a listing with HTTP {status}");
    }
    match first {
        Ok(listing) => whole(body, &listing),
        Err(error) => {
            quotes_no_token(&error);
            ending::check_unreadable();
        }
    }
}

/// The body as the client and then the poll read it.
pub fn read(body: &[u8]) -> Result<Listing, CallError> {
    answered(200, body)
}

fn answered(status: u16, body: &[u8]) -> Result<Listing, CallError> {
    let token = Token::new(SecretString::from(TOKEN)).unwrap();
    let raw = to_listing(StatusCode::from_u16(status).unwrap(), Bytes::copy_from_slice(body), &token)?;
    listed(body, &raw)
}

/// The listing in an answer; one without a list is as good as none.
pub fn listed(body: &[u8], raw: &RawListing) -> Result<Listing, CallError> {
    match raw.read().map_err(|error: ReadError| CallError::from(error))? {
        Reading::Whole(listing) => Ok(listing),
        Reading::Weak => {
            ending::check_weak(body);
            Err(CallError::Lost("an answer without a list".to_owned()))
        }
    }
}

fn quotes_no_token(error: &CallError) {
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains(TOKEN), "the token came out: {text}");
    }
}

fn whole(body: &[u8], listing: &Listing) {
    assert!(listing.items.len() <= ITEMS_MAX, "{} items", listing.items.len());
    for item in &listing.items {
        let names = [&item.appid, &item.username];
        assert!(names.into_iter().flatten().all(|name| within(name, NAME_MAX)), "a name without end: {item:?}");
        let profile = &item.profile;
        let texts = [&profile.nickname, &profile.headimg_url, &profile.email, &profile.source];
        assert!(texts.into_iter().flatten().all(|text| within(text, TEXT_MAX)), "a text without end: {item:?}");
    }
    ending::check_listing(body, listing);
    cut(body);
    spelt_otherwise(body, listing);
}

fn within(text: &str, max: usize) -> bool {
    text.chars().nth(max).is_none()
}

/// Half a listing is no listing, and no refusal either.
pub fn cut(body: &[u8]) {
    let length = body.trim_ascii_end().len();
    let last = length.saturating_sub(4)..length;
    for length in (0..CUTS).map(|part| length * part / CUTS).chain(last) {
        let read = read(&body[..length]);
        assert!(matches!(read, Err(CallError::Unreadable(_))), "{length} bytes of a listing said {read:?}");
    }
}

/// Numbers that come as texts say the same.
fn spelt_otherwise(body: &[u8], listing: &Listing) {
    // What had to be mended first is not spelt again.
    let Ok(mut spelt) = serde_json::from_slice::<Value>(body) else { return };
    let again = read(spelt.to_string().as_bytes());
    assert_eq!(again.as_ref(), Ok(listing), "written again, it says something else");
    to_text(spelt.get_mut("errcode"));
    let items = spelt.pointer_mut("/wxopens/items").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
        item.values_mut().for_each(|value| to_text(Some(value)));
    }
    let again = read(spelt.to_string().as_bytes());
    assert_eq!(again.as_ref(), Ok(listing), "with its numbers as texts, it says something else");
}

fn to_text(value: Option<&mut Value>) {
    if let Some(value) = value
        && let Some(number) = value.as_i64()
    {
        *value = Value::String(number.to_string());
    }
}
