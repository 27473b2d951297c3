//! Gathers what is known of one request and has it explained. It reads the database alone.

use jiff::tz::TimeZone;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    explain::{Facts, explain},
    record::Recorder,
    wish::AskError,
};
use crate::{
    domain::{id::RequestId, text::parse::moment},
    store::read::views::ConflictFilter,
};

/// Conflicts told of one request: it meets a handful in its life.
pub const CONFLICTS_MAX: u32 = 100;

/// What is said of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Explained {
    /// The request.
    pub id: String,
    /// Where it stands.
    pub state: String,
    /// Why, who must act, and what comes next, in reading order.
    pub sentences: Vec<String>,
}

/// Explains a request as of now; moments are told in `zone`.
///
/// # Errors
/// [`AskError::NoRequest`], or the database cannot be read.
pub async fn explained(
    recorder: &Recorder,
    id: &RequestId,
    daily_budget: u32,
    zone: &TimeZone,
) -> Result<Explained, AskError> {
    let store = recorder.store();
    let request = store.request(id).await?.ok_or_else(|| AskError::NoRequest(id.clone()))?;
    let account = store.account_views(Some(request.account.as_str()), None, 1).await?.into_iter().next();
    let next_check = account.as_ref().and_then(|account| moment(account.next_check_at.as_deref()?));
    let of_it = ConflictFilter { request: Some(id.to_string()), ..ConflictFilter::default() };
    let now = recorder.clock().now();
    let facts = Facts {
        request: &request,
        account: account.as_ref(),
        next_check,
        history: &store.history(id.as_str()).await?,
        conflicts: &store.conflict_page(&of_it, None, CONFLICTS_MAX).await?,
        gates: &store.closed_gates(now).await?,
        policy: &recorder.policy(),
        zone,
        daily_budget,
        now,
    };
    let sentences = explain(&facts);
    Ok(Explained { id: id.to_string(), state: request.state.as_str().to_owned(), sentences })
}
