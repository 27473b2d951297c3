//! The door for coarse time: cron jobs that only wake the engine. It must never do the work inside a job, and never
//! trust that a job will fire: a watchdog makes up for what does not.

use std::{sync::Arc, time::Duration};

use croner::parser::{CronParser, Seconds};
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::{config::Schedule, domain::time::Time, engine::Engine, shutdown::Shutdown};

/// How often the watchdog looks whether the jobs ran.
const WATCH_EVERY: Duration = Duration::from_secs(30);

/// How long after its time a job counts as silent.
const SILENT_AFTER: Duration = Duration::from_mins(2);

/// Wake-ups that wait: one of each job is enough, a second one of the same kind tells nothing new.
const WAKEUPS: usize = 8;

/// A coarse job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chore {
    Drift,
    Housekeeping,
    Audit,
}

impl Chore {
    const ALL: [Self; 3] = [Self::Drift, Self::Housekeeping, Self::Audit];

    const fn name(self) -> &'static str {
        match self {
            Self::Drift => "drift",
            Self::Housekeeping => "housekeeping",
            Self::Audit => "audit",
        }
    }

    const fn cron(self, schedule: &Schedule) -> &crate::config::Cron {
        match self {
            Self::Drift => &schedule.drift,
            Self::Housekeeping => &schedule.housekeeping,
            Self::Audit => &schedule.audit,
        }
    }
}

/// The cron jobs of a daemon.
#[derive(Debug)]
pub struct Chores {
    engine: Arc<Engine>,
    schedule: Schedule,
    /// When each is due next.
    due: [Option<Time>; Chore::ALL.len()],
}

impl Chores {
    /// Jobs of `engine` at the times of `schedule`.
    #[must_use]
    pub fn new(engine: Arc<Engine>, schedule: Schedule) -> Self {
        let now = engine.clock().now();
        let due = Chore::ALL.map(|chore| next_time(chore, &schedule, now));
        Self { engine, schedule, due }
    }

    /// Runs until the end is asked for.
    pub async fn run(mut self, shutdown: &Shutdown) {
        let (waker, mut wakeups) = mpsc::channel(WAKEUPS);
        let mut cron = self.start_cron(&waker).await;
        for (chore, due) in Chore::ALL.into_iter().zip(self.due) {
            self.mark(chore, due).await;
        }
        let mut watch = tokio::time::interval(WATCH_EVERY);
        watch.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.wait() => break,
                Some(chore) = wakeups.recv() => self.work(chore).await,
                _ = watch.tick() => {
                    if self.make_up().await {
                        // A scheduler that was silent once stays so after a pause or a stepped clock: take a new one.
                        stop_cron(cron).await;
                        cron = self.start_cron(&waker).await;
                    }
                }
            }
        }
        stop_cron(cron).await;
    }

    async fn start_cron(&self, waker: &mpsc::Sender<Chore>) -> Option<JobScheduler> {
        match self.try_start_cron(waker).await {
            Ok(cron) => Some(cron),
            Err(error) => {
                tracing::error!(error = %error, "schedule: no cron jobs; the watchdog runs them");
                None
            }
        }
    }

    async fn try_start_cron(&self, waker: &mpsc::Sender<Chore>) -> Result<JobScheduler, JobSchedulerError> {
        let cron = JobScheduler::new().await?;
        for chore in Chore::ALL {
            let waker = waker.clone();
            let wake = move |_, _| {
                // A full channel holds this wake-up already.
                let _ = waker.try_send(chore);
            };
            cron.add(Job::new_tz(chore.cron(&self.schedule).as_str(), self.schedule.timezone, wake)?).await?;
        }
        cron.start().await?;
        Ok(cron)
    }

    /// Runs every job whose time is long past. Answers whether there was one.
    async fn make_up(&mut self) -> bool {
        let long_ago = self.engine.clock().now() - SILENT_AFTER;
        let mut silent = false;
        for (index, chore) in Chore::ALL.into_iter().enumerate() {
            let latest = next_time(chore, &self.schedule, self.engine.clock().now());
            // A calendar that was stepped back must not keep a job waiting for its old time.
            if self.due[index] > latest {
                self.due[index] = latest;
                self.mark(chore, latest).await;
            }
            if self.due[index].is_some_and(|due| due < long_ago) {
                tracing::warn!(job = chore.name(), "cron was silent: the watchdog runs the job");
                self.work(chore).await;
                silent = true;
            }
        }
        silent
    }

    async fn work(&mut self, chore: Chore) {
        let index = chore as usize;
        let now = self.engine.clock().now();
        // Cron fires twice under load, and a wake-up may follow the watchdog: once per due time is enough.
        if self.due[index].is_some_and(|due| due > now + Duration::from_secs(1)) {
            return;
        }
        let done = match chore {
            Chore::Drift => self.engine.begin_drift().await.map_err(|error| error.to_string()),
            Chore::Housekeeping => self.engine.keep_house().await.map(drop).map_err(|error| error.to_string()),
            Chore::Audit => self.audit().await,
        };
        let next = next_time(chore, &self.schedule, now + Duration::from_secs(1));
        self.due[index] = next;
        match done {
            Ok(()) => self.mark(chore, next).await,
            Err(error) => tracing::error!(job = chore.name(), error, "a job failed; it runs again at its next time"),
        }
    }

    async fn audit(&self) -> Result<(), String> {
        let findings = self.engine.recorder().audit().await.map_err(|error| error.to_string())?;
        for found in &findings {
            tracing::error!(rule = found.rule, subject = found.subject, finding = found.finding, "audit");
        }
        self.engine.note_audit(findings.is_empty());
        Ok(())
    }

    async fn mark(&self, chore: Chore, due: Option<Time>) {
        let now = self.engine.clock().now();
        if let Err(error) = self.engine.store().job_ran(chore.name(), now, due).await {
            tracing::error!(job = chore.name(), error = %error, "schedule: the job's time could not be written");
        }
    }
}

async fn stop_cron(cron: Option<JobScheduler>) {
    if let Some(mut cron) = cron
        && let Err(error) = cron.shutdown().await
    {
        tracing::warn!(error = %error, "schedule.stop");
    }
}

/// When a job is due after `now`; `None` when its cron text never comes true.
fn next_time(chore: Chore, schedule: &Schedule, now: Time) -> Option<Time> {
    let parser = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build();
    let cron = parser.parse(chore.cron(schedule).as_str()).ok()?;
    let local = chrono::DateTime::from_timestamp_millis(now.ms())?.with_timezone(&schedule.timezone);
    cron.find_next_occurrence(&local, false).ok().map(|at| Time::from_ms(at.timestamp_millis()))
}
