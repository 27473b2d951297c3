//! Rows that somebody made illegal, in every table by which people are told: each delays itself, is named by the audit and
//! told, and all others go on.

use super::*;
use amplinkd::domain::action;

/// Writes what the table's types forbid, as whoever works on the file with another program may have done before it was
/// strict.
async fn poison(guarded: &Guarded, table: &str, statement: &str) {
    let statements = format!(
        "PRAGMA writable_schema = 1;
         UPDATE sqlite_schema SET sql = replace(sql, ', STRICT', '') WHERE name = '{table}';
         UPDATE sqlite_schema SET sql = replace(sql, ' STRICT', '') WHERE name = '{table}';
         PRAGMA writable_schema = RESET;
         PRAGMA ignore_check_constraints = 1;
         {statement};
         PRAGMA writable_schema = 1;
         UPDATE sqlite_schema SET sql = sql || CASE WHEN sql LIKE '%WITHOUT ROWID' THEN ', STRICT' ELSE ' STRICT' END
         WHERE name = '{table}';
         PRAGMA writable_schema = RESET;"
    );
    guarded.daemon.sql(&statements).await;
}

/// An account that `WeChat` suspends is told, whatever else is wrong.
async fn is_told_of_a_suspension(guarded: &mut Guarded, account: &str) {
    guarded.daemon.sim.world().account(account).answers_always = Some(61_003);
    guarded.daemon.ask(to_link(account, OTHER_PROGRAM)).await;
    guarded.attend(minutes(3)).await;
    let suspended = guarded.of("account_suspended").await;
    let told = suspended.iter().find(|alert| alert.account.as_deref() == Some(account)).expect("it fires");
    assert_eq!((told.state.as_str(), told.notifications), ("firing", 1), "{told:?}");
}

/// The audit names the row, and its finding is told.
async fn is_named(guarded: &mut Guarded, subject: &str) {
    let found = guarded.daemon.engine().recorder().audit().await.unwrap();
    let named = found.iter().find(|found| found.rule == "bad_row").expect("a finding");
    assert_eq!(named.subject, subject);
    guarded.daemon.engine().note_audit(found);
    guarded.attend(minutes(2)).await;
    let alert =
        guarded.of("daemon").await.into_iter().find(|alert| alert.reason == "daemon.bad_row").expect("an alert");
    assert_eq!(alert.notifications, 1);
    assert!(alert.message_en.contains(subject), "{alert:?}");
}

#[tokio::test]
async fn an_illegal_alert_stops_nobody_from_being_told_of_another() {
    for column in ["since = 'yesterday'", "version = 'x'", "fired_at = 'then'", "reach = 'far'"] {
        let mut guarded = Guarded::start().await;
        is_told_of_a_suspension(&mut guarded, ACCOUNT).await;
        poison(&guarded, "alert", &format!("UPDATE alert SET {column}")).await;
        is_told_of_a_suspension(&mut guarded, OTHER_ACCOUNT).await;
        let mut connection = guarded.daemon.connection().await;
        let sql = "SELECT id FROM alert WHERE account = $1";
        let id: String = sqlx::query_scalar(sql).bind(ACCOUNT).fetch_one(&mut connection).await.unwrap();
        is_named(&mut guarded, &format!("alert {id}")).await;
    }
}

#[tokio::test]
async fn an_alert_that_cannot_be_written_is_left_out_of_its_group() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.nobody_answers();
    let wishes = (0..9).map(|number| to_link(ACCOUNT, &format!("wxdddd{number:012}")));
    guarded.daemon.engine().recorder().by(action::By::simulated()).accept(wishes.collect()).await.unwrap();
    // They fire, and wait for each other.
    guarded.run_for(hours(24)).await;
    while guarded.of("stuck").await.len() < 9 {
        guarded.run_for(seconds(20)).await;
    }
    assert!(guarded.told().await.is_empty());
    let stuck = guarded.of("stuck").await;
    poison(&guarded, "alert", &format!("UPDATE alert SET notifications = -5 WHERE id = '{}'", stuck[4].id)).await;
    guarded.run_for(minutes(5)).await;
    let told: i64 = guarded.events().await.iter().map(|event| event.count).sum();
    assert_eq!(told, 8);
    assert!(guarded.events().await.iter().all(|event| !event.alerts.contains(&stuck[4].id)));
    guarded.run_for(minutes(40)).await;
    let found = guarded.daemon.engine().recorder().audit().await.unwrap();
    let of = |rule: &str| {
        found.iter().filter(|found| found.rule == rule).map(|found| found.subject.clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("bad_row"), [format!("alert {}", stuck[4].id)]);
    assert_eq!(of("alert_untold"), [stuck[4].id.clone()]);
    poison(&guarded, "alert", "UPDATE alert SET notifications = 0 WHERE notifications < 0").await;
    guarded.run_for(minutes(12)).await;
    assert!(guarded.events().await.iter().any(|event| event.alerts == [stuck[4].id.clone()]), "once it is mended");
}

#[tokio::test]
async fn an_illegal_gate_stops_nobody_from_being_told() {
    let mut guarded = Guarded::start().await;
    guarded.settle().await;
    poison(
        &guarded,
        "gate",
        "INSERT INTO gate (kind, subject, until, errcode, errmsg, at) VALUES ('api_day', 'x', 'never', 'y', 1, 1)",
    )
    .await;
    is_told_of_a_suspension(&mut guarded, ACCOUNT).await;
    is_named(&mut guarded, "gate api_day x").await;
}

#[tokio::test]
async fn an_illegal_account_hides_no_other_and_ends_no_alert_of_its_own() {
    let mut guarded = Guarded::start().await;
    is_told_of_a_suspension(&mut guarded, ACCOUNT).await;
    let set = format!("UPDATE account SET checked_at = 'never' WHERE account = '{ACCOUNT}'");
    poison(&guarded, "account", &set).await;
    is_told_of_a_suspension(&mut guarded, OTHER_ACCOUNT).await;
    is_named(&mut guarded, &format!("account {ACCOUNT}")).await;
    assert!(guarded.of("account_suspended").await.iter().all(|alert| alert.state == "firing"));
}

#[tokio::test]
async fn an_illegal_request_stops_nobody_from_being_told_of_another() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.nobody_answers();
    let first = guarded.daemon.link().await;
    let second = guarded.daemon.ask(to_link(OTHER_ACCOUNT, OTHER_PROGRAM)).await;
    guarded.run_for(hours(2)).await;
    poison(&guarded, "request", &format!("UPDATE request SET attempt = 'often' WHERE id = '{first}'")).await;
    guarded.run_for(hours(24)).await;
    let stuck = guarded.of("stuck").await;
    let told: Vec<_> =
        stuck.iter().filter(|alert| alert.notifications > 0).filter_map(|alert| alert.request_id.clone()).collect();
    assert_eq!(told, [second.to_string()]);
}
