//! `[component]`, `[callback]`, `[secrets]` and `[token_service]`: the platform's own tokens. Secrets stand in files of their
//! own, which are read here and never shown.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use serde::Deserialize;

use super::{
    Config, InvalidKey,
    secret::{self, Secrets},
    value,
};
use crate::domain::id::AccountId;

/// Requests of a caller in a minute: more than any platform makes.
const PER_MINUTE_MAX: u32 = 1_000_000;

/// Characters of a SHA-256 in hexadecimal.
const SHA256_CHARS: usize = 64;

/// Bytes of a socket's path (`sun_path` of unix(7), without the zero at its end).
const SOCKET_BYTES_MAX: usize = 107;

/// Where a listener waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// At this address and port.
    Tcp(SocketAddr),
    /// At this socket file.
    Unix(PathBuf),
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listen {
    /// Whether both cannot be bound at once. Port 0 is a free one each time.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(other)) => {
                let (here, there) = (one.ip(), other.ip());
                let is_same_host = here == there || here.is_unspecified() || there.is_unspecified();
                one.port() == other.port() && one.port() != 0 && is_same_host
            }
            (Self::Unix(one), Self::Unix(other)) => one == other,
            (Self::Tcp(_), Self::Unix(_)) | (Self::Unix(_), Self::Tcp(_)) => false,
        }
    }
}

/// The platform's component, whose tokens the daemon keeps itself.
#[derive(Debug, Clone)]
pub struct Component {
    /// Its appid.
    pub appid: String,
    /// Its secret; `None` as the other secrets when the configuration was read without them.
    pub secret: Option<SecretString>,
    /// The message token, and the previous one while pushes signed with it are under way.
    pub message_token: Option<SecretString>,
    /// See `message_token`.
    pub previous_message_token: Option<SecretString>,
    /// The `EncodingAESKey`, and the previous one.
    pub aes_key: Option<SecretString>,
    /// See `aes_key`.
    pub previous_aes_key: Option<SecretString>,
    /// Where `WeChat`'s pushes come in.
    pub callback: Callback,
    /// The key that seals what is written down, and those that only open.
    pub key: Option<SecretString>,
    /// See `key`.
    pub previous_keys: Vec<SecretString>,
}

/// `[callback]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// Where it listens.
    pub listen: Listen,
    /// The path of the event URL.
    pub path: String,
    /// Pushes without encryption are taken.
    pub plain_json: bool,
}

/// `[token_service]`, when it listens.
#[derive(Debug, Clone)]
pub struct TokenService {
    /// Where it listens.
    pub listen: Listen,
    /// Who may ask.
    pub callers: Vec<Caller>,
}

/// Somebody who may ask for tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// For the log.
    pub name: String,
    /// The SHA-256 of its keys, in lower-case hexadecimal: two while a key is changed.
    pub key_sha256: Vec<String>,
    /// Whose tokens it may have; `None`: everybody's.
    pub accounts: Option<Vec<AccountId>>,
    /// How many requests it may make in a minute.
    pub per_minute: u32,
}

/// `[component]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawComponent {
    pub(super) appid: String,
    pub(super) secret_file: String,
    pub(super) message_token_file: String,
    pub(super) aes_key_file: String,
    pub(super) previous_message_token_file: String,
    pub(super) previous_aes_key_file: String,
}

/// `[callback]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawCallback {
    pub(super) listen: String,
    pub(super) path: String,
    pub(super) plain_json: bool,
}

impl Default for RawCallback {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8751".to_owned(), path: "/wechat/callback".to_owned(), plain_json: false }
    }
}

/// `[secrets]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSecrets {
    pub(super) key_file: String,
    pub(super) previous_key_files: Vec<String>,
}

/// `[token_service]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTokenService {
    pub(super) listen: String,
    pub(super) behind_proxy: bool,
    #[serde(rename = "caller")]
    pub(super) callers: Vec<RawCaller>,
}

/// `[[token_service.caller]]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCaller {
    pub(super) name: String,
    key_sha256: OneOrMore,
    accounts: Vec<String>,
    #[serde(default = "per_minute", deserialize_with = "value::whole::<1, PER_MINUTE_MAX, _>")]
    per_minute: u32,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected the SHA-256 of a key in hexadecimal, or a list of them")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

const fn per_minute() -> u32 {
    600
}

fn wrong(key: &str, wrong: impl Into<String>) -> InvalidKey {
    InvalidKey { key: key.to_owned(), wrong: wrong.into() }
}

impl RawComponent {
    /// Checks what a component needs, and reads the files that hold its secrets.
    pub(super) fn resolve(
        self,
        callback: RawCallback,
        keys: &RawSecrets,
        folder: &Path,
        secrets: Secrets,
    ) -> Result<Component, InvalidKey> {
        if self.appid.is_empty() {
            return Err(wrong("component.appid", "tokens.source = \"component\" needs the appid of the component"));
        }
        // A component's appid has the shape of an account's.
        let _: AccountId = self.appid.parse().map_err(|bad| wrong("component.appid", format!("{bad}")))?;
        let read = |key: &str, file: &str| match (file, secrets) {
            ("", _) | (_, Secrets::Left) => Ok(None),
            (file, Secrets::Read) => {
                secret::from_file(folder, file).map(Some).map_err(|bad| wrong(&format!("component.{key}"), bad))
            }
        };
        let needed = |key: &str, file: &str| match file {
            "" => Err(wrong(&format!("component.{key}"), "tokens.source = \"component\" needs this file")),
            file => read(key, file),
        };
        let (key, previous_keys) = keys.resolve(folder, secrets)?;
        Ok(Component {
            secret: needed("secret_file", &self.secret_file)?,
            message_token: needed("message_token_file", &self.message_token_file)?,
            aes_key: needed("aes_key_file", &self.aes_key_file)?,
            previous_message_token: read("previous_message_token_file", &self.previous_message_token_file)?,
            previous_aes_key: read("previous_aes_key_file", &self.previous_aes_key_file)?,
            appid: self.appid,
            callback: callback.resolve(folder)?,
            key,
            previous_keys,
        })
    }
}

impl RawSecrets {
    fn resolve(
        &self,
        folder: &Path,
        secrets: Secrets,
    ) -> Result<(Option<SecretString>, Vec<SecretString>), InvalidKey> {
        if self.key_file.is_empty() {
            let needs = "tokens.source = \"component\" needs a key that seals what is written down: \
                         `amplinkd secrets new-key FILE` makes one";
            return Err(wrong("secrets.key_file", needs));
        }
        if secrets == Secrets::Left {
            return Ok((None, Vec::new()));
        }
        let key = secret::from_file(folder, &self.key_file).map_err(|bad| wrong("secrets.key_file", bad))?;
        let previous = self
            .previous_key_files
            .iter()
            .map(|file| secret::from_file(folder, file).map_err(|bad| wrong("secrets.previous_key_files", bad)));
        Ok((Some(key), previous.collect::<Result<_, _>>()?))
    }
}

impl RawCallback {
    fn resolve(self, folder: &Path) -> Result<Callback, InvalidKey> {
        let listen = listen(&self.listen, folder).map_err(|bad| wrong("callback.listen", bad))?;
        if !is_plain_path(&self.path) {
            let expected = "expected a path such as \"/wechat/callback\", of letters, digits and -._~ between slashes";
            return Err(wrong("callback.path", format!("{:?}: {expected}", self.path)));
        }
        Ok(Callback { listen, path: self.path, plain_json: self.plain_json })
    }
}

impl RawTokenService {
    /// Checks who may ask; `None` when it does not listen.
    pub(super) fn resolve(self, folder: &Path) -> Result<Option<TokenService>, InvalidKey> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        let listen = listen(&self.listen, folder).map_err(|bad| wrong("token_service.listen", bad))?;
        if let Listen::Tcp(address) = listen
            && !address.ip().is_loopback()
            && !self.behind_proxy
        {
            let bad = "tokens would cross the network in plain text: listen on 127.0.0.1 or on a unix: socket, or set \
                       behind_proxy = true if a proxy with TLS stands before it";
            return Err(wrong("token_service.listen", bad));
        }
        if self.callers.is_empty() {
            let bad = "nobody may ask: add a [[token_service.caller]] section; `amplinkd token-key new` makes its key";
            return Err(wrong("token_service.caller", bad));
        }
        let mut callers: Vec<Caller> = Vec::new();
        for (place, caller) in (1..).zip(self.callers) {
            let caller = caller.resolve().map_err(|(key, bad)| {
                wrong(&format!("token_service.caller.{key}"), format!("caller number {place}: {bad}"))
            })?;
            if callers.iter().any(|other| other.name == caller.name) {
                return Err(wrong("token_service.caller.name", format!("{:?} is given twice", caller.name)));
            }
            callers.push(caller);
        }
        Ok(Some(TokenService { listen, callers }))
    }
}

impl RawCaller {
    fn resolve(self) -> Result<Caller, (&'static str, String)> {
        if self.name.trim().is_empty() {
            return Err(("name", "a caller needs a name, for the log".to_owned()));
        }
        let keys = match self.key_sha256 {
            OneOrMore::One(key) => vec![key],
            OneOrMore::More(keys) => keys,
        };
        let is_digest = |key: &String| {
            key.len() == SHA256_CHARS && key.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
        };
        if keys.is_empty() || !keys.iter().all(is_digest) {
            let bad = "expected the SHA-256 of a key, 64 lower-case hexadecimal digits, as `amplinkd token-key new` prints it";
            return Err(("key_sha256", bad.to_owned()));
        }
        let accounts = if self.accounts.iter().any(|account| account == "*") {
            None
        } else {
            let parsed =
                self.accounts.iter().map(|account| account.parse::<AccountId>().map_err(|bad| bad.to_string()));
            Some(parsed.collect::<Result<Vec<_>, _>>().map_err(|bad| ("accounts", bad))?)
        };
        Ok(Caller { name: self.name, key_sha256: keys, accounts, per_minute: self.per_minute })
    }
}

/// Whether a path means itself: the router gives braces, colons and stars a meaning of their own.
fn is_plain_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.starts_with('/') && path.bytes().all(is_plain)
}

/// A path that the system takes for a socket.
fn socket(path: PathBuf) -> Result<PathBuf, String> {
    match path.as_os_str().len() {
        length if length > SOCKET_BYTES_MAX => Err(format!(
            "{} has {length} bytes, and a socket's path may have {SOCKET_BYTES_MAX}: choose a shorter one",
            path.display()
        )),
        _ => Ok(path),
    }
}

/// A dotted key as people read it.
fn in_section(key: &str) -> String {
    key.split_once('.').map_or_else(|| key.to_owned(), |(section, name)| format!("[{section}] {name}"))
}

/// The configuration, if every listener has an address of its own.
pub(super) fn apart(config: Config) -> Result<Config, InvalidKey> {
    let listeners = config.listeners();
    for (place, (key, listen)) in listeners.iter().enumerate() {
        if let Some((other, _)) = listeners[..place].iter().find(|(_, other)| other.meets(listen)) {
            return Err(wrong(
                key,
                format!("{listen} is that of {}: each listener needs an address of its own", in_section(other)),
            ));
        }
    }
    Ok(config)
}

impl Config {
    /// Where a daemon listens, each with its key.
    #[must_use]
    pub fn listeners(&self) -> Vec<(&'static str, &Listen)> {
        let callback = self.component.as_ref().map(|component| ("callback.listen", &component.callback.listen));
        let service = self.token_service.as_ref().filter(|_| self.keeps_tokens());
        let service = service.map(|service| ("token_service.listen", &service.listen));
        let http = self.http.as_ref().map(|http| ("http.listen", &http.listen));
        callback.into_iter().chain(service).chain(http).collect()
    }
}

/// An address, or a socket file after `unix:`.
pub(super) fn listen(text: &str, folder: &Path) -> Result<Listen, String> {
    match text.strip_prefix("unix:") {
        Some("") => Err("expected a path after unix:".to_owned()),
        Some(path) => socket(folder.join(path)).map(Listen::Unix),
        None => text
            .parse()
            .map(Listen::Tcp)
            .map_err(|_| format!("{text:?} is no address and port such as \"127.0.0.1:8751\", nor \"unix:/path\"")),
    }
}
