//! Explains a request whose call is in flight, unanswered or just accepted.

use super::Facts;
use crate::domain::request::Outcome;

impl Facts<'_> {
    pub(super) fn initiating(&self, outcome: Outcome) -> Vec<String> {
        let called = self.request.called_at.unwrap_or(self.request.since);
        match outcome {
            Outcome::Pending => {
                vec![format!(
                    "The intent to call {} was written at {}; the answer is not recorded yet.",
                    self.api(),
                    self.ago(called)
                )]
            }
            Outcome::Unknown | Outcome::Restored => {
                let appear = called + self.policy.appear_within;
                let (used, all) = (self.request.attempt, self.policy.attempts);
                let is_restored = outcome == Outcome::Restored;
                let then = if is_restored {
                    "it goes back to requested and is called".to_owned()
                } else if used < all {
                    format!("it goes back to requested and is called again ({used} of {all} calls are used)")
                } else {
                    format!("it fails, because all {all} calls are used")
                };
                let called = self.ago(called);
                let first = if is_restored {
                    format!(
                        "The database was restored from a copy, as amplinkd found at {called}. Whether {} was called after the copy was made is not in it.",
                        self.api()
                    )
                } else {
                    format!(
                        "{} was called at {called}, and WeChat did not say whether it accepted the call.",
                        self.api()
                    )
                };
                vec![
                    first,
                    format!(
                        "amplinkd never repeats such a call blindly: the list decides. If it shows nothing by {} and two polls agree, {then}.",
                        self.ahead(appear)
                    ),
                ]
            }
        }
    }

    pub(super) fn initiated(&self) -> Vec<String> {
        let called = self.request.called_at.unwrap_or(self.request.since);
        let appear = self.ahead(called + self.policy.appear_within);
        vec![
            format!("WeChat accepted the call at {}, but the list does not show the invitation yet.", self.ago(called)),
            format!(
                "Waiting for WeChat: the invitation should be listed by {appear}. If two polls after that do not show it, the request ends as lapsed. The account's administrator may have the message already and can agree."
            ),
        ]
    }
}
