//! Processes that this one starts, and those that are left to it. Every program leads a process group of its own, so that it
//! can be ended with all that it started; whoever is process 1 of a container, or a subreaper, reaps what others left behind.
//! No status that somebody waits for is ever taken away.

use std::{
    collections::BTreeSet,
    fs, io,
    process::ExitStatus,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, child_subreaper, getpid, kill_process_group, test_kill_process,
    waitid, waitpid,
};
use tokio::{
    process::{Child, ChildStderr, ChildStdout, Command},
    signal::unix::{SignalKind, signal},
    time::MissedTickBehavior,
};

/// How often orphans are looked for without a signal: one that ended beside a program of ours may have had none of its own.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Programs that somebody here waits for.
static WAITED_FOR: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn waited_for() -> MutexGuard<'static, BTreeSet<i32>> {
    // Nothing panics while it is held, and the set would be whole.
    WAITED_FOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running program, the leader of its own process group. Dropped before it has ended, it is killed with its whole group.
#[derive(Debug)]
pub struct Leader {
    /// `None` once it was waited for.
    child: Option<Child>,
    pid: Pid,
}

impl Leader {
    /// Starts a program.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        // Under the lock, so that one that ends at once is not taken for an orphan.
        let mut waited_for = waited_for();
        let child = command.process_group(0).spawn()?;
        let raw = child.id().and_then(|id| i32::try_from(id).ok());
        let pid = raw.and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        waited_for.insert(pid.as_raw_nonzero().get());
        Ok(Self { child: Some(child), pid })
    }

    /// Its standard output and error, where they are pipes; once.
    pub fn pipes(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        self.child.as_mut().map_or((None, None), |child| (child.stdout.take(), child.stderr.take()))
    }

    /// The group that it leads.
    #[must_use]
    pub const fn group(&self) -> Group {
        Group(self.pid)
    }

    /// Waits for its end. It can be dropped and called again; after the end it is an error.
    ///
    /// # Errors
    /// Its status cannot be had.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let child = self.child.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let status = child.wait().await?;
        self.child = None;
        waited_for().remove(&self.pid.as_raw_nonzero().get());
        Ok(status)
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Nobody has waited for it, so that the number is still its own.
        let _ = kill_process_group(self.pid, Signal::KILL);
        let pid = self.pid.as_raw_nonzero().get();
        // Where no runtime is left, this process ends too.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = child.wait().await;
                waited_for().remove(&pid);
            });
        }
    }
}

/// The process group of a program, which may outlive it.
#[derive(Debug, Clone, Copy)]
pub struct Group(Pid);

impl Group {
    /// Kills what is left of it after its leader was waited for.
    pub fn kill_rest(self) {
        // While the group has a process, no new one gets its number: one that has it shows that the group is gone.
        let is_gone = test_kill_process(self.0).is_ok();
        if !is_gone {
            let _ = kill_process_group(self.0, Signal::KILL);
        }
    }
}

/// Whether processes whose parents have ended become children of this one.
#[must_use]
pub fn inherits_orphans() -> bool {
    getpid().as_raw_nonzero().get() == 1 || child_subreaper().is_ok_and(|is_one| is_one.is_some())
}

/// Reaps orphans for as long as this process lives.
///
/// # Errors
/// SIGCHLD cannot be listened for.
pub async fn reap_orphans() -> io::Result<()> {
    let mut ended = signal(SignalKind::child())?;
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ended.recv() => {}
            _ = tick.tick() => {}
        }
        if has_ended_child() {
            reap();
        }
    }
}

/// Whether any child waits to be reaped; it is left as it is.
fn has_ended_child() -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::All, look).is_ok_and(|ended| ended.is_some())
}

/// Reaps every ended child that nobody waits for.
fn reap() {
    let waited_for = waited_for();
    for pid in ended_children().filter(|pid| !waited_for.contains(&pid.as_raw_nonzero().get())) {
        // Somebody may have been faster.
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

fn ended_children() -> impl Iterator<Item = Pid> {
    let us = getpid().as_raw_nonzero().get();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(move |entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        is_ended_child(&stat, us).then(|| Pid::from_raw(pid)).flatten()
    })
}

/// Whether a line of `/proc/PID/stat` is of an ended child of this parent. The name in it may hold anything, brackets too.
fn is_ended_child(stat: &str, parent: i32) -> bool {
    let Some((_, after_name)) = stat.rsplit_once(')') else { return false };
    let mut fields = after_name.split_whitespace();
    fields.next() == Some("Z") && fields.next().and_then(|field| field.parse().ok()) == Some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_child_is_known_whatever_its_name() {
        assert!(is_ended_child("7 (sh) Z 1 7 7 0", 1));
        assert!(is_ended_child("7 (a) Z 9 (b) Z 1 7 7 0", 1));
        assert!(!is_ended_child("7 (a) Z 1 (b) S 1 7 7 0", 1));
        assert!(!is_ended_child("7 (sh) Z 2 7 7 0", 1));
        assert!(!is_ended_child("", 1));
    }

    #[tokio::test]
    async fn whoever_is_waited_for_keeps_its_status() {
        let mut leader = Leader::start(Command::new("sh").args(["-c", "exit 7"])).unwrap();
        // It has ended, and nobody has waited for it.
        while !has_ended_child() {
            tokio::task::yield_now().await;
        }
        reap();
        assert_eq!(leader.wait().await.unwrap().code(), Some(7));
    }
}
