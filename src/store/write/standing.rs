//! One account is suspended or resumed on an operator's word.

use super::{
    action::{self, Action},
    urgency::Urgency,
    wakeups,
    writer::WriteCommand,
};
use crate::{
    domain::{
        action::{ActionKind, By},
        id::AccountId,
        time::Time,
    },
    store::{
        Store, StoreError,
        sql::{self, Tx},
    },
};

/// What a person says of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// We may call.
    Active,
    /// Nothing is called until a person says so.
    SuspendedByOperator,
}

const STAND: &str = "
    UPDATE account
    SET state = $2, suspended_by = $3, errcode = NULL, errmsg = NULL, since = $4, next_check_at = $5, reread_at = $4,
        failures = 0, last_error = NULL, trouble = NULL, unread_since = NULL, asked = $6,
        call_failures = 0, calls_refused_since = NULL, call_after = NULL, call_error = NULL
    WHERE account = $1";

impl Store {
    /// Suspends or resumes an account on an operator's word; the number of accounts changed, 0 when it is not known.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn set_standing(
        &self,
        account: &AccountId,
        standing: Standing,
        by: By,
        now: Time,
    ) -> Result<u64, StoreError> {
        self.writer.write(SetStanding { account: account.clone(), standing, by, now }).await
    }
}

#[derive(Debug)]
struct SetStanding {
    account: AccountId,
    standing: Standing,
    by: By,
    now: Time,
}

impl WriteCommand for SetStanding {
    type Answer = u64;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        let Self { account, standing, by, now } = self;
        let (kind, state, suspended_by, due) = match standing {
            Standing::Active => (ActionKind::Resume, "active", None, Some(now.ms())),
            Standing::SuspendedByOperator => (ActionKind::Suspend, "suspended", Some("operator"), None),
        };
        let changed = sql::query(STAND)
            .bind(account.as_str())
            .bind(state)
            .bind(suspended_by)
            .bind(now.ms())
            .bind(due)
            .bind(i64::from(due.is_some()))
            .execute(&mut *tx)
            .await?;
        if changed > 0 {
            wakeups::add(tx, &[account.as_str()], Urgency::Asked, *now).await?;
            action::add(tx, &[Action::of(kind, account.as_str(), by, *now)]).await?;
        }
        Ok(changed)
    }
}
