//! How accounts come onto the agenda: at the start, on a wake-up, and when one was made due in the moment it left. It must
//! never poll.

use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};

use super::{
    agenda::Facts,
    drive::{Driver, FROM_THE_START, PAGE, PANIC_PAUSE},
    promise::Begun,
    rest::AT_ONCE,
};
use crate::{
    domain::time::Time,
    store::{StoreError, accounts::AccountRow},
};

/// How far ahead of the calendar a look can be that was made under it: clocks of machines differ by a little.
const AHEAD_MAX: Duration = Duration::from_secs(5);

impl Driver {
    /// Everything that brings accounts: the next page of a start or of a drift check, wake-ups, a near miss.
    pub(super) async fn take_arrivals(&mut self) -> Result<(), StoreError> {
        self.heed_steps();
        if self.engine.reload.swap(false, Ordering::AcqRel) {
            self.loading = Some(FROM_THE_START);
        }
        self.load_later = false;
        self.take_wakeups(self.waking.unwrap_or(0)).await?;
        self.look_after_those_who_left().await
    }

    /// The calendar was stepped, or the machine slept, which the stopwatch does not count: what is written down is due by
    /// the calendar, so that every account is put where it belongs now.
    fn heed_steps(&mut self) {
        let now = Begun::now(self.engine.clock());
        let apart = self.together.apart(now);
        self.together = now;
        if apart > AHEAD_MAX {
            tracing::warn!(
                apart_s = apart.as_secs(),
                "the calendar was stepped or the machine slept: due times are read anew"
            );
            self.loading = Some(FROM_THE_START);
            self.rereading = true;
        }
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
            tracing::error!(error = %error, "engine.load.failed");
            self.load_later = true;
        }
    }

    /// The next page of accounts with something due; nothing when all are on the agenda.
    pub(super) async fn load_page(&mut self) -> Result<(), StoreError> {
        let Some(after) = self.loading else { return Ok(()) };
        let rows = self.engine.store().due_accounts(after, PAGE).await?;
        self.loading = rows.last().filter(|_| rows.len() == PAGE as usize).map(|row| (due_of(row), row.id));
        for row in rows {
            if self.rereading || !self.agenda.holds(row.id) {
                let due = Time::from_ms(due_of(&row));
                self.put(&row, due);
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
        let rows = self.engine.store().accounts(&self.left).await?;
        self.left.clear();
        for row in rows {
            let Some(due) = row.next_check_at.filter(|_| !self.agenda.holds(row.id)) else { continue };
            // Zero is what the store writes where a request is open that no poll can read: it must not be asked in a loop.
            let soonest = if due > 0 { Time::from_ms(due) } else { self.engine.clock().now() + PANIC_PAUSE };
            self.put(&row, soonest);
        }
        Ok(())
    }

    /// A page of wake-ups. Those of an account that is being polled are kept until the poll is over, and do not keep the
    /// next page from anybody.
    pub(super) async fn take_wakeups(&mut self, after: i64) -> Result<(), StoreError> {
        let woken = self.engine.store().wakeups(after, PAGE).await?;
        self.waking = None;
        let Some(last) = woken.last().map(|(seq, _)| *seq) else { return Ok(()) };
        let is_full = woken.len() == PAGE as usize;
        let mut names: Vec<String> = woken.into_iter().map(|(_, account)| account).collect();
        names.sort_unstable();
        names.dedup();
        let now = self.engine.clock().now();
        let rows = self.engine.store().accounts(&names).await?;
        let (rows, kept): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| !self.agenda.is_at_work(row.id));
        let kept: HashSet<&str> = kept.iter().map(|row| row.account.as_str()).collect();
        names.retain(|name| !kept.contains(name.as_str()));
        self.engine.store().take_wakeups(last, names, now).await?;
        for row in rows {
            self.wake(row, now);
        }
        self.waking = is_full.then_some(last);
        Ok(())
    }

    fn wake(&mut self, row: AccountRow, now: Time) {
        match row.suspended_by.as_deref() {
            Some("operator") => drop(self.agenda.remove(row.id)),
            Some(_) => {
                let due = row.next_check_at.map_or(now, Time::from_ms);
                self.put(&row, due);
            }
            None => self.put(&AccountRow { reread_at: Some(AT_ONCE.ms()), ..row }, now),
        }
    }

    fn put(&mut self, row: &AccountRow, due: Time) {
        let Ok(account) = row.account.parse() else {
            tracing::error!(account = row.account, "db.bad_row: an account's name is not an appid; it is left alone");
            return;
        };
        // One that was looked at in the future was written down under another calendar: its time means nothing.
        let now = self.engine.clock().now();
        let is_from_elsewhere = row.checked_at.is_some_and(|at| Time::from_ms(at) > now + AHEAD_MAX);
        let due = self.on_stopwatch(if is_from_elsewhere { now } else { due });
        let facts = Facts {
            row: row.id,
            listing_hash: row.listing_hash,
            pace_from: row.pace_from.map(Time::from_ms),
            reread_at: row.reread_at.map(Time::from_ms),
            checked_at: row.checked_at.map(Time::from_ms),
            failures: u32::try_from(row.failures).unwrap_or(u32::MAX),
            is_suspended: row.suspended_by.is_some(),
            budget_day: row.budget_day,
            budget_used: row.budget_used,
        };
        self.agenda.put(account, &facts, due);
    }
}

fn due_of(row: &AccountRow) -> i64 {
    row.next_check_at.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, sync::Arc};

    use super::*;
    use crate::{
        clock::{ManualClock, SharedClock},
        domain::{
            policy::Policy,
            request::{Kind, LinkOptions},
        },
        engine::{Engine, Settings, accept::Wish},
        store::{Location, Role, Store},
        wechat::{Client, ClientConfig, TokenSource, Tokens, Wechat},
    };

    /// More than two pages, all due at the same moment, as an import leaves them.
    const MANY: usize = 2 * PAGE as usize + 7;

    fn wish(number: usize) -> Wish {
        Wish {
            kind: Kind::Link(LinkOptions::default()),
            account: format!("wx{number:016}").parse().unwrap(),
            program: "wxfedcba9876543210".parse().unwrap(),
            username: None,
            key: None,
            labels: std::collections::BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn a_start_brings_everybody_page_by_page_and_a_page_that_fails_waits_for_the_next_tick() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location { path: folder.path().join("a.db"), mode: 0o600 };
        let store = Store::open(&location, Role::Daemon).await.unwrap();
        let clock: SharedClock = ManualClock::starting_at(Time::from_ms(1_795_000_000_000));
        let nowhere = ClientConfig { base_url: "http://127.0.0.1:9".to_owned(), ..ClientConfig::default() };
        let tokens = Tokens::new(TokenSource::Static(std::collections::HashMap::new()), Arc::clone(&clock)).unwrap();
        let wechat = Wechat::new(Client::new(&nowhere).unwrap(), tokens);
        let settings =
            Settings { policy: Policy::default(), in_flight: 1, per_second: NonZeroU32::MIN, daily_budget: 1 };
        let engine = Engine::new(store, wechat, clock, settings);
        engine.recorder().accept((0..MANY).map(wish).collect()).await.unwrap();

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
        let left = engine.store().wakeups(0, 1).await.unwrap();
        assert_eq!((pages, left), (3, vec![]), "the wake-ups of the import are worked off page by page, too");

        driver.loading = Some(FROM_THE_START);
        engine.store().clone().close().await;
        driver.load_on().await;
        assert!(driver.load_later && driver.loading.is_some(), "it is tried again, and not in a loop");
    }
}
