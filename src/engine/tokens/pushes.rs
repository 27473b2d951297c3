//! What `WeChat` tells of the ticket and of authorizations: written down, with all that it means, before it is answered;
//! codes are traded for tokens right after.

use std::{collections::HashSet, time::Duration};

use secrecy::SecretString;

use super::{
    Inner, LIFETIME, PAUSE, PAUSE_MAX, TokenKeeper,
    component::token,
    memory::{Kept, Missing, Unanswered},
    pauses::Paused,
    refresh::TABLE,
};
use crate::{
    domain::{
        authorizer::{AuthorizationEvent, ComponentRefusal, Life, made_by},
        backoff::Backoff,
        errcode::Refusal,
        tenure::lease::Lease,
    },
    shutdown::Shutdown,
    store::{
        StoreError,
        write::{
            authorizer::{AuthorizerInfo, NewTokens},
            claim::{Claim, ClaimTable, Claimant},
            component::NewToken,
            push::{NewPush, OpenPush, Received},
        },
    },
    wechat::{
        CallError,
        callback::{Event, Push},
    },
};

/// How often it is looked whether another process has left something to do; what this one receives wakes it at once.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How soon it goes on where something is left: the next page of the list, or a push that could not be taken up.
const GO_ON_AFTER: Duration = Duration::from_secs(1);

/// Open pushes taken up at once.
const PAGE: u32 = 100;

/// Pauses of a push that cannot be taken up: its code is tried several times within its hour.
const PUSH_BACKOFF: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_mins(10));

/// How long after a list that lacks an account the next one is read: a list may lag.
const LACKED_BACKOFF: Backoff = Backoff::new(Duration::from_secs(30), PAUSE_MAX);

/// How long a code works.
const CODE_LIVES: Duration = Duration::from_hours(1);

/// What is left to be done about a push.
enum Left {
    Nothing,
    /// The account is to be looked up in place of its code.
    LookUp,
    /// It failed, and is tried again after a pause; others are not held up.
    Again(String),
    /// It is tried again in a moment, and the others after it.
    AgainBeforeOthers(String),
    /// The list of authorizers lacks it, which counts when the next one agrees.
    Lacked,
    /// Somebody else is at it, or nothing may be asked: it is looked at next time.
    Soon,
}

/// Where an account was found.
pub(super) enum Found {
    /// In the list.
    Listed,
    /// Beyond the part of the list that was read, when it was asked about by itself.
    ByItself,
    /// Not among the authorizers.
    Nowhere,
}

/// What is left to be done about pushes, the list and tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tended {
    /// Nothing that is known of.
    All,
    /// Something that goes on in a moment.
    Part,
}

impl TokenKeeper {
    /// Writes a push down with all that it means. Only after this it may be answered with success.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn receive(&self, push: Push) -> Result<Received, StoreError> {
        let (inner, now) = (&self.0, self.0.now());
        let Push { id, made, event } = push;
        let made = made_by(made, now);
        let of_account = |appid: String, event, code: Option<SecretString>| {
            let code = code.map(|code| inner.sealed("push", "code", &appid, &code));
            NewPush { id: id.clone(), appid, event, made, code }
        };
        let push = match event {
            Event::Ticket(ticket) => {
                let sealed = inner.sealed("component", "ticket", inner.appid(), &ticket);
                let is_kept = inner.store.put_ticket(inner.appid(), sealed, made, now).await?;
                // WeChat reaches us: perhaps we reach it.
                *inner.unanswered() = Unanswered::default();
                inner.work.notify_one();
                return Ok(if is_kept { Received::Taken } else { Received::Late });
            }
            Event::Authorized { account, code } => {
                of_account(account.to_string(), AuthorizationEvent::Authorized, Some(code))
            }
            Event::UpdateAuthorized { account, code } => {
                of_account(account.to_string(), AuthorizationEvent::Updated, Some(code))
            }
            Event::Unauthorized { account } => of_account(account.to_string(), AuthorizationEvent::Unauthorized, None),
            Event::Other(kind) => {
                tracing::info!(event = "callback.other", kind, "a push that concerns nothing here");
                return Ok(Received::Taken);
            }
        };
        let (appid, event) = (push.appid.clone(), push.event);
        let received = inner.store.receive_push(push, now).await?;
        inner.memory().forget(&appid);
        tracing::info!(
            event = "callback.push",
            account = appid,
            kind = event.as_str(),
            ?received,
            "authorization changed"
        );
        inner.work.notify_one();
        Ok(received)
    }

    /// Trades codes and looks accounts up, as pushes come, until the end is asked for.
    pub async fn tend(&self, shutdown: &Shutdown) {
        self.try_refused_secret().await;
        while !shutdown.asked() {
            // A call under way is brought to its end: its answer may be the only one that there will be.
            let pause = match self.tend_once(shutdown).await {
                Ok(Tended::All) => LOOK_EVERY,
                Ok(Tended::Part) => GO_ON_AFTER,
                Err(error) => {
                    tracing::error!(event = "tokens.tend_failed", error = %error, "could not read what is to be done about authorizations; will retry");
                    GO_ON_AFTER
                }
            };
            if shutdown.unless_asked(self.until_work(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Waits until something is to be done: this process knows of it, it is time to go on, or another process has left it.
    async fn until_work(&self, pause: Duration) {
        let is_told = async || tokio::time::timeout(pause, self.0.work.notified()).await.is_ok();
        while !is_told().await && pause == LOOK_EVERY {
            // Whatever fails here is told of by who reads it next.
            if self.0.store.awaits_token_work().await.unwrap_or(true) {
                return;
            }
        }
    }

    /// Does what is to be done about pushes and the list now; between two calls it leaves the rest to the next process once the
    /// end is asked for.
    ///
    /// # Errors
    /// [`StoreError`]: the rest is done next time.
    pub async fn tend_once(&self, shutdown: &Shutdown) -> Result<Tended, StoreError> {
        if !self.0.store.ownership().open().contains(Lease::Tokens) {
            return Ok(Tended::All);
        }
        let pushes = self.0.tend_pushes(shutdown).await?;
        let sweep = self.0.sweep_if_needed().await?;
        let task = self.do_task(shutdown).await?;
        let is_all = [pushes, sweep, task].into_iter().all(|tended| tended == Tended::All);
        Ok(if is_all { Tended::All } else { Tended::Part })
    }
}

impl Inner {
    /// Takes up every open push that does not wait.
    async fn tend_pushes(&self, shutdown: &Shutdown) -> Result<Tended, StoreError> {
        let (mut last, mut open, mut tended) = (None, HashSet::new(), Tended::All);
        loop {
            let page = self.store.open_pushes_after(last.as_ref(), PAGE).await?;
            let Some(end) = page.last().cloned() else { break };
            for push in page {
                if shutdown.asked() {
                    return Ok(Tended::Part);
                }
                // What is wrong with the platform is wrong for all of them, and rarely over in a moment; a ticket wakes us.
                let component = match self.component_token().await {
                    Ok(component) => component,
                    Err(missing) => {
                        self.tell_seldom(&push, &missing.to_string());
                        return Ok(tended);
                    }
                };
                match self.tend_push(&push, &component).await? {
                    Left::Nothing => {}
                    Left::AgainBeforeOthers(_) => return Ok(Tended::Part),
                    Left::LookUp | Left::Again(_) | Left::Lacked | Left::Soon => tended = Tended::Part,
                }
                open.insert(push.id);
            }
            last = Some(end);
        }
        self.pauses().keep_pushes(&open);
        Ok(tended)
    }

    /// Takes up one push, unless it waits; what is left of it is written down.
    async fn tend_push(&self, push: &OpenPush, component: &Kept) -> Result<Left, StoreError> {
        let paused = Paused::Push(push.id.clone());
        if self.pauses().held(&paused, self.now()).is_some() {
            return Ok(Left::Soon);
        }
        let left = match &push.code {
            Some(sealed) => self.trade(push, sealed, component).await,
            None => self.look_up(push, component).await,
        };
        let left = left.unwrap_or_else(|missing| Left::Again(missing.to_string()));
        match &left {
            Left::Nothing => self.store.push_done(&push.id, self.now()).await?,
            Left::LookUp => {
                self.store.push_to_look_up(&push.id).await?;
                self.pauses().ended(&paused);
            }
            Left::Lacked => self.pause_push(push, "the list of authorizers lacks it: it is read again", LACKED_BACKOFF),
            Left::Again(why) => self.pause_push(push, why, PUSH_BACKOFF),
            Left::AgainBeforeOthers(why) => waits(push, why),
            Left::Soon => {}
        }
        Ok(left)
    }

    fn pause_push(&self, push: &OpenPush, why: &str, backoff: Backoff) {
        waits(push, why);
        self.pauses().failed(Paused::Push(push.id.clone()), why, backoff, self.now());
    }

    /// What holds back every push is told once for all, and less and less often.
    fn tell_seldom(&self, push: &OpenPush, why: &str) {
        let (now, mut pauses) = (self.now(), self.pauses());
        if pauses.held(&Paused::Telling, now) != Some(why) {
            waits(push, why);
            pauses.failed(Paused::Telling, why, Backoff::new(PAUSE, PAUSE_MAX), now);
        }
    }

    /// Trades an authorization code for tokens. It works once and for an hour: until then it is tried again where no answer
    /// says that it is used up, and after that the account is looked up.
    async fn trade(&self, push: &OpenPush, sealed: &[u8], component: &Kept) -> Result<Left, Missing> {
        let appid = &push.appid;
        if push.at + CODE_LIVES <= self.now() {
            return Ok(Left::LookUp);
        }
        let Ok(code) = self.opened("push", "code", appid, sealed) else { return Ok(Left::LookUp) };
        let Some(Ok(row)) = self.store.authorizer(appid).await? else { return Ok(Left::LookUp) };
        // A code works once: nobody else may try it at the same time.
        let claimant = self.claimant(row.generation);
        let claim = match self.store.claim(ClaimTable::Authorizer, appid, claimant.clone()).await {
            // Nothing can be written to this row until somebody has mended it: it holds up no other push.
            Err(error) if error.is_of_one_row() => {
                tracing::error!(event = "db.bad_row", table = "authorizer", id = appid, error = %error, "invalid row skipped; other rows are not affected");
                return Ok(Left::LookUp);
            }
            claim => claim?,
        };
        match claim {
            Claim::Ours => {}
            Claim::Taken | Claim::Newer | Claim::Gone => return Ok(Left::Soon),
        }
        let left = self.trade_claimed(push, &claimant, component, &code).await;
        self.store.release(ClaimTable::Authorizer, appid, &claimant.by).await?;
        left
    }

    async fn trade_claimed(
        &self,
        push: &OpenPush,
        claimant: &Claimant,
        component: &Kept,
        code: &SecretString,
    ) -> Result<Left, Missing> {
        let (appid, asked, seen) = (&push.appid, self.now(), self.memory().changes());
        let answer = self.client().query_auth(&component.token, code).await;
        self.heard(&answer).await?;
        let issued = match answer {
            Ok(issued) => issued,
            Err(error) => return self.trade_failed(component, error).await,
        };
        if issued.account.as_str() != appid {
            tracing::error!(event = "tokens.foreign_code", account = appid, of = %issued.account, "an authorization code belongs to another account");
            return Ok(Left::LookUp);
        }
        let (Some(access), Some(refresh)) = (issued.token, issued.refresh) else {
            // Whoever granted nothing gets no token; another one's may be in the list.
            let left = if issued.func_ids.is_empty() { Left::Nothing } else { Left::LookUp };
            let info = AuthorizerInfo { username: None, nickname: None, permissions: Some(issued.func_ids) };
            self.store.put_info(appid, info, self.now()).await?;
            return Ok(left);
        };
        let life = Life::new(appid, issued.lives.unwrap_or(LIFETIME), asked);
        let tokens = NewTokens {
            token: NewToken { sealed: self.sealed(TABLE, "token", appid, &access), life },
            refresh: Some(self.sealed(TABLE, "refresh", appid, &refresh)),
            permissions: Some(issued.func_ids),
        };
        // A newer push is a newer truth: then these tokens are thrown away.
        if self.store.push_traded(&push.id, appid, claimant.clone(), tokens).await? {
            let kept = Kept { token: token(access)?, life, generation: claimant.generation + 1 };
            self.keep_current(appid, kept, seen).await?;
            self.learn_name(component, appid).await;
            return Ok(Left::Nothing);
        }
        Ok(Left::LookUp)
    }

    async fn trade_failed(&self, component: &Kept, error: CallError) -> Result<Left, Missing> {
        // After a lost answer the code may be used up: then the next try says so.
        let CallError::Refused(refusal) = error else { return Ok(Left::Again(error.to_string())) };
        match ComponentRefusal::of(refusal.errcode) {
            ComponentRefusal::ComponentToken => {
                self.drop_component_token(component.generation).await?;
                Ok(Left::AgainBeforeOthers(refusal.to_string()))
            }
            // From now on this holds back every call.
            ComponentRefusal::Secret | ComponentRefusal::DayUsedUp | ComponentRefusal::Address => {
                self.component_refused(refusal).await?;
                Ok(Left::Soon)
            }
            ComponentRefusal::Ticket => Ok(Left::Again(self.component_refused(refusal).await?.to_string())),
            ComponentRefusal::Code | ComponentRefusal::Unauthorized | ComponentRefusal::RefreshToken => {
                Ok(Left::LookUp)
            }
            ComponentRefusal::Other => Ok(Left::Again(refusal.to_string())),
        }
    }

    /// Finds out whether an account is an authorizer, in place of a push that cannot say.
    async fn look_up(&self, push: &OpenPush, component: &Kept) -> Result<Left, Missing> {
        let appid = &push.appid;
        let in_vain = match self.find_listed(component, appid).await? {
            Found::Nowhere if self.pauses().is_lacked_again(&push.id) => {
                Some((61_003, "the account is not in the platform's list of authorizers, read twice"))
            }
            Found::Nowhere => return Ok(Left::Lacked),
            Found::Listed if self.lacks_refresh_token(appid).await? => Some((
                61_023,
                "its authorization code was used up without an answer, and the list of authorizers has no refresh token",
            )),
            Found::Listed => None,
            // The whole list may have its refresh token.
            Found::ByItself => {
                self.store.lacks_token(appid, self.now()).await?;
                None
            }
        };
        match in_vain {
            Some((errcode, errmsg)) => {
                let refusal = Refusal { errcode, errmsg: errmsg.to_owned() };
                self.store.looked_up_in_vain(push, refusal, self.now()).await?;
            }
            None => self.learn_name(component, appid).await,
        }
        self.memory().forget(appid);
        Ok(Left::Nothing)
    }

    /// Whether nothing is left by which a token could be fetched.
    async fn lacks_refresh_token(&self, appid: &str) -> Result<bool, Missing> {
        let row = self.store.authorizer(appid).await?;
        Ok(row.is_some_and(|row| row.is_ok_and(|row| row.refresh.is_none())))
    }
}

fn waits(push: &OpenPush, error: &str) {
    let account = &push.appid;
    tracing::warn!(event = "tokens.push_waits", account, error, "an authorization cannot be taken up yet; will retry");
}
