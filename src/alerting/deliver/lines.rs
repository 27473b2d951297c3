//! The loops of all channels while they run: begun, given another configuration, ended. A message under way is never
//! dropped for a new configuration, and no channel has two loops.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use super::worker::{ChannelWorker, WorkerContext};
use crate::shutdown::Shutdown;

/// How long a channel rests whose loop panicked.
const PANIC_PAUSE: Duration = Duration::from_secs(30);

/// All loops.
#[derive(Debug)]
pub(super) struct Lines {
    shutdown: Shutdown,
    by_name: BTreeMap<String, Line>,
}

/// One channel's loop.
#[derive(Debug)]
struct Line {
    seat: watch::Sender<Arc<WorkerContext>>,
    /// That this one end.
    leave: Shutdown,
    task: JoinHandle<()>,
}

impl Lines {
    pub(super) const fn new(shutdown: Shutdown) -> Self {
        Self { shutdown, by_name: BTreeMap::new() }
    }

    /// Begins a channel's loop, or hands it its new configuration.
    pub(super) fn set(&mut self, seat: Arc<WorkerContext>) {
        let name = seat.outlet.name.clone();
        if let Some(line) = self.by_name.get(&name) {
            line.seat.send_replace(seat);
            return;
        }
        let (leave, seat) = (self.shutdown.child(), watch::Sender::new(seat));
        let task = tokio::spawn(keep_running(seat.subscribe(), leave.clone()));
        self.by_name.insert(name, Line { seat, leave, task });
    }

    /// Ends the loops of all other channels, and waits until what they had under way is written down.
    pub(super) async fn end_others(&mut self, names: &[String]) {
        let gone: Vec<String> = self.by_name.keys().filter(|name| !names.contains(name)).cloned().collect();
        let gone: Vec<Line> = gone.iter().filter_map(|name| self.by_name.remove(name)).collect();
        for line in &gone {
            line.leave.ask();
        }
        for line in gone {
            line.over().await;
        }
    }

    /// Waits for all of them, which were asked to end.
    pub(super) async fn over(self) {
        for line in self.by_name.into_values() {
            line.over().await;
        }
    }
}

impl Line {
    async fn over(self) {
        // Each ends by itself; the loop inside may panic, this one cannot.
        let _ = self.task.await;
    }
}

/// One channel's loop, begun anew when it panics.
async fn keep_running(mut seats: watch::Receiver<Arc<WorkerContext>>, leave: Shutdown) {
    while !leave.asked() {
        let seat = Arc::clone(&seats.borrow_and_update());
        let line = ChannelWorker::new(Arc::clone(&seat)).run(leave.clone(), seats.clone());
        let Err(error) = tokio::spawn(line).await else { return };
        tracing::error!(
            event = "alerting.deliver.panicked",
            channel = seat.outlet.name,
            error = %error,
            "a channel's worker panicked (a defect of amplinkd): it pauses"
        );
        let pause = seat.clock.sleep_until(seat.clock.monotonic() + PANIC_PAUSE);
        leave.unless_asked(pause).await;
    }
}
