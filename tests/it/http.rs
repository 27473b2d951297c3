//! The API of the real binary, spoken to by a plain client: who may do what, what is answered, and what is bounded.

mod acts;
mod asks;
mod backups;
mod bounds;
mod browser;
mod bulk;
mod channels;
mod described;
mod documented;
mod ends;
mod events;
mod identity;
mod lists;
mod pages;
mod people;

use std::{
    net::TcpListener,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use amplinkd::{
    clock::{Clock as _, SystemClock},
    credential::{self, ApiToken},
    domain::{
        action::{ActionKind, Actor, By},
        identity::{Role, Scope},
        time::Time,
    },
    store::{
        Role as Opening, Store,
        write::{action::Action, api_tokens::NewApiToken},
    },
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header::HeaderMap};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::harness::{Log, Process};

pub(crate) const ACCOUNT: &str = "wx00000000000000aa";
pub(crate) const PROGRAM: &str = "wx00000000000000bb";

/// A folder with a configuration, a daemon on it, and a client.
pub(crate) struct House {
    pub(crate) folder: tempfile::TempDir,
    port: u16,
    pub(crate) base: String,
    client: reqwest::Client,
    log: Log,
    pub(crate) daemon: Option<Process>,
}

/// A port that nobody listens at, below those that the system gives to connections.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id() * 16 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + u16::try_from(number % 10_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn now() -> Time {
    SystemClock::new().now()
}

fn by(kind: ActionKind, subject: &str) -> Action {
    Action::of(kind, subject, &By::new(Actor::on_machine("root")), now())
}

/// An answer that was read.
#[derive(Debug)]
pub(crate) struct Said {
    status: StatusCode,
    headers: HeaderMap,
    pub(crate) text: String,
}

impl Said {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status and the word of a problem.
    fn problem(&self) -> (u16, String) {
        let word = self.json()["code"].as_str().unwrap_or_default().to_owned();
        (self.status.as_u16(), word)
    }
}

fn with_body(asked: RequestBuilder, body: &Value) -> RequestBuilder {
    asked.header("Content-Type", "application/json").body(body.to_string())
}

/// All of these at once.
async fn at_once(asked: impl Iterator<Item = RequestBuilder>) -> Vec<Said> {
    let asked: tokio::task::JoinSet<Said> =
        asked.map(|asked| async move { Said::of(asked.send().await.unwrap()).await }).collect();
    asked.join_all().await
}

impl House {
    /// A daemon that calls nobody, with more of `[http]` than its listener.
    pub(crate) async fn open(more: &str) -> Self {
        Self::beside("base_url = \"http://127.0.0.1:9\"", &[ACCOUNT], more).await
    }

    /// The same with another `[wechat]`, and tokens of these accounts.
    pub(crate) async fn beside(wechat: &str, accounts: &[&str], more: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let base = more.lines().find_map(|line| line.strip_prefix("base_path = \"")?.strip_suffix('"'));
        let tokens: Vec<String> = accounts.iter().map(|account| format!("{account} = \"t\"")).collect();
        let tokens = tokens.join(", ");
        let config = format!(
            "[database]\nurl = \"sqlite:a.db\"\n[wechat]\n{wechat}\n[tokens]\n\
             source = \"static\"\nstatic = {{ {tokens} }}\n[log]\nformat = \"json\"\n\
             [http]\nlisten = \"127.0.0.1:{port}\"\n{more}\n"
        );
        std::fs::write(folder.path().join("amplinkd.toml"), config).unwrap();
        let base = format!("http://127.0.0.1:{port}{}", base.unwrap_or_default());
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let mut house = Self { folder, port, base, client, log: Log::default(), daemon: None };
        house.daemon = Some(Process::start(house.command("run"), &house.log).await);
        house
    }

    /// Kills the daemon and begins another one.
    async fn again(&mut self) {
        drop(self.daemon.take());
        self.daemon = Some(Process::start(self.command("run"), &self.log).await);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amplinkd"));
        command.current_dir(self.folder.path()).args(arguments.split_whitespace());
        command
    }

    /// What a command prints as JSON; it must go well.
    pub(crate) fn json(&self, arguments: &str) -> Value {
        let said = self.command(&format!("{arguments} -o json")).output().unwrap();
        assert!(said.status.success(), "{arguments}: {}", String::from_utf8_lossy(&said.stderr));
        serde_json::from_slice(&said.stdout).unwrap()
    }

    async fn store(&self) -> Store {
        Store::open(&crate::place::location(self.path("a.db"), 0o640), Opening::Tool).await.unwrap()
    }

    /// A token with this role and these scopes.
    pub(crate) async fn token(&self, role: Role, scopes: &[Scope]) -> String {
        let ApiToken { id, token } = ApiToken::generate();
        let store = self.store().await;
        let new = NewApiToken {
            name: format!("t-{id}"),
            id,
            role,
            scopes: scopes.to_vec(),
            digest: credential::digest(token.expose_secret()),
            user: None,
            by: "root".to_owned(),
            expires_at: None,
        };
        assert!(store.add_api_token(new, by(ActionKind::NewApiToken, "t"), now()).await.unwrap());
        store.close().await;
        token.expose_secret().to_owned()
    }

    pub(crate) async fn viewer(&self) -> String {
        self.token(Role::Viewer, &Role::Viewer.scopes()).await
    }

    pub(crate) async fn operator(&self) -> String {
        self.token(Role::Operator, &Role::Operator.scopes()).await
    }

    pub(crate) async fn admin(&self) -> String {
        self.token(Role::Admin, &Role::Admin.scopes()).await
    }

    pub(crate) async fn user(&self, name: &str, role: Role, password: &str) {
        let hash = credential::hash_password(&SecretString::from(password)).unwrap();
        let store = self.store().await;
        assert!(store.add_user(name.to_owned(), role, hash, by(ActionKind::AddUser, name), now()).await.unwrap());
        store.close().await;
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Said {
        Said::of(self.ask(Method::GET, path).bearer_auth(token).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Said {
        self.send(self.ask(Method::POST, path).bearer_auth(token), body).await
    }

    async fn send(&self, asked: RequestBuilder, body: Value) -> Said {
        Said::of(with_body(asked, &body).send().await.unwrap()).await
    }

    /// Without a body.
    async fn bare(&self, method: Method, path: &str, token: &str) -> Said {
        Said::of(self.ask(method, path).bearer_auth(token).send().await.unwrap()).await
    }

    /// Changes the file past everybody.
    pub(crate) async fn sql(&self, sql: &'static str) {
        let mut connection = self.connection().await;
        let statements = sqlx::AssertSqlSafe(crate::past::in_words(sql));
        sqlx::raw_sql(statements).execute(&mut connection).await.expect(sql);
        connection.close().await.unwrap();
    }

    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.connection().await).await.expect(sql)
    }

    async fn connection(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path("a.db"));
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    /// A new request.
    pub(crate) async fn request(&self, token: &str, program: &str) -> String {
        let wish = json!({ "kind": "link", "account": ACCOUNT, "program": program });
        let said = self.post("/api/v1/requests", token, wish).await;
        assert_eq!(said.status, StatusCode::CREATED, "{said:?}");
        said.json()["id"].as_str().unwrap().to_owned()
    }

    /// Kills the daemon and starts another.
    pub(crate) async fn killed(&mut self) {
        self.daemon.take().unwrap().kill();
        self.daemon = Some(Process::start(self.command("run"), &self.log).await);
    }

    async fn sign_in(&self, name: &str, password: &str) -> Said {
        let body = serde_json::json!({ "name": name, "password": password }).to_string();
        let asked = self.ask(Method::POST, "/api/v1/session").header("Content-Type", "application/json").body(body);
        Said::of(asked.send().await.unwrap()).await
    }
}
