//! A world behind a lock, with its time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{now::Now, onlooker::Gallery, world::World};

/// The world, for whoever serves it or looks at it, and its time.
#[derive(Clone)]
pub struct Shared {
    world: Arc<Mutex<World>>,
    now: Now,
    turn: Arc<tokio::sync::Mutex<()>>,
    gallery: Gallery,
}

impl Shared {
    /// Puts a world behind a lock and gives it a time.
    #[must_use]
    pub fn new(world: World, now: Now) -> Self {
        Self { world: Arc::new(Mutex::new(world)), now, turn: Arc::default(), gallery: Gallery::default() }
    }

    /// The world, locked. Hold it for a moment and never across an await: every call waits for it.
    pub fn world(&self) -> MutexGuard<'_, World> {
        // A panic under the lock is a bug of a test, which must not hide behind a second one here.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where somebody may look on.
    pub(super) const fn gallery(&self) -> &Gallery {
        &self.gallery
    }

    /// The turn of whoever delivers pushes, so that they go out in their order.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The simulator's time, milliseconds UTC.
    #[must_use]
    pub fn now(&self, world: &World) -> i64 {
        (self.now)().saturating_add(world.time_ahead)
    }
}
