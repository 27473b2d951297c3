//! System-wide alerts: fires what holds and is not open, resolves what is open and no longer holds. A condition that
//! may only be pausing must be calm for a while; an account with its own alert is judged by its own row.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use super::{
    AlertEvaluator, EVALUATE_SYSTEM_EVERY,
    reconcile::{alert, reworded},
    system_conditions::Seen,
};
use crate::{
    domain::{
        account::Trouble,
        alert_rules::{AlertCondition, Hysteresis, Need, Rule, of_system_condition},
        alert_state::Resolution,
        time::Time,
    },
    store::{
        StoreError,
        read::affected_accounts::AccountNow,
        write::alerts::{AlertRow, ResolvedAlert, Reworded, WatchRecord},
    },
};

/// Alerts that are open and looked at in one look: more are looked at one page after the other.
const PAGE: u32 = 1_000;

/// Shortest time between two changes of an alert's text, unless it is about to be sent.
const REWORD_EVERY: Duration = Duration::from_mins(1);

/// Undocumented statuses that are told of at a time.
const STATUSES_MAX: usize = 20;

/// What is known between two looks of alerts that are not about a request.
#[derive(Debug, Default)]
pub(super) struct SystemState {
    /// Since when what has no beginning of its own is so, by its key.
    noticed: HashMap<String, i64>,
    /// Since when what was told does not hold, by its key.
    calm: HashMap<String, Hysteresis>,
    /// When the text of alerts was last changed, by key, on the stopwatch.
    reworded: HashMap<String, Duration>,
    /// The last alert that was looked at; empty at the beginning of a round.
    last: String,
}

/// How an open alert stands.
#[derive(Debug, Clone, Copy)]
enum Judgement {
    /// It holds.
    Holds,
    /// It does not hold at this moment.
    Calm(Need, Option<Time>),
    /// It is over.
    Over,
}

impl AlertEvaluator {
    /// Fires and resolves what is not about one request.
    pub(super) async fn evaluate_system(&mut self) -> Result<(), StoreError> {
        let now = self.engine.clock().now();
        let Seen { conditions, looked_at } = self.see(now).await?;
        let zone = self.settings.attention.zone.clone();
        let mut concerns: BTreeMap<String, AlertCondition> = BTreeMap::new();
        for condition in &conditions {
            let concern = of_system_condition(condition, &zone);
            // Two of one key, as a spent budget and a spent quota of one account, are one trouble.
            concerns.entry(concern.key.clone()).or_insert(concern);
        }
        let open = self.open_standing(&concerns).await?;
        let over = self.judge(&open, &concerns, &looked_at).await?;
        self.notice(&mut concerns, &open, now);
        let mut step = WatchRecord::default();
        let within = self.settings.group_within;
        for key in &over {
            self.standing.calm.remove(key);
            let id = open[key].id.clone();
            step.over.push(ResolvedAlert { id, at: now, resolution: Resolution::Over, notify_at: now + within });
        }
        let stopwatch = self.engine.clock().monotonic();
        step.reworded = self.standing.reworded(&open, &concerns, (now + within + EVALUATE_SYSTEM_EVERY, stopwatch));
        step.fired =
            news(&concerns, &open, &over).into_iter().map(|concern| alert(concern.clone(), now, within)).collect();
        self.begin_anew(&mut step.fired, now).await?;
        if step.is_empty() { Ok(()) } else { self.write(step).await }
    }

    /// Open alerts of no request, by their keys: the next page of all, and every one of what holds now.
    async fn open_standing(
        &mut self,
        concerns: &BTreeMap<String, AlertCondition>,
    ) -> Result<HashMap<String, AlertRow>, StoreError> {
        let page = self.store().standing_alerts(&self.standing.last, PAGE).await?;
        self.standing.last = page.last.unwrap_or_default();
        let keys: Vec<String> = concerns.keys().flat_map(|key| twins(key).into_iter().chain([key.clone()])).collect();
        let held = self.store().alerts_known_by(&keys).await?;
        let crowds = self.store().open_crowds().await?;
        let crowds = self.store().alerts_known_by(&crowds).await?;
        let all = page.alerts.into_iter().chain(held).chain(crowds);
        Ok(all.map(|alert| (alert.key.clone(), alert)).collect())
    }

    /// Which of these alerts are over.
    async fn judge(
        &mut self,
        open: &HashMap<String, AlertRow>,
        concerns: &BTreeMap<String, AlertCondition>,
        looked_at: &HashSet<Rule>,
    ) -> Result<HashSet<String>, StoreError> {
        let names: Vec<&str> = open.values().filter_map(|alert| alert.account.as_deref()).collect();
        let accounts = self.store().accounts_now(&names).await?;
        let accounts: HashMap<&str, &AccountNow> = accounts.iter().map(|row| (row.account.as_str(), row)).collect();
        let stopwatch = self.engine.clock().monotonic();
        let mut over = HashSet::new();
        for (key, alert) in open {
            let Some(rule) = Rule::from_word(&alert.rule).filter(|rule| looked_at.contains(rule)) else { continue };
            let judgement = match alert.account.as_deref() {
                Some(account) if is_judged_by_its_row(rule) => match accounts.get(account) {
                    Some(account) => of_account(rule, account),
                    // A row that is not legal is no evidence.
                    None => Judgement::Holds,
                },
                Some(_) | None if concerns.contains_key(key) => Judgement::Holds,
                Some(_) | None if rule.lingers() => Judgement::Calm(Need::Nothing, None),
                Some(_) | None => Judgement::Over,
            };
            if self.standing.is_over(key, judgement, stopwatch) {
                over.insert(key.clone());
            }
        }
        Ok(over)
    }

    /// What is only noticed has begun when it was first noticed: once an operator has ended it, it stays ended.
    fn notice(&mut self, concerns: &mut BTreeMap<String, AlertCondition>, open: &HashMap<String, AlertRow>, now: Time) {
        self.standing.noticed.retain(|key, _| concerns.contains_key(key));
        for concern in concerns.values_mut().filter(|concern| !has_a_beginning(concern)) {
            let told = open.get(&concern.key).map(|alert| alert.since);
            let since = self.standing.noticed.entry(concern.key.clone()).or_insert(told.unwrap_or(now.ms()));
            concern.since = Time::from_ms(*since);
        }
    }
}

impl SystemState {
    fn is_over(&mut self, key: &str, judgement: Judgement, now: Duration) -> bool {
        match judgement {
            Judgement::Over => true,
            Judgement::Holds => {
                self.calm.remove(key);
                false
            }
            Judgement::Calm(need, read_at) => {
                let calm = self.calm.entry(key.to_owned()).or_insert_with(|| Hysteresis::from(now, read_at));
                calm.go_on(read_at);
                calm.is_over(need, now)
            }
        }
    }

    /// Open alerts whose text has changed. One that is about to be sent always gets the newest text; others at most once a
    /// minute, as some services put a new id into every error.
    fn reworded(
        &mut self,
        open: &HashMap<String, AlertRow>,
        concerns: &BTreeMap<String, AlertCondition>,
        (told_before, now): (Time, Duration),
    ) -> Vec<Reworded> {
        self.reworded.retain(|_, at| now.saturating_sub(*at) < REWORD_EVERY);
        let mut news = Vec::new();
        for alert in open.values() {
            let Some(words) = concerns.get(&alert.key).and_then(|concern| reworded(concern, alert)) else { continue };
            let is_due = alert.notify_at.is_some_and(|at| at <= told_before.ms());
            if is_due || !self.reworded.contains_key(&alert.key) {
                self.reworded.insert(alert.key.clone(), now);
                news.push(words);
            }
        }
        news
    }
}

/// What holds and is not told: but for an account of which another trouble is told, and for more statuses than anybody can
/// use, which a list that changes at every look could make without end.
fn news<'c>(
    concerns: &'c BTreeMap<String, AlertCondition>,
    open: &HashMap<String, AlertRow>,
    over: &HashSet<String>,
) -> Vec<&'c AlertCondition> {
    let is_told = |key: &String| open.contains_key(key) && !over.contains(key);
    let is_news =
        |concern: &&AlertCondition| !open.contains_key(&concern.key) && !twins(&concern.key).iter().any(is_told);
    let of_statuses = |rule: Rule| rule == Rule::UnknownStatus;
    let (statuses, others): (Vec<_>, Vec<_>) =
        concerns.values().filter(is_news).partition(|concern| of_statuses(concern.rule));
    let told = open.values().filter(|alert| Rule::from_word(&alert.rule).is_some_and(of_statuses)).count();
    others.into_iter().chain(statuses.into_iter().take(STATUSES_MAX.saturating_sub(told))).collect()
}

/// What is told of the same account by another rule: while one of them is told, the other is not.
fn twins(key: &str) -> Vec<String> {
    let pair = [Rule::TokenFailing.as_str(), Rule::AccountUnreadable.as_str()];
    let Some((rule, of)) = key.split_once('/') else { return Vec::new() };
    if pair.contains(&rule) && of != "all" {
        pair.iter().filter(|other| **other != rule).map(|other| format!("{other}/{of}")).collect()
    } else {
        Vec::new()
    }
}

/// Whether it is written down since when this is so.
fn has_a_beginning(concern: &AlertCondition) -> bool {
    match concern.rule {
        Rule::Capacity => true,
        rule => concern.account.is_some() && is_judged_by_its_row(rule),
    }
}

/// Whether an account's own row says if an alert of it still holds: which accounts are named is bounded, and says nothing of
/// the others.
const fn is_judged_by_its_row(rule: Rule) -> bool {
    matches!(rule, Rule::AccountSuspended | Rule::TokenFailing | Rule::AccountUnreadable | Rule::CallsRefused)
}

/// Whether this still holds of the account.
fn of_account(rule: Rule, account: &AccountNow) -> Judgement {
    let is_of_tokens = account.trouble.as_deref() == Some(Trouble::Token.as_str());
    let (read_at, waits) = (account.checked_at.map(Time::from_ms), account.next_check_at.is_some());
    match (rule, account.suspended_by.as_deref()) {
        (Rule::AccountSuspended, Some("wechat")) => Judgement::Holds,
        // The suspension is told, or a person's own doing; of what nobody looks at nothing can be said.
        (_, Some(_)) => Judgement::Over,
        (Rule::AccountSuspended, None) => Judgement::Over,
        _ if !waits => Judgement::Over,
        (Rule::CallsRefused, None) if account.calls_refused_since.is_some() => Judgement::Holds,
        (Rule::CallsRefused, None) => Judgement::Calm(Need::Nothing, None),
        (_, None) => match account.unread_since {
            None => Judgement::Calm(Need::GoodLooks, read_at),
            Some(_) if is_of_tokens == (rule == Rule::TokenFailing) => Judgement::Holds,
            // It has another trouble, which is told when this one is over.
            Some(_) => Judgement::Calm(Need::Nothing, None),
        },
    }
}
