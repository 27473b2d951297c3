//! Users and API tokens.

use anyhow::bail;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::Value;

use super::desk::Desk;
use crate::{
    cli::{
        api_token::{self, Made},
        context::{ExitStatus, note},
        user,
    },
    domain::identity::Role,
    remote::{Pages, Query, Repeat, query::escaped},
};

const USERS: &str = "/api/v1/users";

const TOKENS: &str = "/api/v1/tokens";

#[derive(Serialize)]
struct NewUser<'u> {
    name: &'u str,
    role: &'static str,
    password: &'u str,
}

#[derive(Default, Serialize)]
struct UserPatch<'u> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'u str>,
}

#[derive(Debug, Serialize)]
struct NewToken<'t> {
    name: &'t str,
    role: &'static str,
    scopes: Vec<&'static str>,
    expires: String,
    /// Nobody's own, as a token that is made on the machine is.
    shared: bool,
}

/// Users.
pub(super) async fn users(desk: &Desk<'_>, command: user::Command) -> anyhow::Result<ExitStatus> {
    match command {
        user::Command::Add { name, role, password_file } => {
            let password = user::password(password_file.as_deref())?;
            desk.name_server();
            let new = NewUser { name: &name, role: role.as_str(), password: password.expose_secret() };
            desk.server.post::<Value>(USERS, &new, Repeat::Never).await?;
            desk.context.print_one(&user::Done { user: &name, done: "added" })?;
        }
        user::Command::List => {
            user::print(desk.context, Pages::whole(&desk.server, USERS, Query::new()).rest().await?, desk.now())?;
        }
        user::Command::Change { name, role, disable, enable } => {
            let disabled = (disable || enable).then_some(disable);
            let patch = UserPatch { role: role.map(Role::as_str), disabled, password: None };
            change(desk, &name, &patch, "changed").await?;
        }
        user::Command::Password { name, password_file } => {
            let password = user::password(password_file.as_deref())?;
            let patch = UserPatch { password: Some(password.expose_secret()), ..UserPatch::default() };
            change(desk, &name, &patch, "password changed").await?;
            note("sessions of this user ended, and the user's own API tokens are revoked");
        }
        user::Command::Remove { name } => {
            desk.name_server();
            match desk.server.delete(&format!("{USERS}/{}", escaped(&name))).await {
                Err(failure) if failure.is("not_found") => bail!(user::unknown(&name)),
                done => done?,
            }
            desk.context.print_one(&user::Done { user: &name, done: "removed" })?;
        }
    }
    Ok(ExitStatus::Success)
}

async fn change(desk: &Desk<'_>, name: &str, patch: &UserPatch<'_>, done: &'static str) -> anyhow::Result<()> {
    desk.name_server();
    match desk.server.patch::<Value>(&format!("{USERS}/{}", escaped(name)), patch).await {
        Err(failure) if failure.is("not_found") => bail!(user::unknown(name)),
        changed => changed.map(drop)?,
    }
    desk.context.print_one(&user::Done { user: name, done })
}

/// API tokens.
pub(super) async fn tokens(desk: &Desk<'_>, command: api_token::Command) -> anyhow::Result<ExitStatus> {
    match command {
        api_token::Command::New { name, role, scopes, expires } => {
            let scopes = api_token::allowed(role, scopes)?;
            desk.name_server();
            let new = NewToken {
                name: &name,
                role: role.as_str(),
                scopes: scopes.iter().map(|scope| scope.as_str()).collect(),
                expires: expires.written(),
                shared: true,
            };
            let made: Made = desk.server.post(TOKENS, &new, Repeat::Never).await?;
            api_token::print_made(desk.context, &made)?;
        }
        api_token::Command::List => {
            api_token::print(desk.context, Pages::whole(&desk.server, TOKENS, Query::new()).rest().await?, desk.now())?;
        }
        api_token::Command::Revoke { name } => {
            desk.name_server();
            match desk.server.delete(&format!("{TOKENS}/{}", escaped(&name))).await {
                Err(failure) if failure.is("not_found") => bail!(api_token::unknown(&name)),
                done => done?,
            }
            desk.context.print_one(&api_token::Done { api_token: &name, done: "revoked" })?;
        }
    }
    Ok(ExitStatus::Success)
}
