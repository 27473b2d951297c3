//! How long people wait for an answer: the commands' queries through the store, and those that docs/database.md
//! suggests.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use amplinkd::store::{
    Location, Role, Store,
    read::{account_page::AccountFilter, audit::Histories, request_page::RequestFilter, views::ConflictFilter},
};
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::house::wish;

/// Rows of a page, as the commands ask for.
const PAGE: u32 = 50;

/// Askings of one question; the middle one counts.
const TIMES: usize = 5;

/// A question that takes longer than this is asked once.
const SLOW: Duration = Duration::from_secs(1);

/// The pair that the document asks for; one that nobody asked for would cost nothing.
const ACCOUNT: &str = "wx0123456789abcdef";
const PROGRAM: &str = "wxfedcba9876543210";

const DOCUMENT: &str = include_str!("../../docs/database.md");

/// Asks everything and prints what it took.
pub(crate) async fn ask_all(path: &Path, accounts: usize) {
    let store = Store::open(&Location::file(path.to_owned(), 0o600), Role::Tool).await.expect("a store");
    ask_commands(&store, accounts).await;
    store.close().await;
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut reader = options.connect().await.expect("a reader");
    let pair = wish(accounts / 2);
    for (question, sql) in questions() {
        let sql = sql.replace(ACCOUNT, &pair.account.to_string()).replace(PROGRAM, &pair.program.to_string());
        let shown = format!("query: {question}");
        tell(&shown, &in_the_middle(&mut reader, &sql).await);
    }
}

async fn ask_commands(store: &Store, accounts: usize) {
    let any = wish(accounts / 2).account;
    let account = Some(any.to_string());
    let all = RequestFilter::default();
    let listed = store.list_requests(&RequestFilter { account: account.clone(), ..all.clone() }, PAGE).await;
    let one = listed.expect("rows").pop().expect("a request of the account");
    let late = RequestFilter { after: Some(one.id.clone()), ..all.clone() };
    let lists = [
        ("request list", all.clone()),
        ("request list, a page from the middle", late),
        ("request list --open", RequestFilter { open: Some(true), ..all.clone() }),
        ("request list --state", RequestFilter { states: vec!["awaiting_program_admin".to_owned()], ..all.clone() }),
        (
            "request list --state, of which there are none",
            RequestFilter { states: vec!["failed".to_owned()], ..all.clone() },
        ),
        ("request list --account", RequestFilter { account: account.clone(), ..all.clone() }),
        ("request list --program", RequestFilter { program: Some(one.program.clone()), ..all.clone() }),
        (
            "request list --label",
            RequestFilter { labels: vec![("customer".to_owned(), "0042".to_owned())], ..all.clone() },
        ),
        (
            "request list --label, which nothing has",
            RequestFilter { labels: vec![("customer".to_owned(), "x".to_owned())], ..all },
        ),
    ];
    for (question, filter) in lists {
        tell(question, &timed(async || store.list_requests(&filter, PAGE).await.map(drop)).await);
    }
    let open = ConflictFilter { open: Some(true), ..ConflictFilter::default() };
    let of_account = ConflictFilter { account: account.clone(), ..ConflictFilter::default() };
    let name = account.as_deref();
    let suspended = AccountFilter { state: Some("suspended".to_owned()), ..AccountFilter::default() };
    tell("request show", &timed(async || store.request_view(&one.id).await.map(drop)).await);
    tell("request history", &timed(async || store.history(&one.id).await.map(drop)).await);
    tell(
        "account list",
        &timed(async || store.account_page(&AccountFilter::default(), "", PAGE).await.map(drop)).await,
    );
    tell("account list --suspended", &timed(async || store.account_page(&suspended, "", PAGE).await.map(drop)).await);
    tell("account show", &timed(async || store.account_views(name, None, 1).await.map(drop)).await);
    tell("program list", &timed(async || store.program_page("", None, None).await.map(drop)).await);
    tell("program list --account", &timed(async || store.program_page("", name, None).await.map(drop)).await);
    tell(
        "program list --program",
        &timed(async || store.program_page("", None, Some(&one.program)).await.map(drop)).await,
    );
    tell("conflict list", &timed(async || store.conflicts(&ConflictFilter::default(), PAGE).await.map(drop)).await);
    tell("conflict list --open", &timed(async || store.conflicts(&open, PAGE).await.map(drop)).await);
    tell("conflict list --account", &timed(async || store.conflicts(&of_account, PAGE).await.map(drop)).await);
    tell("audit", &timed(async || store.audit(0, Histories::Turn(0), PAGE).await.map(drop)).await);
    tell("requests by state", &timed(async || store.count_by_state().await.map(drop)).await);
}

/// The questions of the document with their queries, each by the last paragraph before it.
fn questions() -> Vec<(String, String)> {
    let (_, section) = DOCUMENT.split_once("## Questions and their queries").expect("the section");
    let mut found = Vec::new();
    for block in section.split("```sql\n").collect::<Vec<_>>().windows(2) {
        let words = block[0].rsplit("```").next().unwrap_or_default();
        let paragraph = words.trim().rsplit("\n\n").next().unwrap_or_default();
        let question = paragraph.split_inclusive(['?', ':']).next().unwrap_or_default().replace('\n', " ");
        let sql = block[1].split("```").next().unwrap_or_default();
        found.push((question.trim_end_matches(':').to_owned(), sql.to_owned()));
    }
    found
}

async fn timed<E: std::fmt::Debug>(mut ask: impl AsyncFnMut() -> Result<(), E>) -> Vec<Duration> {
    let mut took = Vec::new();
    while took.len() < TIMES && took.last().is_none_or(|last| *last < SLOW) {
        let asked = Instant::now();
        ask().await.expect("an answer");
        took.push(asked.elapsed());
    }
    took
}

async fn in_the_middle(reader: &mut SqliteConnection, sql: &str) -> Vec<Duration> {
    timed(async || sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut *reader).await.map(drop)).await
}

fn tell(question: &str, took: &[Duration]) {
    let mut took = took.to_vec();
    took.sort_unstable();
    let middle = took.get(took.len() / 2).copied().unwrap_or_default();
    println!("{question}, ms\t{:.1}", middle.as_secs_f64() * 1e3);
}
