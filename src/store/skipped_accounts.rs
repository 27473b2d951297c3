//! Accounts with invalid rows: remembered, so that they are polled again once somebody has repaired them, without a
//! restart and without reading every account again.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    Store, StoreError,
    account_row::{Account, AccountRow, select_accounts},
    bulk, decode,
    sql::{self, Row},
    tables::ACCOUNT,
};

/// Rows that are remembered. More of them are one defect, which somebody mends in one go: the next start reads all.
const REMEMBERED_MAX: usize = 10_000;

const BY_ROW: &str = select_accounts!("json_each($1) AS j JOIN account AS a ON a.id = j.value");

/// The numbers of their rows. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct SkippedAccounts(Arc<Mutex<BTreeSet<i64>>>);

impl SkippedAccounts {
    /// Remembers a row.
    pub(super) fn note(&self, row: i64) {
        let mut rows = self.rows();
        if rows.len() < REMEMBERED_MAX {
            rows.insert(row);
        }
    }

    fn note_all(&self, rows: impl IntoIterator<Item = i64>) {
        for row in rows {
            self.note(row);
        }
    }

    fn take(&self) -> BTreeSet<i64> {
        std::mem::take(&mut *self.rows())
    }

    fn rows(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        // Nothing in here panics halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Accounts that were left out because their rows were not legal, and that somebody has mended since.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read; they are asked for again by the next call.
    pub async fn mended_accounts(&self) -> Result<Vec<Account>, StoreError> {
        let rows = self.left_out.take();
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        match sql::query(BY_ROW).bind(bulk::json(&rows.iter().collect::<Vec<_>>())).fetch_all(self.readers()).await {
            // Those that are still not legal are noted anew.
            Ok(found) => Ok(self.legal(&found)),
            Err(error) => {
                self.left_out.note_all(rows);
                Err(error.into())
            }
        }
    }

    /// The accounts whose rows are legal. The others are told of, and left out until they are.
    pub(super) fn legal(&self, rows: &[Row]) -> Vec<Account> {
        let read = |row: &Row| match decode::one::<AccountRow>(row, ACCOUNT).and_then(Account::try_from) {
            Ok(account) => Some(account),
            Err(bad) => {
                decode::tell(&bad);
                if let Some(id) = decode::column(row, "id") {
                    self.left_out.note(id);
                    self.scan.suspect(ACCOUNT.name, id);
                }
                None
            }
        };
        rows.iter().filter_map(read).collect()
    }
}
