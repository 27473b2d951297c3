//! Reads the conditions that hold back more than one request, as others have recorded them: accounts, our IP address,
//! statuses, channels, the plan, the daemon itself. Accounts with one problem are named one by one, or all as one.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
    time::Duration,
};

use super::{AlertEvaluator, cluster_conditions::OF_CLUSTER, component_conditions::is_in_trouble};
use crate::{
    alerting::deliver::Health,
    domain::{
        account::Trouble,
        address::{addresses, remember},
        alert_rules::{Count, Rule, Share, Spoken, SystemCondition, is_crowd, is_many},
        authorizer::LACKING,
        errcode::Refusal,
        gate::GateKind,
        id::AccountId,
        time::Time,
    },
    engine::LATELY,
    store::{
        StoreError,
        file::wal::{LARGE_ABOVE, LogHealth},
        read::affected_accounts::AffectedAccount,
    },
};

/// How long nothing must have been written for it to be told: a backup that holds the file is over by then.
const OUTAGE_TOLD: Duration = Duration::from_secs(30);

/// How long it is told of after it ended.
const OUTAGE_KEPT: Duration = Duration::from_mins(10);

/// How long a channel may take nothing before that is told: longer than a service that is restarted needs.
const CHANNEL_FAILING_AFTER: Duration = Duration::from_mins(5);

/// How long the plan must be stretched before that is told: an import is worked off by then.
const STRAINED_FOR: Duration = Duration::from_hours(1);

/// Findings of the audit that other rules tell of, with their reasons: they are not told twice.
const TOLD_OTHERWISE: [&str; 1] = ["unread"];

/// What there is.
pub(super) struct Seen {
    pub(super) conditions: Vec<SystemCondition>,
    /// The rules that could be looked at: of the others nothing is known, and nothing is over.
    pub(super) looked_at: HashSet<Rule>,
}

/// An account whose calls of this day are used up.
struct Exhausted {
    account: AccountId,
    /// What `WeChat` said; `None`: our own budget.
    refusal: Option<Refusal>,
    since: Time,
    until: Time,
}

/// Accounts of one trouble, by the key of what is told of all together.
fn crowd_of(trouble: Trouble) -> String {
    match trouble {
        Trouble::Token => "token_failing/all".to_owned(),
        Trouble::Refused | Trouble::Unreadable | Trouble::Unreachable => {
            format!("wechat_unreachable/{}", trouble.as_str())
        }
    }
}

/// The key of what is told of all accounts whose calls are refused.
const ALL_CALLS: &str = "calls_refused/all";

impl AlertEvaluator {
    /// Everything that holds back more than one request, and the rules that could be looked at.
    pub(super) async fn see(&mut self, now: Time) -> Result<Seen, StoreError> {
        let mut looked_at = HashSet::from([
            Rule::AccountSuspended,
            Rule::AccountsRefused,
            Rule::IpNotAllowed,
            Rule::TicketMissing,
            Rule::ComponentRefused,
            Rule::NeedsAuthorization,
            Rule::ForeignRefresher,
            Rule::TokenKeyRefused,
            Rule::TokenFailing,
            Rule::AccountUnreadable,
            Rule::WechatUnreachable,
            Rule::CallsRefused,
            Rule::BudgetExhausted,
            Rule::UnknownStatus,
            Rule::ListsEmptied,
            Rule::Capacity,
            Rule::LogLarge,
        ]);
        looked_at.extend(OF_CLUSTER);
        let crowds: BTreeSet<String> = self.store().open_crowds().await?.into_iter().collect();
        let gates = self.gates(&crowds, now).await?;
        if gates.iter().any(|condition| matches!(condition, SystemCondition::IpNotAllowed { .. })) {
            self.shut_out_at = Some(self.engine.clock().monotonic());
        }
        let mut conditions = self.suspended(&crowds).await?;
        let component = self.component_row().await?;
        if component.as_ref().is_some_and(is_in_trouble) {
            self.tokenless_at = Some(self.engine.clock().monotonic());
        }
        conditions.extend(self.unread(&crowds, now).await?);
        conditions.extend(self.calls_refused(&crowds, now).await?);
        conditions.extend(self.spent(&crowds, now).await?);
        conditions.extend(gates);
        conditions.extend(self.component(component, now).await?);
        conditions.extend(self.unknown_statuses(now).await?);
        conditions.extend(self.lists_emptied().await?);
        conditions.extend(self.capacity(now).await?);
        conditions.extend(self.log_large());
        conditions.extend(self.keys_refused());
        conditions.extend(self.cluster().await?);
        // A channel that was failing has not been tried yet when a process begins.
        if self.watched_for() >= CHANNEL_FAILING_AFTER {
            looked_at.insert(Rule::ChannelFailing);
        }
        conditions.extend(self.channels(now));
        conditions.extend(self.daemon(now, &mut looked_at));
        conditions.extend(self.outage(now));
        Ok(Seen { conditions, looked_at })
    }

    pub(super) fn watched_for(&self) -> Duration {
        self.engine.clock().monotonic().saturating_sub(self.began)
    }

    /// Accounts that `WeChat` does not let us speak for: of each code all as one, or each by its name.
    async fn suspended(&self, crowds: &BTreeSet<String>) -> Result<Vec<SystemCondition>, StoreError> {
        let mut conditions = Vec::new();
        let many = self.settings.crowd;
        for (errcode, count) in self.store().refused_codes().await? {
            let spoken = spoken(crowds, &format!("{}/{errcode}", Rule::AccountsRefused.as_str()));
            let refusal = |one: &AffectedAccount| Refusal { errcode, errmsg: one.said.clone().unwrap_or_default() };
            if is_many(count, many, spoken) {
                let example = self.store().refused(errcode, 1).await?;
                conditions.extend(example.iter().filter_map(|one| {
                    let (refusal, example) = (refusal(one), one.account.parse().ok()?);
                    Some(SystemCondition::AccountsRefused {
                        refusal,
                        count: Count(count),
                        example,
                        since: Time::default(),
                    })
                }));
            } else if spoken == Spoken::Singly {
                let each = self.store().refused(errcode, many).await?;
                conditions.extend(each.iter().filter_map(|one| {
                    let (account, refusal) = (one.account.parse().ok()?, refusal(one));
                    let since = Time::from_ms(one.since);
                    Some(if self.settings.component.is_some() && LACKING.contains(&errcode) {
                        SystemCondition::NeedsAuthorization { account, refusal, since }
                    } else {
                        SystemCondition::AccountSuspended { account, refusal, since }
                    })
                }));
            }
        }
        Ok(conditions)
    }

    /// Whether every account suffers, or did until a moment ago, from what is told as such: one that failed meanwhile is soon
    /// looked at again.
    fn was_lately(&self, seen_at: Option<Duration>) -> bool {
        let stopwatch = self.engine.clock().monotonic();
        seen_at.is_some_and(|at| stopwatch.saturating_sub(at) < LATELY)
    }

    /// Accounts that cannot be read: of each trouble all as one, or each by its name.
    /// While the component has no ticket, or is refused, that no account has a token is its doing, and told as such.
    async fn unread(&self, crowds: &BTreeSet<String>, now: Time) -> Result<Vec<SystemCondition>, StoreError> {
        let (mut counts, mut conditions) = (Vec::new(), Vec::new());
        for trouble in Trouble::ALL {
            counts.push((trouble, self.store().unread_count(trouble).await?));
        }
        let unread = counts.iter().map(|(_, count)| count).sum();
        // A process that has just begun does not know yet who is well.
        let is_counted = self.watched_for() >= LATELY;
        let read = is_counted.then(|| self.engine.read_lately());
        for (trouble, troubled) in counts {
            let is_told_otherwise = match trouble {
                Trouble::Token => self.was_lately(self.tokenless_at) || self.may_have_been_tokenless(),
                Trouble::Refused => self.was_lately(self.shut_out_at),
                Trouble::Unreadable | Trouble::Unreachable => false,
            };
            if is_told_otherwise {
                continue;
            }
            let due = match trouble {
                // Whoever runs the tokens can act at once.
                Trouble::Token => now,
                Trouble::Refused | Trouble::Unreadable | Trouble::Unreachable => {
                    now - self.settings.attention.unread_after
                }
            };
            let spoken = spoken(crowds, &crowd_of(trouble));
            if is_crowd(Share { troubled, unread, read }, self.settings.crowd, spoken) {
                let longest = self.store().unread(trouble, due, 1).await?;
                conditions.extend(longest.iter().filter_map(|one| as_one(one, trouble, Count(troubled))));
            } else if spoken == Spoken::Singly {
                let each = self.store().unread(trouble, due, self.settings.crowd).await?;
                conditions.extend(each.iter().filter_map(|one| by_name(one, trouble)));
            }
        }
        Ok(conditions)
    }

    /// Accounts whose lists can be read and whose calls are refused all the same.
    async fn calls_refused(&self, crowds: &BTreeSet<String>, now: Time) -> Result<Vec<SystemCondition>, StoreError> {
        let (many, spoken) = (self.settings.crowd, spoken(crowds, ALL_CALLS));
        let before = now - self.settings.attention.unread_after;
        let refused = self.store().calls_refused(before, many).await?;
        let condition = |one: AffectedAccount, count| {
            let (error, since) = (one.said.unwrap_or_default(), Time::from_ms(one.since));
            Some(SystemCondition::CallsRefused { account: one.account.parse().ok()?, count, error, since })
        };
        Ok(as_one_or_each(refused, many, spoken, condition))
    }

    /// Accounts whose looks of today are used up.
    async fn spent(&self, crowds: &BTreeSet<String>, now: Time) -> Result<Vec<SystemCondition>, StoreError> {
        let until = now.next_beijing_day() + self.engine.policy().rollover_grace;
        let exhausted = |one: AffectedAccount| {
            Some(Exhausted { account: one.account.parse().ok()?, refusal: None, since: now, until })
        };
        let spent = self.store().spent(now.beijing_day()).await?;
        Ok(self.exhausted(spent.into_iter().filter_map(exhausted).collect(), "daily_budget", crowds))
    }

    /// What `WeChat` itself holds back for more than one request.
    async fn gates(&self, crowds: &BTreeSet<String>, now: Time) -> Result<Vec<SystemCondition>, StoreError> {
        let (mut conditions, mut days) = (Vec::new(), Vec::new());
        for gate in self.store().account_gates().await? {
            let refusal = Refusal { errcode: gate.errcode, errmsg: gate.errmsg };
            let (since, until) = (Time::from_ms(gate.at), Time::from_ms(gate.until));
            if gate.kind == GateKind::Ip {
                let addresses = self.refused_addresses(&refusal.errmsg).await?;
                conditions.push(SystemCondition::IpNotAllowed { refusal, addresses, since });
            } else if until > now
                && let Some(Ok(account)) = gate.subject.split('/').next().map(str::parse)
            {
                days.push(Exhausted { account, refusal: Some(refusal), since, until });
            }
        }
        conditions.extend(self.exhausted(days, "wechat", crowds));
        Ok(conditions)
    }

    /// Our refused addresses: those in the open alert, those that this process saw, and the newest.
    async fn refused_addresses(&self, said: &str) -> Result<Vec<IpAddr>, StoreError> {
        let key = format!("{}/all", Rule::IpNotAllowed.as_str());
        let told = self.store().alerts_known_by(&[key]).await?;
        let mut all = told.iter().flat_map(|alert| addresses(&alert.message_en)).collect();
        remember(&mut all, self.engine.refused_addresses());
        remember(&mut all, addresses(said));
        Ok(all)
    }

    /// Accounts whose day is used up for one reason: all as one, or each by its name.
    fn exhausted(&self, accounts: Vec<Exhausted>, case: &str, crowds: &BTreeSet<String>) -> Vec<SystemCondition> {
        let spoken = spoken(crowds, &format!("{}/{case}", Rule::BudgetExhausted.as_str()));
        as_one_or_each(accounts, self.settings.crowd, spoken, |one, count| {
            let Exhausted { account, refusal, since, until } = one;
            Some(SystemCondition::BudgetExhausted { account, count, refusal, since, until })
        })
    }

    async fn unknown_statuses(&self, now: Time) -> Result<Vec<SystemCondition>, StoreError> {
        let listed = self.store().unknown_statuses().await?;
        Ok(listed
            .into_iter()
            .filter_map(|one| {
                let (account, count) = (one.account.parse().ok()?, Count(u64::try_from(one.count).unwrap_or(0)));
                Some(SystemCondition::UnknownStatus { status: one.status, count, account, item: one.item, since: now })
            })
            .collect())
    }

    /// Accounts whose lists are suddenly empty, which is not believed at once.
    async fn lists_emptied(&self) -> Result<Option<SystemCondition>, StoreError> {
        let emptied = self.store().emptied(1).await?;
        let first = emptied.accounts.first().and_then(|(account, since)| Some((account.parse().ok()?, *since)));
        Ok(first.map(|(example, since)| SystemCondition::ListsEmptied { count: Count(emptied.count), example, since }))
    }

    /// That the log beside the database could not be cut.
    fn log_large(&self) -> Option<SystemCondition> {
        let LogHealth { bytes, large_since } = self.store().log_health();
        large_since.map(|since| SystemCondition::LogLarge { bytes, bound: LARGE_ABOVE, since })
    }

    /// That all waits are stretched, once they have been for a while.
    async fn capacity(&self, now: Time) -> Result<Option<SystemCondition>, StoreError> {
        let Some(pace) = self.store().pace().await? else { return Ok(None) };
        let since = pace.strained_since.map(Time::from_ms);
        let strained = since.filter(|since| now.since(*since) >= STRAINED_FOR);
        Ok(strained.map(|since| SystemCondition::Capacity { stretch: i64::from(pace.stretch), since }))
    }

    /// Channels that have taken nothing for a while, or for which messages were given up.
    fn channels(&self, now: Time) -> Vec<SystemCondition> {
        let is_failing = |health: &Health| {
            health.dead > 0 || health.since.is_some_and(|since| now.since(since) >= CHANNEL_FAILING_AFTER)
        };
        let failing = self.channels.health().into_iter().filter(|(_, health)| is_failing(health));
        failing
            .map(|(channel, health)| SystemCondition::ChannelFailing {
                channel,
                error: health.last_error.unwrap_or_else(|| "messages were given up".to_owned()),
                dead: health.dead,
                since: health.since.unwrap_or(now),
            })
            .collect()
    }

    /// That nothing could be written, once that can be written.
    fn outage(&self, now: Time) -> Option<SystemCondition> {
        let (since, ended) = self.engine.last_write_outage()?;
        let is_worth_telling = ended.since(since) >= OUTAGE_TOLD && now.since(ended) < OUTAGE_KEPT;
        is_worth_telling.then(|| SystemCondition::Daemon {
            finding: "unwritable".to_owned(),
            example: format!("nothing could be written to the database until {ended}, and nothing was sent to WeChat"),
            count: 1,
            since,
        })
    }

    /// What the last audit found; nothing is known before the first.
    fn daemon(&self, now: Time, looked_at: &mut HashSet<Rule>) -> Vec<SystemCondition> {
        let Some(findings) = self.engine.findings() else { return Vec::new() };
        looked_at.insert(Rule::Daemon);
        let mut conditions: Vec<SystemCondition> = Vec::new();
        for found in findings.into_iter().filter(|found| !TOLD_OTHERWISE.contains(&found.rule.as_str())) {
            let twin = conditions.iter_mut().find_map(|condition| match condition {
                SystemCondition::Daemon { finding, count, .. } if *finding == found.rule => Some(count),
                _ => None,
            });
            match twin {
                Some(count) => *count += 1,
                None => conditions.push(SystemCondition::Daemon {
                    example: format!("{}: {}", found.subject, found.finding),
                    finding: found.rule,
                    count: 1,
                    since: now,
                }),
            }
        }
        conditions
    }
}

fn spoken(crowds: &BTreeSet<String>, key: &str) -> Spoken {
    if crowds.contains(key) { Spoken::AsOne } else { Spoken::Singly }
}

/// What is told of accounts where only their number counts: one for all, with how many they are, or one for each.
fn as_one_or_each<T>(
    accounts: Vec<T>,
    many: u64,
    spoken: Spoken,
    condition: impl Fn(T, Option<Count>) -> Option<SystemCondition>,
) -> Vec<SystemCondition> {
    let count = accounts.len() as u64;
    let is_one = is_many(count, many, spoken);
    let told = match spoken {
        _ if is_one => 1,
        Spoken::Singly => accounts.len(),
        // Too few are left, and what was told of all must be over before any is named.
        Spoken::AsOne => 0,
    };
    accounts.into_iter().take(told).filter_map(|one| condition(one, is_one.then_some(Count(count)))).collect()
}

fn as_one(one: &AffectedAccount, trouble: Trouble, count: Count) -> Option<SystemCondition> {
    let (error, since) = (one.said.clone().unwrap_or_default(), Time::from_ms(one.since));
    Some(match trouble {
        Trouble::Token => SystemCondition::TokenFailing { account: None, error, since },
        Trouble::Refused | Trouble::Unreadable | Trouble::Unreachable => {
            SystemCondition::WechatUnreachable { trouble, count, example: one.account.parse().ok()?, error, since }
        }
    })
}

fn by_name(one: &AffectedAccount, trouble: Trouble) -> Option<SystemCondition> {
    let (account, error) = (one.account.parse().ok()?, one.said.clone().unwrap_or_default());
    let (since, last_read) = (Time::from_ms(one.since), one.read_at.map(Time::from_ms));
    Some(match trouble {
        Trouble::Token => SystemCondition::TokenFailing { account: Some(account), error, since },
        Trouble::Refused | Trouble::Unreadable | Trouble::Unreachable => {
            SystemCondition::AccountUnreadable { account, trouble, error, since, last_read }
        }
    })
}
