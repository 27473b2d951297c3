//! WeChat's quotas: the limits, and their use in a Beijing month or day.

use jiff::{
    Timestamp,
    tz::{self, Offset},
};
use serde::{Deserialize, Serialize};

use super::api_name::Api;

/// Beijing, where WeChat's days and months begin. It has known no daylight saving since 1991.
const BEIJING: Offset = tz::offset(8);

/// How much is allowed. Absent means without limit, which is also where a simulator starts, but for a component's calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Invitations a program may receive in a month, over every account (89007).
    pub program_links_per_month: Option<u32>,
    /// Invitations of an account in a month to programs of its own owner (89016).
    pub same_owner_links_per_month: Option<u32>,
    /// Invitations of an account in a month to programs of other owners (89017).
    pub other_owner_links_per_month: Option<u32>,
    /// Links and unlinks of an account in a month, together (89030).
    pub operations_per_month: Option<u32>,
    /// Programs an account may hold or wait for at once (89009).
    pub links_held: Option<u32>,
    /// Calls of one account to one API in a day (45009).
    pub calls_per_day: Option<u32>,
    /// Calls of a third-party platform to one of its own APIs in a day (45009).
    pub component_calls_per_day: Option<u32>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            program_links_per_month: None,
            same_owner_links_per_month: None,
            other_owner_links_per_month: None,
            operations_per_month: None,
            links_held: None,
            calls_per_day: None,
            component_calls_per_day: Some(COMPONENT_CALLS_PER_DAY),
        }
    }
}

/// What the pages say of `api_component_token`; of the others they say nothing.
const COMPONENT_CALLS_PER_DAY: u32 = 10_000;

/// Whether one more would pass the limit.
pub(super) fn reached(used: u32, limit: Option<u32>) -> bool {
    limit.is_some_and(|limit| used >= limit)
}

/// A Beijing month, counted from year 0, so that months compare as numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Month(i32);

/// The Beijing month that holds `now` (milliseconds UTC).
pub(super) fn month(now: i64) -> Month {
    let timestamp = Timestamp::from_millisecond(now).unwrap_or_default();
    let date = BEIJING.to_datetime(timestamp);
    Month(i32::from(date.year()) * 12 + i32::from(date.month()))
}

/// The Beijing day that holds `now` (milliseconds UTC), counted from 1970.
pub(super) fn day(now: i64) -> i64 {
    const DAY_MS: i64 = 86_400_000;
    (now + i64::from(BEIJING.seconds()) * 1_000).div_euclid(DAY_MS)
}

/// What an account used in the month it last used anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountMonth {
    month: Month,
    /// Invitations to programs of its own owner.
    pub same_owner: u32,
    /// Invitations to programs of other owners.
    pub other_owner: u32,
    /// Links and unlinks together.
    pub operations: u32,
}

impl AccountMonth {
    /// What was used in the month of `now`: nothing, if the month has rolled since.
    pub(super) fn at(self, now: i64) -> Self {
        let month = month(now);
        if self.month == month { self } else { Self { month, ..Self::default() } }
    }
}

/// Invitations a program received in the month it last received one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProgramMonth {
    month: Month,
    /// Invitations over every account.
    pub links: u32,
}

impl ProgramMonth {
    pub(super) fn at(self, now: i64) -> Self {
        let month = month(now);
        if self.month == month { self } else { Self { month, links: 0 } }
    }
}

/// Calls of an account per API on the day it last called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CallsToday {
    day: i64,
    calls: [u32; 3],
}

impl CallsToday {
    /// Calls of this API in the day of `now`.
    pub(super) fn of(self, api: Api, now: i64) -> u32 {
        if self.day == day(now) { self.calls[api as usize] } else { 0 }
    }

    /// Counts one more call, unless the limit is reached.
    pub(super) fn take(&mut self, api: Api, now: i64, limit: Option<u32>) -> bool {
        let day = day(now);
        if self.day != day {
            *self = Self { day, calls: [0; 3] };
        }
        let used = &mut self.calls[api as usize];
        if reached(*used, limit) {
            return false;
        }
        *used += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-31T15:59:59Z, one second before February in Beijing.
    const LAST_SECOND_OF_JANUARY: i64 = 1_769_875_199_000;

    #[test]
    fn the_month_rolls_at_midnight_in_beijing() {
        assert_ne!(month(LAST_SECOND_OF_JANUARY), month(LAST_SECOND_OF_JANUARY + 1_000));
        let used = AccountMonth { month: month(LAST_SECOND_OF_JANUARY), operations: 4, ..AccountMonth::default() };
        assert_eq!(used.at(LAST_SECOND_OF_JANUARY).operations, 4);
        assert_eq!(used.at(LAST_SECOND_OF_JANUARY + 1_000).operations, 0);
    }

    #[test]
    fn the_day_rolls_at_midnight_in_beijing() {
        let mut calls = CallsToday::default();
        assert!(calls.take(Api::Listing, LAST_SECOND_OF_JANUARY, Some(1)));
        assert!(!calls.take(Api::Listing, LAST_SECOND_OF_JANUARY, Some(1)));
        assert!(calls.take(Api::Link, LAST_SECOND_OF_JANUARY, Some(1)));
        assert!(calls.take(Api::Listing, LAST_SECOND_OF_JANUARY + 1_000, Some(1)));
    }
}
