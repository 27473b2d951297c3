//! The schema is that of SQLite: the same tables, columns, rules and indexes, and views that show the same of the same rows.

use amplinkd::store::{Location, Role, Store};
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::{Database, database};
use crate::database_docs::lived;

/// A new file, as the store makes it.
async fn new_file() -> (TempDir, SqliteConnection) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amplinkd.db");
    Store::open(&Location::file(path.clone(), 0o640), Role::Daemon).await.unwrap().close().await;
    let file = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    (folder, file)
}

async fn lines(file: &mut SqliteConnection, sql: &str) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_all(file)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{sql}"))
}

/// What is in a schema: how SQLite and PostgreSQL are asked for it.
struct Facts {
    what: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// Tables that are one database's own are left out: where SQLite keeps its numbers, the counter of the log, and sqlx's.
const FACTS: [Facts; 6] = [
    Facts {
        what: "columns of tables",
        sqlite: "
            SELECT t.name || '.' || c.cid || ' ' || c.name || ' '
                   || CASE c.type WHEN 'TEXT' THEN 'text' WHEN 'BLOB' THEN 'bytea' ELSE 'bigint' END
                   || iif(c.\"notnull\" OR c.pk, ' NOT NULL', '') || coalesce(' DEFAULT ' || c.dflt_value, '')
            FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
            WHERE t.type = 'table' AND t.name NOT IN ('_sqlx_migrations', 'sqlite_sequence')",
        postgres: "
            SELECT c.table_name || '.' || c.ordinal_position - 1 || ' ' || c.column_name || ' ' || c.data_type
                   || CASE c.is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END || coalesce(' DEFAULT ' || c.column_default, '')
            FROM information_schema.tables AS t
            JOIN information_schema.columns AS c ON c.table_schema = t.table_schema AND c.table_name = t.table_name
            WHERE t.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND t.table_name NOT IN ('ledger', 'schema', 'node', 'beat', 'lease', '_sqlx_migrations')",
    },
    Facts {
        what: "primary keys and what is unique",
        sqlite: "
            SELECT t.name || ' ' || x.origin || ' ' || (SELECT group_concat(name) FROM pragma_index_info(x.name)) AS fact
            FROM sqlite_schema AS t JOIN pragma_index_list(t.name) AS x
            WHERE t.type = 'table' AND x.origin <> 'c' AND t.name NOT IN ('_sqlx_migrations', 'sqlite_sequence')
            UNION ALL
            SELECT t.name || ' pk ' || c.name
            FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
            WHERE t.type = 'table' AND c.pk = 1 AND t.name NOT IN ('_sqlx_migrations', 'sqlite_sequence')
              AND NOT EXISTS (SELECT 1 FROM pragma_index_list(t.name) AS x WHERE x.origin = 'pk')",
        postgres: "
            SELECT r.relname || ' ' || CASE k.contype WHEN 'p' THEN 'pk ' ELSE 'u ' END
                   || (SELECT string_agg(a.attname, ',' ORDER BY n.place) FROM unnest(k.conkey) WITH ORDINALITY AS n (number, place)
                       JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum = n.number)
            FROM pg_constraint AS k JOIN pg_class AS r ON r.oid = k.conrelid
            WHERE r.relnamespace = 'public'::regnamespace AND k.contype IN ('p', 'u') AND r.relname NOT IN ('ledger', 'schema', 'node', 'beat', 'lease', '_sqlx_migrations')",
    },
    Facts {
        what: "indexes",
        sqlite: "
            SELECT x.name || ' ' || t.name || ' (' || (SELECT group_concat(name) FROM pragma_index_info(x.name)) || ')'
                   || iif(x.\"unique\", ' unique', '') || iif(x.partial, ' partial', '')
            FROM sqlite_schema AS t JOIN pragma_index_list(t.name) AS x
            WHERE t.type = 'table' AND x.origin = 'c'",
        postgres: "
            SELECT i.relname || ' ' || r.relname || ' (' || (
                       SELECT string_agg(a.attname, ',' ORDER BY n.place) FROM unnest(x.indkey) WITH ORDINALITY AS n (number, place)
                       JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum = n.number) || ')'
                   || CASE WHEN x.indisunique THEN ' unique' ELSE '' END
                   || CASE WHEN x.indpred IS NOT NULL THEN ' partial' ELSE '' END
            FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_class AS r ON r.oid = x.indrelid
            WHERE r.relnamespace = 'public'::regnamespace AND r.relname <> 'node'
              AND NOT EXISTS (SELECT 1 FROM pg_constraint AS k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u'))",
    },
    Facts {
        what: "what refers to what",
        sqlite: "
            SELECT t.name || '.' || f.\"from\" || ' ' || f.\"table\" || '.' || f.\"to\" || ' ' || f.on_delete
            FROM sqlite_schema AS t JOIN pragma_foreign_key_list(t.name) AS f WHERE t.type = 'table'",
        postgres: "
            SELECT r.relname || '.' || a.attname || ' ' || p.relname || '.' || b.attname
                   || CASE k.confdeltype WHEN 'c' THEN ' CASCADE' ELSE ' NO ACTION' END
            FROM pg_constraint AS k JOIN pg_class AS r ON r.oid = k.conrelid JOIN pg_class AS p ON p.oid = k.confrelid
            JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum = ALL (k.conkey)
            JOIN pg_attribute AS b ON b.attrelid = p.oid AND b.attnum = ALL (k.confkey)
            WHERE k.contype = 'f' AND k.conrelid NOT IN ('beat'::regclass, 'lease'::regclass)",
    },
    Facts {
        what: "how many conditions",
        sqlite: "
            SELECT t.name || ' ' || ((length(t.sql) - length(replace(t.sql, 'CHECK (', ''))) / 7) FROM sqlite_schema AS t
            WHERE t.type = 'table' AND t.name NOT IN ('_sqlx_migrations', 'sqlite_sequence')",
        postgres: "
            SELECT r.relname || ' ' || (SELECT count(*) FROM pg_constraint AS k WHERE k.conrelid = r.oid AND k.contype = 'c')
            FROM pg_class AS r
            WHERE r.relnamespace = 'public'::regnamespace AND r.relkind = 'r' AND r.relname NOT IN ('ledger', 'schema', 'node', 'beat', 'lease', '_sqlx_migrations')",
    },
    Facts {
        what: "columns of views",
        sqlite: "
            SELECT v.name || '.' || c.cid || ' ' || c.name FROM sqlite_schema AS v JOIN pragma_table_info(v.name) AS c
            WHERE v.type = 'view'",
        postgres: "
            SELECT c.table_name || '.' || c.ordinal_position - 1 || ' ' || c.column_name
            FROM information_schema.views AS v
            JOIN information_schema.columns AS c ON c.table_schema = v.table_schema AND c.table_name = v.table_name
            WHERE v.table_schema = 'public' AND v.table_name <> 'v_node'",
    },
];

#[tokio::test]
async fn it_is_that_of_sqlite() {
    let Some(postgres) = database().await else { return };
    let (_folder, mut file) = new_file().await;
    for facts in FACTS {
        let (mut found, mut expected) = (postgres.ask(facts.postgres), lines(&mut file, facts.sqlite).await);
        assert!(expected.len() > 10, "{}: {expected:?}", facts.what);
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{}", facts.what);
    }
}

/// The condition of each index, as PostgreSQL reads that of SQLite.
#[tokio::test]
async fn indexes_leave_out_the_same_rows() {
    const CONDITIONS: &str = "
        SELECT 'CREATE INDEX ON ' || iif(t.name = 'user', '\"user\"', t.name) || ' ((1)) WHERE ' || replace(replace(
                   substr(x.sql, instr(x.sql, 'WHERE') + 6), 'user IS', '\"user\" IS'), char(10), ' ')
        FROM sqlite_schema AS x JOIN sqlite_schema AS t ON t.name = x.tbl_name AND t.type = 'table'
        WHERE x.type = 'index' AND x.sql LIKE '%WHERE%' ORDER BY x.name";
    const OURS: &str = "
        SELECT pg_get_expr(x.indpred, x.indrelid) FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
        WHERE x.indpred IS NOT NULL AND i.relname <> 'node_name'";
    let Some(postgres) = database().await else { return };
    let (_folder, mut file) = new_file().await;
    let conditions = lines(&mut file, CONDITIONS).await;
    let ours = postgres.ask(&format!("{OURS} ORDER BY i.relname COLLATE \"C\""));
    // In the order in which they are made.
    let theirs = format!("{}; {OURS} AND x.indexprs IS NOT NULL ORDER BY i.oid", conditions.join(";"));
    assert!(ours.len() > 40, "{ours:?}");
    assert_eq!(ours, postgres.ask(&theirs));
}

#[tokio::test]
async fn there_are_three_types_and_words_sort_by_their_bytes() {
    let Some(postgres) = database().await else { return };
    let others = postgres.ask(
        "SELECT DISTINCT c.column_name FROM information_schema.columns AS c
         WHERE c.table_schema = 'public' AND c.table_name NOT IN ('node', 'beat', 'lease', '_sqlx_migrations') AND c.data_type = 'text'
           AND c.collation_name IS DISTINCT FROM 'C'",
    );
    let types = postgres.ask(
        "SELECT DISTINCT c.data_type FROM information_schema.columns AS c
         WHERE c.table_schema = 'public' AND c.table_name NOT IN ('node', 'beat', 'lease', '_sqlx_migrations') ORDER BY 1",
    );
    assert_eq!(types, ["bigint", "bytea", "text"]);
    let is_time = |name: &&String| name.ends_with("at") || name.ends_with("since") || name.ends_with("until");
    let wrong: Vec<_> = others.iter().filter(|name| !is_time(name) && *name != "budget_day").collect();
    assert!(wrong.is_empty() && others.len() > 10, "{others:?}");
    let sorted = postgres.ask(
        "INSERT INTO program_name VALUES ('b', '', 1), ('B', '', 1), ('a', '', 1), ('_', '', 1);
                               SELECT username FROM program_name ORDER BY username",
    );
    assert_eq!(sorted, ["B", "_", "a", "b"]);
}

#[tokio::test]
async fn numbers_are_the_databases_and_the_ledger_knows_the_last_of_the_log() {
    let Some(postgres) = database().await else { return };
    let own = postgres.ask(
        "SELECT table_name || '.' || column_name FROM information_schema.columns
         WHERE table_schema = 'public' AND is_identity = 'YES' ORDER BY 1",
    );
    assert_eq!(
        own,
        ["account.id", "gate_opening.seq", "import.id", "log.seq", "request.row", "token_task.id", "wakeup.seq"]
    );
    assert_eq!(postgres.ask("SELECT one, seq, system, timeline FROM ledger"), ["1\t0\t∅\t∅"]);
    let said = postgres.try_ask("INSERT INTO ledger (one, seq) VALUES (2, 0)").unwrap_err();
    assert!(said.contains("violates"), "{said}");
    let message = |at: i64| format!("({at}, 'm{at}', 't', 's', 'k', '{{}}')");
    let columns = "INSERT INTO log (at, id, type, subject, partition_key, data) VALUES";
    postgres.ask(&format!("{columns} {}, {}; {columns} {}", message(1), message(2), message(3)));
    assert_eq!(postgres.ask("SELECT seq, at FROM log ORDER BY seq"), ["1\t1", "2\t2", "3\t3"]);
    assert_eq!(postgres.ask("DELETE FROM log; SELECT seq FROM ledger"), ["3"]);
}

/// Rows that the world of the documents has not: lines of an import, words that need care as JSON, times far off.
const ODD_ROWS: &str = r#"
    INSERT INTO import (id, state, begun_at, beat_at, accepted_at) VALUES (1, 'accepted', 1, 2, 3), (2, 'staged', 1, 2, NULL);
    INSERT INTO import_line (import, id, kind, account, program, notify_users, show_profile, requested_at, key, labels, chain,
                             twin)
    VALUES (1, 'i1', 'link', 'wx0123456789abcdef', 'p1', 1, 0, 4, 'k', '{"a":"b"}', zeroblob(32), NULL),
           (1, 'i2', 'unlink', 'nowhere', 'p2', 0, 1, 5, NULL, '{}', zeroblob(32), NULL),
           (1, 'i3', 'link', 'nowhere', 'p3', 0, 1, 5, NULL, '{}', zeroblob(32), 'i2'),
           (2, 'i4', 'link', 'nowhere', 'p4', 0, 1, 5, NULL, '{}', zeroblob(32), NULL);
    UPDATE request SET labels = ' { "a b" : "c  \" d" , "e" : "\\ " }' WHERE row = 1;
    UPDATE request SET labels = 'no JSON', program = char(1, 9, 10, 13, 34, 92, 127, 233, 128273) || '/' WHERE row = 2;
    UPDATE request SET outcome_unknown = 2 WHERE state = 'initiating' AND row = (
        SELECT min(row) FROM request WHERE state = 'initiating');
    UPDATE log SET refusal = 89010 WHERE seq = (SELECT max(seq) FROM log WHERE request IS NOT NULL);
    UPDATE log SET at = at + 300000000000000 WHERE seq = (SELECT min(seq) FROM log WHERE request IS NOT NULL);
    UPDATE log SET at = -1 WHERE seq = (SELECT max(seq) FROM log WHERE step = 1);
    UPDATE account SET budget_day = 20000, budget_used = 3, emptied_at = -1, overfull_since = 253402300800000;
    INSERT INTO authorizer (appid, state, since, permissions)
    VALUES ('a', 'unknown', -62135596800001, '{"33": 1}'), ('b', 'unknown', 0, '["33"]'), ('c', 'unknown', 1, '[]'),
           ('d', 'unknown', 59999, '[1, [33], 133]'), ('e', 'unknown', 2, '[ 33 ]');
"#;

/// Asks for the rows of each table in the file, as they are inserted into PostgreSQL.
const COPIES: &str = r#"
    SELECT 'SELECT ''INSERT INTO "' || t.name || '" (' || group_concat('"' || c.name || '"', ', ') || ') VALUES ('' || '
           || group_concat('iif(typeof("' || c.name || '") = ''blob'', ''''''\x'' || hex("' || c.name || '") || '''''''', '
                           || 'quote("' || c.name || '"))', ' || '', '' || ') || ' || '')'' FROM "' || t.name || '"'
    FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
    WHERE t.type = 'table' AND t.name NOT IN ('_sqlx_migrations', 'sqlite_sequence') GROUP BY t.name"#;

/// Takes all rows over as they are, children before parents, too.
async fn copy(file: &mut SqliteConnection, postgres: &Database) {
    let mut all = vec!["SET session_replication_role = replica".to_owned()];
    for sql in lines(file, COPIES).await {
        all.extend(lines(file, &sql).await);
    }
    assert!(all.len() > 100, "{} rows", all.len());
    postgres.ask(&all.join(";\n"));
}

/// The cells of a view, in the words of both databases; in JSON they keep their types.
fn cells(view: &str, columns: &[String]) -> String {
    let cell = |column: &String| match (view, column.as_str()) {
        ("transition", "hash") => "hex(hash)".to_owned(),
        // A text that holds JSON.
        ("outbox", "data") => "data || ''".to_owned(),
        _ => format!("\"{column}\""),
    };
    columns.iter().map(cell).collect::<Vec<_>>().join(", ")
}

fn sorted(rows: &[String]) -> Vec<serde_json::Value> {
    let mut rows: Vec<serde_json::Value> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    rows.sort_by_cached_key(serde_json::Value::to_string);
    rows
}

#[tokio::test]
async fn views_show_the_same_of_the_same_rows() {
    const VIEWS: &str = "SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name";
    let Some(postgres) = database().await else { return };
    let (folder, _world, _reader) = lived().await;
    let mut file = SqliteConnectOptions::new().filename(folder.path().join("amplinkd.db")).connect().await.unwrap();
    sqlx::raw_sql(ODD_ROWS).execute(&mut file).await.unwrap();
    copy(&mut file, &postgres).await;
    for view in lines(&mut file, VIEWS).await {
        let columns = lines(&mut file, &format!("SELECT name FROM pragma_table_info('{view}') ORDER BY cid")).await;
        let cells = cells(&view, &columns);
        let expected = sorted(&lines(&mut file, &format!("SELECT json_array({cells}) FROM \"{view}\"")).await);
        assert!(!expected.is_empty(), "{view} has no rows to look at");
        let found = sorted(&postgres.ask(&format!("SELECT json_build_array({cells}) FROM \"{view}\"")));
        assert_eq!(found.len(), expected.len(), "{view}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{view}: {cells}");
        }
    }
}
