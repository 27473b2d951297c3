//! How often somebody may try to sign in, by address, by name and altogether; and how often a channel may be tested.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed, keyed::HashMapStateStore},
};
use xxhash_rust::xxh3::xxh3_64;

use crate::clock::SharedClock;

/// Tries in a minute from one address, in an hour for one name, and in a minute altogether.
const PER_ADDRESS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
const PER_NAME: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
const IN_ALL: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);

/// Addresses and names that are remembered before those are forgotten that have tried nothing lately.
const REMEMBERED: usize = 10_000;

/// The stopwatch, as the limiters read it.
#[derive(Debug, Clone)]
struct Stopwatch(SharedClock);

impl Clock for Stopwatch {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

type Keyed = RateLimiter<u64, HashMapStateStore<u64>, Stopwatch, NoOpMiddleware<Duration>>;

/// How often a channel may be tested: once in so long.
const TEST_EVERY: Duration = Duration::from_secs(10);

/// How often channels may be tested, each by its name; there are as many as are configured.
#[derive(Debug)]
pub(super) struct TestLimits {
    clock: Stopwatch,
    by_channel: Keyed,
}

impl TestLimits {
    pub(super) fn new(clock: &SharedClock) -> Self {
        let clock = Stopwatch(clock.clone());
        let quota = Quota::with_period(TEST_EVERY).unwrap_or(Quota::per_minute(NonZeroU32::MIN));
        Self { by_channel: RateLimiter::hashmap_with_clock(quota, clock.clone()), clock }
    }

    /// Takes one test; otherwise the seconds until there may be one.
    pub(super) fn take(&self, channel: &str) -> Result<(), u64> {
        let checked = self.by_channel.check_key(&xxh3_64(channel.as_bytes()));
        checked.map_err(|until| until.wait_time_from(self.clock.now()).as_secs() + 1)
    }
}

/// How often somebody may try.
#[derive(Debug)]
pub(super) struct SignInLimits {
    clock: Stopwatch,
    by_address: Keyed,
    by_name: Keyed,
    all: RateLimiter<NotKeyed, InMemoryState, Stopwatch, NoOpMiddleware<Duration>>,
}

impl SignInLimits {
    pub(super) fn new(clock: &SharedClock) -> Self {
        let clock = Stopwatch(clock.clone());
        Self {
            by_address: RateLimiter::hashmap_with_clock(Quota::per_minute(PER_ADDRESS), clock.clone()),
            by_name: RateLimiter::hashmap_with_clock(Quota::per_hour(PER_NAME), clock.clone()),
            all: RateLimiter::direct_with_clock(Quota::per_minute(IN_ALL), clock.clone()),
            clock,
        }
    }

    /// Takes one try; otherwise the seconds until there is one.
    pub(super) fn take(&self, address: Option<IpAddr>, name: &str) -> Result<(), u64> {
        let now = self.clock.now();
        let keyed = [(&self.by_address, neighbourhood(address)), (&self.by_name, xxh3_64(name.as_bytes()))];
        for (limiter, key) in keyed {
            if limiter.len() > REMEMBERED {
                limiter.retain_recent();
            }
            limiter.check_key(&key).map_err(|until| until.wait_time_from(now).as_secs() + 1)?;
        }
        self.all.check().map_err(|until| until.wait_time_from(now).as_secs() + 1)
    }
}

/// An IPv4 address, or the network of an IPv6 address that one customer has (/64).
fn neighbourhood(address: Option<IpAddr>) -> u64 {
    match address {
        None => 0,
        Some(IpAddr::V4(address)) => u64::from(address.to_bits()),
        Some(IpAddr::V6(address)) => u64::try_from(address.to_bits() >> 64).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, domain::time::Time};

    #[test]
    fn whoever_guesses_waits() {
        let clock = ManualClock::starting_at(Time::from_ms(0));
        let shared: SharedClock = clock.clone();
        let limits = SignInLimits::new(&shared);
        let from = |last: u8| Some(IpAddr::from([10, 0, 0, last]));
        for try_ in 0..5 {
            assert_eq!(limits.take(from(1), &format!("user{try_}")), Ok(()));
        }
        let wait = limits.take(from(1), "lena").unwrap_err();
        assert!((1..=13).contains(&wait), "{wait}");
        assert_eq!(limits.take(from(2), "lena"), Ok(()), "another address");
        clock.advance(Duration::from_mins(1));
        assert_eq!(limits.take(from(1), "lena"), Ok(()));
        // One name from many addresses, and many of both.
        let tries = (10..200).filter(|last| limits.take(from(*last), "root").is_ok()).count();
        assert_eq!(tries, 20);
        clock.advance(Duration::from_mins(1));
        let tries = (10..200).filter(|last| limits.take(from(*last), &format!("user{last}")).is_ok()).count();
        assert_eq!(tries, 60);
    }

    #[test]
    fn an_ipv6_neighbourhood_is_one() {
        let of = |address: &str| neighbourhood(Some(address.parse().unwrap()));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
