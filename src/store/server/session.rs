//! The database thread's connection. What it asks, it waits for: the thread is its runtime.

use std::{
    cell::{Cell, RefCell},
    fmt, io,
    sync::Arc,
};

use sqlx::{PgConnection, postgres::PgRow};
use tokio::runtime::{Builder, Runtime};

use super::{
    connect::{Way, connect},
    transaction::{self, Confirmed, within},
};
use crate::store::{
    StoreError,
    sql::{Arg, for_postgres, postgres},
};

/// A connection with the runtime that drives it.
pub(in crate::store) struct Session {
    // Dropped before the runtime that its socket belongs to.
    connection: RefCell<PgConnection>,
    runtime: Runtime,
    way: Way,
    is_idle: Cell<bool>,
}

impl fmt::Debug for Session {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.way)
    }
}

impl Session {
    pub(in crate::store) fn open(way: &Way) -> Result<Self, StoreError> {
        let failed = |error: io::Error| StoreError::Broken(Arc::new(error));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let connection = runtime.block_on(connect(&way.address))?;
        Ok(Self { connection: RefCell::new(connection), runtime, way: way.clone(), is_idle: Cell::new(true) })
    }

    /// Whether no transaction is left open on it.
    pub(in crate::store) const fn is_idle(&self) -> bool {
        self.is_idle.get()
    }

    pub(in crate::store) fn execute(&self, sql: &'static str, args: &[Arg<'_>]) -> Result<usize, StoreError> {
        let args = for_postgres(args.to_vec())?;
        let connection = &mut *self.connection.borrow_mut();
        let done = sqlx::query_with(postgres(sql.into()), args).execute(connection);
        let done = self.runtime.block_on(within(async { Ok(done.await?) }))?;
        Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
    }

    pub(in crate::store) fn rows(&self, sql: &'static str, args: &[Arg<'_>]) -> Result<Vec<PgRow>, StoreError> {
        let args = for_postgres(args.to_vec())?;
        let connection = &mut *self.connection.borrow_mut();
        let rows = sqlx::query_with(postgres(sql.into()), args).fetch_all(connection);
        self.runtime.block_on(within(async { Ok(rows.await?) }))
    }

    /// Does `work`, all of it or nothing.
    pub(in crate::store) fn transact(&self, work: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.is_idle.set(false);
        let begun = self.runtime.block_on(transaction::begin(&mut self.connection.borrow_mut(), &self.way));
        let written = begun.and_then(|number| {
            work()?;
            self.runtime.block_on(transaction::commit(&mut self.connection.borrow_mut(), &self.way, &number))
        });
        let is_over = match &written {
            Ok(confirmed) => *confirmed == Confirmed::Here,
            Err(_) => self.runtime.block_on(transaction::roll_back(&mut self.connection.borrow_mut())).is_ok(),
        };
        self.is_idle.set(is_over);
        written.map(drop)
    }
}
