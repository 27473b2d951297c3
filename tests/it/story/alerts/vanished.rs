//! A link that is gone without our asking, and what was asked for the pair before and after it went. Which of them stands
//! for an answer is asked of the alert alone.

use amplinkd::{domain::action, domain::request::State};

use super::*;

/// What was asked for the pair while it was linked.
#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    /// An unlink that somebody took back.
    UnlinkCancelled,
    /// An unlink that `WeChat` refused.
    UnlinkFailed,
    /// The same link again, which is linked at once.
    LinkAgain,
}

/// A link that stood for weeks.
async fn linked(before: Before) -> Guarded {
    let mut guarded = Guarded::start().await;
    let link = guarded.daemon.link().await;
    guarded.run_for(hours(4)).await;
    assert_eq!(guarded.daemon.request(&link).await.state, State::Linked);
    match before {
        Before::Nothing => {}
        Before::UnlinkCancelled => {
            let unlink = guarded.daemon.unlink().await;
            guarded.daemon.engine().recorder().by(action::By::simulated()).cancel(&unlink).await.unwrap();
        }
        Before::UnlinkFailed => {
            let unlink = guarded.daemon.unlink().await;
            let sql = format!(
                "UPDATE request SET state = 'failed', failure = 'refused', finished_at = requested_at WHERE id = '{unlink}'"
            );
            guarded.daemon.sql(&sql).await;
        }
        Before::LinkAgain => {
            guarded.daemon.link().await;
        }
    }
    guarded.run_for(days(20)).await;
    guarded
}

/// Somebody removes the link in the account's console, and the daily looks find that out.
async fn goes(guarded: &mut Guarded) {
    let now = guarded.daemon.sim.now();
    guarded.daemon.sim.world().remove(ACCOUNT, PROGRAM, now).unwrap();
    for _ in 0..2 {
        guarded.daemon.engine().begin_drift().await.unwrap();
        guarded.run_for(hours(26)).await;
    }
}

#[tokio::test]
async fn what_was_asked_before_it_went_and_came_to_nothing_hides_no_link_that_is_gone() {
    for before in [Before::Nothing, Before::UnlinkCancelled, Before::UnlinkFailed, Before::LinkAgain] {
        let mut guarded = linked(before).await;
        goes(&mut guarded).await;
        let firing = guarded.of("vanished").await.into_iter().filter(|alert| alert.state == "firing").count();
        assert_eq!(firing, 1, "{before:?}");
    }
}

#[tokio::test]
async fn only_a_request_that_waits_or_succeeds_answers_a_link_that_is_gone() {
    let mut guarded = linked(Before::Nothing).await;
    goes(&mut guarded).await;
    assert_eq!(guarded.the("vanished").await.state, "firing");
    guarded.daemon.nobody_answers();
    let again = guarded.daemon.link().await;
    guarded.run_for(minutes(5)).await;
    assert_eq!(guarded.the("vanished").await.resolution.as_deref(), Some("over"), "{again} waits for the same");
}

#[tokio::test]
async fn a_request_that_came_to_nothing_after_it_went_hides_it_not_either() {
    let mut guarded = linked(Before::Nothing).await;
    // Nobody looks for alerts while it goes and while somebody asks for it and thinks better of it.
    guarded.daemon.watch = None;
    let now = guarded.daemon.sim.now();
    guarded.daemon.sim.world().remove(ACCOUNT, PROGRAM, now).unwrap();
    for _ in 0..2 {
        guarded.daemon.engine().begin_drift().await.unwrap();
        guarded.daemon.run_for(hours(26)).await;
    }
    let again = guarded.daemon.link().await;
    guarded.daemon.engine().recorder().by(action::By::simulated()).cancel(&again).await.unwrap();
    guarded.daemon.watch_over().await;
    guarded.run_for(minutes(5)).await;
    assert_eq!(guarded.the("vanished").await.state, "firing");
}
