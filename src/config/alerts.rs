//! `[alerts]`: thresholds, repeats, quiet hours and language of notifications. What is worth an alert is decided in
//! `domain`, with these numbers.

use std::{path::Path, time::Duration};

use serde::{Deserialize, Deserializer};

use super::{
    ChannelConfig, InvalidKey,
    channels::{self, RawChannel},
    secret::Secrets,
    value::{self, Text, duration_text, rules},
};
use crate::domain::{
    alert_rules::{AlertPolicy, Override, QuietHours, Rule, Stage, StuckAfter, Threshold, Thresholds, Whose},
    id::AccountId,
    text::Language,
};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Fewer accounts are always told of by their names.
const CROWD_LEAST: u32 = 10;

/// More names in one look are no help to anybody, and each costs a row at every look.
const CROWD_MOST: u32 = 2_000;

/// `[alerts]`
#[derive(Debug, Clone)]
pub struct Alerts {
    /// How long a stage may last before somebody is told.
    pub thresholds: Thresholds,
    /// How long an account's list may be unreadable before somebody is told.
    pub unread_after: Duration,
    /// So many accounts of one trouble are told of as one.
    pub crowd: u32,
    /// How often what still fires is told again; `None` is never.
    pub repeat_every: Option<Duration>,
    /// How long alerts are gathered before they are told together.
    pub group_within: Duration,
    /// When nobody is to be disturbed; `None` is never.
    pub quiet: Option<QuietHours>,
    /// Rules that are told at once in quiet hours too.
    pub quiet_except: Vec<Rule>,
    /// The zone of the quiet hours and of times in messages.
    pub zone: jiff::tz::TimeZone,
    /// The language of messages, where a channel has none of its own.
    pub language: Language,
    /// An address shown in messages, in which `{rule}` is to be replaced.
    pub link: Option<String>,
    /// How long an outcome that nobody acts on keeps firing.
    pub keep_outcomes: Duration,
    /// How long a message is tried on a channel that does not take it.
    pub give_up_after: Duration,
    /// Who is told.
    pub channels: Vec<ChannelConfig>,
}

/// `[alerts]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAlerts {
    pub(super) stuck_after: RawStuckAfter,
    #[serde(deserialize_with = "value::duration")]
    pub(super) unread_after: Duration,
    #[serde(deserialize_with = "value::whole::<CROWD_LEAST, CROWD_MOST, _>")]
    pub(super) crowd: u32,
    #[serde(deserialize_with = "value::patience")]
    pub(super) repeat_every: Option<Duration>,
    #[serde(deserialize_with = "value::delay")]
    pub(super) group_within: Duration,
    #[serde(deserialize_with = "quiet_hours")]
    pub(super) quiet_hours: Option<Hours>,
    #[serde(deserialize_with = "rules")]
    pub(super) quiet_except: Vec<Rule>,
    #[serde(deserialize_with = "value::timezone")]
    pub(super) timezone: chrono_tz::Tz,
    pub(super) language: Language,
    #[serde(deserialize_with = "link")]
    pub(super) link: String,
    #[serde(deserialize_with = "value::duration")]
    pub(super) keep_outcomes: Duration,
    #[serde(deserialize_with = "value::duration")]
    pub(super) give_up_after: Duration,
    #[serde(rename = "override")]
    pub(super) overrides: Vec<RawOverride>,
    #[serde(rename = "channel")]
    pub(super) channels: Vec<RawChannel>,
}

impl Default for RawAlerts {
    fn default() -> Self {
        Self {
            stuck_after: RawStuckAfter::default(),
            unread_after: AlertPolicy::default().unread_after,
            crowd: 100,
            repeat_every: Some(Duration::from_hours(24)),
            group_within: Duration::from_secs(30),
            quiet_hours: None,
            // Without the daemon nobody follows anything: that must not wait for the morning.
            quiet_except: vec![Rule::Daemon],
            timezone: super::Schedule::default().timezone,
            language: Language::default(),
            link: String::new(),
            keep_outcomes: Duration::from_hours(7 * 24),
            give_up_after: Duration::from_hours(3 * 24),
            overrides: Vec::new(),
            channels: Vec::new(),
        }
    }
}

/// A table of thresholds; what is not written keeps what holds without it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table such as { account_admin = \"1d\", program_admin = \"2d\" }")]
pub(super) struct RawStuckAfter {
    #[serde(deserialize_with = "threshold")]
    account_admin: Option<Threshold>,
    #[serde(deserialize_with = "threshold")]
    program_admin: Option<Threshold>,
    #[serde(deserialize_with = "threshold")]
    unlink: Option<Threshold>,
    #[serde(deserialize_with = "threshold")]
    initiated: Option<Threshold>,
    #[serde(deserialize_with = "duration_threshold")]
    requested: Option<Threshold>,
}

impl RawStuckAfter {
    const fn of(&self, stage: Stage) -> Option<Threshold> {
        match stage {
            Stage::AccountAdmin => self.account_admin,
            Stage::ProgramAdmin => self.program_admin,
            Stage::Unlink => self.unlink,
            Stage::Initiated => self.initiated,
            Stage::Requested => self.requested,
        }
    }

    /// As the file would write it; a stage without a threshold has the one of `others`, or is left out.
    pub(super) fn shown(&self, others: Option<&StuckAfter>) -> String {
        let entry = |stage: Stage| {
            let threshold = self.of(stage).or_else(|| others.map(|others| others.of(stage)))?;
            let text = match threshold {
                Threshold::After(wait) => duration_text(wait),
                Threshold::Learned => "learned".to_owned(),
            };
            Some(format!("{} = \"{text}\"", stage.as_str()))
        };
        format!("{{ {} }}", Stage::ALL.into_iter().filter_map(entry).collect::<Vec<_>>().join(", "))
    }

    fn general(&self) -> StuckAfter {
        let StuckAfter { account_admin, program_admin, unlink, initiated, requested } = StuckAfter::default();
        StuckAfter {
            account_admin: self.account_admin.unwrap_or(account_admin),
            program_admin: self.program_admin.unwrap_or(program_admin),
            unlink: self.unlink.unwrap_or(unlink),
            initiated: self.initiated.unwrap_or(initiated),
            requested: self.requested.unwrap_or(requested),
        }
    }
}

fn threshold<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Threshold>, D::Error> {
    from.deserialize_any(Text {
        expected: "\"learned\" or a duration such as \"2d\"",
        parse: |text| {
            if text == "learned" {
                return Ok(Some(Threshold::Learned));
            }
            let wait = value::parse_duration(text).map_err(|wrong| format!("{wrong}; \"learned\" is also allowed"))?;
            Ok(Some(Threshold::After(wait)))
        },
    })
}

/// How long we ourselves may take is not learned from how long we took.
fn duration_threshold<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Threshold>, D::Error> {
    value::duration(from).map(|wait| Some(Threshold::After(wait)))
}

/// One `[[alerts.override]]` as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOverride {
    #[serde(default, deserialize_with = "some_label")]
    label: Option<(String, String)>,
    #[serde(default)]
    account: Option<AccountId>,
    stuck_after: RawStuckAfter,
}

impl RawOverride {
    /// As the file would write it.
    pub(super) fn shown(&self) -> String {
        let label =
            self.label.as_ref().map(|(name, value)| format!("label = {}, ", quoted(&format!("{name}={value}"))));
        let account = self.account.as_ref().map(|account| format!("account = \"{account}\", "));
        let whose = [label, account].into_iter().flatten().collect::<String>();
        format!("{{ {whose}stuck_after = {} }}", self.stuck_after.shown(None))
    }

    fn resolve(self) -> Result<Override, String> {
        let whose = match (self.label, self.account) {
            (Some((name, value)), None) => Whose::Label(name, value),
            (None, Some(account)) => Whose::Account(account),
            (Some(_), Some(_)) | (None, None) => {
                return Err("whose thresholds? set exactly one of `label` and `account`".to_owned());
            }
        };
        let RawStuckAfter { account_admin, program_admin, unlink, initiated, requested } = self.stuck_after;
        Ok(Override { whose, account_admin, program_admin, unlink, initiated, requested })
    }
}

fn some_label<'de, D: Deserializer<'de>>(from: D) -> Result<Option<(String, String)>, D::Error> {
    from.deserialize_any(Text { expected: LABEL, parse: |text| label(text).map(Some) })
}

const LABEL: &str = "a label, NAME=VALUE, such as \"team=shop\"";

/// A label as files write it.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("expected {LABEL}")),
    }
}

/// Quiet hours before their zone is known: two minutes of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hours {
    from: u16,
    until: u16,
}

impl Hours {
    /// As the file would write it.
    pub(super) fn shown(self) -> String {
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        format!("{}-{}", clock(self.from), clock(self.until))
    }

    fn parse(text: &str) -> Option<Self> {
        let (from, until) = text.split_once('-')?;
        let (from, until) = (minute(from.trim())?, minute(until.trim())?);
        // "24:00" ends a day; the minute that is meant is the first of the next.
        (from < DAY && from != until % DAY).then_some(Self { from, until: until % DAY })
    }
}

/// The minute of the day that a clock shows as "HH:MM".
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    Some(hours * 60 + minutes).filter(|minute| minutes < 60 && *minute <= DAY)
}

fn quiet_hours<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Hours>, D::Error> {
    const HOURS: &str = "\"never\" or two different times of the day, such as \"22:00-08:00\"";
    from.deserialize_any(Text {
        expected: HOURS,
        parse: |text| match text {
            "never" => Ok(None),
            text => Hours::parse(text).map(Some).ok_or_else(|| format!("expected {HOURS}")),
        },
    })
}

fn link<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    from.deserialize_any(Text {
        expected: "a URL such as \"https://amplinkd.example/alerts?rule={rule}\", or an empty string for none",
        parse: |text| {
            if !text.is_empty() {
                value::any_web_address(&text.replace("{rule}", "stuck"))?;
            }
            Ok(text.to_owned())
        },
    })
}

/// A text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl RawAlerts {
    /// Joins zone and hours, and reads the files that hold the channels' secrets.
    pub(super) fn resolve(self, folder: &Path, secrets: Secrets) -> Result<Alerts, InvalidKey> {
        let mut overrides = Vec::with_capacity(self.overrides.len());
        for (number, one) in (1..).zip(self.overrides) {
            let refused = |wrong| InvalidKey { key: format!("alerts.override.{number}"), wrong };
            overrides.push(one.resolve().map_err(refused)?);
        }
        let zone = value::zone(self.timezone);
        Ok(Alerts {
            thresholds: Thresholds { stuck_after: self.stuck_after.general(), overrides },
            unread_after: self.unread_after,
            crowd: self.crowd,
            repeat_every: self.repeat_every,
            group_within: self.group_within,
            quiet: self.quiet_hours.map(|Hours { from, until }| QuietHours { from, until, zone: zone.clone() }),
            quiet_except: self.quiet_except,
            zone,
            language: self.language,
            link: (!self.link.is_empty()).then_some(self.link),
            keep_outcomes: self.keep_outcomes,
            give_up_after: self.give_up_after,
            channels: channels::resolve(self.channels, self.language, folder, secrets)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_are_read_as_clocks_show_them() {
        let shown = |text| Hours::parse(text).map(Hours::shown);
        assert_eq!(shown("22:00-08:00").as_deref(), Some("22:00-08:00"));
        assert_eq!(shown("09:30 - 24:00").as_deref(), Some("09:30-00:00"));
        for bad in [
            "",
            "22-8",
            "22:00",
            "22:00-22:00",
            "00:00-24:00",
            "24:00-08:00",
            "22:60-08:00",
            "2:00-08:00",
            "+1:00-08:00",
        ] {
            assert_eq!(shown(bad), None, "{bad:?}");
        }
    }
}
