//! Timestamps and the Beijing calendar. No clock here: the current time is an argument.

use std::{fmt, time::Duration};

use jiff::{civil, tz::TimeZone};

/// Milliseconds of one day.
const DAY_MS: i64 = 86_400_000;

/// A moment: milliseconds since 1970 in UTC, as the database keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Time(i64);

impl Time {
    /// The moment `ms` milliseconds after 1970 in UTC.
    #[must_use]
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970 in UTC.
    #[must_use]
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// How long ago `earlier` was; zero when it lies ahead, as after a clock was stepped back.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// How long until `later`; zero when it has passed.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        later.since(self)
    }

    /// The Beijing day this moment falls in, counted from 1970-01-01. `WeChat`'s daily quotas roll over with it
    /// (our reading: no page says so).
    #[must_use]
    pub fn beijing_day(self) -> i64 {
        self.beijing_ms().div_euclid(DAY_MS)
    }

    /// The first instant of the Beijing day this moment falls in.
    #[must_use]
    pub fn this_beijing_day(self) -> Self {
        Self::from_beijing_day(self.beijing_day())
    }

    /// The first instant of the Beijing month this moment falls in.
    #[must_use]
    pub fn this_beijing_month(self) -> Self {
        self.beginning_of(|date| Some(date.first_of_month()))
    }

    /// The first instant of the next Beijing day.
    #[must_use]
    pub fn next_beijing_day(self) -> Self {
        Self::from_beijing_day(self.beijing_day() + 1)
    }

    /// The first instant of the next Beijing month, when monthly quotas roll over (our reading: no page says so).
    #[must_use]
    pub fn next_beijing_month(self) -> Self {
        self.beginning_of(|date| date.last_of_month().tomorrow().ok())
    }

    /// The first instant of the Beijing day that follows from this one's; this moment where no calendar reaches.
    fn beginning_of(self, day: impl FnOnce(civil::Date) -> Option<civil::Date>) -> Self {
        let moment = jiff::Timestamp::from_millisecond(self.0).ok();
        let day = moment.and_then(|moment| day(BEIJING.to_datetime(moment).date()));
        let first = day.and_then(|day| BEIJING.to_timestamp(day.at(0, 0, 0, 0)).ok());
        first.map_or(self, |first| Self(first.as_millisecond()))
    }

    const fn beijing_ms(self) -> i64 {
        self.0.saturating_add(BEIJING_OFFSET_MS)
    }

    const fn from_beijing_day(day: i64) -> Self {
        Self(day.saturating_mul(DAY_MS).saturating_sub(BEIJING_OFFSET_MS))
    }
}

/// Hours that Beijing is ahead of UTC, all year: it has known no summer time since 1991.
const BEIJING_AHEAD: i8 = 8;

const BEIJING_OFFSET_MS: i64 = BEIJING_AHEAD as i64 * 3_600_000;

/// Where WeChat's days and months begin, and where most administrators are.
pub const BEIJING: TimeZone = TimeZone::fixed(jiff::tz::offset(BEIJING_AHEAD));

impl std::ops::Add<Duration> for Time {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl std::ops::Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => write!(f, "{moment:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::from_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn the_beijing_day_ends_at_four_in_the_afternoon_utc() {
        assert_eq!(at("2026-02-28T15:59:59.999Z").next_beijing_day(), at("2026-02-28T16:00:00Z"));
        assert_eq!(at("2026-02-28T16:00:00Z").next_beijing_day(), at("2026-03-01T16:00:00Z"));
        assert_eq!(at("2026-02-28T15:59:59.999Z").this_beijing_day(), at("2026-02-27T16:00:00Z"));
        assert_eq!(at("2026-02-28T16:00:00Z").this_beijing_day(), at("2026-02-28T16:00:00Z"));
    }

    #[test]
    fn the_beijing_month_rolls_over_years_and_leap_days() {
        assert_eq!(at("2026-12-31T15:59:59Z").next_beijing_month(), at("2026-12-31T16:00:00Z"));
        assert_eq!(at("2026-12-31T16:00:00Z").next_beijing_month(), at("2027-01-31T16:00:00Z"));
        assert_eq!(at("2028-02-10T00:00:00Z").next_beijing_month(), at("2028-02-29T16:00:00Z"));
        assert_eq!(at("2028-02-29T15:59:59Z").this_beijing_month(), at("2028-01-31T16:00:00Z"));
        assert_eq!(at("2026-12-31T16:00:00Z").this_beijing_month(), at("2026-12-31T16:00:00Z"));
    }

    #[test]
    fn a_clock_stepped_back_never_gives_a_negative_age() {
        assert_eq!(Time::from_ms(5).since(Time::from_ms(9)), Duration::ZERO);
    }
}
