//! The tables that are moved, parents before children, and their columns.

use super::{end::End, error::MoveError};
use crate::store::sql::{self, ColumnKind};

/// A table, and the columns by which its rows are told apart; none where it has one row or a few.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) key: &'static [&'static str],
    /// Whether the database numbers its rows.
    pub(super) is_numbered: bool,
}

const fn table(name: &'static str, key: &'static [&'static str]) -> Table {
    Table { name, key, is_numbered: false }
}

const fn numbered(name: &'static str, key: &'static [&'static str]) -> Table {
    Table { name, key, is_numbered: true }
}

/// All of them, but for those that tell where the database itself is and who works on it.
pub(super) const TABLES: [Table; 30] = [
    numbered("account", &["id"]),
    numbered("request", &["row"]),
    table("request_label", &["name", "value", "request_id"]),
    numbered("log", &["seq"]),
    table("conflict", &["id"]),
    table("program", &["account", "item"]),
    table("program_name", &["username"]),
    table("gate", &["kind", "subject"]),
    numbered("gate_opening", &["seq"]),
    numbered("wakeup", &["seq"]),
    table("job", &["name"]),
    table("copy", &[]),
    table("salvage", &["request_id"]),
    table("alert", &["id"]),
    table("vigil", &["request_id"]),
    table("watch", &["one"]),
    table("delivery", &["id"]),
    table("nudge", &["id"]),
    table("pace", &["one"]),
    numbered("import", &["id"]),
    table("import_line", &["import", "id"]),
    table("daemon", &["one"]),
    table("user", &["name"]),
    table("session", &["digest"]),
    table("api_token", &["id"]),
    table("action", &["id"]),
    table("component", &["appid"]),
    table("authorizer", &["appid"]),
    table("push", &["id"]),
    numbered("token_task", &["id"]),
];

const OF_FILE: &str = "
    SELECT t.name, c.name, CASE c.type WHEN 'TEXT' THEN 'text' WHEN 'BLOB' THEN 'bytea' ELSE 'bigint' END
    FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
    WHERE t.type = 'table' AND t.name NOT IN ('_sqlx_migrations', 'sqlite_sequence', 'move') ORDER BY t.name, c.cid";

const OF_SERVER: &str = "
    SELECT c.table_name::text, c.column_name::text, c.data_type::text
    FROM information_schema.columns AS c
    JOIN information_schema.tables AS t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
    WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' ORDER BY c.table_name, c.ordinal_position";

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: ColumnKind,
}

/// Columns of each table, in the order of [`TABLES`].
pub(super) type Columns = Vec<Vec<Column>>;

/// Those of a database.
pub(super) async fn columns(end: &mut End) -> Result<Columns, MoveError> {
    let asked = match end.link.tx() {
        sql::Tx::Sqlite(_) => OF_FILE,
        sql::Tx::Postgres(_) => OF_SERVER,
    };
    let found: Vec<(String, String, String)> =
        sql::query_as(asked).fetch_all(&mut end.link.tx()).await.map_err(|source| end.failed(source))?;
    let of = |table: &Table| {
        let columns = found.iter().filter(|(of, ..)| of == table.name);
        columns.map(|(_, name, kind)| Column { name: name.clone(), kind: ColumnKind::of(kind) }).collect()
    };
    if matches!(end.link.tx(), sql::Tx::Sqlite(_)) {
        let other = found.iter().find(|(of, ..)| TABLES.iter().all(|table| table.name != of));
        if let Some((other, ..)) = other {
            let place = &end.place;
            return Err(MoveError::Refused(format!("{place} holds the table {other:?}, which is none of amplinkd's")));
        }
    }
    Ok(TABLES.iter().map(of).collect())
}

/// Names as both databases take them.
pub(super) fn quoted<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}
