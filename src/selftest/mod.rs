//! Randomized simulations of the daemon on a simulated clock, against the simulator and in a folder of their own.
//!
//! A [`Scenario`] is everything one seed produces: requests, people, faults, operators, crashes. [`live()`] runs it,
//! weeks in seconds, and checks the promises after every step. The same seed reproduces the same simulation. The
//! [`checks`] do to the real program what a simulated clock cannot: kills, a full disk, a pause; [`disk`] says what a
//! disk can be trusted with.

mod actions;
pub mod checks;
mod copies;
mod crash_clock;
mod daemon;
pub mod disk;
mod generator;
mod invariants;
mod leaks;
mod oracle;
mod platform;
mod process_harness;
mod quiesce;
mod runner;
mod scenario;
mod scene;
mod secret_search;
mod token_actions;
#[cfg(test)]
mod token_faults;
mod token_promises;
mod verdict;
mod witness;

pub use self::{
    runner::live,
    scenario::{Broken, Lived, Scenario},
};
