//! Warnings: values that are legal and look like a mistake, such as placeholders, two channels with one address, intervals
//! that cannot work. No warning repeats a value, which may be a secret.

use std::time::Duration;

use reqwest::Url;
use secrecy::ExposeSecret;
use tracing::level_filters::LevelFilter;

use super::{
    Alerts, ChannelConfig, Config, EventClass, TokenSource,
    placeholder::{self, Field},
    value::duration_text,
};
use crate::{
    domain::alert_rules::{QuietHours, Rule},
    notify::{Address, Channel, Kind},
};

/// A shorter `repeat_every` is more likely a slip than intended.
const REPEAT_LEAST: Duration = Duration::from_mins(5);

/// How long an alert lasts in an Alertmanager without `resend_every`.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(8 * 24);

/// The longest time that a restarted Alertmanager should be without alerts.
const RESEND_MOST: Duration = Duration::from_mins(5);

/// How long a service may be down for an upgrade.
const GIVE_UP_LEAST: Duration = Duration::from_mins(10);

/// Minutes of a day that quiet hours should leave.
const AWAKE_LEAST: u16 = 4 * 60;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Hosts of known services, and the kind of channel that each accepts.
const SERVICES: [(&str, Option<Kind>); 7] = [
    ("qyapi.weixin.qq.com", Some(Kind::Wecom)),
    ("oapi.dingtalk.com", Some(Kind::Dingtalk)),
    ("open.feishu.cn", Some(Kind::Feishu)),
    ("open.larksuite.com", Some(Kind::Feishu)),
    ("hooks.slack.com", Some(Kind::Slack)),
    ("api.weixin.qq.com", None),
    ("hc-ping.com", None),
];

/// The warnings so far, each with its key: `alerts.repeat_every: …`.
#[derive(Debug, Default)]
struct Found(Vec<String>);

impl Found {
    fn add(&mut self, key: &str, words: impl AsRef<str>) {
        self.0.push(format!("{key}: {}", words.as_ref()));
    }

    /// Looks for a placeholder in a text.
    fn look(&mut self, key: &str, whose: &str, text: &str, field: Field) {
        if let Some(form) = placeholder::of(text, field) {
            self.add(
                key,
                format!(
                    "{whose}contains the placeholder {form}, which amplinkd does not expand: write the value itself"
                ),
            );
        }
    }

    /// Looks for a placeholder in an address, and whether its host and scheme make sense.
    fn look_at_address(&mut self, key: &str, whose: &str, text: &str, kind: Option<Kind>) {
        self.look(key, whose, text, Field::Address);
        let Ok(url) = Url::parse(text.trim()) else { return };
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        if placeholder::is_example(&host) {
            self.add(key, format!("{whose}the host is reserved for examples and never answers"));
        }
        let Some((_, service)) = SERVICES.iter().find(|(name, _)| *name == host) else { return };
        if url.scheme() == "http" {
            self.add(key, format!("{whose}{host} needs https://, and the key would travel unencrypted"));
        }
        if let (Some(kind), Some(service)) = (kind, service)
            && kind != *service
            && kind != Kind::Webhook
        {
            self.add(key, format!("{whose}{host} does not accept messages of this kind of channel"));
        }
    }
}

/// A word that was meant as a level and is read as the name of a module.
fn of_filter(found: &mut Found, filter: &str) {
    for word in filter.split(',').map(str::trim).filter(|word| word.bytes().all(|b| b.is_ascii_alphanumeric())) {
        let is_level = word.parse::<LevelFilter>().is_ok();
        if !is_level && !word.is_empty() && !word.starts_with("amplinkd") {
            found.add(
                "log.filter",
                format!(
                    "{word:?} is not a level (off, error, warn, info, debug, trace) but the name of a module, and is the only one \
                     that is logged unless a level stands beside it"
                ),
            );
        }
    }
}

impl Config {
    /// Everything that is legal and looks like a mistake; each warning begins with its key.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut found = Found::default();
        if let Some(path) = self.database.location.path() {
            found.look("database.url", "", &path.to_string_lossy(), Field::Path);
        }
        found.look_at_address("wechat.base_url", "", &self.wechat.base_url, None);
        self.of_tokens(&mut found);
        self.of_callers(&mut found);
        self.alerts.of_times(&mut found);
        for (number, channel) in (1..).zip(&self.alerts.channels) {
            of_channel(&mut found, number, channel, &self.alerts);
        }
        of_addresses(&mut found, &self.alerts.channels);
        of_filter(&mut found, &self.log.filter);
        self.of_routes(&mut found);
        if let Some(url) = &self.heartbeat.url {
            found.look_at_address("heartbeat.url", "", url.expose_secret(), None);
        }
        found.0
    }

    fn of_tokens(&self, found: &mut Found) {
        match &self.tokens.source {
            TokenSource::Http { url, headers } => {
                found.look_at_address("tokens.url", "", &url.template().replace("{account}", "wx"), None);
                for (name, value) in headers {
                    found.look(&format!("tokens.headers.{name}"), "", value.expose_secret(), Field::Secret);
                }
            }
            TokenSource::Command(words) => {
                for word in words.iter().skip(1) {
                    found.look("tokens.command", "the command is not run by a shell: ", word, Field::Path);
                }
            }
            // Its secrets are checked by their shape.
            TokenSource::Component => {
                if self.component.as_ref().is_some_and(|component| component.callback.plain_json) {
                    let words = "nothing signs such pushes: whoever reaches [callback] listen can withdraw authorizations; only \
                                 behind WeChat's cloud hosting (微信云托管)";
                    found.add("callback.plain_json", words);
                }
            }
            TokenSource::Static(table) => {
                for (account, token) in table {
                    found.look(&format!("tokens.static.{account}"), "", token.expose_secret(), Field::Secret);
                }
            }
        }
    }

    /// Callers of the token service who get nothing, or share what should be their own.
    fn of_callers(&self, found: &mut Found) {
        let Some(service) = &self.token_service else { return };
        if !self.keeps_tokens() {
            found.add("token_service.listen", "has no effect: [tokens] source is not \"component\"");
        }
        let mut known: Vec<(&str, &str)> = Vec::new();
        for (number, caller) in (1..).zip(&service.callers) {
            let key = |name: &str| format!("token_service.caller.{number}.{name}");
            if caller.accounts.as_ref().is_some_and(Vec::is_empty) {
                let words = format!("caller {:?} gets no token: list appids, or \"*\" for all", caller.name);
                found.add(&key("accounts"), words);
            }
            for digest in &caller.key_sha256 {
                if let Some((_, other)) = known.iter().find(|(one, _)| one == digest) {
                    let words = format!(
                        "caller {:?} has a key of {other:?}: which of both asks cannot be told apart; make one with \
                         `amplinkd token-key new`",
                        caller.name
                    );
                    found.add(&key("key_sha256"), words);
                }
                known.push((digest, &caller.name));
            }
        }
    }

    /// Digests and reminders for channels that do not show them.
    fn of_routes(&self, found: &mut Found) {
        let takes_alerts_alone =
            |name: &str| self.alerts.channels.iter().any(|one| one.name == name && one.kind == Kind::Alertmanager);
        let digests = self.digest.channels.iter().map(|name| ("digest.channels", name));
        let reminders = self.nudge.channels.iter().map(|route| ("nudge.channels", &route.channel));
        for (key, name) in digests.chain(reminders).filter(|(_, name)| takes_alerts_alone(name)) {
            found.add(key, format!("channel {name:?} is an Alertmanager, which takes alerts only: nobody will see it"));
        }
    }
}

impl Alerts {
    fn of_times(&self, found: &mut Found) {
        if let Some(every) = self.repeat_every.filter(|_| !self.channels.is_empty()) {
            let shown = duration_text(every);
            if every <= self.group_within {
                let within = duration_text(self.group_within);
                found.add(
                    "alerts.repeat_every",
                    format!("alerts repeat every {shown}, which is not longer than group_within ({within})"),
                );
            } else if every < REPEAT_LEAST {
                found.add(
                    "alerts.repeat_every",
                    format!("every firing alert is sent again every {shown}; \"1d\" is usual"),
                );
            }
        }
        if self.give_up_after < GIVE_UP_LEAST && !self.channels.is_empty() {
            let words = "shorter than a service needs for an upgrade: messages would be lost; \"3d\" is usual";
            found.add("alerts.give_up_after", words);
        }
        if let Some(QuietHours { from, until, .. }) = &self.quiet {
            let quiet = (DAY + until - from) % DAY;
            if DAY - quiet < AWAKE_LEAST {
                found.add("alerts.quiet_hours", "they leave less than four hours of the day for notifications");
            }
        }
        if let Some(link) = &self.link {
            found.look_at_address("alerts.link", "", &link.replace("{rule}", "stuck"), None);
        }
    }
}

fn of_channel(found: &mut Found, number: usize, channel: &ChannelConfig, alerts: &Alerts) {
    let (key, whose) = (|key: &str| format!("alerts.channel.{number}.{key}"), format!("channel {:?}: ", channel.name));
    match (&channel.url, channel.kind) {
        (Some(url), Kind::Email) => found.look(&key("url"), &whose, url.expose_secret(), Field::Address),
        (Some(url), kind) => found.look_at_address(&key("url"), &whose, url.expose_secret(), Some(kind)),
        (None, _) => {}
    }
    for secret in &channel.secrets {
        found.look(&key("secret"), &whose, secret.expose_secret(), Field::Secret);
    }
    if !channel.secrets.is_empty() && matches!(channel.kind, Kind::Wecom | Kind::Slack | Kind::Log) {
        found.add(&key("secret"), format!("{whose}kind = \"{}\" does not use a secret", channel.kind_word()));
    }
    if channel.kind == Kind::Email {
        of_mail(found, &key, &whose, channel);
    }
    if channel.kind == Kind::Alertmanager {
        of_alertmanager(found, &key, &whose, channel, alerts.repeat_every);
    }
    let gets_alerts = channel.events.contains(&EventClass::Alert);
    if !gets_alerts && (!channel.rules.is_empty() || channel.after.is_some()) {
        let given = if channel.rules.is_empty() { "after" } else { "rules" };
        found.add(&key(given), format!("{whose}has no effect: `events` does not contain \"alert\""));
    }
    let ends = |rule: &Rule| matches!(rule, Rule::Rejected | Rule::Failed | Rule::Lapsed | Rule::Vanished);
    let is_of_outcomes = !channel.rules.is_empty() && channel.rules.iter().all(ends);
    if gets_alerts && is_of_outcomes && channel.after.is_some_and(|after| after >= alerts.keep_outcomes) {
        let words = "never reached: alerts of these rules end after `keep_outcomes`";
        found.add(&key("after"), format!("{whose}{words}"));
    }
}

fn of_mail(found: &mut Found, key: &impl Fn(&str) -> String, whose: &str, channel: &ChannelConfig) {
    let host = |address: &str| {
        let host = address.rsplit_once('@').map_or("", |(_, host)| host);
        host.trim_end_matches('>').trim().to_ascii_lowercase()
    };
    let words = "the domain is reserved for examples and receives no mail";
    if channel.to.iter().any(|to| placeholder::is_example(&host(to))) {
        found.add(&key("to"), format!("{whose}{words}"));
    }
    if channel.from.iter().any(|from| placeholder::is_example(&host(from))) {
        found.add(&key("from"), format!("{whose}{words}; servers reject mail from it"));
    }
}

/// An Alertmanager keeps alerts in memory only, and until their end time.
fn of_alertmanager(
    found: &mut Found,
    key: &impl Fn(&str) -> String,
    whose: &str,
    channel: &ChannelConfig,
    repeat_every: Option<Duration>,
) {
    if !channel.events.contains(&EventClass::Alert) {
        found.add(
            &key("events"),
            format!("{whose}without \"alert\" nothing is ever sent: an Alertmanager takes alerts only"),
        );
    }
    match (channel.resend_every, repeat_every) {
        (Some(every), _) if every > RESEND_MOST => {
            let shown = duration_text(every);
            let words =
                format!("an Alertmanager forgets alerts when it restarts, and would get them back up to {shown} later");
            found.add(&key("resend_every"), format!("{whose}{words}"));
        }
        (Some(_), _) => {}
        (None, Some(every)) if every < FORGOTTEN_AFTER => {
            let words = format!(
                "an Alertmanager forgets alerts when it restarts, and would get them back by `repeat_every` only, up to {} later",
                duration_text(every)
            );
            found.add(&key("resend_every"), format!("{whose}{words}"));
        }
        (None, Some(_) | None) => {
            let words = "an Alertmanager forgets alerts that still fire, after eight days and when it restarts";
            found.add(
                "alerts.repeat_every",
                format!("{whose}with resend_every = \"never\" {words}: set one of the two"),
            );
        }
    }
}

/// Who reads what a channel sends: its address, and the recipients of mails.
#[derive(Debug)]
struct Readers {
    address: Address,
    to: Option<Vec<String>>,
}

impl Readers {
    /// The readers of a channel; `None` without an address.
    fn of(channel: &ChannelConfig) -> Option<Self> {
        channel.url.as_ref()?;
        let address = Channel::new(&channel.settings()).ok()?.address(&channel.name);
        let to = channel.to.iter().map(|to| to.to_lowercase()).collect();
        Some(Self { address, to: (channel.kind == Kind::Email).then_some(to) })
    }

    /// Whether somebody reads both.
    fn meet(&self, other: &Self) -> bool {
        let is_shared = |some: &Vec<String>, others: &Vec<String>| some.iter().any(|to| others.contains(to));
        let everybody = self.to.as_ref().zip(other.to.as_ref());
        self.address == other.address && everybody.is_none_or(|(some, others)| is_shared(some, others))
    }
}

/// Channels with one address share its rate limit, and its readers get everything twice.
fn of_addresses(found: &mut Found, channels: &[ChannelConfig]) {
    let mut known: Vec<(&str, Readers)> = Vec::new();
    for (number, channel) in (1..).zip(channels) {
        let Some(readers) = Readers::of(channel) else { continue };
        if let Some((first, _)) = known.iter().find(|(_, others)| readers.meet(others)) {
            let words = format!(
                "channel {:?}: channel {first:?} has the same address: they share its rate limit, and its readers get \
                 the messages of both",
                channel.name
            );
            found.add(&format!("alerts.channel.{number}.url"), words);
        }
        known.push((&channel.name, readers));
    }
}
