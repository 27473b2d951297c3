//! The accounts' access tokens: issued, renewed, expired on the simulator's clock.

use std::collections::HashMap;

use super::{chance, errcode, span::Span, switches::Switches};

/// One account's tokens: the one in use and the one before it.
#[derive(Clone, Copy, Debug)]
struct Issued {
    serial: u64,
    expires_at: i64,
    previous_until: i64,
    calls: u64,
    by: Renew,
}

/// A token as the token endpoint gives it out.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) expires_in: i64,
}

/// Every token that works. A token's text is computed from its account and number, not stored.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens {
    issued: HashMap<String, Issued>,
}

impl Tokens {
    /// The account's token: the current one while it has more than its grace to live, else a new one.
    pub(super) fn give(&mut self, seed: u64, account: &str, renew: Renew, switches: &Switches, now: i64) -> Token {
        let known = self.issued.get(account).copied();
        let fresh =
            known.filter(|issued| renew == Renew::WhenOld && issued.expires_at - now > margin(switches).as_millis());
        let issued = fresh.unwrap_or_else(|| self.issue(account, known, renew, switches, now));
        Token {
            text: text_of(seed, account, issued.serial, switches.token_length),
            expires_in: (issued.expires_at - now).max(0) / 1_000,
        }
    }

    fn issue(&mut self, account: &str, known: Option<Issued>, by: Renew, switches: &Switches, now: i64) -> Issued {
        let is_anothers = known.is_some_and(|issued| issued.by.is_platform() != by.is_platform());
        let dies = switches.token_dies_on_refresh_of_another && is_anothers;
        let grace = if dies { now } else { now + switches.token_grace.as_millis() };
        let issued = Issued {
            serial: known.map_or(1, |issued| issued.serial + 1),
            expires_at: now + switches.token_lifetime.as_millis(),
            previous_until: known.map_or(now, |issued| issued.expires_at.min(grace)),
            calls: known.map_or(0, |issued| issued.calls),
            by,
        };
        self.issued.insert(account.to_owned(), issued);
        issued
    }

    /// Kills the account's tokens at once, as a re-authorization would.
    pub(super) fn expire(&mut self, account: &str, now: i64) {
        if let Some(issued) = self.issued.get_mut(account) {
            issued.expires_at = issued.expires_at.min(now);
            issued.previous_until = issued.previous_until.min(now);
        }
    }

    /// Puts the account's tokens out of date at once (40001), as a new authorization does.
    pub(super) fn supersede(&mut self, account: &str, now: i64) {
        self.expire(account, now);
        if let Some(issued) = self.issued.get_mut(account) {
            issued.serial += 1;
        }
    }

    /// The distinctive beginning of every token that was ever given out.
    pub(super) fn all(&self, seed: u64) -> impl Iterator<Item = String> {
        let issued = self.issued.iter();
        issued
            .flat_map(move |(account, issued)| (1..=issued.serial).map(move |serial| text_of(seed, account, serial, 0)))
    }

    /// Kills every account's tokens at once.
    pub(super) fn expire_all(&mut self, now: i64) {
        for issued in self.issued.values_mut() {
            issued.expires_at = issued.expires_at.min(now);
            issued.previous_until = issued.previous_until.min(now);
        }
    }

    /// Counts one more call made with the account's tokens, which is what its luck depends on.
    pub(super) fn count_call(&mut self, account: &str) -> u64 {
        self.issued.get_mut(account).map_or(0, |issued| {
            issued.calls += 1;
            issued.calls
        })
    }

    /// The account that a token was made for, and its number; or the code that a text answers which was never a token.
    pub(super) fn made_for<'t>(&self, seed: u64, token: &'t str) -> Result<(&'t str, u64), i64> {
        if token.is_empty() {
            return Err(errcode::TOKEN_MISSING);
        }
        let (account, serial) = parts(seed, token).ok_or(errcode::TOKEN_INVALID)?;
        let issued = self.issued.get(account).filter(|issued| serial <= issued.serial);
        issued.map(|_| (account, serial)).ok_or(errcode::TOKEN_INVALID)
    }

    /// Whether the token of that number still works, or the code that it answers.
    pub(super) fn works(&self, account: &str, serial: u64, now: i64) -> Result<(), i64> {
        let issued = self.issued.get(account).ok_or(errcode::TOKEN_INVALID)?;
        let (until, code) = match issued.serial.saturating_sub(serial) {
            0 => (issued.expires_at, errcode::TOKEN_EXPIRED),
            1 => (issued.previous_until, errcode::TOKEN_INVALID),
            _ => return Err(errcode::TOKEN_INVALID),
        };
        if now < until { Ok(()) } else { Err(code) }
    }
}

/// Who asks for a token, and whether the one that is there will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renew {
    /// The token service gives the one it has until that is old.
    WhenOld,
    /// The token service gives a new one.
    Now,
    /// The platform asked WeChat itself, which always gives a new one.
    ByPlatform,
}

impl Renew {
    fn is_platform(self) -> bool {
        match self {
            Self::WhenOld | Self::Now => false,
            Self::ByPlatform => true,
        }
    }
}

/// A token service renews early, but never so early that a short-lived token is always new.
fn margin(switches: &Switches) -> Span {
    let tenth = Span::millis(switches.token_lifetime.as_millis() / 10);
    switches.token_grace.min(tenth)
}

fn tag(seed: u64, account: &str, serial: u64) -> String {
    format!("{:016x}", chance::fixed(seed, &["token", account, &serial.to_string()]))
}

fn text_of(seed: u64, account: &str, serial: u64, length: usize) -> String {
    let tag = tag(seed, account, serial);
    let mut text = format!("{account}.{serial}.{tag}");
    while text.len() < length {
        text.push_str(&tag);
    }
    // Cutting never reaches the first tag, which starts before the wanted length only when padding was added.
    let needed = account.len() + serial.to_string().len() + 2 + tag.len();
    text.truncate(length.max(needed));
    text
}

fn parts(seed: u64, token: &str) -> Option<(&str, u64)> {
    let (rest, tail) = token.rsplit_once('.')?;
    let (account, serial) = rest.rsplit_once('.')?;
    let serial = serial.parse().ok()?;
    tail.starts_with(&tag(seed, account, serial)).then_some((account, serial))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Tokens {
        fn account_of<'t>(&self, seed: u64, token: &'t str, now: i64) -> Result<&'t str, i64> {
            let (account, serial) = self.made_for(seed, token)?;
            self.works(account, serial, now).map(|()| account)
        }
    }

    #[test]
    fn a_token_works_for_its_account_until_it_expires() {
        let switches = Switches::default();
        let mut tokens = Tokens::default();
        let token = tokens.give(1, "wx1", Renew::WhenOld, &switches, 0);
        assert_eq!(token.text.len(), switches.token_length);
        assert_eq!(token.expires_in, 7_200);
        assert_eq!(tokens.account_of(1, &token.text, 0), Ok("wx1"));
        assert_eq!(tokens.account_of(1, &token.text, 7_200_000), Err(42001));
        assert_eq!(tokens.account_of(1, "wx1.1.made-up", 0), Err(40001));
        assert_eq!(tokens.account_of(1, "", 0), Err(41001));
    }

    #[test]
    fn the_token_before_it_works_five_minutes_more() {
        let switches = Switches::default();
        let mut tokens = Tokens::default();
        let old = tokens.give(1, "wx1", Renew::WhenOld, &switches, 0);
        let new = tokens.give(1, "wx1", Renew::Now, &switches, 1_000);
        assert_ne!(old.text, new.text);
        assert_eq!(tokens.account_of(1, &old.text, 300_000), Ok("wx1"));
        assert_eq!(tokens.account_of(1, &old.text, 301_000), Err(40001));
        tokens.expire("wx1", 2_000);
        assert_eq!(tokens.account_of(1, &old.text, 2_000), Err(40001));
        assert_eq!(tokens.account_of(1, &new.text, 2_000), Err(42001));
    }

    #[test]
    fn a_foreign_refresh_may_kill_the_platforms_token() {
        let mut switches = Switches::default();
        for (dies, after) in [(false, Ok("wx1")), (true, Err(40001))] {
            switches.token_dies_on_refresh_of_another = dies;
            let mut tokens = Tokens::default();
            let ours = tokens.give(1, "wx1", Renew::ByPlatform, &switches, 0);
            tokens.give(1, "wx1", Renew::Now, &switches, 1_000);
            assert_eq!(tokens.account_of(1, &ours.text, 1_000), after);
        }
        let mut tokens = Tokens::default();
        let old = tokens.give(1, "wx1", Renew::ByPlatform, &switches, 0);
        tokens.give(1, "wx1", Renew::ByPlatform, &switches, 1_000);
        assert_eq!(tokens.account_of(1, &old.text, 1_000), Ok("wx1"), "our own refresh has its grace");
        tokens.supersede("wx1", 2_000);
        assert_eq!(tokens.account_of(1, &old.text, 2_000), Err(40001));
        assert_eq!(tokens.all(1).count(), 3);
        assert!(tokens.all(1).any(|text| old.text.starts_with(&text)));
    }
}
