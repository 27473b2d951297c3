//! Whoever reads stdout, and may have gone, as `| head` goes.

use std::io::{self, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Writes a text to stdout; a reader who has gone is no failure.
///
/// # Errors
/// When stdout cannot be written for another reason, as on a full disk.
pub(super) fn to_stdout(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    unless_gone(out.write_all(text).and_then(|()| out.flush())).map(drop)
}

/// Whether nobody reads stdout any more: a pipe whose other end is closed says so before anything is written. Whoever waits
/// for something to print must ask, or would wait for nobody.
#[must_use]
pub(super) fn stdout_is_abandoned() -> bool {
    let stdout = io::stdout();
    let mut pipe = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Errors and hang-ups are told unasked. What cannot be polled, such as a file, is never abandoned.
    poll(&mut pipe, Some(&now)).is_ok_and(|ready| ready > 0)
        && pipe[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// Whether the reader has gone; other failures stay failures.
pub(super) fn unless_gone(written: io::Result<()>) -> io::Result<bool> {
    match written {
        Ok(()) => Ok(false),
        Err(wrong) if wrong.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(wrong) => Err(io::Error::new(wrong.kind(), format!("cannot write the result: {wrong}"))),
    }
}
