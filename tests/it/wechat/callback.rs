//! Pushes that somebody else's code encrypted: `tests/real/push.py` with Python's `cryptography`.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use amplinkd::wechat::{AesKey, Crypt, PushRules, callback::Event, crypt::Envelope};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::*;
use crate::skip::skipped;

const APPID: &str = "wx00000000000000c0";

const TOKEN: &str = "a-token-of-ours";

/// The last of its characters sets bits that no byte holds.
const KEY: &str = "k0k1k2k3k4k5k6k7k8k9kAkBkCkDkEkFkGkHkIkJkK9";

/// What the script makes of these; nothing when this machine has not what it needs.
fn encrypted(pushes: &[Value]) -> Option<Vec<Value>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/push.py");
    let mut python = Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let lines = pushes.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    // It reads nothing when it ends at once.
    let _ = python.stdin.take().unwrap().write_all(lines.as_bytes());
    let done = python.wait_with_output().unwrap();
    if done.status.code() == Some(2) {
        return None;
    }
    assert!(done.status.success(), "{}", done.status);
    Some(String::from_utf8(done.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// A push whose ticket has so many characters.
fn push(length: usize) -> Value {
    let message = format!(
        "<xml><AppId><![CDATA[{APPID}]]></AppId>\n<CreateTime>1436881222</CreateTime>\n\
         <InfoType><![CDATA[component_verify_ticket]]></InfoType>\n\
         <ComponentVerifyTicket><![CDATA[{}]]></ComponentVerifyTicket>\n</xml>",
        "t".repeat(length)
    );
    let (timestamp, nonce) = ("1436881222", format!("n+ {length}"));
    json!({ "token": TOKEN, "key": KEY, "appid": APPID, "timestamp": timestamp, "nonce": nonce, "message": message })
}

/// The worked examples of WeChat's pages and demos, and of widely used clients' own tests.
#[test]
fn every_public_vector_is_decrypted() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors/decrypt.json")).unwrap();
    let mut paddings: Vec<i64> = vectors.iter().map(|vector| vector["pad_len"].as_i64().unwrap()).collect();
    paddings.sort_unstable();
    assert_eq!((paddings.first(), paddings.last(), paddings.len()), (Some(&2), Some(&30), 8));
    for vector in &vectors {
        let text = |name: &str| vector[name].as_str().unwrap();
        let key = || AesKey::parse(text("encoding_aes_key")).unwrap();
        let crypt = |receiver| Crypt::new(receiver, SecretString::from(text("token")), key());
        let envelope = Envelope {
            timestamp: text("timestamp"),
            nonce: text("nonce"),
            msg_signature: text("msg_signature"),
            encrypt: text("encrypt"),
        };
        let message =
            crypt(text("receive_id")).open(&envelope).unwrap_or_else(|wrong| panic!("{}: {wrong:?}", text("name")));
        assert_eq!(std::str::from_utf8(&message).unwrap(), text("message"), "{}", text("name"));
        assert!(crypt("wxffffffffffffffff").open(&envelope).is_err(), "{}: for somebody else", text("name"));
    }
}

#[test]
fn pushes_of_another_implementation_are_read() {
    // Lengths in a row have every padding.
    let lengths: Vec<usize> = (1..=64).chain([512, 4_096]).collect();
    let pushes: Vec<Value> = lengths.iter().copied().map(push).collect();
    let Some(requests) = encrypted(&pushes) else {
        return skipped("no python3 with the package cryptography: apt-get install python3-cryptography");
    };
    assert_eq!(requests.len(), lengths.len());
    let crypt = Crypt::new(APPID, SecretString::from(TOKEN), AesKey::parse(KEY).unwrap());
    let rules = PushRules { crypt, plain_json: false };
    for (length, request) in lengths.into_iter().zip(requests) {
        let (query, body) = (request["query"].as_str().unwrap(), request["body"].as_str().unwrap());
        let push = rules.read(query, body.as_bytes()).unwrap();
        assert_eq!(push.made, Time::from_ms(1_436_881_222_000));
        let Event::Ticket(ticket) = push.event else { panic!("{:?}", push.event) };
        assert_eq!(ticket.expose_secret(), "t".repeat(length));
        assert!(rules.read(&query.replace("msg_signature=", "msg_signature=0"), body.as_bytes()).is_err());
    }
}
