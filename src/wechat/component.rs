//! The component APIs of `WeChat`, as a third-party platform calls them for its own token and for its accounts'. Each
//! is sent once, and no error holds a secret of the call.
//!
//! <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/ThirdParty/token/component_access_token.html>
//! and the pages beside it. A call whose answer is lost may have been made all the same: a refresh token may have
//! changed, a code may have been used.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{
    answer::{CallError, kept, not_wechats, without},
    client::{self, BadClient, ClientConfig},
    errmsg,
    meters::{CallMeters, Fetched},
    token::Token,
    wire::component::{
        self as wire, Authorization, AuthorizerGrant, AuthorizerInfo, AuthorizerPage, ComponentGrant, Said,
    },
};
use crate::{domain::id::AccountId, net::secrets};

/// Rows that one page of the list may have
/// (<https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/ThirdParty/Account_Authorization/api_get_authorizer_list.html>).
pub const PAGE_ROWS_MAX: u16 = 500;

/// Bytes of an answer: 500 rows with a refresh token each, or an account's information with its lists of domains.
pub const ANSWER_BYTES_MAX: usize = 2 << 20;

/// A platform that calls `WeChat` in its own name. Cheap to clone; clones share connections. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Component {
    http: reqwest::Client,
    base: Url,
    appid: String,
    secret: SecretString,
    meters: Arc<CallMeters>,
}

/// Reads an answer: its status, its body and the secrets of the call.
type Read<T> = fn(StatusCode, &[u8], &[&str]) -> Result<T, CallError>;

impl Component {
    /// The platform with this appid and secret (`AppSecret`). It connects when it is first used.
    ///
    /// # Errors
    ///
    /// As [`client::Client::new`].
    pub fn new(config: &ClientConfig, appid: &str, secret: SecretString) -> Result<Self, BadClient> {
        let base = client::base_url(&config.base_url)?;
        let http = client::careful(config, &base)?;
        Ok(Self { http, base, appid: appid.to_owned(), secret, meters: Arc::default() })
    }

    /// The same platform, whose fetches of accounts' tokens are counted here.
    #[must_use]
    pub fn counting(self, meters: Arc<CallMeters>) -> Self {
        Self { meters, ..self }
    }

    /// Counts a fetch of an account's token.
    pub fn note_fetch(&self, fetched: &Result<AuthorizerGrant, CallError>, took: std::time::Duration) {
        let result = match fetched {
            Ok(_) => Fetched::Granted,
            Err(CallError::Refused(_)) => Fetched::Refused,
            Err(CallError::NoToken(_) | CallError::NotSent(_) | CallError::Lost(_) | CallError::Unreadable(_)) => {
                Fetched::Unavailable
            }
        };
        self.meters.tokens.note(result, took);
    }

    /// A token of the platform's own, for the newest ticket (`api_component_token`).
    ///
    /// # Errors
    ///
    /// Whatever came of the call that is no token. Never [`CallError::NoToken`].
    pub async fn component_token(&self, ticket: &SecretString) -> Result<ComponentGrant, CallError> {
        let secret = self.secret.expose_secret();
        let ticket = ticket.expose_secret();
        let sent = json!({
            "component_appid": self.appid, "component_appsecret": secret, "component_verify_ticket": ticket,
        });
        self.ask("api_component_token", None, &sent, &[ticket, secret], to_component_token).await
    }

    /// A new token for an account (`api_authorizer_token`). Store the refresh token that comes back.
    ///
    /// # Errors
    ///
    /// Whatever came of the call that is no token. Never [`CallError::NoToken`].
    pub async fn authorizer_token(
        &self,
        token: &Token,
        account: &AccountId,
        refresh: &SecretString,
    ) -> Result<AuthorizerGrant, CallError> {
        let refresh = refresh.expose_secret();
        let sent = json!({
            "component_appid": self.appid, "authorizer_appid": account, "authorizer_refresh_token": refresh,
        });
        self.ask("api_authorizer_token", Some(token), &sent, &[refresh], to_authorizer_token).await
    }

    /// Trades the code of an `authorized` push for the account's tokens (`api_query_auth`). A code works once.
    ///
    /// # Errors
    ///
    /// Whatever came of the call that is no authorization. Never [`CallError::NoToken`].
    pub async fn query_auth(&self, token: &Token, code: &SecretString) -> Result<Authorization, CallError> {
        let code = code.expose_secret();
        let sent = json!({ "component_appid": self.appid, "authorization_code": code });
        self.ask("api_query_auth", Some(token), &sent, &[code], to_authorization).await
    }

    /// A page of the accounts that authorized the platform (`api_get_authorizer_list`): `count` of them, at most
    /// [`PAGE_ROWS_MAX`], from the one at `offset`, counted from 0.
    ///
    /// # Errors
    ///
    /// Whatever came of the call that is no page. Never [`CallError::NoToken`].
    pub async fn authorizer_list(&self, token: &Token, offset: u64, count: u16) -> Result<AuthorizerPage, CallError> {
        let count = count.min(PAGE_ROWS_MAX);
        let sent = json!({ "component_appid": self.appid, "offset": offset, "count": count });
        self.ask("api_get_authorizer_list", Some(token), &sent, &[], to_authorizer_list).await
    }

    /// Who the account is, and what it granted (`api_get_authorizer_info`).
    ///
    /// # Errors
    ///
    /// Whatever came of the call that is no such information. Never [`CallError::NoToken`].
    pub async fn authorizer_info(&self, token: &Token, account: &AccountId) -> Result<AuthorizerInfo, CallError> {
        let sent = json!({ "component_appid": self.appid, "authorizer_appid": account });
        self.ask("api_get_authorizer_info", Some(token), &sent, &[], to_authorizer_info).await
    }

    /// Asks for tickets to be pushed from now on (`api_start_push_ticket`). It brings none itself.
    ///
    /// # Errors
    ///
    /// Whatever came of the call that is no success. Never [`CallError::NoToken`].
    pub async fn start_push_ticket(&self) -> Result<(), CallError> {
        // Here the same secret has another name
        // (<https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/ThirdParty/token/component_verify_ticket_service.html>).
        let secret = self.secret.expose_secret();
        let sent = json!({ "component_appid": self.appid, "component_secret": secret });
        self.ask("api_start_push_ticket", None, &sent, &[secret], to_start_push_ticket).await
    }

    /// Sends `sent` to the API of this name and reads the answer.
    async fn ask<T>(
        &self,
        name: &str,
        token: Option<&Token>,
        sent: &Value,
        secrets: &[&str],
        read: Read<T>,
    ) -> Result<T, CallError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/cgi-bin/component/{name}", self.base.path().trim_end_matches('/')));
        url.set_query(token.map(|token| format!("component_access_token={}", token.in_url())).as_deref());
        let secrets: Vec<&str> = secrets.iter().copied().chain(token.map(Token::expose)).collect();
        let request = client::post(&self.http, url, Bytes::from(sent.to_string()));
        let (status, body) = client::call(request, ANSWER_BYTES_MAX).await.map_err(|error| without(error, &secrets))?;
        read(status, &body, &secrets)
    }
}

/// What `api_component_token` answered; `secrets` are those of the call, and stand in no error.
///
/// # Errors
///
/// Anything but HTTP 200 with a token.
pub fn to_component_token(status: StatusCode, body: &[u8], secrets: &[&str]) -> Result<ComponentGrant, CallError> {
    answered(status, wire::component_token(body), secrets)
}

/// What `api_authorizer_token` answered; `secrets` are those of the call, and stand in no error.
///
/// # Errors
///
/// Anything but HTTP 200 with a token.
pub fn to_authorizer_token(status: StatusCode, body: &[u8], secrets: &[&str]) -> Result<AuthorizerGrant, CallError> {
    answered(status, wire::authorizer_token(body), secrets)
}

/// What `api_query_auth` answered; `secrets` are those of the call, and stand in no error.
///
/// # Errors
///
/// Anything but HTTP 200 with an account's authorization.
pub fn to_authorization(status: StatusCode, body: &[u8], secrets: &[&str]) -> Result<Authorization, CallError> {
    answered(status, wire::authorization(body), secrets)
}

/// What `api_get_authorizer_list` answered; `secrets` are those of the call, and stand in no error.
///
/// # Errors
///
/// Anything but HTTP 200 with a page of the list.
pub fn to_authorizer_list(status: StatusCode, body: &[u8], secrets: &[&str]) -> Result<AuthorizerPage, CallError> {
    answered(status, wire::authorizers(body), secrets)
}

/// What `api_get_authorizer_info` answered; `secrets` are those of the call, and stand in no error.
///
/// # Errors
///
/// Anything but HTTP 200 with an account's information.
pub fn to_authorizer_info(status: StatusCode, body: &[u8], secrets: &[&str]) -> Result<AuthorizerInfo, CallError> {
    answered(status, wire::info(body), secrets)
}

/// What `api_start_push_ticket` answered; `secrets` are those of the call, and stand in no error.
///
/// # Errors
///
/// Anything but HTTP 200 with an object and no code but 0.
pub fn to_start_push_ticket(status: StatusCode, body: &[u8], secrets: &[&str]) -> Result<(), CallError> {
    answered(status, wire::done(body), secrets)
}

fn answered<T>(status: StatusCode, said: Said<T>, secrets: &[&str]) -> Result<T, CallError> {
    if status != StatusCode::OK {
        return Err(not_wechats(status));
    }
    match said {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(refusal)) => Err(CallError::Refused(kept(&refusal, secrets))),
        // A fault may quote what the answer holds, and that may be a secret that nobody knows yet.
        Err(fault) => {
            let unquoted = secrets::without_secrets(&secrets::without_all(&fault.to_string(), secrets));
            Err(CallError::Unreadable(errmsg::fault_without(&unquoted, secrets)))
        }
    }
}
