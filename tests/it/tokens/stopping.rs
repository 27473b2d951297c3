//! A normal stop while WeChat answers: what it has issued is on disk before the process ends.

use std::time::Duration;

use amplinkd::sim::{AuthorizerKind, ComponentApi, FaultKind, RefreshRotation, Span};
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};

use super::{ACCOUNT, PATIENCE, Platform, now_ms};
use crate::harness::{Process, wait_for};

/// Longer than a stop takes that waits for nothing, and shorter than a call may take.
const SLOW: Span = Span::millis(1_500);

async fn authorized() -> (Platform, Process) {
    let platform = Platform::new().await;
    let daemon = platform.daemon().await;
    platform.push_ticket().await;
    platform.sim.world().switches.refresh_token_rotates = RefreshRotation::Each;
    platform.sim.world().faults.slow_for = SLOW;
    (platform, daemon)
}

fn authorize(platform: &Platform) {
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&[1, 33]), now_ms()).unwrap();
}

fn called(platform: &Platform, api: ComponentApi) -> u64 {
    platform.sim.world().component().unwrap().called(api)
}

/// Ends the daemon while this call is out, and starts the next one.
async fn restart_within(platform: &Platform, daemon: &mut Process, api: ComponentApi) -> Process {
    assert!(wait_for(PATIENCE, async || called(platform, api) == 1).await, "{}", daemon.log.tail());
    daemon.signal(Signal::TERM);
    assert!(daemon.end().success(), "{}", daemon.log.tail());
    platform.daemon().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_is_out_when_the_daemon_stops_is_written_down() {
    let (platform, mut daemon) = authorized().await;
    authorize(&platform);
    platform.sim.deliver_pushes().await;
    let granted = async || platform.token(&platform.key, ACCOUNT).await;
    assert!(wait_for(PATIENCE, async || granted().await.0 == 200).await, "{}", daemon.log.tail());
    let token = granted().await.1["access_token"].as_str().unwrap().to_owned();
    platform.sim.world().faults.next_component(Some(ComponentApi::AuthorizerToken), FaultKind::Slow);
    let digest = format!("{:x}", Sha256::digest(token.as_bytes()));
    let refused = platform.http.post(format!("http://127.0.0.1:{}/token/refused", platform.service));
    let refused = refused
        .bearer_auth(&platform.key)
        .header("Content-Type", "application/json")
        .body(format!("{{\"appid\": \"{ACCOUNT}\", \"sha256\": \"{digest}\"}}"));
    assert_eq!(refused.send().await.unwrap().status().as_u16(), 202);
    // Whoever asks goes away: the refresh belongs to nobody any more.
    let _ = tokio::time::timeout(Duration::from_millis(300), granted()).await;

    let daemon = restart_within(&platform, &mut daemon, ComponentApi::AuthorizerToken).await;

    let (status, said) = granted().await;
    assert_eq!(status, 200, "{said}\n{}", daemon.log.tail());
    assert_ne!(said["access_token"], token);
    assert_eq!(called(&platform, ComponentApi::AuthorizerToken), 1, "what was issued is used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_being_traded_when_the_daemon_stops_is_not_lost() {
    let (platform, mut daemon) = authorized().await;
    platform.sim.world().switches.list_hides_refresh = true;
    platform.sim.world().faults.next_component(Some(ComponentApi::QueryAuth), FaultKind::Slow);
    authorize(&platform);
    platform.sim.deliver_pushes().await;

    let daemon = restart_within(&platform, &mut daemon, ComponentApi::QueryAuth).await;

    let (status, said) = platform.token(&platform.key, ACCOUNT).await;
    assert_eq!(status, 200, "{said}\n{}", daemon.log.tail());
    assert_eq!(called(&platform, ComponentApi::QueryAuth), 1, "a code works once");
}
