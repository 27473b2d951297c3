//! Cron jobs. A job only wakes the engine, and a watchdog catches up on jobs that did not fire.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::{
    alerting::digest,
    config::{Cron, Schedule},
    domain::time::Time,
    engine::Engine,
    live::{Changes, Control, controlled},
    shutdown::Shutdown,
};

/// How often the watchdog looks whether the jobs ran: after a step of the calendar no job waits longer than this for it.
const WATCH_EVERY: Duration = Duration::from_secs(10);

/// How long after its time a job counts as silent.
const SILENT_AFTER: Duration = Duration::from_mins(2);

/// Wake-ups that wait: one of each job is enough, a second one of the same kind tells nothing new.
const WAKEUPS: usize = 8;

/// A job may begin this much before its time: timers and calendars differ by a little.
const EARLY: Duration = Duration::from_secs(1);

/// A coarse job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronJob {
    /// Looks whether linked programs still are.
    Drift,
    /// Takes spent rows away.
    Housekeeping,
    /// Proves that nothing has stalled.
    Audit,
    /// Tells people of the day.
    Digest,
}

impl CronJob {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Drift, Self::Housekeeping, Self::Audit, Self::Digest];

    /// Its name in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drift => "drift",
            Self::Housekeeping => "housekeeping",
            Self::Audit => "audit",
            Self::Digest => "digest",
        }
    }

    const fn cron(self, schedule: &Schedule) -> &Cron {
        match self {
            Self::Drift => &schedule.drift,
            Self::Housekeeping => &schedule.housekeeping,
            Self::Audit => &schedule.audit,
            Self::Digest => &schedule.digest,
        }
    }
}

/// When each job is due: what is decided without a clock, a database or a timer.
#[derive(Debug, Clone)]
pub struct Plan {
    schedule: Schedule,
    due: [Option<Time>; CronJob::ALL.len()],
}

impl Plan {
    /// Jobs that were never due before `now`.
    #[must_use]
    pub fn new(schedule: Schedule, now: Time) -> Self {
        let due = CronJob::ALL.map(|chore| next_time(chore, &schedule, now));
        Self { schedule, due }
    }

    /// When a job is due; `None`: never.
    #[must_use]
    pub const fn due(&self, chore: CronJob) -> Option<Time> {
        self.due[chore as usize]
    }

    /// Takes up a time that was written down by a process before this one. Only one that has passed is worth something:
    /// nobody did what was due then. Any other may come from an older schedule or from a clock that was wrong.
    pub fn take_up(&mut self, chore: CronJob, written: Option<Time>, now: Time) {
        if let Some(missed) = written.filter(|due| *due <= now) {
            self.due[chore as usize] = Some(missed);
        }
    }

    /// Goes by another schedule; answers which jobs are due at another time by it. One whose time has come stays due.
    pub fn reschedule(&mut self, schedule: Schedule, now: Time) -> Vec<CronJob> {
        self.schedule = schedule;
        let mut moved = Vec::new();
        for chore in CronJob::ALL {
            let next = next_time(chore, &self.schedule, now + EARLY);
            let due = &mut self.due[chore as usize];
            if due.is_none_or(|due| due > now) && *due != next {
                *due = next;
                moved.push(chore);
            }
        }
        moved
    }

    /// Pulls jobs back that wait for a time further ahead than their next one, as after a calendar was stepped back;
    /// answers which.
    pub fn pull_back(&mut self, now: Time) -> Vec<CronJob> {
        let mut pulled = Vec::new();
        for chore in CronJob::ALL {
            // As in `tried`: one that began early is not due for a second time.
            let next = next_time(chore, &self.schedule, now + EARLY);
            let due = &mut self.due[chore as usize];
            if *due > next {
                *due = next;
                pulled.push(chore);
            }
        }
        pulled
    }

    /// Jobs whose time is so long past that no cron job will begin them any more.
    #[must_use]
    pub fn overdue(&self, now: Time) -> Vec<CronJob> {
        let is_silent = |chore: &CronJob| self.due(*chore).is_some_and(|due| due < now - SILENT_AFTER);
        CronJob::ALL.into_iter().filter(is_silent).collect()
    }

    /// Whether a wake-up is worth following. Cron fires twice under load, and a wake-up may follow the watchdog: once
    /// per due time is enough.
    #[must_use]
    pub fn is_due(&self, chore: CronJob, now: Time) -> bool {
        self.due(chore).is_some_and(|due| due <= now + EARLY)
    }

    /// A job was tried, with or without success, and ended at `now`: it is due again at its next time.
    pub fn tried(&mut self, chore: CronJob, now: Time) {
        // What it may begin early it must not be due for a second time.
        self.due[chore as usize] = next_time(chore, &self.schedule, now + EARLY);
    }
}

/// The cron jobs of a daemon.
#[derive(Debug)]
pub struct CronJobs {
    engine: Arc<Engine>,
    plan: Plan,
    /// How long finished requests are kept; `None` is for ever.
    retention: Option<Duration>,
    changes: Changes<Calendar>,
}

/// When jobs are due, and what they tidy away.
#[derive(Debug, Clone)]
pub struct Calendar {
    /// When each job is due.
    pub schedule: Schedule,
    /// How long finished requests are kept; `None` is for ever.
    pub retention: Option<Duration>,
}

impl CronJobs {
    /// Jobs of `engine` at the times of `schedule`.
    #[must_use]
    pub fn new(engine: Arc<Engine>, schedule: Schedule) -> Self {
        let plan = Plan::new(schedule, engine.clock().now());
        Self { engine, plan, retention: None, changes: Changes::default() }
    }

    /// Finished requests are taken away so long after their end.
    #[must_use]
    pub fn with_retention(self, retention: Option<Duration>) -> Self {
        Self { retention, ..self }
    }

    /// What changes the calendar while it runs.
    pub fn control(&mut self) -> Control<Calendar> {
        let (control, changes) = controlled();
        self.changes = changes;
        control
    }

    /// Goes by another calendar, and writes down when jobs are due by it.
    pub async fn reconfigure(&mut self, calendar: Calendar) {
        self.retention = calendar.retention;
        for chore in self.plan.reschedule(calendar.schedule, self.engine.clock().now()) {
            self.write_due(chore).await;
        }
    }

    /// Runs until the end is asked for.
    pub async fn run(mut self, shutdown: &Shutdown) {
        let (waker, mut wakeups) = mpsc::channel(WAKEUPS);
        self.take_up().await;
        let mut cron = self.start_cron(&waker).await;
        let mut watch = tokio::time::interval(WATCH_EVERY);
        watch.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.wait() => break,
                Some(chore) = wakeups.recv() => self.wake(chore).await,
                change = self.changes.next() => {
                    self.reconfigure(change.to).await;
                    stop_cron(cron).await;
                    cron = self.start_cron(&waker).await;
                }
                _ = watch.tick() => {
                    if self.run_missed().await {
                        // One that was silent stays so, and one whose calendar went back waits for the old time.
                        stop_cron(cron).await;
                        cron = self.start_cron(&waker).await;
                    }
                }
            }
        }
        stop_cron(cron).await;
    }

    /// Takes up what was due while no daemon ran, and writes down when the other jobs are due: the next start must know.
    pub async fn take_up(&mut self) {
        let rows = match self.engine.store().jobs().await {
            Ok(rows) => rows,
            Err(error) => {
                // What stands there stays there, for the next start.
                tracing::error!(
                    event = "schedule.jobs_unknown",
                    error = %error,
                    "could not read which jobs were missed"
                );
                return;
            }
        };
        let now = self.engine.clock().now();
        for chore in CronJob::ALL {
            let written = rows.iter().find(|row| row.name == chore.name()).and_then(|row| row.due_at);
            self.plan.take_up(chore, written, now);
            if self.plan.due(chore) != written {
                self.write_due(chore).await;
            }
        }
    }

    async fn start_cron(&self, waker: &mpsc::Sender<CronJob>) -> Option<JobScheduler> {
        match self.try_start_cron(waker).await {
            Ok(cron) => Some(cron),
            Err(error) => {
                tracing::error!(event = "schedule.no_cron", error = %error, "cron scheduler not available; the watchdog runs the jobs");
                None
            }
        }
    }

    async fn try_start_cron(&self, waker: &mpsc::Sender<CronJob>) -> Result<JobScheduler, JobSchedulerError> {
        let schedule = &self.plan.schedule;
        let cron = JobScheduler::new().await?;
        for chore in CronJob::ALL {
            let waker = waker.clone();
            let wake = move |_, _| {
                // A full channel holds this wake-up already.
                let _ = waker.try_send(chore);
            };
            cron.add(Job::new_tz(chore.cron(schedule).as_str(), schedule.timezone, wake)?).await?;
        }
        cron.start().await?;
        Ok(cron)
    }

    /// The watchdog: runs every job whose time is long past, and pulls back those that wait for a time which a calendar
    /// stepped back has put far ahead. Answers whether there was one of either: cron is then to be begun anew.
    pub async fn run_missed(&mut self) -> bool {
        let pulled = self.plan.pull_back(self.engine.clock().now());
        for &chore in &pulled {
            tracing::warn!(job = chore.name(), "the clock was stepped back: the job is due earlier");
            self.write_due(chore).await;
        }
        let overdue = self.plan.overdue(self.engine.clock().now());
        for &chore in &overdue {
            tracing::warn!(job = chore.name(), "job not started on time: the watchdog runs it");
            self.work(chore).await;
        }
        !(overdue.is_empty() && pulled.is_empty())
    }

    /// A cron job fired: runs its job if it is due.
    pub async fn wake(&mut self, chore: CronJob) {
        if self.plan.is_due(chore, self.engine.clock().now()) {
            self.work(chore).await;
        }
    }

    async fn work(&mut self, chore: CronJob) {
        let done = match chore {
            CronJob::Drift => self.engine.begin_drift().await.map_err(|error| error.to_string()),
            CronJob::Housekeeping => self.engine.housekeep(self.retention).await.map_err(|error| error.to_string()),
            CronJob::Audit => self.audit().await,
            CronJob::Digest => digest::record(&self.engine, chore.name()).await.map_err(|error| error.to_string()),
        };
        let now = self.engine.clock().now();
        self.plan.tried(chore, now);
        let written = match done {
            Ok(()) => self.engine.store().job_ran(chore.name(), now, self.plan.due(chore)).await,
            Err(error) => {
                // The time it missed stays written: the audit shows it, and a start before its next time makes up for it.
                tracing::error!(job = chore.name(), error, "job failed; next run as scheduled");
                return;
            }
        };
        if let Err(error) = written {
            tracing::error!(
                event = "schedule.unwritten",
                job = chore.name(),
                error = %error,
                "could not write that the job ran"
            );
        }
    }

    async fn audit(&self) -> Result<(), String> {
        let findings = self.engine.recorder().audit().await.map_err(|error| error.to_string())?;
        for found in &findings {
            tracing::error!(rule = found.rule, subject = found.subject, finding = found.finding, "audit");
        }
        self.engine.note_audit(findings);
        Ok(())
    }

    async fn write_due(&self, chore: CronJob) {
        if let Err(error) = self.engine.store().job_due(chore.name(), self.plan.due(chore)).await {
            tracing::error!(
                event = "schedule.unwritten",
                job = chore.name(),
                error = %error,
                "could not write when the job ran"
            );
        }
    }
}

async fn stop_cron(cron: Option<JobScheduler>) {
    if let Some(mut cron) = cron
        && let Err(error) = cron.shutdown().await
    {
        tracing::warn!(event = "schedule.stop", error = %error, "could not stop the cron jobs");
    }
}

/// When a job is due after `now`; `None` when its cron text never comes true.
fn next_time(chore: CronJob, schedule: &Schedule, now: Time) -> Option<Time> {
    chore.cron(schedule).next_after(now, schedule.timezone)
}
