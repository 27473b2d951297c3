//! What people and views write about time, read.

use std::{fmt, time::Duration};

use jiff::{
    civil,
    tz::{AmbiguousOffset, TimeZone},
};

use crate::domain::time::Time;

/// The moment of an RFC 3339 text, as the views write it.
#[must_use]
pub fn moment(text: &str) -> Option<Time> {
    Some(Time::from_ms(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()))
}

/// A moment with an offset, or in this zone. A time that a zone has twice is the first, one that it skips is none.
///
/// # Errors
/// A sentence that says what is expected.
pub fn moment_in(text: &str, zone: &TimeZone) -> Result<Time, String> {
    if let Some(at) = moment(text) {
        return Ok(at);
    }
    let shapes = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"];
    let local = shapes.iter().find_map(|shape| civil::DateTime::strptime(shape, text).ok());
    local
        .map(|local| zone.to_ambiguous_timestamp(local))
        .filter(|local| !matches!(local.offset(), AmbiguousOffset::Gap { .. }))
        .and_then(|local| local.earlier().ok())
        .map(|at| Time::from_ms(at.as_millisecond()))
        .ok_or_else(|| "expected a time such as 2026-03-05T09:00 or 2026-03-05T09:00:00+08:00".to_owned())
}

/// A span as people write it on a command line or in a query: "90m", "36h", "30d", "4w".
///
/// # Errors
/// A sentence when it is none, or longer than ten years.
pub fn span(text: &str) -> Result<Duration, String> {
    /// Ten years: further back nothing is.
    const HOURS_MAX: u64 = 3_650 * 24;
    let wrong = || "expected a number and m, h, d or w, such as 30d".to_owned();
    let text = text.trim();
    let (at, unit) = text.char_indices().next_back().ok_or_else(wrong)?;
    let count: u64 = text[..at].parse().map_err(|_| wrong())?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return Err(wrong()),
    };
    let span = Duration::from_secs(count.saturating_mul(seconds));
    if span.is_zero() || span > Duration::from_hours(HOURS_MAX) {
        return Err("expected a span above zero and of at most ten years".to_owned());
    }
    Ok(span)
}

/// A moment as people and programs name it: by itself, or by how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// This very moment.
    At(Time),
    /// So long before whoever reads it.
    Ago(Duration),
}

impl When {
    /// The moment, for somebody who reads it now.
    #[must_use]
    pub fn seen_from(self, now: Time) -> Time {
        match self {
            Self::At(at) => at,
            Self::Ago(span) => now - span,
        }
    }
}

impl fmt::Display for When {
    /// As [`when`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => at.fmt(f),
            Self::Ago(span) => {
                let units = [(86_400, 'd'), (3_600, 'h')];
                let whole = units.into_iter().find(|(seconds, _)| span.as_secs().is_multiple_of(*seconds));
                let (seconds, unit) = whole.unwrap_or((60, 'm'));
                write!(f, "{}{unit}", span.as_secs() / seconds)
            }
        }
    }
}

/// A moment with an offset, or a span such as "24h".
///
/// # Errors
/// A sentence that says what is expected.
pub fn when(text: &str) -> Result<When, String> {
    if let Some(at) = moment(text) {
        return Ok(When::At(at));
    }
    span(text)
        .map(When::Ago)
        .map_err(|_| "expected how long ago, such as 24h or 7d, or a time such as 2026-03-05T09:00:00+08:00".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_an_offset_or_is_in_the_zone_of_the_configuration() {
        let at = |text| moment_in(text, &crate::domain::time::BEIJING).map(Time::ms).ok();
        let nine = Some(1_772_672_400_000);
        assert_eq!(at("2026-03-05T09:00:00+08:00"), nine);
        assert_eq!(at("2026-03-05T01:00:00Z"), nine);
        assert_eq!(at("2026-03-05T09:00"), nine);
        assert_eq!(at("2026-03-05 09:00:00"), nine);
        for bad in ["", "tomorrow", "09:00", "2026-03-05", "2026-02-30T09:00"] {
            assert_eq!(at(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn spans_are_read_as_people_write_them() {
        let hours = |text| span(text).map(|span| span.as_secs() / 3_600);
        assert_eq!(["90m", "36h", "30d", "4w"].map(hours), [Ok(1), Ok(36), Ok(720), Ok(672)]);
        for wrong in ["", "d", "0d", "-1d", "30", "1y", "30 tagé", "99999999999999999999d", "4000d"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
