//! The few words that channels add to a message, in its language.

use jiff::tz::TimeZone;

use crate::domain::{
    message::{Message, Severity},
    text::Language,
    time::BEIJING,
};

/// What a mood asks of whoever reads it, in a word or two.
pub(super) const fn mood(message: &Message) -> &'static str {
    match (message.language, message.mood) {
        (Language::En, Severity::Fired) => "Action needed",
        (Language::En, Severity::Repeated) => "Still needs action",
        (Language::En, Severity::Resolved) => "Resolved",
        (Language::En, Severity::News) => "Notice",
        (Language::Zh, Severity::Fired) => "需要处理",
        (Language::Zh, Severity::Repeated) => "仍需处理",
        (Language::Zh, Severity::Resolved) => "已解决",
        (Language::Zh, Severity::News) => "通知",
    }
}

/// Mood and title in one line, as a list of chats shows it.
pub(super) fn headline(message: &Message, title: &str) -> String {
    match message.language {
        Language::En => format!("{}: {title}", mood(message)),
        Language::Zh => format!("【{}】{title}", mood(message)),
    }
}

/// A column's head and one cell under it.
pub(super) fn labelled(language: Language, head: &str, cell: &str) -> String {
    match language {
        Language::En => format!("{head}: {cell}"),
        Language::Zh => format!("{head}：{cell}"),
    }
}

/// How many are not in the table, or how many there are when it shows none; nothing when it shows all.
pub(super) fn more(language: Language, shown: usize, total: usize) -> Option<String> {
    let rest = total.checked_sub(shown).filter(|rest| *rest > 0)?;
    Some(match (language, shown) {
        (Language::En, 0) => format!("{total} in all"),
        (Language::Zh, 0) => format!("共 {total} 条"),
        (Language::En, _) => format!("…and {rest} more"),
        (Language::Zh, _) => format!("……另有 {rest} 条"),
    })
}

/// What a link is called.
pub(super) const fn see(language: Language) -> &'static str {
    match language {
        Language::En => "See details",
        Language::Zh => "查看详情",
    }
}

/// A command to run.
pub(super) fn run(language: Language, command: &str) -> String {
    match language {
        Language::En => format!("Run: {command}"),
        Language::Zh => format!("运行：{command}"),
    }
}

/// Who says it, and when it happened: a message may come hours later, when its channel was down. Robots that ask for a
/// keyword find our name here.
pub(super) fn footer(message: &Message) -> String {
    let Ok(moment) = jiff::Timestamp::from_millisecond(message.at.ms()) else { return "amplinkd".to_owned() };
    let moment = moment.to_zoned(message.zone.clone());
    let is_beijing = message.zone == BEIJING || message.zone.iana_name() == Some("Asia/Shanghai");
    let zone = match message.language {
        _ if message.zone == TimeZone::UTC => "UTC".to_owned(),
        Language::En if is_beijing => "Beijing time".to_owned(),
        Language::Zh if is_beijing => "北京时间".to_owned(),
        Language::En | Language::Zh => moment.strftime("UTC%:z").to_string(),
    };
    format!("amplinkd · {} {zone}", moment.strftime("%Y-%m-%d %H:%M"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::time::Time, notify::fixture::message};

    #[test]
    fn the_table_never_hides_how_many_there_are() {
        let zh = |shown, total| more(Language::Zh, shown, total).unwrap_or_default();
        let en = |shown, total| more(Language::En, shown, total).unwrap_or_default();
        assert_eq!([zh(3, 3), zh(3, 34), zh(0, 34)], ["", "……另有 31 条", "共 34 条"]);
        assert_eq!([en(3, 3), en(3, 34), en(0, 34)], ["", "…and 31 more", "34 in all"]);
        // A total below what is shown would be our own mistake; it hides nothing.
        assert_eq!(en(3, 2), "");
    }

    #[test]
    fn the_time_is_that_of_the_operators_zone() {
        let mut message = message();
        assert_eq!(footer(&message), "amplinkd · 2026-11-23 03:03 北京时间");
        message.language = Language::En;
        assert_eq!(footer(&message), "amplinkd · 2026-11-23 03:03 Beijing time");
        message.zone = TimeZone::UTC;
        assert_eq!(footer(&message), "amplinkd · 2026-11-22 19:03 UTC");
        message.zone = TimeZone::get("Asia/Tokyo").unwrap();
        assert_eq!(footer(&message), "amplinkd · 2026-11-23 04:03 UTC+09:00");
        message.at = Time::from_ms(i64::MAX);
        assert_eq!(footer(&message), "amplinkd");
    }
}
