//! What a try means for its message: accepted, retry and when, or given up. Pure.

use std::time::Duration;

use crate::{
    domain::{backoff::Backoff, time::Time},
    notify::SendError,
    store::write::deliveries::{DueDelivery, Outcome},
};

/// The pause after the first failure.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The pause after which no longer one follows, chance aside.
const PAUSE_MAX: Duration = Duration::from_mins(10);

/// The pause after the first refusal. Each is twice the one before: [`REFUSALS_MAX`] tries take a minute or two.
const REFUSED_PAUSE_MIN: Duration = Duration::from_secs(4);

/// Refusals in a row after which a message is given up: a service that is just being set up refuses everything.
pub(super) const REFUSALS_MAX: i64 = 5;

/// Tries before a message is given up for its age: one that was old when the daemon came up has its chance, too.
pub(super) const TRIES_MIN: i64 = 5;

/// The longest wait that a service may ask for.
pub(super) const AFTER_MAX: Duration = Duration::from_hours(1);

/// A message that is to wait longer than any of our waits was put off while the calendar was wrong. Chance may double a
/// pause.
pub(super) const WAIT_MAX: Duration = AFTER_MAX.saturating_add(PAUSE_MAX.saturating_mul(2));

/// Characters of an error that are kept.
const ERROR_MAX: usize = 500;

/// The circumstances of a try.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// The calendar when it was over.
    pub(super) now: Time,
    /// How old the message is.
    pub(super) age: Duration,
    /// From which age on it is given up.
    pub(super) give_up_after: Duration,
    /// A number by chance.
    pub(super) chance: u64,
}

/// What a try means for its message.
pub(super) fn retry_decision(due: &DueDelivery, sent: &Result<(), SendError>, moment: Moment) -> Outcome {
    let tries = due.attempts.saturating_add(1);
    match sent {
        Ok(()) => Outcome::Delivered { at: moment.now },
        Err(SendError::Later { why, .. }) if moment.age >= moment.give_up_after && tries >= TRIES_MIN => {
            Outcome::Dead { error: short(why), refusals: 0 }
        }
        Err(SendError::Later { why, after }) => {
            let pause = pause(PAUSE_MIN, due.attempts, moment.chance);
            let pause = pause.max(after.unwrap_or_default().min(AFTER_MAX));
            Outcome::Again { next_at: moment.now + pause, error: short(why), refusals: 0 }
        }
        Err(SendError::Refused { why }) if due.refusals.saturating_add(1) >= REFUSALS_MAX => {
            Outcome::Dead { error: short(why), refusals: REFUSALS_MAX }
        }
        Err(SendError::Refused { why }) => {
            let pause = pause(REFUSED_PAUSE_MIN, due.refusals, moment.chance);
            Outcome::Again { next_at: moment.now + pause, error: short(why), refusals: due.refusals.saturating_add(1) }
        }
        Err(SendError::Gone { why }) => Outcome::Dead { error: short(why), refusals: due.refusals },
    }
}

/// The pause after `failures` failures before this one, and up to as much again by chance.
fn pause(least: Duration, failures: i64, chance: u64) -> Duration {
    Backoff::new(least, PAUSE_MAX).after_spread(u32::try_from(failures).unwrap_or(u32::MAX), chance)
}

fn short(why: &str) -> String {
    why.chars().take(ERROR_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(attempts: i64, refusals: i64) -> DueDelivery {
        let text = String::new;
        DueDelivery {
            id: text(),
            event_id: text(),
            kind: text(),
            subject: text(),
            partition_key: text(),
            seq: 1,
            at: 0,
            data: text(),
            attempts,
            refusals,
            created_at: 0,
        }
    }

    fn moment(age: Duration, chance: u64) -> Moment {
        Moment { now: Time::from_ms(0), age, give_up_after: Duration::from_hours(72), chance }
    }

    fn wait(outcome: &Outcome) -> Duration {
        match outcome {
            Outcome::Again { next_at, .. } => next_at.since(Time::from_ms(0)),
            Outcome::Delivered { .. } | Outcome::Dead { .. } => panic!("{outcome:?}"),
        }
    }

    #[test]
    fn pauses_grow_to_their_maximum_and_chance_spreads_them() {
        let busy = Err(SendError::Later { why: "busy".to_owned(), after: None });
        for chance in 0..200 {
            for attempts in 0..100 {
                let pause = wait(&retry_decision(&due(attempts, 0), &busy, moment(Duration::ZERO, chance)));
                let least = PAUSE_MIN.saturating_mul(1 << attempts.min(20)).min(PAUSE_MAX);
                assert!(least <= pause && pause <= least * 2, "{attempts}: {pause:?}");
                assert!(pause <= WAIT_MAX);
            }
        }
    }

    #[test]
    fn a_service_is_given_the_time_it_asks_for_within_reason() {
        let asks = |after| Err(SendError::Later { why: "busy".to_owned(), after: Some(after) });
        let waits = |after| wait(&retry_decision(&due(0, 0), &asks(after), moment(Duration::ZERO, 1)));
        assert_eq!(waits(Duration::from_mins(7)), Duration::from_mins(7));
        assert_eq!(waits(Duration::from_hours(24 * 365)), AFTER_MAX);
        assert!(waits(Duration::ZERO) >= PAUSE_MIN);
    }

    #[test]
    fn only_an_old_message_that_was_tried_enough_is_given_up() {
        let busy = Err(SendError::Later { why: "busy".to_owned(), after: None });
        let is_dead = |attempts, hours| {
            let outcome = retry_decision(&due(attempts, 0), &busy, moment(Duration::from_hours(hours), 1));
            matches!(outcome, Outcome::Dead { .. })
        };
        assert!(!is_dead(1_000, 71) && !is_dead(0, 1_000) && is_dead(TRIES_MIN - 1, 72));
    }

    #[test]
    fn refusals_in_a_row_end_it_within_minutes() {
        let refused = Err(SendError::Refused { why: "x".repeat(10_000) });
        let (mut total, mut refusals) = (Duration::ZERO, 0);
        loop {
            match retry_decision(&due(refusals, refusals), &refused, moment(Duration::ZERO, 5)) {
                Outcome::Again { next_at, refusals: now, error } => {
                    total += next_at.since(Time::from_ms(0));
                    assert_eq!((now, error.len()), (refusals + 1, ERROR_MAX));
                    refusals = now;
                }
                outcome => {
                    assert!(matches!(outcome, Outcome::Dead { refusals: REFUSALS_MAX, .. }), "{outcome:?}");
                    break;
                }
            }
        }
        assert!(Duration::from_mins(1) <= total && total <= Duration::from_mins(2), "{total:?}");
    }
}
