//! The one test binary: stories, properties and the rules of the house.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]

mod bytes;
mod cli;
mod cluster;
mod config;
mod config_docs;
mod database_docs;
mod deliver;
mod domain;
mod events_docs;
#[cfg(target_os = "linux")]
mod faults;
mod fuzz_corpus;
mod harness;
mod http;
mod imports;
mod kill;
mod metrics_docs;
mod million;
mod moves;
mod notify;
#[cfg(feature = "otel")]
mod otel;
mod past;
mod place;

mod postgres;
mod remote;
mod schedule;
mod sim;
mod simulation;
mod skip;
mod story;
mod tidy;
mod tokens;
mod told;
mod wechat;
