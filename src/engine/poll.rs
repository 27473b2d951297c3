//! One poll of one account: reads its list, lets `domain` decide for its requests and the account, and writes that.
//! Calls that the list allows wait for permits in [`super::calls`].

use super::{
    Engine, Meters,
    apply_listing::{Learned, Lesson},
    bad_row::warn_of_bad_row,
    interpret::Judgement,
    large_listings::Length,
    polled::{Due, Pending, PollContext, Polled},
};
use crate::{
    domain::{
        account::{AccountState, Outcome, Status, TOO_FAST_PAUSE, Trouble},
        decide::deadline_may_end,
        emptied::Ages,
        errcode::{Class, Refusal},
        id::AccountId,
        listing::Reading,
        observation::Observation,
        plan::AccountPlan,
        request::{Request, State},
        time::Time,
    },
    store::{Record, StoreError, account_row::AccountUpdate, write::gates::Gate},
    wechat::{CallError, RawListing, ReadError, TokenError},
};

/// The name of the call that reads a list, as its daily quota knows it.
pub(super) const LISTING_API: &str = "wxamplinkget";

/// What came of asking for a list.
enum Answer {
    /// The same bytes as last time, and nothing waits for a time.
    Unchanged,
    /// What could be read, and its fingerprint.
    Reading(Reading, i64),
    /// `WeChat`, or the token source, said no.
    Refused(Refusal),
    /// Nothing that can be read.
    Failed(String, Trouble),
}

impl Engine {
    /// Looks at one account; the turn for it is taken.
    ///
    /// # Errors
    /// [`StoreError`]: what was learned could not be written, so it was not learned; the next look will find it again.
    #[tracing::instrument(name = "engine.poll", level = "debug", skip_all, fields(account = %account))]
    pub async fn poll(&self, account: &AccountId, state: AccountState) -> Result<Polled, StoreError> {
        let mut look = PollContext { account, state, now: self.clock().now() };
        let must_read = look.state.reread_at.is_some_and(|at| at <= look.now);
        // What few polls come to is kept in boxes of its own: the future of the many stays small.
        if must_read && let Some(polled) = Box::pin(self.apply_quota_resets(&look)).await? {
            return Ok(polled);
        }
        Meters::count(&self.meters.polls);
        let answer = self.ask(&look, must_read).await;
        // A list is as old as its answer, not as the question.
        look.now = self.clock().now();
        if matches!(answer, Answer::Unchanged | Answer::Reading(..)) {
            self.looks.note_read(look.state.row, self.clock().monotonic());
        } else {
            Meters::count(&self.meters.failed_polls);
        }
        match answer {
            Answer::Unchanged => {
                Meters::count(&self.meters.unchanged);
                self.allowed(&look).await?;
                let state = self.after(&look.state, Outcome::Unchanged, look.now);
                if look.state.pace_from.or(look.state.reread_at).is_none() {
                    return Box::pin(self.nothing_waits(&look, &state)).await;
                }
                Ok(Polled::Done { state, due: Due::AsReserved })
            }
            Answer::Reading(reading, hash) => {
                Meters::count(&self.meters.changed);
                self.allowed(&look).await?;
                let why = match Box::pin(self.learn(&look, reading, hash)).await? {
                    Lesson::Learned(learned) => return Box::pin(self.learned(&look, learned)).await,
                    Lesson::Weak => "the answer is 0 without a list, which tells nothing of what is waited for",
                    Lesson::Changing => "the account's requests kept changing while its list was read",
                };
                Box::pin(self.failed(&look, why.to_owned(), Trouble::Unreadable)).await
            }
            Answer::Refused(refusal) => Box::pin(self.refused(&look, &refusal)).await,
            Answer::Failed(why, trouble) => Box::pin(self.failed(&look, why, trouble)).await,
        }
    }

    /// The rules as they are kept at the moment.
    pub(super) fn judge(&self) -> Judgement {
        let ages = if self.calendar_was_stepped() { Ages::Doubtful } else { Ages::Known };
        Judgement { policy: self.policy(), stretch: self.stretch(), ages }
    }

    /// The account's state after what came of it.
    pub(super) fn after(&self, state: &AccountState, outcome: Outcome, now: Time) -> AccountState {
        self.judge().after(state, outcome, now)
    }

    /// What all requests of an account need of it.
    pub(super) fn plan(&self, state: &AccountState, requests: &[Request], now: Time) -> AccountPlan {
        self.judge().plan(state, requests, now)
    }

    /// Tells requests whose time has come that wait for a quota. Answers when nothing is left that needs the list.
    async fn apply_quota_resets(&self, look: &PollContext<'_>) -> Result<Option<Polled>, StoreError> {
        let mut requests = self.watched(look.account).await?.requests;
        for request in &mut requests {
            let State::Deferred(until) = request.state else { continue };
            if until > look.now {
                continue;
            }
            let seen = self.time_has_come(request).await?;
            self.tell(request, &seen).await?;
        }
        // A deferred one, too, may have been brought about by somebody else.
        if requests.iter().any(|request| request.is_open() || matches!(request.state, State::Linked)) {
            return Ok(None);
        }
        let plan = self.plan(&look.state, &requests, look.now);
        let state = self.after(&look.state, Outcome::Moved { plan }, look.now);
        self.write_state(look, state, Record::default()).await.map(Some)
    }

    async fn ask(&self, look: &PollContext<'_>, must_read: bool) -> Answer {
        let in_force = self.in_force();
        let raw = match in_force.wechat.listing(look.account).await {
            Ok(raw) => raw,
            Err(CallError::Refused(refusal) | CallError::NoToken(TokenError::Refused(refusal))) => {
                return Answer::Refused(refusal);
            }
            Err(error @ CallError::NoToken(_)) => return Answer::Failed(error.to_string(), Trouble::Token),
            Err(error @ (CallError::NotSent(_) | CallError::Lost(_))) => {
                return Answer::Failed(error.to_string(), Trouble::Unreachable);
            }
            Err(error @ CallError::Unreadable(_)) => return Answer::Failed(error.to_string(), Trouble::Unreadable),
        };
        let hash = raw.fingerprint().cast_signed();
        let settled = !must_read && look.state.status == Status::Active && look.state.failures == 0;
        if settled && look.state.listing_hash == Some(hash) {
            return Answer::Unchanged;
        }
        self.read(look, raw, hash).await
    }

    async fn read(&self, look: &PollContext<'_>, raw: RawListing, hash: i64) -> Answer {
        let (length, body) = (Length::of_bytes(raw.body().len()), raw.clone());
        match self.large_listings.work(length, move || body.read()).await {
            Ok(reading) => Answer::Reading(reading, hash),
            Err(ReadError::Refused(refusal)) => {
                if refusal.class() == Class::TokenBad {
                    self.in_force().wechat.tokens().invalidate(look.account, raw.token());
                }
                Answer::Refused(refusal)
            }
            Err(ReadError::Unreadable(why)) => Answer::Failed(why, Trouble::Unreadable),
        }
    }

    /// A list came, so our address is not refused.
    async fn allowed(&self, look: &PollContext<'_>) -> Result<(), StoreError> {
        let Some(gate) = self.gates.open_ip() else { return Ok(()) };
        tracing::warn!(account = %look.account, "our IP address is allowed again: calls resume");
        let record = Record { opened_gates: vec![gate], ..Record::default() };
        Box::pin(self.recorder.write(record)).await.map(drop)
    }

    /// A list was read and written down: deadlines have their say, then the calls that it allows.
    async fn learned(&self, look: &PollContext<'_>, learned: Learned) -> Result<Polled, StoreError> {
        let Learned { mut requests, state } = learned;
        if look.state.is_suspended() {
            tracing::warn!(account = %look.account, "account answers again: resumed");
        }
        // Where an answer without a list is enough nothing was called, so there is nothing that a list could show.
        let has_changed = self.expire(&mut requests, Some(look.now), look.now).await?;
        let pending = Pending::new(look.account.clone(), state, requests);
        if pending.is_ready(&self.policy(), self.clock().now()) {
            return Ok(Polled::Calls(Box::new(pending)));
        }
        if has_changed { self.settle_calls(pending).await } else { Ok(Polled::done(pending.state)) }
    }

    /// The same list as ever, and nothing of this account is open: it leaves the agenda until cron or a request brings it
    /// back.
    async fn nothing_waits(&self, look: &PollContext<'_>, state: &AccountState) -> Result<Polled, StoreError> {
        let plan = AccountPlan::default();
        let state = self.after(state, Outcome::Moved { plan }, look.now);
        self.write_state(look, state, Record::default()).await
    }

    /// `WeChat` will not tell: hold back what the code concerns, and nothing more.
    pub(super) async fn refused(&self, look: &PollContext<'_>, refusal: &Refusal) -> Result<Polled, StoreError> {
        let mut record = Record::default();
        let mut state = self.after(&look.state, Outcome::Refused(refusal.class()), look.now);
        if let Some((gate, due)) = self.gate_of_list(look, refusal) {
            state = self.after(&state, Outcome::HeldBack(due), look.now);
            record.gates.push(gate);
        }
        if state.is_suspended() && !look.state.is_suspended() {
            tracing::error!(account = %look.account, refusal = %refusal, "account suspended: action needed");
        }
        self.unread(look, state, refusal.to_string(), Some(refusal.clone()), record).await
    }

    /// The gate that a refused list closes, and when the account is due behind it.
    fn gate_of_list(&self, look: &PollContext<'_>, refusal: &Refusal) -> Option<(Gate, Time)> {
        match refusal.class() {
            Class::IpNotAllowed => {
                let gate = self.close_address(refusal, look.now);
                let due = Time::from_ms(gate.until) + self.spread(TOO_FAST_PAUSE);
                Some((gate, due))
            }
            Class::DailyQuota => Some(self.close_lists(look.account, refusal, look.now)),
            _ => None,
        }
    }

    /// Our address is refused: no account can be reached.
    pub(super) fn close_address(&self, refusal: &Refusal, now: Time) -> Gate {
        let (gate, is_news) = self.gates.close_ip(refusal, now);
        if is_news {
            tracing::error!(
                errcode = refusal.errcode,
                errmsg = refusal.errmsg,
                "our IP address is not on WeChat's whitelist: no account can be reached; add it, and calls resume by themselves"
            );
        }
        gate
    }

    pub(super) async fn failed(
        &self,
        look: &PollContext<'_>,
        why: String,
        trouble: Trouble,
    ) -> Result<Polled, StoreError> {
        let state = self.after(&look.state, Outcome::Failed(trouble), look.now);
        self.unread(look, state, why, None, Record::default()).await
    }

    /// A look that ended in a defect of ours, or whose result could not be written.
    pub(super) async fn broken(
        &self,
        account: &AccountId,
        state: AccountState,
        why: String,
    ) -> Result<Polled, StoreError> {
        let look = PollContext { account, state, now: self.clock().now() };
        let state = self.after(&look.state, Outcome::Panicked, look.now);
        let update = AccountUpdate { error: Some(why), ..AccountUpdate::of(account, &state, look.now) };
        self.recorder.write(Record { account: Some(update), ..Record::default() }).await?;
        Ok(Polled::done(state))
    }

    /// A look that taught nothing about requests: remember why, and when to try again.
    async fn unread(
        &self,
        look: &PollContext<'_>,
        state: AccountState,
        why: String,
        refusal: Option<Refusal>,
        mut record: Record,
    ) -> Result<Polled, StoreError> {
        tracing::warn!(
            event = "engine.poll.failed",
            account = %look.account,
            failures = state.failures,
            error = why,
            "could not read an account's list"
        );
        if self.policy().deadline.is_some() {
            let mut requests = self.watched(look.account).await?.requests;
            self.expire(&mut requests, look.state.read_at, look.now).await?;
        }
        let update = AccountUpdate::of(look.account, &state, look.now);
        record.account = Some(AccountUpdate { error: Some(why), refusal, ..update });
        self.recorder.write(record).await?;
        Ok(Polled::done(state))
    }

    /// Writes how the account stands, with whatever belongs to it.
    pub(super) async fn write_state(
        &self,
        look: &PollContext<'_>,
        state: AccountState,
        mut record: Record,
    ) -> Result<Polled, StoreError> {
        record.account = Some(AccountUpdate::of(look.account, &state, look.now));
        self.recorder.write(record).await?;
        Ok(Polled::done(state))
    }

    /// Tells one request what time alone has brought. A row that is not legal holds up itself alone.
    async fn tell(&self, request: &mut Request, seen: &Observation) -> Result<(), StoreError> {
        match self.recorder.observe(request, seen, Record::default()).await {
            Ok(after) => *request = after,
            Err(error) if error.is_of_one_row() => warn_of_bad_row(&request.id, &error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Ends requests whose deadline has passed, once a list read after it has had its say. Answers whether there was one.
    pub(super) async fn expire(
        &self,
        requests: &mut [Request],
        read_at: Option<Time>,
        now: Time,
    ) -> Result<bool, StoreError> {
        let mut expired = false;
        if self.calendar_was_stepped() {
            return Ok(expired);
        }
        for request in requests {
            if !deadline_may_end(request, &self.policy(), read_at, now) {
                continue;
            }
            self.tell(request, &Observation::DeadlinePassed).await?;
            expired = true;
        }
        Ok(expired)
    }
}
