//! Everything that is written, one file per noun with its SQL. [`record`] writes one complete decision; less frequent
//! writes go through the `writer`.

mod accept;
pub mod account_actions;
pub mod accounts;
pub(super) mod alert_actions;
pub mod alerts;
mod authorization;
pub mod authorizer;
pub mod authorizer_list;
pub mod chain;
pub(super) mod channels;
pub mod claim;
pub mod clock_correction;
pub mod component;
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
pub mod push;
pub mod record;
pub mod requests;
pub mod sealed;
pub mod standing;
pub mod token_task;
pub mod urgency;
pub mod wakeups;
pub(super) mod writer;
