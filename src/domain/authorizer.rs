//! Authorizations of accounts to the platform: in which order their pushes count, what they allow, and when a token is
//! renewed. Pure. The pushes are those of `WeChat`'s "authorization change" page (授权变更通知推送); that a late or
//! repeated one is possible is not documented, and so taken for granted.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::time::Time;

/// The permission set 小程序关联管理 (manage mini programs), without which `WeChat` answers 61007 to link calls.
pub const LINK_PERMISSION: i64 = 33;

/// The least time before its end at which a token is renewed; up to as much again is added, by account, so that no two
/// whose tokens came at the same moment are renewed at the same moment.
const MARGIN: Duration = Duration::from_mins(10);

/// Of a short life the margin takes no more than this part, as a divisor.
const MARGIN_PART: u32 = 3;

/// How long a token works once the next one has been given (`WeChat`'s page of `access_token`).
pub const GRACE: Duration = Duration::from_mins(5);

/// A token that ends sooner than this is not given to anybody who can wait for the next one.
const LAST_MOMENT: Duration = Duration::from_mins(1);

/// No token of `WeChat` lives longer; a source that says so is wrong about it.
const LIFETIME_MAX: Duration = Duration::from_hours(2);

/// Where an authorization stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthorizerState {
    /// The account has authorized the platform.
    Authorized,
    /// It never did, or took it back.
    Unauthorized,
    /// Pushes contradict each other, or none has come: `WeChat` is asked.
    Unknown,
}

impl AuthorizerState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Authorized, Self::Unauthorized, Self::Unknown];

    /// The word of `v_authorizer.state`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Unauthorized => "unauthorized",
            Self::Unknown => "unknown",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// What a push says of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthorizationEvent {
    /// It authorized the platform.
    Authorized,
    /// It authorized the platform anew, perhaps with other permissions; its tokens are dead at once.
    Updated,
    /// It took its authorization back.
    Unauthorized,
}

impl AuthorizationEvent {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Authorized, Self::Updated, Self::Unauthorized];

    /// The `InfoType` of the push.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Updated => "updateauthorized",
            Self::Unauthorized => "unauthorized",
        }
    }

    /// The event with this `InfoType`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == word)
    }

    const fn grants(self) -> bool {
        match self {
            Self::Authorized | Self::Updated => true,
            Self::Unauthorized => false,
        }
    }
}

/// What a push changes, by what is known already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// It is the newest word: it counts.
    Newest,
    /// Something newer is known: it changes nothing.
    Late,
    /// It contradicts another push of the same second: `WeChat` must be asked which was last.
    Doubtful,
}

/// How far ahead of our clock a push may be made. One that says more would hold back all that come after it.
const AHEAD_MAX: Duration = Duration::from_mins(10);

/// How long a code can be traded. A grant that is older, and as old as the last one, is that one again.
const CODE_LIFETIME: Duration = Duration::from_hours(1);

/// When a push counts as made that says `made` and came at `now`.
#[must_use]
pub fn made_by(made: Time, now: Time) -> Time {
    made.min(now + AHEAD_MAX)
}

/// Whether a push is the last one that counted, sent again after its id was forgotten.
#[must_use]
pub fn is_replay(last: Option<(AuthorizationEvent, Time)>, event: AuthorizationEvent, made: Time, now: Time) -> bool {
    last == Some((event, made)) && now.since(made) > CODE_LIFETIME
}

/// Whether a push counts that was made at `made`, given the last one that did.
#[must_use]
pub fn order(last: Option<(AuthorizationEvent, Time)>, event: AuthorizationEvent, made: Time) -> Order {
    match last {
        None => Order::Newest,
        Some((_, at)) if made > at => Order::Newest,
        Some((_, at)) if made < at => Order::Late,
        // Two grants of one second: ids tell a repetition apart, so this is another code, and the last one works.
        Some((word, _)) if word.grants() == event.grants() => Order::Newest,
        Some(_) => Order::Doubtful,
    }
}

/// How a token may be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// As it is.
    Fresh,
    /// As it is, while the next one is fetched.
    RenewBeside,
    /// Not: whoever asks waits for the next one, and gets this one only if there is none.
    RenewFirst,
    /// Not at all: it has ended.
    Ended,
}

/// The life of a token, as it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Life {
    /// From when on it is renewed.
    pub renew_at: Time,
    /// When it ends.
    pub until: Time,
}

impl Life {
    /// Of a token that came at `now` and ends in `expires_in`.
    #[must_use]
    pub fn new(appid: &str, expires_in: Duration, now: Time) -> Self {
        let expires_in = expires_in.min(LIFETIME_MAX);
        let spread = Duration::from_millis(xxh3_64(appid.as_bytes()) % part_ms(MARGIN));
        let margin = (MARGIN + spread).min(expires_in / MARGIN_PART);
        Self { renew_at: now + expires_in.saturating_sub(margin), until: now + expires_in }
    }

    /// How the token may be used at `now`. A life that ends further ahead than any does was written by a calendar that has
    /// been stepped back since: it is renewed, but still used.
    #[must_use]
    pub fn freshness(self, now: Time) -> Freshness {
        let left = now.until(self.until);
        if self.until <= now {
            Freshness::Ended
        } else if left <= LAST_MOMENT.min(self.renew_at.until(self.until) / 2) {
            Freshness::RenewFirst
        } else if self.renew_at <= now || left > LIFETIME_MAX {
            Freshness::RenewBeside
        } else {
            Freshness::Fresh
        }
    }
}

fn part_ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Whether the permission sets hold the one that links need.
#[must_use]
pub fn has_link_permission(permissions: &[i64]) -> bool {
    permissions.contains(&LINK_PERMISSION)
}

/// What a refusal of a component call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ComponentRefusal {
    /// The component's own token is dead: drop it and try once more with the next.
    ComponentToken,
    /// The ticket is dead or wrong: no further try before the next push.
    Ticket,
    /// The component's secret or appid is wrong: a person must act; nothing is tried before a restart or a reload.
    Secret,
    /// The day's calls are used up.
    DayUsedUp,
    /// Our address is not on the platform's whitelist.
    Address,
    /// The account's refresh token is not known any more: the list of authorizers may still have one.
    RefreshToken,
    /// The account has taken its authorization back, or its password has changed.
    Unauthorized,
    /// The authorization code is used or too old: the account is looked up.
    Code,
    /// Nothing of these: tried again later.
    Other,
}

impl ComponentRefusal {
    /// By the code (`WeChat`'s pages of the component calls, and its list of global return codes).
    #[must_use]
    pub const fn of(errcode: i64) -> Self {
        match errcode {
            40_001 | 40_014 | 42_001 | 42_006 => Self::ComponentToken,
            61_005 | 61_006 => Self::Ticket,
            40_013 | 40_125 | 41_004 => Self::Secret,
            45_009 => Self::DayUsedUp,
            61_004 | 40_164 => Self::Address,
            61_023 => Self::RefreshToken,
            61_003 | 42_007 => Self::Unauthorized,
            61_009 | 61_010 => Self::Code,
            _ => Self::Other,
        }
    }
}

/// Calls of the component that we make in a day for its tokens and the list of authorizers: fourteen are usual, and a loop of
/// ours can never spend the 10,000 that `WeChat` gives.
pub const CALLS_PER_DAY: i64 = 500;

/// How many of these the list may take: what is left is the component's own tokens'.
pub const LIST_CALLS_PER_DAY: i64 = 400;

/// How many of these a sweep of the list may take, or what is left of one: the rest is for single accounts and operators.
pub const SWEEP_CALLS_PER_DAY: i64 = 300;

/// In place of a code of `WeChat`'s: our own cap of a day's calls is reached.
pub const OWN_CAP: i64 = 0;

/// The codes by which an account is suspended that lacks an authorization or a permission set.
pub const LACKING: [i64; 4] = [61_003, 61_007, 61_023, 42_007];

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_ms(1_773_100_800_000) + Duration::from_secs(seconds)
    }

    #[test]
    fn the_newest_word_counts_and_a_contradiction_of_one_second_is_asked_about() {
        use AuthorizationEvent as E;
        assert_eq!(order(None, E::Unauthorized, at(0)), Order::Newest);
        for event in E::ALL {
            for last in E::ALL {
                assert_eq!(order(Some((last, at(5))), event, at(6)), Order::Newest);
                assert_eq!(order(Some((last, at(5))), event, at(4)), Order::Late);
            }
        }
        assert_eq!(order(Some((E::Authorized, at(5))), E::Updated, at(5)), Order::Newest);
        assert_eq!(order(Some((E::Authorized, at(5))), E::Unauthorized, at(5)), Order::Doubtful);
        assert_eq!(order(Some((E::Unauthorized, at(5))), E::Authorized, at(5)), Order::Doubtful);
        assert_eq!(order(Some((E::Unauthorized, at(5))), E::Unauthorized, at(5)), Order::Newest);
    }

    #[test]
    fn a_token_is_renewed_ten_to_twenty_minutes_before_its_end() {
        let mut margins = std::collections::BTreeSet::new();
        for number in 0..1_000 {
            let life = Life::new(&format!("wx{number:016}"), Duration::from_hours(2), at(0));
            let margin = life.renew_at.until(life.until);
            assert!(margin >= MARGIN && margin < 2 * MARGIN, "{margin:?}");
            margins.insert(margin.as_secs());
        }
        assert!(margins.len() > 400, "{} different moments", margins.len());
    }

    #[test]
    fn a_short_life_is_used_for_two_thirds_of_it() {
        use Freshness as F;
        let life = Life::new("wx0123456789abcdef", Duration::from_secs(30), at(0));
        assert_eq!(life, Life { renew_at: at(20), until: at(30) });
        let seen = [0, 19, 20, 24, 25, 29, 30].map(|seconds| life.freshness(at(seconds)));
        assert_eq!(seen, [F::Fresh, F::Fresh, F::RenewBeside, F::RenewBeside, F::RenewFirst, F::RenewFirst, F::Ended]);
    }

    #[test]
    fn a_life_written_by_a_calendar_that_was_ahead_is_renewed() {
        let life = Life::new("wx0123456789abcdef", Duration::from_hours(2), at(100_000));
        assert_eq!(life.freshness(at(0)), Freshness::RenewBeside);
        assert_eq!(life.freshness(at(100_001)), Freshness::Fresh);
    }

    #[test]
    fn a_push_of_the_future_holds_back_nobody_for_long() {
        let now = Time::from_ms(1_773_100_800_000);
        let (minute, days) = (Duration::from_mins(1), Duration::from_hours(72));
        assert_eq!(made_by(now + minute, now), now + minute, "clocks differ a little");
        assert_eq!(made_by(now + days, now), now + AHEAD_MAX);
        assert!(made_by(now + days, now) <= now + Duration::from_mins(10), "the next ticket is newer");
    }

    #[test]
    fn a_life_that_is_said_to_be_longer_than_any_is_two_hours() {
        assert_eq!(Life::new("a", Duration::from_secs(u64::MAX), at(0)).until, at(7_200));
        assert_eq!(Life::new("a", Duration::ZERO, at(0)).freshness(at(0)), Freshness::Ended);
    }
}
