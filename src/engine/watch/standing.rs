//! What is not about one request: accounts, our address, tokens, channels, the daemon. It must never call anybody to find
//! out: it reads what others have written down.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::{super::deliver::Health, Watch, reconcile::alert};
use crate::{
    domain::{
        attention::{Concern, Plight, Rule, of_plight},
        errcode::Refusal,
        id::AccountId,
        time::Time,
    },
    store::{
        StoreError,
        alerts::{Over, WatchRecord},
        attention::Troubled,
    },
};

/// Accounts without a token that are named one by one. More of them at once are one trouble: their common source.
const WITHOUT_TOKEN_MAX: u32 = 100;

/// How long nothing must have been written for it to be told: a backup that holds the file is over by then.
const OUTAGE_TOLD: Duration = Duration::from_secs(30);

/// How long it is told of after it ended.
const OUTAGE_KEPT: Duration = Duration::from_mins(10);

/// How long a channel may take nothing before that is told: longer than a service that is restarted needs.
const CHANNEL_FAILING_AFTER: Duration = Duration::from_mins(5);

/// The key of the alert of more than that.
const CROWD: &str = "token_failing/all";

/// Accounts with a spent budget that are told of in one look.
const SPENT_MAX: u32 = 10_000;

impl Watch {
    /// Fires and resolves what is not about one request.
    pub(super) async fn look_around(&mut self) -> Result<(), StoreError> {
        let now = self.engine.clock().now();
        let (plights, looked_at) = self.plights(now).await?;
        let zone = self.settings.attention.zone;
        let mut concerns: Vec<Concern> = plights.iter().map(|plight| of_plight(plight, zone)).collect();
        // Two of one key, as a spent budget and a spent quota of one account, are one trouble.
        let mut keys = HashSet::new();
        concerns.retain(|concern| keys.insert(concern.key.clone()));
        let open = self.store().standing_alerts().await?;
        let known: HashMap<&str, i64> = open.iter().map(|alert| (alert.key.as_str(), alert.since)).collect();
        self.notice(&mut concerns, &known, now);
        let held: HashSet<&str> = concerns.iter().map(|concern| concern.key.as_str()).collect();
        let mut step = WatchRecord::default();
        let within = self.settings.group_within;
        for told in &open {
            let is_looked_at = Rule::from_word(&told.rule).is_some_and(|rule| looked_at.contains(&rule));
            // While too many are without a token to name them, those that were named stay so.
            let is_in_crowd = told.rule == Rule::TokenFailing.as_str() && held.contains(CROWD);
            if is_looked_at && !is_in_crowd && !held.contains(told.key.as_str()) {
                step.over.push(Over(told.id.clone(), now.ms(), "over", (now + within).ms()));
            }
        }
        let news = concerns.iter().filter(|concern| !known.contains_key(concern.key.as_str()));
        step.fired = news.map(|concern| alert(concern.clone(), now, within)).collect();
        if step.is_empty() { Ok(()) } else { self.store().watch(step).await }
    }

    /// What is only noticed has begun when it was first noticed: once an operator has ended it, it stays ended.
    fn notice(&mut self, concerns: &mut [Concern], known: &HashMap<&str, i64>, now: Time) {
        let held: HashSet<&str> = concerns.iter().map(|concern| concern.key.as_str()).collect();
        self.noticed.retain(|key, _| held.contains(key.as_str()));
        for concern in concerns {
            // Only a suspension is written down with the moment from which it holds.
            if concern.rule != Rule::AccountSuspended {
                let told = known.get(concern.key.as_str()).copied();
                let since = self.noticed.entry(concern.key.clone()).or_insert(told.unwrap_or(now.ms()));
                concern.since = Time::from_ms(*since);
            }
        }
    }

    /// Everything that holds back more than one request, and the rules that could be looked at.
    async fn plights(&self, now: Time) -> Result<(Vec<Plight>, HashSet<Rule>), StoreError> {
        let store = self.store();
        let mut plights = Vec::new();
        let mut looked_at =
            HashSet::from([Rule::AccountSuspended, Rule::IpNotAllowed, Rule::TokenFailing, Rule::BudgetExhausted]);
        for Troubled { account, errcode, said, since } in store.suspended_by_wechat().await? {
            let Ok(account) = account.parse() else { continue };
            let refusal = Refusal { errcode: errcode.unwrap_or(0), errmsg: said.unwrap_or_default() };
            plights.push(Plight::AccountSuspended { account, refusal, since: Time::from_ms(since) });
        }
        plights.extend(self.without_token().await?);
        plights.extend(self.spent(now).await?);
        for gate in store.account_gates().await? {
            let refusal = Refusal { errcode: gate.errcode, errmsg: gate.errmsg };
            let (since, until) = (Time::from_ms(gate.at), Time::from_ms(gate.until));
            if gate.kind == "ip" {
                plights.push(Plight::IpNotAllowed { refusal, since });
            } else if until > now
                && let Some(Ok(account)) = gate.subject.split('/').next().map(str::parse)
            {
                plights.push(Plight::BudgetExhausted { account, refusal: Some(refusal), since, until });
            }
        }
        // A channel that was failing has not been tried yet when a process begins.
        if self.engine.clock().monotonic().saturating_sub(self.began) >= CHANNEL_FAILING_AFTER {
            looked_at.insert(Rule::ChannelFailing);
        }
        plights.extend(self.channels(now));
        plights.extend(self.daemon(now, &mut looked_at));
        plights.extend(self.outage(now));
        Ok((plights, looked_at))
    }

    async fn without_token(&self) -> Result<Vec<Plight>, StoreError> {
        let troubled = self.store().without_token(WITHOUT_TOKEN_MAX + 1).await?;
        let too_many = troubled.len() > usize::try_from(WITHOUT_TOKEN_MAX).unwrap_or(usize::MAX);
        let plight = |troubled: &Troubled, account: Option<AccountId>| Plight::TokenFailing {
            account,
            error: troubled.said.clone().unwrap_or_default(),
            since: Time::from_ms(troubled.since),
        };
        if too_many {
            return Ok(troubled.iter().max_by_key(|one| one.since).map(|one| plight(one, None)).into_iter().collect());
        }
        Ok(troubled.iter().filter_map(|one| Some(plight(one, Some(one.account.parse().ok()?)))).collect())
    }

    /// Accounts whose looks of today are used up. Every account is read for it, so only when there may be one.
    async fn spent(&self, now: Time) -> Result<Vec<Plight>, StoreError> {
        if !self.engine.has_spent_budgets(now) {
            return Ok(Vec::new());
        }
        let day = now.beijing_day();
        let spent = self.store().spent(day, self.engine.settings.daily_budget, SPENT_MAX).await?;
        if spent.is_empty() {
            self.engine.note_no_spent_budgets();
        }
        let plight = |one: Troubled| {
            let account = one.account.parse().ok()?;
            Some(Plight::BudgetExhausted { account, refusal: None, since: now, until: now.next_beijing_day() })
        };
        Ok(spent.into_iter().filter_map(plight).collect())
    }

    /// Channels that have taken nothing for a while, or for which messages were given up.
    fn channels(&self, now: Time) -> Vec<Plight> {
        let is_failing = |health: &Health| {
            health.dead > 0 || health.since.is_some_and(|since| now.since(since) >= CHANNEL_FAILING_AFTER)
        };
        let failing = self.channels.health().into_iter().filter(|(_, health)| is_failing(health));
        failing
            .map(|(channel, health)| Plight::ChannelFailing {
                channel,
                error: health.last_error.unwrap_or_else(|| "messages were given up".to_owned()),
                dead: health.dead,
                since: health.since.unwrap_or(now),
            })
            .collect()
    }

    /// That nothing could be written, once that can be written.
    fn outage(&self, now: Time) -> Option<Plight> {
        let (since, ended) = self.engine.outage.last()?;
        let is_worth_telling = ended.since(since) >= OUTAGE_TOLD && now.since(ended) < OUTAGE_KEPT;
        is_worth_telling.then(|| Plight::Daemon {
            finding: "unwritable".to_owned(),
            example: format!("nothing could be written to the database until {ended}, and nothing was sent to WeChat"),
            count: 1,
            since,
        })
    }

    /// What the last audit found; nothing is known before the first.
    fn daemon(&self, now: Time, looked_at: &mut HashSet<Rule>) -> Vec<Plight> {
        let Some(findings) = self.engine.findings() else { return Vec::new() };
        looked_at.insert(Rule::Daemon);
        let mut plights: Vec<Plight> = Vec::new();
        for found in findings {
            let twin = plights.iter_mut().find_map(|plight| match plight {
                Plight::Daemon { finding, count, .. } if *finding == found.rule => Some(count),
                _ => None,
            });
            match twin {
                Some(count) => *count += 1,
                None => plights.push(Plight::Daemon {
                    example: format!("{}: {}", found.subject, found.finding),
                    finding: found.rule,
                    count: 1,
                    since: now,
                }),
            }
        }
        plights
    }
}
