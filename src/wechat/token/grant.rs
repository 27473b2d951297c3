//! Parses a source's response into a fresh token. Errors repeat nothing that may be a secret.

use std::{process::Output, time::Duration};

use reqwest::StatusCode;

use super::{GRANT_BYTES_MAX, Token, TokenError};
use crate::{
    domain::{errcode::Refusal, id::AccountId, text::format},
    net::secrets,
    wechat::{
        errmsg,
        wire::{self, GrantNames},
    },
};

/// Characters of the longest rid that is believed to be one; known ones have 28 at most.
const RID_CHARS_MAX: usize = 40;

/// Characters of standard error that reach an error's text.
const STDERR_CHARS_MAX: usize = 200;

/// Characters of a source's own words that reach an error's text.
const WORDS_CHARS_MAX: usize = 200;

/// A token fresh from its source.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    /// The token.
    pub token: Token,
    /// How long it lives, if the source said so; zero when it said that it is over already.
    pub lives: Option<Duration>,
}

impl Grant {
    /// Reads what a token service answered. Of its words about a refusal or a fault, `sent` is left out: the secrets it
    /// was asked with.
    ///
    /// Unlike `WeChat`, a service of the platform's own may well say with HTTP 4xx that there is no token, and why with
    /// `WeChat`'s code: that is its word, as with 200. Of any other status nobody knows who wrote it: a service that
    /// breaks (500) and a proxy before it (502 to 504) have no say about an account.
    ///
    /// # Errors
    ///
    /// Anything but HTTP 200 with a token.
    pub fn of_service(status: StatusCode, body: &[u8], names: &GrantNames, sent: &[&str]) -> Result<Self, TokenError> {
        let clean = |words: &str| secrets::without_secrets(&secrets::without_all(words, sent));
        let own_words = || said(body, |words| errmsg::fault_without(&clean(words), sent));
        if status == StatusCode::OK {
            return Self::read(body, names, sent).map_err(|error| with_words(error, own_words()));
        }
        Err(match refusal_in(body, names).filter(|_| status.is_client_error()) {
            Some(refusal) => refused(&refusal, sent),
            None => with_words(TokenError::Unavailable(format!("the token source answers HTTP {status}")), own_words()),
        })
    }

    /// Reads what a token program left behind when it was asked about `account`.
    ///
    /// # Errors
    ///
    /// Anything but success with a token on standard output.
    pub fn of_program(left: &Output, account: &AccountId, names: &GrantNames) -> Result<Self, TokenError> {
        let unavailable = |what: String| TokenError::Unavailable(format!("the token program {what}"));
        if left.stdout.len() > GRANT_BYTES_MAX {
            return Err(unavailable("printed too much".to_owned()));
        }
        let own_words = || said(&left.stdout, |words| without_guesses(words, account));
        if left.status.success() {
            return Self::read(&left.stdout, names, &[]).map_err(|error| with_words(error, own_words()));
        }
        if let Some(refusal) = refusal_in(&left.stdout, names) {
            return Err(refused(&refusal, &[]));
        }
        let error = unavailable(format!("ended with {}: {}", left.status, readable(&left.stderr, account)));
        Err(with_words(error, own_words()))
    }

    fn read(body: &[u8], names: &GrantNames, sent: &[&str]) -> Result<Self, TokenError> {
        match wire::grant(body, names) {
            Ok(Ok(granted)) => Ok(Self {
                token: Token::new(granted.token)?,
                lives: granted.expires_in.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0))),
            }),
            Ok(Err(refusal)) => Err(refused(&refusal, sent)),
            Err(fault) => Err(TokenError::Unavailable(format!(
                "the token source's answer is unreadable: {}{}",
                errmsg::fault_without(&secrets::without_secrets(&secrets::without_all(&fault.to_string(), sent)), sent),
                secrets::without_all(fault.advice(), sent)
            ))),
        }
    }
}

/// The refusal in a body that brings no token.
fn refusal_in(body: &[u8], names: &GrantNames) -> Option<Refusal> {
    wire::refused(body).or_else(|| wire::grant(body, names).ok()?.err())
}

/// What the source says of itself, cleaned, on one line and short.
fn said(body: &[u8], clean: impl Fn(&str) -> String) -> Option<String> {
    // Cleaned before it is cut, and after what nobody sees has gone: otherwise half a token, or one with a mark of no
    // width inside, would not be found.
    let words = clean(&format::one_line(&wire::words(body)?));
    (!words.is_empty()).then(|| format::clip(&words, WORDS_CHARS_MAX))
}

/// Adds the source's own words to what we make of its answer.
fn with_words(error: TokenError, words: Option<String>) -> TokenError {
    match (error, words) {
        (TokenError::Unavailable(what), Some(words)) => TokenError::Unavailable(format!("{what}; it says: {words}")),
        (error @ (TokenError::Unavailable(_) | TokenError::Refused(_)), _) => error,
    }
}

fn refused(refusal: &Refusal, sent: &[&str]) -> TokenError {
    let said = secrets::without_all(&refusal.errmsg, sent);
    let cleaned = secrets::without_secrets(&said);
    // A rid is opaque enough to be taken for a secret.
    let errmsg = match errmsg::rid(&said).filter(|rid| rid.len() <= RID_CHARS_MAX) {
        Some(rid) if errmsg::rid(&cleaned) != Some(rid) => format!("{cleaned} rid: {rid}"),
        _ => cleaned,
    };
    TokenError::Refused(Refusal { errcode: refusal.errcode, errmsg: errmsg::kept_without(&errmsg, sent) })
}

/// The first line that says something, without what may be a secret. What comes after is often a trace of the request.
fn readable(stderr: &[u8], account: &AccountId) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    // Cleaned before it is cut: half a token is no longer seen to be one.
    errmsg::clip(&without_guesses(&words.join(" "), account), STDERR_CHARS_MAX)
}

/// A program's text without what may be a secret: what it was given as arguments nobody can tell from words.
fn without_guesses(text: &str, account: &AccountId) -> String {
    secrets::without_odd_words(&secrets::without_secrets(text), account.as_str())
}
