//! Events in the order of the commits, for whoever follows all of them: a page after a sequence, and how far back they are
//! all there.

use sqlx::FromRow;

use crate::{
    domain::time::Time,
    store::{Store, StoreError, decode, decode::Table, sql},
};

/// The table behind the view.
const EVENT: Table = Table { name: "log", key: &["seq"] };

/// An event as it is owed to the outside.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct LoggedEvent {
    /// Its place among all events.
    pub seq: i64,
    /// Its id: the same on every channel.
    pub id: String,
    /// Its type, such as `amplinkd.request.linked`.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// Events with the same key belong together.
    pub partition_key: String,
    /// When it happened, milliseconds UTC.
    pub at: i64,
    /// Its data: a JSON object as text.
    pub data: String,
}

/// Events after a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSlice {
    /// By their sequences; without rows that cannot be read.
    pub events: Vec<LoggedEvent>,
    /// The sequence of the last row, also of one that cannot be read; `None` when there is none.
    pub upto: Option<i64>,
    /// Whether there may be more.
    pub is_full: bool,
}

const EVENTS: &str = "
    SELECT o.seq, o.id, o.type AS kind, o.subject, o.partition_key, o.at, o.data
    FROM outbox AS o WHERE o.seq > $1 ORDER BY o.seq LIMIT $2";

// Also when the last rows were taken away: no sequence is given twice.
const NEWEST: &str = "SELECT coalesce((SELECT s.seq FROM sqlite_sequence AS s WHERE s.name = 'log'), 0)";
const NEWEST_AT_SERVER: &str = "SELECT l.seq FROM ledger AS l";

const FIRST_FROM: &str = "SELECT l.seq, l.at FROM log AS l WHERE l.seq >= $1 ORDER BY l.seq LIMIT 1";

impl Store {
    /// Events after this sequence, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read. A row that somebody made unreadable is left out, and told of.
    pub async fn events_after(&self, seq: i64, limit: u32) -> Result<EventSlice, StoreError> {
        let rows = sql::query(EVENTS).bind(seq).bind(limit).fetch_all(self.readers()).await?;
        let upto = rows.last().map(|row| row.get("seq")).transpose()?;
        Ok(EventSlice { events: decode::legible(&rows, EVENT), upto, is_full: rows.len() >= limit as usize })
    }

    /// The sequence of the last event; 0 before the first.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn newest_event(&self) -> Result<i64, StoreError> {
        let newest = self.readers().either(NEWEST, NEWEST_AT_SERVER);
        Ok(sql::query_scalar(newest).fetch_one(self.readers()).await?)
    }

    /// The sequence of the first event from this one on; `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn first_event_from(&self, seq: i64) -> Result<Option<i64>, StoreError> {
        Ok(self.first_row_from(seq).await?.map(|(seq, _)| seq))
    }

    /// The sequence of the first event that happened at this moment or later, or the one that the next event gets. Sequences
    /// have the order of time, so that a few rows tell.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn first_event_since(&self, since: Time) -> Result<i64, StoreError> {
        let end = self.newest_event().await? + 1;
        let (mut low, mut high) = (1, end);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.first_row_from(middle).await? {
                Some((seq, at)) if at < since.ms() => low = seq + 1,
                Some(_) | None => high = middle,
            }
        }
        Ok(self.first_event_from(low).await?.unwrap_or(end))
    }

    async fn first_row_from(&self, seq: i64) -> Result<Option<(i64, i64)>, StoreError> {
        Ok(sql::query_as(FIRST_FROM).bind(seq).fetch_optional(self.readers()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role};

    /// Writes a message with this sequence and moment.
    const MESSAGE: &str = "
        INSERT INTO log (seq, at, id, type, subject, partition_key, data) VALUES ($1, $2, $1, 't', 's', 'k', '{}')";

    async fn with(messages: &[(i64, i64)]) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::file(folder.path().join("a.db"), 0o600), Role::Tool).await.unwrap();
        for (seq, at) in messages {
            sqlx::query(MESSAGE).bind(seq).bind(at).execute(&mut other(&folder).await).await.unwrap();
        }
        (folder, store)
    }

    async fn other(folder: &tempfile::TempDir) -> sqlx::SqliteConnection {
        use sqlx::ConnectOptions as _;
        sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("a.db")).connect().await.unwrap()
    }

    #[tokio::test]
    async fn the_oldest_event_of_a_time_is_found_also_beside_gaps() {
        let (_folder, store) = with(&[]).await;
        assert_eq!(
            (store.newest_event().await.unwrap(), store.first_event_since(Time::from_ms(0)).await.unwrap()),
            (0, 1)
        );
        let (folder, store) = with(&[(1, 10), (4, 20), (5, 30), (9, 40)]).await;
        for (since, seq) in [(0, 1), (10, 1), (11, 4), (20, 4), (25, 5), (31, 9), (41, 10)] {
            assert_eq!(store.first_event_since(Time::from_ms(since)).await.unwrap(), seq, "{since}");
        }
        let page = store.events_after(1, 2).await.unwrap();
        assert_eq!((page.upto, page.is_full, page.events.len()), (Some(5), true, 2));
        let page = store.events_after(5, 2).await.unwrap();
        assert_eq!((page.upto, page.is_full, page.events[0].seq), (Some(9), false, 9));
        sqlx::query("DELETE FROM log WHERE seq = 9").execute(&mut other(&folder).await).await.unwrap();
        assert_eq!(store.newest_event().await.unwrap(), 9, "no sequence is given twice");
        assert_eq!(store.first_event_from(6).await.unwrap(), None);
    }
}
