//! Identifiers, parsed once at the edge.

use std::{fmt, ops::Deref};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::time::Time;

/// Letters and digits that follow `wx` in an appid. No page of `WeChat` gives the shape; every published appid has it.
const APPID_TAIL: usize = 16;

/// The longest `gh_` id we take. No page gives a bound; published ones have 15 characters.
const USERNAME_MAX: usize = 64;

/// Why a text is no name of its kind, said so that the writer can mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    /// Not `wx` and sixteen letters or digits.
    #[error("{0:?} is not an appid: it must be \"wx\" followed by 16 letters or digits, as in wx0123456789abcdef")]
    Appid(String),
    /// Not `gh_` and some letters or digits.
    #[error("{0:?} is not a username: it must be \"gh_\" followed by letters or digits, as in gh_0123456789ab")]
    Username(String),
    /// Not a request's id.
    #[error(
        "{0:?} is not a request's id: it looks like 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b; `amplinkd request list` shows them"
    )]
    Request(String),
}

/// An appid in place: a million of them are held in memory, and a pointer with its allocation would take twice as much.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Appid([u8; "wx".len() + APPID_TAIL]);

impl Deref for Appid {
    type Target = str;

    fn deref(&self) -> &str {
        // Only letters and digits ever get in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Appid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

fn appid(raw: &str) -> Result<Appid, BadId> {
    let legal = raw.strip_prefix("wx").is_some_and(|tail| tail.bytes().all(|b| b.is_ascii_alphanumeric()));
    let bytes = raw.as_bytes().try_into().ok().filter(|_| legal);
    bytes.map(Appid).ok_or_else(|| BadId::Appid(clip(raw)))
}

/// At most the first few characters: an error must stay readable whatever was pasted.
fn clip(raw: &str) -> String {
    raw.chars().take(USERNAME_MAX).collect()
}

fn username(raw: &str) -> Result<Box<str>, BadId> {
    let legal = raw.strip_prefix("gh_").is_some_and(|tail| {
        !tail.is_empty()
            && raw.len() <= USERNAME_MAX
            && tail.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    });
    if legal { Ok(raw.into()) } else { Err(BadId::Username(clip(raw))) }
}

fn request(raw: &str) -> Result<Box<str>, BadId> {
    let legal = raw.len() == 36
        && raw.bytes().enumerate().all(|(at, b)| {
            if matches!(at, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_digit() || (b'a'..=b'f').contains(&b) }
        });
    if legal { Ok(raw.into()) } else { Err(BadId::Request(clip(raw))) }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $check:ident, $text:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name($text);

        impl $name {
            /// The name as it is written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;

            fn from_str(raw: &str) -> Result<Self, BadId> {
                $check(raw.trim()).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;

            fn try_from(raw: String) -> Result<Self, BadId> {
                raw.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// An official account, by its appid.
    AccountId, appid, Appid
}

id! {
    /// A mini program, by its appid.
    ProgramId, appid, Appid
}

id! {
    /// A mini program's `gh_` id, the only name that every documented item of a listing carries.
    Username, username, Box<str>
}

id! {
    /// A request: a `UUIDv7` as text, so that ids sort by the time of asking.
    RequestId, request, Box<str>
}

/// Bits by chance in a `UUIDv7` (RFC 9562, 5.7): 12 after the version, 62 after the variant.
const CHANCE_BITS: u32 = 74;

/// Time and chance as one number, of which a later one is larger; the highest bits of `chance` are taken.
#[must_use]
pub fn timed(at: Time, chance: u128) -> u128 {
    u128::from(at.ms().unsigned_abs()) << CHANCE_BITS | chance >> (u128::BITS - CHANCE_BITS)
}

/// The `UUIDv7` of a number that [`timed`] made. The bits of version and variant are set by the builder.
#[must_use]
pub fn uuid_v7(timed: u128) -> Uuid {
    let ms = u64::try_from(timed >> CHANCE_BITS).unwrap_or(u64::MAX);
    let (high, low) = (timed >> 62 & 0xfff, timed & ((1 << 62) - 1));
    let chance = (high << 64 | low).to_be_bytes();
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&chance[6..]);
    uuid::Builder::from_unix_timestamp_millis(ms, &bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_appid_is_wx_and_sixteen_letters_or_digits() {
        assert!("wx0123456789abcdef".parse::<AccountId>().is_ok());
        for bad in ["", "wx", "wx0123456789abcde", "wx0123456789abcdef0", "gh_0123456789abcd", "wx0123456789abcd;-"] {
            assert_eq!(bad.parse::<ProgramId>(), Err(BadId::Appid(bad.to_owned())));
        }
    }

    #[test]
    fn an_appid_is_held_in_place_and_reads_as_it_was_written() {
        let written = "wx0123456789abcDEF";
        let id: AccountId = format!(" {written} ").parse().unwrap();
        assert_eq!(
            (id.as_str(), id.to_string().as_str(), String::from(id.clone()).as_str()),
            (written, written, written)
        );
        assert_eq!(format!("{id:?}"), format!("AccountId({written:?})"));
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("{written:?}"));
        assert_eq!(serde_json::from_str::<AccountId>(&format!("{written:?}")).unwrap(), id);
        assert!(serde_json::from_str::<AccountId>("\"wx0123456789abcdeé\"").is_err(), "eighteen bytes, but no letter");
        assert!(id < "wx0123456789abcdef".parse().unwrap(), "in the order of the texts");
        assert_eq!(size_of::<AccountId>(), written.len());
    }

    #[test]
    fn a_username_starts_with_gh() {
        assert!("gh_0123456789ab".parse::<Username>().is_ok());
        for bad in ["", "gh_", "wx0123456789abcdef", "gh_ä"] {
            assert_eq!(bad.parse::<Username>(), Err(BadId::Username(bad.to_owned())));
        }
    }
}
