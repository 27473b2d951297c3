//! Talks to systemd, and hardens the process: a slow start is not taken for a hang, and a crash leaves no copy of the
//! secrets in memory.

use std::{pin::pin, time::Duration};

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use sd_notify::NotifyState;

use crate::shutdown::Shutdown;

/// How often systemd is told that a start goes on; it gives up after 90 s by itself.
const EXTEND_EVERY: Duration = Duration::from_secs(5);

/// What each time is asked for: several times longer, for a machine that is busy.
const EXTEND_BY_US: u32 = 60_000_000;

/// How often at most: six hours, for the migration of the largest file on the slowest disk. What takes longer hangs.
const EXTEND_MOST: u32 = 6 * 720;

/// Tells systemd.
pub(super) fn tell(states: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell, and that is no error.
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(error = %error, "could not notify systemd");
    }
}

/// Waits for a start, however long it takes, and tells systemd meanwhile that it goes on; `None` when the end was asked for
/// first. Whatever the start had begun to write is undone by the next one.
pub(super) async fn patiently<T>(shutdown: &Shutdown, start: impl Future<Output = T>) -> Option<T> {
    let mut start = pin!(start);
    let mut tick = tokio::time::interval(EXTEND_EVERY);
    let mut left = EXTEND_MOST;
    loop {
        tokio::select! {
            started = &mut start => return Some(started),
            () = shutdown.wait() => return None,
            _ = tick.tick(), if left > 0 => {
                left -= 1;
                tell(&[NotifyState::ExtendTimeoutUsec(EXTEND_BY_US), NotifyState::Status("bringing the database up to date")]);
            }
        }
    }
}

/// From here on a crash leaves no copy of the memory, and nobody but root reads it: it holds every token. Whoever needs a core
/// dump to find a defect runs the daemon with tokens of the simulator.
pub(super) fn keep_memory_to_itself() {
    // Where the system pipes dumps to a program, the limit alone would not hold.
    let dumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // A unit with LimitCORE=0 may forbid to change limits.
    let is_limited = getrlimit(Resource::Core).current == Some(0);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = if is_limited { Ok(()) } else { setrlimit(Resource::Core, none) };
    for refused in [dumpable, limited].into_iter().filter_map(Result::err) {
        tracing::warn!(error = %refused, "a crash may leave a core dump containing tokens");
    }
}
