//! What differs between two configurations, key by key, and what of it a running daemon can take over. Values are compared
//! by their fingerprints, so that no secret is held for it.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    path::Path,
};

use toml::de::{DeTable, DeValue};

use super::{Loaded, Setting, egress::read_certificates, keys, secret};

/// Keys that are read once, at the start: the file that is open is the one that is locked and driven, and a line of the log
/// must look like the one before it.
const AT_START: [&str; 3] = ["database.url", "database.mode", "log.format"];

/// Sections that are read once, at the start: listeners are bound then, and the key is held against the database.
const SECTIONS_AT_START: [&str; 6] = ["component.", "callback.", "secrets.", "token_service.", "http.", "metrics."];

/// Whether a change of this key waits for a restart.
#[must_use]
pub fn needs_restart(key: &str) -> bool {
    AT_START.contains(&key) || SECTIONS_AT_START.iter().any(|section| key.starts_with(section))
}

/// Fingerprints of all keys as they are written, and of the files of secrets that they name.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents(BTreeMap<&'static str, u64>);

impl Contents {
    pub(super) fn of(table: &DeTable<'_>, folder: &Path) -> Self {
        let value = |key: &str| {
            let (section, name) = key.split_once('.')?;
            Some((name.to_owned(), table.get(section)?.get_ref().get(name)?.get_ref()))
        };
        let fingerprint = |key: &'static str| {
            let mut hasher = DefaultHasher::new();
            if let Some((name, value)) = value(key) {
                feed(&mut hasher, &name, value, folder);
            }
            (key, hasher.finish())
        };
        Self(keys().into_iter().map(fingerprint).collect())
    }
}

fn feed(hasher: &mut DefaultHasher, name: &str, value: &DeValue<'_>, folder: &Path) {
    value.type_str().hash(hasher);
    match value {
        DeValue::String(text) => {
            text.hash(hasher);
            if name == "ca_file" {
                read_certificates(&folder.join(text.as_ref())).ok().hash(hasher);
            } else if names_a_file(name) {
                let read = secret::read(&folder.join(text.as_ref()));
                read.map(|secret| secrecy::ExposeSecret::expose_secret(&secret).to_owned()).hash(hasher);
            }
        }
        DeValue::Integer(number) => (number.as_str(), number.radix()).hash(hasher),
        DeValue::Float(number) => number.as_str().hash(hasher),
        DeValue::Boolean(is_so) => is_so.hash(hasher),
        DeValue::Datetime(time) => time.to_string().hash(hasher),
        DeValue::Array(list) => list.iter().for_each(|entry| feed(hasher, name, entry.get_ref(), folder)),
        DeValue::Table(table) => {
            for (below, value) in table {
                below.get_ref().hash(hasher);
                // A table of files has names of its own.
                let below = if names_a_file(name) { name } else { below.get_ref().as_ref() };
                feed(hasher, below, value.get_ref(), folder);
            }
        }
    }
}

fn names_a_file(name: &str) -> bool {
    name.ends_with("_file") || name.ends_with("_files")
}

/// What a new configuration changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that a running daemon takes over.
    pub at_once: Vec<&'static str>,
    /// Keys that wait for a restart.
    pub at_restart: Vec<&'static str>,
}

impl Loaded {
    /// What `new` changes of this one.
    #[must_use]
    pub fn changes_to(&self, new: &Self) -> Changes {
        let is_shown_otherwise = |setting: &&Setting| {
            self.settings.iter().any(|ours| ours.key == setting.key && ours.value != setting.value)
        };
        let mut changes = Changes::default();
        for setting in &new.settings {
            let key = setting.key;
            let shown = is_shown_otherwise(&setting);
            let is_otherwise = shown || self.contents.0.get(key) != new.contents.0.get(key);
            if needs_restart(key) || (key == "tokens.source" && self.config.keeps_tokens() != new.config.keeps_tokens())
            {
                // The same file, spelt in another way, is no change.
                let is_change = if AT_START.contains(&key) { shown } else { is_otherwise };
                changes.at_restart.extend(is_change.then_some(key));
            } else if is_otherwise {
                changes.at_once.push(key);
            }
        }
        changes
    }

    /// `new` in place of this one in a running daemon: what waits for a restart stays as it is.
    #[must_use]
    pub fn replaced_by(&self, mut new: Self) -> Self {
        let stays = |key: &str| self.settings.iter().find(|setting| setting.key == key).filter(|_| needs_restart(key));
        for setting in &mut new.settings {
            if let Some(stays) = stays(setting.key) {
                *setting = stays.clone();
            }
        }
        for (key, content) in self.contents.0.iter().filter(|(key, _)| needs_restart(key)) {
            new.contents.0.insert(key, *content);
        }
        new.config.database = self.config.database.clone();
        new.config.component.clone_from(&self.config.component);
        new.config.token_service.clone_from(&self.config.token_service);
        new.config.http.clone_from(&self.config.http);
        new.config.metrics = self.config.metrics;
        new.config.log.format = self.config.log.format;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn loaded(folder: &Path, text: &str) -> Loaded {
        let file = folder.join("amplinkd.toml");
        std::fs::write(&file, text).unwrap();
        Config::inspect(Some(&file), []).unwrap()
    }

    #[test]
    fn what_is_written_otherwise_is_a_change_and_what_is_not_shown_too() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "one").unwrap();
        let text = "[tokens.headers_file]\nAuthorization = \"key\"\n[log]\nfilter = \"info\"\n";
        let before = loaded(folder.path(), text);
        assert_eq!(before.changes_to(&loaded(folder.path(), text)), Changes::default());
        std::fs::write(folder.path().join("key"), "two").unwrap();
        let after = loaded(folder.path(), "[tokens.headers_file]\nAuthorization = \"key\"\n[log]\nformat = \"json\"\n");
        let changes = before.changes_to(&after);
        assert_eq!(
            (&changes.at_once[..], &changes.at_restart[..]),
            (&["tokens.headers_file", "log.filter"][..], &["log.format"][..])
        );
        let replaced = before.replaced_by(after.clone());
        assert_eq!(replaced.changes_to(&after).at_restart, ["log.format"], "it is told as often as it is looked at");
        assert!(replaced.changes_to(&after).at_once.is_empty());
    }
}
