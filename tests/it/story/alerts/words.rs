//! The text of an open alert follows the newest facts, in repeats and for whoever looks.

use amplinkd::clock::Clock;

use super::*;

/// Our address is refused with these words.
async fn refused(guarded: &Guarded, words: &str) {
    let now = guarded.daemon.clock.now().ms();
    let sql = format!(
        "INSERT INTO gate (kind, subject, until, errcode, errmsg, at) VALUES ('ip', 'all', {now}, 40164, '{words}', {now})
         ON CONFLICT (kind, subject) DO UPDATE SET errmsg = excluded.errmsg, at = excluded.at"
    );
    guarded.daemon.sql(&sql).await;
}

/// What the last event about alerts says.
async fn last_event(guarded: &Guarded) -> String {
    let mut connection = guarded.daemon.connection().await;
    let sql = "SELECT data FROM outbox WHERE type LIKE 'amplinkd.alert.%' ORDER BY seq DESC LIMIT 1";
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn every_address_that_was_refused_is_named_and_the_newest_words_are_told() {
    let mut guarded = Guarded::start().await;
    refused(&guarded, "invalid ip 203.0.113.9 ipv6 ::ffff:203.0.113.9, not in whitelist rid: 1a-2b").await;
    guarded.attend(minutes(1)).await;
    let says = |alert: &Shown, addresses: &[&str], newest: &str| {
        assert!(
            addresses.iter().all(|one| alert.message_en.contains(one) && alert.message_zh.contains(one)),
            "{alert:?}"
        );
        assert!(alert.message_en.contains(newest), "{alert:?}");
    };
    says(&guarded.the("ip_not_allowed").await, &["203.0.113.9"], "rid: 1a-2b");
    refused(&guarded, "invalid ip 203.0.113.7, not in whitelist rid: 3c-4d").await;
    guarded.attend(minutes(2)).await;
    says(&guarded.the("ip_not_allowed").await, &["203.0.113.9", "203.0.113.7"], "rid: 3c-4d");
    guarded.restart().await;
    refused(&guarded, "invalid ip 2001:db8::5, not in whitelist rid: 5e-6f").await;
    guarded.attend(minutes(2)).await;
    let all = ["203.0.113.9", "203.0.113.7", "2001:db8::5"];
    says(&guarded.the("ip_not_allowed").await, &all, "rid: 5e-6f");
    assert_eq!(guarded.told().await, ["fired"], "other words are no other alert");
    guarded.run_for(hours(24)).await;
    let event = last_event(&guarded).await;
    assert!(
        event.contains("repeated") && all.iter().all(|one| event.contains(one)) && event.contains("5e-6f"),
        "{event}"
    );
}

#[tokio::test]
async fn words_that_never_stay_the_same_cost_a_write_a_minute_at_most() {
    let mut guarded = Guarded::start().await;
    refused(&guarded, "invalid ip 203.0.113.9 rid: 0").await;
    guarded.attend(minutes(1)).await;
    guarded
        .daemon
        .sql(
            "CREATE TABLE writes (n); CREATE TRIGGER counts AFTER UPDATE OF message_en ON alert
                        BEGIN INSERT INTO writes VALUES (1); END",
        )
        .await;
    for look in 1..=40 {
        refused(&guarded, &format!("invalid ip 203.0.113.9 rid: {look}")).await;
        guarded.attend(seconds(15)).await;
    }
    let mut connection = guarded.daemon.connection().await;
    let writes: i64 = sqlx::query_scalar("SELECT count(*) FROM writes").fetch_one(&mut connection).await.unwrap();
    assert!((8..=11).contains(&writes), "{writes} in ten minutes");
}

#[tokio::test]
async fn what_is_told_again_of_a_request_is_worded_anew() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.nobody_answers();
    guarded.daemon.link().await;
    guarded.run_for(hours(25)).await;
    let words = guarded.the("stuck").await.message_en;
    guarded.daemon.sql("UPDATE alert SET message_en = 'the words of yesterday'").await;
    guarded.run_for(hours(24)).await;
    assert_eq!(guarded.told().await, ["fired", "repeated"]);
    assert_eq!(guarded.the("stuck").await.message_en, words);
    assert!(!last_event(&guarded).await.contains("yesterday"));
}
