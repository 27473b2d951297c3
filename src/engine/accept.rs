//! What people and their programs ask for: new requests, a cancel, a retry, an account's suspension. It is only written to
//! the database, with who asked; the daemon sees it and calls `WeChat`.

use super::{
    imports::Imported,
    operator::Operator,
    record::Recorder,
    wish::{AT_ONCE_MAX, AskError, Wish, check_all},
};
use crate::{
    domain::{
        action::ActionKind,
        id::{AccountId, RequestId},
        observation::Observation,
        request::{Request, State},
        time::Time,
    },
    store::{
        Record, StoreError,
        write::{action::Action, import::ImportRow, requests::Accepted, standing::Standing, urgency::Urgency},
    },
};

/// So few wishes at once are asked for by somebody who waits for the answer; their accounts are looked at before others.
const ASKED_MAX: usize = 10;

/// What became of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// Nothing had been sent.
    BeforeTheCall,
    /// `WeChat` may have the invitation, and has no way to withdraw it.
    NoLongerFollowed,
}

impl Recorder {
    /// A wish as the request that it becomes.
    pub(super) fn request_for(&self, wish: Wish, now: Time) -> Request {
        let Wish { kind, account, program, username, key, labels } = wish;
        Request { username, key, labels, ..Request::new(self.new_id(), kind, account, program, now) }
    }
}

impl Operator<'_> {
    /// Takes wishes, all or none; on disk when this returns. A wish that is there already, by its key, as an open request
    /// for the same pair, or as a link that stands, is answered with the existing request. Where the link alone answers
    /// few wishes, its account's list is looked at now, because the link may be gone without anybody having seen it.
    ///
    /// # Errors
    /// [`AskError`]: none was taken.
    pub async fn accept(self, wishes: Vec<Wish>) -> Result<Vec<Accepted>, AskError> {
        if wishes.len() > AT_ONCE_MAX {
            let Imported { accepted, interrupted } = Box::pin(self.import(wishes, &|_| {})).await?;
            if let Some(error) = interrupted {
                tracing::warn!(error = %error, "requests are accepted but wait for a running daemon");
            }
            return Ok(accepted);
        }
        check_all(&wishes)?;
        let urgency = if wishes.len() <= ASKED_MAX { Urgency::Asked } else { Urgency::InTurn };
        self.accept_at_once(wishes, urgency).await
    }

    /// Whether [`Self::accept`] would take these wishes at this moment.
    ///
    /// # Errors
    /// [`AskError`]: it would not, and why.
    pub async fn check(self, wishes: Vec<Wish>) -> Result<(), AskError> {
        check_all(&wishes)?;
        let now = self.recorder.clock().now();
        let requests: Vec<Request> = wishes.into_iter().map(|wish| self.recorder.request_for(wish, now)).collect();
        Ok(self.recorder.store().check_keys(&requests).await?)
    }

    /// Takes wishes in one transaction.
    pub(super) async fn accept_at_once(&self, wishes: Vec<Wish>, urgency: Urgency) -> Result<Vec<Accepted>, AskError> {
        let now = self.recorder.clock().now();
        let requests = wishes.into_iter().map(|wish| self.recorder.request_for(wish, now)).collect();
        Ok(Box::pin(self.recorder.store().accept(requests, urgency, self.by.clone(), now)).await?)
    }

    /// Stops following a request.
    ///
    /// # Errors
    /// [`AskError`]: it goes on.
    pub async fn cancel(self, id: &RequestId) -> Result<Cancelled, AskError> {
        let request = self.find(id).await?;
        let record = self.cancelling(&request)?;
        let after = self.recorder.observe_by(&self.by, &request, &Observation::CancelAsked, record).await?;
        self.cancelled(&after).await
    }

    /// [`Self::cancel`] of a request that stands as it was read; nothing is done where it has changed since.
    ///
    /// # Errors
    /// [`AskError`]: it goes on.
    pub async fn cancel_as_read(self, request: &Request) -> Result<Option<Cancelled>, AskError> {
        let record = self.cancelling(request)?;
        match self.recorder.observe_as_read(&self.by, request, &Observation::CancelAsked, &record).await? {
            Some(after) => self.cancelled(&after).await.map(Some),
            None => Ok(None),
        }
    }

    /// What is written beside a cancel.
    fn cancelling(&self, request: &Request) -> Result<Record, AskError> {
        if request.state.is_finished() {
            return Err(AskError::Finished { id: request.id.clone(), state: request.state.as_str() });
        }
        let action = Action::of(ActionKind::Cancel, request.id.as_str(), &self.by, self.recorder.clock().now());
        Ok(Record { action: Some(action), ..Record::default() })
    }

    /// What a cancel meant for the request that came of it.
    async fn cancelled(&self, after: &Request) -> Result<Cancelled, AskError> {
        if !matches!(after.state, State::Cancelled) {
            return Err(AskError::Finished { id: after.id.clone(), state: after.state.as_str() });
        }
        self.recorder.store().wake(&after.account).await?;
        // An attempt that surely had no effect was given back.
        Ok(if after.attempt == 0 { Cancelled::BeforeTheCall } else { Cancelled::NoLongerFollowed })
    }

    /// Asks again for what a finished request was for.
    ///
    /// # Errors
    /// [`AskError`]: no new request was made.
    pub async fn retry(self, id: &RequestId) -> Result<Accepted, AskError> {
        let old = self.find(id).await?;
        if !old.state.is_finished() {
            return Err(AskError::StillOpen { id: id.clone(), state: old.state.as_str() });
        }
        let now = self.recorder.clock().now();
        let request = Request::new(self.recorder.new_id(), old.kind, old.account, old.program, now);
        let request = Request { username: old.username, labels: old.labels, retry_of: Some(id.clone()), ..request };
        let store = self.recorder.store();
        let accepted = store.accept(vec![request], Urgency::Asked, self.by.clone(), now).await?;
        accepted.into_iter().next().ok_or(AskError::Store(StoreError::Closed))
    }

    /// Suspends or resumes an account.
    ///
    /// # Errors
    /// [`AskError`]: it is as it was.
    pub async fn set_standing(self, account: &AccountId, standing: Standing) -> Result<(), AskError> {
        let (store, now) = (self.recorder.store(), self.recorder.clock().now());
        let changed = store.set_standing(account, standing, self.by.clone(), now).await?;
        if changed == 0 { Err(AskError::NoAccount(account.clone())) } else { Ok(()) }
    }

    /// A request that something is about to be done to.
    ///
    /// # Errors
    /// [`AskError::NoRequest`], and when nothing can be read.
    pub async fn find(&self, id: &RequestId) -> Result<Request, AskError> {
        let store = self.recorder.store();
        if store.imports().await?.iter().any(ImportRow::is_accepted) {
            store.move_line(id.as_str(), self.recorder.clock().now()).await?;
        }
        store.request(id).await?.ok_or_else(|| AskError::NoRequest(id.clone()))
    }
}
