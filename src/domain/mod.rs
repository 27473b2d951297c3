//! What a request is and how it moves. Pure: this room must never hold async, IO, the clock, SQL, wire bodies or logs.
//!
//! Read [`request`] for the nouns, [`observation`] for what can be learned, [`decide`] for what it means,
//! [`plan`] for what comes next and when, [`quota`] for when a used-up quota rolls over, [`identify`] for whose item is whose, [`emptied`] for lists that are doubtful as a
//! whole, [`history`] for what was recorded,
//! [`attention`] for what people must know, [`message`] and [`telling`] for the words of it,
//! [`approval`] and [`percentile`] for how long people took, [`nudge`] for the word to somebody who takes long,
//! [`digest`] for a day in one message.

#![deny(clippy::wildcard_enum_match_arm)]

pub mod time;

pub mod id;

pub mod request;

pub mod account;

pub mod backoff;

pub mod alignment;

pub mod pace;

pub mod capacity;

pub mod observation;

pub mod errcode;

pub mod listing;

pub mod policy;

pub mod quota;

pub mod decide;

pub mod plan;

pub mod identify;

pub mod emptied;

pub mod history;

pub mod message;

pub mod telling;

pub mod attention;

pub mod approval;

pub mod percentile;

pub mod nudge;

pub mod digest;
