//! A node's beat: one transaction every few seconds in which it says that it lives, fences who is silent, takes leases and
//! hands them back, and divides the calls ([`crate::domain::tenure::moves`]). Beats of several nodes are one after the other,
//! and every reading of a clock that others must believe is the database's.

use std::{sync::Arc, time::Duration};

use sqlx::{FromRow, PgConnection, postgres::PgRow};

use super::{address::ServerAddress, connect::connect};
use crate::{
    domain::{
        tenure::{
            Outcome,
            lease::{Lease, Leases},
            member::{Ahead, Calls, Holders, Incarnation, Member},
            moves::{Moves, View},
            terms::{BEAT_IDLE_MAX, BEAT_MAX},
        },
        time::Time,
    },
    store::{
        StoreError,
        ownership::{Leased, Wishes},
    },
};

/// How often the clocks are read: what happens between two readings must be one thing.
const NOTE_EVERY: Duration = Duration::from_millis(250);

/// A beat waits for others' no longer than this; the next one is due soon.
const LOCK_WAIT_MS: u32 = 1_500;

/// Its row, locked against being fenced, and the database's clock.
const STANDS: &str = "
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM node WHERE id = $1 AND NOT fenced FOR SHARE";

/// One beat at a time.
const ALONE: &str = "LOCK TABLE lease IN EXCLUSIVE MODE";

const MEMBERS: &str = "
    SELECT n.id, n.name, n.fenced, n.draining, (extract(epoch FROM b.until) * 1000)::bigint AS until, b.ahead_ms,
           b.limit_per_second_milli, b.limit_in_flight, b.per_second_milli, b.in_flight
    FROM node AS n JOIN beat AS b ON b.node = n.id";

const HOLDERS: &str = "SELECT name, node, reload FROM lease";

/// A silent one, unless it is just writing or beating. That it is silent is asked again under its lock.
const FENCE: &str = "
    UPDATE node SET fenced = true, since = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
    WHERE id IN (SELECT n.id FROM node AS n JOIN beat AS b ON b.node = n.id
                 WHERE n.id = $1 AND NOT n.fenced AND b.until < clock_timestamp() FOR UPDATE OF n SKIP LOCKED)";

const BEAT: &str = "
    UPDATE beat SET until = clock_timestamp() + $2 * interval '1 ms', at = clock_timestamp(), ahead_ms = $3,
        limit_per_second_milli = $4, limit_in_flight = $5, per_second_milli = $6, in_flight = $7, config_hash = $8
    WHERE node = $1 RETURNING (extract(epoch FROM at) * 1000)::bigint";

const TAKE: &str = "
    UPDATE lease SET node = $1, epoch = epoch + 1, free_since = NULL
    WHERE name IN (SELECT jsonb_array_elements_text($2::jsonb))";

const HAND_BACK: &str = "
    UPDATE lease SET node = NULL, free_since = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
    WHERE node = $1 AND name IN (SELECT jsonb_array_elements_text($2::jsonb))";

/// A node's row.
struct MemberRow(Member);

impl FromRow<'_, PgRow> for MemberRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        use sqlx::Row as _;
        let count = |column: &str| row.try_get(column).map(i64::unsigned_abs);
        let calls = |rate: &str, flight: &str| {
            Ok::<_, sqlx::Error>(Calls { per_second_milli: count(rate)?, in_flight: count(flight)? })
        };
        Ok(Self(Member {
            id: incarnation(row.try_get("id")?)?,
            name: row.try_get("name")?,
            is_fenced: row.try_get("fenced")?,
            is_draining: row.try_get("draining")?,
            until: Time::from_ms(row.try_get("until")?),
            ahead: Ahead(row.try_get("ahead_ms")?),
            limits: calls("limit_per_second_milli", "limit_in_flight")?,
            share: calls("per_second_milli", "in_flight")?,
        }))
    }
}

fn incarnation(id: &str) -> Result<Incarnation, sqlx::Error> {
    id.parse().map(Incarnation).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// Beats until another node has taken over.
pub(super) async fn run(address: ServerAddress, id: Incarnation, leased: Arc<Leased>) {
    let terms = address.node().terms;
    let mut wishes = leased.wishes();
    let mut node = Beating { address, id, leased: Arc::clone(&leased), connection: None };
    loop {
        let next = leased.reading().stopwatch + terms.beat_every();
        match node.beat().await {
            Ok(true) => {}
            Ok(false) => {
                tracing::error!(event = "db.fenced", "this daemon was silent for too long: others have taken over");
                leased.fence();
                return;
            }
            Err(error) => {
                node.connection = None;
                tracing::warn!(event = "db.beat", error = %error, "could not tell the database that this daemon lives");
            }
        }
        leased.count_beat();
        while leased.reading().stopwatch < next {
            leased.note();
            tokio::select! {
                () = tokio::time::sleep(NOTE_EVERY) => {}
                Ok(()) = wishes.changed() => break,
                () = leased.idle() => break,
            }
        }
    }
}

/// A node that beats, and the connection that it does it by.
struct Beating {
    address: ServerAddress,
    id: Incarnation,
    leased: Arc<Leased>,
    connection: Option<PgConnection>,
}

impl Beating {
    /// Whether it still stands; an error where nobody knows.
    async fn beat(&mut self) -> Result<bool, StoreError> {
        let done = tokio::time::timeout(BEAT_MAX, self.try_beat()).await;
        done.unwrap_or_else(|_| Err(StoreError::broken("a beat took longer than 2 s")))
    }

    async fn try_beat(&mut self) -> Result<bool, StoreError> {
        let Self { address, id, leased, connection } = self;
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(beating(address).await?),
        };
        let wishes = leased.wishes().borrow().clone();
        let beat = leased.tenure().beat(leased.reading());
        let name = id.0.to_string();
        sqlx::query("BEGIN").execute(&mut *connection).await?;
        let stands: Option<i64> = sqlx::query_scalar(STANDS).bind(&name).fetch_optional(&mut *connection).await?;
        let Some(now) = stands.map(Time::from_ms) else { return Ok(false) };
        let ahead = beat.ahead(leased.reading(), now);
        sqlx::query(ALONE).execute(&mut *connection).await?;
        let mut rows = Rows::read(connection).await?;
        leased.note_rereads(rows.rereads);
        let view = rows.view(now, ahead, wishes.limits, leased.busy());
        let silent = leased.tenure().whom_to_fence(&beat, &view, leased.reading());
        for id in silent {
            rows.fence(connection, id).await?;
        }
        let moves = {
            let view = rows.view(now, ahead, wishes.limits, leased.busy());
            let mut tenure = leased.tenure();
            let moves = tenure.moves(&view);
            tenure.let_go(&moves);
            moves
        };
        leased.tell(&moves);
        let lease_ms = i64::try_from(address.node().terms.lease().as_millis()).unwrap_or(i64::MAX);
        let at = write(connection, &name, lease_ms, &moves, &wishes, ahead).await?;
        // A transaction in which something was refused would be ended without an error.
        sqlx::raw_sql("SELECT 1; COMMIT").execute(&mut *connection).await?;
        leased.tenure().after(&beat, Outcome::Renewed { at, moves: &moves }, leased.reading());
        leased.tell(&moves);
        if !(moves.take.is_empty() && moves.hand_back.is_empty()) {
            tracing::info!(event = "db.leases", took = ?moves.take, gave = ?moves.hand_back, shards = moves.held.shards(), "leases changed hands");
        }
        Ok(true)
    }
}

/// A connection on which nobody is kept waiting.
async fn beating(address: &ServerAddress) -> Result<PgConnection, StoreError> {
    let mut connection = connect(address).await?;
    let idle = BEAT_IDLE_MAX.as_millis();
    let settings = format!("SET idle_in_transaction_session_timeout = {idle}; SET lock_timeout = {LOCK_WAIT_MS}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(settings)).execute(&mut connection).await?;
    Ok(connection)
}

/// What a beat finds.
struct Rows {
    members: Vec<Member>,
    holders: Holders,
    rereads: u64,
}

impl Rows {
    async fn read(connection: &mut PgConnection) -> Result<Self, StoreError> {
        let members: Vec<MemberRow> = sqlx::query_as(MEMBERS).fetch_all(&mut *connection).await?;
        let leases: Vec<(String, Option<String>, i64)> = sqlx::query_as(HOLDERS).fetch_all(connection).await?;
        let rereads = leases.iter().map(|(.., rereads)| rereads.unsigned_abs()).sum();
        let mut holders = Vec::with_capacity(leases.len());
        for (name, node, _) in leases {
            // A name that is no lease is nobody's.
            if let (Ok(lease), Some(node)) = (name.parse::<Lease>(), node) {
                holders.push((lease, incarnation(&node)?));
            }
        }
        let members = members.into_iter().map(|MemberRow(member)| member).collect();
        Ok(Self { members, holders: holders.into_iter().collect(), rereads })
    }

    const fn view(&self, now: Time, ahead: Ahead, limits: Calls, busy: Leases) -> View<'_> {
        View { now, ahead, members: self.members.as_slice(), holders: &self.holders, limits, busy }
    }

    async fn fence(&mut self, connection: &mut PgConnection, id: Incarnation) -> Result<(), StoreError> {
        let done = sqlx::query(FENCE).bind(id.0.to_string()).execute(connection).await?;
        if done.rows_affected() > 0
            && let Some(member) = self.members.iter_mut().find(|member| member.id == id)
        {
            member.is_fenced = true;
            tracing::warn!(event = "db.takeover", node = member.name, "a silent daemon was taken over");
        }
        Ok(())
    }
}

/// Writes the moves; answers the database's clock at this beat.
async fn write(
    connection: &mut PgConnection,
    me: &str,
    lease_ms: i64,
    moves: &Moves,
    wishes: &Wishes,
    Ahead(ahead): Ahead,
) -> Result<Time, StoreError> {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    for (statement, leases) in [(HAND_BACK, moves.hand_back), (TAKE, moves.take)] {
        if !leases.is_empty() {
            let names: Vec<String> = leases.iter().map(|lease| lease.to_string()).collect();
            let names = serde_json::Value::from(names).to_string();
            sqlx::query(statement).bind(me).bind(names).execute(&mut *connection).await?;
        }
    }
    let Wishes { limits, config_hash } = wishes;
    let at: i64 = sqlx::query_scalar(BEAT)
        .bind(me)
        .bind(lease_ms)
        .bind(ahead)
        .bind(count(limits.per_second_milli))
        .bind(count(limits.in_flight))
        .bind(count(moves.share.per_second_milli))
        .bind(count(moves.share.in_flight))
        .bind(config_hash)
        .fetch_one(connection)
        .await?;
    Ok(Time::from_ms(at))
}
