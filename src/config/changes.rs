//! What differs between two configurations, key by key, and what of it a running daemon can take over. Values are compared
//! by their fingerprints, so that no secret is held for it.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    path::Path,
};

use sha2::{Digest as _, Sha256};
use toml::de::{DeTable, DeValue};

use super::{
    Component, Loaded, Origin, Setting, TokenService,
    egress::read_certificates,
    keys, secret,
    secret_files::{SecretFiles, names_a_file},
};

/// Keys that are read once, at the start: the file that is open is the one that is locked and driven, and a line of the log
/// must look like the one before it.
const AT_START: [&str; 5] = ["database.url", "database.urls", "database.url_file", "database.mode", "log.format"];

/// Keys of the platform that are read once, at the start: listeners are bound then, rows are the component's, and the key is
/// held against the database.
const OF_PLATFORM_AT_START: [&str; 6] = [
    "component.appid",
    "callback.listen",
    "secrets.key_file",
    "secrets.previous_key_files",
    "token_service.listen",
    "token_service.behind_proxy",
];

/// Sections that are read once, at the start: a daemon has one name, listeners are bound then, and whoever listens to spans
/// stays.
const SECTIONS_AT_START: [&str; 4] = ["cluster.", "http.", "metrics.", "telemetry."];

/// Sections that mean something to a daemon that keeps the platform's tokens.
const OF_PLATFORM: [&str; 4] = ["component.", "callback.", "secrets.", "token_service."];

/// Whether a change of this key waits for a restart.
#[must_use]
pub fn needs_restart(key: &str) -> bool {
    AT_START.contains(&key)
        || OF_PLATFORM_AT_START.contains(&key)
        || SECTIONS_AT_START.iter().any(|section| key.starts_with(section))
}

/// Fingerprints of all keys as they are written, and of the files of secrets that they name; and where these lie.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents(BTreeMap<&'static str, u64>, pub(super) SecretFiles);

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
        Self(keys().into_iter().map(fingerprint).collect(), SecretFiles::of(table, folder))
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
            if self.waits(key, new) {
                // The same file, spelt in another way, is no change.
                let is_change = if AT_START.contains(&key) { shown } else { is_otherwise };
                changes.at_restart.extend(is_change.then_some(key));
            } else if is_otherwise {
                changes.at_once.push(key);
            }
        }
        changes
    }

    /// Whether this key of `new` waits for a restart. Who begins or ends to keep the platform's tokens, or to serve them, does
    /// so at a restart, with all that belongs to it.
    fn waits(&self, key: &str, new: &Self) -> bool {
        let (ours, theirs) = (&self.config, &new.config);
        let is_of_platform = key == "tokens.source" || OF_PLATFORM.iter().any(|section| key.starts_with(section));
        needs_restart(key)
            || (is_of_platform && ours.keeps_tokens() != theirs.keeps_tokens())
            || (key == "token_service.caller" && ours.token_service.is_some() != theirs.token_service.is_some())
    }

    /// Sections that were written in the file and are not any more, of those without which the daemon would speak to
    /// somebody else.
    #[must_use]
    pub fn sections_lost_in(&self, new: &Self) -> Vec<&'static str> {
        let is_in = |loaded: &Self, section: &str| {
            loaded.settings.iter().any(|setting| {
                setting.key.split('.').next() == Some(section) && matches!(setting.origin, Origin::File(_))
            })
        };
        let is_used = |section: &str| section != "component" || self.config.keeps_tokens();
        let is_lost = |section: &&str| is_used(section) && is_in(self, section) && !is_in(new, section);
        ["database", "wechat", "tokens", "component"].into_iter().filter(is_lost).collect()
    }

    /// `new` in place of this one in a running daemon: what waits for a restart stays as it is.
    #[must_use]
    pub fn replaced_by(&self, mut new: Self) -> Self {
        let waiting: Vec<&str> = keys().into_iter().filter(|key| self.waits(key, &new)).collect();
        let stays = |key: &str| self.settings.iter().find(|setting| setting.key == key && waiting.contains(&key));
        for setting in &mut new.settings {
            if let Some(stays) = stays(setting.key) {
                *setting = stays.clone();
            }
        }
        for (key, content) in self.contents.0.iter().filter(|(key, _)| waiting.contains(*key)) {
            new.contents.0.insert(key, *content);
        }
        new.config.database = self.config.database.clone();
        new.config.component = match (self.config.component.clone(), new.config.component) {
            (Some(ours), Some(new)) => Some(component(ours, new)),
            (ours, _) => ours,
        };
        new.config.token_service = match (self.config.token_service.clone(), new.config.token_service) {
            (Some(ours), Some(new)) => Some(TokenService { callers: new.callers, ..ours }),
            (ours, _) => ours,
        };
        new.config.http.clone_from(&self.config.http);
        new.config.metrics = self.config.metrics;
        new.config.telemetry.clone_from(&self.config.telemetry);
        new.config.log.format = self.config.log.format;
        new
    }
}

/// A component with new secrets and pushes taken by new rules; whose it is, where it listens and what seals its rows stay.
fn component(ours: Component, mut new: Component) -> Component {
    new.callback.listen = ours.callback.listen;
    Component { appid: ours.appid, key: ours.key, previous_keys: ours.previous_keys, ..new }
}

/// Keys of one daemon alone, or that hold secrets of the way to the database.
const OF_ONE_DAEMON: [&str; 7] =
    ["database.", "cluster.node", "cluster.state", "log.", "telemetry.", "http.backup_dir", "http.proxy"];

impl Loaded {
    /// What the configuration comes to, for daemons of one database to compare: all keys but those of one daemon alone, and of
    /// secrets whether they are set.
    #[must_use]
    pub fn common_hash(&self) -> String {
        let is_common = |setting: &&Setting| {
            !setting.key.ends_with(".listen") && !OF_ONE_DAEMON.iter().any(|own| setting.key.starts_with(own))
        };
        let mut hasher = Sha256::new();
        for Setting { key, value, .. } in self.settings.iter().filter(is_common) {
            hasher.update(format!("{key}={value}\n"));
        }
        let digest = hasher.finalize();
        let first: [u8; 8] = std::array::from_fn(|at| digest[at]);
        format!("{:016x}", u64::from_be_bytes(first))
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
    #[test]
    fn a_platform_takes_over_secrets_and_callers_and_begins_and_ends_at_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["secret", "token", "aes", "key"] {
            std::fs::write(folder.path().join(name), "one").unwrap();
        }
        let platform = |component: &str, service: &str| {
            let text = format!(
                "[tokens]\nsource = \"component\"\n[component]\nsecret_file = \"secret\"\nmessage_token_file = \"token\"\n\
                 aes_key_file = \"aes\"\n{component}\n[secrets]\nkey_file = \"key\"\n{service}"
            );
            loaded(folder.path(), &text)
        };
        let service = |listen: &str, name: &str| {
            let key = "0".repeat(64);
            format!(
                "[token_service]\nlisten = \"{listen}\"\n[[token_service.caller]]\nname = \"{name}\"\n\
                 key_sha256 = \"{key}\"\naccounts = [\"*\"]\n"
            )
        };
        let appid = "appid = \"wxcccccccccccccccc\"";
        let before = platform(appid, &service("127.0.0.1:2", "one"));
        std::fs::write(folder.path().join("secret"), "two").unwrap();
        let after = platform("appid = \"wxdddddddddddddddd\"", &service("127.0.0.1:3", "two"));
        let changes = before.changes_to(&after);
        assert_eq!(changes.at_once, ["component.secret_file", "token_service.caller"]);
        assert_eq!(changes.at_restart, ["component.appid", "token_service.listen"]);
        let replaced = before.replaced_by(after);
        let (component, callers) = (replaced.config.component.unwrap(), replaced.config.token_service.unwrap());
        let secret = component.secret.map(|secret| secrecy::ExposeSecret::expose_secret(&secret).to_owned());
        assert_eq!((component.appid.as_str(), secret.as_deref()), ("wxcccccccccccccccc", Some("two")));
        assert_eq!(
            (callers.listen, &*callers.callers[0].name),
            (crate::config::Listen::Tcp(([127, 0, 0, 1], 2).into()), "two")
        );

        let changes = before.changes_to(&platform(appid, ""));
        assert_eq!(changes.at_restart, ["token_service.listen", "token_service.caller"], "it ends at a restart");
        let asked = loaded(folder.path(), "[tokens]\nsource = \"http\"\nurl = \"http://h/{account}\"\n");
        let changes = asked.changes_to(&before);
        let replaced = asked.replaced_by(before.clone());
        assert!(changes.at_restart.contains(&"component.secret_file"), "{changes:?}");
        assert!(!replaced.config.keeps_tokens());
        assert_eq!(replaced.changes_to(&before).at_restart, changes.at_restart, "told each time");
    }
}
