//! Names of rows that are made here.

use std::sync::{Mutex, PoisonError};

use crate::domain::{
    id::{timed, uuid_v7},
    time::Time,
};

/// A name for a conflict, an alert, an event, a delivery or an action: a `UUIDv7` as text. Those of one millisecond sort in the order
/// in which they were made.
#[must_use]
pub fn new_id(now: Time) -> String {
    static LAST: Mutex<u128> = Mutex::new(0);
    let drawn = timed(now, rand::random());
    // Nothing in here panics halfway through a change.
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    *last = if *last > drawn && *last < timed(now, u128::MAX) { *last + 1 } else { drawn };
    uuid_v7(*last).to_string()
}

/// A name that nobody else has, made without a clock.
pub(super) fn random_id() -> String {
    uuid_v7(rand::random()).to_string()
}
