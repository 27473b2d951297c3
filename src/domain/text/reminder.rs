//! A reminder for the administrator who has not answered. It never claims what no page of WeChat says: who sends its
//! message, what the buttons are called, how long it holds.

use std::time::Duration;

use super::{
    Language,
    format::{duration, duration_zh, is_unseen, moment, moment_as, steers, to_the_minute},
};
use crate::domain::{
    alert_rules::Stage,
    time::{BEIJING, Time},
};

/// What the words are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Whom it is for, and about what.
    pub stage: Stage,
    /// The official account's appid.
    pub account: &'a str,
    /// Its name, when a listing showed it.
    pub account_name: Option<&'a str>,
    /// The mini program's appid.
    pub program: &'a str,
    /// Its name, when a listing showed it.
    pub program_name: Option<&'a str>,
    /// Since when it waits for this person.
    pub since: Time,
    /// The moment.
    pub now: Time,
}

impl Facts<'_> {
    /// The message, ready to be pasted into a chat.
    #[must_use]
    pub fn text(&self, language: Language) -> String {
        match language {
            Language::Zh => self.chinese(),
            Language::En => self.english(),
        }
    }

    /// One line for whoever passes the message on.
    #[must_use]
    pub fn title(&self, language: Language) -> String {
        let is_of_program = self.stage == Stage::ProgramAdmin;
        match language {
            Language::Zh if is_of_program => {
                format!("请提醒小程序{}的管理员", in_chinese(self.program_name, self.program).trim_end())
            }
            Language::Zh => format!("请提醒公众号{}的管理员", in_chinese(self.account_name, self.account).trim_end()),
            Language::En if is_of_program => {
                format!(
                    "A reminder for the administrator of the mini program {}",
                    in_english(self.program_name, self.program)
                )
            }
            Language::En => {
                format!(
                    "A reminder for the administrator of the account {}",
                    in_english(self.account_name, self.account)
                )
            }
        }
    }

    fn waited(&self) -> Duration {
        to_the_minute(self.now.since(self.since))
    }

    fn chinese(&self) -> String {
        let account = in_chinese(self.account_name, self.account);
        let program = in_chinese(self.program_name, self.program);
        let (whom, ask, deed, then) = match self.stage {
            Stage::AccountAdmin | Stage::Initiated | Stage::Requested => (
                format!("公众号{account}的管理员"),
                format!("小程序{program}申请关联该公众号"),
                "微信已向公众号管理员的微信发送模板消息，请打开这条消息，同意关联小程序。",
                "之后小程序管理员也会收到模板消息，同意后关联完成。",
            ),
            Stage::ProgramAdmin => (
                format!("小程序{program}的管理员"),
                format!("公众号{account}申请关联该小程序，公众号一方已经同意"),
                "微信已向小程序管理员的微信发送模板消息，请打开这条消息，同意关联公众号。",
                "同意后关联完成。",
            ),
            Stage::Unlink => (
                format!("公众号{account}的管理员"),
                format!("小程序{program}与该公众号解除关联的申请已经发给微信"),
                "解除关联须经公众号管理员在微信中同意，请予以确认。",
                "同意后关联解除。",
            ),
        };
        let (since, waited) = (moment_as(self.since, &BEIJING, "%Y年%-m月%-d日 %H:%M"), duration_zh(self.waited()));
        format!(
            "您好，{whom}：\n\n{ask}。自{since}（北京时间）起等待您的确认，已有 {waited}。\n\n{deed}{then}\n\n如果找不到这条消息，或者不同意，请回复告知，谢谢！"
        )
    }

    fn english(&self) -> String {
        let account = in_english(self.account_name, self.account);
        let program = in_english(self.program_name, self.program);
        let (whom, ask, deed, then) = match self.stage {
            Stage::AccountAdmin | Stage::Initiated | Stage::Requested => (
                format!("administrator of the official account {account}"),
                format!("The mini program {program} is to be linked to this account"),
                "WeChat has sent a template message to the WeChat of the account's administrator: please open it and agree to link the mini program.",
                "The program's administrator gets a template message after that; when both have agreed, the link is made.",
            ),
            Stage::ProgramAdmin => (
                format!("administrator of the mini program {program}"),
                format!("The official account {account} is to be linked to this program, and its side has agreed"),
                "WeChat has sent a template message to the WeChat of the program's administrator: please open it and agree to link the official account.",
                "Then the link is made.",
            ),
            Stage::Unlink => (
                format!("administrator of the official account {account}"),
                format!("WeChat has been asked to unlink the mini program {program} from this account"),
                "The account's administrator must agree to that in WeChat: please confirm it.",
                "Then the link is removed.",
            ),
        };
        let (since, waited) = (moment(self.since, &BEIJING), duration(self.waited()));
        format!(
            "Hello, {whom},\n\n{ask}. It has waited for you since {since} Beijing time, for {waited}.\n\n{deed} {then}\n\nIf you cannot find it, or do not agree, please reply to this message. Thank you!"
        )
    }
}

/// A name from outside, kept to its line and to its direction of writing; none when nothing can be seen of it.
fn visible(name: Option<&str>) -> Option<String> {
    let name: String = name?.chars().filter(|c| !steers(*c) && !is_unseen(*c)).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn in_chinese(name: Option<&str>, appid: &str) -> String {
    visible(name).map_or_else(|| format!(" {appid} "), |name| format!("「{name}」（{appid}）"))
}

fn in_english(name: Option<&str>, appid: &str) -> String {
    visible(name).map_or_else(|| appid.to_owned(), |name| format!("\"{name}\" ({appid})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_ms(1_772_589_600_000);

    fn facts(stage: Stage) -> Facts<'static> {
        Facts {
            stage,
            account: "wx0123456789abcdef",
            account_name: None,
            program: "wxfedcba9876543210",
            program_name: Some("Noodles\n\u{202e}"),
            since: NOW - Duration::from_hours(51),
            now: NOW,
        }
    }

    #[test]
    fn the_account_administrator_is_told_what_came_and_what_to_do() {
        assert_eq!(
            facts(Stage::AccountAdmin).text(Language::En),
            "Hello, administrator of the official account wx0123456789abcdef,\n\n\
             The mini program \"Noodles\" (wxfedcba9876543210) is to be linked to this account. It has waited for you \
             since 2026-03-02 07:00 Beijing time, for 2d 3h.\n\n\
             WeChat has sent a template message to the WeChat of the account's administrator: please open it and agree to \
             link the mini program. The program's administrator gets a template message after that; when both have agreed, \
             the link is made.\n\n\
             If you cannot find it, or do not agree, please reply to this message. Thank you!"
        );
        assert_eq!(
            facts(Stage::AccountAdmin).text(Language::Zh),
            "您好，公众号 wx0123456789abcdef 的管理员：\n\n\
             小程序「Noodles」（wxfedcba9876543210）申请关联该公众号。自2026年3月2日 07:00（北京时间）起等待您的确认，已有 2 天 3 小时。\n\n\
             微信已向公众号管理员的微信发送模板消息，请打开这条消息，同意关联小程序。之后小程序管理员也会收到模板消息，同意后关联完成。\n\n\
             如果找不到这条消息，或者不同意，请回复告知，谢谢！"
        );
    }

    #[test]
    fn a_title_says_for_whom_it_is() {
        let title = |stage, language| facts(stage).title(language);
        assert_eq!(
            title(Stage::Unlink, Language::En),
            "A reminder for the administrator of the account wx0123456789abcdef"
        );
        assert_eq!(title(Stage::ProgramAdmin, Language::Zh), "请提醒小程序「Noodles」（wxfedcba9876543210）的管理员");
    }

    #[test]
    fn of_an_unlink_no_message_is_claimed_for_no_page_tells_of_one() {
        for language in [Language::En, Language::Zh] {
            let text = facts(Stage::Unlink).text(language);
            assert!(!text.contains("template message") && !text.contains("模板消息"), "{text}");
            assert!(facts(Stage::ProgramAdmin).text(language).contains(match language {
                Language::En => "administrator of the mini program \"Noodles\"",
                Language::Zh => "小程序「Noodles」",
            }));
        }
    }
}
