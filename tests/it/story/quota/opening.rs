//! Stories of gates that an operator opens, who has bought quota, beside a daemon that runs.

use std::{sync::Arc, time::Duration};

use amplinkd::{
    domain::{action, gate::GateKind, id::RequestId},
    engine::{open_gate::Opened, record::Recorder, wish::AskError},
    shutdown::Shutdown,
    sim::{Flags, Quotas},
    store::{Role, Store},
};

use super::super::{ACCOUNT, Daemon, PROGRAM, hours, seconds, to_link};

const ELSEWHERE: [&str; 4] = ["wxaaaa000000000002", "wxaaaa000000000003", "wxaaaa000000000004", "wxaaaa000000000005"];

/// Somebody at another terminal.
async fn desk(daemon: &Daemon) -> Recorder {
    let location = crate::place::location(daemon.database(), 0o640);
    let store = Store::open(&location, Role::Tool).await.unwrap();
    Recorder::new(store, Arc::clone(&daemon.clock) as _, daemon.process.settings.policy.clone())
}

async fn open(daemon: &Daemon, kind: GateKind, subject: &str) -> Result<Opened, AskError> {
    let desk = desk(daemon).await;
    let opened = desk.by(action::By::simulated()).open_gate(kind, subject).await;
    desk.store().clone().close().await;
    opened
}

/// Requests of five accounts that wait for the next month of one program.
async fn waiting() -> (Daemon, Vec<RequestId>) {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().quotas.program_links_per_month = Some(0);
    let mut links = vec![daemon.link().await];
    for account in ELSEWHERE {
        links.push(daemon.ask(to_link(account, PROGRAM)).await);
    }
    daemon.run_for(hours(1)).await;
    assert_eq!(states(&daemon, &links).await, ["deferred"; 5]);
    (daemon, links)
}

async fn states(daemon: &Daemon, links: &[RequestId]) -> Vec<String> {
    let mut states = Vec::new();
    for link in links {
        states.push(daemon.view(link).await.state);
    }
    states
}

#[tokio::test]
async fn a_programs_gate_that_is_opened_lets_everybody_go_on_at_once() {
    let (mut daemon, links) = waiting().await;
    let called = daemon.sim.stats().wxamplink;
    daemon.sim.world().quotas = Quotas::default();

    let opened = open(&daemon, GateKind::ProgramMonth, PROGRAM).await.unwrap();
    assert_eq!((opened.requests, opened.gate.errcode, opened.gate.subject.as_str()), (5, 89007, PROGRAM));
    daemon.settle().await;
    assert_eq!(daemon.sim.stats().wxamplink - called, 5, "no time has passed");
    assert_eq!(daemon.store().gate_openings().await.unwrap(), [], "the daemon has heard of it");
    daemon.run_for(hours(3)).await;

    for link in &links {
        let steps = daemon.store().history(link.as_str()).await.unwrap();
        let freed = steps.iter().find(|step| step.from_state.as_deref() == Some("deferred")).unwrap();
        let how = (freed.to_state.as_str(), freed.cause.as_str(), freed.detail.as_deref());
        assert_eq!(how, ("requested", "operator", Some("by simulation; its gate was opened")));
        assert_eq!((daemon.view(link).await.state.as_str(), daemon.view(link).await.attempt), ("linked", 1));
    }
    assert_eq!(daemon.store().gates().await.unwrap(), []);
    daemon.assert_sound().await;
}

#[tokio::test]
async fn a_daemon_that_runs_hears_of_it_within_a_second() {
    let (mut daemon, links) = waiting().await;
    daemon.sim.world().quotas = Quotas::default();
    let (engine, driver) = daemon.running.take().unwrap();
    let shutdown = Shutdown::new();
    let running = driver.spawn(shutdown.clone());

    let desk = desk(&daemon).await;
    desk.by(action::By::simulated()).open_gate(GateKind::ProgramMonth, PROGRAM).await.unwrap();
    let sim = &daemon.sim;
    let all_sent = async {
        while sim.stats().invitations < 5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(1), all_sent).await;
    shutdown.ask();
    drop(running.await.unwrap());
    desk.store().clone().close().await;
    engine.store().clone().close().await;
    assert!(heard.is_ok(), "{} of {} invitations went out", daemon.sim.stats().invitations, links.len());
}

#[tokio::test]
async fn a_gate_that_is_opened_in_vain_closes_again() {
    let (mut daemon, links) = waiting().await;
    let called = daemon.sim.stats().wxamplink;

    open(&daemon, GateKind::ProgramMonth, PROGRAM).await.unwrap();
    daemon.run_for(hours(1)).await;

    assert_eq!(states(&daemon, &links).await, ["deferred"; 5]);
    let refused = daemon.sim.stats().wxamplink - called;
    assert!((1..=5).contains(&refused), "{refused} calls: those that were under way when the first was answered");
    assert_eq!(daemon.view(&links[0]).await.attempt, 0);
    assert_eq!(daemon.store().gates().await.unwrap().len(), 1);
    daemon.restart().await;
    daemon.run_for(hours(24)).await;
    assert_eq!(daemon.sim.stats().wxamplink - called, refused, "and stays closed");
    daemon.assert_sound().await;
}

#[tokio::test]
async fn an_opening_that_broke_off_goes_on_where_it_was() {
    let (mut daemon, links) = waiting().await;
    daemon.sim.world().quotas = Quotas::default();
    // The gate is gone, and two of those that waited for it do not wait any more.
    for link in &links[..2] {
        daemon.engine().recorder().by(action::By::simulated()).cancel(link).await.unwrap();
    }
    daemon.sql("DELETE FROM gate").await;
    daemon.restart().await;

    let opened = open(&daemon, GateKind::ProgramMonth, PROGRAM).await.unwrap();

    assert_eq!((opened.requests, opened.gate.errcode), (3, 89007));
    daemon.run_for(hours(3)).await;
    assert_eq!(states(&daemon, &links[2..]).await, ["linked"; 3]);
    let gone = open(&daemon, GateKind::ProgramMonth, PROGRAM).await.unwrap_err();
    assert!(matches!(&gone, AskError::NoGate { .. }), "{gone}");
    assert_eq!(
        gone.to_string(),
        format!("no gate program_month {PROGRAM} is closed; `amplinkd gate list` shows those that are")
    );
    for (kind, subject) in
        [(GateKind::ProgramMonth, "nobody"), (GateKind::AccountMonth, ACCOUNT), (GateKind::Ip, "all")]
    {
        assert!(matches!(open(&daemon, kind, subject).await, Err(AskError::NoGate { .. })), "{kind} {subject}");
    }
    daemon.assert_sound().await;
}

#[tokio::test]
async fn a_row_that_is_not_legal_holds_up_nobody_else() {
    let (mut daemon, links) = waiting().await;
    daemon.sim.world().quotas = Quotas::default();
    daemon.sql(&format!("UPDATE request SET labels = 'none' WHERE id = '{}'", links[1])).await;

    assert_eq!(open(&daemon, GateKind::ProgramMonth, PROGRAM).await.unwrap().requests, 4);

    daemon.run_for(hours(3)).await;
    let linked = daemon.store().count_by_state().await.unwrap();
    assert_eq!(linked, [("deferred".to_owned(), 1), ("linked".to_owned(), 4)]);
}

#[tokio::test]
async fn an_accounts_gate_lets_go_of_what_its_code_holds_and_nothing_else() {
    let mut daemon = Daemon::start().await;
    let programs = ["wxbbbb000000000001", "wxbbbb000000000002", "wxbbbb000000000003"];
    {
        let mut world = daemon.sim.world();
        world.account(ACCOUNT).owner = "one".to_owned();
        world.program(programs[0]).owner = "one".to_owned();
        for other in &programs[1..] {
            world.program(other).owner = "another".to_owned();
        }
        world.quotas.same_owner_links_per_month = Some(0);
        world.quotas.other_owner_links_per_month = Some(0);
    }
    let mut links = Vec::new();
    for program in programs {
        links.push(daemon.ask(to_link(ACCOUNT, program)).await);
    }
    daemon.run_for(hours(1)).await;
    daemon.sim.world().quotas = Quotas::default();

    let opened = open(&daemon, GateKind::AccountMonth, &format!("{ACCOUNT}/89017")).await.unwrap();
    daemon.run_for(hours(4)).await;

    assert_eq!(opened.requests, 2);
    assert_eq!(states(&daemon, &links).await, ["deferred", "linked", "linked"]);
    let left = daemon.store().gates().await.unwrap();
    assert_eq!((left.len(), left[0].subject.clone()), (1, format!("{ACCOUNT}/89016")));
    daemon.assert_sound().await;
}

#[tokio::test]
async fn a_day_of_lists_that_is_opened_is_read_on_at_once() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    daemon.sim.world().quotas.calls_per_day = Some(5);
    daemon.link().await;
    daemon.run_for(hours(1)).await;
    let read = daemon.sim.stats().wxamplinkget;
    daemon.sim.world().quotas = Quotas::default();

    let opened = open(&daemon, GateKind::ApiDay, &format!("{ACCOUNT}/wxamplinkget")).await.unwrap();
    daemon.settle().await;

    assert_eq!((opened.requests, daemon.sim.stats().wxamplinkget - read), (0, 1));
    daemon.run_for(hours(1)).await;
    assert!(daemon.sim.stats().wxamplinkget - read > 3);
    daemon.assert_sound().await;
}

/// Its answer was on the way when the operator spoke.
#[tokio::test]
async fn a_gate_that_closes_after_it_was_opened_is_closed() {
    let (mut daemon, links) = waiting().await;
    let now = daemon.sim.now();
    daemon.sim.world().quotas.program_links_per_month = Some(1);
    daemon.sim.world().link("wxcccc000000000001", PROGRAM, Flags::default(), now);
    open(&daemon, GateKind::ProgramMonth, PROGRAM).await.unwrap();
    daemon.run_for(seconds(90)).await;
    let refused = daemon.sim.stats().wxamplink;

    daemon.restart().await;
    daemon.run_for(hours(2)).await;

    assert_eq!(daemon.sim.stats().wxamplink, refused);
    assert_eq!(states(&daemon, &links).await, ["deferred"; 5]);
}
