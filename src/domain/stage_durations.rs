//! How long people took: which recorded step ends which stage, and how. Only human decisions count.

use super::alert_rules::Stage;

/// A part of a request's life that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measured {
    /// One stage, from entering it to the next move.
    Stage(Stage),
    /// From the asking to the goal.
    Total,
}

impl Measured {
    /// All of them, in the order of a request's life.
    pub const ALL: [Self; 5] = [
        Self::Stage(Stage::Initiated),
        Self::Stage(Stage::AccountAdmin),
        Self::Stage(Stage::ProgramAdmin),
        Self::Stage(Stage::Unlink),
        Self::Total,
    ];

    /// The word in JSON, CSV and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stage(stage) => stage.as_str(),
            Self::Total => "total",
        }
    }

    /// What is measured, in a few words for people.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Stage(Stage::Requested) => "nothing is called yet",
            Self::Stage(Stage::Initiated) => "WeChat took the call, until it lists the link",
            Self::Stage(Stage::AccountAdmin) => "the account's administrator agrees",
            Self::Stage(Stage::ProgramAdmin) => "the program's administrator agrees",
            Self::Stage(Stage::Unlink) => "the account's administrator confirms an unlink",
            Self::Total => "from the asking to linked or unlinked",
        }
    }
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Whoever was waited for moved it on.
    Forward,
    /// It was rejected, lapsed or failed, or a person stopped it.
    Otherwise,
}

/// Which stage a move ends, and how; none when it ends no stage, or when the stage begins anew (2 back to 12).
///
/// From 12 to 3 the account's administrator had agreed, but when is not known: it counts as ended otherwise. From 12 to
/// 1 two people acted between two looks, so that the time is the sum of both.
#[must_use]
pub fn stage_ended(kind: &str, from: &str, to: &str) -> Option<(Stage, Ended)> {
    use Ended::{Forward, Otherwise};
    match (kind, from, to) {
        // Whatever is listed, WeChat has listed it.
        ("link", "initiated", "awaiting_account_admin" | "awaiting_program_admin" | "linked" | "rejected") => {
            Some((Stage::Initiated, Forward))
        }
        ("link", "initiated", "lapsed" | "cancelled") => Some((Stage::Initiated, Otherwise)),
        ("link", "awaiting_account_admin", "awaiting_program_admin" | "linked") => Some((Stage::AccountAdmin, Forward)),
        ("link", "awaiting_account_admin", "rejected" | "lapsed" | "cancelled") => {
            Some((Stage::AccountAdmin, Otherwise))
        }
        ("link", "awaiting_program_admin", "linked") => Some((Stage::ProgramAdmin, Forward)),
        ("link", "awaiting_program_admin", "rejected" | "lapsed" | "cancelled") => {
            Some((Stage::ProgramAdmin, Otherwise))
        }
        ("unlink", "initiated", "unlinked") => Some((Stage::Unlink, Forward)),
        ("unlink", "initiated", "lapsed" | "cancelled") => Some((Stage::Unlink, Otherwise)),
        _ => None,
    }
}

/// How a move ends the whole request; none when it goes on, or when the goal was there before anybody was asked.
#[must_use]
pub fn life_ended(kind: &str, from: &str, cause: &str, to: &str) -> Option<Ended> {
    match (kind, from, to) {
        // Listed so at the first look, or said so by the answer to the call.
        ("link", "requested" | "deferred", "linked") | ("unlink", "requested" | "deferred", "unlinked") => None,
        ("link", _, "linked") if cause == "answer" => None,
        ("link", _, "linked") | ("unlink", _, "unlinked") => Some(Ended::Forward),
        (_, _, "rejected" | "lapsed" | "failed" | "cancelled") => Some(Ended::Otherwise),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_ends_forward_only_by_whoever_it_waited_for() {
        let ended = |from, to| stage_ended("link", from, to);
        let (account, program) = ("awaiting_account_admin", "awaiting_program_admin");
        assert_eq!(ended(account, program), Some((Stage::AccountAdmin, Ended::Forward)));
        assert_eq!(ended(account, "linked"), Some((Stage::AccountAdmin, Ended::Forward)));
        assert_eq!(ended(account, "rejected"), Some((Stage::AccountAdmin, Ended::Otherwise)));
        assert_eq!(ended(program, "linked"), Some((Stage::ProgramAdmin, Ended::Forward)));
        assert_eq!(ended(program, "lapsed"), Some((Stage::ProgramAdmin, Ended::Otherwise)));
        assert_eq!(ended(program, account), None, "it waits anew");
        assert_eq!(ended("initiated", account), Some((Stage::Initiated, Ended::Forward)));
        assert_eq!(stage_ended("unlink", "initiated", "unlinked"), Some((Stage::Unlink, Ended::Forward)));
        assert_eq!(stage_ended("unlink", "initiated", "cancelled"), Some((Stage::Unlink, Ended::Otherwise)));
    }

    #[test]
    fn what_was_linked_before_is_nobodys_approval() {
        assert_eq!(life_ended("link", "requested", "listing", "linked"), None);
        assert_eq!(life_ended("link", "initiating", "answer", "linked"), None);
        assert_eq!(life_ended("link", "linked", "listing", "unlinked"), None);
        assert_eq!(life_ended("link", "initiating", "listing", "linked"), Some(Ended::Forward));
        assert_eq!(life_ended("unlink", "initiated", "listing", "unlinked"), Some(Ended::Forward));
        assert_eq!(life_ended("link", "requested", "operator", "cancelled"), Some(Ended::Otherwise));
    }
}
