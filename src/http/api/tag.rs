//! Entity tags. The first half is of what a person decides on, and is what `If-Match` compares; the second is of
//! everything else but what polls move by themselves, so that a page which shows it is known to be old.

use axum::http::{HeaderMap, HeaderValue, header};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::problem::{HadCondition, Problem};
use crate::store::{
    read::{
        actions::ActionView,
        alert_groups::AlertGroup,
        alert_views::{AlertView, ChannelView, DeliveryView},
        authorizers::AuthorizerView,
        views::{AccountView, ConflictView, ProgramView, RequestView, TransitionView},
    },
    write::{api_tokens::ApiTokenView, gates::GateView, sessions::SessionView, users::UserView},
};

/// What of a row does not move by polls alone.
pub trait Steady: Serialize + Clone {
    /// The row without what does.
    #[must_use]
    fn without_polls(&self) -> Self {
        self.clone()
    }
}

/// What of an object a person decides on.
pub trait Decided: Steady {
    /// The fingerprint of just that.
    fn decided(&self) -> u64;
}

impl Steady for RequestView {
    fn without_polls(&self) -> Self {
        Self { next_check_at: None, ..self.clone() }
    }
}

impl Steady for AccountView {
    fn without_polls(&self) -> Self {
        Self { next_check_at: None, checked_at: None, last_read_at: None, budget_used: 0, ..self.clone() }
    }
}

impl Steady for ActionView {}
impl Steady for AlertView {}
impl Steady for AlertGroup {}
impl Steady for ApiTokenView {}
impl Steady for AuthorizerView {}
impl Steady for ChannelView {}
impl Steady for ConflictView {}
impl Steady for DeliveryView {}
impl Steady for GateView {}
impl Steady for ProgramView {}
impl Steady for SessionView {}
impl Steady for TransitionView {}
impl Steady for UserView {}

impl Decided for RequestView {
    fn decided(&self) -> u64 {
        of(&self.without_polls())
    }
}

impl Decided for AlertView {
    fn decided(&self) -> u64 {
        of(&Self { notified_at: None, notifications: 0, notify_at: None, ..self.clone() })
    }
}

impl Decided for AccountView {
    fn decided(&self) -> u64 {
        of(&(&self.account, &self.state, &self.since, &self.suspended_by, self.errcode))
    }
}

/// The fingerprint of what is serialized.
pub(super) fn of(shown: &impl Serialize) -> u64 {
    xxh3_64(&serde_json::to_vec(shown).unwrap_or_default())
}

/// A strong tag of these parts.
pub(in crate::http) fn quoted(parts: &[u64]) -> HeaderValue {
    let parts: Vec<String> = parts.iter().map(|part| format!("{part:016x}")).collect();
    HeaderValue::try_from(format!("\"{}\"", parts.join("-"))).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The tag of an object: `row` is what is decided on, `beside` what is shown with it.
pub fn tag<R: Decided>(row: &R, beside: &impl Serialize) -> HeaderValue {
    quoted(&[row.decided(), of(&(row.without_polls(), beside))])
}

/// Whether an object may be acted on: it is as the caller saw it, or the caller set no condition.
///
/// # Errors
/// [`Problem`] with the object as it is now.
pub fn check<R: Decided>(headers: &HeaderMap, row: &R) -> Result<(), Problem> {
    let mut conditions = headers.get_all(header::IF_MATCH).iter().peekable();
    if conditions.peek().is_none() {
        return Ok(());
    }
    let ours = format!("\"{:016x}", row.decided());
    let mut tags = conditions.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    if tags.any(|tag| tag.trim() == "*" || tag.trim().starts_with(&ours)) {
        return Ok(());
    }
    Err(Problem::changed(serde_json::to_value(row).unwrap_or_default(), HadCondition::Yes))
}

/// Whether the caller has the same already (`If-None-Match`): then nothing is sent again.
pub(super) fn is_known(tag: &HeaderValue, headers: &HeaderMap) -> bool {
    let tag = tag.as_bytes();
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut known = known.flat_map(|value| value.as_bytes().split(|b| *b == b','));
    known.any(|known| {
        let known = known.trim_ascii();
        known == b"*" || known.strip_prefix(b"W/").unwrap_or(known) == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_moves_no_tag_and_a_state_does() {
        let request = RequestView { id: "1".to_owned(), state: "requested".to_owned(), ..RequestView::default() };
        let polled = RequestView { next_check_at: Some("x".to_owned()), ..request.clone() };
        let moved = RequestView { state: "linked".to_owned(), ..request.clone() };
        let tag = |row: &RequestView, beside: u8| tag(row, &beside);
        assert_eq!(tag(&request, 0), tag(&polled, 0));
        assert_ne!(tag(&request, 0), tag(&moved, 0));
        assert_ne!(tag(&request, 0), tag(&request, 1));
        let account = AccountView { account: "wx".to_owned(), ..AccountView::default() };
        let polled = AccountView { budget_used: 7, checked_at: Some("x".to_owned()), ..account.clone() };
        assert_eq!((account.decided(), of(&account.without_polls())), (polled.decided(), of(&polled.without_polls())));
        assert_ne!(AccountView { state: "suspended".to_owned(), ..account.clone() }.decided(), account.decided());
    }

    #[test]
    fn a_condition_compares_what_is_decided_on() {
        let row = RequestView::default();
        let moved = RequestView { state: "linked".to_owned(), ..row.clone() };
        let mut headers = HeaderMap::new();
        assert!(check(&headers, &row).is_ok());
        headers.insert(header::IF_MATCH, quoted(&[row.decided(), 77]));
        assert!(check(&headers, &row).is_ok());
        assert!(check(&headers, &moved).is_err());
        headers.insert(header::IF_MATCH, HeaderValue::from_static("*"));
        assert!(check(&headers, &moved).is_ok());
        headers.insert(header::IF_MATCH, HeaderValue::from_static("\"no\", \"tag\""));
        assert!(check(&headers, &row).is_err());
    }

    #[test]
    fn the_same_is_not_sent_again() {
        let tag = quoted(&[1, 2]);
        let knows = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, text.parse().unwrap());
            is_known(&tag, &headers)
        };
        let ours = tag.to_str().unwrap();
        assert!(knows(ours) && knows("*") && knows(&format!("W/{ours}")) && knows(&format!("\"a\" , {ours}")));
        assert!(!knows("\"a\"") && !is_known(&tag, &HeaderMap::new()));
    }
}
