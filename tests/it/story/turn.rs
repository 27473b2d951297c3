//! Stories of calls that wait for their turn, a second each: whatever happens meanwhile is heeded before they are made. They
//! take some seconds of real time.

use std::{num::NonZeroU32, time::Duration};

use amplinkd::{domain::id::RequestId, engine::accept::Cancelled, sim::Sim, store::accounts::Standing};

use super::{Daemon, PROGRAM, hours, to_link};

const ACCOUNTS: [&str; 3] = ["wxaaaa000000000001", "wxaaaa000000000002", "wxaaaa000000000003"];

/// A daemon that makes one call a second, and a request of each of three accounts.
async fn slow() -> (Daemon, Vec<RequestId>) {
    let mut daemon = Daemon::with(|settings| settings.per_second = NonZeroU32::MIN).await;
    let mut links = Vec::new();
    for account in ACCOUNTS {
        links.push(daemon.ask(to_link(account, PROGRAM)).await);
    }
    (daemon, links)
}

/// The accounts whose list is read and whose call waits: the last list has taken this second's turn.
async fn those_who_wait(sim: &Sim) -> Vec<usize> {
    while sim.stats().wxamplinkget < ACCOUNTS.len() as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // What the last list said is written down before its call waits.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let waits = |number: &usize| sim.world().invitations(ACCOUNTS[*number], PROGRAM) == 0;
    let waiting: Vec<usize> = (0..ACCOUNTS.len()).filter(waits).collect();
    assert!(!waiting.is_empty(), "nobody's call waits");
    waiting
}

#[tokio::test]
async fn a_request_that_is_cancelled_while_its_call_waits_is_never_called() {
    let (mut daemon, links) = slow().await;

    let cancelled = daemon
        .settle_while(async |engine, sim| {
            let mut cancelled = Vec::new();
            for number in those_who_wait(sim).await {
                cancelled.push((number, engine.recorder().cancel(&links[number]).await.unwrap()));
            }
            cancelled
        })
        .await;

    for (number, how) in cancelled {
        let story = daemon.story(&links[number]).await;
        assert_eq!((how, story.as_str()), (Cancelled::BeforeTheCall, "requested cancelled"));
        assert_eq!(daemon.sim.world().invitations(ACCOUNTS[number], PROGRAM), 0, "it was said that nothing is sent");
    }
    daemon.assert_sound().await;
}

#[tokio::test]
async fn an_account_that_is_suspended_while_its_call_waits_is_not_called() {
    let (mut daemon, links) = slow().await;

    let suspended = daemon
        .settle_while(async |engine, sim| {
            let waiting = those_who_wait(sim).await;
            for number in &waiting {
                let account = ACCOUNTS[*number].parse().unwrap();
                engine.recorder().set_standing(&account, Standing::SuspendedByOperator).await.unwrap();
            }
            waiting
        })
        .await;

    for number in &suspended {
        assert_eq!(daemon.sim.world().invitations(ACCOUNTS[*number], PROGRAM), 0);
        assert_eq!(daemon.story(&links[*number]).await, "requested", "no intent, no attempt");
        let account = ACCOUNTS[*number].parse().unwrap();
        daemon.engine().recorder().set_standing(&account, Standing::Active).await.unwrap();
    }
    daemon.process.settings.per_second = NonZeroU32::new(1_000_000).unwrap();
    daemon.restart().await;
    daemon.run_for(hours(3)).await;
    for (number, link) in links.iter().enumerate() {
        assert_eq!((daemon.view(link).await.state.as_str(), daemon.view(link).await.attempt), ("linked", 1));
        assert_eq!(daemon.sim.world().invitations(ACCOUNTS[number], PROGRAM), 1);
    }
}

#[tokio::test]
async fn a_month_that_is_used_up_while_calls_wait_holds_them_back() {
    let (mut daemon, links) = slow().await;
    daemon.sim.world().quotas.program_links_per_month = Some(0);

    daemon.settle().await;

    assert_eq!(daemon.sim.stats().wxamplink, 1, "the first one's answer is heeded by those that wait");
    for link in &links {
        assert_eq!((daemon.view(link).await.state.as_str(), daemon.view(link).await.attempt), ("deferred", 0));
    }
    daemon.assert_sound().await;
}
