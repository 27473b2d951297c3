//! How `WeChat` is reached, and with whose tokens.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;

use crate::{
    clock::SharedClock,
    config::{Config, TokenSource as ConfiguredSource},
    wechat::{
        Client, ClientConfig, CommandSource, GrantNames, HttpSource, TokenSource, Tokens, Wechat,
        token::{Asks, Desk, TOKENS_MAX},
    },
};

/// `WeChat`, with tokens from this source, of which so many are kept.
///
/// # Errors
/// An address or a token source that cannot be used.
pub fn wechat(client: &ClientConfig, source: TokenSource, keep: usize, clock: &SharedClock) -> anyhow::Result<Wechat> {
    Ok(Wechat::new(Client::new(client)?, Tokens::keeping(keep, source, Arc::clone(clock))?))
}

/// The small `WeChat` of ours at these addresses.
///
/// # Errors
/// An address that cannot be used.
pub fn simulated(url: String, token_url: &str, timeout: Duration, clock: &SharedClock) -> anyhow::Result<Wechat> {
    let client = ClientConfig { base_url: url, timeout, ..ClientConfig::default() };
    let url = format!("{token_url}?appid={{account}}");
    wechat(&client, TokenSource::Http(HttpSource { url, timeout, ..HttpSource::default() }), TOKENS_MAX, clock)
}

/// How `WeChat` is reached.
pub(super) fn client(config: &Config) -> anyhow::Result<ClientConfig> {
    Ok(ClientConfig {
        base_url: config.wechat.base_url.clone(),
        timeout: config.wechat.timeout,
        idle_per_host: usize::try_from(config.wechat.in_flight)?,
        egress: config.wechat.egress.clone(),
        ..ClientConfig::default()
    })
}

/// Where tokens come from; and what is asked of a keeper in this process, if it is one.
pub(super) fn token_source(config: &Config) -> anyhow::Result<(TokenSource, Option<Asks>)> {
    let timeout = config.tokens.timeout;
    let names = GrantNames { token: config.tokens.token.clone(), expires_in: config.tokens.expires_in.clone() };
    let source = match &config.tokens.source {
        ConfiguredSource::Http { url, headers } => TokenSource::Http(HttpSource {
            url: url.template().to_owned(),
            headers: headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            names,
            timeout,
            egress: config.tokens.egress.clone(),
        }),
        ConfiguredSource::Command(words) => {
            let (program, args) = words.split_first().context("[tokens] command is empty")?;
            TokenSource::Command(CommandSource { program: program.into(), args: args.to_vec(), names, timeout })
        }
        ConfiguredSource::Component => {
            let (desk, asks) = Desk::open();
            return Ok((TokenSource::Asked(desk), Some(asks)));
        }
        ConfiguredSource::Static(table) => {
            TokenSource::Static(table.iter().map(|(account, token)| (account.to_string(), token.clone())).collect())
        }
    };
    Ok((source, None))
}
