//! `amplinkd selftest`: tests this program on this machine against a simulator, in a temporary folder of its own, never
//! on the configured database.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use serde::Serialize;

use super::{
    context::{Context, ExitStatus, note},
    output::Column,
};
use crate::{
    clock::{Clock as _, SystemClock},
    selftest::{Scenario, checks, disk, live},
};

/// Test this machine: randomized simulations, crashes, a full disk, pauses; exit code 3 if a promise is broken
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd selftest
  amplinkd selftest --minutes 60 --folder /var/lib/amplinkd
  amplinkd selftest --seed 4711 --only lives

A simulation is two weeks (--days) of requests, administrators, faults, operators and crashes, generated from a seed and run \
in seconds on a simulated clock; every promise is checked after every step. In one out of two the platform keeps its own \
tokens: pushes come late, twice or never, authorizations come and go, answers of refreshes are lost. The same seed, days and version reproduce the \
same simulation; with own tokens, a crash may meet another moment of it. Nothing is sent to WeChat, and none of your databases is touched.")]
pub struct Selftest {
    /// How long to run simulations, at least one; the other checks take about a minute more
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub minutes: u64,

    /// Days of a simulation in which things happen; short ones cover more beginnings
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=365))]
    pub days: u32,

    /// The first simulation's seed; the next ones count up from it. Random if not given
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,

    /// Run only this check
    #[arg(long, value_enum, value_name = "CHECK")]
    pub only: Option<Check>,

    /// Folder to work in: name one on the disk that holds the database
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// One of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Check {
    /// Randomized simulations
    Lives,
    /// The real program, killed repeatedly
    Kill,
    /// The real program on a disk that is full for a while
    DiskFull,
    /// The real program, paused for a while
    Stop,
    /// What the disk promises and keeps
    Disk,
}

/// Kills of the real program, and requests that arrive meanwhile.
const KILLS: usize = 20;
const REQUESTS: usize = 80;

/// A seed is easier to pass on when it is short.
const SEED_MAX: u64 = 1_000_000;

/// One line of the result.
#[derive(Debug, Serialize)]
struct Line {
    check: &'static str,
    verdict: &'static str,
    seen: String,
}

const COLUMNS: [Column; 3] =
    [Column::shown("check", "CHECK"), Column::shown("verdict", "VERDICT"), Column::shown("seen", "SEEN")];

impl Line {
    fn new(check: &'static str, found: Result<String, String>) -> Self {
        let (verdict, seen) = match found {
            Ok(seen) => ("kept", seen),
            Err(broken) => ("BROKEN", broken),
        };
        Self { check, verdict, seen }
    }
}

/// Tries everything, or one thing.
pub async fn run(context: &Context, command: Selftest) -> anyhow::Result<ExitStatus> {
    let folder = match &command.folder {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    let folder = folder.context("there is no folder to work in: name one with --folder")?;
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let wanted = |check| command.only.is_none_or(|only| only == check);
    let room = |name: &str| -> anyhow::Result<PathBuf> {
        let room = folder.path().join(name);
        std::fs::create_dir(&room).with_context(|| format!("cannot create {}", room.display()))?;
        Ok(room)
    };
    let mut lines = Vec::new();
    if wanted(Check::Lives) {
        lines.push(Line::new("lives", lives(&command, &room("lives")?).await));
    }
    if wanted(Check::Kill) {
        note(format!("killing the real program {KILLS} times"));
        lines.push(Line::new("kill", checks::kill(&room("kill")?, &program, KILLS, REQUESTS).await));
    }
    if wanted(Check::DiskFull) {
        note("filling its disk for a while");
        lines.push(Line::new("disk-full", checks::fill_the_disk(&room("full")?, &program).await));
    }
    if wanted(Check::Stop) {
        note("pausing it for a while");
        lines.push(Line::new("stop", checks::stop_for_a_while(&room("stop")?, &program).await));
    }
    if wanted(Check::Disk) {
        lines.push(belief(&room("disk")?)?);
    }
    context.print_rows(&COLUMNS, &lines)?;
    Ok(if lines.iter().all(|line| line.verdict != "BROKEN") { ExitStatus::Success } else { ExitStatus::ProblemsFound })
}

/// Life after life until the time is over; the first broken promise ends it.
async fn lives(command: &Selftest, folder: &std::path::Path) -> Result<String, String> {
    let clock = SystemClock::new();
    let time = Duration::from_mins(command.minutes);
    let first = command.seed.unwrap_or_else(|| clock.random() % SEED_MAX);
    note(format!("simulations from seed {first} on, for {} min", command.minutes));
    let (mut count, mut steps, mut requests, mut kills, mut faults) = (0, 0, 0, 0, 0);
    loop {
        let span = Duration::from_hours(24) * command.days;
        let life = Scenario { seed: first.wrapping_add(count), span, turn_every: Scenario::ORDINARY, at_once: 1 };
        let begun = clock.monotonic();
        let lived = live(life, folder).await.map_err(|broken| broken.to_string())?;
        count += 1;
        steps += lived.steps;
        requests += lived.requests;
        kills += lived.kills;
        faults += lived.faults;
        note(format!(
            "seed {}: {} days in {:.1} s, {} requests, {} polls, {} calls, {} faults, {} kills{}",
            life.seed,
            lived.took.as_secs() / 86_400,
            clock.monotonic().saturating_sub(begun).as_secs_f64(),
            lived.requests,
            lived.polls,
            lived.calls,
            lived.faults,
            lived.kills,
            lived.tokens.map_or_else(String::new, |calls| format!(", own tokens ({calls} calls)"))
        ));
        if clock.monotonic() >= time {
            let last = life.seed;
            return Ok(format!(
                "{count} simulations (seeds {first} to {last}): {steps} steps checked, {requests} requests, {faults} \
                 faults, {kills} kills"
            ));
        }
    }
}

/// What the disk says of itself is no promise of ours: it is unfit, or it is told.
fn belief(folder: &std::path::Path) -> anyhow::Result<Line> {
    let disk = disk::look(folder).context("cannot check the disk")?;
    let told = disk.beliefs.join(" ");
    let line = Line::new("disk", if disk.is_unfit { Err(told) } else { Ok(told) });
    // What cannot be promised is not broken, and not kept either.
    Ok(if disk.is_doubtful && !disk.is_unfit { Line { verdict: "unsure", ..line } } else { line })
}
