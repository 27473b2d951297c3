//! The only place where a decision becomes a transaction: new state, history, conflict and events, or nothing.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    alert_deadlines::AlertDeadlines,
    change::{attribute, change},
    ids::Ids,
    interpret::{Interpreted, ListingCase},
};
use tokio::sync::watch;

use crate::{
    clock::SharedClock,
    domain::{
        action::By,
        backoff::Backoff,
        decide::decide,
        id::RequestId,
        observation::Observation,
        policy::Policy,
        request::{Outcome, Request, State, StateKind},
    },
    store::{
        Record, Recorded, Store, StoreError,
        write::{accounts::Account, chain::Transition, gates::Gate},
    },
};

/// Records tried again after losing a race. Three losses in a row mean a hot loop, which should be seen, not hidden.
pub(super) const STALE_RETRIES_MAX: u32 = 3;

/// Pauses between two tries to write what `WeChat` has already answered.
const REWRITE: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));

/// Writes of one answer that the row itself may refuse before it is given up: somebody may just be mending it.
const REFUSED_WRITES_MAX: u32 = 3;

/// A request after an observation, and what became of the write.
#[derive(Debug)]
pub(super) struct Observed {
    /// The request as it is then.
    pub(super) request: Request,
    /// What this very write did.
    pub(super) wrote: Wrote,
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrote {
    /// It moved the request to another state.
    TheMove,
    /// It is on disk, and the state is as it was.
    WithoutAMove,
    /// The observation told nothing new.
    NothingToWrite,
    /// Others always wrote first.
    LostEveryRace,
}

/// What became of the intent to call.
#[derive(Debug)]
pub(super) enum Intent {
    /// It is on disk, and the request as it is then.
    Written(Request),
    /// Somebody has changed the request, which is this now; nothing where it is gone.
    NotWanted(Option<Request>),
    /// Its account is suspended.
    NotAllowed,
}

/// Writes decisions. The daemon has one, and so has every command that decides something.
#[derive(Debug)]
pub struct Recorder {
    store: Store,
    clock: SharedClock,
    policy: watch::Sender<Arc<Policy>>,
    transitions: AtomicU64,
    ids: Ids,
    /// Audits made: each takes the next slice of histories.
    pub(super) audits: AtomicU64,
    /// When people must have been told, for the audit.
    pub(super) promised: Mutex<AlertDeadlines>,
}

impl Recorder {
    /// Writes to `store`, decides by `policy`.
    #[must_use]
    pub fn new(store: Store, clock: SharedClock, policy: Policy) -> Self {
        let (transitions, audits) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            store,
            clock,
            policy: watch::Sender::new(Arc::new(policy)),
            transitions,
            ids: Ids::default(),
            audits,
            promised: Mutex::default(),
        }
    }

    /// The database.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The time.
    #[must_use]
    pub const fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// How patient we are.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.borrow())
    }

    /// Decides by another policy from now on.
    pub(super) fn set_policy(&self, policy: Policy) {
        self.policy.send_replace(Arc::new(policy));
    }

    /// A name for a new request.
    pub(super) fn new_id(&self) -> RequestId {
        self.ids.next(&*self.clock)
    }

    /// Transitions written since the start.
    pub fn transitions(&self) -> u64 {
        self.transitions.load(Ordering::Relaxed)
    }

    /// Decides one observation about one request and writes it. Loads and decides again when someone else wrote first.
    /// Answers the request as it is then.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn observe(&self, request: &Request, seen: &Observation, more: Record) -> Result<Request, StoreError> {
        Ok(self.try_observe(request, seen, more).await?.request)
    }

    /// [`Self::observe`] on somebody's word, which the step repeats.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub(super) async fn observe_by(
        &self,
        by: &By,
        request: &Request,
        seen: &Observation,
        more: Record,
    ) -> Result<Request, StoreError> {
        Ok(self.try_observe_by(Some(by), request, seen, more).await?.request)
    }

    /// [`Self::observe`], and what this very write did.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub(super) async fn try_observe(
        &self,
        request: &Request,
        seen: &Observation,
        more: Record,
    ) -> Result<Observed, StoreError> {
        self.try_observe_by(None, request, seen, more).await
    }

    /// [`Self::observe_by`] on a request that stands in the database as it was read; nothing where somebody has changed it.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub(super) async fn observe_as_read(
        &self,
        by: &By,
        request: &Request,
        seen: &Observation,
        more: &Record,
    ) -> Result<Option<Request>, StoreError> {
        Ok(self.observe_once(Some(by), request, seen, more).await?.map(|observed| observed.request))
    }

    async fn try_observe_by(
        &self,
        by: Option<&By>,
        request: &Request,
        seen: &Observation,
        more: Record,
    ) -> Result<Observed, StoreError> {
        let mut request = request.clone();
        for _ in 0..=STALE_RETRIES_MAX {
            if let Some(observed) = self.observe_once(by, &request, seen, &more).await? {
                return Ok(observed);
            }
            request = self.store.request(&request.id).await?.unwrap_or(request);
        }
        tracing::error!(
            event = "engine.record.lost_every_race",
            request.id = %request.id,
            "decision not written: the request was changed concurrently every time"
        );
        Ok(Observed { request, wrote: Wrote::LostEveryRace })
    }

    /// Decides and writes once; nothing where somebody else wrote first.
    async fn observe_once(
        &self,
        by: Option<&By>,
        request: &Request,
        seen: &Observation,
        more: &Record,
    ) -> Result<Option<Observed>, StoreError> {
        let now = self.clock.now();
        let decision = decide(request, seen, &self.policy(), now);
        let (next, mut changed) = change(request, seen, decision, now);
        if let (Some(by), Some(change)) = (by, &mut changed) {
            attribute(change, by);
        }
        if changed.is_none() && more.gates.is_empty() && more.opened_gates.is_empty() && more.account.is_none() {
            return Ok(Some(Observed { request: next, wrote: Wrote::NothingToWrite }));
        }
        let moved = changed.as_ref().is_some_and(|change| change.transition.is_some());
        let record = Record { changes: changed.into_iter().collect(), ..more.clone() };
        if self.write(record).await? == Recorded::Stale {
            return Ok(None);
        }
        let wrote = if moved { Wrote::TheMove } else { Wrote::WithoutAMove };
        Ok(Some(Observed { request: next, wrote }))
    }

    /// What a request becomes by an observation, if nobody else changes it.
    pub(super) fn expected(&self, request: &Request, seen: &Observation) -> Request {
        let now = self.clock.now();
        change(request, seen, decide(request, seen, &self.policy(), now), now).0
    }

    /// [`Self::observe`] for what has already happened outside: tried until it is written. While it is not, this
    /// account rests and nothing else of it is sent.
    pub(super) async fn observe_until_written(
        &self,
        request: &Request,
        seen: &Observation,
        mut more: Record,
    ) -> Request {
        let (mut refused, mut tries) = (0, 0_u32);
        loop {
            match self.try_observe(request, seen, more.clone()).await {
                Ok(Observed { wrote: Wrote::LostEveryRace, .. }) => {}
                Ok(Observed { request, .. }) => return request,
                // Whoever has taken over asks the list.
                Err(StoreError::Closed | StoreError::Fenced) => return request.clone(),
                // The row itself is at fault: it stays in initiating, and the list decides once it is mended.
                Err(error) if error.is_of_one_row() && refused >= REFUSED_WRITES_MAX => {
                    tracing::error!(
                        event = "db.bad_row",
                        request.id = %request.id,
                        error = %error,
                        "the answer to its call is lost"
                    );
                    return request.clone();
                }
                Err(error) => {
                    if error.is_of_one_row() {
                        refused += 1;
                        // It may be the account's row: the answer must not be lost with it.
                        more.account = None;
                        tracing::error!(
                            event = "db.bad_row",
                            request.id = %request.id,
                            error = %error,
                            "the answer to its call is waiting to be written"
                        );
                    } else {
                        // That nothing can be written is said once for all of them, where it is watched.
                        tracing::debug!(
                            event = "engine.record.waits_for_the_disk",
                            request.id = %request.id,
                            error = %error,
                            "a call's answer waits for the disk"
                        );
                    }
                    tokio::time::sleep(REWRITE.after(tries)).await;
                    tries = tries.saturating_add(1);
                }
            }
        }
    }

    /// Writes the intent to call, where the request and its account stand in the database as they were read, in one piece of
    /// work and one transaction.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub(super) async fn intend(&self, request: &Request, asking: &[Gate]) -> Result<Intent, StoreError> {
        let (now, policy) = (self.clock.now(), self.policy());
        let (request, gates) = (request.clone(), asking.to_vec());
        let (id, account) = (request.id.clone(), request.account.clone());
        let think = move |there: Option<Request>, account: Option<Account>| {
            if account.is_none_or(|known| known.state.is_suspended()) {
                return (None, Intent::NotAllowed);
            }
            if there.as_ref().is_none_or(|there| there.version != request.version) {
                return (None, Intent::NotWanted(there));
            }
            let decision = decide(&request, &Observation::CallStarted, &policy, now);
            match change(&request, &Observation::CallStarted, decision, now) {
                (started, Some(change)) if matches!(started.state, State::Initiating(Outcome::Pending)) => {
                    let record = Record { changes: vec![change], gates: gates.clone(), ..Record::default() };
                    (Some(record), Intent::Written(started))
                }
                _ => (None, Intent::NotWanted(there)),
            }
        };
        let (moves, intent) = self.store.before_call(id, account, think).await?;
        self.note(&moves);
        Ok(intent)
    }

    /// Reads everything that is known of an account, thinks its list through and writes what that means, in one piece of
    /// work and one transaction.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written. Of one row also when thinking has panicked.
    pub(super) async fn learn(&self, study: ListingCase) -> Result<Interpreted, StoreError> {
        let (account, listing, names) = (study.account.clone(), Arc::clone(&study.listing), Arc::clone(&study.names));
        let think = move |known| study.read(known, &HashSet::new());
        let (moves, studied) = self.store.learn(account, listing, names, think).await?;
        self.note(&moves);
        Ok(studied)
    }

    /// Writes a record and counts and logs what moved.
    pub(super) async fn write(&self, record: Record) -> Result<Recorded, StoreError> {
        let moves = record.moves();
        let recorded = self.store.record(record).await?;
        if recorded == Recorded::Written {
            self.note(&moves);
        }
        Ok(recorded)
    }

    /// Counts and logs moves that are written.
    fn note(&self, moves: &[Transition]) {
        for step in moves {
            self.transitions.fetch_add(1, Ordering::Relaxed);
            tracing::info!(
                request.id = step.request_id,
                from = step.from_state.map(StateKind::as_str),
                to = step.to_state.as_str(),
                cause = step.cause.as_str(),
                status = step.status,
                errcode = step.errcode,
                detail = step.detail,
                "transition"
            );
        }
    }
}
