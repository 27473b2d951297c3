//! Answers whoever asks for tokens: polls and calls, through the channel that the client of `WeChat` knows.

use secrecy::SecretString;

use super::{
    TokenKeeper,
    memory::{Doubt, Missing},
};
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
        self.token(account.as_str()).await.map(|kept| kept.token).map_err(TokenError::from)
    }

    /// Fetches of tokens that have not ended.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.0.memory().flights.len()
    }

    /// `WeChat` refused this token: it is dropped if it is still the one on disk, at most once a minute.
    pub fn refused(&self, appid: &str, token: &Token) {
        self.0.memory().doubt(appid, token, Doubt::Met);
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
    /// How many seconds it lives from now on, at least [`SERVED_SECONDS_MIN`].
    pub expires_in: u128,
}

/// A token that ends sooner is served to nobody: callers keep nothing for a shorter time.
pub const SERVED_SECONDS_MIN: u128 = 60;

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

impl From<StoreError> for ServeError {
    fn from(error: StoreError) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<Missing> for ServeError {
    fn from(missing: Missing) -> Self {
        let is_of_account = missing.is_of_account();
        match missing {
            Missing::Refused(refusal) if is_of_account => Self::Refused(refusal),
            // WeChat's text holds our address, and that is no business of a caller's.
            Missing::Refused(_) => Self::Later("WeChat refuses the address of amplinkd (61004)".to_owned()),
            Missing::Later(why) => Self::Later(why),
        }
    }
}

impl TokenKeeper {
    /// The account's token for another system, with its lifetime. One that nobody heard of stays unknown.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn serve_one(&self, account: &AccountId) -> Result<Served, ServeError> {
        let (appid, inner) = (account.as_str(), &self.0);
        let is_held = inner.memory().held(appid).is_some();
        if !is_held && inner.store.authorizer(appid).await?.is_none() {
            return Err(ServeError::Unknown);
        }
        let kept = self.token(appid).await?;
        let expires_in = inner.now().until(kept.life.until).as_millis().div_ceil(1_000);
        if expires_in < SERVED_SECONDS_MIN {
            return Err(ServeError::Later("the token is about to end, and could not be renewed yet".to_owned()));
        }
        Ok(Served { token: kept.token.secret(), expires_in })
    }

    /// A caller met a refusal with the token of this digest: if it is the one on disk, it is renewed now, at most once a
    /// minute, and serves until then.
    pub async fn refused_digest(&self, account: &AccountId, sha256: &str) {
        let appid = account.as_str();
        let held = self.0.memory().held(appid);
        let token = match held {
            Some(token) => Some(token),
            None => self.on_disk(appid).await,
        };
        if let Some(token) = token.filter(|token| token.has_digest(sha256)) {
            self.0.memory().doubt(appid, &token, Doubt::Told);
        }
    }

    /// The token of the row, however old; `None` also when it cannot be read, which is found out when it is asked for.
    async fn on_disk(&self, appid: &str) -> Option<Token> {
        let row = self.0.store.authorizer(appid).await.ok()??.ok()?;
        self.0.kept_of(&row).ok()?.map(|kept| kept.token)
    }
}
