//! Why a request was not done, as RFC 9457 has it. A handler says what is wrong; it is put into words in the caller's
//! language where the answer leaves, so that no answer lacks its instance.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{text::Text, word::Word};
use crate::{
    domain::{nudge::Refusal, text::Language},
    engine::wish::AskError,
    store::StoreError,
};

/// A problem.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    word: Word,
    status: StatusCode,
    detail: Text,
    faults: Vec<Fault>,
    current: Option<Value>,
    retry_after: Option<u64>,
}

/// What is wrong with one value that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A JSON pointer into the body, or `?` and the name of a parameter.
    pub pointer: String,
    /// What is wrong and what is allowed.
    pub detail: Text,
}

/// A problem as it is sent: `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody<'p> {
    /// `/problems/` and the word.
    #[serde(rename = "type")]
    kind: String,
    /// A few words for people.
    title: &'p str,
    /// The status of the answer.
    status: u16,
    /// What is wrong and what helps, in the language of Content-Language.
    detail: &'p str,
    /// The id of the request, as in the header X-Request-Id and in the log.
    instance: &'p str,
    /// The word, for programs.
    code: &'static str,
    /// What is wrong with single values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FaultBody<'p>>,
    /// The object as it is now, where it has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    current: Option<&'p Value>,
}

/// What is wrong with one value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fault)]
struct FaultBody<'p> {
    /// A JSON pointer into the body, or `?` and the name of a parameter.
    pointer: &'p str,
    /// What is wrong and what is allowed.
    detail: &'p str,
}

impl Problem {
    /// A problem with the text of its word.
    #[must_use]
    pub fn of(word: Word) -> Self {
        Self::new(word, word.detail())
    }

    /// A problem with a text of its own.
    #[must_use]
    pub fn new(word: Word, detail: Text) -> Self {
        let status = word.status();
        Self(Box::new(Parts { word, status, detail, faults: Vec::new(), current: None, retry_after: None }))
    }

    /// These values are not legal.
    #[must_use]
    pub fn invalid(faults: Vec<Fault>) -> Self {
        let mut problem = Self::of(Word::Invalid);
        problem.0.faults = faults;
        problem
    }

    /// It has changed: `current` is what it is now. 412 where the caller had set a condition (`If-Match`), 409 otherwise.
    #[must_use]
    pub fn changed(current: Value, had_condition: HadCondition) -> Self {
        let mut problem = Self::of(Word::Changed);
        if had_condition == HadCondition::Yes {
            problem.0.status = StatusCode::PRECONDITION_FAILED;
        }
        problem.0.current = Some(current);
        problem
    }

    /// The same about these values.
    #[must_use]
    pub fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        self.0.faults = faults;
        self
    }

    /// The same with the object that stands in the way, as it is now.
    #[must_use]
    pub fn with_current(mut self, current: &impl Serialize) -> Self {
        self.0.current = serde_json::to_value(current).ok();
        self
    }

    /// More than is allowed; again after so many seconds.
    #[must_use]
    pub fn too_many(seconds: u64) -> Self {
        let mut problem = Self::of(Word::TooMany);
        problem.0.retry_after = Some(seconds.max(1));
        problem
    }

    /// The word.
    #[must_use]
    pub const fn word(&self) -> Word {
        self.0.word
    }

    /// The status that it comes with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What is wrong and what helps.
    #[must_use]
    pub fn detail(&self, language: Language) -> &str {
        self.0.detail.pick(language)
    }

    /// What is wrong with single values: where each stands, and what is allowed.
    pub fn faults(&self, language: Language) -> impl Iterator<Item = (&str, &str)> {
        self.0.faults.iter().map(move |fault| (fault.pointer.as_str(), fault.detail.pick(language)))
    }

    /// Puts it into words.
    pub(super) fn told(&self, language: Language, instance: &str) -> Vec<u8> {
        let Parts { word, status, detail, faults, current, retry_after: _ } = &*self.0;
        let title = word.title();
        let errors =
            faults.iter().map(|fault| FaultBody { pointer: &fault.pointer, detail: fault.detail.pick(language) });
        let body = ProblemBody {
            kind: format!("/problems/{}", word.as_str()),
            title: title.pick(language),
            status: status.as_u16(),
            detail: detail.pick(language),
            instance,
            code: word.as_str(),
            errors: errors.collect(),
            current: current.as_ref(),
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

/// Whether a caller had set a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HadCondition {
    /// With `If-Match`.
    Yes,
    /// Without.
    No,
}

impl HadCondition {
    /// By the headers of a request.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key(header::IF_MATCH) { Self::Yes } else { Self::No }
    }
}

impl IntoResponse for Problem {
    /// An answer without a body: `front` words it.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        if self.0.word == Word::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let retry_after = self.0.retry_after.or((self.0.status == StatusCode::SERVICE_UNAVAILABLE).then_some(1));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (word, zh) = match &refusal {
            Refusal::Nobody { id, .. } => {
                (Word::NobodyToNudge, format!("请求 {id} 无人可催：它当前并不在等待管理员确认。"))
            }
            Refusal::Unread { id, account, .. } => (
                Word::NobodyToNudge,
                format!("请求 {id} 暂不催办：公众号 {account} 的列表无法读取，不知道是否仍有人需要确认。"),
            ),
            Refusal::TooSoon { id, last, min_interval, .. } => (
                Word::TooSoon,
                format!(
                    "请求 {id} 已于 {last} 催办过，{} 之后可再次催办（[nudge] min_interval），或用 `force`。",
                    *last + *min_interval
                ),
            ),
            Refusal::Moved { id } => (Word::Changed, format!("请求 {id} 刚刚有变化，请重新查看。")),
        };
        Self::new(word, Text::new(refusal.to_string().replace("--force does not wait", "`force` does not wait"), zh))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let word = Word::of_store(&error);
        if word == Word::KeyTaken {
            return Self::new(word, Text::new(error.to_string(), word.detail().zh));
        }
        if word != Word::Ending {
            // Whoever asks learns no more than the word; the instance stands in the log beside it.
            tracing::warn!(event = "http.store", word = word.as_str(), error = %error, "a request met the database's error");
        }
        Self::of(word)
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        let word = Word::of_ask(&error);
        match error {
            AskError::Store(error) | AskError::Unsure(error) => {
                let problem = Self::from(error);
                Self(Box::new(Parts { word, status: word.status(), ..*problem.0 }))
            }
            AskError::NoRequest(id) => {
                Self::new(word, Text::new(format!("There is no request {id}."), format!("没有请求 {id}。")))
            }
            AskError::NoAccount(account) => Self::new(
                word,
                Text::new(
                    format!("Account {account} is not known: no request was ever made for it."),
                    format!("未知公众号 {account}：从未有过针对它的请求。"),
                ),
            ),
            AskError::NoGate { kind, subject } => Self::new(
                word,
                Text::new(format!("No gate {kind} {subject} is closed."), format!("没有关闭的门 {kind} {subject}。")),
            ),
            AskError::StillOpen { id, state } => Self::new(
                word,
                Text::new(
                    format!("Request {id} is still {state}: it is followed, so there is nothing to try again."),
                    format!("请求 {id} 仍为 {state}：正在跟踪，无需重试。"),
                ),
            ),
            AskError::Finished { id, state } => Self::new(
                word,
                Text::new(
                    format!("Request {id} is {state} already: there is nothing to cancel."),
                    format!("请求 {id} 已为 {state}，无可取消。"),
                ),
            ),
            AskError::BadWord(wrong) => {
                let zh = format!("键或标签不合法：{wrong}");
                Self::new(word, Text::new(wrong, zh))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_in_the_callers_language() {
        let fault = Fault { pointer: "?state".to_owned(), detail: Text::fixed("no state", "不是状态") };
        let problem = Problem::invalid(vec![fault]);
        let told = |language| -> Value { serde_json::from_slice(&problem.told(language, "7f")).unwrap() };
        let en = told(Language::En);
        assert_eq!(
            (&en["type"], &en["status"], &en["code"]),
            (&"/problems/invalid".into(), &422.into(), &"invalid".into())
        );
        assert_eq!((&en["instance"], &en["errors"][0]["detail"]), (&"7f".into(), &"no state".into()));
        assert!(en.get("current").is_none());
        let zh = told(Language::Zh);
        assert_eq!((&zh["title"], &zh["errors"][0]["detail"]), (&"请求不合法".into(), &"不是状态".into()));
    }

    #[test]
    fn what_has_changed_is_shown_and_a_condition_has_a_status_of_its_own() {
        for (had, status) in [(HadCondition::Yes, 412), (HadCondition::No, 409)] {
            let response = Problem::changed(Value::from(7), had).into_response();
            assert_eq!(response.status().as_u16(), status);
            let problem = response.extensions().get::<Problem>().unwrap();
            let told: Value = serde_json::from_slice(&problem.told(Language::En, "")).unwrap();
            assert_eq!(
                (&told["current"], &told["code"], &told["status"]),
                (&7.into(), &"changed".into(), &status.into())
            );
        }
        let response = Problem::too_many(0).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
