//! Everything the page shows, read from indexes in a few dozen milliseconds. The field names are a public interface.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{
    cli::{context::Session, time_format},
    domain::{text::render::wants_a_person, time::Time},
    engine::presence::SILENT_AFTER,
    store::{
        Store,
        read::{
            audit::Finding,
            status::{AlertCount, CallsHeld, DaemonView, GateFigures, SuspendedCause, UnreadCause},
        },
        write::pace::PaceRow,
    },
};

/// States in which a request is open, in the order of its life.
const OPEN: [&str; 6] =
    ["requested", "initiating", "initiated", "awaiting_account_admin", "awaiting_program_admin", "deferred"];

/// States in which it has come to its end.
const FINISHED: [&str; 6] = ["linked", "rejected", "failed", "lapsed", "cancelled", "unlinked"];

/// The whole page.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) daemon: Daemon,
    pub(super) database: Database,
    pub(super) requests: Requests,
    pub(super) accounts: Accounts,
    pub(super) gates: Vec<GateFigures>,
    pub(super) alerts: Alerts,
    pub(super) plan: Plan,
    pub(super) audit: Audit,
    pub(super) channels: Vec<Channel>,
}

/// Who drives the database.
#[derive(Debug, Serialize)]
pub(super) struct Daemon {
    /// `None` when whoever asks may not look at the lock.
    pub(super) running: Option<bool>,
    /// Of the one that runs, or else of the last one that ran; null when none ever did.
    #[serde(flatten)]
    pub(super) last: Last,
}

/// A daemon's mark. Every field is there for programs, null without a mark.
#[derive(Debug, Default, Serialize)]
pub(super) struct Last {
    pub(super) pid: Option<i64>,
    pub(super) version: Option<String>,
    pub(super) started_at: Option<String>,
    pub(super) written_at: Option<String>,
    pub(super) stopped_at: Option<String>,
}

/// The file and its disk.
#[derive(Debug, Serialize)]
pub(super) struct Database {
    pub(super) path: PathBuf,
    /// Whether the running daemon could write lately; `None` when none runs, so that nobody has tried.
    pub(super) writable: Option<bool>,
    pub(super) bytes: u64,
    /// The write-ahead log beside it.
    pub(super) log_bytes: u64,
    pub(super) free_bytes: Option<u64>,
    /// When the copy was made that this is, while no daemon has started on it.
    pub(super) copy_made_at: Option<String>,
}

/// Requests by state.
#[derive(Debug, Serialize)]
pub(super) struct Requests {
    pub(super) open: i64,
    pub(super) finished: i64,
    /// Every state, also those that nothing is in.
    pub(super) states: Vec<Stage>,
}

/// Requests in one state.
#[derive(Debug, Serialize)]
pub(super) struct Stage {
    pub(super) state: &'static str,
    pub(super) count: i64,
    /// Of open states: since when the first of them stands there,
    pub(super) since: Option<String>,
    /// and which one it is.
    pub(super) longest: Option<String>,
}

/// Accounts, and those that stand still.
#[derive(Debug, Serialize)]
pub(super) struct Accounts {
    pub(super) known: i64,
    pub(super) unread: Unread,
    pub(super) suspended: Suspended,
    pub(super) calls_held: CallsHeld,
}

/// Accounts whose list cannot be read.
#[derive(Debug, Serialize)]
pub(super) struct Unread {
    pub(super) count: i64,
    /// Of these, for longer than `late_after_seconds`.
    pub(super) late: i64,
    pub(super) late_after_seconds: u64,
    pub(super) causes: Vec<UnreadCause>,
}

/// Accounts for which nothing is called.
#[derive(Debug, Serialize)]
pub(super) struct Suspended {
    pub(super) count: i64,
    pub(super) by_wechat: i64,
    pub(super) causes: Vec<SuspendedCause>,
}

/// Alerts that are not over.
#[derive(Debug, Serialize)]
pub(super) struct Alerts {
    pub(super) open: i64,
    /// Firing, and not of a kind that ends by itself.
    pub(super) need_a_person: i64,
    pub(super) rules: Vec<OpenAlerts>,
}

/// Open alerts of one rule.
#[derive(Debug, Default, Serialize)]
pub(super) struct OpenAlerts {
    pub(super) rule: String,
    pub(super) firing: i64,
    pub(super) acknowledged: i64,
    pub(super) snoozed: i64,
    pub(super) need_a_person: i64,
    /// When the first of them fired.
    pub(super) fired_at: String,
}

/// The plan that the daemon works by.
#[derive(Debug, Serialize)]
pub(super) struct Plan {
    /// By how much all waits are stretched; `None` while no daemon has written a plan down.
    pub(super) stretch: Option<f64>,
    pub(super) late_seconds: Option<i64>,
    /// Since when the stretch is above 2.
    pub(super) strained_since: Option<String>,
    pub(super) lines: Vec<String>,
}

/// The last audit by the daemon, and one made just now.
#[derive(Debug, Serialize)]
pub(super) struct Audit {
    pub(super) ran_at: Option<String>,
    pub(super) due_at: Option<String>,
    /// How many things the audit finds now, at most a hundred of a rule.
    pub(super) findings: u64,
    pub(super) rules: Vec<Broken>,
}

/// A rule of the audit that something breaks.
#[derive(Debug, Serialize)]
pub(super) struct Broken {
    pub(super) rule: String,
    pub(super) count: u64,
    pub(super) first: Finding,
}

/// What a channel is owed.
#[derive(Debug, Serialize)]
pub(super) struct Channel {
    pub(super) name: String,
    pub(super) configured: bool,
    pub(super) pending: u64,
    /// Since when the first of them waits.
    pub(super) oldest: Option<String>,
    pub(super) dead: u64,
    pub(super) delivered_at: Option<String>,
    pub(super) last_error: Option<String>,
}

impl Figures {
    /// Reads them all.
    pub(super) async fn read(session: &Session) -> anyhow::Result<Self> {
        let store = session.store();
        let last = store.daemon().await?.map(Last::from).unwrap_or_default();
        let daemon = Daemon { running: Store::is_driven(&session.config.database.path).ok(), last };
        let database = Database::of(session, &daemon, store.copy_waiting().await?);
        Ok(Self {
            database,
            daemon,
            requests: Requests::read(store).await?,
            accounts: Accounts::read(session).await?,
            gates: store.gate_figures(session.now()).await?,
            alerts: Alerts::of(store.count_alerts().await?),
            plan: Plan::of(store.pace().await?),
            audit: Audit::read(session).await?,
            channels: Channel::read(session).await?,
        })
    }
}

impl From<DaemonView> for Last {
    fn from(view: DaemonView) -> Self {
        let DaemonView { pid, version, started_at, written_at, stopped_at } = view;
        let (started_at, written_at) = (Some(started_at), Some(written_at));
        Self { pid: Some(pid), version: Some(version), started_at, written_at, stopped_at }
    }
}

impl Database {
    fn of(session: &Session, daemon: &Daemon, copy_made_at: Option<String>) -> Self {
        let path = &session.config.database.path;
        let is_recent = |at: &str| time_format::parse(at).is_some_and(|at| session.now().since(at) < SILENT_AFTER);
        let wrote_lately = daemon.last.written_at.as_deref().is_some_and(is_recent);
        let writable = match daemon.running {
            Some(true) => Some(wrote_lately),
            // Whoever may not look at the lock sees a daemon by its mark.
            None if wrote_lately && daemon.last.stopped_at.is_none() => Some(true),
            Some(false) | None => None,
        };
        let volume = rustix::fs::statvfs(path).ok();
        let free_bytes = volume.map(|volume| volume.f_bavail.saturating_mul(volume.f_frsize));
        Self {
            path: path.clone(),
            writable,
            bytes: size(path),
            log_bytes: session.store().log_bytes(),
            free_bytes,
            copy_made_at,
        }
    }
}

/// Bytes of a file; none where there is none.
fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |file| file.len())
}

impl Requests {
    async fn read(store: &Store) -> anyhow::Result<Self> {
        let counts = store.count_by_state().await?;
        let longest = store.longest_in(&OPEN).await?;
        let state = |state: &'static str| {
            let count = counts.iter().find(|(name, _)| name == state).map_or(0, |(_, count)| *count);
            let first = longest.iter().find(|first| first.state == state);
            let since = first.map(|first| first.since.clone());
            Stage { state, count, since, longest: first.map(|first| first.id.clone()) }
        };
        let states: Vec<Stage> = OPEN.into_iter().chain(FINISHED).map(state).collect();
        let sum = |states: &[Stage]| states.iter().map(|state| state.count).sum();
        Ok(Self { open: sum(&states[..OPEN.len()]), finished: sum(&states[OPEN.len()..]), states })
    }
}

impl Accounts {
    async fn read(session: &Session) -> anyhow::Result<Self> {
        let store = session.store();
        let causes = store.unread_causes().await?;
        let late_after = session.config.alerts.unread_after;
        let unread = Unread {
            count: causes.iter().map(|cause| cause.count).sum(),
            late: store.count_unread_since(session.now() - late_after).await?,
            late_after_seconds: late_after.as_secs(),
            causes,
        };
        let causes = store.suspended_causes().await?;
        let by = |hand: &str| causes.iter().filter(|cause| cause.suspended_by == hand).map(|cause| cause.count).sum();
        let (by_wechat, by_operator): (i64, i64) = (by("wechat"), by("operator"));
        Ok(Self {
            known: store.count_accounts().await?,
            unread,
            suspended: Suspended { count: by_wechat + by_operator, by_wechat, causes },
            calls_held: store.calls_held().await?,
        })
    }
}

impl Alerts {
    fn of(counts: Vec<AlertCount>) -> Self {
        let mut rules: Vec<OpenAlerts> = Vec::new();
        for AlertCount { rule, reason, state, count, fired_at } in counts {
            if rules.last().is_none_or(|last| last.rule != rule) {
                rules.push(OpenAlerts { rule, fired_at: fired_at.clone(), ..OpenAlerts::default() });
            }
            let Some(last) = rules.last_mut() else { continue };
            last.fired_at = fired_at.min(std::mem::take(&mut last.fired_at));
            match state.as_str() {
                "acknowledged" => last.acknowledged += count,
                "snoozed" => last.snoozed += count,
                _ => {
                    last.firing += count;
                    last.need_a_person += if wants_a_person(&reason) { count } else { 0 };
                }
            }
        }
        let open = rules.iter().map(|rule| rule.firing + rule.acknowledged + rule.snoozed).sum();
        Self { open, need_a_person: rules.iter().map(|rule| rule.need_a_person).sum(), rules }
    }
}

impl Plan {
    fn of(pace: Option<PaceRow>) -> Self {
        let stretch = pace.map(|pace| f64::from(pace.stretch) / 1_000.0);
        let late_seconds = pace.map(|pace| pace.late_ms / 1_000);
        let strained_since = pace.and_then(|pace| pace.strained_since).map(|at| time_format::text(Time::from_ms(at)));
        Self { stretch, late_seconds, strained_since, lines: super::plan_lines(pace).to_vec() }
    }
}

impl Audit {
    async fn read(session: &Session) -> anyhow::Result<Self> {
        let mut rules: Vec<Broken> = Vec::new();
        for found in session.recorder.audit().await? {
            match rules.iter_mut().find(|broken| broken.rule == found.rule) {
                Some(broken) => broken.count += 1,
                None => rules.push(Broken { rule: found.rule.clone(), count: 1, first: found }),
            }
        }
        let job = session.store().jobs().await?.into_iter().find(|job| job.name == "audit");
        let (ran_at, due_at) = job.map_or((None, None), |job| (job.ran_at, job.due_at));
        let findings = rules.iter().map(|broken| broken.count).sum();
        Ok(Self { ran_at: ran_at.map(time_format::text), due_at: due_at.map(time_format::text), findings, rules })
    }
}

impl Channel {
    async fn read(session: &Session) -> anyhow::Result<Vec<Self>> {
        let names: Vec<&str> = session.config.alerts.channels.iter().map(|channel| channel.name.as_str()).collect();
        let waiting = session.store().waiting_deliveries().await?;
        let figures = session.store().channel_figures(&names).await?;
        let channel = |figures: crate::store::read::alert_views::ChannelFigures| Self {
            configured: names.contains(&figures.channel.as_str()),
            oldest: waiting.get(&figures.channel).map(|waiting| time_format::text(waiting.oldest)),
            name: figures.channel,
            pending: figures.pending,
            dead: figures.dead,
            delivered_at: figures.delivered_at,
            last_error: figures.last_error,
        };
        Ok(figures.into_iter().map(channel).collect())
    }
}
