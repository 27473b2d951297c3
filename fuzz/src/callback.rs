//! A request to the platform's event URL. The first line says how the rest is sent: `sealed` encrypts and signs it as a
//! message, `plain` takes it as a body where plain JSON is allowed, and `raw QUERY` as a body beside that query.

use aes::Aes256;
use amplinkd::wechat::{
    AesKey, Crypt, Push, PushRules,
    callback::{BODY_BYTES_MAX, Event, Refused},
};
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use cbc::{
    Encryptor,
    cipher::{Array, BlockModeEncrypt as _, KeyIvInit as _},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha1::{Digest as _, Sha1};

const APPID: &str = "wx00000000000000c0";

const TOKEN: &str = "a-token-of-ours";

const KEY: &str = "k0k1k2k3k4k5k6k7k8k9kAkBkCkDkEkFkGkHkIkJkK9";

/// Bytes of a ticket or a code.
const SECRET_MAX: usize = 4_096;

/// Characters of an unknown kind's name.
const KIND_MAX: usize = 64;

/// Characters of the shortest secret that is looked for in a `Debug` text, where shorter ones may stand by chance.
const SECRET_MIN: usize = 12;

/// Every property of one request.
pub fn hold(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (first, rest) = (String::from_utf8_lossy(&data[..end]), data.get(end + 1..).unwrap_or_default());
    match first.split_once(' ').unwrap_or((&first, "")) {
        ("sealed", _) => sealed(rest),
        ("plain", _) => plain(rest),
        (_, query) => raw(query, rest),
    }
}

fn rules(plain_json: bool) -> PushRules {
    let crypt = Crypt::new(APPID, SecretString::from(TOKEN), AesKey::parse(KEY).unwrap());
    PushRules { crypt, plain_json }
}

/// Whatever was encrypted and signed for us is a push or unreadable, and no longer anything once it is touched.
fn sealed(message: &[u8]) {
    let encrypt = encrypt(message);
    let body = format!("<xml><AppId>{APPID}</AppId><Encrypt>{encrypt}</Encrypt></xml>");
    let query = query(&encrypt);
    let read = rules(false).read(&query, body.as_bytes());
    if body.len() > BODY_BYTES_MAX {
        return assert_eq!(read.err(), Some(Refused::TooLong));
    }
    assert_eq!(said(&read), said(&rules(true).read(&query, body.as_bytes())), "read twice, differently");
    match &read {
        Ok(push) => {
            judge(push);
            let text = std::str::from_utf8(message).expect("a push that is no text");
            let marked = text.contains(['&', '!', '?']);
            assert!(marked || secret(push).is_none_or(|secret| text.contains(secret)), "a secret that nobody sent");
            assert!(!text.trim_start().starts_with("<!DOCTYPE"), "a push behind a DOCTYPE");
        }
        Err(Refused::Forbidden) => assert!(!message.is_empty(), "nothing is for somebody else"),
        Err(Refused::Unreadable(_)) => {}
        Err(Refused::TooLong) => panic!("{} bytes are too long", body.len()),
    }
    let touched = encrypt.replacen(&encrypt[..1], if encrypt.starts_with('A') { "B" } else { "A" }, 1);
    let touched = body.replace(&encrypt, &touched);
    assert_eq!(rules(true).read(&query, touched.as_bytes()).err(), Some(Refused::Forbidden), "read what nobody signed");
}

/// Plain JSON is a push where that is allowed, and nowhere else.
fn plain(body: &[u8]) {
    assert!(rules(false).read("", body).is_err(), "a push that nobody signed");
    if let Ok(push) = rules(true).read("", body) {
        judge(&push);
        let reading: Value = serde_json::from_slice(body).expect("a push out of no JSON");
        assert_eq!(reading["AppId"].as_str().map(str::trim), Some(APPID), "a push for somebody else");
        let texts = ["ComponentVerifyTicket", "AuthorizationCode"].map(|name| match &reading[name] {
            Value::String(text) => text.trim().to_owned(),
            other => other.to_string(),
        });
        assert!(
            secret(&push).is_none_or(|secret| texts.iter().any(|text| text == secret)),
            "a secret that nobody sent"
        );
    }
}

/// Nothing that we did not sign ourselves is a push.
fn raw(query: &str, body: &[u8]) {
    match rules(false).read(query, body) {
        Ok(push) => panic!("a push that nobody signed: {push:?}"),
        Err(refused) => assert_eq!(refused == Refused::TooLong, body.len() > BODY_BYTES_MAX),
    }
}

/// What every push keeps.
fn judge(push: &Push) {
    assert!(push.id.len() == 64 && push.id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
    assert!(push.made.ms() >= 0 && push.made.ms() % 1_000 == 0);
    if let Some(secret) = secret(push) {
        assert!((1..=SECRET_MAX).contains(&secret.len()) && !secret.contains(char::is_whitespace));
        assert!(secret.len() < SECRET_MIN || !format!("{push:?}").contains(secret), "a secret came out");
    }
    if let Event::Other(kind) = &push.event {
        assert!((1..=KIND_MAX).contains(&kind.chars().count()), "a kind without end");
    }
}

fn secret(push: &Push) -> Option<&str> {
    match &push.event {
        Event::Ticket(secret)
        | Event::Authorized { code: secret, .. }
        | Event::UpdateAuthorized { code: secret, .. } => Some(secret.expose_secret()),
        Event::Unauthorized { .. } | Event::Other(_) => None,
    }
}

fn said(read: &Result<Push, Refused>) -> String {
    match read {
        Ok(push) => format!("{push:?} {:?}", secret(push)),
        Err(refused) => format!("{refused:?}"),
    }
}

fn encrypt(message: &[u8]) -> String {
    let base64 = GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
    let key = base64.decode(format!("{KEY}=")).unwrap();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let mut plain = [&[7; 16], &length[..], message, APPID.as_bytes()].concat();
    let padding = 32 - plain.len() % 32;
    plain.extend(std::iter::repeat_n(u8::try_from(padding).unwrap(), padding));
    let (blocks, _) = Array::slice_as_chunks_mut(&mut plain);
    Encryptor::<Aes256>::new_from_slices(&key, &key[..16]).unwrap().encrypt_blocks(blocks);
    base64.encode(plain)
}

fn query(encrypt: &str) -> String {
    let mut parts = [TOKEN, "1700000000", "n0nce", encrypt];
    parts.sort_unstable();
    let signature = Sha1::digest(parts.concat()).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    format!("timestamp=1700000000&nonce=n0nce&msg_signature={signature}")
}
