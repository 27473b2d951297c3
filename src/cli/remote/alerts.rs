//! Alerts: listed, shown, acknowledged, snoozed, resolved.

use anyhow::bail;
use serde::Serialize;

use super::{
    bulk::{self, Asked, Came, Nouns},
    desk::{Desk, of_one},
};
use crate::{
    cli::{
        alert::{
            self, Command, Filters,
            change::{self, Choice},
        },
        context::{ExitStatus, note},
        many::{ALERTS, Given},
        named::Named,
    },
    domain::text::format::rfc3339,
    remote::{Failure, Query, seen::LOOKS_MAX},
    store::{
        read::{
            alert_views::{AlertView, ToldAlert},
            id_suffix::Noun,
        },
        write::alert_actions::AlertChange,
    },
};

#[derive(Debug, Serialize)]
struct Act<'n> {
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    note: Option<&'n str>,
}

/// Does what a command says.
pub(super) async fn run(desk: &Desk<'_>, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::List(wanted) => list(desk, &wanted).await?,
        Command::Show { id } => {
            let id = String::from(desk.id_of(Noun::Alert, &id).await?);
            let Some(found) = find(desk, &id).await? else { bail!(alert::unknown(&id)) };
            alert::print_one(desk.context, &found)?;
        }
        Command::Ack(ack) => return change(desk, ack.choice, AlertChange::Acknowledge).await,
        Command::Snooze(snooze) => {
            let act = change::snoozed(snooze.wait, snooze.until.as_deref(), desk.now(), &desk.zone)?;
            return change(desk, snooze.choice, act).await;
        }
        Command::Resolve(resolve) => return change(desk, resolve.choice, AlertChange::Resolve).await,
    }
    Ok(ExitStatus::Success)
}

async fn find(desk: &Desk<'_>, id: &str) -> anyhow::Result<Option<ToldAlert>> {
    Ok(desk.server.find(&format!("/api/v1/alerts/{id}")).await?)
}

/// The filters with a whole id.
async fn whole(desk: &Desk<'_>, filters: &Filters) -> anyhow::Result<bulk::Filters> {
    let request = match &filters.request {
        Some(named) => Some(Named::Whole(desk.id_of(Noun::Request, named).await?)),
        None => None,
    };
    Ok(bulk::filters(&Filters { request, ..filters.clone() }.record()))
}

async fn list(desk: &Desk<'_>, wanted: &alert::List) -> anyhow::Result<()> {
    let query = Query::of_filters(&whole(desk, &wanted.filters).await?);
    let mut pages = desk.pages("/api/v1/alerts", query, alert::bound(desk.context, wanted.limit) as usize);
    let mut left: Vec<AlertView> = Vec::new();
    // Whoever prints takes as many as are wanted; the rest of a page says that there are more.
    let next = async |_: Option<&AlertView>, limit: u32| {
        if left.is_empty() {
            left = pages.next().await?;
        }
        let rest = left.split_off(left.len().min(limit as usize));
        Ok::<_, anyhow::Error>(std::mem::replace(&mut left, rest))
    };
    alert::print(desk.context, wanted, desk.now(), next).await
}

/// The API's word.
const fn word(act: AlertChange) -> &'static str {
    match act {
        AlertChange::Acknowledge => "acknowledge",
        AlertChange::Snooze(_) => "snooze",
        AlertChange::Resolve => "resolve",
    }
}

fn until(act: AlertChange) -> Option<String> {
    match act {
        AlertChange::Snooze(until) => Some(rfc3339(until)),
        AlertChange::Acknowledge | AlertChange::Resolve => None,
    }
}

async fn change(desk: &Desk<'_>, choice: Choice, act: AlertChange) -> anyhow::Result<ExitStatus> {
    let given = Given { names: !choice.ids.is_empty(), filters: !choice.filters.is_empty() };
    ALERTS.must_choose(act.word(), given)?;
    if given.filters {
        change::must_change_some(&choice.filters, act)?;
        let filter = whole(desk, &choice.filters).await?;
        let asked = Asked { action: word(act), filter, reason: choice.note, until: until(act), ..Asked::default() };
        let nouns =
            Nouns { things: ALERTS, word: act.word(), list: "alerts", all: None, name: |row: &AlertView| &row.id };
        match bulk::run(desk, asked, nouns, choice.caution).await? {
            Came::Shown(rows) => alert::glance(desk.context, rows, desk.now())?,
            Came::Changed(mut rows, failures) => {
                rows.sort_by(|a, b| a.id.cmp(&b.id));
                let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
                change::tell(desk.context, &rows, (&ids, &ids), desk.now(), act)?;
                ALERTS.fail(act.word(), &failures)?;
            }
        }
        return Ok(ExitStatus::Success);
    }
    let ids: Vec<String> = desk.ids_of(Noun::Alert, &choice.ids).await?.into_iter().map(String::from).collect();
    if choice.caution.dry_run {
        note("nothing was changed");
        alert::glance(desk.context, rows(desk, &ids).await?, desk.now())?;
        return Ok(ExitStatus::Success);
    }
    desk.name_server();
    let asked = Act { until: until(act), note: choice.note.as_deref() };
    let (mut changed, mut failures) = (Vec::new(), Vec::new());
    for id in &ids {
        match one(desk, id, &asked, act).await {
            Ok(true) => changed.push(id.clone()),
            // Told below, in the words of this machine's command.
            Ok(false) => {}
            Err(failure) => failures.push(of_one(failure)?),
        }
    }
    let after = rows(desk, &ids).await?;
    let told = change::tell(desk.context, &after, (&ids, &changed), desk.now(), act);
    ALERTS.fail(act.word(), &failures)?;
    told.map(|()| ExitStatus::Success)
}

/// Looks at one and changes it as it was seen; whether it was changed. One that changes meanwhile is looked at again.
async fn one(desk: &Desk<'_>, id: &str, asked: &Act<'_>, act: AlertChange) -> Result<bool, Failure> {
    let path = format!("/api/v1/alerts/{id}");
    let mut looks = 1;
    loop {
        let Some(seen) = desk.server.look::<ToldAlert>(&path).await? else { return Ok(false) };
        let state = seen.row.row.state.as_str();
        if state == "resolved" || (act == AlertChange::Acknowledge && state == "acknowledged") {
            return Ok(false);
        }
        let done = desk.server.post_as_seen::<ToldAlert, _>(&format!("{path}/{}", word(act)), asked, &seen).await;
        match done {
            Ok(_) => return Ok(true),
            Err(failure) if failure.is("changed") && looks < LOOKS_MAX => looks += 1,
            Err(failure) if failure.is("over") || failure.is("not_found") => return Ok(false),
            Err(failure) => return Err(failure),
        }
    }
}

/// Rows by their ids, oldest first; one that is not known is left out.
async fn rows(desk: &Desk<'_>, ids: &[String]) -> anyhow::Result<Vec<AlertView>> {
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        rows.extend(find(desk, id).await?.map(|told| told.row));
    }
    rows.sort_by(|a: &AlertView, b| a.id.cmp(&b.id));
    Ok(rows)
}
