//! The words of all problems: what a program branches on. Each has one status and one meaning; docs/http.md lists them.

use axum::http::StatusCode;

use super::text::Text;
use crate::{engine::wish::AskError, store::StoreError};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $status:ident, $title_en:literal, $title_zh:literal, $en:literal, $zh:literal;)+) => {
        /// The word of a problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Word {
            $($(#[$doc])* $name,)+
        }

        impl Word {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word itself, the member `code`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }

            /// The status that it comes with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)+
                }
            }

            /// A few words for people.
            #[must_use]
            pub const fn title(self) -> Text {
                match self {
                    $(Self::$name => Text::fixed($title_en, $title_zh),)+
                }
            }

            /// What it means and what helps, where nothing more is known.
            #[must_use]
            pub const fn detail(self) -> Text {
                match self {
                    $(Self::$name => Text::fixed($en, $zh),)+
                }
            }
        }
    };
}

words! {
    /// The body is no JSON, or the request no HTTP.
    Malformed = "malformed", BAD_REQUEST, "Malformed request", "请求格式错误",
        "The body is not valid JSON.", "请求体不是合法的 JSON。";
    /// Nobody showed who they are, or it is not good any more.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "Not authenticated", "未通过身份验证",
        "Send a token as `Authorization: Bearer amplinkd_…` (`amplinkd api-token new` makes one), or sign in.",
        "请在 `Authorization: Bearer amplinkd_…` 中携带令牌（用 `amplinkd api-token new` 创建），或先登录。";
    /// They may not do this.
    Forbidden = "forbidden", FORBIDDEN, "Forbidden", "没有权限",
        "Your role or your token does not allow this.", "当前角色或令牌不允许此操作。";
    /// A browser was sent here by another site.
    CrossOrigin = "cross_origin", FORBIDDEN, "Cross-site request", "跨站请求",
        "Another site sent this request with your session. Programs use a token instead.",
        "该请求由其他网站借用您的会话发出。程序请改用令牌。";
    /// There is no such thing here.
    NotFound = "not_found", NOT_FOUND, "Not found", "不存在",
        "There is nothing at this address.", "该地址没有内容。";
    /// No request was ever made for this account.
    AccountUnknown = "account_unknown", NOT_FOUND, "Unknown account", "未知公众号",
        "No request was ever made for this account.", "从未有过针对该公众号的请求。";
    /// The address has other methods.
    Method = "method", METHOD_NOT_ALLOWED, "Method not allowed", "不支持的方法",
        "This address does not take this method; the header Allow names those that it takes.",
        "该地址不支持此方法，可用的方法见 Allow 响应头。";
    /// None of the forms that are accepted can be had.
    NotAcceptable = "not_acceptable", NOT_ACCEPTABLE, "Not acceptable", "无法提供所请求的格式",
        "This address has none of the media types that the header Accept names.", "该地址没有 Accept 请求头所列的任何格式。";
    /// The key stands for another request.
    KeyTaken = "key_taken", CONFLICT, "Key taken", "键已被占用",
        "This key belongs to another request: choose another one.", "该键属于另一个请求，请换一个。";
    /// Only a finished request can be tried again.
    StillOpen = "still_open", CONFLICT, "Still open", "仍在进行",
        "The request is still followed: there is nothing to try again.", "该请求仍在跟踪中，无需重试。";
    /// A finished request cannot be cancelled.
    Finished = "finished", CONFLICT, "Already finished", "已结束",
        "The request has come to its end: there is nothing to cancel.", "该请求已结束，无可取消。";
    /// It is not as it was when it was read.
    Changed = "changed", CONFLICT, "Changed meanwhile", "期间已变化",
        "It has changed since you read it: look at it again. `current` has it as it is now.",
        "读取之后它已变化，请重新查看。`current` 为当前内容。";
    /// It was done a short while ago.
    TooSoon = "too_soon", CONFLICT, "Too soon", "过于频繁",
        "This was done a short while ago.", "不久前刚做过。";
    /// The alert has ended.
    Over = "over", CONFLICT, "Over", "已结束",
        "The alert is resolved already.", "该告警已解决。";
    /// The request waits for nobody.
    NobodyToNudge = "nobody_to_nudge", CONFLICT, "Nobody to nudge", "无人可催",
        "The request does not wait for an administrator.", "该请求并不在等待管理员。";
    /// Nobody is to be disturbed now.
    QuietHours = "quiet_hours", CONFLICT, "Quiet hours", "免打扰时段",
        "These are quiet hours; `force` sends it all the same.", "当前为免打扰时段，可用 `force` 强制发送。";
    /// One is under way already.
    Running = "running", CONFLICT, "Already running", "正在进行",
        "One is under way already.", "已有一个正在进行。";
    /// The body is too large.
    TooLarge = "too_large", PAYLOAD_TOO_LARGE, "Body too large", "请求体过大",
        "The body is larger than [http] body_bytes allows.", "请求体超过了 [http] body_bytes 的限制。";
    /// The body is of another kind.
    MediaType = "media_type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type", "不支持的媒体类型",
        "Send JSON with `Content-Type: application/json`.", "请以 `Content-Type: application/json` 发送 JSON。";
    /// The daemon is not called by this name.
    Host = "host", MISDIRECTED_REQUEST, "Unknown host", "未知主机名",
        "This daemon is not known by the name in Host: add it to [http] hosts if it should be.",
        "本服务不使用 Host 中的名称；如需使用，请将其加入 [http] hosts。";
    /// Something of the request is not legal.
    Invalid = "invalid", UNPROCESSABLE_ENTITY, "Invalid request", "请求不合法",
        "Some of what was sent is not valid; `errors` says what.", "部分内容不合法，详见 `errors`。";
    /// A filter that must not mean everything is empty.
    FilterEmpty = "filter_empty", UNPROCESSABLE_ENTITY, "Empty filter", "筛选条件为空",
        "Name at least one condition: without any, everything would be meant.", "请至少给出一个条件，否则将涉及全部内容。";
    /// More than is allowed in this time.
    TooMany = "too_many", TOO_MANY_REQUESTS, "Too many requests", "请求过多",
        "Try again after the seconds in the header Retry-After.", "请在 Retry-After 响应头所示的秒数后重试。";
    /// A defect of ours.
    Defect = "defect", INTERNAL_SERVER_ERROR, "Defect", "程序缺陷",
        "The daemon met a defect of its own or an illegal row; its log says which under this instance.",
        "服务遇到自身缺陷或不合法的数据行，日志中以此 instance 记录了详情。";
    /// Nothing can be written.
    Unwritable = "unwritable", SERVICE_UNAVAILABLE, "Database not writable", "数据库不可写",
        "The database cannot be written or read now; nothing was done, or it is not known: ask again.",
        "数据库当前无法读写；未执行任何操作或结果未知，请重试。";
    /// Others are in the way.
    Busy = "busy", SERVICE_UNAVAILABLE, "Busy", "繁忙",
        "The daemon or its database is busy; try again.", "服务或数据库繁忙，请重试。";
    /// The daemon ends.
    Ending = "ending", SERVICE_UNAVAILABLE, "Ending", "正在停止",
        "The daemon is stopping; try again once it runs.", "服务正在停止，请待其恢复后重试。";
}

impl Word {
    /// The word of what the store says.
    #[must_use]
    pub const fn of_store(error: &StoreError) -> Self {
        match error {
            StoreError::Busy(_) | StoreError::ImportGone => Self::Busy,
            StoreError::Full(_)
            | StoreError::Broken(_)
            | StoreError::Corrupt(_)
            | StoreError::Fenced
            | StoreError::Moved(_) => Self::Unwritable,
            StoreError::KeyTaken { .. } => Self::KeyTaken,
            StoreError::Row(_) | StoreError::Mistyped(_) | StoreError::Refused(_) => Self::Defect,
            StoreError::Closed => Self::Ending,
        }
    }

    /// The word of why a wish was not taken.
    #[must_use]
    pub const fn of_ask(error: &AskError) -> Self {
        match error {
            AskError::NoRequest(_) | AskError::NoGate { .. } => Self::NotFound,
            AskError::StillOpen { .. } => Self::StillOpen,
            AskError::Finished { .. } => Self::Finished,
            AskError::NoAccount(_) => Self::AccountUnknown,
            AskError::BadWord(_) => Self::Invalid,
            AskError::Unsure(_) => Self::Unwritable,
            AskError::Store(error) => Self::of_store(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Arc};

    use super::*;
    use crate::{domain::gate::GateKind, store::BadRow};

    #[test]
    fn every_word_is_one_and_has_texts_in_both_languages() {
        let words: HashSet<&str> = Word::ALL.iter().map(|word| word.as_str()).collect();
        assert_eq!(words.len(), Word::ALL.len());
        for word in Word::ALL {
            assert!(word.status().is_client_error() || word.status().is_server_error(), "{word:?}");
            let is_chinese = |text: &str| text.chars().any(|c| c > '\u{2e80}');
            for text in [word.title(), word.detail()] {
                assert!(!is_chinese(&text.en) && is_chinese(&text.zh), "{word:?}");
            }
        }
    }

    #[test]
    fn every_error_of_the_store_and_of_a_wish_has_its_word() {
        let cause =
            || -> crate::store::error::Cause { Arc::from(Box::<dyn std::error::Error + Send + Sync>::from("x")) };
        let row = BadRow { table: "request", id: String::new(), column: "state".into(), value: String::new() };
        let taken = || StoreError::KeyTaken {
            key: "k".to_owned(),
            id: String::new(),
            account: String::new(),
            program: String::new(),
        };
        let stored = [
            (StoreError::Busy(cause()), "busy"),
            (StoreError::Full(cause()), "unwritable"),
            (StoreError::Broken(cause()), "unwritable"),
            (StoreError::Corrupt(cause()), "unwritable"),
            (StoreError::Row(row), "defect"),
            (taken(), "key_taken"),
            (StoreError::ImportGone, "busy"),
            (StoreError::Mistyped(cause()), "defect"),
            (StoreError::Refused(cause()), "defect"),
            (StoreError::Closed, "ending"),
        ];
        for (error, word) in stored {
            assert_eq!(Word::of_store(&error).as_str(), word, "{error}");
        }
        let id = || "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b".parse().unwrap();
        let asked = [
            (AskError::NoRequest(id()), "not_found", 404),
            (AskError::StillOpen { id: id(), state: "requested" }, "still_open", 409),
            (AskError::Finished { id: id(), state: "linked" }, "finished", 409),
            (AskError::NoAccount("wx0123456789abcdef".parse().unwrap()), "account_unknown", 404),
            (AskError::NoGate { kind: GateKind::Ip, subject: "all".to_owned() }, "not_found", 404),
            (AskError::BadWord("too long".to_owned()), "invalid", 422),
            (AskError::Unsure(StoreError::Closed), "unwritable", 503),
            (AskError::Store(taken()), "key_taken", 409),
        ];
        for (error, word, status) in asked {
            let of = Word::of_ask(&error);
            assert_eq!((of.as_str(), of.status().as_u16()), (word, status), "{error}");
        }
    }
}
