//! Stories of telling people, over real sockets: each channel against a server that answers as its service does.
//! Loopback only.

#![expect(clippy::unwrap_used, reason = "the lint's exception for tests does not reach their helpers")]

use std::time::Duration;

use amplinkd::{
    domain::{
        message::{Message, Severity},
        text::Language,
        time::Time,
    },
    notify::{Channel, ChannelSettings, Kind, SendError, Style, mention::Mention},
};
use secrecy::SecretString;

mod server;

pub(crate) mod smtp;

mod alertmanager;

pub(crate) mod egress;

mod email;

mod heartbeat;

mod log;

mod real;

mod webhook;

mod wecom;

mod dingtalk;

mod feishu;

mod slack;

mod secrets;

use server::{Received, Reply, Server};

/// When the tests' messages are sent; 2026-11-22 19:03:08 UTC.
const NOW: Time = Time::from_ms(1_795_374_188_000);

/// Settings of a channel at `url`. The timeout only ends what would last for ever.
fn settings(kind: Kind, url: &str, secrets: &[&str]) -> ChannelSettings {
    ChannelSettings {
        url: Some(SecretString::from(url)),
        secrets: secrets.iter().map(|secret| SecretString::from(*secret)).collect(),
        ..ChannelSettings::new("night", kind, Duration::from_secs(30))
    }
}

/// A channel with these settings.
fn channel(kind: Kind, url: &str, secrets: &[&str]) -> Channel {
    Channel::new(&settings(kind, url, secrets)).unwrap()
}

/// Three requests that wait for an account's administrator.
fn message() -> Message {
    let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    Message {
        id: "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b".to_owned(),
        kind: "amplinkd.alert.fired".to_owned(),
        subject: "wx0123456789abcdef".to_owned(),
        partition_key: "stuck/account_admin".to_owned(),
        sequence: 42,
        at: Time::from_ms(1_795_374_187_042),
        data: r#"{"rule":"stuck","total":3}"#.to_owned(),
        mood: Severity::Fired,
        language: Language::Zh,
        zone: amplinkd::domain::time::BEIJING,
        title: "3 个关联请求在等公众号管理员".to_owned(),
        lead: "请提醒管理员在微信里同意。".to_owned(),
        columns: ["公众号", "小程序", "已等待"].map(str::to_owned).to_vec(),
        rows: vec![
            row(["小店", "wx00000000000000aa", "3天 4小时"]),
            row(["书屋", "wx00000000000000bb", "3天 1小时"]),
            row(["茶馆", "wx00000000000000cc", "2天 22小时"]),
        ],
        total: 3,
        link: Some("https://amplinkd.example/alerts?rule=stuck".to_owned()),
        hint: "amplinkd alert list --rule stuck".to_owned(),
        alerts: Vec::new(),
    }
}

/// So many requests that wait; a few hundred of them are in the table.
fn crowd(total: usize) -> Message {
    let row = |n: usize| vec![format!("公众号 {n}"), format!("wx{n:016x}"), "3天 4小时".to_owned()];
    let title = format!("{total} 个关联请求在等公众号管理员");
    Message { title, rows: (0..total.min(500)).map(row).collect(), total, ..message() }
}

/// What an error asks for: `later`, `refused` or `gone`, the wait in seconds, and its words.
fn outcome(sent: Result<(), SendError>) -> (&'static str, Option<u64>, String) {
    match sent {
        Ok(()) => ("sent", None, String::new()),
        Err(SendError::Later { why, after }) => ("later", after.map(|wait| wait.as_secs()), why),
        Err(SendError::Unconfirmed { why }) => ("unconfirmed", None, why),
        Err(SendError::Refused { why }) => ("refused", None, why),
        Err(SendError::Gone { why }) => ("gone", None, why),
    }
}
