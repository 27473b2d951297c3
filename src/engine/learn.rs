//! What a readable list means: whose item is whose, what that means for every request of the account, and all of it
//! written at once. It must never call, and never let one row that is not legal hold up the others.

use std::{collections::HashSet, sync::Arc};

use super::{
    Engine,
    long_lists::Length,
    poll::Look,
    record::{self, STALE_RETRIES_MAX},
    study::{Studied, Study},
};
use crate::{
    domain::{
        account::{AccountState, Evidence, Outcome},
        decide::decide,
        emptied::{Ages, Loss, weak_is_enough},
        id::{AccountId, RequestId},
        identify::Findings,
        listing::{Listing, Reading, Status},
        observation::Observation,
        request::Request,
        time::Time,
    },
    store::{
        BadRow, Record, Recorded, StoreError,
        accounts::AccountUpdate,
        look::Known,
        programs::{ITEMS_REMEMBERED_MAX, ItemRow, item_names},
        record::Change,
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
    pub(super) async fn learn(&self, look: &Look<'_>, reading: Reading, hash: i64) -> Result<Lesson, StoreError> {
        match reading {
            Reading::Whole(listing) => self.learn_list(look, listing, hash).await,
            Reading::Weak => self.learn_little(look).await,
        }
    }

    async fn learn_list(&self, look: &Look<'_>, listing: Listing, hash: i64) -> Result<Lesson, StoreError> {
        let length = Length::of_items(listing.items.len());
        let listing = Arc::new(listing);
        let listed = Arc::clone(&listing);
        let names = Arc::new(self.long_lists.work(length, move || item_names(&listed)).await);
        let mut apart = HashSet::new();
        for _ in 0..=STALE_RETRIES_MAX {
            let study = self.study(look, &listing, &names, &apart).await?;
            let before = (study.mirror.emptied_at, study.mirror.overfull_since);
            let studied = self.long_lists.work(length, move || study.read()).await;
            let Studied { requests, findings, record, loss, left_out, is_final } = studied;
            let (next, changes) = self.decide_all(&requests, &findings, look.now);
            let plan = self.plan(&look.state, &next, look.now);
            let state = self.after(&look.state, Outcome::Listed { plan, hash: is_final.then_some(hash) }, look.now);
            let account = Some(AccountUpdate::of(look.account, &state, look.now));
            let is_odd = |item: &ItemRow| matches!(Status::from_number(item.status), Status::Other(_));
            let has_odd_news = record.items.iter().any(is_odd);
            let record = Record { account, ..Record { changes, ..record } };
            if self.settle(record, (&requests, &findings), look.now, &mut apart).await? {
                if has_odd_news {
                    warn_of_unknown_statuses(look.account, &listing);
                }
                tell_of_the_list(look.account, before, loss, left_out);
                return Ok(Lesson::Learned(Learned { requests: next, state }));
            }
        }
        Ok(Lesson::Changing)
    }

    /// An answer without a list. What was read before stays the account's last list: neither its time nor its
    /// fingerprint moves.
    async fn learn_little(&self, look: &Look<'_>) -> Result<Lesson, StoreError> {
        let mut apart = HashSet::new();
        for _ in 0..=STALE_RETRIES_MAX {
            let Watched { mut requests, .. } = self.watched(look.account).await?;
            requests.retain(|request| !apart.contains(&request.id));
            if !weak_is_enough(&requests, self.store().has_listed(look.account).await?) {
                return Ok(Lesson::Weak);
            }
            let observations = vec![Observation::Weak; requests.len()];
            let findings = Findings { observations, ..Findings::default() };
            let (next, changes) = self.decide_all(&requests, &findings, look.now);
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

    /// Everything that is known of the account, for reading its list.
    async fn study(
        &self,
        look: &Look<'_>,
        listing: &Arc<Listing>,
        names: &Arc<Vec<String>>,
        apart: &HashSet<RequestId>,
    ) -> Result<Study, StoreError> {
        let Known { requests, mirror, programs } = self.store().known(look.account, listing, names).await?;
        let Watched { mut requests, bad } = Watched::of(look.account, requests);
        requests.retain(|request| !apart.contains(&request.id));
        Ok(Study {
            account: look.account.clone(),
            mirror,
            programs,
            listing: Arc::clone(listing),
            names: Arc::clone(names),
            requests,
            knows_every_request: bad == 0 && apart.is_empty(),
            policy: self.policy().clone(),
            ages: if self.calendar_was_stepped() { Ages::Doubtful } else { Ages::Known },
            now: look.now,
        })
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
        for change in self.decide_all(requests, findings, now).1 {
            let id = change.request.id.clone();
            match self.recorder.write(Record { changes: vec![change], ..Record::default() }).await {
                Ok(Recorded::Written | Recorded::Stale) => {}
                Err(error) if error.is_of_one_row() => {
                    tracing::error!(request.id = %id, error = %error, "db.bad_row");
                    bad.push(id);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(bad)
    }

    fn decide_all(&self, requests: &[Request], findings: &Findings, now: Time) -> (Vec<Request>, Vec<Change>) {
        let mut changes = Vec::new();
        let mut next = Vec::with_capacity(requests.len());
        for (index, (request, seen)) in requests.iter().zip(&findings.observations).enumerate() {
            let mut decision = decide(request, seen, self.policy(), now);
            if let Some(username) = findings.usernames.get(&index) {
                decision.next.username = Some(username.clone());
            }
            let (after, change) = record::change(request, seen, decision, now);
            changes.extend(change);
            next.push(after);
        }
        (next, changes)
    }

    /// Every request that the account's list may move. A row that is not legal holds up itself alone.
    pub(super) async fn watched(&self, account: &AccountId) -> Result<Watched, StoreError> {
        Ok(Watched::of(account, self.store().watched_requests(account).await?))
    }
}

/// The requests of an account that its list may move.
pub(super) struct Watched {
    pub(super) requests: Vec<Request>,
    /// Rows beside them that are not legal.
    bad: usize,
}

impl Watched {
    fn of(account: &AccountId, rows: Vec<Result<Request, BadRow>>) -> Self {
        let mut watched = Self { requests: Vec::with_capacity(rows.len()), bad: 0 };
        for row in rows {
            match row {
                Ok(request) => watched.requests.push(request),
                Err(bad) => {
                    tracing::error!(account = %account, error = %bad, "db.bad_row");
                    watched.bad += 1;
                }
            }
        }
        watched
    }
}

/// Says what is new of a list as a whole: that it lost everything or is believed again, that it is longer than what is
/// remembered.
fn tell_of_the_list(account: &AccountId, before: (Option<Time>, Option<Time>), loss: Loss, left_out: usize) {
    let (was_emptied, was_overfull) = (before.0.is_some(), before.1.is_some());
    match loss {
        Loss::Held { .. } if !was_emptied => {
            tracing::warn!(account = %account, "the list shows nothing of what stood in it: it is not believed for now, and nothing ends by it");
        }
        Loss::Held { .. } => {}
        Loss::Believed { since } => {
            tracing::warn!(account = %account, since = %since, "the list still shows nothing of what stood in it: it is believed from now on");
        }
        Loss::Partial if was_emptied => tracing::info!(account = %account, "the list shows what stood in it again"),
        Loss::Partial => {}
    }
    if left_out > 0 && !was_overfull && !matches!(loss, Loss::Held { .. }) {
        let most = ITEMS_REMEMBERED_MAX;
        tracing::warn!(account = %account, left_out, most, "the list holds more items than are remembered: the rest is looked for in each list anew");
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
        "undocumented statuses are listed: kept, and nothing is decided by them"
    );
}
