//! Operator actions on many accounts at once: suspend, resume, check. The daemon notices within a second.

use super::{
    action::{self, Action},
    bulk_action::{self, BulkPage},
    writer::WriteCommand,
};
use crate::{
    domain::{
        action::{ActionKind, By},
        time::Time,
    },
    store::{
        Store, StoreError, bulk,
        sql::{self, Tx},
    },
};

/// Accounts changed in one transaction: some tens of milliseconds of the writer's time.
pub const ACCOUNTS_MAX: usize = 2_000;

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Nothing is called for it until a person says so.
    Suspend,
    /// It may be called again, whoever suspended it or held its calls back, and is looked at now.
    Resume,
    /// It is looked at now.
    Check,
}

const SUSPEND: &str = "
    UPDATE account
    SET state = 'suspended', suspended_by = 'operator', errcode = NULL, errmsg = NULL, since = $2, next_check_at = NULL,
        reread_at = $2, failures = 0, trouble = NULL, unread_since = NULL, asked = 0
    WHERE account IN (SELECT j.value FROM json_each($1) AS j) AND suspended_by IS DISTINCT FROM 'operator'
      AND (since = $3 OR $3 IS NULL)
    RETURNING account";

// Whoever resumes has mended what was wrong: what was held back for it is held back no more.
const RESUME: &str = "
    UPDATE account
    SET state = 'active', suspended_by = NULL, errcode = NULL, errmsg = NULL, since = $2, next_check_at = $2,
        reread_at = $2, failures = 0, trouble = NULL, unread_since = NULL, asked = 1,
        call_failures = 0, calls_refused_since = NULL, call_after = NULL, call_error = NULL
    WHERE account IN (SELECT j.value FROM json_each($1) AS j) AND suspended_by IS NOT NULL
      AND (since = $3 OR $3 IS NULL)
    RETURNING account";

// The same of an account that is not suspended and whose calls are held back.
const RELEASE: &str = "
    UPDATE account
    SET next_check_at = $2, reread_at = $2, asked = 1,
        call_failures = 0, calls_refused_since = NULL, call_after = NULL, call_error = NULL
    WHERE account IN (SELECT j.value FROM json_each($1) AS j) AND suspended_by IS NULL AND calls_refused_since IS NOT NULL
      AND (since = $3 OR $3 IS NULL)
    RETURNING account";

// One that WeChat suspended is probed now.
const CHECK: &str = "
    UPDATE account
    SET next_check_at = $2, reread_at = $2, asked = 1
    WHERE account IN (SELECT j.value FROM json_each($1) AS j) AND suspended_by IS DISTINCT FROM 'operator'
      AND (since = $3 OR $3 IS NULL)
    RETURNING account";

const UNASKED: &str = "
    SELECT a.account FROM json_each($1) AS j CROSS JOIN account AS a ON a.account = j.value WHERE a.asked = 0";

const WAKE: &str = "INSERT INTO wakeup (account, at, asked) SELECT j.value, $2, 1 FROM json_each($1) AS j";

impl Store {
    /// Says a word of these accounts, at most [`ACCOUNTS_MAX`]. Answers which it changed: not those that are unknown, nor
    /// those of which it is true already.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn tell_accounts(
        &self,
        word: Word,
        accounts: Vec<String>,
        by: By,
        now: Time,
    ) -> Result<Vec<String>, StoreError> {
        self.writer.write(TellAccounts { word, accounts, since: None, by, now, page: None }).await
    }

    /// The same for a page of an action on many.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn tell_page(
        &self,
        word: Word,
        accounts: Vec<String>,
        by: By,
        now: Time,
        page: BulkPage,
    ) -> Result<(), StoreError> {
        self.writer.write(TellAccounts { word, accounts, since: None, by, now, page: Some(page) }).await.map(drop)
    }

    /// Says a word of an account that has stood as it does since then. Answers whether it changed it.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn tell_account_as_read(
        &self,
        word: Word,
        account: String,
        since: Time,
        by: By,
        now: Time,
    ) -> Result<bool, StoreError> {
        let tell = TellAccounts { word, accounts: vec![account], since: Some(since), by, now, page: None };
        Ok(!self.writer.write(tell).await?.is_empty())
    }

    /// Those of these accounts for whose look nobody waits, or nobody any more.
    pub async fn accounts_unasked(&self, accounts: &[String]) -> Result<Vec<String>, StoreError> {
        Ok(sql::query_scalar(UNASKED).bind(bulk::json(accounts)).fetch_all(self.readers()).await?)
    }
}

#[derive(Debug)]
struct TellAccounts {
    word: Word,
    accounts: Vec<String>,
    /// Since when they stand as they do; any time where there is none.
    since: Option<Time>,
    by: By,
    now: Time,
    page: Option<BulkPage>,
}

impl WriteCommand for TellAccounts {
    type Answer = Vec<String>;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<Vec<String>, StoreError> {
        let Self { word, accounts, since, by, now, page } = self;
        let (kind, statements): (_, &[&'static str]) = match word {
            Word::Suspend => (ActionKind::Suspend, &[SUSPEND]),
            // An account is one or the other.
            Word::Resume => (ActionKind::Resume, &[RELEASE, RESUME]),
            Word::Check => (ActionKind::Check, &[CHECK]),
        };
        let mut changed: Vec<String> = Vec::with_capacity(accounts.len());
        for sql in statements {
            let query = sql::query_scalar(*sql).bind(bulk::json(accounts)).bind(now.ms()).bind(since.map(Time::ms));
            changed.extend(query.fetch_all(&mut *tx).await?);
        }
        if !changed.is_empty() {
            sql::query(WAKE).bind(bulk::json(&changed)).bind(now.ms()).execute(&mut *tx).await?;
            action::add(tx, &Action::of_each(kind, &changed, by, *now)).await?;
        }
        if let Some(page) = page {
            bulk_action::advance(tx, page, changed.len() as u64).await?;
        }
        Ok(changed)
    }
}
