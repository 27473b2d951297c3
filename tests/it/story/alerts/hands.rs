//! What people do with an alert: take it, silence it, end it.

use super::*;
use amplinkd::{domain::action, store::write::alert_actions::AlertChange};

#[tokio::test]
async fn it_is_told_again_every_day_until_somebody_takes_it() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.nobody_answers();
    guarded.daemon.link().await;
    guarded.run_for(hours(24 * 3 + 2)).await;
    assert_eq!(guarded.told().await, ["fired", "repeated", "repeated"]);
    let alert = guarded.the("stuck").await;
    assert_eq!(alert.notifications, 3);
    let now = guarded.daemon.clock.now();
    let changed = guarded
        .daemon
        .store()
        .change_alerts(AlertChange::Acknowledge, vec![alert.id.clone()], None, action::By::simulated(), now)
        .await
        .unwrap();
    assert_eq!(changed, [alert.id]);
    guarded.run_for(days(5)).await;
    assert_eq!(guarded.told().await.len(), 3, "who has taken it needs no reminder");
    guarded.daemon.people(PlanSet {
        account_admin: Some(approves_after(Span::hours(1))),
        program_admin: Some(approves_after(Span::hours(1))),
        unlink: None,
    });
    guarded.agree();
    guarded.run_for(hours(3)).await;
    assert_eq!(guarded.told().await, ["fired", "repeated", "repeated", "resolved"]);
}

#[tokio::test]
async fn a_snoozed_alert_is_silent_and_comes_back() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.nobody_answers();
    guarded.daemon.link().await;
    guarded.run_for(hours(25)).await;
    let alert = guarded.the("stuck").await;
    let now = guarded.daemon.clock.now();
    guarded
        .daemon
        .store()
        .change_alerts(AlertChange::Snooze(now + days(3)), vec![alert.id.clone()], None, action::By::simulated(), now)
        .await
        .unwrap();
    guarded.run_for(days(2)).await;
    assert_eq!(guarded.told().await, ["fired"]);
    assert_eq!(guarded.the("stuck").await.state, "snoozed");
    guarded.run_for(hours(25)).await;
    assert_eq!(guarded.told().await, ["fired", "repeated"]);
    assert_eq!(guarded.the("stuck").await.state, "firing");
}

#[tokio::test]
async fn what_an_operator_resolves_is_over_and_stays_so() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.nobody_answers();
    guarded.daemon.link().await;
    guarded.run_for(hours(25)).await;
    let alert = guarded.the("stuck").await;
    let now = guarded.daemon.clock.now();
    guarded
        .daemon
        .store()
        .change_alerts(AlertChange::Resolve, vec![alert.id.clone()], None, action::By::simulated(), now)
        .await
        .unwrap();
    guarded.run_for(hours(72)).await;
    assert_eq!(guarded.told().await, ["fired", "resolved"]);
    guarded.restart().await;
    guarded.run_for(hours(24)).await;
    assert_eq!(guarded.the("stuck").await.resolution.as_deref(), Some("operator"));
    assert_eq!(guarded.told().await.len(), 2);
}
