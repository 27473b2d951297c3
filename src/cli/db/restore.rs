//! `db restore`: puts a backup in the database's place, after saying what will happen and asking.

use std::path::PathBuf;

use anyhow::bail;
use serde::Serialize;

use super::the_file;
use crate::{
    cli::{
        context::{Context, ExitStatus, agree, note},
        time_format,
    },
    clock::{Clock, SystemClock},
    store::{
        Location, check_encoding,
        file::{backup::Salvaged, restore::Ready},
        moving,
    },
};

/// Restore a backup; nobody is invited twice because of it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd db restore amplinkd-2026-03-01.db --dry-run
  amplinkd db restore amplinkd-2026-03-01.db --yes

Stop the daemon first. FILE is checked as by `db verify` and left unchanged; the replaced database is kept next to it \
under another name, and nothing is deleted.

A backup does not know which calls were made after it. So the next start of the daemon treats every request that may have \
been called since as called: WeChat's lists are read first, and only what they do not show within `[policy] appear_within` \
is called. What the replaced database still knows of later calls and cancellations is taken over: such a request is not \
called again by itself. Requests that exist only in the replaced database are not in the backup; their number is reported.

A backup made by `db backup` and put in place by other means, such as cp, is as safe: it is marked, and the daemon sees \
that. Only what the replaced database knew is missing then.")]
pub struct Restore {
    /// The backup, as made by `db backup`
    pub file: PathBuf,
    /// Show what would happen; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// What was, or would be, put back.
#[derive(Debug, Serialize)]
struct Restored {
    database: String,
    file: String,
    made_at: Option<String>,
    requests: i64,
    open: i64,
    to_reconcile: i64,
    /// Of the replaced database; null when it told nothing.
    called_since: Option<i64>,
    taken_since: Option<i64>,
    cancelled_since: Option<i64>,
    only_in_replaced: Option<i64>,
    replaced_kept_as: Option<String>,
}

/// Says what will happen, asks, and does it.
///
/// # Errors
/// When the copy is not fit, a daemon runs, or the files cannot be written; the database is as it was then.
pub(super) async fn run(context: &Context, location: &Location, restore: Restore) -> anyhow::Result<ExitStatus> {
    let (path, mode) = the_file(location, "db restore")?;
    check_encoding(path)?;
    check_encoding(&restore.file)?;
    // What cannot be read is nobody's source any more.
    if let Ok(Some(other)) = moving::moved_to(path).await {
        bail!(
            "{location} was moved to {other}, or is being moved there, and a copy in its place would be driven beside it: restore \
             there, or put this file away first"
        );
    }
    let clock = SystemClock::new();
    let ready = Ready::make((path, mode), &restore.file, clock.now()).await?;
    let mut restored = told(location, &restore, &ready);
    say(&restored, &ready);
    if restore.dry_run {
        note("nothing was changed");
        context.print_one(&restored)?;
        return Ok(ExitStatus::Success);
    }
    agree(&format!("replace {location}"), "what it means", restore.yes)?;
    let newer = restored.only_in_replaced.unwrap_or(0);
    restored.replaced_kept_as = ready.place(clock.now()).await?.map(|kept| kept.display().to_string());
    if let Some(kept) = &restored.replaced_kept_as {
        note(format!("the replaced database is kept as {kept}"));
        if newer > 0 {
            note(format!(
                "AMPLINKD__DATABASE__URL=sqlite:{kept} amplinkd request list lists the requests of the replaced database"
            ));
        }
    }
    note("start the daemon: it reads WeChat's lists before it makes any call");
    context.print_one(&restored)?;
    Ok(ExitStatus::Success)
}

fn told(location: &Location, restore: &Restore, ready: &Ready) -> Restored {
    let of = |count: fn(&Salvaged) -> i64| ready.salvaged.as_ref().map(count);
    Restored {
        database: location.to_string(),
        file: restore.file.display().to_string(),
        made_at: ready.contents.made_at.map(|at| at.to_string()),
        requests: ready.contents.requests,
        open: ready.contents.open,
        to_reconcile: ready.contents.to_reconcile,
        called_since: of(|salvaged| salvaged.called),
        taken_since: of(|salvaged| salvaged.taken),
        cancelled_since: of(|salvaged| salvaged.cancelled),
        only_in_replaced: of(|salvaged| salvaged.newer),
        replaced_kept_as: None,
    }
}

/// In sentences, beside the result.
fn say(restored: &Restored, ready: &Ready) {
    let made = restored
        .made_at
        .as_deref()
        .map_or_else(String::new, |at| format!(", made at {},", time_format::to_the_second(at)));
    let Restored { database, file, requests, open, to_reconcile, .. } = restored;
    note(format!("{file}{made} replaces {database}: {requests} requests, {open} of them open"));
    note(format!(
        "{to_reconcile} of these may have been called since: WeChat's lists are read before any call for them"
    ));
    if let Some(Salvaged { called, taken, cancelled, newer }) = ready.salvaged {
        note(format!(
            "the replaced database knows more about {}: {taken} that WeChat accepted are tracked and not called again, {called} \
             with an unknown outcome wait for the lists, {cancelled} stay cancelled",
            taken + called + cancelled
        ));
        if newer > 0 {
            note(format!(
                "{newer} requests exist only in the replaced database and will be missing: request them again if still wanted"
            ));
        }
    }
    if let Some(why) = &ready.unreadable {
        note(format!("nothing can be taken over from the replaced database: {why}"));
    }
}
