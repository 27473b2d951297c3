//! `db prune`: deletes finished requests older than the configured retention, after a confirmation, and exports them
//! first on request.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use rustix::fs::OFlags;
use serde::Serialize;

use crate::{
    cli::{
        context::{Context, Database, ExitStatus, Session, agree, note, progress},
        output::Column,
    },
    domain::time::Time,
    engine::housekeeping::{Leaving, Pruned},
    store::{file::sidecar::belongs_to_its_folder, write::prune::Spent},
};

/// Delete finished requests that are older than `[retention] finished`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd db prune --dry-run
  amplinkd db prune --export old-2026-03.jsonl --yes
  AMPLINKD__RETENTION__FINISHED=400d amplinkd db prune --dry-run

A request is deleted with its steps, conflicts, nudges, labels and resolved alerts, in short transactions. The daemon may be \
running; it does the same at night if `[retention] finished` is set. Kept, however old:
  open requests, and linked ones as long as their link exists;
  requests that a later retry refers to, until that one is deleted;
  requests with an open conflict, with an alert that is open or was resolved more recently, or with a message to send;
  requests whose history does not verify: they are evidence.

--export writes each request first, one JSON object per line: what `request history --proof` prints, its row of v_request \
as `record`, its conflicts and nudges. A page is on disk before its requests are deleted. See docs/database.md.")]
pub struct Prune {
    /// First write what is deleted to this new file, as JSON Lines
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    /// Count what would be deleted, by state and year; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// What was taken away.
#[derive(Debug, Serialize)]
struct Summary {
    ended_before: String,
    requests: u64,
    rejected: u64,
    failed: u64,
    lapsed: u64,
    cancelled: u64,
    unlinked: u64,
    /// They stay: their histories do not hold.
    unsound: u64,
    exported_to: Option<String>,
}

const COLUMNS: [Column; 3] =
    [Column::shown("state", "STATE"), Column::shown("year", "ENDED IN"), Column::shown("requests", "REQUESTS")];

/// Counts, asks, and takes away.
///
/// # Errors
/// When nothing says how old is old, the file exists, or the database cannot be used; what went so far is in the file.
pub(super) async fn run(context: &Context, prune: Prune) -> anyhow::Result<ExitStatus> {
    let database = Database::unless_dry_run(prune.dry_run);
    context.with_session(database, async |session| with_database(context, session, &prune).await).await?;
    Ok(ExitStatus::Success)
}

async fn with_database(context: &Context, session: &Session, prune: &Prune) -> anyhow::Result<()> {
    let Some(age) = session.config.retention.finished else {
        bail!(
            "[retention] finished is \"never\", so nothing is old: set it, or override it once, as in \
             AMPLINKD__RETENTION__FINISHED=400d amplinkd db prune --dry-run"
        );
    };
    let before = session.now() - age;
    let spent = spent(session, before).await?;
    let count: i64 = spent.iter().map(|spent| spent.requests).sum();
    if prune.dry_run {
        note(format!("{count} requests that ended before {before} would be deleted; nothing was changed"));
        return context.print_rows(&COLUMNS, &spent);
    }
    if count > 0 {
        let what = format!("delete {count} requests that ended before {before}");
        agree(&what, "how many in each state", prune.yes)?;
    }
    let mut export = prune.export.as_deref().map(Export::create).transpose()?;
    let bar = progress(count.unsigned_abs(), "deleting");
    let mut keep = |leaving: &[Leaving]| {
        bar.inc(leaving.len() as u64);
        export.as_mut().map_or(Ok(()), |export| export.write(leaving))
    };
    session.recorder.prune_messages().await?;
    let pruned = session.recorder.prune_requests(before, u64::MAX, &mut keep).await;
    bar.finish_and_clear();
    let pruned = pruned.with_context(|| match &prune.export {
        Some(file) => format!("what is deleted so far is in {}", file.display()),
        None => "not everything is deleted".to_owned(),
    })?;
    if pruned.unsound > 0 {
        note(format!(
            "{} requests are kept because their histories do not verify: `amplinkd db verify` shows which and why",
            pruned.unsound
        ));
    }
    context.print_one(&Summary::of(&pruned, before, prune.export.as_deref()))
}

/// What would go, as far as the daemon lets it.
async fn spent(session: &Session, before: Time) -> anyhow::Result<Vec<Spent>> {
    let Some(prunable) = session.store().prunable_before(before).await? else {
        bail!("this database is a restored backup: start the daemon on it first, so that it is reconciled");
    };
    if prunable < before {
        note(format!("the daemon has not processed events since {prunable}: what ended later is kept for now"));
    }
    Ok(session.store().count_spent(prunable).await?)
}

impl Summary {
    fn of(pruned: &Pruned, before: Time, export: Option<&Path>) -> Self {
        let of = |state| pruned.by_state.get(state).copied().unwrap_or(0);
        Self {
            ended_before: before.to_string(),
            requests: pruned.requests(),
            rejected: of("rejected"),
            failed: of("failed"),
            lapsed: of("lapsed"),
            cancelled: of("cancelled"),
            unlinked: of("unlinked"),
            unsound: pruned.unsound,
            exported_to: export.map(|file| file.display().to_string()),
        }
    }
}

/// The file that what goes is written to.
struct Export(BufWriter<File>);

impl Export {
    /// The permissions of the file: it holds what the database held.
    const MODE: u32 = 0o640;

    /// Makes the file, and never another one: a name that exists, or leads elsewhere, is refused.
    fn create(path: &Path) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(Self::MODE);
        let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let file = match options.custom_flags(no_follow).open(path) {
            Ok(file) => file,
            Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => {
                bail!("{} already exists and is not overwritten: name a new file", path.display());
            }
            Err(wrong) => return Err(wrong).with_context(|| format!("cannot write {}", path.display())),
        };
        belongs_to_its_folder(&file, path);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(BufWriter::new(file)))
    }

    /// Writes a page; it is on disk when this returns.
    fn write(&mut self, leaving: &[Leaving]) -> io::Result<()> {
        for one in leaving {
            serde_json::to_writer(&mut self.0, one)?;
            self.0.write_all(b"\n")?;
        }
        self.0.flush()?;
        self.0.get_ref().sync_data()
    }
}
