//! What every page knows: who looks, in which language and zone, and where links go.

use std::time::Duration;

use axum::{
    extract::FromRequestParts,
    http::request::Parts,
    response::{Html, IntoResponse, Response},
};
use jiff::tz::TimeZone;

use super::{assets, played::Demo};
use crate::{
    domain::{
        event::{AlertPhase, ConflictPhase, EventType},
        identity::Role,
        request::StateKind,
        text::{Language, format, parse},
        time::Time,
    },
    http::api::{identity::Caller, problem::Problem, state::Api, word::Word},
    store::read::alert_views::AlertView,
};

/// How a page is to look, as its address and its cookies say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) language: Language,
    pub(super) theme: Theme,
    /// What was done just now, as the answer to it has left with the browser.
    pub(super) done: Option<String>,
    /// The path below the base, and the query, without what the look is made of.
    pub(super) path: String,
    pub(super) query: String,
}

impl Look {
    /// The same on another page.
    pub(super) fn at(self, page: &str) -> Self {
        let (path, query) = page.split_once('?').unwrap_or((page, ""));
        Self { path: path.to_owned(), query: query.to_owned(), ..self }
    }
}

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Theme {
    /// As the system has it.
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Auto, Self::Light, Self::Dark].into_iter().find(|theme| theme.as_str() == word)
    }
}

/// What every page knows.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) look: Look,
    pub(super) caller: Option<Caller>,
    base: String,
    zone: TimeZone,
    pub(super) now: Time,
    /// Whether administrators can be played.
    pub(super) is_demo: bool,
}

impl FromRequestParts<Api> for View {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let look = parts.extensions.get::<Look>().cloned().ok_or_else(|| Problem::of(Word::Defect))?;
        let is_demo = parts.extensions.get::<Demo>().is_some();
        Ok(Self { is_demo, ..Self::new(api, look, parts.extensions.get::<Caller>().cloned()) })
    }
}

impl View {
    pub(super) fn new(api: &Api, look: Look, caller: Option<Caller>) -> Self {
        let zone = api.config().alerts.zone.clone();
        Self { look, caller, base: api.http.base_path.clone(), zone, now: api.now(), is_demo: false }
    }

    pub(super) const fn language(&self) -> Language {
        self.look.language
    }

    pub(super) const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// One of two texts.
    pub(super) fn t<'t>(&self, en: &'t str, zh: &'t str) -> &'t str {
        self.language().pick(en, zh)
    }

    /// The tag of the language.
    pub(super) fn lang(&self) -> &'static str {
        self.language().pick("en", "zh-CN")
    }

    /// An address below the base.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(super) fn asset(&self, name: &str) -> String {
        self.url(&assets::path(name))
    }

    /// This page with another look.
    pub(super) fn as_look(&self, name: &str, word: &str) -> String {
        let joint = if self.look.query.is_empty() { "" } else { "&" };
        format!("{}{}?{}{joint}{name}={word}", self.base, self.look.path, self.look.query)
    }

    /// This page, for a form to come back to.
    pub(super) fn here(&self) -> String {
        let joint = if self.look.query.is_empty() { "" } else { "?" };
        format!("{}{joint}{}", self.look.path, self.look.query)
    }

    /// Whether this part of the pages is open: marks it in the navigation.
    pub(super) fn is_at(&self, path: &str) -> bool {
        self.look.path == path || (path != "/" && self.look.path.starts_with(&format!("{path}/")))
    }

    /// Whether buttons that act are shown.
    pub(super) fn may_act(&self) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.role >= Role::Operator)
    }

    pub(super) fn name(&self) -> &str {
        self.caller.as_ref().map_or("", |caller| &caller.name)
    }

    /// What an alert says.
    pub(super) fn message<'a>(&self, alert: &'a AlertView) -> &'a str {
        self.language().pick(&alert.message_en, &alert.message_zh)
    }

    /// A moment of a view, to the minute in the operators' zone.
    pub(super) fn moment(&self, at: &str) -> String {
        parse::moment(at).map_or_else(|| at.to_owned(), |at| format::moment(at, &self.zone))
    }

    /// The zone's offset now, which is written on every page.
    pub(super) fn offset(&self) -> String {
        format::moment_as(self.now, &self.zone, "UTC%:z")
    }

    /// How long ago a moment was, or how long from now it will be.
    pub(super) fn distance(&self, at: &str) -> String {
        let Some(at) = parse::moment(at) else { return String::new() };
        if at > self.now {
            let ahead = self.span(at.since(self.now));
            return self.language().pick(format!("in {ahead}"), format!("{ahead}后"));
        }
        self.span(self.now.since(at))
    }

    /// A duration, its two largest units.
    pub(super) fn span(&self, span: Duration) -> String {
        let whole = if span.as_secs() == 0 { Duration::from_secs(0) } else { Duration::from_secs(span.as_secs()) };
        self.language().pick(format::duration(whole), format::duration_zh(whole))
    }

    /// The time from one moment of a view to another.
    pub(super) fn between(&self, from: &str, to: &str) -> String {
        match (parse::moment(from), parse::moment(to)) {
            (Some(from), Some(to)) => self.span(to.since(from)),
            _ => String::new(),
        }
    }

    /// A number with its thousands apart.
    pub(super) fn number(&self, number: &u64) -> String {
        let digits = number.to_string();
        let mut grouped = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    }

    /// Events that tell of something pages show.
    pub(super) fn events(&self) -> String {
        let conflicts = [ConflictPhase::Opened, ConflictPhase::Resolved].map(EventType::Conflict);
        let alerts = [AlertPhase::Fired, AlertPhase::Resolved].map(EventType::Alert);
        let requests = StateKind::ALL.map(EventType::Request);
        let all = requests.into_iter().chain(conflicts).chain(alerts).chain([EventType::Nudge]);
        all.map(|event| event.to_string()).collect::<Vec<_>>().join(" ")
    }

    /// A template as an answer.
    pub(super) fn page(&self, template: &impl askama::Template) -> Response {
        match template.render() {
            Ok(html) => Html(html).into_response(),
            Err(error) => {
                tracing::error!(event = "web.template", error = %error, "a page could not be made, which is a defect of amplinkd");
                Problem::of(Word::Defect).into_response()
            }
        }
    }
}

#[cfg(test)]
impl View {
    /// What a page in this language knows.
    pub(super) fn of_test(language: Language) -> Self {
        let look = Look { language, theme: Theme::Auto, done: None, path: "/".to_owned(), query: String::new() };
        let now = Time::from_ms(1_790_000_000_000);
        Self { look, caller: None, base: String::new(), zone: TimeZone::UTC, now, is_demo: false }
    }
}
