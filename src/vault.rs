//! Seals secrets for the database and opens them again: XChaCha20-Poly1305 under a key that the database does not hold.
//!
//! A sealed value is `1 || key id (4) || nonce (24) || ciphertext || tag (16)`, in bytes. It opens only in the place it
//! was sealed for, so a value moved to another row or column is as useless as an altered one. Nonces come from the
//! system, never from a clock or a seed: two values under one nonce would reveal each other.

use std::{fmt, sync::Arc};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{AeadInOut as _, Generate as _, KeyInit as _},
};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The first byte of a sealed value: which of the formats it has.
const VERSION: u8 = 1;

const KEY_BYTES: usize = 32;

const ID_BYTES: usize = 4;

const NONCE_BYTES: usize = 24;

const TAG_BYTES: usize = 16;

/// Bytes of a sealed value before its ciphertext.
const HEAD_BYTES: usize = 1 + ID_BYTES + NONCE_BYTES;

/// Keeps a key's id apart from every other use of its hash.
const ID_DOMAIN: &[u8] = b"amplinkd key id\0";

/// What a key check seals.
const CHECK_WORD: &str = "amplinkd";

/// Base64 as `secrets new-key` and `openssl rand -base64 32` write it; some tools leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The first bytes of a hash of a key: says which key sealed a value, and reveals nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; ID_BYTES]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Why a key file holds no key. The texts repeat nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Nothing but blanks.
    #[error("the key file is empty: `amplinkd secrets new-key FILE` makes a key")]
    Empty,
    /// A character that base64 does not have, or a length it cannot have.
    #[error("the key file is not base64: it must hold 32 random bytes, as `amplinkd secrets new-key FILE` makes them")]
    NotBase64,
    /// So many bytes.
    #[error("the key has {0} bytes, but must have 32: `amplinkd secrets new-key FILE` makes one")]
    Length(usize),
}

/// A key. Wiped when dropped; its `Debug` shows nothing.
#[derive(Debug)]
pub struct Key(SecretBox<[u8; KEY_BYTES]>);

impl Key {
    /// Reads a key file: 32 bytes in base64. A line end after them is no part of the key.
    ///
    /// # Errors
    ///
    /// When it holds anything else.
    pub fn parse(file: &[u8]) -> Result<Self, BadKey> {
        let text = file.trim_ascii_end();
        if text.is_empty() {
            return Err(BadKey::Empty);
        }
        let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
        let length = BASE64.decode_slice(text, &mut bytes).map_err(|_| BadKey::NotBase64)?;
        if length != KEY_BYTES {
            return Err(BadKey::Length(length));
        }
        Ok(Self(SecretBox::init_with_mut(|key: &mut [u8; KEY_BYTES]| key.copy_from_slice(&bytes[..length]))))
    }

    /// Which key it is, for messages and for comparing files.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let digest = Sha256::new().chain_update(ID_DOMAIN).chain_update(self.0.expose_secret()).finalize();
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&digest[..ID_BYTES]);
        KeyId(id)
    }
}

/// A new key from the system's random numbers, as a key file holds it: base64, without a line end.
///
/// # Panics
///
/// When the system has no random numbers.
#[must_use]
pub fn new_key() -> SecretString {
    let bytes = Zeroizing::new(<[u8; KEY_BYTES]>::generate());
    SecretString::from(BASE64.encode(bytes.as_slice()))
}

/// Where a sealed value lies. Only there it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The table, as `authorizer`.
    pub table: &'a str,
    /// The column, as `refresh`.
    pub column: &'a str,
    /// The appid of the row.
    pub appid: &'a str,
}

impl Place<'_> {
    fn bytes(self) -> Vec<u8> {
        format!("{}/{}/{}", self.table, self.column, self.appid).into_bytes()
    }
}

/// Why a value does not open. The texts hold nothing of it but the id of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsealable {
    /// Too short, or of a format that this version does not know.
    #[error("not a sealed value: the column was changed outside, or by a newer amplinkd")]
    NotSealed,
    /// Sealed under a key that is not here.
    #[error("sealed under key {0}, which is neither in key_file nor in previous_key_files")]
    UnknownKey(KeyId),
    /// The key is here, and the value is not what was sealed for this place.
    #[error("altered since it was sealed, or moved from another row or column")]
    Altered,
}

/// A key at work.
struct Sealer {
    id: KeyId,
    cipher: XChaCha20Poly1305,
}

impl From<&Key> for Sealer {
    fn from(key: &Key) -> Self {
        Self { id: key.id(), cipher: XChaCha20Poly1305::new(key.0.expose_secret().into()) }
    }
}

/// Seals under the current key, opens under it and the previous ones. Cheap to clone; `Debug` shows the keys' ids alone.
#[derive(Clone)]
pub struct Vault {
    current: Arc<Sealer>,
    previous: Arc<[Sealer]>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<KeyId> = self.ids().collect();
        f.debug_struct("Vault").field("keys", &ids).finish_non_exhaustive()
    }
}

impl Vault {
    /// A vault with the key that seals, and those that only open.
    #[must_use]
    pub fn new(current: &Key, previous: &[Key]) -> Self {
        Self { current: Arc::new(current.into()), previous: previous.iter().map(Sealer::from).collect() }
    }

    /// The key that seals.
    #[must_use]
    pub fn current(&self) -> KeyId {
        self.current.id
    }

    /// The ids of all keys, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.sealers().map(|sealer| sealer.id)
    }

    /// Seals `plain` for this place. Never the same bytes twice.
    ///
    /// # Panics
    ///
    /// When the system has no random numbers: nothing can be sealed without.
    #[must_use]
    pub fn seal(&self, place: Place<'_>, plain: &SecretString) -> Vec<u8> {
        let plain = plain.expose_secret().as_bytes();
        let nonce = XNonce::generate();
        let mut sealed = Vec::with_capacity(HEAD_BYTES + plain.len() + TAG_BYTES);
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.current.id.0);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let encrypted =
            self.current.cipher.encrypt_inout_detached(&nonce, &place.bytes(), (&mut sealed[HEAD_BYTES..]).into());
        #[expect(clippy::expect_used, reason = "the cipher takes up to 256 GiB")]
        let tag = encrypted.expect("a secret is shorter than 256 GiB");
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// What was sealed for this place.
    ///
    /// # Errors
    ///
    /// When it is not a sealed value, was sealed under a key that is not here, for another place, or was altered.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<SecretString, Unsealable> {
        let parts = Parts::of(sealed)?;
        let mut failed = Unsealable::UnknownKey(parts.id);
        // Two keys share an id once in four thousand million: each is tried.
        for sealer in self.sealers().filter(|sealer| sealer.id == parts.id) {
            match parts.open(&sealer.cipher, place) {
                Ok(plain) => return Ok(plain),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Whether the value is sealed under the current key. Others are due for `secrets rekey`.
    #[must_use]
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        Parts::of(sealed).is_ok_and(|parts| parts.id == self.current.id)
    }

    /// A known word, sealed under the current key. It lies in `component.key_check`, so that a wrong key is noticed at
    /// the start, before anything is overwritten.
    #[must_use]
    pub fn key_check(&self, appid: &str) -> Vec<u8> {
        self.seal(check_place(appid), &SecretString::from(CHECK_WORD))
    }

    /// Whether the keys here are those that this key check was made with.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]: with [`Unsealable::UnknownKey`] the configured keys are the wrong ones.
    pub fn check_keys(&self, appid: &str, key_check: &[u8]) -> Result<(), Unsealable> {
        let word = self.open(check_place(appid), key_check)?;
        if word.expose_secret() == CHECK_WORD { Ok(()) } else { Err(Unsealable::Altered) }
    }

    fn sealers(&self) -> impl Iterator<Item = &Sealer> {
        std::iter::once(&*self.current).chain(&*self.previous)
    }
}

const fn check_place(appid: &str) -> Place<'_> {
    Place { table: "component", column: "key_check", appid }
}

/// A sealed value, taken apart.
struct Parts<'a> {
    id: KeyId,
    nonce: [u8; NONCE_BYTES],
    ciphertext: &'a [u8],
    tag: [u8; TAG_BYTES],
}

impl<'a> Parts<'a> {
    fn of(sealed: &'a [u8]) -> Result<Self, Unsealable> {
        Self::split(sealed).ok_or(Unsealable::NotSealed)
    }

    fn split(sealed: &'a [u8]) -> Option<Self> {
        let (version, rest) = sealed.split_first()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        (*version == VERSION).then_some(Self { id: KeyId(*id), nonce: *nonce, ciphertext, tag: *tag })
    }

    fn open(&self, cipher: &XChaCha20Poly1305, place: Place<'_>) -> Result<SecretString, Unsealable> {
        let mut plain = Zeroizing::new(self.ciphertext.to_vec());
        cipher
            .decrypt_inout_detached(&self.nonce.into(), &place.bytes(), plain.as_mut_slice().into(), &self.tag.into())
            .map_err(|_| Unsealable::Altered)?;
        // Only texts are ever sealed.
        std::str::from_utf8(&plain).map(SecretString::from).map_err(|_| Unsealable::Altered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { table: "authorizer", column: "refresh", appid: "wx0123456789abcdef" };

    fn key(byte: u8) -> Key {
        Key::parse(BASE64.encode([byte; KEY_BYTES]).as_bytes()).unwrap()
    }

    fn vault(byte: u8) -> Vault {
        Vault::new(&key(byte), &[])
    }

    fn secret() -> SecretString {
        SecretString::from("refreshtoken@@@密-7")
    }

    fn opened(vault: &Vault, place: Place<'_>, sealed: &[u8]) -> Result<String, Unsealable> {
        vault.open(place, sealed).map(|plain| plain.expose_secret().to_owned())
    }

    #[test]
    fn a_sealed_value_opens_in_its_place() {
        for text in ["", "x", "refreshtoken@@@密-7", &"t".repeat(4_096)] {
            let sealed = vault(1).seal(PLACE, &SecretString::from(text));
            assert_eq!(sealed.len(), 1 + 4 + 24 + text.len() + 16);
            assert_eq!(opened(&vault(1), PLACE, &sealed).as_deref(), Ok(text));
        }
    }

    /// The format, fixed: what older versions wrote must open for ever. Computed by another implementation.
    #[test]
    fn the_format_stays() {
        let sealed = "013df9cabe000102030405060708090a0b0c0d0e0f1011121314151617da72cdf79f6f33d14aace429a6a2ef49f0501520e7390943463936e8f801509c62814351";
        let sealed: Vec<u8> =
            (0..sealed.len()).step_by(2).map(|at| u8::from_str_radix(&sealed[at..at + 2], 16).unwrap()).collect();
        assert_eq!(opened(&vault(7), PLACE, &sealed).as_deref(), Ok("refreshtoken@@@密-7"));
    }

    #[test]
    fn the_same_text_never_seals_to_the_same_bytes() {
        let nonces: std::collections::HashSet<Vec<u8>> =
            (0..1_000).map(|_| vault(1).seal(PLACE, &secret())[5..HEAD_BYTES].to_vec()).collect();
        assert_eq!(nonces.len(), 1_000);
    }

    #[test]
    fn another_row_column_or_table_does_not_open_it() {
        let sealed = vault(1).seal(PLACE, &secret());
        for place in [
            Place { table: "component", ..PLACE },
            Place { column: "token", ..PLACE },
            Place { appid: "wx0123456789abcdee", ..PLACE },
        ] {
            assert_eq!(opened(&vault(1), place, &sealed), Err(Unsealable::Altered), "{place:?}");
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let sealed = vault(1).seal(PLACE, &secret());
        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let error = opened(&vault(1), PLACE, &altered).unwrap_err();
            match bit / 8 {
                0 => assert_eq!(error, Unsealable::NotSealed),
                1..5 => assert!(matches!(error, Unsealable::UnknownKey(_)), "{error:?}"),
                _ => assert_eq!(error, Unsealable::Altered),
            }
        }
    }

    #[test]
    fn what_is_cut_or_lengthened_does_not_open() {
        let sealed = vault(1).seal(PLACE, &secret());
        for end in 0..sealed.len() {
            let expected = if end < HEAD_BYTES + TAG_BYTES { Unsealable::NotSealed } else { Unsealable::Altered };
            assert_eq!(opened(&vault(1), PLACE, &sealed[..end]), Err(expected), "{end}");
        }
        assert_eq!(opened(&vault(1), PLACE, &[&sealed[..], &[0]].concat()), Err(Unsealable::Altered));
    }

    #[test]
    fn a_previous_key_opens_and_no_longer_seals() {
        let old = vault(1).seal(PLACE, &secret());
        let turned = Vault::new(&key(2), &[key(3), key(1)]);
        assert_eq!(opened(&turned, PLACE, &old).as_deref(), Ok(secret().expose_secret()));
        assert!(!turned.is_current(&old));
        let new = turned.seal(PLACE, &secret());
        assert!(turned.is_current(&new) && !vault(1).is_current(&new) && !turned.is_current(b"\x01"));
        assert_eq!(opened(&vault(1), PLACE, &new), Err(Unsealable::UnknownKey(key(2).id())));
    }

    #[test]
    fn a_wrong_key_is_noticed_by_the_key_check() {
        let appid = "wx00000000000000aa";
        let check = vault(1).key_check(appid);
        assert_eq!(vault(1).check_keys(appid, &check), Ok(()));
        assert_eq!(Vault::new(&key(2), &[key(1)]).check_keys(appid, &check), Ok(()));
        let error = vault(2).check_keys(appid, &check).unwrap_err();
        assert_eq!(error, Unsealable::UnknownKey(key(1).id()));
        assert!(error.to_string().contains(&key(1).id().to_string()), "{error}");
        assert_eq!(vault(1).check_keys("wx00000000000000ab", &check), Err(Unsealable::Altered));
        let other = vault(1).seal(check_place(appid), &SecretString::from("another word"));
        assert_eq!(vault(1).check_keys(appid, &other), Err(Unsealable::Altered));
    }

    #[test]
    fn a_key_file_is_32_bytes_in_base64() {
        let text = BASE64.encode([9; KEY_BYTES]);
        for spelt in [text.clone(), format!("{text}\n"), format!("{text}\r\n"), text.trim_end_matches('=').to_owned()] {
            assert_eq!(Key::parse(spelt.as_bytes()).map(|key| key.id()), Ok(key(9).id()), "{spelt:?}");
        }
        for (bad, expected) in [
            (String::new(), BadKey::Empty),
            (" \n".to_owned(), BadKey::Empty),
            (BASE64.encode([9; 31]), BadKey::Length(31)),
            (BASE64.encode([9; 33]), BadKey::Length(33)),
            (BASE64.encode([9; 9_000]), BadKey::Length(9_000)),
            (format!("{text}{text}"), BadKey::NotBase64),
            (format!("key = {text}"), BadKey::NotBase64),
            ("9".repeat(64), BadKey::Length(48)),
            ("sécret".to_owned(), BadKey::NotBase64),
        ] {
            let error = Key::parse(bad.as_bytes()).unwrap_err();
            assert_eq!(error, expected, "{bad:?}");
            assert!(bad.trim().is_empty() || !error.to_string().contains(bad.trim()), "{error}");
        }
        assert_eq!(Key::parse(&[0xFF; 44]).unwrap_err(), BadKey::NotBase64);
    }

    #[test]
    fn a_new_key_is_another_each_time() {
        let (one, other) = (new_key(), new_key());
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert_eq!(one.expose_secret().len(), 44);
        Key::parse(one.expose_secret().as_bytes()).unwrap();
    }

    #[test]
    fn nothing_that_is_printed_shows_a_key_or_a_text() {
        let (key, text) = (key(0xAB), BASE64.encode([0xAB; KEY_BYTES]));
        let vault = Vault::new(&key, &[]);
        for shown in [format!("{key:?}"), format!("{vault:?}"), format!("{vault:#?}")] {
            for part in [text.as_str(), "171", "abab", "ABAB"] {
                assert!(!shown.contains(part), "{shown}");
            }
        }
        assert!(format!("{vault:?}").contains(&key.id().to_string()));
    }
}
