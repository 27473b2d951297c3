//! An alert's life: told once, told again, to more people as it ages, silent at night, over; together with its like.

use amplinkd::{domain::action, domain::alert_rules::QuietHours};

use super::*;

/// Requests for links of one program by as many accounts, all at once, which nobody will ever answer.
async fn ask_for(guarded: &mut Guarded, count: usize) {
    guarded.daemon.nobody_answers();
    let wishes = (0..count).map(|number| {
        wish(Kind::Link(LinkOptions::default()), &format!("wxcccc{number:012}"), &format!("wxdddd{number:012}"))
    });
    guarded.daemon.engine().recorder().by(action::By::simulated()).accept(wishes.collect()).await.unwrap();
}

#[tokio::test]
async fn many_that_are_stuck_at_once_are_one_message() {
    let mut guarded = Guarded::start().await;
    ask_for(&mut guarded, 60).await;
    guarded.run_for(hours(30)).await;
    let events = guarded.events().await;
    assert_eq!(guarded.of("stuck").await.len(), 60);
    assert_eq!(events.iter().map(|event| event.count).sum::<i64>(), 60);
    // They were not listed in one moment: whatever came within the time of grouping is together.
    assert!(events.len() <= 3, "{events:#?}");
}

#[tokio::test]
async fn at_night_nobody_is_disturbed_and_in_the_morning_nothing_is_lost() {
    // Asked at eight in the morning of Beijing, it is stuck at eight of the next: quiet until ten.
    let mut guarded = Guarded::with(|alerting| {
        alerting.quiet = Some(QuietHours { from: 22 * 60, until: 10 * 60, zone: amplinkd::domain::time::BEIJING });
    })
    .await;
    guarded.daemon.nobody_answers();
    guarded.daemon.link().await;
    guarded.run_for(hours(25)).await;
    let alert = guarded.the("stuck").await;
    assert_eq!((alert.state.as_str(), alert.notifications), ("firing", 0));
    assert_eq!(guarded.events().await, []);
    guarded.restart().await;
    guarded.run_for(hours(2)).await;
    let events = guarded.events().await;
    assert_eq!(events.len(), 1);
    let ten = MORNING + hours(26);
    assert!(events[0].at >= ten.ms() && events[0].at < (ten + minutes(2)).ms(), "{events:?}");
}

#[tokio::test]
async fn what_fires_and_ends_in_one_night_is_told_in_its_order() {
    let mut guarded = Guarded::with(|alerting| {
        alerting.quiet = Some(QuietHours { from: 22 * 60, until: 10 * 60, zone: amplinkd::domain::time::BEIJING });
        alerting.quiet_except = Vec::new();
    })
    .await;
    guarded.daemon.people(PlanSet {
        account_admin: Some(approves_after(Span::minutes(25 * 60))),
        program_admin: Some(approves_after(Span::hours(1))),
        unlink: None,
    });
    guarded.daemon.link().await;
    guarded.run_for(hours(25) + minutes(59)).await;
    assert_eq!(guarded.told().await, Vec::<String>::new());
    guarded.run_for(hours(3)).await;
    assert_eq!(guarded.told().await, ["fired", "resolved"]);
}

#[tokio::test]
async fn an_old_alert_reaches_more_people_once() {
    let mut guarded = Guarded::with(|alerting| {
        alerting.repeat_every = None;
        alerting.subscriptions.push(Subscription { after: days(2), transitions: false, ..everything("boss") });
    })
    .await;
    guarded.daemon.nobody_answers();
    guarded.daemon.link().await;
    guarded.run_for(days(5)).await;
    let reach: Vec<_> = guarded.events().await.iter().map(|event| (event.kind.clone(), event.reach)).collect();
    let fired = "amplinkd.alert.fired".to_owned();
    assert_eq!(reach, [(fired.clone(), 0), (fired, days(2).as_millis().try_into().unwrap())]);
    assert_eq!(guarded.queue("boss").await, ["amplinkd.alert.fired"]);
    guarded.agree();
    guarded.run_for(hours(3)).await;
    assert_eq!(guarded.queue("boss").await, ["amplinkd.alert.fired", "amplinkd.alert.resolved"]);
}

#[tokio::test]
async fn a_restart_at_any_moment_neither_repeats_nor_misses() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.people(PlanSet {
        account_admin: Some(approves_after(Span::hours(30))),
        program_admin: Some(approves_after(Span::hours(1))),
        unlink: None,
    });
    guarded.daemon.link().await;
    for _ in 0..66 {
        guarded.run_for(minutes(30)).await;
        guarded.restart().await;
    }
    assert_eq!(guarded.told().await, ["fired", "resolved"]);
    assert_eq!(guarded.the("stuck").await.notifications, 2);
}

#[tokio::test]
async fn a_death_in_any_write_of_the_watch_neither_repeats_nor_misses() {
    for on in ["INSERT ON alert", "UPDATE ON alert", "INSERT ON vigil", "UPDATE ON watch", "INSERT ON delivery"] {
        let mut guarded = Guarded::start().await;
        guarded.daemon.people(PlanSet {
            account_admin: Some(approves_after(Span::hours(30))),
            program_admin: Some(approves_after(Span::hours(1))),
            unlink: None,
        });
        guarded.daemon.link().await;
        guarded.run_for(hours(23)).await;
        guarded
            .daemon
            .sql(&format!("CREATE TRIGGER refuse BEFORE {on} BEGIN SELECT RAISE(ABORT, 'refused'); END"))
            .await;
        for _ in 0..9 {
            guarded.daemon.clock.advance(hours(1));
            let mut watch = guarded.daemon.watch.take().unwrap();
            guarded.daemon.settle().await;
            // Whatever it wanted to write is not there, and the process dies of it.
            let _ = watch.settle().await;
            drop(watch);
            guarded.daemon.watch_over().await;
        }
        guarded.daemon.sql("DROP TRIGGER refuse").await;
        guarded.restart().await;
        guarded.run_for(hours(4)).await;
        let told = guarded.told().await;
        // While nothing could be written it may have been over before it was known.
        assert!(told == ["fired", "resolved"] || told.is_empty(), "{on}: {told:?}");
        assert_eq!(
            guarded.queue("ops").await.iter().filter(|kind| kind.starts_with("amplinkd.alert")).count(),
            told.len()
        );
    }
}

#[tokio::test]
async fn what_got_too_old_while_nothing_could_be_written_is_told_afterwards() {
    const TABLES: [(&str, &str); 3] = [("a", "INSERT ON alert"), ("b", "INSERT ON vigil"), ("c", "UPDATE ON watch")];
    let mut guarded = Guarded::start().await;
    guarded.daemon.nobody_answers();
    guarded.daemon.link().await;
    guarded.run_for(hours(23)).await;
    for (name, on) in TABLES {
        let sql = format!("CREATE TRIGGER {name} BEFORE {on} BEGIN SELECT RAISE(ABORT, 'refused'); END");
        guarded.daemon.sql(&sql).await;
    }
    let mut refused = 0;
    for _ in 0..4 {
        guarded.daemon.clock.advance(hours(1));
        let mut watch = guarded.daemon.watch.take().unwrap();
        guarded.daemon.settle().await;
        refused += usize::from(watch.settle().await.is_err());
        guarded.daemon.watch = Some(watch);
    }
    assert!(refused > 0, "it wanted to write something");
    for (name, _) in TABLES {
        guarded.daemon.sql(&format!("DROP TRIGGER {name}")).await;
    }
    assert_eq!(guarded.told().await, Vec::<String>::new());
    guarded.run_for(hours(1)).await;
    assert_eq!(guarded.told().await, ["fired"]);
}

#[tokio::test]
async fn every_event_is_queued_once_for_whoever_wants_it() {
    let mut guarded = Guarded::with(|alerting| {
        let none = Subscription { alerts: None, transitions: false, conflicts: false, ..everything("silent") };
        alerting.subscriptions.push(none);
    })
    .await;
    let link = guarded.daemon.link().await;
    guarded.run_for(hours(3)).await;
    guarded.restart().await;
    guarded.run_for(hours(1)).await;
    let states = guarded.daemon.story(&link).await;
    let queue: Vec<String> =
        guarded.queue("ops").await.iter().map(|kind| kind.trim_start_matches("amplinkd.request.").to_owned()).collect();
    assert_eq!(queue.join(" "), states);
    assert_eq!(guarded.queue("silent").await, Vec::<String>::new());
}

#[tokio::test]
async fn the_day_is_told_to_whoever_wants_it() {
    let mut guarded = Guarded::with(|alerting| {
        alerting.subscriptions.push(Subscription { digests: false, ..everything("chat") });
    })
    .await;
    guarded.daemon.link().await;
    guarded.run_for(hours(4)).await;
    amplinkd::alerting::digest::record(guarded.daemon.engine(), "digest").await.unwrap();
    guarded.settle().await;
    for (channel, digests) in [("ops", 1), ("chat", 0)] {
        let queue = guarded.queue(channel).await;
        assert_eq!(queue.iter().filter(|kind| *kind == "amplinkd.digest").count(), digests, "{channel}");
    }
    let mut connection = guarded.daemon.connection().await;
    let sql = "SELECT data FROM outbox WHERE type = 'amplinkd.digest'";
    let data: String = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
    let data: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert!(data["en"]["title"].as_str().unwrap().contains("1 linked"), "{data}");
    assert!(data["zh"]["title"].as_str().unwrap().contains("关联成功"), "{data}");
    assert_eq!(data["figures"]["ended"][0]["count"], 1);
}

#[tokio::test]
async fn telling_more_people_puts_off_nobodys_reminder() {
    let mut guarded = Guarded::with(|alerting| {
        alerting.repeat_every = Some(days(1));
        alerting.subscriptions.push(Subscription { after: hours(12), transitions: false, ..everything("boss") });
    })
    .await;
    guarded.daemon.nobody_answers();
    guarded.daemon.link().await;
    guarded.run_for(hours(24 + 25)).await;
    assert_eq!(guarded.told().await, ["fired", "fired", "repeated"]);
    assert_eq!(guarded.queue("boss").await, ["amplinkd.alert.fired", "amplinkd.alert.repeated"]);
}

#[tokio::test]
async fn a_reminder_that_was_off_is_on_again_for_what_already_fires() {
    let mut guarded = Guarded::with(|alerting| alerting.repeat_every = None).await;
    guarded.daemon.nobody_answers();
    guarded.daemon.link().await;
    guarded.run_for(hours(60)).await;
    assert_eq!(guarded.told().await, ["fired"]);
    guarded.daemon.alerting.repeat_every = Some(days(1));
    guarded.restart().await;
    guarded.run_for(hours(1)).await;
    assert_eq!(guarded.told().await, ["fired", "repeated"]);
    assert_eq!(guarded.the("stuck").await.notifications, 2);
}
