//! From what was written down about every write, sync and call to the disk that a loss of power would leave at any of
//! its lines.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
};

use rand::{RngExt, rngs::StdRng};

/// What a disk writes whole, whatever happens.
const SECTOR: usize = 512;

const HEAD: usize = 24;

/// The kinds of lines, as the shim numbers them; the last is ours.
const WRITE: u32 = 1;
const TRUNCATE: u32 = 2;
const SYNC_BEGINS: u32 = 3;
const SYNC_DONE: u32 = 4;
const SYNC_FAILED: u32 = 5;
const DELETED: u32 = 6;
const CALL: u32 = 7;
const ACKNOWLEDGED: u32 = 8;

/// Database, log, journal, by the shim's number.
pub(super) const FILES: [(u32, &str); 3] = [(1, "amplinkd.db"), (2, "amplinkd.db-wal"), (8, "amplinkd.db-journal")];

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    kind: u32,
    file: u32,
    at: i64,
    bytes: Vec<u8>,
}

/// All lines, in their order.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) lines: Vec<Line>,
}

/// What is or may be on a disk.
#[derive(Debug, Default, Clone)]
pub(super) struct Disk {
    files: BTreeMap<u32, File>,
}

#[derive(Debug, Default, Clone)]
struct File {
    durable: Vec<u8>,
    /// Written and not yet durable, each with its line.
    pending: Vec<(usize, Line)>,
    /// Syncs under way: their id and the line they began at.
    syncing: Vec<(i64, usize)>,
}

/// Notes, between the lines of the processes, that these requests were acknowledged to somebody.
pub(super) fn note_acknowledged(trace: &Path, keys: &str) {
    let mut line = Vec::new();
    line.extend(ACKNOWLEDGED.to_ne_bytes());
    line.extend([0; 12]);
    line.extend((keys.len() as u64).to_ne_bytes());
    line.extend(keys.as_bytes());
    OpenOptions::new().append(true).create(true).open(trace).unwrap().write_all(&line).unwrap();
}

impl Trace {
    pub(super) fn read(path: &PathBuf) -> Self {
        let all = std::fs::read(path).unwrap_or_default();
        let (mut rest, mut lines) = (all.as_slice(), Vec::new());
        while rest.len() >= HEAD {
            let (head, after) = rest.split_at(HEAD);
            let short = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().unwrap());
            let long = |at: usize| i64::from_ne_bytes(head[at..at + 8].try_into().unwrap());
            let length = usize::try_from(long(16)).unwrap();
            lines.push(Line { kind: short(0), file: short(4), at: long(8), bytes: after[..length].to_vec() });
            rest = &after[length..];
        }
        Self { lines }
    }

    /// Texts of calls that had begun to leave before this line.
    pub(super) fn calls(&self, before: usize) -> impl Iterator<Item = String> {
        self.texts(CALL, before)
    }

    /// Keys of requests that were acknowledged before this line.
    pub(super) fn acknowledged(&self, before: usize) -> impl Iterator<Item = String> {
        self.texts(ACKNOWLEDGED, before).flat_map(|keys| keys.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    /// The lines right before and after every call with an effect.
    pub(super) fn moments_of_calls(&self) -> Vec<usize> {
        let is_call = |line: &Line| line.kind == CALL && String::from_utf8_lossy(&line.bytes).contains("/wxamplink?");
        let at = self.lines.iter().enumerate().filter(|(_, line)| is_call(line));
        at.flat_map(|(number, _)| [number, number + 1]).collect()
    }

    /// Syncs that failed.
    pub(super) fn failed_syncs(&self) -> usize {
        self.lines.iter().filter(|line| line.kind == SYNC_FAILED).count()
    }

    fn texts(&self, kind: u32, before: usize) -> impl Iterator<Item = String> {
        let lines = self.lines[..before].iter().filter(move |line| line.kind == kind);
        lines.map(|line| String::from_utf8_lossy(&line.bytes).into_owned())
    }
}

impl Disk {
    /// The disk that stands in a folder: all of it durable.
    pub(super) fn read(folder: &Path) -> Self {
        let found = FILES.iter().filter_map(|(file, name)| {
            let durable = std::fs::read(folder.join(name)).ok()?;
            Some((*file, File { durable, ..File::default() }))
        });
        Self { files: found.collect() }
    }

    /// Takes the next line in. A sync that failed leaves to chance, once and for all, what it was to make durable.
    pub(super) fn take(&mut self, number: usize, line: &Line, luck: &mut StdRng) {
        let file = self.files.entry(line.file).or_default();
        match line.kind {
            WRITE | TRUNCATE => file.pending.push((number, line.clone())),
            SYNC_BEGINS => file.syncing.push((line.at, number)),
            SYNC_DONE => {
                let began = file.syncing.iter().position(|(id, _)| *id == line.at).map(|at| file.syncing.remove(at).1);
                let began = began.unwrap_or(number);
                let still = file.pending.split_off(file.pending.partition_point(|(at, _)| *at < began));
                for (_, line) in std::mem::replace(&mut file.pending, still) {
                    line.apply(&mut file.durable, None);
                }
            }
            SYNC_FAILED => file.lose(luck),
            DELETED => *file = File::default(),
            _ => {}
        }
    }

    /// Power is lost now: writes these files into a folder.
    pub(super) fn lose_power(mut self, folder: &Path, luck: &mut StdRng) {
        for (file, name) in FILES {
            let path = folder.join(name);
            match self.files.get_mut(&file) {
                Some(file) => {
                    file.lose(luck);
                    std::fs::write(path, &file.durable).unwrap();
                }
                // It may never have been there.
                None => drop(std::fs::remove_file(path)),
            }
        }
        drop(std::fs::remove_file(folder.join("amplinkd.db-shm")));
    }
}

impl File {
    /// What is not durable reaches the disk whole, torn or not at all; sometimes all of it or none.
    fn lose(&mut self, luck: &mut StdRng) {
        let odds = [0.0, 0.1, 0.5, 0.9, 1.0][luck.random_range(0..5)];
        for (_, line) in std::mem::take(&mut self.pending) {
            if luck.random_bool(0.5) {
                line.apply(&mut self.durable, Some((odds, luck)));
            } else if luck.random_bool(odds) {
                line.apply(&mut self.durable, None);
            }
        }
    }
}

impl Line {
    /// Does to a file what the line did, or only to those of its sectors that win.
    fn apply(&self, durable: &mut Vec<u8>, mut odds: Option<(f64, &mut StdRng)>) {
        let at = usize::try_from(self.at).unwrap();
        let mut wins = || odds.as_mut().is_none_or(|(odds, luck)| luck.random_bool(*odds));
        if self.kind == TRUNCATE {
            if wins() {
                durable.resize(at, 0);
            }
            return;
        }
        let mut from = 0;
        while from < self.bytes.len() {
            let to = self.bytes.len().min(((at + from) / SECTOR + 1) * SECTOR - at);
            if wins() {
                if durable.len() < at + to {
                    durable.resize(at + to, 0);
                }
                durable[at + from..at + to].copy_from_slice(&self.bytes[from..to]);
            }
            from = to;
        }
    }
}
