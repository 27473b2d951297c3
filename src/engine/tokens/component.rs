//! The component's token: one fetch at a time, no call without a ticket that may work, and a pause after every refusal.

use std::{
    sync::{MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use secrecy::SecretString;

use super::{
    ADDRESS_PAUSE, Inner, LIFETIME, PAUSE, TokenKeeper,
    memory::{Kept, Missing, Unanswered},
};
use crate::{
    domain::{
        authorizer::{CALLS_PER_DAY, ComponentRefusal, Freshness, Life},
        errcode::Refusal,
        quota::Period,
        time::Time,
    },
    store::write::{
        claim::{Claim, ClaimTable, Claimant},
        component::{ComponentRow, Counted, NewToken, RefusedTicket},
    },
    wechat::{CallError, Token},
};

const TABLE: &str = "component";

/// How often a claim of somebody else's is looked at, and for how long.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);
pub(super) const LOOKS: u32 = 100;

impl TokenKeeper {
    /// Finds out whether a secret that was refused works now that a person has acted, without waiting for somebody to need it.
    pub(super) async fn try_refused_secret(&self) {
        let was_refused = match self.0.component_row().await {
            Ok(row) => row.refusal.is_some_and(|known| ComponentRefusal::of(known.errcode) == ComponentRefusal::Secret),
            // Whoever needs it next finds out.
            Err(_) => false,
        };
        if was_refused && let Err(missing) = self.0.component_token().await {
            tracing::warn!(event = "tokens.still_refused", error = %missing, "the component's secret is still refused");
        }
    }
}

impl Inner {
    /// The component's token, as it is on disk, for one call: none while a refusal holds back every call.
    pub(super) async fn component_token(&self) -> Result<Kept, Missing> {
        let mut memory = self.component.lock().await;
        let (row, now) = (self.component_row().await?, self.now());
        self.may_call(&row).await?;
        if let Some(kept) = memory.as_ref().filter(|kept| kept.life.freshness(now) == Freshness::Fresh) {
            return Ok(kept.clone());
        }
        match self.next_component_token(&row).await {
            Ok(kept) => Ok(memory.insert(kept).clone()),
            // The old one works as long as it lives.
            Err(missing) => memory.clone().filter(|kept| kept.life.until > now).ok_or(missing),
        }
    }

    /// Forgets the component's token: `WeChat` has refused it.
    pub(super) async fn drop_component_token(&self, generation: i64) -> Result<(), Missing> {
        let mut memory = self.component.lock().await;
        if memory.as_ref().is_some_and(|kept| kept.generation == generation) {
            *memory = None;
        }
        self.store.drop_component_token(self.appid(), generation).await?;
        Ok(())
    }

    /// Whether `WeChat` may be called at all: not while it refuses the whole platform. When such a time is over, one call
    /// finds out, and its answer frees the others.
    async fn may_call(&self, row: &ComponentRow) -> Result<(), Missing> {
        let Some(refusal) = &row.refusal else { return Ok(()) };
        let now = self.now();
        let is_over = row.held_until.is_some_and(|until| !is_ahead(until, now));
        match (ComponentRefusal::of(refusal.errcode), row.held_until) {
            (ComponentRefusal::Address | ComponentRefusal::DayUsedUp, Some(until)) if is_over => {
                if !self.store.probe_component(self.appid(), until, now + ADDRESS_PAUSE).await? {
                    return Err(held_back(refusal));
                }
                self.probing.store(true, Ordering::Relaxed);
                Ok(())
            }
            (ComponentRefusal::Address | ComponentRefusal::DayUsedUp | ComponentRefusal::Secret, _) if !is_over => {
                Err(held_back(refusal))
            }
            // These hold back the component's next token alone.
            (
                ComponentRefusal::Address
                | ComponentRefusal::DayUsedUp
                | ComponentRefusal::Secret
                | ComponentRefusal::ComponentToken
                | ComponentRefusal::Ticket
                | ComponentRefusal::RefreshToken
                | ComponentRefusal::Unauthorized
                | ComponentRefusal::Code
                | ComponentRefusal::Other,
                _,
            ) => Ok(()),
        }
    }

    /// A call was answered: if it was to find out whether the platform is still refused as a whole, it is not.
    pub(super) async fn heard<T: Sync>(&self, answer: &Result<T, CallError>) -> Result<(), Missing> {
        let is_taken = match answer {
            Ok(_) => true,
            Err(CallError::Refused(refusal)) => match ComponentRefusal::of(refusal.errcode) {
                ComponentRefusal::Address
                | ComponentRefusal::DayUsedUp
                | ComponentRefusal::Secret
                | ComponentRefusal::Ticket
                | ComponentRefusal::ComponentToken => false,
                ComponentRefusal::RefreshToken
                | ComponentRefusal::Unauthorized
                | ComponentRefusal::Code
                | ComponentRefusal::Other => true,
            },
            Err(CallError::NoToken(_) | CallError::NotSent(_) | CallError::Lost(_) | CallError::Unreadable(_)) => false,
        };
        if is_taken && self.probing.swap(false, Ordering::Relaxed) {
            self.store.component_answered(self.appid()).await?;
        }
        Ok(())
    }

    async fn next_component_token(&self, row: &ComponentRow) -> Result<Kept, Missing> {
        if let Some(kept) = self.component_of(row)?
            && kept.life.freshness(self.now()) == Freshness::Fresh
        {
            return Ok(kept);
        }
        let (ticket, made) = self.usable_ticket(row)?;
        if let Some(why) = self.unanswered().holds(self.now()) {
            return Err(Missing::Later(why));
        }
        let claimant = self.claimant(row.generation);
        match self.store.claim(ClaimTable::Component, self.appid(), claimant.clone()).await? {
            Claim::Ours => {
                let fetched = self.fetch_component_token(&claimant, &ticket, made).await;
                if fetched.is_err() {
                    self.store.release(ClaimTable::Component, self.appid(), &claimant.by).await?;
                }
                fetched
            }
            Claim::Newer => self.newer_component_token().await,
            Claim::Taken => self.component_token_of_another(row.generation).await,
            Claim::Gone => Err(later("the component is gone from the database")),
        }
    }

    async fn fetch_component_token(
        &self,
        claimant: &Claimant,
        ticket: &SecretString,
        made: Time,
    ) -> Result<Kept, Missing> {
        if !self.store.count_component_call(self.appid(), Counted::Call, CALLS_PER_DAY, self.now()).await? {
            return Err(later("the day's own cap of component calls is reached: a token was asked for far too often"));
        }
        let asked = self.now();
        match self.client().component_token(ticket).await {
            Ok(issued) => {
                *self.unanswered() = Unanswered::default();
                let life = Life::new(self.appid(), issued.lives.unwrap_or(LIFETIME), asked);
                let sealed = self.sealed(TABLE, "token", self.appid(), &issued.token);
                let new = NewToken { sealed, life };
                let (generation, by) = (claimant.generation, &claimant.by);
                if !self.store.put_component_token(self.appid(), generation, by, new, self.now()).await? {
                    return Err(later("another process was faster"));
                }
                self.work.notify_one();
                Ok(Kept { token: token(issued.token)?, life, generation: claimant.generation + 1 })
            }
            Err(error) => Err(self.token_call_failed(error, made).await?),
        }
    }

    /// What came in place of the component's token, asked for with the ticket that was made then: it holds back what it
    /// concerns.
    async fn token_call_failed(&self, error: CallError, made: Time) -> Result<Missing, Missing> {
        let CallError::Refused(refusal) = error else {
            self.unanswered().one_more(self.now(), error.to_string());
            return Ok(Missing::Later(error.to_string()));
        };
        *self.unanswered() = Unanswered::default();
        self.refused(refusal, RefusedTicket::Made(made)).await
    }

    pub(super) fn unanswered(&self) -> MutexGuard<'_, Unanswered> {
        // Nothing in here panics halfway through a change.
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `WeChat` refused a call for a reason that lies with the component.
    pub(super) async fn component_refused(&self, refusal: Refusal) -> Result<Missing, Missing> {
        self.refused(refusal, RefusedTicket::Kept).await
    }

    async fn refused(&self, refusal: Refusal, ticket: RefusedTicket) -> Result<Missing, Missing> {
        let (now, class) = (self.now(), ComponentRefusal::of(refusal.errcode));
        let held_until = match class {
            // The next ticket, or a person, ends it.
            ComponentRefusal::Ticket | ComponentRefusal::Secret => None,
            ComponentRefusal::DayUsedUp => Some(Period::Day.begins_again(now, Duration::ZERO)),
            ComponentRefusal::Address => Some(now + ADDRESS_PAUSE),
            ComponentRefusal::ComponentToken
            | ComponentRefusal::RefreshToken
            | ComponentRefusal::Unauthorized
            | ComponentRefusal::Code
            | ComponentRefusal::Other => Some(now + PAUSE),
        };
        tracing::error!(
            event = "tokens.component_refused",
            errcode = refusal.errcode,
            errmsg = refusal.errmsg,
            "WeChat refused the component"
        );
        let ticket = (class == ComponentRefusal::Ticket).then_some(ticket);
        self.store.component_refused(self.appid(), refusal.clone(), (now, held_until), ticket).await?;
        Ok(held_back(&refusal))
    }

    /// The ticket and when it was made, unless nothing is to be tried with it.
    fn usable_ticket(&self, row: &ComponentRow) -> Result<(SecretString, Time), Missing> {
        let now = self.now();
        if let Some(refusal) = &row.refusal {
            match (ComponentRefusal::of(refusal.errcode), row.held_until) {
                // A ticket that came later is another.
                (ComponentRefusal::Ticket, _) => {}
                (_, Some(until)) if !is_ahead(until, now) => {}
                (_, None | Some(_)) => return Err(held_back(refusal)),
            }
        }
        match &row.ticket {
            None => Err(later("no component_verify_ticket has come yet: WeChat pushes one every ten minutes")),
            Some((_, made)) if row.ticket_refused == Some(*made) => {
                Err(later("the component_verify_ticket was refused: the next push brings another"))
            }
            Some((sealed, made)) => Ok((self.opened(TABLE, "ticket", self.appid(), sealed)?, *made)),
        }
    }

    async fn component_row(&self) -> Result<ComponentRow, Missing> {
        self.store.component(self.appid()).await?.ok_or_else(|| later("the component is gone from the database"))
    }

    fn component_of(&self, row: &ComponentRow) -> Result<Option<Kept>, Missing> {
        let Some((sealed, life)) = &row.token else { return Ok(None) };
        let token = token(self.opened(TABLE, "token", self.appid(), sealed)?)?;
        Ok(Some(Kept { token, life: *life, generation: row.generation }))
    }

    async fn component_token_of_another(&self, generation: i64) -> Result<Kept, Missing> {
        for _ in 0..LOOKS {
            tokio::time::sleep(LOOK_EVERY).await;
            let row = self.component_row().await?;
            if row.generation > generation {
                return self.newer_component_token().await;
            }
        }
        Err(later("another process fetches the component's token and has not come back"))
    }

    /// The token that somebody else has fetched.
    async fn newer_component_token(&self) -> Result<Kept, Missing> {
        let row = self.component_row().await?;
        self.component_of(&row)?.ok_or_else(|| later("the component's token was just dropped"))
    }
}

/// Whether a time holds something back; one further ahead than a day was written by a calendar that has been stepped back.
fn is_ahead(until: Time, now: Time) -> bool {
    const DAY: Duration = Duration::from_hours(25);
    until > now && now.until(until) <= DAY
}

/// What a refusal of the component means for whoever asked: one of our address is told as for every call.
fn held_back(refusal: &Refusal) -> Missing {
    match ComponentRefusal::of(refusal.errcode) {
        ComponentRefusal::Address => Missing::Refused(refusal.clone()),
        ComponentRefusal::ComponentToken
        | ComponentRefusal::Ticket
        | ComponentRefusal::Secret
        | ComponentRefusal::DayUsedUp
        | ComponentRefusal::RefreshToken
        | ComponentRefusal::Unauthorized
        | ComponentRefusal::Code
        | ComponentRefusal::Other => Missing::Later(format!("WeChat refused the component: {refusal}")),
    }
}

pub(super) fn later(why: &str) -> Missing {
    Missing::Later(why.to_owned())
}

/// A token as calls take it.
pub(super) fn token(secret: SecretString) -> Result<Token, Missing> {
    Token::new(secret).map_err(|error| Missing::Later(error.to_string()))
}
