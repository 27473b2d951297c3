//! `amplinkd` links mini programs to WeChat official accounts and follows each link to its end.
//!
//! Rooms, in reading order; `ARCHITECTURE.md` is the map and `tests/it/tidy.rs` guards the arrows:
//!
//! - [`domain`]: what a request is and how it moves. Pure: no IO, no clock.
//! - [`clock`]: the one trait, so that three-day waits are tested in a microsecond.
//! - [`wechat`]: how we speak to `WeChat`, and where tokens come from.
//! - [`store`]: how we remember, in `SQLite`.
//! - [`notify`]: how we tell people, one file per channel.
//! - [`engine`]: the only room that joins the others.
//! - [`alerting`]: what people must know, and the channels that it is owed to.
//! - [`schedule`]: the door for coarse time (cron jobs).
//! - [`cli`]: the door for people.
//! - [`selftest`]: whole lives of the daemon by chance, and what else proves it on a machine.
//! - [`sim`]: a small `WeChat` of our own, which shares no type with [`wechat`].

pub mod alerting;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod engine;
pub mod notify;
pub mod schedule;
pub mod selftest;
pub mod shutdown;
pub mod sim;
pub mod store;
pub mod telemetry;
pub mod wechat;
