//! What commands ask for: new requests, a cancel, a retry, an account's suspension. They only write to the database;
//! the daemon sees it and calls `WeChat`.

use std::collections::{BTreeMap, HashMap};

use super::{imports::Imported, record::Recorder};
use crate::{
    domain::{
        id::{AccountId, ProgramId, RequestId, Username},
        observation::Observation,
        request::{Kind, Request, State},
        time::Time,
    },
    store::{
        Record, StoreError,
        write::{
            accounts::Standing,
            import::ImportRow,
            requests::{Accepted, Urgency},
        },
    },
};

/// Wishes that one transaction takes: more would hold up whoever else writes, so that they are imported.
pub const AT_ONCE_MAX: usize = 1_000;

/// So few wishes at once are asked for by somebody who waits for the answer; their accounts are looked at before others.
const ASKED_MAX: usize = 10;

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
        kind: String,
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

/// What became of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// Nothing had been sent.
    BeforeTheCall,
    /// `WeChat` may have the invitation, and has no way to withdraw it.
    NoLongerFollowed,
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
}

impl Recorder {
    /// Takes wishes, all or none; on disk when this returns. A wish that is there already, by its key, as an open request
    /// for the same pair, or as a link that stands, is answered with the existing request. Where the link alone answers
    /// few wishes, its account's list is looked at now, because the link may be gone without anybody having seen it.
    ///
    /// # Errors
    /// [`AskError`]: none was taken.
    pub async fn accept(&self, wishes: Vec<Wish>) -> Result<Vec<Accepted>, AskError> {
        if wishes.len() > AT_ONCE_MAX {
            let Imported { accepted, interrupted } = self.import(wishes, &|_| {}).await?;
            if let Some(error) = interrupted {
                tracing::warn!(error = %error, "wishes are taken, and wait for somebody who moves them on");
            }
            return Ok(accepted);
        }
        check_all(&wishes)?;
        let urgency = if wishes.len() <= ASKED_MAX { Urgency::Asked } else { Urgency::InTurn };
        self.accept_at_once(wishes, urgency).await
    }

    /// Takes wishes in one transaction.
    pub(super) async fn accept_at_once(&self, wishes: Vec<Wish>, urgency: Urgency) -> Result<Vec<Accepted>, AskError> {
        let now = self.clock().now();
        let requests = wishes.into_iter().map(|wish| self.request_for(wish, now)).collect();
        Ok(self.store().accept(requests, urgency, now).await?)
    }

    /// A wish as the request that it becomes.
    pub(super) fn request_for(&self, wish: Wish, now: Time) -> Request {
        let Wish { kind, account, program, username, key, labels } = wish;
        Request { username, key, labels, ..Request::new(self.new_id(), kind, account, program, now) }
    }

    /// Stops following a request.
    ///
    /// # Errors
    /// [`AskError`]: it goes on.
    pub async fn cancel(&self, id: &RequestId) -> Result<Cancelled, AskError> {
        let request = self.find(id).await?;
        if request.state.is_finished() {
            return Err(AskError::Finished { id: id.clone(), state: request.state.as_str() });
        }
        let after = self.observe(&request, &Observation::CancelAsked, Record::default()).await?;
        if !matches!(after.state, State::Cancelled) {
            return Err(AskError::Finished { id: id.clone(), state: after.state.as_str() });
        }
        self.store().wake(&request.account).await?;
        // An attempt that surely had no effect was given back.
        Ok(if after.attempt == 0 { Cancelled::BeforeTheCall } else { Cancelled::NoLongerFollowed })
    }

    /// Asks again for what a finished request was for.
    ///
    /// # Errors
    /// [`AskError`]: no new request was made.
    pub async fn retry(&self, id: &RequestId) -> Result<Accepted, AskError> {
        let old = self.find(id).await?;
        if !old.state.is_finished() {
            return Err(AskError::StillOpen { id: id.clone(), state: old.state.as_str() });
        }
        let now = self.clock().now();
        let request = Request::new(self.new_id(), old.kind, old.account, old.program, now);
        let request = Request { username: old.username, labels: old.labels, retry_of: Some(id.clone()), ..request };
        let accepted = self.store().accept(vec![request], Urgency::Asked, now).await?;
        accepted.into_iter().next().ok_or(AskError::Store(StoreError::Closed))
    }

    /// Suspends or resumes an account.
    ///
    /// # Errors
    /// [`AskError`]: it is as it was.
    pub async fn set_standing(&self, account: &AccountId, standing: Standing) -> Result<(), AskError> {
        let changed = self.store().set_standing(account, standing, self.clock().now()).await?;
        if changed == 0 { Err(AskError::NoAccount(account.clone())) } else { Ok(()) }
    }

    /// A request that something is about to be done to.
    async fn find(&self, id: &RequestId) -> Result<Request, AskError> {
        if self.store().imports().await?.iter().any(ImportRow::is_accepted) {
            self.store().move_line(id.as_str(), self.clock().now()).await?;
        }
        self.store().request(id).await?.ok_or_else(|| AskError::NoRequest(id.clone()))
    }
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
