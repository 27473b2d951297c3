//! Encryption and the hashing of passwords stand in few places, where a reader can check it.

use super::{tidy, tree};

/// Crates that encrypt, as code names them.
const CRATES: [&str; 5] = ["aes::", "argon2::", "cbc::", "chacha20poly1305::", "sha1::"];

/// Where they may be named. The simulator has an encryption of its own, and `fixture` is for tests alone.
const PLACES: [&str; 5] =
    ["src/credential.rs", "src/vault.rs", "src/wechat/crypt.rs", "src/wechat/fixture.rs", "src/sim/crypt.rs"];

#[test]
fn ciphers_stand_in_few_places() {
    let outside = |path: &str| path.starts_with("src/") && !PLACES.contains(&path);
    let mut faults = Vec::new();
    for source in tree().iter().filter(|source| source.is("rs") && outside(&source.path)) {
        let named = source.lines_with(&CRATES).into_iter();
        faults.extend(named.map(|(place, word)| format!("{place}: `{word}`: encrypt in {}", PLACES.join(", "))));
    }
    tidy("ciphers", &faults);
}
