//! How long a service asks us to wait.

use std::time::Duration;

use crate::domain::time::Time;

/// The longest wait that a service may ask for. A wrong clock or a typing error over there must not silence a channel
/// for days: after an hour we ask again.
pub(crate) const AFTER_MAX: Duration = Duration::from_hours(1);

/// How long `Retry-After` asks us to wait: seconds, or a date (RFC 9110, section 10.2.3,
/// <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>). Nothing when it can be read as neither; at most
/// [`AFTER_MAX`].
pub(crate) fn retry_after(value: &str, now: Time) -> Option<Duration> {
    let value = value.trim();
    let asked = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a number holds is more than the most all the same.
        value.parse().map_or(AFTER_MAX, Duration::from_secs)
    } else {
        let date = jiff::fmt::rfc2822::parse(value).ok()?;
        now.until(Time::from_ms(date.timestamp().as_millisecond()))
    };
    Some(asked.min(AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_by_a_date() {
        let now = Time::from_ms(784_111_777_000); // 1994-11-06 08:49:37, the RFC's own moment
        let asked = |value| retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(asked("120"), Some(120));
        assert_eq!(asked(" 0 "), Some(0));
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(asked("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(asked("Thu, 31 Dec 2099 23:59:59 GMT"), Some(3_600));
        assert_eq!(asked("99999999999999999999999"), Some(3_600));
        assert_eq!([asked("-1"), asked("soon"), asked(""), asked("1.5")], [None; 4]);
    }
}
