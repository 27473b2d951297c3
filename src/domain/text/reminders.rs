//! Several reminders as one message, with a line for each.

use serde::Deserialize;

use super::{Language, Localized, Report};
use crate::domain::event::{OutboxEvent, to_json};

/// Bytes of markup that a channel adds to a row.
const ROW_BYTES: usize = 16;

/// The data of a reminder's event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReminderLine {
    account: String,
    program: String,
    stage: String,
    language: Language,
    en: Report,
    zh: Report,
}

impl ReminderLine {
    /// Reads the data of an event; `None` when it is no reminder.
    #[must_use]
    pub fn read(data: &str) -> Option<Self> {
        serde_json::from_str(data).ok()
    }

    /// The language of its text: only reminders of one language are combined.
    #[must_use]
    pub const fn language(&self) -> Language {
        self.language
    }

    /// Bytes that it takes in a combined message.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.cells().iter().map(String::len).sum::<usize>() + ROW_BYTES
    }

    /// Whom to remind, and the other side of the link.
    fn cells(&self) -> Vec<String> {
        let words = self.language.pick(&self.en, &self.zh);
        let other = if self.stage == "program_admin" { &self.account } else { &self.program };
        vec![words.title.clone(), other.clone()]
    }
}

/// The first event, with the lines of all; they are in one language.
#[must_use]
pub fn together(first: OutboxEvent, lines: &[ReminderLine]) -> OutboxEvent {
    let rows: Vec<Vec<String>> = lines.iter().map(ReminderLine::cells).collect();
    let Some(language) = lines.first().map(ReminderLine::language) else { return first };
    let count = lines.len();
    let report = |title: String, lead: &str, columns: [&str; 2]| Report {
        title,
        lead: lead.to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.clone(),
        total: count,
        hint: "amplinkd request nudge --account APPID --dry-run --force".to_owned(),
    };
    let en = report(
        format!("{count} administrators to be reminded"),
        "Each of them has a message in WeChat that waits for an answer. The command below prints the text for one of them, \
         ready to be pasted.",
        ["Reminder", "The other side"],
    );
    let zh = report(
        format!("请提醒 {count} 位管理员"),
        "他们的微信中各有一条消息等待处理。运行下面的命令可得到单条提醒的全文，便于转发。",
        ["提醒对象", "对方"],
    );
    // Whatever the channel's own language is, it shows the one that was asked for.
    let words = language.pick(&en, &zh);
    let words = Localized { en: words.clone(), zh: words.clone() };
    OutboxEvent { data: to_json(&words), ..first }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::domain::{event::Reminder, text::render, time::Time};

    fn reminder(number: usize, language: &str) -> String {
        let (account, program) = (format!("wxa{number}"), format!("wxp{number}"));
        let stage = if number.is_multiple_of(2) { "account_admin" } else { "program_admin" };
        let title = format!("Remind {number}");
        let request = format!("r{number}");
        let (account, program, text) = (account.as_str(), program.as_str(), "Please answer.");
        Reminder { request: &request, account, program, stage, language, title: &title, text }.to_json()
    }

    #[test]
    fn many_are_one_message_that_names_everybody() {
        let lines: Vec<ReminderLine> =
            (0..3).map(|number| ReminderLine::read(&reminder(number, "en")).unwrap()).collect();
        let first = OutboxEvent {
            id: "e".to_owned(),
            kind: "amplinkd.nudge".to_owned(),
            subject: "r0".to_owned(),
            partition_key: "r0".to_owned(),
            sequence: 1,
            at: Time::from_ms(0),
            data: reminder(0, "en"),
        };
        let event = together(first, &lines);
        let message = render::message(&event, Language::Zh, &TimeZone::UTC, None);
        assert_eq!(message.title, "3 administrators to be reminded", "the language that was asked for");
        assert_eq!(message.rows, [["Remind 0", "wxp0"], ["Remind 1", "wxa1"], ["Remind 2", "wxp2"]]);
        assert_eq!((message.total, message.id.as_str()), (3, "e"));
        assert!(lines.iter().all(|line| line.bytes() > 12 && line.language() == Language::En));
        assert_eq!(ReminderLine::read("{}"), None);
    }
}
