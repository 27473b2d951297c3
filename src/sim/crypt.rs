//! How WeChat encrypts and signs what it pushes to a third-party platform.
//!
//! The format is the one of "消息加解密" on developers.weixin.qq.com (oplatform, `Before_Develop/message_push`).

use std::fmt::Write as _;

use aes::{
    Aes256,
    cipher::{Array, BlockModeEncrypt, KeyIvInit},
};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use super::chance;

/// Characters of an `EncodingAESKey`. Its last one carries two bits that belong to no byte.
const KEY_LENGTH: usize = 43;

/// Characters of a made-up token of the callback; WeChat takes up to 32.
const TOKEN_LENGTH: usize = 24;

/// Messages are padded to a multiple of this, with 1 to as many bytes that each say how many there are.
const PADDED_TO: usize = 32;

/// AES works in blocks of so many bytes; the key's first so many are the first block's neighbour.
const BLOCK: usize = 16;

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Takes a key with any trailing bits, as WeChat's console makes them.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a platform and WeChat share for pushes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushKeys {
    /// The callback's token, which signatures are made with.
    pub token: String,
    /// The `EncodingAESKey`: 43 characters of base64.
    pub encoding_aes_key: String,
}

/// A text that is no `EncodingAESKey`. It is not repeated here, because it is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an EncodingAESKey has 43 letters, digits, + or /")]
pub struct NotAKey;

impl PushKeys {
    /// The keys of a generation, fixed by the seed.
    pub(super) fn made_up(seed: u64, generation: usize) -> Self {
        let generation = generation.to_string();
        Self {
            token: letters(seed, &["push token", &generation], TOKEN_LENGTH),
            encoding_aes_key: letters(seed, &["push key", &generation], KEY_LENGTH),
        }
    }

    /// The 32 bytes of the key.
    pub(super) fn aes_key(&self) -> Result<[u8; 32], NotAKey> {
        let key = Some(&self.encoding_aes_key).filter(|key| key.len() == KEY_LENGTH).ok_or(NotAKey)?;
        let bytes = KEY_BASE64.decode(key).map_err(|_| NotAKey)?;
        bytes.try_into().map_err(|_| NotAKey)
    }
}

/// A text of letters and digits, fixed by the seed and the names.
pub(super) fn letters(seed: u64, names: &[&str], length: usize) -> String {
    let mut dice = chance::dice(seed, names, 0);
    (0..length).map(|_| char::from(LETTERS[dice.random_range(0..LETTERS.len())])).collect()
}

/// `Encrypt`: 16 random bytes, the message's length, the message and the appid behind it, in base64.
pub(super) fn encrypted(key: &[u8; 32], random: [u8; 16], message: &str, appid: &str) -> String {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut plain = [&random[..], &length, message.as_bytes(), appid.as_bytes()].concat();
    let padding = PADDED_TO - plain.len() % PADDED_TO;
    plain.resize(plain.len() + padding, u8::try_from(padding).unwrap_or_default());

    let first: [u8; BLOCK] = std::array::from_fn(|at| key[at]);
    let mut chain = cbc::Encryptor::<Aes256>::new(&Array(*key), &Array(first));
    for block in plain.chunks_exact_mut(BLOCK) {
        let Ok(block) = <&mut Array<u8, _>>::try_from(block) else { continue };
        chain.encrypt_block(block);
    }
    STANDARD.encode(plain)
}

/// The SHA-1 of the parts in the order of their bytes, in hex: `signature` of three parts, `msg_signature` of four.
pub(super) fn signature(parts: &[&str]) -> String {
    let mut parts = parts.to_vec();
    parts.sort_unstable();
    let mut hex = String::new();
    for byte in Sha1::digest(parts.concat()) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_keys_are_keys_whatever_their_trailing_bits() {
        let keys: Vec<PushKeys> = (0..40).map(|generation| PushKeys::made_up(7, generation)).collect();
        assert!(keys.iter().all(|keys| keys.aes_key().is_ok()));
        let strict = keys.iter().filter(|keys| STANDARD.decode(format!("{}=", keys.encoding_aes_key)).is_ok());
        assert!(strict.count() < 20, "most real keys have trailing bits");
        let short = PushKeys { encoding_aes_key: "abc".to_owned(), ..PushKeys::made_up(7, 0) };
        assert_eq!(short.aes_key(), Err(NotAKey));
    }

    #[test]
    fn a_signature_does_not_depend_on_the_order() {
        assert_eq!(signature(&["b", "a"]), signature(&["a", "b"]));
        assert_eq!(signature(&["a", "bc"]), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    /// The worked examples of WeChat's pages and demos that say which random bytes they were made with.
    #[test]
    fn every_public_vector_is_encrypted_to() {
        let vectors: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../../tests/it/wechat/vectors/encrypt.json")).unwrap();
        for vector in &vectors {
            let text = |name: &str| vector[name].as_str().unwrap();
            let keys = PushKeys { token: String::new(), encoding_aes_key: text("encoding_aes_key").to_owned() };
            let random = text("random16").as_bytes().try_into().unwrap();
            let made = encrypted(&keys.aes_key().unwrap(), random, text("message"), text("appid"));
            assert_eq!(made, text("expect_encrypt"), "{}", text("name"));
        }
    }

    #[test]
    fn a_message_is_padded_to_thirty_two() {
        for length in 0..70 {
            let encrypted = encrypted(&[7; 32], [1; 16], &"m".repeat(length), "wx");
            let bytes = STANDARD.decode(encrypted).unwrap();
            assert_eq!(bytes.len() % PADDED_TO, 0);
            assert!((1..=PADDED_TO).contains(&(bytes.len() - 16 - 4 - length - 2)));
        }
    }
}
