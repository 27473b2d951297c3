//! Carries out what happens to a platform that keeps its tokens itself: what its accounts do, what becomes of pushes and
//! answers, and what other systems and operators ask for.

use std::time::Duration;

use rand::{RngExt, seq::IteratorRandom as _};

use super::{
    daemon::Died,
    generator::{ACCOUNTS, TokenAction, account},
    platform::{COMPONENT, Held, Platform, WITH_LINKS, WITHOUT_LINKS},
    runner::{Runner, WATCH_EVERY},
    verdict::{Verdict, broken},
};
use crate::{
    clock::Clock as _,
    engine::tokens::desk::ServeError,
    sim::{AuthorizerKind, ComponentApi, ComponentSetup, FaultKind, PlatformError, PushAsk, Recovery, Span},
    store::{file::corrupt::WriteLock, write::token_task::TokenTask},
};

/// Calls of a day that are so few that they are used up.
const FEW_CALLS: u32 = 3;

/// Real time that `WeChat` waits for an answer while nobody can write: less than the daemon waits for the file.
const SHORT_PATIENCE: Span = Span::millis(200);

/// Pushes that go out at most while nobody can write: each of them waits for so long.
const LOCKED_MAX: usize = 3;

/// Moments in a row at which what is left to be done is tried at once, as the daemon's own loop does; then time goes on.
const HURRIES_MAX: u32 = 40;

/// How long the daemon's own loop waits between two tries.
const HURRY: Duration = Duration::from_secs(1);

/// Tickets come so often.
const TICKETS: Duration = Duration::from_mins(10);

impl Runner {
    fn with_platform<T>(&mut self, act: impl FnOnce(&mut Platform) -> T) -> Option<T> {
        self.platform.as_mut().map(act)
    }

    fn some_account(&mut self) -> String {
        account(self.chance.random_range(0..ACCOUNTS))
    }

    /// One thing happens to the platform.
    pub(super) async fn of_tokens(&mut self, action: TokenAction) -> Verdict {
        let now = self.wechat_now();
        self.with_platform(|platform| platform.witness.event(now));
        match action {
            TokenAction::Authorizes(_)
            | TokenAction::Revokes
            | TokenAction::ChangesItsMind
            | TokenAction::PasswordChanges
            | TokenAction::RefreshTokenIsLost(_) => self.an_account_acts(action),
            TokenAction::PushesStay(stay, is_lost) => self.hold_pushes(stay, is_lost),
            TokenAction::PushedAgain(later) => self.push_again(later),
            TokenAction::PushedWhileLocked => return self.push_while_locked().await,
            TokenAction::PushedToNobody(away) => return self.push_to_nobody(away).await,
            TokenAction::ComponentTokensDie
            | TokenAction::DayIsUsedUp
            | TokenAction::AddressIsRefused
            | TokenAction::AnswerIsLost(..) => self.wechat_is_odd(action),
            TokenAction::SecretChanges => return self.change_the_secret().await,
            TokenAction::DiesBeforeTheDisk(api) => {
                if let (Some(daemon), Some(platform)) = (&self.daemon, &self.platform) {
                    platform.witness.dooms(api, daemon.clock());
                }
                self.provoke(api);
            }
            TokenAction::ManyAsk(times) => return self.many_ask(times).await,
            TokenAction::OperatorAsks(is_sync) => return self.operator_asks(is_sync).await,
        }
        Ok(())
    }

    /// What is not possible does not happen.
    fn an_account_acts(&mut self, action: TokenAction) {
        let (account, now) = (self.some_account(), self.wechat_now());
        let mut world = self.sim.world();
        let _ = match action {
            TokenAction::Revokes => world.revoke(&account, now),
            TokenAction::PasswordChanges => world.change_password(&account, now),
            TokenAction::RefreshTokenIsLost(is_listed) => {
                let recovery = if is_listed { Recovery::Listed } else { Recovery::Empty };
                world.forget_refresh(&account, recovery, now)
            }
            TokenAction::ChangesItsMind => match world.revoke(&account, now) {
                Ok(()) => authorize(&mut world, &account, &WITH_LINKS, now),
                Err(_) => authorize(&mut world, &account, &WITH_LINKS, now).and_then(|()| world.revoke(&account, now)),
            },
            TokenAction::Authorizes(may_link) => {
                let sets = if may_link { WITH_LINKS.as_slice() } else { &WITHOUT_LINKS };
                authorize(&mut world, &account, sets, now)
            }
            _ => Ok(()),
        };
    }

    fn wechat_is_odd(&mut self, action: TokenAction) {
        let now = self.wechat_now();
        let mut world = self.sim.world();
        match action {
            TokenAction::ComponentTokensDie => drop(world.expire_component_tokens(now)),
            TokenAction::AddressIsRefused => world.faults.next_component(None, FaultKind::IpRefused),
            TokenAction::DayIsUsedUp => {
                let is_used_up = world.quotas.component_calls_per_day.is_some();
                world.quotas.component_calls_per_day = (!is_used_up).then_some(FEW_CALLS);
            }
            TokenAction::AnswerIsLost(api, kind) => {
                world.faults.next_component(Some(api), kind);
                drop(world);
                self.provoke(api);
            }
            _ => {}
        }
    }

    /// Makes a call of this kind come soon.
    fn provoke(&mut self, api: ComponentApi) {
        let (account, now) = (self.some_account(), self.wechat_now());
        let mut world = self.sim.world();
        match api {
            ComponentApi::ComponentToken => drop(world.expire_component_tokens(now)),
            ComponentApi::AuthorizerToken => world.expire_tokens(Some(&account), now),
            // One that never did so does it now.
            _ => drop(authorize(&mut world, &account, &WITH_LINKS, now)),
        }
    }

    fn hold_pushes(&mut self, stay: Duration, is_lost: bool) {
        let until = self.time.monotonic() + stay;
        let held = if is_lost { Held::Lost } else { Held::Late };
        // There is a platform.
        let _ = self.sim.world().hold_pushes();
        self.with_platform(|platform| platform.held_until = Some((until, held)));
    }

    fn push_again(&mut self, later: Duration) {
        let (times, at_once) = (self.chance.random_range(1..6), self.chance.random_bool(0.5));
        let now = self.wechat_now();
        let mut world = self.sim.world();
        let known = world.component().map(|component| component.pushes().map(|push| push.id).choose(&mut self.chance));
        let delay = Span::millis(i64::try_from(later.as_millis()).unwrap_or(0));
        let ask = PushAsk { id: known.flatten(), delay, times: Some(times), at_once, ..PushAsk::default() };
        // One that was forgotten meanwhile stays away.
        let _ = world.push(&ask, now);
    }

    /// Delivers what is due. Whoever it is about is an event for the bounds.
    pub(super) async fn push(&mut self) -> Verdict {
        let (now, monotonic) = (self.wechat_now(), self.time.monotonic());
        let Some(platform) = &mut self.platform else { return Ok(()) };
        if let Some((_, held)) = platform.held_until.take_if(|(until, _)| *until <= monotonic) {
            let mut world = self.sim.world();
            if held == Held::Lost {
                // There is a platform.
                let _ = world.drop_pushes();
            }
            let _ = world.release_pushes();
        }
        if self.sim.due_pushes(now) > 0 {
            // What a push wipes was there before.
            platform.witness.reads_the_rows().await;
            self.sim.deliver_pushes().await;
        }
        self.sees_no_wrong()
    }

    pub(super) fn sees_no_wrong(&self) -> Verdict {
        self.platform.as_ref().map_or(Ok(()), |platform| platform.witness.broken())
    }

    /// Nothing that cannot be written down is answered with success.
    async fn push_while_locked(&mut self) -> Verdict {
        let now = self.wechat_now();
        if self.daemon.is_none() || self.sim.due_pushes(now) == 0 {
            self.push_again(Duration::ZERO);
        }
        let taken_before = self.pushes_taken();
        let patience = std::mem::replace(&mut self.sim.world().switches.push_timeout, SHORT_PATIENCE);
        let lock = WriteLock::take(&self.setup.database).await;
        let lock = lock.unwrap_or_else(|error| panic!("nobody can lock the file: {error}"));
        if self.sim.due_pushes(now) <= LOCKED_MAX {
            self.sim.deliver_pushes().await;
        }
        self.sim.world().switches.push_timeout = patience;
        let was_taken = self.pushes_taken() - taken_before;
        lock.release().await.unwrap_or_else(|error| panic!("the lock is not released: {error}"));
        if was_taken > 0 {
            return broken(
                "a push is answered once it is on disk",
                format!("{was_taken} pushes were taken while nobody could write"),
            );
        }
        Ok(())
    }

    /// Answers to pushes that said `success`.
    fn pushes_taken(&self) -> usize {
        let world = self.sim.world();
        let pushes = world.component().into_iter().flat_map(crate::sim::Component::pushes);
        pushes.flat_map(|push| &push.answers).filter(|answer| answer.is_success()).count()
    }

    async fn push_to_nobody(&mut self, away: Duration) -> Verdict {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop().await;
        }
        self.time.advance(away);
        self.push().await?;
        self.boot(None).await
    }

    /// The secret is another one in `WeChat`'s console, or the daemon gets the one that counts.
    async fn change_the_secret(&mut self) -> Verdict {
        let now = self.wechat_now();
        let Some(platform) = &self.platform else { return Ok(()) };
        let is_right = self.sim.world().component().is_some_and(|known| known.secret() == platform.secret);
        if is_right {
            let number = self.chance.random::<u64>();
            self.set_secret(format!("{number:016x}{number:016x}"), now);
            self.provoke(ComponentApi::ComponentToken);
            return Ok(());
        }
        self.right_the_secret(now);
        // As a person does who has mended it.
        if let Some(daemon) = self.daemon.take() {
            daemon.stop().await;
        }
        self.boot(None).await
    }

    fn set_secret(&self, secret: String, now: i64) {
        let setup = ComponentSetup { secret: Some(secret), ..ComponentSetup::default() };
        let set = self.sim.world().set_component(&setup, now);
        set.unwrap_or_else(|error| panic!("a secret is a text: {error}"));
    }

    fn right_the_secret(&self, now: i64) {
        if let Some(platform) = &self.platform {
            self.set_secret(platform.secret.clone(), now);
        }
    }

    /// What other systems get lies on disk, and they cost one refresh together.
    async fn many_ask(&mut self, times: usize) -> Verdict {
        let (account, now) = (self.some_account(), self.wechat_now());
        if self.chance.random_bool(0.5) {
            self.time.advance(Duration::from_mins(self.chance.random_range(60..150)));
        }
        let Some(daemon) = self.daemon.take() else { return Ok(()) };
        let asked = account.parse().unwrap_or_else(|_| panic!("{account} is no appid"));
        let answers = match daemon.ask_for_token(asked, times).await {
            Ok(answers) => answers,
            Err(Died) => return self.bury(daemon).await,
        };
        self.daemon = Some(daemon);
        let Some(platform) = &self.platform else { return Ok(()) };
        platform.witness.reads_the_rows().await;
        let handed: Vec<&String> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
        if !handed.iter().all(|token| platform.witness.knows(token)) {
            return broken(
                super::token_promises::PROMISE,
                format!("a token of {account} was handed out before its row"),
            );
        }
        let unknown = answers.iter().filter(|answer| matches!(answer, Err(ServeError::Unknown))).count();
        if unknown > 0 && unknown < answers.len() {
            return broken("whoever asks together is answered alike", format!("{answers:?} at {now}"));
        }
        self.sees_no_wrong()
    }

    async fn operator_asks(&mut self, is_sync: bool) -> Verdict {
        let task = if is_sync { TokenTask::Sync } else { TokenTask::Refresh(self.some_account()) };
        let asked = self.desk.store().ask_for_tokens(task, self.time.now()).await;
        match asked {
            Ok(_) => Ok(()),
            Err(error) => broken("an operator is obeyed", error.to_string()),
        }
    }

    /// A process is about to begin.
    pub(super) fn process_begins(&self) {
        if let Some(platform) = &self.platform {
            platform.witness.process_begins(self.wechat_now());
        }
    }

    /// How long until the platform must be looked at again: at once where something is left to be done.
    pub(super) async fn until_tended(&mut self, things_happen: bool) -> Duration {
        let store = self.desk.store();
        if self.platform.is_none() {
            return WATCH_EVERY;
        }
        let is_left = super::invariants::readable(store.open_pushes(1).await).len()
            + usize::from(super::invariants::readable(store.lacks_refresh_tokens().await));
        let hurries = self.with_platform(|platform| {
            platform.hurries = if is_left == 0 { 0 } else { platform.hurries + 1 };
            platform.hurries
        });
        match hurries {
            Some(1..=HURRIES_MAX) => HURRY,
            _ if things_happen || is_left > 0 => TICKETS,
            _ => WATCH_EVERY,
        }
    }

    /// Everybody authorizes the platform, and whoever was suspended for want of that goes on.
    pub(super) async fn everybody_authorizes(&mut self) -> Verdict {
        if self.platform.is_none() {
            return Ok(());
        }
        self.calm_the_platform().await?;
        // What was held until the day's end is held no more.
        self.live_for(Duration::from_hours(30), false).await?;
        let now = self.wechat_now();
        for number in 0..ACCOUNTS {
            let done = authorize(&mut self.sim.world(), &account(number), &WITH_LINKS, now);
            done.unwrap_or_else(|error| panic!("nobody can authorize: {error}"));
        }
        self.with_platform(|platform| platform.witness.event(now));
        self.live_for(Duration::from_mins(10), false).await?;
        self.nobody_is_left_suspended().await
    }

    async fn calm_the_platform(&mut self) -> Verdict {
        let now = self.wechat_now();
        {
            let mut world = self.sim.world();
            let switches = &mut world.switches;
            (switches.push_delay, switches.list_hides_refresh, switches.push_repeats) = (Span::ZERO, false, 3);
            // There is a platform.
            let _ = world.release_pushes();
        }
        self.with_platform(|platform| platform.held_until = None);
        self.right_the_secret(now);
        if let Some(daemon) = self.daemon.take() {
            daemon.stop().await;
        }
        self.boot(None).await
    }

    async fn nobody_is_left_suspended(&self) -> Verdict {
        const LACKING: [i64; 4] = [61_003, 61_007, 42_007, 61_023];
        let views = super::invariants::readable(self.desk.store().account_views(None, None, u32::MAX).await);
        let is_left = |code: Option<i64>| code.is_some_and(|code| LACKING.contains(&code));
        let by_wechat = |by: &Option<String>| by.as_deref() == Some("wechat");
        match views.into_iter().find(|view| by_wechat(&view.suspended_by) && is_left(view.errcode)) {
            Some(view) => broken("an account that authorizes the platform goes on", format!("{view:?} of {COMPONENT}")),
            None => Ok(()),
        }
    }
}

/// An account authorizes the platform, for the first time or anew.
fn authorize(world: &mut crate::sim::World, account: &str, sets: &[u32], now: i64) -> Result<(), PlatformError> {
    match world.authorize(account, AuthorizerKind::Account, Some(sets), now) {
        Err(PlatformError::Authorized(_)) => world.reauthorize(account, Some(sets), now).map(drop),
        done => done.map(drop),
    }
}
