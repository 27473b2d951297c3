//! The demo's door: pages and the HTTP API beside the work, with a link and a token for whoever watches, which end with the
//! demo.

use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::Arc,
};

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;

use crate::{
    alerting::evaluator::AlertEvaluator,
    cli::actor,
    config::{Config, Http, proxy_variables},
    credential::{self, ApiToken},
    daemon,
    domain::{action::ActionKind, identity::Role},
    engine::Engine,
    http::{
        api,
        web::{
            self,
            played::{Answer, Demo, Play, Says, Side},
        },
    },
    shutdown::Shutdown,
    sim::{By, Sim},
    store::write::{action::Action, api_tokens::NewApiToken, users::UserChange},
};

/// Where it listens unless something else does.
const PORT: u16 = 8750;

/// Ports that are tried one after the other before the system names a free one.
const PORTS: u16 = 50;

/// The name of the token and of the user.
const NAME: &str = "demo";

/// The API, listening, and the token that opens it.
#[derive(Debug)]
pub(super) struct Door {
    api: api::Door,
    address: SocketAddr,
    token: SecretString,
    /// What the link to the pages is made of; it works once.
    ticket: SecretString,
}

impl Door {
    /// Listens at [`PORT`], or the next free one, and makes the token.
    ///
    /// # Errors
    /// Nothing can be listened at, or the token cannot be kept; the sentence says which.
    pub(super) async fn open(engine: &Arc<Engine>, sim: &Sim, shutdown: &Shutdown) -> anyhow::Result<Self> {
        user(engine).await?;
        let ticket = ticket();
        let demo = Demo::new(ticket.clone(), NAME.to_owned(), play(sim));
        let api = listen(engine, shutdown).await?.measuring(daemon::metrics(engine)).with_pages(web::pages(Some(demo)));
        let address = api.address().context("the API has no address")?;
        Ok(Self { api, address, token: token(engine).await?, ticket })
    }

    /// Where people reach it.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the dashboard is entered; it works once.
    pub(super) fn link(&self) -> String {
        format!("http://{}/enter/{}", self.address, self.ticket.expose_secret())
    }

    /// Says how to use it, in lines that work as pasted.
    pub(super) fn announce(&self, out: &mut impl Write) -> io::Result<()> {
        // Where a proxy is set, curl would ask it for this machine, too.
        let direct = if proxy_variables().is_empty() { "" } else { " --noproxy '*'" };
        writeln!(out, "Open the dashboard; the link signs you in, once:\n")?;
        writeln!(out, "  {}\n", self.link())?;
        writeln!(out, "The HTTP API answers until the demo ends (docs/http.md):\n")?;
        writeln!(
            out,
            "  curl -sS{direct} -H 'Authorization: Bearer {}' 'http://{}/api/v1/requests?limit=3'\n",
            self.token.expose_secret(),
            self.address
        )
    }

    /// Serves until the end is asked for.
    pub(super) async fn run(self, engine: &Engine, alerts: AlertEvaluator, shutdown: &Shutdown) {
        tokio::join!(self.api.run(shutdown), engine.tend(shutdown), alerts.run(shutdown));
    }
}

/// What finds out what people must know; it is told on pages alone, for the demo has no channels.
pub(super) async fn alerts(engine: &Arc<Engine>) -> anyhow::Result<AlertEvaluator> {
    let config = Config::default();
    let settings = daemon::alerting(&config);
    let alerting = daemon::Alerting::start(engine, settings, Vec::new(), config.alerts.give_up_after).await?;
    Ok(alerting.evaluator)
}

/// Ends token and user: a database that is kept opens to nobody.
pub(super) async fn close(engine: &Engine) -> anyhow::Result<()> {
    let now = engine.clock().now();
    let action = Action::of(ActionKind::RevokeApiToken, NAME, &actor::by(), now);
    engine.store().revoke_api_token(NAME.to_owned(), None, action, now).await?;
    let action = Action::of(ActionKind::RemoveUser, NAME, &actor::by(), now);
    engine.store().change_user(NAME.to_owned(), UserChange::Removed, action, now).await?;
    Ok(())
}

/// Half of a session's secret: 128 bits, in a link that fits a terminal.
fn ticket() -> SecretString {
    let secret = credential::session_secret();
    let secret = secret.expose_secret();
    SecretString::from(secret.get(..32).unwrap_or(secret))
}

/// Somebody to sign in as, with a password that nobody knows.
async fn user(engine: &Engine) -> anyhow::Result<()> {
    let now = engine.clock().now();
    let password = credential::hash_password(&credential::session_secret()).context("no password can be made")?;
    let action = Action::of(ActionKind::AddUser, NAME, &actor::by(), now);
    engine.store().add_user(NAME.to_owned(), Role::Operator, password, action, now).await?;
    Ok(())
}

/// Administrators answer when somebody at the pages says so.
fn play(sim: &Sim) -> Box<Play> {
    let played = sim.played();
    Box::new(move |answer: &Answer| {
        let by = match answer.by {
            Side::Account => By::AccountAdmin,
            Side::Program => By::ProgramAdmin,
        };
        played(&answer.account, &answer.program, by, answer.says == Says::Yes).map_err(|wrong| wrong.to_string())
    })
}

async fn listen(engine: &Arc<Engine>, shutdown: &Shutdown) -> anyhow::Result<api::Door> {
    // Nobody changes it: the receiver keeps what it was given.
    let (_, config) = watch::channel(Arc::new(Config::default()));
    for port in (PORT..PORT + PORTS).chain([0]) {
        match api::Door::open(&Http::on_loopback(port), engine, config.clone(), shutdown).await {
            Err(error) if port > 0 && is_taken(&error) => {}
            opened => return opened,
        }
    }
    anyhow::bail!("no port of 127.0.0.1 is free")
}

fn is_taken(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds.into_iter().any(|kind| kind == io::ErrorKind::AddrInUse)
}

async fn token(engine: &Engine) -> anyhow::Result<SecretString> {
    let (now, by, role) = (engine.clock().now(), actor::by(), Role::Operator);
    let ApiToken { id, token } = ApiToken::generate();
    let action = Action::of(ActionKind::NewApiToken, NAME, &by, now);
    let new = NewApiToken {
        id,
        name: NAME.to_owned(),
        role,
        scopes: role.scopes(),
        digest: credential::digest(token.expose_secret()),
        user: None,
        by: by.actor.name,
        expires_at: None,
    };
    engine.store().add_api_token(new, action, now).await?;
    Ok(token)
}
