//! The circuit breaker of a channel: after many different messages failed in a row, single messages probe the service
//! with growing pauses. A message counts once: one that always fails says nothing about the others.

use std::{collections::BTreeSet, time::Duration};

use crate::domain::backoff::Backoff;

/// Different messages that failed since the last one was taken, at which the service counts as away.
pub(super) const FAILURES: usize = 5;

/// Messages remembered that failed while others were taken; beyond it the oldest is forgotten, and counts again.
const SUSPECTS_MAX: usize = 1_000;

/// The first pause.
pub(super) const PAUSE_MIN: Duration = Duration::from_secs(5);

/// The longest pause: how late at most we notice that a service is back.
pub(super) const PAUSE_MAX: Duration = Duration::from_mins(5);

/// The pauses between.
const PAUSES: Backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);

/// How long at most one message alone holds up the channel by the answer "not before": when others are told the same,
/// it holds for as long as the service says.
pub(super) const HOLD_ALONE_MAX: Duration = Duration::from_mins(1);

/// What may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Everything.
    All,
    /// The message that is due longest, when nothing else is under way.
    Probe,
    /// The same, but one that was never tried where there is one: a few that never succeed must not ask for all others.
    FreshProbe,
    /// Nothing yet.
    Nothing,
}

/// A failure, as far as the channel is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    /// The message's place among all.
    pub(super) seq: i64,
    /// Tries of it before this one.
    pub(super) attempts: i64,
    /// How long the service asked us to wait.
    pub(super) after: Option<Duration>,
}

/// What a failure did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Nothing for the channel.
    None,
    /// From now on it is only probed, or waits for a while.
    Opened,
    /// It stays so.
    Stays,
}

/// One channel's circuit. Moments are of the stopwatch.
#[derive(Debug, Default)]
pub(super) struct CircuitBreaker {
    /// The messages that failed since one was last taken, but for the suspects.
    failing: BTreeSet<i64>,
    /// Those that failed before another one was taken: if they fail again, it is likely their own fault.
    suspects: BTreeSet<i64>,
    /// Pauses in a row; 0 when everything may be sent.
    pauses: u32,
    /// When the pause ends.
    paused_until: Duration,
    /// When the wait ends that the service asked for; that others are taken meanwhile does not end it.
    held_until: Duration,
    /// The message that asks whether the service is back.
    probe: Option<i64>,
}

impl CircuitBreaker {
    /// What may be sent.
    pub(super) fn admits(&self, now: Duration) -> Admission {
        match (now < self.until(), self.pauses) {
            (true, _) => Admission::Nothing,
            (false, 0) => Admission::All,
            (false, pauses) if pauses % 2 == 1 => Admission::Probe,
            (false, _) => Admission::FreshProbe,
        }
    }

    /// Nothing is sent before this.
    pub(super) fn until(&self) -> Duration {
        self.paused_until.max(self.held_until)
    }

    /// A message is sent.
    pub(super) fn begun(&mut self, seq: i64) {
        self.probe = (self.pauses > 0).then_some(seq);
    }

    /// A message was taken. Whether the channel was only probed until now.
    pub(super) fn succeeded(&mut self, seq: i64) -> bool {
        let was_open = self.pauses > 0;
        let mut suspects = std::mem::take(&mut self.suspects);
        suspects.append(&mut self.failing);
        suspects.remove(&seq);
        while suspects.len() > SUSPECTS_MAX {
            suspects.pop_first();
        }
        *self = Self { suspects, held_until: self.held_until, ..Self::default() };
        was_open
    }

    /// A message was not taken.
    pub(super) fn failed(&mut self, failure: Failure, now: Duration) -> Reaction {
        if !self.suspects.contains(&failure.seq) && self.failing.len() < SUSPECTS_MAX {
            self.failing.insert(failure.seq);
        }
        let reaction = match self.pauses {
            0 if self.failing.len() < FAILURES => Reaction::None,
            0 => self.pause(now, Reaction::Opened),
            _ if self.probe == Some(failure.seq) => self.pause(now, Reaction::Stays),
            // It was under way when the others failed.
            _ => Reaction::Stays,
        };
        if let Some(after) = failure.after {
            self.hold(failure, after, now);
        }
        reaction
    }

    fn pause(&mut self, now: Duration, reaction: Reaction) -> Reaction {
        let pause = PAUSES.after(self.pauses);
        self.pauses = self.pauses.saturating_add(1);
        self.probe = None;
        self.paused_until = now + pause;
        reaction
    }

    /// Whoever is told "not before" for the first time waits as a channel; a message that is told so again, while
    /// others are taken, speaks for itself alone.
    fn hold(&mut self, failure: Failure, after: Duration, now: Duration) {
        let hold = match (self.failing.len(), failure.attempts) {
            (0 | 1, 0) => after.min(HOLD_ALONE_MAX),
            (0 | 1, _) => Duration::ZERO,
            _ => after,
        };
        self.held_until = self.held_until.max(now + hold);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    const fn of(seq: i64) -> Failure {
        Failure { seq, attempts: 3, after: None }
    }

    #[test]
    fn one_message_that_always_fails_opens_nothing() {
        let mut circuit = CircuitBreaker::default();
        for second in 0..1_000 {
            assert_eq!(circuit.failed(of(1), seconds(second)), Reaction::None);
            let again = Failure { after: Some(seconds(3_600)), ..of(1) };
            assert_eq!(circuit.failed(again, seconds(second)), Reaction::None);
            assert_eq!(circuit.admits(seconds(second)), Admission::All);
        }
    }

    #[test]
    fn many_open_it_and_one_after_the_other_asks_after_growing_pauses() {
        let mut circuit = CircuitBreaker::default();
        let reactions: Vec<Reaction> = (1..=7).map(|seq| circuit.failed(of(seq), seconds(1))).collect();
        assert_eq!(reactions[3..], [Reaction::None, Reaction::Opened, Reaction::Stays, Reaction::Stays]);
        assert_eq!(circuit.until(), seconds(6), "those that were under way do not prolong it");
        let (mut now, mut probes) = (seconds(1), 0);
        while now < seconds(24 * 3_600) {
            now = circuit.until();
            assert_eq!(circuit.admits(now.saturating_sub(Duration::from_millis(1))), Admission::Nothing);
            let kind = if probes % 2 == 0 { Admission::Probe } else { Admission::FreshProbe };
            assert_eq!(circuit.admits(now), kind);
            circuit.begun(100 + probes);
            assert_eq!(circuit.failed(of(100 + probes), now), Reaction::Stays);
            assert!(circuit.until() <= now + PAUSE_MAX);
            probes += 1;
        }
        assert!(probes < 300, "{probes} in a day");
        circuit.begun(1);
        assert!(circuit.succeeded(1));
        assert_eq!(circuit.admits(now), Admission::All);
        assert!(!circuit.succeeded(1));
    }

    #[test]
    fn what_fails_again_after_others_were_taken_counts_no_more() {
        let mut circuit = CircuitBreaker::default();
        for seq in 1..=50 {
            circuit.failed(of(seq), seconds(seq.unsigned_abs()));
        }
        assert!(circuit.succeeded(51));
        for seq in 1..=50 {
            assert_eq!(circuit.failed(of(seq), seconds(100)), Reaction::None);
        }
        for seq in 52..=55 {
            assert_eq!(circuit.failed(of(seq), seconds(100)), Reaction::None);
        }
        assert_eq!(circuit.failed(of(56), seconds(100)), Reaction::Opened, "others still do");
    }

    #[test]
    fn not_before_holds_the_channel_for_as_long_as_several_are_told_so() {
        let mut circuit = CircuitBreaker::default();
        let told = |seq| Failure { seq, attempts: 0, after: Some(seconds(600)) };
        circuit.failed(told(1), seconds(0));
        assert_eq!(circuit.until(), HOLD_ALONE_MAX);
        circuit.failed(told(2), seconds(1));
        circuit.succeeded(3);
        assert_eq!((circuit.until(), circuit.admits(seconds(600))), (seconds(601), Admission::Nothing));
        assert_eq!(circuit.admits(seconds(601)), Admission::All);
    }
}
