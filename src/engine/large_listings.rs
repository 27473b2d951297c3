//! Processes long lists outside the loop's threads, one at a time: a hostile list takes its share of one core and
//! delays nobody.

use std::panic;

use tokio::sync::Semaphore;

/// Items from which on a list is long. An account may hold a few dozen links; this many are thought through in about a
/// millisecond.
const LONG_ITEMS: usize = 300;

/// Bytes from which on a list is long, before anybody has counted its items: that many items of the documented size.
const LONG_BYTES: usize = 128 << 10;

/// Long lists read at the same time. With more, a few accounts could take every core for as long as they like.
const AT_ONCE: usize = 1;

/// The turns of long lists.
#[derive(Debug)]
pub(super) struct LargeListings {
    turns: Semaphore,
}

/// How much work a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// Done on the spot.
    Short,
    /// Done beside, when it is its turn.
    Long,
}

impl Length {
    pub(super) const fn of_bytes(bytes: usize) -> Self {
        if bytes < LONG_BYTES { Self::Short } else { Self::Long }
    }

    pub(super) const fn of_items(items: usize) -> Self {
        if items < LONG_ITEMS { Self::Short } else { Self::Long }
    }
}

impl Default for LargeListings {
    fn default() -> Self {
        Self { turns: Semaphore::new(AT_ONCE) }
    }
}

impl LargeListings {
    /// Does work on a list of this length. A panic in it is the caller's own.
    pub(super) async fn work<T: Send + 'static>(&self, length: Length, work: impl FnOnce() -> T + Send + 'static) -> T {
        if length == Length::Short {
            return work();
        }
        // Nobody closes it; were it closed, the work would only not wait for its turn.
        let turn = self.turns.acquire().await.ok();
        let done = tokio::task::spawn_blocking(work).await;
        drop(turn);
        match done {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => panic::resume_unwind(panic),
                // The runtime is going down, and with it whoever waits here.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn long_lists_are_read_one_at_a_time_and_hold_no_short_one_up() {
        let lists = Arc::new(LargeListings::default());
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (release, released) = std::sync::mpsc::channel::<()>();
        let blocked = tokio::spawn({
            let lists = Arc::clone(&lists);
            async move { lists.work(Length::Long, move || released.recv()).await }
        });
        // While that one stands, this thread is free for all the others.
        let caller = thread::current().id();
        assert_eq!(lists.work(Length::Short, move || thread::current().id()).await, caller);
        let others: Vec<_> = (0..4)
            .map(|_| {
                let (lists, running, most) = (Arc::clone(&lists), Arc::clone(&running), Arc::clone(&most));
                tokio::spawn(async move {
                    let count = move || {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(2));
                        running.fetch_sub(1, Ordering::SeqCst);
                        thread::current().id()
                    };
                    lists.work(Length::Long, count).await
                })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(most.load(Ordering::SeqCst), 0, "none has its turn yet");
        release.send(()).expect("somebody waits");
        blocked.await.expect("it ends").expect("it was released");
        for other in others {
            assert_ne!(other.await.expect("it ends"), caller);
        }
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_panic_is_the_callers_and_the_turn_is_given_back() {
        let lists = Arc::new(LargeListings::default());
        let broken = Arc::clone(&lists);
        let panicked = tokio::spawn(async move { broken.work(Length::Long, || panic!("a defect")).await }).await;
        assert!(panicked.is_err_and(|error| error.is_panic()));
        assert_eq!(lists.work(Length::Long, || 7).await, 7);
    }
}
