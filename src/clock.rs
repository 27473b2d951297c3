//! The `Clock` trait: the only source of time and randomness. Clippy bans every other way to ask for the time, because
//! a bypass would break simulated time. Waits for the machine itself, such as a disk that refuses, a lock, or the next
//! frame of a screen, are tokio's: they take as long as they take, also when simulated time runs faster.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::domain::time::Time;

/// A wait that some clock ends.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells the time, two ways: the calendar's, which people and quotas go by and which may be stepped, and a stopwatch's,
/// which waits go by and which only ever moves forward. It also rolls the dice: with both in one hand, a life that was
/// lived on a [`ManualClock`] can be lived again.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// The calendar's time.
    fn now(&self) -> Time;

    /// The stopwatch: time passed since some fixed moment of this process.
    fn monotonic(&self) -> Duration;

    /// Ends when the stopwatch shows `until`.
    fn sleep_until(&self, until: Duration) -> Sleep;

    /// A number by chance, all of them equally likely.
    fn random(&self) -> u64;
}

/// A moment by chance, from none to all of `within`, to the millisecond.
pub fn moment_within(clock: &dyn Clock, within: Duration) -> Duration {
    let most = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    // The highest bits of a product: as even as a division, and never past the end.
    let drawn = (u128::from(clock.random()) * (u128::from(most) + 1)) >> u64::BITS;
    Duration::from_millis(u64::try_from(drawn).unwrap_or(most))
}

/// A clock that several tasks share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock, or the same running faster, for demonstrations.
#[derive(Debug)]
pub struct SystemClock {
    started: tokio::time::Instant,
    began: Time,
    /// Seconds of this clock per second of the machine; 1 is the machine's own time, steps included.
    speed: u32,
}

impl SystemClock {
    /// The machine's own time.
    #[must_use]
    pub fn new() -> Self {
        Self::at_speed(1)
    }

    /// A clock that starts at the machine's time and runs `speed` times as fast.
    #[must_use]
    pub fn at_speed(speed: u32) -> Self {
        Self { started: stopwatch(), began: calendar(), speed: speed.max(1) }
    }

    /// The same clock, beginning so long ago: what it has shown by its end is past, as everything in a database is. One that
    /// runs as fast as the machine's shows the machine's time all the same.
    #[must_use]
    pub fn beginning_ago(self, ago: Duration) -> Self {
        Self { began: self.began - ago, ..self }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        if self.speed == 1 { calendar() } else { self.began + self.monotonic() }
    }

    fn monotonic(&self) -> Duration {
        stopwatch().duration_since(self.started) * self.speed
    }

    fn sleep_until(&self, until: Duration) -> Sleep {
        Box::pin(tokio::time::sleep_until(self.started + until / self.speed))
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place where the calendar is read")]
fn calendar() -> Time {
    Time::from_ms(jiff::Timestamp::now().as_millisecond())
}

#[expect(clippy::disallowed_methods, reason = "this is the place where the stopwatch is read")]
fn stopwatch() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// A clock that moves when it is told to: tests live a month in a second with it. Its calendar can be stepped alone.
#[derive(Debug)]
pub struct ManualClock {
    calendar_ms: AtomicI64,
    /// The stopwatch in milliseconds; waiters watch it.
    stopwatch_ms: tokio::sync::watch::Sender<u64>,
    /// Where its chance has come to; the same numbers in every run.
    chance: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn starting_at(start: Time) -> Arc<Self> {
        Self::seeded(start, 0)
    }

    /// The same with a chance of its own.
    #[must_use]
    pub fn seeded(start: Time, seed: u64) -> Arc<Self> {
        let stopwatch_ms = tokio::sync::watch::Sender::new(0);
        Arc::new(Self { calendar_ms: AtomicI64::new(start.ms()), stopwatch_ms, chance: AtomicU64::new(seed) })
    }

    /// Lets time pass: calendar and stopwatch.
    pub fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.step(i64::try_from(by_ms).unwrap_or(i64::MAX));
        self.stopwatch_ms.send_modify(|shown| *shown = shown.saturating_add(by_ms));
    }

    /// Steps the calendar alone, as an administrator or NTP does; negative steps go back.
    pub fn step(&self, by_ms: i64) {
        self.calendar_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time::from_ms(self.calendar_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(*self.stopwatch_ms.borrow())
    }

    fn sleep_until(&self, until: Duration) -> Sleep {
        let mut stopwatch = self.stopwatch_ms.subscribe();
        Box::pin(async move {
            let reached = stopwatch.wait_for(|shown| Duration::from_millis(*shown) >= until).await.is_ok();
            if !reached {
                // The clock is gone: its time never comes.
                std::future::pending::<()>().await;
            }
        })
    }

    fn random(&self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014): every state is as good a start as any other.
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.chance.fetch_add(GOLDEN, Ordering::SeqCst).wrapping_add(GOLDEN);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_begins_in_the_past_shows_it_and_only_when_it_is_a_fast_one() {
        let days = |days: u64| Duration::from_hours(24 * days);
        let shown = |speed| SystemClock::at_speed(speed).beginning_ago(days(4)).now();
        assert!(shown(2) < calendar() - days(3));
        assert!(shown(1) > calendar() - days(1));
    }

    #[test]
    fn chance_is_the_same_for_the_same_seed_and_stays_within() {
        let draw = |seed| {
            let clock = ManualClock::seeded(Time::from_ms(0), seed);
            (0..200).map(|_| moment_within(&*clock, Duration::from_millis(9)).as_millis()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_eq!((draw(7).iter().min(), draw(7).iter().max()), (Some(&0), Some(&9)));
    }
}
