//! Opens a gate on an operator's behalf, after quota was bought: whatever waited for it resumes now.

use super::{bad_row::warn_of_bad_row, change, operator::Operator, wish::AskError};
use crate::{
    domain::{
        action::ActionKind,
        decide::decide,
        errcode::{self, Class, Refusal},
        gate::GateKind,
        id::{AccountId, ProgramId},
        observation::{Observation, ResetBy},
        request::{Request, State},
    },
    store::{
        Record, Recorded, StoreError,
        read::deferred::{Deferred, MonthOf},
        write::{
            action::Action,
            gates::{Gate, Opening},
        },
    },
};

/// Requests brought forward in one transaction: a fraction of a second of the writer's time.
const PAGE: u32 = 2_000;

/// A gate that an operator opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// As it was.
    pub gate: Gate,
    /// Requests that waited for it and go on now.
    pub requests: u64,
}

/// The month behind a gate, with the codes that hold requests back for it.
enum Month {
    Program(ProgramId),
    Account(AccountId, i64),
}

impl Month {
    fn behind(kind: GateKind, subject: &str) -> Option<Self> {
        match kind {
            GateKind::ProgramMonth => subject.parse().ok().map(Self::Program),
            GateKind::AccountMonth => {
                let (account, code) = subject.split_once('/')?;
                Some(Self::Account(account.parse().ok()?, code.parse().ok()?))
            }
            GateKind::ApiDay | GateKind::Ip => None,
        }
    }

    fn codes(&self) -> Vec<i64> {
        match self {
            Self::Program(_) => {
                let rows = errcode::TABLE.iter().filter(|row| row.class == Class::ProgramMonth);
                rows.map(|row| row.code).collect()
            }
            Self::Account(_, code) => vec![*code],
        }
    }

    const fn of(&self) -> MonthOf<'_> {
        match self {
            Self::Program(program) => MonthOf::Program(program),
            Self::Account(account, _) => MonthOf::Account(account),
        }
    }
}

impl Operator<'_> {
    /// Opens a gate on an operator's word, who has bought quota or knows better: it is forgotten, here and by a daemon that
    /// runs, and what waited for it goes on now. Asked again after it broke off, it goes on where it was.
    ///
    /// # Errors
    /// [`AskError::NoGate`] when there is no such gate and nobody waits for it. [`AskError::Store`]: it may be open, and
    /// some that waited may wait still; ask again.
    pub async fn open_gate(self, kind: GateKind, subject: &str) -> Result<Opened, AskError> {
        let none = || AskError::NoGate { kind, subject: subject.to_owned() };
        let month = Month::behind(kind, subject);
        let gate = match self.recorder.store().gate(kind, subject).await? {
            Some(gate) => gate,
            None => self.gate_of_those_who_wait(month.as_ref(), kind, subject).await?.ok_or_else(none)?,
        };
        let now = self.recorder.clock().now();
        // A gate that was closed under a calendar that was ahead is opened, too.
        let opening = Opening { seq: 0, kind, subject: subject.to_owned(), at: now.ms().max(gate.at) };
        // An account whose calls of a day were used up is looked at now.
        let account = subject.split_once('/').map(|(account, _)| (vec![account.to_owned()], now));
        let action = Action::of(ActionKind::OpenGate, format!("{kind}/{subject}"), &self.by, now);
        let record =
            Record { opened_by_hand: vec![opening], woken: account, action: Some(action), ..Record::default() };
        self.recorder.write(record).await?;
        let requests = match &month {
            Some(month) => self.bring_forward(month).await?,
            None => 0,
        };
        Ok(Opened { gate, requests })
    }

    /// A gate that is gone while somebody still waits for it.
    async fn gate_of_those_who_wait(
        &self,
        month: Option<&Month>,
        kind: GateKind,
        subject: &str,
    ) -> Result<Option<Gate>, StoreError> {
        let Some(month) = month else { return Ok(None) };
        for code in month.codes() {
            let waiting = self.recorder.store().deferred_by(month.of(), code, "", 1).await?;
            if let Some((_, Ok(request))) = waiting.into_iter().next()
                && let (State::Deferred(until), Some(refusal)) = (request.state, request.refusal)
            {
                let subject = subject.to_owned();
                let (until, at) = (until.ms(), request.since.ms());
                let Refusal { errcode, errmsg } = refusal;
                return Ok(Some(Gate { kind, subject, until, errcode, errmsg, at, early: false }));
            }
        }
        Ok(None)
    }

    /// Brings everybody forward whom a month's quota holds back; how many.
    async fn bring_forward(&self, month: &Month) -> Result<u64, StoreError> {
        let mut brought = 0;
        for code in month.codes() {
            let mut after = String::new();
            loop {
                let page = self.recorder.store().deferred_by(month.of(), code, &after, PAGE).await?;
                let Some((last, _)) = page.last() else { break };
                after.clone_from(last);
                brought += self.bring_page(page).await?;
            }
        }
        Ok(brought)
    }

    async fn bring_page(&self, page: Vec<Deferred>) -> Result<u64, StoreError> {
        let (seen, now) = (Observation::QuotaReset { by: ResetBy::Operator }, self.recorder.clock().now());
        let mut waiting: Vec<Request> = Vec::with_capacity(page.len());
        for (id, row) in page {
            match row {
                Ok(request) => waiting.push(request),
                // It holds up itself alone.
                Err(error) => warn_of_bad_row(&id, &error),
            }
        }
        let policy = self.recorder.policy();
        let forward = |request: &Request| {
            let mut change = change::change(request, &seen, decide(request, &seen, &policy, now), now).1?;
            change::attribute(&mut change, &self.by);
            Some(change)
        };
        let mut names: Vec<String> = waiting.iter().map(|request| request.account.to_string()).collect();
        names.sort_unstable();
        names.dedup();
        let changes: Vec<_> = waiting.iter().filter_map(forward).collect();
        let count = changes.len() as u64;
        let together = Record { changes, woken: Some((names, now)), ..Record::default() };
        match self.recorder.write(together).await {
            Ok(Recorded::Written) => return Ok(count),
            // Somebody changed one meanwhile, or one refuses to be written: each alone.
            Ok(Recorded::Stale) => {}
            Err(error) if error.is_of_one_row() => {}
            Err(error) => return Err(error),
        }
        let mut count = 0;
        for request in waiting {
            let more = Record { woken: Some((vec![request.account.to_string()], now)), ..Record::default() };
            match self.recorder.observe_by(&self.by, &request, &seen, more).await {
                Ok(after) => count += u64::from(!matches!(after.state, State::Deferred(_))),
                Err(error) if error.is_of_one_row() => warn_of_bad_row(&request.id, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }
}
