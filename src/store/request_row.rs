//! Decodes and encodes rows of `request`. An invalid row is an error; it is not repaired.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;
use sqlx::FromRow;

use super::{BadRow, decode::Cells, sql::CellError, write::chain::Head};
use crate::domain::{
    errcode::Refusal,
    history::{Identity, hex},
    id::{RequestId, Username},
    listing::Status,
    request::{
        Baseline, Failure, Kind, LinkOptions, ListingMemory, Outcome, PendingConfirmation, Request, Sighting, State,
    },
    time::Time,
};

/// A row as the database holds it.
#[derive(Debug, Clone, FromRow, Serialize)]
pub(super) struct RequestRow {
    id: String,
    kind: String,
    account: String,
    program: String,
    username: Option<String>,
    notify_users: i64,
    show_profile: i64,
    state: String,
    outcome_unknown: i64,
    deferred_until: Option<i64>,
    failure: Option<String>,
    since: i64,
    requested_at: i64,
    finished_at: Option<i64>,
    attempt: i64,
    called_at: Option<i64>,
    seen_status: Option<i64>,
    baseline_rejected: i64,
    doubt: Option<String>,
    doubt_at: Option<i64>,
    errcode: Option<i64>,
    errmsg: Option<String>,
    retry_of: Option<String>,
    key: Option<String>,
    labels: String,
    version: i64,
    // Only written: nobody above the store knows of them.
    #[sqlx(skip)]
    last_seq: i64,
    #[sqlx(skip)]
    chain: String,
}

/// The columns that say where a request stands, as far as they are not columns of its own.
pub(super) struct StateColumns {
    pub(super) outcome_unknown: i64,
    pub(super) deferred_until: Option<i64>,
    pub(super) failure: Option<&'static str>,
    pub(super) seen_status: Option<i64>,
    pub(super) baseline_rejected: i64,
    pub(super) doubt: Option<Cow<'static, str>>,
    pub(super) doubt_at: Option<i64>,
}

impl From<&Request> for StateColumns {
    fn from(request: &Request) -> Self {
        let (deferred_until, failure, outcome_unknown) = match request.state {
            State::Deferred(until) => (Some(until.ms()), None, 0),
            State::Failed(failure) => (None, Some(failure.as_str()), 0),
            State::Initiating(Outcome::Pending) => (None, None, 0),
            State::Initiating(Outcome::Unknown) => (None, None, 1),
            State::Initiating(Outcome::Restored) => (None, None, 2),
            State::Requested
            | State::Initiated
            | State::AwaitingAccountAdmin
            | State::AwaitingProgramAdmin
            | State::Linked
            | State::Rejected
            | State::Lapsed
            | State::Cancelled
            | State::Unlinked => (None, None, 0),
        };
        let memory = request.memory;
        Self {
            outcome_unknown,
            deferred_until,
            failure,
            seen_status: memory.seen.map(Status::number),
            baseline_rejected: i64::from(memory.baseline == Baseline::Rejected),
            doubt: memory.doubt.map(|doubt| match doubt.sighting {
                Sighting::Absent => "absent".into(),
                Sighting::AbsentWithAll => "absent_with_all".into(),
                Sighting::Listed(status) => status.number().to_string().into(),
            }),
            doubt_at: memory.doubt.map(|doubt| doubt.at.ms()),
        }
    }
}

impl From<&Request> for RequestRow {
    fn from(request: &Request) -> Self {
        let options = match request.kind {
            Kind::Link(options) => options,
            Kind::Unlink => LinkOptions::default(),
        };
        let columns = StateColumns::from(request);
        Self {
            id: request.id.to_string(),
            kind: request.kind.as_str().to_owned(),
            account: request.account.to_string(),
            program: request.program.to_string(),
            username: request.username.as_ref().map(ToString::to_string),
            notify_users: i64::from(options.notify_users.wanted()),
            show_profile: i64::from(options.show_profile.wanted()),
            state: request.state.as_str().to_owned(),
            outcome_unknown: columns.outcome_unknown,
            deferred_until: columns.deferred_until,
            failure: columns.failure.map(ToOwned::to_owned),
            since: request.since.ms(),
            requested_at: request.requested_at.ms(),
            finished_at: request.finished_at().map(Time::ms),
            attempt: i64::from(request.attempt),
            called_at: request.called_at.map(Time::ms),
            seen_status: columns.seen_status,
            baseline_rejected: columns.baseline_rejected,
            doubt: columns.doubt.map(Cow::into_owned),
            doubt_at: columns.doubt_at,
            errcode: request.refusal.as_ref().map(|refusal| refusal.errcode),
            errmsg: request.refusal.as_ref().map(|refusal| refusal.errmsg.clone()),
            retry_of: request.retry_of.as_ref().map(ToString::to_string),
            key: request.key.clone(),
            labels: serde_json::to_string(&request.labels).unwrap_or_else(|_| "{}".to_owned()),
            version: request.version,
            last_seq: 0,
            chain: String::new(),
        }
    }
}

impl TryFrom<RequestRow> for Request {
    type Error = BadRow;

    fn try_from(row: RequestRow) -> Result<Self, BadRow> {
        let bad = |column, value: &str| row.bad(column, value);
        let labels: BTreeMap<String, String> =
            serde_json::from_str(&row.labels).map_err(|_| bad("labels", &row.labels))?;
        Ok(Self {
            id: row.id.parse().map_err(|_| bad("id", &row.id))?,
            kind: row.kind()?,
            account: row.account.parse().map_err(|_| bad("account", &row.account))?,
            program: row.program.parse().map_err(|_| bad("program", &row.program))?,
            username: optional::<Username>(row.username.as_deref()).map_err(|value| bad("username", value))?,
            state: row.state()?,
            since: Time::from_ms(row.since),
            requested_at: Time::from_ms(row.requested_at),
            attempt: u32::try_from(row.attempt).map_err(|_| bad("attempt", &row.attempt.to_string()))?,
            called_at: row.called_at.map(Time::from_ms),
            memory: row.memory()?,
            refusal: row.errcode.map(|errcode| Refusal { errcode, errmsg: row.errmsg.clone().unwrap_or_default() }),
            retry_of: optional::<RequestId>(row.retry_of.as_deref()).map_err(|value| bad("retry_of", value))?,
            key: row.key,
            labels,
            version: row.version,
            looked_at: None,
        })
    }
}

fn optional<T: std::str::FromStr>(text: Option<&str>) -> Result<Option<T>, &str> {
    text.map(|text| text.parse().map_err(|_| text)).transpose()
}

impl RequestRow {
    /// The columns of the statements of [`super::write::requests`], in their order.
    pub(super) fn read(cells: &mut Cells<'_>) -> Result<Self, CellError> {
        Ok(Self {
            id: cells.next()?,
            kind: cells.next()?,
            account: cells.next()?,
            program: cells.next()?,
            username: cells.next()?,
            notify_users: cells.next()?,
            show_profile: cells.next()?,
            state: cells.next()?,
            outcome_unknown: cells.next()?,
            deferred_until: cells.next()?,
            failure: cells.next()?,
            since: cells.next()?,
            requested_at: cells.next()?,
            finished_at: cells.next()?,
            attempt: cells.next()?,
            called_at: cells.next()?,
            seen_status: cells.next()?,
            baseline_rejected: cells.next()?,
            doubt: cells.next()?,
            doubt_at: cells.next()?,
            errcode: cells.next()?,
            errmsg: cells.next()?,
            retry_of: cells.next()?,
            key: cells.next()?,
            labels: cells.next()?,
            version: cells.next()?,
            last_seq: 0,
            chain: String::new(),
        })
    }

    /// The row with the end of its history.
    pub(super) fn with_head(self, head: &Head) -> Self {
        Self { last_seq: head.seq, chain: hex(&head.hash), ..self }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    pub(super) fn identity(&self) -> Identity<'_> {
        Identity {
            id: &self.id,
            kind: &self.kind,
            account: &self.account,
            program: &self.program,
            notify_users: self.notify_users,
            show_profile: self.show_profile,
            requested_at: Time::from_ms(self.requested_at),
            retry_of: self.retry_of.as_deref(),
        }
    }

    fn bad(&self, column: &'static str, value: &str) -> BadRow {
        BadRow::new("request", &self.id, column, value)
    }

    /// A column that is 0 or 1.
    fn flag(&self, column: &'static str, value: i64) -> Result<bool, BadRow> {
        match value {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.bad(column, &other.to_string())),
        }
    }

    fn kind(&self) -> Result<Kind, BadRow> {
        match self.kind.as_str() {
            "link" => Ok(Kind::Link(LinkOptions {
                notify_users: self.flag("notify_users", self.notify_users)?.into(),
                show_profile: self.flag("show_profile", self.show_profile)?.into(),
            })),
            "unlink" => Ok(Kind::Unlink),
            other => Err(self.bad("kind", other)),
        }
    }

    fn state(&self) -> Result<State, BadRow> {
        let outcome = match self.outcome_unknown {
            0 => Outcome::Pending,
            1 => Outcome::Unknown,
            2 => Outcome::Restored,
            other => return Err(self.bad("outcome_unknown", &other.to_string())),
        };
        let state = match self.state.as_str() {
            "requested" => Some(State::Requested),
            "initiating" => Some(State::Initiating(outcome)),
            "initiated" => Some(State::Initiated),
            "awaiting_account_admin" => Some(State::AwaitingAccountAdmin),
            "awaiting_program_admin" => Some(State::AwaitingProgramAdmin),
            "deferred" => self.deferred_until.map(|until| State::Deferred(Time::from_ms(until))),
            "linked" => Some(State::Linked),
            "rejected" => Some(State::Rejected),
            "failed" => self.failure.as_deref().and_then(Failure::from_word).map(State::Failed),
            "lapsed" => Some(State::Lapsed),
            "cancelled" => Some(State::Cancelled),
            "unlinked" => Some(State::Unlinked),
            _ => None,
        };
        state.ok_or_else(|| self.bad("state", &self.state))
    }

    fn memory(&self) -> Result<ListingMemory, BadRow> {
        let bad = || self.bad("doubt", self.doubt.as_deref().unwrap_or_default());
        let sighting = match self.doubt.as_deref() {
            None => None,
            Some("absent") => Some(Sighting::Absent),
            Some("absent_with_all") => Some(Sighting::AbsentWithAll),
            Some(number) => Some(Sighting::Listed(Status::from_number(number.parse().map_err(|_| bad())?))),
        };
        let doubt = match (sighting, self.doubt_at) {
            (None, None) => None,
            (Some(sighting), Some(at)) => Some(PendingConfirmation { sighting, at: Time::from_ms(at) }),
            (None, Some(_)) | (Some(_), None) => return Err(bad()),
        };
        let is_rejected = self.flag("baseline_rejected", self.baseline_rejected)?;
        Ok(ListingMemory {
            seen: self.seen_status.map(Status::from_number),
            baseline: if is_rejected { Baseline::Rejected } else { Baseline::Clear },
            doubt,
        })
    }
}
