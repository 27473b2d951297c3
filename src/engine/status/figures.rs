//! Everything the page shows, read from indexes in a few dozen milliseconds. The field names are a public interface.

use std::{borrow::Cow, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::plan::Plan;
use crate::{
    domain::{
        text::{format::rfc3339, parse::moment, render::wants_a_person},
        time::Time,
    },
    engine::{presence::SILENT_AFTER, record::Recorder},
    store::{
        Store, StoreError,
        read::{
            audit::Finding,
            status::{AlertCount, CallsHeld, DaemonView, GateFigures, SuspendedCause, UnreadCause},
        },
    },
};

/// States in which a request is open, in the order of its life.
const OPEN: [&str; 6] =
    ["requested", "initiating", "initiated", "awaiting_account_admin", "awaiting_program_admin", "deferred"];

/// States in which it has come to its end.
const FINISHED: [&str; 6] = ["linked", "rejected", "failed", "lapsed", "cancelled", "unlinked"];

/// What the page is about, of what only the configuration knows.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The database.
    pub recorder: &'a Recorder,
    /// `[alerts] unread_after`.
    pub unread_after: Duration,
    /// The names of the channels that are configured.
    pub channels: &'a [&'a str],
    /// The moment of the page.
    pub now: Time,
}

/// The whole page.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it, and are those of the page")]
pub struct Figures {
    pub daemon: Daemon,
    pub database: Database,
    pub requests: Requests,
    pub accounts: Accounts,
    pub gates: Vec<GateFigures>,
    pub alerts: Alerts,
    pub plan: Plan,
    pub audit: Audit,
    pub channels: Vec<Channel>,
}

/// Who drives the database.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Daemon {
    /// `None` when whoever asks may not look at the lock.
    pub running: Option<bool>,
    /// Of the one that runs, or else of the last one that ran; null when none ever did.
    #[serde(flatten)]
    pub last: Last,
}

/// A daemon's mark. Every field is there for programs, null without a mark.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it, and are those of the page")]
pub struct Last {
    pub pid: Option<i64>,
    pub version: Option<String>,
    pub started_at: Option<String>,
    pub written_at: Option<String>,
    pub stopped_at: Option<String>,
}

/// The file and its disk.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it, and are those of the page")]
pub struct Database {
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// Whether the running daemon could write lately; `None` when none runs, so that nobody has tried.
    pub writable: Option<bool>,
    pub bytes: u64,
    /// The write-ahead log beside it.
    pub log_bytes: u64,
    pub free_bytes: Option<u64>,
    /// When the copy was made that this is, while no daemon has started on it.
    pub copy_made_at: Option<String>,
}

/// Requests by state.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it, and are those of the page")]
pub struct Requests {
    pub open: i64,
    pub finished: i64,
    /// Every state, also those that nothing is in.
    pub states: Vec<Stage>,
}

/// Requests in one state.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it, and are those of the page")]
pub struct Stage {
    #[schema(value_type = String)]
    pub state: Cow<'static, str>,
    pub count: i64,
    /// Of open states: since when the first of them stands there,
    pub since: Option<String>,
    /// and which one it is.
    pub longest: Option<String>,
}

/// Accounts, and those that stand still.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it, and are those of the page")]
pub struct Accounts {
    pub known: i64,
    pub unread: Unread,
    pub suspended: Suspended,
    pub calls_held: CallsHeld,
}

/// Accounts whose list cannot be read.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it, and are those of the page")]
pub struct Unread {
    pub count: i64,
    /// Of these, for longer than `late_after_seconds`.
    pub late: i64,
    pub late_after_seconds: u64,
    pub causes: Vec<UnreadCause>,
}

/// Accounts for which nothing is called.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it, and are those of the page")]
pub struct Suspended {
    pub count: i64,
    pub by_wechat: i64,
    pub causes: Vec<SuspendedCause>,
}

/// Alerts that are not over.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it, and are those of the page")]
pub struct Alerts {
    pub open: i64,
    /// Firing, and not of a kind that ends by itself.
    pub need_a_person: i64,
    pub rules: Vec<OpenAlerts>,
}

/// Open alerts of one rule.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it, and are those of the page")]
pub struct OpenAlerts {
    pub rule: String,
    pub firing: i64,
    pub acknowledged: i64,
    pub snoozed: i64,
    pub need_a_person: i64,
    /// When the first of them fired.
    pub fired_at: String,
}

/// The last audit by the daemon, and one made just now.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it, and are those of the page")]
pub struct Audit {
    pub ran_at: Option<String>,
    pub due_at: Option<String>,
    /// How many things the audit finds now, at most a hundred of a rule.
    pub findings: u64,
    pub rules: Vec<Broken>,
}

/// A rule of the audit that something breaks.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it, and are those of the page")]
pub struct Broken {
    pub rule: String,
    pub count: u64,
    pub first: Finding,
}

/// What a channel is owed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it, and are those of the page")]
pub struct Channel {
    pub name: String,
    pub configured: bool,
    pub pending: u64,
    /// Since when the first of them waits.
    pub oldest: Option<String>,
    pub dead: u64,
    pub delivered_at: Option<String>,
    pub last_error: Option<String>,
}

impl Figures {
    /// Reads them all.
    pub async fn read(asked: &Asked<'_>) -> Result<Self, StoreError> {
        let store = asked.recorder.store();
        let last = store.daemon().await?.map(Last::from).unwrap_or_default();
        let daemon = Daemon { running: store.has_daemon().await.ok(), last };
        let database = Database::read(asked, &daemon, store.copy_waiting().await?).await?;
        Ok(Self {
            database,
            daemon,
            requests: Requests::read(store).await?,
            accounts: Accounts::read(asked).await?,
            gates: store.gate_figures(asked.now).await?,
            alerts: Alerts::of(store.count_alerts().await?),
            plan: Plan::of(store.pace().await?),
            audit: Audit::read(asked).await?,
            channels: Channel::read(asked).await?,
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
    async fn read(asked: &Asked<'_>, daemon: &Daemon, copy_made_at: Option<String>) -> Result<Self, StoreError> {
        let store = asked.recorder.store();
        let is_recent = |at: &str| moment(at).is_some_and(|at| asked.now.since(at) < SILENT_AFTER);
        let wrote_lately = daemon.last.written_at.as_deref().is_some_and(is_recent);
        let writable = match daemon.running {
            Some(true) => Some(wrote_lately),
            // Whoever may not look at the lock sees a daemon by its mark.
            None if wrote_lately && daemon.last.stopped_at.is_none() => Some(true),
            Some(false) | None => None,
        };
        let volume = store.path().and_then(|path| rustix::fs::statvfs(path).ok());
        let free_bytes = volume.map(|volume| volume.f_bavail.saturating_mul(volume.f_frsize));
        Ok(Self {
            path: store.place().into(),
            writable,
            bytes: store.size().await?,
            log_bytes: store.log_bytes(),
            free_bytes,
            copy_made_at,
        })
    }
}

impl Requests {
    async fn read(store: &Store) -> Result<Self, StoreError> {
        let counts = store.count_by_state().await?;
        let longest = store.longest_in(&OPEN).await?;
        let state = |state: &'static str| {
            let count = counts.iter().find(|(name, _)| name == state).map_or(0, |(_, count)| *count);
            let first = longest.iter().find(|first| first.state == state);
            let since = first.map(|first| first.since.clone());
            Stage { state: state.into(), count, since, longest: first.map(|first| first.id.clone()) }
        };
        let states: Vec<Stage> = OPEN.into_iter().chain(FINISHED).map(state).collect();
        let sum = |states: &[Stage]| states.iter().map(|state| state.count).sum();
        Ok(Self { open: sum(&states[..OPEN.len()]), finished: sum(&states[OPEN.len()..]), states })
    }
}

impl Accounts {
    async fn read(asked: &Asked<'_>) -> Result<Self, StoreError> {
        let store = asked.recorder.store();
        let causes = store.unread_causes().await?;
        let late_after = asked.unread_after;
        let unread = Unread {
            count: causes.iter().map(|cause| cause.count).sum(),
            late: store.count_unread_since(asked.now - late_after).await?,
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

impl Audit {
    async fn read(asked: &Asked<'_>) -> Result<Self, StoreError> {
        let mut rules: Vec<Broken> = Vec::new();
        for found in asked.recorder.audit().await? {
            match rules.iter_mut().find(|broken| broken.rule == found.rule) {
                Some(broken) => broken.count += 1,
                None => rules.push(Broken { rule: found.rule.clone(), count: 1, first: found }),
            }
        }
        let job = asked.recorder.store().jobs().await?.into_iter().find(|job| job.name == "audit");
        let (ran_at, due_at) = job.map_or((None, None), |job| (job.ran_at, job.due_at));
        let findings = rules.iter().map(|broken| broken.count).sum();
        Ok(Self { ran_at: ran_at.map(rfc3339), due_at: due_at.map(rfc3339), findings, rules })
    }
}

impl Channel {
    async fn read(asked: &Asked<'_>) -> Result<Vec<Self>, StoreError> {
        let names = asked.channels;
        let waiting = asked.recorder.store().waiting_deliveries().await?;
        let figures = asked.recorder.store().channel_figures(names).await?;
        let channel = |figures: crate::store::read::alert_views::ChannelFigures| Self {
            configured: names.contains(&figures.channel.as_str()),
            oldest: waiting.get(&figures.channel).map(|waiting| rfc3339(waiting.oldest)),
            name: figures.channel,
            pending: figures.pending,
            dead: figures.dead,
            delivered_at: figures.delivered_at,
            last_error: figures.last_error,
        };
        Ok(figures.into_iter().map(channel).collect())
    }
}
