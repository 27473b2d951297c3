//! Times for people: "2h" says more at a glance than a date.

use std::sync::OnceLock;

use jiff::tz::TimeZone;
use serde_json::Value;

pub use crate::domain::text::{
    format::{age, in_one_unit, rfc3339 as text},
    parse::{moment as parse, span},
};
use crate::domain::{text::format::moment_as, time::Time};

/// The zone of every time that this process shows to a person: that of the messages, so that both can be compared.
static ZONE: OnceLock<TimeZone> = OnceLock::new();

/// Shows times in this zone from now on. The first one stays: a process has one configuration.
pub fn show_in(zone: &TimeZone) {
    ZONE.get_or_init(|| zone.clone());
}

/// How long until a view's moment, in one unit; "due" when it has come, nothing when there is none.
#[must_use]
pub fn ahead(text: Option<&str>, now: Time) -> Option<String> {
    let at = parse(text?)?;
    Some(if at <= now { "due".to_owned() } else { in_one_unit(now.until(at)) })
}

/// A view's moment for people, with its zone: "2026-03-01 20:00:00 +08:00".
#[must_use]
pub fn to_the_second(text: &str) -> String {
    parse(text).map_or_else(|| text.to_owned(), |at| shown(at, "%Y-%m-%d %H:%M:%S %:z"))
}

/// The same to the minute: "2026-03-01 20:00 +08:00".
#[must_use]
pub fn to_the_minute(at: Time) -> String {
    shown(at, "%Y-%m-%d %H:%M %:z")
}

fn shown(at: Time, form: &str) -> String {
    moment_as(at, zone(), form)
}

/// The zone that times are shown in; UTC until a configuration is read.
#[must_use]
pub fn zone() -> &'static TimeZone {
    static UTC: TimeZone = TimeZone::UTC;
    ZONE.get().unwrap_or(&UTC)
}

/// A field of a view that holds a moment, for people; nothing when it holds none.
pub(super) fn of_field(field: &str, value: &Value) -> Option<String> {
    let is_moment = ["at", "since", "until"].contains(&field)
        || ["_at", "_since", "_until"].iter().any(|ending| field.ends_with(ending));
    parse(value.as_str().filter(|_| is_moment)?).map(|at| shown(at, "%Y-%m-%d %H:%M:%S %:z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_its_zone_and_only_a_moment_is_one() {
        let at = Value::from("2026-03-01T12:00:00.250Z");
        for (field, shown) in
            [("at", true), ("since", true), ("next_check_at", true), ("snoozed_until", true), ("label", false)]
        {
            assert_eq!(of_field(field, &at), shown.then(|| "2026-03-01 12:00:00 +00:00".to_owned()), "{field}");
        }
        assert_eq!(of_field("at", &Value::from("soon")), None);
        assert_eq!(of_field("at", &Value::Null), None);
        assert_eq!(to_the_second("2026-03-01T12:00:00.250Z"), "2026-03-01 12:00:00 +00:00");
    }

    #[test]
    fn a_glance_needs_one_unit() {
        let now = parse("2026-03-01T12:00:00.000Z").unwrap();
        let ages = ["2026-03-01T11:59:15.000Z", "2026-03-01T11:01:00Z", "2026-02-28T12:30:00Z", "2025-11-01T12:00:00Z"];
        assert_eq!(ages.map(|at| age(at, now)), ["45s", "59m", "23h", "120d"]);
        assert_eq!(age("2026-03-02T00:00:00Z", now), "0s");
        assert_eq!(ahead(Some("2026-03-01T12:30:00Z"), now).as_deref(), Some("30m"));
        assert_eq!(ahead(Some("1970-01-01T00:00:00Z"), now).as_deref(), Some("due"));
        assert_eq!(ahead(None, now), None);
    }
}
