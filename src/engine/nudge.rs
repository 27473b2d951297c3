//! Nudges: reminders for administrators who have not answered. Who may be reminded now and in which words, and the rows that
//! remember it with the messages they owe.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::operator::Operator;
use crate::{
    domain::{
        alert_rules::QuietHours,
        nudge::{Refusal, Urgency, Way, soon_after, stage, still_read},
        request::Request,
        text::{Language, reminder::Facts},
        time::Time,
    },
    store::{
        Store, StoreError,
        write::nudges::{Background, NewNudge, Nudged, Occasion},
    },
};

/// Rows read, and nudges written, at once.
const PAGE: usize = 500;

/// What the configuration and whoever asks say of nudges.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'r> {
    /// When, and how long after another one.
    pub occasion: Occasion,
    /// The language of the words.
    pub language: Language,
    /// Whether the rules of politeness hold.
    pub urgency: Urgency,
    /// When nobody is to be disturbed.
    pub quiet: Option<&'r QuietHours>,
}

/// A nudge about to be made, and where its words go.
#[derive(Debug)]
pub struct Planned {
    /// What is written of it.
    pub nudge: NewNudge,
    /// Where its words go.
    pub way: Way,
}

/// A nudge with its words.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DraftedNudge {
    /// Its id in `v_nudge`; null when nothing was recorded.
    pub nudge: Option<String>,
    /// The request.
    pub request_id: String,
    /// Its official account.
    pub account: String,
    /// Its mini program.
    pub program: String,
    /// Who has not answered: `account_admin`, `program_admin` or `unlink`.
    #[schema(value_type = String)]
    pub stage: Cow<'static, str>,
    /// The language of the words.
    #[schema(value_type = String)]
    pub language: Cow<'static, str>,
    /// The channel that it is sent to; null when it is for somebody to pass on.
    pub channel: Option<String>,
    /// The words.
    pub text: String,
}

/// What became of nudges that were to be written.
#[derive(Debug, Default)]
pub struct Written {
    /// Those that are on disk.
    pub said: Vec<DraftedNudge>,
    /// Why others are not.
    pub refused: Vec<Refusal>,
    /// The database failed after those.
    pub failed: Option<StoreError>,
}

/// Words for everybody who may be nudged, and why the others may not. `channel_of` says where a request's nudges go.
///
/// # Errors
/// [`StoreError`] when nothing can be read.
pub async fn plan(
    store: &Store,
    rules: Rules<'_>,
    channel_of: &(dyn Fn(&Request) -> Option<String> + Sync),
    chosen: &[Request],
) -> Result<(Vec<Planned>, Vec<Refusal>), StoreError> {
    let (mut planned, mut refused) = (Vec::new(), Vec::new());
    for some in chosen.chunks(PAGE) {
        let ids: Vec<&str> = some.iter().map(|request| request.id.as_str()).collect();
        let known = store.nudge_background(&ids).await?;
        for request in some {
            let background = known.get(request.id.as_str()).cloned().unwrap_or_default();
            let way = Way::of(channel_of(request).as_deref(), rules.urgency, rules.quiet, rules.occasion.now);
            match worded(request, &background, rules) {
                Ok(new) => planned.push(Planned::of(new, way)),
                Err(refusal) => refused.push(refusal),
            }
        }
    }
    Ok((planned, refused))
}

fn worded(request: &Request, background: &Background, rules: Rules<'_>) -> Result<NewNudge, Refusal> {
    let stage = stage(request).ok_or_else(|| Refusal::nobody(request))?;
    still_read(request, background.reading())?;
    let Occasion { now, min_interval, .. } = rules.occasion;
    soon_after(request.id.as_str(), background.last.map(Time::from_ms), min_interval, now)?;
    let facts = Facts {
        stage,
        account: request.account.as_str(),
        account_name: background.account_name.as_deref(),
        program: request.program.as_str(),
        program_name: background.program_name.as_deref(),
        since: request.since,
        now,
    };
    Ok(NewNudge {
        request_id: request.id.to_string(),
        account: request.account.to_string(),
        program: request.program.to_string(),
        state: request.state.as_str(),
        since: request.since,
        stage: stage.as_str(),
        language: rules.language.as_str(),
        channel: None,
        title: facts.title(rules.language),
        text: facts.text(rules.language),
    })
}

impl Planned {
    fn of(nudge: NewNudge, way: Way) -> Self {
        let channel = match &way {
            Way::Sent(channel) => Some(channel.clone()),
            Way::Printed | Way::Quiet(_) => None,
        };
        Self { nudge: NewNudge { channel, ..nudge }, way }
    }

    /// What is shown of it; `nudge` is its id, once it is on disk.
    #[must_use]
    pub fn said(&self, nudge: Option<String>) -> DraftedNudge {
        let NewNudge { request_id, account, program, stage, language, channel, text, .. } = self.nudge.clone();
        DraftedNudge {
            nudge,
            request_id,
            account,
            program,
            stage: stage.into(),
            language: language.into(),
            channel,
            text,
        }
    }
}

impl Operator<'_> {
    /// Remembers nudges, with the messages that they owe. What was remembered is said, also when the database fails after
    /// it.
    pub async fn nudge(self, planned: &[Planned], occasion: Occasion) -> Written {
        let mut written = Written::default();
        for some in planned.chunks(PAGE) {
            let new: Vec<NewNudge> = some.iter().map(|planned| planned.nudge.clone()).collect();
            let replies = match self.recorder.store().nudge(new, occasion, self.by.clone()).await {
                Ok(replies) => replies,
                Err(error) => {
                    written.failed = Some(error);
                    break;
                }
            };
            for (planned, reply) in some.iter().zip(replies) {
                written.count(planned, reply, occasion);
            }
        }
        written
    }
}

impl Written {
    fn count(&mut self, planned: &Planned, reply: Nudged, occasion: Occasion) {
        let id = planned.nudge.request_id.clone();
        match reply {
            Nudged::Written(nudge) => self.said.push(planned.said(Some(nudge))),
            Nudged::Moved | Nudged::Unread => self.refused.push(Refusal::Moved { id }),
            Nudged::TooSoon(last) => {
                let (ago, min_interval) = (occasion.now.since(last), occasion.min_interval);
                self.refused.push(Refusal::TooSoon { id, last, ago, min_interval });
            }
        }
    }
}
