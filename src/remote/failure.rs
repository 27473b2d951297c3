//! Why a call to a daemon came to nothing, each in one sentence: what is wrong, where, and what to do. None holds the token.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;
use serde_json::Value;

/// Characters of a sentence from outside.
const SAID_MAX: usize = 600;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing was sent.
    #[error("{server} cannot be reached: {why}; nothing was sent")]
    Unreachable {
        /// Whom.
        server: String,
        /// The error below.
        why: String,
    },
    /// The request went out, and no answer came.
    #[error("{server} was asked and no answer came ({why}): {then}")]
    Lost {
        /// Whom.
        server: String,
        /// The error below.
        why: String,
        /// What is known and what to do.
        then: &'static str,
    },
    /// It answers with another address.
    #[error(
        "{server} redirects (status {status}){to}: give that address instead; a redirect is not followed, since the token would go with it"
    )]
    Redirected {
        /// Whom.
        server: String,
        /// The status.
        status: u16,
        /// " to ADDRESS", or nothing.
        to: String,
    },
    /// Somebody else answers.
    #[error(
        "{server} answers with status {status} and {kind}, which is not amplinkd: is there a proxy or another service at this address, or is [http] base_path missing in it?"
    )]
    Foreign {
        /// Whom.
        server: String,
        /// The status.
        status: u16,
        /// What kind of answer it is.
        kind: String,
    },
    /// An answer of another shape than ours.
    #[error("{server} answers something that this amplinkd does not understand ({why}): is it of another version?")]
    Unreadable {
        /// Whom.
        server: String,
        /// What is wrong with it.
        why: String,
    },
    /// The token is not good.
    #[error("{server} does not accept the token in {}: it is wrong, has expired or was revoked; `amplinkd api-token new` on its machine makes another", token_file.display())]
    Unauthenticated {
        /// Whom.
        server: String,
        /// Where the token stands.
        token_file: PathBuf,
    },
    /// The daemon says why not.
    #[error("{}", told(.0))]
    Refused(Box<Refused>),
    /// It wants to be left alone for longer than a person waits.
    #[error("{server} asks to wait {} seconds before the next try ({code})", wait.as_secs())]
    Later {
        /// Whom.
        server: String,
        /// For how long.
        wait: Duration,
        /// Why.
        code: String,
    },
    /// The client cannot be made.
    #[error("cannot speak to {server}: {why}")]
    Unusable {
        /// Whom.
        server: String,
        /// Why.
        why: String,
    },
}

/// A problem as the API sends it (RFC 9457).
#[derive(Debug, Clone, Deserialize)]
pub struct Refused {
    /// The status.
    pub status: u16,
    /// The word that it is known by.
    pub code: String,
    /// The sentence.
    pub detail: String,
    /// What is wrong with single values.
    #[serde(default)]
    pub errors: Vec<Fault>,
    /// What is in the way, as it is now.
    #[serde(default)]
    pub current: Option<Value>,
    /// Where the token stands; known here alone.
    #[serde(skip)]
    pub token_file: PathBuf,
}

/// What is wrong with one value.
#[derive(Debug, Clone, Deserialize)]
pub struct Fault {
    /// Which: a JSON pointer, or `?` and a parameter.
    pub pointer: String,
    /// Why.
    pub detail: String,
}

impl Failure {
    /// The problem that the daemon named.
    #[must_use]
    pub const fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Refused(refused) => Some(refused),
            Self::Unreachable { .. }
            | Self::Lost { .. }
            | Self::Redirected { .. }
            | Self::Foreign { .. }
            | Self::Unreadable { .. }
            | Self::Unauthenticated { .. }
            | Self::Later { .. }
            | Self::Unusable { .. } => None,
        }
    }

    /// Whether it is this problem.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.refused().is_some_and(|refused| refused.code == code)
    }
}

impl Failure {
    /// Whether it says that there is no such thing.
    pub(super) fn is_of_nothing(&self) -> bool {
        self.is("not_found") || self.is("account_unknown")
    }
}

/// A problem in the manner of a command line.
fn told(refused: &Refused) -> String {
    let mut said = sentence(&refused.detail);
    for fault in &refused.errors {
        let place = fault.pointer.trim_start_matches(['?', '/']);
        let detail = sentence(&fault.detail);
        said.push_str("; ");
        if !place.is_empty() {
            said.push_str(place);
            said.push_str(": ");
        }
        said.push_str(&detail);
    }
    match refused.code.as_str() {
        "forbidden" => return format!("{said} (the token in {})", refused.token_file.display()),
        "not_found" if refused.detail.starts_with("There is nothing") => {
            said += ": the daemon may be older than this command, or [http] base_path is missing in its address";
        }
        _ => {}
    }
    said
}

/// Without a capital at its beginning and a dot at its end, and without what could steer a terminal.
fn sentence(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(SAID_MAX).collect();
    let text = text.trim().trim_end_matches('.');
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if first.is_ascii_uppercase() && !second.is_ascii_uppercase() => {
            format!("{}{}", first.to_ascii_lowercase(), &text[1..])
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let mut refused: Refused = serde_json::from_str(text).unwrap();
        refused.token_file = "/t".into();
        Failure::Refused(Box::new(refused)).to_string()
    }

    #[test]
    fn a_problem_is_one_sentence_with_its_places() {
        let invalid = refused(
            r#"{"status":422,"code":"invalid","detail":"Some of it is not valid.","errors":[{"pointer":"?state","detail":"expected one of a, b"},{"pointer":"/requests/17/program","detail":"no appid"}]}"#,
        );
        assert_eq!(invalid, "some of it is not valid; state: expected one of a, b; requests/17/program: no appid");
        let forbidden = refused(r#"{"status":403,"code":"forbidden","detail":"The scope alerts is needed."}"#);
        assert_eq!(forbidden, "the scope alerts is needed (the token in /t)");
        assert_eq!(refused("{\"status\":409,\"code\":\"over\",\"detail\":\"a\\u001b[31mb\"}"), "a[31mb");
    }
}
