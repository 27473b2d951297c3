//! The page for people: required actions first, then a line or a few per topic, in common columns. It fits 80
//! characters, and text from outside cannot control the terminal.

use std::{fmt::Write as _, io};

use anstyle::{AnsiColor, Style};

use super::text::{columns, counted, cut, ending, grouped, sized, wrapped};
use crate::{
    cli::{output::Look, readers::to_stdout, terminal_escape::legible, time_format},
    domain::{gate::GateKind, time::Time},
    engine::status::{
        Report,
        figures::{Accounts, Alerts, Audit, Channel, Daemon, Database, Figures, Last, Requests, Stage},
        problems::Need,
    },
};

/// Characters of the titles on the left, with the space behind them.
const MARGIN: usize = 11;

/// Characters in a line where no terminal says how many.
const WIDTH: usize = 100;

/// The narrowest page; a terminal narrower than that breaks the lines itself.
const WIDTH_MIN: usize = 60;

const BOLD: Style = Style::new().bold();
const WRONG: Style = AnsiColor::Red.on_default().bold();
const RIGHT: Style = AnsiColor::Green.on_default().bold();

/// One thing of a section: what, how many, for how long, and more about it.
#[derive(Debug, Default)]
struct Row {
    what: String,
    count: u64,
    span: String,
    note: String,
}

/// A title, a sentence, and rows below it.
#[derive(Debug)]
struct Section {
    title: &'static str,
    sentence: String,
    rows: Vec<Row>,
}

/// Prints the page to stdout; a reader who has gone is no failure.
pub(super) fn print(report: &Report, now: Time, look: Look) -> io::Result<()> {
    to_stdout(drawn(report, now, look).as_bytes())
}

fn drawn(report: &Report, now: Time, look: Look) -> String {
    let width = look.width.map_or(WIDTH, usize::from).max(WIDTH_MIN);
    let paint =
        |style: Style, text: &str| if look.coloured { format!("{style}{text}{style:#}") } else { text.to_owned() };
    let mut page = format!("amplinkd status at {}\n\n", time_format::to_the_second(&report.at));
    if report.problems.is_empty() {
        let _ = writeln!(page, "{}\n", paint(RIGHT, "NO ACTION NEEDED"));
    } else {
        let _ = writeln!(page, "{}", paint(WRONG, "ACTION NEEDED"));
        for Need { text, next, .. } in &report.problems {
            let _ = writeln!(page, "{}", wrapped(text, width, "  ", "  "));
            let _ = writeln!(page, "{}", wrapped(next, width, "    ", "    "));
        }
        page.push('\n');
    }
    let sections = sections(&report.figures, now);
    let rows = || sections.iter().flat_map(|section| &section.rows);
    let what = rows().map(|row| columns(&row.what)).max().unwrap_or_default();
    let count = rows().map(|row| grouped(row.count).len()).max().unwrap_or_default();
    let span = rows().map(|row| columns(&row.span)).max().unwrap_or_default();
    for Section { title, sentence, rows } in &sections {
        let margin = " ".repeat(MARGIN);
        let lines = wrapped(sentence, width, &margin, &margin);
        let head = format!("{title:<MARGIN$}");
        let _ = writeln!(page, "{}{}", paint(BOLD, &head), &lines[MARGIN..]);
        for row in rows {
            let padding = " ".repeat(what - columns(&row.what));
            let number = grouped(row.count);
            // What has no span, such as a finding, has the room for its note.
            let span = if row.span.is_empty() { String::new() } else { format!("{:<span$}  ", row.span) };
            let line = format!("{margin}{}{padding}  {number:>count$}  {span}{}", row.what, row.note);
            let _ = writeln!(page, "{}", cut(line.trim_end(), width));
        }
    }
    page
}

fn sections(figures: &Figures, now: Time) -> Vec<Section> {
    let mut sections = vec![
        daemon(&figures.daemon, &figures.database, now),
        database(&figures.database),
        requests(&figures.requests, now),
        accounts(&figures.accounts, now),
    ];
    sections.extend(gates(figures, now));
    sections.push(alerts(&figures.alerts, now));
    sections.push(Section { title: "plan", sentence: figures.plan.lines.join("; "), rows: Vec::new() });
    sections.push(audit(&figures.audit, now));
    sections.push(channels(&figures.channels, now));
    sections
}

fn daemon(daemon: &Daemon, database: &Database, now: Time) -> Section {
    let moment = |at: &Option<String>| at.as_deref().map(time_format::to_the_second).unwrap_or_default();
    let age = |at: &Option<String>| at.as_deref().map(|at| time_format::age(at, now)).unwrap_or_default();
    let Last { pid, version, started_at, written_at, stopped_at } = &daemon.last;
    let (version, pid) = (version.as_deref().unwrap_or_default(), pid.unwrap_or_default());
    let sentence = match (daemon.running, written_at) {
        (Some(true), Some(_)) if stopped_at.is_none() => {
            let fails = if database.writable == Some(false) { "CANNOT WRITE, " } else { "" };
            format!(
                "running since {} ({}), process {pid}, version {version}; {fails}last wrote {} ago",
                moment(started_at),
                age(started_at),
                age(written_at)
            )
        }
        (Some(true), _) => "running, and has not recorded itself here yet".to_owned(),
        (Some(false), None) => "not running, and none has ever run on this database".to_owned(),
        (Some(false), Some(_)) => {
            let ended = match stopped_at {
                Some(_) => format!("was stopped at {}", moment(stopped_at)),
                None => format!("last wrote at {} and was not stopped cleanly", moment(written_at)),
            };
            format!("not running; version {version} started at {} and {ended}", moment(started_at))
        }
        (None, Some(_)) => {
            format!("unknown: no permission to open its lock; version {version} last wrote {} ago", age(written_at))
        }
        (None, None) => "unknown: no permission to open its lock".to_owned(),
    };
    Section { title: "daemon", sentence, rows: Vec::new() }
}

fn database(database: &Database) -> Section {
    let free = database.free_bytes.map(|free| format!(", {} free", sized(free))).unwrap_or_default();
    let path = database.path.display();
    let sentence = format!("{path}: {}, log {}{free}", sized(database.bytes), sized(database.log_bytes));
    Section { title: "database", sentence, rows: Vec::new() }
}

fn requests(requests: &Requests, now: Time) -> Section {
    let row = |state: &Stage| Row {
        what: state.state.to_string(),
        count: state.count.unsigned_abs(),
        span: state.since.as_deref().map(|since| span(since, now)).unwrap_or_default(),
        note: state.longest.as_deref().map(ending).unwrap_or_default(),
    };
    let longest = if requests.open > 0 { "; the longest wait in each state:" } else { "" };
    let sentence = format!(
        "{} open, {} finished{longest}",
        grouped(requests.open.unsigned_abs()),
        grouped(requests.finished.unsigned_abs())
    );
    let rows = requests.states.iter().filter(|state| state.count > 0).map(row).collect();
    Section { title: "requests", sentence, rows }
}

fn accounts(accounts: &Accounts, now: Time) -> Section {
    let Accounts { known, unread, suspended, calls_held } = accounts;
    let number = |count: i64| grouped(count.unsigned_abs());
    let sentence = format!(
        "{} known: {} unread, {} suspended, {} with calls held back",
        number(*known),
        number(unread.count),
        number(suspended.count),
        number(calls_held.count)
    );
    let mut rows: Vec<Row> = Vec::new();
    rows.extend(unread.causes.iter().map(|cause| Row {
        what: format!("unread: {}", cause.trouble),
        count: cause.count.unsigned_abs(),
        span: span(&cause.since, now),
        note: cause.example.as_deref().map(legible).unwrap_or_default(),
    }));
    rows.extend(suspended.causes.iter().map(|cause| Row {
        what: match cause.errcode {
            Some(code) => format!("suspended: {code}"),
            None => format!("suspended: {}", cause.suspended_by),
        },
        count: cause.count.unsigned_abs(),
        span: span(&cause.since, now),
        note: cause.errcode.and_then(meaning).unwrap_or_default(),
    }));
    if calls_held.count > 0 {
        rows.push(Row {
            what: "calls held back".to_owned(),
            count: calls_held.count.unsigned_abs(),
            span: calls_held.since.as_deref().map(|since| span(since, now)).unwrap_or_default(),
            note: calls_held.example.as_deref().map(legible).unwrap_or_default(),
        });
    }
    Section { title: "accounts", sentence, rows }
}

/// What a code means, in a few words.
fn meaning(code: i64) -> Option<String> {
    crate::domain::errcode::meaning(code).map(|row| row.means.to_owned())
}

fn gates(figures: &Figures, now: Time) -> Option<Section> {
    if figures.gates.is_empty() {
        return None;
    }
    let rows = figures.gates.iter().map(|gate| Row {
        what: format!("{}: {}", gate.kind, gate.errcode),
        count: gate.count.unsigned_abs(),
        span: time_format::ahead(Some(&gate.until), now).map(|wait| opening(&gate.kind, &wait)).unwrap_or_default(),
        note: meaning(gate.errcode).unwrap_or_default(),
    });
    let all: i64 = figures.gates.iter().map(|gate| gate.count).sum();
    let sentence = format!("{} closed; the first of each:", grouped(all.unsigned_abs()));
    Some(Section { title: "gates", sentence, rows: rows.collect() })
}

/// When a gate opens by itself; that of our address is tried.
fn opening(kind: &str, wait: &str) -> String {
    let verb = if kind == GateKind::Ip.as_str() { "probed" } else { "opens" };
    if wait == "due" { format!("{verb} now") } else { format!("{verb} in {wait}") }
}

fn alerts(alerts: &Alerts, now: Time) -> Section {
    let rows = alerts.rules.iter().map(|rule| {
        let parts = [(rule.acknowledged, "acknowledged"), (rule.snoozed, "snoozed")];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let said: Vec<String> =
            parts.map(|(count, word)| format!("{} {word}", grouped(count.unsigned_abs()))).collect();
        Row {
            what: rule.rule.clone(),
            count: (rule.firing + rule.acknowledged + rule.snoozed).unsigned_abs(),
            span: span(&rule.fired_at, now),
            note: said.join(", "),
        }
    });
    let sentence = match (alerts.open, alerts.need_a_person) {
        (0, _) => "none open".to_owned(),
        (open, 0) => format!("{} open, none needs action", grouped(open.unsigned_abs())),
        (open, wait) => {
            let verb = if wait == 1 { "needs" } else { "need" };
            format!("{} open, {} {verb} action", grouped(open.unsigned_abs()), grouped(wait.unsigned_abs()))
        }
    };
    Section { title: "alerts", sentence, rows: rows.collect() }
}

fn audit(audit: &Audit, now: Time) -> Section {
    let by_daemon = match audit.ran_at.as_deref() {
        Some(at) => format!("last run by the daemon {} ago", time_format::age(at, now)),
        None => "never run by a daemon".to_owned(),
    };
    let found = match audit.findings {
        0 => "no findings".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{} findings", grouped(count)),
    };
    let rows = audit.rules.iter().map(|rule| Row {
        what: rule.rule.clone(),
        count: rule.count,
        note: legible(&format!("{}: {}", short(&rule.first.subject), rule.first.finding)),
        ..Row::default()
    });
    Section { title: "audit", sentence: format!("{found} now; {by_daemon}"), rows: rows.collect() }
}

fn channels(channels: &[Channel], now: Time) -> Section {
    let pending: u64 = channels.iter().map(|channel| channel.pending).sum();
    let dead: u64 = channels.iter().map(|channel| channel.dead).sum();
    let sentence = match (channels.len(), pending, dead) {
        (0, ..) => "none: nobody is notified".to_owned(),
        (_, 0, 0) => "nothing pending".to_owned(),
        (_, pending, dead) => format!("{} pending, {} given up", counted(pending, "message"), grouped(dead)),
    };
    let rows = channels.iter().map(|channel| {
        let error = channel.last_error.as_deref().filter(|_| channel.pending + channel.dead > 0).map(legible);
        let dead = (channel.dead > 0).then(|| format!("{} given up", grouped(channel.dead)));
        let gone = (!channel.configured).then(|| "no longer configured".to_owned());
        Row {
            what: legible(&channel.name),
            count: channel.pending,
            span: channel.oldest.as_deref().map(|oldest| span(oldest, now)).unwrap_or_default(),
            note: [gone, dead, error].into_iter().flatten().collect::<Vec<_>>().join("; "),
        }
    });
    Section { title: "channels", sentence, rows: rows.collect() }
}

fn span(since: &str, now: Time) -> String {
    format!("for {}", time_format::age(since, now))
}

/// A subject of the audit: an id by its end, anything else as it is.
fn short(subject: &str) -> String {
    let is_id = subject.parse::<crate::domain::id::RequestId>().is_ok();
    if is_id { ending(subject) } else { subject.to_owned() }
}
