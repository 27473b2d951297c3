//! One request to link or to unlink, and its lifecycle. [`super::decide`] moves it.

use std::collections::BTreeMap;

use super::{
    errcode::Refusal,
    id::{AccountId, ProgramId, RequestId, Username},
    listing::Status,
    time::Time,
};

/// A request as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its name, made by us.
    pub id: RequestId,
    /// To link or to unlink.
    pub kind: Kind,
    /// The official account.
    pub account: AccountId,
    /// The mini program.
    pub program: ProgramId,
    /// The program's `gh_` id: given, or learned from a listing.
    pub username: Option<Username>,
    /// Where it stands.
    pub state: State,
    /// Since when it stands there.
    pub since: Time,
    /// When it was asked.
    pub requested_at: Time,
    /// Calls it has cost, those not counted that surely had no effect.
    pub attempt: u32,
    /// When the last call was begun.
    pub called_at: Option<Time>,
    /// What it remembers of the listings since.
    pub memory: ListingMemory,
    /// The last "no" that still explains where it stands.
    pub refusal: Option<Refusal>,
    /// The finished request that this one tries again.
    pub retry_of: Option<RequestId>,
    /// The asker's own name for it: the same key is the same request.
    pub key: Option<String>,
    /// The asker's own words about it.
    pub labels: BTreeMap<String, String>,
    /// Counts the writes of its row: a write that expects an older one is stale.
    pub version: i64,
    /// When the list was read for its next call; never stored, because an old look is worth nothing.
    pub looked_at: Option<Time>,
}

/// The words of [`Kind`].
pub const KIND_WORDS: [&str; 2] = ["link", "unlink"];

/// To link or to unlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Invite both administrators to link.
    Link(LinkOptions),
    /// Ask the account's administrator to unlink.
    Unlink,
}

impl Kind {
    /// The word in SQL, JSON and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link(_) => "link",
            Self::Unlink => "unlink",
        }
    }
}

/// The two choices that `wxamplink` offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkOptions {
    /// Whether every fan of the account gets a message.
    pub notify_users: OptIn,
    /// Whether the program is shown on the account's profile.
    pub show_profile: OptIn,
}

/// A yes that must be said: nothing that messages every fan may be a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OptIn {
    /// Not wanted.
    #[default]
    No,
    /// Wanted.
    Yes,
}

impl From<bool> for OptIn {
    fn from(wanted: bool) -> Self {
        if wanted { Self::Yes } else { Self::No }
    }
}

impl OptIn {
    /// Whether it is wanted.
    #[must_use]
    pub const fn wanted(self) -> bool {
        matches!(self, Self::Yes)
    }
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Accepted; nothing was called yet, or a call surely had no effect.
    Requested,
    /// The intent to call is written; the call is out or its answer is not known.
    Initiating(Outcome),
    /// `WeChat` took the call; nothing of it is listed yet.
    Initiated,
    /// Listed 12.
    AwaitingAccountAdmin,
    /// Listed 2.
    AwaitingProgramAdmin,
    /// A monthly quota is used up until this moment.
    Deferred(Time),
    /// Listed 1.
    Linked,
    /// Listed 3.
    Rejected,
    /// It cannot go on.
    Failed(Failure),
    /// It was pending and is no more.
    Lapsed,
    /// A person stopped it.
    Cancelled,
    /// Was linked, is no more; the goal of an unlink request.
    Unlinked,
}

/// What is known of a call whose answer is not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It may still be answered.
    Pending,
    /// It will never be answered: the list decides.
    Unknown,
    /// Nobody knows whether it was made: a copy of the database was restored, and the list decides.
    Restored,
}

/// Why a request cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// `WeChat` would not take the call.
    Refused,
    /// We sent something wrong.
    OurBug,
    /// As many calls as the policy allows left no trace in the list.
    Attempts,
    /// The policy's deadline passed before `WeChat` took the call.
    Deadline,
}

impl Failure {
    /// The word in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::OurBug => "our_bug",
            Self::Attempts => "attempts",
            Self::Deadline => "deadline",
        }
    }

    /// The failure with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Refused, Self::OurBug, Self::Attempts, Self::Deadline].into_iter().find(|f| f.as_str() == word)
    }
}

impl State {
    /// The state without what it carries.
    #[must_use]
    pub const fn kind(self) -> StateKind {
        match self {
            Self::Requested => StateKind::Requested,
            Self::Initiating(_) => StateKind::Initiating,
            Self::Initiated => StateKind::Initiated,
            Self::AwaitingAccountAdmin => StateKind::AwaitingAccountAdmin,
            Self::AwaitingProgramAdmin => StateKind::AwaitingProgramAdmin,
            Self::Deferred(_) => StateKind::Deferred,
            Self::Linked => StateKind::Linked,
            Self::Rejected => StateKind::Rejected,
            Self::Failed(_) => StateKind::Failed,
            Self::Lapsed => StateKind::Lapsed,
            Self::Cancelled => StateKind::Cancelled,
            Self::Unlinked => StateKind::Unlinked,
        }
    }

    /// The word in SQL, JSON, logs and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.kind().as_str()
    }

    /// Whether the request has come to an end. A finished request never moves, except linked to unlinked.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        self.kind().is_finished()
    }
}

/// A [`State`] without what it carries: what history, events and filters name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateKind {
    /// As [`State::Requested`].
    Requested,
    /// As [`State::Initiating`].
    Initiating,
    /// As [`State::Initiated`].
    Initiated,
    /// As [`State::AwaitingAccountAdmin`].
    AwaitingAccountAdmin,
    /// As [`State::AwaitingProgramAdmin`].
    AwaitingProgramAdmin,
    /// As [`State::Deferred`].
    Deferred,
    /// As [`State::Linked`].
    Linked,
    /// As [`State::Rejected`].
    Rejected,
    /// As [`State::Failed`].
    Failed,
    /// As [`State::Lapsed`].
    Lapsed,
    /// As [`State::Cancelled`].
    Cancelled,
    /// As [`State::Unlinked`].
    Unlinked,
}

impl StateKind {
    /// All of them: first those that are open, then the ends.
    pub const ALL: [Self; 12] = [
        Self::Requested,
        Self::Initiating,
        Self::Initiated,
        Self::AwaitingAccountAdmin,
        Self::AwaitingProgramAdmin,
        Self::Deferred,
        Self::Linked,
        Self::Rejected,
        Self::Failed,
        Self::Lapsed,
        Self::Cancelled,
        Self::Unlinked,
    ];

    /// The word in SQL, JSON, logs and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Initiating => "initiating",
            Self::Initiated => "initiated",
            Self::AwaitingAccountAdmin => "awaiting_account_admin",
            Self::AwaitingProgramAdmin => "awaiting_program_admin",
            Self::Deferred => "deferred",
            Self::Linked => "linked",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Lapsed => "lapsed",
            Self::Cancelled => "cancelled",
            Self::Unlinked => "unlinked",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether it is an end.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        match self {
            Self::Requested
            | Self::Initiating
            | Self::Initiated
            | Self::AwaitingAccountAdmin
            | Self::AwaitingProgramAdmin
            | Self::Deferred => false,
            Self::Linked | Self::Rejected | Self::Failed | Self::Lapsed | Self::Cancelled | Self::Unlinked => true,
        }
    }
}

/// What a request remembers of the listings since its last call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListingMemory {
    /// The last status listed for it since it was accepted.
    pub seen: Option<Status>,
    /// Whether a rejection was listed before the call: such an item is old until something else was listed.
    pub baseline: Baseline,
    /// A listing that must be confirmed by the next one before it counts.
    pub doubt: Option<PendingConfirmation>,
}

/// Whether a rejection was already listed when the call was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Baseline {
    /// Nothing, or something else, was listed.
    #[default]
    Clear,
    /// 3 was listed before the call, or an item without a name that may have been it.
    Rejected,
}

/// A backward move or an absence that one listing showed; two consecutive ones make it true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingConfirmation {
    /// What was seen.
    pub sighting: Sighting,
    /// When it was first seen.
    pub at: Time,
}

/// What a readable listing says of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighting {
    /// It is not there, and every item is known to be something else.
    Absent,
    /// It is not there, and neither is anything else that was.
    AbsentWithAll,
    /// It is there with this status.
    Listed(Status),
}

impl Request {
    /// A new request, as it is accepted.
    #[must_use]
    pub fn new(id: RequestId, kind: Kind, account: AccountId, program: ProgramId, now: Time) -> Self {
        Self {
            id,
            kind,
            account,
            program,
            username: None,
            state: State::Requested,
            since: now,
            requested_at: now,
            attempt: 0,
            called_at: None,
            memory: ListingMemory::default(),
            refusal: None,
            retry_of: None,
            key: None,
            labels: BTreeMap::new(),
            version: 0,
            looked_at: None,
        }
    }

    /// Whether it has not come to an end.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !self.state.is_finished()
    }

    /// Whether it wants a link, not an unlink.
    #[must_use]
    pub const fn is_link(&self) -> bool {
        matches!(self.kind, Kind::Link(_))
    }

    /// When it came to its end.
    #[must_use]
    pub fn finished_at(&self) -> Option<Time> {
        self.state.is_finished().then_some(self.since)
    }

    /// Who must act next: the word of `v_request.waiting_on`.
    #[must_use]
    pub const fn waiting_on(&self) -> Option<&'static str> {
        match (self.state, self.kind) {
            (State::Requested, _) => Some("us"),
            (State::Initiating(_), _) | (State::Initiated, Kind::Link(_)) => Some("wechat"),
            (State::Initiated, Kind::Unlink) | (State::AwaitingAccountAdmin, _) => Some("account_admin"),
            (State::AwaitingProgramAdmin, _) => Some("program_admin"),
            (State::Deferred(_), _) => Some("quota"),
            (
                State::Linked | State::Rejected | State::Failed(_) | State::Lapsed | State::Cancelled | State::Unlinked,
                _,
            ) => None,
        }
    }
}
