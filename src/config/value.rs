//! How each kind of value is written in the file, and what is allowed. No error repeats a value, so a secret in the
//! wrong place stays secret.

use std::{fmt, str::FromStr, time::Duration};

use croner::parser::{CronParser, Seconds, Year};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};

use crate::domain::{alert_rules::Rule, policy::Steps, quota::GRACE_MAX, text::invisible, time::Time};

/// Longer waits are mistakes of the pen, and sums with them would leave the calendar.
const DURATION_MAX: Duration = Duration::from_hours(24 * 3_650);

/// What one may write for a duration, largest unit first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const DURATION: &str = "a duration such as \"30s\", \"15m\", \"1h 30m\", \"2d\" or \"500ms\"";

/// A text of some kind: `parse` says what is wrong with it, `expected` what it should have been.
pub(super) struct Text<T> {
    pub(super) expected: &'static str,
    pub(super) parse: fn(&str) -> Result<T, String>,
}

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(E::custom)
    }
}

/// A whole number between two bounds, both allowed.
struct Whole {
    min: u32,
    max: u32,
}

impl Visitor<'_> for Whole {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", self.min, self.max)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u32, E> {
        u32::try_from(number)
            .ok()
            .filter(|number| (self.min..=self.max).contains(number))
            .ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u32, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

pub(super) fn whole<'de, const MIN: u32, const MAX: u32, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    from.deserialize_any(Whole { min: MIN, max: MAX })
}

pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    from.deserialize_any(Text { expected: DURATION, parse: parse_duration })
}

/// A duration, or "never".
pub(super) fn patience<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    from.deserialize_any(Text {
        expected: "\"never\" or a duration such as \"30d\"",
        parse: |text| {
            if text == "never" {
                return Ok(None);
            }
            parse_duration(text).map(Some).map_err(|wrong| format!("{wrong}; \"never\" is also allowed"))
        },
    })
}

/// A duration that may be none at all: "0s".
pub(super) fn delay<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    from.deserialize_any(Text { expected: "\"0s\" or a duration such as \"30m\"", parse: parse_delay })
}

/// A duration that leaves the first hours of a month or day time enough.
pub(super) fn grace<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    from.deserialize_any(Text {
        expected: "a duration from \"0s\" to \"4h\", such as \"20m\"",
        parse: |text| match parse_delay(text)? {
            grace if grace > GRACE_MAX => Err("longer than the maximum \"4h\": what waited must have been called \
                                               while a month that rolls over late is still waited for"
                .to_owned()),
            grace => Ok(grace),
        },
    })
}

/// Reads a duration as people write it, such as "1h 30m"; longer than nothing, at most ten years.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    match parse_delay(text)? {
        Duration::ZERO => Err(format!("expected {DURATION}, above zero")),
        wait => Ok(wait),
    }
}

fn parse_delay(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected {DURATION}");
    if text.trim().is_empty() {
        return Err(wrong());
    }
    let mut rest = text.trim();
    let (mut total_ms, mut allowed) = (0_u64, &UNITS[..]);
    while !rest.is_empty() {
        let (digits, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
        let (name, tail) = tail.split_at(tail.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(tail.len()));
        // Each unit once and the large ones first: "30m 1h" and "5s5s" are more likely slips than intentions.
        let unit = allowed.iter().position(|(unit, _)| *unit == name).ok_or_else(wrong)?;
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        total_ms = total_ms.saturating_add(count.saturating_mul(allowed[unit].1));
        allowed = &allowed[unit + 1..];
        rest = tail.trim_start();
    }
    let total = Duration::from_millis(total_ms);
    if total > DURATION_MAX {
        return Err("longer than the maximum of ten years (3650d)".to_owned());
    }
    Ok(total)
}

/// Writes a duration so that [`parse_duration`] reads the same again.
pub(super) fn duration_text(wait: Duration) -> String {
    let mut rest_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let mut parts = Vec::new();
    for (unit, unit_ms) in UNITS {
        if rest_ms >= unit_ms {
            parts.push(format!("{}{unit}", rest_ms / unit_ms));
            rest_ms %= unit_ms;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// One stair of `[polling] steps`, as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    #[serde(default, deserialize_with = "some_duration")]
    pub(super) until: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    pub(super) every: Duration,
}

fn some_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    duration(from).map(Some)
}

/// The stairs as they are written, once it is known that they can be climbed.
pub(super) fn steps<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Step>, D::Error> {
    let written = Vec::<Step>::deserialize(from)?;
    staircase(&written).map_err(D::Error::custom)?;
    Ok(written)
}

pub(super) fn staircase(written: &[Step]) -> Result<Steps, String> {
    const SHAPE: &str = "every step but the last needs an `until`, and the last must have none, \
                         as in [ { until = \"1h\", every = \"30s\" }, { every = \"15m\" } ]";
    let Some((last, early)) = written.split_last() else {
        return Err(format!("no steps: {SHAPE}"));
    };
    let early: Option<Vec<_>> = early.iter().map(|step| step.until.map(|until| (until, step.every))).collect();
    match (early, last.until) {
        (Some(early), None) => Steps::new(early, last.every).map_err(|wrong| wrong.to_string()),
        (None, _) | (_, Some(_)) => Err(SHAPE.to_owned()),
    }
}

/// A cron text that the scheduler understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron(String);

impl Cron {
    /// The text: second, minute, hour, day of the month, month, weekday.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first moment after `now` in this time zone.
    #[must_use]
    pub fn next_after(&self, now: Time, zone: chrono_tz::Tz) -> Option<Time> {
        let local = chrono::DateTime::from_timestamp_millis(now.ms())?.with_timezone(&zone);
        let next = cron_parser().parse(&self.0).ok()?.find_next_occurrence(&local, false).ok()?;
        // The library carries the fraction of `now` over into its answer; a cron text knows whole seconds.
        Some(Time::from_ms(next.timestamp() * 1_000))
    }
}

/// The scheduler's own reading: seconds are required, day of the month and weekday must both match.
fn cron_parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Required).year(Year::Disallowed).dom_and_dow(true).build()
}

impl FromStr for Cron {
    type Err = String;

    /// # Errors
    /// A sentence when the text has not six fields, a field is unreadable, or its moment never comes.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.split_whitespace().count() != 6 {
            return Err(format!("expected {CRON}"));
        }
        let cron = cron_parser().parse(text).map_err(|wrong| format!("{wrong}; expected {CRON}"))?;
        let start = chrono::DateTime::from_timestamp(LATE, 0).unwrap_or_default();
        cron.find_next_occurrence(&start, false).map_err(|_| "this time never comes".to_owned())?;
        Ok(Self(text.to_owned()))
    }
}

/// The first second of the year 4590. The calendar with its weekdays repeats itself every 400 years and the search gives
/// up in the year 5000, so what does not come after this never comes. From today on the same search takes a second.
const LATE: i64 = 82_679_270_400;

const CRON: &str =
    "six cron fields, second minute hour day month weekday, such as \"0 30 4 * * *\" for 04:30 every day";

pub(super) fn cron<'de, D: Deserializer<'de>>(from: D) -> Result<Cron, D::Error> {
    from.deserialize_any(Text { expected: CRON, parse: Cron::from_str })
}

pub(super) fn timezone<'de, D: Deserializer<'de>>(from: D) -> Result<chrono_tz::Tz, D::Error> {
    const ZONE: &str = "a time zone of the IANA database, such as \"Asia/Shanghai\" or \"UTC\"";
    from.deserialize_any(Text { expected: ZONE, parse: |text| text.parse().map_err(|_| format!("expected {ZONE}")) })
}

/// The same zone as messages and quiet hours go by; both libraries know the zones of the IANA database.
pub(super) fn zone(zone: chrono_tz::Tz) -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::get(zone.name()).unwrap_or(jiff::tz::TimeZone::UTC)
}

pub(super) fn log_filter<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    const FILTER: &str = "a level (error, warn, info, debug, trace) or directives such as \"info,amplinkd=debug\"";
    from.deserialize_any(Text {
        expected: FILTER,
        parse: |text| match tracing_subscriber::EnvFilter::builder().parse(text) {
            Ok(_) if !text.trim().is_empty() => Ok(text.to_owned()),
            Ok(_) | Err(_) => Err(format!("expected {FILTER}")),
        },
    })
}

/// A file's permissions, from octal digits.
pub(super) fn file_mode<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    const MODE: &str = "octal permissions in quotes, such as \"0640\" or \"0600\"";
    from.deserialize_any(Text {
        expected: MODE,
        parse: |text| {
            let mode = u32::from_str_radix(text, 8).map_err(|_| format!("expected {MODE}"))?;
            // The daemon must read and write; nobody executes a database; a stranger who may write can forge history.
            if mode & 0o600 != 0o600 || mode & !0o664 != 0 {
                return Err(format!(
                    "expected {MODE}: the owner can read and write, nobody can execute, others cannot write"
                ));
            }
            Ok(mode)
        },
    })
}

/// The address that paths are appended to; given back without a slash at its end.
pub(super) fn base_url<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    from.deserialize_any(Text {
        expected: "a URL such as \"https://api.weixin.qq.com\"",
        parse: |text| {
            let url = web_address(text)?;
            if url.query().is_some() || url.fragment().is_some() {
                return Err("expected a base URL, without `?` and `#`".to_owned());
            }
            Ok(text.trim_end_matches('/').to_owned())
        },
    })
}

/// An `http` or `https` address. (The HTTP client's own parser, so that we agree with it.)
pub(super) fn any_web_address(text: &str) -> Result<reqwest::Url, String> {
    const ADDRESS: &str = "expected a URL that begins with https:// or http://";
    if let Some(found) = invisible::find(text, 0, invisible::is_invisible) {
        return Err(format!("the URL holds {found}: write it again"));
    }
    let url: reqwest::Url = text.parse().map_err(|wrong| format!("{ADDRESS}: {wrong}"))?;
    if !matches!(url.scheme(), "http" | "https") || text.contains(char::is_whitespace) {
        return Err(ADDRESS.to_owned());
    }
    Ok(url)
}

/// An `http` or `https` address without a password in it.
pub(super) fn web_address(text: &str) -> Result<reqwest::Url, String> {
    let url = any_web_address(text)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user or password in a URL ends up in logs: use [tokens.headers]".to_owned());
    }
    Ok(url)
}

/// Some rules, by their words.
pub(super) fn rules<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Rule>, D::Error> {
    let words = Vec::<String>::deserialize(from)?;
    let rules: Option<Vec<Rule>> = words.iter().map(|word| Rule::from_word(word)).collect();
    let known = || Rule::ALL.map(Rule::as_str).join(", ");
    rules.ok_or_else(|| D::Error::custom(format!("no such rule: expected some of {}", known())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let ms = |text| parse_duration(text).map(|wait| wait.as_millis()).ok();
        assert_eq!(ms("30s"), Some(30_000));
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(ms("2d"), Some(172_800_000));
        assert_eq!(ms("1h 30m"), Some(5_400_000));
        assert_eq!(ms("1h30m"), Some(5_400_000));
        for bad in ["", "0s", "10", "s", "1.5h", "-1s", "30m 1h", "5s5s", "1y", "4000d", "99999999999999999999d", "1 h"]
        {
            assert_eq!(ms(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_duration_survives_being_written_down() {
        for text in ["30s", "500ms", "2d", "1h 30m", "1d 2h 3m 4s 5ms"] {
            assert_eq!(duration_text(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn a_cron_text_must_have_seconds_and_must_come_true() {
        assert!("0 30 4 * * *".parse::<Cron>().is_ok());
        assert!("0 0 4 * * MON".parse::<Cron>().is_ok());
        assert!("0 0 0 29 2 SUN#5".parse::<Cron>().is_ok());
        for bad in
            ["30 4 * * *", "0 30 25 * * *", "0 0 0 31 2 *", "0 0 0 29 2 MON#2", "@daily", "", "0 30 4 * * * 2030"]
        {
            assert!(bad.parse::<Cron>().is_err(), "{bad:?}");
        }
    }
}
