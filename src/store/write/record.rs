//! One decision, one transaction: state, history, conflicts, events, account and mirror, or none of it. A request that
//! somebody else changed meanwhile is not overwritten.

use serde::Serialize;

use super::{
    accounts,
    action::{self, Action},
    bulk_action::{self, BulkDeeds},
    chain::{self, Head, Transition},
    followed,
    gates::{self, Gate, Opening},
    programs::{self, ItemRow, ListState},
    urgency::Urgency,
    wakeups,
};
use crate::{
    domain::{
        decide::ConflictKind,
        event::{ConflictChanged, ConflictPhase, EventType, to_json},
        gate::GateKind,
        id::{ProgramId, Username},
        request::{Request, StateKind},
        time::Time,
    },
    store::{
        Store, StoreError,
        account_row::AccountUpdate,
        bulk,
        executor::Db,
        file::backup,
        row_id::new_id,
        sql::{CellError, Tx, args},
    },
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
    pub opened_gates: Vec<(GateKind, String)>,
    /// Gates that somebody outside the daemon opens, of which the daemon must hear.
    pub opened_by_hand: Vec<Opening>,
    /// Accounts that are due from this moment on, of which the daemon must hear, too.
    pub woken: Option<(Vec<String>, Time)>,
    /// The file is no longer a copy that knows less than `WeChat`: every account is read anew from this moment on.
    pub reconciled: Option<Time>,
    /// On whose word all of it is.
    pub action: Option<Action>,
    /// The page of an action on many that it is.
    pub bulk: Option<BulkDeeds>,
}

impl Record {
    /// The moves in it.
    #[must_use]
    pub fn moves(&self) -> Vec<Transition> {
        self.changes.iter().filter_map(|change| change.transition.clone()).collect()
    }
}

/// What became of a [`Record`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is on disk.
    Written,
    /// One of its requests was changed by someone else since it was read: nothing was written; read and decide again.
    Stale,
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
    pub settled: Option<(StateKind, Time)>,
    /// Messages owed to the outside beside the event that the move itself is.
    pub events: Vec<Event>,
}

/// A row of `conflict`.
#[derive(Debug, Clone)]
pub struct Conflict {
    /// Made by us, `UUIDv7`.
    pub id: String,
    /// The request.
    pub request_id: String,
    /// What contradicts.
    pub kind: ConflictKind,
    /// The code that told of it.
    pub errcode: Option<i64>,
    /// Its text, with the rid that `WeChat`'s support asks for.
    pub errmsg: Option<String>,
    /// Milliseconds UTC.
    pub at: i64,
    /// Our record when it was met.
    pub our_state: StateKind,
    /// The status the world shows or claims.
    pub their_status: Option<i64>,
}

/// A message owed to the outside, with a body of its own.
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
    /// An event of a request, with this data.
    pub(super) fn of_request(kind: EventType, request: &str, at: Time, data: String) -> Self {
        let (subject, partition_key) = (request.to_owned(), request.to_owned());
        Self { id: new_id(at), kind: kind.to_string(), subject, partition_key, reach: None, at: at.ms(), data }
    }

    /// That a conflict was met.
    #[must_use]
    pub fn of_conflict(conflict: &Conflict, request: &Request, now: Time) -> Self {
        let data = ConflictChanged {
            account: request.account.to_string(),
            at: now.to_string(),
            conflict: conflict.id.clone(),
            errcode: conflict.errcode,
            kind: conflict.kind.as_str().to_owned(),
            labels: request.labels.clone(),
            our_state: conflict.our_state.as_str().to_owned(),
            program: request.program.to_string(),
            request: request.id.to_string(),
            resolution: None,
            their_status: conflict.their_status,
        };
        Self::of_request(EventType::Conflict(ConflictPhase::Opened), request.id.as_str(), now, to_json(&data))
    }

    /// That a conflict is settled.
    fn of_resolved(conflict: Open, request: &Request, how: StateKind, at: Time) -> Self {
        let Open { id, kind, errcode, our_state, their_status } = conflict;
        let data = ConflictChanged {
            account: request.account.to_string(),
            at: at.to_string(),
            conflict: id,
            errcode,
            kind,
            labels: request.labels.clone(),
            our_state,
            program: request.program.to_string(),
            request: request.id.to_string(),
            resolution: Some(how.as_str().to_owned()),
            their_status,
        };
        Self::of_request(EventType::Conflict(ConflictPhase::Resolved), request.id.as_str(), at, to_json(&data))
    }
}

const CONFLICT: &str = "
    INSERT INTO conflict (id, request_id, kind, errcode, errmsg, at, our_state, their_status)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const OPEN_CONFLICTS: &str = "
    SELECT c.id, c.kind, c.errcode, c.our_state, c.their_status
    FROM conflict AS c WHERE c.request_id = ?1 AND c.resolved_at IS NULL ORDER BY c.id";

const SETTLE: &str = "
    UPDATE conflict SET resolved_at = ?2, resolution = ?3 WHERE request_id = ?1 AND resolved_at IS NULL";

const EVENT: &str = "
    INSERT INTO log (at, id, type, subject, partition_key, reach, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const EVENTS: &str = "
    INSERT INTO log (at, id, type, subject, partition_key, reach, data)
    SELECT j.value ->> 'at', j.value ->> 'id', j.value ->> 'type', j.value ->> 'subject', j.value ->> 'partition_key',
           j.value ->> 'reach', j.value ->> 'data'
    FROM jsonb_each($1) AS j ORDER BY j.key";

impl Store {
    /// Writes decisions and what belongs to them, all or nothing.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn record(&self, record: Record) -> Result<Recorded, StoreError> {
        self.executor.write(move |db| write(db, &record)).await
    }
}

/// Writes a record, or nothing of it when one of its requests is stale.
pub(super) fn write(db: Db<'_>, record: &Record) -> Result<Recorded, StoreError> {
    let mut heads = Vec::with_capacity(record.changes.len());
    for Change { request, .. } in &record.changes {
        match chain::head(db, request.id.as_str(), request.version)? {
            Some(head) => heads.push(head),
            None => return Ok(Recorded::Stale),
        }
    }
    for (change, head) in record.changes.iter().zip(&heads) {
        write_change(db, change, head)?;
    }
    write_list(db, record)?;
    // First, so that a gate which the same record closes anew stays closed.
    for gate in &record.opened_gates {
        gates::open(db, gate)?;
    }
    for opening in &record.opened_by_hand {
        gates::open_by_hand(db, opening)?;
    }
    for gate in &record.gates {
        gates::close(db, gate)?;
    }
    if let Some(update) = &record.account {
        accounts::update(db, update)?;
    }
    if let Some((names, now)) = &record.woken {
        let woken: Vec<(String, bool)> = names.iter().map(|name| (name.clone(), false)).collect();
        accounts::wake(db, &woken, *now)?;
        wakeups::add_all(db, names, Urgency::InTurn, *now)?;
    }
    if let Some(now) = record.reconciled {
        backup::reconciled(db, now)?;
    }
    if let Some(action) = &record.action {
        action::add_one(db, action)?;
    }
    if let Some(BulkDeeds { actions, page }) = &record.bulk {
        action::add_all(db, actions)?;
        bulk_action::advance_on(db, page, actions.len() as u64)?;
    }
    Ok(Recorded::Written)
}

fn write_change(db: Db<'_>, change: &Change, (row, head): &(i64, Head)) -> Result<(), StoreError> {
    let link = change.transition.as_ref().map(|transition| transition.on(head));
    followed::update(db, *row, &change.request, link.as_ref().map_or(head, |link| &link.head))?;
    if let Some(link) = &link {
        chain::put(db, *row, link)?;
    }
    if let Some(Conflict { id, request_id, kind, errcode, errmsg, at, our_state, their_status }) = &change.conflict {
        db.execute(
            CONFLICT,
            args![*id, *request_id, kind.as_str(), *errcode, *errmsg, *at, our_state.as_str(), *their_status],
        )?;
    }
    for event in &change.events {
        add_event(db, event)?;
    }
    match change.settled {
        Some((how, at)) => settle_conflicts(db, &change.request, how, at),
        None => Ok(()),
    }
}

/// What a listing showed of the account's programs.
fn write_list(db: Db<'_>, record: &Record) -> Result<(), StoreError> {
    for item in &record.items {
        programs::mirror(db, item)?;
    }
    for item in &record.gone {
        programs::gone(db, item)?;
    }
    if let Some(state) = &record.list {
        programs::state(db, state)?;
    }
    record.names.iter().try_for_each(|name| programs::learn(db, name))
}

/// A conflict that is about to be resolved.
struct Open {
    id: String,
    kind: String,
    errcode: Option<i64>,
    our_state: String,
    their_status: Option<i64>,
}

/// Resolves a request's open conflicts, and owes the outside word of each.
fn settle_conflicts(db: Db<'_>, request: &Request, how: StateKind, at: Time) -> Result<(), StoreError> {
    let open = db.all(OPEN_CONFLICTS, [request.id.as_str()], |row| {
        let (id, kind, errcode) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok::<_, CellError>(Open { id, kind, errcode, our_state: row.get(3)?, their_status: row.get(4)? })
    })?;
    if open.is_empty() {
        return Ok(());
    }
    for conflict in open {
        add_event(db, &Event::of_resolved(conflict?, request, how, at))?;
    }
    db.execute(SETTLE, (request.id.as_str(), at.ms(), how.as_str())).map(drop)
}

/// Writes a message owed to the outside.
pub(super) fn add_event(db: Db<'_>, event: &Event) -> Result<(), StoreError> {
    let Event { id, kind, subject, partition_key, reach, at, data } = event;
    db.execute(EVENT, (at, id, kind, subject, partition_key, reach, data)).map(drop)
}

/// Writes messages owed to the outside.
pub(super) async fn add_events<T: Serialize>(tx: &mut Tx<'_>, events: &[T]) -> Result<(), StoreError> {
    bulk::execute(tx, EVENTS, events).await.map(drop)
}
