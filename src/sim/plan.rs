//! What administrators will do: configured plans, or else plans drawn from the seed.

use std::{collections::HashMap, fmt, str::FromStr};

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{chance, span::Span};

/// What one administrator does with what waits for them. As text: `"approves after 2h"`,
/// `"refuses after 30m"`, `"expires after 3d"`, `"never answers"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Plan {
    /// Agrees, so long after it began to wait for them.
    ApprovesAfter(Span),
    /// Says no, so long after it began to wait for them.
    RefusesAfter(Span),
    /// Does nothing, and the invitation is withdrawn or expires after so long.
    ExpiresAfter(Span),
    /// Does nothing; only `invitation_lifetime` or a person ends it.
    NeverAnswers,
}

/// The administrator agrees after a while.
#[must_use]
pub const fn approves_after(span: Span) -> Plan {
    Plan::ApprovesAfter(span)
}

/// The administrator says no after a while.
#[must_use]
pub const fn refuses_after(span: Span) -> Plan {
    Plan::RefusesAfter(span)
}

/// Nobody answers and the invitation is gone after a while.
#[must_use]
pub const fn expires_after(span: Span) -> Plan {
    Plan::ExpiresAfter(span)
}

/// Nobody answers, ever.
#[must_use]
pub const fn never_answers() -> Plan {
    Plan::NeverAnswers
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let span = |text: &str| text.parse().map_err(|e: super::NotASpan| e.to_string());
        match words.as_slice() {
            ["approves", "after", after] => Ok(Self::ApprovesAfter(span(after)?)),
            ["refuses", "after", after] => Ok(Self::RefusesAfter(span(after)?)),
            ["expires", "after", after] => Ok(Self::ExpiresAfter(span(after)?)),
            ["never", "answers"] => Ok(Self::NeverAnswers),
            _ => Err(format!(
                "{text:?} is no plan: write \"approves after 2h\", \"refuses after 2h\", \
                 \"expires after 3d\" or \"never answers\""
            )),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApprovesAfter(span) => write!(f, "approves after {span}"),
            Self::RefusesAfter(span) => write!(f, "refuses after {span}"),
            Self::ExpiresAfter(span) => write!(f, "expires after {span}"),
            Self::NeverAnswers => f.write_str("never answers"),
        }
    }
}

impl TryFrom<String> for Plan {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Plan> for String {
    fn from(plan: Plan) -> Self {
        plan.to_string()
    }
}

/// The plans set in one place; what is absent is looked for in a wider place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanSet {
    /// What the account's administrator does with an invitation.
    pub account_admin: Option<Plan>,
    /// What the program's administrator does once the account's has agreed.
    pub program_admin: Option<Plan>,
    /// What the account's administrator does with an unlink request; absent: as with an invitation.
    pub unlink: Option<Plan>,
}

impl PlanSet {
    fn updated_by(self, newer: Self) -> Self {
        Self {
            account_admin: newer.account_admin.or(self.account_admin),
            program_admin: newer.program_admin.or(self.program_admin),
            unlink: newer.unlink.or(self.unlink),
        }
    }
}

/// Every plan that was set, by account and program; an empty name stands for "every".
#[derive(Clone, Debug, Default)]
pub struct Plans {
    set: HashMap<(String, String), PlanSet>,
}

impl Plans {
    /// Sets plans for a pair, for an account (`program: None`), a program, or everyone (both `None`).
    ///
    /// It holds for what begins to wait from now on; what already waits keeps the plan it began with.
    pub fn set(&mut self, account: Option<&str>, program: Option<&str>, plans: PlanSet) {
        let place = self.set.entry(key(account, program)).or_default();
        *place = place.updated_by(plans);
    }

    pub(super) fn account_admin(&self, seed: u64, account: &str, program: &str) -> Plan {
        self.lookup([account, ""], ["", program], account, program, |set| set.account_admin)
            .unwrap_or_else(|| seeded(seed, &["account_admin", account, program]))
    }

    pub(super) fn program_admin(&self, seed: u64, account: &str, program: &str) -> Plan {
        self.lookup(["", program], [account, ""], account, program, |set| set.program_admin)
            .unwrap_or_else(|| seeded(seed, &["program_admin", account, program]))
    }

    pub(super) fn unlink(&self, seed: u64, account: &str, program: &str) -> Plan {
        self.lookup([account, ""], ["", program], account, program, |set| set.unlink)
            .unwrap_or_else(|| self.account_admin(seed, account, program))
    }

    /// The pair first, then whose plan it is, then the other side, then everyone.
    fn lookup(
        &self,
        own: [&str; 2],
        other: [&str; 2],
        account: &str,
        program: &str,
        pick: impl Fn(&PlanSet) -> Option<Plan>,
    ) -> Option<Plan> {
        if self.set.is_empty() {
            return None;
        }
        let places = [[account, program], own, other, ["", ""]];
        places.into_iter().find_map(|[account, program]| {
            let set = self.set.get(&(account.to_owned(), program.to_owned()))?;
            pick(set)
        })
    }
}

fn key(account: Option<&str>, program: Option<&str>) -> (String, String) {
    (account.unwrap_or("").to_owned(), program.unwrap_or("").to_owned())
}

/// The quickest seeded answer, as a power of two in seconds: about two minutes.
const QUICKEST_LOG2_SECONDS: f64 = 7.0;

/// The slowest seeded answer, as a power of two in seconds: about nine hours.
const SLOWEST_LOG2_SECONDS: f64 = 15.0;

/// Of 100 administrators nobody described, how many agree and how many say no. The rest never answer.
const SEEDED_APPROVE: u32 = 80;
const SEEDED_REFUSE: u32 = 12;

fn seeded(seed: u64, names: &[&str]) -> Plan {
    let mut dice = chance::dice(seed, names, 0);
    let exponent = dice.random_range(QUICKEST_LOG2_SECONDS..SLOWEST_LOG2_SECONDS);
    #[expect(clippy::cast_possible_truncation, reason = "2 to the 15th, in milliseconds, fits many times")]
    let span = Span::millis((exponent.exp2() * 1_000.0) as i64);
    match dice.random_range(0..100_u32) {
        n if n < SEEDED_APPROVE => Plan::ApprovesAfter(span),
        n if n < SEEDED_APPROVE + SEEDED_REFUSE => Plan::RefusesAfter(span),
        _ => Plan::NeverAnswers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_back_as_it_was_written() {
        for text in ["approves after 2h", "refuses after 30m", "expires after 3d", "never answers"] {
            assert_eq!(text.parse::<Plan>().unwrap().to_string(), text);
        }
        assert!("approves".parse::<Plan>().is_err());
    }

    #[test]
    fn the_closest_plan_wins() {
        let mut plans = Plans::default();
        let says = |plan| PlanSet { program_admin: Some(plan), ..PlanSet::default() };
        plans.set(None, None, says(never_answers()));
        plans.set(Some("a"), None, says(refuses_after(Span::hours(1))));
        plans.set(None, Some("p"), says(approves_after(Span::hours(2))));
        plans.set(Some("a"), Some("p"), says(approves_after(Span::ZERO)));

        assert_eq!(plans.program_admin(1, "a", "p"), approves_after(Span::ZERO));
        assert_eq!(plans.program_admin(1, "b", "p"), approves_after(Span::hours(2)));
        assert_eq!(plans.program_admin(1, "a", "q"), refuses_after(Span::hours(1)));
        assert_eq!(plans.program_admin(1, "b", "q"), never_answers());
    }

    #[test]
    fn administrators_nobody_described_mostly_agree() {
        let plans = Plans::default();
        let agreeing = (0..1_000)
            .filter(|n| matches!(plans.account_admin(7, &format!("wx{n}"), "p"), Plan::ApprovesAfter(_)))
            .count();
        assert!((700..900).contains(&agreeing), "{agreeing} of 1000 agree");
    }
}
