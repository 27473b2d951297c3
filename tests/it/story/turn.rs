//! Stories of calls that wait for their turn, a second each: whatever happens meanwhile is heeded before they are made.

use amplinkd::domain::action;
use std::num::NonZeroU32;

use amplinkd::{domain::id::RequestId, engine::accept::Cancelled, store::write::standing::Standing};

use super::{Daemon, PROGRAM, hours, minutes, to_link};

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

/// The one account whose list is read and whose call waits: the list has taken this second's turn.
async fn the_one_that_waits(daemon: &mut Daemon) -> usize {
    daemon.settle().await;
    assert_eq!((daemon.sim.stats().wxamplinkget, daemon.sim.stats().wxamplink), (1, 0));
    for (number, account) in ACCOUNTS.iter().enumerate() {
        if daemon.account(account).await.last_read_at.is_some() {
            return number;
        }
    }
    panic!("no list is written down");
}

#[tokio::test]
async fn a_request_that_is_cancelled_while_its_call_waits_is_never_called() {
    let (mut daemon, links) = slow().await;
    let waiting = the_one_that_waits(&mut daemon).await;

    let how = daemon.engine().recorder().by(action::By::simulated()).cancel(&links[waiting]).await.unwrap();
    daemon.run_for(hours(3)).await;

    let story = daemon.story(&links[waiting]).await;
    assert_eq!((how, story.as_str()), (Cancelled::BeforeTheCall, "requested cancelled"));
    assert_eq!(daemon.sim.world().invitations(ACCOUNTS[waiting], PROGRAM), 0, "it was said that nothing is sent");
    assert_eq!(daemon.sim.stats().invitations, 2, "the others are invited");
    daemon.assert_sound().await;
}

#[tokio::test]
async fn an_account_that_is_suspended_while_its_call_waits_is_not_called() {
    let (mut daemon, links) = slow().await;
    let waiting = the_one_that_waits(&mut daemon).await;

    let account = ACCOUNTS[waiting].parse().unwrap();
    daemon
        .engine()
        .recorder()
        .by(action::By::simulated())
        .set_standing(&account, Standing::SuspendedByOperator)
        .await
        .unwrap();
    daemon.run_for(hours(1)).await;

    assert_eq!(daemon.sim.world().invitations(ACCOUNTS[waiting], PROGRAM), 0);
    assert_eq!(daemon.story(&links[waiting]).await, "requested", "no intent, no attempt");
    daemon.engine().recorder().by(action::By::simulated()).set_standing(&account, Standing::Active).await.unwrap();
    daemon.run_for(hours(3)).await;
    for (number, link) in links.iter().enumerate() {
        assert_eq!((daemon.view(link).await.state.as_str(), daemon.view(link).await.attempt), ("linked", 1));
        assert_eq!(daemon.sim.world().invitations(ACCOUNTS[number], PROGRAM), 1);
    }
}

#[tokio::test]
async fn a_month_that_is_used_up_while_calls_wait_holds_them_back() {
    let (mut daemon, links) = slow().await;
    the_one_that_waits(&mut daemon).await;
    daemon.sim.world().quotas.program_links_per_month = Some(0);

    daemon.run_for(minutes(1)).await;

    assert_eq!(daemon.sim.stats().wxamplink, 1, "the first one's answer is heeded by those that wait");
    for link in &links {
        assert_eq!((daemon.view(link).await.state.as_str(), daemon.view(link).await.attempt), ("deferred", 0));
    }
    daemon.assert_sound().await;
}
