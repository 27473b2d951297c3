//! The page by which a test steers `shim.c` inside a running process.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Bytes of a number on the page.
const NUMBER: u64 = 8;

/// Bytes of a `struct fault` there.
const FAULT: u64 = 6 * NUMBER;

const TORN: u64 = 3 * FAULT;
const CALENDAR_SHIFT: u64 = TORN + NUMBER;
const DIE_AT: u64 = CALENDAR_SHIFT + NUMBER;
const CHANGES: u64 = DIE_AT + NUMBER;

/// Files of a database, as the shim tells them apart.
pub(super) const DATABASE: i64 = 1;
pub(super) const LOG: i64 = 2;
pub(super) const ALL: i64 = 15;

/// What the system says when a call fails.
#[derive(Debug, Clone, Copy)]
#[repr(i64)]
pub(super) enum Errno {
    /// "Input/output error".
    Io = 5,
    /// "No space left on device".
    NoSpace = 28,
    /// "Read-only file system".
    ReadOnly = 30,
}

/// Calls that can fail, in the order of the page.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Writing and truncating.
    Write,
    /// Making durable.
    Sync,
    /// Opening for writing.
    Open,
}

/// Which calls fail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) error: Errno,
    /// The first that fails, counted from now; 1 is the next.
    pub(super) from: i64,
    /// So many fail.
    pub(super) times: i64,
    /// On these files.
    pub(super) files: i64,
}

impl Fault {
    /// Every call, until it is calm again.
    pub(super) const fn lasting(error: Errno) -> Self {
        Self { error, from: 1, times: i64::MAX / 2, files: ALL }
    }
}

/// The page of one process, or of several that share a fate.
#[derive(Debug)]
pub(super) struct Page {
    path: PathBuf,
    file: File,
}

impl Page {
    /// A page on which nothing fails.
    pub(super) fn new(folder: &Path) -> Self {
        let path = folder.join("faults.page");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        file.set_len(4_096).unwrap();
        Self { path, file }
    }

    /// Puts the shim before a command, with or without a trace.
    pub(super) fn steer(&self, command: &mut Command, trace: Option<&Path>) {
        command.env("LD_PRELOAD", shim()).env("FAULTS_PAGE", &self.path);
        if let Some(trace) = trace {
            command.env("FAULTS_TRACE", trace);
        }
    }

    pub(super) fn arm(&self, kind: Kind, fault: Fault) {
        let at = kind as u64 * FAULT;
        self.write(at, 0);
        let numbers = [fault.from, fault.times, fault.files, 0, 0];
        for (place, number) in (1..).zip(numbers) {
            self.write(at + place * NUMBER, number);
        }
        self.write(at, fault.error as i64);
    }

    /// Nothing fails any more.
    pub(super) fn calm(&self) {
        for kind in [Kind::Write, Kind::Sync, Kind::Open] {
            self.write(kind as u64 * FAULT, 0);
        }
    }

    /// How many calls were refused since the fault was armed.
    pub(super) fn failed(&self, kind: Kind) -> i64 {
        self.read(kind as u64 * FAULT + 5 * NUMBER)
    }

    /// Whether a write that fails leaves half of its bytes behind.
    pub(super) fn tear(&self, torn: bool) {
        self.write(TORN, i64::from(torn));
    }

    pub(super) fn shift_calendar(&self, seconds: i64) {
        self.write(CALENDAR_SHIFT, seconds);
    }

    /// The process dies before this many further changes of its files; 0: never.
    pub(super) fn die_at(&self, change: i64) {
        self.write(DIE_AT, 0);
        self.write(CHANGES, 0);
        self.write(DIE_AT, change);
    }

    fn write(&self, at: u64, number: i64) {
        self.file.write_all_at(&number.to_ne_bytes(), at).unwrap();
    }

    fn read(&self, at: u64) -> i64 {
        let mut number = [0; 8];
        self.file.read_exact_at(&mut number, at).unwrap();
        i64::from_ne_bytes(number)
    }
}

/// The shim, compiled once for all tests of this run.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (source, whole) = (folder.join("faults.c"), folder.join("faults.so"));
        // Under a name of its own first: another run may be at the same.
        let part = folder.join(format!("faults.{}.so", std::process::id()));
        std::fs::write(&source, include_str!("shim.c")).unwrap();
        let compiler = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"];
        let done = Command::new("cc").args(compiler).arg(&part).arg(&source).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::fs::rename(&part, &whole).unwrap();
        whole
    })
}
