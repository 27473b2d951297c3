//! Everything that is written, one file per noun with its SQL. [`record`] writes one complete decision; less frequent
//! writes go through the `writer`.

mod accept;
pub mod account_actions;
pub mod accounts;
pub(super) mod alert_actions;
pub mod alerts;
pub mod chain;
pub(super) mod channels;
pub mod clock_correction;
pub mod daemon_mark;
pub mod deliveries;
pub(super) mod drift;
pub(super) mod followed;
pub mod gates;
pub mod housekeeping;
pub mod import;
mod import_lines;
pub mod nudges;
pub mod pace;
pub mod poll;
pub mod programs;
pub mod prune;
pub mod record;
pub mod requests;
pub mod standing;
pub mod urgency;
pub mod wakeups;
pub(super) mod writer;
