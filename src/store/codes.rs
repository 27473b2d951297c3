//! The words of states and causes as numbers, as the log holds them. The views `transition` and `outbox` turn them back; a
//! number once given to a word is never given to another.

/// The states of a request, each at its number. From number 6 on they are ends.
pub(super) const STATES: [&str; 12] = [
    "requested",
    "initiating",
    "initiated",
    "awaiting_account_admin",
    "awaiting_program_admin",
    "deferred",
    "linked",
    "rejected",
    "failed",
    "lapsed",
    "cancelled",
    "unlinked",
];

/// Where a step came from, each at its number.
pub(super) const CAUSES: [&str; 8] =
    ["accepted", "listing", "call", "answer", "quota", "deadline", "operator", "restore"];

/// The number of a state.
pub(super) fn state(word: &str) -> Option<i64> {
    number(&STATES, word)
}

/// The state at a number.
pub(super) fn of_state(number: i64) -> Option<&'static str> {
    STATES.get(usize::try_from(number).ok()?).copied()
}

/// The number of a cause.
pub(super) fn cause(word: &str) -> Option<i64> {
    number(&CAUSES, word)
}

fn number(words: &[&str], word: &str) -> Option<i64> {
    words.iter().position(|known| *known == word).and_then(|place| i64::try_from(place).ok())
}
