//! `db move`: everything goes to another database, file or server.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use anyhow::{Context as _, bail};
use secrecy::SecretString;
use serde::Serialize;

use crate::{
    cli::context::{Context, ExitStatus, Usage, note, progress},
    clock::{Clock, SystemClock},
    config,
    store::{
        Location,
        moving::{self, Moved, Progress},
    },
};

/// How often where a move stands is said where no bar shows it.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// A URL is a line; whatever is longer is something else.
const URL_MAX: u64 = 16 * 1024;

/// Move everything to another database, file or server
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd db move --to-file /etc/amplinkd/database.url
  amplinkd db move --to sqlite:/var/lib/amplinkd/amplinkd.db

Stop the daemon first, and start it with the new address when the move is done. URL is postgres://USER:PASSWORD@HOST/DATABASE \
or sqlite:PATH. On the command line others on this machine see a password: give the URL in a file, or as --to-file - on \
standard input.

The target must be empty, or hold what an earlier try of the same move left: a move that was interrupted goes on where it \
was. Every row arrives as it is, sealed tokens too. At the end the rows of both are counted, the ends of all histories \
compared and all of them replayed. Only then the source is marked as moved: no daemon starts on it again and no command \
writes to it, while it can still be read. The same move again says that it is done.

From its beginning on nothing is written to the source. --abandon gives an unfinished move up and stays there. To come back \
later, move again, to an empty database: what was marked as moved stays so.")]
pub struct Move {
    /// Where to, as `[database] url` would say it
    #[arg(long, value_name = "URL", required_unless_present_any = ["to_file", "abandon"], conflicts_with_all = ["to_file", "abandon"])]
    pub to: Option<SecretString>,
    /// A file that holds the URL; - reads it from standard input
    #[arg(long, value_name = "FILE", conflicts_with = "abandon")]
    pub to_file: Option<PathBuf>,
    /// Give up an unfinished move
    #[arg(long)]
    pub abandon: bool,
}

/// What was moved.
#[derive(Debug, Serialize)]
struct Printed {
    from: String,
    to: String,
    /// False where an earlier run had done all of it.
    moved_now: bool,
    rows: Option<u64>,
    requests: Option<u64>,
    /// Over the end of every history.
    hash: Option<String>,
}

/// A move that was given up.
#[derive(Debug, Serialize)]
struct Abandoned {
    database: String,
    abandoned: Option<String>,
}

/// Moves, or gives it up.
///
/// # Errors
/// What keeps it from being done; at most one of the two databases can be driven then.
pub(super) async fn run(context: &Context, location: &Location, command: Move) -> anyhow::Result<ExitStatus> {
    if command.abandon {
        let abandoned = moving::abandon(location).await?;
        note(match &abandoned {
            Some(other) => format!("the daemon can be started again; {other} holds rows that nobody uses: empty it"),
            None => "no move is under way".to_owned(),
        });
        context.print_one(&Abandoned { database: location.to_string(), abandoned })?;
        return Ok(ExitStatus::Success);
    }
    let target = target(&command, location)?;
    let clock = SystemClock::new();
    let teller = Teller::new(&clock);
    let moved = moving::move_all(location, &target, clock.now(), &|at| teller.tell(at)).await;
    teller.end();
    let Moved { from, to, rows } = moved?;
    match rows {
        Some(_) => note(format!("everything is at {to} now, and {from} is marked as moved")),
        None => note(format!("it was done before: everything is at {to}")),
    }
    match &target {
        Location::File { .. } => note(format!("set [database] url = \"sqlite:{to}\", then start the daemon")),
        Location::Server(_) => note(format!(
            "set [database] url to the URL that was given, or url_file to a file that holds it ({to}), then start the daemon"
        )),
    }
    context.print_one(&Printed {
        from,
        to,
        moved_now: rows.is_some(),
        rows: rows.map(|rows| rows.all),
        requests: rows.map(|rows| rows.requests),
        hash: rows.map(|rows| format!("{:016x}", rows.hash)),
    })?;
    Ok(ExitStatus::Success)
}

/// Where it goes. A file gets the mode that the source's would be made with.
fn target(command: &Move, source: &Location) -> anyhow::Result<Location> {
    let location = match (&command.to, &command.to_file) {
        (Some(url), _) => config::database_of(url).map_err(|wrong| Usage(format!("--to: {wrong}")))?,
        (None, Some(file)) if file == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin().take(URL_MAX).read_to_string(&mut text).context("cannot read standard input")?;
            config::database_of(&SecretString::from(text.trim()))
                .map_err(|wrong| anyhow::anyhow!("standard input: {wrong}"))?
        }
        (None, Some(file)) => config::database_in_file(file).map_err(anyhow::Error::msg)?,
        (None, None) => bail!("name the database to move to: --to or --to-file"),
    };
    Ok(match (location, source) {
        (Location::File { path, .. }, Location::File { mode, .. }) => Location::file(path, *mode),
        (location, _) => location,
    })
}

/// Says how far a move has come: a bar on a terminal, else a line now and then.
struct Teller<'c> {
    clock: &'c SystemClock,
    shown: Mutex<Option<(indicatif::ProgressBar, crate::domain::time::Time)>>,
}

impl<'c> Teller<'c> {
    const fn new(clock: &'c SystemClock) -> Self {
        Self { clock, shown: Mutex::new(None) }
    }

    fn tell(&self, Progress { table, done, total }: Progress) {
        let now = self.clock.now();
        let mut shown = self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (bar, told) = shown.get_or_insert_with(|| (progress(total, "moving the database"), now));
        bar.set_position(done);
        if bar.is_hidden() && now.since(*told) >= TELL_EVERY {
            *told = now;
            note(format!("{done} of {total} rows moved ({table})"));
        }
    }

    fn end(&self) {
        if let Some((bar, _)) = self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}
