//! Which rows of a table are valid, derived from the table's own schema: column types, NOT NULL, every CHECK; and
//! beyond them, times are plausible, names are names and JSON is JSON. Tables of later migrations are covered
//! automatically.

use sqlx::FromRow;

use crate::store::{
    StoreError,
    sql::{self, Flag, Tx},
};

/// The last moment that any column may hold, milliseconds: the year 2200. Nothing here waits for longer than ten years.
const LATEST_MS: i64 = 7_258_118_400_000;

/// What columns of these names hold beyond their type.
const MEANINGS: [(&str, &str, &str); 17] = [
    ("account", "account", APPID),
    ("request", "account", APPID),
    ("request", "program", APPID),
    ("request", "id", UUID),
    ("request", "attempt", "@ <= 4294967295"),
    ("request", "labels", "CASE WHEN json_valid(@) THEN json_type(@) = 'object' ELSE 0 END"),
    ("request", "username", "@ GLOB 'gh_?*' AND length(@) <= 64"),
    ("request", "doubt", "@ IN ('absent', 'absent_with_all') OR @ = CAST(CAST(@ AS INTEGER) AS TEXT)"),
    ("program_name", "program", APPID),
    ("wakeup", "account", APPID),
    ("log", "data", "json_valid(@)"),
    ("component", "appid", APPID),
    ("authorizer", "appid", APPID),
    ("authorizer", "permissions", "CASE WHEN json_valid(@) THEN json_type(@) = 'array' ELSE 0 END"),
    ("push", "id", "length(@) = 64 AND @ NOT GLOB '*[^0-9a-f]*'"),
    ("push", "appid", APPID),
    ("token_task", "appid", APPID),
];

const APPID: &str = "length(@) = 18 AND @ GLOB 'wx*' AND @ NOT GLOB '*[^0-9A-Za-z]*'";
const UUID: &str = "length(@) = 36 AND @ NOT GLOB '*[^0-9a-f-]*'";

const TABLES: &str = "
    SELECT t.name, t.sql FROM sqlite_schema AS t
    WHERE t.type = 'table' AND t.sql IS NOT NULL AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND t.name <> '_sqlx_migrations'
    ORDER BY t.name";

const COLUMNS: &str =
    "SELECT name, upper(type) AS kind, \"notnull\" <> 0 AS is_needed, pk FROM pragma_table_info($1) ORDER BY cid";

/// One way in which a row can be illegal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// A condition in SQL that holds for such rows.
    pub(super) when: String,
    /// The columns that it is about.
    pub(super) columns: Vec<String>,
}

/// A table, and what would be wrong with its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) table: String,
    /// Its key, quoted; the number of the row where it has none of its own.
    pub(super) key: Vec<String>,
    /// What people call its rows: the key, or the first text; nothing, where there is one row.
    pub(super) called: Vec<String>,
    pub(super) wrongs: Vec<Wrong>,
}

#[derive(Debug, FromRow)]
struct Column {
    name: String,
    kind: String,
    #[sqlx(try_from = "Flag")]
    is_needed: bool,
    pk: i64,
}

/// The rules of every table.
pub(super) async fn rules(connection: &mut Tx<'_>) -> Result<Vec<Rules>, StoreError> {
    let tables: Vec<(String, String)> = sql::query_as(TABLES).fetch_all(&mut *connection).await?;
    let mut rules = Vec::with_capacity(tables.len());
    for (table, sql) in tables {
        let columns: Vec<Column> = sql::query_as(COLUMNS).bind(&table).fetch_all(&mut *connection).await?;
        rules.push(of_table(table, &sql, &columns));
    }
    Ok(rules)
}

fn of_table(table: String, sql: &str, columns: &[Column]) -> Rules {
    let mut keys: Vec<&Column> = columns.iter().filter(|column| column.pk > 0).collect();
    keys.sort_by_key(|column| column.pk);
    let key: Vec<String> = keys.iter().map(|column| quoted(&column.name)).collect();
    let has_rows = !sql.to_uppercase().contains("WITHOUT ROWID");
    let is_name = |column: &&Column| column.kind.contains("TEXT") && column.is_needed;
    let text = columns.iter().find(is_name).map(|column| quoted(&column.name));
    let (key, called) = match (has_rows, text) {
        (true, text) => (vec!["rowid".to_owned()], vec![text.unwrap_or_else(|| "rowid".to_owned())]),
        // `one` is the key of tables with one row.
        (false, _) => (key.clone(), key.into_iter().filter(|column| column != "\"one\"").collect()),
    };
    let mut wrongs: Vec<Wrong> = columns.iter().flat_map(|column| of_column(&table, column, has_rows)).collect();
    wrongs.extend(checks(sql).into_iter().map(|check| {
        let named = columns.iter().filter(|column| mentions(&check, &column.name));
        // A CHECK holds unless it is false.
        Wrong {
            columns: named.map(|column| column.name.clone()).collect(),
            when: format!("NOT coalesce(({check}), 1)"),
        }
    }));
    Rules { table, key, called, wrongs }
}

fn of_column(table: &str, column: &Column, has_rows: bool) -> Vec<Wrong> {
    let name = quoted(&column.name);
    let wrong = |when: String| Wrong { when, columns: vec![column.name.clone()] };
    let kind = ["INTEGER", "TEXT", "BLOB", "REAL"].into_iter().find(|kind| column.kind == *kind);
    // The number of a row is a number whatever anybody does.
    let kind = kind.filter(|kind| !(has_rows && column.pk > 0 && *kind == "INTEGER"));
    let null = if column.is_needed || column.pk > 0 { "" } else { ", 'null'" };
    let typed = kind.map(|kind| wrong(format!("typeof({name}) NOT IN ('{}'{null})", kind.to_lowercase())));
    let timed = is_time(&column.name)
        .then(|| wrong(format!("typeof({name}) = 'integer' AND {name} NOT BETWEEN 0 AND {LATEST_MS}")));
    let meant = MEANINGS.iter().filter(|(of, known, _)| *of == table && *known == column.name);
    let meant = meant.map(|(_, _, legal)| {
        wrong(format!("typeof({name}) = 'text' AND NOT coalesce(({}), 1)", legal.replace('@', &name)))
    });
    typed.into_iter().chain(timed).chain(meant).collect()
}

/// Whether a column of this name holds a moment.
fn is_time(name: &str) -> bool {
    ["at", "since", "until", "made"].contains(&name)
        || ["_at", "_since", "_until", "_from", "_after", "_made", "_time"].iter().any(|ending| name.ends_with(ending))
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The conditions of all CHECKs of a table, as its schema has them.
fn checks(sql: &str) -> Vec<String> {
    let code = blanked(sql);
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = code[from..].find("CHECK").map(|at| from + at) {
        from = at + "CHECK".len();
        let Some(opens) = code[from..].find(|c: char| !c.is_whitespace()).map(|skipped| from + skipped) else { break };
        if !code[opens..].starts_with('(') {
            continue;
        }
        let mut depth = 0;
        let closes = code[opens..].char_indices().find(|(_, c)| {
            depth += i32::from(*c == '(') - i32::from(*c == ')');
            depth == 0
        });
        let Some((length, _)) = closes else { break };
        // What stands between them as it was written, texts and all; comments as blanks.
        found.push(without_comments(sql)[opens + 1..opens + length].trim().to_owned());
        from = opens + length;
    }
    found
}

fn mentions(check: &str, column: &str) -> bool {
    blanked(check).split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == column)
}

/// SQL with its comments as blanks, byte for byte as long.
fn without_comments(sql: &str) -> String {
    masked(sql, false)
}

/// SQL with its comments and texts as blanks, byte for byte as long.
fn blanked(sql: &str) -> String {
    masked(sql, true)
}

fn masked(sql: &str, masks_texts: bool) -> String {
    let (mut masked, mut in_text, mut in_comment, mut last) = (String::with_capacity(sql.len()), false, false, ' ');
    for c in sql.chars() {
        let begins_comment = !in_text && !in_comment && c == '-' && last == '-';
        if begins_comment {
            in_comment = true;
            masked.pop();
            masked.push(' ');
        }
        if c == '\n' {
            in_comment = false;
        } else if c == '\'' && !in_comment {
            in_text = !in_text;
        }
        let is_hidden = in_comment || (masks_texts && (in_text || c == '\''));
        if is_hidden && c != '\n' {
            masked.extend(std::iter::repeat_n(' ', c.len_utf8()));
        } else {
            masked.push(c);
        }
        last = c;
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_found_whatever_stands_around_it() {
        let sql = "CREATE TABLE thing (
            -- It is CHECKed (by 'nobody).
            kind TEXT NOT NULL CHECK (kind IN ('a)', 'CHECK (b', 'it''s')), -- a word
            size INTEGER CHECK(size >= 0), checked TEXT,
            CHECK ((kind = 'a') = (size IS NOT NULL)) -- ä )
        ) STRICT";
        assert_eq!(
            checks(sql),
            ["kind IN ('a)', 'CHECK (b', 'it''s')", "size >= 0", "(kind = 'a') = (size IS NOT NULL)"]
        );
        assert!(mentions("kind IN ('size')", "kind") && !mentions("kind IN ('size')", "size"));
    }
}
