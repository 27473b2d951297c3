//! Notification channels, one file each: a channel encodes a message for its service, sends it once, and returns the
//! result. What to send, when and how often is decided elsewhere.

mod alertmanager;
mod chat_response;
pub mod cloudevents;
mod dingtalk;
mod email;
mod escape;
mod feishu;
#[cfg(test)]
mod fixture;
pub mod heartbeat;
mod hmac;
mod labels;
mod log;
pub mod mention;
mod plain;
mod post;
mod slack;
mod truncate;
mod webhook;
mod wecom;

use std::{fmt, time::Duration};

use secrecy::SecretString;

use self::mention::{Callees, Mention};
use crate::{
    domain::{message::Message, time::Time},
    net::egress::Egress,
};

/// A kind of channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A signed POST of the event, for other systems.
    Webhook,
    /// A robot in a group of `WeCom` (企业微信).
    Wecom,
    /// A robot in a group of `DingTalk` (钉钉).
    Dingtalk,
    /// A robot in a group of Feishu (飞书) or Lark.
    Feishu,
    /// An incoming webhook of Slack.
    Slack,
    /// A mail over SMTP.
    Email,
    /// Prometheus Alertmanager, API v2.
    Alertmanager,
    /// A line in our own log.
    Log,
}

/// How a robot writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// Headings, colours and bold: Markdown or a card.
    #[default]
    Rich,
    /// Plain text, which every app shows, also `WeChat` for members who read there.
    Text,
}

/// What a channel is made of.
#[derive(Debug, Clone)]
pub struct ChannelSettings {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Its address. A robot's address holds its key: it is a secret as a whole. Of an e-mail channel: the server, such
    /// as `smtps://user@mail.example:465`.
    pub url: Option<SecretString>,
    /// The secret that signs, or the password; after it those of before, which are still accepted.
    pub secrets: Vec<SecretString>,
    /// How long one message may take.
    pub timeout: Duration,
    /// Who a mail is from.
    pub from: Option<String>,
    /// Whom a mail goes to.
    pub to: Vec<String>,
    /// How often firing alerts are sent again to an Alertmanager; `None`: only by `repeat_every`.
    pub resend_every: Option<Duration>,
    /// What the machine calls itself to a mail server; `None` is its own name.
    pub hello: Option<String>,
    /// How a robot writes.
    pub style: Style,
    /// Who is called by name when somebody must act.
    pub mention: Mention,
    /// The way out to its address.
    pub egress: Egress,
}

impl ChannelSettings {
    /// A channel without an address, which is reached directly and calls nobody by name.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: Kind, timeout: Duration) -> Self {
        Self {
            name: name.into(),
            kind,
            url: None,
            secrets: Vec::new(),
            timeout,
            from: None,
            to: Vec::new(),
            resend_every: None,
            hello: None,
            style: Style::default(),
            mention: Mention::default(),
            egress: Egress::default(),
        }
    }

    fn callees(&self) -> Result<Callees, ChannelError> {
        let wrong = |wrong| ChannelError { name: self.name.clone(), wrong: format!("`mention`: {wrong}") };
        Callees::of(&self.mention, self.kind).map_err(wrong)
    }
}

/// Why a channel cannot be made: a sentence for the operator, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[[alerts.channel]] {name}: {wrong}")]
pub struct ChannelError {
    /// The channel.
    pub name: String,
    /// What is wrong and what is needed.
    pub wrong: String,
}

/// How fast a channel's service may be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Messages under way at once.
    pub at_once: usize,
    /// So many messages in so long a time, at most; `None`: as fast as it answers.
    pub most: Option<(u32, Duration)>,
}

/// The address of a channel's service: two channels with the same one use the same robot, server or mailbox. It may contain
/// a robot's key and is never shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(String);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address([secret])")
    }
}

/// A channel, ready to send.
#[derive(Debug)]
pub enum Channel {
    /// See [`Kind::Webhook`].
    Webhook(webhook::Webhook),
    /// See [`Kind::Wecom`].
    Wecom(wecom::Wecom),
    /// See [`Kind::Dingtalk`].
    Dingtalk(dingtalk::Dingtalk),
    /// See [`Kind::Feishu`].
    Feishu(feishu::Feishu),
    /// See [`Kind::Slack`].
    Slack(slack::Slack),
    /// See [`Kind::Email`].
    Email(email::Email),
    /// See [`Kind::Alertmanager`].
    Alertmanager(alertmanager::Alertmanager),
    /// See [`Kind::Log`].
    Log(log::Log),
}

impl Channel {
    /// Makes a channel; nothing is sent.
    ///
    /// # Errors
    /// [`ChannelError`] says which setting is missing or wrong.
    pub fn new(settings: &ChannelSettings) -> Result<Self, ChannelError> {
        match settings.kind {
            Kind::Webhook => webhook::Webhook::new(settings).map(Self::Webhook),
            Kind::Wecom => wecom::Wecom::new(settings).map(Self::Wecom),
            Kind::Dingtalk => dingtalk::Dingtalk::new(settings).map(Self::Dingtalk),
            Kind::Feishu => feishu::Feishu::new(settings).map(Self::Feishu),
            Kind::Slack => slack::Slack::new(settings).map(Self::Slack),
            Kind::Email => email::Email::new(settings).map(Self::Email),
            Kind::Alertmanager => alertmanager::Alertmanager::new(settings).map(Self::Alertmanager),
            Kind::Log => log::Log::new(settings).map(Self::Log),
        }
    }

    /// How fast its service may be spoken to.
    #[must_use]
    pub const fn pace(&self) -> Pace {
        match self {
            Self::Webhook(_) => webhook::PACE,
            Self::Wecom(_) => wecom::PACE,
            Self::Dingtalk(_) => dingtalk::PACE,
            Self::Feishu(_) => feishu::PACE,
            Self::Slack(_) => slack::PACE,
            Self::Email(_) => email::PACE,
            Self::Alertmanager(_) => alertmanager::PACE,
            Self::Log(_) => log::PACE,
        }
    }

    /// The address of its service.
    #[must_use]
    pub fn address(&self, name: &str) -> Address {
        Address(match self {
            Self::Webhook(channel) => channel.address().to_owned(),
            Self::Wecom(channel) => channel.address().to_owned(),
            Self::Dingtalk(channel) => channel.address().to_owned(),
            Self::Feishu(channel) => channel.address().to_owned(),
            Self::Slack(channel) => channel.address().to_owned(),
            Self::Email(channel) => channel.address(),
            Self::Alertmanager(channel) => channel.address().to_owned(),
            Self::Log(_) => format!("log:{name}"),
        })
    }

    /// Bytes of reminders that fit into one message; `None`: each reminder is sent alone, as for other systems.
    #[must_use]
    pub const fn reminder_bytes(&self) -> Option<usize> {
        match self {
            Self::Wecom(_) => Some(wecom::REMINDER_BYTES),
            Self::Dingtalk(_) => Some(dingtalk::REMINDER_BYTES),
            Self::Feishu(_) => Some(feishu::REMINDER_BYTES),
            Self::Slack(_) => Some(slack::REMINDER_BYTES),
            Self::Email(_) => Some(email::REMINDER_BYTES),
            Self::Webhook(_) | Self::Alertmanager(_) | Self::Log(_) => None,
        }
    }

    /// How often firing alerts are sent again; `None`: only by `repeat_every`.
    #[must_use]
    pub const fn resend_every(&self) -> Option<Duration> {
        match self {
            Self::Alertmanager(channel) => channel.resend_every(),
            Self::Webhook(_)
            | Self::Wecom(_)
            | Self::Dingtalk(_)
            | Self::Feishu(_)
            | Self::Slack(_)
            | Self::Email(_)
            | Self::Log(_) => None,
        }
    }

    /// Sends all firing alerts again. `firing` reads them once no other message is in flight, so that none that was resolved by
    /// then is included. Returns how many were sent; none for other kinds of channels.
    ///
    /// # Errors
    /// That of `firing`; inside, what became of the message.
    pub async fn resend<E>(
        &self,
        firing: impl Future<Output = Result<Vec<Message>, E>> + Send,
        now: Time,
    ) -> Result<Result<usize, SendError>, E> {
        match self {
            Self::Alertmanager(channel) => channel.resend(firing, now).await,
            Self::Webhook(_)
            | Self::Wecom(_)
            | Self::Dingtalk(_)
            | Self::Feishu(_)
            | Self::Slack(_)
            | Self::Email(_)
            | Self::Log(_) => Ok(Ok(0)),
        }
    }

    /// Sends one message once. `now` is what signatures carry.
    ///
    /// # Errors
    /// [`SendError`] says what is to be done next.
    pub async fn send(&self, message: &Message, now: Time) -> Result<(), SendError> {
        match self {
            Self::Webhook(channel) => channel.send(message, now).await,
            Self::Wecom(channel) => channel.send(message, now).await,
            Self::Dingtalk(channel) => channel.send(message, now).await,
            Self::Feishu(channel) => channel.send(message, now).await,
            Self::Slack(channel) => channel.send(message, now).await,
            Self::Email(channel) => channel.send(message, now).await,
            Self::Alertmanager(channel) => channel.send(message, now).await,
            Self::Log(channel) => channel.send(message, now).await,
        }
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Not now: no connection, no answer in time, busy, too many. Again later, not before `after` where that is given.
    #[error("{why}")]
    Later {
        /// What happened, without addresses or secrets.
        why: String,
        /// How long the service asked us to wait.
        after: Option<Duration>,
    },
    /// A success by its status, with a response that the service does not send: a page, an empty body, another format. Whether
    /// the message was accepted is unknown.
    #[error("unconfirmed: {why}")]
    Unconfirmed {
        /// The response, without addresses or secrets.
        why: String,
    },
    /// The service refuses this message, or us. It may pass by itself, or an operator must act. Retried for a day.
    #[error("{why}")]
    Refused {
        /// What it said, without addresses or secrets.
        why: String,
    },
    /// It will never be taken.
    #[error("{why}")]
    Gone {
        /// What it said, without addresses or secrets.
        why: String,
    },
}
