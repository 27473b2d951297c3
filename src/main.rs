//! The binary: parses the command line and hands over to [`amplinkd::cli`]. It must never hold logic.

fn main() {}
