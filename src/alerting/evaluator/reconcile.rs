//! Compares what holds with the alerts that are open. Pure.

use std::time::Duration;

use crate::{
    domain::{
        alert_rules::AlertCondition,
        alert_state::{AlertState, Resolution},
        id,
        time::Time,
    },
    store::{
        row_id::new_id,
        write::alerts::{AlertRow, ResolvedAlert, Reworded, WatchRecord},
    },
};

/// Fires what holds and was not told, ends what was told and no longer holds. Answers when time alone changes that.
pub(super) fn reconcile(
    concerns: Vec<AlertCondition>,
    open: &[AlertRow],
    now: Time,
    group_within: Duration,
    step: &mut WatchRecord,
) -> Option<Time> {
    // What came back after it was over is told with the moment at which it came back.
    let is_of =
        |concern: &AlertCondition, alert: &AlertRow| concern.key == alert.key && concern.since.ms() <= alert.since;
    let has_aged = |concern: &AlertCondition| concern.until.is_some_and(|until| until <= now);
    for alert in open {
        let concern = concerns.iter().find(|concern| is_of(concern, alert));
        let resolution = match concern {
            // Once it was told it stays so, also when the thresholds have grown since.
            Some(concern) if !has_aged(concern) => {
                step.reworded.extend(reworded(concern, alert).filter(|_| concern.holds(now)));
                continue;
            }
            Some(_) => Resolution::AgedOut,
            None => Resolution::Over,
        };
        step.over.push(ResolvedAlert { id: alert.id.clone(), at: now, resolution, notify_at: now + group_within });
    }
    let mut next: Option<Time> = None;
    for concern in concerns {
        let is_told = open.iter().any(|alert| is_of(&concern, alert));
        let changes_at = if is_told { concern.until.filter(|until| *until > now) } else { concern.changes_at(now) };
        let later = if concern.holds(now) && !is_told { concern.until } else { changes_at };
        next = [next, later].into_iter().flatten().min();
        if concern.holds(now) && !is_told {
            step.fired.push(alert(concern, now, group_within));
        }
    }
    next
}

/// The new text of an open alert, if it has changed.
pub(super) fn reworded(concern: &AlertCondition, alert: &AlertRow) -> Option<Reworded> {
    let is_news = concern.text.en != alert.message_en || concern.text.zh != alert.message_zh;
    is_news.then(|| Reworded {
        id: alert.id.clone(),
        message_en: concern.text.en.clone(),
        message_zh: concern.text.zh.clone(),
    })
}

/// A concern as an alert that begins to fire.
pub(in crate::alerting) fn alert(concern: AlertCondition, now: Time, group_within: Duration) -> AlertRow {
    AlertRow {
        id: new_id(now),
        key: concern.key,
        rule: concern.rule.as_str().to_owned(),
        reason: concern.reason,
        request_id: concern.request.as_ref().map(ToString::to_string),
        account: concern.account.as_ref().map(id::AccountId::to_string),
        program: concern.program.as_ref().map(id::ProgramId::to_string),
        state: AlertState::Firing,
        since: concern.since.ms(),
        fired_at: now.ms(),
        acknowledged_at: None,
        snoozed_until: None,
        resolved_at: None,
        resolution: None,
        notified_at: None,
        notify_at: Some((now + group_within).ms()),
        reach: None,
        message_en: concern.text.en,
        message_zh: concern.text.zh,
        version: 0,
    }
}
