//! Recovers calls that were in flight when the last process ended.

use super::{Engine, bad_row::warn_of_bad_row};
use crate::{
    domain::{id::RequestId, observation::Observation, request::Request, tenure::lease::Leases},
    store::{Record, StoreError},
};

/// Calls read in one step.
const PAGE: u32 = 5_000;

/// A call of these shards whose answer is not recorded will never be answered in this process: the list decides.
pub(super) async fn mark_calls_lost(engine: &Engine, shards: Leases) -> Result<(), StoreError> {
    let mut after = String::new();
    loop {
        let ids = engine.store().calling(&after, PAGE).await?;
        let Some(last) = ids.last() else { return Ok(()) };
        after.clone_from(last);
        for id in ids {
            let Ok(id) = id.parse() else {
                tracing::error!(
                    event = "db.bad_row",
                    request.id = id,
                    "invalid request id: its call is in flight and cannot be followed"
                );
                continue;
            };
            match mark_call_lost(engine, &id, shards).await {
                Ok(()) => {}
                // It holds up itself alone, not the daemon.
                Err(error) if error.is_of_one_row() => warn_of_bad_row(&id, &error),
                Err(error) => return Err(error),
            }
        }
    }
}

async fn mark_call_lost(engine: &Engine, id: &RequestId, shards: Leases) -> Result<(), StoreError> {
    let request = engine.store().request(id).await?;
    if let Some(request) = request
        && is_in(engine, &request, shards).await?
    {
        tracing::warn!(request.id = %id, "a call was in flight when the last process ended: the account's list will tell");
        engine.recorder.observe(&request, &Observation::CallLost, Record::default()).await?;
    }
    Ok(())
}

/// Whether a request's account is in these shards. What has no account that can be read is nobody else's.
async fn is_in(engine: &Engine, request: &Request, shards: Leases) -> Result<bool, StoreError> {
    if shards == Leases::ALL.accounts() {
        return Ok(true);
    }
    let accounts = engine.store().accounts(&[request.account.to_string()]).await?;
    Ok(accounts.first().is_none_or(|account| shards.holds_row(account.state.row)))
}
