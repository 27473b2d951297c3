//! The platform's own ticket and token as people see them; neither is shown itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{
        text::format::{age, rfc3339},
        time::Time,
    },
    store::write::component::ComponentRow,
};

/// The platform's component.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ComponentStatus {
    /// Its appid.
    pub appid: String,
    /// When WeChat last pushed a ticket; null before the first.
    pub ticket_at: Option<String>,
    /// The same as an age, such as `9m`.
    pub ticket_age: Option<String>,
    /// Until when its token is good; null without one.
    pub token_until: Option<String>,
    /// How many tokens there have been.
    pub generation: i64,
    /// WeChat's code for the last refusal; null where the last fetch was taken.
    pub errcode: Option<i64>,
    /// Its words.
    pub errmsg: Option<String>,
    /// Fetches of this Beijing day.
    pub calls_today: i64,
    /// Lookups of authorizers of this Beijing day.
    pub lookups_today: i64,
}

impl ComponentStatus {
    /// As of now.
    #[must_use]
    pub fn of(row: ComponentRow, now: Time) -> Self {
        let (day, calls, lookups) = row.calls;
        let today = |count| if day == now.beijing_day() { count } else { 0 };
        Self {
            ticket_at: row.ticket_at.map(rfc3339),
            ticket_age: row.ticket_at.map(|at| age(&rfc3339(at), now)),
            token_until: row.token.as_ref().map(|(_, life)| rfc3339(life.until)),
            generation: row.generation,
            errcode: row.refusal.as_ref().map(|refusal| refusal.errcode),
            errmsg: row.refusal.map(|refusal| refusal.errmsg),
            calls_today: today(calls),
            lookups_today: today(lookups),
            appid: row.appid,
        }
    }
}
