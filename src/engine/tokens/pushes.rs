//! What `WeChat` tells of the ticket and of authorizations: written down, with all that it means, before it is answered;
//! codes are traded for tokens right after.

use std::time::Duration;

use secrecy::SecretString;

use super::{
    Inner, LIFETIME, LOOKUPS_PER_DAY, TokenKeeper,
    component::token,
    memory::{Kept, Missing, Unanswered},
    refresh::TABLE,
};
use crate::{
    domain::{
        authorizer::{AuthorizationEvent, ComponentRefusal, Life},
        errcode::Refusal,
    },
    shutdown::Shutdown,
    store::{
        StoreError,
        write::{
            authorizer::{AuthorizerInfo, NewTokens},
            claim::{Claim, ClaimTable, Claimant},
            component::{Counted, NewToken},
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

/// What is left to be done about a push.
enum Left {
    Nothing,
    /// The account is to be looked up in place of its code.
    LookUp,
    /// It is tried again later; others are not held up.
    Again(String),
    /// It is tried again in a moment, and the others after it.
    AgainBeforeOthers(String),
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
            let pause = match self.tend_once().await {
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

    /// Does what is to be done about pushes and the list now.
    ///
    /// # Errors
    /// [`StoreError`]: the rest is done next time.
    pub async fn tend_once(&self) -> Result<Tended, StoreError> {
        let pushes = self.tend_pushes().await?;
        let sweep = self.0.sweep_if_needed().await?;
        let task = self.do_task().await?;
        let is_all = [pushes, sweep, task].into_iter().all(|tended| tended == Tended::All);
        Ok(if is_all { Tended::All } else { Tended::Part })
    }

    async fn tend_pushes(&self) -> Result<Tended, StoreError> {
        let pushes = self.0.store.open_pushes(PAGE).await?;
        let mut tended = if pushes.len() < PAGE as usize { Tended::All } else { Tended::Part };
        for push in pushes {
            let left = match &push.code {
                Some(sealed) => self.0.trade(&push, sealed).await,
                None => self.0.look_up(&push).await,
            };
            match left {
                Ok(Left::Nothing) => self.0.store.push_done(&push.id, self.0.now()).await?,
                Ok(Left::LookUp) => {
                    tended = Tended::Part;
                    self.0.store.push_to_look_up(&push.id).await?;
                }
                Ok(Left::Again(why)) => {
                    tended = Tended::Part;
                    waits(&push, &why);
                }
                Ok(Left::AgainBeforeOthers(why)) => {
                    waits(&push, &why);
                    return Ok(Tended::Part);
                }
                // What is wrong with the platform is wrong for all of them, and rarely over in a moment; a ticket wakes us.
                Err(missing) => {
                    waits(&push, &missing.to_string());
                    return Ok(tended);
                }
            }
        }
        Ok(tended)
    }
}

impl Inner {
    /// Trades an authorization code for tokens. It works once and for an hour: whatever is left unclear is looked up.
    async fn trade(&self, push: &OpenPush, sealed: &[u8]) -> Result<Left, Missing> {
        let appid = &push.appid;
        let Ok(code) = self.opened("push", "code", appid, sealed) else { return Ok(Left::LookUp) };
        let component = self.component_token().await?;
        let Some(Ok(row)) = self.store.authorizer(appid).await? else { return Ok(Left::LookUp) };
        // A code works once: nobody else may try it at the same time.
        let claimant = self.claimant(row.generation);
        match self.store.claim(ClaimTable::Authorizer, appid, claimant.clone()).await? {
            Claim::Ours => {}
            Claim::Taken | Claim::Newer | Claim::Gone => {
                return Ok(Left::Again("another process is taking it up".to_owned()));
            }
        }
        let left = self.trade_claimed(push, &claimant, &component, &code).await;
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
        let (appid, asked) = (&push.appid, self.now());
        let issued = match self.client.query_auth(&component.token, code).await {
            Ok(issued) => issued,
            Err(error) => return self.trade_failed(component, error).await,
        };
        if issued.account.as_str() != appid {
            tracing::error!(event = "tokens.foreign_code", account = appid, of = %issued.account, "an authorization code belongs to another account");
            return Ok(Left::LookUp);
        }
        let (Some(access), Some(refresh)) = (issued.token, issued.refresh) else {
            // Whoever granted nothing gets no token.
            let info = AuthorizerInfo { username: None, nickname: None, permissions: Some(issued.func_ids) };
            self.store.put_info(appid, info, self.now()).await?;
            return Ok(Left::Nothing);
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
            self.memory().keep(appid, kept, self.now());
            self.learn_name(component, appid).await;
            return Ok(Left::Nothing);
        }
        Ok(Left::LookUp)
    }

    async fn trade_failed(&self, component: &Kept, error: CallError) -> Result<Left, Missing> {
        let refusal = match error {
            CallError::NotSent(why) => return Err(Missing::Later(why)),
            // It may be used up.
            CallError::Lost(_) | CallError::Unreadable(_) | CallError::NoToken(_) => return Ok(Left::LookUp),
            CallError::Refused(refusal) => refusal,
        };
        match ComponentRefusal::of(refusal.errcode) {
            ComponentRefusal::ComponentToken => {
                self.drop_component_token(component.generation).await?;
                Ok(Left::AgainBeforeOthers(refusal.to_string()))
            }
            ComponentRefusal::Ticket
            | ComponentRefusal::Secret
            | ComponentRefusal::DayUsedUp
            | ComponentRefusal::Address => Err(self.component_refused(refusal).await?),
            ComponentRefusal::Code
            | ComponentRefusal::Unauthorized
            | ComponentRefusal::RefreshToken
            | ComponentRefusal::Other => Ok(Left::LookUp),
        }
    }

    /// Finds out whether an account is an authorizer, in place of a push that cannot say.
    async fn look_up(&self, push: &OpenPush) -> Result<Left, Missing> {
        let appid = &push.appid;
        let component = self.component_token().await?;
        let in_vain = if !self.find_listed(&component, appid).await? {
            Some((61_003, "the account is not in the platform's list of authorizers"))
        } else if self.lacks_refresh_token(appid).await? {
            Some((
                61_023,
                "its authorization code was used up without an answer, and the list of authorizers has no refresh token",
            ))
        } else {
            None
        };
        match in_vain {
            Some((errcode, errmsg)) => {
                let refusal = Refusal { errcode, errmsg: errmsg.to_owned() };
                self.store.looked_up_in_vain(push, refusal, self.now()).await?;
            }
            None => self.learn_name(&component, appid).await,
        }
        self.memory().forget(appid);
        Ok(Left::Nothing)
    }

    /// Whether nothing is left by which a token could be fetched.
    async fn lacks_refresh_token(&self, appid: &str) -> Result<bool, Missing> {
        let row = self.store.authorizer(appid).await?;
        Ok(row.is_some_and(|row| row.is_ok_and(|row| row.refresh.is_none())))
    }

    /// Learns an authorizer's `gh_` name and permissions; without them things go on, so that what fails is only told.
    pub(super) async fn learn_name(&self, component: &Kept, appid: &str) {
        let Ok(account) = appid.parse() else { return };
        let counted = self.store.count_component_call(self.appid(), Counted::Lookup, LOOKUPS_PER_DAY, self.now()).await;
        if !matches!(counted, Ok(true)) {
            return;
        }
        let learned = match self.client.authorizer_info(&component.token, &account).await {
            Ok(info) => {
                let info = AuthorizerInfo {
                    username: info.username,
                    nickname: info.nickname,
                    permissions: Some(info.func_ids),
                };
                self.store.put_info(appid, info, self.now()).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = learned {
            tracing::warn!(event = "tokens.no_info", account = appid, error, "could not learn an authorizer's name");
        }
    }
}

fn waits(push: &OpenPush, error: &str) {
    let account = &push.appid;
    tracing::warn!(event = "tokens.push_waits", account, error, "an authorization cannot be taken up yet; will retry");
}
