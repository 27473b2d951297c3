//! What people are told by which channels, as the configuration says it.

use std::time::Duration;

use anyhow::Context as _;

use crate::{
    alerting::{deliver::ChannelEndpoint, evaluator, fan_out::Subscription},
    config::{Alerts, ChannelConfig, Config, Digest, EventClass},
    domain::alert_rules::AlertPolicy,
    engine::alert_deadlines::AlertDeadlines,
    notify::{Channel, heartbeat::HeartbeatClient},
};

/// What people are told, and when.
#[must_use]
pub fn alerting(config: &Config) -> evaluator::Settings {
    let Config { alerts, digest, .. } = config;
    let attention = AlertPolicy {
        thresholds: alerts.thresholds.clone(),
        keep_outcomes: alerts.keep_outcomes,
        unread_after: alerts.unread_after,
        zone: alerts.zone.clone(),
        ..AlertPolicy::default()
    };
    evaluator::Settings {
        attention,
        repeat_every: alerts.repeat_every,
        group_within: alerts.group_within,
        quiet: alerts.quiet.clone(),
        quiet_except: alerts.quiet_except.clone(),
        crowd: alerts.crowd.into(),
        component: config.component.as_ref().map(|component| component.appid.clone()),
        subscriptions: alerts.channels.iter().map(|channel| subscription(channel, digest)).collect(),
    }
}

/// When people must have been told, for the audit.
#[must_use]
pub fn deadlines(alerting: &evaluator::Settings) -> AlertDeadlines {
    AlertDeadlines {
        unread_after: alerting.attention.unread_after,
        group_within: alerting.group_within,
        quiet: alerting.quiet.clone(),
        quiet_except: alerting.quiet_except.clone(),
        aging: alerting.attention.surely_ages().collect(),
        keeps_tokens: alerting.component.is_some(),
    }
}

fn subscription(channel: &ChannelConfig, digest: &Digest) -> Subscription {
    let wants = |class| channel.events.contains(&class);
    Subscription {
        channel: channel.name.clone(),
        alerts: wants(EventClass::Alert).then(|| channel.rules.clone()),
        after: channel.after.unwrap_or_default(),
        transitions: wants(EventClass::Transition),
        conflicts: wants(EventClass::Conflict),
        digests: digest.channels.contains(&channel.name),
    }
}

pub(super) fn channels(alerts: &Alerts) -> anyhow::Result<Vec<ChannelEndpoint>> {
    let endpoint = |config: &ChannelConfig| {
        let channel = Channel::new(&config.settings())?;
        Ok(ChannelEndpoint {
            name: config.name.clone(),
            pace: channel.pace(),
            channel,
            language: config.language,
            zone: alerts.zone.clone(),
            link: alerts.link.clone(),
        })
    };
    alerts.channels.iter().map(endpoint).collect()
}

pub(super) fn heartbeat(config: &Config) -> anyhow::Result<Option<(HeartbeatClient, Duration)>> {
    let Some(settings) = config.heartbeat.settings() else { return Ok(None) };
    let client = HeartbeatClient::new(settings).context("[heartbeat] url")?;
    Ok(Some((client, config.heartbeat.every)))
}
