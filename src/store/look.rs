//! What a look at an account asks, each in one piece of work of the database thread: everything that is known before its
//! list is thought through, and everything that may be different right before a call.

use std::{collections::HashMap, sync::Arc};

use super::{
    BadRow, Store, StoreError,
    account_row::Account,
    accounts,
    executor::Db,
    programs::{self, Mirror},
    requests,
};
use crate::domain::{
    id::{AccountId, ProgramId, RequestId},
    listing::Listing,
    request::Request,
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

impl Store {
    /// Everything that is known of an account, for reading its list, whose items have these names
    /// ([`programs::item_names`]).
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn known(
        &self,
        account: &AccountId,
        listing: &Arc<Listing>,
        names: &Arc<Vec<String>>,
    ) -> Result<Known, StoreError> {
        let (account, listing, names) = (account.clone(), Arc::clone(listing), Arc::clone(names));
        let look = move |db: Db<'_>| {
            let usernames: Vec<&str> = listing.items.iter().filter_map(|item| item.username.as_deref()).collect();
            Ok(Known {
                requests: requests::watched(db, &account)?,
                mirror: programs::mirrored(db, &account, &names)?,
                programs: programs::named(db, &usernames)?,
            })
        };
        self.executor.read(look).await
    }

    /// Every request of an account that a listing may still move: the open ones and the linked. A row that is not legal is
    /// an error of its own and holds up no other.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn watched_requests(&self, account: &AccountId) -> Result<Vec<Result<Request, BadRow>>, StoreError> {
        let account = account.clone();
        self.executor.read(move |db| requests::watched(db, &account)).await
    }

    /// Whether the account's list has ever shown anything that is remembered.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn has_listed(&self, account: &AccountId) -> Result<bool, StoreError> {
        let account = account.clone();
        self.executor.read(move |db| programs::has_listed(db, &account)).await
    }

    /// A request that is about to be called, and its account, as they stand at this moment; nothing where there is none or,
    /// of an account, where its row is not legal.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read, or the request's row is not legal.
    pub async fn before_call(
        &self,
        request: &RequestId,
        account: &AccountId,
    ) -> Result<(Option<Request>, Option<Account>), StoreError> {
        let (request, account) = (request.clone(), account.clone());
        self.executor.read(move |db| Ok((requests::moved(db, &request)?, accounts::known(db, &account)?))).await
    }
}
