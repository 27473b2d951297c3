//! Randomness derived from a seed and from names, so that a run can be repeated.

use rand::SeedableRng;
use rand::rngs::StdRng;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A number fixed by the seed and the names, in their order.
pub(super) fn fixed(seed: u64, names: &[&str]) -> u64 {
    // The length goes in with each name, so that ("ab","c") and ("a","bc") differ.
    names.iter().fold(seed, |hash, name| xxh3_64_with_seed(name.as_bytes(), hash ^ name.len() as u64))
}

/// Dice fixed by the seed, the names and how often they were thrown before.
///
/// Each throw has its own generator, so accounts that call in another order still meet the same luck.
pub(super) fn dice(seed: u64, names: &[&str], throw: u64) -> StdRng {
    StdRng::seed_from_u64(fixed(seed, names) ^ throw.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}
