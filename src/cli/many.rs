//! Shared by every command that changes some things by name or, after a confirmation, all that match filters.

use anyhow::bail;
use serde_json::{Map, Value};

use super::context::Usage;
use crate::domain::action;

/// Failures that are told one by one; the rest is counted.
const FAILURES_TOLD_MAX: usize = 20;

/// How a change of many is made.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Caution {
    /// Show what would be changed; change nothing
    #[arg(long, help_heading = "With filters")]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, help_heading = "With filters")]
    pub yes: bool,
}

/// Words for the record, as the command line takes them.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn reason(text: &str) -> Result<String, String> {
    action::reason(text)?.ok_or_else(|| "expected some words".to_owned())
}

/// Filters as the record keeps them: a JSON object of those that were given.
#[must_use]
pub fn record_of<const N: usize>(filters: [(&str, Vec<String>); N]) -> String {
    let given = filters.into_iter().filter(|(_, values)| !values.is_empty());
    let members = given.map(|(name, values)| (name.to_owned(), Value::from(values)));
    Value::Object(members.collect::<Map<_, _>>()).to_string()
}

/// What a command said to choose with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// Single ones.
    pub names: bool,
    /// Filters.
    pub filters: bool,
}

/// The things that are changed, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Things {
    /// One of them.
    one: &'static str,
    /// What single ones are named by.
    names: &'static str,
    /// A filter, for example.
    filter: &'static str,
}

/// Requests.
pub const REQUESTS: Things = Things { one: "request", names: "ids", filter: "--account" };

/// Alerts.
pub const ALERTS: Things = Things { one: "alert", names: "ids", filter: "--rule" };

/// Accounts.
pub const ACCOUNTS: Things = Things { one: "account", names: "appids", filter: "--trouble" };

impl Things {
    /// "1 request", "2 requests".
    #[must_use]
    pub fn counted(self, count: usize) -> String {
        let one = self.one;
        if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
    }

    /// Refuses a choice of nothing, and one by names and filters at once. `word` is what would be done.
    pub fn must_choose(self, word: &str, given: Given) -> Result<(), Usage> {
        let Self { one, names, filter } = self;
        match given {
            Given { names: false, filters: false } => {
                Err(Usage(format!("which {one}s to {word}? give their {names}, or filters such as {filter}")))
            }
            Given { names: true, filters: true } => Err(Usage(format!("give {names} or filters, not both"))),
            Given { names: true, filters: false } | Given { names: false, filters: true } => Ok(()),
        }
    }

    /// Tells what could not be done, if anything; the rest is done.
    pub fn fail(self, word: &str, failures: &[String]) -> anyhow::Result<()> {
        match failures {
            [] => Ok(()),
            [only] => bail!("{only}"),
            many => {
                let told = many.iter().take(FAILURES_TOLD_MAX).map(|failure| format!("\n  {failure}"));
                let told: String = told.collect();
                bail!("could not {word} {}:{told}", self.counted(many.len()))
            }
        }
    }
}
