//! Characters of a configuration that nobody sees: found in its values and names, and beside a mistake of its syntax.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::domain::text::invisible;

/// The parser's message, and a character of that line that nobody sees: it is the likely mistake.
pub(super) fn with_unseen(text: &str, span: Option<Range<usize>>, message: &str) -> String {
    let Some(span) = span.filter(|span| span.start <= text.len()) else { return message.to_owned() };
    let start = text[..span.start].rfind('\n').map_or(0, |end| end + 1);
    let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    let is_unseen = |c| !matches!(c, '\t' | '\r') && invisible::is_invisible(c);
    match invisible::find(&text[..end], start, is_unseen) {
        Some(found) => format!("{message}; the line holds {found}"),
        None => message.to_owned(),
    }
}

/// The first value, or name, with a character that nobody sees.
pub(super) fn hidden_in(table: &DeTable<'_>) -> Option<(Range<usize>, String)> {
    table.iter().find_map(|(name, value)| {
        let in_name = hidden(name.get_ref()).map(|wrong| (name.span(), wrong));
        in_name.or_else(|| hidden_in_value(value))
    })
}

fn hidden_in_value(value: &Spanned<DeValue<'_>>) -> Option<(Range<usize>, String)> {
    match value.get_ref() {
        DeValue::String(text) => hidden(text).map(|wrong| (value.span(), wrong)),
        DeValue::Array(list) => list.iter().find_map(hidden_in_value),
        DeValue::Table(table) => hidden_in(table),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => None,
    }
}

/// What is wrong with a text that holds a character which nobody sees.
pub(super) fn hidden(text: &str) -> Option<String> {
    let found = invisible::find(text, 0, invisible::is_hidden)?;
    Some(format!("it holds {}, as its character {}: write it again", invisible::named(found.character), found.column))
}
