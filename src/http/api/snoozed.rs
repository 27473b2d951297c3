//! Until when alerts are to be silent, as callers say it: by a span or by a time.

use super::{problem::Fault, state::Api, text::Text};
use crate::{
    config::parse_duration,
    domain::{
        text::parse::{moment_in, span},
        time::Time,
    },
};

/// The time that one of two members names; none where both are left out. A time without an offset is in the zone of
/// `[alerts]`.
///
/// # Errors
/// What is wrong with which of them.
pub(super) fn until(wait: Option<&str>, until: Option<&str>, api: &Api) -> Result<Option<Time>, Fault> {
    let now = api.now();
    match (wait, until) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(fault("until", Text::fixed("excludes `for`: give one of them", "与 `for` 互斥，请只给一个")))
        }
        (Some(wait), None) => {
            let wait = parse_duration(wait).or_else(|wrong| span(wait).map_err(|_| wrong));
            let wait = wait.map_err(|wrong| fault("for", Text::new(wrong, "应为时长，例如 4h 或 2d，最长十年")))?;
            Ok(Some(now + wait))
        }
        (None, Some(until)) => {
            let until = moment_in(until, &api.config().alerts.zone)
                .map_err(|wrong| fault("until", Text::new(wrong, "应为时间，例如 2026-03-05T09:00:00+08:00")))?;
            let past = Text::fixed("this time has passed: nothing to snooze", "该时间已过，无需推迟");
            if until <= now { Err(fault("until", past)) } else { Ok(Some(until)) }
        }
    }
}

/// That one of them must be given.
pub(super) fn missing() -> Fault {
    fault("for", Text::fixed("expected `for` or `until`", "应给出 `for` 或 `until`"))
}

fn fault(member: &str, detail: Text) -> Fault {
    Fault { pointer: format!("/{member}"), detail }
}
