//! Nudges: what is known when one is made, and the row with the message it owes. Of a request that has
//! moved on none is written.

use std::{collections::HashMap, time::Duration};

use serde::Serialize;
use sqlx::FromRow;

use super::{
    action::{self, Action},
    record::{self, Event},
    writer::WriteCommand,
};
use crate::{
    domain::{
        action::{ActionKind, By},
        alert_rules::Reading,
        event::{EventType, Reminder},
        time::Time,
    },
    store::{
        Store, StoreError, bulk,
        decode::{self, Table},
        read::alert_rules::ReadingColumns,
        row_id::new_id,
        sql::{self, Flag, Tx},
        tables::REQUEST,
    },
};

/// A nudge to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNudge {
    /// The request, once in a batch.
    pub request_id: String,
    /// Its account.
    pub account: String,
    /// Its program.
    pub program: String,
    /// The state in which it was read, and since when it stood there: in another one nothing is written.
    pub state: &'static str,
    /// See `state`.
    pub since: Time,
    /// The stage's word.
    pub stage: &'static str,
    /// The language's word.
    pub language: &'static str,
    /// Where it is sent; none when it is only printed.
    pub channel: Option<String>,
    /// One line for whoever passes the words on.
    pub title: String,
    /// The words.
    pub text: String,
}

/// What became of a nudge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nudged {
    /// It is on disk under this id, and so is the message it owes.
    Written(String),
    /// The request has moved on: nothing was written.
    Moved,
    /// Somebody else nudged at this moment: nothing was written.
    TooSoon(Time),
    /// The account's list has become unreadable: nothing was written.
    Unread,
}

/// When and how nudges are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occasion {
    /// The moment.
    pub now: Time,
    /// What must lie between two nudges of a request; zero for nothing.
    pub min_interval: Duration,
    /// Within how long an approval counts as the effect.
    pub effect_within: Duration,
}

/// What is known of a request besides itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromRow)]
pub struct Background {
    /// The request.
    pub request_id: String,
    /// When it was last nudged, milliseconds UTC.
    pub last: Option<i64>,
    /// The account's name, when any listing showed it.
    pub account_name: Option<String>,
    /// The program's name, when any listing showed it.
    pub program_name: Option<String>,
    #[sqlx(flatten)]
    reading: ReadingColumns,
}

impl Background {
    /// Whether the account's list is read.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.reading.reading()
    }
}

/// What belongs to a request, by its id.
const OF_REQUEST: Table = Table { name: "request", key: &["request_id"] };

// The account's own list names the program best; any other will do. An official account may stand in a list, too.
const BACKGROUND: &str = "
    SELECT r.id AS request_id, (SELECT max(n.at) FROM nudge AS n WHERE n.request_id = r.id) AS last,
           (SELECT p.nickname FROM program AS p INDEXED BY program_by_program
            WHERE p.program = r.account AND p.nickname <> '' LIMIT 1) AS account_name,
           coalesce(
               (SELECT p.nickname FROM program AS p
                WHERE p.account = r.account AND (p.program = r.program OR p.username = r.username) AND p.nickname <> ''
                ORDER BY p.gone_at IS NOT NULL, p.status_since DESC LIMIT 1),
               (SELECT p.nickname FROM program AS p INDEXED BY program_by_program
                WHERE p.program = r.program AND p.nickname <> '' LIMIT 1)) AS program_name,
           a.suspended_by, a.since, a.unread_since, a.checked_at,
           (SELECT g.since FROM alert AS g INDEXED BY alert_one_open
            WHERE g.key = 'ip_not_allowed/all' AND g.resolved_at IS NULL) AS shut_out_since
    FROM json_each($1) AS j
    CROSS JOIN request AS r ON r.id = j.value
    CROSS JOIN account AS a ON a.account = r.account";

const STANDING: &str = "
    SELECT r.id, r.state, r.since, r.last_seq, (SELECT max(n.at) FROM nudge AS n WHERE n.request_id = r.id) AS last,
           a.unread_since IS NULL AND a.suspended_by IS NULL AS is_read
    FROM json_each($1) AS j
    CROSS JOIN request AS r ON r.id = j.value
    CROSS JOIN account AS a ON a.account = r.account";

const INSERT: &str = "
    INSERT INTO nudge (id, request_id, stage, seq, language, channel, text, at, effect_ms)
    SELECT j.value ->> 'id', j.value ->> 'request_id', j.value ->> 'stage', j.value ->> 'seq', j.value ->> 'language',
           j.value ->> 'channel', j.value ->> 'text', j.value ->> 'at', j.value ->> 'effect_ms'
    FROM jsonb_each($1) AS j";

const DELIVER: &str = "
    INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, created_at, next_at)
    SELECT j.value ->> 'id', l.id, l.seq, l.partition_key, j.value ->> 'channel', 'pending', l.at, l.at
    FROM jsonb_each($1) AS j
    CROSS JOIN log AS l ON l.seq = (SELECT max(m.seq) FROM log AS m) - json_array_length($1) + 1 + j.key
                        AND l.id = j.value ->> 'event_id'";

#[derive(Debug, FromRow)]
struct Standing {
    id: String,
    state: String,
    since: i64,
    last_seq: i64,
    last: Option<i64>,
    #[sqlx(try_from = "Flag")]
    is_read: bool,
}

#[derive(Debug, Serialize)]
struct Row<'n> {
    id: String,
    request_id: &'n str,
    stage: &'n str,
    seq: i64,
    language: &'n str,
    channel: Option<&'n str>,
    text: &'n str,
    at: i64,
    effect_ms: u64,
}

#[derive(Debug, Serialize)]
struct Delivery<'n> {
    id: String,
    event_id: String,
    channel: &'n str,
}

impl Store {
    /// What is known of these requests besides themselves.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn nudge_background(&self, ids: &[&str]) -> Result<HashMap<String, Background>, StoreError> {
        let rows = sql::query(BACKGROUND).bind(bulk::json(ids)).fetch_all(self.readers()).await?;
        let rows = decode::legible::<Background>(&rows, OF_REQUEST).into_iter();
        Ok(rows.map(|row| (row.request_id.clone(), row)).collect())
    }

    /// Writes nudges with the messages they owe, and answers each in its order.
    ///
    /// # Errors
    /// [`StoreError`]: none was written.
    pub async fn nudge(&self, new: Vec<NewNudge>, occasion: Occasion, by: By) -> Result<Vec<Nudged>, StoreError> {
        self.writer.write(Nudge { new, occasion, by }).await
    }
}

/// Writes the nudges that may still be made.
#[derive(Debug)]
struct Nudge {
    new: Vec<NewNudge>,
    occasion: Occasion,
    by: By,
}

impl WriteCommand for Nudge {
    type Answer = Vec<Nudged>;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<Vec<Nudged>, StoreError> {
        let ids: Vec<&str> = self.new.iter().map(|nudge| nudge.request_id.as_str()).collect();
        let standing = sql::query(STANDING).bind(bulk::json(&ids)).fetch_all(&mut *tx).await?;
        // A request whose row is not legal is not nudged about: nobody knows where it stands, or when it last was.
        let standing = decode::legible::<Standing>(&standing, REQUEST).into_iter();
        let mut standing: HashMap<String, Standing> = standing.map(|row| (row.id.clone(), row)).collect();
        let (mut rows, mut events, mut deliveries, mut replies) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for nudge in &self.new {
            // Taken out, so that a second nudge of the same request finds it moved.
            let stands = standing.remove(&nudge.request_id);
            let Some(stands) = stands.filter(|row| row.state == nudge.state && row.since == nudge.since.ms()) else {
                replies.push(Nudged::Moved);
                continue;
            };
            if let Some(last) = stands.last.map(Time::from_ms).filter(|last| self.occasion.is_too_soon(*last)) {
                replies.push(Nudged::TooSoon(last));
                continue;
            }
            if !stands.is_read {
                replies.push(Nudged::Unread);
                continue;
            }
            let row = nudge.row(stands.last_seq, self.occasion);
            replies.push(Nudged::Written(row.id.clone()));
            rows.push(row);
            if let Some(channel) = &nudge.channel {
                let event = nudge.event(self.occasion.now);
                deliveries.push(Delivery { id: new_id(self.occasion.now), event_id: event.id.clone(), channel });
                events.push(event);
            }
        }
        bulk::execute(tx, INSERT, &rows).await?;
        record::add_events(tx, &events).await?;
        bulk::execute(tx, DELIVER, &deliveries).await?;
        let nudged: Vec<&str> = rows.iter().map(|row| row.request_id).collect();
        action::add(tx, &Action::of_each(ActionKind::Nudge, &nudged, &self.by, self.occasion.now)).await?;
        Ok(replies)
    }
}

impl Occasion {
    fn is_too_soon(&self, last: Time) -> bool {
        self.now.since(last) < self.min_interval
    }
}

impl NewNudge {
    fn row(&self, seq: i64, occasion: Occasion) -> Row<'_> {
        Row {
            id: new_id(occasion.now),
            request_id: &self.request_id,
            stage: self.stage,
            seq,
            language: self.language,
            channel: self.channel.as_deref(),
            text: &self.text,
            at: occasion.now.ms(),
            effect_ms: u64::try_from(occasion.effect_within.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The message for the channel.
    fn event(&self, now: Time) -> Event {
        let Self { request_id, account, program, stage, language, title, text, .. } = self;
        let reminder = Reminder { request: request_id, account, program, stage, language, title, text };
        Event::of_request(EventType::Nudge, request_id, now, reminder.to_json())
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

    use super::*;
    use crate::store::{Location, Role};

    const WAITS: &str = "
        INSERT INTO account (account, state, since) VALUES ('wxa', 'active', 0);
        INSERT INTO request (id, kind, account, program, notify_users, show_profile, state, outcome_unknown, since,
                             requested_at, attempt, baseline_rejected, labels, version, last_seq, chain)
        SELECT j.value, 'link', 'wxa', 'wxp' || j.value, 0, 0, 'awaiting_account_admin', 0, 5, 5, 1, 0, '{}', 0, 4,
               zeroblob(32)
        FROM json_each('[\"r1\", \"r2\"]') AS j";

    async fn lived() -> (tempfile::TempDir, Store, SqliteConnection) {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::file(folder.path().join("a.db"), 0o600);
        let store = Store::open(&location, Role::Tool).await.unwrap();
        let options = SqliteConnectOptions::new().filename(location.path().unwrap());
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(WAITS).execute(&mut connection).await.unwrap();
        (folder, store, connection)
    }

    fn of(request: &str) -> NewNudge {
        NewNudge {
            request_id: request.to_owned(),
            account: "wxa".to_owned(),
            program: "wxp".to_owned(),
            state: "awaiting_account_admin",
            since: Time::from_ms(5),
            stage: "account_admin",
            language: "en",
            channel: Some("chat".to_owned()),
            title: "title".to_owned(),
            text: "words".to_owned(),
        }
    }

    const DAY: Duration = Duration::from_hours(24);

    fn at(now: i64) -> Occasion {
        Occasion { now: Time::from_ms(now), min_interval: DAY, effect_within: DAY }
    }

    async fn owed(connection: &mut SqliteConnection) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM nudge JOIN outbox ON subject = request_id JOIN delivery ON event_id = outbox.id",
        )
        .fetch_one(connection)
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn of_two_people_at_once_only_one_nudges() {
        let (_folder, store, mut connection) = lived().await;
        let (first, second) = tokio::join!(
            store.nudge(vec![of("r1")], at(100), By::simulated()),
            store.nudge(vec![of("r1"), of("r2")], at(101), By::simulated())
        );
        assert!(matches!(first.unwrap()[..], [Nudged::Written(_)]));
        assert!(
            matches!(second.unwrap()[..], [Nudged::TooSoon(last), Nudged::Written(_)] if last == Time::from_ms(100))
        );
        assert_eq!(owed(&mut connection).await, 2);
        let much_later = 100 + i64::try_from(DAY.as_millis()).unwrap();
        assert!(matches!(
            store.nudge(vec![of("r1")], at(much_later), By::simulated()).await.unwrap()[..],
            [Nudged::Written(_)]
        ));
    }

    #[tokio::test]
    async fn nobody_is_nudged_by_a_list_that_has_just_become_unreadable() {
        let (_folder, store, mut connection) = lived().await;
        for set in ["unread_since = 7", "unread_since = NULL, state = 'suspended', suspended_by = 'operator'"] {
            let sql = sqlx::AssertSqlSafe(format!("UPDATE account SET {set}"));
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            assert_eq!(store.nudge(vec![of("r1")], at(100), By::simulated()).await.unwrap(), [Nudged::Unread], "{set}");
        }
        assert_eq!(owed(&mut connection).await, 0);
    }

    #[tokio::test]
    async fn whoever_has_answered_meanwhile_is_left_alone() {
        let (_folder, store, mut connection) = lived().await;
        sqlx::raw_sql("UPDATE request SET state = 'awaiting_program_admin', since = 9 WHERE id = 'r1'")
            .execute(&mut connection)
            .await
            .unwrap();
        let nudged =
            store.nudge(vec![of("r1"), of("nobody"), of("r2"), of("r2")], at(100), By::simulated()).await.unwrap();
        assert!(matches!(nudged[..], [Nudged::Moved, Nudged::Moved, Nudged::Written(_), Nudged::Moved]), "{nudged:?}");
        assert_eq!(owed(&mut connection).await, 1);
    }
}
