//! One decision, one transaction: state, history, conflicts, events, account and mirror, or nothing of it. It must never
//! decide, and never write a request that someone else has changed meanwhile.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::{FromRow, SqliteConnection};

use super::{
    Recorded, StoreError,
    accounts::{self, AccountUpdate},
    bulk,
    chain::{self, Head},
    copies,
    gates::{self, Gate, Opening},
    programs::{self, ItemRow, ListState},
    request_row::RequestRow,
    requests::{self, Urgency},
    wakeups,
};
use crate::domain::{
    id::{ProgramId, Username},
    request::{Request, State},
    time::Time,
};

/// Everything that one poll, call or command must write together.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Requests that moved or remember something new, each at most once.
    pub changes: Vec<Change>,
    /// What the account is from now on.
    pub account: Option<AccountUpdate>,
    /// Items of the listing that are new or differ.
    pub items: Vec<ItemRow>,
    /// Items that are no longer listed, by account and item.
    pub gone: Vec<(String, String, i64)>,
    /// How the account's list is as a whole, when that changed.
    pub list: Option<ListState>,
    /// `gh_` ids that were learned.
    pub names: Vec<(Username, ProgramId, i64)>,
    /// Gates that closed.
    pub gates: Vec<Gate>,
    /// Gates that opened before their time, by kind and subject.
    pub opened_gates: Vec<(String, String)>,
    /// Gates that somebody outside the daemon opens, of which the daemon must hear.
    pub opened_by_hand: Vec<Opening>,
    /// Accounts that are due from this moment on, of which the daemon must hear, too.
    pub woken: Option<(Vec<String>, Time)>,
    /// The file is no longer a copy that knows less than `WeChat`: every account is read anew from this moment on.
    pub reconciled: Option<Time>,
}

/// One request's part of a record.
#[derive(Debug, Clone)]
pub struct Change {
    /// The request as it is from now on; its version is still the one that was read.
    pub request: Request,
    /// The move, when the state changed.
    pub transition: Option<Transition>,
    /// The conflict it opens.
    pub conflict: Option<Conflict>,
    /// How and when its open conflicts are resolved.
    pub settled: Option<(&'static str, Time)>,
    /// Messages owed to the outside.
    pub events: Vec<Event>,
}

/// A row of `transition`; the store numbers and hashes it.
#[derive(Debug, Clone)]
pub struct Transition {
    /// The request.
    pub request_id: String,
    /// The state before.
    pub from_state: Option<&'static str>,
    /// The state after.
    pub to_state: &'static str,
    /// Milliseconds UTC.
    pub at: i64,
    /// Where it came from.
    pub cause: &'static str,
    /// The listed status behind it.
    pub status: Option<i64>,
    /// The code behind it.
    pub errcode: Option<i64>,
    /// More, for people.
    pub detail: Option<String>,
}

/// A row of `conflict`.
#[derive(Debug, Clone, Serialize)]
pub struct Conflict {
    /// Made by us, `UUIDv7`.
    pub id: String,
    /// The request.
    pub request_id: String,
    /// The word.
    pub kind: &'static str,
    /// The code that told of it.
    pub errcode: Option<i64>,
    /// Its text, with the rid that `WeChat`'s support asks for.
    pub errmsg: Option<String>,
    /// Milliseconds UTC.
    pub at: i64,
    /// Our record when it was met.
    pub our_state: &'static str,
    /// The status the world shows or claims.
    pub their_status: Option<i64>,
}

/// A row of `outbox`.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// Made by us, `UUIDv7`; stable over every delivery.
    pub id: String,
    /// As in `amplinkd.request.linked`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The request's or the account's id; of several alerts together, the first one's.
    pub subject: String,
    /// Events with the same key are delivered in order.
    pub partition_key: String,
    /// Of an alert's event: which channels it is for, by the age from which they are told, milliseconds.
    pub reach: Option<i64>,
    /// Milliseconds UTC.
    pub at: i64,
    /// The body, JSON as text.
    pub data: String,
}

impl Event {
    /// The message that a request is in its state now.
    #[must_use]
    pub fn of_request(request: &Request, from: Option<State>, cause: Option<&'static str>, now: Time) -> Self {
        let data = serde_json::json!({
            "request": request.id, "kind": request.kind.as_str(), "account": request.account,
            "program": request.program, "from": from.map(State::as_str), "to": request.state.as_str(),
            "at": now.to_string(), "cause": cause.unwrap_or("accepted"), "attempt": request.attempt,
            "errcode": request.refusal.as_ref().map(|refusal| refusal.errcode), "labels": request.labels,
        });
        Self {
            id: new_id(),
            kind: format!("amplinkd.request.{}", request.state.as_str()),
            subject: request.id.to_string(),
            partition_key: request.id.to_string(),
            reach: None,
            at: now.ms(),
            data: data.to_string(),
        }
    }

    /// The message that a conflict was met.
    #[must_use]
    pub fn of_conflict(conflict: &Conflict, request: &Request, now: Time) -> Self {
        let data = serde_json::json!({
            "conflict": conflict.id, "request": request.id, "account": request.account, "program": request.program,
            "kind": conflict.kind, "errcode": conflict.errcode, "our_state": conflict.our_state,
            "their_status": conflict.their_status, "at": now.to_string(), "labels": request.labels,
        });
        Self {
            id: new_id(),
            kind: "amplinkd.conflict.opened".to_owned(),
            subject: request.id.to_string(),
            partition_key: request.id.to_string(),
            reach: None,
            at: now.ms(),
            data: data.to_string(),
        }
    }
}

impl Event {
    fn of_resolved(conflict: &Resolved) -> Self {
        let labels: serde_json::Value = serde_json::from_str(&conflict.labels).unwrap_or_default();
        let data = serde_json::json!({
            "conflict": conflict.id, "request": conflict.request_id, "account": conflict.account,
            "program": conflict.program, "kind": conflict.kind, "errcode": conflict.errcode,
            "our_state": conflict.our_state, "their_status": conflict.their_status,
            "at": Time::from_ms(conflict.at).to_string(), "resolution": conflict.resolution, "labels": labels,
        });
        Self {
            id: new_id(),
            kind: "amplinkd.conflict.resolved".to_owned(),
            subject: conflict.request_id.clone(),
            partition_key: conflict.request_id.clone(),
            reach: None,
            at: conflict.at,
            data: data.to_string(),
        }
    }
}

/// A name for a conflict or an event: a `UUIDv7` as text.
#[must_use]
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

const CONFLICTS: &str = "
    INSERT INTO conflict (id, request_id, kind, errcode, errmsg, at, our_state, their_status)
    SELECT j.value ->> 'id', j.value ->> 'request_id', j.value ->> 'kind', j.value ->> 'errcode',
           j.value ->> 'errmsg', j.value ->> 'at', j.value ->> 'our_state', j.value ->> 'their_status'
    FROM jsonb_each($1) AS j";

const SETTLED: &str = "
    SELECT c.id, c.request_id, c.kind, c.errcode, c.our_state, c.their_status, r.account, r.program, r.labels,
           j.value ->> 1 AS at, j.value ->> 2 AS resolution
    FROM jsonb_each($1) AS j
    CROSS JOIN conflict AS c ON c.request_id = j.value ->> 0 AND c.resolved_at IS NULL
    CROSS JOIN request AS r ON r.id = c.request_id
    ORDER BY c.id";

const SETTLE: &str = "
    UPDATE conflict SET resolved_at = j.value ->> 1, resolution = j.value ->> 2
    FROM jsonb_each($1) AS j
    WHERE conflict.request_id = j.value ->> 0 AND conflict.resolved_at IS NULL";

const EVENTS: &str = "
    INSERT INTO outbox (id, type, subject, partition_key, reach, at, data)
    SELECT j.value ->> 'id', j.value ->> 'type', j.value ->> 'subject', j.value ->> 'partition_key',
           j.value ->> 'reach', j.value ->> 'at', j.value ->> 'data'
    FROM jsonb_each($1) AS j";

/// Writes all records of a group with one statement a table; answers each in its order. A record with a stale request
/// is left out whole.
pub(super) async fn write(tx: &mut SqliteConnection, records: &[&Record]) -> Result<Vec<Recorded>, StoreError> {
    let expected: Vec<(&str, i64)> = records
        .iter()
        .flat_map(|record| &record.changes)
        .map(|change| (change.request.id.as_str(), change.request.version))
        .collect();
    let mut heads = chain::heads(tx, &expected).await?;
    let mut taken = HashMap::new();
    let mut replies = Vec::with_capacity(records.len());
    let mut fresh = Vec::with_capacity(records.len());
    for record in records {
        // Taken out of the map, so that a second change of the same request in this group is stale.
        let is_fresh = record.changes.iter().all(|change| heads.contains_key(change.request.id.as_str()));
        if is_fresh {
            for change in &record.changes {
                taken.extend(heads.remove_entry(change.request.id.as_str()));
            }
            fresh.push(*record);
        }
        replies.push(if is_fresh { Recorded::Written } else { Recorded::Stale });
    }
    write_fresh(tx, &fresh, &taken).await?;
    Ok(replies)
}

async fn write_fresh(
    tx: &mut SqliteConnection,
    records: &[&Record],
    heads: &HashMap<String, Head>,
) -> Result<(), StoreError> {
    let changes = || records.iter().flat_map(|record| &record.changes);
    let mut rows = Vec::with_capacity(heads.len());
    let mut links = Vec::with_capacity(heads.len());
    for change in changes() {
        let Some(head) = heads.get(change.request.id.as_str()) else { continue };
        let link = change.transition.as_ref().map(|transition| transition.on(head));
        rows.push(RequestRow::from(&change.request).with_head(link.as_ref().map_or(head, |link| &link.head)));
        links.extend(link);
    }
    requests::update(tx, &rows).await?;
    chain::add(tx, &links).await?;
    let conflicts: Vec<&Conflict> = changes().filter_map(|change| change.conflict.as_ref()).collect();
    bulk::execute(tx, CONFLICTS, &conflicts).await?;
    let settled: Vec<(&str, i64, &str)> = changes()
        .filter_map(|change| change.settled.map(|(how, at)| (change.request.id.as_str(), at.ms(), how)))
        .collect();
    let resolved = resolved(tx, &settled).await?;
    bulk::execute(tx, SETTLE, &settled).await?;
    add_events(tx, &changes().flat_map(|change| &change.events).chain(&resolved).collect::<Vec<_>>()).await?;

    let items: Vec<&ItemRow> = records.iter().flat_map(|record| &record.items).collect();
    let gone: Vec<&(String, String, i64)> = records.iter().flat_map(|record| &record.gone).collect();
    programs::mirror(tx, &items, &gone).await?;
    let states: Vec<&ListState> = records.iter().filter_map(|record| record.list.as_ref()).collect();
    programs::state(tx, &states).await?;
    let names: Vec<_> = records.iter().flat_map(|record| &record.names).collect();
    programs::learn(tx, &names).await?;
    // First, so that a gate which another record of this group closes anew stays closed.
    let opened: Vec<&(String, String)> = records.iter().flat_map(|record| &record.opened_gates).collect();
    gates::open(tx, &opened).await?;
    let by_hand: Vec<&Opening> = records.iter().flat_map(|record| &record.opened_by_hand).collect();
    gates::open_by_hand(tx, &by_hand).await?;
    let closed: Vec<&Gate> = records.iter().flat_map(|record| &record.gates).collect();
    gates::close(tx, &closed).await?;
    let updates: Vec<&AccountUpdate> = records.iter().filter_map(|record| record.account.as_ref()).collect();
    accounts::update(tx, &updates).await?;
    for (names, now) in records.iter().filter_map(|record| record.woken.as_ref()) {
        let woken: Vec<(String, bool)> = names.iter().map(|name| (name.clone(), false)).collect();
        accounts::wake(tx, &woken, *now).await?;
        wakeups::add(tx, &names.iter().map(String::as_str).collect::<Vec<_>>(), Urgency::InTurn, *now).await?;
    }
    match records.iter().filter_map(|record| record.reconciled).max() {
        Some(now) => copies::reconciled(tx, now).await,
        None => Ok(()),
    }
}

/// A conflict that is about to be resolved.
#[derive(Debug, FromRow)]
struct Resolved {
    id: String,
    request_id: String,
    kind: String,
    errcode: Option<i64>,
    our_state: String,
    their_status: Option<i64>,
    account: String,
    program: String,
    labels: String,
    at: i64,
    resolution: String,
}

/// The messages that these requests' open conflicts are resolved.
async fn resolved(tx: &mut SqliteConnection, settled: &[(&str, i64, &str)]) -> Result<Vec<Event>, StoreError> {
    let mut events = Vec::new();
    for chunk in settled.chunks(bulk::CHUNK) {
        let rows: Vec<Resolved> = sqlx::query_as(SETTLED).bind(bulk::json(chunk)).fetch_all(&mut *tx).await?;
        events.extend(rows.iter().map(Event::of_resolved));
    }
    Ok(events)
}

/// Writes messages owed to the outside.
pub(super) async fn add_events<T: Serialize>(tx: &mut SqliteConnection, events: &[T]) -> Result<(), StoreError> {
    bulk::execute(tx, EVENTS, events).await.map(drop)
}
