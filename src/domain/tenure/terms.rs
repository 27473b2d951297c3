//! How long a lease lasts, and every span that follows from it. What an operator sets is one duration; the rest is
//! derived here, so that none of them can contradict another.

use std::time::Duration;

/// How long a call may be on its way after its node stopped trusting its leases: the time for connecting, after which
/// what was begun has left or is given up. A step of the database's clock that is too small to be noticed can take all
/// but a second of it.
pub const MARGIN: Duration = Duration::from_secs(5);

/// A beat that has no answer by then is given up: the next one is due soon.
pub const BEAT_MAX: Duration = Duration::from_secs(2);

/// A beat's transaction of which nothing is heard for so long is to be ended by the server. One at a time has the rows: a
/// node that hears no answers would keep all others from beating.
pub const BEAT_IDLE_MAX: Duration = Duration::from_millis(500);

/// A whole lease has so many beats at least.
const BEATS: u32 = 5;

/// No longer than this between two beats: whatever changes hands waits for the next one.
const BEAT_EVERY_MAX: Duration = Duration::from_secs(3);

/// How long after its last beat was seen a silent node is left alone beyond its trust, by the stopwatch of whoever would
/// fence it. The database's clock may have been stepped.
const SEEN_MARGIN: Duration = Duration::from_secs(1);

/// How long beyond lease and call an invitation may take to appear in a list before its call is believed lost.
const APPEAR_MARGIN: Duration = Duration::from_mins(1);

/// A shorter lease would be trusted for less than two beats, a longer one would leave accounts without an owner for long.
const LEASE_MIN: Duration = Duration::from_secs(10);
const LEASE_MAX: Duration = Duration::from_mins(1);

/// The terms of a lease, the same for all nodes of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    lease: Duration,
}

/// A lease is too short or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be between 10s and 1m")]
pub struct BadTerms;

/// `[policy] appear_within` is too short for several daemons: one that was taken over might still have a call out when
/// its request is called again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is {}, and with a database at a server it must be at least {}: {} for [cluster] lease + {} for [wechat] \
     timeout + {}",
    text(*.appear_within), text(*.least), text(*.lease), text(*.timeout), text(APPEAR_MARGIN)
)]
pub struct TooImpatient {
    /// What is configured.
    pub appear_within: Duration,
    /// What it must be at least: the sum.
    pub least: Duration,
    /// `[cluster] lease`.
    pub lease: Duration,
    /// `[wechat] timeout`.
    pub timeout: Duration,
}

fn text(span: Duration) -> String {
    jiff::SignedDuration::try_from(span).map_or_else(|_| "for ever".to_owned(), |span| format!("{span:#}"))
}

impl Terms {
    /// Leases that last so long after each beat.
    ///
    /// # Errors
    /// [`BadTerms`] when that is too short or too long.
    pub fn new(lease: Duration) -> Result<Self, BadTerms> {
        if (LEASE_MIN..=LEASE_MAX).contains(&lease) { Ok(Self { lease }) } else { Err(BadTerms) }
    }

    /// How long after a beat, by the database's clock, nobody takes this node's leases.
    #[must_use]
    pub const fn lease(self) -> Duration {
        self.lease
    }

    /// How often a node beats.
    #[must_use]
    pub fn beat_every(self) -> Duration {
        (self.lease / BEATS).min(BEAT_EVERY_MAX)
    }

    /// How long after sending a beat a node trusts its leases: what it begins by then has left before they end.
    #[must_use]
    pub const fn trust(self) -> Duration {
        self.lease.saturating_sub(MARGIN)
    }

    /// For so long a node's row must have stood unchanged before another node's eyes: then it trusts nothing any more,
    /// whatever the database's clock says.
    #[must_use]
    pub fn stood(self) -> Duration {
        self.trust() + SEEN_MARGIN
    }

    /// Two beats that are further apart, by the database's clock, have a gap between them, in which others could perhaps
    /// not beat either. Shorter than what is left of a lease at the last beat that anybody could have missed.
    #[must_use]
    pub fn gap(self) -> Duration {
        self.lease / 2
    }

    /// Whether an invitation is waited for longer than a daemon that is taken over may still call.
    ///
    /// # Errors
    /// [`TooImpatient`], which writes out the sum.
    pub fn check_patience(self, appear_within: Duration, timeout: Duration) -> Result<(), TooImpatient> {
        let least = self.lease.saturating_add(timeout).saturating_add(APPEAR_MARGIN);
        if appear_within >= least {
            Ok(())
        } else {
            Err(TooImpatient { appear_within, least, lease: self.lease, timeout })
        }
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_seconds_are_trusted_for_ten_and_beaten_every_three() {
        let terms = Terms::default();
        let s = [terms.trust(), terms.beat_every(), terms.gap()].map(|span| span.as_secs_f64());
        assert_eq!((s, Terms::new(Duration::from_secs(15))), ([10.0, 3.0, 7.5], Ok(terms)));
    }

    #[test]
    fn whatever_lease_is_legal_survives_a_lost_beat_and_an_outage_is_a_gap() {
        for lease in [10, 15, 60].map(Duration::from_secs) {
            let terms = Terms::new(lease).unwrap();
            assert!(terms.trust() > terms.beat_every() + BEAT_MAX, "{lease:?}");
            assert!(BEAT_MAX <= terms.beat_every(), "{lease:?}");
            // Whoever sees a beat only at its own next one need not wait for another.
            assert!(terms.stood() + terms.beat_every() < lease, "{lease:?}");
            // Somebody who beat just before an outage without a gap has so much left when it ends.
            assert!(terms.gap() + terms.beat_every() + BEAT_MAX < lease, "{lease:?}");
        }
        assert_eq!([9, 61].map(|s| Terms::new(Duration::from_secs(s))), [Err(BadTerms); 2]);
    }

    #[test]
    fn patience_covers_lease_and_call_and_a_minute() {
        let (terms, s) = (Terms::default(), Duration::from_secs);
        assert_eq!(terms.check_patience(s(85), s(10)), Ok(()));
        let refused = terms.check_patience(s(84), s(10)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "it is 1m 24s, and with a database at a server it must be at least 1m 25s: 15s for [cluster] lease + 10s for \
             [wechat] timeout + 1m"
        );
    }
}
