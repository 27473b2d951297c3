//! `request import`: a file of wishes, all or none. Every line is checked before the first is written.

pub mod check;
pub mod read;

use std::{
    collections::HashMap,
    fs::File,
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde::Serialize;

use self::{check::Checked, read::Shape};
use super::{
    actor,
    context::{Context, Database, ExitStatus, Session, note, progress},
    request::ask::key_lost,
    terminal_escape::legible,
};
use crate::{
    engine::{
        imports::Imported,
        wish::{AskError, Wish},
    },
    store::{StoreError, read::views::RequestView, write::requests::Accepted},
};

/// Lines in one file: all are held in memory until they are written.
const LINES_MAX: usize = 1_000_000;

/// Bytes in one file: a million generous lines.
const BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Bad lines that are told one by one; the rest is counted.
const BAD_LINES_TOLD_MAX: usize = 100;

/// Characters of what is wrong with one line.
const WRONG_MAX: usize = 240;

/// Keys that were not kept and are told one by one; the rest is counted.
const LOST_KEYS_TOLD_MAX: usize = 20;

/// Rows read at once.
const PAGE: usize = 1_000;

/// Import many link requests from a file, all or none
#[derive(Debug, clap::Args)]
#[command(after_help = "\
CSV with a header, columns in any order; only account and program are required:
  account,program,username,notify_users,show_profile,key,labels
  wx0123456789abcdef,wxfedcba9876543210,gh_0123456789ab,no,yes,order-1138,shop=12;team=north

JSON Lines, with the same names:
  {\"account\": \"wx0123456789abcdef\", \"program\": \"wxfedcba9876543210\", \"labels\": {\"shop\": \"12\"}}

A column `kind` (link or unlink) overrides --kind. Repeating an import is safe: a line whose pair is already open or \
linked, or whose key was used before, is counted as existing.

All lines become requests at one moment, or none do. Others can read and write meanwhile. If the import is killed before \
that moment, nothing of it is ever visible; after it the daemon completes the work by itself.

Examples:
  amplinkd request import links.csv --dry-run
  amplinkd request import links.csv
  generate | amplinkd request import - --format jsonl")]
pub struct Import {
    /// The file, or - for stdin
    #[arg(value_name = "FILE|-")]
    pub file: PathBuf,
    /// File format [default: by the file name, else by the first character]
    #[arg(long, value_enum)]
    pub format: Option<Shape>,
    /// Kind of the lines that do not say
    #[arg(long, value_parser = ["link", "unlink"], default_value = "link")]
    pub kind: String,
    /// Check every line; write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What came of a file.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) lines: usize,
    pub(super) accepted: usize,
    pub(super) existing: usize,
}

/// Takes the file's wishes.
///
/// # Errors
/// When the file cannot be read, a line is bad, or the database cannot be used: nothing was written.
pub async fn run(context: &Context, import: Import) -> anyhow::Result<ExitStatus> {
    let Some((name, checked)) = checked(context, &import)? else { return Ok(ExitStatus::Success) };
    let lines = checked.wishes.len();
    let existing = write(context, checked, &name).await?;
    context.print_one(&Summary { lines, accepted: lines - existing, existing })?;
    Ok(ExitStatus::Success)
}

/// The wishes of a file with its name, all of them good; nothing where they were only to be checked.
///
/// # Errors
/// The file cannot be read, or a line is bad.
pub(super) fn checked(context: &Context, import: &Import) -> anyhow::Result<Option<(String, Checked)>> {
    let Import { file, format, kind, dry_run } = import;
    let (name, text) = (shown(file), read_all(file)?);
    let shape = (*format).unwrap_or_else(|| Shape::guess(file, &text));
    let lines = read::lines(&text, shape).with_context(|| name.clone())?;
    if lines.len() > LINES_MAX {
        bail!("{name} has {} lines, and the maximum is {LINES_MAX}: split it", lines.len());
    }
    if lines.is_empty() {
        bail!("{name} has no lines: nothing to import");
    }
    let bar = progress(lines.len() as u64, "checking");
    let checked = check::all(lines, kind, |done| bar.set_position(done));
    bar.finish_and_clear();
    if !checked.bad.is_empty() {
        refuse(&name, &checked)?;
    }
    let lines = checked.wishes.len();
    if checked.fans > 0 {
        note(format!("{} lines have notify_users: WeChat will message every follower of those accounts", checked.fans));
    }
    if *dry_run {
        note(format!("{lines} lines are valid; nothing was written"));
        context.print_one(&Summary { lines, accepted: 0, existing: 0 })?;
        return Ok(None);
    }
    Ok(Some((name, checked)))
}

/// Writes every wish, all at one moment; how many were there before.
async fn write(context: &Context, checked: Checked, name: &str) -> anyhow::Result<usize> {
    let Checked { wishes, numbers, .. } = checked;
    let keys: Vec<Option<String>> = wishes.iter().map(|wish: &Wish| wish.key.clone()).collect();
    let bar = progress(wishes.len() as u64, "writing");
    bar.enable_steady_tick(Duration::from_millis(200));
    let taken = context
        .with_session(Database::MadeIfMissing, async |session| {
            // Each line is written twice: for nobody, and for all.
            let told = |written| bar.set_position(written as u64 / 2);
            let imported = session.recorder.by(actor::by()).import(wishes, &told).await;
            let Imported { accepted, interrupted } = imported.map_err(|error| placed(error, &keys, &numbers, name))?;
            if let Some(error) = interrupted {
                note(format!(
                    "every line is accepted; the daemon completes what could not be moved to it now: {error}"
                ));
            }
            session.note_without_daemon("the requests are saved, and begin when one starts (`amplinkd run`)").await;
            Ok((lost_keys(session, &accepted, &keys, &numbers).await?, accepted))
        })
        .await;
    bar.finish_and_clear();
    let (lost, taken) = taken?;
    tell_lost_keys(name, &lost);
    Ok(taken.iter().filter(|accepted: &&Accepted| accepted.existing).count())
}

/// Says which keys were not kept, with the numbers of their lines.
pub(super) fn tell_lost_keys(name: &str, lost: &[(u64, String)]) {
    for (number, lost) in lost.iter().take(LOST_KEYS_TOLD_MAX) {
        note(format!("{name} line {number}: {lost}"));
    }
    if lost.len() > LOST_KEYS_TOLD_MAX {
        note(format!("{} keys were not saved; the first {LOST_KEYS_TOLD_MAX} are above", lost.len()));
    }
}

/// Lines whose request was there already under another key, and what is to be said of them.
async fn lost_keys(
    session: &Session,
    taken: &[Accepted],
    keys: &[Option<String>],
    numbers: &[u64],
) -> anyhow::Result<Vec<(u64, String)>> {
    let lines = taken.iter().zip(keys).zip(numbers).filter(|((accepted, _), _)| accepted.existing);
    let lines: Vec<(&str, &str, u64)> =
        lines.filter_map(|((accepted, key), number)| Some((accepted.id.as_str(), key.as_deref()?, *number))).collect();
    let mut lost = Vec::new();
    for page in lines.chunks(PAGE) {
        let ids: Vec<String> = page.iter().map(|(id, ..)| (*id).to_owned()).collect();
        let rows = session.store().request_views(&ids).await?;
        let rows: HashMap<&str, &RequestView> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
        let told = page.iter().filter_map(|(id, key, number)| Some((*number, key_lost(key, rows.get(id)?)?)));
        lost.extend(told);
    }
    Ok(lost)
}

/// A key that is taken is a fault of its line.
fn placed(error: AskError, keys: &[Option<String>], numbers: &[u64], name: &str) -> anyhow::Error {
    let line = match &error {
        AskError::Store(StoreError::KeyTaken { key, .. }) => keys.iter().position(|ours| ours.as_ref() == Some(key)),
        _ => None,
    };
    match line.and_then(|at| numbers.get(at)) {
        Some(number) => anyhow::anyhow!("{name} line {number}: {error}; nothing was written"),
        None if matches!(error, AskError::Unsure(_)) => anyhow::Error::from(error).context(name.to_owned()),
        None => anyhow::Error::from(error).context(format!("nothing of {name} was written")),
    }
}

fn refuse(name: &str, checked: &Checked) -> anyhow::Result<()> {
    let bad_lines = checked.bad.iter().take(BAD_LINES_TOLD_MAX);
    let told: Vec<String> =
        bad_lines.map(|(number, wrong)| format!("{name} line {number}: {}\n", shortened(wrong))).collect();
    // The sentence below is what counts; a reader who has gone misses the rest.
    let _ = io::stderr().write_all(told.concat().as_bytes());
    let (bad, all) = (checked.bad.len(), checked.bad.len() + checked.wishes.len());
    let more =
        if bad > BAD_LINES_TOLD_MAX { format!(" (the first {BAD_LINES_TOLD_MAX} are above)") } else { String::new() };
    bail!("{name}: {bad} of {all} lines are invalid{more}; nothing was written")
}

/// One line of a bearable length, whatever the file holds.
fn shortened(wrong: &str) -> String {
    let mut said: String = wrong.chars().take(WRONG_MAX).collect();
    if said.len() < wrong.len() {
        said.push('…');
    }
    legible(&said)
}

fn shown(file: &Path) -> String {
    if file == Path::new("-") { "stdin".to_owned() } else { file.display().to_string() }
}

fn read_all(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    let source: Box<dyn Read> = if file == Path::new("-") {
        if io::stdin().is_terminal() {
            note("reading lines from the terminal; ctrl-D ends them");
        }
        Box::new(io::stdin())
    } else {
        Box::new(File::open(file).with_context(|| format!("cannot read {}", file.display()))?)
    };
    source.take(BYTES_MAX + 1).read_to_end(&mut text).with_context(|| format!("cannot read {}", shown(file)))?;
    if text.len() as u64 > BYTES_MAX {
        bail!("{} is larger than {} MiB: split it", shown(file), BYTES_MAX / 1024 / 1024);
    }
    Ok(text)
}
