//! Text for every channel: one line, short enough, without invisible characters, never cut within a character.

use crate::domain::text::format::is_unseen;

/// What stands where a text was cut.
const CUT: char = '…';

/// The text on one line: runs of white space become one space, and characters that nobody sees, which could turn a line
/// around or hide a part of it, go.
pub(super) fn one_line(text: &str) -> String {
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
pub(super) fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept.truncate(kept.trim_end().len());
    kept.extend((most > 0).then_some(CUT));
    kept
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::{
        message::{Message, Severity},
        text::Language,
        time::Time,
    };

    /// Three requests that wait, told in Chinese.
    pub(in crate::notify) fn message() -> Message {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        Message {
            id: "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b".to_owned(),
            kind: "amplinkd.alert.fired".to_owned(),
            subject: "wx0123456789abcdef".to_owned(),
            partition_key: "stuck/account_admin".to_owned(),
            sequence: 42,
            at: Time::from_ms(1_795_374_187_042),
            data: r#"{"alerts": [1, 2.50, "公众号"]}"#.to_owned(),
            mood: Severity::Fired,
            language: Language::Zh,
            zone: crate::domain::time::BEIJING,
            title: "3 个关联请求在等公众号管理员".to_owned(),
            lead: "请提醒管理员打开微信中的“公众平台安全助手”并同意。".to_owned(),
            columns: ["公众号", "小程序", "已等待"].map(str::to_owned).to_vec(),
            rows: vec![
                row(["小店", "wx00000000000000aa", "3天 4小时"]),
                row(["书屋", "wx00000000000000bb", "3天 1小时"]),
                row(["茶馆", "wx00000000000000cc", "2天 22小时"]),
            ],
            total: 3,
            link: Some("https://amplinkd.example/alerts?rule=stuck".to_owned()),
            hint: "amplinkd alert list --rule stuck".to_owned(),
            alerts: Vec::new(),
        }
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
