//! How the daemon is tried before it is trusted: whole lives by chance, on a clock that is moved by hand, against the
//! simulator. It must never touch a database that is not its own.
//!
//! A [`Scenario`] is everything that one seed brings about: requests, people, faults, operators, crashes. [`live()`] lives it,
//! week after week in seconds, and holds the promises against it after every step. The same seed brings about the same
//! life again. The [`checks`] bring to the real program what a manual clock cannot: kills, a full disk, a stop; [`disk`]
//! says what a disk can be believed about.

mod actions;
pub mod checks;
mod copies;
mod crash_clock;
mod daemon;
pub mod disk;
mod generator;
mod invariants;
mod oracle;
mod process_harness;
mod quiesce;
mod runner;
mod scenario;

pub use self::{
    runner::live,
    scenario::{Broken, Lived, Scenario},
};
