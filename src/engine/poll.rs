//! One look at one account: read its list, let the domain say what it means for every request, write that, make the calls
//! that have become due. It must never decide, and never take an unreadable answer for an empty list.

use std::collections::HashSet;

use super::{
    Engine, Meters,
    agenda::Facts,
    memories::{Memories, mirror_into},
    record::{self, STALE_RETRIES_MAX},
    setback::stops_the_account,
};
use crate::{
    domain::{
        decide::decide,
        errcode::{Class, Refusal},
        id::{AccountId, RequestId},
        identify::{Findings, identify},
        listing::{Listing, Status},
        observation::Observation,
        plan::{AccountPlan, Action, next_action},
        request::{Baseline, Request, State},
        time::Time,
    },
    store::{Record, Recorded, StoreError, accounts::Trouble},
    wechat::{CallError, RawListing, ReadError, TokenError},
};

/// The name of the call that reads a list, as its daily quota knows it.
pub(super) const LISTING_API: &str = "wxamplinkget";

/// What a look at an account leaves behind.
#[derive(Debug)]
pub struct Polled {
    /// What is known of the account now.
    pub facts: Facts,
    /// When it is due.
    pub due: Due,
}

/// When an account is due after a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// As it was reserved: nothing changed.
    AsReserved,
    /// At this time.
    At(Time),
    /// Never: nothing is open.
    Never,
}

/// What came of asking for a list.
enum Answer {
    /// The same bytes as last time, and nothing waits for a time.
    Unchanged,
    /// A readable list and its fingerprint.
    Listing(Listing, i64),
    /// `WeChat`, or the token source, said no.
    Refused(Refusal),
    /// Nothing that can be read.
    Failed(String, Trouble),
}

/// An account that is being looked at.
pub(super) struct Look<'a> {
    pub(super) account: &'a AccountId,
    pub(super) facts: Facts,
    pub(super) now: Time,
}

impl Engine {
    /// Looks at one account.
    ///
    /// # Errors
    /// [`StoreError`]: what was learned could not be written, so it was not learned; the next look will find it again.
    #[tracing::instrument(name = "engine.poll", level = "debug", skip_all, fields(account = %account))]
    pub async fn poll(&self, account: &AccountId, facts: Facts) -> Result<Polled, StoreError> {
        let now = self.clock().now();
        let look = Look { account, facts, now };
        let must_read = look.facts.reread_at.is_some_and(|at| at <= now);
        // What few polls come to is kept in boxes of its own: the future of the many stays small.
        if must_read && let Some(polled) = Box::pin(self.pass_time(&look)).await? {
            return Ok(polled);
        }
        self.take_turn().await;
        Meters::count(&self.meters.polls);
        let answer = self.ask(&look, must_read).await;
        if !matches!(answer, Answer::Unchanged | Answer::Listing(..)) {
            Meters::count(&self.meters.failed_polls);
        }
        match answer {
            Answer::Unchanged => {
                Meters::count(&self.meters.unchanged);
                self.allowed(&look).await?;
                let waits = look.facts.pace_from.or(look.facts.reread_at).is_some();
                let due = if waits { Due::AsReserved } else { Box::pin(self.nothing_waits(&look)).await? };
                Ok(Polled { facts: Facts { checked_at: Some(now), failures: 0, ..look.facts }, due })
            }
            Answer::Listing(listing, hash) => {
                self.allowed(&look).await?;
                Box::pin(self.learn(look, &listing, hash)).await
            }
            Answer::Refused(refusal) => Box::pin(self.refused(look, &refusal)).await,
            Answer::Failed(why, trouble) => Box::pin(self.failed(look, why, trouble)).await,
        }
    }

    /// Tells requests whose quota has rolled over. Answers when nothing is left that needs the list.
    async fn pass_time(&self, look: &Look<'_>) -> Result<Option<Polled>, StoreError> {
        let mut requests = self.watched(look.account).await?.requests;
        for request in &mut requests {
            let State::Deferred(until) = request.state else { continue };
            if until > look.now {
                continue;
            }
            self.tell(request, &Observation::QuotaReset).await?;
        }
        // A deferred one, too, may have been brought about by somebody else.
        if requests.iter().any(|request| request.is_open() || matches!(request.state, State::Linked)) {
            return Ok(None);
        }
        let plan = self.plan(look.facts.row, &requests, look.now);
        self.rest_unasked(look, plan).await.map(Some)
    }

    async fn ask(&self, look: &Look<'_>, must_read: bool) -> Answer {
        let raw = match self.wechat.listing(look.account).await {
            Ok(raw) => raw,
            Err(CallError::Refused(refusal) | CallError::NoToken(TokenError::Refused(refusal))) => {
                return Answer::Refused(refusal);
            }
            Err(error @ CallError::NoToken(_)) => return Answer::Failed(error.to_string(), Trouble::Token),
            Err(error) => return Answer::Failed(error.to_string(), Trouble::Other),
        };
        let hash = raw.fingerprint().cast_signed();
        let settled = !must_read && !look.facts.is_suspended && look.facts.failures == 0;
        if settled && look.facts.listing_hash == Some(hash) {
            return Answer::Unchanged;
        }
        self.read(look, &raw, hash)
    }

    fn read(&self, look: &Look<'_>, raw: &RawListing, hash: i64) -> Answer {
        match raw.read() {
            Ok(listing) => Answer::Listing(listing, hash),
            Err(ReadError::Refused(refusal)) => {
                if refusal.class() == Class::TokenBad {
                    self.wechat.tokens().drop_if(look.account, raw.token());
                }
                Answer::Refused(refusal)
            }
            Err(ReadError::Unreadable(why)) => Answer::Failed(why, Trouble::Other),
        }
    }

    /// A list came, so our address is not refused.
    async fn allowed(&self, look: &Look<'_>) -> Result<(), StoreError> {
        let Some(gate) = self.gates.open_ip() else { return Ok(()) };
        tracing::warn!(account = %look.account, "our address is allowed again: calls go on");
        let record = Record { opened_gates: vec![gate], ..Record::default() };
        Box::pin(self.recorder.write(record)).await.map(drop)
    }

    /// A readable list: decide every request of the account, write it all at once, then call for those that are due.
    async fn learn(&self, look: Look<'_>, listing: &Listing, hash: i64) -> Result<Polled, StoreError> {
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
            let plan = self.plan(look.facts.row, &next, look.now);
            // The same bytes may mean more once another listing has taught a name: they must be read again.
            let hash = if findings.observations.contains(&Observation::Unidentified) { None } else { Some(hash) };
            record.account = Some(Self::account_update(&look, plan, hash));
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
            return self.call_those_ready(look, next, plan, hash).await;
        }
        self.failed(look, "the account's requests kept changing while its list was read".to_owned(), Trouble::Other)
            .await
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

    async fn call_those_ready(
        &self,
        look: Look<'_>,
        mut requests: Vec<Request>,
        plan: AccountPlan,
        hash: Option<i64>,
    ) -> Result<Polled, StoreError> {
        let mut look = look;
        let mut changed = self.expire(&mut requests, look.now).await?;
        for request in &mut requests {
            // A look grows old while the calls before this one are made.
            let now = self.clock().now();
            let ready = next_action(request, self.policy(), now).is_some_and(|step| step.action == Action::Call);
            if !ready {
                continue;
            }
            changed = true;
            let (after, refusal) = match self.submit(request).await {
                Ok(submitted) => submitted,
                Err(error) if error.is_of_one_row() => {
                    warn_of_bad_row(request, &error);
                    request.looked_at = None;
                    continue;
                }
                Err(error) => return Err(error),
            };
            *request = after;
            if let Some(refusal) = refusal.filter(|refusal| stops_the_account(refusal.class())) {
                let plan = self.plan(look.facts.row, &requests, self.clock().now());
                look.facts = Self::polled(&look.facts, plan, look.now, hash).facts;
                return self.refused(look, &refusal).await;
            }
        }
        if !changed {
            return Ok(Self::polled(&look.facts, plan, look.now, hash));
        }
        look.now = self.clock().now();
        let plan = self.plan(look.facts.row, &requests, look.now);
        self.rest(&look, plan, hash).await
    }

    /// Tells one request what time alone has brought. A row that is not legal holds up itself alone.
    async fn tell(&self, request: &mut Request, seen: &Observation) -> Result<(), StoreError> {
        match self.recorder.observe(request, seen, Record::default()).await {
            Ok(after) => *request = after,
            Err(error) if error.is_of_one_row() => warn_of_bad_row(request, &error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Ends requests whose deadline has passed, once the list has had its say. Answers whether there was one.
    pub(super) async fn expire(&self, requests: &mut [Request], now: Time) -> Result<bool, StoreError> {
        let mut expired = false;
        if self.calendar_was_stepped() {
            return Ok(expired);
        }
        for request in requests {
            let step = next_action(request, self.policy(), now);
            if step.is_none_or(|step| step.action != Action::Expire || step.due > now) {
                continue;
            }
            self.tell(request, &Observation::DeadlinePassed).await?;
            expired = true;
        }
        Ok(expired)
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

fn warn_of_bad_row(request: &Request, error: &StoreError) {
    tracing::error!(request.id = %request.id, error = %error, "db.bad_row");
}

fn warn_of_unknown_statuses(account: &AccountId, listing: &Listing) {
    for item in &listing.items {
        if let Status::Other(status) = item.status {
            tracing::warn!(account = %account, program = item.appid, username = item.username, status, "an undocumented status is listed: kept, and nothing is decided by it");
        }
    }
}
