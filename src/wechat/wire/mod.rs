//! Parses `WeChat`'s responses. Half a listing is no listing and silence is no success: what is not plainly readable is
//! a fault, and a fault is no evidence.
//!
//! Every choice here leans one way. A listing that lacks a program eventually ends a request, so an empty listing needs
//! proof: its `items` and an explicit `errcode` of 0. A listing with items proves itself and may omit the code. A 0
//! with nothing where the items belong is weak: how an account without links is encoded is not documented, so it may be
//! that, or half a response; and waiting costs less than taking an existing link for gone.

use serde::Deserialize;

use crate::domain::{errcode::Refusal, listing::Listing};
pub(super) mod component;
mod grant;
mod items;
mod lenient;
mod members;
mod repair_json;
pub(super) mod xml;

#[cfg(test)]
mod tests;

pub use grant::GrantNames;
pub(super) use grant::{grant, words};
pub use items::ITEMS_MAX;
use items::Open;
use lenient::{Field, Lenient, Object};

/// What a call that changes something answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// An explicit `errcode` of 0.
    Done,
    /// Any other code.
    Refused(Refusal),
}

/// Why a body says nothing: where it broke and how. It may quote the body at any length: clean and cut it
/// before it is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Unreadable {
    reason: String,
    /// It is not even JSON.
    broken: bool,
    /// Where what was looked for may be instead, in words of ours and names of the body that are words: it holds no value.
    advice: String,
}

impl Unreadable {
    /// Where what was looked for may be instead; empty when nothing is known.
    pub(super) fn advice(&self) -> &str {
        &self.advice
    }
}

/// What a listing's body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Every program of the account.
    Listing(Listing),
    /// A 0 and no items: no `wxopens`, or a null, an empty object or an empty array in its place.
    Weak,
    /// A code that is not 0; it counts whatever stands beside it.
    Refused(Refusal),
}

#[derive(Deserialize)]
struct ListingBody<'a> {
    #[serde(default, borrow)]
    errcode: Lenient<'a>,
    #[serde(default, borrow)]
    errmsg: Lenient<'a>,
    #[serde(default)]
    wxopens: Field<Open>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default, borrow)]
    errcode: Lenient<'a>,
    #[serde(default, borrow)]
    errmsg: Lenient<'a>,
}

/// Reads the answer of `wxamplinkget`
/// (<https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Official__Accounts/Mini_Program_Management_Permission.html>).
///
/// An object with a `wxopens` object that has items is a listing, without an `errcode` too. `items` may be empty or null,
/// which is an empty listing, but only beside an explicit 0. Beside the same 0 no `items` at all, without another key
/// that may hold them, is [`Said::Weak`].
pub(super) fn listing(body: &[u8]) -> Result<Said, Unreadable> {
    tolerantly(body, |body| {
        let ListingBody { errcode, errmsg, wxopens } = object(body)?;
        let code = code(&errcode)?;
        if let Some(code) = code.filter(|code| *code != 0) {
            return Ok(Said::Refused(refusal(code, &errmsg)));
        }
        match (wxopens, code) {
            (Field::Value(Open::Items(items)), None) if items.is_empty() => {
                Err(fault("there are no items and no errcode"))
            }
            (Field::Value(Open::Items(items)), _) => Ok(Said::Listing(Listing { items })),
            (Field::Value(Open::Nothing) | Field::Null | Field::Absent, Some(_)) => Ok(Said::Weak),
            (Field::Value(Open::Nothing) | Field::Null | Field::Absent, None) => {
                Err(fault("there is no \"wxopens\" with items, and no errcode"))
            }
        }
    })
}

/// Reads the answer of a call that changes something. Success needs an explicit `errcode` of 0: the link APIs document
/// one, and a `{}` may come from anything between us and them.
pub(super) fn verdict(body: &[u8]) -> Result<Verdict, Unreadable> {
    tolerantly(body, |body| {
        let Answer { errcode, errmsg } = object(body)?;
        match code(&errcode)? {
            Some(0) => Ok(Verdict::Done),
            Some(code) => Ok(Verdict::Refused(refusal(code, &errmsg))),
            None => Err(fault("there is no errcode")),
        }
    })
}

/// The refusal in a body, when it plainly is one.
pub(super) fn refused(body: &[u8]) -> Option<Refusal> {
    match verdict(body) {
        Ok(Verdict::Refused(refusal)) => Some(refusal),
        Ok(Verdict::Done) | Err(_) => None,
    }
}

/// The code, or nothing when the key is missing; any other thing in its place makes the body unreadable.
fn code(errcode: &Lenient<'_>) -> Result<Option<i64>, Unreadable> {
    if *errcode == Lenient::Absent {
        return Ok(None);
    }
    errcode.integer().map(Some).ok_or_else(|| fault("the errcode is no number"))
}

fn refusal(errcode: i64, errmsg: &Lenient<'_>) -> Refusal {
    // Not `Lenient::text`: a blank before the rid is part of what WeChat said.
    let said = if let Lenient::Text(text) = errmsg { text } else { "" };
    // Whole, however long: whoever knows the secrets cleans it before it is cut, or a cut secret would not be found.
    Refusal { errcode, errmsg: said.to_owned() }
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Reads strictly, and once more with its texts mended when the JSON itself was broken.
fn tolerantly<T>(body: &[u8], strictly: impl Fn(&[u8]) -> Result<T, Unreadable>) -> Result<T, Unreadable> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    match strictly(body) {
        Err(unreadable @ Unreadable { broken: true, .. }) => match repair_json::mended(body) {
            Some(mended) => strictly(mended.as_bytes()),
            None => Err(unreadable),
        },
        read => read,
    }
}

/// Parses one JSON object. Duplicated keys that we read are an error: nobody can tell which one counts.
fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Unreadable> {
    match serde_json::from_slice::<Object<T>>(body) {
        Ok(Object(read)) => Ok(read),
        Err(error) => Err(no_json(&error)),
    }
}

fn fault(reason: &str) -> Unreadable {
    Unreadable { reason: reason.to_owned(), broken: false, advice: String::new() }
}

fn no_json(error: &serde_json::Error) -> Unreadable {
    Unreadable { broken: error.is_syntax(), ..fault(&error.to_string()) }
}
