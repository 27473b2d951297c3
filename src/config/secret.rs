//! Single secrets: how one is written, read from its own file, and shown redacted. No error repeats a value, whatever
//! is in its place.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de::Error};

use super::text_file;
use crate::domain::text::invisible;

/// A secret's file is a line or two; more is the wrong file.
const FILE_MAX: u64 = 64 * 1024;

const TEXT: &str = "expected a quoted string";

const TEXTS: &str = "expected a list of quoted strings, such as [\"...\"]";

/// Whether the files that hold secrets are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    /// They are: a file that cannot be read is a mistake.
    Read,
    /// They are not: for commands of people who may not read them. What a file holds is missing then.
    Left,
}

/// A secret as it is written; an empty text is none.
pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    // Any value first: the messages of a narrower reading repeat what they found.
    match toml::Value::deserialize(from)? {
        toml::Value::String(text) => Ok(some(text)),
        _ => Err(D::Error::custom(TEXT)),
    }
}

/// Several secrets as they are written.
pub(super) fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SecretString>, D::Error> {
    let wrong = || D::Error::custom(TEXTS);
    let toml::Value::Array(values) = toml::Value::deserialize(from)? else { return Err(wrong()) };
    let secret = |value: toml::Value| match value {
        toml::Value::String(text) => some(text).ok_or_else(wrong),
        _ => Err(wrong()),
    };
    values.into_iter().map(secret).collect()
}

fn some(text: String) -> Option<SecretString> {
    (!text.is_empty()).then(|| SecretString::from(text))
}

/// The secret that a file holds, without a byte order mark, spaces and line ends around it.
pub(super) fn read(path: &Path) -> Result<SecretString, String> {
    // A pipe would be waited for, and has nothing when it is read again.
    if std::fs::metadata(path).is_ok_and(|file| !file.is_file() && !file.is_dir()) {
        return Err("it is a pipe or a device: a secret stands in a regular file".to_owned());
    }
    let text = text_file::read(path, FILE_MAX, "the file is too large for a secret")?;
    let secret = trimmed(&text);
    if secret.is_empty() {
        return Err("the file is empty".to_owned());
    }
    visible(&text, secret)?;
    Ok(SecretString::from(secret))
}

/// A secret that is written among the others: it holds only what people see.
pub(super) fn checked(secret: SecretString) -> Result<SecretString, String> {
    let text = secret.expose_secret();
    visible(text, trimmed(text))?;
    Ok(secret)
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace())
}

/// Whether `secret`, a part of `text`, holds only what people see. Anything else would be sent or signed with, and nobody
/// would see why it is refused.
fn visible(text: &str, secret: &str) -> Result<(), String> {
    let from = text.find(secret).unwrap_or_default();
    match invisible::find(&text[..from + secret.len()], from, invisible::is_invisible) {
        Some(found) => Err(format!("it holds {found}: a secret is one line of visible characters; write it again")),
        None => Ok(()),
    }
}

/// A secret that may stand in the file or in a file of its own. `name` is the key without `_file`.
pub(super) fn one(
    name: &str,
    written: Option<SecretString>,
    file: Option<&str>,
    folder: &Path,
    secrets: Secrets,
) -> Result<Option<SecretString>, String> {
    match (written, file.filter(|file| !file.is_empty())) {
        (Some(_), Some(_)) => Err(format!("give `{name}` or `{name}_file`, not both")),
        (written, None) => written.map(checked).transpose(),
        (None, Some(_)) if secrets == Secrets::Left => Ok(None),
        (None, Some(file)) => from_file(folder, file).map(Some),
    }
}

/// [`read`], with the file's name in what is wrong.
pub(super) fn from_file(folder: &Path, file: &str) -> Result<SecretString, String> {
    let path = folder.join(file);
    read(&path).map_err(|wrong| format!("{}: {wrong}", path.display()))
}

/// An address of which only the service's name may be shown: its path or its query holds the key.
pub(super) fn veiled(url: Option<&SecretString>, file: Option<&str>) -> String {
    match (url, file.filter(|file| !file.is_empty())) {
        (Some(url), _) => {
            let url: Option<reqwest::Url> = url.expose_secret().parse().ok();
            let place = url.as_ref().and_then(|url| Some((url.scheme(), url.host_str()?)));
            place.map_or_else(|| "(set)".to_owned(), |(scheme, host)| format!("{scheme}://{host}/(hidden)"))
        }
        (None, Some(_)) => "(in its file)".to_owned(),
        (None, None) => "(not set)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_the_service_is_shown() {
        let shown = |url: &str| veiled(Some(&SecretString::from(url)), None);
        assert_eq!(shown("https://hc.example/hush?a=hush"), "https://hc.example/(hidden)");
        assert_eq!(shown("smtps://hush:hush@mail.example:465"), "smtps://mail.example/(hidden)");
        assert_eq!(shown("hush"), "(set)");
        assert_eq!(veiled(None, Some("key")), "(in its file)");
        assert_eq!(veiled(None, Some("")), "(not set)");
    }
}
