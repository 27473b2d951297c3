//! Many accounts with one cause are one thing to be told, some are told by their names, and neither turns into the other at
//! every look. States of accounts are written by hand where the stories need hundreds of them.

use amplinkd::{domain::action, domain::alert_rules::Threshold};

use super::*;

/// Accounts of this kind, as many as there are numbers.
fn name(kind: char, number: usize) -> String {
    format!("wx{kind}{number:015}")
}

/// So many accounts of this kind, each with a request that nobody polls.
async fn accounts(guarded: &Guarded, kind: char, count: usize) {
    let wishes = (0..count).map(|number| to_link(&name(kind, number), PROGRAM));
    guarded.daemon.engine().recorder().by(action::By::simulated()).accept(wishes.collect()).await.unwrap();
}

/// A watch whose daemon polls nobody: what accounts are is said by the story alone.
async fn unpolled() -> Guarded {
    let mut guarded = Guarded::with(|alerting| {
        alerting.attention.thresholds.stuck_after.requested = Threshold::After(days(365));
    })
    .await;
    guarded.settle().await;
    guarded
}

/// Lets time pass for the watch alone.
async fn watch_for(guarded: &mut Guarded, span: Duration) {
    let clock = Arc::clone(&guarded.daemon.clock);
    let end = clock.monotonic() + span;
    loop {
        guarded.daemon.watch.as_mut().unwrap().settle().await.unwrap();
        if clock.monotonic() >= end {
            return;
        }
        clock.advance(seconds(15).min(end.saturating_sub(clock.monotonic())));
    }
}

/// What the accounts of this kind, from the first to before the last number, are from now on.
async fn are(guarded: &Guarded, kind: char, numbers: std::ops::Range<usize>, columns: &str) {
    let (first, last) = (name(kind, numbers.start), name(kind, numbers.end));
    guarded
        .daemon
        .sql(&format!("UPDATE account SET {columns} WHERE account >= '{first}' AND account < '{last}'"))
        .await;
}

/// Columns of an account that is unread since so long.
fn unread(guarded: &Guarded, trouble: &str, ago: Duration) -> String {
    let since = (guarded.daemon.clock.now() - ago).ms();
    format!(
        "failures = 5, trouble = '{trouble}', unread_since = {since}, last_error = 'why', checked_at = {since},
         next_check_at = 9000000000000"
    )
}

fn well(guarded: &Guarded) -> String {
    let now = guarded.daemon.clock.now().ms();
    format!("failures = 0, trouble = NULL, unread_since = NULL, checked_at = {now}, next_check_at = 9000000000000")
}

fn suspended(guarded: &Guarded, errcode: i64) -> String {
    let now = guarded.daemon.clock.now().ms();
    format!("state = 'suspended', suspended_by = 'wechat', errcode = {errcode}, errmsg = 'no', since = {now}")
}

/// How many alerts of each rule are open.
async fn open(guarded: &Guarded) -> HashMap<String, usize> {
    let mut open = HashMap::new();
    for alert in guarded.alerts().await.into_iter().filter(|alert| alert.state != "resolved") {
        *open.entry(alert.rule).or_default() += 1;
    }
    open
}

fn only(rule: &str, count: usize) -> HashMap<String, usize> {
    HashMap::from([(rule.to_owned(), count)])
}

#[tokio::test]
async fn a_hundred_accounts_with_one_cause_are_one_alert_and_fewer_are_named() {
    let mut guarded = unpolled().await;
    accounts(&guarded, 'a', 300).await;
    are(&guarded, 'a', 0..99, &unread(&guarded, "unreachable", hours(1))).await;
    watch_for(&mut guarded, minutes(1)).await;
    assert_eq!(open(&guarded).await, only("account_unreadable", 99));
    are(&guarded, 'a', 99..250, &unread(&guarded, "unreachable", minutes(1))).await;
    watch_for(&mut guarded, minutes(1)).await;
    let mut both = only("account_unreadable", 99);
    both.insert("wechat_unreachable".to_owned(), 1);
    assert_eq!(open(&guarded).await, both, "those that were named stay so, and no other is");
    let alert = guarded.the("wechat_unreachable").await;
    assert_eq!(
        (alert.key.as_str(), alert.reason.as_str()),
        ("wechat_unreachable/unreachable", "wechat_unreachable.unreachable")
    );
    assert!(
        alert.message_en.contains("The lists of 250 accounts cannot be read, for one reason: no answer comes"),
        "{alert:?}"
    );
    assert!(alert.message_zh.contains("250 个公众号") && alert.message_en.contains("why"), "{alert:?}");
    assert_eq!(guarded.told().await, ["fired", "fired"]);
}

#[tokio::test]
async fn a_common_cause_is_told_when_the_first_account_is_due_and_not_account_by_account() {
    let mut guarded = unpolled().await;
    accounts(&guarded, 'a', 400).await;
    for from in [0, 100, 200, 300] {
        are(&guarded, 'a', from..from + 100, &unread(&guarded, "unreadable", seconds(1))).await;
        watch_for(&mut guarded, minutes(4)).await;
    }
    assert_eq!(open(&guarded).await, only("wechat_unreachable", 1), "of 400, the first 100 are due");
    assert_eq!(guarded.told().await, ["fired"]);
}

#[tokio::test]
async fn ten_that_are_half_of_all_are_a_crowd_and_ten_of_many_are_not() {
    for well in [10, 15] {
        let mut guarded = Guarded::start().await;
        guarded.daemon.nobody_answers();
        // These are polled, and read.
        accounts(&guarded, 'w', well).await;
        guarded.run_for(minutes(5)).await;
        accounts(&guarded, 'a', 10).await;
        for number in 0..10 {
            guarded.daemon.sim.world().account(&name('a', number)).answers_always = Some(-1);
        }
        guarded.attend(minutes(18)).await;
        let expected = if well == 10 { only("wechat_unreachable", 1) } else { only("account_unreadable", 10) };
        assert_eq!(open(&guarded).await, expected, "{well} are well");
    }
}

#[tokio::test]
async fn a_crowd_is_over_when_it_has_been_calm_for_a_while_and_comes_back_as_one() {
    let mut guarded = unpolled().await;
    accounts(&guarded, 'a', 200).await;
    are(&guarded, 'a', 0..150, &unread(&guarded, "token", hours(1))).await;
    watch_for(&mut guarded, minutes(1)).await;
    assert_eq!(open(&guarded).await, only("token_failing", 1));
    // It pauses, as it does when three of four calls fail.
    for _ in 0..6 {
        are(&guarded, 'a', 4..150, &well(&guarded)).await;
        watch_for(&mut guarded, minutes(5)).await;
        are(&guarded, 'a', 4..150, &unread(&guarded, "token", minutes(5))).await;
        watch_for(&mut guarded, minutes(2)).await;
    }
    assert_eq!(guarded.told().await, ["fired"], "neither over nor account by account");
    are(&guarded, 'a', 4..150, &well(&guarded)).await;
    watch_for(&mut guarded, minutes(20)).await;
    assert_eq!(guarded.told().await, ["fired", "fired", "resolved"], "the rest are named");
    assert_eq!(open(&guarded).await, only("token_failing", 4));
    are(&guarded, 'a', 0..150, &unread(&guarded, "token", minutes(5))).await;
    watch_for(&mut guarded, minutes(2)).await;
    assert_eq!(open(&guarded).await, only("token_failing", 5), "all as one, beside those that are named");
}

#[tokio::test]
async fn a_restart_neither_forgets_a_crowd_nor_tells_it_anew() {
    let mut guarded = unpolled().await;
    accounts(&guarded, 'a', 200).await;
    are(&guarded, 'a', 0..120, &unread(&guarded, "refused", hours(1))).await;
    watch_for(&mut guarded, minutes(1)).await;
    for left in [70, 50] {
        are(&guarded, 'a', left..120, &well(&guarded)).await;
        guarded.daemon.watch = None;
        guarded.daemon.watch_over().await;
        watch_for(&mut guarded, minutes(12)).await;
    }
    assert_eq!(open(&guarded).await, only("wechat_unreachable", 1));
    assert_eq!(guarded.told().await, ["fired"]);
}

#[tokio::test]
async fn accounts_that_are_suspended_with_one_code_are_one_alert_each_code_its_own() {
    let mut guarded = unpolled().await;
    for (kind, count, errcode) in [('a', 250, 61_007), ('b', 120, 48_001), ('c', 3, 61_003)] {
        accounts(&guarded, kind, count).await;
        are(&guarded, kind, 0..count, &suspended(&guarded, errcode)).await;
    }
    watch_for(&mut guarded, minutes(1)).await;
    let mut expected = only("accounts_refused", 2);
    expected.insert("account_suspended".to_owned(), 3);
    assert_eq!(open(&guarded).await, expected);
    let of_code = guarded.of("accounts_refused").await;
    let keys: Vec<&str> = of_code.iter().map(|alert| alert.key.as_str()).collect();
    assert_eq!(keys, ["accounts_refused/48001", "accounts_refused/61007"]);
    assert_eq!(of_code[1].reason, "accounts_refused.61007");
    assert!(of_code[1].message_en.starts_with("250 accounts are suspended with one code"), "{of_code:?}");
    assert!(of_code[1].message_zh.contains("250 个公众号"), "{of_code:?}");
    // All but 60 of the 250 are allowed again, and then all but 40.
    are(&guarded, 'a', 60..250, "state = 'active', suspended_by = NULL, errcode = NULL").await;
    watch_for(&mut guarded, minutes(30)).await;
    assert_eq!(open(&guarded).await, expected, "half of a hundred stay one");
    are(&guarded, 'a', 40..60, "state = 'active', suspended_by = NULL, errcode = NULL").await;
    watch_for(&mut guarded, minutes(20)).await;
    assert_eq!(open(&guarded).await["accounts_refused"], 1);
    assert_eq!(open(&guarded).await["account_suspended"], 43, "who is left is named");
}

#[tokio::test]
async fn lists_that_are_suddenly_empty_are_one_alert_until_they_are_not() {
    let mut guarded = unpolled().await;
    accounts(&guarded, 'a', 3).await;
    let now = guarded.daemon.clock.now().ms();
    are(&guarded, 'a', 0..3, &format!("emptied_at = {now}")).await;
    watch_for(&mut guarded, minutes(1)).await;
    let alert = guarded.the("lists_emptied").await;
    assert_eq!((alert.key.as_str(), alert.reason.as_str()), ("lists_emptied/all", "lists_emptied.doubt"));
    assert!(alert.message_en.starts_with("3 accounts list nothing"), "{alert:?}");
    assert!(alert.message_zh.contains("3 个公众号"), "{alert:?}");
    are(&guarded, 'a', 0..3, "emptied_at = NULL").await;
    watch_for(&mut guarded, minutes(1)).await;
    assert_eq!(guarded.the("lists_emptied").await.state, "resolved");
}

#[tokio::test]
async fn what_is_told_again_of_a_crowd_says_how_many_there_are_then() {
    let mut guarded = unpolled().await;
    accounts(&guarded, 'a', 400).await;
    are(&guarded, 'a', 0..150, &suspended(&guarded, 61_007)).await;
    watch_for(&mut guarded, minutes(1)).await;
    are(&guarded, 'a', 0..400, &suspended(&guarded, 61_007)).await;
    watch_for(&mut guarded, minutes(2)).await;
    assert_eq!(guarded.told().await, ["fired"]);
    assert!(guarded.the("accounts_refused").await.message_en.starts_with("400 "), "whoever looks sees how it is");
    guarded.daemon.clock.advance(hours(23) + minutes(56));
    watch_for(&mut guarded, minutes(3)).await;
    assert_eq!(guarded.told().await, ["fired", "repeated"]);
    assert!(guarded.the("accounts_refused").await.message_en.starts_with("400 "));
}
