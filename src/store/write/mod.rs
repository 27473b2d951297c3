//! Everything that is written, one file per noun with its SQL. [`record`] writes one complete decision; less frequent
//! writes go through the `writer`.

pub mod account_actions;
pub mod accounts;
pub(super) mod alert_actions;
pub mod alerts;
pub(super) mod chain;
pub(super) mod channels;
pub mod clock_correction;
pub mod daemon_mark;
pub mod deliveries;
pub(super) mod drift;
pub(super) mod followed;
pub mod gates;
pub mod housekeeping;
pub mod import;
pub mod nudges;
pub mod pace;
pub mod poll;
pub mod programs;
pub mod prune;
pub mod record;
pub mod requests;
pub mod wakeups;
pub(super) mod writer;
