//! What on the page needs action, most urgent first, each with the command that shows more.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    figures::{Daemon, Figures},
    words::counted,
};
use crate::domain::{gate::GateKind, text::format::age, time::Time};

/// One thing that a person must do something about.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Need {
    /// A word for programs, as the help lists them.
    #[schema(value_type = String)]
    pub problem: Cow<'static, str>,
    /// How many there are of it.
    pub count: u64,
    /// A sentence for people.
    pub text: String,
    /// What to run or do next.
    pub next: String,
}

/// Everything that needs a person; nothing when no action is needed.
#[must_use]
pub fn of(figures: &Figures, now: Time) -> Vec<Need> {
    let mut found: Vec<Need> = Vec::new();
    found.extend(daemon(figures, now));
    found.extend(writing(figures, now));
    found.extend(address(figures));
    found.extend(unread(figures, now));
    found.extend(suspended(figures));
    found.extend(alerts(figures));
    found.extend(audit(figures));
    found.extend(messages(figures));
    found
}

/// Whether somebody has acknowledged or snoozed every alert of these rules: whoever has taken a thing is not woken for it.
fn is_taken(figures: &Figures, rules: &[&str]) -> bool {
    let mut open = figures.alerts.rules.iter().filter(|rule| rules.contains(&rule.rule.as_str())).peekable();
    open.peek().is_some() && open.all(|rule| rule.firing == 0)
}

fn problem(problem: &'static str, count: u64, text: String, next: impl Into<String>) -> Need {
    Need { problem: problem.into(), count, text, next: next.into() }
}

fn daemon(figures: &Figures, now: Time) -> Option<Need> {
    let Daemon { running, last } = &figures.daemon;
    let is_missing = match running {
        Some(is_running) => !is_running,
        None => figures.database.writable.is_none(),
    };
    if !is_missing {
        return None;
    }
    let none = if running.is_some() { "no daemon runs" } else { "no sign of a daemon" };
    let text = match (&figures.database.copy_made_at, &last.stopped_at, &last.written_at) {
        (Some(made), ..) => {
            format!("no daemon has started on this restored backup, made {} ago", age(made, now))
        }
        (None, Some(at), _) => format!("{none}: the last one was stopped {} ago", age(at, now)),
        (None, None, Some(at)) => {
            format!("{none}: the last one wrote {} ago and was not stopped cleanly", age(at, now))
        }
        (None, None, None) => "no daemon has run on this database yet".to_owned(),
    };
    let why = if last.started_at.is_some() { "; the log says why it stopped" } else { "" };
    Some(problem("no_daemon", 1, text, format!("systemctl start amplinkd, or amplinkd run{why}")))
}

fn writing(figures: &Figures, now: Time) -> Option<Need> {
    if figures.database.writable != Some(false) {
        return None;
    }
    let text = match &figures.daemon.last.written_at {
        Some(at) => format!("the daemon is running but has written nothing for {}", age(at, now)),
        None => "a daemon is running but has written nothing into this file".to_owned(),
    };
    Some(problem("cannot_write", 1, text, "check the disk, whether the file was replaced, and the daemon's log"))
}

fn address(figures: &Figures) -> Option<Need> {
    let gate = figures.gates.iter().find(|gate| gate.kind == GateKind::Ip.as_str())?;
    let text = format!("WeChat does not allow our IP address (code {}): no account can be reached", gate.errcode);
    Some(problem("address_blocked", 1, text, "add it to the platform's IP whitelist; calls then resume by themselves"))
}

fn unread(figures: &Figures, now: Time) -> Option<Need> {
    let unread = &figures.accounts.unread;
    let count = u64::try_from(unread.late).ok().filter(|count| *count > 0)?;
    if is_taken(figures, &["account_unreadable", "wechat_unreachable", "token_failing"]) {
        return None;
    }
    let since = unread.causes.iter().map(|cause| cause.since.as_str()).min();
    let since = since.map(|since| format!(", the first for {}", age(since, now))).unwrap_or_default();
    let causes: Vec<&str> = unread.causes.iter().map(|cause| cause.trouble.as_str()).collect();
    let text = format!("{} cannot be read{since}: {}", counted(count, "account"), causes.join(", "));
    let next = format!("amplinkd account list --trouble {}", causes.join(","));
    Some(problem("accounts_unread", count, text, next))
}

fn suspended(figures: &Figures) -> Option<Need> {
    let suspended = &figures.accounts.suspended;
    let count = u64::try_from(suspended.by_wechat).ok().filter(|count| *count > 0)?;
    if is_taken(figures, &["account_suspended", "accounts_refused"]) {
        return None;
    }
    let codes: Vec<String> =
        suspended.causes.iter().filter_map(|cause| cause.errcode).map(|code| code.to_string()).collect();
    let text = format!("WeChat refuses us for {}: {}", counted(count, "account"), codes.join(", "));
    let next = format!("amplinkd account list --suspended-by {}", codes.join(","));
    Some(problem("accounts_suspended", count, text, next))
}

fn alerts(figures: &Figures) -> Option<Need> {
    let count = u64::try_from(figures.alerts.need_a_person).ok().filter(|count| *count > 0)?;
    let rules: Vec<&str> =
        figures.alerts.rules.iter().filter(|rule| rule.need_a_person > 0).map(|rule| rule.rule.as_str()).collect();
    let text = format!("{} not acknowledged: {}", counted(count, "alert"), rules.join(", "));
    Some(problem("alerts_firing", count, text, "amplinkd alert list --state firing"))
}

fn audit(figures: &Figures) -> Option<Need> {
    let count = Some(figures.audit.findings).filter(|count| *count > 0)?;
    let rules: Vec<&str> = figures.audit.rules.iter().map(|broken| broken.rule.as_str()).collect();
    let text = format!("the audit has {}: {}", counted(count, "finding"), rules.join(", "));
    let without =
        if figures.daemon.running == Some(false) { "; without a daemon much of it is work left undone" } else { "" };
    Some(problem("audit_findings", count, text, format!("amplinkd audit{without}")))
}

fn messages(figures: &Figures) -> Vec<Need> {
    if is_taken(figures, &["channel_failing"]) {
        return Vec::new();
    }
    let dead = figures.channels.iter().filter(|channel| channel.configured && channel.dead > 0);
    let told = dead.map(|channel| {
        let text = format!("{} given up on channel {}", counted(channel.dead, "message"), channel.name);
        problem("messages_dead", channel.dead, text, format!("amplinkd channel retry {} --dry-run", channel.name))
    });
    told.collect()
}
