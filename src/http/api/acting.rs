//! What everything that acts on one object is told beside its body: who asks, on which object, and on what condition. It
//! takes no parameters.

use axum::{
    extract::{FromRequestParts, Path},
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{
    body,
    identity::Caller,
    problem::{HadCondition, Problem},
    query::Query,
    state::Api,
    tag::{self, Decided},
};
use crate::domain::action::By;

/// Who acts on what.
#[derive(Debug)]
pub(super) struct Acting {
    /// Who asks.
    pub(super) caller: Caller,
    /// The object, as the path names it.
    pub(super) named: String,
    headers: HeaderMap,
}

impl FromRequestParts<Api> for Acting {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let caller = Caller::from_request_parts(parts, api).await.map_err(Problem::into_response)?;
        let Path(named) = Path::<String>::from_request_parts(parts, api).await.map_err(IntoResponse::into_response)?;
        Query::of(parts.uri.query().unwrap_or_default()).done().map_err(Problem::into_response)?;
        Ok(Self { caller, named, headers: parts.headers.clone() })
    }
}

impl Acting {
    /// On whose word it is, with the words of this member of the body.
    ///
    /// # Errors
    /// [`Problem`] when they are not legal.
    pub(super) fn by(&self, member: &str, words: Option<&str>) -> Result<By, Problem> {
        Ok(self.caller.by().because(body::words(member, words)?))
    }

    /// Whether there is a condition.
    pub(super) fn has_condition(&self) -> bool {
        self.headers.contains_key(header::IF_MATCH)
    }

    /// Refuses an object that is not as the caller saw it.
    ///
    /// # Errors
    /// [`Problem`] with the object as it is now.
    pub(super) fn check<R: Decided>(&self, row: &R) -> Result<(), Problem> {
        tag::check(&self.headers, row)
    }

    /// That the object changed while it was acted on, with what it is now.
    pub(super) fn changed(&self, row: &impl Serialize) -> Problem {
        Problem::changed(serde_json::to_value(row).unwrap_or_default(), HadCondition::of(&self.headers))
    }
}
