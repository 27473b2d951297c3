//! One look at one account: read its list, let the domain say what it means for every request, write that, make the calls
//! that have become due. It must never decide, and never take an unreadable answer for an empty list.

use super::{Engine, Meters, agenda::Facts, learn::Learned, setback::stops_the_account};
use crate::{
    domain::{
        account::Trouble,
        errcode::{Class, Refusal},
        id::AccountId,
        listing::Listing,
        observation::Observation,
        plan::{Action, next_action},
        request::{Request, State},
        time::Time,
    },
    store::{Record, StoreError},
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
                match Box::pin(self.learn(&look, &listing, hash)).await? {
                    Some(learned) => Box::pin(self.call_those_ready(look, learned)).await,
                    None => {
                        let why = "the account's requests kept changing while its list was read".to_owned();
                        Box::pin(self.failed(look, why, Trouble::Unreadable)).await
                    }
                }
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
            Err(error @ (CallError::NotSent(_) | CallError::Lost(_))) => {
                return Answer::Failed(error.to_string(), Trouble::Unreachable);
            }
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
            Err(ReadError::Unreadable(why)) => Answer::Failed(why, Trouble::Unreadable),
        }
    }

    /// A list came, so our address is not refused.
    async fn allowed(&self, look: &Look<'_>) -> Result<(), StoreError> {
        let Some(gate) = self.gates.open_ip() else { return Ok(()) };
        tracing::warn!(account = %look.account, "our address is allowed again: calls go on");
        let record = Record { opened_gates: vec![gate], ..Record::default() };
        Box::pin(self.recorder.write(record)).await.map(drop)
    }

    /// Makes the calls that the list has allowed, one after the other.
    async fn call_those_ready(&self, look: Look<'_>, learned: Learned) -> Result<Polled, StoreError> {
        let Learned { mut requests, plan, hash } = learned;
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
}

fn warn_of_bad_row(request: &Request, error: &StoreError) {
    tracing::error!(request.id = %request.id, error = %error, "db.bad_row");
}
