//! An authorizer's token: the one on disk, or the next one, which one task fetches for all who wait. A token that `WeChat`
//! refused is dropped once, if it is still the one on disk.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::{
    Inner, LIFETIME, PAUSE, PAUSE_MAX, TokenKeeper,
    component::{LOOK_EVERY, LOOKS, later, token},
    memory::{Doubt, Kept, Known, Memory, Missing, Outcome},
};
use crate::{
    domain::{
        authorizer::{AuthorizerState, ComponentRefusal, Freshness, GRACE, Life},
        backoff::Backoff,
        errcode::Refusal,
        id::BadId,
    },
    store::write::{
        authorizer::{AuthorizerRow, NewTokens, RefreshRefused},
        claim::{Claim, ClaimTable, Claimant},
        component::NewToken,
    },
    wechat::CallError,
};

pub(super) const TABLE: &str = "authorizer";

/// How often tokens are written again that could not be, and after how long: within the half minute of a claim.
const WRITES_AGAIN: u32 = 4;
const WRITE_PAUSE: Duration = Duration::from_secs(1);

/// Whether a fetch has to be tried once more.
pub(super) enum Tried {
    Kept(Kept),
    Again,
}

impl TokenKeeper {
    /// The account's token.
    pub(super) async fn token(&self, appid: &str) -> Outcome {
        let known = self.0.memory().known(appid, self.0.now());
        let mut flight = match known {
            Known::Token(kept, Freshness::Fresh) => return Ok(kept),
            Known::Token(kept, _) => {
                self.flight(appid);
                return Ok(kept);
            }
            Known::Nothing => self.flight(appid),
        };
        match flight.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            Ok(None) | Err(_) => Err(later("fetching the token broke off")),
        }
    }

    /// Waits until no fetch is under way, for who moves the clock by hand.
    pub async fn settle(&self) {
        loop {
            let flight = self.0.memory().flights.values().next().cloned();
            let Some(mut flight) = flight else { return };
            // One that broke off is over as well.
            let _ = flight.wait_for(Option::is_some).await;
        }
    }

    /// The fetch under way, or a new one, in a task of its own: whoever waits may be cancelled.
    fn flight(&self, appid: &str) -> watch::Receiver<Option<Outcome>> {
        let mut memory = self.0.memory();
        if let Some(flight) = memory.flights.get(appid) {
            return flight.clone();
        }
        let (landing, flight) = watch::channel(None);
        memory.flights.insert(appid.to_owned(), flight.clone());
        let fetch = Fetch { inner: Arc::clone(&self.0), appid: appid.to_owned(), landing };
        drop(self.0.fetches.spawn(fetch.run()));
        flight
    }
}

/// A fetch under way. However it ends, by a panic too, dropping it makes room for the next and wakes who waits.
struct Fetch {
    inner: Arc<Inner>,
    appid: String,
    landing: watch::Sender<Option<Outcome>>,
}

impl Fetch {
    async fn run(self) {
        let outcome = self.inner.fetch(&self.appid).await;
        // First: whoever asks from now on is not answered with what was true before.
        self.inner.memory().flights.remove(&self.appid);
        self.landing.send_replace(Some(outcome));
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        let mut memory = self.inner.memory();
        // After a panic only: otherwise the next one may be there already.
        if memory.flights.get(&self.appid).is_some_and(|flight| flight.same_channel(&self.landing.subscribe())) {
            memory.flights.remove(&self.appid);
        }
    }
}

impl Inner {
    pub(super) fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        // Nothing in here panics halfway through a change.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, appid: &str) -> Outcome {
        // Once more where a push or a dead component token came between.
        for _ in 0..3 {
            let seen = self.memory().changes();
            match self.try_fetch(appid).await {
                Ok(Tried::Kept(kept)) => {
                    if self.keep_current(appid, kept.clone(), seen).await? {
                        return Ok(kept);
                    }
                }
                Ok(Tried::Again) => {}
                Err(missing) => {
                    // The row holds none any more: what memory has is dead, too.
                    if missing.is_of_account() {
                        self.memory().forget(appid);
                    }
                    return Err(missing);
                }
            }
        }
        Err(later("the authorization kept changing while its token was fetched"))
    }

    /// Keeps a token in memory that is still the one on disk, whatever came between; `seen` are the changes from before its
    /// row was read. `false`: it is not, and must not be used.
    pub(super) async fn keep_current(&self, appid: &str, kept: Kept, mut seen: u64) -> Result<bool, Missing> {
        while !self.memory().keep(appid, kept.clone(), seen, self.now()) {
            seen = self.memory().changes();
            let row = self.store.authorizer(appid).await?.and_then(Result::ok);
            if row.is_none_or(|row| row.generation != kept.generation || row.token.is_none()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn try_fetch(&self, appid: &str) -> Result<Tried, Missing> {
        let Some(row) = self.store.authorizer(appid).await? else {
            self.store.add_authorizer(appid, self.now()).await?;
            return Err(Missing::Refused(never_authorized()));
        };
        let row = row.map_err(|bad| Missing::Later(bad.to_string()))?;
        let mut kept = self.kept_of(&row)?;
        let doubted = self.memory().doubted(appid);
        if let Some((refused, by)) = doubted {
            if let Some(same) = kept.take_if(|kept| kept.token == refused) {
                kept = self.after_doubt(appid, same, by).await?;
            }
            let stays = by == Doubt::Met && kept.as_ref().is_some_and(|kept| kept.token == refused);
            if !stays {
                self.memory().settle(appid, &refused);
            }
        }
        match kept {
            Some(kept) if kept.life.freshness(self.now()) == Freshness::Fresh => Ok(Tried::Kept(kept)),
            _ => match self.renew(&row).await {
                // Whoever asks gets the old one while it lives; without it they learn why there is none.
                Err(missing) if !missing.is_of_account() => self.alive(appid).await?.map(Tried::Kept).ok_or(missing),
                renewed => renewed,
            },
        }
    }

    /// The token that is on disk, as long as it lives: a refresh that failed may have shortened that.
    async fn alive(&self, appid: &str) -> Result<Option<Kept>, Missing> {
        let Some(Ok(row)) = self.store.authorizer(appid).await? else { return Ok(None) };
        Ok(self.kept_of(&row)?.filter(|kept| kept.life.until > self.now()))
    }

    /// What is left of a token that is said to be refused. On `WeChat`'s word it is gone; on a caller's it is renewed now
    /// and serves until then. Either at most once a minute; what `WeChat` said is asked about again after it.
    async fn after_doubt(&self, appid: &str, kept: Kept, by: Doubt) -> Result<Option<Kept>, Missing> {
        let (now, generation) = (self.now(), kept.generation);
        match by {
            Doubt::Met if self.store.drop_token(appid, generation, now).await? => Ok(None),
            Doubt::Told if self.store.force_renewal(appid, generation, now).await? => {
                let life = Life { renew_at: now.min(kept.life.renew_at), ..kept.life };
                Ok(Some(Kept { life, ..kept }))
            }
            Doubt::Met | Doubt::Told => Ok(Some(kept)),
        }
    }

    pub(super) async fn renew(&self, row: &AuthorizerRow) -> Result<Tried, Missing> {
        let appid = &row.appid;
        if row.state == AuthorizerState::Unauthorized {
            return Err(Missing::Refused(row.refusal.clone().unwrap_or_else(never_authorized)));
        }
        if row.retry_at.is_some_and(|at| at > self.now() && self.now().until(at) <= PAUSE_MAX) {
            return Err(later(row.refusal.as_ref().map_or("its last refresh failed", |refusal| &refusal.errmsg)));
        }
        let Some(sealed) = &row.refresh else {
            self.work.notify_one();
            return Err(match &row.refusal {
                Some(refusal) => Missing::Later(format!("{refusal}; the list of authorizers is read for another one")),
                None if row.event.is_some() => {
                    later("its authorization is not taken up yet: WeChat has not said its tokens")
                }
                None => Missing::Refused(never_authorized()),
            });
        };
        let refresh = self.opened(TABLE, "refresh", appid, sealed)?;
        let account = appid.parse().map_err(|bad: BadId| Missing::Later(bad.to_string()))?;
        let component = self.component_token().await?;
        let claimant = self.claimant(row.generation);
        match self.store.claim(ClaimTable::Authorizer, appid, claimant.clone()).await? {
            Claim::Ours => {}
            Claim::Newer => return Ok(Tried::Again),
            Claim::Taken => return self.refreshed_by_another(row).await,
            Claim::Gone => return Err(Missing::Refused(never_authorized())),
        }
        let (asked, begun) = (self.now(), self.clock.monotonic());
        let answer = self.client().authorizer_token(&component.token, &account, &refresh).await;
        self.client().note_fetch(&answer, self.clock.monotonic().saturating_sub(begun));
        self.heard(&answer).await?;
        match answer {
            Ok(issued) => {
                let life = Life::new(appid, issued.lives.unwrap_or(LIFETIME), asked);
                let tokens = NewTokens {
                    token: NewToken { sealed: self.sealed(TABLE, "token", appid, &issued.token), life },
                    refresh: issued.refresh.map(|refresh| self.sealed(TABLE, "refresh", appid, &refresh)),
                    permissions: None,
                };
                if self.keep_tokens(appid, &claimant, tokens).await? {
                    let generation = row.generation + 1;
                    Ok(Tried::Kept(Kept { token: token(issued.token)?, life, generation }))
                } else {
                    // A push came meanwhile: what it says counts.
                    Ok(Tried::Again)
                }
            }
            Err(error) => self.refresh_failed(row, &claimant, component.generation, error).await,
        }
    }

    /// Writes tokens down; whether they still count. They are tried again where the database is busy: the refresh token
    /// before this one may be dead, and nobody else has the new one.
    async fn keep_tokens(&self, appid: &str, claimant: &Claimant, tokens: NewTokens) -> Result<bool, Missing> {
        let put = || self.store.put_tokens(appid, claimant.generation, &claimant.by, tokens.clone(), self.now());
        for _ in 0..WRITES_AGAIN {
            match put().await {
                Ok(counts) => return Ok(counts),
                Err(error) => {
                    tracing::warn!(event = "tokens.not_stored", account = appid, error = %error, "a token could not be written down yet; will retry");
                    tokio::time::sleep(WRITE_PAUSE).await;
                }
            }
        }
        Ok(put().await?)
    }

    /// Waits for the token that somebody else is fetching. Whoever has the old one waits for nobody.
    async fn refreshed_by_another(&self, row: &AuthorizerRow) -> Result<Tried, Missing> {
        let is_alive = row.token.as_ref().is_some_and(|(_, life)| life.until > self.now());
        let looks = if is_alive { 0 } else { LOOKS };
        for _ in 0..looks {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Some(Ok(now)) = self.store.authorizer(&row.appid).await?
                && now.generation > row.generation
            {
                return Ok(Tried::Again);
            }
        }
        Err(later("its token is being refreshed, and has not come yet"))
    }

    async fn refresh_failed(
        &self,
        row: &AuthorizerRow,
        Claimant { generation, by, now: claimed_at }: &Claimant,
        component: i64,
        error: CallError,
    ) -> Result<Tried, Missing> {
        let (appid, now) = (&row.appid, self.now());
        let pause = Backoff::new(PAUSE, PAUSE_MAX).after(row.failures);
        let CallError::Refused(refusal) = error else {
            let (errcode, why) = (None, error.to_string());
            let ends_at = may_have_acted(&error).then_some(*claimed_at + GRACE);
            let meaning = RefreshRefused::Later { errcode, why: why.clone(), retry_at: now + pause, ends_at };
            let counts = self.store.refresh_refused(appid, *generation, by, meaning, now).await?;
            return if counts { Err(Missing::Later(why)) } else { Ok(Tried::Again) };
        };
        let meaning = match ComponentRefusal::of(refusal.errcode) {
            ComponentRefusal::ComponentToken => {
                self.store.release(ClaimTable::Authorizer, appid, by).await?;
                self.drop_component_token(component).await?;
                return Ok(Tried::Again);
            }
            ComponentRefusal::Secret | ComponentRefusal::DayUsedUp | ComponentRefusal::Address => {
                self.store.release(ClaimTable::Authorizer, appid, by).await?;
                return Err(self.component_refused(refusal).await?);
            }
            // The component's token may live on, so that this account alone waits.
            ComponentRefusal::Ticket => {
                self.component_refused(refusal.clone()).await?;
                let (errcode, why) = (Some(refusal.errcode), refusal.to_string());
                RefreshRefused::Later { errcode, why, retry_at: now + PAUSE, ends_at: None }
            }
            ComponentRefusal::Unauthorized => RefreshRefused::Gone(refusal.clone()),
            ComponentRefusal::RefreshToken => RefreshRefused::RefreshTokenLost(refusal.clone()),
            ComponentRefusal::Code | ComponentRefusal::Other => {
                let (errcode, why) = (Some(refusal.errcode), refusal.errmsg.clone());
                RefreshRefused::Later { errcode, why, retry_at: now + pause, ends_at: None }
            }
        };
        let is_gone = matches!(meaning, RefreshRefused::Gone(_));
        // Where a push came meanwhile, what it says counts.
        if !self.store.refresh_refused(appid, *generation, by, meaning, now).await? {
            return Ok(Tried::Again);
        }
        self.work.notify_one();
        Err(if is_gone { Missing::Refused(refusal) } else { Missing::Later(refusal.to_string()) })
    }

    pub(super) fn kept_of(&self, row: &AuthorizerRow) -> Result<Option<Kept>, Missing> {
        let Some((sealed, life)) = &row.token else { return Ok(None) };
        let token = token(self.opened(TABLE, "token", &row.appid, sealed)?)?;
        Ok(Some(Kept { token, life: *life, generation: row.generation }))
    }
}

/// Whether `WeChat` may have given a token that nobody heard.
const fn may_have_acted(error: &CallError) -> bool {
    match error {
        CallError::Lost(_) | CallError::Unreadable(_) => true,
        CallError::NotSent(_) | CallError::NoToken(_) | CallError::Refused(_) => false,
    }
}

/// What an account is refused with that never authorized the platform, as far as we know.
fn never_authorized() -> Refusal {
    let errmsg =
        "the account has not authorized the platform: its administrator must scan the platform's authorization code";
    Refusal { errcode: 61_003, errmsg: errmsg.to_owned() }
}
