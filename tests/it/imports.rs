//! Many wishes at once, and everybody else beside them: whoever asks for the same while they are written, accepted or moved;
//! processes that stop halfway; rows that are not legal; copies. Each step of an import is a call here, so that anything
//! can happen between two.

mod beside;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use amplinkd::{
    clock::ManualClock,
    domain::{
        action::{self, ActionKind},
        id::RequestId,
        policy::Policy,
        request::{Kind, LinkOptions, Request},
        time::Time,
    },
    engine::{
        imports::Imported,
        record::Recorder,
        wish::{AT_ONCE_MAX, AskError, Wish},
    },
    store::{
        Role, Store, StoreError,
        read::request_page::RequestFilter,
        write::{action::Action, requests::Accepted},
    },
};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

const NOW: Time = Time::from_ms(1_795_000_000_000);

/// Enough for an import of pages.
const MANY: usize = AT_ONCE_MAX + 200;

/// The same for those who count rows.
const ROWS: i64 = 1_200;

/// What accepting an import leaves in the record.
fn imported() -> Action {
    Action::of_many(ActionKind::Request, 3, &action::By::simulated(), NOW)
}

/// A database with two processes at it: an importing one and another.
struct Desk {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    recorder: Recorder,
    other: Recorder,
}

fn account(number: usize) -> String {
    format!("wxa{:015}", number / 10)
}

fn program(number: usize) -> String {
    format!("wxp{number:015}")
}

fn wish(number: usize) -> Wish {
    Wish {
        kind: Kind::Link(LinkOptions::default()),
        account: account(number).parse().unwrap(),
        program: program(number).parse().unwrap(),
        username: None,
        key: Some(format!("key-{number}")),
        labels: BTreeMap::from([("shop".to_owned(), (number % 7).to_string())]),
    }
}

fn without_key(number: usize) -> Wish {
    Wish { key: None, ..wish(number) }
}

/// What a wish is staged as.
fn request(number: usize) -> Request {
    let Wish { kind, account, program, key, labels, .. } = wish(number);
    let id: RequestId = format!("01a1ec86-f000-7000-8000-{number:012x}").parse().unwrap();
    Request { key, labels, ..Request::new(id, kind, account, program, NOW) }
}

impl Desk {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::starting_at(NOW);
        let at = |path: PathBuf, clock: Arc<ManualClock>| async move {
            let store = Store::open(&crate::place::location(path, 0o600), Role::Tool).await.unwrap();
            Recorder::new(store, clock, Policy::default())
        };
        let recorder = at(folder.path().join("a.db"), Arc::clone(&clock)).await;
        let other = at(folder.path().join("a.db"), Arc::clone(&clock)).await;
        Self { folder, clock, recorder, other }
    }

    fn store(&self) -> &Store {
        self.recorder.store()
    }

    async fn connection(&self, name: &str) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.folder.path().join(name)).busy_timeout(PATIENCE);
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    async fn number_in(&self, name: &str, sql: &str) -> i64 {
        let mut connection = self.connection(name).await;
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap()
    }

    async fn number(&self, sql: &str) -> i64 {
        self.number_in("a.db", sql).await
    }

    async fn sql(&self, sql: &str) {
        let mut connection = self.connection("a.db").await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    }

    /// Requests as whoever reads the views counts them.
    async fn seen(&self) -> i64 {
        self.number("SELECT count(*) FROM v_request").await
    }

    /// The lines that wait.
    async fn lines(&self) -> i64 {
        self.number("SELECT count(*) FROM import_line").await
    }

    /// Begins an import of these.
    async fn stage(&self, numbers: std::ops::Range<usize>) -> (i64, Vec<Accepted>) {
        let import = self.store().begin_import(NOW).await.unwrap();
        let staged = self.store().stage(import, numbers.map(request).collect(), NOW).await.unwrap();
        (import, staged)
    }

    /// The moment.
    async fn accept(&self, import: i64) -> bool {
        let (claims, _) = self.store().claims(import).await.unwrap();
        self.store().accept_import(import, claims, imported(), NOW).await.unwrap()
    }

    /// An import of these that is accepted, and of which nothing is moved.
    async fn accepted(&self, numbers: std::ops::Range<usize>) -> i64 {
        let (import, _) = self.stage(numbers).await;
        assert!(self.accept(import).await);
        import
    }

    async fn move_all(&self, import: i64) {
        while self.store().move_lines(import, 3, NOW).await.unwrap() > 0 {}
    }

    async fn ask(&self, wish: Wish) -> Accepted {
        self.other.by(action::By::simulated()).accept(vec![wish]).await.unwrap().remove(0)
    }

    /// Nothing is lost, doubled or left over.
    async fn assert_whole(&self, requests: i64) {
        let path = self.folder.path().join("a.db");
        assert_eq!(Store::verify(&path, 10).await.unwrap(), []);
        assert_eq!(self.recorder.audit_all().await.unwrap(), []);
        assert_eq!((self.seen().await, self.lines().await), (requests, 0));
        let of = |table: &str| format!("SELECT count(*) FROM {table}");
        assert_eq!(self.number(&of("request")).await, requests);
        assert_eq!(self.number(&of("import")).await, 0);
        let told = "SELECT count(*) FROM outbox WHERE type = 'amplinkd.request.requested'";
        assert_eq!(self.number(told).await, requests, "each is told of once");
        assert_eq!(self.number("SELECT count(*) FROM account WHERE next_check_at IS NULL").await, 0);
    }
}

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn many_at_once_become_what_one_by_one_would_have() {
    let desk = Desk::open().await;
    let early = desk.ask(without_key(3)).await;
    let mut wishes: Vec<Wish> = (0..MANY).rev().map(wish).collect();
    // Twice, and once more without a key; all of it in no order.
    wishes.extend([wish(7), without_key(7)]);
    let accepted = desk.recorder.by(action::By::simulated()).accept(wishes.clone()).await.unwrap();
    desk.assert_whole(ROWS).await;
    let existing = accepted.iter().filter(|accepted| accepted.existing).count();
    assert_eq!((accepted.len(), existing), (MANY + 2, 3));
    let mut rows = BTreeMap::new();
    for view in desk.store().list_requests(&RequestFilter::default(), 10_000).await.unwrap() {
        rows.insert(view.id.clone(), view);
    }
    for (wish, accepted) in wishes.iter().zip(&accepted) {
        let row = &rows[&accepted.id];
        let key = row.key.as_deref();
        assert_eq!((row.account.as_str(), row.program.as_str()), (wish.account.as_str(), wish.program.as_str()));
        assert!(wish.key.is_none() || key == wish.key.as_deref(), "{row:?}");
    }
    assert_eq!(rows[&early.id].key.as_deref(), Some("key-3"), "the open one takes the key");
    let asked = "SELECT count(*) FROM wakeup WHERE asked = 1";
    assert_eq!(desk.number(asked).await, 1, "only the first was asked for by somebody who waits");
    assert_eq!(desk.number("SELECT count(*) FROM account WHERE asked = 1").await, 1);

    let again = desk.recorder.by(action::By::simulated()).accept(wishes).await.unwrap();
    let ids = |all: &[Accepted]| all.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    assert!(again.iter().all(|one| one.existing));
    assert_eq!(ids(&again), ids(&accepted));
    desk.assert_whole(ROWS).await;
}

#[tokio::test]
async fn nothing_is_seen_before_the_moment_and_all_of_it_from_then_on() {
    let desk = Desk::open().await;
    let (import, _) = desk.stage(0..20).await;
    assert_eq!((desk.seen().await, desk.lines().await), (0, 20));
    assert!(desk.store().request(&request(5).id).await.unwrap().is_none());
    assert_eq!(desk.number("SELECT count(*) FROM outbox").await, 0, "nobody hears of what may vanish");
    assert_eq!(desk.number("SELECT count(*) FROM account").await, 0);

    assert!(desk.accept(import).await);
    let words = "SELECT state || waiting_on || attempt || account_state || coalesce(next_check_at, '-') FROM v_request";
    for left in (0..=20).rev() {
        assert_eq!((desk.seen().await, desk.lines().await), (20, left));
        assert_eq!(desk.number("SELECT count(DISTINCT id) FROM v_request").await, 20);
        assert_eq!(desk.number("SELECT count(*) FROM v_transition WHERE seq = 1").await, 20);
        let mut connection = desk.connection("a.db").await;
        let told: Vec<String> = sqlx::query_scalar(words).fetch_all(&mut connection).await.unwrap();
        let wanted = format!("requestedus0active{NOW}");
        assert!(told.iter().all(|told| *told == wanted), "{told:?}");
        let done = desk.store().move_lines(import, 1, NOW).await.unwrap();
        assert_eq!(done, u64::from(left > 0));
    }
    desk.assert_whole(20).await;
}

#[tokio::test]
async fn a_request_that_waits_to_be_moved_is_shown_listed_and_cancelled_as_any_other() {
    let desk = Desk::open().await;
    let import = desk.accepted(0..30).await;
    let id = request(12).id;
    let found = desk.other.store().request(&id).await.unwrap().unwrap();
    assert_eq!(found, request(12));
    assert_eq!(desk.store().request_view(id.as_str()).await.unwrap().unwrap().program, program(12));
    let proof = desk.store().proof(&id).await.unwrap().unwrap();
    assert_eq!((proof.steps(), proof.findings.len()), (1, 0));

    let ids = async |filter: RequestFilter| {
        let rows = desk.store().list_requests(&filter, 100).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let all = RequestFilter::default();
    let label = vec![("shop".to_owned(), "5".to_owned())];
    for half_moved in [false, true] {
        let newest_first: Vec<String> = (0..30).rev().map(|number| request(number).id.to_string()).collect();
        assert_eq!(ids(all.clone()).await, newest_first, "{half_moved}");
        assert_eq!(ids(RequestFilter { open: Some(true), ..all.clone() }).await.len(), 30);
        assert_eq!(ids(RequestFilter { account: Some(account(15)), ..all.clone() }).await.len(), 10);
        assert_eq!(ids(RequestFilter { program: Some(program(15)), ..all.clone() }).await.len(), 1);
        let labelled = ids(RequestFilter { labels: label.clone(), ..all.clone() }).await;
        assert_eq!(labelled, [26, 19, 12, 5].map(|number| request(number).id.to_string()));
        let older = RequestFilter { after: Some(request(3).id.to_string()), ..all.clone() };
        assert_eq!(ids(older).await.len(), 3);
        for none in [
            RequestFilter { open: Some(false), ..all.clone() },
            RequestFilter { kind: Some("unlink".to_owned()), ..all.clone() },
        ] {
            assert!(ids(none).await.is_empty());
        }
        desk.store().move_lines(import, 14, NOW).await.unwrap();
    }

    let waiting = request(29).id;
    desk.other.by(action::By::simulated()).cancel(&waiting).await.unwrap();
    assert_eq!(desk.store().request(&waiting).await.unwrap().unwrap().state.as_str(), "cancelled");
    desk.move_all(import).await;
    assert_eq!((desk.seen().await, desk.lines().await), (30, 0));
}

#[tokio::test]
async fn what_somebody_left_is_finished_or_taken_away_and_who_comes_back_late_is_told() {
    let desk = Desk::open().await;
    let (dead, _) = desk.stage(0..10).await;
    let left = desk.accepted(20..30).await;
    desk.other.tend_imports().await.unwrap();
    assert_eq!(desk.lines().await, 20, "both may be at work still");
    desk.clock.advance(Duration::from_secs(6));
    desk.other.tend_imports().await.unwrap();
    assert_eq!(desk.lines().await, 10, "{left} is moved");
    desk.clock.advance(Duration::from_mins(11));
    desk.other.tend_imports().await.unwrap();
    desk.assert_whole(10).await;
    for refused in [
        desk.store().stage(dead, vec![request(40)], NOW).await.map(drop),
        desk.store().claims(dead).await.map(drop),
        desk.store().accept_import(dead, 0, imported(), NOW).await.map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::ImportGone)), "{refused:?}");
    }
    // A calendar that was stepped back makes nobody immortal.
    let (_, _) = desk.stage(40..50).await;
    desk.sql("UPDATE import SET beat_at = beat_at + 86400000").await;
    desk.other.tend_imports().await.unwrap();
    desk.assert_whole(10).await;
}

#[tokio::test]
async fn a_line_that_is_not_legal_holds_up_itself_alone_until_it_is_mended() {
    let desk = Desk::open().await;
    let import = desk.accepted(0..12).await;
    desk.sql("UPDATE import_line SET account = 'nobody' WHERE key = 'key-3'").await;
    // One that can be read, and that no statement takes: its key is in use.
    desk.sql("UPDATE request SET key = 'x'").await;
    let in_use = desk.ask(Wish { key: Some("theirs".to_owned()), ..wish(700) }).await;
    desk.sql("UPDATE import_line SET key = 'theirs' WHERE key = 'key-8'").await;
    desk.clock.advance(Duration::from_secs(6));
    desk.other.tend_imports().await.unwrap();
    assert_eq!(desk.number("SELECT count(*) FROM request").await, 11);
    assert_eq!(desk.number("SELECT count(*) FROM import_line WHERE stuck = 1").await, 2);
    desk.clock.advance(Duration::from_mins(20));
    let found = desk.other.audit().await.unwrap();
    assert_eq!(found.iter().filter(|found| found.rule == "import_left").count(), 2, "{found:?}");

    // The next import is not held up.
    let next = desk.accepted(50..60).await;
    desk.move_all(next).await;
    desk.sql(&format!("UPDATE import_line SET account = '{}', key = NULL WHERE stuck = 1", account(3))).await;
    assert_eq!(desk.store().retry_stuck_lines().await.unwrap(), 2);
    desk.move_all(import).await;
    assert_eq!((desk.number("SELECT count(*) FROM request").await, desk.lines().await), (23, 0));
    assert!(desk.store().request(&in_use.id.parse().unwrap()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_copy_has_what_was_accepted_as_requests_and_nothing_of_what_was_not() {
    let desk = Desk::open().await;
    let import = desk.accepted(0..10).await;
    desk.store().move_lines(import, 4, NOW).await.unwrap();
    desk.stage(50..60).await;
    Store::backup(&desk.folder.path().join("a.db"), &desk.folder.path().join("b.db"), NOW).await.unwrap();
    let counts = ["SELECT count(*) FROM request", "SELECT count(*) FROM v_request", "SELECT count(*) FROM import_line"];
    for (sql, wanted) in counts.iter().zip([10, 10, 0]) {
        assert_eq!(desk.number_in("b.db", sql).await, wanted, "{sql}");
    }
    assert_eq!(Store::verify(&desk.folder.path().join("b.db"), 10).await.unwrap(), []);
    assert_eq!((desk.seen().await, desk.lines().await), (10, 16), "the database itself is as it was");

    // A plain copy of the files is settled when it is put back.
    desk.sql("VACUUM INTO 'c.db'".replace("c.db", &desk.folder.path().join("c.db").display().to_string()).as_str())
        .await;
    let contents = Store::mark_restored(&desk.folder.path().join("c.db"), NOW).await.unwrap();
    assert_eq!((contents.requests, contents.open), (10, 10));
}
