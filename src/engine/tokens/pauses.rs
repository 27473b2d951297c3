//! Pauses after what has failed, each for what it concerns alone. They are kept in memory: a new process may try everything
//! once.

use std::collections::{HashMap, HashSet};

use super::PAUSE_MAX;
use crate::domain::{backoff::Backoff, time::Time};

/// What is not tried for a while.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Paused {
    /// One push, by its id.
    Push(String),
    /// Telling people that no push can be taken up.
    Telling,
    /// The list of authorizers.
    List,
    /// The sweep of that list.
    Sweep,
}

#[derive(Debug)]
struct Pause {
    failures: u32,
    until: Time,
    why: String,
}

/// What is not tried for a while, and which pushes one list has lacked.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    pauses: HashMap<Paused, Pause>,
    lacked: HashSet<String>,
}

impl Pauses {
    /// Why it is not tried now; `None`: it may be. A pause that ends further ahead than any was written before the calendar
    /// was stepped back.
    pub(super) fn held(&self, what: &Paused, now: Time) -> Option<&str> {
        let pause = self.pauses.get(what)?;
        (pause.until > now && now.until(pause.until) <= PAUSE_MAX).then_some(pause.why.as_str())
    }

    /// It failed, and waits for longer each time.
    pub(super) fn failed(&mut self, what: Paused, why: &str, backoff: Backoff, now: Time) {
        let pause = self.pauses.entry(what).or_insert(Pause { failures: 0, until: now, why: String::new() });
        *pause =
            Pause { failures: pause.failures + 1, until: now + backoff.after(pause.failures), why: why.to_owned() };
    }

    /// It went well.
    pub(super) fn ended(&mut self, what: &Paused) {
        self.pauses.remove(what);
    }

    /// A list lacks the account of a push; whether one has before.
    pub(super) fn is_lacked_again(&mut self, push: &str) -> bool {
        !self.lacked.insert(push.to_owned())
    }

    /// Forgets pushes that are open no more.
    pub(super) fn keep_pushes(&mut self, open: &HashSet<String>) {
        self.lacked.retain(|push| open.contains(push));
        self.pauses.retain(|what, _| match what {
            Paused::Push(push) => open.contains(push),
            Paused::Telling | Paused::List | Paused::Sweep => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_waits_for_itself_and_longer_each_time() {
        let (mut pauses, backoff) = (Pauses::default(), Backoff::new(Duration::from_secs(10), Duration::from_mins(10)));
        let at = |seconds| Time::default() + Duration::from_secs(seconds);
        let push = Paused::Push("a".to_owned());
        pauses.failed(push.clone(), "busy", backoff, at(0));
        assert_eq!((pauses.held(&push, at(9)), pauses.held(&push, at(10))), (Some("busy"), None));
        assert_eq!(pauses.held(&Paused::Push("b".to_owned()), at(0)), None);
        pauses.failed(push.clone(), "busy", backoff, at(10));
        assert_eq!((pauses.held(&push, at(29)), pauses.held(&push, at(30))), (Some("busy"), None));
        pauses.keep_pushes(&HashSet::new());
        assert_eq!(pauses.held(&push, at(11)), None);
    }
}
