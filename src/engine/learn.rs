//! What a readable list means: whose item is whose, what that means for every request of the account, and all of it
//! written at once. It must never call, and never let one row that is not legal hold up the others.

use std::collections::HashSet;

use super::{
    Engine,
    memories::{Memories, mirror_into},
    poll::Look,
    record::{self, STALE_RETRIES_MAX},
};
use crate::{
    domain::{
        account::Outcome,
        decide::decide,
        id::{AccountId, RequestId},
        identify::{Findings, identify},
        listing::{Listing, Status},
        observation::Observation,
        plan::AccountPlan,
        request::{Baseline, Request, State},
        time::Time,
    },
    store::{Record, Recorded, StoreError, accounts::AccountUpdate},
};

/// What a readable list left behind: it is written down.
pub(super) struct Learned {
    /// The requests of the account as they are now.
    pub(super) requests: Vec<Request>,
    /// What they need of the account.
    pub(super) plan: AccountPlan,
    /// The fingerprint of the list; `None` when the same bytes may mean more another time.
    pub(super) hash: Option<i64>,
}

impl Engine {
    /// A readable list: decides every request of the account and writes it all at once; `None` when the requests kept
    /// changing meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub(super) async fn learn(
        &self,
        look: &Look<'_>,
        listing: &Listing,
        hash: i64,
    ) -> Result<Option<Learned>, StoreError> {
        let mut apart = HashSet::new();
        for _ in 0..=STALE_RETRIES_MAX {
            let Watched { mut requests, bad } = self.watched(look.account).await?;
            requests.retain(|request| !apart.contains(&request.id));
            let mirror = self.store().mirrored(look.account).await?;
            let usernames: Vec<&str> = listing.items.iter().filter_map(|item| item.username.as_deref()).collect();
            let known = Memories {
                names: self.store().programs_named(&usernames).await?,
                mirror: &mirror,
                knows_every_request: bad == 0 && apart.is_empty(),
            };
            let mut findings = identify(listing, &requests, &known);
            if self.calendar_was_stepped() {
                hold_back_ages(&mut findings, &requests);
            }
            let (next, mut record) = self.decide_all(&requests, &findings, look.now);
            mirror_into(&mut record, look.account, listing, &known, look.now);
            let plan = self.plan(&look.state, &next, look.now);
            // The same bytes may mean more once another listing has taught a name, or somebody has mended a row: they must
            // be read again.
            let says_all = known.knows_every_request && !findings.observations.contains(&Observation::Unidentified);
            let hash = says_all.then_some(hash);
            let state = self.after(&look.state, Outcome::Listed { plan, hash }, look.now);
            record.account = Some(AccountUpdate::of(look.account, &state, look.now));
            match self.recorder.write(record).await {
                Ok(Recorded::Written) => {}
                Ok(Recorded::Stale) => continue,
                Err(error) if error.is_of_one_row() => {
                    let bad = self.write_apart(&requests, &findings, look.now).await?;
                    if bad.is_empty() {
                        return Err(error);
                    }
                    apart.extend(bad);
                    continue;
                }
                Err(error) => return Err(error),
            }
            warn_of_unknown_statuses(look.account, listing);
            return Ok(Some(Learned { requests: next, plan, hash }));
        }
        Ok(None)
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
        for change in self.decide_all(requests, findings, now).1.changes {
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

    fn decide_all(&self, requests: &[Request], findings: &Findings, now: Time) -> (Vec<Request>, Record) {
        let mut record = Record::default();
        let mut next = Vec::with_capacity(requests.len());
        for (index, (request, seen)) in requests.iter().zip(&findings.observations).enumerate() {
            let mut decision = decide(request, seen, self.policy(), now);
            if let Some(username) = findings.usernames.get(&index) {
                decision.next.username = Some(username.clone());
            }
            let (after, change) = record::change(request, seen, decision, now);
            record.changes.extend(change);
            next.push(after);
        }
        (next, record)
    }

    /// Every request that the account's list may move. A row that is not legal holds up itself alone.
    pub(super) async fn watched(&self, account: &AccountId) -> Result<Watched, StoreError> {
        let mut watched = Watched { requests: Vec::new(), bad: 0 };
        for row in self.store().watched_requests(account).await? {
            match row {
                Ok(request) => watched.requests.push(request),
                Err(bad) => {
                    tracing::error!(account = %account, error = %bad, "db.bad_row");
                    watched.bad += 1;
                }
            }
        }
        Ok(watched)
    }
}

/// The requests of an account that its list may move.
pub(super) struct Watched {
    pub(super) requests: Vec<Request>,
    /// Rows beside them that are not legal.
    bad: usize,
}

/// While nobody knows how old anything is, nothing is evidence that counts only after a time: not to be listed, an old
/// rejection that still stands, an unlink that has not shown yet.
fn hold_back_ages(findings: &mut Findings, requests: &[Request]) {
    for (seen, request) in findings.observations.iter_mut().zip(requests) {
        let is_initiating_unlink = !request.is_link() && matches!(request.state, State::Initiating(_));
        let depends_on_age = match seen {
            Observation::Absent | Observation::AbsentAsAsked => true,
            Observation::Listed(Status::Rejected) => request.memory.baseline == Baseline::Rejected,
            Observation::Listed(_) => is_initiating_unlink,
            _ => false,
        };
        if depends_on_age {
            *seen = Observation::Unidentified;
        }
    }
}

fn warn_of_unknown_statuses(account: &AccountId, listing: &Listing) {
    for item in &listing.items {
        if let Status::Other(status) = item.status {
            tracing::warn!(account = %account, program = item.appid, username = item.username, status, "an undocumented status is listed: kept, and nothing is decided by it");
        }
    }
}
