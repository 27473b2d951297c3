//! Caches tokens until shortly before they expire, with one fetch per account at a time. An aborted fetch must not
//! block the next one, or the account would stand still.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::{BadTokenSource, Desk, Grant, Token, TokenError, TokenSource, command::Program, service::Service};
use crate::{
    clock::SharedClock,
    domain::id::AccountId,
    wechat::meters::{CallMeters, Fetched},
};

/// A token is renewed this long before its end: old and new both work for 5 minutes around a refresh.
const MARGIN_MAX: Duration = Duration::from_mins(5);

/// The part of a lifetime that the margin may take, as a divisor: short-lived tokens must be used, too.
const MARGIN_PART: u32 = 10;

/// How long a token is kept whose source does not say: long enough for the calls of one round.
const LIFETIME_UNSAID: Duration = Duration::from_mins(1);

/// No access token of `WeChat` lives longer; a source that says so is wrong about it.
const LIFETIME_MAX: Duration = Duration::from_hours(2);

/// Tokens kept at once, about 300 bytes each, unless the configuration says otherwise. Of more accounts, those that are asked
/// for most often keep theirs.
pub const TOKENS_MAX: usize = 200_000;

/// When there are too many, this part of them goes at once, as a divisor: to look for those that go costs little then.
const MAKE_ROOM_PART: usize = 10;

/// Fewest tokens for which looking for ended ones is worth it.
const SWEEP_FROM: usize = 1_024;

/// Tokens by account. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Tokens {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: Source,
    clock: SharedClock,
    cache: Mutex<Cache>,
    /// Tokens kept at once.
    max: usize,
    /// Where fetches are counted.
    meters: Mutex<Arc<CallMeters>>,
}

#[derive(Debug)]
enum Source {
    Http(Service),
    Command(Program),
    Static { by_account: HashMap<AccountId, Token>, other: Option<Token> },
    Asked(Desk),
}

type Outcome = Result<Token, TokenError>;

#[derive(Debug, Default)]
struct Cache {
    kept: HashMap<AccountId, Kept>,
    flights: HashMap<AccountId, watch::Receiver<Option<Outcome>>>,
    /// How many kept tokens there may be before ended ones are looked for.
    sweep_at: usize,
}

#[derive(Debug)]
struct Kept {
    token: Token,
    /// The stopwatch's time at which it is no longer used.
    until: Duration,
    /// When it was last asked for: accounts that are looked at often are asked for soonest again.
    used: Duration,
}

impl Tokens {
    /// Tokens of this source, timed by the clock's stopwatch: a calendar that is stepped does not end them.
    ///
    /// # Errors
    ///
    /// When the source cannot be used as it is configured.
    pub fn new(source: TokenSource, clock: SharedClock) -> Result<Self, BadTokenSource> {
        Self::keeping(TOKENS_MAX, source, clock)
    }

    /// [`Tokens::new`], with at most `max` tokens kept.
    pub fn keeping(max: usize, source: TokenSource, clock: SharedClock) -> Result<Self, BadTokenSource> {
        let source = match source {
            TokenSource::Http(source) => Source::Http(Service::new(&source)?),
            TokenSource::Command(source) => Source::Command(Program::new(source)?),
            TokenSource::Static(tokens) => fixed(tokens)?,
            TokenSource::Asked(desk) => Source::Asked(desk),
        };
        let (cache, meters, max) = (Mutex::default(), Mutex::default(), max.max(1));
        Ok(Self { inner: Arc::new(Inner { source, clock, cache, max, meters }) })
    }

    /// The account's token: the kept one, or one that all concurrent callers wait for together. A caller that goes away
    /// does not end the fetch.
    ///
    /// # Errors
    ///
    /// When the source refuses, or gives none.
    pub async fn get(&self, account: &AccountId) -> Result<Token, TokenError> {
        match &self.inner.source {
            Source::Static { by_account, other } => {
                return by_account.get(account).or(other.as_ref()).cloned().ok_or_else(|| {
                    TokenError::Unavailable("no token is configured for this account, and none for \"*\"".to_owned())
                });
            }
            // It keeps them itself.
            Source::Asked(desk) => return desk.token(account).await,
            Source::Http(_) | Source::Command(_) => {}
        }
        let mut flight = match self.inner.kept_or_flight(account) {
            Ok(token) => return Ok(token),
            Err(flight) => flight,
        };
        match flight.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            Ok(None) | Err(_) => Err(TokenError::Unavailable("fetching the token broke off".to_owned())),
        }
    }

    /// Forgets the account's token if it is still this one, and tells whether it was. A token that somebody has renewed
    /// in the meantime stays. Configured tokens are never forgotten.
    #[expect(clippy::must_use_candidate, reason = "most callers only want it gone")]
    pub fn invalidate(&self, account: &AccountId, token: &Token) -> bool {
        if let Source::Asked(desk) = &self.inner.source {
            desk.refused(account, token);
            return true;
        }
        let mut cache = self.inner.cache();
        let same = cache.kept.get(account).is_some_and(|kept| kept.token == *token);
        same && cache.kept.remove(account).is_some()
    }

    /// Keeps what another one kept, as far as there is room: its tokens come from the same source.
    pub fn take_over(&self, from: &Self) {
        let kept = std::mem::take(&mut from.inner.cache().kept);
        let mut by_use: Vec<(AccountId, Kept)> = kept.into_iter().collect();
        by_use.sort_unstable_by_key(|(_, kept)| std::cmp::Reverse(kept.used));
        // With room for the next one.
        by_use.truncate(self.inner.max - 1);
        self.inner.cache().kept.extend(by_use);
    }

    /// Counts fetches here from now on.
    pub(in crate::wechat) fn count_in(&self, meters: Arc<CallMeters>) {
        *self.inner.meters.lock().unwrap_or_else(PoisonError::into_inner) = meters;
    }

    pub(in crate::wechat) fn clock(&self) -> &SharedClock {
        &self.inner.clock
    }

    /// Whether somebody in this process keeps them.
    #[must_use]
    pub fn are_asked_for(&self) -> bool {
        matches!(self.inner.source, Source::Asked(_))
    }

    /// How many tokens are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.inner.cache().kept.len()
    }
}

impl Inner {
    fn note(&self, fetched: Fetched, asked: Duration) {
        let meters = Arc::clone(&self.meters.lock().unwrap_or_else(PoisonError::into_inner));
        meters.tokens.note(fetched, self.clock.monotonic().saturating_sub(asked));
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // Nothing panics while the cache is held, and if something did, the cache would be whole.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept_or_flight(self: &Arc<Self>, account: &AccountId) -> Result<Token, watch::Receiver<Option<Outcome>>> {
        let now = self.clock.monotonic();
        let mut cache = self.cache();
        if let Some(kept) = cache.kept.get_mut(account).filter(|kept| now < kept.until) {
            kept.used = now;
            return Ok(kept.token.clone());
        }
        if let Some(flight) = cache.flights.get(account) {
            return Err(flight.clone());
        }
        let (landing, flight) = watch::channel(None);
        cache.flights.insert(account.clone(), flight.clone());
        // A task of its own: whoever waits may be cancelled, and the others still get their token.
        tokio::spawn(InFlightFetch { inner: Arc::clone(self), account: account.clone(), landing }.fly());
        Err(flight)
    }

    async fn fetch(&self, account: &AccountId) -> Result<Grant, TokenError> {
        match &self.source {
            Source::Http(service) => service.fetch(account).await,
            Source::Command(program) => program.fetch(account).await,
            Source::Static { .. } | Source::Asked(_) => {
                Err(TokenError::Unavailable("such tokens are not fetched".to_owned()))
            }
        }
    }

    /// Keeps a token that was asked for at `asked`, a moment before its life began.
    fn keep(&self, account: &AccountId, grant: &Grant, asked: Duration) {
        let lives = grant.lives.unwrap_or(LIFETIME_UNSAID).min(LIFETIME_MAX);
        let until = asked + lives.saturating_sub(MARGIN_MAX.min(lives / MARGIN_PART));
        let now = self.clock.monotonic();
        if until <= now {
            return;
        }
        let mut cache = self.cache();
        if cache.kept.len() >= cache.sweep_at.max(SWEEP_FROM).min(self.max) {
            cache.kept.retain(|_, kept| now < kept.until);
            cache.make_room(self.max);
            cache.sweep_at = cache.kept.len() * 2;
        }
        cache.kept.insert(account.clone(), Kept { token: grant.token.clone(), until, used: now });
    }
}

impl Cache {
    /// Lets those go that were not asked for for longest, when there are as many as may be.
    fn make_room(&mut self, max: usize) {
        if self.kept.len() < max {
            return;
        }
        let mut used: Vec<Duration> = self.kept.values().map(|kept| kept.used).collect();
        let (_, last, _) = used.select_nth_unstable(max.div_ceil(MAKE_ROOM_PART) - 1);
        let last = *last;
        // Of those that were asked for at the same moment as few go as must.
        let mut must_go = max.div_ceil(MAKE_ROOM_PART) + self.kept.len() - max;
        self.kept.retain(|_, kept| {
            let goes = must_go > 0 && kept.used <= last;
            must_go -= usize::from(goes);
            !goes
        });
    }
}

/// One fetch under way. However it ends, by panic too, dropping it makes room for the next and wakes who waits.
struct InFlightFetch {
    inner: Arc<Inner>,
    account: AccountId,
    landing: watch::Sender<Option<Outcome>>,
}

impl InFlightFetch {
    async fn fly(self) {
        let asked = self.inner.clock.monotonic();
        let fetched = self.inner.fetch(&self.account).await;
        self.inner.note(Fetched::of(fetched.as_ref().err()), asked);
        let outcome = fetched.map(|grant| {
            self.inner.keep(&self.account, &grant, asked);
            grant.token
        });
        self.landing.send_replace(Some(outcome));
    }
}

impl Drop for InFlightFetch {
    fn drop(&mut self) {
        if self.landing.borrow().is_none() {
            self.inner.note(Fetched::BrokenOff, self.inner.clock.monotonic());
        }
        self.inner.cache().flights.remove(&self.account);
    }
}

fn fixed(tokens: HashMap<String, secrecy::SecretString>) -> Result<Source, BadTokenSource> {
    let mut by_account = HashMap::with_capacity(tokens.len());
    let mut other = None;
    for (account, secret) in tokens {
        let token = Token::new(secret).map_err(|error| BadTokenSource(format!("has for {account:?}: {error}")))?;
        if account == "*" {
            other = Some(token);
        } else {
            let account = account.parse().map_err(|error| BadTokenSource(format!("names an account: {error}")))?;
            by_account.insert(account, token);
        }
    }
    Ok(Source::Static { by_account, other })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::SystemClock,
        wechat::token::{CommandSource, GrantNames},
    };

    #[test]
    fn where_there_are_too_many_those_that_are_asked_for_often_keep_theirs() {
        let account = |number: usize| -> AccountId { format!("wx{number:016}").parse().unwrap() };
        let token = Token::new(secrecy::SecretString::from("t")).unwrap();
        let mut cache = Cache::default();
        for number in 0..100 {
            // Every other one is asked for often.
            let used = Duration::from_secs(if number % 2 == 0 { 1_000 } else { number as u64 });
            let kept = Kept { token: token.clone(), until: Duration::MAX, used };
            cache.kept.insert(account(number), kept);
        }
        cache.make_room(101);
        assert_eq!(cache.kept.len(), 100, "there is room");
        cache.make_room(100);
        assert_eq!(cache.kept.len(), 90);
        assert!((0..100).step_by(2).all(|number| cache.kept.contains_key(&account(number))));
        assert!((0..10).all(|number| !cache.kept.contains_key(&account(2 * number + 1))), "the oldest are gone");
    }

    #[tokio::test]
    async fn another_cache_of_the_same_source_takes_over_what_it_has_room_for() {
        let tokens = |max| Tokens::keeping(max, program(), Arc::new(SystemClock::new())).unwrap();
        let (before, after) = (tokens(100), tokens(7));
        for number in 0..50 {
            let kept = Kept {
                token: Token::new(secrecy::SecretString::from("t")).unwrap(),
                until: Duration::MAX,
                used: Duration::from_secs(number),
            };
            before.inner.cache().kept.insert(format!("wx{number:016}").parse().unwrap(), kept);
        }
        after.take_over(&before);
        assert_eq!((before.kept(), after.kept()), (0, 6), "those that are asked for most, and room for another");
        assert!(after.inner.cache().kept.contains_key(&"wx0000000000000049".parse().unwrap()));
    }

    fn program() -> TokenSource {
        TokenSource::Command(CommandSource {
            program: "/bin/echo".into(),
            args: Vec::new(),
            names: GrantNames::default(),
            timeout: Duration::from_secs(5),
        })
    }

    #[tokio::test]
    async fn a_fetch_that_breaks_off_wakes_its_waiters_and_makes_room() {
        let tokens = Tokens::new(program(), Arc::new(SystemClock::new())).unwrap();
        let account: AccountId = "wx0123456789abcdef".parse().unwrap();
        let (landing, flight) = watch::channel(None);
        tokens.inner.cache().flights.insert(account.clone(), flight);
        let broken = InFlightFetch { inner: Arc::clone(&tokens.inner), account: account.clone(), landing };
        let crash = tokio::spawn(async move {
            let _broken = broken;
            panic!("as a defect in a source would");
        });
        let waited = tokens.get(&account).await;
        assert!(crash.await.is_err());
        assert!(matches!(waited, Err(TokenError::Unavailable(_))), "{waited:?}");
        assert!(tokens.inner.cache().flights.is_empty());
    }
}
