//! Who did what, as people see it: `v_action`, a page at a time.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::ToSchema;

use super::window::{self, LOOKED_MAX, Looked, Order, Source};
use crate::store::{Store, StoreError, decode, decode::Table, sql::QueryBuilder};

/// The view, as errors name its rows.
const ACTION: Table = Table { name: "action", key: &["id"] };

/// A row of `v_action`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the columns are described in docs/database.md")]
pub struct ActionView {
    pub id: String,
    pub at: String,
    pub actor: String,
    pub via: String,
    pub token: Option<String>,
    pub address: Option<String>,
    pub action: String,
    pub subject_kind: String,
    pub subject: Option<String>,
    pub filter: Option<String>,
    pub count: Option<i64>,
    pub reason: Option<String>,
    pub outcome: Option<String>,
    pub state: String,
    pub done: i64,
    pub failed: i64,
    pub left: Option<i64>,
    pub finished_at: Option<String>,
}

/// Which actions to list. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActionFilter {
    /// Only this actor's.
    pub actor: Option<String>,
    /// Only those of this subject: a request's id, an appid, a name.
    pub subject: Option<String>,
    /// Only of this kind.
    pub action: Option<String>,
    /// Only by this door: cli, api or web.
    pub via: Option<String>,
    /// Only with the API token of this id.
    pub token: Option<String>,
}

const COLUMNS: &str = "
    SELECT v.id, v.at, v.actor, v.via, v.token, v.address, v.action, v.subject_kind, v.subject, v.filter, v.count,
           v.reason, v.outcome, v.state, v.done, v.failed, v.\"left\", v.finished_at
    FROM v_action AS v WHERE v.id ";

/// Where the actions of a filter lie in the order of their ids.
fn source(filter: &ActionFilter) -> Source {
    let (from, values): (_, Vec<(&str, String)>) = match (&filter.subject, &filter.actor) {
        (Some(subject), _) => {
            ("action AS a INDEXED BY action_of_subject WHERE a.subject = ", vec![("", subject.clone())])
        }
        (None, Some(actor)) => ("action AS a INDEXED BY action_of_actor WHERE a.actor = ", vec![("", actor.clone())]),
        (None, None) => ("action AS a WHERE 1 = 1", Vec::new()),
    };
    Source { from, values, key: "a.id" }
}

/// What no index knows: the newest are read first.
fn rest(filter: &ActionFilter) -> impl Iterator<Item = (&'static str, &str)> {
    let actor = filter.actor.as_deref().filter(|_| filter.subject.is_some());
    let texts = [
        (" AND +a.actor = ", actor),
        (" AND +a.action = ", filter.action.as_deref()),
        (" AND +a.via = ", filter.via.as_deref()),
        (" AND +a.token = ", filter.token.as_deref()),
    ];
    texts.into_iter().filter_map(|(condition, value)| Some((condition, value?)))
}

impl Store {
    /// Actions that match, newest first, at most `limit`, older than the one with the id `before`.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn action_page(
        &self,
        filter: &ActionFilter,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ActionView>, StoreError> {
        self.actions_upto(filter, (before, None), limit).await
    }

    /// The same as far as one page looks.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn look_at_actions(
        &self,
        filter: &ActionFilter,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Looked<ActionView>, StoreError> {
        let upto = if rest(filter).next().is_none() {
            None
        } else {
            window::edge(self.readers(), &[source(filter)], Order::Falling, before, LOOKED_MAX).await?
        };
        Ok(Looked { rows: self.actions_upto(filter, (before, upto.as_deref()), limit).await?, upto })
    }

    async fn actions_upto(
        &self,
        filter: &ActionFilter,
        span: (Option<&str>, Option<&str>),
        limit: u32,
    ) -> Result<Vec<ActionView>, StoreError> {
        let (mut query, source): (QueryBuilder, _) = (QueryBuilder::new(COLUMNS), source(filter));
        query.push("IN (SELECT a.id FROM ");
        source.push(&mut query);
        for (condition, value) in rest(filter) {
            query.push(condition).push_bind(value.to_owned());
        }
        source.push_span(&mut query, Order::Falling, span);
        source.push_order(&mut query, Order::Falling);
        query.push(" LIMIT ").push_bind(limit).push(") ORDER BY v.id DESC LIMIT ").push_bind(limit);
        Ok(decode::legible(&query.build().fetch_all(self.readers()).await?, ACTION))
    }

    /// One action.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn action_view(&self, id: &str) -> Result<Option<ActionView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(COLUMNS);
        query.push("= ").push_bind(id);
        Ok(query.build_query_as().fetch_optional(self.readers()).await?)
    }
}
