//! The figures of the daily digest. It reads no finished requests and no events before the day, so its cost is that of
//! the open ones.

use sqlx::FromRow;

use crate::{
    domain::{
        alert_rules::Stage,
        digest::{AGES, Count, Digest, Waiting},
        time::Time,
    },
    store::{
        Store, StoreError,
        decode::{self, Table},
        sql::{self, Flag, Row},
    },
};

/// Milliseconds of one day.
const DAY_MS: i64 = 86_400_000;

// A link that is no more has vanished, which is a conflict, or was unlinked as another request had asked. (A text that is no
// JSON would fail the whole statement.)
const NEWS: &str = "
    SELECT n.word, count(*) AS count
    FROM (SELECT CASE l.to_state WHEN 6 THEN 'linked' WHEN 7 THEN 'rejected' WHEN 8 THEN 'failed' WHEN 9 THEN 'lapsed'
                                 WHEN 10 THEN 'cancelled' WHEN 11 THEN 'unlinked' END AS word
          FROM log AS l INDEXED BY log_ended CROSS JOIN request AS r ON r.row = l.request
          WHERE l.to_state >= 6 AND l.at >= $1 AND (l.to_state <> 11 OR r.kind = 'unlink')
          UNION ALL
          SELECT 'vanished'
          FROM log AS m INDEXED BY log_messages
          WHERE m.data IS NOT NULL AND m.at >= $1 AND m.type = 'amplinkd.conflict.opened'
            AND CASE WHEN json_valid(m.data) THEN m.data ->> 'kind' END = 'vanished') AS n
    GROUP BY n.word ORDER BY count DESC, n.word";

// Of requests whose last step it was: what has moved on is listed elsewhere.
const ENDED: &str = "
    SELECT r.state AS word, count(*) AS count
    FROM log AS l INDEXED BY log_ended CROSS JOIN request AS r ON r.row = l.request
    WHERE l.to_state >= 6 AND l.at >= $1 AND l.step = r.last_seq AND r.since >= $1
      AND (r.state <> 'unlinked' OR r.kind = 'unlink')
    GROUP BY r.state ORDER BY count DESC, word";

const WAITING: &str = "
    SELECT r.state, r.kind, a.unread_since IS NOT NULL OR a.suspended_by IS NOT NULL AS is_unread, count(*) FILTER (WHERE r.since > $1) AS first,
           count(*) FILTER (WHERE r.since <= $1 AND r.since > $2) AS second,
           count(*) FILTER (WHERE r.since <= $2 AND r.since > $3) AS third,
           count(*) FILTER (WHERE r.since <= $3) AS fourth
    FROM request AS r INDEXED BY request_by_state
    CROSS JOIN account AS a ON a.account = r.account
    WHERE r.state IN ('initiated', 'awaiting_account_admin', 'awaiting_program_admin')
    GROUP BY r.state, r.kind, is_unread";

const DEFERRED: &str = "SELECT count(*) FROM request INDEXED BY request_by_state WHERE state = 'deferred'";

const STUCK: &str = "SELECT count(*) FROM alert INDEXED BY alert_by_rule WHERE rule = 'stuck' AND resolved_at IS NULL";

const GATES: &str = "
    SELECT g.kind AS word, count(*) AS count FROM gate AS g WHERE g.until > $1
    GROUP BY g.kind ORDER BY count DESC, word";

const CONFLICTS: &str = "
    SELECT c.kind AS word, count(*) AS count FROM conflict AS c INDEXED BY conflict_open WHERE c.resolved_at IS NULL
    GROUP BY c.kind ORDER BY count DESC, word";

const FIRING: &str = "
    SELECT l.rule AS word, count(*) AS count FROM alert AS l INDEXED BY alert_by_state WHERE l.state = 'firing'
    GROUP BY l.rule ORDER BY count DESC, word";

const DEAD: &str = "SELECT count(*) FROM delivery INDEXED BY delivery_dead WHERE state = 'dead'";

/// Rows that share a word. One whose word is none is left out of the figures, and told of.
const FIGURE: Table = Table { name: "digest", key: &["word"] };

/// Requests that share a stage.
const STAGE: Table = Table { name: "request", key: &["state", "kind"] };

#[derive(Debug, FromRow)]
struct WordRow {
    word: String,
    count: i64,
}

#[derive(Debug, FromRow)]
struct WaitingRow {
    state: String,
    kind: String,
    #[sqlx(try_from = "Flag")]
    is_unread: bool,
    first: i64,
    second: i64,
    third: i64,
    fourth: i64,
}

fn counts(rows: &[Row]) -> Vec<Count> {
    let rows = decode::legible::<WordRow>(rows, FIGURE).into_iter();
    rows.map(|row| Count { word: row.word, count: whole(row.count) }).collect()
}

impl Store {
    /// The figures since a moment, which is at most thirty days ago: older events are gone.
    pub async fn digest(&self, since: Time, now: Time) -> Result<Digest, StoreError> {
        let mut ended = self.words_since(NEWS, since).await?;
        let (waiting, unread) = self.waiting(now).await?;
        let vanished = ended.iter().position(|count| count.word == "vanished").map(|at| ended.remove(at).count);
        Ok(Digest {
            since,
            at: now,
            ended,
            vanished: vanished.unwrap_or(0),
            waiting,
            unread,
            stuck: self.number(STUCK).await?,
            deferred: self.number(DEFERRED).await?,
            gates: self.words_since(GATES, now).await?,
            conflicts: self.words(CONFLICTS).await?,
            firing: self.words(FIRING).await?,
            dead: self.number(DEAD).await?,
        })
    }

    /// How many requests came to an end since then and still stand there, by the word of their end. Links that are no more are
    /// not among them.
    pub async fn ended_since(&self, since: Time) -> Result<Vec<Count>, StoreError> {
        self.words_since(ENDED, since).await
    }

    async fn words(&self, sql: &'static str) -> Result<Vec<Count>, StoreError> {
        Ok(counts(&sql::query(sql).fetch_all(self.readers()).await?))
    }

    async fn words_since(&self, sql: &'static str, moment: Time) -> Result<Vec<Count>, StoreError> {
        Ok(counts(&sql::query(sql).bind(moment.ms()).fetch_all(self.readers()).await?))
    }

    async fn number(&self, sql: &'static str) -> Result<u64, StoreError> {
        Ok(whole(sql::query_scalar(sql).fetch_one(self.readers()).await?))
    }

    /// Who waits for whom, and how many wait by a list that is not read.
    async fn waiting(&self, now: Time) -> Result<(Vec<Waiting>, u64), StoreError> {
        let mut query = sql::query(WAITING);
        for days in AGES.iter().filter_map(|(days, ..)| *days) {
            query = query.bind(now.ms() - i64::from(days) * DAY_MS);
        }
        let rows = decode::legible::<WaitingRow>(&query.fetch_all(self.readers()).await?, STAGE);
        let of = |stage: Stage| {
            let row = rows.iter().find(|row| !row.is_unread && row.stage() == Some(stage))?;
            Some(Waiting { stage, by_age: row.by_age().map(whole) })
        };
        let unread = rows.iter().filter(|row| row.is_unread).flat_map(WaitingRow::by_age).map(whole).sum();
        Ok((Stage::ALL.into_iter().filter_map(of).collect(), unread))
    }
}

impl WaitingRow {
    const fn by_age(&self) -> [i64; AGES.len()] {
        [self.first, self.second, self.third, self.fourth]
    }

    fn stage(&self) -> Option<Stage> {
        match (self.state.as_str(), self.kind.as_str()) {
            ("initiated", "link") => Some(Stage::Initiated),
            ("initiated", "unlink") => Some(Stage::Unlink),
            ("awaiting_account_admin", _) => Some(Stage::AccountAdmin),
            ("awaiting_program_admin", _) => Some(Stage::ProgramAdmin),
            _ => None,
        }
    }
}

fn whole(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role};

    #[tokio::test]
    async fn no_count_reads_a_whole_table_that_grows() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::file(folder.path().join("a.db"), 0o600);
        let store = Store::open(&location, Role::Tool).await.unwrap();
        for sql in [NEWS, ENDED, WAITING, DEFERRED, STUCK, CONFLICTS, FIRING, DEAD] {
            let plan = format!("EXPLAIN QUERY PLAN {sql}");
            let plan: Vec<(i64, i64, i64, String)> = sql::query_as(plan).fetch_all(store.readers()).await.unwrap();
            // These two indexes hold nothing but what is counted, and `n` is what two others found.
            let is_narrow =
                |step: &str| ["conflict_open", "delivery_dead", "SCAN n"].iter().any(|one| step.contains(one));
            let whole = plan.iter().any(|(.., step)| step.starts_with("SCAN") && !is_narrow(step));
            assert!(!whole, "{sql}: {plan:#?}");
        }
        let quiet = store.digest(Time::from_ms(0), Time::from_ms(DAY_MS)).await.unwrap();
        assert_eq!(quiet, Digest { at: Time::from_ms(DAY_MS), ..Digest::default() });
    }
}
