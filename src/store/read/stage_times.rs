//! How long settled requests spent in each stage, from their recorded steps, newest first, up to a limit.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};
use sqlx::FromRow;

use super::request_page::{self, RequestFilter};
use crate::{
    domain::{
        alert_rules::{RIPE_AFTER, Stage},
        distribution::Distribution,
        stage_durations::{Ended, Measured, life_ended, stage_ended},
        time::Time,
    },
    store::{
        Store, StoreError, bulk,
        sql::{self, JsonText, QueryBuilder},
    },
};

/// Settled requests that are looked at for one report, the newest: a second's work, however many there are.
pub const REPORT_REQUESTS: usize = 20_000;

/// The same for learning when an approval is late: a 95th percentile of as many hardly moves with more.
pub const LEARN_REQUESTS: usize = 10_000;

/// Requests in one read: a read transaction must stay short, or the log cannot be folded into the file.
const PAGE: usize = 1_000;

const SETTLED: &str = "
    SELECT id, kind, account, requested_at, labels
    FROM request WHERE 1 = 1";

// Each move that may end something, beside the one before it: both are found by the key.
const MOVES: &str = "
    SELECT j.key AS place, m.from_state, m.to_state, m.cause, m.at, b.at AS entered_at
    FROM json_each($1) AS j
    CROSS JOIN transition AS m ON m.request_id = j.value
    CROSS JOIN transition AS b ON b.request_id = m.request_id AND b.seq = m.seq - 1
    WHERE m.from_state IN ('initiated', 'awaiting_account_admin', 'awaiting_program_admin')
       OR m.to_state IN ('linked', 'unlinked', 'rejected', 'failed', 'lapsed', 'cancelled')";

/// Which requests are measured. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// Only this account's.
    pub account: Option<String>,
    /// Only those with these labels.
    pub labels: Vec<(String, String)>,
    /// Only those that were asked from then on.
    pub since: Option<Time>,
    /// Only those that were asked before then, and of these only stages that were entered before then.
    pub until: Option<Time>,
    /// What is measured apart from each other.
    pub by: By,
    /// At most so many.
    pub limit: usize,
}

/// What is measured apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum By {
    /// Everything together.
    #[default]
    Nothing,
    /// Each account.
    Account,
    /// Each value of the label with this name.
    Label(String),
}

/// What was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// How many settled requests were looked at.
    pub requests: usize,
    /// Whether there are older ones that were not.
    pub is_cut: bool,
    /// The account or the label's value, none for everything and for those without the label; and its figures.
    pub groups: BTreeMap<Option<String>, BTreeMap<&'static str, Tally>>,
}

/// One stage of one group; [`Measured::as_str`] names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How long whoever was waited for took.
    pub took: Distribution,
    /// How many ended otherwise.
    pub otherwise: usize,
}

/// What the past teaches of one stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lesson {
    /// The stage.
    pub stage: Stage,
    /// Approvals behind it.
    pub count: u64,
    /// What 95 of 100 of them did not exceed; zero without any.
    pub p95: Duration,
}

#[derive(Debug, FromRow)]
struct Settled {
    id: String,
    kind: String,
    account: String,
    requested_at: i64,
    #[sqlx(try_from = "JsonText")]
    labels: Map<String, Value>,
}

#[derive(Debug, FromRow)]
struct Move {
    place: i64,
    from_state: String,
    to_state: String,
    cause: String,
    at: i64,
    entered_at: i64,
}

/// Durations as they are gathered.
type Gathered = BTreeMap<Option<String>, BTreeMap<&'static str, (Vec<Duration>, usize)>>;

impl Store {
    /// How long the newest settled requests spent in each stage.
    pub async fn stage_times(&self, sample: &Sample) -> Result<StageTimes, StoreError> {
        let mut filter = RequestFilter {
            account: sample.account.clone(),
            labels: sample.labels.clone(),
            open: Some(false),
            after: sample.until.map(first_id),
            ..RequestFilter::default()
        };
        let since = sample.since.map_or(i64::MIN, Time::ms);
        let (mut requests, mut is_cut, mut gathered) = (0, false, Gathered::new());
        loop {
            let wanted = PAGE.min(sample.limit - requests);
            if wanted == 0 {
                is_cut = self.settled(&filter, 1).await?.iter().any(|one| one.requested_at >= since);
                break;
            }
            let page = self.settled(&filter, wanted).await?;
            let Some(last) = page.last() else { break };
            filter.after = Some(last.id.clone());
            let page: Vec<Settled> = page.into_iter().filter(|one| one.requested_at >= since).collect();
            // Ids sort by the time of asking, so that all further ones are older still.
            if page.is_empty() {
                break;
            }
            requests += page.len();
            self.measure(&page, sample, &mut gathered).await?;
        }
        Ok(StageTimes { requests, is_cut, groups: spread(gathered) })
    }

    /// What settled requests teach of each stage: the newest of those that were asked long enough ago.
    pub async fn learned_thresholds(&self, now: Time) -> Result<[Lesson; Stage::ALL.len()], StoreError> {
        let sample = Sample { until: Some(now - RIPE_AFTER), limit: LEARN_REQUESTS, ..Sample::default() };
        let times = self.stage_times(&sample).await?;
        let all = times.groups.get(&None);
        Ok(Stage::ALL.map(|stage| {
            let took = all.and_then(|stages| stages.get(stage.as_str())).map(|tally| &tally.took);
            let count = took.map_or(0, |took| took.count() as u64);
            Lesson { stage, count, p95: took.and_then(|took| took.percentile(95)).unwrap_or_default() }
        }))
    }

    async fn settled(&self, filter: &RequestFilter, limit: usize) -> Result<Vec<Settled>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(SETTLED);
        request_page::push(&mut query, filter, None, u32::try_from(limit).unwrap_or(u32::MAX));
        Ok(query.build_query_as().fetch_all(self.readers()).await?)
    }

    async fn measure(&self, page: &[Settled], sample: &Sample, gathered: &mut Gathered) -> Result<(), StoreError> {
        let until = sample.until.map_or(i64::MAX, Time::ms);
        let ids: Vec<&str> = page.iter().map(|request| request.id.as_str()).collect();
        let moves: Vec<Move> = sql::query_as(MOVES).bind(bulk::json(&ids)).fetch_all(self.readers()).await?;
        for one in moves.iter().filter(|one| one.entered_at < until) {
            let Some(request) = usize::try_from(one.place).ok().and_then(|place| page.get(place)) else { continue };
            for (stretch, how, took) in ended(request, one) {
                let stages = gathered.entry(sample.by.group(&request.account, &request.labels)).or_default();
                let (all, otherwise) = stages.entry(stretch.as_str()).or_default();
                match how {
                    Ended::Forward => all.push(took),
                    Ended::Otherwise => *otherwise += 1,
                }
            }
        }
        Ok(())
    }
}

impl By {
    /// The group of a request of this account with these labels.
    pub(in crate::store) fn group(&self, account: &str, labels: &Map<String, Value>) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Account => Some(account.to_owned()),
            Self::Label(name) => labels.get(name).and_then(Value::as_str).map(str::to_owned),
        }
    }
}

/// What no request has that was asked at this moment, and every later one comes after: ids are `UUIDv7`.
pub(in crate::store) fn first_id(at: Time) -> String {
    let ms = at.ms().max(0);
    format!("{:08x}-{:04x}-7000-8000-000000000000", ms >> 16, ms & 0xffff)
}

/// What a move ends, how, and how long that had lasted.
fn ended(request: &Settled, one: &Move) -> impl Iterator<Item = (Measured, Ended, Duration)> {
    let lasted = |from: i64| Time::from_ms(one.at).since(Time::from_ms(from));
    let stage = stage_ended(&request.kind, &one.from_state, &one.to_state)
        .map(|(stage, how)| (Measured::Stage(stage), how, lasted(one.entered_at)));
    let life = life_ended(&request.kind, &one.from_state, &one.cause, &one.to_state)
        .map(|how| (Measured::Total, how, lasted(request.requested_at)));
    stage.into_iter().chain(life)
}

fn spread(gathered: Gathered) -> BTreeMap<Option<String>, BTreeMap<&'static str, Tally>> {
    let tally = |(took, otherwise)| Tally { took: Distribution::of(took), otherwise };
    let group = |stages: BTreeMap<&'static str, _>| stages.into_iter().map(|(name, one)| (name, tally(one))).collect();
    gathered.into_iter().map(|(name, stages)| (name, group(stages))).collect()
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

    use super::*;
    use crate::store::{Location, Role};

    /// An hour.
    const H: i64 = 3_600_000;

    /// Ten links of two accounts that both administrators approved in 1 h and in `n` h, one that the account's did not,
    /// one that waits, one that was there before, one unlink.
    const LIVES: &str = "
        INSERT INTO account (account, state, since) VALUES ('wxa', 'active', 0), ('wxb', 'active', 0);
        WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 14)
        INSERT INTO request (id, kind, account, program, notify_users, show_profile, state, outcome_unknown, since,
                             requested_at, finished_at, attempt, baseline_rejected, labels, version, last_seq, chain)
        SELECT printf('00000000-%04x-7000-8000-%012x', n * 1000, n), CASE n WHEN 14 THEN 'unlink' ELSE 'link' END,
               CASE n % 2 WHEN 0 THEN 'wxa' ELSE 'wxb' END, 'wxp' || n, 0, 0,
               CASE n WHEN 11 THEN 'lapsed' WHEN 12 THEN 'awaiting_account_admin' WHEN 14 THEN 'unlinked' ELSE 'linked' END,
               0, 0, n * 1000, CASE n WHEN 12 THEN NULL ELSE 0 END, n, 0,
               CASE WHEN n > 5 THEN '{\"shop\":\"12\"}' ELSE '{}' END, 0, 1, zeroblob(32)
        FROM c;
        INSERT INTO request_label (name, value, request_id)
        SELECT 'shop', '12', id FROM request WHERE labels <> '{}';
        INSERT INTO log (request, step, from_state, to_state, at, cause, hash)
        SELECT row, 1, NULL, 0, requested_at, 0, zeroblob(32) FROM request
        UNION ALL SELECT row, 2, 0, CASE attempt WHEN 13 THEN 6 ELSE 2 END, requested_at,
                         1, zeroblob(32) FROM request
        UNION ALL SELECT row, 3, 2, CASE attempt WHEN 14 THEN 11 ELSE 3 END,
                         requested_at, 1, zeroblob(32) FROM request WHERE attempt <> 13
        UNION ALL SELECT row, 4, 3,
                         CASE attempt WHEN 11 THEN 9 ELSE 4 END, requested_at + 3600000,
                         1, zeroblob(32) FROM request WHERE attempt < 12
        UNION ALL SELECT row, 5, 4, 6, requested_at + 3600000 * (attempt + 1), 1,
                         zeroblob(32) FROM request WHERE attempt < 11";

    async fn lived() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::file(folder.path().join("a.db"), 0o600);
        let store = Store::open(&location, Role::Tool).await.unwrap();
        let options = SqliteConnectOptions::new().filename(location.path().unwrap());
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(LIVES).execute(&mut connection).await.unwrap();
        (folder, store)
    }

    fn figures(times: &StageTimes, group: Option<&str>, stage: &str) -> (usize, i64, usize) {
        let Some(tally) = times.groups.get(&group.map(str::to_owned)).and_then(|stages| stages.get(stage)) else {
            return (0, 0, 0);
        };
        let median = tally.took.median().unwrap_or_default();
        (tally.took.count(), i64::try_from(median.as_millis()).unwrap() / H, tally.otherwise)
    }

    #[tokio::test]
    async fn only_what_somebody_approved_is_measured() {
        let (_folder, store) = lived().await;
        let all = Sample { limit: 100, ..Sample::default() };
        let times = store.stage_times(&all).await.unwrap();
        assert_eq!((times.requests, times.is_cut), (13, false));
        let of = |stage| figures(&times, None, stage);
        assert_eq!([of("account_admin"), of("program_admin")], [(10, 1, 1), (10, 5, 0)]);
        assert_eq!([of("initiated"), of("unlink"), of("total")], [(11, 0, 0), (1, 0, 0), (11, 6, 1)]);
    }

    #[tokio::test]
    async fn what_is_not_ripe_teaches_nothing() {
        let (_folder, store) = lived().await;
        let learned = async |now| {
            let learned_thresholds = store.learned_thresholds(now).await.unwrap();
            learned_thresholds.map(|one| (one.count, one.p95.as_secs() / 3_600))
        };
        let much_later = Time::from_ms(24 * H) + RIPE_AFTER;
        assert_eq!(learned(much_later).await, [(10, 1), (10, 10), (1, 0), (11, 0), (0, 0)]);
        // The first four were asked by then, and nobody had been asked for the second approval.
        assert_eq!(learned(Time::from_ms(4_500) + RIPE_AFTER).await, [(4, 1), (0, 0), (0, 0), (4, 0), (0, 0)]);
        assert_eq!(learned(Time::from_ms(24 * H)).await, [(0, 0); 5]);
    }

    #[tokio::test]
    async fn a_sample_is_narrowed_grouped_and_bounded() {
        let (_folder, store) = lived().await;
        let sample = |account: Option<&str>, by, limit| Sample {
            account: account.map(str::to_owned),
            by,
            limit,
            ..Sample::default()
        };
        let by_account = store.stage_times(&sample(None, By::Account, 100)).await.unwrap();
        assert_eq!(figures(&by_account, Some("wxa"), "account_admin"), (5, 1, 0));
        assert_eq!(figures(&by_account, Some("wxb"), "account_admin"), (5, 1, 1));
        let by_shop = store.stage_times(&sample(None, By::Label("shop".to_owned()), 100)).await.unwrap();
        assert_eq!(figures(&by_shop, Some("12"), "program_admin"), (5, 8, 0));
        assert_eq!(figures(&by_shop, None, "program_admin"), (5, 3, 0));
        let of_one = store.stage_times(&sample(Some("wxb"), By::Nothing, 100)).await.unwrap();
        assert_eq!(of_one.requests, 7);
        let newest = store.stage_times(&sample(None, By::Nothing, 4)).await.unwrap();
        assert_eq!((newest.requests, newest.is_cut, figures(&newest, None, "program_admin")), (4, true, (1, 10, 0)));
        let labelled = Sample { labels: vec![("shop".to_owned(), "12".to_owned())], ..sample(None, By::Nothing, 100) };
        assert_eq!(store.stage_times(&labelled).await.unwrap().requests, 8);
        let lately = Sample { since: Some(Time::from_ms(10_000)), ..sample(None, By::Nothing, 100) };
        assert_eq!(store.stage_times(&lately).await.unwrap().requests, 4);
    }
}
