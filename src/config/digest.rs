//! `[digest]` and `[nudge]`: which channels of `[[alerts.channel]]` get the digest, and which a nudge.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{ChannelConfig, InvalidKey, alerts, value};

/// `[digest]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Digest {
    /// Names of channels; empty is no digest. Each is there.
    pub channels: Vec<String>,
}

/// `[nudge]`
#[derive(Debug, Clone)]
pub struct Nudge {
    /// How long a person is left alone after one.
    pub min_interval: Duration,
    /// How soon after one an approval counts as its effect.
    pub effect_within: Duration,
    /// Where reminders go, the one for any other request last; the first that fits wins.
    pub channels: Vec<Route>,
}

/// Where reminders of some requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Requests with this label, by name and value; `None` is any.
    pub label: Option<(String, String)>,
    /// The channel's name; it is there.
    pub channel: String,
}

impl Nudge {
    /// The name of the channel for a request with these labels.
    #[must_use]
    pub fn channel_of(&self, labels: &BTreeMap<String, String>) -> Option<&str> {
        let fits = |route: &&Route| {
            let label = route.label.as_ref();
            label.is_none_or(|(name, value)| labels.get(name) == Some(value))
        };
        self.channels.iter().find(fits).map(|route| route.channel.as_str())
    }
}

/// `[nudge]` as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawNudge {
    #[serde(deserialize_with = "value::duration")]
    pub(super) min_interval: Duration,
    #[serde(deserialize_with = "value::duration")]
    pub(super) effect_within: Duration,
    pub(super) channels: BTreeMap<String, String>,
}

impl Default for RawNudge {
    fn default() -> Self {
        let day = Duration::from_hours(24);
        Self { min_interval: day, effect_within: day, channels: BTreeMap::new() }
    }
}

impl Digest {
    /// Whether its channels are there.
    pub(super) fn check(&self, channels: &[ChannelConfig]) -> Result<(), InvalidKey> {
        let refused = |wrong| InvalidKey { key: "digest.channels".to_owned(), wrong };
        self.channels.iter().try_for_each(|name| must_be(name, channels)).map_err(refused)
    }
}

impl RawNudge {
    /// Reads the labels, and looks whether the channels are there.
    pub(super) fn resolve(self, channels: &[ChannelConfig]) -> Result<Nudge, InvalidKey> {
        let mut routes = Vec::with_capacity(self.channels.len());
        let mut any_other = None;
        for (whose, channel) in self.channels {
            let refused = |wrong| InvalidKey { key: format!("nudge.channels.{whose}"), wrong };
            must_be(&channel, channels).map_err(refused)?;
            if !["", "*"].contains(&whose.as_str()) {
                let label =
                    alerts::label(&whose).map_err(|wrong| refused(format!("{wrong}, or \"*\" for any other")))?;
                routes.push(Route { label: Some(label), channel });
            } else if any_other.replace(Route { label: None, channel }).is_some() {
                return Err(refused("\"\" and \"*\" mean the same: keep one".to_owned()));
            }
        }
        routes.extend(any_other);
        let Self { min_interval, effect_within, channels: _ } = self;
        Ok(Nudge { min_interval, effect_within, channels: routes })
    }
}

fn must_be(name: &str, channels: &[ChannelConfig]) -> Result<(), String> {
    if channels.iter().any(|channel| channel.name == name) {
        return Ok(());
    }
    let names: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
    Err(match names.as_slice() {
        [] => format!("there is no channel {name:?}, nor any other: add an [[alerts.channel]] with this name"),
        names => format!("there is no channel {name:?}: expected one of {}", names.join(", ")),
    })
}
