//! The demo's screen: requests by state, latest transitions, longest waits. It reads one small page per query.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::{
    cli::output::Look,
    domain::{
        text::format::{duration, moment_as},
        time::{BEIJING, Time},
    },
    engine::{Engine, Readings},
    store::{
        StoreError,
        read::views::{EventView, RequestView},
    },
};

/// The states in the order of a request's life.
const STATES: [&str; 12] = [
    "requested",
    "initiating",
    "initiated",
    "awaiting_account_admin",
    "awaiting_program_admin",
    "deferred",
    "linked",
    "rejected",
    "lapsed",
    "failed",
    "cancelled",
    "unlinked",
];

/// Of these, the ones that are not the end.
const OPEN: usize = 6;

/// Transitions and waiting requests on the screen.
const LINES: u32 = 6;

/// Transitions between two frames that plain output still prints each.
const PLAIN_LINES: u32 = 10_000;

/// Bytes of the moment with which a line begins.
const MOMENT: usize = "12-31 23:59".len();

/// Characters of the longest bar.
const BAR: u64 = 40;

/// What one look at the database shows.
#[derive(Debug, Default)]
pub(super) struct Frame {
    now: Time,
    began: Option<Time>,
    counts: BTreeMap<String, i64>,
    moves: Vec<EventView>,
    last_move: i64,
    waiting: Vec<RequestView>,
    readings: Readings,
    before: Readings,
    platform: Option<Platform>,
    /// Since when nothing is open.
    settled_at: Option<Time>,
}

/// The platform, when the daemon keeps the tokens itself.
#[derive(Debug)]
struct Platform {
    ticket_at: Option<Time>,
    token_until: Option<Time>,
    authorizers: BTreeMap<String, i64>,
}

impl Platform {
    fn line(&self, now: Time) -> String {
        let ticket = self.ticket_at.map_or("none yet".to_owned(), |at| format!("{} old", duration(now.since(at))));
        let token = self.token_until.map_or("none".to_owned(), |until| format!("for {}", duration(now.until(until))));
        let count = |state: &str| self.authorizers.get(state).copied().unwrap_or(0);
        let (authorized, gone) = (count("authorized"), count("unauthorized"));
        format!("  platform   ticket {ticket}   token {token}   {authorized} accounts authorized, {gone} withdrawn")
    }
}

impl Frame {
    /// The next frame.
    pub(super) async fn next(&self, engine: &Engine) -> Result<Self, StoreError> {
        let store = engine.store();
        let moves = store.latest_events(self.last_move, PLAIN_LINES).await?;
        let now = engine.clock().now();
        let next = Self {
            now,
            began: self.began.or(Some(now)),
            counts: store.count_by_state().await?.into_iter().collect(),
            last_move: moves.first().map_or(self.last_move, |event| event.seq),
            moves,
            waiting: store.longest_waiting(LINES).await?,
            readings: engine.readings(),
            before: self.readings,
            platform: match store.only_component().await? {
                None => None,
                Some(row) => Some(Platform {
                    ticket_at: row.ticket_at,
                    token_until: row.token.map(|(_, life)| life.until),
                    authorizers: store.authorizers_by_state().await?.into_iter().collect(),
                }),
            },
            settled_at: None,
        };
        let settled_at = (next.open() == 0).then(|| self.settled_at.unwrap_or(now));
        Ok(Self { settled_at, ..next })
    }

    /// Since when every request is settled.
    pub(super) const fn settled_at(&self) -> Option<Time> {
        self.settled_at
    }

    /// Requests that are not settled.
    pub(super) fn open(&self) -> i64 {
        STATES[..OPEN].iter().map(|state| self.count(state)).sum()
    }

    /// States with their counts, those that have any.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, i64)> {
        STATES.into_iter().map(|state| (state, self.count(state))).filter(|(_, count)| *count > 0)
    }

    fn count(&self, state: &str) -> i64 {
        self.counts.get(state).copied().unwrap_or(0)
    }
}

/// Draws frames: over and over in the same place on a terminal, line by line elsewhere.
#[derive(Debug)]
pub(super) struct Screen {
    is_live: bool,
    look: Look,
    speed: u32,
    /// Where the API answers.
    api: SocketAddr,
    /// Where the dashboard is entered.
    link: String,
    /// Lines of the last frame, to be drawn over.
    drawn: usize,
    recent: Vec<String>,
    drawn_at: Option<Instant>,
}

impl Screen {
    pub(super) fn new(is_live: bool, speed: u32, (api, link): (SocketAddr, String)) -> Self {
        Self { is_live, look: Look::of_stdout(), speed, api, link, drawn: 0, recent: Vec::new(), drawn_at: None }
    }

    /// Draws one frame.
    pub(super) fn draw(&mut self, frame: &Frame, also: Vec<String>, out: &mut impl Write) -> io::Result<()> {
        let mut moves: Vec<String> = frame.moves.iter().rev().filter_map(told).chain(also).collect();
        // Each begins with its time; they come from two places.
        moves.sort_by(|one, next| one.get(..MOMENT).cmp(&next.get(..MOMENT)));
        if !self.is_live {
            for line in moves {
                writeln!(out, "{line}")?;
            }
            return out.flush();
        }
        self.recent.extend(moves);
        let surplus = self.recent.len().saturating_sub(LINES as usize);
        self.recent.drain(..surplus);
        let lines = self.lines(frame);
        if self.drawn > 0 {
            write!(out, "\x1b[{}A", self.drawn)?;
        }
        let width = usize::from(self.look.width.unwrap_or(100));
        for line in &lines {
            writeln!(out, "\x1b[2K{}", clipped(line, width))?;
        }
        self.drawn = lines.len();
        out.flush()
    }

    fn lines(&mut self, frame: &Frame) -> Vec<String> {
        let passed = frame.began.map_or(Duration::ZERO, |began| frame.now.since(began));
        let mut lines = vec![
            self.styled(
                Style::new().bold(),
                &format!("amplinkd demo   {} of simulated time, {} times real time", duration(passed), self.speed),
            ),
            String::new(),
        ];
        let most = frame.counts.values().copied().max().unwrap_or(1).max(1).unsigned_abs();
        for state in STATES {
            let count = frame.count(state);
            let length = usize::try_from(count.unsigned_abs() * BAR / most).unwrap_or(0).max(usize::from(count > 0));
            let bar = self.styled(colour(state), &"█".repeat(length));
            lines.push(format!("  {state:<23}{count:>6}  {bar}"));
        }
        lines.push(String::new());
        lines.push(self.styled(Style::new().bold(), "  latest transitions"));
        let blank = (LINES as usize).saturating_sub(self.recent.len());
        lines.extend(self.recent.iter().map(|line| format!("  {line}")));
        lines.extend(vec![String::new(); blank]);
        lines.push(String::new());
        lines.push(self.styled(Style::new().bold(), "  longest waits"));
        let waiting: Vec<String> = frame.waiting.iter().map(|request| waits(request, frame.now)).collect();
        let blank = (LINES as usize).saturating_sub(waiting.len());
        lines.extend(waiting);
        lines.extend(vec![String::new(); blank]);
        lines.push(String::new());
        lines.extend(frame.platform.as_ref().map(|platform| platform.line(frame.now)));
        lines.push(self.pace(frame));
        // Where a terminal is low, the lines at its foot are those that are seen.
        lines.push(format!("  dashboard: {}", self.link));
        lines
    }

    fn pace(&mut self, frame: &Frame) -> String {
        let since = self.drawn_at.replace(now());
        let seconds = since.map_or(1.0, |since| since.elapsed().as_secs_f64()).max(0.001);
        let polls = frame.readings.polls.saturating_sub(frame.before.polls);
        let unchanged = frame.readings.unchanged * 100 / frame.readings.polls.max(1);
        #[expect(clippy::cast_precision_loss, reason = "polls of a fifth of a second are few")]
        let rate = polls as f64 / seconds;
        if frame.settled_at.is_some() {
            return format!("  everything is settled; the API answers at http://{} until ctrl-C", self.api);
        }
        format!(
            "  {rate:>6.0} polls/s   {} polls, {unchanged} % unchanged   {} calls   ctrl-C ends",
            frame.readings.polls, frame.readings.calls
        )
    }

    fn styled(&self, style: Style, text: &str) -> String {
        if self.look.coloured { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the rate on the screen is one of real time, whatever the demo's clock shows"
)]
fn now() -> Instant {
    Instant::now()
}

/// An event as one line.
fn told(event: &EventView) -> Option<String> {
    let data: Value = serde_json::from_str(&event.data).ok()?;
    let word = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    // A day and a time tell enough; the year does not change while one watches.
    let when = moment_as(Time::from_ms(event.at), &BEIJING, "%m-%d %H:%M %:z");
    let pair = || format!("{} + {}", word("account"), word("program"));
    let (_, kind) = event.kind.split_once('.')?;
    let told = match kind.split_once('.')? {
        ("request", _) => {
            let code = data.get("errcode").and_then(Value::as_i64).map_or_else(String::new, |code| format!(" {code}"));
            format!("{}  {} ({}{code})", pair(), word("to"), word("cause"))
        }
        ("conflict", came) => format!("{}  conflict {came}: {}", pair(), word("kind")),
        ("alert", came) => format!("alert {came}: {}", word("title_en")),
        _ => return None,
    };
    Some(format!("{when}  {told}"))
}

fn waits(request: &RequestView, now: Time) -> String {
    let since: Option<jiff::Timestamp> = request.since.parse().ok();
    let age = since.map_or(Duration::ZERO, |since| now.since(Time::from_ms(since.as_millisecond())));
    let who = match request.waiting_on.as_deref() {
        Some("account_admin") => "the account's administrator",
        Some("program_admin") => "the program's administrator",
        _ => "somebody",
    };
    format!("  {:>8}  {} + {}  {who}", duration(age), request.account, request.program)
}

fn colour(state: &str) -> Style {
    let colour = match state {
        "linked" => AnsiColor::Green,
        "rejected" | "failed" => AnsiColor::Red,
        "lapsed" | "unlinked" | "cancelled" => AnsiColor::Magenta,
        "awaiting_account_admin" | "awaiting_program_admin" => AnsiColor::Yellow,
        _ => AnsiColor::Blue,
    };
    Style::new().fg_color(Some(colour.into()))
}

/// A line that fits, so that the frame keeps its height. Colours take no room.
fn clipped(line: &str, width: usize) -> String {
    let (mut clipped, mut shown, mut in_code) = (String::new(), 0, false);
    for letter in line.chars() {
        if letter == '\x1b' {
            in_code = true;
        }
        if in_code || shown < width {
            clipped.push(letter);
        }
        if in_code {
            in_code = letter != 'm';
        } else {
            shown += 1;
        }
    }
    clipped
}
