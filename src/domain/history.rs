//! A request's history: how its steps are hashed into a chain, which moves are possible, and what state they lead to.
//!
//! A step's hash is the SHA-256 of a compact JSON array: the previous hash in hexadecimal, then the step's columns as
//! in `v_transition`. The first step follows the hash of what the request is for.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::time::Time;

/// A SHA-256.
pub type Hash = [u8; 32];

/// What a request is for: what no step may change. Its key and labels are left out, for a key may be given later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The request.
    pub id: &'a str,
    /// `link` or `unlink`.
    pub kind: &'a str,
    /// The account.
    pub account: &'a str,
    /// The program.
    pub program: &'a str,
    /// 0 or 1.
    pub notify_users: i64,
    /// 0 or 1.
    pub show_profile: i64,
    /// When it was asked.
    pub requested_at: Time,
    /// The finished request that it tries again.
    pub retry_of: Option<&'a str>,
}

/// One step, as its row stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<'a> {
    /// The request.
    pub request_id: &'a str,
    /// Its place, from 1.
    pub seq: i64,
    /// The state before; none at the first.
    pub from: Option<&'a str>,
    /// The state after.
    pub to: &'a str,
    /// When it was recorded.
    pub at: Time,
    /// Where it came from.
    pub cause: &'a str,
    /// The listed status behind it.
    pub status: Option<i64>,
    /// The code behind it.
    pub errcode: Option<i64>,
    /// More, for people.
    pub detail: Option<&'a str>,
}

impl Identity<'_> {
    /// What the first step's hash is made over.
    #[must_use]
    pub fn hash(&self) -> Hash {
        digest(&(
            self.id,
            self.kind,
            self.account,
            self.program,
            self.notify_users,
            self.show_profile,
            self.requested_at.to_string(),
            self.retry_of,
        ))
    }
}

impl Step<'_> {
    /// Its hash, on top of the one before it.
    #[must_use]
    pub fn hash(&self, before: &Hash) -> Hash {
        digest(&(
            hex(before),
            self.request_id,
            self.seq,
            self.from,
            self.to,
            self.at.to_string(),
            self.cause,
            self.status,
            self.errcode,
            self.detail,
        ))
    }
}

fn digest(fields: &impl Serialize) -> Hash {
    // Numbers, texts and nulls: nothing of them can fail to be written.
    Sha256::digest(serde_json::to_vec(fields).unwrap_or_default()).into()
}

/// As SQL, JSON and people see a hash.
#[must_use]
pub fn hex(hash: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    hash.iter().flat_map(digits).map(char::from).collect()
}

/// From a state, by a cause, to these states: what a link may do, and what an unlink may.
type Move = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

/// Every move that [`super::decide`] can make; a test holds the one against the other.
const MOVES: [Move; 30] = [
    (
        "requested",
        "listing",
        &["linked", "awaiting_account_admin", "awaiting_program_admin", "rejected"],
        &["unlinked"],
    ),
    ("requested", "call", &["initiating"], &["initiating"]),
    (
        "requested",
        "answer",
        &["initiated", "awaiting_program_admin", "linked", "deferred", "failed"],
        &["initiated", "deferred", "failed"],
    ),
    ("requested", "quota", &["deferred"], &["deferred"]),
    ("requested", "deadline", &["failed"], &["failed"]),
    ("requested", "operator", &["cancelled"], &["cancelled"]),
    ("requested", "restore", &["initiating", "initiated", "cancelled"], &["initiating", "initiated", "cancelled"]),
    (
        "initiating",
        "listing",
        &["linked", "awaiting_account_admin", "awaiting_program_admin", "rejected", "requested", "failed"],
        &["unlinked", "requested", "failed"],
    ),
    (
        "initiating",
        "answer",
        &["initiated", "awaiting_program_admin", "linked", "deferred", "failed", "requested"],
        &["initiated", "deferred", "failed", "requested"],
    ),
    ("initiating", "deadline", &["failed"], &["failed"]),
    ("initiating", "operator", &["cancelled"], &["cancelled"]),
    ("initiating", "restore", &["initiated", "cancelled"], &["initiated", "cancelled"]),
    (
        "initiated",
        "listing",
        &["linked", "awaiting_account_admin", "awaiting_program_admin", "rejected", "lapsed"],
        &["unlinked"],
    ),
    ("initiated", "deadline", &["lapsed"], &["lapsed"]),
    ("initiated", "operator", &["cancelled"], &["cancelled"]),
    ("initiated", "restore", &["cancelled"], &["cancelled"]),
    ("awaiting_account_admin", "listing", &["linked", "awaiting_program_admin", "rejected", "lapsed"], &[]),
    ("awaiting_account_admin", "deadline", &["lapsed"], &[]),
    ("awaiting_account_admin", "operator", &["cancelled"], &[]),
    ("awaiting_account_admin", "restore", &["cancelled"], &[]),
    ("awaiting_program_admin", "listing", &["linked", "awaiting_account_admin", "rejected", "lapsed"], &[]),
    ("awaiting_program_admin", "deadline", &["lapsed"], &[]),
    ("awaiting_program_admin", "operator", &["cancelled"], &[]),
    ("awaiting_program_admin", "restore", &["cancelled"], &[]),
    ("deferred", "listing", &["linked", "awaiting_account_admin", "awaiting_program_admin", "rejected"], &["unlinked"]),
    ("deferred", "quota", &["requested"], &["requested"]),
    ("deferred", "deadline", &["failed"], &["failed"]),
    ("deferred", "operator", &["requested", "cancelled"], &["requested", "cancelled"]),
    ("deferred", "restore", &["initiating", "initiated", "cancelled"], &["initiating", "initiated", "cancelled"]),
    ("linked", "listing", &["unlinked"], &[]),
];

/// Whether a request of this kind can move so. Words that nobody knows cannot.
#[must_use]
pub fn is_possible(kind: &str, from: &str, cause: &str, to: &str) -> bool {
    MOVES.iter().any(|(begin, by, links, unlinks)| {
        let ends: &[&str] = match kind {
            "link" => links,
            "unlink" => unlinks,
            _ => &[],
        };
        *begin == from && *by == cause && ends.contains(&to)
    })
}

/// A history as it is read, step by step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay<'a> {
    identity: &'a Identity<'a>,
    /// The number of the last step; 0 before the first.
    pub seq: i64,
    /// The hash of the last step.
    pub head: Hash,
    /// Where it has come to; empty before the first step.
    pub state: String,
    /// Since when.
    pub since: Time,
    /// Calls that count, at least.
    pub least: i64,
    /// Calls that count, at most: a history does not tell why a restored copy was believed to have been called.
    pub most: i64,
    /// Whether it was ever called, or may have been.
    pub called: bool,
    /// Whether it is in `initiating` because a copy was restored.
    restored: bool,
}

impl<'a> Replay<'a> {
    /// Before the first step.
    #[must_use]
    pub fn of(identity: &'a Identity<'a>) -> Self {
        let since = identity.requested_at;
        let (head, state) = (identity.hash(), String::new());
        Self { identity, seq: 0, head, state, since, least: 0, most: 0, called: false, restored: false }
    }

    /// Takes the next step, whatever it is, and says what is wrong with it.
    pub fn take(&mut self, step: &Step<'_>, hash: &[u8]) -> Option<String> {
        let wrong = self.wrong(step, hash);
        self.count(step);
        self.seq = step.seq;
        // Its own hash, so that one changed row is one finding.
        self.head = hash.try_into().unwrap_or_else(|_| step.hash(&self.head));
        step.to.clone_into(&mut self.state);
        self.since = step.at;
        wrong
    }

    fn wrong(&self, step: &Step<'_>, hash: &[u8]) -> Option<String> {
        let seq = step.seq;
        if seq != self.seq + 1 {
            return Some(format!("step {seq} follows step {}: steps are missing", self.seq));
        }
        if step.hash(&self.head) != hash {
            return Some(format!("step {seq} was changed, or one before it: its hash does not follow"));
        }
        match step.from {
            None if self.seq > 0 => Some(format!("step {seq} begins nowhere")),
            None if step.to != "requested" || step.cause != "accepted" || step.at != self.since => {
                Some("step 1 is not the acceptance of the request".to_owned())
            }
            None => None,
            Some(from) if from != self.state => {
                let before = if self.state.is_empty() { "nothing" } else { &self.state };
                Some(format!("step {seq} begins in {from}, the step before ended in {before}"))
            }
            Some(from) if !is_possible(self.identity.kind, from, step.cause, step.to) => Some(format!(
                "step {seq} goes from {from} to {} by {}: no {} can",
                step.to, step.cause, self.identity.kind
            )),
            Some(_) => None,
        }
    }

    /// Attempts are counted when a call begins or may have begun, and given back when it surely had no effect, or when
    /// a call of which only a restored copy is the reason left no trace.
    fn count(&mut self, step: &Step<'_>) {
        let waited = matches!(self.state.as_str(), "requested" | "deferred");
        let begins =
            waited && matches!((step.cause, step.to), ("call", "initiating") | ("restore", "initiating" | "initiated"));
        if begins {
            self.least += 1;
            self.most += 1;
            self.called = true;
            self.restored = step.cause == "restore";
        }
        let back = self.state == "initiating" && matches!(step.to, "requested" | "deferred");
        if back && (step.cause == "answer" || self.restored) {
            self.least = (self.least - 1).max(0);
        }
        if back && step.cause == "answer" {
            self.most = (self.most - 1).max(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_what_the_documents_say() {
        let identity = Identity {
            id: "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b",
            kind: "link",
            account: "wx0123456789abcdef",
            program: "wxfedcba9876543210",
            notify_users: 0,
            show_profile: 1,
            requested_at: Time::from_ms(1_772_438_101_456),
            retry_of: None,
        };
        let step = Step {
            request_id: identity.id,
            seq: 1,
            from: None,
            to: "requested",
            at: identity.requested_at,
            cause: "accepted",
            status: None,
            errcode: Some(-1),
            detail: Some("中 \"x\"\n\u{1}\u{7f}/"),
        };
        // Computed with Python: hashlib.sha256(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()).
        assert_eq!(hex(&identity.hash()), "395ced9c6dbe21f6817a0d891e7f44dafc390a98f6b77b4f38bf86314ed65f90");
        assert_eq!(
            hex(&step.hash(&identity.hash())),
            "fce94475434134c37ff686f3eda9f8dd074f10fd25dfd0699d39fa1e03d2afdb"
        );
    }
}
