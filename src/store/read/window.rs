//! Pages of what no index has together: a page looks at so many rows and no further, and says how far it has come, so that
//! an answer is soon there whatever is asked for. A page may be short, or empty, and the next one goes on.

use crate::store::{
    StoreError,
    sql::{Pool, QueryBuilder},
};

/// Rows that one page looks at, at most, where each has to be read to know whether it matches.
pub(super) const LOOKED_MAX: u32 = 6_000;

/// A page, and how far it has looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked<T> {
    /// What matches, in its order.
    pub rows: Vec<T>,
    /// The key of the last row that was looked at, where there are others behind it that were not.
    pub upto: Option<String>,
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// So many were found.
    pub count: u64,
    /// Whether there may be more: as many as were asked for were found, or looked at.
    pub is_cut: bool,
}

/// In which order rows lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Rising,
    Falling,
}

/// Rows that an index has in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// Its table and index, up to the first value: `request AS r INDEXED BY request_by_state WHERE r.state = `.
    pub(super) from: &'static str,
    /// The first value, and others with what stands before each.
    pub(super) values: Vec<(&'static str, String)>,
    /// The column of the key.
    pub(super) key: &'static str,
}

impl Source {
    /// Pushes the table, and the conditions that its index knows.
    pub(super) fn push(&self, query: &mut QueryBuilder) {
        query.push(self.from);
        self.push_values(query);
    }

    pub(super) fn push_values(&self, query: &mut QueryBuilder) {
        for (before, value) in &self.values {
            query.push(*before).push_bind(value.clone());
        }
    }

    /// Pushes what the page is of: behind `after`, and no further than `upto`.
    pub(super) fn push_span(
        &self,
        query: &mut QueryBuilder,
        order: Order,
        (after, upto): (Option<&str>, Option<&str>),
    ) {
        let signs = match order {
            Order::Rising => [" > ", " <= "],
            Order::Falling => [" < ", " >= "],
        };
        for (sign, value) in signs.into_iter().zip([after, upto]) {
            if let Some(value) = value {
                query.push(" AND ").push(self.key).push(sign).push_bind(value.to_owned());
            }
        }
    }

    pub(super) fn push_order(&self, query: &mut QueryBuilder, order: Order) {
        query.push(" ORDER BY ").push(self.key).push(if order == Order::Rising { "" } else { " DESC" });
    }
}

/// The key up to which a page behind `after` looks, so that at most `looked` rows of all sources are looked at; `None` where
/// that is all there is.
pub(super) async fn edge(
    readers: &Pool,
    sources: &[Source],
    order: Order,
    after: Option<&str>,
    looked: u32,
) -> Result<Option<String>, StoreError> {
    let each = looked / u32::try_from(sources.len()).unwrap_or(u32::MAX).max(1);
    // The nearest of all: behind it one of them has rows that nobody looked at.
    let nearest = if order == Order::Rising { "min" } else { "max" };
    let mut query: QueryBuilder = QueryBuilder::new("SELECT ");
    query.push(nearest).push("(key) FROM (SELECT NULL AS key");
    for source in sources {
        query.push(" UNION ALL SELECT key FROM (SELECT ").push(source.key).push(" AS key FROM ");
        source.push(&mut query);
        source.push_span(&mut query, order, (after, None));
        source.push_order(&mut query, order);
        query.push(" LIMIT 1 OFFSET ").push_bind(each).push(")");
    }
    query.push(")");
    Ok(query.build_query_scalar().fetch_one(readers).await?)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

    use super::*;
    use crate::{
        domain::{alert_state::AlertState, time::Time},
        store::{
            Location, Role, Store,
            read::{
                account_page::{AccountFilter, SuspendedBy},
                actions::ActionFilter,
                alert_views::AlertFilter,
                request_page::{RequestFilter, Standing},
                views::{ConflictFilter, RequestView},
            },
        },
    };

    /// Requests, alerts, conflicts, accounts and actions, each.
    const ROWS: u64 = 24_000;

    /// Requests, from the oldest, that came to their state at 3; all others did at 1.
    const SETTLED: usize = 6;

    /// Instructions of `SQLite` between two counts.
    const STRIDE: u16 = 100;

    /// What everybody looks for is what is oldest, so that whoever looks for it row by row meets all others before.
    const FILL: &str = "
        CREATE TEMP TABLE n AS WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 23999) SELECT n FROM c;
        INSERT INTO account (account, state, since, suspended_by, errcode, trouble, pace_from)
        SELECT printf('wxa%05d', n), CASE WHEN n < 23990 THEN 'suspended' ELSE 'active' END, 1,
               CASE WHEN n < 23980 THEN 'operator' WHEN n < 23990 THEN 'wechat' END,
               CASE WHEN n BETWEEN 23980 AND 23984 THEN 61007 END, 'token', 1 FROM n;
        INSERT INTO request (id, kind, account, program, notify_users, show_profile, state, outcome_unknown, since, requested_at,
                             finished_at, attempt, baseline_rejected, labels, version, last_seq, chain)
        SELECT printf('0197c2d4-8e1f-7a63-9b52-%012x', n), CASE WHEN n < 5 THEN 'unlink' ELSE 'link' END,
               CASE WHEN n % 2 = 0 THEN 'wxa00000' ELSE printf('wxa%05d', n) END,
               CASE WHEN n < 10 THEN printf('wxq%d', n) ELSE printf('wxp%d', n % 4 * n) END, 0, 0,
               CASE WHEN n < 3 THEN 'requested' WHEN n < 10 THEN 'cancelled' ELSE 'linked' END, 0, 1, 1,
               CASE WHEN n >= 3 THEN 1 END, 0, 0, '{}', 1, 1, zeroblob(32) FROM n;
        UPDATE request SET since = 3 WHERE row <= 6;
        INSERT INTO request_label (name, value, request_id) SELECT 'all', '1', id FROM request;
        INSERT INTO request_label (name, value, request_id) SELECT 'few', '1', id FROM request ORDER BY id LIMIT 7;
        INSERT INTO conflict (id, request_id, kind, at, our_state, resolved_at, resolution)
        SELECT r.id, r.id, 'adopted', 1, 'requested', CASE WHEN r.row < 5 THEN 1 END, CASE WHEN r.row < 5 THEN 'listed' END
        FROM request AS r;
        INSERT INTO alert (id, key, rule, reason, account, state, since, fired_at, resolved_at, resolution, message_en, message_zh)
        SELECT printf('0197c2d4-8e1f-7a63-9b52-%012x', n), n, CASE WHEN n < 9 THEN 'account' ELSE 'stuck' END,
               CASE WHEN n < 9 THEN 'x' ELSE 'stuck.account_admin' END, CASE WHEN n % 2 < 1 THEN 'wxa00000' ELSE 'wxa00001' END,
               CASE WHEN n % 4 < 2 THEN 'firing' ELSE 'resolved' END, 1, 1, CASE WHEN n % 4 >= 2 THEN 1 END,
               CASE WHEN n % 4 >= 2 THEN 'over' END, 'a', 'b' FROM n;
        INSERT INTO action (id, at, actor, via, action, subject_kind, subject, outcome, finished_at)
        SELECT printf('0197c2d4-8e1f-7a63-9b52-%012x', n), 1, 'ops', CASE WHEN n < 9 THEN 'web' ELSE 'api' END,
               CASE WHEN n < 9 THEN 'retry' ELSE 'cancel' END, 'request', 's', 'done', 1 FROM n";

    /// A store whose reads are counted, and how many instructions one may take.
    struct Watched {
        most: u64,
        _folder: tempfile::TempDir,
        store: Store,
        steps: Arc<AtomicU64>,
    }

    impl Watched {
        async fn open(most: u64) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let location = Location::file(folder.path().join("a.db"), 0o600);
            let store = Store::open(&location, Role::Tool).await.unwrap();
            let options = SqliteConnectOptions::new().filename(location.path().unwrap()).foreign_keys(false);
            let mut writer = sqlx::ConnectOptions::connect(&options).await.unwrap();
            sqlx::raw_sql(FILL).execute(&mut writer).await.unwrap();
            let steps = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&steps);
            let pool = SqlitePoolOptions::new().max_connections(1).after_connect(move |connection, _| {
                let counted = Arc::clone(&counted);
                Box::pin(async move {
                    connection.lock_handle().await?.set_progress_handler(i32::from(STRIDE), move || {
                        counted.fetch_add(STRIDE.into(), Ordering::Relaxed);
                        true
                    });
                    Ok(())
                })
            });
            let store = Store { readers: Pool::Sqlite(pool.connect_lazy_with(options)), ..store };
            Self { most, _folder: folder, store, steps }
        }

        /// What a page comes to, which must not have read everything.
        async fn cheap<T>(&self, what: &impl std::fmt::Debug, read: impl Future<Output = Result<T, StoreError>>) -> T {
            self.steps.store(0, Ordering::Relaxed);
            let read = read.await.unwrap();
            let steps = self.steps.load(Ordering::Relaxed);
            assert!(steps <= self.most, "{steps} instructions: {what:?}");
            read
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a filter takes it so")]
    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn label(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    /// Every combination of what the list of requests takes.
    fn request_filters() -> Vec<RequestFilter> {
        let mut all = vec![RequestFilter::default()];
        let mut each = |values: &[&dyn Fn(&mut RequestFilter)]| {
            let with = |filter: &RequestFilter| {
                let one = |set: &&dyn Fn(&mut RequestFilter)| {
                    let mut filter = filter.clone();
                    set(&mut filter);
                    filter
                };
                values.iter().map(one).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(with).collect();
        };
        each(&[&|_| {}, &|filter| filter.account = some("wxa00000")]);
        each(&[&|_| {}, &|filter| filter.program = some("wxp0")]);
        each(&[&|_| {}, &|filter| filter.kind = some("link"), &|filter| filter.kind = some("unlink")]);
        each(&[&|_| {}, &|filter| filter.open = Some(true), &|filter| filter.open = Some(false)]);
        each(&[&|_| {}, &|filter| filter.states = vec!["cancelled".to_owned()], &|filter| {
            filter.states = vec!["linked".to_owned(), "requested".to_owned()];
        }]);
        each(&[
            &|_| {},
            &|filter| filter.labels = vec![label("all", "1")],
            &|filter| filter.labels = vec![label("all", "1"), label("few", "1")],
            &|filter| filter.labels = vec![label("few", "1")],
            &|filter| filter.labels = vec![label("all", "1"), label("none", "1")],
        ]);
        // How long they stand there, of some that an index has and of some that none has.
        let plain = all.clone().into_iter().filter(|filter| filter.labels.is_empty() && filter.account.is_none());
        let standing = [
            Standing { since: Some(Time::from_ms(2)), ..Standing::default() },
            Standing { until: Some(Time::from_ms(2)), is_read: Some(false), ..Standing::default() },
            Standing { is_read: Some(true), ..Standing::default() },
        ];
        let stand = |filter: RequestFilter| standing.map(|standing| RequestFilter { standing, ..filter.clone() });
        all.extend(plain.flat_map(stand).collect::<Vec<_>>());
        all
    }

    fn is_match(row: &RequestView, filter: &RequestFilter, number: usize) -> bool {
        let is = |wanted: &Option<String>, value: &String| wanted.as_ref().is_none_or(|wanted| wanted == value);
        let has = |(name, _): &(String, String)| name == "all" || (name == "few" && number < 7);
        is(&filter.account, &row.account)
            && is(&filter.program, &row.program)
            && is(&filter.kind, &row.kind)
            && (filter.states.is_empty() || filter.states.contains(&row.state))
            && filter.open.is_none_or(|open| open == row.finished_at.is_none())
            && filter.labels.iter().all(has)
            && filter.standing.since.is_none_or(|_| number < SETTLED)
            && filter.standing.until.is_none_or(|_| number >= SETTLED)
            && filter.standing.is_read.is_none_or(|is_read| is_read == (row.account.as_str() >= "wxa23990"))
    }

    #[tokio::test]
    async fn no_page_of_requests_reads_them_all_and_all_pages_have_all_of_them() {
        let watched = Watched::open(200_000).await;
        let store = &watched.store;
        let mut all = store.list_requests(&RequestFilter::default(), u32::MAX).await.unwrap();
        all.reverse();
        let middle = all[all.len() / 2].id.clone();
        for filter in request_filters() {
            let late = RequestFilter { after: Some(middle.clone()), ..filter.clone() };
            watched.cheap(&late, store.look_at_requests(&late, 51)).await;
            let counted = watched.cheap(&filter, store.count_requests(&filter, 3_000)).await;
            let (mut begin, mut pages) = (filter.clone(), 0);
            let mut expected = all.iter().enumerate().rev().filter(|(number, row)| is_match(row, &filter, *number));
            let mut found = 0;
            // Many that match are seen by their first pages.
            let is_last = loop {
                let Looked { rows, upto } = watched.cheap(&begin, store.look_at_requests(&begin, 51)).await;
                for row in &rows {
                    assert_eq!(Some(&row.id), expected.next().map(|(_, row)| &row.id), "{filter:?}");
                }
                (found, pages) = (found + rows.len() as u64, pages + 1);
                begin.after = if rows.len() == 51 { rows.last().map(|row| row.id.clone()) } else { upto };
                if begin.after.is_none() || pages > 12 {
                    break begin.after.is_none();
                }
            };
            if is_last {
                assert_eq!(expected.next().map(|(_, row)| &row.id), None, "{filter:?}: not all were found");
                assert!(
                    counted.count <= found && (counted.is_cut || counted.count == found),
                    "{filter:?}: {counted:?}"
                );
            }
        }
        let none = RequestFilter { states: vec!["tpyo".to_owned()], ..RequestFilter::default() };
        assert_eq!(store.look_at_requests(&none, 51).await.unwrap(), Looked { rows: Vec::new(), upto: None });
        let count = async |filter| store.count_requests(&filter, 10_000).await.unwrap();
        assert_eq!(count(none).await, Counted { count: 0, is_cut: false });
        assert_eq!(count(RequestFilter::default()).await, Counted { count: 10_000, is_cut: true });
        let unlinks = RequestFilter { kind: some("unlink"), ..RequestFilter::default() };
        assert_eq!(count(unlinks).await, Counted { count: 5, is_cut: false });
    }

    /// Pages until the last, each behind the key that the one before names; what they have.
    async fn walk<T>(
        watched: &Watched,
        what: &impl std::fmt::Debug,
        key: impl Fn(&T) -> String,
        page: impl AsyncFn(Option<String>) -> Result<Looked<T>, StoreError>,
    ) -> usize {
        let (mut after, mut found) = (None, 0);
        for _ in 0..=ROWS {
            let Looked { rows, upto } = watched.cheap(what, page(after)).await;
            found += rows.len();
            after = if rows.len() == 501 { rows.last().map(&key) } else { upto };
            if after.is_none() {
                return found;
            }
        }
        panic!("pages without an end: {what:?}");
    }

    #[tokio::test]
    async fn no_page_of_alerts_actions_or_conflicts_reads_them_all() {
        let watched = Watched::open(200_000).await;
        let store = &watched.store;
        let [half, quarter] = [12_000, 6_000];
        let (open, resolved) = (AlertState::OPEN.to_vec(), vec![AlertState::Resolved]);
        let alerts = |states: &[AlertState]| AlertFilter { states: states.to_vec(), ..AlertFilter::default() };
        for (filter, count) in [
            (alerts(&open), half),
            (alerts(&AlertState::ALL), 2 * half),
            (AlertFilter { rule: some("account"), ..alerts(&open) }, 5),
            (AlertFilter { rule: some("account"), ..alerts(&resolved) }, 4),
            (AlertFilter { reason: some("x"), ..alerts(&AlertState::ALL) }, 9),
            (AlertFilter { rule: some("stuck"), reason: some("x"), ..alerts(&open) }, 0),
            (AlertFilter { account: some("wxa00000"), ..alerts(&resolved) }, quarter),
            (AlertFilter { account: some("wxa00000"), rule: some("account"), ..alerts(&open) }, 3),
            (AlertFilter { account: some("wxa2"), ..alerts(&open) }, 0),
            (AlertFilter { request: some("0197"), ..alerts(&AlertState::ALL) }, 0),
            (alerts(&[]), 0),
        ] {
            let page = async |before: Option<String>| store.look_at_alerts(&filter, before.as_deref(), 501).await;
            assert_eq!(walk(&watched, &filter, |row| row.id.clone(), page).await, count, "{filter:?}");
        }
        let none = ActionFilter::default();
        for (filter, count) in [
            (none.clone(), 2 * half),
            (ActionFilter { action: some("retry"), ..none.clone() }, 9),
            (ActionFilter { actor: some("ops"), via: some("web"), ..none.clone() }, 9),
            (ActionFilter { subject: some("s"), actor: some("dev"), ..none.clone() }, 0),
            (ActionFilter { token: some("t"), ..none }, 0),
        ] {
            let page = async |before: Option<String>| store.look_at_actions(&filter, before.as_deref(), 501).await;
            assert_eq!(walk(&watched, &filter, |row| row.id.clone(), page).await, count, "{filter:?}");
        }
        for (open, count) in [(None, 2 * half), (Some(true), 2 * half - 4), (Some(false), 4)] {
            let filter = ConflictFilter { open, ..ConflictFilter::default() };
            let page = async |before: Option<String>| {
                let rows = store.conflict_page(&filter, before.as_deref(), 501).await?;
                Ok(Looked { rows, upto: None })
            };
            assert_eq!(walk(&watched, &filter, |row| row.id.clone(), page).await, count, "{filter:?}");
        }
    }

    #[tokio::test]
    async fn no_page_of_accounts_reads_them_all() {
        let watched = Watched::open(200_000).await;
        let (store, all) = (&watched.store, AccountFilter::default());
        let state = |state: &str| AccountFilter { state: some(state), ..AccountFilter::default() };
        let by = |by: &[SuspendedBy]| AccountFilter { suspended_by: by.to_vec(), ..AccountFilter::default() };
        let trouble = AccountFilter { troubles: vec!["token".to_owned()], ..AccountFilter::default() };
        let [operator, wechat, code] = [SuspendedBy::Operator, SuspendedBy::Wechat, SuspendedBy::Code(61_007)];
        for (filter, labels, count) in [
            (all.clone(), vec![], 24_000),
            (state("active"), vec![], 10),
            (state("suspended"), vec![], 23_990),
            (trouble.clone(), vec![], 24_000),
            (AccountFilter { state: some("active"), ..trouble }, vec![], 10),
            (by(&[operator]), vec![], 23_980),
            (by(&[wechat]), vec![], 10),
            (by(&[code]), vec![], 5),
            (by(&[code, operator]), vec![], 23_985),
            (AccountFilter { state: some("active"), ..by(&[operator]) }, vec![], 0),
            // Of three that are open two are of one account.
            (all.clone(), vec![label("few", "1")], 2),
            (all.clone(), vec![label("all", "1")], 2),
            (all.clone(), vec![label("all", "1"), label("none", "1")], 0),
            (state("active"), vec![label("all", "1")], 0),
        ] {
            let what = (&filter, &labels);
            let page = async |after: Option<String>| {
                store.look_at_accounts(&filter, &labels, after.as_deref().unwrap_or_default(), 501).await
            };
            assert_eq!(walk(&watched, &what, |row| row.account.clone(), page).await, count, "{what:?}");
        }
    }
}
