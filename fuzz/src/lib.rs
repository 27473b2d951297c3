//! What must hold of everything that is read from outside, whatever the bytes: one function for each kind of input.

pub mod ending;

pub mod answers;

pub mod callback;

pub mod component;

pub mod config;

pub mod import;

pub mod listing;

pub mod scenario;

pub mod tokens;

pub mod world;

/// A target's name, which is also its folder's in `fuzz/corpus` and `fuzz/crashes`, and what must hold.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 9] = [
    ("answers", answers::hold),
    ("callback", callback::hold),
    ("component", component::hold),
    ("config", config::hold),
    ("import", import::hold),
    ("listing", listing::hold),
    ("scenario", scenario::hold),
    ("tokens", tokens::hold),
    ("world", world::hold),
];
