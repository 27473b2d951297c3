//! What a test says when this machine has not what it needs: a line past the capture of the harness, counted, so that what
//! was not seen is never taken for what was well.

use std::{
    io::Write,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// Says that the test, or the rest of it, sees nothing here.
pub(crate) fn skipped(why: &str) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Nobody reads it where stderr is closed.
    let _ = writeln!(std::io::stderr(), "skipped {count}: {test}: {why}");
}

/// Whether this machine has a program, and these arguments please it.
pub(crate) fn can(program: &str, arguments: &[&str]) -> bool {
    let ran = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ran.is_ok_and(|status| status.success())
}
