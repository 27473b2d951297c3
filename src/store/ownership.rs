//! What this process may work on. In a file, everything, for as long as it holds the lock beside it. At a server, what its
//! node has leases of, for as long as it may believe that they are its own ([`crate::domain::tenure`]).

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::sync::{Notify, watch};

use crate::{
    clock::{Clock as _, SystemClock},
    domain::tenure::{
        Tenure,
        elapsed::Reading,
        lease::{Lease, Leases},
        member::{Calls, Incarnation},
        moves::Moves,
        terms::{MARGIN, Terms},
    },
};

/// How often a call looks whether its lease is still its own.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What this process may work on. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Ownership(Option<Arc<Leased>>);

/// What a node says of itself with each beat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// What its configuration allows all nodes together.
    pub limits: Calls,
    /// What its configuration comes to: nodes of one database should agree.
    pub config_hash: String,
}

/// Leases of one node.
#[derive(Debug)]
pub(super) struct Leased {
    /// The machine's: leases last in real time, whatever the daemon's own clock shows.
    clock: SystemClock,
    tenure: Mutex<Tenure>,
    /// Leases under which something here is, or may still be, under way.
    used: Mutex<Used>,
    wishes: watch::Sender<Wishes>,
    /// Leases under which something may be begun, as of the last beat.
    open: watch::Sender<Leases>,
    is_fenced: AtomicBool,
    /// Something that may have to be handed over is idle now.
    is_idle: Notify,
    /// Beats so far, whatever came of them.
    beats: watch::Sender<u64>,
    /// How often accounts were made due behind everybody's back, as of the last beat; and as somebody here last asked.
    rereads: [AtomicU64; 2],
}

/// What is worked under.
#[derive(Debug, Default)]
struct Used {
    leases: Leases,
    /// When a call was last given up because its lease was not trusted any more, on the stopwatch: it may have left.
    given_up: Option<Duration>,
}

impl Ownership {
    pub(super) fn leased(leased: Arc<Leased>) -> Self {
        Self(Some(leased))
    }

    /// Leases under which something may be begun, as of the last beat, trusted or not; and whenever they change.
    #[must_use]
    pub fn watch(&self) -> Option<watch::Receiver<Leases>> {
        self.0.as_ref().map(|leased| leased.open.subscribe())
    }

    /// The same at this moment.
    #[must_use]
    pub fn open(&self) -> Leases {
        self.0.as_ref().map_or(Leases::ALL, |leased| *leased.open.borrow())
    }

    /// Whether something may be begun under this lease now.
    #[must_use]
    pub fn may_begin(&self, lease: Lease) -> bool {
        self.0.as_ref().is_none_or(|leased| leased.tenure().grant(lease, leased.reading()).is_some())
    }

    /// Whether what was begun under this lease may go on.
    #[must_use]
    pub fn stands(&self, lease: Lease) -> bool {
        self.0.as_ref().is_none_or(|leased| leased.stands(lease))
    }

    /// Whether anything may be begun at all.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.0.as_ref().is_none_or(|leased| leased.tenure().trusts(leased.reading()))
    }

    /// Works under these leases from now on: they are not handed over before [`Self::put_down`].
    pub fn take_up(&self, leases: Leases) {
        if let Some(leased) = &self.0 {
            let mut used = leased.used();
            used.leases = used.leases.and(leases);
        }
    }

    /// Works under these leases no more.
    pub fn put_down(&self, leases: Leases) {
        if let Some(leased) = &self.0 {
            let mut used = leased.used();
            used.leases = used.leases.without(leases);
            // Whoever waits for them need not wait for the next beat.
            leased.is_idle.notify_one();
        }
    }

    /// What may be called as this node's share of all calls; `None` where there are no others.
    #[must_use]
    pub fn share(&self) -> Option<Calls> {
        self.0.as_ref().map(|leased| leased.tenure().share(leased.reading()))
    }

    /// Says with each beat what its configuration allows all nodes together.
    pub fn allow(&self, limits: Calls) {
        self.wish(|wishes| wishes.limits = limits);
    }

    /// Says with each beat what its configuration comes to.
    pub fn go_by(&self, config_hash: String) {
        self.wish(|wishes| wishes.config_hash = config_hash);
    }

    fn wish(&self, wish: impl FnOnce(&mut Wishes)) {
        if let Some(leased) = &self.0 {
            leased.wishes.send_modify(wish);
        }
    }

    /// Whether accounts were made due behind everybody's back since this was last asked.
    #[must_use]
    pub fn must_reread(&self) -> bool {
        self.0.as_ref().is_some_and(|leased| {
            let [there, seen] = &leased.rereads;
            let there = there.load(Ordering::Relaxed);
            seen.swap(there, Ordering::Relaxed) != there
        })
    }

    /// Whether another node has taken over everything that was here.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.0.as_ref().is_some_and(|leased| leased.is_fenced.load(Ordering::Relaxed))
    }

    /// Waits until another node has taken over; for ever where there are none.
    pub async fn fenced(&self) {
        if let Some(mut open) = self.watch() {
            let _ = open.wait_for(|_| self.is_fenced()).await;
        }
        if !self.is_fenced() {
            std::future::pending::<()>().await;
        }
    }

    /// Works for as long as the lease is this node's own; `None` when it ended first. Each time before `work` goes on, that is
    /// asked: after the process was stopped, what has arrived meanwhile must not be heeded first.
    pub async fn while_it_stands<T>(&self, lease: Lease, work: impl Future<Output = T>) -> Option<T> {
        let Some(leased) = &self.0 else { return Some(work.await) };
        let mut work = pin!(work);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        poll_fn(|context| {
            while looks.poll_tick(context).is_ready() {}
            if leased.stands(lease) {
                return work.as_mut().poll(context).map(Some);
            }
            leased.used().given_up = Some(leased.clock.monotonic());
            Poll::Ready(None)
        })
        .await
    }
}

impl Leased {
    pub(super) fn new(terms: Terms, id: Incarnation) -> Self {
        let clock = SystemClock::new();
        let now = Reading { calendar: clock.now(), stopwatch: clock.monotonic() };
        Self {
            clock,
            tenure: Mutex::new(Tenure::beginning(terms, id, now)),
            used: Mutex::default(),
            wishes: watch::Sender::default(),
            open: watch::Sender::default(),
            is_fenced: AtomicBool::new(false),
            is_idle: Notify::new(),
            beats: watch::Sender::default(),
            rereads: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }

    pub(super) fn reading(&self) -> Reading {
        Reading { calendar: self.clock.now(), stopwatch: self.clock.monotonic() }
    }

    pub(super) fn tenure(&self) -> MutexGuard<'_, Tenure> {
        // Nothing in here panics halfway through a change.
        self.tenure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stands(&self, lease: Lease) -> bool {
        let (tenure, now) = (self.tenure(), self.reading());
        tenure.held().contains(lease) && tenure.trusts(now)
    }

    /// Leases that cannot be handed over yet.
    pub(super) fn busy(&self) -> Leases {
        let now = self.clock.monotonic();
        let used = self.used();
        let may_be_out = used.given_up.is_some_and(|at| now.saturating_sub(at) < MARGIN);
        if may_be_out { Leases::ALL } else { used.leases }
    }

    pub(super) fn wishes(&self) -> watch::Receiver<Wishes> {
        self.wishes.subscribe()
    }

    /// What the last beat, or the one that is about to be written, leaves to begin under.
    pub(super) fn tell(&self, moves: &Moves) {
        let open = self.tenure().held().without(moves.closing);
        self.open.send_if_modified(|told| {
            let is_new = *told != open;
            *told = open;
            is_new
        });
    }

    /// Waits until something is idle that may have to be handed over.
    pub(super) async fn idle(&self) {
        self.is_idle.notified().await;
    }

    pub(super) fn beats(&self) -> watch::Receiver<u64> {
        self.beats.subscribe()
    }

    pub(super) fn count_beat(&self) {
        self.beats.send_modify(|beats| *beats += 1);
    }

    /// Keeps what the clocks show.
    pub(super) fn note(&self) {
        self.tenure().note(self.reading());
    }

    pub(super) fn note_rereads(&self, rereads: u64) {
        self.rereads[0].store(rereads, Ordering::Relaxed);
    }

    /// Another node has taken over.
    pub(super) fn fence(&self) {
        self.is_fenced.store(true, Ordering::Relaxed);
        self.open.send_replace(Leases::NONE);
    }
}
