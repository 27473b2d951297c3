//! A word to the administrator who has not answered: whom it is for, whether it may be said now, and the words. It must
//! never claim what no page of `WeChat` says: who sends its message, what the buttons are called, how long it holds.

use std::time::Duration;

use super::{
    alert_rules::{QuietHours, Reading, Stage},
    message::Language,
    request::{Kind, Request, State},
    time::{Time, in_words},
};

/// Hours that Beijing, where the administrators are, is ahead of UTC all year.
const BEIJING_AHEAD: i8 = 8;

/// The stage in which a request waits for an administrator; none when a nudge would reach nobody who can help.
#[must_use]
pub const fn stage(request: &Request) -> Option<Stage> {
    match (request.state, request.kind) {
        (State::AwaitingAccountAdmin, _) => Some(Stage::AccountAdmin),
        (State::AwaitingProgramAdmin, _) => Some(Stage::ProgramAdmin),
        (State::Initiated, Kind::Unlink) => Some(Stage::Unlink),
        (State::Initiated, Kind::Link(_))
        | (
            State::Requested
            | State::Initiating(_)
            | State::Deferred(_)
            | State::Linked
            | State::Rejected
            | State::Failed(_)
            | State::Lapsed
            | State::Cancelled
            | State::Unlinked,
            _,
        ) => None,
    }
}

/// Why nobody is nudged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No administrator can help.
    #[error("there is nobody to nudge for request {id}: {why}")]
    Nobody {
        /// The request.
        id: String,
        /// A half sentence.
        why: &'static str,
    },
    /// Somebody was nudged for it a short while ago.
    #[error(
        "request {id} was nudged {} ago, at {last}: the next nudge is due at {} ([nudge] min_interval = {}); --force does not wait",
        in_words(whole(*.ago)), *.last + *.min_interval, in_words(*.min_interval)
    )]
    TooSoon {
        /// The request.
        id: String,
        /// When.
        last: Time,
        /// How long before.
        ago: Duration,
        /// How long must lie between two.
        min_interval: Duration,
    },
    /// Its account's list is not read, so that whether anybody still has to answer is not known.
    #[error(
        "nobody is nudged for request {id}: the list of account {account} has not been read{}{}, so whether anybody still \
         has to answer is not known; `amplinkd account show {account}` says why",
        .last_read.map(|at| format!(" since {at}")).unwrap_or_default(),
        if *.is_suspended { ", for the account is suspended" } else { "" }
    )]
    Unread {
        /// The request.
        id: String,
        /// Its account.
        account: String,
        /// When the list was read for the last time.
        last_read: Option<Time>,
        /// Whether nobody even tries.
        is_suspended: bool,
    },
    /// It moved on while the words were found.
    #[error("request {id} moved on just now: look at it again")]
    Moved {
        /// The request.
        id: String,
    },
}

impl Refusal {
    /// That nobody can be nudged for this request, and why.
    #[must_use]
    pub fn nobody(request: &Request) -> Self {
        let why = match request.state {
            State::Requested => "nothing was sent to WeChat yet",
            State::Initiating(_) => "whether WeChat took the call is not known yet",
            State::Initiated => "WeChat has not listed it yet, so that it is not known to wait for anybody",
            State::Deferred(_) => "it waits for the next month's quota, not for a person",
            State::AwaitingAccountAdmin | State::AwaitingProgramAdmin => "it has just moved on",
            State::Linked => "it is linked already",
            State::Unlinked => "it is unlinked already",
            State::Rejected => "the program's administrator has refused; ask why, then `amplinkd request retry`",
            State::Failed(_) => "it has failed; `amplinkd request explain` says what a person can do",
            State::Lapsed => "it is gone from WeChat's list; `amplinkd request retry` invites anew",
            State::Cancelled => "it was cancelled and is no longer followed",
        };
        Self::Nobody { id: request.id.to_string(), why }
    }
}

/// Whether the list still says who has not answered.
///
/// # Errors
/// [`Refusal::Unread`].
pub fn still_read(request: &Request, reading: Reading) -> Result<(), Refusal> {
    let (last_read, is_suspended) = match reading {
        Reading::Read => return Ok(()),
        Reading::Unread { last_read, .. } | Reading::ShutOut { last_read, .. } => (last_read, false),
        Reading::Suspended { last_read, .. } => (last_read, true),
    };
    let (id, account) = (request.id.to_string(), request.account.to_string());
    Err(Refusal::Unread { id, account, last_read, is_suspended })
}

/// Whether it is too soon after the last one.
///
/// # Errors
/// [`Refusal::TooSoon`].
pub fn soon_after(request: &str, last: Option<Time>, min_interval: Duration, now: Time) -> Result<(), Refusal> {
    match last {
        Some(last) if now.since(last) < min_interval => {
            Err(Refusal::TooSoon { id: request.to_owned(), last, ago: now.since(last), min_interval })
        }
        Some(_) | None => Ok(()),
    }
}

/// The language's word in SQL and JSON.
#[must_use]
pub const fn word(language: Language) -> &'static str {
    match language {
        Language::En => "en",
        Language::Zh => "zh",
    }
}

/// What becomes of the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// They are sent to this channel.
    Sent(String),
    /// They are only printed: it was asked so, or no channel is set for these labels.
    Printed,
    /// They are only printed, because nobody is to be disturbed now; this channel would have got them.
    Quiet(String),
}

impl Way {
    /// For requests of this channel, at this moment.
    #[must_use]
    pub fn of(channel: Option<&str>, urgency: Urgency, quiet: Option<QuietHours>, now: Time) -> Self {
        match channel {
            None => Self::Printed,
            Some(channel) if urgency == Urgency::Usual && quiet.is_some_and(|hours| hours.hold(now)) => {
                Self::Quiet(channel.to_owned())
            }
            Some(channel) => Self::Sent(channel.to_owned()),
        }
    }
}

/// Whether the rules of politeness hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// They do.
    Usual,
    /// A person said that they do not.
    Forced,
}

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
        let (since, waited) = (beijing(self.since, "%Y年%-m月%-d日 %H:%M"), chinese_words(self.now.since(self.since)));
        format!(
            "您好，{whom}：\n\n{ask}。自{since}（北京时间）起等待您的确认，已有{waited}。\n\n{deed}{then}\n\n如果找不到这条消息，或者不同意，请回复告知，谢谢！"
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
        let (since, waited) = (beijing(self.since, "%Y-%m-%d %H:%M"), in_words(whole(self.now.since(self.since))));
        format!(
            "Hello, {whom},\n\n{ask}. It has waited for you since {since} Beijing time, for {waited}.\n\n{deed} {then}\n\nIf you cannot find it, or do not agree, please reply to this message. Thank you!"
        )
    }
}

/// A name from outside, kept to its line and to its direction of writing; none when nothing can be seen of it.
fn visible(name: Option<&str>) -> Option<String> {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let name: String = name?.chars().filter(|c| !steers(*c)).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn in_chinese(name: Option<&str>, appid: &str) -> String {
    visible(name).map_or_else(|| format!(" {appid} "), |name| format!("「{name}」（{appid}）"))
}

fn in_english(name: Option<&str>, appid: &str) -> String {
    visible(name).map_or_else(|| appid.to_owned(), |name| format!("\"{name}\" ({appid})"))
}

fn beijing(at: Time, form: &str) -> String {
    let local = jiff::Timestamp::from_millisecond(at.ms())
        .map(|moment| moment.to_zoned(jiff::tz::offset(BEIJING_AHEAD).to_time_zone()));
    local.map_or_else(|_| at.to_string(), |local| local.strftime(form).to_string())
}

/// Whole minutes: seconds tell a person nothing.
const fn whole(span: Duration) -> Duration {
    match span.as_secs() {
        seconds @ 0..60 => Duration::from_secs(seconds),
        seconds => Duration::from_secs(seconds - seconds % 60),
    }
}

/// As [`in_words`], in Chinese.
fn chinese_words(span: Duration) -> String {
    let minutes = span.as_secs() / 60;
    match (minutes / 1_440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes}分钟"),
        (0, hours, 0) => format!("{hours}小时"),
        (0, hours, minutes) => format!("{hours}小时{minutes}分钟"),
        (days, 0, _) => format!("{days}天"),
        (days, hours, _) => format!("{days}天{hours}小时"),
    }
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
             小程序「Noodles」（wxfedcba9876543210）申请关联该公众号。自2026年3月2日 07:00（北京时间）起等待您的确认，已有2天3小时。\n\n\
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

    #[test]
    fn in_quiet_hours_nothing_is_sent_unasked() {
        let quiet = Some(QuietHours { from: 9 * 60, until: 11 * 60, zone: chrono_tz::Asia::Shanghai });
        let way = |channel, urgency, now| Way::of(channel, urgency, quiet, now);
        assert_eq!(way(Some("chat"), Urgency::Usual, NOW), Way::Quiet("chat".to_owned()));
        assert_eq!(way(Some("chat"), Urgency::Forced, NOW), Way::Sent("chat".to_owned()));
        assert_eq!(way(Some("chat"), Urgency::Usual, NOW + Duration::from_hours(1)), Way::Sent("chat".to_owned()));
        assert_eq!(way(None, Urgency::Forced, NOW), Way::Printed);
    }

    #[test]
    fn too_soon_says_when() {
        let min_interval = Duration::from_hours(24);
        assert_eq!(soon_after("r", None, min_interval, NOW), Ok(()));
        assert_eq!(soon_after("r", Some(NOW - min_interval), min_interval, NOW), Ok(()));
        let refusal = soon_after("r", Some(NOW - Duration::from_secs(5_430)), min_interval, NOW).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "request r was nudged 1h 30m ago, at 2026-03-04T00:29:30.000Z: the next nudge is due at \
             2026-03-05T00:29:30.000Z ([nudge] min_interval = 1d); --force does not wait"
        );
    }
}
