//! The real binary tells people: whatever happens to it, to those it tells or to the way between, every message arrives
//! at least once, in its order and under one id. It looks only at what arrived, at the database and at the log.
//!
//! [`receiver`] is somebody who is told, in every mood; [`house`] is where each story happens; [`proof`] compares what
//! arrived with what is written.

pub(crate) mod receiver;

mod house;

mod proof;

mod kills;

mod outage;

mod refusal;

mod quiet;

mod secrets;

mod beat;

mod reload;

mod reload_keys;
