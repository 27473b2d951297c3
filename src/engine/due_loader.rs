//! How accounts get onto the due queue: at startup, on a wakeup, and when one becomes due just as it leaves.

use std::{collections::HashMap, sync::atomic::Ordering, time::Duration};

use super::{
    completion_guard::ClockReading,
    drive::{Driver, FROM_THE_START, PAGE},
};
use crate::{
    domain::{
        account::{AT_ONCE, Status, SuspendedBy},
        pace::Pace,
        policy::LOOK_EVERY_MAX,
        tenure::lease::Lease,
        time::Time,
    },
    store::{
        StoreError,
        write::{accounts::Account, wakeups::Heard},
    },
};

/// How far ahead of the calendar a look can be that was made under it: clocks of machines differ by a little.
const AHEAD_MAX: Duration = Duration::from_secs(5);

/// How long an account rests whose open request no poll can read.
const UNREADABLE_PAUSE: Duration = Duration::from_mins(5);

/// How often accounts are looked at whose rows were not legal: a person who mends one sees it go on.
const MENDED_EVERY: Duration = Duration::from_secs(10);

impl Driver {
    /// Everything that brings accounts: the next page of a start or of a drift check, wake-ups, a near miss.
    pub(super) async fn take_arrivals(&mut self) -> Result<(), StoreError> {
        self.heed_policy();
        self.plan_ahead().await;
        self.heed_steps();
        if self.engine.reload.swap(false, Ordering::AcqRel) {
            self.loading = Some(FROM_THE_START);
        }
        self.load_later = false;
        self.heed_ownership().await?;
        self.take_wakeups(self.waking.unwrap_or(0)).await?;
        // After the accounts that were woken with it, before any of them is looked at.
        self.engine.reload_gates().await?;
        self.take_up_the_mended().await?;
        self.look_after_those_who_left().await
    }

    /// Accounts whose rows were not legal, once somebody has mended them.
    async fn take_up_the_mended(&mut self) -> Result<(), StoreError> {
        let now = self.engine.clock().monotonic();
        if self.mended_at.is_some_and(|at| now.saturating_sub(at) < MENDED_EVERY) {
            return Ok(());
        }
        self.mended_at = Some(now);
        for account in self.engine.store().mended_accounts().await? {
            tracing::info!(account = %account.id, "the account's row is valid again: following it");
            if let Some(due) = account.state.due.filter(|_| !self.agenda.holds(account.state.row)) {
                self.put(account, due);
            }
        }
        Ok(())
    }

    /// The calendar was stepped, or the machine slept, which the stopwatch does not count: what is written down is due by
    /// the calendar, so that every account is put where it belongs now.
    fn heed_steps(&mut self) {
        let now = ClockReading::now(self.engine.clock());
        let apart = self.together.apart(now);
        self.together = now;
        if apart > AHEAD_MAX {
            tracing::warn!(
                apart_s = apart.as_secs(),
                "the clock was stepped or the machine slept: reloading due times"
            );
            self.loading = Some(FROM_THE_START);
            self.rereading = true;
        }
    }

    /// Somebody has changed the policy: whoever waits longer than it allows is due sooner, and all lists are read again, for
    /// time limits were counted by the old one.
    fn heed_policy(&mut self) {
        if !self.engine.has_new_policy.swap(false, Ordering::AcqRel) {
            return;
        }
        self.planned_at = None;
        let (policy, stretch) = (self.engine.policy(), self.engine.stretch());
        let (now, stopwatch) = (self.engine.clock().now(), self.engine.clock().monotonic());
        self.agenda.heed(stopwatch, |state| {
            let from = state.read_at.filter(|_| state.failures == 0 && !state.is_suspended())?;
            let due = state.due_if_unchanged(Pace { policy: &policy, stretch }, from);
            Some(now.until(due).min(LOOK_EVERY_MAX))
        });
    }

    /// Whether pages wait that can be read at once.
    pub(super) const fn has_more_to_load(&self) -> bool {
        (self.loading.is_some() || self.waking.is_some()) && !self.load_later
    }

    /// The next page of a start, of a drift check and of the wake-ups of an import. What is due is begun between two
    /// pages: nothing waits until all are read.
    pub(super) async fn load_on(&mut self) {
        let woken = match self.waking {
            Some(after) => self.take_wakeups(after).await,
            None => Ok(()),
        };
        if let Err(error) = woken.and(self.load_page().await) {
            tracing::error!(
                event = "engine.load.failed",
                error = %error,
                "could not read due accounts; will retry"
            );
            self.load_later = true;
        }
    }

    /// The next page of accounts with something due; nothing when all are on the agenda.
    pub(super) async fn load_page(&mut self) -> Result<(), StoreError> {
        let Some(after) = self.loading else { return Ok(()) };
        let page = self.engine.store().due_accounts(after, PAGE, self.owned.shard_bits()).await?;
        self.loading = page.next;
        for account in page.accounts {
            if self.rereading || !self.agenda.holds(account.state.row) {
                let due = account.state.due.unwrap_or(AT_ONCE);
                self.put(account, due);
            }
        }
        self.rereading &= self.loading.is_some();
        Ok(())
    }

    /// An account can be made due between the last write of its poll and its leaving, as the drift check does.
    async fn look_after_those_who_left(&mut self) -> Result<(), StoreError> {
        if self.left.is_empty() {
            return Ok(());
        }
        let accounts = self.engine.store().accounts(&self.left).await?;
        self.left.clear();
        for account in accounts {
            let Some(due) = account.state.due.filter(|_| !self.agenda.holds(account.state.row)) else { continue };
            // Zero is what the store writes where a request is open that no poll can read: it must not be asked in a loop.
            let soonest = if due > AT_ONCE { due } else { self.engine.clock().now() + UNREADABLE_PAUSE };
            self.put(account, soonest);
        }
        Ok(())
    }

    /// A page of wake-ups. Those of an account that is being polled are kept until the poll is over, and do not keep the
    /// next page from anybody.
    pub(super) async fn take_wakeups(&mut self, after: i64) -> Result<(), StoreError> {
        let woken = self.engine.store().wakeups(after, PAGE, self.heard()).await?;
        self.waking = None;
        let Some(last) = woken.last().map(|wakeup| wakeup.seq) else { return Ok(()) };
        let is_full = woken.len() == PAGE as usize;
        let (mut asked, mut seqs): (HashMap<String, bool>, HashMap<String, Vec<i64>>) = Default::default();
        for wakeup in woken {
            seqs.entry(wakeup.account.clone()).or_default().push(wakeup.seq);
            *asked.entry(wakeup.account).or_default() |= wakeup.asked;
        }
        let now = self.engine.clock().now();
        let names: Vec<String> = asked.keys().cloned().collect();
        let known = self.engine.store().accounts(&names).await?;
        let (accounts, kept): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|account| !self.agenda.is_at_work(account.state.row));
        for account in kept {
            asked.remove(account.id.as_str());
            seqs.remove(account.id.as_str());
        }
        let seqs = seqs.into_values().flatten().collect();
        let mut taken: Vec<(String, bool)> = asked.iter().map(|(name, asked)| (name.clone(), *asked)).collect();
        taken.sort_unstable();
        self.engine.store().take_wakeups(seqs, taken, now).await?;
        for account in accounts {
            let is_asked = asked.get(account.id.as_str()).is_some_and(|asked| *asked);
            self.wake(account, is_asked, now);
        }
        self.waking = is_full.then_some(last);
        Ok(())
    }

    fn wake(&mut self, mut account: Account, is_asked: bool, now: Time) {
        match account.state.status {
            Status::Suspended(SuspendedBy::Operator) => drop(self.agenda.remove(account.state.row)),
            Status::Suspended(SuspendedBy::Wechat) => {
                let due = account.state.due.unwrap_or(now);
                self.put(account, due);
            }
            Status::Active | Status::Unread { .. } => {
                account.state.reread_at = Some(AT_ONCE);
                account.state.asked |= is_asked;
                self.put(account, now);
            }
        }
    }

    /// Whose wake-ups are heard: those of accounts that are worked on, and with the house those that are of none.
    fn heard(&self) -> Heard {
        let is_house = self.engine.ownership().open().contains(Lease::House);
        Heard { shard_bits: self.owned.shard_bits(), strangers: is_house }
    }

    fn put(&mut self, account: Account, due: Time) {
        let Account { id, state } = account;
        if !self.owned.holds_row(state.row) {
            return;
        }
        // One that was looked at in the future was written down under another calendar: its time means nothing.
        let now = self.engine.clock().now();
        let is_from_elsewhere = state.read_at.is_some_and(|at| at > now + AHEAD_MAX);
        let due = self.on_stopwatch(if is_from_elsewhere { now } else { due });
        self.agenda.put(id, &state, due, state.class(now));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::action::By;
    use crate::engine::fixture::{self, wish};

    /// More than two pages, all due at the same moment, as an import leaves them.
    const MANY: usize = 2 * PAGE as usize + 7;

    #[tokio::test]
    async fn a_start_brings_everybody_page_by_page_and_a_page_that_fails_waits_for_the_next_tick() {
        let folder = tempfile::tempdir().unwrap();
        let engine = fixture::engine(folder.path()).await;
        engine.recorder().by(By::simulated()).accept((0..MANY).map(wish).collect()).await.unwrap();

        let mut driver = Driver::start(Arc::clone(&engine)).await.unwrap();
        let mut pages = 1;
        while driver.loading.is_some() {
            driver.load_on().await;
            pages += 1;
        }
        assert_eq!((driver.accounts(), pages), (MANY, 3));

        driver.take_arrivals().await.unwrap();
        let mut pages = 1;
        while driver.has_more_to_load() {
            driver.load_on().await;
            pages += 1;
        }
        let left = engine.store().wakeups(0, 1, Heard::ALL).await.unwrap();
        assert_eq!((pages, left), (3, vec![]), "the wake-ups of the import are worked off page by page, too");

        driver.loading = Some(FROM_THE_START);
        engine.store().clone().close().await;
        driver.load_on().await;
        assert!(driver.load_later && driver.loading.is_some(), "it is tried again, and not in a loop");
    }
}
