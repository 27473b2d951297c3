//! The end of a life whose platform keeps its own tokens: no secret that was ever made in it stands anywhere in what it has
//! written or would have said.

use super::{
    invariants::readable,
    platform,
    runner::Runner,
    secret_search::SecretSearch,
    verdict::{Verdict, broken},
};
use crate::{
    domain::{
        event::OutboxEvent,
        text::{Language, render::message},
        time::Time,
    },
    store::read::views::EventView,
};

/// Rows of a kind that are searched.
const ROWS: u32 = 100_000;

impl Runner {
    /// The database with its log and its copies, the daemon's log, the events, what is sent of them, and what people are
    /// shown.
    pub(super) async fn no_secret_leaks(&mut self) -> Verdict {
        let Some(key) = self.platform.as_ref().map(|platform| platform.key.clone()) else { return Ok(()) };
        self.make_a_copy().await?;
        let search = SecretSearch::new(platform::secrets(&self.sim, &key));
        let mut found = search.found_beside(&self.setup.database).unwrap_or_else(|error| panic!("{error}"));
        for shown in self.shown().await {
            if let Some((kind, place)) = search.found_in(shown.as_bytes()) {
                // Around it, what stands there is no secret.
                let before = shown.get(..place).map_or("", |before| before.rsplit('\n').next().unwrap_or(""));
                found.push(format!("a {kind} is shown after {before:.80}"));
            }
        }
        if found.is_empty() { Ok(()) } else { broken("no secret leaks", found.join("; ")) }
    }

    /// What people and other systems are told and shown.
    async fn shown(&self) -> Vec<String> {
        let store = self.desk.store();
        let zone = jiff::tz::TimeZone::UTC;
        let events = readable(store.latest_events(0, ROWS).await);
        let messages = events.into_iter().flat_map(|event| {
            let event = as_sent(event);
            [Language::En, Language::Zh].map(|language| format!("{:?}", message(&event, language, &zone, None)))
        });
        let mut shown: Vec<String> = messages.collect();
        shown.push(format!("{:?}", readable(store.authorizer_page(None, "", ROWS).await)));
        shown.push(format!("{:?}", readable(store.account_views(None, None, ROWS).await)));
        if let Some(component) = &self.setup.platform {
            shown.push(format!("{component:?}"));
        }
        shown
    }
}

fn as_sent(event: EventView) -> OutboxEvent {
    OutboxEvent {
        id: String::new(),
        kind: event.kind,
        subject: event.subject,
        partition_key: String::new(),
        sequence: event.seq,
        at: Time::default(),
        data: event.data,
    }
}
