//! `[heartbeat]`: which service is pinged. The URL is never shown: whoever has it can report that all is well.

use std::{path::Path, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    InvalidKey,
    secret::{self, Secrets},
    value,
};

/// `[heartbeat]`
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// The address that is asked while all is well; `None` is off, or the configuration was read without its secrets.
    pub url: Option<SecretString>,
    /// How often.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// `[heartbeat]` as it is written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawHeartbeat {
    #[serde(deserialize_with = "secret::text")]
    pub(super) url: Option<SecretString>,
    pub(super) url_file: String,
    #[serde(deserialize_with = "value::duration")]
    pub(super) every: Duration,
    #[serde(deserialize_with = "value::duration")]
    pub(super) timeout: Duration,
}

impl std::fmt::Debug for RawHeartbeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WrittenHeartbeat").field("every", &self.every).finish_non_exhaustive()
    }
}

impl Default for RawHeartbeat {
    fn default() -> Self {
        Self { url: None, url_file: String::new(), every: Duration::from_mins(1), timeout: Duration::from_secs(10) }
    }
}

impl RawHeartbeat {
    /// Reads the file that holds the address.
    pub(super) fn resolve(self, folder: &Path, secrets: Secrets) -> Result<Heartbeat, InvalidKey> {
        let key = if self.url_file.is_empty() { "heartbeat.url" } else { "heartbeat.url_file" };
        let refused = |wrong| InvalidKey { key: key.to_owned(), wrong };
        let url = secret::one("url", self.url, Some(&self.url_file), folder, secrets).map_err(refused)?;
        if let Some(url) = &url {
            value::any_web_address(url.expose_secret()).map_err(refused)?;
        }
        Ok(Heartbeat { url, every: self.every, timeout: self.timeout })
    }
}
