//! Searches what a life has written for the secrets that were ever made in it: as they are, in base64, in hexadecimal and
//! as they stand in a URL.

use std::{collections::HashMap, io, path::Path};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// Bytes of a secret that prove that it was written: random ones, so that nothing else has them.
const WINDOW: usize = 12;

/// A secret, and how a finding names it.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// What it is, as `ticket`.
    pub(super) kind: String,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

/// What is looked for: pieces of secrets, whatever they are written in.
#[derive(Debug)]
pub(super) struct SecretSearch {
    pieces: HashMap<[u8; WINDOW], String>,
    /// Whether any piece begins with these three bytes.
    beginnings: Vec<bool>,
}

/// The place of whatever begins so; `bytes` are three at least.
fn beginning(bytes: &[u8]) -> usize {
    bytes[..3].iter().fold(0, |place, byte| place << 8 | usize::from(*byte))
}

impl SecretSearch {
    pub(super) fn new(wanted: impl IntoIterator<Item = Wanted>) -> Self {
        let mut search = Self { pieces: HashMap::new(), beginnings: vec![false; 1 << 24] };
        for Wanted { kind, bytes } in wanted {
            for spelt in spellings(distinctive(&bytes)) {
                for piece in spelt.chunks_exact(WINDOW) {
                    search.beginnings[beginning(piece)] = true;
                    search.pieces.extend(piece.first_chunk().map(|piece| (*piece, kind.clone())));
                }
            }
        }
        search
    }

    /// The kind of a secret that stands in these bytes, whole or by a piece of it, and where.
    pub(super) fn found_in(&self, bytes: &[u8]) -> Option<(&str, usize)> {
        let last = bytes.len().checked_sub(WINDOW)?;
        for place in 0..=last {
            // Most bytes begin nothing that is looked for.
            if self.beginnings[beginning(&bytes[place..])]
                && let Some(kind) = bytes[place..].first_chunk().and_then(|piece| self.pieces.get(piece))
            {
                return Some((kind, place));
            }
        }
        None
    }

    /// What was found in the files beside this one whose names begin as its does, a line each.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn found_beside(&self, file: &Path) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        let stem = file.file_stem().unwrap_or_default().as_encoded_bytes();
        for entry in std::fs::read_dir(file.parent().unwrap_or(Path::new(".")))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            if !name.strip_prefix(stem).is_some_and(|rest| rest.starts_with(b".")) || path.is_dir() {
                continue;
            }
            if let Some((kind, place)) = self.found_in(&std::fs::read(&path)?) {
                found.push(format!("a {kind} stands in {} at byte {place}", path.display()));
            }
        }
        Ok(found)
    }
}

/// The part of a secret that nothing else has: what stands before it in each of its kind is no secret.
fn distinctive(secret: &[u8]) -> &[u8] {
    let after_mark = secret.windows(3).rposition(|three| three == b"@@@").map(|place| place + 3);
    // An access token of the simulator begins with its account and its number.
    let after_dot = secret.iter().rposition(|byte| *byte == b'.').map(|place| place + 1);
    &secret[after_mark.or(after_dot).unwrap_or(0)..]
}

fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex = crate::domain::history::hex(secret);
    let mut all = vec![secret.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes(), in_url(secret)];
    // A text in front of it shifts its base64 by one byte or two.
    for skipped in 0..secret.len().min(3) {
        let rest = &secret[skipped..];
        // The last group depends on what follows.
        let whole = &rest[..rest.len() / 3 * 3];
        all.push(STANDARD_NO_PAD.encode(whole).into_bytes());
        all.push(URL_SAFE_NO_PAD.encode(whole).into_bytes());
    }
    all
}

fn in_url(secret: &[u8]) -> Vec<u8> {
    let spelt = secret.iter().flat_map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => vec![*byte],
        other => format!("%{other:02X}").into_bytes(),
    });
    spelt.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET: &str = "ticket@@@Zx81kQp0Lm3RtYw7Uv5NbC2dEf9GhJ6";

    fn search() -> SecretSearch {
        let wanted = |kind: &str, bytes: &[u8]| Wanted { kind: kind.to_owned(), bytes: bytes.to_vec() };
        let key: Vec<u8> = (100..132).collect();
        let token = b"wxaaaa000000000001.3.8f3a91c2d4e5b607";
        SecretSearch::new([wanted("ticket", TICKET.as_bytes()), wanted("key", &key), wanted("token", token)])
    }

    #[test]
    fn a_secret_is_found_however_it_is_written() {
        let search = search();
        let standard = base64::engine::general_purpose::STANDARD;
        let key: Vec<u8> = (100..132).collect();
        for spelt in [
            format!("a log line with {TICKET}").into_bytes(),
            format!("half of it: {}", &TICKET[9..26]).into_bytes(),
            standard.encode(format!("?{TICKET}!")).into_bytes(),
            standard.encode(format!("??{TICKET}")).into_bytes(),
            URL_SAFE_NO_PAD.encode(TICKET).into_bytes(),
            [b"page".as_slice(), &key, b"page"].concat(),
            in_url(&key),
            standard.encode(&key).into_bytes(),
            b"access_token=wxaaaa000000000001.3.8f3a91c2d4e5b6078f3a".to_vec(),
        ] {
            assert!(search.found_in(&spelt).is_some(), "{}", String::from_utf8_lossy(&spelt));
        }
    }

    #[test]
    fn what_every_secret_of_its_kind_begins_with_is_none() {
        let search = search();
        assert_eq!(search.found_in(b"ticket@@@ of wxaaaa000000000001.3. and nothing else at all"), None);
    }

    #[test]
    fn a_secret_in_any_file_of_a_life_is_told_without_being_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        std::fs::write(&database, "nothing").unwrap();
        std::fs::write(folder.path().join("ab.db-wal"), TICKET).unwrap();
        assert!(search().found_beside(&database).unwrap().is_empty(), "another life's");
        std::fs::write(folder.path().join("a.db-wal"), TICKET).unwrap();
        let found = search().found_beside(&database).unwrap();
        assert!(found.len() == 1 && found[0].contains("a.db-wal") && !found[0].contains(&TICKET[9..]), "{found:?}");
    }
}
