//! What must hold of a platform's tokens, held against what `WeChat` sees of them: which token a call brings, which calls
//! are under way together, and how many there are. What the daemon says of itself is not used, but for its rows: a token
//! must lie there when it is used.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::verdict::Violation;
use crate::sim::{Arrival, Called, ComponentApi};

/// The promise that is numbered 18 in docs/reliability.md.
pub(super) const PROMISE: &str = "a token is used only once it is on disk, and refreshed once, whoever asks";

const NO_STORM: &str = "calls of the platform are few";

/// Codes that say that a token is dead.
const DEAD: [i64; 4] = [40_001, 40_014, 42_001, 42_006];

const MINUTE: i64 = 60_000;

const HOUR: i64 = 60 * MINUTE;

const DAY: i64 = 24 * HOUR;

/// How long a token that was refused may still be served: another one is forced at most once a minute and account.
const STILL_SERVED: i64 = 2 * MINUTE;

/// Uses of such a token meanwhile, besides those of calls that were under way.
const STILL_USED: usize = 4;

/// Calls that one event may cost: an authorization, a refusal, a process that begins.
const PER_EVENT: usize = 6;

/// Refused or unanswered calls for one thing within an hour without any event: the pauses between them grow.
const FAILED_PER_HOUR: usize = 10;

/// How many such calls an event allows besides.
const FAILED_PER_EVENT: usize = 4;

/// Lives of the longest renewal margin: a token is renewed at the earliest after so much of its life.
const RENEWED_AFTER: (i64, i64) = (2, 3);

/// What calls are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Subject {
    api: ComponentApi,
    about: Option<String>,
}

impl Subject {
    /// Whether two of them must never be under way at once.
    fn is_refresh(&self) -> bool {
        match self.api {
            ComponentApi::ComponentToken | ComponentApi::AuthorizerToken | ComponentApi::QueryAuth => true,
            ComponentApi::StartPushTicket | ComponentApi::AuthorizerList | ComponentApi::AuthorizerInfo => false,
        }
    }
}

/// A call under way.
#[derive(Debug, Clone)]
struct UnderWay {
    token: String,
    at: i64,
    /// Of the platform's own calls.
    subject: Option<Subject>,
}

/// A token that was refused.
#[derive(Debug, Clone, Copy)]
struct Refused {
    at: i64,
    used: usize,
}

/// What a life is like, as far as the bounds depend on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Tokens that are kept: the component's and one for each account.
    pub(super) tokens: usize,
    /// How long each of them lives, milliseconds.
    pub(super) lifetime: i64,
    /// Calls of the link APIs under way at once.
    pub(super) at_once: usize,
}

/// Everything that was seen so far.
#[derive(Debug)]
pub(super) struct TokenPromises {
    scale: Scale,
    on_disk: HashSet<String>,
    under_way: BTreeMap<u64, UnderWay>,
    refused: HashMap<String, Refused>,
    /// Calls of the platform within a day, and those of them that failed.
    called: VecDeque<i64>,
    failed: VecDeque<(i64, Subject)>,
    events: VecDeque<i64>,
    broken: Option<Violation>,
    seen: u64,
}

impl TokenPromises {
    pub(super) fn new(scale: Scale) -> Self {
        Self {
            scale,
            on_disk: HashSet::new(),
            under_way: BTreeMap::new(),
            refused: HashMap::new(),
            called: VecDeque::new(),
            failed: VecDeque::new(),
            events: VecDeque::new(),
            broken: None,
            seen: 0,
        }
    }

    /// A token was found in its row.
    pub(super) fn lies_on_disk(&mut self, token: String) {
        self.on_disk.insert(token);
    }

    /// Whether a token was ever found in its row.
    pub(super) fn knows(&self, token: &str) -> bool {
        self.on_disk.contains(token)
    }

    /// Something that may cost a few calls has come about.
    pub(super) fn event(&mut self, at: i64) {
        self.events.push_back(at);
    }

    /// A process begins: calls of the one before it are over, and it knows of a refusal only what was written down.
    pub(super) fn process_begins(&mut self, at: i64) {
        self.under_way.clear();
        self.refused.clear();
        self.event(at);
    }

    /// A call has reached `WeChat`.
    pub(super) fn arrives(&mut self, arrival: &Arrival) {
        self.seen += 1;
        let (at, token) = (arrival.at, arrival.called.token());
        if !token.is_empty() && !self.on_disk.contains(token) {
            self.breaks(PROMISE, format!("a token that is not on disk is used: {}", told(&arrival.called)));
        }
        self.is_not_known_dead(token, &arrival.called, at);
        let subject = arrival.called.subject();
        if let Some(subject) = &subject {
            self.is_alone(subject);
            self.is_no_storm(at);
        }
        let under_way = UnderWay { token: token.to_owned(), at, subject };
        self.under_way.insert(arrival.number, under_way);
    }

    /// The call of this number is over; `said` is the errcode that its caller could read.
    pub(super) fn leaves(&mut self, number: u64, said: Option<i64>) {
        // One of a process that is gone.
        let Some(UnderWay { token, at, subject }) = self.under_way.remove(&number) else { return };
        if said.is_some_and(|code| DEAD.contains(&code)) {
            self.refused.entry(token).or_insert(Refused { at, used: 0 });
        }
        match subject {
            Some(subject) if said != Some(0) => self.fails(subject, at),
            // A refusal costs the calls that mend it.
            None if said.is_some_and(|code| DEAD.contains(&code)) => self.event(at),
            Some(_) | None => {}
        }
    }

    /// What was broken first.
    pub(super) fn broken(&mut self) -> Option<Violation> {
        self.broken.take()
    }

    /// Calls that were looked at.
    pub(super) const fn seen(&self) -> u64 {
        self.seen
    }

    fn breaks(&mut self, promise: &'static str, what: String) {
        self.broken.get_or_insert(Violation { promise, what });
    }

    fn is_not_known_dead(&mut self, token: &str, called: &Called, at: i64) {
        let used_most = STILL_USED + self.scale.at_once;
        let Some(refused) = self.refused.get_mut(token) else { return };
        refused.used += 1;
        if at - refused.at > STILL_SERVED || refused.used > used_most {
            let Refused { at: refused, used } = *refused;
            let minutes = (at - refused) / MINUTE;
            let what =
                format!("a token is used again {minutes} min after it was refused, time {used}: {}", told(called));
            self.breaks(PROMISE, what);
        }
    }

    fn is_alone(&mut self, subject: &Subject) {
        let is_twin = |other: &UnderWay| other.subject.as_ref() == Some(subject);
        if subject.is_refresh() && self.under_way.values().any(is_twin) {
            self.breaks(PROMISE, format!("two calls at once: {:?} of {}", subject.api, subject.whose()));
        }
    }

    fn is_no_storm(&mut self, at: i64) {
        self.called.push_back(at);
        self.called.retain(|called| at - called < DAY);
        self.events.retain(|event| at - event < DAY);
        self.failed.retain(|(failed, _)| at - failed < DAY);
        let (most, least) = RENEWED_AFTER;
        let renewals = DAY * least / (self.scale.lifetime * most).max(1) + 1;
        let usual = self.scale.tokens * usize::try_from(renewals).unwrap_or(usize::MAX);
        let bound = usual + PER_EVENT * (self.events.len() + 1) + 2 * self.failed.len();
        let called = self.called.len();
        if called > bound {
            let (events, failed) = (self.events.len(), self.failed.len());
            let what =
                format!("{called} calls in a day; {usual} are usual, with {events} events and {failed} refusals");
            self.breaks(NO_STORM, what);
        }
    }

    fn fails(&mut self, subject: Subject, at: i64) {
        let events = self.events.iter().filter(|event| at - **event < HOUR).count();
        let alike = self.failed.iter().filter(|(failed, other)| at - failed < HOUR && *other == subject);
        let times = alike.count() + 1;
        if times > FAILED_PER_HOUR + FAILED_PER_EVENT * events {
            let what = format!("{:?} of {} failed {times} times in an hour", subject.api, subject.whose());
            self.breaks(NO_STORM, what);
        }
        self.failed.push_back((at, subject));
    }
}

impl Subject {
    /// Whose call it is, without a secret.
    fn whose(&self) -> &str {
        match (self.api, &self.about) {
            (ComponentApi::QueryAuth, _) => "a code",
            (_, Some(about)) => about,
            (_, None) => "the component",
        }
    }
}

impl Called {
    fn token(&self) -> &str {
        match self {
            Self::Link { token, .. } | Self::Component { token, .. } => token,
        }
    }

    fn subject(&self) -> Option<Subject> {
        match self {
            Self::Link { .. } => None,
            Self::Component { api, about, .. } => Some(Subject { api: *api, about: about.clone() }),
        }
    }
}

/// A call without its secrets.
fn told(called: &Called) -> String {
    match called {
        Called::Link { api, account, .. } => format!("{api:?} of {account:?}"),
        Called::Component { api, about, .. } => {
            let subject = Subject { api: *api, about: about.clone() };
            format!("{api:?} of {}", subject.whose())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Api;

    const SCALE: Scale = Scale { tokens: 5, lifetime: 2 * HOUR, at_once: 1 };

    struct Trace(TokenPromises, u64);

    impl Trace {
        fn new(on_disk: &[&str]) -> Self {
            let mut promises = TokenPromises::new(SCALE);
            for token in on_disk {
                promises.lies_on_disk((*token).to_owned());
            }
            Self(promises, 0)
        }

        fn begin(&mut self, called: Called, at: i64) -> u64 {
            self.1 += 1;
            self.0.arrives(&Arrival { number: self.1, at, called });
            self.1
        }

        fn call(&mut self, called: Called, at: i64, said: Option<i64>) {
            let number = self.begin(called, at);
            self.0.leaves(number, said);
        }

        fn broken(mut self) -> Option<&'static str> {
            self.0.broken().map(|violation| violation.promise)
        }
    }

    fn poll(token: &str) -> Called {
        Called::Link { api: Api::Listing, account: Some("wxa".to_owned()), token: token.to_owned() }
    }

    fn refresh(account: &str) -> Called {
        let about = Some(account.to_owned());
        Called::Component { api: ComponentApi::AuthorizerToken, about, token: "component".to_owned() }
    }

    fn own() -> Called {
        Called::Component { api: ComponentApi::ComponentToken, about: None, token: String::new() }
    }

    #[test]
    fn a_token_that_is_used_before_it_is_on_disk_is_noticed() {
        let mut trace = Trace::new(&["one"]);
        trace.call(poll("one"), 0, Some(0));
        assert_eq!(trace.broken(), None);
        let mut trace = Trace::new(&["one"]);
        trace.call(poll("two"), 0, Some(0));
        assert_eq!(trace.broken(), Some(PROMISE));
        let mut trace = Trace::new(&[]);
        trace.call(refresh("wxa"), 0, Some(0));
        assert_eq!(trace.broken(), Some(PROMISE), "the component's own as well");
    }

    #[test]
    fn two_refreshes_of_one_token_at_once_are_noticed() {
        for (one, two, is_broken) in [
            (refresh("wxa"), refresh("wxa"), true),
            (refresh("wxa"), refresh("wxb"), false),
            (own(), own(), true),
            (own(), refresh("wxa"), false),
        ] {
            let mut trace = Trace::new(&["component"]);
            let first = trace.begin(one, 0);
            trace.begin(two, 0);
            trace.0.leaves(first, Some(0));
            assert_eq!(trace.broken().is_some(), is_broken);
        }
        let mut trace = Trace::new(&["component"]);
        trace.begin(own(), 0);
        trace.0.process_begins(1);
        trace.begin(own(), 1);
        assert_eq!(trace.broken(), None, "the first one's process is gone");
    }

    #[test]
    fn a_token_that_is_known_to_be_dead_and_used_again_is_noticed() {
        let mut trace = Trace::new(&["one"]);
        trace.call(poll("one"), 0, Some(40_001));
        trace.call(poll("one"), MINUTE, Some(40_001));
        assert_eq!(trace.broken(), None, "another one was forced less than a minute before");
        let mut trace = Trace::new(&["one"]);
        trace.call(poll("one"), 0, Some(42_001));
        trace.call(poll("one"), 3 * MINUTE, Some(42_001));
        assert_eq!(trace.broken(), Some(PROMISE));
        let mut trace = Trace::new(&["one"]);
        (0..9).for_each(|at| trace.call(poll("one"), at, Some(40_001)));
        assert_eq!(trace.broken(), Some(PROMISE), "a loop of calls that cannot go well");
        let mut trace = Trace::new(&["one"]);
        trace.call(poll("one"), 0, None);
        trace.call(poll("one"), 3 * MINUTE, Some(0));
        assert_eq!(trace.broken(), None, "nobody could read the refusal");
    }

    #[test]
    fn a_storm_of_calls_is_noticed_whether_they_go_well_or_not() {
        let days = |every: i64| {
            let mut trace = Trace::new(&["component"]);
            let calls = 0..2 * DAY / every;
            calls.for_each(|call| trace.call(refresh("wxa"), call * every, Some(0)));
            trace.broken()
        };
        assert_eq!(days(20 * MINUTE), None, "five tokens of two hours");
        assert_eq!(days(10 * MINUTE), Some(NO_STORM));
        let failing = |every: i64, events: usize| {
            let mut trace = Trace::new(&["component"]);
            (0..events).for_each(|_| trace.0.event(0));
            (0..15).for_each(|call| trace.call(refresh("wxa"), call * every, None));
            trace.broken()
        };
        assert_eq!(failing(MINUTE, 0), Some(NO_STORM), "no pause between them");
        assert_eq!(failing(10 * MINUTE, 0), None);
        assert_eq!(failing(MINUTE, 3), None, "there was cause");
    }
}
