//! The request filters, shared by every command that takes many requests.

use crate::{
    cli::many::record_of,
    domain::{
        id::{AccountId, ProgramId},
        text::parse::{When, when},
        time::Time,
    },
    store::read::{
        pages::StepView,
        request_page::{OPEN_STATES, RequestFilter, STATES, Standing, label},
    },
};

/// Which requests; everything that is given must hold.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Which requests (all conditions must match)")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Filters {
    /// Only requests of this official account
    #[arg(long)]
    pub account: Option<AccountId>,
    /// Only requests of this mini program
    #[arg(long)]
    pub program: Option<ProgramId>,
    /// Only requests in one of these states
    #[arg(long = "state", value_name = "STATE,…", value_delimiter = ',', value_parser = STATES)]
    pub states: Vec<String>,
    /// Only links, or only unlinks
    #[arg(long, value_parser = ["link", "unlink"])]
    pub kind: Option<String>,
    /// Only open requests
    #[arg(long, conflicts_with = "finished")]
    pub open: bool,
    /// Only finished requests
    #[arg(long)]
    pub finished: bool,
    /// Only requests with this label; repeatable
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Only requests that came to their state so long ago at most, such as 24h, or at this time or later
    #[arg(long, value_name = "SPAN|TIME", value_parser = when)]
    pub since: Option<When>,
    /// Only requests that came to their state longer ago than this, such as 3d, or before this time
    #[arg(long, value_name = "SPAN|TIME", value_parser = when)]
    pub until: Option<When>,
    /// Only requests whose account cannot be read or is suspended, so that they may stand elsewhere by now
    #[arg(long, conflicts_with = "read")]
    pub unread: bool,
    /// Only requests whose account is read
    #[arg(long)]
    pub read: bool,
}

impl Filters {
    /// Whether nothing was given, so that every request is meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { account, program, states, kind, open, finished, labels, since, until, unread, read } = self;
        account.is_none()
            && program.is_none()
            && states.is_empty()
            && kind.is_none()
            && !open
            && !finished
            && labels.is_empty()
            && since.is_none()
            && until.is_none()
            && !unread
            && !read
    }

    /// Whether it is asked for what is known of where a request stands, and not of a step.
    #[must_use]
    pub const fn has_standing(&self) -> bool {
        self.since.is_some() || self.until.is_some() || self.unread || self.read
    }

    /// The same for the record.
    #[must_use]
    pub fn record(&self) -> String {
        let Self { account, program, states, kind, open, finished, labels, since, until, unread, read } = self;
        let flag = |is_set: bool| is_set.then(|| "true".to_owned()).into_iter().collect();
        record_of([
            ("account", account.iter().map(ToString::to_string).collect()),
            ("program", program.iter().map(ToString::to_string).collect()),
            ("state", states.clone()),
            ("kind", kind.iter().cloned().collect()),
            ("open", flag(*open)),
            ("finished", flag(*finished)),
            ("label", labels.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            ("since", since.iter().map(ToString::to_string).collect()),
            ("until", until.iter().map(ToString::to_string).collect()),
            ("unread", flag(*unread)),
            ("read", flag(*read)),
        ])
    }

    /// The same as the store takes it, for whoever asks now.
    #[must_use]
    pub fn for_store(&self, now: Time) -> RequestFilter {
        RequestFilter {
            account: self.account.as_ref().map(ToString::to_string),
            program: self.program.as_ref().map(ToString::to_string),
            states: self.states.clone(),
            kind: self.kind.clone(),
            open: (self.open || self.finished).then_some(self.open),
            labels: self.labels.clone(),
            standing: Standing {
                since: self.since.map(|when| when.seen_from(now)),
                until: self.until.map(|when| when.seen_from(now)),
                is_read: (self.unread || self.read).then_some(self.read),
            },
            after: None,
        }
    }

    /// Whether a step leads where the filters ask.
    #[must_use]
    pub fn take(&self, step: &StepView) -> bool {
        let is_open = STATES[..OPEN_STATES].contains(&step.to_state.as_str());
        self.account.as_ref().is_none_or(|account| account.as_str() == step.account)
            && self.program.as_ref().is_none_or(|program| program.as_str() == step.program)
            && (self.states.is_empty() || self.states.contains(&step.to_state))
            && self.kind.as_ref().is_none_or(|kind| *kind == step.kind)
            && (!self.open || is_open)
            && (!self.finished || !is_open)
            && self
                .labels
                .iter()
                .all(|(name, value)| step.labels.get(name).and_then(serde_json::Value::as_str) == Some(value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::{Failure, Outcome, State};

    #[test]
    fn the_words_are_those_of_the_domain_the_open_ones_first() {
        let all = [
            State::Requested,
            State::Initiating(Outcome::Pending),
            State::Initiated,
            State::AwaitingAccountAdmin,
            State::AwaitingProgramAdmin,
            State::Deferred(Time::default()),
            State::Linked,
            State::Rejected,
            State::Failed(Failure::Refused),
            State::Lapsed,
            State::Cancelled,
            State::Unlinked,
        ];
        assert_eq!(all.map(State::as_str), STATES);
        assert!(all[..OPEN_STATES].iter().all(|state| !state.is_finished()));
        assert!(all[OPEN_STATES..].iter().all(|state| state.is_finished()));
    }

    #[test]
    fn a_label_has_a_name() {
        assert_eq!(label("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(label("=b").is_err());
        assert!(label("a").is_err());
    }
}
