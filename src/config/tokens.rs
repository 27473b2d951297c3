//! `[tokens]`: where access tokens come from. Secrets stay out of `Debug`, errors and summaries.

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use super::{
    InvalidKey,
    egress::RawEgress,
    secret::{self, Secrets},
    value,
};
use crate::{domain::id::AccountId, net::egress::Egress};

/// Tokens kept at once: of more accounts nobody has heard.
const KEEP_MAX: u32 = 10_000_000;

/// What stands for the account in `url`.
const PLACEHOLDER: &str = "{account}";

/// `[tokens]`: where access tokens come from.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Who is asked.
    pub source: TokenSource,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Tokens kept at once, at least 1.
    pub keep: u32,
    /// The way to the token service.
    pub egress: Egress,
    /// Where an answer has the token: the names of a JSON pointer. None: `WeChat`'s own at the root.
    pub token: Vec<String>,
    /// Where it has the token's seconds. None: `expires_in` beside the token.
    pub expires_in: Vec<String>,
}

/// Who is asked for an account's access token. Its `Debug` shows no arguments: they may hold a password.
#[derive(Clone)]
pub enum TokenSource {
    /// A token service: `GET` of `url` with these headers.
    Http {
        /// The address, with a place for the account.
        url: TokenUrl,
        /// Header names and values; the names are legal.
        headers: BTreeMap<String, SecretString>,
    },
    /// A program, run with these arguments and the account as the last one; never empty.
    Command(Vec<String>),
    /// A fixed table, for tests.
    Static(BTreeMap<AccountId, SecretString>),
    /// The daemon itself, which is the platform: see [`super::Component`].
    Component,
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { url, headers } => f.debug_struct("Http").field("url", url).field("headers", headers).finish(),
            Self::Command(command) => f.debug_tuple("Command").field(&command.first()).finish_non_exhaustive(),
            Self::Static(table) => f.debug_tuple("Static").field(table).finish(),
            Self::Component => f.write_str("Component"),
        }
    }
}

/// An address with `{account}` in its path or query. Its `Debug` shows no values of the query: people put keys there.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenUrl(String);

impl TokenUrl {
    /// The address as it was written, `{account}` and all; it may hold a secret, so it is for the client alone.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.0
    }

    /// The address with every value of its query veiled, except the account's place.
    #[must_use]
    pub fn veiled(&self) -> String {
        veiled(&self.0)
    }
}

impl fmt::Debug for TokenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.veiled())
    }
}

pub(super) fn veiled(url: &str) -> String {
    let Some((place, query)) = url.split_once('?') else { return url.to_owned() };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((_, PLACEHOLDER)) => pair.to_owned(),
        Some((name, _)) => format!("{name}=(hidden)"),
        None => "(hidden)".to_owned(),
    });
    format!("{place}?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// `[tokens]` as it is written: the keys of every source, of which one is used.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTokens {
    pub(super) source: Source,
    pub(super) url: String,
    #[serde(deserialize_with = "secrets")]
    pub(super) headers: BTreeMap<String, SecretString>,
    pub(super) headers_file: BTreeMap<String, String>,
    pub(super) command: Vec<String>,
    #[serde(rename = "static", deserialize_with = "secrets")]
    pub(super) table: BTreeMap<String, SecretString>,
    #[serde(rename = "static_file")]
    pub(super) table_file: BTreeMap<String, String>,
    #[serde(deserialize_with = "value::duration")]
    pub(super) timeout: Duration,
    #[serde(deserialize_with = "value::whole::<1, KEEP_MAX, _>")]
    pub(super) keep: u32,
    #[serde(deserialize_with = "secret::text")]
    pub(super) proxy: Option<SecretString>,
    pub(super) proxy_file: String,
    pub(super) ca_file: String,
    pub(super) token: String,
    pub(super) expires_in: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Source {
    Http,
    Command,
    Static,
    Component,
}

impl Default for RawTokens {
    fn default() -> Self {
        Self {
            source: Source::Http,
            // A name that never resolves (RFC 2606), so that a forgotten key asks nobody.
            url: "https://tokens.example/token?appid={account}".to_owned(),
            headers: BTreeMap::new(),
            headers_file: BTreeMap::new(),
            command: Vec::new(),
            table: BTreeMap::new(),
            table_file: BTreeMap::new(),
            timeout: Duration::from_secs(10),
            keep: 200_000,
            proxy: None,
            proxy_file: String::new(),
            ca_file: String::new(),
            token: String::new(),
            expires_in: String::new(),
        }
    }
}

impl fmt::Debug for RawTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrittenTokens").field("source", &self.source).finish_non_exhaustive()
    }
}

fn secrets<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, SecretString>, D::Error> {
    let plain = BTreeMap::<String, String>::deserialize(from)?;
    Ok(plain.into_iter().map(|(name, secret)| (name, SecretString::from(secret))).collect())
}

fn mistake(key: &str, wrong: impl Into<String>) -> InvalidKey {
    InvalidKey { key: key.to_owned(), wrong: wrong.into() }
}

impl RawTokens {
    /// Whether the daemon keeps the platform's tokens itself.
    pub(super) const fn is_component(&self) -> bool {
        matches!(self.source, Source::Component)
    }

    /// Checks what the chosen source needs, and reads the files that hold its secrets.
    pub(super) fn resolve(self, folder: &Path) -> Result<Tokens, InvalidKey> {
        let (timeout, keep) = (self.timeout, self.keep);
        let egress = self.egress().resolve(folder, Secrets::Read);
        let egress = egress.map_err(|(key, wrong)| mistake(&format!("tokens.{key}"), wrong))?;
        let names = |key: &str, text: &str| pointer(text).map_err(|wrong| mistake(key, wrong));
        let token = names("tokens.token", &self.token)?;
        let expires_in = names("tokens.expires_in", &self.expires_in)?;
        let source = match self.source {
            Source::Http => self.http(folder)?,
            Source::Command => TokenSource::Command(program(self.command, folder)?),
            Source::Static => self.fixed(folder)?,
            Source::Component => TokenSource::Component,
        };
        Ok(Tokens { source, timeout, keep, egress, token, expires_in })
    }

    pub(super) fn egress(&self) -> RawEgress<'_> {
        RawEgress { proxy: self.proxy.as_ref(), proxy_file: &self.proxy_file, ca_file: &self.ca_file }
    }

    /// What there is to know without the source and its secrets: for commands, which call nobody.
    pub(super) fn without_source(self) -> Tokens {
        let source = TokenSource::Command(vec!["none".to_owned()]);
        let (timeout, keep) = (self.timeout, self.keep);
        Tokens { source, timeout, keep, egress: Egress::default(), token: Vec::new(), expires_in: Vec::new() }
    }

    fn http(self, folder: &Path) -> Result<TokenSource, InvalidKey> {
        let url = token_url(self.url).map_err(|wrong| mistake("tokens.url", wrong))?;
        let headers = with_files("tokens.headers", self.headers, self.headers_file, folder)?;
        for (name, value) in &headers {
            let key = format!("tokens.headers.{name}");
            reqwest::header::HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| mistake(&key, "not a valid HTTP header name"))?;
            reqwest::header::HeaderValue::from_str(value.expose_secret())
                .map_err(|_| mistake(&key, "the value has characters that are not allowed in an HTTP header"))?;
        }
        Ok(TokenSource::Http { url, headers })
    }

    fn fixed(self, folder: &Path) -> Result<TokenSource, InvalidKey> {
        let table = with_files("tokens.static", self.table, self.table_file, folder)?;
        if table.is_empty() {
            return Err(mistake("tokens.static", "source = \"static\" needs a table of accounts and their tokens"));
        }
        let mut tokens = BTreeMap::new();
        for (name, token) in table {
            let account: AccountId =
                name.parse().map_err(|wrong| mistake(&format!("tokens.static.{name}"), format!("{wrong}")))?;
            tokens.insert(account, token);
        }
        Ok(TokenSource::Static(tokens))
    }
}

/// The names of a JSON pointer (RFC 6901), from the root down; none of an empty text. It repeats nothing: a token may have
/// been put where its place belongs.
fn pointer(text: &str) -> Result<Vec<String>, String> {
    const POINTER: &str = "expected a JSON pointer (RFC 6901) to a value in the answer, such as \"/data/access_token\"";
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let names = text.strip_prefix('/').ok_or(POINTER)?.split('/');
    let name = |name: &str| {
        let escapes = name.match_indices('~');
        let is_legal = escapes.into_iter().all(|(at, _)| matches!(name.as_bytes().get(at + 1), Some(b'0' | b'1')));
        is_legal.then(|| name.replace("~1", "/").replace("~0", "~"))
    };
    let names: Option<Vec<String>> = names.map(name).collect();
    names.ok_or_else(|| format!("{POINTER}; a ~ in a name is written ~0, a / is written ~1"))
}

fn token_url(text: String) -> Result<TokenUrl, String> {
    // Any legal account will do: the address must hold together once its place is filled.
    const SAMPLE: &str = "wx0123456789abcdef";
    if !text.contains(PLACEHOLDER) {
        return Err("{account} is missing: put it where the account's appid belongs".to_owned());
    }
    let filled = value::web_address(&text.replace(PLACEHOLDER, SAMPLE))?;
    if filled.host_str().is_none_or(|host| host.contains(SAMPLE)) {
        return Err("{account} belongs in the path or the query of the URL".to_owned());
    }
    Ok(TokenUrl(text))
}

fn program(mut command: Vec<String>, folder: &Path) -> Result<Vec<String>, InvalidKey> {
    let Some(program) = command.first_mut().filter(|program| !program.is_empty()) else {
        let wrong = "source = \"command\" needs a program, as in command = [\"./token.sh\", \"--json\"]";
        return Err(mistake("tokens.command", wrong));
    };
    // A bare name is looked for on the PATH; a path is taken from the file's folder, as every path is.
    if program.contains('/') {
        *program = folder.join(&*program).to_string_lossy().into_owned();
    }
    Ok(command)
}

/// The secrets written in the file together with those kept in files of their own.
fn with_files(
    key: &str,
    mut written: BTreeMap<String, SecretString>,
    files: BTreeMap<String, String>,
    folder: &Path,
) -> Result<BTreeMap<String, SecretString>, InvalidKey> {
    for (name, secret) in &written {
        secret::checked(secret.clone()).map_err(|wrong| mistake(&format!("{key}.{name}"), wrong))?;
    }
    for (name, file) in files {
        let key = format!("{key}_file.{name}");
        let path = folder.join(file);
        let secret = secret::read(&path).map_err(|wrong| mistake(&key, format!("{}: {wrong}", path.display())))?;
        if written.insert(name, secret).is_some() {
            return Err(mistake(&key, "given twice: directly and in a file of its own"));
        }
    }
    Ok(written)
}
