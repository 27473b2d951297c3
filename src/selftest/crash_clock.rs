//! A clock that can kill the process that asks it, at any reading, however deep in its work.

use std::{
    panic::resume_unwind,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    clock::{Clock, ManualClock, Sleep},
    domain::time::Time,
};

/// More questions than any life asks.
const IMMORTAL: u64 = u64::MAX / 2;

/// Why a task of a killed process ended.
#[derive(Debug)]
struct Killed;

/// The clock of one process. Between two of its questions a process does nothing that depends on time, so that dying at a
/// question is dying anywhere.
#[derive(Debug)]
pub(super) struct CrashClock {
    time: Arc<ManualClock>,
    /// Questions until the end.
    left: AtomicU64,
    is_dead: AtomicBool,
}

impl CrashClock {
    /// A process that lives on this time until it is killed.
    pub(super) fn new(time: Arc<ManualClock>) -> Arc<Self> {
        Arc::new(Self { time, left: AtomicU64::new(IMMORTAL), is_dead: AtomicBool::new(false) })
    }

    /// The process ends at its `questions`th question from now on.
    pub(super) fn die_after(&self, questions: u64) {
        self.left.store(questions, Ordering::SeqCst);
    }

    /// Whether the process has ended.
    pub(super) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::SeqCst)
    }

    fn asked(&self) {
        if !self.is_dead() && self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return;
        }
        self.is_dead.store(true, Ordering::SeqCst);
        // What asks while it is being torn down gets an answer: nobody is left to act on it.
        if !std::thread::panicking() {
            // Unwinding ends the task and says nothing: it is no defect.
            resume_unwind(Box::new(Killed));
        }
    }
}

impl Clock for CrashClock {
    fn now(&self) -> Time {
        self.asked();
        self.time.now()
    }

    fn monotonic(&self) -> Duration {
        self.asked();
        self.time.monotonic()
    }

    fn sleep_until(&self, until: Duration) -> Sleep {
        self.time.sleep_until(until)
    }

    fn random(&self) -> u64 {
        self.asked();
        self.time.random()
    }
}

/// Calls that the simulator still sees before the process that makes them is killed.
pub(super) struct Trap {
    left: AtomicU64,
    victim: Mutex<Option<Arc<CrashClock>>>,
}

impl Default for Trap {
    fn default() -> Self {
        Self { left: AtomicU64::new(IMMORTAL), victim: Mutex::new(None) }
    }
}

impl Trap {
    /// One more call has arrived.
    pub(super) fn call_arrived(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0
            && let Some(victim) = &*self.victim.lock().unwrap_or_else(PoisonError::into_inner)
        {
            victim.die_after(0);
        }
    }

    /// The victim dies while the so many-th call from now on is out.
    pub(super) fn set(&self, calls: u64, victim: &Arc<CrashClock>) {
        *self.victim.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(victim));
        self.left.store(calls, Ordering::SeqCst);
    }
}
