//! How the daemon is tried before it is trusted: whole lives by chance, on a clock that is moved by hand, against the
//! simulator. It must never touch a database that is not its own.
//!
//! A [`Life`] is everything that one seed brings about: requests, people, faults, operators, crashes. [`live()`] lives it,
//! week after week in seconds, and holds the [`promises`] against it after every step. The same seed brings about the same
//! life again.

mod mortal;

mod daemon;

mod plot;

mod deeds;

mod promises;

mod truth;

mod finale;

mod life;

pub use self::life::{Broken, Life, Lived, live};
