//! The real binary on a disk and under a calendar that fail: nothing is sent that could not be recorded first, it is
//! said aloud, it goes on by itself, and nothing acknowledged is lost. It looks only at its files, its log and the
//! world's ledger.
//!
//! [`page`] steers `shim.c`, which stands between the process and the kernel; [`ground`] is where each story happens;
//! [`trace`] makes of what was written the disk that a loss of power would leave.

mod page;

mod ground;

mod trace;

mod disk;

mod room;

mod held;

mod power;

mod clock;

mod large;

mod memory;

mod poison;
