//! Asking for a pair that is linked: one link is enough, as long as it stands.

use amplinkd::domain::action;
use amplinkd::{domain::request::State, sim::Phase};

use super::*;

async fn requests(daemon: &Daemon) -> i64 {
    let mut connection = daemon.connection().await;
    sqlx::query_scalar("SELECT count(*) FROM v_request").fetch_one(&mut connection).await.unwrap()
}

/// A pair that is linked, confirmed by a list, with nothing open.
async fn linked() -> (Daemon, RequestId) {
    let mut daemon = Daemon::start().await;
    let first = daemon.link().await;
    daemon.run_for(hours(4)).await;
    daemon.assert_story(&first, FULL).await;
    (daemon, first)
}

#[tokio::test]
async fn whoever_asks_every_night_for_a_year_has_one_request_and_hears_once_that_the_link_is_gone() {
    let (mut daemon, first) = linked().await;
    for _ in 0..365 {
        assert_eq!(daemon.link().await, first);
        daemon.run_for(days(1)).await;
    }
    assert_eq!((requests(&daemon).await, daemon.invitations()), (1, 1));

    let now = daemon.sim.now();
    daemon.sim.world().remove(ACCOUNT, PROGRAM, now).unwrap();
    // Nobody has seen it yet; but who asks has the list looked at, and does not wait for the daily check.
    assert_eq!(daemon.link().await, first);
    // It was all that the account had: that everything is gone at once is believed after `appear_within`, by two looks.
    daemon.run_for(minutes(15)).await;
    daemon.assert_story(&first, &format!("{FULL} unlinked")).await;
    let vanished: Vec<String> = daemon.conflicts(&first).await.into_iter().map(|conflict| conflict.kind).collect();
    assert_eq!(vanished, ["vanished"]);
    assert_eq!(requests(&daemon).await, 1);

    let second = daemon.link().await;
    assert_ne!(second, first, "it is linked no more");
    daemon.run_for(hours(4)).await;
    daemon.assert_story(&second, FULL).await;
}

#[tokio::test]
async fn a_retry_asks_all_the_same() {
    let (mut daemon, first) = linked().await;
    let again = daemon.engine().recorder().by(action::By::simulated()).retry(&first).await.unwrap();
    assert!(!again.existing);
    let again: RequestId = again.id.parse().unwrap();
    daemon.run_for(hours(1)).await;
    daemon.assert_story(&again, "requested linked").await;
    assert_eq!(daemon.link().await, again, "of two that stand the later one answers");
    assert_eq!(daemon.invitations(), 1);
}

#[tokio::test]
async fn a_link_that_is_being_undone_or_doubted_or_was_never_seen_answers_nobody() {
    let (mut daemon, first) = linked().await;
    daemon.nobody_answers();
    let unlink = daemon.unlink().await;
    let second = daemon.link().await;
    assert!(second != first && second != unlink);
    daemon.engine().recorder().by(action::By::simulated()).cancel(&second).await.unwrap();
    daemon.engine().recorder().by(action::By::simulated()).cancel(&unlink).await.unwrap();
    assert_eq!(daemon.link().await, first, "nobody undoes it any more");

    daemon.sql("UPDATE request SET doubt = 'absent', doubt_at = 1 WHERE state = 'linked'").await;
    let third = daemon.link().await;
    assert_ne!(third, first, "the last list did not show it");
    daemon.engine().recorder().by(action::By::simulated()).cancel(&third).await.unwrap();
    daemon.sql("UPDATE request SET doubt = NULL, doubt_at = NULL, seen_status = NULL WHERE state = 'linked'").await;
    assert_ne!(daemon.link().await, first, "WeChat said so, and no list has shown it");
}

#[tokio::test]
async fn an_answered_wish_gives_its_key_to_the_link_that_stands() {
    let (mut daemon, first) = linked().await;
    let mut keyed = to_link(ACCOUNT, PROGRAM);
    keyed.key = Some("night".to_owned());
    assert_eq!(daemon.ask(keyed.clone()).await, first);
    assert_eq!(daemon.view(&first).await.key.as_deref(), Some("night"));
    // Also once it is gone, because the same key is the same request.
    let now = daemon.sim.now();
    daemon.sim.world().remove(ACCOUNT, PROGRAM, now).unwrap();
    daemon.run_for(days(2)).await;
    daemon.link().await;
    assert_eq!(daemon.ask(keyed).await, first);
}

#[tokio::test]
async fn many_at_once_are_answered_by_the_links_and_wake_nobody() {
    let mut daemon = Daemon::start().await;
    let now = daemon.sim.now();
    let wishes: Vec<Wish> = (0..12).map(|number| to_link(ACCOUNT, &format!("wxbbbb{number:012}"))).collect();
    for wish in &wishes {
        daemon.sim.world().place(ACCOUNT, wish.program.as_str(), Phase::Linked, now).unwrap();
    }
    let first = daemon.engine().recorder().by(action::By::simulated()).accept(wishes.clone()).await.unwrap();
    daemon.run_for(hours(1)).await;
    let one = first[0].id.parse().unwrap();
    assert_eq!(daemon.request(&one).await.state, State::Linked);
    let looks = daemon.sim.stats().wxamplinkget;
    let again = daemon.engine().recorder().by(action::By::simulated()).accept(wishes).await.unwrap();
    assert!(again.iter().zip(&first).all(|(again, first)| again.existing && again.id == first.id));
    daemon.run_for(hours(1)).await;
    assert_eq!(daemon.sim.stats().wxamplinkget, looks, "the daily check looks after so many");
}
