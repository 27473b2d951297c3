//! Stories of the room that speaks to WeChat, over real sockets. Loopback only.

#![expect(clippy::unwrap_used, reason = "the lint's exception for tests does not reach their helpers")]

use std::{collections::HashMap, fmt::Debug, sync::Arc, time::Duration};

use amplinkd::{
    clock::{ManualClock, SharedClock, SystemClock},
    domain::{
        id::{AccountId, ProgramId},
        time::Time,
    },
    wechat::{CallError, Client, ClientConfig, LinkOptions, Token, TokenSource, Tokens, Wechat, install_tls},
};
use secrecy::SecretString;

mod server;

mod calls;

mod callback;

mod component;

mod counted;

mod tokens;
mod wrapped;

mod leaks;

use server::{Reply, Server};

/// It has characters that must be encoded in a URL.
const SECRET: &str = "61W3mEpU66027wgNZ+MhGHN/QDHnFATkDa9=";

const DONE: &str = r#"{"errcode":0,"errmsg":"ok"}"#;

const LISTING: &str = r#"{"errcode":0,"errmsg":"ok","wxopens":{"items":[{"status":1,"appid":"wx00000000000000aa"}]}}"#;

fn account() -> AccountId {
    "wx0123456789abcdef".parse().unwrap()
}

fn program() -> ProgramId {
    "wx00000000000000aa".parse().unwrap()
}

fn token(text: &str) -> Token {
    Token::new(SecretString::from(text)).unwrap()
}

fn client(url: &str) -> Client {
    Client::new(&ClientConfig {
        base_url: url.to_owned(),
        timeout: Duration::from_millis(600),
        connect_timeout: Duration::from_millis(300),
        ..ClientConfig::default()
    })
    .unwrap()
}

fn clock() -> SharedClock {
    Arc::new(SystemClock::new())
}

fn refused(code: i64) -> String {
    format!(r#"{{"errcode":{code},"errmsg":"no rid: 1-2-3"}}"#)
}

/// Neither way of printing shows the token, as it is or as a URL spells it.
fn assert_clean(shown: &(impl Debug + std::fmt::Display)) {
    for text in [format!("{shown}"), format!("{shown:?}"), format!("{shown:#?}")] {
        for part in [SECRET, "61W3mEpU", "QDHnFATkDa9", "access_token="] {
            assert!(!text.contains(part), "a token shows in {text}");
        }
    }
}
