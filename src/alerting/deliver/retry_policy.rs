//! What a try means for its message: accepted, retry and when, or given up. Pure.

use std::time::Duration;

use crate::{
    domain::{
        backoff::{Backoff, part_of},
        time::Time,
    },
    notify::SendError,
    store::{
        read::due_deliveries::DueDelivery,
        write::deliveries::{Outcome, unconfirmed},
    },
};

/// The pause after the first failure.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The pause after which no longer one follows, chance aside.
const PAUSE_MAX: Duration = Duration::from_mins(10);

/// The pauses between refusals. Some refusals pass by themselves: a mail server that answers "too fast" with a 550, an
/// ingress that answers 404 while the service behind it is replaced.
const REFUSED_PAUSES: Backoff = Backoff::new(Duration::from_secs(4), Duration::from_mins(15));

/// Refusals in a row before a message is given up,
pub(super) const REFUSALS_MIN: i64 = 5;

/// and its age by then, unless `give_up_after` is shorter.
pub(super) const REFUSED_FOR: Duration = Duration::from_hours(24);

/// The pause after a success whose answer is not understood.
const UNCONFIRMED_PAUSE: Duration = Duration::from_secs(5);

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
        Ok(()) => Outcome::Delivered { at: moment.now, unconfirmed: None },
        Err(SendError::Unconfirmed { why }) if due.was_unconfirmed => {
            Outcome::Delivered { at: moment.now, unconfirmed: Some(short(&unconfirmed(why))) }
        }
        Err(SendError::Unconfirmed { why }) => {
            let pause = UNCONFIRMED_PAUSE + part_of(UNCONFIRMED_PAUSE, moment.chance);
            Outcome::Again { next_at: moment.now + pause, error: short(&unconfirmed(why)), refusals: 0 }
        }
        Err(SendError::Later { why, .. }) if moment.age >= moment.give_up_after && tries >= TRIES_MIN => {
            Outcome::Dead { error: short(why), refusals: 0 }
        }
        Err(SendError::Later { why, after }) => {
            let pause = pause(PAUSE_MIN, due.attempts, moment.chance);
            let pause = pause.max(after.unwrap_or_default().min(AFTER_MAX));
            Outcome::Again { next_at: moment.now + pause, error: short(why), refusals: 0 }
        }
        Err(SendError::Refused { why }) => {
            let (error, refusals) = (short(why), due.refusals.saturating_add(1));
            let is_old = moment.age >= REFUSED_FOR.min(moment.give_up_after);
            if is_old && refusals >= REFUSALS_MIN {
                return Outcome::Dead { error, refusals };
            }
            let next_at = moment.now + refused_pause(due.refusals, is_old, moment.chance);
            Outcome::Again { next_at, error, refusals }
        }
        Err(SendError::Gone { why }) => Outcome::Dead { error: short(why), refusals: due.refusals },
    }
}

/// The pause after a refusal that `refusals` others preceded. An old message, whose service was down for long, gets the
/// longest from the start: its refusals are as young as those of any other message.
fn refused_pause(refusals: i64, is_old: bool, chance: u64) -> Duration {
    let pause = if is_old { REFUSED_PAUSES.max() } else { REFUSED_PAUSES.after(before(refusals)) };
    pause + part_of(pause / 4, chance)
}

fn before(failures: i64) -> u32 {
    u32::try_from(failures).unwrap_or(u32::MAX)
}

/// The pause after `failures` failures before this one, and up to as much again by chance.
fn pause(least: Duration, failures: i64, chance: u64) -> Duration {
    Backoff::new(least, PAUSE_MAX).after_spread(before(failures), chance)
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
            was_unconfirmed: false,
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
    fn refusals_end_it_after_five_tries_and_a_day() {
        let refused = Err(SendError::Refused { why: "x".repeat(10_000) });
        for chance in [0, 5, u64::MAX] {
            let (mut age, mut refusals) = (Duration::ZERO, 0);
            while let Outcome::Again { next_at, refusals: now, error } =
                retry_decision(&due(refusals, refusals), &refused, moment(age, chance))
            {
                let pause = next_at.since(Time::from_ms(0));
                assert!(pause <= Duration::from_mins(19), "{pause:?}");
                assert_eq!((now, error.len()), (refusals + 1, ERROR_MAX));
                (age, refusals) = (age + pause, now);
            }
            assert!(Duration::from_hours(24) <= age && age <= Duration::from_mins(24 * 60 + 19), "{age:?}");
            assert!((50..=120).contains(&refusals), "{refusals} tries");
        }
    }

    #[test]
    fn a_message_that_waited_for_days_is_not_lost_by_refusals_of_minutes() {
        let refused = Err(SendError::Refused { why: "no".to_owned() });
        let decide = |refusals| retry_decision(&due(900, refusals), &refused, moment(Duration::from_hours(60), 1));
        let waited: Duration = (0..REFUSALS_MIN - 1).map(|refusals| wait(&decide(refusals))).sum();
        assert!(waited >= Duration::from_hours(1), "{waited:?}");
        assert!(matches!(decide(REFUSALS_MIN - 1), Outcome::Dead { refusals: REFUSALS_MIN, .. }));
        let hasty = Moment { give_up_after: Duration::from_mins(10), ..moment(Duration::from_mins(10), 1) };
        assert!(matches!(retry_decision(&due(9, REFUSALS_MIN), &refused, hasty), Outcome::Dead { .. }));
    }

    #[test]
    fn what_is_not_understood_twice_counts_as_delivered_and_keeps_the_answer() {
        let page = Err(SendError::Unconfirmed { why: "HTTP 200 OK: <html>".to_owned() });
        let first = retry_decision(&due(0, 0), &page, moment(Duration::ZERO, 1));
        let Outcome::Again { error, .. } = &first else { panic!("{first:?}") };
        assert!(wait(&first) <= UNCONFIRMED_PAUSE * 2 && error.contains("<html>"));
        let second = DueDelivery { was_unconfirmed: true, ..due(1, 0) };
        let Outcome::Delivered { unconfirmed, .. } = retry_decision(&second, &page, moment(Duration::ZERO, 1)) else {
            panic!("sent a third time");
        };
        assert_eq!(unconfirmed.as_ref(), Some(error));
    }
}
