//! `[database]`: where requests are remembered. A server's URL may hold a password: no error quotes one.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de::Error};

use super::{InvalidKey, secret, value};
use crate::store::{Location, server::address::ServerAddress};

const EXPECTED: &str = "expected \"sqlite:\" followed by the path of a file, such as \"sqlite:amplinkd.db\", or the URL of a \
                        PostgreSQL database, such as \"postgres://USER@HOST/DATABASE\"";

/// `[database]`
#[derive(Debug, Clone)]
pub struct Database {
    /// Where it is; a relative path was taken from the configuration file's folder.
    pub location: Location,
}

impl Default for Database {
    fn default() -> Self {
        let RawDatabase { mode, .. } = RawDatabase::default();
        Self { location: Location::file(FILE, mode) }
    }
}

/// The file where no other is named.
const FILE: &str = "amplinkd.db";

/// The permissions that a file is created with.
const MODE: u32 = 0o640;

/// `[database]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawDatabase {
    #[serde(deserialize_with = "url")]
    url: Option<Url>,
    #[serde(deserialize_with = "secret::texts")]
    urls: Vec<SecretString>,
    url_file: Option<String>,
    #[serde(deserialize_with = "value::file_mode")]
    mode: u32,
}

impl Default for RawDatabase {
    fn default() -> Self {
        Self { url: None, urls: Vec::new(), url_file: None, mode: MODE }
    }
}

#[derive(Debug, Clone)]
enum Url {
    File(PathBuf),
    Server(SecretString),
}

fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    // Any value first: the messages of a narrower reading repeat what they found.
    match toml::Value::deserialize(from)? {
        toml::Value::String(text) => parse(&text).map(Some).map_err(D::Error::custom),
        _ => Err(D::Error::custom(EXPECTED)),
    }
}

/// Where a database is, by a URL that is no part of a configuration; a relative path is taken from the current folder.
///
/// # Errors
/// What is wrong with it; it quotes nothing of it.
pub fn database_of(url: &SecretString) -> Result<Location, String> {
    match parse(url.expose_secret())? {
        Url::File(path) => Ok(Location::file(path, MODE)),
        Url::Server(url) => ServerAddress::of(&[url]).map(Location::Server),
    }
}

/// The same, by a file that holds the URL.
///
/// # Errors
/// What is wrong with the file or the URL.
pub fn database_in_file(path: &Path) -> Result<Location, String> {
    secret::read(path).and_then(|url| database_of(&url)).map_err(|wrong| format!("{}: {wrong}", path.display()))
}

fn parse(text: &str) -> Result<Url, String> {
    if ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
        let url = SecretString::from(text);
        return ServerAddress::of(std::slice::from_ref(&url)).map(|_| Url::Server(url));
    }
    let path = text.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path)).ok_or(EXPECTED)?;
    if path.contains(":memory:") {
        return Err("an in-memory database would lose every request: give a file path".to_owned());
    }
    if path.contains(['?', '#']) {
        return Err("options after the path are not supported: amplinkd decides how to open the file".to_owned());
    }
    if path.is_empty() || path.ends_with('/') {
        return Err("the path of the file is missing, as in \"sqlite:amplinkd.db\"".to_owned());
    }
    Ok(Url::File(PathBuf::from(path)))
}

impl RawDatabase {
    /// Where it is.
    pub(super) fn resolve(self, folder: &Path) -> Result<Database, InvalidKey> {
        let wrong = |key: &str, wrong: String| InvalidKey { key: format!("database.{key}"), wrong };
        let file = self.url_file.as_deref().filter(|file| !file.is_empty());
        if usize::from(self.url.is_some()) + usize::from(!self.urls.is_empty()) + usize::from(file.is_some()) > 1 {
            return Err(wrong("url", "give one of `url`, `urls` and `url_file`".to_owned()));
        }
        let server = |key: &str, urls: &[SecretString]| {
            ServerAddress::of(urls).map(Location::Server).map_err(|why| wrong(key, why))
        };
        let location = match (self.url, file) {
            (Some(Url::File(path)), _) => Location::file(folder.join(path), self.mode),
            (Some(Url::Server(url)), _) => server("url", &[url])?,
            (None, Some(file)) => {
                let text = secret::from_file(folder, file).map_err(|why| wrong("url_file", why))?;
                match parse(text.expose_secret()).map_err(|why| wrong("url_file", why))? {
                    Url::File(path) => Location::file(folder.join(path), self.mode),
                    Url::Server(url) => server("url_file", &[url])?,
                }
            }
            (None, None) if !self.urls.is_empty() => server("urls", &self.urls)?,
            (None, None) => Location::file(folder.join(FILE), self.mode),
        };
        Ok(Database { location })
    }

    /// Its values as they are shown.
    pub(super) fn shown(&self, folder: &Path) -> [(&'static str, String); 4] {
        let server = |urls: &[SecretString]| {
            ServerAddress::of(urls).map_or_else(|_| "(set)".to_owned(), |address| address.to_string())
        };
        let is_elsewhere = !self.urls.is_empty() || self.url_file.as_ref().is_some_and(|file| !file.is_empty());
        let url = match &self.url {
            Some(Url::File(path)) => format!("sqlite:{}", folder.join(path).display()),
            Some(Url::Server(url)) => server(std::slice::from_ref(url)),
            None if is_elsewhere => String::new(),
            None => format!("sqlite:{}", folder.join(FILE).display()),
        };
        let urls: Vec<String> =
            self.urls.iter().map(|url| format!("{:?}", server(std::slice::from_ref(url)))).collect();
        [
            ("database.url", url),
            ("database.urls", format!("[{}]", urls.join(", "))),
            ("database.url_file", self.url_file.clone().unwrap_or_default()),
            ("database.mode", format!("{:04o}", self.mode)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_a_file_or_at_a_server() {
        let path = |text| match parse(text) {
            Ok(Url::File(path)) => Some(path),
            Ok(Url::Server(_)) | Err(_) => None,
        };
        assert_eq!(path("sqlite:a.db"), Some("a.db".into()));
        assert_eq!(path("sqlite:///var/a.db"), Some("/var/a.db".into()));
        assert!(matches!(parse("postgres://u:p@h/d"), Ok(Url::Server(_))));
        for bad in ["sqlite:", "sqlite::memory:", "sqlite:a.db?mode=ro", "mysql://u:hunter2@h/d", "a.db", "sqlite:dir/"]
        {
            let wrong = parse(bad).unwrap_err();
            assert!(!wrong.contains("hunter2"), "{wrong}");
        }
    }
}
