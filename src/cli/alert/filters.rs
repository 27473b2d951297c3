//! The alert filters, shared by every command that takes many alerts.

use crate::{
    cli::{context::Session, many::record_of, named::Named},
    domain::{alert_rules::Rule, alert_state::AlertState, id::AccountId},
    store::read::{alert_views::AlertFilter, id_suffix::Noun},
};

/// Which alerts; everything that is given must hold.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Which alerts (all conditions must match)")]
pub struct Filters {
    /// Only alerts in this state; open means firing, acknowledged or snoozed [default: open]
    #[arg(long, value_parser = ["firing", "acknowledged", "snoozed", "resolved", "open", "all"], hide_possible_values = false)]
    pub state: Option<String>,
    /// Only alerts of this rule
    #[arg(long, value_parser = Rule::ALL.map(Rule::as_str))]
    pub rule: Option<String>,
    /// Only alerts of this official account
    #[arg(long)]
    pub account: Option<AccountId>,
    /// Only alerts of this request
    #[arg(long, value_name = "ID")]
    pub request: Option<Named>,
}

impl Filters {
    /// Whether nothing was given.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let Self { state, rule, account, request } = self;
        state.is_none() && rule.is_none() && account.is_none() && request.is_none()
    }

    /// The states that are meant.
    pub(super) fn states(&self) -> Vec<AlertState> {
        states(self.state.as_deref())
    }

    /// The same for the record.
    pub(in crate::cli) fn record(&self) -> String {
        let Self { state, rule, account, request } = self;
        record_of([
            ("state", state.iter().cloned().collect()),
            ("rule", rule.iter().cloned().collect()),
            ("account", account.iter().map(ToString::to_string).collect()),
            ("request", request.iter().map(ToString::to_string).collect()),
        ])
    }

    /// The same as the store takes it.
    ///
    /// # Errors
    /// When the end of a request's id does not name one alone.
    pub async fn for_store(&self, session: &Session) -> anyhow::Result<AlertFilter> {
        let request = match &self.request {
            Some(named) => Some(session.id_of(Noun::Request, named).await?.into()),
            None => None,
        };
        Ok(AlertFilter {
            states: states(self.state.as_deref()),
            rule: self.rule.clone(),
            account: self.account.as_ref().map(ToString::to_string),
            request,
            reason: None,
        })
    }
}

fn states(word: Option<&str>) -> Vec<AlertState> {
    match word {
        None | Some("open") => AlertState::OPEN.to_vec(),
        Some("all") => AlertState::ALL.to_vec(),
        Some(word) => AlertState::from_word(word).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_itself_open_or_all() {
        assert_eq!(states(None), AlertState::OPEN);
        assert_eq!(states(Some("snoozed")), [AlertState::Snoozed]);
        assert_eq!(states(Some("resolved")), [AlertState::Resolved]);
        assert_eq!(states(Some("all")).len(), 4);
    }
}
