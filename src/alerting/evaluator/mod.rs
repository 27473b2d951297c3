//! Alerting: reads every event once, in order, and everything that became due; fires and resolves alerts; queues what
//! each channel asked for. It sends nothing itself, and never delays a poll.
//!
//! `reconcile` compares what holds with the alerts that are open, `system` does so for what is not about one request,
//! from what `system_conditions` found; `recheck` finds requests that did not move, `notify` writes the events of
//! alerts that are due, `piecewise` writes what cannot be written as a whole. The position in the log is in the
//! database, and advances in the transaction that writes the results.

mod cluster_conditions;
mod component_conditions;
pub(super) mod notify;
mod piecewise;
mod recheck;
pub(super) mod reconcile;
mod system;
mod system_conditions;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use self::{
    recheck::{Old, RecheckCursors},
    reconcile::reconcile,
    system::SystemState,
};
use super::{
    deliver::Channels,
    fan_out::{self, Subscription},
    meters::AlertMeters,
};
use crate::{
    domain::{
        alert_rules::{AlertPolicy, LearnedThreshold, QuietHours, Rule, Subject, learned, of_request},
        event::{EventType, to_json},
        tenure::lease::Lease,
        time::Time,
    },
    engine::Engine,
    live::{Changes, Control, controlled},
    shutdown::Shutdown,
    store::{
        StoreError,
        read::news::News,
        write::alerts::{AlertRow, WatchRecord},
    },
};

/// Events, and requests whose time has come, in one step: a few milliseconds of the writer's time.
const PAGE: u32 = 1_000;

/// How often the database is asked for news: what a person must know may wait this long.
const TICK: Duration = Duration::from_millis(250);

/// How often accounts, gates and channels are looked at: nothing of them writes an event.
const EVALUATE_SYSTEM_EVERY: Duration = Duration::from_secs(15);

/// How often what is learned from settled requests is learned anew.
const LEARN_EVERY: Duration = Duration::from_hours(1);

/// What an operator sets for alerts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From when on something must be known.
    pub attention: AlertPolicy,
    /// How often it is told again; `None`: once.
    pub repeat_every: Option<Duration>,
    /// How long the first of a group waits for the others.
    pub group_within: Duration,
    /// When nobody is to be disturbed.
    pub quiet: Option<QuietHours>,
    /// Rules that are told also then.
    pub quiet_except: Vec<Rule>,
    /// So many accounts of one trouble are told of as one.
    pub crowd: u64,
    /// The component whose tokens the daemon keeps itself, if it does.
    pub component: Option<String>,
    /// Who is told what.
    pub subscriptions: Vec<Subscription>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attention: AlertPolicy::default(),
            repeat_every: Some(Duration::from_hours(24)),
            group_within: Duration::from_secs(30),
            quiet: None,
            quiet_except: vec![Rule::Daemon],
            crowd: 100,
            component: None,
            subscriptions: Vec::new(),
        }
    }
}

/// Whether a lesson is worth looking at every request again: one that differs by less than a tenth is not.
fn is_news(known: Option<LearnedThreshold>, lesson: Option<LearnedThreshold>) -> bool {
    match (known, lesson) {
        (Some(known), Some(lesson)) => known.after.abs_diff(lesson.after) > known.after / 10,
        (None, None) => false,
        (Some(_), None) | (None, Some(_)) => true,
    }
}

/// The ages from which on further channels are told, ascending, milliseconds.
fn later_ages(subscriptions: &[Subscription]) -> Vec<i64> {
    let ages: BTreeSet<i64> = subscriptions.iter().map(Subscription::after_ms).collect();
    ages.into_iter().filter(|after| *after > 0).collect()
}

/// The one watch of a daemon.
#[derive(Debug)]
pub struct AlertEvaluator {
    engine: Arc<Engine>,
    settings: Settings,
    channels: Channels,
    /// The ages from which on further channels are told, ascending, milliseconds.
    ages: Vec<i64>,
    /// The last event that was read.
    seq: i64,
    /// What is known between two looks of what is not about one request.
    standing: SystemState,
    /// Alerts whose rows the database refuses, and before when none is tried again, on the stopwatch.
    untellable: HashMap<String, Duration>,
    /// When our address was last known to be refused, on the stopwatch.
    shut_out_at: Option<Duration>,
    /// When the platform's component was last known to have no ticket, or to be refused, on the stopwatch.
    tokenless_at: Option<Duration>,
    /// How far requests have been looked at that nothing of their own brings up.
    rounds: RecheckCursors,
    /// When it began, on the stopwatch.
    began: Duration,
    /// When it last looked around, on the stopwatch.
    looked_at: Option<Duration>,
    /// When it last learned, on the stopwatch.
    learned_at: Option<Duration>,
    /// Whether every request is still to be looked at by the rules in force.
    has_new_rules: bool,
    changes: Changes<Settings>,
    meters: Arc<AlertMeters>,
}

impl AlertEvaluator {
    /// Takes up where the last one ended. When the rules have changed, every open request is looked at again.
    pub async fn start(engine: Arc<Engine>, settings: Settings, channels: Channels) -> Result<Self, StoreError> {
        let began = engine.clock().monotonic();
        let ages = later_ages(&settings.subscriptions);
        let mut watch = Self {
            engine,
            settings,
            channels,
            ages,
            began,
            standing: SystemState::default(),
            rounds: RecheckCursors::default(),
            untellable: HashMap::new(),
            shut_out_at: None,
            tokenless_at: None,
            seq: 0,
            looked_at: None,
            learned_at: None,
            has_new_rules: false,
            changes: Changes::default(),
            meters: Arc::default(),
        };
        // Without the house that is done once it is there: another daemon's rules are in force until then.
        watch.has_new_rules = true;
        if watch.engine.ownership().open().contains(Lease::House) {
            watch.learn().await?;
            watch.seq = watch.resume().await?;
            watch.has_new_rules = false;
        }
        Ok(watch)
    }

    /// What it counts.
    #[must_use]
    pub fn meters(&self) -> Arc<AlertMeters> {
        Arc::clone(&self.meters)
    }

    /// What changes its settings while it runs.
    pub fn control(&mut self) -> Control<Settings> {
        let (control, changes) = controlled();
        self.changes = changes;
        control
    }

    /// Goes by other settings from now on. What fires goes on firing until it is looked at by the new rules; what was told
    /// stays told.
    pub fn reconfigure(&mut self, settings: Settings) {
        let learned = self.settings.attention.learned_thresholds;
        self.ages = later_ages(&settings.subscriptions);
        self.settings = settings;
        self.settings.attention.learned_thresholds = learned;
        self.rounds = RecheckCursors::default();
        (self.looked_at, self.learned_at, self.has_new_rules) = (None, None, true);
    }

    /// Runs until the end is asked for.
    pub async fn run(mut self, shutdown: &Shutdown) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !shutdown.asked() {
            tokio::select! {
                () = shutdown.wait() => return,
                _ = tick.tick() => {}
                change = self.changes.next() => {
                    self.reconfigure(change.to);
                }
            }
            match self.settle().await {
                Ok(()) => {}
                // That nothing can be written is said aloud where it is watched; this is tried again with the next tick.
                Err(error) if error.is_of_disk() => {
                    tracing::debug!(
                        event = "alerting.evaluate.waits_for_the_disk",
                        error = %error,
                        "alerts wait for the disk"
                    );
                }
                Err(error) => {
                    tracing::error!(
                        event = "alerting.evaluate.failed",
                        error = %error,
                        "could not evaluate alerts; will retry"
                    );
                }
            }
        }
    }

    /// Does everything that is due at this moment.
    ///
    /// # Errors
    /// [`StoreError`]: what was not written is done again by the next call.
    pub async fn settle(&mut self) -> Result<(), StoreError> {
        let stopwatch = self.engine.clock().monotonic();
        let is_due = |at: Option<Duration>, every| at.is_none_or(|at| stopwatch.saturating_sub(at) >= every);
        if is_due(self.learned_at, LEARN_EVERY) && self.learn().await? {
            self.has_new_rules = true;
        }
        if self.has_new_rules {
            self.seq = self.resume().await?;
            self.has_new_rules = false;
        }
        while self.take_news().await? {}
        if is_due(self.looked_at, EVALUATE_SYSTEM_EVERY) {
            self.look_again().await?;
            self.evaluate_system().await?;
            self.looked_at = Some(stopwatch);
        }
        if self.tell().await? {
            while self.take_news().await? {}
        }
        Ok(())
    }

    /// When a request or an alert next comes to something by time alone, on the stopwatch; for tests that move the clock by
    /// hand.
    pub async fn next_due(&self) -> Result<Option<Duration>, StoreError> {
        let (clock, store) = (self.engine.clock(), self.engine.store());
        let (now, stopwatch) = (clock.now(), clock.monotonic());
        let mut waits: Vec<Duration> = Vec::new();
        waits.extend(store.next_recheck().await?.map(|due| now.until(Time::from_ms(due))));
        waits.extend(self.next_aged().await?.map(|due| now.until(due)));
        for (reason, due) in store.reasons_to_tell().await? {
            // When quiet hours end is asked for minute by minute: they know whole minutes. So is what cannot be told.
            let wait = now.until(Time::from_ms(due));
            let is_held = self.is_quiet(&reason, now) || !self.untellable.is_empty();
            waits.push(if is_held { wait.max(Duration::from_mins(1)) } else { wait });
        }
        Ok(waits.into_iter().min().map(|wait| stopwatch + wait))
    }

    fn store(&self) -> &crate::store::Store {
        self.engine.store()
    }

    /// Makes the rules those that every request is looked at by.
    async fn resume(&self) -> Result<i64, StoreError> {
        let settings = &self.settings;
        let ages: Vec<i64> = settings.subscriptions.iter().map(Subscription::after_ms).collect();
        let repeat_every = settings.repeat_every.map(|every| every.as_millis());
        let policy = to_json(&(settings.attention.fingerprint(), repeat_every, ages));
        self.store().resume_alerting(policy, self.engine.clock().now()).await
    }

    /// One page of events and of requests whose time has come. Answers whether there was anything.
    async fn take_news(&mut self) -> Result<bool, StoreError> {
        let now = self.engine.clock().now();
        let news = self.store().news(self.seq, PAGE).await?;
        let Old { requests: mut due, places, more } = self.aged(now).await?;
        due.extend(self.store().rechecks(now.ms(), PAGE).await?);
        if news.is_empty() && due.is_empty() {
            self.rounds.aged = places;
            return Ok(more);
        }
        let mut step = self.look_at(&news, due, now).await?;
        step.deliveries = fan_out::deliveries(&self.settings.subscriptions, &news, now);
        step.seq = news.last().map(|event| event.seq);
        let (seq, is_owed) = (step.seq, !step.deliveries.is_empty());
        self.write(step).await?;
        news.iter().filter_map(|event| event.step.as_ref()).for_each(|step| self.meters.step(step));
        self.rounds.aged = places;
        if is_owed {
            self.channels.notify();
        }
        self.seq = seq.unwrap_or(self.seq);
        Ok(true)
    }

    /// What these events and the passing of time mean for alerts.
    async fn look_at(&self, news: &[News], due: Vec<String>, now: Time) -> Result<WatchRecord, StoreError> {
        let about = |event: &&News| event.kind.is_some_and(EventType::is_of_request);
        let named: BTreeSet<&str> = news.iter().filter(about).map(|event| event.subject.as_str()).collect();
        // A later request for the same pair is what makes an earlier one's end old news.
        let mut requests = self.store().alerted_for_the_same(&named.into_iter().collect::<Vec<_>>()).await?;
        let moved = news.iter().filter(|event| self.may_concern(event, now));
        requests.extend(moved.map(|event| event.subject.clone()));
        requests.extend(due);
        requests.sort_unstable();
        requests.dedup();

        if requests.is_empty() {
            return Ok(WatchRecord::default());
        }
        let mut subjects: HashMap<String, Subject> = HashMap::with_capacity(requests.len());
        for subject in self.store().subjects(&requests).await? {
            subjects.insert(subject.request.id.to_string(), subject);
        }
        let mut open: HashMap<String, Vec<AlertRow>> = HashMap::new();
        for alert in self.store().open_alerts_of(&requests).await? {
            open.entry(alert.request_id.clone().unwrap_or_default()).or_default().push(alert);
        }
        let mut step = WatchRecord::default();
        for id in requests {
            let known = open.remove(&id).unwrap_or_default();
            // A row that is not legal keeps its alerts as they are; it is looked at again when it moves.
            let Some(subject) = subjects.get(&id) else {
                step.rechecks.push((id, None));
                continue;
            };
            let concerns = of_request(subject, &self.settings.attention, now);
            let next = reconcile(concerns, &known, now, self.settings.group_within, &mut step);
            step.rechecks.push((id, next.map(Time::ms)));
        }
        self.begin_anew(&mut step.fired, now).await?;
        Ok(step)
    }

    /// What was told, was over and is so again although it has no new beginning of its own, begins now.
    async fn begin_anew(&self, fired: &mut [AlertRow], now: Time) -> Result<(), StoreError> {
        let comes_back = |alert: &&mut AlertRow| Rule::from_word(&alert.rule).is_some_and(Rule::comes_back);
        let back: Vec<&mut AlertRow> = fired.iter_mut().filter(comes_back).collect();
        if back.is_empty() {
            return Ok(());
        }
        let begun: Vec<(&str, i64)> = back.iter().map(|alert| (alert.key.as_str(), alert.since)).collect();
        let ended: BTreeSet<String> = self.store().ended_alerts(&begun).await?.into_iter().collect();
        for alert in back.into_iter().filter(|alert| ended.contains(&alert.key)) {
            alert.since = now.ms();
        }
        Ok(())
    }

    /// Learns from settled requests how long they usually take. Answers whether that changes anything.
    async fn learn(&mut self) -> Result<bool, StoreError> {
        self.learned_at = Some(self.engine.clock().monotonic());
        if !self.settings.attention.thresholds.learn() {
            return Ok(false);
        }
        let mut has_changed = false;
        for taught in self.store().learned_thresholds(self.engine.clock().now()).await? {
            let after = learned(taught.stage, taught.count, taught.p95);
            let lesson = after.map(|after| LearnedThreshold { after, requests: taught.count });
            let known = &mut self.settings.attention.learned_thresholds[taught.stage as usize];
            if is_news(*known, lesson) {
                *known = lesson;
                has_changed = true;
            }
        }
        Ok(has_changed)
    }

    /// Whether alerts of this reason must wait for the end of the quiet hours.
    fn is_quiet(&self, reason: &str, now: Time) -> bool {
        let is_excepted = self.settings.quiet_except.iter().any(|rule| Some(*rule) == fan_out::rule_of(reason));
        !is_excepted && self.settings.quiet.as_ref().is_some_and(|quiet| quiet.hold(now))
    }
}
