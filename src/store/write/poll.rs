//! What a poll reads, each in one job of the database thread: everything known before its list is analyzed, and
//! everything that may have changed right before a call.

use std::{collections::HashMap, sync::Arc};

use super::{
    accounts,
    chain::Transition,
    followed,
    programs::{self, Mirror},
    record,
};
use crate::{
    domain::{
        id::{AccountId, ProgramId, RequestId},
        listing::Listing,
        request::Request,
    },
    store::{BadRow, Record, Recorded, Store, StoreError, account_row::Account, executor::Db},
};

/// What is known of an account.
#[derive(Debug)]
pub struct Known {
    /// Every request that its list may still move: the open ones and the linked. A row that is not legal is an error of its
    /// own and holds up no other.
    pub requests: Vec<Result<Request, BadRow>>,
    /// What is remembered of its list.
    pub mirror: Mirror,
    /// The programs of the `gh_` ids in its list, as far as any list taught them.
    pub programs: HashMap<String, ProgramId>,
}

impl Known {
    fn of(db: Db<'_>, account: &AccountId, listing: &Listing, names: &[String]) -> Result<Self, StoreError> {
        let usernames: Vec<&str> = listing.items.iter().filter_map(|item| item.username.as_deref()).collect();
        Ok(Self {
            requests: followed::watched(db, account)?,
            mirror: programs::mirrored(db, account, names)?,
            programs: programs::named(db, &usernames)?,
        })
    }
}

impl Store {
    /// Everything that is known of an account, for reading its list, whose items have these names
    /// ([`programs::item_names`]).
    pub async fn known(
        &self,
        account: &AccountId,
        listing: &Arc<Listing>,
        names: &Arc<Vec<String>>,
    ) -> Result<Known, StoreError> {
        let (account, listing, names) = (account.clone(), Arc::clone(listing), Arc::clone(names));
        self.executor.read(move |db| Known::of(db, &account, &listing, &names)).await
    }

    /// Reads everything that is known of an account, has it thought through together with the list, and writes the record
    /// that comes of it, all in one transaction. Answers the moves in it, and what else came of it.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn learn<T: Send + 'static>(
        &self,
        account: AccountId,
        listing: Arc<Listing>,
        names: Arc<Vec<String>>,
        mut think: impl FnMut(Known) -> (Record, T) + Send + 'static,
    ) -> Result<(Vec<Transition>, T), StoreError> {
        let learn = move |db: Db<'_>| {
            let (record, learned) = think(Known::of(db, &account, &listing, &names)?);
            Ok((write(db, &record)?, learned))
        };
        self.executor.write(learn).await
    }

    /// Every request of an account that a listing may still move: the open ones and the linked. A row that is not legal is
    /// an error of its own and holds up no other.
    pub async fn watched_requests(&self, account: &AccountId) -> Result<Vec<Result<Request, BadRow>>, StoreError> {
        let account = account.clone();
        self.executor.read(move |db| followed::watched(db, &account)).await
    }

    /// Whether the account's list has ever shown anything that is remembered.
    pub async fn has_listed(&self, account: &AccountId) -> Result<bool, StoreError> {
        let account = account.clone();
        self.executor.read(move |db| programs::has_listed(db, &account)).await
    }

    /// Reads a request that is about to be called, and its account, as they stand at this moment, has them judged, and writes
    /// the record that comes of it, all in one transaction. There is nothing where there is none or, of an account, where its
    /// row is not legal. Answers the moves in the record, and what else came of it.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was written, or the request's row is not legal.
    pub async fn before_call<T: Send + 'static>(
        &self,
        request: RequestId,
        account: AccountId,
        mut judge: impl FnMut(Option<Request>, Option<Account>) -> (Option<Record>, T) + Send + 'static,
    ) -> Result<(Vec<Transition>, T), StoreError> {
        let work = move |db: Db<'_>| {
            let (record, judged) = judge(followed::moved(db, &request)?, accounts::known(db, &account)?);
            Ok((record.map_or(Ok(Vec::new()), |record| write(db, &record))?, judged))
        };
        self.executor.write(work).await
    }
}

/// Writes what was decided by rows of the same transaction; answers the moves in it.
fn write(db: Db<'_>, record: &Record) -> Result<Vec<Transition>, StoreError> {
    match record::write(db, record)? {
        Recorded::Written => Ok(record.moves()),
        Recorded::Stale => Err(StoreError::defect("a request changed within a transaction")),
    }
}
