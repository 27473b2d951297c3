//! Answers whoever asks for tokens: polls and calls, through the channel that the client of `WeChat` knows.

use std::time::Duration;

use secrecy::SecretString;

use super::{TokenKeeper, memory::Missing};
use crate::{
    domain::{errcode::Refusal, id::AccountId},
    store::StoreError,
    wechat::{
        Token, TokenError,
        token::{Ask, Asks},
    },
};

impl TokenKeeper {
    /// Answers until nobody can ask any more: polls under way still get their tokens.
    pub async fn serve(&self, mut asks: Asks) {
        while let Some(ask) = asks.recv().await {
            match ask {
                Ask::Refused { account, token } => self.refused(account.as_str(), &token),
                Ask::Token { account, answer } => {
                    if let Some(token) = self.0.memory().fresh(account.as_str(), self.0.now()) {
                        // Whoever asked may have gone.
                        let _ = answer.send(Ok(token));
                        continue;
                    }
                    let keeper = self.clone();
                    tokio::spawn(async move { answer.send(keeper.get(&account).await) });
                }
            }
        }
    }

    /// The account's token, as it is on disk.
    ///
    /// # Errors
    /// [`TokenError`]: there is none for now, or `WeChat` says no.
    pub async fn get(&self, account: &AccountId) -> Result<Token, TokenError> {
        self.token(account.as_str()).await.map_err(TokenError::from)
    }

    /// Fetches of tokens that have not ended.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.0.memory().flights.len()
    }

    /// `WeChat` refused this token: it is dropped if it is still the one on disk, at most once a minute.
    pub fn refused(&self, appid: &str, token: &Token) {
        self.0.memory().doubt(appid, token);
    }
}

impl From<Missing> for TokenError {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Refused(refusal) => Self::Refused(refusal),
            Missing::Later(why) => Self::Unavailable(why),
        }
    }
}

/// A token for another system.
#[derive(Debug)]
pub struct Served {
    /// The token.
    pub token: SecretString,
    /// How long it lives from now on.
    pub expires_in: Duration,
}

/// Why another system gets none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServeError {
    /// Nobody ever heard of this account.
    Unknown,
    /// It is not authorized, as `WeChat` says.
    Refused(Refusal),
    /// There is none for now.
    Later(String),
}

impl TokenKeeper {
    /// The account's token for another system, with its lifetime. One that nobody heard of stays unknown.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn serve_one(&self, account: &AccountId) -> Result<Served, ServeError> {
        let (appid, inner) = (account.as_str(), &self.0);
        let later = |error: StoreError| ServeError::Later(error.to_string());
        if !inner.memory().holds(appid) && inner.store.authorizer(appid).await.map_err(later)?.is_none() {
            return Err(ServeError::Unknown);
        }
        let token = self.token(appid).await.map_err(|missing| match missing {
            Missing::Refused(refusal) => ServeError::Refused(refusal),
            Missing::Later(why) => ServeError::Later(why),
        })?;
        let until =
            inner.memory().until(appid).ok_or_else(|| ServeError::Later("the token was just dropped".into()))?;
        Ok(Served { token: token.secret(), expires_in: inner.now().until(until) })
    }

    /// A caller met a refusal with the token of this digest: dropped as [`Self::refused`] does.
    pub async fn refused_digest(&self, account: &AccountId, sha256: &str) {
        let appid = account.as_str();
        // The one that is on disk, should memory not hold it.
        if let Ok(token) = self.token(appid).await
            && token.has_digest(sha256)
        {
            self.refused(appid, &token);
        }
    }
}
