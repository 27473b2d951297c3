//! Seeded faults: which fault hits which call.

use std::collections::{BTreeMap, VecDeque};

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{
    api_name::{Api, ComponentApi},
    chance,
    span::Span,
};

/// One way a call goes wrong. "Before" means that WeChat did not act on it, "after" that it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The answer is right and comes `slow_for` later.
    Slow,
    /// After: the connection is reset, the answer never arrives.
    LostAnswer,
    /// Before: the connection is reset.
    ResetBefore,
    /// Before: -1.
    BusyBefore,
    /// After: -1 all the same.
    BusyAfter,
    /// Before: a gateway's HTML page with HTTP 502.
    BadGateway,
    /// After: an HTML page with HTTP 200.
    HtmlPage,
    /// After: HTTP 200 and no body.
    EmptyBody,
    /// After: the JSON stops in the middle.
    TruncatedJson,
    /// Before: the account's token is dead (42001), truly, until a new one is fetched.
    TokenExpired,
    /// Before: the account's token is dead (40001), truly, until a new one is fetched.
    TokenInvalid,
    /// Listing only: every item stands in it twice, once as an old rejection.
    DuplicateItems,
    /// Listing only: the items stand in another order.
    ReorderedItems,
    /// Listing only: no item has an appid.
    ItemsWithoutAppid,
    /// Listing only: it is the list of an account without links.
    EmptyList,
    /// Before: the caller's IP is not allowed (61004), for everyone, for `ip_refused_for`.
    IpRefused,
    /// Before: too fast (45011).
    TooFast,
    /// The answer is right and its content type is wrong.
    WrongContentType,
}

impl FaultKind {
    /// Every kind, in the order in which chance is divided among them.
    pub const ALL: [Self; 18] = [
        Self::Slow,
        Self::LostAnswer,
        Self::ResetBefore,
        Self::BusyBefore,
        Self::BusyAfter,
        Self::BadGateway,
        Self::HtmlPage,
        Self::EmptyBody,
        Self::TruncatedJson,
        Self::TokenExpired,
        Self::TokenInvalid,
        Self::DuplicateItems,
        Self::ReorderedItems,
        Self::ItemsWithoutAppid,
        Self::EmptyList,
        Self::IpRefused,
        Self::TooFast,
        Self::WrongContentType,
    ];

    fn meets(self, api: Api) -> bool {
        match self {
            Self::DuplicateItems | Self::ReorderedItems | Self::ItemsWithoutAppid | Self::EmptyList => {
                api == Api::Listing
            }
            _ => true,
        }
    }

    fn meets_component(self, api: ComponentApi) -> bool {
        match self {
            Self::DuplicateItems | Self::ReorderedItems | Self::ItemsWithoutAppid | Self::EmptyList => false,
            Self::TokenExpired | Self::TokenInvalid => api.takes_token(),
            _ => true,
        }
    }
}

/// A name that is no preset. There are `none`, `mild` and `nasty`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no preset: there are none, mild and nasty")]
pub struct NoSuchPreset(String);

/// How often each fault meets a call, at most one per call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Chance per call, from 0 to 1; what is absent never happens. Together they should stay below 1.
    pub rates: BTreeMap<FaultKind, f64>,
    /// Real time that a slow answer waits, not the simulator's.
    pub slow_for: Span,
    /// The simulator's time that an IP refusal lasts.
    pub ip_refused_for: Span,
    #[serde(skip)]
    next: VecDeque<(Option<Api>, FaultKind)>,
    #[serde(skip)]
    next_component: VecDeque<(Option<ComponentApi>, FaultKind)>,
    #[serde(skip)]
    ip_refused_until: Option<i64>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            rates: BTreeMap::new(),
            slow_for: Span::seconds(2),
            ip_refused_for: Span::minutes(2),
            next: VecDeque::new(),
            next_component: VecDeque::new(),
            ip_refused_until: None,
        }
    }
}

impl Faults {
    /// Nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// A normal week: about one call in thirty goes wrong.
    #[must_use]
    pub fn mild() -> Self {
        Self::with_rates(&[
            (FaultKind::Slow, 0.01),
            (FaultKind::LostAnswer, 0.004),
            (FaultKind::ResetBefore, 0.004),
            (FaultKind::BusyBefore, 0.005),
            (FaultKind::BadGateway, 0.002),
            (FaultKind::TokenExpired, 0.002),
            (FaultKind::WrongContentType, 0.005),
        ])
    }

    /// A bad day: about one call in three goes wrong, in every way there is.
    #[must_use]
    pub fn nasty() -> Self {
        let mut faults = Self::with_rates(&FaultKind::ALL.map(|kind| (kind, 0.02)));
        faults.rates.insert(FaultKind::LostAnswer, 0.06);
        // It meets every account for minutes, so even a bad day sees it rarely.
        faults.rates.insert(FaultKind::IpRefused, 0.001);
        // Two in a row, of an account that nobody ever looked at, cannot be told from the truth.
        faults.rates.insert(FaultKind::EmptyList, 0.004);
        faults
    }

    /// The preset of a name.
    ///
    /// # Errors
    ///
    /// The name is none of `none`, `mild`, `nasty`.
    pub fn preset(name: &str) -> Result<Self, NoSuchPreset> {
        match name {
            "none" => Ok(Self::none()),
            "mild" => Ok(Self::mild()),
            "nasty" => Ok(Self::nasty()),
            _ => Err(NoSuchPreset(name.to_owned())),
        }
    }

    /// The next call of that API, or of any, surely meets this fault. Several wait in line.
    pub fn next(&mut self, api: Option<Api>, kind: FaultKind) {
        self.next.push_back((api, kind));
    }

    /// The same for the calls of a third-party platform, which [`Self::next`] leaves alone.
    pub fn next_component(&mut self, api: Option<ComponentApi>, kind: FaultKind) {
        self.next_component.push_back((api, kind));
    }

    /// Ends an IP refusal that is under way.
    pub fn allow_ip(&mut self) {
        self.ip_refused_until = None;
    }

    /// The rate that is no chance, if there is one.
    pub(super) fn wrong_rate(&self) -> Option<FaultKind> {
        let wrong = self.rates.iter().find(|(_, rate)| !(0.0..=1.0).contains(*rate));
        wrong.map(|(kind, _)| *kind)
    }

    /// The fault that meets this call. It depends on the seed, the account, the API and how often the account called.
    pub(super) fn draw(&mut self, seed: u64, api: Api, account: &str, call: u64, now: i64) -> Option<FaultKind> {
        if self.ip_refused_until.is_some_and(|until| now < until) {
            return Some(FaultKind::IpRefused);
        }
        let drawn =
            self.forced(api).or_else(|| self.by_chance(seed, &["fault", account], call, |kind| kind.meets(api)));
        self.refuse_ip(drawn, now);
        drawn
    }

    /// The fault that meets a call of a third-party platform, its `call`-th of this API.
    pub(super) fn draw_component(&mut self, seed: u64, api: ComponentApi, call: u64, now: i64) -> Option<FaultKind> {
        if self.ip_refused_until.is_some_and(|until| now < until) {
            return Some(FaultKind::IpRefused);
        }
        let names = ["component fault", api.name()];
        let drawn =
            self.forced_component(api).or_else(|| self.by_chance(seed, &names, call, |kind| kind.meets_component(api)));
        self.refuse_ip(drawn, now);
        drawn
    }

    fn refuse_ip(&mut self, drawn: Option<FaultKind>, now: i64) {
        if drawn == Some(FaultKind::IpRefused) {
            self.ip_refused_until = Some(now + self.ip_refused_for.as_millis());
        }
    }

    fn forced_component(&mut self, api: ComponentApi) -> Option<FaultKind> {
        let fits = |(wanted, kind): &(Option<ComponentApi>, FaultKind)| {
            kind.meets_component(api) && wanted.is_none_or(|wanted| wanted == api)
        };
        let place = self.next_component.iter().position(fits)?;
        self.next_component.remove(place).map(|(_, kind)| kind)
    }

    fn forced(&mut self, api: Api) -> Option<FaultKind> {
        let place =
            self.next.iter().position(|(wanted, kind)| kind.meets(api) && wanted.is_none_or(|wanted| wanted == api))?;
        self.next.remove(place).map(|(_, kind)| kind)
    }

    fn by_chance(&self, seed: u64, names: &[&str], call: u64, meets: impl Fn(FaultKind) -> bool) -> Option<FaultKind> {
        if self.rates.is_empty() {
            return None;
        }
        let mut rest: f64 = chance::dice(seed, names, call).random();
        let mut met = self.rates.iter().filter(|(kind, _)| meets(**kind));
        met.find_map(|(kind, rate)| {
            rest -= rate;
            (rest < 0.0).then_some(*kind)
        })
    }

    fn with_rates(rates: &[(FaultKind, f64)]) -> Self {
        Self { rates: rates.iter().copied().collect(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luck(seed: u64, account: &str) -> Vec<Option<FaultKind>> {
        let mut faults = Faults::nasty();
        faults.rates.remove(&FaultKind::IpRefused);
        (0..500).map(|call| faults.draw(seed, Api::Listing, account, call, 0)).collect()
    }

    #[test]
    fn the_same_seed_brings_the_same_luck() {
        assert_eq!(luck(7, "wx1"), luck(7, "wx1"));
        assert_ne!(luck(7, "wx1"), luck(8, "wx1"));
        assert_ne!(luck(7, "wx1"), luck(7, "wx2"));
    }

    #[test]
    fn a_nasty_day_spoils_about_a_third() {
        let spoilt = luck(7, "wx1").iter().flatten().count();
        assert!((100..250).contains(&spoilt), "{spoilt} of 500");
    }

    #[test]
    fn a_forced_fault_waits_for_its_api() {
        let mut faults = Faults::none();
        faults.next(Some(Api::Link), FaultKind::LostAnswer);
        assert_eq!(faults.draw(1, Api::Listing, "wx1", 0, 0), None);
        let met = faults.draw(1, Api::Link, "wx1", 1, 0);
        assert_eq!(met, Some(FaultKind::LostAnswer));
        assert_eq!(faults.draw(1, Api::Link, "wx1", 2, 0), None);
    }

    #[test]
    fn a_refused_ip_is_refused_for_everyone_for_a_while() {
        let mut faults = Faults::none();
        faults.next(None, FaultKind::IpRefused);
        faults.draw(1, Api::Listing, "wx1", 0, 0);
        let later = faults.ip_refused_for.as_millis();
        let other = faults.draw(1, Api::Link, "wx2", 0, later - 1);
        assert_eq!(other, Some(FaultKind::IpRefused));
        assert_eq!(faults.draw(1, Api::Link, "wx2", 1, later), None);
    }
}
