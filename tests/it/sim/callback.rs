//! A platform's callback on loopback: it keeps what is pushed and reads it, by an own hand, with the platform's keys.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use aes::{
    Aes256,
    cipher::{Array, BlockModeDecrypt as _, KeyIvInit as _},
};
use amplinkd::sim::PushKeys;
use axum::{
    Router,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{
    Engine as _, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use sha1::{Digest as _, Sha1};

/// One push as it came in.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) query: BTreeMap<String, String>,
    pub(super) content_type: String,
    pub(super) body: String,
}

/// What the callback answers, and what it received.
#[derive(Clone)]
pub(super) struct Callback {
    pub(super) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    answer: Arc<Mutex<(u16, &'static str)>>,
}

impl Callback {
    /// Listens on a free port, and answers `success`.
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/wechat/callback", listener.local_addr().unwrap());
        let callback = Self { url, received: Arc::default(), answer: Arc::new(Mutex::new((200, "success"))) };
        let router = Router::new().route("/wechat/callback", post(receive)).with_state(callback.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        callback
    }

    pub(super) fn answers(&self, status: u16, body: &'static str) {
        *self.answer.lock().unwrap() = (status, body);
    }

    /// What came in since this was asked last.
    pub(super) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.received.lock().unwrap())
    }

    /// The only push that came in since this was asked last.
    pub(super) fn take_one(&self) -> Received {
        let received = self.take();
        assert_eq!(received.len(), 1, "{received:?}");
        received.into_iter().next().unwrap()
    }
}

async fn receive(
    State(callback): State<Callback>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let content_type = headers["content-type"].to_str().unwrap().to_owned();
    let body = String::from_utf8(body.to_vec()).unwrap();
    callback.received.lock().unwrap().push(Received { query, content_type, body });
    let (status, body) = *callback.answer.lock().unwrap();
    (StatusCode::from_u16(status).unwrap(), body)
}

impl Received {
    /// The message, if the push is WeChat's own for this component.
    pub(super) fn message(&self, keys: &PushKeys, appid: &str) -> Option<String> {
        let encrypt = text_of(&self.body, "Encrypt")?;
        let signed = [&keys.token, &self.query["timestamp"], &self.query["nonce"], &encrypt];
        let is_ours = self.query["msg_signature"] == sha1_of_sorted(signed) && text_of(&self.body, "AppId")? == appid;
        let (message, tail) = is_ours.then(|| decrypted(&encrypt, &keys.encoding_aes_key))??;
        (tail == appid && text_of(&message, "AppId")? == appid && !message.contains("<!DOCTYPE")).then_some(message)
    }

    /// A field of the message.
    pub(super) fn field(&self, keys: &PushKeys, appid: &str, name: &str) -> String {
        let message = self.message(keys, appid).expect("a push of WeChat's own");
        text_of(&message, name).unwrap_or_else(|| panic!("{name} in {message}"))
    }
}

/// The text between a tag's first beginning and end, out of its CDATA.
pub(super) fn text_of(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let plain = text.strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>"));
    Some(plain.unwrap_or(text).to_owned())
}

fn sha1_of_sorted(mut parts: [&String; 4]) -> String {
    parts.sort();
    let digest = Sha1::digest(parts.map(String::as_str).concat());
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// The message and what stands behind it; `None` if the padding or the length is wrong.
fn decrypted(encrypt: &str, encoding_aes_key: &str) -> Option<(String, String)> {
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let key = GeneralPurpose::new(&alphabet::STANDARD, config).decode(format!("{encoding_aes_key}=")).unwrap();
    let key: [u8; 32] = key.try_into().unwrap();
    let mut plain = STANDARD.decode(encrypt).ok()?;
    let mut chain = cbc::Decryptor::<Aes256>::new(&Array(key), &Array(*key.first_chunk::<16>().unwrap()));
    for block in plain.chunks_exact_mut(16) {
        chain.decrypt_block(block.try_into().unwrap());
    }
    let padding = usize::from(*plain.last()?);
    let padded =
        (1..=32).contains(&padding) && plain[plain.len() - padding..].iter().all(|b| usize::from(*b) == padding);
    let plain = padded.then(|| &plain[16..plain.len() - padding])?;
    let (length, rest) = plain.split_first_chunk::<4>()?;
    let (message, tail) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((String::from_utf8(message.to_vec()).ok()?, String::from_utf8(tail.to_vec()).ok()?))
}
