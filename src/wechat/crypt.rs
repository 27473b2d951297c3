//! Reads what `WeChat` encrypts for a platform: verifies the signature first, decrypts second. Every failure is the same
//! error, for a sender who can tell them apart can decrypt without the key.
//!
//! The scheme: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Technical_Plan.html>.
//! `msg_signature` is the SHA-1 of token, timestamp, nonce and `Encrypt`, sorted and joined. `Encrypt` is base64 of
//! AES-256-CBC with the beginning of the key as its IV, over 16 random bytes, the message's length (4 bytes, big
//! endian), the message, the appid, and PKCS#7 padding to 32 bytes.

use aes::Aes256;
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use cbc::{
    Decryptor,
    cipher::{Array, BlockModeDecrypt as _, KeyIvInit as _},
};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha1::{Digest as _, Sha1};
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;

/// Characters of an `EncodingAESKey` (<https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Technical_Plan.html>).
const KEY_CHARS: usize = 43;

const BLOCK_BYTES: usize = 16;

/// Random bytes before the length.
const SALT_BYTES: usize = 16;

const LENGTH_BYTES: usize = 4;

/// The longest padding: it fills up to a multiple of 32 bytes, not of a block of the cipher.
const PADDING_MAX: usize = 32;

/// 43 characters hold 2 bits more than 32 bytes, and three keys of four have some of them set.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A text that is no `EncodingAESKey`. It is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must have 43 letters and digits, as the platform's page on open.weixin.qq.com shows it")]
pub struct BadAesKey;

/// An `EncodingAESKey` (消息加解密 Key). Wiped when dropped; its `Debug` shows nothing.
#[derive(Debug)]
pub struct AesKey(SecretBox<[u8; KEY_BYTES]>);

impl AesKey {
    /// Reads the 43 characters of the platform's settings, with or without a `=` at the end.
    ///
    /// # Errors
    ///
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, BadAesKey> {
        let text = text.strip_suffix('=').unwrap_or(text);
        if text.len() != KEY_CHARS {
            return Err(BadAesKey);
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES + 1]);
        match BASE64.decode_slice(text, &mut *bytes) {
            Ok(KEY_BYTES) => Ok(Self(SecretBox::init_with_mut(|key: &mut [u8; KEY_BYTES]| {
                key.copy_from_slice(&bytes[..KEY_BYTES]);
            }))),
            Ok(_) | Err(_) => Err(BadAesKey),
        }
    }
}

/// What a push carries besides its appid: the message as it was encrypted, and what was signed with it. As it came, with
/// whatever line breaks stand in `encrypt`: they are signed, too.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// Of the query.
    pub timestamp: &'a str,
    /// Of the query.
    pub nonce: &'a str,
    /// Of the query. Its `signature` does not cover the message and is never looked at.
    pub msg_signature: &'a str,
    /// Of the body.
    pub encrypt: &'a str,
}

/// Not from `WeChat`, or not for us: signature, encryption or the appid inside is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not signed and encrypted for this platform")]
pub struct Forged;

/// What a platform verifies and decrypts with. Its `Debug` shows the appid alone.
#[derive(Debug)]
pub struct Crypt {
    appid: String,
    /// The current one first. None is empty: whoever knows nothing could sign with that.
    tokens: Vec<SecretString>,
    /// The current one first.
    keys: Vec<AesKey>,
}

impl Crypt {
    /// For the platform with this appid, its token (消息校验 Token) and key. An empty token accepts nothing.
    #[must_use]
    pub fn new(appid: &str, token: SecretString, key: AesKey) -> Self {
        Self { appid: appid.to_owned(), tokens: Vec::new(), keys: vec![key] }.or_token(token)
    }

    /// Accepts one more token, as the previous one while messages are under way.
    #[must_use]
    pub fn or_token(mut self, token: SecretString) -> Self {
        if !token.expose_secret().is_empty() {
            self.tokens.push(token);
        }
        self
    }

    /// Accepts one more key, as the previous one while messages are under way.
    #[must_use]
    pub fn or_key(mut self, key: AesKey) -> Self {
        self.keys.push(key);
        self
    }

    /// The platform's appid.
    #[must_use]
    pub fn appid(&self) -> &str {
        &self.appid
    }

    /// The message, of a sender who has one of our tokens and encrypted it with one of our keys for our appid.
    ///
    /// # Errors
    ///
    /// In every other case, always the same.
    pub fn open(&self, envelope: &Envelope<'_>) -> Result<Zeroizing<Vec<u8>>, Forged> {
        if !self.is_signed(envelope) {
            return Err(Forged);
        }
        let folded = envelope.encrypt.bytes().filter(|byte| !byte.is_ascii_whitespace());
        let encrypted = BASE64.decode(folded.collect::<Vec<u8>>()).map_err(|_| Forged)?;
        self.keys.iter().find_map(|key| decrypted(key, &encrypted, &self.appid)).ok_or(Forged)
    }

    /// Whether one of our tokens signed it. Takes as long whatever differs, and wherever.
    fn is_signed(&self, envelope: &Envelope<'_>) -> bool {
        let given = envelope.msg_signature.to_ascii_lowercase();
        let compared = self.tokens.iter().map(|token| {
            let expected = signature(token.expose_secret(), envelope);
            // Of unequal length is unequal.
            expected.as_bytes().ct_eq(given.as_bytes())
        });
        compared.fold(Choice::from(0), |any, this| any | this).into()
    }
}

/// The signature in lower-case hex. Sorted as bytes, as all of `WeChat`'s examples are.
fn signature(token: &str, envelope: &Envelope<'_>) -> String {
    use std::fmt::Write as _;
    let mut parts = [token, envelope.timestamp, envelope.nonce, envelope.encrypt].map(str::as_bytes);
    parts.sort_unstable();
    let digest = parts.iter().fold(Sha1::new(), Sha1::chain_update).finalize();
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The message, if the key is right and the appid behind it ours.
fn decrypted(key: &AesKey, encrypted: &[u8], appid: &str) -> Option<Zeroizing<Vec<u8>>> {
    if encrypted.is_empty() || !encrypted.len().is_multiple_of(BLOCK_BYTES) {
        return None;
    }
    let mut plain = Zeroizing::new(encrypted.to_vec());
    let key = key.0.expose_secret();
    let mut cipher = Decryptor::<Aes256>::new_from_slices(key, &key[..BLOCK_BYTES]).ok()?;
    let (blocks, _) = Array::slice_as_chunks_mut(&mut plain);
    cipher.decrypt_blocks(blocks);
    message(&plain, appid).map(|message| Zeroizing::new(message.to_vec()))
}

/// The message in what was decrypted. The padding alone says nothing: one in eight random blocks ends in a legal one.
/// So the length that is written and the appid behind the message must fill the rest exactly.
fn message<'p>(plain: &'p [u8], appid: &str) -> Option<&'p [u8]> {
    let padding = usize::from(*plain.last()?);
    if !(1..=PADDING_MAX).contains(&padding) {
        return None;
    }
    let salted = plain.get(..plain.len().checked_sub(padding)?)?;
    let (length, rest) = salted.get(SALT_BYTES..)?.split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (message, receiver) = rest.split_at_checked(length)?;
    (receiver == appid.as_bytes()).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::{
        super::fixture::{APPID, KEY, TOKEN, crypt, encrypt, encrypt_blocks, salted, sign},
        *,
    };

    const OTHER_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    /// What comes of `encrypt` when it is signed with `token`.
    fn opened(crypt: &Crypt, token: &str, encrypt: &str) -> Result<String, Forged> {
        let envelope = Envelope { timestamp: "1700000000", nonce: "n0nce", msg_signature: "", encrypt };
        let signed = sign([token, "1700000000", "n0nce", encrypt]);
        let message = crypt.open(&Envelope { msg_signature: &signed, ..envelope })?;
        Ok(String::from_utf8(message.to_vec()).unwrap())
    }

    #[test]
    fn a_key_has_43_characters_of_which_the_last_bits_do_not_count() {
        for text in [KEY, OTHER_KEY, "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"] {
            assert!(AesKey::parse(text).is_ok() && AesKey::parse(&format!("{text}=")).is_ok());
        }
        let bits = |last: &str| AesKey::parse(&format!("{}{last}", &KEY[..42])).unwrap();
        assert_eq!(bits("8").0.expose_secret(), bits("9").0.expose_secret());
        let long = "A".repeat(44);
        for bad in ["", "A", &long, &long[..42], &format!("{}-", &long[..42]), &format!("{}é", &long[..41])] {
            assert_eq!(AesKey::parse(bad).unwrap_err(), BadAesKey, "{bad:?}");
        }
    }

    #[test]
    fn every_padding_from_1_to_32_is_stripped() {
        let mut paddings = std::collections::BTreeSet::new();
        for length in 0..64 {
            let message = "m".repeat(length);
            paddings.insert(PADDING_MAX - salted(0, message.as_bytes(), APPID).len() % PADDING_MAX);
            let encrypted = encrypt(KEY, message.as_bytes(), APPID);
            assert_eq!(opened(&crypt(TOKEN, KEY), TOKEN, &encrypted), Ok(message));
        }
        assert!(paddings.into_iter().eq(1..=PADDING_MAX));
    }

    #[test]
    fn a_legal_padding_alone_opens_nothing() {
        let padded = |plain: Vec<u8>, padding: usize| {
            let rest = plain.len() + padding;
            assert!(rest.is_multiple_of(BLOCK_BYTES), "{rest}");
            encrypt_blocks(KEY, [plain, vec![u8::try_from(padding).unwrap(); padding]].concat())
        };
        // 16 + 4 + 10 + 18 bytes.
        let plain = |length| salted(length, b"0123456789", APPID);
        assert_eq!(opened(&crypt(TOKEN, KEY), TOKEN, &padded(plain(10), 32)).as_deref(), Ok("0123456789"));
        for length in [0, 9, 11, 28, 29, 60, u32::MAX] {
            assert_eq!(opened(&crypt(TOKEN, KEY), TOKEN, &padded(plain(length), 32)), Err(Forged), "{length}");
        }
        for padding in [0, 48, 64] {
            let bad = padded(plain(10), padding);
            assert_eq!(opened(&crypt(TOKEN, KEY), TOKEN, &bad), Err(Forged), "{padding}");
        }
        // Less than a salt and a length, and nothing but padding.
        for bytes in [vec![16; 16], vec![32; 32], vec![15; 32]] {
            assert_eq!(opened(&crypt(TOKEN, KEY), TOKEN, &encrypt_blocks(KEY, bytes)), Err(Forged));
        }
    }

    #[test]
    fn what_is_no_ciphertext_is_refused() {
        let good = encrypt(KEY, b"hello", APPID);
        for bad in ["", "=", "not base64!", "AAAA", &good[4..], &good[..good.len() - 4], &format!("{good}AAAA")] {
            assert_eq!(opened(&crypt(TOKEN, KEY), TOKEN, bad), Err(Forged), "{bad:?}");
        }
    }

    #[test]
    fn the_appid_behind_the_message_must_be_ours() {
        for other in ["wx00000000000000c1", "", "wx00000000000000c", "wx00000000000000c00"] {
            assert_eq!(opened(&crypt(TOKEN, KEY), TOKEN, &encrypt(KEY, b"hello", other)), Err(Forged), "{other:?}");
        }
    }

    #[test]
    fn every_part_is_signed() {
        let encrypted = encrypt(KEY, b"hello", APPID);
        let good = Envelope { timestamp: "1700000000", nonce: "n0nce", msg_signature: "", encrypt: encrypted.as_str() };
        let signed = sign([TOKEN, "1700000000", "n0nce", &encrypted]);
        let good = Envelope { msg_signature: &signed, ..good };
        let crypt = crypt(TOKEN, KEY);
        assert!(crypt.open(&good).is_ok());
        assert!(crypt.open(&Envelope { msg_signature: &signed.to_ascii_uppercase(), ..good }).is_ok());
        let folded = encrypted.replace('=', "=\n");
        for bad in [
            Envelope { timestamp: "1700000001", ..good },
            Envelope { nonce: "n0nce2", ..good },
            Envelope { encrypt: &folded, ..good },
            Envelope { encrypt: &encrypt(KEY, b"hello!", APPID), ..good },
            Envelope { msg_signature: "", ..good },
            Envelope { msg_signature: &signed[..39], ..good },
            Envelope { msg_signature: &format!("{signed}0"), ..good },
            Envelope { msg_signature: &"é".repeat(20), ..good },
        ] {
            assert_eq!(crypt.open(&bad).err(), Some(Forged), "{bad:?}");
        }
    }

    #[test]
    fn the_signature_of_the_four_sorted_parts() {
        // `printf '%s' 1700000000AbCen0nce | sha1sum`, sorted as bytes: digits, capitals, small letters.
        let envelope = Envelope { timestamp: "1700000000", nonce: "n0nce", msg_signature: "", encrypt: "AbC" };
        assert_eq!(signature("e", &envelope), "7828ab0ead1938e4db8e2fec43cb7bdacd62c23c");
    }

    #[test]
    fn a_folded_message_is_signed_as_it_stands() {
        let encrypted = encrypt(KEY, b"hello", APPID);
        let folded = format!("{}\r\n{}\n", &encrypted[..20], &encrypted[20..]);
        assert_eq!(opened(&crypt(TOKEN, KEY), TOKEN, &folded).as_deref(), Ok("hello"));
    }

    #[test]
    fn previous_tokens_and_keys_are_taken_and_a_third_is_not() {
        let (token, key) = (SecretString::from("previous-token"), AesKey::parse(OTHER_KEY).unwrap());
        let crypt = crypt(TOKEN, KEY).or_token(token).or_key(key);
        for (token, key) in [(TOKEN, KEY), (TOKEN, OTHER_KEY), ("previous-token", KEY), ("previous-token", OTHER_KEY)] {
            assert_eq!(opened(&crypt, token, &encrypt(key, b"hello", APPID)).as_deref(), Ok("hello"));
        }
        assert_eq!(opened(&crypt, "a third token", &encrypt(KEY, b"hello", APPID)), Err(Forged));
        let third = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
        assert_eq!(opened(&crypt, TOKEN, &encrypt(third, b"hello", APPID)), Err(Forged));
    }

    #[test]
    fn an_empty_token_signs_nothing() {
        let crypt = crypt("", KEY);
        assert_eq!(opened(&crypt, "", &encrypt(KEY, b"hello", APPID)), Err(Forged));
        assert_eq!(opened(&crypt.or_token(SecretString::default()), "", &encrypt(KEY, b"hello", APPID)), Err(Forged));
    }

    #[test]
    fn nothing_that_is_printed_shows_a_token_or_a_key() {
        let shown = format!("{:?}", crypt(TOKEN, KEY).or_key(AesKey::parse(OTHER_KEY).unwrap()));
        assert!(shown.contains(APPID) && !shown.contains(TOKEN) && !shown.contains("147, 77"), "{shown}");
    }
}
