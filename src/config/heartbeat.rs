//! `[heartbeat]`: which service is pinged. The URL is never shown: whoever has it can report that all is well.

use std::{path::Path, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    InvalidKey,
    egress::RawEgress,
    secret::{self, Secrets},
    value,
};
use crate::{
    net::egress::Egress,
    notify::heartbeat::{HeartbeatKind, HeartbeatSettings},
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
    /// How the service is told.
    pub kind: HeartbeatKind,
    /// The way to it.
    pub egress: Egress,
}

impl Heartbeat {
    /// What the client of the service is made of; `None` is off.
    #[must_use]
    pub fn settings(&self) -> Option<HeartbeatSettings> {
        let url = self.url.clone()?;
        Some(HeartbeatSettings { kind: self.kind, url, timeout: self.timeout, egress: self.egress.clone() })
    }
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
    pub(super) kind: HeartbeatKind,
    #[serde(deserialize_with = "secret::text")]
    pub(super) proxy: Option<SecretString>,
    pub(super) proxy_file: String,
    pub(super) ca_file: String,
}

impl std::fmt::Debug for RawHeartbeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WrittenHeartbeat").field("every", &self.every).finish_non_exhaustive()
    }
}

impl Default for RawHeartbeat {
    fn default() -> Self {
        Self {
            url: None,
            url_file: String::new(),
            every: Duration::from_mins(1),
            timeout: Duration::from_secs(10),
            kind: HeartbeatKind::default(),
            proxy: None,
            proxy_file: String::new(),
            ca_file: String::new(),
        }
    }
}

impl RawHeartbeat {
    pub(super) fn egress(&self) -> RawEgress<'_> {
        RawEgress { proxy: self.proxy.as_ref(), proxy_file: &self.proxy_file, ca_file: &self.ca_file }
    }

    /// Reads the files that hold the address and the way to it.
    pub(super) fn resolve(self, folder: &Path, secrets: Secrets) -> Result<Heartbeat, InvalidKey> {
        let egress = self.egress().resolve(folder, secrets);
        let egress = egress.map_err(|(key, wrong)| InvalidKey { key: format!("heartbeat.{key}"), wrong })?;
        let key = if self.url_file.is_empty() { "heartbeat.url" } else { "heartbeat.url_file" };
        let refused = |wrong| InvalidKey { key: key.to_owned(), wrong };
        let url = secret::one("url", self.url, Some(&self.url_file), folder, secrets).map_err(refused)?;
        if let Some(url) = &url {
            value::any_web_address(url.expose_secret()).map_err(refused)?;
        }
        Ok(Heartbeat { url, every: self.every, timeout: self.timeout, kind: self.kind, egress })
    }
}
