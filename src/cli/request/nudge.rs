//! `request nudge`: drafts a reminder for the administrator who has not answered, prints it, and sends it if a channel
//! is configured; to many only after a confirmation.

use std::{collections::HashSet, fmt::Write as _, time::Duration};

use super::change::Choice;
use crate::{
    cli::{
        actor,
        context::{Context, Database, ExitStatus, Session, Usage, agree, note},
        many::REQUESTS,
        output::{Column, Format},
        readers::to_stdout,
        terminal_escape::legible,
    },
    domain::{
        id::RequestId,
        nudge::{Refusal, Urgency, Way},
        request::Request,
        text::{Language, format::duration},
    },
    engine::{
        nudge::{self, DraftedNudge, Planned, Rules, Written},
        wish::AskError,
    },
    store::{
        read::{id_suffix::Noun, request_page::RequestFilter},
        write::nudges::Occasion,
    },
};

/// Rows read at once.
const PAGE: u32 = 500;

/// The states in which somebody can be nudged; of `initiated` only unlinks.
pub(in crate::cli) const STATES: [&str; 3] = ["initiated", "awaiting_account_admin", "awaiting_program_admin"];

/// Draft a reminder for the administrator who has not answered, to paste or to send
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd request nudge 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b
  amplinkd request nudge --account wx0123456789abcdef --dry-run
  amplinkd request nudge --state awaiting_program_admin --label shop=12 --yes

The message says who must agree to what, since when it waits, and what arrived in WeChat. It is printed, and also sent if \
[nudge] channels names a channel for the request's labels: the daemon delivers it. Each nudge is recorded in v_nudge, and \
`amplinkd report` shows whether it helped. A request is nudged again only after [nudge] min_interval; in quiet hours \
nothing is sent. --force overrides both. While an account's list cannot be read nobody is nudged for it: the person may \
have agreed long ago.")]
pub struct Nudge {
    /// Which requests
    #[command(flatten)]
    pub choice: Choice,
    /// Language of the message [default: that of alerts]
    #[arg(long, value_parser = ["zh", "en"])]
    pub language: Option<String>,
    /// Print only, even if a channel is set
    #[arg(long)]
    pub print_only: bool,
    /// Nudge even soon after another nudge, and in quiet hours
    #[arg(long)]
    pub force: bool,
}

const FIELDS: [Column; 8] = [
    Column::hidden("nudge"),
    Column::hidden("request_id"),
    Column::hidden("account"),
    Column::hidden("program"),
    Column::hidden("stage"),
    Column::hidden("language"),
    Column::hidden("channel"),
    Column::hidden("text"),
];

/// Makes nudges.
///
/// # Errors
/// When somebody cannot be nudged; the others are.
pub(super) async fn run(context: &Context, nudge: Nudge) -> anyhow::Result<ExitStatus> {
    nudge.choice.must_name_some("nudge")?;
    context
        .with_session(Database::unless_dry_run(nudge.choice.caution.dry_run), async |session| {
            let rules = nudge.rules(session);
            let (chosen, mut failures) = nudge.chosen(session).await?;
            let (planned, refused) = plan(session, &nudge, rules, &chosen).await?;
            if nudge.choice.ids.is_empty() {
                tell_left_alone(&refused, rules.occasion.min_interval);
            } else {
                failures.extend(refused.iter().map(ToString::to_string));
            }
            if nudge.choice.caution.dry_run {
                note(format!("{} to nudge; nothing was recorded or sent", REQUESTS.counted(planned.len())));
                print(context, &planned.iter().map(|planned| planned.said(None)).collect::<Vec<_>>())?;
                return REQUESTS.fail("nudge", &failures);
            }
            if nudge.choice.ids.is_empty() && !planned.is_empty() {
                agree(
                    &format!("nudge {}", REQUESTS.counted(planned.len())),
                    "which, and the messages",
                    nudge.choice.caution.yes,
                )?;
            }
            let (said, moved) = write(session, &planned, rules.occasion).await;
            failures.extend(moved);
            if !said.is_empty() {
                session.note_without_daemon("nudges that go to a channel are sent when one starts").await;
            }
            if !said.is_empty() || !context.is_table() {
                print(context, &said)?;
            }
            REQUESTS.fail("nudge", &failures)
        })
        .await?;
    Ok(ExitStatus::Success)
}

impl Nudge {
    fn rules<'s>(&self, session: &'s Session) -> Rules<'s> {
        let config = &session.config;
        let min_interval = if self.force { Duration::ZERO } else { config.nudge.min_interval };
        Rules {
            occasion: Occasion { now: session.now(), min_interval, effect_within: config.nudge.effect_within },
            language: match self.language.as_deref() {
                Some("en") => Language::En,
                Some(_) => Language::Zh,
                None => config.alerts.language,
            },
            urgency: if self.force { Urgency::Forced } else { Urgency::Usual },
            quiet: config.alerts.quiet.as_ref(),
        }
    }

    /// The requests that are meant, each once, and what is wrong with ids.
    async fn chosen(&self, session: &Session) -> anyhow::Result<(Vec<Request>, Vec<String>)> {
        let ids = match self.choice.ids.as_slice() {
            [] => self.meant(session).await?,
            named => session.ids_of(Noun::Request, named).await?,
        };
        let (mut chosen, mut failures, mut met) = (Vec::new(), Vec::new(), HashSet::new());
        for id in ids.into_iter().filter(|id| met.insert(id.clone())) {
            match session.store().request(&id).await? {
                Some(request) => chosen.push(request),
                None => failures.push(AskError::NoRequest(id).to_string()),
            }
        }
        Ok((chosen, failures))
    }

    /// Everything that the filters name and that waits for an administrator.
    async fn meant(&self, session: &Session) -> anyhow::Result<Vec<RequestId>> {
        let filters = &self.choice.filters;
        if filters.finished {
            return Err(
                Usage("nudge takes requests that wait for an administrator, not finished ones".to_owned()).into()
            );
        }
        let mut filter = RequestFilter { open: Some(true), ..filters.for_store(session.now()) };
        if filter.states.is_empty() {
            filter.states = STATES.map(str::to_owned).to_vec();
        }
        let mut ids = Vec::new();
        loop {
            let page = session.store().list_requests(&filter, PAGE).await?;
            let Some(last) = page.last() else { return Ok(ids) };
            filter.after = Some(last.id.clone());
            let waits =
                page.iter().filter(|row| matches!(row.waiting_on.as_deref(), Some("account_admin" | "program_admin")));
            for row in waits {
                ids.push(row.id.parse()?);
            }
        }
    }
}

/// Words for everybody who may be nudged, and why the others may not.
async fn plan(
    session: &Session,
    nudge: &Nudge,
    rules: Rules<'_>,
    chosen: &[Request],
) -> anyhow::Result<(Vec<Planned>, Vec<Refusal>)> {
    let channel_of = |request: &Request| {
        let channel = session.config.nudge.channel_of(&request.labels).filter(|_| !nudge.print_only);
        channel.map(str::to_owned)
    };
    let (planned, refused) = nudge::plan(session.store(), rules, &channel_of, chosen).await?;
    tell_ways(&planned);
    Ok((planned, refused))
}

/// Of what filters name, only what may be nudged is meant; that something was left out is told.
fn tell_left_alone(refused: &[Refusal], min_interval: Duration) {
    let too_soon = refused.iter().filter(|refusal| matches!(refusal, Refusal::TooSoon { .. })).count();
    if too_soon > 0 {
        note(format!(
            "{} skipped: nudged less than {} ago; --force overrides",
            REQUESTS.counted(too_soon),
            duration(min_interval)
        ));
    }
    let unread = refused.iter().filter(|refusal| matches!(refusal, Refusal::Unread { .. })).count();
    if unread > 0 {
        note(format!("{} skipped: the lists of their accounts cannot be read", REQUESTS.counted(unread)));
    }
}

fn tell_ways(planned: &[Planned]) {
    let mut quiet: Vec<&str> = Vec::new();
    for one in planned {
        match &one.way {
            Way::Quiet(channel) if !quiet.contains(&channel.as_str()) => quiet.push(channel),
            Way::Quiet(_) | Way::Printed | Way::Sent(_) => {}
        }
    }
    if !quiet.is_empty() {
        let quiet = quiet.join(", ");
        note(format!("quiet hours ([alerts] quiet_hours): printed, but not sent to {quiet}; --force overrides"));
    }
}

/// Remembers nudges, with the messages that they owe; answers what was said, and why the rest was not.
async fn write(session: &Session, planned: &[Planned], occasion: Occasion) -> (Vec<DraftedNudge>, Vec<String>) {
    let Written { said, refused, failed } = session.recorder.by(actor::by()).nudge(planned, occasion).await;
    let failures = refused.iter().map(ToString::to_string).chain(failed.iter().map(ToString::to_string));
    (said, failures.collect())
}

/// Prints reminders: the words for people, rows for programs.
pub(in crate::cli) fn print(context: &Context, said: &[DraftedNudge]) -> anyhow::Result<()> {
    if context.format != Format::Table {
        return context.print_rows(&FIELDS, said);
    }
    let mut text = String::new();
    for (place, one) in said.iter().enumerate() {
        if said.len() > 1 {
            text.push_str(if place == 0 { "" } else { "\n" });
            let _ = writeln!(text, "--- {} of {}: {} ---\n", place + 1, said.len(), one.request_id);
        }
        for line in one.text.lines() {
            text += &legible(line);
            text.push('\n');
        }
    }
    to_stdout(text.as_bytes())?;
    let remembered = said.iter().filter(|one| one.nudge.is_some());
    let mut channels: Vec<&str> = remembered.filter_map(|one| one.channel.as_deref()).collect();
    let sent = channels.len();
    channels.sort_unstable();
    channels.dedup();
    if sent > 0 {
        note(format!("{} queued for the daemon to send to {}", nudges(sent), channels.join(", ")));
    }
    Ok(())
}

fn nudges(count: usize) -> String {
    if count == 1 { "1 nudge".to_owned() } else { format!("{count} nudges") }
}
