//! `amplinkd report`: how long approvals took, and whether nudges helped. It reads the newest settled requests only, so
//! its cost does not grow with the database.

mod digest;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};

use serde::Serialize;

use super::{
    context::{Context, ExitStatus, Session, Usage, note},
    output::{self, Column, Format},
    readers,
    request::label,
    terminal_escape::legible,
    time_format,
};
use crate::{
    domain::{id::AccountId, stage_durations::Measured, text::format::duration},
    engine::approvals::{ApprovalRow, approval_rows},
    store::read::stage_times::{By, REPORT_REQUESTS, Sample, StageTimes, Tally},
};

/// Groups in a table: two screens; the other formats have all.
const TABLE_GROUPS: usize = 50;

/// Report approval times, and whether nudges help
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd report
  amplinkd report --since 30d --account wx0123456789abcdef
  amplinkd report --by label shop -o csv > approvals.csv
  amplinkd report --digest

Times are measured over the newest 20,000 settled requests that match the filters, and are as exact as the polling \
interval. Only approvals are measured; rejected, lapsed, failed and cancelled requests are counted separately. Requests \
that still wait are in none of the figures, so the true times are longer. A percentile is the nearest rank: one of the \
measured times.")]
pub struct Report {
    /// Group by account, or by the value of a label
    #[arg(long, num_args = 1..=2, value_names = ["account|label", "NAME"])]
    pub by: Vec<String>,
    /// Only requests of this official account
    #[arg(long, help_heading = "Which requests (all conditions must match)")]
    pub account: Option<AccountId>,
    /// Only requests with this label; repeatable
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label, help_heading = "Which requests (all conditions must match)")]
    pub labels: Vec<(String, String)>,
    /// Only requests and nudges made within this span, such as 30d
    #[arg(long, value_name = "SPAN", value_parser = time_format::span, help_heading = "Which requests (all conditions must match)")]
    pub since: Option<Duration>,
    /// The daily digest as it would be sent now, instead of approval times
    #[arg(long, conflicts_with_all = ["by", "account", "labels", "since"])]
    pub digest: bool,
    /// The digest's language [default: that of alerts]
    #[arg(long, value_parser = ["zh", "en"], requires = "digest")]
    pub language: Option<String>,
}

const FIELDS: [Column; 12] = [
    Column::hidden("group"),
    Column::hidden("stage"),
    Column::hidden("approved"),
    Column::hidden("median_seconds"),
    Column::hidden("p90_seconds"),
    Column::hidden("p95_seconds"),
    Column::hidden("ended_otherwise"),
    Column::hidden("nudges"),
    Column::hidden("nudges_undecided"),
    Column::hidden("nudges_effective"),
    Column::hidden("nudges_effective_percent"),
    Column::hidden("median_seconds_after_nudge"),
];

/// The same for people.
#[derive(Debug, Serialize)]
struct TableRow {
    group: String,
    stage: Cow<'static, str>,
    median: Option<String>,
    p90: Option<String>,
    p95: Option<String>,
    approved: usize,
    otherwise: usize,
}

const TIMES: [Column; 6] = [
    Column::shown("stage", "STAGE"),
    Column::shown("median", "MEDIAN"),
    Column::shown("p90", "90%"),
    Column::shown("p95", "95%"),
    Column::shown("approved", "APPROVED"),
    Column::shown("otherwise", "ENDED OTHERWISE"),
];

const TIMES_BY: [Column; 7] = [
    Column::shown("group", "GROUP"),
    Column::shown("stage", "STAGE"),
    Column::shown("median", "MEDIAN"),
    Column::shown("p90", "90%"),
    Column::shown("p95", "95%"),
    Column::shown("approved", "APPROVED"),
    Column::shown("otherwise", "ENDED OTHERWISE"),
];

/// What came of nudges, for people.
#[derive(Debug, Serialize)]
struct NudgeRow {
    group: String,
    stage: Cow<'static, str>,
    nudges: usize,
    effective: String,
    undecided: usize,
    after: Option<String>,
    median: Option<String>,
}

const NUDGES: [Column; 6] = [
    Column::shown("stage", "STAGE"),
    Column::shown("nudges", "NUDGED"),
    Column::shown("effective", "APPROVED IN TIME"),
    Column::shown("undecided", "TIME NOT OVER"),
    Column::shown("after", "MEDIAN AFTER A NUDGE"),
    Column::shown("median", "MEDIAN OF ALL"),
];

const NUDGES_BY: [Column; 7] = [
    Column::shown("group", "GROUP"),
    Column::shown("stage", "STAGE"),
    Column::shown("nudges", "NUDGED"),
    Column::shown("effective", "APPROVED IN TIME"),
    Column::shown("undecided", "TIME NOT OVER"),
    Column::shown("after", "MEDIAN AFTER A NUDGE"),
    Column::shown("median", "MEDIAN OF ALL"),
];

/// Prints the report.
pub async fn run(context: &Context, report: Report) -> anyhow::Result<ExitStatus> {
    if report.digest {
        return digest::run(context, report.language.as_deref()).await;
    }
    let by = by(&report.by)?;
    context
        .with_view(async |session| {
            let now = session.now();
            let sample = Sample {
                account: report.account.as_ref().map(ToString::to_string),
                labels: report.labels.clone(),
                since: report.since.map(|span| now - span),
                until: None,
                by,
                limit: REPORT_REQUESTS,
            };
            let times = session.store().stage_times(&sample).await?;
            let effects = session.store().nudge_effects(&sample, now).await?;
            let rows = approval_rows(&times, &effects, &sample.by);
            if context.format == Format::Table {
                print(&table(context, session, &sample, &times, &rows)?)
            } else {
                context.print_rows(&FIELDS, &rows)
            }
        })
        .await?;
    Ok(ExitStatus::Success)
}

fn by(words: &[String]) -> Result<By, Usage> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => Ok(By::Nothing),
        ["account"] => Ok(By::Account),
        ["label", name] => Ok(By::Label((*name).to_owned())),
        [..] => Err(Usage("--by takes \"account\", or \"label\" and a label name".to_owned())),
    }
}

fn table(
    context: &Context,
    session: &Session,
    sample: &Sample,
    times: &StageTimes,
    rows: &[ApprovalRow],
) -> anyhow::Result<String> {
    if times.requests == 0 && rows.iter().all(|row| row.nudges == 0) {
        return Ok(nothing_yet(sample));
    }
    let is_grouped = sample.by != By::Nothing;
    let mut text = format!("{}\n\n", heading(sample, times));
    let shown: Vec<TableRow> =
        few(rows).filter(|row| !is_grouped || row.approved + row.ended_otherwise > 0).map(TableRow::of).collect();
    text += &drawn(context, if is_grouped { &TIMES_BY } else { &TIMES }, &shown)?;
    if !is_grouped && let Some(stages) = times.groups.get(&None) {
        text += &histograms(stages);
    }
    let nudged: Vec<NudgeRow> = few(rows).filter(|row| row.nudges > 0).map(NudgeRow::of).collect();
    if nudged.is_empty() {
        text += "\nNobody was nudged: `amplinkd request nudge ID` drafts a reminder for whoever has not answered.\n";
    } else {
        let within = duration(session.config.nudge.effect_within);
        let _ = writeln!(
            text,
            "\nNudges: how many were followed by an approval in time (now {within}, [nudge] effect_within)\n"
        );
        text += &drawn(context, if is_grouped { &NUDGES_BY } else { &NUDGES }, &nudged)?;
    }
    let groups = rows.iter().map(|row| &row.group).collect::<BTreeSet<_>>().len();
    if groups > TABLE_GROUPS {
        note(format!("showing {TABLE_GROUPS} of {groups} groups; -o csv shows all"));
    }
    Ok(text)
}

/// The rows of as many groups as a table shows.
fn few(rows: &[ApprovalRow]) -> impl Iterator<Item = &ApprovalRow> {
    let mut groups = BTreeSet::new();
    rows.iter().take_while(move |row| {
        groups.insert(row.group.clone());
        groups.len() <= TABLE_GROUPS
    })
}

fn nothing_yet(sample: &Sample) -> String {
    if sample.account.is_none() && sample.labels.is_empty() && sample.since.is_none() {
        return "No request has ended yet, so there is nothing to measure.\n\
                `amplinkd request list --open` shows open requests; come back after the first approvals.\n"
            .to_owned();
    }
    "No settled request matches these filters. Without them, `amplinkd report` measures all requests.\n".to_owned()
}

fn heading(sample: &Sample, times: &StageTimes) -> String {
    let mut of: Vec<String> = Vec::new();
    of.extend(sample.account.as_ref().map(|account| format!("account {account}")));
    of.extend(sample.labels.iter().map(|(name, value)| format!("{}={}", legible(name), legible(value))));
    of.extend(sample.since.map(|since| format!("requested since {}", time_format::to_the_minute(since))));
    let of = if of.is_empty() { String::new() } else { format!(" ({})", of.join(", ")) };
    let which = if times.is_cut { "the newest " } else { "" };
    let requests = if times.requests == 1 { "request" } else { "requests" };
    format!("How long approvals took, in {which}{} settled {requests}{of}", times.requests)
}

fn histograms(stages: &BTreeMap<&'static str, Tally>) -> String {
    let mut text = String::new();
    for stretch in Measured::ALL {
        let bars = stages.get(stretch.as_str()).map(|tally| tally.took.histogram()).unwrap_or_default();
        if bars.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n{}: {}", stretch.as_str(), stretch.meaning());
        for bar in bars {
            let line = format!(
                "  {:>9}  {} {}",
                bar.range,
                bar.drawn,
                if bar.count == 0 { String::new() } else { bar.count.to_string() }
            );
            text += line.trim_end();
            text.push('\n');
        }
    }
    text
}

impl TableRow {
    fn of(row: &ApprovalRow) -> Self {
        Self {
            group: row.group.clone().unwrap_or_else(|| "(none)".to_owned()),
            stage: row.stage.clone(),
            median: row.median_seconds.map(worded),
            p90: row.p90_seconds.map(worded),
            p95: row.p95_seconds.map(worded),
            approved: row.approved,
            otherwise: row.ended_otherwise,
        }
    }
}

impl NudgeRow {
    fn of(row: &ApprovalRow) -> Self {
        let percent = row.nudges_effective_percent.map(|percent| format!(" ({percent}%)")).unwrap_or_default();
        Self {
            group: row.group.clone().unwrap_or_else(|| "(none)".to_owned()),
            stage: row.stage.clone(),
            nudges: row.nudges,
            effective: format!("{}{percent}", row.nudges_effective),
            undecided: row.nudges_undecided,
            after: row.median_seconds_after_nudge.map(worded),
            median: row.median_seconds.map(worded),
        }
    }
}

fn worded(seconds: u64) -> String {
    duration(Duration::from_secs(seconds))
}

fn drawn<T: Serialize>(context: &Context, columns: &[Column], rows: &[T]) -> anyhow::Result<String> {
    let mut text = Vec::new();
    output::print(&mut text, context.format, context.look, columns, rows)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(readers::to_stdout(text.as_bytes())?)
}
