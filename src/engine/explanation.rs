//! Gathers what is known of one request and has it explained. It reads the database alone.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    explain::{Facts, chinese::explain_zh, explain},
    record::Recorder,
    wish::AskError,
};
use crate::{
    domain::{
        id::RequestId,
        text::{Language, parse::moment},
    },
    store::{Store, read::views::ConflictFilter},
};

/// Conflicts told of one request: it meets a handful in its life.
pub const CONFLICTS_MAX: u32 = 100;

/// What is said of a request, as commands print it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// The request.
    pub id: String,
    /// Where it stands.
    pub state: String,
    /// Why, who must act, and what comes next, in reading order.
    pub sentences: Vec<String>,
}

/// The same for programs, in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The request.
    pub id: String,
    /// Where it stands.
    pub state: String,
    /// Why, who must act, and what comes next, in reading order.
    pub sentences_en: Vec<String>,
    /// The same in Chinese.
    pub sentences_zh: Vec<String>,
    /// Who must act, as in `v_request`; null when nobody must.
    pub waiting_on: Option<String>,
    /// When its account is looked at next; null when that is not planned.
    pub next_at: Option<String>,
}

/// Explains a request as of now, in both languages, by what `store` reads; moments are told in UTC.
///
/// # Errors
/// [`AskError::NoRequest`], or the database cannot be read.
pub async fn explanation(
    recorder: &Recorder,
    store: &Store,
    id: &RequestId,
    daily_budget: u32,
) -> Result<Explanation, AskError> {
    let row = store.request_view(id.as_str()).await?.ok_or_else(|| AskError::NoRequest(id.clone()))?;
    let told = |facts: &Facts<'_>| (facts.request.state.as_str().to_owned(), explain(facts), explain_zh(facts));
    let (state, sentences_en, sentences_zh) =
        with_facts((recorder, store), id, (daily_budget, &TimeZone::UTC), told).await?;
    let (waiting_on, next_at) = (row.waiting_on, row.next_check_at);
    Ok(Explanation { id: id.to_string(), state, sentences_en, sentences_zh, waiting_on, next_at })
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
    let told = |facts: &Facts<'_>| (facts.request.state.as_str().to_owned(), explain(facts));
    let (state, sentences) = with_facts((recorder, recorder.store()), id, (daily_budget, zone), told).await?;
    Ok(Explained { id: id.to_string(), state, sentences })
}

/// The sentences alone, in one language; moments are told in `zone`.
///
/// # Errors
/// [`AskError::NoRequest`], or the database cannot be read.
pub async fn told(
    recorder: &Recorder,
    store: &Store,
    id: &RequestId,
    daily_budget: u32,
    (language, zone): (Language, &TimeZone),
) -> Result<Vec<String>, AskError> {
    let tell = |facts: &Facts<'_>| match language {
        Language::En => explain(facts),
        Language::Zh => explain_zh(facts),
    };
    with_facts((recorder, store), id, (daily_budget, zone), tell).await
}

/// Gathers the facts of a request, and tells them.
async fn with_facts<T>(
    (recorder, store): (&Recorder, &Store),
    id: &RequestId,
    (daily_budget, zone): (u32, &TimeZone),
    told: impl FnOnce(&Facts<'_>) -> T,
) -> Result<T, AskError> {
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
    Ok(told(&facts))
}
