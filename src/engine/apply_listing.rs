//! Applies a readable list: matches its items, decides for every request of the account, and writes all of it at once.
//! One invalid row does not hold up the others.

use std::{collections::HashSet, sync::Arc};

use super::{
    Engine,
    bad_row::warn_of_bad_row,
    interpret::{Interpreted, ListingCase, Watched},
    large_listings::Length,
    polled::PollContext,
    record::STALE_RETRIES_MAX,
};
use crate::{
    domain::{
        account::{AccountState, Evidence, Outcome},
        emptied::{Loss, weak_is_enough},
        id::{AccountId, RequestId},
        listing::{Listing, Reading},
        matching::Findings,
        observation::Observation,
        request::Request,
        time::Time,
    },
    store::{
        Record, Recorded, StoreError,
        account_row::AccountUpdate,
        write::programs::{ITEMS_REMEMBERED_MAX, item_names},
    },
};

/// Numbers of undocumented statuses that a warning names; the rest are counted.
const STATUSES_SHOWN: usize = 5;

/// What came of an answer that could be read.
pub(super) enum Lesson {
    /// It told what the account's requests need, and that is written down. An answer without a list is among these when
    /// the account never listed anything and nobody needs the list.
    Learned(Learned),
    /// An answer 0 without a list, and somebody needs the list: it could as well not have been read. Nothing is written.
    Weak,
    /// The requests kept changing meanwhile. Nothing is written.
    Changing,
}

/// What an answer left behind: it is written down.
pub(super) struct Learned {
    /// The requests of the account as they are now.
    pub(super) requests: Vec<Request>,
    /// The account as it is now.
    pub(super) state: AccountState,
}

impl Engine {
    /// An answer that could be read: decides every request of the account and writes it all at once.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub(super) async fn learn(
        &self,
        look: &PollContext<'_>,
        reading: Reading,
        hash: i64,
    ) -> Result<Lesson, StoreError> {
        match reading {
            Reading::Whole(listing) => self.learn_list(look, listing, hash).await,
            Reading::Weak => self.learn_little(look).await,
        }
    }

    async fn learn_list(&self, look: &PollContext<'_>, listing: Listing, hash: i64) -> Result<Lesson, StoreError> {
        let length = Length::of_items(listing.items.len());
        let listing = Arc::new(listing);
        let listed = Arc::clone(&listing);
        let names = Arc::new(self.large_listings.work(length, move || item_names(&listed)).await);
        let (account, state) = (look.account.clone(), look.state.clone());
        let study = ListingCase { account, state, listing, names, hash, judge: self.judge(), now: look.now };
        // Read, thought through and written in one go, where that takes nobody's time.
        if length == Length::Short {
            match self.recorder.learn(study.clone()).await {
                Err(error) if error.is_of_one_row() => {}
                studied => return Ok(Lesson::Learned(learned_from(&study, studied?))),
            }
        }
        let mut apart = HashSet::new();
        for _ in 0..=STALE_RETRIES_MAX {
            let known = self.store().known(&study.account, &study.listing, &study.names).await?;
            let (thought, left_apart) = (study.clone(), apart.clone());
            let (record, studied) = self.large_listings.work(length, move || thought.read(known, &left_apart)).await;
            if self.settle(record, (&studied.requests, &studied.findings), look.now, &mut apart).await? {
                return Ok(Lesson::Learned(learned_from(&study, studied)));
            }
        }
        Ok(Lesson::Changing)
    }

    /// An answer without a list. What was read before stays the account's last list: neither its time nor its
    /// fingerprint moves.
    async fn learn_little(&self, look: &PollContext<'_>) -> Result<Lesson, StoreError> {
        let mut apart = HashSet::new();
        for _ in 0..=STALE_RETRIES_MAX {
            let Watched { mut requests, .. } = self.watched(look.account).await?;
            requests.retain(|request| !apart.contains(&request.id));
            if !weak_is_enough(&requests, self.store().has_listed(look.account).await?) {
                return Ok(Lesson::Weak);
            }
            let observations = vec![Observation::Weak; requests.len()];
            let findings = Findings { observations, ..Findings::default() };
            let (next, changes) = self.judge().decide(&requests, &findings, look.now);
            let plan = self.plan(&look.state, &next, look.now);
            let state = self.after(&look.state, Outcome::Weak { plan, evidence: Evidence::NotNeeded }, look.now);
            let account = Some(AccountUpdate::of(look.account, &state, look.now));
            let record = Record { changes, account, ..Record::default() };
            if self.settle(record, (&requests, &findings), look.now, &mut apart).await? {
                return Ok(Lesson::Learned(Learned { requests: next, state }));
            }
        }
        Ok(Lesson::Changing)
    }

    /// Writes what an answer meant; answers whether it is written. Where it is not, read and decide again: somebody
    /// changed a request, or a row refused its part and is left out from now on.
    async fn settle(
        &self,
        record: Record,
        (requests, findings): (&[Request], &Findings),
        now: Time,
        apart: &mut HashSet<RequestId>,
    ) -> Result<bool, StoreError> {
        match self.recorder.write(record).await {
            Ok(Recorded::Written) => Ok(true),
            Ok(Recorded::Stale) => Ok(false),
            Err(error) if error.is_of_one_row() => {
                let bad = self.write_apart(requests, findings, now).await?;
                if bad.is_empty() {
                    return Err(error);
                }
                apart.extend(bad);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes every request's part alone, because together they were refused; those that are refused alone, too, are
    /// left out from now on, so that they hold up only themselves.
    async fn write_apart(
        &self,
        requests: &[Request],
        findings: &Findings,
        now: Time,
    ) -> Result<Vec<RequestId>, StoreError> {
        let mut bad = Vec::new();
        for change in self.judge().decide(requests, findings, now).1 {
            let id = change.request.id.clone();
            match self.recorder.write(Record { changes: vec![change], ..Record::default() }).await {
                Ok(Recorded::Written | Recorded::Stale) => {}
                Err(error) if error.is_of_one_row() => {
                    warn_of_bad_row(&id, &error);
                    bad.push(id);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(bad)
    }

    /// Every request that the account's list may move. A row that is not legal holds up itself alone.
    pub(super) async fn watched(&self, account: &AccountId) -> Result<Watched, StoreError> {
        Ok(Watched::of(account, self.store().watched_requests(account).await?))
    }
}

/// A list is written down: says what is new of it.
fn learned_from(study: &ListingCase, studied: Interpreted) -> Learned {
    let Interpreted { next, state, loss, left_out, before, has_odd_news, .. } = studied;
    if has_odd_news {
        warn_of_unknown_statuses(&study.account, &study.listing);
    }
    tell_of_the_list(&study.account, before, loss, left_out);
    Learned { requests: next, state }
}

/// Says what is new of a list as a whole: that it lost everything or is believed again, that it is longer than what is
/// remembered.
fn tell_of_the_list(account: &AccountId, before: (Option<Time>, Option<Time>), loss: Loss, left_out: usize) {
    let (was_emptied, was_overfull) = (before.0.is_some(), before.1.is_some());
    match loss {
        Loss::Held { .. } if !was_emptied => {
            tracing::warn!(account = %account, "the list lost everything it had: not trusted for now, and no request ends because of it");
        }
        Loss::Held { .. } => {}
        Loss::Believed { since } => {
            tracing::warn!(account = %account, since = %since, "the list is still missing everything it had: accepted as true from now on");
        }
        Loss::Partial if was_emptied => tracing::info!(account = %account, "the list is complete again"),
        Loss::Partial => {}
    }
    if left_out > 0 && !was_overfull && !matches!(loss, Loss::Held { .. }) {
        let most = ITEMS_REMEMBERED_MAX;
        tracing::warn!(account = %account, left_out, most, "the list has more items than are remembered: the rest is matched anew at every poll");
    }
}

/// Says once for all of a list that it holds statuses nobody documents, however many.
fn warn_of_unknown_statuses(account: &AccountId, listing: &Listing) {
    let Some(found) = listing.undocumented() else { return };
    let shown: Vec<&i64> = found.statuses.iter().take(STATUSES_SHOWN).collect();
    tracing::warn!(
        account = %account,
        items = found.items,
        statuses = ?shown,
        program = found.example.appid,
        username = found.example.username,
        "the list has undocumented statuses: stored, but no decision is based on them"
    );
}
