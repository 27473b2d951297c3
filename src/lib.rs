//! `amplinkd` links mini programs to WeChat official accounts and tracks each link to its end.
//!
//! Modules, in reading order; `ARCHITECTURE.md` is the map and `tests/it/tidy.rs` checks the dependencies between them:
//!
//! - [`domain`]: what a request is and how it moves. Pure: no IO, no clock.
//! - [`clock`]: the one trait, so that three-day waits are tested in a microsecond.
//! - [`children`]: processes that we start, and those that are left to us.
//! - [`live`]: values that are replaced while a loop works with them.
//! - [`meters`]: counters and histograms that are recorded in passing.
//! - [`net`]: what every HTTP client of ours needs.
//! - [`credential`]: passwords and tokens of people and programs, and their digests.
//! - [`vault`]: seals secrets that lie in the database.
//! - [`wechat`]: the client of `WeChat`, and where tokens come from.
//! - [`store`]: persistence, in `SQLite`.
//! - [`notify`]: notification channels, one file each.
//! - [`engine`]: joins the other modules.
//! - [`alerting`]: what people must know, and its delivery to channels.
//! - [`schedule`]: cron jobs.
//! - [`metrics`]: what monitoring systems see of a daemon.
//! - [`http`]: the doors that other systems come in by: `WeChat`'s pushes, and tokens for the platform's own.
//! - [`remote`]: the client of another daemon's API, for the command line.
//! - [`daemon`]: puts a daemon together, for the command line, tests and simulations.
//! - [`cli`]: the command line.
//! - [`selftest`]: randomized simulations of the daemon, and tests on a real machine.
//! - [`sim`]: a small `WeChat` of our own, which shares no type with [`wechat`].

pub mod alerting;
pub mod children;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credential;
pub mod daemon;
pub mod domain;
pub mod engine;
pub mod http;
pub mod live;
pub mod meters;
pub mod metrics;
pub mod net;
pub mod notify;
pub mod remote;
pub mod schedule;
pub mod selftest;
pub mod shutdown;
pub mod sim;
pub mod store;
pub mod telemetry;
pub mod vault;
pub mod wechat;
