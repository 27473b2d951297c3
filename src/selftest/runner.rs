//! Runs a simulation: time moves from due time to due time, actions happen, and after every step the promises are
//! checked. Nothing but the seed may influence it, or it could not be reproduced.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroU32,
    path::Path,
    sync::Arc,
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use xxhash_rust::xxh3::Xxh3;

use super::{
    crash_clock::Trap,
    daemon::{Daemon, Died, Setup},
    generator::{self, Action},
    invariants::{Invariants, Moment, kept_as_conflict, readable},
    platform::{self, COMPONENT, Platform},
    scenario::{Broken, Lived, Scenario},
    verdict::{Verdict, Violation, broken},
};
use crate::{
    clock::{Clock, ManualClock},
    domain::{policy::Policy, time::Time},
    engine::record::Recorder,
    sim::{Sim, SimConfig, Span, advance},
    store::{Store, read::views::AccountView},
};

/// Where every life begins: the morning of 20 March 2026 in Beijing, so that a month rolls over early in it.
const MORNING: Time = Time::from_ms(1_773_964_800_000);

/// So few calls a second that looks and calls wait for their turns.
const FEW_TURNS: NonZeroU32 = NonZeroU32::new(2).expect("two");

/// How often the watchdog of the cron jobs looks, at most.
pub(super) const WATCH_EVERY: Duration = Duration::from_hours(1);

/// Looks in a row that failed, from which on an account counts as unread.
const UNREAD_LOOKS: i64 = 3;

/// How long after that it is told at the latest: the rule waits for 15 minutes, a process that stands still for longer.
const TOLD_WITHIN: Duration = Duration::from_hours(3);

/// Steps between two whole checks of the file.
const VERIFY_EVERY: u64 = 400;

/// Lines of what happened that a report ends with.
const TOLD_MAX: usize = 60;

/// Looks at one moment that bring nothing to an end: a loop that never comes to rest.
const RESTLESS_AFTER: u32 = 100_000;

/// A life under way.
pub(super) struct Runner {
    life: Scenario,
    pub(super) chance: StdRng,
    pub(super) time: Arc<ManualClock>,
    pub(super) setup: Setup,
    pub(super) sim: Sim,
    pub(super) trap: Arc<Trap>,
    pub(super) daemon: Option<Daemon>,
    pub(super) desk: Recorder,
    pub(super) promises: Invariants,
    /// By how much our calendar is ahead of the world's, milliseconds.
    pub(super) calendar_ahead: i64,
    told: VecDeque<String>,
    steps: u64,
    kills: u64,
    watched: Duration,
    /// Accounts that cannot be read: since when by their rows, and until when that need not be told, on the stopwatch.
    unread: BTreeMap<String, (Option<String>, Duration)>,
    /// Whether a process died since the last look.
    is_disturbed: bool,
    /// What there is besides where the platform keeps its tokens itself.
    pub(super) platform: Option<Platform>,
}

/// Lives one life in a folder of its own.
///
/// # Errors
/// [`Broken`]: the promise that was not kept.
///
/// # Panics
/// When the machine does not give what a life needs: a port, threads, room in the folder.
pub async fn live(life: Scenario, folder: &Path) -> Result<Lived, Box<Broken>> {
    let mut living = Runner::begin(life, folder).await;
    match living.go_through().await {
        Ok(()) => {
            let lived = living.lived();
            living.end().await;
            Ok(lived)
        }
        Err(Violation { promise, what }) => {
            let told = living.told.drain(..).collect();
            let broken = Broken { life, at: living.time.now(), step: living.steps, promise, what, told };
            living.end().await;
            Err(Box::new(broken))
        }
    }
}

impl Runner {
    pub(super) async fn begin(life: Scenario, folder: &Path) -> Self {
        let mut chance = StdRng::seed_from_u64(life.seed);
        let time = ManualClock::seeded(MORNING, life.seed);
        let trap = Arc::new(Trap::default());
        let (shown, asked) = (Arc::clone(&time), Arc::clone(&trap));
        // Nobody who steps our calendar steps WeChat's.
        let now = Arc::new(move || {
            asked.call_arrived();
            (MORNING + shown.monotonic()).ms()
        });
        let sim = Sim::start(SimConfig { seed: life.seed, now, ..SimConfig::default() }).await;
        let sim = sim.unwrap_or_else(|error| panic!("the simulator does not start: {error}"));
        super::scene::set_the_scene(&mut sim.world(), &mut chance, MORNING.ms());
        let deadline = chance.random_ratio(1, 3).then(|| Duration::from_hours(24 * 20));
        let mut setup = Setup {
            database: folder.join(format!("life-{}.db", life.seed)),
            wechat_url: sim.url(),
            token_url: sim.token_url(),
            time: Arc::clone(&time),
            policy: Policy { deadline, ..Policy::default() },
            at_once: life.at_once,
            daily_budget: if chance.random_ratio(1, 4) { 150 } else { 100_000 },
            per_second: if chance.random_ratio(1, 4) { FEW_TURNS } else { NonZeroU32::MAX },
            platform: None,
            log: None,
        };
        let desk = setup.desk().await;
        let platform = platform::keeps_tokens(life.seed).then(|| {
            let store = desk.store().clone();
            let (config, platform) = platform::found(&sim, store, life.at_once, &mut chance, MORNING.ms());
            setup.platform = Some(Arc::new(config));
            setup.log = Some(platform::log_to(&setup.database));
            platform
        });
        Self {
            life,
            chance,
            time,
            setup,
            sim,
            trap,
            daemon: None,
            desk,
            promises: Invariants::default(),
            calendar_ahead: 0,
            told: VecDeque::new(),
            steps: 0,
            kills: 0,
            watched: Duration::ZERO,
            unread: BTreeMap::new(),
            is_disturbed: false,
            platform,
        }
    }

    async fn go_through(&mut self) -> Verdict {
        self.boot(None).await?;
        self.live_for(self.life.span, true).await?;
        self.come_to_rest().await?;
        self.no_secret_leaks().await
    }

    /// Lets time pass from due time to due time; things happen meanwhile, or not.
    pub(super) async fn live_for(&mut self, span: Duration, things_happen: bool) -> Verdict {
        let end = self.time.monotonic() + span;
        let mut turn_at = self.time.monotonic() + self.until_next_turn();
        let (mut moment, mut looks) = (Duration::ZERO, 0);
        loop {
            self.work().await?;
            let now = self.time.monotonic();
            looks = if now == moment { looks + 1 } else { 0 };
            moment = now;
            if looks > RESTLESS_AFTER {
                return broken("nothing stalls", "the daemon never comes to rest at this moment");
            }
            if now >= end {
                return Ok(());
            }
            if things_happen && now >= turn_at {
                let turn = match self.platform {
                    Some(_) => generator::draw_with_tokens(&mut self.chance),
                    None => generator::draw(&mut self.chance),
                };
                self.tell(&format!("{turn:?}"));
                self.happen(turn).await?;
                turn_at = self.time.monotonic() + self.until_next_turn();
                continue;
            }
            let due = self.daemon.as_ref().and_then(Daemon::next_due).unwrap_or(Duration::MAX);
            let next = if things_happen { turn_at } else { end };
            let tended = self.until_tended(things_happen).await;
            let until = due.max(now + Duration::from_millis(1)).min(next).min(now + tended).min(end);
            self.time.advance(until.saturating_sub(now));
        }
    }

    /// An account that nobody could read for hours is told, with whatever it is told together.
    async fn unread_is_told(&mut self) -> Verdict {
        let (store, now) = (self.desk.store(), self.time.monotonic());
        let views = readable(store.account_views(None, None, u32::MAX).await);
        let is_unread = |view: &&AccountView| {
            view.failures >= UNREAD_LOOKS && view.unread_since.is_some() && view.next_check_at.is_some()
        };
        let unread: BTreeMap<&str, &AccountView> =
            views.iter().filter(is_unread).map(|view| (view.account.as_str(), view)).collect();
        // One that was suspended meanwhile, or a copy that was put back, begins anew.
        self.unread
            .retain(|account, (since, _)| unread.get(account.as_str()).is_some_and(|view| view.unread_since == *since));
        for (account, view) in unread {
            let within = now + TOLD_WITHIN;
            let (_, until) = self.unread.entry(account.to_owned()).or_insert((view.unread_since.clone(), within));
            let trouble = view.trouble.as_deref().unwrap_or_default();
            let keys = [
                format!("account_unreadable/{account}"),
                format!("token_failing/{account}"),
                format!("wechat_unreachable/{trouble}"),
                "token_failing/all".to_owned(),
                "ip_not_allowed/all".to_owned(),
                format!("ticket_missing/{COMPONENT}"),
                format!("component_refused/{COMPONENT}"),
            ];
            if !readable(store.alerts_known_by(&keys).await).is_empty() {
                // When what it was told together with is over, as a platform that is refused, it is looked at again first.
                *until = within;
            } else if now >= *until {
                return broken("an account that cannot be read is told", format!("nobody was told of {view:?}"));
            }
        }
        Ok(())
    }

    fn until_next_turn(&mut self) -> Duration {
        let most = u64::try_from(2 * self.life.turn_every.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.chance.random_range(1..=most))
    }

    /// Does what is due at this moment, and holds the promises against it.
    async fn work(&mut self) -> Verdict {
        self.steps += 1;
        self.push().await?;
        if let Some(mut daemon) = self.daemon.take() {
            let watches = self.time.monotonic().saturating_sub(self.watched) >= WATCH_EVERY;
            let mut alive = daemon.work().await;
            if watches && alive.is_ok() {
                self.watched = self.time.monotonic();
                alive = daemon.watch().await;
                self.unread_is_told().await?;
            }
            match alive {
                Ok(()) => self.daemon = Some(daemon),
                Err(Died) => return self.bury(daemon).await,
            }
        }
        self.look().await?;
        if self.steps.is_multiple_of(VERIFY_EVERY) { self.verify().await } else { Ok(()) }
    }

    /// A process died: look at what it left, and start another one, which may die as well.
    pub(super) async fn bury(&mut self, daemon: Daemon) -> Verdict {
        daemon.kill().await;
        self.kills += 1;
        self.is_disturbed = true;
        self.tell("it died");
        self.look().await?;
        self.promises.nothing_is_lost(&self.desk).await?;
        let dies_again = self.dies_soon();
        self.boot(dies_again).await
    }

    /// Whether the next process dies while it starts, and when.
    pub(super) fn dies_soon(&mut self) -> Option<u64> {
        self.chance.random_ratio(1, 4).then(|| generator::up_to(&mut self.chance, 40))
    }

    /// Starts a process; one that dies while it starts is started again.
    pub(super) async fn boot(&mut self, dies_after: Option<u64>) -> Verdict {
        self.process_begins();
        let mut booted = Daemon::boot(&self.setup, dies_after).await;
        if booted.is_err() {
            self.kills += 1;
            self.is_disturbed = true;
            self.tell("it died while it started");
            self.process_begins();
            booted = Daemon::boot(&self.setup, None).await;
        }
        let Ok(daemon) = booted else {
            return broken("a crash leads to the same end", "the daemon does not start again");
        };
        self.daemon = Some(daemon);
        self.look().await
    }

    /// Holds the promises against what changed since the last look.
    pub(super) async fn look(&mut self) -> Verdict {
        let moment = Moment {
            is_undisturbed: !std::mem::take(&mut self.is_disturbed),
            has_deadline: self.setup.policy.deadline.is_some(),
            calendar_off: self.calendar_ahead.abs(),
            polls_max: 2 * self.setup.daily_budget,
            now: self.wechat_now(),
        };
        let news = self.promises.news(&self.desk).await?;
        let calls = {
            let mut world = self.sim.world();
            advance(&mut world, moment.now);
            self.promises.look(news, &world, moment)?
        };
        for call in calls.iter().filter(|_| moment.is_undisturbed) {
            kept_as_conflict(&self.desk, call).await?;
        }
        self.platform.as_ref().map_or(Ok(()), |platform| platform.witness.broken())
    }

    /// Nothing is lost and nothing stalls, as far as the daemon itself can prove it.
    pub(super) async fn audit(&mut self) -> Verdict {
        if let Some(mut daemon) = self.daemon.take() {
            match daemon.watch().await {
                Ok(()) => self.daemon = Some(daemon),
                Err(Died) => self.bury(daemon).await?,
            }
        }
        let findings = self.desk.audit().await.unwrap_or_else(|error| panic!("the audit cannot look: {error}"));
        if findings.is_empty() { Ok(()) } else { broken("nothing stalls in silence", format!("{findings:#?}")) }
    }

    pub(super) async fn verify(&self) -> Verdict {
        let damage = Store::verify(&self.setup.database, 10).await;
        let damage = damage.unwrap_or_else(|error| panic!("the database cannot be read: {error}"));
        if !damage.is_empty() {
            return broken("every history leads to its state", format!("{damage:#?}"));
        }
        self.promises.nothing_is_lost(&self.desk).await
    }

    /// The world's time, milliseconds UTC.
    pub(super) fn wechat_now(&self) -> i64 {
        (MORNING + self.time.monotonic()).ms() + self.sim.world().time_ahead
    }

    /// The machine sleeps: the calendar and the world go on, the stopwatch does not.
    pub(super) fn sleep(&mut self, span: Duration) {
        let slept = Span::millis(i64::try_from(span.as_millis()).unwrap_or(i64::MAX));
        self.time.step(slept.as_millis());
        self.sim.world().time_ahead += slept.as_millis();
    }

    pub(super) fn tell(&mut self, what: &str) {
        if self.told.len() == TOLD_MAX {
            self.told.pop_front();
        }
        self.told.push_back(format!("{} step {}: {what}", self.time.now(), self.steps));
    }

    fn lived(&self) -> Lived {
        let stats = self.sim.stats();
        let mut digest = Xxh3::new();
        for step in self.promises.steps() {
            digest.update(format!("{step:?}").as_bytes());
        }
        for call in self.sim.world().ledger() {
            digest.update(format!("{call:?}").as_bytes());
        }
        Lived {
            took: self.time.monotonic(),
            steps: self.steps,
            requests: self.promises.requests().count(),
            polls: stats.wxamplinkget,
            calls: stats.wxamplink + stats.wxampunlink,
            faults: stats.faults.values().sum(),
            kills: self.kills,
            tokens: self.platform.as_ref().map(|platform| platform.witness.seen()),
            digest: digest.digest(),
        }
    }

    pub(super) async fn end(self) {
        if let Some(daemon) = self.daemon {
            daemon.stop().await;
        }
        self.desk.store().clone().close().await;
        // A listener that failed at its end has served all of its life.
        let _ = self.sim.shutdown().await;
    }
}

impl Action {
    /// Whether the process is away while it happens.
    pub(super) const fn is_absence(self) -> bool {
        matches!(self, Self::Restart(_) | Self::StandStill(_) | Self::Sleep(_))
    }
}

#[cfg(test)]
mod tests {
    use sqlx::ConnectOptions;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    /// A life after a day of it, with a request that is not finished.
    async fn after_a_day(folder: &Path) -> Runner {
        let life = Scenario { seed: 3, span: DAY, turn_every: Scenario::ORDINARY, at_once: 1 };
        let mut living = Runner::begin(life, folder).await;
        living.boot(None).await.unwrap();
        living.live_for(DAY, true).await.unwrap();
        assert!(living.promises.requests().count() > 3);
        living
    }

    /// Runs SQL on the file behind everybody's back.
    async fn sql(living: &Runner, statement: &'static str) {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&living.setup.database);
        let mut connection = options.foreign_keys(false).connect().await.unwrap();
        assert!(sqlx::query(statement).execute(&mut connection).await.unwrap().rows_affected() > 0);
    }

    async fn promise_broken_by(statement: &'static str) -> &'static str {
        let folder = tempfile::tempdir().unwrap();
        let mut living = after_a_day(folder.path()).await;
        sql(&living, statement).await;
        let noticed = match living.verify().await {
            Ok(()) => living.come_to_rest().await,
            noticed => noticed,
        };
        living.end().await;
        noticed.unwrap_err().promise
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_call_without_an_intent_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut living = after_a_day(folder.path()).await;
        let (account, program) = crate::selftest::generator::pairs().next().unwrap();
        let now = living.wechat_now();
        living.sim.world().link(&account, &program, crate::sim::Flags::default(), now);
        living.sim.world().link(&account, &program, crate::sim::Flags::default(), now);
        assert_eq!(living.look().await.unwrap_err().promise, "intent before effect");
        living.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_that_is_gone_is_noticed() {
        let gone = "DELETE FROM request WHERE id = (SELECT min(id) FROM request)";
        assert!(
            ["durable before acknowledged", "every history leads to its state"]
                .contains(&Box::pin(promise_broken_by(gone)).await)
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_state_without_a_step_is_noticed() {
        let moved = "UPDATE request SET state = 'rejected', finished_at = since, failure = NULL, deferred_until = NULL
                     WHERE kind = 'link' AND id = (SELECT max(id) FROM request WHERE kind = 'link' AND state <> 'rejected')";
        assert_eq!(Box::pin(promise_broken_by(moved)).await, "every history leads to its state");
    }
}
