//! What doors ask for, and why it is refused.

use std::collections::{BTreeMap, HashMap};

use crate::{
    domain::{
        gate::GateKind,
        id::{AccountId, ProgramId, RequestId, Username},
        request::Kind,
        text::invisible::{self, Invisible},
    },
    store::StoreError,
};

/// Wishes that one transaction takes: more would hold up whoever else writes, so that they are imported.
pub const AT_ONCE_MAX: usize = 1_000;

/// The longest key or label a request may carry, in bytes.
pub const WORD_MAX: usize = 256;

/// The most labels a request may carry.
pub const LABELS_MAX: usize = 32;

/// A wish, as a door takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// To link or to unlink.
    pub kind: Kind,
    /// The official account.
    pub account: AccountId,
    /// The mini program.
    pub program: ProgramId,
    /// The program's `gh_` id, when it is known.
    pub username: Option<Username>,
    /// The asker's own name for it.
    pub key: Option<String>,
    /// The asker's own words about it.
    pub labels: BTreeMap<String, String>,
}

impl Wish {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`AskError::BadWord`] that says which word and what is allowed.
    pub fn check(&self) -> Result<(), AskError> {
        let words = self.labels.iter().flat_map(|(name, value)| [("label", name), ("label", value)]);
        for (what, word) in words.chain(self.key.iter().map(|key| ("key", key))) {
            if word.len() > WORD_MAX {
                return Err(AskError::BadWord(format!(
                    "a {what} may have at most {WORD_MAX} bytes; one has {}",
                    word.len()
                )));
            }
        }
        if self.key.as_deref() == Some("") || self.labels.contains_key("") {
            return Err(AskError::BadWord("a key and the name of a label must not be empty".to_owned()));
        }
        if self.labels.len() > LABELS_MAX {
            return Err(AskError::BadWord(format!("at most {LABELS_MAX} labels; there are {}", self.labels.len())));
        }
        Ok(())
    }

    /// Whether people see all of the words that they gave it: two that look alike must be alike. Older requests may have
    /// others, and keep them.
    ///
    /// # Errors
    /// [`AskError::BadWord`] with the code point that nobody sees.
    pub fn check_words(&self) -> Result<(), AskError> {
        let labels = self.labels.iter().flat_map(|(name, value)| [("a label", name), ("a label", value)]);
        let mut words = self.key.iter().map(|key| ("the key", key)).chain(labels);
        let hidden = words.find_map(|(what, word)| Some((what, invisible::find(word, 0, invisible::is_hidden)?)));
        let Some((what, Invisible { character, column, .. })) = hidden else { return Ok(()) };
        let named = invisible::named(character);
        Err(AskError::BadWord(format!("{what} holds {named}, as its character {column}: write it again")))
    }
}

/// Why a wish was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no such request.
    #[error("there is no request {0}; `amplinkd request list` shows them")]
    NoRequest(RequestId),
    /// Only a finished request can be tried again.
    #[error(
        "request {id} is still {state}: it is being followed, so there is nothing to try again; cancel it first if you want another"
    )]
    StillOpen {
        /// The request.
        id: RequestId,
        /// Where it stands.
        state: &'static str,
    },
    /// A finished request cannot be cancelled.
    #[error("request {id} is {state} already: there is nothing to cancel")]
    Finished {
        /// The request.
        id: RequestId,
        /// Where it stands.
        state: &'static str,
    },
    /// Nobody ever asked for this account.
    #[error("account {0} is not known: no request was ever made for it; `amplinkd account list` shows the known ones")]
    NoAccount(AccountId),
    /// There is no such gate, and nobody waits for it.
    #[error("no gate {kind} {subject} is closed; `amplinkd gate list` shows those that are")]
    NoGate {
        /// The kind.
        kind: GateKind,
        /// The subject.
        subject: String,
    },
    /// A key or label that is too long, too many, or empty.
    #[error("{0}")]
    BadWord(String),
    /// The last write of many wishes failed, and may be on disk all the same.
    #[error(
        "whether they were taken is not known, for the last write failed: ask again, which asks for nothing twice ({0})"
    )]
    Unsure(StoreError),
    /// The database would not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks every wish, and that no key stands for two of them.
pub(super) fn check_all(wishes: &[Wish]) -> Result<(), AskError> {
    let mut keys: HashMap<&str, &Wish> = HashMap::new();
    for wish in wishes {
        wish.check()?;
        let Some(key) = &wish.key else { continue };
        let first = keys.entry(key).or_insert(wish);
        let is_same =
            (first.kind.as_str(), &first.account, &first.program) == (wish.kind.as_str(), &wish.account, &wish.program);
        if !is_same {
            return Err(AskError::BadWord(format!("the key {key:?} is given to two wishes for different things")));
        }
    }
    Ok(())
}
