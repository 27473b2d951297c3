//! Who did what: rows of `action`, written in the transaction of the deed.

use serde::Serialize;
use serde_json::json;

use crate::{
    domain::{
        action::{ActionKind, By},
        time::Time,
    },
    store::{Store, StoreError, bulk, executor::Db, row_id::new_id, sql::Tx},
};

/// A deed that is done.
#[derive(Debug, Clone, Serialize)]
pub struct Action {
    id: String,
    at: i64,
    actor: String,
    via: &'static str,
    token: Option<String>,
    address: Option<String>,
    #[serde(rename = "action")]
    kind: &'static str,
    subject_kind: &'static str,
    subject: Option<String>,
    filter: Option<String>,
    count: u64,
    reason: Option<String>,
    arguments: Option<String>,
}

impl Action {
    /// Something done to one subject.
    #[must_use]
    pub fn of(kind: ActionKind, subject: impl Into<String>, by: &By, now: Time) -> Self {
        Self::new(kind, (Some(subject.into()), 1), by, now)
    }

    /// The same done to each of these.
    #[must_use]
    pub fn of_each<S: AsRef<str>>(kind: ActionKind, subjects: &[S], by: &By, now: Time) -> Vec<Self> {
        subjects.iter().map(|subject| Self::of(kind, subject.as_ref(), by, now)).collect()
    }

    /// Something done to so many at once.
    #[must_use]
    pub fn of_many(kind: ActionKind, count: u64, by: &By, now: Time) -> Self {
        Self::new(kind, (None, count), by, now)
    }

    /// The same where it touches so many things of its subject.
    #[must_use]
    pub fn touching(self, count: u64) -> Self {
        Self { count, ..self }
    }

    fn new(kind: ActionKind, (subject, count): (Option<String>, u64), by: &By, now: Time) -> Self {
        let By { actor, reason, filter, part_of } = by.clone();
        Self {
            id: new_id(now),
            at: now.ms(),
            actor: actor.name,
            via: actor.via.as_str(),
            token: actor.token,
            address: actor.address,
            kind: kind.as_str(),
            subject_kind: kind.subject().as_str(),
            subject,
            filter,
            count,
            reason,
            arguments: part_of.map(|whole| json!({ "part_of": whole }).to_string()),
        }
    }
}

const ADD: &str = "
    INSERT INTO action (id, at, actor, via, token, address, action, subject_kind, subject, filter, count, reason,
                        arguments, outcome, finished_at, done)
    SELECT j.value ->> 'id', j.value ->> 'at', j.value ->> 'actor', j.value ->> 'via', j.value ->> 'token',
           j.value ->> 'address', j.value ->> 'action', j.value ->> 'subject_kind', j.value ->> 'subject',
           j.value ->> 'filter', j.value ->> 'count', j.value ->> 'reason',
           j.value ->> 'arguments', 'done', j.value ->> 'at', j.value ->> 'count'
    FROM jsonb_each(?1) AS j";

/// Writes deeds within the transaction that does them.
pub(super) async fn add(tx: &mut Tx<'_>, actions: &[Action]) -> Result<(), StoreError> {
    bulk::execute(tx, ADD, actions).await.map(drop)
}

/// [`add`] on the database thread.
pub(super) fn add_all(db: Db<'_>, actions: &[Action]) -> Result<(), StoreError> {
    db.bulk(ADD, actions).map(drop)
}

/// The same of one deed.
pub(super) fn add_one(db: Db<'_>, action: &Action) -> Result<(), StoreError> {
    add_all(db, std::slice::from_ref(action))
}

impl Store {
    /// Writes a deed that changes nothing else in the database.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn add_action(&self, action: Action) -> Result<(), StoreError> {
        self.executor.write(move |db| add_one(db, &action)).await
    }
}
