//! The audit's search for invalid rows: one page of every table per audit, the next page in the next, so that a large
//! table costs as little as a small one. Pages with findings are checked again each time until they are clean.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    audit::{Finding, Histories},
    schema_checks::{self, Rules},
};
use crate::store::{
    StoreError,
    decode::{self, SEALED, Table},
    sql::{self, QueryBuilder, Row, Tx},
};

/// Rows of one table in one audit: a few milliseconds. A table of fewer is read whole each time.
const PAGE: i64 = 5_000;

/// Pages of one table that are looked at again because something was found there. More of them are one defect.
const AGAIN_MAX: usize = 10;

/// Characters of a value that are shown: enough to find it.
const SHOWN_MAX: usize = 80;

const FINDING: Table = Table { name: "bad_row", key: &["subject"] };

/// How far every table was read. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Scan(Arc<Mutex<Progress>>);

#[derive(Debug, Default)]
struct Progress {
    tables: Arc<Vec<Searched>>,
    /// By table: where the next page begins.
    next: BTreeMap<String, Place>,
    /// By table: where the pages begin on which something was found.
    found: BTreeMap<String, BTreeSet<Place>>,
}

/// After which key a page begins; `None`: with the first row.
type Place = Option<Vec<Value>>;

/// A value of a key, whatever somebody made of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// A table, and the parts of the statements that search it.
#[derive(Debug)]
struct Searched {
    /// As people call it, and quoted.
    name: String,
    table: String,
    key: String,
    /// What a finding says of a row, and when it is one.
    says: String,
    wrong: String,
}

impl Scan {
    /// Illegal rows of the next page of every table, or of all pages; at most `limit`.
    pub(super) async fn search(
        &self,
        connection: &mut Tx<'_>,
        pages: Histories,
        limit: u32,
    ) -> Result<Vec<Finding>, StoreError> {
        // A server keeps such rows out.
        if matches!(connection, Tx::Postgres(_)) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for table in self.tables(connection).await?.iter() {
            match pages {
                Histories::All | Histories::Beside => self.all(connection, table, limit, &mut found).await?,
                Histories::Turn(turn) => self.some(connection, table, turn, limit, &mut found).await?,
            }
        }
        // Pages that begin at different rows may share some.
        let mut met = BTreeSet::new();
        found.retain(|finding: &Finding| met.insert(finding.subject.clone()));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// A row of a table with row numbers that was met and was not legal: its page is looked at, whichever comes next.
    pub(in crate::store) fn suspect(&self, table: &str, row: i64) {
        let mut progress = self.progress();
        let places = progress.found.entry(table.to_owned()).or_default();
        if places.len() < AGAIN_MAX {
            places.insert(Some(vec![Value::Integer(row.saturating_sub(1))]));
        }
    }

    async fn all(
        &self,
        connection: &mut Tx<'_>,
        table: &Searched,
        limit: u32,
        found: &mut Vec<Finding>,
    ) -> Result<(), StoreError> {
        let mut place = None;
        loop {
            place = self.page(connection, table, place, limit, found).await?;
            if place.is_none() || found.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
                return Ok(());
            }
        }
    }

    async fn some(
        &self,
        connection: &mut Tx<'_>,
        table: &Searched,
        turn: u64,
        limit: u32,
        found: &mut Vec<Finding>,
    ) -> Result<(), StoreError> {
        let known = self.progress().next.get(&table.name).cloned();
        let place = match known {
            Some(place) => place,
            // A command lives for one audit: where it begins is as good as chance.
            None => somewhere(connection, table, turn).await?,
        };
        let mut places = self.progress().found.get(&table.name).cloned().unwrap_or_default();
        places.insert(place.clone());
        for from in places {
            let is_new = from == place;
            let next = self.page(connection, table, from, limit, found).await?;
            if is_new {
                self.progress().next.insert(table.name.clone(), next);
            }
        }
        Ok(())
    }

    /// What is wrong on one page. Answers where the next one begins; `None` after the last.
    async fn page(
        &self,
        connection: &mut Tx<'_>,
        table: &Searched,
        from: Place,
        limit: u32,
        found: &mut Vec<Finding>,
    ) -> Result<Place, StoreError> {
        let end = end_of_page(connection, table, &from).await?;
        let mut query: QueryBuilder = QueryBuilder::new("SELECT 'bad_row' AS rule, ");
        query.push(&table.says).push(" FROM ").push(&table.table).push(" WHERE (").push(&table.wrong).push(")");
        beyond(&mut query, table, " > ", &from);
        beyond(&mut query, table, " <= ", &end);
        query.push(" LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&mut *connection).await?;
        let findings = decode::legible::<Finding>(&rows, FINDING);
        let mut progress = self.progress();
        let places = progress.found.entry(table.name.clone()).or_default();
        if findings.is_empty() {
            places.remove(&from);
        } else if places.len() < AGAIN_MAX {
            places.insert(from);
        }
        found.extend(findings);
        Ok(end)
    }

    async fn tables(&self, connection: &mut Tx<'_>) -> Result<Arc<Vec<Searched>>, StoreError> {
        let known = Arc::clone(&self.progress().tables);
        if !known.is_empty() {
            return Ok(known);
        }
        let tables = Arc::new(schema_checks::rules(connection).await?.iter().map(Searched::from).collect());
        self.progress().tables = Arc::clone(&tables);
        Ok(tables)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Nothing in here panics halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last key of the page that begins there; `None` when no full page is left.
async fn end_of_page(connection: &mut Tx<'_>, table: &Searched, from: &Place) -> Result<Place, StoreError> {
    let mut query: QueryBuilder = QueryBuilder::new("SELECT ");
    query.push(&table.key).push(" FROM ").push(&table.table).push(" WHERE 1 = 1");
    beyond(&mut query, table, " > ", from);
    query.push(" ORDER BY ").push(&table.key).push(" LIMIT 1 OFFSET ").push_bind(PAGE - 1);
    let row = query.build().fetch_optional(connection).await?;
    Ok(row.map(|row| (0..row.len()).map(|at| Value::of(&row, at)).collect()))
}

/// Some place in a table of more than a page.
async fn somewhere(connection: &mut Tx<'_>, table: &Searched, turn: u64) -> Result<Place, StoreError> {
    let Some(low) = end_of_page(connection, table, &None).await? else { return Ok(None) };
    let mut query: QueryBuilder = QueryBuilder::new("SELECT ");
    query.push(&table.key).push(" FROM ").push(&table.table);
    // The last one: in the other direction for each of its columns.
    let backward = table.key.replace(", ", " DESC, ");
    query.push(" ORDER BY ").push(backward).push(" DESC LIMIT 1");
    let Some(high) = query.build().fetch_optional(connection).await? else { return Ok(None) };
    let mut place = vec![Value::Null; low.len()];
    place[0] = match (&low[0], Value::of(&high, 0)) {
        (Value::Integer(low), Value::Integer(high)) => Value::Integer(between(*low, high, turn)),
        (Value::Text(low), Value::Text(high)) => Value::Text(text_between(low, &high, turn)),
        // Such a key is a finding itself: from the first one on.
        (Value::Null | Value::Integer(_) | Value::Text(_) | Value::Blob(_), _) => return Ok(None),
    };
    Ok(Some(place))
}

fn between(low: i64, high: i64, turn: u64) -> i64 {
    low.saturating_add_unsigned(turn % low.abs_diff(high.max(low)).max(1))
}

/// A text between two of ASCII: the same beginning, then a number in the base of ASCII.
fn text_between(low: &str, high: &str, turn: u64) -> String {
    const DIGITS: usize = 8;
    let same = low.bytes().zip(high.bytes()).take_while(|(low, high)| low == high && low.is_ascii()).count();
    let number = |text: &str| {
        let digits = text.bytes().skip(same).chain(std::iter::repeat(0)).take(DIGITS);
        digits.fold(0, |number, digit| (number << 7) | i64::from(digit & 0x7f))
    };
    let number = between(number(low), number(high), turn);
    let digit = |place: usize| char::from(u8::try_from((number >> (7 * place)) & 0x7f).unwrap_or(0).max(1));
    low.chars().take(same).chain((0..DIGITS).rev().map(digit)).collect()
}

/// Adds that the key lies on this side of a place.
fn beyond(query: &mut QueryBuilder, table: &Searched, side: &str, place: &Place) {
    let Some(values) = place else { return };
    query.push(" AND (").push(&table.key).push(")").push(side).push("(");
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            query.push(", ");
        }
        match value.clone() {
            Value::Null => query.push("NULL"),
            Value::Integer(number) => query.push_bind(number),
            Value::Text(text) => query.push_bind(text),
            Value::Blob(bytes) => query.push_bind(bytes),
        };
    }
    query.push(")");
}

impl Value {
    fn of(row: &Row, at: usize) -> Self {
        match row.value(at) {
            sql::Value::Integer(number) => Self::Integer(number),
            sql::Value::Text(text) => Self::Text(text),
            sql::Value::Blob(bytes) => Self::Blob(bytes),
            sql::Value::Null | sql::Value::Real(_) => Self::Null,
        }
    }
}

impl From<&Rules> for Searched {
    fn from(rules: &Rules) -> Self {
        let shown = |column: &str| {
            if SEALED.iter().any(|name| schema_checks::quoted(name) == column) {
                format!("'a ' || typeof({column})")
            } else {
                format!("substr(quote({column}), 1, {SHOWN_MAX})")
            }
        };
        let named = |column: &String| {
            format!("CASE WHEN typeof({column}) IN ('text', 'integer') THEN {column} ELSE {} END", shown(column))
        };
        let subject: Vec<String> = rules.called.iter().map(|column| format!(" || ' ' || {}", named(column))).collect();
        let holds = |column: &String| format!("'{column} holds ' || {}", shown(&schema_checks::quoted(column)));
        let says = rules.wrongs.iter().map(|wrong| {
            let columns: Vec<String> = wrong.columns.iter().map(holds).collect();
            format!("WHEN {} THEN {}", wrong.when, columns.join(" || ', ' || "))
        });
        let whens: Vec<&str> = rules.wrongs.iter().map(|wrong| wrong.when.as_str()).collect();
        Self {
            name: rules.table.clone(),
            table: schema_checks::quoted(&rules.table),
            key: rules.key.join(", "),
            says: format!(
                "'{}'{} AS subject, CASE {} END || ', which is not legal: the row is left alone until somebody mends it \
                 with SQL; docs/database.md says how' AS finding",
                rules.table,
                subject.concat(),
                says.collect::<Vec<_>>().join(" ")
            ),
            wrong: whens.join(" OR "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_between_two_others_sorts_between_them() {
        let (low, high) = ("0197c2d4-8e1f-7a63", "0199ffff-0000-7000");
        for turn in (0..64).map(|bit| 1_u64 << bit) {
            let between = text_between(low, high, turn);
            assert!(low <= &*between && &*between <= high, "{between:?}");
        }
        assert_eq!(between(5, 5, 9), 5);
    }
}
