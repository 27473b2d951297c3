//! unlink
