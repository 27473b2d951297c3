//! What came of nudges: whether the approval followed in time, and how long it took.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::FromRow;
use utoipa::ToSchema;

use super::stage_times::{By, Sample};
use crate::{
    domain::{distribution::Distribution, time::Time},
    store::{
        Store, StoreError,
        decode::{self, Table},
        sql::{self, Flag, JsonText, QueryBuilder},
    },
};

/// What nudges of one stage brought about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect {
    /// Nudges.
    pub nudges: usize,
    /// Of these, the ones whose time is not over and that were not answered yet.
    pub undecided: usize,
    /// Of these, the ones after which the approval came within their time.
    pub effective: usize,
    /// From the nudge to the approval, however late it came.
    pub took: Distribution,
}

/// A row of `v_nudge`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the columns are described in docs/database.md")]
pub struct NudgeView {
    pub id: String,
    pub request_id: String,
    pub account: String,
    pub program: String,
    pub stage: String,
    pub language: String,
    pub channel: Option<String>,
    pub at: String,
    pub approved_at: Option<String>,
    pub approved_within_seconds: Option<i64>,
    #[sqlx(try_from = "Flag")]
    pub effective: bool,
    pub effect_within_seconds: i64,
    pub text: String,
}

const OF_REQUEST: &str = "
    SELECT id, request_id, account, program, stage, language, channel, at, approved_at, approved_within_seconds,
           effective, effect_within_seconds, text
    FROM v_nudge WHERE request_id = $1 ORDER BY id DESC LIMIT $2";

/// By group, as in [`super::stage_times::StageTimes`], and by stage.
pub type Effects = BTreeMap<Option<String>, BTreeMap<String, Effect>>;

/// The table.
const NUDGE: Table = Table { name: "nudge", key: &["id"] };

const EFFECTS: &str = "
    SELECT n.id, n.stage, n.at, n.effect_ms, t.at AS approved_at, r.last_seq = n.seq AS waits, r.account, r.labels
    FROM (SELECT m.id, m.request_id, m.stage, m.seq, m.at, m.effect_ms FROM nudge AS m ORDER BY m.id DESC LIMIT ";

const EFFECTS_OF: &str = ") AS n
    CROSS JOIN request AS r ON r.id = n.request_id
    LEFT JOIN log AS t ON t.request = r.row AND t.step = n.seq + 1 AND t.to_state IN (4, 6, 11)
    WHERE n.at >= ";

#[derive(Debug, FromRow)]
struct EffectRow {
    stage: String,
    at: i64,
    effect_ms: i64,
    approved_at: Option<i64>,
    #[sqlx(try_from = "Flag")]
    waits: bool,
    account: String,
    #[sqlx(try_from = "JsonText")]
    labels: Map<String, Value>,
}

impl Store {
    /// Reminders about one request, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn nudges_of(&self, request: &str, limit: u32) -> Result<Vec<NudgeView>, StoreError> {
        Ok(sql::query_as(OF_REQUEST).bind(request).bind(limit).fetch_all(self.readers()).await?)
    }

    /// What came of the newest nudges, at most as many as the sample allows requests; its `until` means nothing here.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn nudge_effects(&self, sample: &Sample, now: Time) -> Result<Effects, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(EFFECTS);
        query.push_bind(i64::try_from(sample.limit).unwrap_or(i64::MAX)).push(EFFECTS_OF);
        query.push_bind(sample.since.map_or(i64::MIN, Time::ms));
        if let Some(account) = &sample.account {
            query.push(" AND r.account = ").push_bind(account.clone());
        }
        for (name, value) in &sample.labels {
            query.push(" AND EXISTS (SELECT 1 FROM request_label AS m WHERE m.request_id = r.id AND m.name = ");
            query.push_bind(name.clone()).push(" AND m.value = ").push_bind(value.clone()).push(")");
        }
        let rows = query.build().fetch_all(self.readers()).await?;
        Ok(effects(&decode::legible(&rows, NUDGE), &sample.by, now))
    }
}

fn effects(rows: &[EffectRow], by: &By, now: Time) -> Effects {
    let mut effects = Effects::new();
    let mut took: BTreeMap<(Option<String>, String), Vec<Duration>> = BTreeMap::new();
    for row in rows {
        let group = by.group(&row.account, &row.labels);
        let effect = effects.entry(group.clone()).or_default().entry(row.stage.clone()).or_default();
        let at = Time::from_ms(row.at);
        let within = Duration::from_millis(u64::try_from(row.effect_ms).unwrap_or(0));
        let approved = row.approved_at.map(|approved| Time::from_ms(approved).since(at));
        effect.nudges += 1;
        effect.effective += usize::from(approved.is_some_and(|took| took <= within));
        effect.undecided += usize::from(row.waits && now.since(at) <= within);
        took.entry((group, row.stage.clone())).or_default().extend(approved);
    }
    for ((group, stage), took) in took {
        effects.entry(group).or_default().entry(stage).or_default().took = Distribution::of(took);
    }
    effects
}
