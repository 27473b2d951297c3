//! The real process, killed between WeChat's answer and the disk, again and again: what that costs, and what it must never
//! do. The simulator's side and the file of the dead process are looked at, with the key that seals it.

use std::{collections::BTreeMap, time::Duration};

use amplinkd::{
    sim::{AuthorizerKind, By, ComponentApi, RefreshRotation, Span},
    vault::{Key, Place, Vault},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rusqlite::Connection;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{PATIENCE, Platform, gate::Gate, now_ms};
use crate::harness::{Process, wait_for};

/// Accounts whose tokens are refreshed again and again, because a token lives for two seconds.
const ACCOUNTS: [&str; 3] = ["wx00000000000000a1", "wx00000000000000a2", "wx00000000000000a3"];
const PROGRAM: &str = "wx00000000000000bb";
const LIFETIME: Span = Span::seconds(2);

/// How long after an answer goes out the process may live, in microseconds: half of them die before it can be on disk.
const LIVES_ON: [u64; 2] = [2_000, 30_000];

/// How soon the next token must be there; a claim of the dead process would last for half a minute.
const AT_ONCE: Duration = Duration::from_secs(15);

/// What the kills came to.
#[derive(Debug, Default)]
struct Figures {
    kills: u32,
    by_call: BTreeMap<&'static str, u32>,
    /// Tokens that WeChat had given and that were on no disk.
    lost: u32,
    lost_of_component: u32,
    /// Kills after which a claim stood on disk.
    claims_left: u32,
    business_calls: usize,
}

struct Ground {
    platform: Platform,
    gate: Gate,
    answering: UnboundedReceiver<String>,
    vault: Vault,
    dice: StdRng,
    figures: Figures,
}

impl Ground {
    async fn new(seed: u64) -> Self {
        let platform = Platform::new().await;
        let gate = Gate::before(platform.sim.url()).await;
        platform.point_at(&gate.url());
        {
            let mut world = platform.sim.world();
            world.switches.token_lifetime = LIFETIME;
            world.switches.refresh_token_rotates = RefreshRotation::AfterGrace(Span::minutes(5));
        }
        let key = std::fs::read(platform.path("database.key")).unwrap();
        let vault = Vault::new(&Key::parse(&key).unwrap(), &[]);
        let answering = gate.answering();
        Self { platform, gate, answering, vault, dice: StdRng::seed_from_u64(seed), figures: Figures::default() }
    }

    fn disk(&self) -> Connection {
        Connection::open(self.platform.path("a.db")).unwrap()
    }

    /// The number of the account's token on disk; none: it has been withdrawn, or its code was not traded yet.
    fn on_disk(&self, disk: &Connection, appid: &str) -> Option<u64> {
        let sealed: Option<Vec<u8>> =
            disk.query_row("SELECT token FROM authorizer WHERE appid = ?1", [appid], |row| row.get(0)).unwrap();
        let place = Place { table: "authorizer", column: "token", appid };
        sealed.map(|sealed| serial(self.vault.open(place, &sealed).unwrap().expose_secret()).1)
    }

    /// The number of the last token that WeChat gave for it.
    fn given(&self, appid: &str) -> u64 {
        let secrets = self.platform.sim.world().secrets();
        let serials = secrets.iter().filter_map(|secret| secret.text.strip_prefix(&format!("{appid}.")));
        serials.map(|rest| rest.split('.').next().unwrap().parse().unwrap()).max().unwrap_or(0)
    }

    async fn ready(&mut self, daemon: &Process) {
        self.platform.push_ticket().await;
        for appid in ACCOUNTS {
            self.platform.sim.world().authorize(appid, AuthorizerKind::Account, Some(&[1, 33]), now_ms()).unwrap();
            self.platform.run(&format!("request link {appid} {PROGRAM}"));
        }
        self.platform.sim.deliver_pushes().await;
        let invited = wait_for(PATIENCE, async || self.platform.sim.stats().wxamplink == 3).await;
        assert!(invited, "{}", daemon.log.tail());
    }

    /// Waits for an answer of this call to go out.
    async fn answer(&mut self, api: ComponentApi, daemon: &Process) {
        while self.answering.try_recv().is_ok() {}
        if api == ComponentApi::QueryAuth {
            let appid = ACCOUNTS[self.dice.random_range(0..ACCOUNTS.len())];
            // Pushes are timed by the second, and two grants of one second are one more code each.
            self.platform.sim.world().reauthorize(appid, None, now_ms()).unwrap();
            assert_eq!(self.platform.sim.deliver_pushes().await, 1);
        }
        let went_out = async { while self.answering.recv().await.unwrap() != api.name() {} };
        let in_time = tokio::time::timeout(PATIENCE, went_out).await.is_ok();
        assert!(in_time, "no {}: {}", api.name(), daemon.log.tail());
    }

    async fn kill_once(&mut self, daemon: Process) {
        let api = match self.dice.random_range(0..10) {
            0..7 => ComponentApi::AuthorizerToken,
            7 => ComponentApi::ComponentToken,
            _ => ComponentApi::QueryAuth,
        };
        self.answer(api, &daemon).await;
        let most = LIVES_ON[self.dice.random_range(0..LIVES_ON.len())];
        // Not tokio's: its timer goes by milliseconds.
        std::thread::sleep(Duration::from_micros(self.dice.random_range(0..=most)));
        daemon.kill();
        self.figures.kills += 1;
        *self.figures.by_call.entry(api.name()).or_default() += 1;
        self.look_at_the_dead();
    }

    fn look_at_the_dead(&mut self) {
        let disk = self.disk();
        let tokens = self.gate.take_tokens();
        self.figures.business_calls += tokens.len();
        for appid in ACCOUNTS {
            let Some(on_disk) = self.on_disk(&disk, appid) else { continue };
            let lost = self.given(appid).checked_sub(on_disk).expect("no token is on disk that WeChat never gave");
            assert!(lost <= 1, "{lost} refreshes of {appid} are lost by one kill");
            self.figures.lost += u32::try_from(lost).unwrap();
            let used = tokens.iter().map(|token| serial(token)).filter(|(account, _)| *account == appid);
            let used = used.map(|(_, number)| number).max().unwrap_or(0);
            assert!(used <= on_disk, "{appid} was called with its token {used}, and {on_disk} is on disk");
        }
        let claims = "SELECT (SELECT count(claimed_by) FROM authorizer), (SELECT count(claimed_by) FROM component)";
        let (accounts, component): (u32, u32) =
            disk.query_row(claims, (), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        self.figures.claims_left += u32::from(accounts + component > 0);
        self.figures.lost_of_component += component;
    }

    /// Every account has a token that is newer than any which was given before; no claim holds it up.
    async fn goes_on(&self, daemon: &Process) {
        let before = ACCOUNTS.map(|appid| (appid, self.given(appid)));
        let has_all = async || {
            let disk = self.disk();
            before.iter().all(|(appid, given)| self.on_disk(&disk, appid).is_some_and(|number| number > *given))
        };
        assert!(wait_for(AT_ONCE, has_all).await, "no token at once: {}", daemon.log.tail());
    }

    /// Both administrators agree, and the links stand.
    async fn links(&self, daemon: &Process) {
        for by in [By::AccountAdmin, By::ProgramAdmin] {
            for appid in ACCOUNTS {
                // The plan of the world may have been faster.
                let _ = self.platform.sim.world().approve(appid, PROGRAM, by, now_ms());
            }
        }
        let linked = async || {
            let requests: Value = self.platform.json("request list");
            let requests = requests.as_array().unwrap();
            requests.len() == ACCOUNTS.len() && requests.iter().all(|request| request["state"] == "linked")
        };
        assert!(wait_for(PATIENCE, linked).await, "{}", daemon.log.tail());
        for appid in ACCOUNTS {
            assert_eq!(self.platform.sim.world().invitations(appid, PROGRAM), 1);
        }
    }
}

/// Account and number of a token of the simulator's.
fn serial(token: &str) -> (&str, u64) {
    let mut parts = token.split('.');
    (parts.next().unwrap(), parts.next().unwrap().parse().unwrap())
}

async fn killed(times: u32, seed: u64) -> Figures {
    let mut ground = Ground::new(seed).await;
    let mut daemon = ground.platform.daemon().await;
    ground.ready(&daemon).await;
    for _ in 0..times {
        ground.kill_once(daemon).await;
        daemon = ground.platform.daemon().await;
        ground.goes_on(&daemon).await;
    }
    ground.links(&daemon).await;
    daemon.stop();
    let states: Value = ground.platform.json("authorizer list");
    let is_authorized = |row: &Value| row["state"] == "authorized" && row["has_link_permission"] == true;
    assert!(states.as_array().unwrap().iter().all(is_authorized), "nobody has to authorize anew: {states}");
    // The list is read for codes that were used up without an answer alone.
    let traded = u64::from(ground.figures.by_call.get("api_query_auth").copied().unwrap_or(0));
    let listed = ground.platform.sim.world().component().unwrap().called(ComponentApi::AuthorizerList);
    assert!(listed <= traded, "{listed} pages of the list after {traded} kills at a trade");
    println!("{:?}; {listed} pages of the list", ground.figures);
    ground.figures
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_between_wechats_answer_and_the_disk_cost_at_most_one_refresh_each() {
    let figures = killed(12, 20).await;
    assert!(figures.lost <= figures.kills * 3 && figures.business_calls > 0, "{figures:?}");
}

/// The same a hundred times: `cargo test --test it a_hundred_kills_between -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes"]
async fn a_hundred_kills_between_wechats_answer_and_the_disk() {
    let figures = killed(100, 100).await;
    assert!(figures.claims_left > 0 && figures.lost > 0, "none came in between: {figures:?}");
}
