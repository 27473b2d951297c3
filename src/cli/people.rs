//! Builds the alerting half of the daemon from the configuration: the evaluator, the channels, the heartbeat.

use anyhow::Context;

use crate::{
    alerting::{deliver::ChannelEndpoint, evaluator::Settings, fan_out::Subscription},
    config::{Alerts, ChannelConfig, Config, Digest, EventClass},
    domain::alert_rules::AlertPolicy,
    engine::audit::AlertDeadlines,
    notify::{Channel, heartbeat::HeartbeatClient},
};

/// What the watch is told of the configuration.
#[must_use]
pub fn settings(config: &Config) -> Settings {
    let Config { alerts, digest, .. } = config;
    let attention = AlertPolicy {
        thresholds: alerts.thresholds.clone(),
        keep_outcomes: alerts.keep_outcomes,
        unread_after: alerts.unread_after,
        zone: alerts.zone.clone(),
        ..AlertPolicy::default()
    };
    Settings {
        attention,
        repeat_every: alerts.repeat_every,
        group_within: alerts.group_within,
        quiet: alerts.quiet.clone(),
        quiet_except: alerts.quiet_except.clone(),
        crowd: alerts.crowd.into(),
        subscriptions: alerts.channels.iter().map(|channel| subscription(channel, digest)).collect(),
    }
}

/// When people must have been told, for the audit.
#[must_use]
pub fn promised(config: &Config) -> AlertDeadlines {
    let alerts = &config.alerts;
    AlertDeadlines {
        unread_after: alerts.unread_after,
        group_within: alerts.group_within,
        quiet: alerts.quiet.clone(),
        quiet_except: alerts.quiet_except.clone(),
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

/// The channels, ready to send.
///
/// # Errors
/// A channel whose settings cannot work; the sentence says which and why.
pub fn outlets(alerts: &Alerts) -> anyhow::Result<Vec<ChannelEndpoint>> {
    let outlet = |config: &ChannelConfig| {
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
    alerts.channels.iter().map(outlet).collect()
}

/// The dead man's switch, when there is one.
pub fn heartbeat(config: &Config) -> anyhow::Result<Option<HeartbeatClient>> {
    let section = &config.heartbeat;
    let Some(url) = section.url.clone() else { return Ok(None) };
    HeartbeatClient::new(url, section.timeout).map(Some).context("[heartbeat] url")
}
