//! The real binary as a process: begun, waited for until it is ready, ended. How it does is read from what it tells
//! systemd and from the `event` and the level of its lines.

use std::{
    io::{BufRead, BufReader},
    os::unix::net::UnixDatagram,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use amplinkd::clock::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often it is looked whether something has come about: by a test that meets moments, and by one that does not.
const LOOK: Duration = Duration::from_millis(2);
const GLANCE: Duration = Duration::from_millis(40);

/// How long a notice is waited for before it is asked whether another one can come.
const NOTICE: Duration = Duration::from_millis(100);

/// Levels of what disturbs nobody.
const QUIET: [&str; 3] = ["TRACE", "DEBUG", "INFO"];

/// What one process or several of them have said.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Line>>>);

/// A line as it stands, and its fields where it is JSON.
#[derive(Clone)]
struct Line {
    text: String,
    fields: Value,
}

impl Log {
    /// The lines that are so, field by field.
    pub(crate) fn such(&self, is_so: impl Fn(&Value) -> bool) -> Vec<Value> {
        let lines = self.0.lock().unwrap();
        lines.iter().map(|line| &line.fields).filter(|fields| is_so(fields)).cloned().collect()
    }

    /// How often this happened.
    pub(crate) fn count(&self, event: &str) -> usize {
        self.such(|line| line["event"] == event).len()
    }

    /// How many errors were told.
    pub(crate) fn errors(&self) -> usize {
        self.such(|line| line["level"] == "ERROR").len()
    }

    /// Every line as it stands.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|line| line.text.clone()).collect()
    }

    /// The last loud lines, for whoever must find out why a test went wrong.
    pub(crate) fn tail(&self) -> String {
        let lines = self.0.lock().unwrap();
        let is_loud = |line: &&Line| line.fields["level"].as_str().is_none_or(|level| !QUIET.contains(&level));
        let loud: Vec<&str> = lines.iter().filter(is_loud).map(|line| line.text.as_str()).collect();
        loud[loud.len().saturating_sub(25)..].join("\n")
    }
}

/// A process, which ends with its test however that ends.
pub(crate) struct Process {
    child: Child,
    pub(crate) log: Log,
    /// What it told systemd.
    notices: Arc<Mutex<Vec<String>>>,
    /// The event at which it dies, and how long after.
    dies_at: Arc<Mutex<Option<(&'static str, Duration)>>>,
    has_ended: Arc<AtomicBool>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Begins it, and does not wait for it.
    pub(crate) fn spawn(mut command: Command, log: &Log) -> Self {
        // Where systemd listens: a folder that goes with the thread that reads there.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(NOTICE)).unwrap();
        command.env("NOTIFY_SOCKET", path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Over a pipe: a limit on files is none on what it says.
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut process = Self {
            child,
            log: log.clone(),
            notices: Arc::default(),
            dies_at: Arc::default(),
            has_ended: Arc::default(),
            readers: Vec::new(),
        };
        let (log, pid, dies_at) = (log.clone(), process.pid(), Arc::clone(&process.dies_at));
        let (notices, has_ended) = (Arc::clone(&process.notices), Arc::clone(&process.has_ended));
        process.readers = vec![
            thread::spawn(move || read_lines(said, &log, pid, &dies_at)),
            thread::spawn(move || {
                read_notices(&socket, &notices, &has_ended);
                drop(folder);
            }),
        ];
        process
    }

    /// Begins it and waits until it is ready.
    pub(crate) async fn start(command: Command, log: &Log) -> Self {
        let mut process = Self::spawn(command, log);
        assert!(wait_for(PATIENCE, async || process.is_ready()).await, "never ready: {}", process.log.tail());
        process
    }

    /// The same for a test without a runtime.
    pub(crate) fn start_blocking(command: Command, log: &Log) -> Self {
        let mut process = Self::spawn(command, log);
        until("it is ready", || process.is_ready());
        process
    }

    /// Whether it has said so.
    pub(crate) fn is_ready(&mut self) -> bool {
        let is_ready = self.told_systemd("READY=1") > 0;
        assert!(is_ready || self.lives(), "it ended before it was ready: {}", self.log.tail());
        is_ready
    }

    /// How often systemd was told this.
    pub(crate) fn told_systemd(&self, words: &str) -> usize {
        self.notices.lock().unwrap().iter().filter(|notice| notice.contains(words)).count()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Its number, as the daemon writes it down.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// It dies so long after this happens.
    pub(crate) fn die_at(&self, event: &'static str, after: Duration) {
        *self.dies_at.lock().unwrap() = Some((event, after));
    }

    /// Waits until it has ended, however, and all that it said is there.
    pub(crate) fn end(&mut self) -> ExitStatus {
        until("it ends", || !self.lives());
        self.has_ended.store(true, Ordering::Relaxed);
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        self.child.wait().unwrap()
    }

    /// Ends it in good order.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        self.end();
    }

    /// Ends it at this very moment.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.has_ended.store(true, Ordering::Relaxed);
    }
}

fn read_lines(said: impl BufRead, log: &Log, pid: Pid, dies_at: &Mutex<Option<(&'static str, Duration)>>) {
    for text in said.lines().map_while(Result::ok) {
        let fields: Value = serde_json::from_str(&text).unwrap_or_default();
        // Nobody has waited for it yet, so that the number is still its own.
        let is_last = dies_at.lock().unwrap().take_if(|(event, _)| fields["event"] == *event);
        if let Some((_, after)) = is_last {
            thread::sleep(after);
            kill_process(pid, Signal::KILL).unwrap();
        }
        log.0.lock().unwrap().push(Line { text, fields });
    }
}

fn read_notices(socket: &UnixDatagram, notices: &Mutex<Vec<String>>, has_ended: &AtomicBool) {
    let mut notice = [0; 4_096];
    loop {
        // Asked before: what it said at its end is there by then.
        let was_last = has_ended.load(Ordering::Relaxed);
        match socket.recv(&mut notice) {
            Ok(length) => notices.lock().unwrap().push(String::from_utf8_lossy(&notice[..length]).into_owned()),
            Err(_) if was_last => return,
            Err(_) => {}
        }
    }
}

/// Whether it comes true in time.
pub(crate) async fn wait_for(patience: Duration, mut comes_true: impl AsyncFnMut() -> bool) -> bool {
    let came_true = async {
        while !comes_true().await {
            tokio::time::sleep(GLANCE).await;
        }
    };
    tokio::time::timeout(patience, came_true).await.is_ok()
}

/// Waits until it is so; the limit only ends what would last for ever.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let clock = SystemClock::new();
    let end = clock.monotonic() + PATIENCE;
    while !is_so() {
        assert!(clock.monotonic() < end, "never: {what}");
        thread::sleep(LOOK);
    }
}
