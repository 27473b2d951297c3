//! When a quota that `WeChat` calls used up resets. Its clock is not ours, and how punctually its months and days start
//! is not documented: nothing is called in their first minutes, and a quota that is still used up in their first hours
//! has perhaps not reset yet, so one call probes.

use std::time::Duration;

use super::{errcode::Class, id::RequestId, time::Time};

/// For how long into a month or day a quota that is used up is taken for one that has not rolled yet. A month that rolls
/// later than this is lost, and one that is really used up by then has cost a call every [`PROBE_EVERY`].
pub const ROLLS_WITHIN: Duration = Duration::from_hours(6);

/// How often one call asks whether a quota has rolled: often enough to lose little of a day, and twelve calls in all.
pub const PROBE_EVERY: Duration = Duration::from_mins(30);

/// What waited for a month or day goes on spread over this time, so that it does not begin with a storm.
pub const SPREAD: Duration = Duration::from_hours(1);

/// The longest grace: with [`SPREAD`] on top of it, everybody has been called an hour before [`ROLLS_WITHIN`] is over.
pub const GRACE_MAX: Duration = Duration::from_hours(4);

/// What a quota is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// A month of Beijing's calendar.
    Month,
    /// A day of it.
    Day,
}

/// Until when a used-up quota holds calls back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// When the next call may be made.
    pub until: Time,
    /// That call only asks whether the quota has rolled: it may not have, so early in the month or day.
    pub is_early: bool,
}

impl Period {
    /// What the quota behind a refusal is counted by; `None` when there is none behind it.
    #[must_use]
    pub const fn of(class: Class) -> Option<Self> {
        match class {
            Class::ProgramMonth | Class::AccountMonth => Some(Self::Month),
            Class::DailyQuota => Some(Self::Day),
            Class::Done
            | Class::InvitationOut
            | Class::ConsoleLink
            | Class::AlreadyLinked
            | Class::UnlinkOut
            | Class::Final
            | Class::Busy
            | Class::TokenBad
            | Class::AuthorizationGone
            | Class::PermissionMissing
            | Class::AccountRestricted
            | Class::IpNotAllowed
            | Class::TooFast
            | Class::OurBug
            | Class::Unknown => None,
        }
    }

    /// The first instant of the one that `now` falls in.
    #[must_use]
    pub fn began(self, now: Time) -> Time {
        match self {
            Self::Month => now.this_beijing_month(),
            Self::Day => now.this_beijing_day(),
        }
    }

    /// When what waits for the next one begins, `grace` after its first instant.
    #[must_use]
    pub fn begins_again(self, now: Time, grace: Duration) -> Time {
        let next = match self {
            Self::Month => now.next_beijing_month(),
            Self::Day => now.next_beijing_day(),
        };
        next + grace.min(GRACE_MAX)
    }

    /// Whether a quota of this period may not have rolled yet at `now`.
    #[must_use]
    pub fn is_early(self, now: Time) -> bool {
        now.since(self.began(now)) < ROLLS_WITHIN
    }

    /// What it means for the calls that come after it that `WeChat` says at `now` that the quota is used up.
    #[must_use]
    pub fn refused(self, now: Time, grace: Duration) -> Hold {
        let is_early = self.is_early(now);
        let until = if is_early { now + PROBE_EVERY } else { self.begins_again(now, grace) };
        Hold { until, is_early }
    }

    /// A hold as far as it can be believed at `now`: one that reaches further than its rule allows was written under a
    /// calendar that was ahead.
    #[must_use]
    pub fn believed(self, hold: Hold, now: Time) -> Time {
        let latest = if hold.is_early { now + PROBE_EVERY } else { self.begins_again(now, GRACE_MAX) };
        hold.until.min(latest)
    }
}

/// When a request goes on whose own call was refused at `now` because a month is used up.
#[must_use]
pub fn deferred_until(id: &RequestId, now: Time, grace: Duration) -> Time {
    let hold = Period::Month.refused(now, grace);
    // The one that asks is not kept waiting any longer: the others follow it.
    if hold.is_early { hold.until } else { hold.until + moment(id, SPREAD) }
}

/// A moment within `within` that differs from request to request and is always the same for one.
#[must_use]
pub fn moment(id: &RequestId, within: Duration) -> Duration {
    let hash = id.as_str().bytes().fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    Duration::from_millis(hash % u64::try_from(within.as_millis()).unwrap_or(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::errcode;

    const GRACE: Duration = Duration::from_mins(20);

    fn at(beijing: &str) -> Time {
        let moment: jiff::Timestamp = format!("{beijing}+08:00").parse().unwrap();
        Time::from_ms(moment.as_millisecond())
    }

    /// What a refusal at a moment of Beijing's calendar means.
    #[test]
    fn a_refusal_means_what_the_table_says() {
        let (month, day) = (Period::Month, Period::Day);
        for (period, refused_at, until, is_early) in [
            // The calendar of January is over, and WeChat's month has perhaps not rolled.
            (month, "2026-02-01T00:00:00", "2026-02-01T00:30:00", true),
            (month, "2026-02-01T00:20:07", "2026-02-01T00:50:07", true),
            (month, "2026-02-01T05:59:59", "2026-02-01T06:29:59", true),
            // It is over for this month.
            (month, "2026-02-01T06:00:00", "2026-03-01T00:20:00", false),
            (month, "2026-02-27T23:59:59", "2026-03-01T00:20:00", false),
            (month, "2026-01-31T23:59:59", "2026-02-01T00:20:00", false),
            (month, "2028-02-29T12:00:00", "2028-03-01T00:20:00", false),
            (month, "2026-12-31T23:59:59", "2027-01-01T00:20:00", false),
            // The same for a day.
            (day, "2026-02-01T00:00:00", "2026-02-01T00:30:00", true),
            (day, "2026-02-14T05:59:59", "2026-02-14T06:29:59", true),
            (day, "2026-02-14T06:00:00", "2026-02-15T00:20:00", false),
            (day, "2026-02-28T23:59:59", "2026-03-01T00:20:00", false),
        ] {
            let hold = period.refused(at(refused_at), GRACE);
            assert_eq!(hold, Hold { until: at(until), is_early }, "{period:?} at {refused_at}");
            assert_eq!(period.believed(hold, at(refused_at)), hold.until, "{period:?} at {refused_at}");
        }
    }

    #[test]
    fn a_quota_has_a_period_and_nothing_else_has_one() {
        let periods = [89_007, 89_016, 89_017, 89_030, 45_009].map(|code| Period::of(errcode::classify(code)));
        assert_eq!(periods, [Period::Month, Period::Month, Period::Month, Period::Month, Period::Day].map(Some));
        let others = errcode::TABLE.iter().filter(|row| Period::of(row.class).is_some());
        assert_eq!(others.count(), periods.len());
    }

    /// In January it was February once, or the clock was an hour ahead.
    #[test]
    fn a_hold_that_reaches_too_far_is_believed_no_further_than_its_rule_allows() {
        let now = at("2026-01-31T23:00:00");
        let of_february = Hold { until: at("2026-03-01T00:20:00"), is_early: false };
        assert_eq!(Period::Month.believed(of_february, now), at("2026-02-01T04:00:00"));
        let of_an_hour_ahead = Hold { until: at("2026-02-01T01:00:00"), is_early: true };
        assert_eq!(Period::Month.believed(of_an_hour_ahead, now), at("2026-01-31T23:30:00"));
    }

    #[test]
    fn the_one_that_asks_is_not_spread_and_all_others_are() {
        let id = |n: u8| format!("0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a{n:02x}").parse::<RequestId>().unwrap();
        let early = at("2026-02-01T00:25:00");
        assert_eq!(deferred_until(&id(1), early, GRACE), early + PROBE_EVERY);
        let mut late: Vec<Time> = (0..80).map(|n| deferred_until(&id(n), at("2026-01-20T09:00:00"), GRACE)).collect();
        late.sort_unstable();
        late.dedup();
        assert!(late.len() > 70, "they do not go on all at once");
        assert!(late[0] >= at("2026-02-01T00:20:00") && late[late.len() - 1] < at("2026-02-01T01:20:00"));
    }
}
