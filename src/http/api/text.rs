//! Texts in both languages, and which of them a caller wants.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};

use crate::domain::text::Language;

/// A text in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// In English.
    pub en: Cow<'static, str>,
    /// In Chinese.
    pub zh: Cow<'static, str>,
}

impl Text {
    /// One that is known beforehand.
    #[must_use]
    pub const fn fixed(en: &'static str, zh: &'static str) -> Self {
        Self { en: Cow::Borrowed(en), zh: Cow::Borrowed(zh) }
    }

    /// One that is made now.
    #[must_use]
    pub fn new(en: impl Into<Cow<'static, str>>, zh: impl Into<Cow<'static, str>>) -> Self {
        Self { en: en.into(), zh: zh.into() }
    }

    /// In this language.
    #[must_use]
    pub fn pick(&self, language: Language) -> &str {
        language.pick(&self.en, &self.zh)
    }
}

/// The language of `Accept-Language` (RFC 9110, 12.5.4): the one of ours with the highest weight, the first of equals;
/// English where neither is asked for, for programs read that.
#[must_use]
pub fn language(headers: &HeaderMap) -> Language {
    let mut best: Option<(u16, Language)> = None;
    for value in headers.get_all(header::ACCEPT_LANGUAGE) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let Some((language, weight)) = weighted(range) else { continue };
            if weight > best.map_or(0, |(weight, _)| weight) {
                best = Some((weight, language));
            }
        }
    }
    best.map_or(Language::En, |(_, language)| language)
}

/// A language of ours and its weight in thousandths.
fn weighted(range: &str) -> Option<(Language, u16)> {
    let mut parts = range.split(';').map(str::trim);
    let tag = parts.next()?;
    let language = match tag.split('-').next()?.to_ascii_lowercase().as_str() {
        "zh" => Language::Zh,
        "en" | "*" => Language::En,
        _ => return None,
    };
    let weight = match parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="))) {
        None => 1_000,
        Some(weight) => thousandths(weight)?,
    };
    Some((language, weight))
}

/// `0.5` as 500; nothing for what is no weight.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, part) = weight.split_once('.').unwrap_or((weight, ""));
    let is_legal = part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
    match (whole, is_legal) {
        ("0", true) => format!("{part:0<3}").parse().ok(),
        ("1", true) => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_is_wanted_most() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, text.parse().unwrap());
            language(&headers)
        };
        for zh in ["zh", "zh-CN,zh;q=0.9,en;q=0.8", "en;q=0.3, zh-Hans;q=0.31", "fr, zh;q=0.1", "en;q=0, ZH;q=0.001"] {
            assert_eq!(of(zh), Language::Zh, "{zh}");
        }
        for en in ["", "en", "fr", "*", "en, zh", "zh;q=0", "zh;q=0.5,en;q=0.9", "zh;q=2", "zh;q=-1", ";;,,"] {
            assert_eq!(of(en), Language::En, "{en}");
        }
        assert_eq!(language(&HeaderMap::new()), Language::En);
    }
}
