//! Single values as text, for people and for programs; text from outside is escaped so that it cannot control the
//! terminal.

use serde_json::Value;

use crate::domain::text::format::{steers, turns_direction};

/// A value for a program: bare texts, nothing for null, compact JSON for what has parts.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A text for a program, or for whoever sees it on a terminal.
pub(super) fn bare(value: &Value, on_terminal: bool) -> String {
    if on_terminal { legible(&plain(value)) } else { plain(value) }
}

/// JSON in which characters that steer a terminal are escaped. They can only stand in strings.
pub(super) fn tame(json: &str) -> String {
    let escaped = |c: char| {
        if matches!(c, '\u{7f}'..='\u{9f}') || turns_direction(c) {
            format!("\\u{:04x}", u32::from(c))
        } else {
            c.to_string()
        }
    };
    json.chars().map(escaped).collect()
}

/// A value for people.
pub(super) fn worded(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => legible(text),
        Value::Array(parts) => parts.iter().map(worded).collect::<Vec<_>>().join(", "),
        Value::Object(parts) => {
            let parts = parts.iter().map(|(name, value)| format!("{}={}", legible(name), worded(value)));
            parts.collect::<Vec<_>>().join(", ")
        }
    }
}

/// A text from outside, with everything escaped that would steer a terminal: control characters and the marks that
/// turn the direction of writing.
pub(super) fn legible(text: &str) -> String {
    text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_steers_a_terminal() {
        let text = Value::from("a\u{9b}2J\u{202e}中");
        assert_eq!(tame(&text.to_string()), r#""a\u009b2J\u202e中""#);
        assert_eq!(bare(&text, true), "a\\u{9b}2J\\u{202e}中");
        assert_eq!(bare(&text, false), "a\u{9b}2J\u{202e}中");
    }
}
