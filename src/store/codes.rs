//! States and causes as numbers in the log. The views `transition` and `outbox` turn them back; a number is never
//! reused for another word, or old rows would change their meaning.

use crate::domain::{observation::Cause, request::StateKind};

/// The number of a state: its place among all. From number 6 on they are ends.
pub(super) const fn state(state: StateKind) -> i64 {
    state as i64
}

/// The state at a number.
pub(super) fn of_state(number: i64) -> Option<StateKind> {
    StateKind::ALL.get(usize::try_from(number).ok()?).copied()
}

/// The cause at a number.
pub(super) fn of_cause(number: i64) -> Option<Cause> {
    Cause::ALL.get(usize::try_from(number).ok()?).copied()
}

/// The number of a cause: its place among all.
pub(super) const fn cause(cause: Cause) -> i64 {
    cause as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_has_changed_its_meaning() {
        let states = "requested initiating initiated awaiting_account_admin awaiting_program_admin deferred linked rejected \
                      failed lapsed cancelled unlinked";
        for (number, word) in (0..).zip(states.split(' ')) {
            assert_eq!(of_state(number).map(StateKind::as_str), Some(word));
            assert_eq!(StateKind::from_word(word).map(state), Some(number));
        }
        let causes = ["accepted", "listing", "call", "answer", "quota", "deadline", "operator", "restore"];
        assert_eq!(Cause::ALL.map(|one| (cause(one), one.as_str())).to_vec(), (0..).zip(causes).collect::<Vec<_>>());
        assert_eq!(of_state(12), None);
    }
}
