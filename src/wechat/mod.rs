//! The client of `WeChat`, and where tokens come from.
//!
//! [`Wechat`] is the entry point. [`client`] makes the calls, [`token`] finds what to call with, [`answer`] is what
//! comes back, [`errmsg`] parses the text next to a code, [`meters`] counts. Of a third-party platform, [`callback`] reads what is pushed to
//! it ([`crypt`] verifies and decrypts that), and [`component`] makes the calls in its own name.

use std::sync::Arc;

use tracing::instrument;

use crate::domain::{
    errcode::Class,
    id::{AccountId, ProgramId},
};

pub mod answer;
pub mod callback;
pub mod client;
pub mod component;
pub mod crypt;
pub mod errmsg;
#[cfg(test)]
mod fixture;
pub mod meters;
pub mod token;
mod wire;

pub use crate::net::client::install_tls;
pub use answer::{CallError, RawListing, ReadError};
pub use callback::{Push, PushRules};
pub use client::{BadClient, Client, ClientConfig, LinkOptions};
pub use component::Component;
pub use crypt::{AesKey, Crypt};
use meters::{Api, CallMeters, CallResult};
pub use token::{BadTokenSource, CommandSource, Grant, GrantNames, HttpSource, Token, TokenError, TokenSource, Tokens};
pub use wire::{
    ITEMS_MAX,
    component::{Authorization, AuthorizerGrant, AuthorizerInfo, AuthorizerPage, ComponentGrant, ListedAuthorizer},
};

/// The client with its tokens. When `WeChat` says that a token is bad, it is replaced once per call. A call refused for
/// its token did nothing, so this repeats nothing that may have happened.
#[derive(Debug, Clone)]
pub struct Wechat {
    client: Client,
    tokens: Tokens,
}

impl Wechat {
    /// Joins both.
    #[must_use]
    pub fn new(client: Client, tokens: Tokens) -> Self {
        tokens.count_in(Arc::clone(client.meters()));
        Self { client, tokens }
    }

    /// The same client with these tokens.
    #[must_use]
    pub fn with_tokens(self, tokens: Tokens) -> Self {
        Self { tokens, ..self }
    }

    /// What is counted of its calls and its tokens.
    #[must_use]
    pub const fn meters(&self) -> &Arc<CallMeters> {
        self.client.meters()
    }

    /// The same client, which goes on counting where another one does.
    #[must_use]
    pub fn counting(self, meters: Arc<CallMeters>) -> Self {
        self.tokens.count_in(Arc::clone(&meters));
        Self { client: self.client.counting(meters), ..self }
    }

    /// The tokens, to drop one that a listing read later turned out to refuse.
    #[must_use]
    pub const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Asks for every program of the account. See [`Client::listing`].
    ///
    /// # Errors
    ///
    /// No token, or whatever came of the call.
    #[instrument(name = "wechat.listing", level = "debug", skip_all, fields(account = %account))]
    pub async fn listing(&self, account: &AccountId) -> Result<RawListing, CallError> {
        let token = self.token_for(account).await.inspect_err(|_| self.not_sent(Api::Listing))?;
        match self.timed(Api::Listing, self.client.listing(&token)).await {
            Err(refused) if token_is_bad(&refused) => {
                let token = self.renewed(account, &token, refused).await?;
                let answered = self.timed(Api::Listing, self.client.listing(&token)).await;
                self.unless_refused(account, &token, answered)
            }
            answered => answered,
        }
    }

    /// A token for a call that changes something: have it before you record the intent to call, so that no token means
    /// no intent.
    ///
    /// # Errors
    ///
    /// [`CallError::NoToken`] only.
    #[instrument(name = "wechat.ticket", level = "debug", skip_all, fields(account = %account))]
    pub async fn token_for(&self, account: &AccountId) -> Result<Token, CallError> {
        self.tokens.get(account).await.map_err(CallError::NoToken)
    }

    /// Invites the administrators to link the program to the account. See [`Client::link`].
    #[instrument(name = "wechat.link", level = "debug", skip_all, fields(account = %account, program = %program))]
    pub async fn link(
        &self,
        account: &AccountId,
        token: &Token,
        program: &ProgramId,
        options: LinkOptions,
    ) -> Result<(), CallError> {
        match self.timed(Api::Link, self.client.link(token, program, options)).await {
            Err(refused) if token_is_bad(&refused) => {
                let token = self.renewed(account, token, refused).await?;
                let answered = self.timed(Api::Link, self.client.link(&token, program, options)).await;
                self.unless_refused(account, &token, answered)
            }
            answered => answered,
        }
    }

    /// Asks to unlink the program from the account. See [`Client::unlink`].
    #[instrument(name = "wechat.unlink", level = "debug", skip_all, fields(account = %account, program = %program))]
    pub async fn unlink(&self, account: &AccountId, token: &Token, program: &ProgramId) -> Result<(), CallError> {
        match self.timed(Api::Unlink, self.client.unlink(token, program)).await {
            Err(refused) if token_is_bad(&refused) => {
                let token = self.renewed(account, token, refused).await?;
                let answered = self.timed(Api::Unlink, self.client.unlink(&token, program)).await;
                self.unless_refused(account, &token, answered)
            }
            answered => answered,
        }
    }

    /// A call, and how long it took.
    async fn timed<T>(&self, api: Api, call: impl Future<Output = T>) -> T {
        let begun = self.tokens.clock().monotonic();
        let answered = call.await;
        self.meters().took(api, self.tokens.clock().monotonic().saturating_sub(begun));
        answered
    }

    /// Counts a call that there was no token for.
    fn not_sent(&self, api: Api) {
        self.meters().count(api, CallResult::NotSent);
    }

    /// Another token in place of the bad one; the refusal itself when the source has no other.
    async fn renewed(&self, account: &AccountId, bad: &Token, refused: CallError) -> Result<Token, CallError> {
        self.tokens.invalidate(account, bad);
        let token = self.token_for(account).await?;
        if token == *bad { self.unless_refused(account, bad, Err(refused)) } else { Ok(token) }
    }

    /// What the call with the token that came in its place is answered; one that is refused as well serves no later call
    /// where this process keeps the tokens. A service outside is asked for one more at the next call: once a call is enough.
    fn unless_refused<T>(
        &self,
        account: &AccountId,
        token: &Token,
        answered: Result<T, CallError>,
    ) -> Result<T, CallError> {
        if self.tokens.are_asked_for() && answered.as_ref().is_err_and(token_is_bad) {
            self.tokens.invalidate(account, token);
        }
        answered
    }
}

fn token_is_bad(error: &CallError) -> bool {
    match error {
        CallError::Refused(refusal) => refusal.class() == Class::TokenBad,
        CallError::NoToken(_) | CallError::NotSent(_) | CallError::Lost(_) | CallError::Unreadable(_) => false,
    }
}
