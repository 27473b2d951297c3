//! `[retention]`: how long finished requests are kept.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::value::{Text, parse_duration};

/// The shortest time that requests are kept after their end. A key is forgotten with its request, and messages of a request
/// are kept for as long: less than a month is more likely a slip than an intention.
const FINISHED_MIN: Duration = Duration::from_hours(24 * 30);

/// `[retention]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// How long requests are kept after their end; `None` is for ever.
    #[serde(deserialize_with = "long_or_never")]
    pub finished: Option<Duration>,
}

fn long_or_never<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    from.deserialize_any(Text { expected: "\"never\" or a duration of at least 30 days, such as \"400d\"", parse })
}

fn parse(text: &str) -> Result<Option<Duration>, String> {
    if text == "never" {
        return Ok(None);
    }
    let kept = parse_duration(text).map_err(|wrong| format!("{wrong}; \"never\" is also allowed"))?;
    if kept < FINISHED_MIN {
        return Err("expected at least 30 days (30d), or \"never\": a request's key is deleted with it".to_owned());
    }
    Ok(Some(kept))
}
