//! `[[alerts.channel]]`: the notification channels. URLs and secrets stay out of `Debug`, errors and summaries: a bot's
//! URL is its key.

use std::{path::Path, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de::Error};

use super::{
    InvalidKey,
    egress::RawEgress,
    secret::{self, Secrets},
    value::{self, Text},
};
use crate::{
    domain::{alert_rules::Rule, text::Language},
    net::egress::Egress,
    notify::{ChannelSettings, Kind, Style, mention::Mention},
};

/// The longest name: it is a column of tables and a part of keys.
const NAME_MAX: usize = 64;

/// The default of `resend_every`, as with Prometheus.
const RESEND_EVERY: Duration = Duration::from_mins(1);

/// What `resend_every` may be: alerts expire after four times as long.
const RESEND_BETWEEN: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);

/// How long one message may take when nothing is said.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A class of events that a channel may be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventClass {
    /// Alerts: fired, repeated, over.
    Alert,
    /// Every step of every request.
    Transition,
    /// Contradictions between `WeChat` and our record.
    Conflict,
}

impl EventClass {
    /// The word of the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Transition => "transition",
            Self::Conflict => "conflict",
        }
    }
}

/// One channel.
#[derive(Debug, Clone)]
pub struct ChannelConfig {
    /// Its name; no other channel has it.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Its address. Every kind but the log has one, unless the configuration was read without its secrets.
    pub url: Option<SecretString>,
    /// What signs, or the password; after it those of before. Incomplete when the configuration was read without secrets.
    pub secrets: Vec<SecretString>,
    /// What it is told of; never empty.
    pub events: Vec<EventClass>,
    /// Of alerts, only those of these rules; empty is all.
    pub rules: Vec<Rule>,
    /// Of alerts, only those that fire for so long; `None` is at once.
    pub after: Option<Duration>,
    /// The language of its messages.
    pub language: Language,
    /// How long one message may take.
    pub timeout: Duration,
    /// Who a mail is from; an e-mail channel has one.
    pub from: Option<String>,
    /// Whom a mail goes to; an e-mail channel has some.
    pub to: Vec<String>,
    /// What the machine calls itself to a mail server; `None` is its own name.
    pub hello: Option<String>,
    /// How a robot writes.
    pub style: Style,
    /// Who is called by name when somebody must act.
    pub mention: Mention,
    /// The way to its address.
    pub egress: Egress,
    /// How often firing alerts are sent again to an Alertmanager; `None`: only by `repeat_every`.
    pub resend_every: Option<Duration>,
}

impl ChannelConfig {
    /// What a channel is made of.
    #[must_use]
    pub fn settings(&self) -> ChannelSettings {
        ChannelSettings {
            name: self.name.clone(),
            kind: self.kind,
            url: self.url.clone(),
            secrets: self.secrets.clone(),
            timeout: self.timeout,
            from: self.from.clone(),
            to: self.to.clone(),
            hello: self.hello.clone(),
            style: self.style,
            mention: self.mention.clone(),
            egress: self.egress.clone(),
            resend_every: self.resend_every,
        }
    }

    /// Its kind in the word of the configuration.
    #[must_use]
    pub const fn kind_word(&self) -> &'static str {
        word_of(self.kind)
    }

    /// The events it wants, in the words of the configuration.
    #[must_use]
    pub fn event_words(&self) -> Vec<&'static str> {
        self.events.iter().map(|event| event.as_str()).collect()
    }
}

const fn word_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Webhook => "webhook",
        Kind::Wecom => "wecom",
        Kind::Dingtalk => "dingtalk",
        Kind::Feishu => "feishu",
        Kind::Slack => "slack",
        Kind::Email => "email",
        Kind::Alertmanager => "alertmanager",
        Kind::Log => "log",
    }
}

/// One channel as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChannel {
    #[serde(deserialize_with = "name")]
    name: String,
    kind: Kind,
    #[serde(default, deserialize_with = "secret::text")]
    url: Option<SecretString>,
    #[serde(default)]
    url_file: Option<String>,
    #[serde(default, deserialize_with = "secret::text")]
    secret: Option<SecretString>,
    #[serde(default)]
    secret_file: Option<String>,
    #[serde(default, deserialize_with = "secret::texts")]
    previous_secrets: Vec<SecretString>,
    #[serde(default)]
    previous_secret_files: Vec<String>,
    #[serde(default = "alerts_alone", deserialize_with = "events")]
    events: Vec<EventClass>,
    #[serde(default, deserialize_with = "value::rules")]
    rules: Vec<Rule>,
    #[serde(default, deserialize_with = "value::delay")]
    after: Duration,
    #[serde(default)]
    language: Option<Language>,
    #[serde(default = "timeout", deserialize_with = "value::duration")]
    timeout: Duration,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    hello: Option<String>,
    #[serde(default)]
    style: Style,
    #[serde(default)]
    mention: Mention,
    #[serde(default, deserialize_with = "secret::text")]
    proxy: Option<SecretString>,
    #[serde(default)]
    proxy_file: String,
    #[serde(default)]
    ca_file: String,
    #[serde(default, deserialize_with = "resend_every")]
    resend_every: Option<Resend>,
}

impl std::fmt::Debug for RawChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WrittenChannel").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn alerts_alone() -> Vec<EventClass> {
    vec![EventClass::Alert]
}

const fn timeout() -> Duration {
    TIMEOUT
}

fn name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    const NAME: &str = "a name of 1 to 64 characters: a to z, 0 to 9, \"_\" and \"-\"";
    from.deserialize_any(Text {
        expected: NAME,
        parse: |text| {
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
            let is_name = (1..=NAME_MAX).contains(&text.len()) && text.chars().all(legal);
            if is_name { Ok(text.to_owned()) } else { Err(format!("expected {NAME}")) }
        },
    })
}

/// `resend_every` as it is written.
#[derive(Debug, Clone, Copy)]
enum Resend {
    Never,
    Every(Duration),
}

impl Resend {
    const fn every(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Every(every) => Some(every),
        }
    }
}

fn resend_every<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Resend>, D::Error> {
    match value::patience(from)? {
        None => Ok(Some(Resend::Never)),
        Some(every) if RESEND_BETWEEN.contains(&every) => Ok(Some(Resend::Every(every))),
        Some(_) => Err(D::Error::custom("expected \"never\" or a duration from \"1s\" to \"1h\", such as \"1m\"")),
    }
}

fn events<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<EventClass>, D::Error> {
    let events = Vec::<EventClass>::deserialize(from)?;
    if events.is_empty() {
        return Err(D::Error::custom("a channel without events: expected some of alert, transition, conflict"));
    }
    Ok(events)
}

/// The channels, each by a name of its own.
pub(super) fn resolve(
    written: Vec<RawChannel>,
    general: Language,
    folder: &Path,
    secrets: Secrets,
) -> Result<Vec<ChannelConfig>, InvalidKey> {
    let mut channels: Vec<ChannelConfig> = Vec::with_capacity(written.len());
    for (number, channel) in (1..).zip(written) {
        let name = channel.name.clone();
        let refused = |(key, wrong): (&str, String)| InvalidKey {
            key: format!("alerts.channel.{number}.{key}"),
            // A variable holds all of them, so that the key alone does not say which.
            wrong: format!("channel {name:?}: {wrong}"),
        };
        if channels.iter().any(|other| other.name == name) {
            return Err(refused(("name", "another channel already has this name".to_owned())));
        }
        channels.push(channel.resolve(general, folder, secrets).map_err(refused)?);
    }
    Ok(channels)
}

impl RawChannel {
    /// `ops (webhook)`.
    pub(super) fn shown(&self) -> String {
        format!("{} ({})", self.name, word_of(self.kind))
    }

    /// Checks what the kind needs, and reads the files that hold its secrets; a mistake comes with its key.
    fn resolve(
        self,
        general: Language,
        folder: &Path,
        secrets: Secrets,
    ) -> Result<ChannelConfig, (&'static str, String)> {
        self.needs()?;
        self.suits()?;
        let egress = self.egress().resolve(folder, secrets)?;
        let url_key = if self.url_file.is_some() { "url_file" } else { "url" };
        let url = secret::one("url", self.url, self.url_file.as_deref(), folder, secrets);
        let url = url.map_err(|wrong| (url_key, wrong))?;
        if let Some(url) = &url
            && self.kind != Kind::Email
        {
            value::any_web_address(url.expose_secret()).map_err(|wrong| (url_key, wrong))?;
        }
        let newest = secret::one("secret", self.secret, self.secret_file.as_deref(), folder, secrets);
        let mut all: Vec<SecretString> = newest.map_err(|wrong| ("secret_file", wrong))?.into_iter().collect();
        for secret in self.previous_secrets {
            all.push(secret::checked(secret).map_err(|wrong| ("previous_secrets", wrong))?);
        }
        if secrets == Secrets::Read {
            for file in &self.previous_secret_files {
                all.push(secret::from_file(folder, file).map_err(|wrong| ("previous_secret_files", wrong))?);
            }
        }
        Ok(ChannelConfig {
            name: self.name,
            kind: self.kind,
            url,
            secrets: all,
            events: self.events,
            rules: self.rules,
            after: (!self.after.is_zero()).then_some(self.after),
            language: self.language.unwrap_or(general),
            timeout: self.timeout,
            from: self.from,
            to: self.to,
            hello: self.hello,
            style: self.style,
            mention: self.mention,
            egress,
            resend_every: match self.resend_every {
                Some(written) => written.every(),
                None => (self.kind == Kind::Alertmanager).then_some(RESEND_EVERY),
            },
        })
    }

    fn egress(&self) -> RawEgress<'_> {
        RawEgress { proxy: self.proxy.as_ref(), proxy_file: &self.proxy_file, ca_file: &self.ca_file }
    }

    /// Whether the kind can do what is asked of it.
    fn suits(&self) -> Result<(), (&'static str, String)> {
        let kind = word_of(self.kind);
        let writes_text = matches!(self.kind, Kind::Wecom | Kind::Dingtalk | Kind::Feishu);
        if self.style == Style::Text && !writes_text {
            return Err(("style", format!("only wecom, dingtalk and feishu have a `style`, not kind = \"{kind}\"")));
        }
        if self.hello.is_some() && self.kind != Kind::Email {
            return Err(("hello", format!("only kind = \"email\" says a `hello`, not \"{kind}\"")));
        }
        if self.kind == Kind::Log && self.egress().is_set() {
            return Err(("proxy", "kind = \"log\" writes to our own log, without a connection".to_owned()));
        }
        self.mention.check(self.kind).map_err(|wrong| ("mention", wrong))
    }

    /// Whether the keys are there that the kind needs, and none that it has no use for.
    fn needs(&self) -> Result<(), (&'static str, String)> {
        let kind = word_of(self.kind);
        let has_url = self.url.is_some() || self.url_file.as_ref().is_some_and(|file| !file.is_empty());
        let is_log = self.kind == Kind::Log;
        if !is_log && !has_url {
            return Err(("url", format!("kind = \"{kind}\" needs `url` or `url_file`")));
        }
        if is_log && has_url {
            return Err(("url", "kind = \"log\" writes to our own log and has no URL".to_owned()));
        }
        let has_previous = !self.previous_secrets.is_empty() || !self.previous_secret_files.is_empty();
        if has_previous && self.secret.is_none() && self.secret_file.is_none() {
            return Err(("secret", "previous secrets need a current one: `secret` or `secret_file`".to_owned()));
        }
        let is_mail = self.kind == Kind::Email;
        if is_mail && self.from.is_none() {
            return Err(("from", "kind = \"email\" needs `from`, such as \"amplinkd@example.com\"".to_owned()));
        }
        if is_mail && self.to.is_empty() {
            return Err(("to", "kind = \"email\" needs `to`, such as [\"ops@example.com\"]".to_owned()));
        }
        if !is_mail && (self.from.is_some() || !self.to.is_empty()) {
            let key = if self.from.is_some() { "from" } else { "to" };
            return Err((key, format!("only kind = \"email\" has a sender and recipients, not \"{kind}\"")));
        }
        if self.resend_every.is_some() && self.kind != Kind::Alertmanager {
            let wrong = format!("only kind = \"alertmanager\" has `resend_every`, not \"{kind}\": remove it");
            return Err(("resend_every", wrong));
        }
        Ok(())
    }
}
