//! The list of authorizers: read to its end when a refresh token is lost, at most once an hour and a page at a time, or
//! when an operator asks; read until an account is found when a push cannot say how it stands.

use std::time::Duration;

use super::{
    Inner, LOOKUPS_PER_DAY, PAUSE, PAUSE_MAX, TokenKeeper,
    component::later,
    memory::{Kept, Missing},
    pauses::Paused,
    pushes::{Found, Tended},
    refresh::TABLE,
};
use crate::{
    domain::{
        authorizer::{ComponentRefusal, LIST_CALLS_PER_DAY, SWEEP_CALLS_PER_DAY},
        backoff::Backoff,
        id::BadId,
        time::Time,
    },
    shutdown::Shutdown,
    store::{
        StoreError,
        write::{authorizer_list::ListedAuthorizer, component::Counted},
    },
    wechat::{AuthorizerPage, CallError, component::PAGE_ROWS_MAX},
};

/// How long after one sweep the next may begin.
const SWEEP_EVERY: Duration = Duration::from_hours(1);

/// Pauses of the list after it could not be read.
const BACKOFF: Backoff = Backoff::new(PAUSE, PAUSE_MAX);

/// Pages that are read to find one account; further on it is asked about by itself.
const LOOK_UP_PAGES: u64 = 20;

/// Rows of a page, as many as `WeChat` gives.
const PAGE: u16 = PAGE_ROWS_MAX;

/// What a sync found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Synced {
    /// Accounts in the list.
    pub listed: u64,
    /// Of these, without a refresh token.
    pub without_token: u64,
}

impl TokenKeeper {
    /// Reads the whole list of authorizers, on an operator's word: an existing platform moves in with it. `None` when the end
    /// was asked for before the list was read to its own; the next process goes on.
    ///
    /// # Errors
    /// A sentence that says what stands in the way; what was read by then is kept.
    pub async fn sync(&self, shutdown: &Shutdown) -> Result<Option<Synced>, String> {
        let inner = &self.0;
        let mut found = Synced::default();
        let said = |error: StoreError| error.to_string();
        let row = inner.store.component(inner.appid()).await.map_err(said)?.ok_or("the component is gone")?;
        // It is not the hour's sweep: one that is needed soon after does not wait for it.
        let began = row.swept_at.unwrap_or_default();
        // Whoever asks wants it tried.
        inner.pauses().ended(&Paused::List);
        let mut offset = row.sweep_offset.and_then(|offset| u64::try_from(offset).ok()).unwrap_or(0);
        let from = i64::try_from(offset).unwrap_or(i64::MAX);
        inner.store.put_sweep(inner.appid(), began, Some(from)).await.map_err(said)?;
        while let Some(page) =
            inner.sweep_page(began, offset, LIST_CALLS_PER_DAY).await.map_err(|missing| missing.to_string())?
        {
            offset += page.listed;
            found.listed += page.listed;
            found.without_token += page.without_token;
            if shutdown.asked() {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }
}

/// What a page held.
struct PageRead {
    listed: u64,
    without_token: u64,
}

impl Inner {
    /// The next page of a sweep, when one is under way or needed and allowed.
    pub(super) async fn sweep_if_needed(&self) -> Result<Tended, StoreError> {
        let Some(row) = self.store.component(self.appid()).await? else { return Ok(Tended::All) };
        let now = self.now();
        if self.pauses().held(&Paused::Sweep, now).is_some() {
            return Ok(Tended::All);
        }
        let (began, offset) = match (row.swept_at, row.sweep_offset) {
            (Some(began), Some(offset)) => (began, offset),
            (began, _) => {
                let is_too_soon = began.is_some_and(|began| began <= now && began + SWEEP_EVERY > now);
                if is_too_soon || !self.store.lacks_refresh_tokens().await? {
                    return Ok(Tended::All);
                }
                (now, 0)
            }
        };
        let read = self.sweep_page(began, u64::try_from(offset).unwrap_or(0), SWEEP_CALLS_PER_DAY).await;
        if read.is_ok() {
            self.pauses().ended(&Paused::Sweep);
        }
        match read {
            Ok(None) => Ok(Tended::All),
            Ok(Some(_)) => Ok(Tended::Part),
            Err(missing) => {
                self.pauses().failed(Paused::Sweep, &missing.to_string(), BACKOFF, now);
                tracing::warn!(event = "tokens.sweep_waits", error = %missing, "the list of authorizers cannot be read yet; will retry");
                Ok(Tended::Part)
            }
        }
    }

    /// Reads a page while the day has had fewer than `most` calls; `None` when there is none left, and the sweep is done.
    async fn sweep_page(&self, began: Time, offset: u64, most: i64) -> Result<Option<PageRead>, Missing> {
        let component = self.component_token().await?;
        let page = self.listed_page(&component, offset, most).await?;
        let listed = page.rows as u64;
        if listed > 0 && offset > page.total + u64::from(PAGE) {
            let why = format!("the list of authorizers goes on beyond its total_count of {}", page.total);
            self.pauses().failed(Paused::List, &why, BACKOFF, self.now());
            // From its beginning, an hour from now.
            self.store.put_sweep(self.appid(), self.now(), None).await?;
            return Err(Missing::Later(why));
        }
        let without_token = page.listed.iter().filter(|entry| entry.refresh.is_none()).count() as u64;
        self.keep_page(page).await?;
        if listed > 0 {
            let next = i64::try_from(offset + listed).unwrap_or(i64::MAX);
            self.store.put_sweep(self.appid(), began, Some(next)).await?;
            return Ok(Some(PageRead { listed, without_token }));
        }
        // The whole list was read: whoever still lacks a refresh token must authorize anew.
        let lacking = self.store.give_up_lacking(began, self.now()).await?;
        if lacking > 0 {
            self.memory().forget_all();
        }
        self.store.put_sweep(self.appid(), began, None).await?;
        tracing::info!(event = "tokens.swept", lacking, "the list of authorizers was read to its end");
        Ok(None)
    }

    /// Finds an account in the list; what was read on the way is kept. Of a long list the beginning is read, and beyond it the
    /// account is asked about by itself.
    pub(super) async fn find_listed(&self, component: &Kept, appid: &str) -> Result<Found, Missing> {
        let mut offset = 0;
        for _ in 0..LOOK_UP_PAGES {
            let page = self.listed_page(component, offset, LIST_CALLS_PER_DAY).await?;
            let count = page.rows as u64;
            let is_there = page.listed.iter().any(|entry| entry.account.as_str() == appid);
            self.keep_page(page).await?;
            if is_there {
                return Ok(Found::Listed);
            }
            if count == 0 {
                return Ok(Found::Nowhere);
            }
            offset += count;
        }
        Ok(if self.is_authorized(component, appid).await? { Found::ByItself } else { Found::Nowhere })
    }

    /// Whether an account is an authorizer, as `api_get_authorizer_info` says.
    async fn is_authorized(&self, component: &Kept, appid: &str) -> Result<bool, Missing> {
        let account = appid.parse().map_err(|bad: BadId| Missing::Later(bad.to_string()))?;
        if !self.store.count_component_call(self.appid(), Counted::Lookup, LOOKUPS_PER_DAY, self.now()).await? {
            return Err(later("the day's own cap of calls about single accounts is reached"));
        }
        let answer = self.client().authorizer_info(&component.token, &account).await;
        self.heard(&answer).await?;
        match answer {
            Ok(_) => Ok(true),
            Err(CallError::Refused(refusal))
                if ComponentRefusal::of(refusal.errcode) == ComponentRefusal::Unauthorized =>
            {
                Ok(false)
            }
            Err(error) => Err(self.look_up_failed(component, error).await?),
        }
    }

    async fn listed_page(&self, component: &Kept, offset: u64, most: i64) -> Result<AuthorizerPage, Missing> {
        if let Some(why) = self.pauses().held(&Paused::List, self.now()) {
            return Err(Missing::Later(format!("the list of authorizers could not be read: {why}")));
        }
        if !self.store.count_component_call(self.appid(), Counted::Call, most, self.now()).await? {
            return Err(later(
                "the list of authorizers has had its part of the day's own cap of component calls: it goes on the next \
                 Beijing day",
            ));
        }
        let answer = self.client().authorizer_list(&component.token, offset, PAGE).await;
        self.heard(&answer).await?;
        match answer {
            Ok(page) => {
                self.pauses().ended(&Paused::List);
                Ok(page)
            }
            Err(error) => {
                self.pauses().failed(Paused::List, &error.to_string(), BACKOFF, self.now());
                Err(self.look_up_failed(component, error).await?)
            }
        }
    }

    /// What came of a call about authorizers in place of an answer. What is refused to the platform as a whole holds back
    /// every call; anything else these calls alone: tokens are renewed as ever.
    async fn look_up_failed(&self, component: &Kept, error: CallError) -> Result<Missing, Missing> {
        let CallError::Refused(refusal) = error else { return Ok(Missing::Later(error.to_string())) };
        match ComponentRefusal::of(refusal.errcode) {
            ComponentRefusal::ComponentToken => {
                self.drop_component_token(component.generation).await?;
                Ok(Missing::Later(refusal.to_string()))
            }
            ComponentRefusal::Ticket
            | ComponentRefusal::Secret
            | ComponentRefusal::DayUsedUp
            | ComponentRefusal::Address => self.component_refused(refusal).await,
            ComponentRefusal::RefreshToken
            | ComponentRefusal::Unauthorized
            | ComponentRefusal::Code
            | ComponentRefusal::Other => Ok(Missing::Later(refusal.to_string())),
        }
    }

    async fn keep_page(&self, page: AuthorizerPage) -> Result<(), StoreError> {
        let listed = page.listed.into_iter().map(|entry| ListedAuthorizer {
            refresh: entry.refresh.map(|refresh| self.sealed(TABLE, "refresh", entry.account.as_str(), &refresh)),
            appid: entry.account.to_string(),
            // One that is not said is older than any.
            auth_time: entry.authorized.unwrap_or_default(),
        });
        self.store.put_listed(listed.collect(), self.now()).await
    }
}
