//! What a request is and how it moves. Pure: no async, IO, clock, SQL, wire bodies or logs, so that every rule is
//! tested without them.
//!
//! Read [`request`] for the nouns, [`observation`] for what can be learned, [`decide`] for what it means, [`plan`] for
//! what comes next and when, [`quota`] for when a used-up quota resets, [`gate`] for what it holds back, [`matching`] for whose item is whose,
//! [`emptied`] for lists that are doubtful as a whole, [`address`] for IP addresses in refusals, [`history`] for what was recorded, [`alert_rules`] for what
//! people must know, [`event`] for what is told of it, [`mod@text`] for the words, [`stage_durations`] and [`distribution`] for how
//! long people took, [`nudge`] for reminders, [`digest`] for the daily digest, [`tenure`] for several daemons on one database.

#![deny(clippy::wildcard_enum_match_arm)]

pub mod account;
pub mod action;
pub mod address;
pub mod alert_rules;
pub mod alert_state;
pub mod alignment;
pub mod authorizer;
pub mod backoff;
pub mod capacity;
pub mod decide;
pub mod digest;
pub mod distribution;
pub mod emptied;
pub mod errcode;
pub mod event;
pub mod gate;
pub mod history;
pub mod id;
pub mod identity;
pub mod listing;
pub mod matching;
pub mod message;
pub mod nudge;
pub mod observation;
pub mod pace;
pub mod plan;
pub mod policy;
pub mod quota;
pub mod request;
pub mod stage_durations;
pub mod tenure;
pub mod text;
pub mod time;
