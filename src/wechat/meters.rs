//! What is counted of calls to `WeChat` and of fetched tokens: by kinds that are few whatever the number of accounts.

use std::time::Duration;

use super::{answer::CallError, token::TokenError};
use crate::{
    domain::errcode::{Class, TABLE, place},
    meters::{Counter, Histogram},
};

/// Upper bounds of how long calls and fetches take, microseconds: most answers take a tenth of a second, and a call's
/// time limit is 20 seconds by default.
const BOUNDS_US: [u64; 10] =
    [10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 20_000_000];

/// How long something takes, in these bounds.
pub type Took = Histogram<{ BOUNDS_US.len() }>;

/// A call of the link APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Reads an account's list.
    Listing,
    /// Invites to link.
    Link,
    /// Asks to unlink.
    Unlink,
}

impl Api {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Listing, Self::Link, Self::Unlink];

    /// The name that `WeChat` gives it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listing => "wxamplinkget",
            Self::Link => "wxamplink",
            Self::Unlink => "wxampunlink",
        }
    }
}

/// What a call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallResult {
    /// `WeChat` answered, with a code of this class.
    Answered(Class),
    /// It was sent, and no whole answer came in time.
    Timeout,
    /// No connection: surely not sent.
    Connect,
    /// The answer broke off, or is none of `WeChat`'s.
    Unreadable,
    /// No request could be made, or no token was there to make it with.
    NotSent,
}

impl CallResult {
    /// How many there are.
    pub const COUNT: usize = Class::ALL.len() + 4;

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let others = [Self::Timeout, Self::Connect, Self::Unreadable, Self::NotSent];
        Class::ALL.into_iter().map(Self::Answered).chain(others)
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered(class) => class.as_str(),
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Unreadable => "unreadable",
            Self::NotSent => "not_sent",
        }
    }

    /// Its place among [`Self::all`].
    const fn place(self) -> usize {
        match self {
            Self::Answered(class) => class as usize,
            Self::Timeout => Class::ALL.len(),
            Self::Connect => Class::ALL.len() + 1,
            Self::Unreadable => Class::ALL.len() + 2,
            Self::NotSent => Class::ALL.len() + 3,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// There was no connection.
    Connect,
    /// There was no request.
    NotSent,
    /// Time was up.
    Timeout,
    /// It broke off, or was longer than any answer.
    BrokenOff,
}

/// Calls of one API.
#[derive(Debug)]
struct OfApi {
    results: [Counter; CallResult::COUNT],
    took: Took,
}

impl Default for OfApi {
    fn default() -> Self {
        Self { results: [const { Counter::new() }; CallResult::COUNT], took: Histogram::new(BOUNDS_US) }
    }
}

/// Calls since the start.
#[derive(Debug, Default)]
pub struct CallMeters {
    apis: [OfApi; Api::ALL.len()],
    /// Codes other than 0, in the order of the table of codes; those that it does not know after its last.
    errcodes: ErrcodeCounters,
    /// Fetches of tokens.
    pub tokens: TokenMeters,
}

#[derive(Debug)]
struct ErrcodeCounters(Box<[Counter]>);

impl Default for ErrcodeCounters {
    fn default() -> Self {
        Self((0..=TABLE.len()).map(|_| Counter::new()).collect())
    }
}

impl CallMeters {
    /// An answer came, which was read as this.
    pub(super) fn answered(&self, api: Api, error: Option<&CallError>) {
        let result = match error {
            None => CallResult::Answered(Class::Done),
            Some(CallError::Refused(refusal)) => {
                self.errcodes.0[place(refusal.errcode).unwrap_or(TABLE.len())].add_one();
                CallResult::Answered(refusal.class())
            }
            Some(CallError::NoToken(_) | CallError::NotSent(_)) => CallResult::NotSent,
            Some(CallError::Lost(_) | CallError::Unreadable(_)) => CallResult::Unreadable,
        };
        self.count(api, result);
    }

    /// No whole answer came.
    pub(super) fn missed(&self, api: Api, missing: Missing) {
        let result = match missing {
            Missing::Timeout => CallResult::Timeout,
            Missing::Connect => CallResult::Connect,
            Missing::BrokenOff => CallResult::Unreadable,
            Missing::NotSent => CallResult::NotSent,
        };
        self.count(api, result);
    }

    /// Counts a call.
    pub(super) fn count(&self, api: Api, result: CallResult) {
        self.apis[api as usize].results[result.place()].add_one();
    }

    /// A call took so long, whatever it came to.
    pub(super) fn took(&self, api: Api, took: Duration) {
        self.apis[api as usize].took.note_duration(took);
    }

    /// Calls of this API that came to this.
    #[must_use]
    pub fn calls(&self, api: Api, result: CallResult) -> u64 {
        self.apis[api as usize].results[result.place()].get()
    }

    /// How long calls of this API took.
    #[must_use]
    pub const fn durations(&self, api: Api) -> &Took {
        &self.apis[api as usize].took
    }

    /// Answers by their code, `None` for all that the table of codes does not know.
    pub fn errcodes(&self) -> impl Iterator<Item = (Option<i64>, u64)> {
        let known = TABLE.iter().map(|row| Some(row.code));
        known.chain([None]).zip(self.errcodes.0.iter().map(Counter::get))
    }
}

/// What a fetch of a token came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// A token.
    Granted,
    /// A code of `WeChat`'s instead of one.
    Refused,
    /// The source could not be reached, or answered nothing usable.
    Unavailable,
    /// It ended without a result, which is a defect of ours or the end of the daemon.
    BrokenOff,
}

impl Fetched {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Granted, Self::Refused, Self::Unavailable, Self::BrokenOff];

    /// What a fetch came to that met this error, or none.
    pub(super) const fn of(error: Option<&TokenError>) -> Self {
        match error {
            None => Self::Granted,
            Some(TokenError::Refused(_)) => Self::Refused,
            Some(TokenError::Unavailable(_)) => Self::Unavailable,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::BrokenOff => "broken_off",
        }
    }
}

/// Fetches of tokens since the start.
#[derive(Debug)]
pub struct TokenMeters {
    results: [Counter; Fetched::ALL.len()],
    took: Took,
}

impl Default for TokenMeters {
    fn default() -> Self {
        Self { results: Default::default(), took: Histogram::new(BOUNDS_US) }
    }
}

impl TokenMeters {
    /// A fetch came to this, after so long.
    pub fn note(&self, fetched: Fetched, took: Duration) {
        self.results[fetched as usize].add_one();
        self.took.note_duration(took);
    }

    /// Fetches that came to this.
    #[must_use]
    pub fn fetches(&self, fetched: Fetched) -> u64 {
        self.results[fetched as usize].get()
    }

    /// How long fetches took.
    #[must_use]
    pub const fn durations(&self) -> &Took {
        &self.took
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::errcode::Refusal;

    #[test]
    fn every_result_has_a_place_and_a_word_of_its_own() {
        let places: Vec<usize> = CallResult::all().map(CallResult::place).collect();
        assert_eq!(places, (0..CallResult::COUNT).collect::<Vec<_>>());
        let mut words: Vec<&str> = CallResult::all().map(CallResult::as_str).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), CallResult::COUNT);
    }

    #[test]
    fn codes_are_counted_by_the_table_and_all_others_together() {
        let meters = CallMeters::default();
        for errcode in [89_010, 89_010, 12_345, -7] {
            let refused = CallError::Refused(Refusal { errcode, errmsg: String::new() });
            meters.answered(Api::Link, Some(&refused));
        }
        let counted: Vec<_> = meters.errcodes().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(Some(89_010), 2), (None, 2)]);
        assert_eq!(meters.calls(Api::Link, CallResult::Answered(Class::InvitationOut)), 2);
        assert_eq!(meters.calls(Api::Link, CallResult::Answered(Class::Unknown)), 2);
    }
}
