//! Accepting a request, broken at every point.

use super::{
    Barrier, Daemon, Victim, assert_same_end, id_of,
    process::{state, until_state},
    world,
};

/// A write of one kind is refused: nothing of the request is kept, and the asker is told.
async fn refused_at(case: &str, on: &str) {
    let mut daemon = world().await;
    let victim = Victim::boot(&daemon).await;
    let barrier = Barrier::raise(&daemon, on, "true").await;
    assert!(victim.ask().await.is_err(), "{case}");
    assert_eq!(state(&daemon).await, None, "{case}: all or nothing");
    barrier.lift().await;
    let id = id_of(&victim.ask().await.unwrap());
    victim.kill().await;
    assert_same_end(case, &mut daemon, &id).await;
}

#[tokio::test]
async fn accept_fails_before() {
    Box::pin(refused_at("accept, fail before", "INSERT ON request")).await;
}

#[tokio::test]
async fn accept_does_then_fails() {
    for on in ["INSERT ON request", "INSERT ON log", "INSERT ON wakeup"] {
        Box::pin(refused_at("accept, do then fail", on)).await;
    }
}

#[tokio::test]
async fn accept_does_then_loses_the_answer() {
    let mut daemon = world().await;
    let victim = Victim::boot(&daemon).await;
    // Whoever asked goes away before the answer comes; what it asked for is done all the same.
    let mut asked = Box::pin(victim.ask());
    assert!(futures_poll_once(&mut asked).await.is_none());
    drop(asked);
    until_state(&daemon, "requested").await;
    let again = victim.ask().await.unwrap();
    assert!(again[0].existing);
    victim.kill().await;
    assert_same_end("accept, do then lose the answer", &mut daemon, &id_of(&again)).await;
}

#[tokio::test]
async fn accept_is_repeated() {
    let mut daemon = world().await;
    let victim = Victim::boot(&daemon).await;
    let (one, other) = tokio::join!(victim.ask(), victim.ask());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one[0].id, other[0].id);
    assert!(one[0].existing != other[0].existing);
    victim.kill().await;
    assert_same_end("accept, repeat", &mut daemon, &id_of(&one)).await;
}

#[tokio::test]
async fn accept_crashes_before() {
    let mut daemon = world().await;
    let victim = Victim::boot(&daemon).await;
    let lock = lock(&daemon).await;
    let mut asked = Box::pin(victim.ask());
    assert!(futures_poll_once(&mut asked).await.is_none());
    drop(asked);
    victim.kill().await;
    lock.release().await;
    assert_eq!(state(&daemon).await, None);
    let victim = Victim::boot(&daemon).await;
    let id = id_of(&victim.ask().await.unwrap());
    victim.kill().await;
    assert_same_end("accept, crash before", &mut daemon, &id).await;
}

#[tokio::test]
async fn accept_crashes_after() {
    let mut daemon = world().await;
    let victim = Victim::boot(&daemon).await;
    let id = id_of(&victim.ask().await.unwrap());
    victim.kill().await;
    assert_same_end("accept, crash after", &mut daemon, &id).await;
}

/// Somebody else who writes, and does not stop.
pub(super) struct Lock(sqlx::AnyConnection);

impl Lock {
    pub(super) async fn release(mut self) {
        sqlx::query("ROLLBACK").execute(&mut self.0).await.unwrap();
    }
}

pub(super) async fn lock(daemon: &Daemon) -> Lock {
    let mut connection = daemon.connection().await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
    Lock(connection)
}

/// Begins something and looks once whether it is done.
async fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
