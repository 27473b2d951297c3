//! The ledger of calls and their effects, and counters.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::{
    api_name::{Api, ComponentApi},
    faults::FaultKind,
};

/// Entries kept. A run of half a million pairs, invited and unlinked, fits; beyond it the oldest go and are counted.
const ENTRIES_MAX: usize = 1_000_000;

/// One call of `wxamplink` or `wxampunlink`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "two facts about the call and two flags of its body, each read by name"
)]
pub struct CallLogEntry {
    /// Which call.
    pub api: Api,
    /// The account whose token was used.
    pub account: String,
    /// The program named in the body.
    pub program: String,
    /// Milliseconds UTC on the simulator's time.
    pub at: i64,
    /// The verdict; with a lost or spoilt answer the one the caller never read.
    pub errcode: i64,
    /// Whether an invitation or an unlink request really went out.
    pub effect: bool,
    /// Whether the caller could read the verdict.
    pub delivered: bool,
    /// The fault that met the call.
    pub fault: Option<FaultKind>,
    /// `notify_users` as it was asked: it messages every fan.
    pub notify_users: bool,
    /// `show_profile` as it was asked.
    pub show_profile: bool,
}

/// The calls in order, the newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct CallLog {
    entries: VecDeque<CallLogEntry>,
    forgotten: u64,
}

impl CallLog {
    pub(super) fn push(&mut self, entry: CallLogEntry) {
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.pop_front();
            self.forgotten += 1;
        }
        self.entries.push_back(entry);
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut CallLogEntry> {
        self.entries.back_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &CallLogEntry> {
        self.entries.iter()
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// Counts since the simulator started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Calls of `wxamplinkget`: polls.
    pub wxamplinkget: u64,
    /// Calls of `wxamplink`.
    pub wxamplink: u64,
    /// Calls of `wxampunlink`.
    pub wxampunlink: u64,
    /// Tokens given out, new or not.
    pub token: u64,
    /// Calls of a third-party platform to its own APIs.
    pub component: BTreeMap<ComponentApi, u64>,
    /// Invitations that really went out.
    pub invitations: u64,
    /// Unlink requests that really went out.
    pub unlinks: u64,
    /// Answers per `errcode`, delivered or not; a body without a verdict is not counted here.
    pub answers: BTreeMap<i64, u64>,
    /// Faults per kind.
    pub faults: BTreeMap<FaultKind, u64>,
}

impl Stats {
    pub(super) fn called(&mut self, api: Api) {
        match api {
            Api::Listing => self.wxamplinkget += 1,
            Api::Link => self.wxamplink += 1,
            Api::Unlink => self.wxampunlink += 1,
        }
    }

    pub(super) fn answered(&mut self, errcode: i64) {
        *self.answers.entry(errcode).or_default() += 1;
    }

    pub(super) fn effect(&mut self, api: Api) {
        match api {
            Api::Listing => {}
            Api::Link => self.invitations += 1,
            Api::Unlink => self.unlinks += 1,
        }
    }
}
