//! Writes the events of alerts that are due: fired, repeated, resolved; grouped by reason. An alert is never reported
//! resolved before it was reported firing.

use std::{collections::BTreeMap, time::Duration};

use super::{AlertEvaluator, piecewise::AGAIN_AFTER};
use crate::{
    alerting::fan_out::rule_of,
    domain::{
        alert_rules::Rule,
        alert_state::AlertState,
        event::{AlertNotice, AlertPhase, EventType, to_json},
        message::AlertFacts,
        text::{Localized, group_title},
        time::Time,
    },
    store::{
        StoreError,
        row_id::new_id,
        write::{
            alerts::{AlertRow, Told, WatchRecord},
            record::Event,
        },
    },
};

/// Alerts in one event: as many as fit into a megabyte by their keys. More of one reason at once are told in several.
const GROUP_MAX: u32 = 10_000;

/// Requests that are evaluated in one step before a repeat.
const RENEWED_AT_ONCE: usize = 1_000;

impl AlertEvaluator {
    /// Tells what is due and may be told. Answers whether anything was.
    pub(super) async fn tell(&mut self) -> Result<bool, StoreError> {
        let now = self.engine.clock().now();
        let stopwatch = self.engine.clock().monotonic();
        self.untellable.retain(|_, until| stopwatch < *until);
        let mut has_told = false;
        for (reason, due) in self.store().reasons_to_tell().await? {
            if due > now.ms() || self.is_quiet(&reason, now) {
                continue;
            }
            let within = (now + self.settings.group_within).ms();
            let mut rows = self.store().alerts_to_tell(&reason, within, now.ms(), GROUP_MAX).await?;
            rows.retain(|row| !self.untellable.contains_key(&row.id));
            if self.renew(&rows, now).await? {
                rows = self.store().alerts_to_tell(&reason, within, now.ms(), GROUP_MAX).await?;
                rows.retain(|row| !self.untellable.contains_key(&row.id));
            }
            // One group, unless the database refuses a row of it: then its halves, and theirs.
            let mut groups = vec![&rows[..]];
            while let Some(group) = groups.pop().filter(|group| !group.is_empty()) {
                has_told |= self.tell_of(&reason, group, now, &mut groups).await?;
            }
        }
        Ok(has_told)
    }

    /// Evaluates the requests of alerts that are about to repeat, so that repeats have the newest text. Returns whether anything
    /// changed.
    async fn renew(&self, rows: &[AlertRow], now: Time) -> Result<bool, StoreError> {
        let is_again = |row: &&AlertRow| row.reach.is_some() && row.resolved_at.is_none();
        let requests: Vec<String> = rows.iter().filter(is_again).filter_map(|row| row.request_id.clone()).collect();
        let mut has_changed = false;
        for some in requests.chunks(RENEWED_AT_ONCE) {
            let step = self.look_at(&[], some.to_vec(), now).await?;
            if !(step.reworded.is_empty() && step.over.is_empty() && step.fired.is_empty()) {
                self.write(step).await?;
                has_changed = true;
            }
        }
        Ok(has_changed)
    }

    /// Tells of these alerts together, or leaves two halves of them to be told. Answers whether anything was told.
    async fn tell_of<'a>(
        &mut self,
        reason: &str,
        rows: &'a [AlertRow],
        now: Time,
        rest: &mut Vec<&'a [AlertRow]>,
    ) -> Result<bool, StoreError> {
        let step = self.step(reason, rows, now);
        let events = step.events.len();
        match self.store().watch(step).await {
            Ok(()) if events > 0 => {
                tracing::warn!(event = "alerting.told", reason, alerts = rows.len(), events, "alerts sent");
                Ok(true)
            }
            Ok(()) => Ok(false),
            Err(error) if error.is_of_one_row() && rows.len() > 1 => {
                let (first, second) = rows.split_at(rows.len() / 2);
                rest.extend([second, first]);
                Ok(false)
            }
            Err(error) if error.is_of_one_row() => {
                tracing::error!(event = "db.bad_row", alert = rows[0].id, error = %error, "could not deliver the alert");
                self.untellable.insert(rows[0].id.clone(), self.engine.clock().monotonic() + AGAIN_AFTER);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The events of one reason, and what they mean for its alerts.
    fn step(&self, reason: &str, rows: &[AlertRow], now: Time) -> WatchRecord {
        let mut groups: BTreeMap<(AlertPhase, i64), Vec<&AlertRow>> = BTreeMap::new();
        let mut told = Vec::with_capacity(rows.len());
        for row in rows {
            let phases = self.phases(row, now);
            let reach = phases.iter().map(|(_, reach)| *reach).chain(row.reach).max().unwrap_or(0);
            for phase in &phases {
                groups.entry(*phase).or_default().push(row);
            }
            // Who is told for the first time does not put off the others' reminder.
            let is_further = row.reach.is_some() && phases.iter().all(|(phase, _)| *phase == AlertPhase::Fired);
            let at = if is_further { row.notified_at } else { Some(now.ms()) };
            let again = self.again_at(row, reach, at.map_or(now, Time::from_ms));
            let notify_at = if row.resolved_at.is_some() { None } else { again };
            let events = phases.len();
            told.push(Told {
                id: row.id.clone(),
                version: row.version,
                at,
                events,
                notify_at: notify_at.map(Time::ms),
                reach,
            });
        }
        let events = groups.into_iter().map(|((phase, reach), rows)| event(phase, reach, reason, &rows, now));
        WatchRecord { told, events: events.collect(), ..WatchRecord::default() }
    }

    /// What is to be told of one alert: each age of its channels for the first time, then again, then its end.
    fn phases(&self, row: &AlertRow, now: Time) -> Vec<(AlertPhase, i64)> {
        let mut phases: Vec<(AlertPhase, i64)> = Vec::new();
        if row.reach.is_none() {
            phases.push((AlertPhase::Fired, 0));
        }
        if row.resolved_at.is_none() {
            let age = i64::try_from(now.since(Time::from_ms(row.fired_at)).as_millis()).unwrap_or(i64::MAX);
            let known = row.reach.unwrap_or(0);
            phases.extend(
                self.ages
                    .iter()
                    .filter(|after| known < **after && **after <= age)
                    .map(|after| (AlertPhase::Fired, *after)),
            );
        }
        let reach = phases.iter().map(|(_, reach)| *reach).chain(row.reach).max().unwrap_or(0);
        let within = now + self.settings.group_within;
        let is_awake = row.state == AlertState::Snoozed;
        let is_again = row.reach.is_some()
            && (is_awake
                || row
                    .notified_at
                    .zip(self.settings.repeat_every)
                    .is_some_and(|(at, every)| Time::from_ms(at) + every <= within));
        if row.resolved_at.is_some() {
            phases.push((AlertPhase::Resolved, reach));
        } else if is_again {
            phases.push((AlertPhase::Repeated, row.reach.unwrap_or(0)));
        }
        phases
    }

    /// When an alert is to be told again, or to further channels.
    fn again_at(&self, row: &AlertRow, reach: i64, told: Time) -> Option<Time> {
        let again = self.settings.repeat_every.map(|every| told + every);
        let next_age = self.ages.iter().copied().find(|after| *after > reach);
        let further = next_age
            .map(|after| Time::from_ms(row.fired_at) + Duration::from_millis(u64::try_from(after).unwrap_or(0)));
        [again, further].into_iter().flatten().min()
    }
}

/// The event that tells this of these alerts, which have one reason.
pub(in crate::alerting) fn event(phase: AlertPhase, reach: i64, reason: &str, rows: &[&AlertRow], now: Time) -> Event {
    let rule = rule_of(reason).unwrap_or(Rule::Daemon);
    let Localized { en: title_en, zh: title_zh } = group_title(rule, reason, rows.len());
    let news = AlertNotice {
        rule: rule.as_str().to_owned(),
        reason: reason.to_owned(),
        state: phase.as_str().to_owned(),
        count: rows.len(),
        level: reach,
        title_en,
        title_zh,
        alerts: rows.iter().map(|row| facts(row)).collect(),
        more: Vec::new(),
    };
    // Whom it is about; of several, the one that is due the longest.
    let subject = rows.first().and_then(|first| first.request_id.clone().or_else(|| first.account.clone()));
    Event {
        id: new_id(now),
        kind: EventType::Alert(phase).to_string(),
        subject: subject.unwrap_or_else(|| reason.to_owned()),
        partition_key: reason.to_owned(),
        reach: Some(reach),
        at: now.ms(),
        data: to_json(&news),
    }
}

fn facts(row: &AlertRow) -> AlertFacts {
    AlertFacts {
        alert: row.id.clone(),
        key: row.key.clone(),
        rule: row.rule.clone(),
        reason: row.reason.clone(),
        request: row.request_id.clone(),
        account: row.account.clone(),
        program: row.program.clone(),
        since: row.since,
        fired_at: row.fired_at,
        resolved_at: row.resolved_at,
        resolution: row.resolution.clone(),
        message_en: row.message_en.clone(),
        message_zh: row.message_zh.clone(),
    }
}
