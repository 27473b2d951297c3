//! A platform that has only its component's appid and secret, in front of the simulator: pushes come in by the callback,
//! tokens go out by the token service, and requests are linked with them.
//!
//! What such a platform meets, and the tests that hold it; those marked with * are unit tests of `src` (`cargo test --lib`).
//!
//! | case | tests |
//! |---|---|
//! | 1 public vectors | `wechat::callback::every_public_vector_is_decrypted`, `pushes_of_another_implementation_are_read`, \*`every_public_vector_is_encrypted_to` |
//! | 2 a key's trailing bits | \*`a_key_has_43_characters_of_which_the_last_bits_do_not_count` |
//! | 3 padding up to 32 | \*`every_padding_from_1_to_32_is_stripped`, \*`a_legal_padding_alone_opens_nothing` |
//! | 4 a wrong `msg_signature` | `door::every_forgery_gets_the_same_answer_and_changes_nothing`, \*`every_part_is_signed` |
//! | 5 another component's appid | the same, \*`the_appid_behind_the_message_must_be_ours` |
//! | 6 a DOCTYPE, a bomb, 10,000 tags, more than 64 KiB | `door::hostile_bodies_are_refused_and_cost_no_memory`, \*`what_expands_or_has_no_end_is_refused` |
//! | 7 an example that ends in `<xml>` | \*`an_example_that_ends_in_an_open_tag_is_read` |
//! | 8 CDATA, entities | \*`sections_entities_and_blanks_are_no_part_of_a_value` |
//! | 9 plain JSON | \*`plain_json_is_taken_only_where_it_is_allowed` |
//! | 10 the key and the token before | \*`previous_tokens_and_keys_are_taken_and_a_third_is_not` |
//! | 11 one push fifty times at once | `door::the_same_push_fifty_times_at_once_is_one_row_and_fifty_successes` |
//! | 12 the database is held | `door::a_push_is_answered_with_success_once_the_held_database_has_it`, `door::a_push_that_cannot_be_stored_in_time_is_answered_with_500_and_taken_when_it_comes_again` |
//! | 13 an unknown kind, an empty body, a GET | `door::an_unknown_kind_is_taken_an_empty_body_and_a_get_are_not` |
//! | 14 tickets out of order | \*`a_ticket_that_comes_late_replaces_no_newer_one_and_a_days_calls_are_counted` |
//! | 15 no ticket for 12 hours | `keeper::eleven_hours_without_a_ticket_go_on_and_thirteen_cost_no_storm` |
//! | 16 a restart without a push | `recovery::a_restart_with_a_ticket_on_disk_works_at_once_without_a_push` |
//! | 17 the only ticket is refused | `recovery::a_refused_ticket_is_tried_once_also_across_restarts_and_the_next_push_heals` |
//! | 19 a component token killed outside | `recovery::a_component_token_that_is_refused_to_a_refresh_costs_one_renewal_and_one_repeat` |
//! | 20 killed between an answer and the disk | `kills::kills_between_wechats_answer_and_the_disk_cost_at_most_one_refresh_each` |
//! | 21 a thousand callers | `keeper::a_thousand_callers_of_one_ended_token_cost_one_call` |
//! | 22 a refusal of the token before | `races::a_refusal_of_an_old_token_leaves_the_new_one_alone` |
//! | 23 a new authorization during a refresh | `races::a_new_authorization_during_a_refresh_throws_its_result_away`, `races::a_refusal_that_a_new_authorization_has_overtaken_withdraws_nothing` |
//! | 24 a withdrawal | `door::after_a_withdrawal_was_answered_the_very_next_poll_does_not_happen` |
//! | 25 granted and withdrawn in one second | `races::authorized_and_unauthorized_in_one_second_end_as_wechat_says_in_both_orders` |
//! | 26 refresh tokens are lost | `recovery::one_sweep_of_three_pages_heals_1200_accounts_and_a_second_one_waits_an_hour` |
//! | 27 refresh tokens rotate | `recovery::a_lost_answer_to_a_refresh_costs_one_more_and_without_a_grace_the_list`, `keeper::a_refresh_token_that_rotates_is_kept_each_time` |
//! | 28 without permission set 33 | \*`without_the_permission_set_it_is_suspended_and_a_person_must_tick_it` |
//! | 29 two processes, a dead one, a foreign one | `races::two_processes_on_one_database_fetch_a_token_once`, `races::a_process_that_dies_with_a_claim_costs_half_a_minute`, `races::a_foreign_refresher_makes_no_loop_of_refreshes` |

mod alerts;
mod checks;
mod days;
mod door;
mod gate;
mod keeper;
mod keys;
mod kills;
mod outages;
mod poison;
mod races;
mod recovery;
mod refusals;
mod reload;
mod service;
mod stopping;

use std::{
    net::TcpListener,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use amplinkd::sim::{AuthorizerKind, ComponentSetup, Faults, PushAsk, Sim, SimConfig};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Log, Process, wait_for};

const ACCOUNT: &str = "wx00000000000000aa";
const PROGRAM: &str = "wx00000000000000bb";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

#[expect(clippy::disallowed_methods, reason = "the real binary goes by the machine's clock, and so does its world")]
fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A platform's files, its world and its daemon.
struct Platform {
    folder: tempfile::TempDir,
    sim: Sim,
    callback: u16,
    service: u16,
    key: String,
    http: reqwest::Client,
}

/// Two ports that nobody listens at, below those that the system gives to connections, so that none is taken meanwhile.
fn free_ports() -> [u16; 2] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    [(), ()].map(|()| {
        loop {
            let number = std::process::id() * 8 + NEXT.fetch_add(1, Ordering::Relaxed);
            let port = 20_000 + u16::try_from(number % 10_000).unwrap();
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
    })
}

impl Platform {
    async fn new() -> Self {
        // Another test may have installed it first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let [callback, service] = free_ports();
        let now = std::sync::Arc::new(now_ms);
        let sim = Sim::start(SimConfig { seed: 11, now, faults: Faults::none() }).await.unwrap();
        let push_to = Some(format!("http://127.0.0.1:{callback}/wechat/callback"));
        let setup = ComponentSetup { push_to, by_hand: Some(true), ..ComponentSetup::default() };
        sim.world().set_component(&setup, now_ms()).unwrap();
        let platform = Self { folder, sim, callback, service, key: String::new(), http: reqwest::Client::new() };
        platform.run(&format!("secrets new-key {}", platform.path("database.key").display()));
        platform.write_config("");
        let made: Value = serde_json::from_str(&platform.run("token-key new -o json")).unwrap();
        let digest = made["key_sha256"].as_str().unwrap();
        platform.write_config(&format!(
            "[token_service]\nlisten = \"127.0.0.1:{service}\"\n[[token_service.caller]]\nname = \"crm\"\n\
             key_sha256 = \"{digest}\"\naccounts = [\"{ACCOUNT}\"]\n"
        ));
        Self { key: made["key"].as_str().unwrap().to_owned(), ..platform }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_config(&self, more: &str) {
        let world = self.sim.world();
        let component = world.component().unwrap();
        let keys = component.keys();
        for (name, secret) in [("secret", component.secret()), ("token", &keys.token), ("aes", &keys.encoding_aes_key)]
        {
            std::fs::write(self.path(name), format!("{secret}\n")).unwrap();
        }
        let config = format!(
            "[database]\nurl = \"sqlite:a.db\"\n[wechat]\nbase_url = \"{url}\"\n[tokens]\nsource = \"component\"\n\
             [component]\nappid = \"{appid}\"\nsecret_file = \"secret\"\nmessage_token_file = \"token\"\n\
             aes_key_file = \"aes\"\n[callback]\nlisten = \"127.0.0.1:{callback}\"\n\
             [secrets]\nkey_file = \"database.key\"\n[polling]\nsteps = [ {{ every = \"100ms\" }} ]\n\
             daily_budget = 100000\n[log]\nformat = \"json\"\n{more}",
            url = self.sim.url(),
            appid = component.appid(),
            callback = self.callback,
        );
        std::fs::write(self.path("amplinkd.toml"), config).unwrap();
    }

    /// From the daemon's next start on, WeChat is asked here.
    fn point_at(&self, url: &str) {
        let config = std::fs::read_to_string(self.path("amplinkd.toml")).unwrap();
        std::fs::write(self.path("amplinkd.toml"), config.replace(&self.sim.url(), url)).unwrap();
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amplinkd"));
        command.current_dir(self.folder.path()).args(arguments.split_whitespace());
        command
    }

    /// What a command prints; it must go well.
    fn run(&self, arguments: &str) -> String {
        let said = self.command(arguments).output().unwrap();
        assert!(said.status.success(), "{arguments}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap()
    }

    fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{arguments} -o json"))).unwrap()
    }

    async fn daemon(&self) -> Process {
        Process::start(self.command("run"), &Log::default()).await
    }

    /// A ticket is pushed now.
    async fn push_ticket(&self) {
        self.sim.world().push(&PushAsk::default(), now_ms()).unwrap();
        self.sim.deliver_pushes().await;
    }

    async fn token(&self, key: &str, appid: &str) -> (u16, Value) {
        let url = format!("http://127.0.0.1:{}/token?appid={appid}", self.service);
        let said = self.http.get(url).header("Authorization", format!("Bearer {key}")).send().await.unwrap();
        (said.status().as_u16(), serde_json::from_str(&said.text().await.unwrap()).unwrap_or_default())
    }

    fn authorizer(&self) -> Value {
        self.json(&format!("authorizer show {ACCOUNT}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_secret_and_a_ticket_to_a_link_and_back() {
    let platform = Platform::new().await;
    let mut daemon = platform.daemon().await;
    assert_eq!(platform.token(&platform.key, ACCOUNT).await.0, 404, "nobody has heard of it");
    let id: Value = platform.json(&format!("request link {ACCOUNT} {PROGRAM}"));
    let id = id["id"].as_str().or_else(|| id[0]["id"].as_str()).unwrap().to_owned();

    platform.push_ticket().await;
    let func_ids = [1, 33];
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&func_ids), now_ms()).unwrap();
    platform.sim.deliver_pushes().await;

    let invited = wait_for(PATIENCE, async || platform.sim.stats().wxamplink == 1).await;
    assert!(invited, "{}\n{}", platform.run(&format!("request explain {id}")), daemon.log.tail());
    let shown = platform.authorizer();
    assert_eq!((&shown["state"], &shown["has_link_permission"]), (&"authorized".into(), &true.into()), "{shown}");
    let (status, granted) = platform.token(&platform.key, ACCOUNT).await;
    assert_eq!(status, 200, "{granted}");
    assert!(granted["expires_in"].as_u64().unwrap() > 6_000, "{granted}");
    assert_eq!(platform.token("wrong", ACCOUNT).await.0, 401);
    assert_eq!(platform.token(&platform.key, "wx00000000000000cc").await.0, 403, "not this caller's");

    // Pushes are timed by the second: within one, WeChat would have to be asked which came last.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    platform.sim.world().revoke(ACCOUNT, now_ms()).unwrap();
    platform.sim.deliver_pushes().await;

    let shown = platform.authorizer();
    assert_eq!((&shown["state"], &shown["errcode"]), (&"unauthorized".into(), &61_003.into()), "{shown}");
    assert_eq!(platform.token(&platform.key, ACCOUNT).await.0, 409);
    let account: Value = platform.json(&format!("account show {ACCOUNT}"));
    assert_eq!(account["suspended_by"], "wechat", "before the push was answered: {account}");
    daemon.signal(Signal::TERM);
    assert!(daemon.end().success());
    let files = ["a.db", "a.db-wal"].map(|name| std::fs::read(platform.path(name)).unwrap_or_default()).concat();
    let log = daemon.log.lines().join("\n");
    for secret in platform.sim.world().secrets() {
        let text = secret.text.clone();
        assert!(!log.contains(&text), "{:?} in the log", secret.kind);
        let is_there = files.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!is_there, "{:?} in the database", secret.kind);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_at_the_start_and_overwrites_nothing() {
    let platform = Platform::new().await;
    let mut daemon = platform.daemon().await;
    platform.push_ticket().await;
    daemon.signal(Signal::TERM);
    assert!(daemon.end().success());
    let before = platform.json("component status");
    std::fs::rename(platform.path("database.key"), platform.path("old.key")).unwrap();
    platform.run(&format!("secrets new-key {}", platform.path("database.key").display()));

    let said = platform.command("run").output().unwrap();

    let why = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success() && why.contains("key_file") && why.contains("previous_key_files"), "{why}");
    assert_eq!(platform.json("component status")["ticket_at"], before["ticket_at"]);
    // With the old one beside it, everything is sealed anew, and the old one is needed no more.
    let config = std::fs::read_to_string(platform.path("amplinkd.toml")).unwrap();
    let both = config.replace("[secrets]\n", "[secrets]\nprevious_key_files = [\"old.key\"]\n");
    std::fs::write(platform.path("amplinkd.toml"), both).unwrap();
    let sealed = platform.json("secrets rekey");
    assert_eq!((&sealed["resealed"], &sealed["already_current"]), (&2.into(), &0.into()), "{sealed}");
    std::fs::write(platform.path("amplinkd.toml"), config).unwrap();
    let mut daemon = platform.daemon().await;
    daemon.signal(Signal::TERM);
    assert!(daemon.end().success());
}
