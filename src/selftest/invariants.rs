//! The invariants, checked after every step: a request's promises against the database and the world's own ledger. What
//! the daemon says of itself is not used.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    generator::{ACCOUNTS, pairs},
    oracle::{contradiction, illegal_end},
    verdict::{Verdict, Violation, broken},
};
use crate::{
    domain::time::Time,
    engine::record::Recorder,
    sim::{Api, CallLogEntry, Sim, World},
    store::read::{
        request_page::RequestFilter,
        views::{ConflictFilter, RequestView, TransitionView},
    },
};

/// Messages read in one look; a life writes fewer between two.
const EVENTS_MAX: u32 = 10_000;

/// For how long into a month it has perhaps not rolled, milliseconds.
const FIRST_HOURS: i64 = 6 * 3_600_000;

/// How often it is asked then, at most, milliseconds.
const ASKED_EVERY: i64 = 30 * 60_000;

/// Calls of one moment, milliseconds: whoever is under way when the first is answered is answered the same.
const AT_ONCE: i64 = 60_000;

/// Codes that say that nothing was looked at but the token.
const TOKEN_REFUSED: [i64; 3] = [40_001, 40_014, 42_001];

/// A request as it was last seen.
#[derive(Debug)]
struct Seen {
    view: RequestView,
    history: Vec<TransitionView>,
    /// The states of its messages, in the order of writing.
    told: Vec<String>,
}

/// A request that changed, as it is now.
#[derive(Debug)]
pub(super) struct News {
    view: RequestView,
    history: Vec<TransitionView>,
    open_conflicts: usize,
}

/// Everything that was seen so far.
#[derive(Debug, Default)]
pub(super) struct Invariants {
    requests: BTreeMap<String, Seen>,
    acknowledged: HashSet<String>,
    last_event: i64,
    ledger_read: usize,
    /// Calls by what they asked for.
    calls: HashMap<(Api, String, String), usize>,
    /// Invitations that the database no longer knows of, by pair.
    forgotten: HashMap<(String, String), usize>,
    /// Until when a program's month is known to be used up, milliseconds UTC.
    months: HashMap<String, i64>,
    /// Of programs whose month has perhaps not rolled yet.
    asked: HashMap<String, Asked>,
}

/// When it was last asked whether a month has rolled, and how often at that moment.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// Milliseconds UTC.
    at: i64,
    times: u64,
}

/// What a look may assume of the moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Whether nobody died since the last look: what was answered was recorded.
    pub(super) is_undisturbed: bool,
    /// Whether requests end by themselves after a while.
    pub(super) has_deadline: bool,
    /// By how much our calendar is wrong, either way, milliseconds.
    pub(super) calendar_off: i64,
    /// Lists of one account that may be asked for in one of the world's days. Two of ours may lie in it where the
    /// calendar is stepped.
    pub(super) polls_max: u32,
    /// The world's time, milliseconds UTC.
    pub(super) now: i64,
}

impl Invariants {
    /// The database is an older one from here on: what it does not know is forgotten, and what the world has seen of it
    /// is not held against it.
    pub(super) async fn begin_anew(&mut self, desk: &Recorder, sim: &Sim) {
        self.last_event = readable(desk.store().last_event().await);
        let views = readable(desk.store().list_requests(&RequestFilter::default(), u32::MAX).await);
        self.requests.clear();
        self.asked.clear();
        for view in views {
            let history = readable(desk.store().history(&view.id).await);
            let told = history.iter().map(|step| step.to_state.clone()).collect();
            self.requests.insert(view.id.clone(), Seen { view, history, told });
        }
        self.acknowledged.retain(|id| self.requests.contains_key(id));
        let world = sim.world();
        for (account, program) in pairs() {
            let (unlinks, _) = self.intended(Api::Unlink, &account, &program);
            self.calls.insert((Api::Unlink, account.clone(), program.clone()), unlinks);
            let (links, attempts) = self.intended(Api::Link, &account, &program);
            self.calls.insert((Api::Link, account.clone(), program.clone()), links);
            let unknown = world.invitations(&account, &program).saturating_sub(attempts);
            self.forgotten.insert((account, program), unknown);
        }
    }

    /// A door has said that it took this request.
    pub(super) fn acknowledge(&mut self, id: &str) {
        self.acknowledged.insert(id.to_owned());
    }

    /// The requests seen so far, oldest first.
    pub(super) fn requests(&self) -> impl Iterator<Item = &RequestView> {
        self.requests.values().map(|seen| &seen.view)
    }

    /// Every step of every request, for comparing two lives.
    pub(super) fn steps(&self) -> impl Iterator<Item = &TransitionView> {
        self.requests.values().flat_map(|seen| &seen.history)
    }

    /// Reads everything that changed since the last look.
    pub(super) async fn news(&mut self, desk: &Recorder) -> Result<Vec<News>, Violation> {
        let mut news = Vec::new();
        for id in self.changed(desk).await {
            let Some(view) = view(desk, &id).await else {
                return broken("one decision, one transaction", format!("a message tells of {id}, which is not there"));
            };
            let history = readable(desk.store().history(&id).await);
            let open = ConflictFilter { request: Some(id), open: Some(true), ..ConflictFilter::default() };
            let open_conflicts = conflicts(desk, &open).await.len();
            news.push(News { view, history, open_conflicts });
        }
        Ok(news)
    }

    /// Holds the promises against what changed. The world stands at this moment. Answers the calls that arrived.
    pub(super) fn look(
        &mut self,
        news: Vec<News>,
        world: &World,
        moment: Moment,
    ) -> Result<Vec<CallLogEntry>, Violation> {
        for one in news {
            self.look_at(one, world, moment)?;
        }
        within_the_day(world, moment)?;
        self.read_ledger(world, moment)
    }

    /// Everything that was acknowledged is there.
    pub(super) async fn nothing_is_lost(&self, desk: &Recorder) -> Verdict {
        for id in &self.acknowledged {
            if view(desk, id).await.is_none() {
                return broken("durable before acknowledged", format!("request {id} was acknowledged and is gone"));
            }
        }
        Ok(())
    }

    /// Requests that messages were written for since the last look.
    async fn changed(&mut self, desk: &Recorder) -> Vec<String> {
        let events = readable(desk.store().latest_events(self.last_event, EVENTS_MAX).await);
        let mut ids = Vec::new();
        for event in events.into_iter().rev() {
            self.last_event = event.seq;
            // The others tell people of what these have caused.
            if !["amplinkd.request.", "amplinkd.conflict."].iter().any(|kind| event.kind.starts_with(kind)) {
                continue;
            }
            if !ids.contains(&event.subject) {
                ids.push(event.subject.clone());
            }
            if let Some(state) = event.kind.strip_prefix("amplinkd.request.") {
                self.told_of(&event.subject).push(state.to_owned());
            }
        }
        ids
    }

    fn told_of(&mut self, id: &str) -> &mut Vec<String> {
        let nothing_yet = || Seen { view: RequestView::default(), history: Vec::new(), told: Vec::new() };
        &mut self.requests.entry(id.to_owned()).or_insert_with(nothing_yet).told
    }

    fn look_at(&mut self, News { view, history, open_conflicts }: News, world: &World, moment: Moment) -> Verdict {
        let Some(seen) = self.requests.get(&view.id) else { return Ok(()) };
        let id = view.id.clone();
        let here = |promise, what: &str| broken(promise, format!("request {id}: {what}; its history: {history:#?}"));
        if !history.starts_with(&seen.history) {
            return here("history is only ever added to", "an earlier step is changed or gone");
        }
        let states: Vec<&str> = history.iter().map(|step| step.to_state.as_str()).collect();
        if states != seen.told {
            return here("one decision, one transaction", &format!("its messages told of {:?}", seen.told));
        }
        if states.last() != Some(&view.state.as_str()) || history.last().map(|step| &step.at) != Some(&view.since) {
            return here("one decision, one transaction", &format!("it stands in {} since {}", view.state, view.since));
        }
        let is_chain = history.windows(2).all(|pair| pair[1].from_state.as_ref() == Some(&pair[0].to_state));
        if !is_chain {
            return here("one decision, one transaction", "a step does not begin where the one before ended");
        }
        for step in &history[seen.history.len()..] {
            if let Some(wrong) = illegal_move(step).or_else(|| illegal_end(&view, step, moment.has_deadline)) {
                return here("transient never becomes terminal", &wrong);
            }
            // A call of ours within this very moment has changed what the list had shown before it.
            let is_as_shown = step.cause == "listing" && !self.was_called(world, &view);
            let shown = if is_as_shown { contradiction(world, &view, step) } else { None };
            if let Some(wrong) = shown {
                return here("the list is the only truth", &wrong);
            }
        }
        // A link by WeChat's word alone (89015) waits for a list that shows it.
        let awaits_the_list = view.state == "linked" && history.last().is_some_and(|step| step.cause == "answer");
        if view.finished_at.is_some() && !awaits_the_list && open_conflicts > 0 {
            return here("conflicts are resolved by what settles them", "it has ended with an open one");
        }
        if let Some(seen) = self.requests.get_mut(&id) {
            (seen.view, seen.history) = (view, history);
        }
        Ok(())
    }

    /// Whether a call for the pair took effect since the last look.
    fn was_called(&self, world: &World, request: &RequestView) -> bool {
        let mut news = world.ledger().skip(self.ledger_read).filter(|call| call.effect);
        news.any(|call| call.account == request.account && call.program == request.program)
    }

    /// Calls that arrived since the last look: each had an intent before it, and none was made against a known quota.
    fn read_ledger(&mut self, world: &World, moment: Moment) -> Result<Vec<CallLogEntry>, Violation> {
        let news: Vec<CallLogEntry> = world.ledger().skip(self.ledger_read).cloned().collect();
        self.ledger_read += news.len();
        for call in &news {
            // A token that WeChat did not take is renewed, and the same call made once more.
            let is_call = !TOKEN_REFUSED.contains(&call.errcode) || call.effect;
            *self.calls.entry((call.api, call.account.clone(), call.program.clone())).or_default() +=
                usize::from(is_call);
            self.intent_before(world, call)?;
            self.within_its_month(call, moment)?;
        }
        Ok(news)
    }

    fn intent_before(&self, world: &World, call: &CallLogEntry) -> Verdict {
        let (intents, attempts) = self.intended(call.api, &call.account, &call.program);
        let calls = self.calls.get(&(call.api, call.account.clone(), call.program.clone())).copied().unwrap_or(0);
        if calls > intents {
            return broken(
                "intent before effect",
                format!("{calls} calls, {intents} intents on disk: {call:?}{}", self.all_of_pair(world, call)),
            );
        }
        let forgotten = self.forgotten.get(&(call.account.clone(), call.program.clone())).copied().unwrap_or(0);
        let invitations = world.invitations(&call.account, &call.program) - forgotten;
        if call.api == Api::Link && invitations > attempts {
            return broken(
                "at most one invitation per attempt",
                format!(
                    "{invitations} invitations went out, {attempts} attempts are on disk: {call:?}{}",
                    self.all_of_pair(world, call)
                ),
            );
        }
        Ok(())
    }

    /// Calls of a pair that were intended, and those of them that count.
    fn intended(&self, api: Api, account: &str, program: &str) -> (usize, usize) {
        let kind = if api == Api::Link { "link" } else { "unlink" };
        let of_pair = self
            .requests
            .values()
            .map(|seen| (&seen.view, &seen.history))
            .filter(|(view, _)| view.kind == kind && view.account == account && view.program == program);
        of_pair.fold((0, 0), |(intents, attempts), (view, history)| {
            let calls = history.iter().filter(|step| step.to_state == "initiating" && step.cause == "call").count();
            // What a copy that was put back only takes for possible is taken back when the list shows nothing.
            let is_guessed = view.state == "initiating" && history.last().is_some_and(|step| step.cause == "restore");
            let counted = usize::try_from(view.attempt).unwrap_or(0).saturating_sub(usize::from(is_guessed));
            (intents + calls, attempts + counted)
        })
    }

    /// Everything known of a pair, for a report.
    fn all_of_pair(&self, world: &World, call: &CallLogEntry) -> String {
        let is_pair = |account: &str, program: &str| account == call.account && program == call.program;
        let calls = world.ledger().filter(|entry| is_pair(&entry.account, &entry.program));
        let calls = calls.map(|entry| format!("\n  call {} {:?}", Time::from_ms(entry.at), entry));
        let requests = self.requests.values().filter(|seen| is_pair(&seen.view.account, &seen.view.program));
        let steps = requests.flat_map(|seen| &seen.history).map(|step| {
            format!("\n  step {} {} {} by {} {:?}", step.at, step.request_id, step.to_state, step.cause, step.errcode)
        });
        calls.chain(steps).collect()
    }

    /// A month that is used up is not called against, and one that has perhaps not rolled is asked by one call at a time.
    fn within_its_month(&mut self, call: &CallLogEntry, moment: Moment) -> Verdict {
        const PROGRAM_MONTH: i64 = 89_007;
        let until = self.months.get(&call.program).copied().unwrap_or(0);
        if call.api == Api::Link && call.at < until - moment.calendar_off {
            return broken("quotas are respected", format!("called before the program's month is over: {call:?}"));
        }
        if call.errcode != PROGRAM_MONTH || !call.delivered {
            return Ok(());
        }
        let at = Time::from_ms(call.at);
        let into_it = i64::try_from(at.since(at.this_beijing_month()).as_millis()).unwrap_or(i64::MAX);
        let is_surely_late = into_it - moment.calendar_off >= FIRST_HOURS;
        if is_surely_late && moment.is_undisturbed {
            self.months.insert(call.program.clone(), at.next_beijing_month().ms());
        }
        // By our own calendar, that is: one that is stepped brings the next question nearer.
        let is_early = into_it < FIRST_HOURS && moment.calendar_off == 0;
        let before = self.asked.get(&call.program).copied().filter(|_| is_early);
        let times = match before {
            Some(asked) if call.at - asked.at < AT_ONCE => asked.times + 1,
            Some(asked) if call.at - asked.at < ASKED_EVERY => u64::MAX,
            Some(_) | None => 1,
        };
        if times > ACCOUNTS {
            return broken("quotas are respected", format!("asked again before half an hour was over: {call:?}"));
        }
        // An answer that was lost with its process closed nothing.
        if is_early && moment.is_undisturbed {
            self.asked.insert(call.program.clone(), Asked { at: call.at, times });
        } else {
            self.asked.remove(&call.program);
        }
        Ok(())
    }
}

/// No account was asked for its list more often than its budget of the day allows.
fn within_the_day(world: &World, moment: Moment) -> Verdict {
    for (account, _) in pairs() {
        let polls = world.polls_today(&account, moment.now);
        if polls > moment.polls_max {
            return broken("quotas are respected", format!("{account} was asked for its list {polls} times in a day"));
        }
    }
    Ok(())
}

/// A finished request never moves, except a link that is gone.
fn illegal_move(step: &TransitionView) -> Option<String> {
    let finished = ["linked", "rejected", "failed", "lapsed", "cancelled", "unlinked"];
    let from = step.from_state.as_deref()?;
    let is_legal = !finished.contains(&from) || (from == "linked" && step.to_state == "unlinked");
    (!is_legal).then(|| format!("it moved from {from} to {} after its end", step.to_state))
}

/// A delivered code that says that somebody was there first is a row.
pub(super) async fn kept_as_conflict(desk: &Recorder, call: &CallLogEntry) -> Verdict {
    const CONFLICTS: [(Api, i64); 4] =
        [(Api::Link, 89_010), (Api::Link, 89_015), (Api::Link, 89_035), (Api::Unlink, 89_018)];
    if !call.delivered || !CONFLICTS.contains(&(call.api, call.errcode)) {
        return Ok(());
    }
    let of_account = ConflictFilter { account: Some(call.account.clone()), ..ConflictFilter::default() };
    let rows = conflicts(desk, &of_account).await;
    if rows.iter().any(|row| row.errcode == Some(call.errcode) && row.program == call.program) {
        return Ok(());
    }
    broken("conflicts are kept", format!("no row tells of {call:?}"))
}

async fn conflicts(desk: &Recorder, filter: &ConflictFilter) -> Vec<crate::store::read::views::ConflictView> {
    readable(desk.store().conflicts(filter, EVENTS_MAX).await)
}

async fn view(desk: &Recorder, id: &str) -> Option<RequestView> {
    readable(desk.store().request_view(id).await)
}

/// A life whose database cannot be read is no life.
pub(super) fn readable<T>(answer: Result<T, crate::store::StoreError>) -> T {
    answer.unwrap_or_else(|error| panic!("the database cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls of one program at these moments of Beijing's calendar, in minutes after April began, each refused; the first
    /// that breaks a promise.
    fn broken_at(minutes: &[i64]) -> Option<usize> {
        const APRIL: i64 = 1_774_972_800_000;
        let mut promises = Invariants::default();
        let moment = Moment { is_undisturbed: true, has_deadline: false, calendar_off: 0, polls_max: 0, now: 0 };
        minutes.iter().position(|minute| {
            let call = CallLogEntry {
                api: Api::Link,
                account: "wxaaaa000000000000".to_owned(),
                program: "wxbbbb000000000000".to_owned(),
                at: APRIL + minute * 60_000,
                errcode: 89_007,
                effect: false,
                delivered: true,
                fault: None,
                notify_users: false,
                show_profile: false,
            };
            promises.within_its_month(&call, moment).is_err()
        })
    }

    #[test]
    fn a_month_that_is_asked_too_often_or_after_its_first_hours_is_noticed() {
        let every_half_hour: Vec<i64> = (0..12).map(|n| 20 + n * 30).collect();
        assert_eq!(broken_at(&every_half_hour), None);
        assert_eq!(broken_at(&[20, 49]), Some(1));
        assert_eq!(broken_at(&[20, 20, 20, 20, 50]), None, "four were under way when the first was answered");
        assert_eq!(broken_at(&[20, 20, 20, 20, 20]), Some(4));
        assert_eq!(broken_at(&[350, 380, 410]), Some(2), "the last answer of the first hours was April's");
        assert_eq!(broken_at(&[-60, -1]), Some(1));
        assert_eq!(broken_at(&[-60, 20, 50]), None);
    }
}
