//! Pages of lists: so many rows, and where the next ones begin. A page from the middle costs as much as the first, and
//! nobody counts the rest.

use axum::{
    Json,
    http::{HeaderMap, Uri, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    pairs,
    tag::{self, Steady},
};
use crate::store::read::window::Looked;

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Rows at most.
    pub limit: u32,
    /// The key of the last row of the page before.
    pub after: Option<String>,
}

impl Span {
    /// Rows to read: one more than is shown says whether there are more.
    #[must_use]
    pub const fn rows(&self) -> u32 {
        self.limit + 1
    }

    /// The key of the last row before, as order goes; an empty one is before all.
    #[must_use]
    pub fn after(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }

    /// The two parts of a key of two; empty ones are before all.
    #[must_use]
    pub fn after_pair(&self) -> (&str, &str) {
        self.after().split_once(' ').unwrap_or((self.after(), ""))
    }

    /// The page of these rows, of which there may be one too many. `key` says where a row stands in the order.
    #[must_use]
    pub fn page<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> String) -> Page<T> {
        let there_are_more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        let next = rows.last().filter(|_| there_are_more).map(|last| cursor(&key(last)));
        Page { items: rows, next }
    }

    /// The same of a page that looked only so far: it may be short although there are more.
    #[must_use]
    pub fn page_of<T>(&self, Looked { rows, upto }: Looked<T>, key: impl Fn(&T) -> String) -> Page<T> {
        let page = self.page(rows, key);
        Page { next: page.next.or_else(|| upto.map(|upto| cursor(&upto))), ..page }
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// What to send as `after` for the next page; null on the last one. A page may be short, or empty, although there are
    /// more: it looks at so many rows and no further.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// All there is.
    #[must_use]
    pub const fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// The cursor of an answer, from which [`link`] is made where the caller's address is known.
#[derive(Debug, Clone)]
pub(super) struct Next(pub(super) String);

impl<T: Steady> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        let steady: Vec<T> = self.items.iter().map(Steady::without_polls).collect();
        let tag = tag::quoted(&[tag::of(&(steady, &self.next))]);
        let next = self.next.clone().map(Next);
        let mut response = ([(header::ETAG, tag)], Json(self)).into_response();
        if let Some(next) = next {
            response.extensions_mut().insert(next);
        }
        response
    }
}

/// Where the next page is, as a value of the header `Link`: the same address with another `after`.
pub(super) fn link(uri: &Uri, Next(cursor): &Next, headers: &mut HeaderMap) {
    let kept = pairs::without(uri.query().unwrap_or_default(), |name, _| name == "after");
    let joint = if kept.is_empty() { "" } else { "&" };
    let link = format!("<{}?{kept}{joint}after={cursor}>; rel=\"next\"", uri.path());
    if let Ok(link) = link.parse() {
        headers.insert(header::LINK, link);
    }
}

/// A key as callers pass it on: hexadecimal, so that it stands in an address as it is. Keys are ASCII.
fn cursor(key: &str) -> String {
    crate::domain::history::hex(key.as_bytes())
}

/// The key behind a cursor. Any text in hexadecimal is a place in the order, whether or not a row stands there.
pub(super) fn key_of(cursor: &str) -> Option<String> {
    let digits = cursor.as_bytes();
    let is_legal = !digits.is_empty() && digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok().filter(u8::is_ascii);
    let bytes: Option<Vec<u8>> = is_legal.then(|| digits.chunks(2).map(byte).collect())?;
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_key() {
        let key = "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b";
        assert_eq!(key_of(&cursor(key)).as_deref(), Some(key));
        for wrong in ["", "0", "zz", "ff", "+0", "e4"] {
            assert_eq!(key_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn one_row_too_many_says_that_there_are_more() {
        let span = Span { limit: 2, after: None };
        let page = span.page(vec!["a", "b", "c"], |row| (*row).to_owned());
        assert_eq!((page.items, page.next), (vec!["a", "b"], Some(cursor("b"))));
        assert_eq!(span.page(vec!["a", "b"], |row| (*row).to_owned()).next, None);
        let of = |rows: &[&'static str], upto: Option<&str>| {
            let looked = Looked { rows: rows.to_vec(), upto: upto.map(str::to_owned) };
            span.page_of(looked, |row| (*row).to_owned()).next
        };
        assert_eq!(of(&["a", "b", "c"], Some("d")), Some(cursor("b")), "the third row is shown by the next page");
        assert_eq!((of(&["a"], Some("d")), of(&[], Some("d"))), (Some(cursor("d")), Some(cursor("d"))));
        assert_eq!(of(&["a", "b"], None), None);
        let pair = Span { limit: 2, after: Some("ip all".to_owned()) };
        assert_eq!(pair.after_pair(), ("ip", "all"));
    }

    #[test]
    fn the_link_is_the_same_address_with_another_after() {
        let linked = |uri: &str| {
            let mut headers = HeaderMap::new();
            link(&uri.parse().unwrap(), &Next("61".to_owned()), &mut headers);
            headers[header::LINK].to_str().unwrap().to_owned()
        };
        assert_eq!(linked("/x/api/v1/requests"), "</x/api/v1/requests?after=61>; rel=\"next\"");
        assert_eq!(linked("/r?%61fter=60&open=true"), "</r?open=true&after=61>; rel=\"next\"");
        assert_eq!(linked("/r?open=true&after=60&limit=2"), "</r?open=true&limit=2&after=61>; rel=\"next\"");
    }
}
