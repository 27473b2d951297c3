//! The pure core, tested: the whole table, properties, stories.

mod account;
mod emptied;
mod history;
mod identify;
mod markdown;
mod properties;
mod reread;
mod restore;
mod rules;
mod table;
mod tenure;
mod walk;

use std::time::Duration;

use amplinkd::domain::{
    decide::decide,
    errcode::Refusal,
    id::{AccountId, ProgramId},
    observation::Observation,
    policy::Policy,
    request::{Kind, LinkOptions, Request},
    time::Time,
};

/// When the stories begin: in the middle of a Beijing month.
const START: Time = Time::from_ms(1_781_500_000_000);

const fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

fn account() -> AccountId {
    "wx00000000000000aa".parse().expect("an appid")
}

fn program(number: u8) -> ProgramId {
    format!("wx00000000000000{number:02}").parse().expect("an appid")
}

/// A request of `kind` for the first program, asked at [`START`].
fn asked(kind: Kind) -> Request {
    let id = "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b".parse().expect("an id");
    Request::new(id, kind, account(), program(1), START)
}

fn link() -> Request {
    asked(Kind::Link(LinkOptions::default()))
}

fn unlink() -> Request {
    asked(Kind::Unlink)
}

fn refusal(errcode: i64) -> Refusal {
    Refusal { errcode, errmsg: format!("no {errcode} rid: 1-2-3") }
}

fn refused(errcode: i64) -> Observation {
    Observation::CallRefused(refusal(errcode))
}

/// `request` after it learned each of these, at that many minutes after [`START`].
fn after(request: Request, learned: &[(u64, Observation)], policy: &Policy) -> Request {
    learned.iter().fold(request, |request, (at, seen)| decide(&request, seen, policy, START + minutes(*at)).next)
}
