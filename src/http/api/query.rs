//! The parameters of a request, read strictly: a name or a value that nobody knows is a mistake and never means "all".

use std::{borrow::Cow, convert::Infallible, fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use axum::{extract::FromRequestParts, http::request::Parts};
use serde_json::{Map, Value};

pub use super::pairs::{encoded, pairs, without};
use super::{
    page::{self, Span},
    problem::{Fault, Problem},
    text::Text,
};
use crate::{
    domain::{
        id::{AccountId, ProgramId, RequestId},
        text::parse::{self, When},
    },
    store::read::request_page,
};

/// Rows of a page.
pub(super) const LIMITS: RangeInclusive<u32> = 1..=500;
const LIMIT: u32 = 50;

/// Labels of one filter: each is another join.
const LABELS_MAX: usize = 20;

/// What is still to be read of the query, and what was wrong so far.
#[derive(Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
    faults: Vec<Fault>,
    /// They stand in a body.
    is_of_body: bool,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    /// The pairs of a query.
    #[must_use]
    pub fn of(query: &str) -> Self {
        Self { pairs: pairs(query), ..Self::default() }
    }

    /// The same as members of a body, each with its values.
    #[must_use]
    pub fn of_members(members: &Map<String, Value>) -> Self {
        let values = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let pairs =
            members.iter().flat_map(|(name, value)| values(value).into_iter().map(|value| (name.clone(), value)));
        Self { pairs: pairs.collect(), is_of_body: true, ..Self::default() }
    }

    /// A value that may be given once, in any form.
    pub fn one_by<T>(&mut self, name: &'static str, read: impl Fn(&str) -> Result<T, Text>) -> Option<T> {
        let values = self.take(name);
        if values.len() > 1 {
            self.wrong(name, Text::fixed("given more than once", "重复给出"));
            return None;
        }
        self.read(name, values, read).pop()
    }

    /// Values that may be repeated, or written with commas.
    pub fn list_by<T>(&mut self, name: &'static str, read: impl Fn(&str) -> Result<T, Text>) -> Vec<T> {
        let values = self.take(name);
        let values = values.iter().flat_map(|value| value.split(',')).map(str::to_owned).collect();
        self.read(name, values, read)
    }

    /// A word out of these.
    pub fn word(&mut self, name: &'static str, words: &[&'static str]) -> Option<&'static str> {
        self.one_by(name, |value| word_of(words, value))
    }

    /// Words out of these.
    pub fn words(&mut self, name: &'static str, words: &[&'static str]) -> Vec<&'static str> {
        self.list_by(name, |value| word_of(words, value))
    }

    /// Whether something is `true`; it is not when it is left out.
    pub fn is(&mut self, name: &'static str) -> bool {
        self.word(name, &["true", "false"]) == Some("true")
    }

    /// A number between two bounds, both allowed.
    pub fn number(&mut self, name: &'static str, within: RangeInclusive<u32>) -> Option<u32> {
        self.one_by(name, |value| {
            let (least, most) = (within.start(), within.end());
            // Rust takes a sign, too.
            let digits = Some(value).filter(|value| value.bytes().all(|b| b.is_ascii_digit()));
            digits.and_then(|value| value.parse().ok()).filter(|number| within.contains(number)).ok_or_else(|| {
                Text::new(
                    format!("expected a whole number from {least} to {most}"),
                    format!("应为 {least} 到 {most} 之间的整数"),
                )
            })
        })
    }

    /// An official account.
    pub fn account(&mut self, name: &'static str) -> Option<AccountId> {
        self.one_by(name, parsed)
    }

    /// A mini program.
    pub fn program(&mut self, name: &'static str) -> Option<ProgramId> {
        self.one_by(name, parsed)
    }

    /// An id, whole.
    pub fn id(&mut self, name: &'static str) -> Option<RequestId> {
        self.one_by(name, |value| {
            value.to_ascii_lowercase().parse().map_err(|_| {
                Text::fixed(
                    "expected a whole id such as 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b",
                    "应为完整的 id，例如 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b",
                )
            })
        })
    }

    /// Labels as `NAME=VALUE`, each repeated: a value may hold a comma.
    pub fn labels(&mut self) -> Vec<(String, String)> {
        let values = self.take("label");
        if values.len() > LABELS_MAX {
            let (en, zh) = (format!("at most {LABELS_MAX} labels"), format!("最多 {LABELS_MAX} 个标签"));
            self.wrong("label", Text::new(en, zh));
            return Vec::new();
        }
        self.read("label", values, |value| {
            request_page::label(value).map_err(|wrong| Text::new(wrong, "应为标签 NAME=VALUE，例如 shop=12"))
        })
    }

    /// A span of time such as `30d`.
    pub fn span(&mut self, name: &'static str) -> Option<Duration> {
        self.one_by(name, |value| {
            parse::span(value).map_err(|wrong| Text::new(wrong, "应为数字加 m、h、d 或 w，例如 30d，最长十年"))
        })
    }

    /// A moment, or how long ago one was.
    pub fn when(&mut self, name: &'static str) -> Option<When> {
        self.one_by(name, |value| {
            parse::when(value)
                .map_err(|wrong| Text::new(wrong, "应为多久以前，例如 24h、7d，或时间，例如 2026-03-05T09:00:00+08:00"))
        })
    }

    /// Rows of a page.
    pub fn limit(&mut self) -> u32 {
        self.number("limit", LIMITS).unwrap_or(LIMIT)
    }

    /// Which page of a list.
    pub fn page(&mut self) -> Span {
        let limit = self.limit();
        let after = self.one_by("after", |value| {
            page::key_of(value)
                .ok_or_else(|| Text::fixed("expected the `next` of a page before", "应为前一页的 `next`"))
        });
        Span { limit, after }
    }

    /// Two that exclude each other, such as `open` and `finished`: which of them is asked for.
    pub fn either(&mut self, yes: &'static str, no: &'static str) -> Option<bool> {
        match (self.is(yes), self.is(no)) {
            (true, true) => {
                self.wrong(no, Text::new(format!("excludes {yes}"), format!("与 {yes} 互斥")));
                None
            }
            (false, false) => None,
            (is_yes, _) => Some(is_yes),
        }
    }

    /// Adds what only the handler can know to be wrong.
    pub fn wrong(&mut self, name: &str, detail: Text) {
        let pointer = if self.is_of_body {
            format!("/filter/{}", name.replace('~', "~0").replace('/', "~1"))
        } else {
            format!("?{name}")
        };
        self.faults.push(Fault { pointer, detail });
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Problem`] of all that was wrong, also what nobody asked for.
    pub fn done(self) -> Result<(), Problem> {
        let faults = self.faults();
        if faults.is_empty() { Ok(()) } else { Err(Problem::invalid(faults)) }
    }

    /// All that was wrong, also what nobody asked for.
    pub(super) fn faults(mut self) -> Vec<Fault> {
        let known = self.known.join(", ");
        for (name, _) in std::mem::take(&mut self.pairs) {
            let detail = if known.is_empty() {
                Text::fixed("this address takes no parameters", "该地址不接受任何参数")
            } else {
                Text::new(
                    format!("there is no such parameter here; there are {known}"),
                    format!("没有这个参数，可用的参数有 {known}"),
                )
            };
            self.wrong(&name, detail);
        }
        self.faults
    }

    fn take(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        self.pairs.extract_if(.., |(given, _)| given == name).map(|(_, value)| value).collect()
    }

    fn read<T>(&mut self, name: &'static str, values: Vec<String>, read: impl Fn(&str) -> Result<T, Text>) -> Vec<T> {
        let mut good = Vec::new();
        for value in values {
            match read(&value) {
                Ok(one) => good.push(one),
                Err(wrong) => self.wrong(name, wrong),
            }
        }
        good
    }
}

fn word_of(words: &[&'static str], value: &str) -> Result<&'static str, Text> {
    let known = words.iter().find(|word| **word == value).copied();
    known.ok_or_else(|| {
        let all = words.join(", ");
        Text::new(format!("expected one of {all}"), format!("应为以下之一：{all}"))
    })
}

/// What parses itself, with its own sentence.
pub(super) fn parsed<T: FromStr<Err: Display>>(value: &str) -> Result<T, Text> {
    value.parse().map_err(|wrong: T::Err| {
        let wrong = wrong.to_string();
        Text::new(Cow::Owned(wrong.clone()), format!("值不合法：{wrong}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_read_and_the_rest_is_a_mistake() {
        let mut query = Query::of("state=a,b&state=c&label=k=x%2Cy&label=n=a+b&limit=7&open=true");
        assert_eq!(query.words("state", &["a", "b", "c"]), ["a", "b", "c"]);
        assert_eq!(query.labels(), [("k".to_owned(), "x,y".to_owned()), ("n".to_owned(), "a b".to_owned())]);
        assert_eq!((query.page().limit, query.either("open", "finished")), (7, Some(true)));
        assert!(query.done().is_ok());
    }

    #[test]
    fn every_mistake_is_named() {
        let mut query = Query::of(
            "state=x&limit=0&after=zz&account=wx1&label=no&open=true&finished=true&tpyo=1&program=a&program=b",
        );
        let _ = (query.words("state", &["a"]), query.page(), query.account("account"), query.labels());
        let _ = (query.either("open", "finished"), query.program("program"));
        let pointers: Vec<String> = query.faults.iter().map(|fault| fault.pointer.clone()).collect();
        assert_eq!(pointers, ["?state", "?limit", "?after", "?account", "?label", "?finished", "?program"]);
        assert!(query.done().is_err());
        for wrong in ["limit=501", "limit=+5", "limit=", "limit=5&limit=5", "limit=5x", "LIMIT=5"] {
            let mut query = Query::of(wrong);
            let _ = query.page();
            assert!(query.done().is_err(), "{wrong}");
        }
    }
}
