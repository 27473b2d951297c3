//! Requests that are late by a list which nobody can read any more: no administrator is blamed by it. The world says what
//! its people did meanwhile, and nobody here can see it before the list is read.

use super::*;
use amplinkd::domain::action;

/// Every look at the account meets this code from now on; `None`: it answers.
fn answers(guarded: &Guarded, errcode: Option<i64>) {
    guarded.daemon.sim.world().account(ACCOUNT).answers_always = errcode;
}

/// Reasons of `stuck` that are open, with their states.
async fn open(guarded: &Guarded) -> Vec<String> {
    let stuck = guarded.of("stuck").await.into_iter().filter(|alert| alert.state != "resolved");
    stuck.map(|alert| alert.reason).collect()
}

async fn waiting() -> Guarded {
    let mut guarded = Guarded::with(|alerting| alerting.repeat_every = None).await;
    guarded.daemon.nobody_answers();
    guarded.daemon.link().await;
    guarded
}

#[tokio::test]
async fn what_is_not_called_for_an_hour_is_told() {
    let mut guarded = Guarded::start().await;
    answers(&guarded, Some(-1));
    let link = guarded.daemon.link().await;
    guarded.run_for(minutes(59)).await;
    assert_eq!(guarded.of("stuck").await, []);
    guarded.run_for(minutes(3)).await;
    let alert = guarded.the("stuck").await;
    assert_eq!((alert.reason.as_str(), alert.request_id.as_deref()), ("stuck.requested", Some(link.as_str())));
    assert!(alert.message_en.contains(&format!("the list of account {ACCOUNT} was never read")), "{alert:?}");
    assert!(alert.message_zh.contains(&format!("公众号 {ACCOUNT} 的列表从未成功读取")), "{alert:?}");
    guarded.restart().await;
    guarded.run_for(minutes(3)).await;
    answers(&guarded, None);
    guarded.run_for(hours(2)).await;
    assert_eq!(guarded.the("stuck").await.resolution.as_deref(), Some("over"));
}

#[tokio::test]
async fn while_the_list_is_unread_an_administrator_who_is_late_is_not_named() {
    let mut guarded = waiting().await;
    guarded.run_for(hours(23)).await;
    answers(&guarded, Some(-1));
    let last_read = guarded.daemon.account(ACCOUNT).await.checked_at;
    guarded.run_for(hours(4)).await;
    let alert = guarded.the("stuck").await;
    assert_eq!(alert.reason, "stuck.unread");
    assert!(alert.message_en.contains("whether anybody still has to answer is not known"), "{alert:?}");
    assert!(alert.message_en.contains("and no administrator"), "{alert:?}");
    assert!(alert.message_zh.contains("无需催促管理员"), "{alert:?}");
    assert!(last_read.is_some() && alert.message_en.contains("has not been read since 2026-03-11 "), "{alert:?}");
    answers(&guarded, None);
    guarded.run_for(hours(1)).await;
    assert_eq!(open(&guarded).await, ["stuck.account_admin"], "it is known again that nobody has answered");
}

#[tokio::test]
async fn what_was_told_of_an_administrator_is_taken_back_once_the_list_is_unread() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.nobody_answers();
    guarded.daemon.link().await;
    guarded.run_for(hours(26)).await;
    assert_eq!(open(&guarded).await, ["stuck.account_admin"]);
    answers(&guarded, Some(-1));
    // Nobody sees that the administrator agrees, and the day passes at which the alert would be repeated.
    guarded.agree();
    guarded.run_for(hours(26)).await;
    assert_eq!(open(&guarded).await, ["stuck.unread"]);
    guarded.restart().await;
    answers(&guarded, None);
    guarded.run_for(hours(1)).await;
    assert_eq!(open(&guarded).await, Vec::<String>::new());
    let of_the_administrator = guarded.of("stuck").await;
    let named: Vec<_> = of_the_administrator.iter().filter(|alert| alert.reason == "stuck.account_admin").collect();
    assert_eq!(named.len(), 1, "who agreed long ago is not named again: {of_the_administrator:#?}");
    assert_eq!(named[0].notifications, 2, "told, and told that it is over: {named:?}");
}

#[tokio::test]
async fn a_list_that_fails_now_and_then_changes_nothing_of_what_is_told() {
    let mut guarded = waiting().await;
    guarded.run_for(hours(23) + minutes(55)).await;
    for _ in 0..8 {
        answers(&guarded, Some(-1));
        guarded.run_for(minutes(10)).await;
        answers(&guarded, None);
        guarded.run_for(minutes(10)).await;
    }
    assert_eq!(open(&guarded).await, ["stuck.account_admin"]);
    assert_eq!(guarded.told().await, ["fired"]);
}

#[tokio::test]
async fn each_time_the_list_is_lost_and_found_that_is_told() {
    let mut guarded = waiting().await;
    guarded.run_for(hours(25)).await;
    for _ in 0..3 {
        answers(&guarded, Some(-1));
        guarded.run_for(hours(2)).await;
        assert_eq!(open(&guarded).await, ["stuck.unread"]);
        answers(&guarded, None);
        guarded.run_for(hours(2)).await;
        assert_eq!(open(&guarded).await, ["stuck.account_admin"]);
    }
}

#[tokio::test]
async fn of_a_suspended_account_nobody_is_named_and_what_is_not_called_is_told_once() {
    let mut guarded = waiting().await;
    guarded.run_for(hours(25)).await;
    assert_eq!(open(&guarded).await, ["stuck.account_admin"]);
    answers(&guarded, Some(61_003));
    guarded.daemon.ask(to_link(ACCOUNT, OTHER_PROGRAM)).await;
    guarded.run_for(hours(3)).await;
    let alert = guarded.of("stuck").await.into_iter().find(|alert| alert.reason == "stuck.unread").unwrap();
    assert!(alert.message_en.contains("(suspended by WeChat since 2026-03-11"), "{alert:?}");
    assert_eq!(open(&guarded).await, ["stuck.unread"], "the other one is not called, which the suspension tells");
    assert_eq!(guarded.the("account_suspended").await.state, "firing");
    answers(&guarded, None);
    guarded.run_for(hours(3)).await;
    assert_eq!(open(&guarded).await, ["stuck.account_admin"]);
}

#[tokio::test]
async fn whatever_is_not_called_comes_up_page_by_page_and_is_told_once() {
    let mut guarded = Guarded::start().await;
    answers(&guarded, Some(-1));
    let wishes = (0..2_300).map(|number| to_link(ACCOUNT, &format!("wxdddd{number:012}")));
    guarded.daemon.engine().recorder().by(action::By::simulated()).accept(wishes.collect()).await.unwrap();
    guarded.run_for(minutes(59)).await;
    guarded.attend(minutes(3)).await;
    let told = guarded.of("stuck").await;
    assert_eq!(told.iter().filter(|alert| alert.reason == "stuck.requested").count(), 2_300);
    assert!(told.iter().filter(|alert| alert.reason == "stuck.requested").all(|alert| alert.state == "firing"));
    let mut connection = guarded.daemon.connection().await;
    let vigils: i64 = sqlx::query_scalar("SELECT count(*) FROM vigil").fetch_one(&mut connection).await.unwrap();
    assert_eq!(vigils, 0, "what was only asked for waits for nothing");
}
