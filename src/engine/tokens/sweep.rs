//! The list of authorizers: read to its end when a refresh token is lost, at most once an hour and a page at a time, or
//! when an operator asks; read until an account is found when a push cannot say how it stands.

use std::time::Duration;

use super::{
    CALLS_PER_DAY, Inner, TokenKeeper,
    component::later,
    memory::{Kept, Missing},
    pushes::Tended,
    refresh::TABLE,
};
use crate::{
    domain::{authorizer::ComponentRefusal, time::Time},
    store::{
        StoreError,
        write::{authorizer_list::ListedAuthorizer, component::Counted},
    },
    wechat::{AuthorizerPage, CallError, component::PAGE_ROWS_MAX},
};

/// How long after one sweep the next may begin.
const SWEEP_EVERY: Duration = Duration::from_hours(1);

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
    /// Reads the whole list of authorizers, on an operator's word: an existing platform moves in with it.
    ///
    /// # Errors
    /// A sentence that says what stands in the way; what was read by then is kept.
    pub async fn sync(&self) -> Result<Synced, String> {
        let inner = &self.0;
        let mut found = Synced::default();
        let said = |error: StoreError| error.to_string();
        let row = inner.store.component(inner.appid()).await.map_err(said)?.ok_or("the component is gone")?;
        // It is not the hour's sweep: one that is needed soon after does not wait for it.
        let began = row.swept_at.unwrap_or_default();
        let mut offset = row.sweep_offset.and_then(|offset| u64::try_from(offset).ok()).unwrap_or(0);
        let from = i64::try_from(offset).unwrap_or(i64::MAX);
        inner.store.put_sweep(inner.appid(), began, Some(from)).await.map_err(said)?;
        while let Some(page) = inner.sweep_page(began, offset).await.map_err(|missing| missing.to_string())? {
            offset += page.listed;
            found.listed += page.listed;
            found.without_token += page.without_token;
        }
        Ok(found)
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
        match self.sweep_page(began, u64::try_from(offset).unwrap_or(0)).await {
            Ok(None) => Ok(Tended::All),
            Ok(Some(_)) => Ok(Tended::Part),
            Err(missing) => {
                tracing::warn!(event = "tokens.sweep_waits", error = %missing, "the list of authorizers cannot be read yet; will retry");
                Ok(Tended::Part)
            }
        }
    }

    /// Reads a page; `None` when there is none left, and the sweep is done.
    async fn sweep_page(&self, began: Time, offset: u64) -> Result<Option<PageRead>, Missing> {
        let component = self.component_token().await?;
        let page = self.listed_page(&component, offset).await?;
        let listed = page.rows as u64;
        let without_token = page.listed.iter().filter(|entry| entry.refresh.is_none()).count() as u64;
        self.keep_page(page).await?;
        if listed > 0 {
            let next = i64::try_from(offset + listed).unwrap_or(i64::MAX);
            self.store.put_sweep(self.appid(), began, Some(next)).await?;
            return Ok(Some(PageRead { listed, without_token }));
        }
        // The whole list was read: whoever still lacks a refresh token must authorize anew.
        let lacking = self.store.give_up_lacking(began, self.now()).await?;
        self.store.put_sweep(self.appid(), began, None).await?;
        tracing::info!(event = "tokens.swept", lacking, "the list of authorizers was read to its end");
        Ok(None)
    }

    /// Whether an account is in the list; what was read on the way is kept.
    pub(super) async fn find_listed(&self, component: &Kept, appid: &str) -> Result<bool, Missing> {
        let mut offset = 0;
        loop {
            let page = self.listed_page(component, offset).await?;
            let count = page.rows as u64;
            let is_there = page.listed.iter().any(|entry| entry.account.as_str() == appid);
            self.keep_page(page).await?;
            if is_there || count == 0 {
                return Ok(is_there);
            }
            offset += count;
        }
    }

    async fn listed_page(&self, component: &Kept, offset: u64) -> Result<AuthorizerPage, Missing> {
        if !self.store.count_component_call(self.appid(), Counted::Call, CALLS_PER_DAY, self.now()).await? {
            return Err(later("the day's own cap of component calls is reached"));
        }
        match self.client.authorizer_list(&component.token, offset, PAGE).await {
            Ok(page) => Ok(page),
            Err(CallError::Refused(refusal)) => {
                if ComponentRefusal::of(refusal.errcode) == ComponentRefusal::ComponentToken {
                    self.drop_component_token(component.generation).await?;
                    return Err(Missing::Later(refusal.to_string()));
                }
                Err(self.component_refused(refusal).await?)
            }
            Err(error) => Err(Missing::Later(error.to_string())),
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
