//! The result of a call: a response not yet parsed, or an error that says what to do next. It holds no printable token.

use bytes::Bytes;
use reqwest::StatusCode;

use super::{
    errmsg,
    token::{Token, TokenError},
    wire,
};
use crate::domain::{errcode::Refusal, listing::Reading};

/// Bodies up to this length may be refusals and are looked at; those users report have at most 300 bytes. Anything
/// longer is left unread until somebody asks for the listing.
const REFUSAL_BYTES_MAX: usize = 1 << 10;

/// Why a call brought nothing, by what the caller can do next. None of the texts holds a token or a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There was no token to call with, so nothing was sent; or the one refused as bad (which changes nothing) could not
    /// be replaced.
    #[error("no token: {0}")]
    NoToken(#[source] TokenError),
    /// Surely not sent: no connection, no address, no request. Call again when you like.
    #[error("not sent: {0}")]
    NotSent(String),
    /// `WeChat` answered with a code. [`Refusal::class`] says what to do.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// It may have been sent, and no answer of `WeChat`'s came: nothing, half of something, or another status than HTTP
    /// 200, which is a proxy's. For a call that changes something the outcome is unknown: look at the account's listing
    /// before calling again.
    #[error("answer lost: {0}")]
    Lost(String),
    /// An answer came with HTTP 200 that is none of `WeChat`'s, as a page for people. What a call that changes something
    /// came to is as unknown as with [`CallError::Lost`].
    #[error("unreadable answer: {0}")]
    Unreadable(String),
}

/// Why a listing that came says nothing about any link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The body is a code, not a listing.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The body is no whole listing. It is no evidence; ask again later.
    #[error("unreadable listing: {0}")]
    Unreadable(String),
}

impl From<ReadError> for CallError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Refused(refusal) => Self::Refused(refusal),
            ReadError::Unreadable(why) => Self::Unreadable(why),
        }
    }
}

/// A body that came with HTTP 200 and begins like an object. Compare its fingerprint before you read it: equal bytes
/// say what they said before. Remember only fingerprints of bodies that were read without an error.
#[derive(Debug, Clone)]
pub struct RawListing {
    body: Bytes,
    /// The token of the call, for cleaning texts that quote it.
    token: Token,
}

impl RawListing {
    /// The bytes as they came.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// A 64-bit hash of the bytes, the same in every process.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&self.body)
    }

    /// The token the call was made with: drop it if [`Self::read`] says that it is bad.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// Reads the listing. Its work grows with the length of the body, which may be some megabytes.
    ///
    /// # Errors
    ///
    /// When it is a refusal, or neither a whole listing nor a plain 0.
    pub fn read(&self) -> Result<Reading, ReadError> {
        match wire::listing(&self.body) {
            Ok(wire::Said::Listing(listing)) => Ok(Reading::Whole(listing)),
            Ok(wire::Said::Weak) => Ok(Reading::Weak),
            Ok(wire::Said::Refused(refusal)) => Err(ReadError::Refused(clean(&refusal, &self.token))),
            Err(fault) => Err(ReadError::Unreadable(errmsg::fault_without(&fault.to_string(), &[self.token.expose()]))),
        }
    }
}

/// What `wxamplinkget` answered. The body is not read beyond its first bytes; a short refusal is an error right here, a
/// longer one when the listing is read.
///
/// # Errors
///
/// Whatever is no answer with HTTP 200 and an object in it.
pub fn to_listing(status: StatusCode, body: Bytes, token: &Token) -> Result<RawListing, CallError> {
    if status != StatusCode::OK {
        return Err(not_wechats(status));
    }
    if body.len() <= REFUSAL_BYTES_MAX
        && let Some(refusal) = wire::refused(&body)
    {
        return Err(CallError::Refused(clean(&refusal, token)));
    }
    // A byte order mark is no blank: its first byte is looked for as well.
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | 0xEF) => Ok(RawListing { body, token: token.clone() }),
        Some(_) => Err(CallError::Unreadable("the answer is no JSON object".to_owned())),
        None => Err(CallError::Unreadable("the answer is empty".to_owned())),
    }
}

/// What a call that changes something answered.
///
/// # Errors
///
/// Anything but an explicit `errcode` of 0 with HTTP 200.
pub fn to_effect(status: StatusCode, body: &[u8], token: &Token) -> Result<(), CallError> {
    if status != StatusCode::OK {
        return Err(not_wechats(status));
    }
    match wire::verdict(body) {
        Ok(wire::Verdict::Done) => Ok(()),
        Ok(wire::Verdict::Refused(refusal)) => Err(CallError::Refused(clean(&refusal, token))),
        Err(fault) => Err(cleaned(CallError::Unreadable(fault.to_string()), token)),
    }
}

/// An answer that is not HTTP 200. `WeChat` answers everything with 200, so something between us wrote it: whatever code
/// stands in its body, nobody knows whose word it is and whether `WeChat` ever saw the call.
pub(super) fn not_wechats(status: StatusCode) -> CallError {
    CallError::Lost(format!("HTTP {status}"))
}

/// The error without the token: a second lock behind `without_url`.
pub(super) fn cleaned(error: CallError, token: &Token) -> CallError {
    without(error, &[token.expose()])
}

/// The error without these secrets.
pub(super) fn without(error: CallError, secrets: &[&str]) -> CallError {
    match error {
        CallError::NotSent(why) => CallError::NotSent(errmsg::fault_without(&why, secrets)),
        CallError::Lost(why) => CallError::Lost(errmsg::fault_without(&why, secrets)),
        CallError::Unreadable(why) => CallError::Unreadable(errmsg::fault_without(&why, secrets)),
        CallError::Refused(refusal) => CallError::Refused(kept(&refusal, secrets)),
        CallError::NoToken(error) => CallError::NoToken(error),
    }
}

fn clean(refusal: &Refusal, token: &Token) -> Refusal {
    kept(refusal, &[token.expose()])
}

/// The refusal as it may be kept: without the secrets, which a proxy may have quoted, and then within the limit.
pub(super) fn kept(refusal: &Refusal, secrets: &[&str]) -> Refusal {
    Refusal { errmsg: errmsg::kept_without(&refusal.errmsg, secrets), errcode: refusal.errcode }
}
