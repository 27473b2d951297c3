//! Rows of `gate`: calls that a quota or a block holds back until a time. Which, is decided in the engine.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::ToSchema;

use super::writer::WriteCommand;
use crate::{
    domain::{gate::GateKind, time::Time},
    store::{
        Store, StoreError, bulk,
        decode::{self, Table},
        executor::Db,
        sql::{self, Flag, QueryBuilder, Tx},
    },
};

/// A closed gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Gate {
    /// What it holds back.
    #[sqlx(try_from = "String")]
    pub kind: GateKind,
    /// The program; the account and the code; the account and the API; or `all`.
    pub subject: String,
    /// When it opens, milliseconds UTC.
    pub until: i64,
    /// The code that closed it.
    pub errcode: i64,
    /// Its text.
    pub errmsg: String,
    /// When `WeChat` last said so, milliseconds UTC.
    pub at: i64,
    /// The month or day has perhaps not rolled yet: `until` is when one call asks again.
    #[sqlx(try_from = "Flag")]
    pub early: bool,
}

/// A gate that somebody outside the daemon opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Opening {
    /// Its place among all of them; 0 before it is written.
    pub seq: i64,
    /// The gate's kind.
    #[sqlx(try_from = "String")]
    pub kind: GateKind,
    /// Its subject.
    pub subject: String,
    /// When, milliseconds UTC: what was closed after that is closed.
    pub at: i64,
}

/// The table.
pub(in crate::store) const GATE: Table = Table { name: "gate", key: &["kind", "subject"] };

const OPENING: Table = Table { name: "gate_opening", key: &["seq"] };

const CLOSE: &str = "
    INSERT INTO gate (kind, subject, until, errcode, errmsg, at, early) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (kind, subject) DO UPDATE
    SET until = excluded.until, errcode = excluded.errcode, errmsg = excluded.errmsg, at = excluded.at,
        early = excluded.early";

const OPEN: &str = "DELETE FROM gate WHERE kind = ?1 AND subject = ?2";

/// A row of `v_gate`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the columns are described in docs/database.md")]
pub struct GateView {
    pub kind: String,
    pub subject: String,
    pub until: String,
    pub errcode: i64,
    pub errmsg: String,
    pub at: String,
    #[sqlx(try_from = "Flag")]
    pub early: bool,
}

// A day's gate is open once its time has come; the others let one call through that finds out.
const PAGE: &str = "
    SELECT v.kind, v.subject, v.until, v.errcode, v.errmsg, v.at, v.early
    FROM gate AS g JOIN v_gate AS v ON v.kind = g.kind AND v.subject = g.subject
    WHERE (g.until > ";

const CLOSED: &str = "SELECT kind, subject, until, errcode, errmsg, at, early FROM gate WHERE until > $1";

const ALL: &str = "SELECT kind, subject, until, errcode, errmsg, at, early FROM gate";

const ONE: &str = "
    SELECT kind, subject, until, errcode, errmsg, at, early FROM gate WHERE kind = $1 AND subject = $2";

const OPEN_BY_HAND: &str = "INSERT INTO gate_opening (kind, subject, at) VALUES (?1, ?2, ?3)";

const OPENINGS: &str = "SELECT seq, kind, subject, at FROM gate_opening ORDER BY seq";

const HEED: &str = "DELETE FROM gate_opening WHERE seq <= $1";

impl Store {
    /// Gates that hold something back at `now`, by kind and subject, after the one of this kind and
    /// subject, at most `limit`: of these kinds, or of all when there are none.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn gate_page(
        &self,
        kinds: &[GateKind],
        after: (&str, &str),
        now: Time,
        limit: u32,
    ) -> Result<Vec<GateView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(PAGE);
        query.push_bind(now.ms()).push(" OR g.kind <> 'api_day') AND (g.kind, g.subject) > (").push_bind(after.0);
        query.push(", ").push_bind(after.1).push(")");
        if !kinds.is_empty() {
            query.push(" AND g.kind IN (SELECT j.value FROM json_each(").push_bind(bulk::json(kinds)).push(") AS j)");
        }
        query.push(" ORDER BY g.kind, g.subject LIMIT ").push_bind(limit);
        Ok(query.build_query_as().fetch_all(self.readers()).await?)
    }

    /// What holds calls of one account back, as people see it: its own gates and that of our address.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn gates_of(&self, account: &str, now: Time) -> Result<Vec<GateView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(PAGE);
        query
            .push_bind(now.ms())
            .push(" OR g.kind <> 'api_day') AND g.kind IN ('account_month', 'api_day', 'ip') AND (");
        query.push("(g.subject >= ").push_bind(format!("{account}/"));
        // The character after the slash.
        query.push(" AND g.subject < ").push_bind(format!("{account}0"));
        query.push(") OR g.kind = 'ip') ORDER BY g.kind, g.subject");
        Ok(query.build_query_as().fetch_all(self.readers()).await?)
    }

    /// Gates that are closed at `now`. One whose row is not legal holds nobody back.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn closed_gates(&self, now: Time) -> Result<Vec<Gate>, StoreError> {
        Ok(decode::legible(&sql::query(CLOSED).bind(now.ms()).fetch_all(self.readers()).await?, GATE))
    }

    /// All gates, also those whose time has come and that nobody has gone through since.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn gates(&self) -> Result<Vec<Gate>, StoreError> {
        Ok(decode::legible(&sql::query(ALL).fetch_all(self.readers()).await?, GATE))
    }

    /// One gate, when there is a row of it.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn gate(&self, kind: GateKind, subject: &str) -> Result<Option<Gate>, StoreError> {
        Ok(sql::query_as(ONE).bind(kind.as_str()).bind(subject).fetch_optional(self.readers()).await?)
    }

    /// Gates that were opened from outside and that the daemon has not heeded, in the order of opening.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn gate_openings(&self) -> Result<Vec<Opening>, StoreError> {
        Ok(decode::legible(&sql::query(OPENINGS).fetch_all(self.readers()).await?, OPENING))
    }

    /// Takes openings up to number `seq` away: the daemon has heeded them.
    ///
    /// # Errors
    /// [`StoreError`]: they are still there.
    pub async fn heed_openings(&self, seq: i64) -> Result<(), StoreError> {
        self.writer.write(HeedOpenings { seq }).await
    }
}

pub(super) fn close(db: Db<'_>, gate: &Gate) -> Result<(), StoreError> {
    let Gate { kind, subject, until, errcode, errmsg, at, early } = gate;
    db.execute(CLOSE, (kind.as_str(), subject, until, errcode, errmsg, at, early)).map(drop)
}

/// Takes a gate away: it opened before its time.
pub(super) fn open(db: Db<'_>, (kind, subject): &(GateKind, String)) -> Result<(), StoreError> {
    db.execute(OPEN, (kind.as_str(), subject)).map(drop)
}

/// Takes a gate away from outside the daemon, and leaves word of it.
pub(super) fn open_by_hand(db: Db<'_>, opening: &Opening) -> Result<(), StoreError> {
    let Opening { kind, subject, at, .. } = opening;
    db.execute(OPEN, (kind.as_str(), subject))?;
    db.execute(OPEN_BY_HAND, (kind.as_str(), subject, at)).map(drop)
}

#[derive(Debug)]
struct HeedOpenings {
    seq: i64,
}

impl WriteCommand for HeedOpenings {
    type Answer = ();

    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        sql::query(HEED).bind(self.seq).execute(tx).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

    use super::*;

    const BEFORE: [&str; 5] = [
        include_str!("../../../migrations/0001_requests.sql"),
        include_str!("../../../migrations/0002_views.sql"),
        include_str!("../../../migrations/0003_alerts.sql"),
        include_str!("../../../migrations/0004_nudges.sql"),
        include_str!("../../../migrations/0005_accounts.sql"),
    ];

    const WAITING: &str = "
        INSERT INTO account (account, state, since) VALUES ('a', 'active', 1);
        INSERT INTO request (id, kind, account, program, notify_users, show_profile, state, outcome_unknown,
                             deferred_until, since, requested_at, attempt, baseline_rejected, errcode, errmsg, labels,
                             version, last_seq, chain)
        VALUES ('1', 'link', 'a', 'p', 0, 0, 'deferred', 0, 70, 7, 1, 0, 0, 89017, 'm', '{}', 0, 1, zeroblob(32)),
               ('2', 'link', 'a', 'q', 0, 0, 'deferred', 0, 60, 8, 1, 0, 0, 89017, 'm', '{}', 0, 1, zeroblob(32)),
               ('3', 'link', 'a', 'r', 0, 0, 'deferred', 0, 50, 9, 1, 0, 0, 89007, 'm', '{}', 0, 1, zeroblob(32));
        INSERT INTO gate (kind, subject, until, errcode, errmsg, at) VALUES ('program_month', 'r', 50, 89007, 'm', 9)";

    #[tokio::test]
    async fn those_who_wait_for_an_accounts_month_in_an_older_file_have_a_gate_in_this_one() {
        let mut file = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let now = include_str!("../../../migrations/0006_quotas.sql");
        for script in BEFORE.into_iter().chain([WAITING, now]) {
            sqlx::raw_sql(AssertSqlSafe(script.to_owned())).execute(&mut file).await.unwrap();
        }
        let gates: Vec<Gate> = sqlx::query_as(ALL).fetch_all(&mut file).await.unwrap();
        let shown = |gate: &Gate| (gate.kind, gate.subject.clone(), gate.until, gate.errcode, gate.early);
        assert_eq!(
            gates.iter().map(shown).collect::<Vec<_>>(),
            [
                (GateKind::AccountMonth, "a/89017".to_owned(), 60, 89_017, false),
                (GateKind::ProgramMonth, "r".to_owned(), 50, 89_007, false),
            ]
        );
        let unknown = "INSERT INTO gate (kind, subject, until, errcode, errmsg, at) VALUES ('year', 'a', 1, 1, '', 1)";
        assert!(sqlx::raw_sql(unknown).execute(&mut file).await.is_err(), "no other kind");
    }
}
