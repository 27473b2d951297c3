//! Ids as people type them: whole, or any unique ending.

use std::{fmt, str::FromStr};

use anyhow::bail;

use super::context::Session;
use crate::{domain::id::RequestId, store::read::id_suffix::Noun};

/// The shortest ending, in characters: one in sixteen million names another request of a chance pair.
const ENDING_MIN: usize = 6;

/// Candidates that are listed when an ending names more than one.
const CANDIDATES_MAX: usize = 10;

/// An id on the command line. All are written alike, whatever they name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// The whole id.
    Whole(RequestId),
    /// Its end, in small letters.
    Ending(String),
}

/// Characters of a whole id.
const WHOLE: usize = 36;

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Whole(id));
        }
        // As pages and other programs write what they have cut.
        let ending = text.trim().trim_start_matches(['…', '.']).to_ascii_lowercase();
        let is_of_an_id = ending.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        match ending.len() {
            length if !is_of_an_id || length >= WHOLE => {
                Err("an id looks like 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b; its last 6 characters or more are enough"
                    .to_owned())
            }
            ..ENDING_MIN => Err(format!("too short: give the last {ENDING_MIN} characters of the id, or more")),
            _ => Ok(Self::Ending(ending)),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(id) => fmt::Display::fmt(id, f),
            Self::Ending(ending) => write!(f, "…{ending}"),
        }
    }
}

impl Noun<'_> {
    const fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Alert => "alert",
            Self::Conflict => "conflict",
            Self::GivenUp(_) => "message",
        }
    }

    /// The command that shows the ids.
    fn list(self) -> String {
        match self {
            Self::Request => "amplinkd request list".to_owned(),
            Self::Alert => "amplinkd alert list --state all".to_owned(),
            Self::Conflict => "amplinkd conflict list".to_owned(),
            Self::GivenUp(channel) => format!("amplinkd channel retry {channel} --dry-run"),
        }
    }
}

/// The one id among those that were found.
///
/// # Errors
/// When there is none, or more than one; then they are listed.
pub(super) fn only_one(noun: Noun<'_>, ending: &str, found: &[String]) -> anyhow::Result<RequestId> {
    let word = noun.word();
    match found {
        [] => bail!("there is no {word} whose id ends in {ending}; `{}` lists them", noun.list()),
        [one] => Ok(one.parse()?),
        many => {
            let more = if many.len() > CANDIDATES_MAX { "\n  …" } else { "" };
            let listed = many.iter().take(CANDIDATES_MAX).map(|id| format!("\n  {id}"));
            bail!(
                "more than one {word} has an id ending in {ending}; use more characters:{}{more}",
                listed.collect::<String>()
            )
        }
    }
}

impl Session {
    /// The whole id. One that was given whole need not be known: whoever looks for it says so.
    ///
    /// # Errors
    /// When an ending names nothing, or more than one thing; then they are listed.
    pub async fn id_of(&self, noun: Noun<'_>, named: &Named) -> anyhow::Result<RequestId> {
        let ending = match named {
            Named::Whole(id) => return Ok(id.clone()),
            Named::Ending(ending) => ending,
        };
        let limit = u32::try_from(CANDIDATES_MAX).unwrap_or(u32::MAX).saturating_add(1);
        only_one(noun, ending, &self.store().ids_ending(noun, ending, limit).await?)
    }

    /// [`Session::id_of`] for many, each once, in their order. All are found out before anything is done to any.
    pub async fn ids_of(&self, noun: Noun<'_>, named: &[Named]) -> anyhow::Result<Vec<RequestId>> {
        let mut ids: Vec<RequestId> = Vec::with_capacity(named.len());
        for named in named {
            let id = self.id_of(noun, named).await?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_whole_or_an_ending_of_six_characters_or_more() {
        let whole = "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b";
        assert_eq!(whole.parse(), Ok(Named::Whole(whole.parse().unwrap())));
        let ending = |text: &str| text.parse::<Named>().map(|named| named.to_string());
        assert_eq!(ending("1e2a3b").as_deref(), Ok("…1e2a3b"));
        assert_eq!(ending("…1E2A3B").as_deref(), Ok("…1e2a3b"));
        assert_eq!(ending("...52-4f0d6c1e2a3b").as_deref(), Ok("…52-4f0d6c1e2a3b"));
        for short in ["", "12", "e2a3b", "…e2a3b"] {
            assert!(short.parse::<Named>().unwrap_err().starts_with("too short"), "{short}");
        }
        for wrong in ["wx0123456789abcdef", "1e2a3%", "_e2a3b_", "00197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b"] {
            assert!(wrong.parse::<Named>().unwrap_err().starts_with("an id looks like"), "{wrong}");
        }
    }
}
