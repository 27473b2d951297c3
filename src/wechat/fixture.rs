//! What `WeChat` does when it pushes: encrypts and signs. For tests alone, and written apart from what it tests.

use aes::Aes256;
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use cbc::{
    Encryptor,
    cipher::{Array, BlockModeEncrypt as _, KeyIvInit as _},
};
use sha1::{Digest as _, Sha1};

use super::crypt::{AesKey, Crypt};

pub(super) const APPID: &str = "wx00000000000000c0";

pub(super) const TOKEN: &str = "a-token-of-ours";

/// The last of its characters sets bits that no byte holds.
pub(super) const KEY: &str = "k0k1k2k3k4k5k6k7k8k9kAkBkCkDkEkFkGkHkIkJkK9";

const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

pub(super) fn crypt(token: &str, key: &str) -> Crypt {
    Crypt::new(APPID, token.into(), AesKey::parse(key).unwrap())
}

/// Encrypts these bytes as they are, in whole blocks.
pub(super) fn encrypt_blocks(key: &str, mut plain: Vec<u8>) -> String {
    let key = BASE64.decode(format!("{key}=")).unwrap();
    let (blocks, rest) = Array::slice_as_chunks_mut(&mut plain);
    assert!(rest.is_empty());
    Encryptor::<Aes256>::new_from_slices(&key, &key[..16]).unwrap().encrypt_blocks(blocks);
    BASE64.encode(plain)
}

/// What is encrypted, before its padding.
pub(super) fn salted(length: u32, message: &[u8], appid: &str) -> Vec<u8> {
    [b"0123456789abcdef", &length.to_be_bytes()[..], message, appid.as_bytes()].concat()
}

pub(super) fn encrypt(key: &str, message: &[u8], appid: &str) -> String {
    let mut plain = salted(u32::try_from(message.len()).unwrap(), message, appid);
    let padding = 32 - plain.len() % 32;
    plain.extend(vec![u8::try_from(padding).unwrap(); padding]);
    encrypt_blocks(key, plain)
}

/// The `msg_signature` of these: token, timestamp, nonce, `Encrypt`.
pub(super) fn sign(mut parts: [&str; 4]) -> String {
    parts.sort_unstable();
    Sha1::digest(parts.concat()).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}
