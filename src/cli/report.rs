//! `amplinkd report`: how long approvals took, and whether nudges helped. It reads the newest settled requests only, so
//! its cost does not grow with the database.

pub(super) mod digest;

use std::{borrow::Cow, collections::BTreeSet, fmt::Write as _, time::Duration};

use serde::Serialize;

use super::{
    context::{Context, ExitStatus, Usage, note},
    output::{self, Column, Format},
    readers,
    request::label,
    terminal_escape::legible,
    time_format,
};
use crate::{
    domain::{id::AccountId, stage_durations::Measured, text::format::duration, time::Time},
    engine::approvals::{ApprovalRow, ApprovalsReport, StageHistogram, approvals_report},
    store::read::stage_times::{By, REPORT_REQUESTS, Sample},
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
    let asked = report.checked()?;
    context
        .with_view(async |session| {
            let now = session.now();
            let sample = Sample {
                account: asked.account.as_ref().map(ToString::to_string),
                labels: asked.labels.clone(),
                since: asked.since.map(|span| now - span),
                until: None,
                by: asked.by.clone(),
                limit: REPORT_REQUESTS,
            };
            let times = session.store().stage_times(&sample).await?;
            let effects = session.store().nudge_effects(&sample, now).await?;
            let found = approvals_report(&times, &effects, &sample.by, session.config.nudge.effect_within);
            print_report(context, &asked, now, &found)
        })
        .await?;
    Ok(ExitStatus::Success)
}

/// What is measured, and what apart.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    by: By,
    pub(super) account: Option<AccountId>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) since: Option<Duration>,
}

impl Report {
    /// What is asked for.
    ///
    /// # Errors
    /// [`Usage`]: `--by` takes other words.
    pub(super) fn checked(self) -> Result<Asked, Usage> {
        Ok(Asked { by: by(&self.by)?, account: self.account, labels: self.labels, since: self.since })
    }
}

impl Asked {
    /// `by` as the API takes it.
    pub(super) fn by_word(&self) -> Option<String> {
        match &self.by {
            By::Nothing => None,
            By::Account => Some("account".to_owned()),
            By::Label(name) => Some(format!("label:{name}")),
        }
    }
}

/// Prints what was measured.
pub(super) fn print_report(context: &Context, asked: &Asked, now: Time, found: &ApprovalsReport) -> anyhow::Result<()> {
    if context.format == Format::Table {
        print(&table(context, asked, now, found)?)
    } else {
        context.print_rows(&FIELDS, &found.items)
    }
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

fn table(context: &Context, asked: &Asked, now: Time, found: &ApprovalsReport) -> anyhow::Result<String> {
    let rows = &found.items;
    if found.requests == 0 && rows.iter().all(|row| row.nudges == 0) {
        return Ok(nothing_yet(asked));
    }
    let is_grouped = asked.by != By::Nothing;
    let mut text = format!("{}\n\n", heading(asked, now, found));
    let shown: Vec<TableRow> =
        few(rows).filter(|row| !is_grouped || row.approved + row.ended_otherwise > 0).map(TableRow::of).collect();
    text += &drawn(context, if is_grouped { &TIMES_BY } else { &TIMES }, &shown)?;
    text += &histograms(&found.histograms);
    let nudged: Vec<NudgeRow> = few(rows).filter(|row| row.nudges > 0).map(NudgeRow::of).collect();
    if nudged.is_empty() {
        text += "\nNobody was nudged: `amplinkd request nudge ID` drafts a reminder for whoever has not answered.\n";
    } else {
        let within = worded(found.effect_within_seconds);
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

fn nothing_yet(asked: &Asked) -> String {
    if asked.account.is_none() && asked.labels.is_empty() && asked.since.is_none() {
        return "No request has ended yet, so there is nothing to measure.\n\
                `amplinkd request list --open` shows open requests; come back after the first approvals.\n"
            .to_owned();
    }
    "No settled request matches these filters. Without them, `amplinkd report` measures all requests.\n".to_owned()
}

fn heading(asked: &Asked, now: Time, found: &ApprovalsReport) -> String {
    let mut of: Vec<String> = Vec::new();
    of.extend(asked.account.as_ref().map(|account| format!("account {account}")));
    of.extend(asked.labels.iter().map(|(name, value)| format!("{}={}", legible(name), legible(value))));
    of.extend(asked.since.map(|since| format!("requested since {}", time_format::to_the_minute(now - since))));
    let of = if of.is_empty() { String::new() } else { format!(" ({})", of.join(", ")) };
    let which = if found.is_newest_only { "the newest " } else { "" };
    let requests = if found.requests == 1 { "request" } else { "requests" };
    format!("How long approvals took, in {which}{} settled {requests}{of}", found.requests)
}

fn histograms(stages: &[StageHistogram]) -> String {
    let mut text = String::new();
    for stretch in Measured::ALL {
        let Some(found) = stages.iter().find(|found| found.stage == stretch.as_str()) else { continue };
        let _ = writeln!(text, "\n{}: {}", stretch.as_str(), stretch.meaning());
        for bar in &found.bars {
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
