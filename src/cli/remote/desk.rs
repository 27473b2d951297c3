//! What every command at a daemon elsewhere begins with: the daemon is asked what it is, which finds out a wrong address and a
//! wrong token, and says its time and its zone.

use std::{sync::Arc, time::Duration};

use anyhow::bail;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::place::Place;
use crate::{
    cli::{
        context::{Context, note},
        named::{Named, only_one},
        time_format,
    },
    clock::{Clock as _, SystemClock},
    config,
    domain::{
        id::{RequestId, timed, uuid_v7},
        text::Language,
        time::Time,
    },
    remote::{Failure, Pages, Query, Server, pages::PAGE_MAX},
    store::read::id_suffix::Noun,
};

/// What the daemon says of itself, as far as commands need it.
#[derive(Debug, Deserialize)]
struct Meta {
    at: String,
    #[serde(default)]
    time_zone: Option<String>,
    #[serde(default)]
    language: Option<String>,
}

/// A daemon elsewhere, and how to print what it answers.
#[derive(Debug)]
pub(super) struct Desk<'c> {
    pub(super) context: &'c Context,
    pub(super) server: Server,
    /// The daemon's time when it was asked, and what this machine's stopwatch showed then.
    asked_at: (Time, Duration),
    clock: Arc<SystemClock>,
    /// The zone of its messages.
    pub(super) zone: TimeZone,
    /// The language of its messages.
    pub(super) language: Language,
}

/// Whole ids by their ends.
#[derive(Debug, Deserialize)]
struct Ids {
    items: Vec<String>,
}

impl<'c> Desk<'c> {
    /// Asks the daemon what it is.
    ///
    /// # Errors
    /// It cannot be reached, is none, or does not accept the token.
    pub(super) async fn open(context: &'c Context, place: Place) -> anyhow::Result<Self> {
        let clock = Arc::new(SystemClock::new());
        let server = Server::new(place.target(config::remote_variables())?, clock.clone(), note)?;
        let meta = match server.get::<Meta>("/api/v1/meta", &Query::new()).await {
            Ok(meta) => meta,
            // A token that only asks may not read.
            Err(failure) if failure.is("forbidden") => {
                Meta { at: clock.now().to_string(), time_zone: None, language: None }
            }
            Err(failure) => return Err(failure.into()),
        };
        let zone = meta.time_zone.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC);
        time_format::show_in(&zone);
        let language = if meta.language.as_deref() == Some("zh") { Language::Zh } else { Language::En };
        let asked_at = (time_format::parse(&meta.at).unwrap_or_else(|| clock.now()), clock.monotonic());
        Ok(Self { context, server, asked_at, clock, zone, language })
    }

    /// The daemon's time.
    pub(super) fn now(&self) -> Time {
        let (now, since) = self.asked_at;
        now + self.clock.monotonic().saturating_sub(since)
    }

    /// Says which daemon is about to be changed.
    pub(super) fn name_server(&self) {
        note(format!("on {}", self.server.name()));
    }

    /// A list, with so many rows wanted of it.
    pub(super) fn pages(&self, path: &str, query: Query, rows: usize) -> Pages<'_> {
        let limit = u32::try_from(rows.saturating_add(1)).unwrap_or(PAGE_MAX);
        Pages::of(&self.server, path, query, limit)
    }

    /// The whole id, as [`crate::cli::context::Session::id_of`].
    pub(super) async fn id_of(&self, noun: Noun<'_>, named: &Named) -> anyhow::Result<RequestId> {
        let ending = match named {
            Named::Whole(id) => return Ok(id.clone()),
            Named::Ending(ending) => ending,
        };
        let (of, channel) = match noun {
            Noun::Request => ("request", None),
            Noun::Alert => ("alert", None),
            Noun::Conflict => ("conflict", None),
            Noun::GivenUp(channel) => ("given_up", Some(channel)),
        };
        let query = Query::new().with("of", Some(of)).with("ending", Some(ending)).with("channel", channel);
        let Ids { items } = self.server.get("/api/v1/ids", &query).await?;
        only_one(noun, ending, &items)
    }

    /// The same for many, each once, in their order.
    pub(super) async fn ids_of(&self, noun: Noun<'_>, named: &[Named]) -> anyhow::Result<Vec<RequestId>> {
        let mut ids: Vec<RequestId> = Vec::with_capacity(named.len());
        for named in named {
            let id = self.id_of(noun, named).await?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }
}

/// A name that nobody has used: by it a wish that is sent twice is one.
pub(super) fn new_key() -> String {
    let clock = SystemClock::new();
    format!("cli-{}", uuid_v7(timed(clock.now(), u128::from(clock.random()) << u64::BITS)))
}

/// Goes on where only this one failed, and ends where the daemon cannot be asked for the next one either.
///
/// # Errors
/// The failure, when it concerns all.
pub(super) fn of_one(failure: Failure) -> anyhow::Result<String> {
    if failure.refused().is_some_and(|refused| refused.code != "forbidden") {
        Ok(failure.to_string())
    } else {
        bail!(failure)
    }
}
