//! The real binary, killed without warning while it tells a nasty service of every step: each event comes at least
//! once, and those of one request in order. It looks only at its database and the service's ledger.

use std::{collections::BTreeSet, path::Path, process::Command, sync::Arc, time::Duration};

use amplinkd::{
    clock::{ManualClock, SystemClock},
    domain::{action, policy::Policy, request::Kind},
    engine::record::Recorder,
    sim::{PlanSet, Sim, SimConfig, Span, approves_after},
    store::{Role, Store},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{Answer, MORNING, Receiver};
use crate::{
    harness::{Log, Process},
    story::wish,
};

/// Times the process is killed.
const KILLS: u32 = 12;

/// Links that are asked for.
const LINKS: usize = 48;

/// How long everything may take to come once nobody is killed any more.
const PATIENCE: Duration = Duration::from_mins(2);

fn spawn(folder: &Path) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amplinkd"));
    command.current_dir(folder).env_remove("AMPLINKD_CONFIG").args(["-c", "amplinkd.toml", "run"]);
    Process::spawn(command, &Log::default())
}

fn configure(folder: &Path, sim: &Sim, receiver: &Receiver) {
    let config = format!(
        r#"
        [database]
        url = "sqlite:amplinkd.db"
        [wechat]
        base_url = "{}"
        per_second = 100000
        [tokens]
        source = "http"
        url = "{}?appid={{account}}"
        [polling]
        steps = [ {{ every = "200ms" }} ]
        daily_budget = 1000000
        [policy]
        appear_within = "1s"
        attempts = 50
        [[alerts.channel]]
        name = "hook"
        kind = "webhook"
        url = "{}/hook"
        secret = "{}"
        events = ["alert", "transition", "conflict"]
        "#,
        sim.url(),
        sim.token_url(),
        receiver.url,
        Receiver::secret(),
    );
    std::fs::write(folder.join("amplinkd.toml"), config).unwrap();
}

/// Events that the channel asked for, and how many of them still wait to be sent.
async fn owed(connection: &mut SqliteConnection) -> (BTreeSet<String>, i64) {
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM outbox WHERE type LIKE 'amplinkd.request.%' OR type LIKE 'amplinkd.conflict.%'",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let delivered: i64 = sqlx::query_scalar("SELECT count(*) FROM delivery WHERE state = 'delivered'")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    let open: i64 = sqlx::query_scalar("SELECT count(*) FROM request WHERE finished_at IS NULL")
        .fetch_one(connection)
        .await
        .unwrap();
    let left = i64::try_from(ids.len()).unwrap() - delivered;
    (ids.into_iter().collect(), left.max(0) + open)
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_kills_lose_no_message_and_turn_no_order_around() {
    let folder = tempfile::Builder::new().prefix("e_").tempdir().unwrap();
    let receiver = Receiver::start(ManualClock::starting_at(MORNING)).await;
    let mut dice = StdRng::seed_from_u64(7);
    receiver.mood(move |_| {
        let wait = Duration::from_millis(dice.random_range(0..60));
        if dice.random_bool(0.15) { Answer { wait, ..Answer::AWAY } } else { Answer { wait, ..Answer::TAKEN } }
    });
    let sim = Sim::start(SimConfig { seed: 3, ..SimConfig::default() }).await.unwrap();
    let soon = Some(approves_after(Span::seconds(1)));
    sim.world().plans.set(None, None, PlanSet { account_admin: soon, program_admin: soon, unlink: None });
    configure(folder.path(), &sim, &receiver);

    let path = folder.path().join("amplinkd.db");
    let store = Store::open(&crate::place::location(path.clone(), 0o640), Role::Tool).await.unwrap();
    let recorder = Recorder::new(store, Arc::new(SystemClock::new()), Policy::default());
    let mut chance = StdRng::seed_from_u64(11);
    for kill in 0..KILLS {
        let first = usize::try_from(kill).unwrap() * 4;
        let link = |number: usize| {
            let (account, program) = (format!("wxaaaa{:012}", number / 4), format!("wxbbbb{number:012}"));
            wish(Kind::Link(amplinkd::domain::request::LinkOptions::default()), &account, &program)
        };
        recorder.by(action::By::simulated()).accept((first..(first + 4).min(LINKS)).map(link).collect()).await.unwrap();
        let daemon = spawn(folder.path());
        tokio::time::sleep(Duration::from_millis(chance.random_range(150..1_200))).await;
        daemon.kill();
    }

    let daemon = spawn(folder.path());
    let mut connection = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path)).await.unwrap();
    let all_came = async {
        while owed(&mut connection).await.1 > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let came = tokio::time::timeout(PATIENCE, all_came).await.is_ok();
    let (events, left) = owed(&mut connection).await;
    daemon.kill();
    let taken = receiver.taken("hook");
    let missing: Vec<&String> = events.iter().filter(|id| !taken.contains_key(*id)).collect();
    assert!(came && missing.is_empty(), "{left} are left; never came: {missing:?}");
    assert!(events.len() >= LINKS * 4, "{} events", events.len());
    receiver.assert_in_order("kills");
    println!(
        "{} events, {} calls, {} twice",
        events.len(),
        receiver.calls("hook"),
        taken.values().sum::<usize>() - taken.len()
    );
}
