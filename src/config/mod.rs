//! The configuration: one TOML file, overridden by environment variables, or these alone. It is parsed at startup and when
//! it is reloaded; after that every module trusts the types. Secrets are never shown.
//!
//! `text_file` reads what people wrote, `source` merges file and environment, `value` parses each kind of value, `secret` those that are never shown, `egress`
//! the keys of every section that speaks to somebody outside; `wechat_api`, `tokens`, `component`, `alerts`, `channels`, `heartbeat`,
//! `http_api`, `retention`, `digest` and `traces` are the sections that need more than their types; `effective` lists the values in effect,
//! `changes` what differs between two of them, `error` says where a mistake is, `warnings` what is legal and looks like
//! one, `placeholder` what nothing expands.

mod alerts;
mod changes;
mod channels;
mod cluster;
mod component;
mod database;
mod digest;
mod effective;
mod egress;
mod error;
mod heartbeat;
mod http_api;
mod log;
mod placeholder;
mod profiles;
mod retention;
mod secret;
mod secret_files;
mod source;
mod text_file;
mod tokens;
mod traces;
mod unseen;
mod value;
mod warnings;
mod wechat_api;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use self::secret::Secrets;
pub use self::{
    alerts::Alerts,
    changes::{Changes, needs_restart},
    channels::{ChannelConfig, EventClass},
    component::{Callback, Caller, Component, Listen, TokenService},
    database::{Database, database_in_file, database_of},
    digest::{Digest, Nudge, Route},
    effective::{Origin, Setting, keys},
    error::ConfigError,
    heartbeat::Heartbeat,
    http_api::{Http, Metrics, Network, TrustedProxy},
    log::{Log, LogFormat},
    profiles::{Profile, RemoteVariables, SERVER_VARIABLE, TOKEN_VARIABLE, profile, remote_variables, token},
    retention::Retention,
    source::{
        Colours, Loaded, colours, environment, file_of_environment, journal_stream, proxy_variables, user_before_sudo,
    },
    tokens::{TokenSource, TokenUrl, Tokens},
    traces::Telemetry,
    value::{Cron, parse_duration},
    wechat_api::Wechat,
};
use crate::domain::policy::{Policy, Steps};

/// Invitations of one request: each is a message that two people receive.
const ATTEMPTS_MAX: u32 = 1_000;

/// Listings of an account per day: one every ten milliseconds, the shortest interval of `steps`.
const DAILY_BUDGET_MAX: u32 = 8_640_000;

/// Everything that can be set, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[database]`: where requests are remembered.
    pub database: Database,
    /// `[wechat]`: how hard `WeChat` may be worked.
    pub wechat: Wechat,
    /// `[tokens]`: where access tokens come from.
    pub tokens: Tokens,
    /// `[component]`, with `[callback]` and `[secrets]`: the platform whose tokens the daemon keeps itself, when
    /// `[tokens] source` says so.
    pub component: Option<Component>,
    /// `[token_service]`: who else may ask for tokens.
    pub token_service: Option<TokenService>,
    /// `[http]`: the door for programs and people, when it listens.
    pub http: Option<Http>,
    /// `[metrics]`: who may read them.
    pub metrics: Metrics,
    /// `[polling]`: how often accounts are looked at.
    pub polling: Polling,
    /// `[policy]`: how patient we are with a request.
    pub policy: PolicySection,
    /// `[retention]`: how long what has come to its end is kept.
    pub retention: Retention,
    /// `[schedule]`: when the coarse jobs run.
    pub schedule: Schedule,
    /// `[alerts]`: who is told of what is stuck, and when.
    pub alerts: Alerts,
    /// `[heartbeat]`: who is told that the daemon lives.
    pub heartbeat: Heartbeat,
    /// `[digest]`: who gets the summary.
    pub digest: Digest,
    /// `[nudge]`: reminders that a person asks for.
    pub nudge: Nudge,
    /// `[log]`: what is told on stderr.
    pub log: Log,
    /// `[telemetry]`: where traces go.
    pub telemetry: Telemetry,
}

/// `[polling]`
#[derive(Debug, Clone)]
pub struct Polling {
    /// How often an account is looked at, by the age of its youngest open state.
    pub steps: Steps,
    /// Listings per account and Beijing day, at least 1.
    pub daily_budget: u32,
}

/// `[policy]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicySection {
    /// How long after a call its invitation must have appeared in the list.
    #[serde(deserialize_with = "value::duration")]
    pub appear_within: Duration,
    /// Calls one request may cost, at least 1.
    #[serde(deserialize_with = "value::whole::<1, ATTEMPTS_MAX, _>")]
    pub attempts: u32,
    /// When a request ends by itself; `None` is never.
    #[serde(deserialize_with = "value::patience")]
    pub deadline: Option<Duration>,
    /// How long into a Beijing month or day what waited for it begins.
    #[serde(deserialize_with = "value::grace")]
    pub rollover_grace: Duration,
}

/// `[schedule]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// The zone in which the other keys are read.
    #[serde(deserialize_with = "value::timezone")]
    pub timezone: chrono_tz::Tz,
    /// When accounts with only linked requests are looked at.
    #[serde(deserialize_with = "value::cron")]
    pub drift: Cron,
    /// When the database is tidied.
    #[serde(deserialize_with = "value::cron")]
    pub housekeeping: Cron,
    /// When it is proved that nothing has stalled.
    #[serde(deserialize_with = "value::cron")]
    pub audit: Cron,
    /// When the summary is sent to the channels of `[digest]`.
    #[serde(deserialize_with = "value::cron")]
    pub digest: Cron,
}

impl Default for PolicySection {
    fn default() -> Self {
        let Policy { appear_within, attempts, deadline, rollover_grace, steps: _ } = Policy::default();
        Self { appear_within, attempts, deadline, rollover_grace }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        // Between four and five in the morning nobody approves anything, and quotas have just rolled over.
        let cron = |text: &str| text.parse().unwrap_or_else(|wrong| unreachable!("a default is legal: {wrong}"));
        Self {
            timezone: chrono_tz::Asia::Shanghai,
            drift: cron("0 30 4 * * *"),
            housekeeping: cron("0 10 4 * * *"),
            audit: cron("0 */5 * * * *"),
            digest: cron("0 0 9 * * *"),
        }
    }
}

/// The file as it is written: like [`Config`], before paths and secrets are resolved.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawConfig {
    database: database::RawDatabase,
    cluster: cluster::RawCluster,
    wechat: wechat_api::RawWechat,
    tokens: tokens::RawTokens,
    component: component::RawComponent,
    callback: component::RawCallback,
    secrets: component::RawSecrets,
    token_service: component::RawTokenService,
    http: http_api::RawHttp,
    metrics: Metrics,
    polling: RawPolling,
    policy: PolicySection,
    retention: Retention,
    schedule: Schedule,
    alerts: alerts::RawAlerts,
    heartbeat: heartbeat::RawHeartbeat,
    digest: Digest,
    nudge: digest::RawNudge,
    log: Log,
    telemetry: traces::RawTelemetry,
}

/// `[polling]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawPolling {
    #[serde(deserialize_with = "value::steps")]
    steps: Vec<value::Step>,
    #[serde(deserialize_with = "value::whole::<1, DAILY_BUDGET_MAX, _>")]
    daily_budget: u32,
}

impl Default for RawPolling {
    fn default() -> Self {
        let steps = Steps::default();
        let steps = steps.iter().map(|step| value::Step { until: step.until, every: step.every }).collect();
        Self { steps, daily_budget: 500 }
    }
}

/// A key whose value is legal by itself and wrong beside the others.
#[derive(Debug)]
struct InvalidKey {
    /// The dotted key, such as `tokens.url`.
    key: String,
    /// What is wrong and what is allowed; never the value of a secret.
    wrong: String,
}

impl RawConfig {
    /// Resolves paths and names, and reads the files that hold secrets.
    fn resolve(self, folder: &Path, secrets: Secrets, tokens_secrets: Secrets) -> Result<Config, InvalidKey> {
        let Self {
            database,
            cluster,
            wechat,
            tokens,
            component,
            callback,
            secrets: keys,
            token_service,
            http,
            metrics,
            polling,
            policy,
            retention,
            schedule,
            alerts,
            heartbeat,
            digest,
            nudge,
            log,
            telemetry,
        } = self;
        let steps =
            value::staircase(&polling.steps).map_err(|wrong| InvalidKey { key: "polling.steps".to_owned(), wrong })?;
        let alerts = alerts.resolve(folder, secrets)?;
        digest.check(&alerts.channels)?;
        let wechat = wechat.resolve(folder, tokens_secrets)?;
        let Database { location } = database.resolve(folder)?;
        let location = cluster.join(folder, location, policy.appear_within, wechat.timeout)?;
        component::apart(Config {
            database: Database { location },
            wechat,
            component: tokens
                .is_component()
                .then(|| component.resolve(callback, &keys, folder, tokens_secrets))
                .transpose()?,
            token_service: token_service.resolve(folder)?,
            http: http.resolve(folder)?,
            metrics,
            tokens: if tokens_secrets == Secrets::Read { tokens.resolve(folder)? } else { tokens.without_source() },
            polling: Polling { steps, daily_budget: polling.daily_budget },
            policy,
            retention,
            schedule,
            nudge: nudge.resolve(&alerts.channels)?,
            alerts,
            heartbeat: heartbeat.resolve(folder, secrets)?,
            digest,
            log,
            telemetry: telemetry.resolve(folder, secrets)?,
        })
    }
}

impl Config {
    /// Reads the file at `path`, or else the one that `AMPLINKD_CONFIG` in `env` names, or else `./amplinkd.toml`;
    /// then applies each `AMPLINKD__SECTION__KEY` of `env`. Where there is no file, any of these is enough: the rest has its
    /// default, and relative paths are relative to the working folder. The process's own environment is [`environment`].
    ///
    /// # Errors
    /// [`ConfigError`] says where the mistake is and what is allowed; mend it there.
    pub fn load(path: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        Self::inspect(path, env).map(|loaded| loaded.config)
    }

    /// Like [`Config::load`], and tells where each value comes from.
    pub fn inspect(
        path: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, ConfigError> {
        Self::read(path, env, [Secrets::Read; 2])
    }

    /// Like [`Config::load`], for a person who may not read the files that hold secrets of `[alerts]` and `[heartbeat]`,
    /// proxies or certificates: what they hold is missing, and so is the source of `[tokens]`.
    pub fn without_secrets(
        path: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::read(path, env, [Secrets::Left; 2]).map(|loaded| loaded.config)
    }

    /// Like [`Config::without_secrets`], with those of `[alerts]` and `[heartbeat]`.
    pub fn without_tokens(
        path: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::read(path, env, [Secrets::Read, Secrets::Left]).map(|loaded| loaded.config)
    }

    fn read(
        path: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        secrets: [Secrets; 2],
    ) -> Result<Loaded, ConfigError> {
        let env: Vec<(String, String)> = env.into_iter().collect();
        let file = source::choose(path, &env)?;
        let text = file.as_deref().map(source::read).transpose()?;
        source::load(file, &text.unwrap_or_default(), &env, secrets)
    }

    /// Like [`Config::inspect`], with the text that stands in `file` already read.
    pub fn inspect_text(file: PathBuf, text: &str, env: &[(String, String)]) -> Result<Loaded, ConfigError> {
        source::load(Some(file), text, env, [Secrets::Read; 2])
    }

    /// Whether the daemon keeps the platform's tokens itself.
    #[must_use]
    pub const fn keeps_tokens(&self) -> bool {
        self.component.is_some()
    }

    /// The patience of the domain, from `[policy]` and `[polling] steps`.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let PolicySection { appear_within, attempts, deadline, rollover_grace } = self.policy;
        Policy { appear_within, attempts, deadline, rollover_grace, steps: self.polling.steps.clone() }
    }
}

impl Default for Config {
    /// What an empty file means in the current folder.
    fn default() -> Self {
        RawConfig::default()
            .resolve(Path::new(""), Secrets::Read, Secrets::Read)
            .unwrap_or_else(|mistake| unreachable!("the defaults are legal: {}", mistake.wrong))
    }
}
