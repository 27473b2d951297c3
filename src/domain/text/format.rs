//! Moments, durations and names from outside, as people write them.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::parse::moment as parsed;
use crate::domain::time::Time;

/// A moment in this zone, in a form that `strftime` knows; RFC 3339 where no calendar reaches.
#[must_use]
pub fn moment_as(at: Time, zone: &TimeZone, form: &str) -> String {
    let local = jiff::Timestamp::from_millisecond(at.ms()).map(|moment| moment.to_zoned(zone.clone()));
    local.map_or_else(|_| at.to_string(), |local| local.strftime(form).to_string())
}

/// A moment as the views write it, in UTC.
#[must_use]
pub fn rfc3339(at: Time) -> String {
    jiff::Timestamp::from_millisecond(at.ms()).map_or_else(|_| at.to_string(), |at| format!("{at:.3}"))
}

/// How long ago a view's moment was, in one unit: "45s", "59m", "23h", "120d".
#[must_use]
pub fn age(text: &str, now: Time) -> String {
    parsed(text).map_or_else(|| "?".to_owned(), |at| in_one_unit(now.since(at)))
}

/// A span in its largest whole unit.
#[must_use]
pub fn in_one_unit(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A moment in this zone, to the minute: "2026-03-10 09:00".
#[must_use]
pub fn moment(at: Time, zone: &TimeZone) -> String {
    moment_as(at, zone, "%Y-%m-%d %H:%M")
}

/// The same with the zone's offset, where nothing else names the zone: "2026-03-10 09:00 +08:00".
#[must_use]
pub fn marked_moment(at: Time, zone: &TimeZone) -> String {
    moment_as(at, zone, "%Y-%m-%d %H:%M %:z")
}

/// A duration in English: "45s", "15m", "1h 30m", "2d 4h"; the two largest units.
#[must_use]
pub fn duration(span: Duration) -> String {
    written(span, &Units { days: "d", hours: "h", minutes: "m", seconds: "s", milliseconds: "ms" })
}

/// The same in Chinese: "2 天 4 小时".
#[must_use]
pub fn duration_zh(span: Duration) -> String {
    written(span, &Units { days: " 天", hours: " 小时", minutes: " 分钟", seconds: " 秒", milliseconds: " 毫秒" })
}

/// What a language calls them, as they follow the number.
struct Units {
    days: &'static str,
    hours: &'static str,
    minutes: &'static str,
    seconds: &'static str,
    milliseconds: &'static str,
}

fn written(span: Duration, units: &Units) -> String {
    let seconds = span.as_secs();
    let counts = [
        (seconds / 86_400, units.days),
        (seconds / 3_600 % 24, units.hours),
        (seconds / 60 % 60, units.minutes),
        (seconds % 60, units.seconds),
    ];
    let Some(first) = counts.iter().position(|(count, _)| *count > 0) else {
        let (count, unit) = if span.is_zero() { (0, units.seconds) } else { (span.as_millis(), units.milliseconds) };
        return format!("{count}{unit}");
    };
    let largest = counts[first..].iter().take(2).filter(|(count, _)| *count > 0);
    largest.map(|(count, unit)| format!("{count}{unit}")).collect::<Vec<_>>().join(" ")
}

/// The duration without its seconds, which tell a person nothing once there are minutes.
#[must_use]
pub const fn to_the_minute(span: Duration) -> Duration {
    match span.as_secs() {
        seconds @ 0..60 => Duration::from_secs(seconds),
        seconds => Duration::from_secs(seconds - seconds % 60),
    }
}

/// Whether a character turns the direction of writing: `Bidi_Control`
/// (<https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing>).
#[must_use]
pub const fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character cannot be seen: it has no width, or turns the direction of writing.
#[must_use]
pub const fn is_unseen(c: char) -> bool {
    let has_no_width = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    has_no_width || turns_direction(c)
}

/// Whether a character ends the line, steers a terminal or turns the direction of writing.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || turns_direction(c)
}

/// What stands where a text was cut.
const CUT: char = '…';

/// The text on one line: runs of white space become one space, and characters that nobody sees, which could turn a line
/// around or hide a part of it, go.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            if !line.ends_with(' ') {
                line.push(' ');
            }
        } else if !is_unseen(c) {
            line.push(c);
        }
    }
    line.trim().to_owned()
}

/// At most `most` characters, the last of them an ellipsis where something was cut.
#[must_use]
pub fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept.truncate(kept.trim_end().len());
    kept.extend((most > 0).then_some(CUT));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::BEIJING;

    #[test]
    fn durations_read_as_people_write_them() {
        let seconds = [0, 45, 900, 5_400, 187_200].map(Duration::from_secs);
        assert_eq!(seconds.map(duration), ["0s", "45s", "15m", "1h 30m", "2d 4h"]);
        assert_eq!(seconds.map(duration_zh), ["0 秒", "45 秒", "15 分钟", "1 小时 30 分钟", "2 天 4 小时"]);
        let short = Duration::from_millis(250);
        assert_eq!([duration(short), duration_zh(short)], ["250ms", "250 毫秒"]);
    }

    #[test]
    fn a_moment_is_that_of_its_zone_and_one_beyond_all_calendars_is_told_as_it_is() {
        let at = Time::from_ms(1_773_100_800_000);
        assert_eq!(moment(at, &BEIJING), "2026-03-10 08:00");
        assert_eq!(moment(at, &TimeZone::UTC), "2026-03-10 00:00");
        assert_eq!(marked_moment(at, &BEIJING), "2026-03-10 08:00 +08:00");
        assert_eq!(moment(Time::from_ms(i64::MAX), &BEIJING), format!("{} ms", i64::MAX));
    }

    #[test]
    fn a_text_that_fits_is_not_cut() {
        assert_eq!(clip("公众号", 3), "公众号");
        assert_eq!(clip("公众号管", 3), "公众…");
        assert_eq!(clip("a b", 2), "a…");
        assert_eq!(clip("ab", 0), "");
    }

    #[test]
    fn lines_and_hidden_marks_go() {
        assert_eq!(one_line("\u{202e} a\r\n\r\n b\u{200b}c \u{2028}"), "a bc");
    }
}
