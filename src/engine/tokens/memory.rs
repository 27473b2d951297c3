//! Tokens in memory, as they were read from their rows, and fetches under way: one for each account.

use std::{collections::HashMap, time::Duration};

use tokio::sync::watch;

use crate::{
    domain::{
        authorizer::{ComponentRefusal, Freshness, Life},
        backoff::Backoff,
        errcode::Refusal,
        time::Time,
    },
    store::StoreError,
    wechat::Token,
};

/// How long no call of the component is made after some that came to nothing: a day of them is half the day's cap.
const UNANSWERED: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_mins(5));

/// When there are too many, this part of them goes at once, as a divisor.
const MAKE_ROOM_PART: usize = 10;

/// A token as its row holds it.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) token: Token,
    pub(super) life: Life,
    pub(super) generation: i64,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    /// `WeChat` says no to this account, or to our address.
    Refused(Refusal),
    /// It is tried again later.
    Later(String),
}

impl Missing {
    /// Whether it is `WeChat`'s word about the account itself; a refused address says nothing about it.
    pub(super) fn is_of_account(&self) -> bool {
        match self {
            Self::Refused(refusal) => ComponentRefusal::of(refusal.errcode) != ComponentRefusal::Address,
            Self::Later(_) => false,
        }
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Later(why) => f.write_str(why),
        }
    }
}

impl From<StoreError> for Missing {
    fn from(error: StoreError) -> Self {
        Self::Later(error.to_string())
    }
}

pub(super) type Outcome = Result<Kept, Missing>;

/// A fetch under way.
pub(super) type Flight = watch::Receiver<Option<Outcome>>;

/// What is known without asking the rows.
#[derive(Debug)]
pub(super) struct Memory {
    kept: HashMap<String, Kept>,
    /// Tokens that are said to be refused, until their rows have been asked.
    doubted: HashMap<String, (Token, Doubt)>,
    pub(super) flights: HashMap<String, Flight>,
    /// How often rows were said to have changed.
    changes: u64,
    max: usize,
}

/// Calls of the component in a row that came to nothing, without a word of `WeChat`'s: they are made more and more seldom,
/// or an outage would use up the day's own cap.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    count: u32,
    held: Option<(Time, String)>,
}

impl Unanswered {
    pub(super) fn one_more(&mut self, now: Time, why: String) {
        self.held = Some((now + UNANSWERED.after(self.count), why));
        self.count = self.count.saturating_add(1);
    }

    /// Why no call is made now, if none is; one held back for longer than any was seen by a calendar that was stepped back.
    pub(super) fn holds(&self, now: Time) -> Option<String> {
        let (until, why) = self.held.as_ref()?;
        (*until > now && now.until(*until) <= UNANSWERED.max()).then(|| why.clone())
    }
}

/// Whose word it is that a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// `WeChat`'s, to a call of ours.
    Met,
    /// Another system's, which may be mistaken.
    Told,
}

/// What memory says of an account's token.
pub(super) enum Known {
    /// Use it; renew it beside, when that is due.
    Token(Kept, Freshness),
    /// Ask the row.
    Nothing,
}

impl Memory {
    pub(super) fn new(max: usize) -> Self {
        let (kept, doubted, flights) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { kept, doubted, flights, changes: 0, max: max.max(1) }
    }

    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max.max(1);
    }

    pub(super) fn known(&self, appid: &str, now: Time) -> Known {
        let Some(kept) = self.kept.get(appid) else { return Known::Nothing };
        match kept.life.freshness(now) {
            fresh @ (Freshness::Fresh | Freshness::RenewBeside) => Known::Token(kept.clone(), fresh),
            Freshness::RenewFirst | Freshness::Ended => Known::Nothing,
        }
    }

    /// The token, when nothing at all is to be done about it.
    pub(super) fn fresh(&self, appid: &str, now: Time) -> Option<Token> {
        match self.known(appid, now) {
            Known::Token(kept, Freshness::Fresh) => Some(kept.token),
            Known::Token(..) | Known::Nothing => None,
        }
    }

    /// How often rows have changed so far: ask before you read one.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Keeps a token whose row was read or written after `seen` changes. `false`, and nothing is kept, when some row has
    /// changed since: it may be this one.
    pub(super) fn keep(&mut self, appid: &str, kept: Kept, seen: u64, now: Time) -> bool {
        if self.changes != seen {
            return false;
        }
        // One that was refused while its row was read is asked about first.
        if self.doubted.get(appid).is_some_and(|(doubted, _)| *doubted == kept.token) {
            return true;
        }
        if self.kept.len() >= self.max && !self.kept.contains_key(appid) {
            self.make_room(now);
        }
        self.kept.insert(appid.to_owned(), kept);
        true
    }

    /// The token that is held, however old.
    pub(super) fn held(&self, appid: &str) -> Option<Token> {
        self.kept.get(appid).map(|kept| kept.token.clone())
    }

    /// Forgets an account: its row has changed. Call it once the change is on disk.
    pub(super) fn forget(&mut self, appid: &str) {
        self.changes += 1;
        self.kept.remove(appid);
        self.doubted.remove(appid);
    }

    /// Forgets every account: many rows have changed.
    pub(super) fn forget_all(&mut self) {
        self.changes += 1;
        self.kept.clear();
        self.doubted.clear();
    }

    /// This token is said to be refused: unless another one is known already, its row is asked next.
    pub(super) fn doubt(&mut self, appid: &str, token: &Token, by: Doubt) {
        if self.kept.get(appid).is_none_or(|kept| kept.token == *token) {
            self.kept.remove(appid);
            let is_met = self.doubted.get(appid).is_some_and(|(met, by)| met == token && *by == Doubt::Met);
            let by = if is_met { Doubt::Met } else { by };
            self.doubted.insert(appid.to_owned(), (token.clone(), by));
        }
    }

    /// The token that is said to be refused, and on whose word.
    pub(super) fn doubted(&self, appid: &str) -> Option<(Token, Doubt)> {
        self.doubted.get(appid).cloned()
    }

    /// What was said of this token has been seen to.
    pub(super) fn settle(&mut self, appid: &str, token: &Token) {
        if self.doubted.get(appid).is_some_and(|(doubted, _)| doubted == token) {
            self.doubted.remove(appid);
        }
    }

    /// Those that have ended go; when none has, a tenth of all.
    fn make_room(&mut self, now: Time) {
        self.kept.retain(|_, kept| kept.life.until > now);
        if self.kept.len() >= self.max {
            let mut must_go = self.max.div_ceil(MAKE_ROOM_PART);
            self.kept.retain(|_, _| {
                let goes = must_go > 0;
                must_go -= usize::from(goes);
                !goes
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const APPID: &str = "wx0123456789abcdef";

    fn kept(word: &str) -> Kept {
        let life = Life::new(APPID, Duration::from_hours(2), Time::default());
        Kept { token: Token::new(word.to_owned().into()).unwrap(), life, generation: 1 }
    }

    #[test]
    fn a_token_whose_row_changed_while_it_was_read_is_not_kept() {
        let (mut memory, now) = (Memory::new(9), Time::default());
        let seen = memory.changes();
        memory.forget(APPID);
        assert!(!memory.keep(APPID, kept("dead"), seen, now), "it was withdrawn meanwhile");
        assert!(memory.fresh(APPID, now).is_none());
        assert!(memory.keep(APPID, kept("alive"), memory.changes(), now));
        assert!(memory.fresh(APPID, now).is_some());
    }

    #[test]
    fn a_token_that_was_refused_while_its_row_was_read_is_asked_about_first() {
        let (mut memory, now) = (Memory::new(9), Time::default());
        let dead = kept("dead");
        memory.doubt(APPID, &dead.token, Doubt::Met);
        memory.keep(APPID, dead.clone(), memory.changes(), now);
        assert!(memory.fresh(APPID, now).is_none());
        assert_eq!(memory.doubted(APPID), Some((dead.token, Doubt::Met)));
    }
}
