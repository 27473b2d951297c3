//! `alert ack`, `alert snooze` and `alert resolve`: alerts by id, or all that match filters, after a confirmation.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jiff::tz::TimeZone;

use super::{Filters, PAGE, glance, unknown};
use crate::{
    cli::{
        actor,
        context::{Context, Database, Session, Usage, agree, note},
        many::{ALERTS, Caution, Given, reason},
        named::Named,
    },
    config::parse_duration,
    domain::{action::By, alert_state::AlertState, text::parse::moment_in, time::Time},
    store::{
        read::{alert_views::AlertView, id_suffix::Noun},
        write::alert_actions::AlertChange,
    },
};

/// Acknowledge alerts: they stay open, without repeats or escalation
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd alert ack 0197c2d6-2b3c-7d4e-9f50-6b7c8d9e0f1a
  amplinkd alert ack --rule stuck --account wx0123456789abcdef --dry-run

The end of the alert is still reported.")]
pub struct Ack {
    /// Which alerts, and how
    #[command(flatten)]
    pub choice: Choice,
}

/// Snooze alerts: no notifications until then
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd alert snooze 0197c2d6-2b3c-7d4e-9f50-6b7c8d9e0f1a --for 4h
  amplinkd alert snooze --rule stuck --until 2026-03-05T09:00 --yes

A time without an offset is in the time zone of [alerts]. An alert that is still open by then is sent again.")]
pub struct Snooze {
    /// Which alerts, and how
    #[command(flatten)]
    pub choice: Choice,
    /// For this long, such as 4h or 2d
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration, conflicts_with = "until", required_unless_present = "until", help_heading = "Until when")]
    pub wait: Option<Duration>,
    /// Until this time, such as 2026-03-05T09:00 or 2026-03-05T09:00:00+08:00
    #[arg(long, value_name = "TIME", help_heading = "Until when")]
    pub until: Option<String>,
}

/// Resolve alerts; one whose cause persists fires again only when the cause starts again
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd alert resolve 0197c2d6-2b3c-7d4e-9f50-6b7c8d9e0f1a
  amplinkd alert resolve --rule rejected --account wx0123456789abcdef --dry-run

Channels that got the alert are notified that it is resolved.")]
pub struct Resolve {
    /// Which alerts, and how
    #[command(flatten)]
    pub choice: Choice,
}

/// Some by id, or all that filters name.
#[derive(Debug, clap::Args)]
pub struct Choice {
    /// Alerts by id, or by its last 6 characters; without any, filters select them
    #[arg(value_name = "ID")]
    pub ids: Vec<Named>,
    /// Which alerts
    #[command(flatten)]
    pub filters: Filters,
    /// Safety options
    #[command(flatten)]
    pub caution: Caution,
    /// A note for whoever looks at them next: `alert show` has it
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub note: Option<String>,
}

impl Choice {
    /// On whose word it is, for the record.
    fn by(&self) -> By {
        let by = actor::by().because(self.note.clone());
        if self.ids.is_empty() { by.of_all(self.filters.record()) } else { by }
    }
}

/// Acknowledges.
///
/// # Errors
/// When any is not known or is over; the others are acknowledged.
pub(super) async fn ack(context: &Context, ack: Ack) -> anyhow::Result<()> {
    change(context, ack.choice, |_| Ok(AlertChange::Acknowledge)).await
}

/// Snoozes.
///
/// # Errors
/// As [`ack`], and when the time is none or has passed.
pub(super) async fn snooze(context: &Context, snooze: Snooze) -> anyhow::Result<()> {
    let Snooze { choice, wait, until } = snooze;
    change(context, choice, |session| Ok(snoozed(wait, until.as_deref(), session.now(), &session.config.alerts.zone)?))
        .await
}

/// Until when alerts are silent; a time without an offset is in this zone.
///
/// # Errors
/// [`Usage`]: it is no time, or has passed.
pub(in crate::cli) fn snoozed(
    wait: Option<Duration>,
    until: Option<&str>,
    now: Time,
    zone: &TimeZone,
) -> Result<AlertChange, Usage> {
    let until = match (wait, until) {
        (Some(wait), _) => now + wait,
        (None, until) => moment_in(until.unwrap_or_default(), zone).map_err(Usage)?,
    };
    if until <= now {
        return Err(Usage("this time is in the past: nothing to snooze".to_owned()));
    }
    Ok(AlertChange::Snooze(until))
}

/// Resolves.
pub(super) async fn resolve(context: &Context, resolve: Resolve) -> anyhow::Result<()> {
    change(context, resolve.choice, |_| Ok(AlertChange::Resolve)).await
}

async fn change(
    context: &Context,
    choice: Choice,
    act: impl FnOnce(&Session) -> anyhow::Result<AlertChange>,
) -> anyhow::Result<()> {
    context
        .with_session(Database::unless_dry_run(choice.caution.dry_run), async |session| {
            let act = act(session)?;
            let given = Given { names: !choice.ids.is_empty(), filters: !choice.filters.is_empty() };
            ALERTS.must_choose(act.word(), given)?;
            let named: Vec<String> =
                session.ids_of(Noun::Alert, &choice.ids).await?.into_iter().map(String::from).collect();
            let ids = if named.is_empty() {
                let meant = meant(session, &choice.filters, act).await?;
                if choice.caution.dry_run || meant.is_empty() {
                    note(format!("{} to {}; nothing was changed", ALERTS.counted(meant.len()), act.word()));
                    return glance(context, meant, session.now());
                }
                agree(&format!("{} {}", act.word(), ALERTS.counted(meant.len())), "which", choice.caution.yes)?;
                meant.into_iter().map(|row| row.id).collect()
            } else if choice.caution.dry_run {
                note("nothing was changed");
                return glance(context, session.store().alert_views(&named).await?, session.now());
            } else {
                named
            };
            let by = choice.by();
            let changed = session.store().change_alerts(act, ids.clone(), None, by, session.now()).await?;
            session.note_without_daemon("it is recorded, and channels are told when one starts").await;
            report(context, session, &ids, &changed, act).await
        })
        .await
}

/// Refuses filters that name only what cannot be changed so.
///
/// # Errors
/// [`Usage`].
pub(in crate::cli) fn must_change_some(filters: &Filters, act: AlertChange) -> Result<(), Usage> {
    if filters.state.is_some() && !filters.states().iter().any(|state| act.changes(*state)) {
        let state = filters.state.as_deref().unwrap_or_default();
        return Err(Usage(format!("cannot {} an alert that is {state}", act.word())));
    }
    Ok(())
}

/// Everything that the filters name and that can be changed so.
async fn meant(session: &Session, filters: &Filters, act: AlertChange) -> anyhow::Result<Vec<AlertView>> {
    let mut filter = filters.for_store(session).await?;
    must_change_some(filters, act)?;
    filter.states.retain(|state| act.changes(*state));
    let mut rows: Vec<AlertView> = Vec::new();
    loop {
        let before = rows.last().map(|row| row.id.clone());
        let page = session.store().alert_page(&filter, before.as_deref(), PAGE).await?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
}

async fn report(
    context: &Context,
    session: &Session,
    ids: &[String],
    changed: &[String],
    act: AlertChange,
) -> anyhow::Result<()> {
    let rows = session.store().alert_views(ids).await?;
    tell(context, &rows, (ids, changed), session.now(), act)
}

/// Prints what was changed of these alerts, and says why the rest was not.
pub(in crate::cli) fn tell(
    context: &Context,
    rows: &[AlertView],
    (ids, changed): (&[String], &[String]),
    now: Time,
    act: AlertChange,
) -> anyhow::Result<()> {
    let is_resolved: HashMap<&str, bool> =
        rows.iter().map(|row| (row.id.as_str(), row.state == AlertState::Resolved.as_str())).collect();
    let changed: HashSet<&str> = changed.iter().map(String::as_str).collect();
    let mut failures = Vec::new();
    let mut as_wished: HashSet<&str> = HashSet::new();
    for id in ids.iter().map(String::as_str).filter(|id| !changed.contains(id)) {
        match is_resolved.get(id) {
            None => failures.push(unknown(id)),
            Some(true) => {
                failures.push(format!("alert {id} is already resolved: nothing to {}", act.word()));
            }
            Some(false) => drop(as_wished.insert(id)),
        }
    }
    let is_shown = |row: &&AlertView| changed.contains(row.id.as_str()) || as_wished.contains(row.id.as_str());
    let shown: Vec<AlertView> = rows.iter().filter(is_shown).cloned().collect();
    if !shown.is_empty() || !context.is_table() {
        glance(context, shown, now)?;
    }
    let as_wished = as_wished.len();
    if as_wished > 0 {
        note(format!("{} already acknowledged: nothing was changed", ALERTS.counted(as_wished)));
    }
    ALERTS.fail(act.word(), &failures)
}
