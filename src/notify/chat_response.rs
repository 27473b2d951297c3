//! How chat bots respond: an HTTP status that is nearly always 200, and a code in the body. A 200 without the code is
//! neither a success nor a failure: login and maintenance pages return 200 too, and so do services that only resemble one.

use std::time::Duration;

use serde_json::Value;

use super::{
    SendError,
    post::{Answer, said},
};

/// What a service's own code asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Again, after so long.
    Later(Option<Duration>),
    /// A person must look.
    Refused,
    /// Never.
    Gone,
}

/// How a service names the code and its words, the first that is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    /// The code, a number; zero is a success.
    pub(super) code: &'static [&'static str],
    /// The sentence that explains it.
    pub(super) words: &'static [&'static str],
}

/// A code, also one that a proxy made a text of.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// Whether the robot took the message. A status that asks to wait counts before the code; `meaning` says what a code
/// other than zero asks for.
pub(super) fn verdict(
    answer: &Answer<'_>,
    names: Names,
    meaning: impl Fn(i64, &str) -> Meaning,
) -> Result<(), SendError> {
    let accepted = answer.accepted();
    if matches!(accepted, Err(SendError::Later { .. })) {
        return accepted;
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = names.code.iter().find_map(|name| number(body.get(name)?));
    let (code, words) = match (code, accepted) {
        (Some(0), Ok(())) => return Ok(()),
        (Some(0) | None, Err(error)) => return Err(error),
        (None, Ok(())) => {
            let why = said(&format!("HTTP {} without a code", answer.status), &answer.words());
            return Err(SendError::Unconfirmed { why });
        }
        (Some(code), Ok(()) | Err(_)) => {
            (code, names.words.iter().find_map(|name| body.get(name)?.as_str()).unwrap_or_default())
        }
    };
    let why = said(&format!("{} {code}", names.code[0]), &answer.shown(words));
    Err(match meaning(code, words) {
        Meaning::Later(after) => SendError::Later { why, after: after.max(answer.after) },
        Meaning::Refused => SendError::Refused { why },
        Meaning::Gone => SendError::Gone { why },
    })
}
