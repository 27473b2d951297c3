//! What an authorization means for its account: one that ends suspends it, one that comes back resumes it, in the transaction
//! that records why.

use super::{urgency::Urgency, wakeups};
use crate::{
    domain::{authorizer::has_link_permission, errcode::Refusal, time::Time},
    store::{StoreError, decode, executor::Db},
};

const GONE: &str = "
    UPDATE authorizer
    SET state = 'unauthorized', since = CASE WHEN state = 'unauthorized' THEN since ELSE ?2 END, refresh = NULL,
        token = NULL, renew_at = NULL, token_until = NULL, generation = generation + 1,
        claimed_by = NULL, claimed_until = NULL, errcode = ?3, errmsg = ?4, failures = 0, retry_at = NULL, killed_at = NULL
    WHERE appid = ?1";

// Whoever is suspended by a person stays so.
const SUSPEND: &str = "
    UPDATE account
    SET state = 'suspended', suspended_by = 'wechat', errcode = ?2, errmsg = ?3,
        since = CASE WHEN suspended_by IS NULL THEN ?4 ELSE since END,
        next_check_at = ?4 + 3600000, trouble = NULL, unread_since = NULL, asked = 0
    WHERE account = ?1 AND suspended_by IS DISTINCT FROM 'operator'";

// The codes are those of an authorization or a permission that was lacking.
const RESUME: &str = "
    UPDATE account
    SET state = 'active', suspended_by = NULL, errcode = NULL, errmsg = NULL, since = ?2, failures = 0, last_error = NULL,
        call_failures = 0, calls_refused_since = NULL, call_after = NULL, call_error = NULL,
        next_check_at = ?2, reread_at = ?2
    WHERE account = ?1 AND suspended_by = 'wechat' AND errcode IN (61003, 61007, 42007, 61023)";

const RETRY: &str = "
    UPDATE account SET next_check_at = ?2, reread_at = ?2
    WHERE account = ?1 AND suspended_by IS NULL AND trouble = 'token'";

/// Whether the account may link is known: it is suspended, or resumed.
pub(super) fn judge(db: Db<'_>, appid: &str, permissions: &[i64], now: Time) -> Result<(), StoreError> {
    if has_link_permission(permissions) {
        return resume(db, appid, now);
    }
    let errmsg = "the account has authorized the platform without permission set 33 (小程序关联管理)".to_owned();
    suspend(db, appid, &Refusal { errcode: 61_007, errmsg }, now)
}

/// The authorization is gone: no token is left, and nothing is called any more.
pub(super) fn gone(db: Db<'_>, appid: &str, refusal: &Refusal, now: Time) -> Result<(), StoreError> {
    db.execute(GONE, (appid, now.ms(), refusal.errcode, &refusal.errmsg))?;
    suspend(db, appid, refusal, now)
}

pub(super) fn suspend(db: Db<'_>, appid: &str, refusal: &Refusal, now: Time) -> Result<(), StoreError> {
    let changed = db.execute(SUSPEND, (appid, refusal.errcode, &refusal.errmsg, now.ms()));
    if is_changed(appid, changed)? {
        wakeups::add_all(db, &[appid.to_owned()], Urgency::InTurn, now)?;
    }
    Ok(())
}

/// An account that was suspended for want of an authorization, or had no token, is looked at now.
pub(super) fn resume(db: Db<'_>, appid: &str, now: Time) -> Result<(), StoreError> {
    let is_resumed = is_changed(appid, db.execute(RESUME, (appid, now.ms())))?;
    if is_changed(appid, db.execute(RETRY, (appid, now.ms())))? || is_resumed {
        wakeups::add_all(db, &[appid.to_owned()], Urgency::Asked, now)?;
    }
    Ok(())
}

/// Whether the account was changed. One whose row is not valid holds up nothing that is known of its authorization.
fn is_changed(appid: &str, changed: Result<usize, StoreError>) -> Result<bool, StoreError> {
    let any = matches!(changed, Ok(1..));
    Ok(decode::apart("account", appid, changed)? && any)
}
