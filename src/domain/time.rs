//! Moments and the Beijing calendar. It must never read a clock: every moment is handed in.

use std::{fmt, time::Duration};

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
        let (year, month) = civil_month(self.beijing_day());
        Self::from_beijing_day(first_day_of(year, month))
    }

    /// The first instant of the next Beijing day.
    #[must_use]
    pub fn next_beijing_day(self) -> Self {
        Self::from_beijing_day(self.beijing_day() + 1)
    }

    /// The first instant of the next Beijing month, when monthly quotas roll over (our reading: no page says so).
    #[must_use]
    pub fn next_beijing_month(self) -> Self {
        let (year, month) = civil_month(self.beijing_day());
        let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        Self::from_beijing_day(first_day_of(year, month))
    }

    const fn beijing_ms(self) -> i64 {
        self.0.saturating_add(BEIJING_OFFSET_MS)
    }

    const fn from_beijing_day(day: i64) -> Self {
        Self(day.saturating_mul(DAY_MS).saturating_sub(BEIJING_OFFSET_MS))
    }
}

/// Beijing keeps UTC+8 all year; it has known no summer time since 1991.
const BEIJING_OFFSET_MS: i64 = 8 * 3_600_000;

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

/// Year and month of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
/// (Howard Hinnant's `civil_from_days`, <https://howardhinnant.github.io/date_algorithms.html>.)
fn civil_month(day: i64) -> (i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month)
}

/// The first day of a month, counted from 1970-01-01; the inverse of [`civil_month`].
fn first_day_of(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * from_march + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A duration as people write it: "45s", "15m", "1h 30m", "2d 4h"; the two largest units.
#[must_use]
pub fn in_words(wait: Duration) -> String {
    let seconds = wait.as_secs();
    let units = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let Some(first) = units.iter().position(|(count, _)| *count > 0) else {
        return if wait.is_zero() { "0s".to_owned() } else { format!("{}ms", wait.as_millis()) };
    };
    let written: Vec<String> = units[first..]
        .iter()
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    written.join(" ")
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

    #[test]
    fn durations_read_as_people_write_them() {
        let words = |s| in_words(Duration::from_secs(s));
        assert_eq!(
            [words(0), words(45), words(900), words(5_400), words(187_200)],
            ["0s", "45s", "15m", "1h 30m", "2d 4h"]
        );
    }
}
