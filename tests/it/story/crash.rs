//! Crash at every step: accept, poll, submit and record each fail before, do then fail, do then lose the answer, are
//! repeated, crash before and crash after. All must end the same, by at most one invitation per attempt. Everything is
//! done from outside: triggers, locks, the world's faults, and a runtime that is pulled from under the daemon.

mod accept;

mod poll;

mod process;

mod record;

mod submit;

use amplinkd::{domain::id::RequestId, store::write::requests::Accepted};

use self::process::Victim;
use super::{ACCOUNT, Daemon, PROGRAM, hours, to_link};

/// Aborts every write of a kind until it is taken away.
struct Barrier<'d> {
    daemon: &'d Daemon,
}

impl<'d> Barrier<'d> {
    /// `on` is the trigger's event, as in `INSERT ON log`; `when` its condition.
    async fn raise(daemon: &'d Daemon, on: &str, when: &str) -> Self {
        let trigger = format!(
            "CREATE TRIGGER barrier BEFORE {on} WHEN {when} BEGIN SELECT RAISE(ABORT, 'the disk says no'); END;"
        );
        daemon.sql(&trigger).await;
        Self { daemon }
    }

    async fn lift(self) {
        self.daemon.sql("DROP TRIGGER barrier;").await;
    }
}

/// The one end of every case: linked, by one request and one invitation, nothing lost and nothing stalled.
async fn assert_same_end(case: &str, daemon: &mut Daemon, id: &RequestId) {
    daemon.boot().await;
    daemon.run_for(hours(6)).await;
    let story = daemon.story(id).await;
    assert!(story.starts_with("requested") && story.ends_with("linked"), "{case}: {story}");
    let view = daemon.view(id).await;
    let sent = daemon.invitations();
    assert_eq!(sent, 1, "{case}: {story}");
    assert!(view.attempt >= 1 && view.attempt <= 2, "{case}: {} attempts", view.attempt);
    assert!(!view.outcome_unknown, "{case}");
    let counts = daemon.store().count_by_state().await.unwrap();
    assert_eq!(counts, [("linked".to_owned(), 1)], "{case}");
    let open = daemon.conflicts(id).await.into_iter().filter(|conflict| conflict.resolved_at.is_none()).count();
    assert_eq!(open, 0, "{case}: conflicts");
    daemon.assert_sound().await;
}

/// A world whose daemon is down.
async fn world() -> Daemon {
    let mut daemon = Daemon::start().await;
    daemon.stop().await;
    daemon
}

/// A daemon that may be killed, with one request that was just accepted.
async fn victim_with_a_request(daemon: &Daemon) -> (Victim, RequestId) {
    let victim = Victim::boot(daemon).await;
    let id = id_of(&victim.ask().await.unwrap());
    (victim, id)
}

fn id_of(accepted: &[Accepted]) -> RequestId {
    accepted[0].id.parse().unwrap()
}
