//! Which accounts this daemon works on: all of them in a file, and at a server those of its shards, which come and go. What is
//! taken over is read as after a start; what is to be handed over is let go of in good order, and only then given away.

use std::collections::VecDeque;

use super::{
    Engine,
    drive::{Driver, FROM_THE_START},
    due_queue::Unmade,
    orphaned_calls::mark_calls_lost,
    reconcile_restored::reconcile,
};
use crate::{
    domain::tenure::{
        lease::{Lease, Leases},
        member::Calls,
    },
    store::{StoreError, ownership::Ownership},
};

impl Engine {
    /// What this process may work on.
    #[must_use]
    pub fn ownership(&self) -> Ownership {
        self.store().ownership()
    }

    /// Takes part among the daemons of the database.
    pub(super) async fn join(&self) {
        self.store().join(self.limits()).await;
    }

    /// What all daemons together may call, as far as this one's configuration says.
    #[must_use]
    pub fn limits(&self) -> Calls {
        let settings = &self.in_force().settings;
        Calls {
            per_second_milli: u64::from(settings.per_second.get()) * 1_000,
            in_flight: u64::try_from(settings.in_flight).unwrap_or(u64::MAX),
        }
    }
}

impl Driver {
    /// Goes by what is owned now.
    ///
    /// # Errors
    /// [`StoreError`]: the next look goes on with it.
    pub(super) async fn heed_ownership(&mut self) -> Result<(), StoreError> {
        let open = self.engine.ownership().open();
        if self.owned != open.accounts() {
            self.let_go(self.owned.without(open)).await?;
            self.take_over(open).await?;
        }
        if self.engine.ownership().must_reread() {
            self.loading = Some(FROM_THE_START);
        }
        Ok(())
    }

    /// Takes up the accounts of new shards: calls of theirs that whoever had them never heard of, and what is due.
    async fn take_over(&mut self, open: Leases) -> Result<(), StoreError> {
        let gained = open.accounts().without(self.owned);
        if gained.is_empty() {
            return Ok(());
        }
        if open.contains(Lease::House) {
            reconcile(&self.engine).await?;
            if self.owned.is_empty() {
                self.engine.correct_times().await?;
            }
        } else if self.engine.store().copied().await?.is_some() {
            // Whoever has the house treats it first.
            return Ok(());
        }
        self.engine.load_gates().await?;
        self.engine.ownership().take_up(gained);
        mark_calls_lost(&self.engine, gained).await?;
        self.owned = self.owned.and(gained);
        self.loading = Some(FROM_THE_START);
        Ok(())
    }

    /// Lets go of the accounts of these shards. Polls that were written down and not begun are given back; what is under way
    /// is waited for.
    async fn let_go(&mut self, lost: Leases) -> Result<(), StoreError> {
        if lost.is_empty() {
            return Ok(());
        }
        // Whoever comes next reads their lists again.
        let calls = std::mem::take(&mut self.calls).into_iter();
        let (dropped, kept): (VecDeque<_>, VecDeque<_>) = calls.partition(|(id, ..)| lost.holds_row(*id));
        self.calls = kept;
        for (id, ..) in dropped {
            self.agenda.remove(id);
        }
        let unmade: Vec<Unmade> = self.agenda.unmade(|row| lost.holds_row(row));
        self.give_back(unmade).await?;
        let has_more = self.agenda.drop_idle(|row| lost.holds_row(row));
        if !has_more {
            self.owned = self.owned.without(lost);
            self.engine.ownership().put_down(lost);
        }
        Ok(())
    }
}
