//! What a disk can be trusted with: its file system, its locks, the time of a synced write. It claims nothing that only
//! a pulled plug could show.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
    time::Duration,
};

use rustix::fs::statfs;

use crate::clock::{Clock, SystemClock};

/// Writes that are timed.
const WRITES: usize = 200;

/// What one write holds: a page.
const PAGE: [u8; 4_096] = [0x5a; 4_096];

/// The fastest that a drive without protected memory says "safe" (a turn of a platter takes milliseconds, a flush of a
/// consumer's SSD about one).
const HONEST: Duration = Duration::from_micros(300);

/// What is known of a file system by its number in statfs(2).
const FILE_SYSTEMS: [(u64, &str, Kind); 16] = [
    (0xef53, "ext4", Kind::Local),
    (0x5846_5342, "xfs", Kind::Local),
    (0x9123_683e, "btrfs", Kind::Local),
    (0x2fc1_2fc1, "zfs", Kind::Local),
    (0xf2f5_2010, "f2fs", Kind::Local),
    (0x794c_7630, "overlay", Kind::Layer),
    (0x0102_1994, "tmpfs", Kind::Memory),
    (0x8584_58f6, "ramfs", Kind::Memory),
    (0x6969, "nfs", Kind::Network),
    (0xff53_4d42, "cifs", Kind::Network),
    (0xfe53_4d42, "smb2", Kind::Network),
    (0x0102_1997, "9p", Kind::Network),
    (0x0bd0_0bd0, "lustre", Kind::Network),
    (0x00c3_6400, "ceph", Kind::Network),
    (0x0116_1970, "gfs2", Kind::Network),
    (0x6573_5546, "fuse", Kind::Layer),
];

/// What a file system is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Local,
    Layer,
    Memory,
    Network,
}

/// What was seen of the disk under a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its file system's name, or its number.
    pub file_system: String,
    /// The time within which half of all writes were said to be safe.
    pub sync: Duration,
    /// What follows for a daemon whose database is there, a sentence each.
    pub beliefs: Vec<String>,
    /// Whether a database must not be there.
    pub is_unfit: bool,
    /// Whether what is written there may be gone after a loss of power.
    pub is_doubtful: bool,
}

/// Looks at the disk under a folder; writes a small file there and takes it away.
pub fn look(folder: &Path) -> io::Result<Disk> {
    let number = u64::try_from(statfs(folder)?.f_type).unwrap_or(0) & 0xffff_ffff;
    let known = FILE_SYSTEMS.iter().find(|(magic, ..)| *magic == number);
    let (file_system, kind) = known
        .map_or_else(|| (format!("number {number:#x}"), None), |(_, name, kind)| ((*name).to_owned(), Some(*kind)));
    let path = folder.join("selftest-sync");
    let tried = sync_time(&path).and_then(|sync| Ok((sync, locks_hold(&path)?)));
    // It was made a moment ago and holds nothing.
    let _ = std::fs::remove_file(&path);
    let (sync, locks_hold) = tried?;
    let is_unfit = kind == Some(Kind::Network) || !locks_hold;
    let beliefs = [Some(of_kind(kind, &file_system)), Some(of_sync(kind, sync)), of_locks(locks_hold)];
    let is_doubtful = kind != Some(Kind::Local) || sync < HONEST;
    Ok(Disk { file_system, sync, beliefs: beliefs.into_iter().flatten().collect(), is_unfit, is_doubtful })
}

fn of_kind(kind: Option<Kind>, name: &str) -> String {
    match kind {
        Some(Kind::Local) => format!("{name} is a local file system: a killed process loses nothing."),
        Some(Kind::Layer) => {
            format!("{name} is a layer: it is worth what lies beneath it; put the database on a volume of its own.")
        }
        Some(Kind::Memory) => format!("{name} is memory: everything is gone with a restart of the machine."),
        Some(Kind::Network) => {
            format!(
                "{name} is a network: SQLite's log needs shared memory and locks that it does not give; move the database."
            )
        }
        None => format!("a file system of {name} is not known here: it must be local, with locks and shared memory."),
    }
}

fn of_sync(kind: Option<Kind>, sync: Duration) -> String {
    let micros = sync.as_micros();
    if kind == Some(Kind::Memory) {
        return format!("a write is \"safe\" after {micros} µs, which memory can never be.");
    }
    if sync >= HONEST {
        return format!("a write is said to be safe after {micros} µs, as long as a drive takes that waits for it.");
    }
    format!(
        "a write is said to be safe after {micros} µs: a drive with protected memory is that fast, and so is a cache that \
         loses power with the machine; only the maker or a pulled plug can tell which."
    )
}

fn of_locks(hold: bool) -> Option<String> {
    (!hold).then(|| "locks do not hold here: two daemons could drive one database; move it.".to_owned())
}

/// The median time of one page written and synced.
fn sync_time(path: &Path) -> io::Result<Duration> {
    let clock = SystemClock::new();
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let begun = clock.monotonic();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&PAGE)?;
        file.sync_data()?;
        times.push(clock.monotonic().saturating_sub(begun));
    }
    times.sort_unstable();
    Ok(times[WRITES / 2])
}

/// Whether a second handle is refused what the first one holds.
fn locks_hold(path: &Path) -> io::Result<bool> {
    let (first, second) = (File::open(path)?, File::open(path)?);
    first.lock()?;
    Ok(second.try_lock().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_this_machine_is_looked_at_and_left_clean() {
        let folder = tempfile::tempdir().unwrap();
        let disk = look(folder.path()).unwrap();
        assert!(disk.beliefs.len() >= 2, "{disk:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn memory_and_networks_are_never_believed() {
        assert!(of_sync(Some(Kind::Memory), Duration::from_millis(2)).contains("never"));
        assert!(of_sync(Some(Kind::Local), Duration::from_millis(2)).contains("waits for it"));
        assert!(of_sync(Some(Kind::Local), Duration::from_micros(60)).contains("pulled plug"));
        assert!(of_kind(Some(Kind::Network), "nfs").contains("move the database"));
    }
}
