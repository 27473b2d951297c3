//! Access tokens: what one is, where they come from, and why there may be none. They are neither printed nor stored on
//! disk.

use std::{borrow::Cow, collections::HashMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::{
    domain::{
        errcode::Refusal,
        history::hex,
        text::invisible::{self, Invisible},
    },
    net::{egress::Egress, secrets},
};

mod cache;
mod command;
mod desk;
mod grant;
mod service;

pub use cache::{TOKENS_MAX, Tokens};
pub use desk::{Ask, Asks, Desk};
pub use grant::Grant;

pub use super::wire::GrantNames;

/// Bytes of the longest token taken. Real ones run to 512 and more; one that fills a request's line is none.
const TOKEN_BYTES_MAX: usize = 4_096;

/// Bytes of a token source's answer: a token, its lifetime, and whatever else the source likes to say.
const GRANT_BYTES_MAX: usize = 64 << 10;

/// An access token of one account. Cheap to clone; wiped when the last clone goes; its `Debug` shows nothing.
#[derive(Clone)]
pub struct Token(Arc<SecretString>);

impl Token {
    /// A token as its source spelt it.
    ///
    /// # Errors
    ///
    /// When it is empty, too long, or holds anything but visible ASCII: a blank or a line break comes from a file read
    /// carelessly, and `WeChat` would answer 40001 for ever.
    pub fn new(secret: SecretString) -> Result<Self, TokenError> {
        let text = secret.expose_secret();
        let fault = if text.is_empty() {
            "the token is empty".to_owned()
        } else if text.len() > TOKEN_BYTES_MAX {
            "the token is too long".to_owned()
        } else if let Some(found) = invisible::find(text, 0, |c| !c.is_ascii_graphic()) {
            let Invisible { character, column, .. } = found;
            format!("the token holds {} as its character {column}, which no token has", invisible::named(character))
        } else {
            return Ok(Self(Arc::new(secret)));
        };
        Err(TokenError::Unavailable(fault))
    }

    /// The token for somebody who may have it.
    #[must_use]
    pub fn secret(&self) -> SecretString {
        SecretString::from(self.expose())
    }

    /// Whether its SHA-256 is this, in hexadecimal.
    #[must_use]
    pub fn has_digest(&self, sha256: &str) -> bool {
        hex(&Sha256::digest(self.expose())).eq_ignore_ascii_case(sha256)
    }

    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The token as it stands in a query.
    pub(super) fn in_url(&self) -> Cow<'_, str> {
        secrets::percent_encoded(self.expose())
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.expose() == other.expose()
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([REDACTED])")
    }
}

/// Why there is no token. In every case nothing was sent to `WeChat` with one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The source answered with a code of `WeChat`'s, as 61003 when the account took its authorization back.
    #[error("the token source refused: {0}")]
    Refused(Refusal),
    /// The source could not be reached or answered nothing usable. Try again later.
    #[error("{0}")]
    Unavailable(String),
}

/// Why a token source cannot be used. Mend the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the token source {0}")]
pub struct BadTokenSource(pub(super) String);

/// Where tokens come from.
#[derive(Debug, Clone)]
pub enum TokenSource {
    /// A token service (中控服务器) of the platform, asked by GET.
    Http(HttpSource),
    /// A program that prints a token.
    Command(CommandSource),
    /// Tokens that are known beforehand, by account; `"*"` stands for every other account. For tests and demonstrations:
    /// real tokens end after two hours.
    Static(HashMap<String, SecretString>),
    /// Whoever keeps tokens in this process.
    Asked(Desk),
}

/// A token service. It answers `{"access_token": "…", "expires_in": 7200}` (or `authorizer_access_token`), or the same where
/// `names` say, or a body with `WeChat`'s errcode.
#[derive(Clone)]
pub struct HttpSource {
    /// Its address, with `{account}` where the account's appid goes. It may hold a secret and is never shown.
    pub url: String,
    /// Headers to send, as a key; the values are never shown.
    pub headers: Vec<(String, SecretString)>,
    /// Where its answer has the token.
    pub names: GrantNames,
    /// From connecting to the last byte of the answer.
    pub timeout: Duration,
    /// The way out to it.
    pub egress: Egress,
}

impl Default for HttpSource {
    /// A service without an address, that is reached directly and waits for as long as `[tokens]` does.
    fn default() -> Self {
        Self {
            url: String::new(),
            headers: Vec::new(),
            names: GrantNames::default(),
            timeout: Duration::from_secs(10),
            egress: Egress::default(),
        }
    }
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("HttpSource").field("headers", &names).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// A program that prints what an [`HttpSource`] answers.
#[derive(Clone)]
pub struct CommandSource {
    /// The program.
    pub program: PathBuf,
    /// Its arguments; the account's appid is added as the last one. They may hold a secret and are never shown.
    pub args: Vec<String>,
    /// Where its output has the token.
    pub names: GrantNames,
    /// How long it may run before it is killed with its process group. When it has ended, what it printed counts; what it
    /// left running with its output still open is killed at the same time.
    pub timeout: Duration,
}

impl fmt::Debug for CommandSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandSource")
            .field("program", &self.program)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
