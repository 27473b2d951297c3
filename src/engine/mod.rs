//! Joins the other modules: accepts requests, polls due accounts, makes calls, writes decisions.
//!
//! [`accept`] is what commands call, [`imports`] the same for many wishes, `bulk` for all that filters choose. [`drive`] is the loop: it takes what is due
//! from the [`due_queue`], has [`poll`] read the list and [`submit`] make calls; both hand what they learned to
//! [`record`], the only place where a decision becomes a transaction. [`gates`] hold calls back, `holds` says what that
//! means, an operator may open one ([`open_gate`]), [`housekeeping`] is started by cron, [`audit`] proves that nothing
//! stalls.

pub mod accept;
pub mod alert_deadlines;
mod apply_listing;
pub mod approvals;
pub mod audit;
mod bad_row;
mod bulk;
pub mod calls;
pub mod capacity_report;
mod change;
mod clock_correction;
mod clock_jump;
mod completion_guard;
mod completions;
pub mod component_status;
pub mod drive;
mod due_loader;
pub mod due_queue;
pub mod explain;
pub mod explanation;
mod file_check;
#[cfg(test)]
mod fixture;
pub mod gates;
mod holds;
pub mod housekeeping;
mod ids;
pub mod imports;
mod in_force;
mod interpret;
mod known_names;
mod large_listings;
pub mod latency_histogram;
pub mod nudge;
pub mod open_gate;
pub mod operator;
mod orphaned_calls;
mod owned_shards;
mod pacing;
mod paging;
mod permits;
pub mod poll;
mod polled;
pub mod presence;
mod recent_polls;
mod reconcile_restored;
pub mod record;
pub mod refused_keys;
pub mod status;
pub mod submit;
pub mod tokens;
pub mod whole_audit;
pub mod wish;
mod write_ahead;
mod write_outage;

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

pub use self::recent_polls::LATELY;
use self::{
    clock_jump::ClockJumps, gates::Gates, in_force::InForce, large_listings::LargeListings,
    latency_histogram::LatencyHistogram, pacing::Pacing, permits::SharedPermits, recent_polls::RecentPolls,
    record::Recorder, refused_keys::RefusedKeys, whole_audit::WholeAudit, write_outage::WriteOutage,
};
use tokio::sync::watch;

use crate::{
    clock::SharedClock,
    domain::{policy::Policy, time::Time},
    store::{Store, read::audit::Finding},
    wechat::{Wechat, meters::CallMeters},
};

/// Rounds of the loop come several times a second; so long without one is a loop that stands still.
pub const STANDSTILL: Duration = Duration::from_secs(10);

/// What an operator sets for the engine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How patient we are with one request.
    pub policy: Policy,
    /// Polls and calls under way at once.
    pub in_flight: usize,
    /// Calls to `WeChat` per second, of the machine's time.
    pub per_second: NonZeroU32,
    /// `wxamplinkget` calls per account and Beijing day.
    pub daily_budget: u32,
}

/// Everything that polls and calls share.
#[derive(Debug)]
pub struct Engine {
    recorder: Recorder,
    in_force: watch::Sender<Arc<InForce>>,
    /// The policy was replaced: the due queue must heed it.
    has_new_policy: AtomicBool,
    gates: Gates,
    pacing: Pacing,
    /// Permits of a share of all calls.
    share: SharedPermits,
    meters: Meters,
    steps: ClockJumps,
    outage: WriteOutage,
    large_listings: LargeListings,
    /// The daemon is to end: nothing new is called.
    is_ending: AtomicBool,
    /// Accounts were made due behind the agenda's back: it must be read again.
    reload: AtomicBool,
    /// What the last audit found; `None` before the first.
    findings: Mutex<Option<Vec<Finding>>>,
    /// What the last audit of everything found; `None` before the first.
    whole_audit: Mutex<Option<WholeAudit>>,
    looks: RecentPolls,
    refused_keys: RefusedKeys,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Meters {
    polls: AtomicU64,
    changed: AtomicU64,
    unchanged: AtomicU64,
    failed_polls: AtomicU64,
    calls: AtomicU64,
    turns: AtomicU64,
    on_agenda: AtomicU64,
    in_flight: AtomicU64,
    budget_calls: AtomicU64,
    lateness: LatencyHistogram,
}

/// [`Meters`] at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readings {
    /// Listings asked for.
    pub polls: u64,
    /// Of these, answered with a list that had to be read.
    pub changed: u64,
    /// Of these, answered with the same bytes as before.
    pub unchanged: u64,
    /// Of these, not answered with a readable listing.
    pub failed_polls: u64,
    /// Calls of `wxamplink` and `wxampunlink`.
    pub calls: u64,
    /// Transitions written.
    pub transitions: u64,
    /// Rounds of the loop: a daemon whose rounds stand still is stuck.
    pub turns: u64,
    /// Writes that the file or its disk refused.
    pub refused_writes: u64,
    /// Since when nothing can be written; `None` when the last write was taken.
    pub unwritable_since: Option<Time>,
    /// Accounts with something due that are held in memory now.
    pub on_agenda: u64,
    /// Polls and calls under way.
    pub in_flight: u64,
    /// Polls taken from daily budgets.
    pub budget_calls: u64,
}

impl Meters {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> Readings {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Readings {
            polls: read(&self.polls),
            changed: read(&self.changed),
            unchanged: read(&self.unchanged),
            failed_polls: read(&self.failed_polls),
            calls: read(&self.calls),
            turns: read(&self.turns),
            on_agenda: read(&self.on_agenda),
            in_flight: read(&self.in_flight),
            budget_calls: read(&self.budget_calls),
            ..Readings::default()
        }
    }
}

impl Engine {
    /// Joins the rooms. Nothing moves before [`drive::Driver`] does.
    #[must_use]
    pub fn new(store: Store, wechat: Wechat, clock: SharedClock, settings: Settings) -> Arc<Self> {
        let in_force = InForce::new(settings.clone(), wechat, Arc::clone(&clock));
        let pacing = Pacing::default();
        let (gates, meters) = (Gates::default(), Meters::default());
        let recorder = Recorder::new(store, clock, settings.policy);
        let steps = ClockJumps::beginning(recorder.clock().now(), recorder.clock().monotonic());
        let (reload, findings, looks) = (AtomicBool::new(false), Mutex::new(None), RecentPolls::default());
        let (outage, is_ending) = (WriteOutage::default(), AtomicBool::new(false));
        Arc::new(Self {
            recorder,
            in_force: watch::Sender::new(Arc::new(in_force)),
            has_new_policy: AtomicBool::new(false),
            gates,
            pacing,
            share: SharedPermits::default(),
            meters,
            steps,
            outage,
            large_listings: LargeListings::default(),
            is_ending,
            reload,
            findings,
            whole_audit: Mutex::new(None),
            looks,
            refused_keys: RefusedKeys::default(),
        })
    }

    /// The database.
    #[must_use]
    pub const fn store(&self) -> &Store {
        self.recorder.store()
    }

    /// The time.
    #[must_use]
    pub const fn clock(&self) -> &SharedClock {
        self.recorder.clock()
    }

    /// What writes decisions.
    #[must_use]
    pub const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Remembers what an audit found.
    pub fn note_audit(&self, findings: Vec<Finding>) {
        // Nothing in here panics halfway through a change.
        *self.findings.lock().unwrap_or_else(PoisonError::into_inner) = Some(findings);
    }

    /// What the last audit found; `None` before the first.
    #[must_use]
    pub fn findings(&self) -> Option<Vec<Finding>> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was counted since the start.
    #[must_use]
    pub fn readings(&self) -> Readings {
        Readings {
            transitions: self.recorder.transitions(),
            refused_writes: self.store().health().borrow().refused,
            unwritable_since: self.outage.since(),
            ..self.meters.read()
        }
    }

    /// Our addresses that `WeChat` refuses, as seen by this process.
    #[must_use]
    pub fn refused_addresses(&self) -> Vec<IpAddr> {
        self.gates.refused_addresses()
    }

    /// Where keys are counted that the token service refuses.
    #[must_use]
    pub const fn refused_keys(&self) -> &RefusedKeys {
        &self.refused_keys
    }

    /// How many accounts were read within [`LATELY`].
    #[must_use]
    pub fn read_lately(&self) -> u64 {
        self.looks.read_lately(self.clock().monotonic())
    }

    /// When writes were last refused, and when they were taken again; `None` when that has not happened since the start.
    #[must_use]
    pub fn last_write_outage(&self) -> Option<(Time, Time)> {
        self.outage.last()
    }

    /// How late polls have begun since the start: how far the daemon is behind what is due.
    #[must_use]
    pub const fn lateness(&self) -> &LatencyHistogram {
        &self.meters.lateness
    }

    /// Whether the calendar was stepped within the last `appear_within`, against the stopwatch: ages are not to be
    /// believed then. A machine that slept looks the same, and has missed as much.
    fn calendar_was_stepped(&self) -> bool {
        let clock = self.clock();
        self.steps.doubtful(clock.now(), clock.monotonic(), self.policy().appear_within)
    }

    /// Polls of an account in a day.
    #[must_use]
    pub fn daily_budget(&self) -> u32 {
        self.in_force().settings.daily_budget
    }

    /// What is counted of calls to `WeChat`.
    #[must_use]
    pub fn calls(&self) -> Arc<CallMeters> {
        Arc::clone(self.wechat().meters())
    }

    /// How patient we are.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.recorder.policy()
    }

    /// Takes one of this second's turns; otherwise when the next one comes, on the stopwatch. Every call to `WeChat` has one.
    fn take_permit(&self) -> Result<(), Duration> {
        match self.ownership().share() {
            None => self.in_force().permits.take(),
            Some(share) => self.share.take(share, self.limits(), self.clock().monotonic()),
        }
    }

    /// Calls a second that are this daemon's.
    fn per_second(&self) -> u32 {
        let all = self.in_force().settings.per_second.get();
        let share = self.ownership().share();
        share.map_or(all, |share| u32::try_from(share.per_second_milli / 1_000).unwrap_or(u32::MAX).clamp(1, all))
    }

    /// Polls and calls that may be under way: no more than a few seconds of turns.
    #[must_use]
    pub fn in_flight_max(&self) -> usize {
        /// Seconds of turns: longer than most answers take.
        const TURNS_S: usize = 3;
        let live = self.in_force();
        let turns = usize::try_from(self.per_second()).unwrap_or(usize::MAX).saturating_mul(TURNS_S);
        let share =
            self.ownership().share().map_or(usize::MAX, |share| usize::try_from(share.in_flight).unwrap_or(usize::MAX));
        live.settings.in_flight.min(turns).min(share).max(1)
    }
}
