//! The files that hold secrets, wherever the configuration names them, and who may read them.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::Loaded;

/// Permissions of users who are neither the owner nor of the group.
pub(super) const OTHERS: u32 = 0o007;

/// Files of secrets, each with the key that names it.
#[derive(Debug, Clone, Default)]
pub(super) struct SecretFiles(Vec<(String, PathBuf)>);

impl SecretFiles {
    pub(super) fn of(table: &DeTable<'_>, folder: &Path) -> Self {
        let mut found = Self::default();
        found.look_in(table, "", folder, false);
        found
    }

    fn look_in(&mut self, table: &DeTable<'_>, above: &str, folder: &Path, all_are_files: bool) {
        for (name, value) in table {
            let name = name.get_ref().as_ref();
            let key = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
            let is_file = all_are_files || (names_a_file(name) && name != "ca_file");
            self.look_at(value.get_ref(), &key, folder, is_file);
        }
    }

    fn look_at(&mut self, value: &DeValue<'_>, key: &str, folder: &Path, is_file: bool) {
        match value {
            DeValue::String(text) if is_file && !text.is_empty() => {
                self.0.push((key.to_owned(), folder.join(text.as_ref())));
            }
            DeValue::Array(list) => list.iter().for_each(|one| self.look_at(one.get_ref(), key, folder, is_file)),
            // A table of files has names of its own.
            DeValue::Table(table) => self.look_in(table, key, folder, is_file),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }
}

/// Whether a key of this name names files.
pub(super) fn names_a_file(name: &str) -> bool {
    name.ends_with("_file") || name.ends_with("_files")
}

impl Loaded {
    /// Files of secrets that every user of the machine may read, each after its key.
    #[must_use]
    pub fn exposed_secrets(&self) -> Vec<String> {
        let is_exposed =
            |path: &Path| std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & OTHERS != 0);
        let exposed = self.contents.1.0.iter().filter(|(_, path)| is_exposed(path));
        exposed
            .map(|(key, path)| format!("{key}: every user of this machine may read {}: chmod 600", path.display()))
            .collect()
    }
}
