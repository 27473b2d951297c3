//! The text that PostgreSQL takes, derived from the one that `SQLite` takes. What differs is little, and each rule is about
//! words that the other database has not:
//!
//! | `SQLite` | PostgreSQL |
//! |---|---|
//! | `INDEXED BY i`, `+x` before a column (its planner's hints) | nothing |
//! | `CROSS JOIN t ON c` (keeps the order of the tables) | `JOIN t ON c` |
//! | `?1` | `$1` |
//! | `FROM (SELECT …)`, which needs no name | `FROM (SELECT …) AS part`, which does before version 16 |
//! | `j.value`, a text or number in JSON | `(j.value #>> '{}')` |
//! | `j.value ->> 'at'`, of a name that stands for a number | `CAST(j.value ->> 'at' AS BIGINT)` |
//!
//! Functions that PostgreSQL has not (`json_each` of a text, `unhex`, `instr`, `strftime`, `max` of two values) are functions
//! of our schema there. What a number without a name is read as is said in both: `CAST(j.value ->> 1 AS BIGINT)`.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// The text for PostgreSQL. One that was written before we run is derived once.
pub(in crate::store) fn postgres(text: Cow<'static, str>) -> SqlStr {
    static DERIVED: Mutex<Option<HashMap<(usize, usize), &'static str>>> = Mutex::new(None);
    match text {
        Cow::Borrowed(text) => {
            // Nothing in here panics halfway through a change.
            let mut derived = DERIVED.lock().unwrap_or_else(PoisonError::into_inner);
            let place = (text.as_ptr().addr(), text.len());
            derived.get_or_insert_default().entry(place).or_insert_with(|| derive(text).leak()).into_sql_str()
        }
        Cow::Owned(text) => AssertSqlSafe(derive(&text)).into_sql_str(),
    }
}

/// Names of numbers in rows that travel as JSON.
const NUMBERS: [&str; 34] = [
    "at",
    "attempt",
    "baseline_rejected",
    "called_at",
    "cause",
    "count",
    "created_at",
    "deferred_until",
    "delivered_at",
    "doubt_at",
    "effect_ms",
    "errcode",
    "events",
    "finished_at",
    "fired_at",
    "from_state",
    "import",
    "last_seq",
    "next_at",
    "notify_at",
    "notify_users",
    "outcome_unknown",
    "reach",
    "refusal",
    "refusals",
    "requested_at",
    "seen_status",
    "seq",
    "show_profile",
    "since",
    "status",
    "step",
    "to_state",
    "version",
];

fn derive(text: &str) -> String {
    let in_json = names_of_json(text);
    let mut derived = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let begins_word = !derived.ends_with(is_of_word);
        let (written, read) = match next {
            '\'' | '"' => {
                let end = rest[1..].find(next).map_or(rest.len(), |end| end + 2);
                (&rest[..end], end)
            }
            '?' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => ("$", 1),
            '+' if derived.ends_with([' ', '(']) && rest[1..].starts_with(|c: char| c.is_ascii_alphabetic()) => ("", 1),
            'I' if begins_word && rest.starts_with("INDEXED BY ") => {
                let index = &rest["INDEXED BY ".len()..];
                ("", rest.len() - index.trim_start_matches(is_of_word).len())
            }
            'C' if begins_word && rest.starts_with("CROSS JOIN ") && is_joined_on(&rest["CROSS JOIN ".len()..]) => {
                ("JOIN", "CROSS JOIN".len())
            }
            c if begins_word && c.is_ascii_lowercase() && value_of(&in_json, rest).is_some() => {
                let (written, read) = value_of(&in_json, rest).unwrap_or_default();
                derived.push_str(&written);
                rest = &rest[read..];
                continue;
            }
            other => (&rest[..other.len_utf8()], other.len_utf8()),
        };
        derived.push_str(written);
        rest = &rest[read..];
    }
    with_names(&derived)
}

/// The same with a name for each question that stands where a table would.
fn with_names(text: &str) -> String {
    const BEGINS: &str = "FROM (";
    let (mut named, mut opened, mut depth, mut in_text) = (String::with_capacity(text.len()), Vec::new(), 0_u32, false);
    for (at, c) in text.char_indices() {
        named.push(c);
        match c {
            '\'' => in_text = !in_text,
            '(' if !in_text => {
                depth += 1;
                let is_question = text[at + 1..].trim_start().starts_with("SELECT");
                if is_question && text[..=at].ends_with(BEGINS) {
                    opened.push(depth);
                }
            }
            ')' if !in_text => {
                if opened.pop_if(|level| *level == depth).is_some() && !text[at + 1..].trim_start().starts_with("AS ") {
                    named.push_str(" AS part");
                }
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
    }
    named
}

const fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '.'
}

/// Whether the table that is joined here has a condition of its own.
fn is_joined_on(after: &str) -> bool {
    let mut depth = 0_i32;
    for (at, c) in after.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return false,
            ')' => depth -= 1,
            c if depth == 0 && c.is_whitespace() => {
                let word = after[at..].trim_start().split(|c: char| !is_of_word(c)).next();
                match word {
                    Some("ON") => return true,
                    Some("CROSS" | "JOIN" | "LEFT" | "WHERE" | "GROUP" | "ORDER" | "UNION" | "LIMIT") => return false,
                    _ => {}
                }
            }
            ',' if depth == 0 => return false,
            _ => {}
        }
    }
    false
}

/// What arrays of JSON are called in this text: `json_each($1) AS j`.
fn names_of_json(text: &str) -> Vec<&str> {
    let calls = text.match_indices("_each(").map(|(at, call)| &text[at + call.len()..]);
    let names = calls.filter_map(|rest| rest.split_once(") AS ")).map(|(_, rest)| rest);
    names.map(|rest| rest.split(|c: char| !is_of_word(c)).next().unwrap_or_default()).collect()
}

/// How a value of JSON is read that the text goes on with, and how long it is there.
fn value_of(in_json: &[&str], rest: &str) -> Option<(String, usize)> {
    let (name, after) = rest.split_once(".value")?;
    if !in_json.contains(&name) || after.starts_with(is_of_word) {
        return None;
    }
    let read = name.len() + ".value".len();
    let Some(part) = after.strip_prefix(" ->> ") else { return Some((format!("({name}.value #>> '{{}}')"), read)) };
    let key = part.strip_prefix('\'')?.split_once('\'')?.0;
    let length = read + " ->> ''".len() + key.len();
    NUMBERS.contains(&key).then(|| (format!("CAST({} AS BIGINT)", &rest[..length]), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_left_out_and_everything_else_stays() {
        for (sqlite, postgres) in [
            (
                "SELECT a.id FROM account AS a INDEXED BY account_due WHERE a.at > $1",
                "SELECT a.id FROM account AS a  WHERE a.at > $1",
            ),
            ("SELECT 1 WHERE +r.state = ?1 AND a + b = ?12", "SELECT 1 WHERE r.state = $1 AND a + b = $12"),
            ("SELECT 'INDEXED BY x ?1 it''s +a', \"?1\"", "SELECT 'INDEXED BY x ?1 it''s +a', \"?1\""),
            (
                "FROM json_each($1) AS j CROSS JOIN t AS t ON t.id = j.value",
                "FROM json_each($1) AS j JOIN t AS t ON t.id = (j.value #>> '{}')",
            ),
            (
                "SELECT j.value ->> 'at', j.value ->> 'id', l.value FROM json_each($1) AS j",
                "SELECT CAST(j.value ->> 'at' AS BIGINT), j.value ->> 'id', l.value FROM json_each($1) AS j",
            ),
            (
                "SELECT ')' FROM (SELECT (1) AS a FROM (SELECT 2) AS b) WHERE a",
                "SELECT ')' FROM (SELECT (1) AS a FROM (SELECT 2) AS b) AS part WHERE a",
            ),
            ("FROM c CROSS JOIN d INDEXED BY i WHERE d.c = c.name", "FROM c CROSS JOIN d  WHERE d.c = c.name"),
            (
                "FROM i CROSS JOIN json_each($1) AS j CROSS JOIN l ON l.id = j.value ->> 1",
                "FROM i CROSS JOIN json_each($1) AS j JOIN l ON l.id = j.value ->> 1",
            ),
            (
                "(SELECT 1 FROM a CROSS JOIN b) AS x JOIN c ON c.a = x.a",
                "(SELECT 1 FROM a CROSS JOIN b) AS x JOIN c ON c.a = x.a",
            ),
        ] {
            assert_eq!(derive(sqlite), postgres);
        }
    }

    #[test]
    fn a_text_is_derived_once() {
        const TEXT: &str = "SELECT ?1";
        let derived = [(); 2].map(|()| postgres(Cow::Borrowed(TEXT)).as_str().as_ptr());
        assert_eq!(derived[0], derived[1]);
    }
}
