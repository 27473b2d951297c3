//! Whose files are: whoever cannot use a database is told, and what to do about it.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use rustix::{
    fs::{Access, AtFlags, CWD, accessat},
    io::Errno,
    process::{Uid, geteuid},
};

use super::sidecar::{NEIGHBOURS, folder_of, name};

/// Where the system's users are listed.
const USERS: &str = "/etc/passwd";

/// That this process may read and write the database and what stands beside it: `SQLite` would open a file that it may only
/// read as such, and make a `-shm` beside it that nobody may write, even once the file itself is given back.
pub(super) fn check(database: &Path) -> io::Result<()> {
    let files = std::iter::once(database.to_owned()).chain(NEIGHBOURS.into_iter().map(|suffix| name(database, suffix)));
    for path in files.filter(|path| may(path, Access::EXISTS)) {
        accessat(CWD, &path, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS)?;
    }
    Ok(())
}

/// Whose the database is, or what stands beside it, when this process may not use it, and what to do; empty when it may.
pub(super) fn whose(database: &Path) -> String {
    let beside = NEIGHBOURS.into_iter().chain([".lock"]).map(|suffix| name(database, suffix));
    let files = std::iter::once(database.to_owned()).chain(beside);
    let file =
        files.filter(|path| may(path, Access::EXISTS)).find(|path| !may(path, Access::READ_OK | Access::WRITE_OK));
    let folder = || Some(folder_of(database)).filter(|folder| !may(folder, Access::WRITE_OK | Access::EXEC_OK));
    let Some((path, found)) = file.or_else(folder).and_then(|path| Some((path.clone(), fs::metadata(path).ok()?)))
    else {
        return String::new();
    };
    if accessat(CWD, &path, Access::WRITE_OK, AtFlags::EACCESS) == Err(Errno::ROFS) {
        return read_only(&path);
    }
    sentence(&path, &found, geteuid(), &fs::read_to_string(USERS).unwrap_or_default())
}

/// Whose the file is, of the database and what `SQLite` opens beside it, that this process may not even read, and what to do;
/// empty when it may.
pub(super) fn unreadable(database: &Path) -> String {
    let beside = NEIGHBOURS.into_iter().map(|suffix| name(database, suffix));
    let denied = std::iter::once(database.to_owned())
        .chain(beside)
        .find(|path| may(path, Access::EXISTS) && !may(path, Access::READ_OK));
    let Some((path, found)) = denied.and_then(|path| Some((path.clone(), fs::metadata(path).ok()?))) else {
        return String::new();
    };
    to_reader(&path, &found, geteuid(), &fs::read_to_string(USERS).unwrap_or_default())
}

/// A file that is given away is of no use to the daemon any more: nobody who only reads is told to do that.
fn to_reader(path: &Path, found: &Metadata, us: Uid, users: &str) -> String {
    let (path, mode) = (path.display(), found.permissions().mode() & 0o777);
    let (theirs, ours) = (user(found.uid(), users), user(us.as_raw(), users));
    let what_to_do = if found.uid() == us.as_raw() {
        format!("`chmod u+r {path}`")
    } else {
        format!(
            "run it as its owner with `sudo -u {theirs} amplinkd ...`, or let {ours} read it, by its group or its mode"
        )
    };
    format!("; {path} belongs to {theirs} (mode {mode:04o}), and this is {ours}: {what_to_do}")
}

/// No mode helps where nothing can be written.
fn read_only(path: &Path) -> String {
    format!(
        "; {} is on a read-only file system: remount it writable; commands that only read, such as `amplinkd status` and \
         `amplinkd request list`, work there as it is",
        path.display()
    )
}

fn sentence(path: &Path, found: &Metadata, us: Uid, users: &str) -> String {
    let (path, mode) = (path.display(), found.permissions().mode() & 0o777);
    let (theirs, ours) = (user(found.uid(), users), user(us.as_raw(), users));
    let what_to_do = match found.uid() {
        uid if uid == us.as_raw() => format!("`chmod u+rw {path}`"),
        0 => format!("`sudo chown {ours}: {path}`"),
        _ => format!("run it as its owner with `sudo -u {theirs} amplinkd ...`, or `sudo chown {ours}: {path}`"),
    };
    format!("; {path} belongs to {theirs} (mode {mode:04o}), and this is {ours}: {what_to_do}")
}

/// The name of a user of the system, or the number where there is none.
#[must_use]
pub fn user_name(uid: u32) -> String {
    user(uid, &fs::read_to_string(USERS).unwrap_or_default())
}

/// A user's name, or the number where there is none.
fn user(uid: u32, users: &str) -> String {
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| uid.to_string())
}

fn may(path: &Path, access: Access) -> bool {
    accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &str = "root:x:0:0:root:/root:/bin/sh\namplinkd:x:998:998::/:/usr/sbin/nologin\n";

    #[test]
    fn users_have_names_or_numbers() {
        assert_eq!(user(998, SOME), "amplinkd");
        assert_eq!(user(0, SOME), "root");
        assert_eq!(user(7, SOME), "7");
        assert_eq!(user(7, "a line that is none\n::\n"), "7");
    }

    #[test]
    fn whose_it_is_comes_with_what_to_do() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let found = file.as_file().metadata().unwrap();
        let said = |us| sentence(Path::new("/x/a.db"), &found, Uid::from_raw(us), SOME);
        let owner = user(found.uid(), SOME);
        assert!(said(found.uid()).ends_with("`chmod u+rw /x/a.db`"), "{}", said(found.uid()));
        let read = |us| to_reader(Path::new("/x/a.db"), &found, Uid::from_raw(us), SOME);
        assert!(read(998).contains(&format!("`sudo -u {owner} amplinkd ...`")), "{}", read(998));
        assert!(!read(998).contains("chown") && read(found.uid()).contains("chmod u+r /"), "{}", read(found.uid()));
        let other = said(998);
        assert!(other.contains(&format!("belongs to {owner} (mode 0600), and this is amplinkd")), "{other}");
        assert!(other.contains("chown amplinkd: /x/a.db`"), "{other}");
    }
}
