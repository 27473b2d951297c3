//! The main loop: takes due accounts from the due queue, writes them ahead, hands out rate permits, polls, puts them
//! back. It never waits for a poll: whatever is due meanwhile would wait, too.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    Engine, Meters,
    completion_guard::{ClockReading, CompletionGuard, Report, Work},
    due_queue::{AHEAD, DueQueue, Next, Prepared},
    gates::Admission,
    polled::Pending,
};
use crate::{
    domain::{
        pace::{Class, Turn, Turns},
        policy::LOOK_EVERY_MAX,
        tenure::lease::Leases,
        time::Time,
    },
    shutdown::Shutdown,
    store::StoreError,
};

/// Accounts read in one step of the start, and wake-ups in one look: what is due meanwhile waits as long as that takes.
pub(super) const PAGE: u32 = 2_000;

/// Before every (due, row).
pub(super) const FROM_THE_START: (i64, i64) = (i64::MIN, i64::MIN);

/// How often the database is asked whether a command changed something; well within the second that is promised.
const TICK: Duration = Duration::from_millis(250);

/// How long the loop waits after the database would not be written.
pub(super) const DISK_PAUSE: Duration = Duration::from_secs(5);

/// How long polls under way may take to finish when the daemon ends: longer than a call's timeout.
const DRAIN: Duration = Duration::from_secs(30);

/// The one loop of a daemon.
#[derive(Debug)]
pub struct Driver {
    pub(super) engine: Arc<Engine>,
    pub(super) agenda: DueQueue,
    pub(super) reports: mpsc::UnboundedReceiver<Report>,
    pub(super) reporter: mpsc::UnboundedSender<Report>,
    /// Polls and calls under way.
    pub(super) busy: usize,
    /// Accounts whose list has just allowed calls, each of which waits for its turn.
    pub(super) calls: VecDeque<(i64, ClockReading, Box<Pending>)>,
    /// Whose turn it is.
    turns: Turns,
    /// No turn is left before this, on the stopwatch.
    next_turn: Option<Duration>,
    /// Whether a reservation is being written.
    pub(super) reserving: bool,
    /// When the plan was last made, on the stopwatch.
    pub(super) planned_at: Option<Duration>,
    /// Shards of accounts that are worked on.
    pub(super) owned: Leases,
    /// Where the start has come to, in (due, row) order; `None` when everything is on the agenda.
    pub(super) loading: Option<(i64, i64)>,
    /// Whether what is read moves accounts that are on the agenda, too.
    pub(super) rereading: bool,
    /// Both clocks, as they were last seen to run together.
    pub(super) together: ClockReading,
    /// The wake-up that was read last while there are more; `None` when all that there were have been read.
    pub(super) waking: Option<i64>,
    /// A page of either could not be read: it waits for the next tick.
    pub(super) load_later: bool,
    /// Nothing is begun before this, on the stopwatch: the database would not be written.
    resting_until: Option<Duration>,
    /// Accounts that left because nothing of theirs was due; somebody may have made them due in that very moment.
    pub(super) left: Vec<String>,
    /// When accounts whose rows were not legal were last looked at, on the stopwatch.
    pub(super) mended_at: Option<Duration>,
}

impl Driver {
    /// Takes up where the last process ended: gates, and of what is owned calls whose answer nobody has, and the first page
    /// of the agenda.
    pub async fn start(engine: Arc<Engine>) -> Result<Self, StoreError> {
        engine.join().await;
        let (reporter, reports) = mpsc::unbounded_channel();
        let together = ClockReading::now(engine.clock());
        let mut driver = Self {
            engine,
            agenda: DueQueue::default(),
            reports,
            reporter,
            busy: 0,
            calls: VecDeque::new(),
            turns: Turns::default(),
            next_turn: None,
            reserving: false,
            planned_at: None,
            owned: Leases::NONE,
            loading: None,
            rereading: false,
            together,
            waking: None,
            load_later: false,
            resting_until: None,
            left: Vec::new(),
            mended_at: None,
        };
        driver.heed_ownership().await?;
        driver.load_page().await?;
        Ok(driver)
    }

    /// [`Driver::run`] as a task: beside the polls, it is woken by them without a detour over another thread.
    #[must_use = "the loop's end must be waited for"]
    pub fn spawn(mut self, shutdown: Shutdown) -> JoinHandle<Self> {
        tokio::spawn(async move {
            let engine = Arc::clone(&self.engine);
            tokio::select! {
                () = self.run(&shutdown) => {}
                never = engine.watch_writes() => match never {},
            }
            self
        })
    }

    /// Runs until the end is asked for, then lets what is under way finish.
    pub async fn run(&mut self, shutdown: &Shutdown) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !shutdown.asked() {
            self.begin_due();
            let due = self.sleep_until();
            tokio::select! {
                () = shutdown.wait() => {}
                Some(report) = self.reports.recv() => self.take(report),
                () = due => {}
                _ = tick.tick() => self.refresh().await,
                // Page by page, with all that is due between two of them.
                () = std::future::ready(()), if self.has_more_to_load() => self.load_on().await,
            }
            while let Ok(report) = self.reports.try_recv() {
                self.take(report);
            }
            Meters::count(&self.engine.meters.turns);
            self.engine.meters.on_agenda.store(self.agenda.len() as u64, Ordering::Relaxed);
            self.engine.meters.in_flight.store(self.busy as u64, Ordering::Relaxed);
        }
        self.engine.is_ending.store(true, Ordering::Relaxed);
        // Their lists are read again by the next process.
        self.calls.clear();
        let drained = tokio::time::timeout(DRAIN, self.finish()).await;
        if drained.is_err() {
            tracing::warn!(
                polls = self.busy,
                "stopped with polls in flight: the next start polls their accounts again"
            );
        }
        let unmade = self.agenda.unmade(|_| true);
        if let Err(error) = self.give_back(unmade).await {
            tracing::warn!(error = %error, "reserved polls that were not made count as made");
        }
    }

    /// Begins everything that is due at this moment and waits until it is done; for tests that move the clock by hand.
    pub async fn settle(&mut self) -> Result<(), StoreError> {
        loop {
            self.take_arrivals().await?;
            while self.loading.is_some() || self.waking.is_some() {
                self.load_page().await?;
                self.take_wakeups(self.waking.unwrap_or(0)).await?;
            }
            self.begin_due();
            if self.busy == 0 && !self.reserving {
                return Ok(());
            }
            self.finish().await;
        }
    }

    /// When something is next to be done, on the stopwatch.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let call = (!self.calls.is_empty()).then_some(Duration::ZERO);
        let begin = [call, self.agenda.next_ready()].into_iter().flatten().min();
        let begin = begin.map(|due| self.next_turn.map_or(due, |turn| due.max(turn)));
        let due = [begin, self.agenda.next_reserve(self.engine.batching())].into_iter().flatten().min()?;
        Some(self.resting_until.map_or(due, |until| due.max(until)))
    }

    /// Accounts on the agenda.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.agenda.len()
    }

    async fn finish(&mut self) {
        while self.busy > 0 || self.reserving {
            match self.reports.recv().await {
                Some(report) => self.take(report),
                None => return,
            }
        }
    }

    /// What only the database can tell: accounts that a command changed, and those the start has not read yet.
    async fn refresh(&mut self) {
        self.engine.calendar_was_stepped();
        if !self.engine.store().is_in_place() {
            self.rest_without_file();
            return;
        }
        let is_resting = self.resting_until.is_some_and(|until| self.engine.clock().monotonic() < until);
        if is_resting {
            return;
        }
        match self.take_arrivals().await {
            Err(error) if error.is_of_disk() => self.rest_after(&error),
            Err(error) => {
                tracing::error!(
                    event = "engine.refresh.failed",
                    error = %error,
                    "could not read new requests; will retry"
                );
            }
            Ok(()) => {}
        }
    }

    /// The file or its disk refuses: nothing new is begun for a moment. Where writing fails, that was said aloud when it
    /// began and is said when it ends; where reading alone fails, only here, once a pause.
    pub(super) fn rest_after(&mut self, error: &StoreError) {
        let now = self.engine.clock().monotonic();
        let is_told = self.engine.outage.since().is_some() || self.resting_until.is_some_and(|until| now < until);
        if is_told {
            tracing::debug!(event = "engine.rests", error = %error, "nothing is begun for a moment");
        } else {
            tracing::error!(error = %error, "database unavailable: sending paused; will retry");
        }
        self.resting_until = Some(now + DISK_PAUSE);
    }

    /// Nothing is sent that would be recorded in a file nobody will find again.
    fn rest_without_file(&mut self) {
        if self.resting_until.is_none() {
            tracing::error!(
                "the database file was deleted or replaced, or another daemon works in place of this one: sending stopped; put the \
                 file back, or restart amplinkd"
            );
        }
        self.resting_until = Some(self.engine.clock().monotonic() + DISK_PAUSE);
    }

    /// A time of the calendar as one of the stopwatch. One that lies further away than any wait can is not believed:
    /// the calendar was stepped.
    pub(super) fn on_stopwatch(&self, due: Time) -> Duration {
        let clock = self.engine.clock();
        clock.monotonic() + clock.now().until(due).min(LOOK_EVERY_MAX)
    }

    fn sleep_until(&self) -> crate::clock::Sleep {
        let has_room = self.busy < self.engine.in_flight_max() && !self.reserving;
        match self.next_due().filter(|_| has_room) {
            Some(due) => self.engine.clock().sleep_until(due.max(self.gate_opens())),
            None => Box::pin(std::future::pending()),
        }
    }

    /// When polls may go on, on the stopwatch; zero when they may now.
    fn gate_opens(&self) -> Duration {
        match self.engine.gates.closed_until(self.engine.clock().now()) {
            Some(until) => self.on_stopwatch(until),
            None => Duration::ZERO,
        }
    }

    fn begin_due(&mut self) {
        let now = self.engine.clock().monotonic();
        if self.resting_until.is_some_and(|until| now < until) {
            return;
        }
        self.resting_until = None;
        if !self.engine.ownership().is_trusted() {
            self.resting_until = Some(now + TICK);
            return;
        }
        self.reserve(now);
        while self.busy < self.engine.in_flight_max() {
            let Some(turn) = self.acquire_rate_permit(now) else { return };
            match turn {
                Turn::Call => self.begin_call(),
                Turn::Look(class) => self.begin_look(class, now),
            }
        }
    }

    /// Whose turn it is now; nobody's when nothing is due, or this second's turns are used up.
    fn acquire_rate_permit(&mut self, now: Duration) -> Option<Turn> {
        let ready = Class::ALL.map(|class| self.agenda.is_ready(class, now));
        if self.calls.is_empty() && !ready.contains(&true) {
            return None;
        }
        self.next_turn = self.engine.take_permit().err();
        if self.next_turn.is_some() {
            return None;
        }
        self.turns.next(!self.calls.is_empty(), |class| ready[class as usize])
    }

    fn begin_call(&mut self) {
        let Some((id, begun, pending)) = self.calls.pop_front() else { return };
        let engine = Arc::clone(&self.engine);
        let mut guard = CompletionGuard::new(id, Work::Poll, begun, None, self.reporter.clone());
        self.busy += 1;
        tokio::spawn(async move {
            guard.report(engine.call_next(pending).await);
        });
    }

    fn begin_look(&mut self, class: Class, now: Duration) {
        // An account is taken before the gate is asked, so that a probe is never let through for nobody.
        let Some(Next { id, account, mut state, late }) = self.agenda.next(class, now) else { return };
        let calendar = self.engine.clock().now();
        let admission = self.engine.gates.admit(calendar);
        if let Admission::Closed(until) = admission {
            state.budget = state.budget.given_back();
            let due = self.on_stopwatch(until) + self.engine.spread(Duration::from_secs(1));
            let class = state.class(calendar);
            self.agenda.back(id, &state, Some(due), class);
            return;
        }
        self.busy += 1;
        self.engine.meters.lateness.note(late);
        let engine = Arc::clone(&self.engine);
        let begun = ClockReading::now(engine.clock());
        let probe = (admission == Admission::Probe).then(|| Arc::clone(&engine));
        let mut guard = CompletionGuard::new(id, Work::Poll, begun, probe, self.reporter.clone());
        tokio::spawn(async move {
            guard.report(engine.poll(&account, state).await);
        });
    }

    /// Has the polls of the next moments written down, all in one transaction.
    fn reserve(&mut self, now: Duration) {
        let is_time = self.agenda.next_reserve(self.engine.batching()).is_some_and(|from| from <= now);
        if self.reserving || !is_time {
            return;
        }
        let mut rows = Vec::new();
        let engine = &self.engine;
        let calendar = engine.clock().now();
        let mut polls = 0;
        let ids = self.agenda.reserve(now + AHEAD, engine.batching(), |candidate| {
            let prepared = engine.prepare(candidate, now, calendar, &mut rows);
            polls += u64::from(matches!(prepared, Prepared::Poll));
            prepared
        });
        if ids.is_empty() {
            return;
        }
        engine.meters.budget_calls.fetch_add(polls, Ordering::Relaxed);
        self.reserving = true;
        let (store, reporter) = (engine.store().clone(), self.reporter.clone());
        tokio::spawn(async move {
            let reserved = store.reserve(rows).await;
            // The loop is gone when the daemon has ended.
            let _ = reporter.send(Report::Reserved(ids, reserved));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::action::By;
    use crate::{domain::account::Trouble, engine::fixture};

    #[tokio::test]
    async fn a_look_that_panics_is_a_failure_like_any_other_and_is_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let engine = fixture::engine(folder.path()).await;
        engine.recorder().by(By::simulated()).accept(vec![fixture::wish(1)]).await.unwrap();
        let mut driver = Driver::start(Arc::clone(&engine)).await.unwrap();
        for failures in 1..=3 {
            driver.take(Report::Polled(1, ClockReading::now(engine.clock()), None));
            driver.busy = 1;
            driver.finish().await;
            let state = driver.agenda.state(1).unwrap();
            assert_eq!(state.failures, failures);
        }
        let account = engine.store().account_views(None, None, 1).await.unwrap().remove(0);
        assert_eq!((account.failures, account.last_error.is_some()), (3, true), "{account:?}");
        let known = engine.store().accounts(&[account.account]).await.unwrap().remove(0);
        let since = engine.clock().now();
        assert_eq!(known.state.status, crate::domain::account::Status::Unread { since, trouble: Trouble::Unreadable });
        engine.store().clone().close().await;
    }
}
