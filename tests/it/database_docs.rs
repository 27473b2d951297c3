//! What docs/database.md promises: every query, there and in other documents, runs and finds what it is for, every
//! column is described, times are RFC 3339.

#![expect(clippy::unwrap_used, reason = "the lint's exception for tests does not reach their helpers")]

mod plans;

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use amplinkd::{
    clock::{Clock as _, ManualClock, SystemClock},
    domain::{
        account::{AccountState, Status as AccountStatus, SuspendedBy},
        action,
        errcode::Refusal,
        gate::GateKind,
        listing::Status,
        observation::Observation as O,
        policy::Policy,
        request::{Kind, LinkOptions, Request},
    },
    engine::{record::Recorder, wish::Wish},
    store::{
        Location, Record, Role, Store,
        account_row::AccountUpdate,
        write::{gates::Gate, programs::ItemRow},
    },
};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Row as _, SqliteConnection, ValueRef as _,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

const DOCUMENT: &str = include_str!("../../docs/database.md");

const ALERTS_DOCUMENT: &str = include_str!("../../docs/alerts.md");

const README: &str = include_str!("../../README.md");

/// As many example queries as are promised.
const QUERIES_MIN: usize = 10;

/// The account and the program that the documents use as examples.
const ACCOUNT: &str = "wx0123456789abcdef";
const PROGRAM: &str = "wxfedcba9876543210";

/// Suspended by `WeChat`.
const SUSPENDED: &str = "wx00000000000000a2";

/// Half a story: what was learned about one request, and how long after the step before.
type Story = [(Duration, O)];

const fn hours(count: u64) -> Duration {
    Duration::from_hours(count)
}

fn program(number: u64) -> String {
    format!("wx{number:016x}")
}

fn refused(errcode: i64) -> O {
    O::CallRefused(Refusal { errcode, errmsg: "as the platform puts it rid: 1".to_owned() })
}

/// A database in which every question of the document has an answer.
pub(crate) struct World {
    recorder: Recorder,
    clock: Arc<ManualClock>,
}

impl World {
    /// The stories begin ten days ago, for the queries compare with the present.
    async fn open(path: &Path) -> Self {
        let location = Location::file(path.to_owned(), 0o640);
        let store = Store::open(&location, Role::Daemon).await.unwrap();
        let clock = ManualClock::starting_at(SystemClock::new().now() - hours(240));
        Self { recorder: Recorder::new(store, clock.clone(), Policy::default()), clock }
    }

    async fn tell(&self, account: &str, program: &str, kind: Kind, story: &Story) -> Request {
        let wish = Wish {
            kind,
            account: account.parse().unwrap(),
            program: program.parse().unwrap(),
            username: None,
            key: None,
            labels: [("customer".to_owned(), "0042".to_owned())].into(),
        };
        let accepted = self.recorder.by(action::By::simulated()).accept(vec![wish]).await.unwrap();
        let id = accepted[0].id.parse().unwrap();
        let mut request = self.recorder.store().request(&id).await.unwrap().unwrap();
        for (later, seen) in story {
            self.clock.advance(*later);
            request = self.recorder.observe(&request, seen, Record::default()).await.unwrap();
        }
        request
    }

    async fn link(&self, account: &str, program: &str, story: &Story) -> Request {
        let called = [(hours(0), O::CallStarted)];
        self.tell(account, program, Kind::Link(LinkOptions::default()), &[&called, story].concat()).await
    }

    async fn live(&self) {
        let approved = |first, second| {
            let steps = [(0, O::CallAccepted), (0, O::Listed(Status::AwaitingAccountAdmin))];
            let steps = steps
                .into_iter()
                .chain([(first, O::Listed(Status::AwaitingProgramAdmin)), (second, O::Listed(Status::Linked))]);
            steps.map(|(after, seen)| (hours(after), seen)).collect::<Vec<_>>()
        };
        self.link(ACCOUNT, PROGRAM, &approved(2, 5)).await;
        let gone = [(hours(1), O::Absent), (hours(1), O::Absent)];
        self.link(ACCOUNT, &program(1), &[approved(4, 1).as_slice(), &gone].concat()).await;
        let waiting = [(hours(0), O::CallAccepted), (hours(1), O::Listed(Status::AwaitingAccountAdmin))];
        self.link(ACCOUNT, &program(2), &waiting).await;
        self.link(ACCOUNT, &program(3), &[(hours(0), refused(89_010))]).await;
        self.link(ACCOUNT, &program(4), &[(hours(0), refused(89_035))]).await;
        self.link(ACCOUNT, &program(5), &[(hours(0), refused(89_007))]).await;
        self.link(ACCOUNT, &program(6), &[(hours(0), O::CallLost)]).await;
        self.link(ACCOUNT, &program(7), &[(hours(0), refused(89_009))]).await;
        let asked = [(hours(0), O::CallStarted), (hours(0), O::CallAccepted)];
        self.tell(ACCOUNT, PROGRAM, Kind::Unlink, &asked).await;
        self.tell(SUSPENDED, PROGRAM, Kind::Link(LinkOptions::default()), &[]).await;
        self.suspend().await;
        self.list().await;

        let day_before = SystemClock::new().now().since(self.clock.now());
        self.clock.advance(day_before);
        self.link(ACCOUNT, &program(8), &[]).await;
    }

    async fn suspend(&self) {
        let now = self.clock.now();
        let state = AccountState {
            status: AccountStatus::Suspended(SuspendedBy::Wechat),
            failures: 1,
            due: Some(now + hours(1)),
            read_at: Some(now),
            ..AccountState::new(0)
        };
        let refusal = Refusal { errcode: 61_007, errmsg: "as the platform puts it rid: 1".to_owned() };
        let account = AccountUpdate {
            error: Some("errcode 61007".to_owned()),
            refusal: Some(refusal),
            ..AccountUpdate::of(&SUSPENDED.parse().unwrap(), &state, now)
        };
        self.recorder.store().record(Record { account: Some(account), ..Record::default() }).await.unwrap();
    }

    /// One program that was asked for, one that was not, one that is gone.
    async fn list(&self) {
        let now = self.clock.now().ms();
        let item = |name: &str, program: String| ItemRow {
            account: ACCOUNT.to_owned(),
            item: name.to_owned(),
            program: Some(program),
            username: Some(name.to_owned()),
            status: 1,
            nickname: Some("aaaaaaa".to_owned()),
            headimg_url: None,
            email: None,
            source: Some("SOURCE_NORMAL".to_owned()),
            selected: Some(1),
            nearby_display_status: Some(0),
            released: Some(1),
            copy_verify_status: None,
            func_infos: Some("[]".to_owned()),
            status_since: now,
            first_seen_at: now,
            gone_at: None,
        };
        let items =
            vec![item("gh_asked", PROGRAM.to_owned()), item("gh_unasked", program(99)), item("gh_gone", program(1))];
        let gone = vec![(ACCOUNT.to_owned(), "gh_gone".to_owned(), now)];
        let gates = vec![Gate {
            kind: GateKind::ProgramMonth,
            subject: "wx0123456789abcdef".to_owned(),
            until: now + 86_400_000,
            errcode: 89_007,
            errmsg: "wxa quota limit rid: 1-2-3".to_owned(),
            at: now,
            early: false,
        }];
        self.recorder.store().record(Record { items, gone, gates, ..Record::default() }).await.unwrap();
    }
}

/// An account that has authorized the platform, and one that has withdrawn that.
const AUTHORIZERS: &str = "
    INSERT INTO authorizer (appid, state, since, token, renew_at, token_until, permissions, username, nickname)
    SELECT 'wx0123456789abcdef', 'authorized', max(since), x'01', max(since), max(since), '[1, 33]', 'gh_1', 'Shop'
    FROM request;
    INSERT INTO authorizer (appid, state, since, errcode, errmsg)
    SELECT 'wxfedcba9876543210', 'unauthorized', max(since), 61003, 'withdrawn' FROM request";

/// What people did, as they and the API write it.
const ACTIONS: &str = "
    INSERT INTO action (id, at, actor, via, action, subject_kind, subject, filter, count, reason, outcome, finished_at, done)
    SELECT 'a', max(since), 'lena', 'cli', 'cancel', 'request', max(id), '{}', 1, 'gone', 'done', max(since), 1 FROM request;
    INSERT INTO action (id, at, actor, via, token, address, action, subject_kind)
    SELECT 'b', max(since), 'ci', 'api', 't', '::1', 'cancel', 'request' FROM request;
    UPDATE alert SET acknowledged_by = 'lena', snoozed_by = 'lena', resolved_by = 'lena', note = 'x' WHERE id = 'a'";

/// What the watch and the channels write, so that their times are looked at too: an alert that is over, one that fires, and
/// messages in every state.
const ALERTS: &str = "
    INSERT INTO alert (id, key, rule, reason, state, since, fired_at, acknowledged_at, snoozed_until, resolved_at,
                       resolution, notified_at, notify_at, message_en, message_zh)
    SELECT 'a', 'k', 'stuck', 'stuck.unlink', 'resolved', max(since), max(since), max(since), max(since), max(since), 'over',
           max(since), max(since), 'en', 'zh' FROM request;
    INSERT INTO alert (id, key, rule, reason, request_id, account, program, state, since, fired_at, message_en, message_zh)
    SELECT 'b', 'l', 'stuck', 'stuck.account_admin', id, account, program, 'firing', 1, 2, 'en', 'zh' FROM request
    WHERE state = 'awaiting_account_admin';
    INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, created_at, next_at)
    SELECT 'd', id, seq, partition_key, 'on-call', 'pending', 1, 2 FROM outbox LIMIT 1;
    INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, created_at, last_error)
    SELECT 'f', id, seq, partition_key, 'post', 'dead', 1, 'HTTP 404' FROM outbox LIMIT 1;
    INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, created_at, delivered_at)
    SELECT 'e', id, seq, partition_key, 'chat', 'delivered', 1, 2 FROM outbox LIMIT 1;
    INSERT INTO daemon (one, pid, version, started_at, written_at, stopped_at) VALUES (1, 1, '0.1.0', 1, 2, 3);
    INSERT INTO nudge (id, request_id, stage, seq, language, text, at, effect_ms)
    SELECT 'n' || m.request_id, m.request_id, 'account_admin', m.seq - 1, 'zh', 'text', m.at - 1000, 86400000
    FROM transition AS m WHERE m.from_state = 'awaiting_account_admin'
    UNION ALL
    SELECT 'w' || r.id, r.id, 'account_admin', r.last_seq, 'en', 'text', r.since + 1000, 86400000
    FROM request AS r WHERE r.state = 'awaiting_account_admin'";

/// The database as a reader beside the daemon meets it. The folder must outlive the connection.
pub(crate) async fn lived() -> (tempfile::TempDir, World, SqliteConnection) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amplinkd.db");
    let world = World::open(&path).await;
    world.live().await;
    let options = SqliteConnectOptions::new().filename(&path);
    let mut writer = options.connect().await.unwrap();
    sqlx::raw_sql(ALERTS).execute(&mut writer).await.unwrap();
    sqlx::raw_sql(AUTHORIZERS).execute(&mut writer).await.unwrap();
    sqlx::raw_sql(ACTIONS).execute(&mut writer).await.unwrap();
    let reader = options.read_only(true).connect().await.unwrap();
    (folder, world, reader)
}

/// Every fenced block of a language in a text.
pub(crate) fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap_or("").trim()).collect()
}

fn queries(text: &str) -> Vec<&str> {
    blocks(text, "sql")
}

async fn run(reader: &mut SqliteConnection, query: &str) -> Vec<SqliteRow> {
    let rows = sqlx::query(AssertSqlSafe(query.to_owned())).fetch_all(reader).await;
    rows.unwrap_or_else(|error| panic!("{error}\n{query}"))
}

#[tokio::test]
async fn every_query_runs_and_finds_something() {
    let (_folder, _world, mut reader) = lived().await;
    let in_document = queries(DOCUMENT);
    assert!(in_document.len() >= QUERIES_MIN, "{} queries", in_document.len());
    for query in in_document.into_iter().chain(queries(ALERTS_DOCUMENT)).chain(queries(README)) {
        assert!(!run(&mut reader, query).await.is_empty(), "no row:\n{query}");
    }
}

fn texts(rows: &[SqliteRow], column: &str) -> Vec<String> {
    rows.iter().map(|row| row.get(column)).collect()
}

#[tokio::test]
async fn the_queries_find_what_they_are_for() {
    let (_folder, _world, mut reader) = lived().await;
    let mut answers = Vec::new();
    for mark in ["median_hours", "'-2 days'", "NOT EXISTS", "'vanished'", "'suspended'", "89010, 89035"] {
        let query = queries(DOCUMENT).into_iter().find(|query| query.contains(mark)).expect(mark);
        answers.push(run(&mut reader, query).await);
    }
    let [medians, stuck, unasked, vanished, suspended, begun_elsewhere] = answers.try_into().unwrap();

    let medians: Vec<(String, i64, f64)> =
        medians.iter().map(|row| (row.get("stage"), row.get("approvals"), row.get("median_hours"))).collect();
    let (by_account, by_program) = ("awaiting_account_admin".to_owned(), "awaiting_program_admin".to_owned());
    assert_eq!(medians, [(by_account, 2, 3.0), (by_program, 2, 3.0)]);
    assert_eq!(texts(&stuck, "kind"), ["link", "unlink"]);
    assert_eq!(texts(&unasked, "username"), ["gh_unasked"]);
    assert_eq!(texts(&vanished, "program"), [program(1)]);
    assert_eq!(texts(&suspended, "account"), [SUSPENDED]);
    assert_eq!(texts(&begun_elsewhere, "our_state"), ["initiating", "initiating"]);
}

/// Columns in the first table below each `## v_…` heading, as `view.column`.
fn described() -> BTreeSet<String> {
    let sections = DOCUMENT.split("\n## ").filter(|section| section.starts_with("v_"));
    let columns = sections.flat_map(|section| {
        let view = section.lines().next().unwrap_or("");
        let table = section.lines().skip_while(|line| !line.starts_with("| column ")).skip(2);
        let rows = table.take_while(|line| line.starts_with('|'));
        rows.map(move |row| format!("{view}.{}", row.split('`').nth(1).unwrap_or(row)))
    });
    columns.collect()
}

#[tokio::test]
async fn every_column_is_described_and_every_description_has_its_column() {
    const COLUMNS: &str = "
        SELECT m.name || '.' || c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c
        WHERE m.type = 'view' AND m.name LIKE 'v!_%' ESCAPE '!'";
    let (_folder, _world, mut reader) = lived().await;
    let columns: Vec<String> = sqlx::query_scalar(COLUMNS).fetch_all(&mut reader).await.unwrap();
    let columns = BTreeSet::from_iter(columns);
    let described = described();
    let missing: Vec<_> = columns.difference(&described).collect();
    let invented: Vec<_> = described.difference(&columns).collect();
    assert!(missing.is_empty() && invented.is_empty(), "to describe: {missing:?}; to take out: {invented:?}");
}

/// Whether a text is as in 2026-03-02T08:15:30.123Z.
fn is_rfc3339(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00.000Z"
}

#[tokio::test]
async fn what_is_described_as_a_time_is_rfc_3339_and_what_is_never_null_is_not() {
    let (_folder, _world, mut reader) = lived().await;
    for section in DOCUMENT.split("\n## ").filter(|section| section.starts_with("v_")) {
        let view = section.lines().next().unwrap_or("");
        let rows = run(&mut reader, &format!("SELECT * FROM {view}")).await;
        assert!(!rows.is_empty(), "{view} has no rows to look at");
        for line in section.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = line.split(" | ").collect();
            let [name, kind, null, ..] = cells[..] else { continue };
            let Some(name) = name.strip_prefix("| `").and_then(|name| name.strip_suffix('`')) else { continue };
            if !rows[0].columns().iter().any(|column| column.name() == name) {
                continue;
            }
            for row in &rows {
                let is_null = row.try_get_raw(name).unwrap().is_null();
                assert!(!is_null || null != "never", "{view}.{name} is null");
                if kind == "time" && !is_null {
                    let text: String = row.get(name);
                    assert!(is_rfc3339(&text), "{view}.{name}: {text}");
                }
            }
        }
    }
}

/// The words of one column in the first table of a section.
fn words(section: &str) -> BTreeSet<&str> {
    let section = DOCUMENT.split("\n## ").find(|found| found.starts_with(section)).expect(section);
    let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect()
}

#[tokio::test]
async fn every_word_that_is_met_is_described() {
    let (_folder, _world, mut reader) = lived().await;
    let met = run(&mut reader, "SELECT DISTINCT state FROM v_request").await;
    let states = words("State words");
    assert!(texts(&met, "state").iter().all(|word| states.contains(word.as_str())));
    assert_eq!(states.len(), 12);
    let met = run(&mut reader, "SELECT DISTINCT waiting_on FROM v_request WHERE waiting_on IS NOT NULL").await;
    let described = words("Waiting on whom");
    let met = texts(&met, "waiting_on");
    assert_eq!(met.iter().map(String::as_str).collect::<BTreeSet<_>>(), described);
}

#[tokio::test]
async fn the_group_may_read_all_three_files() {
    use std::os::unix::fs::PermissionsExt as _;

    let (folder, _world, _reader) = lived().await;
    for name in ["amplinkd.db", "amplinkd.db-wal", "amplinkd.db-shm"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640, "{name}");
    }
}
