//! `[cluster]`: how a daemon takes part among several on one PostgreSQL database.

use std::{path::Path, time::Duration};

use serde::Deserialize;

use super::{
    InvalidKey,
    value::{self, duration_text},
};
use crate::{
    domain::tenure::terms::Terms,
    store::{
        Location,
        server::settings::{Lock, NodeSettings},
    },
};

/// Names become names of files.
const NAME_MAX: usize = 64;

/// `[cluster]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawCluster {
    node: String,
    #[serde(deserialize_with = "value::duration")]
    lease: Duration,
    state: String,
}

impl Default for RawCluster {
    fn default() -> Self {
        Self { node: String::new(), lease: Terms::default().lease(), state: String::new() }
    }
}

impl RawCluster {
    /// How the daemon takes part; the folder of the configuration is where the lock of its name lies, unless another is named.
    fn resolve(&self, folder: &Path) -> Result<NodeSettings, InvalidKey> {
        let wrong = |key: &str, wrong: String| InvalidKey { key: format!("cluster.{key}"), wrong };
        let name = if self.node.is_empty() { NodeSettings::default().name } else { self.node.clone() };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if name.len() > NAME_MAX || name.starts_with('.') || !name.chars().all(is_plain) || name.is_empty() {
            return Err(wrong(
                "node",
                format!("expected up to {NAME_MAX} letters, digits, dots, dashes and underscores, such as \"a\""),
            ));
        }
        let terms = Terms::new(self.lease).map_err(|bad| wrong("lease", bad.to_string()))?;
        let lock = match self.state.as_str() {
            "" => Lock::IfPossible(folder.to_owned()),
            state => Lock::In(folder.join(state)),
        };
        Ok(NodeSettings { name, terms, lock })
    }

    /// The database, for a daemon that takes part so. In a file there are no others.
    pub(super) fn join(
        &self,
        folder: &Path,
        location: Location,
        appear_within: Duration,
        timeout: Duration,
    ) -> Result<Location, InvalidKey> {
        let node = self.resolve(folder)?;
        Ok(match location {
            Location::Server(address) => {
                let patience = node.terms.check_patience(appear_within, timeout);
                patience
                    .map_err(|wrong| InvalidKey { key: "policy.appear_within".to_owned(), wrong: wrong.to_string() })?;
                Location::Server(address.as_node(node))
            }
            file @ Location::File { .. } => file,
        })
    }

    /// Its values as they are shown.
    pub(super) fn shown(&self) -> [(&'static str, String); 3] {
        [
            ("cluster.node", self.node.clone()),
            ("cluster.lease", duration_text(self.lease)),
            ("cluster.state", self.state.clone()),
        ]
    }
}
