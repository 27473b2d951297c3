//! What a demo hands to its pages: a ticket that signs in once, and its administrators, who can be played.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

/// An administrator's answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The official account.
    pub account: String,
    /// The mini program.
    pub program: String,
    /// Whose administrator answers.
    pub by: Side,
    /// What they say.
    pub says: Says,
    /// The page to come back to.
    #[serde(rename = "_back", default)]
    pub(super) back: String,
}

/// Whose administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The account's.
    Account,
    /// The program's.
    Program,
}

/// What an administrator says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Says {
    /// They agree.
    Yes,
    /// They refuse.
    No,
}

/// Has an administrator of the demo's world answer; what is wrong when none can.
pub type Play = dyn Fn(&Answer) -> Result<(), String> + Send + Sync;

/// What a demo adds to the pages.
#[derive(Clone)]
pub struct Demo(Arc<Parts>);

struct Parts {
    ticket: Mutex<Option<SecretString>>,
    user: String,
    play: Box<Play>,
}

impl fmt::Debug for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demo").field("user", &self.0.user).finish_non_exhaustive()
    }
}

impl Demo {
    /// Whoever brings the ticket first is this user.
    #[must_use]
    pub fn new(ticket: SecretString, user: String, play: Box<Play>) -> Self {
        Self(Arc::new(Parts { ticket: Mutex::new(Some(ticket)), user, play }))
    }

    pub(super) fn is_ticket(&self, shown: &str) -> bool {
        let ticket = self.0.ticket.lock().unwrap_or_else(PoisonError::into_inner);
        ticket.as_ref().is_some_and(|ticket| ticket.expose_secret().as_bytes().ct_eq(shown.as_bytes()).into())
    }

    pub(super) fn user(&self) -> String {
        self.0.user.clone()
    }

    /// Has an administrator answer.
    pub(super) fn play(&self, answer: &Answer) -> Result<(), String> {
        (self.0.play)(answer)
    }

    /// Whether this is the ticket, which from now on is none.
    pub(super) fn take(&self, shown: &str) -> bool {
        let is_ticket = self.is_ticket(shown);
        if is_ticket {
            *self.0.ticket.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        is_ticket
    }
}
