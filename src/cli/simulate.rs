//! `amplinkd simulate`: the simulator alone, for people and their integration tests.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use tokio::net::TcpListener;

use crate::sim::{self, Component, ComponentSetup, Faults, Scenario, Shared, World};

/// Run a WeChat simulator: link APIs, tokens, administrators; a third-party platform with --component --push-to
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  amplinkd simulate --speed 60 --faults mild
  amplinkd simulate --component --push-to http://127.0.0.1:7072/wechat/callback")]
pub struct Simulate {
    /// Address to listen on; it has no password, so keep it local
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7070")]
    pub listen: SocketAddr,

    /// Seed: the same seed gives the same people and the same faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// How many times faster than real time its clock runs: with 60, a minute takes a second
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,

    /// How often calls fail: none, mild (about one in thirty) or nasty (about one in three)
    #[arg(long, value_name = "HOW", default_value = "none", value_parser = Faults::preset)]
    pub faults: Faults,

    /// A TOML file with plans, switches, quotas and faults; see docs/simulator.md
    #[arg(long, value_name = "FILE")]
    pub plans: Option<PathBuf>,

    /// A third-party platform (第三方平台) too, with this appid; without one its appid comes from the seed
    #[arg(long, value_name = "APPID", num_args = 0..=1)]
    pub component: Option<Option<String>>,

    /// Where tickets and authorizations of that platform are pushed to; implies --component
    #[arg(long, value_name = "URL")]
    pub push_to: Option<String>,
}

/// Speeds beyond this move the simulator's time by more than an hour between two calls, which shows nothing any more.
const SPEED_MAX: f64 = 1_000_000.0;

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if speed > 0.0 && speed <= SPEED_MAX => Ok(speed),
        _ => Err(format!("must be a number above 0 and up to {SPEED_MAX}")),
    }
}

/// Runs the simulator until the future ends.
pub async fn run(args: Simulate, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    let mut world = World::new(args.seed);
    world.faults = args.faults;
    if let Some(path) = &args.plans {
        let scenario = read(path)?;
        scenario.apply(&mut world).with_context(|| format!("in {}", path.display()))?;
    }
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr().context("the listener has no address")?;
    let now = sim::accelerated(args.speed);
    if args.component.is_some() || args.push_to.is_some() {
        let setup = ComponentSetup { appid: args.component.flatten(), push_to: args.push_to, ..Default::default() };
        world.set_component(&setup, now())?;
    }
    // Whoever has read enough of it may go: the simulator stays.
    let _ = writeln!(io::stdout(), "{}", banner(address, args.seed, args.speed));
    if let Some(component) = world.component() {
        let _ = writeln!(io::stdout(), "{}", platform_banner(address, component));
    }
    let shared = Shared::new(world, now);
    sim::serve(listener, shared, shutdown).await.context("the simulator stopped")
}

fn read(path: &Path) -> anyhow::Result<Scenario> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the plans {}", path.display()))?;
    toml::from_str(text.trim_start_matches('\u{feff}')).with_context(|| format!("in {}", path.display()))
}

/// What a person needs to point a daemon at it and to act as the administrators.
fn banner(address: SocketAddr, seed: u64, pace: f64) -> String {
    format!(
        r#"The WeChat simulator is listening (seed {seed}, time x{pace})

  link calls   http://{address}/cgi-bin/wxopen/{{wxamplinkget,wxamplink,wxampunlink}}
  tokens       http://{address}/token?appid=ACCOUNT
  the people   http://{address}/_sim/world  (docs/simulator.md lists every endpoint)

Point a daemon at it: http://{address} is WeChat's base URL,
and http://{address}/token?appid=ACCOUNT is the token service.
Any account and program can be named; they are generated on first use.

Approve as an administrator:

  curl http://{address}/_sim/approve \
    -d '{{"account":"ACCOUNT","program":"PROGRAM","by":"account_admin"}}'

Ctrl-C stops it; nothing is stored.
"#
    )
}

/// What a person needs to configure a daemon as that platform, and to authorize it.
fn platform_banner(address: SocketAddr, component: &Component) -> String {
    let keys = component.keys();
    format!(
        r#"The third-party platform:

  appid             {}
  secret            {}
  callback token    {}
  EncodingAESKey    {}
  pushes go to      {}

Authorize it for an account, and take that back:

  curl http://{address}/_sim/authorize -d '{{"account":"ACCOUNT"}}'
  curl http://{address}/_sim/revoke -d '{{"account":"ACCOUNT"}}'
  curl http://{address}/_sim/pushes      (what was pushed, and what was answered)
"#,
        component.appid(),
        component.secret(),
        keys.token,
        keys.encoding_aes_key,
        component.push_to().unwrap_or("nowhere: name a URL with --push-to"),
    )
}
