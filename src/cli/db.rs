//! `amplinkd db`: back up, restore, move, verify and prune the database. No file is ever overwritten.

mod move_all;
mod prune;
mod restore;

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::{
    context::{Context, ExitStatus, is_damage, must_exist, note, open_to_view},
    output::Column,
};
use crate::{
    clock::{Clock, SystemClock},
    store::{
        Location, OpenError, Store, StoreError, check_encoding,
        file::sidecar::{belongs_to_its_folder, is_still},
        read::verify::Damage,
    },
};

/// Findings in one report: the first hundred tell as much as a million.
const FINDINGS_MAX: u32 = 100;

/// What can be done with the database's file.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Back up the database to a new file, complete and consistent; the daemon may be running
    #[command(after_help = "\
Example:
  amplinkd db backup amplinkd-2026-03-01.db

It takes a snapshot of the database while the daemon runs, checks the backup as `db verify` does, and marks it as one. \
`amplinkd db restore` restores it.")]
    Backup {
        /// The new file; an existing one is never overwritten
        file: PathBuf,
    },
    /// Restore a backup; nobody is invited twice because of it
    Restore(restore::Restore),
    /// Move everything to another database, file or server; the daemon is stopped meanwhile
    Move(move_all::Move),
    /// Delete finished requests that are older than `[retention] finished`
    Prune(prune::Prune),
    /// Verify the whole file and replay every request's history; exit code 3 if anything is wrong
    #[command(
        after_help = "Example:\n  amplinkd db verify\n\nIt reads the whole file, which takes a while for a large one: its \
                      structure, the hash chain of every history, and whether the state of every request is the one \
                      its history leads to."
    )]
    Verify,
}

/// A copy that was made.
#[derive(Debug, Serialize)]
struct Copied {
    file: String,
    bytes: u64,
}

const COLUMNS: [Column; 2] = [Column::shown("id", "WHERE"), Column::shown("finding", "FINDING")];

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    let config = context.config()?;
    let location = config.database.location.clone();
    match &command {
        // Where nothing is, a copy can be put all the same.
        Command::Restore(_) => {}
        Command::Backup { .. } | Command::Move(_) | Command::Prune(_) | Command::Verify => must_exist(&location)?,
    }
    match command {
        Command::Backup { file } => backup(context, &location, &file).await,
        Command::Restore(restore) => restore::run(context, &location, restore).await,
        Command::Move(command) => move_all::run(context, &location, command).await,
        Command::Prune(prune) => prune::run(context, prune).await,
        Command::Verify => verify(context, &location).await,
    }
}

/// The file of a database that is one, and the mode that a new one is made with.
///
/// # Errors
/// It is at a server, where `command` has nothing to work on.
fn the_file<'l>(location: &'l Location, command: &str) -> anyhow::Result<(&'l Path, u32)> {
    match location {
        Location::File { path, mode } => Ok((path, *mode)),
        Location::Server(_) => bail!(
            "`{command}` works on files, and the database is at {location}: PostgreSQL's own tools copy it and put copies back \
             (pg_dump, pg_restore; docs/cluster.md)"
        ),
    }
}

async fn backup(context: &Context, location: &Location, to: &Path) -> anyhow::Result<ExitStatus> {
    // Opened as any command does: what is no database of ours is not worth a copy.
    open_to_view(location).await?.close().await;
    check_encoding(to)?;
    let (path, mode) = the_file(location, "db backup")?;
    let mode = std::fs::metadata(path).map_or(mode, |found| found.permissions().mode() & 0o777);
    let file = match OpenOptions::new().write(true).create_new(true).mode(mode).open(to) {
        Ok(file) => file,
        Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} already exists and is not overwritten: name a new file", to.display());
        }
        Err(wrong) => return Err(wrong).with_context(|| format!("cannot write {}", to.display())),
    };
    match copy(path, to, &file, mode).await {
        Ok(bytes) => {
            context.print_one(&Copied { file: to.display().to_string(), bytes })?;
            Ok(ExitStatus::Success)
        }
        Err(error) => {
            // The file was made a moment ago and holds nothing that anybody could want.
            let _ = std::fs::remove_file(to);
            Err(error.context(format!("no backup was made at {}", to.display())))
        }
    }
}

async fn copy(path: &Path, to: &Path, file: &File, mode: u32) -> anyhow::Result<u64> {
    belongs_to_its_folder(file, to);
    file.set_permissions(PermissionsExt::from_mode(mode))?;
    Store::backup(path, to, SystemClock::new().now()).await?;
    if !is_still(file, to) {
        bail!("{} was replaced by another file while it was being written: check who can write there", to.display());
    }
    if let Some(damage) = Store::verify(to, 1).await?.first() {
        bail!("the backup is inconsistent ({}: {}); run `amplinkd db verify`", damage.id, damage.finding);
    }
    file.sync_all()?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(file.metadata()?.len())
}

async fn verify(context: &Context, location: &Location) -> anyhow::Result<ExitStatus> {
    note(format!("reading all of {location}"));
    let found = match findings(location).await {
        Ok(found) => found,
        Err(error) => vec![Damage { id: "file".to_owned(), finding: damage(error)? }],
    };
    if found.is_empty() {
        if !context.is_table() {
            context.print_rows(&COLUMNS, &found)?;
        }
        note("no problems found");
        return Ok(ExitStatus::Success);
    }
    context.print_rows(&COLUMNS, &found)?;
    note("problems found: copy the file before you do anything else; `amplinkd db restore` restores a backup");
    Ok(ExitStatus::ProblemsFound)
}

async fn findings(location: &Location) -> anyhow::Result<Vec<Damage>> {
    let store = open_to_view(location).await?;
    let found = match location.path() {
        Some(path) => Store::verify(path, FINDINGS_MAX).await,
        None => store.verify_histories(FINDINGS_MAX).await,
    };
    store.close().await;
    Ok(found?)
}

/// What a damaged file said when it was opened; any other failure stays one.
fn damage(error: anyhow::Error) -> anyhow::Result<String> {
    let is_damaged = match (error.downcast_ref::<OpenError>(), error.downcast_ref::<StoreError>()) {
        (Some(OpenError::Damaged { .. }), _) => true,
        (Some(OpenError::Store { source, .. }), _) | (None, Some(source)) => is_damage(source),
        (_, _) => false,
    };
    if is_damaged { Ok(error.to_string()) } else { Err(error) }
}
