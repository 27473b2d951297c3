//! `[wechat]`: how hard `WeChat` may be worked, and the way to it.

use std::{path::Path, time::Duration};

use secrecy::SecretString;
use serde::Deserialize;

use super::{
    InvalidKey,
    egress::RawEgress,
    secret::{self, Secrets},
    value,
};
use crate::net::egress::Egress;

/// Calls that may wait for `WeChat` at once: more would exhaust the file descriptors of a common machine.
const IN_FLIGHT_MAX: u32 = 10_000;

/// Calls per second: beyond what any machine makes, so that a test may say "as fast as you can".
const PER_SECOND_MAX: u32 = 1_000_000;

/// `[wechat]`
#[derive(Debug, Clone)]
pub struct Wechat {
    /// Where `/cgi-bin/...` and `/wxa/...` are appended, without a slash at its end.
    pub base_url: String,
    /// How long one call may take, from connecting to the last byte.
    pub timeout: Duration,
    /// Calls that may be under way at once, at least 1.
    pub in_flight: u32,
    /// Calls that may begin per second, at least 1.
    pub per_second: u32,
    /// The way to it.
    pub egress: Egress,
}

/// `[wechat]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawWechat {
    #[serde(deserialize_with = "value::base_url")]
    pub(super) base_url: String,
    #[serde(deserialize_with = "value::duration")]
    pub(super) timeout: Duration,
    #[serde(deserialize_with = "value::whole::<1, IN_FLIGHT_MAX, _>")]
    pub(super) in_flight: u32,
    #[serde(deserialize_with = "value::whole::<1, PER_SECOND_MAX, _>")]
    pub(super) per_second: u32,
    #[serde(deserialize_with = "secret::text")]
    pub(super) proxy: Option<SecretString>,
    pub(super) proxy_file: String,
    pub(super) ca_file: String,
}

impl Default for RawWechat {
    fn default() -> Self {
        Self {
            base_url: "https://api.weixin.qq.com".to_owned(),
            timeout: Duration::from_secs(10),
            in_flight: 64,
            per_second: 200,
            proxy: None,
            proxy_file: String::new(),
            ca_file: String::new(),
        }
    }
}

impl RawWechat {
    pub(super) fn egress(&self) -> RawEgress<'_> {
        RawEgress { proxy: self.proxy.as_ref(), proxy_file: &self.proxy_file, ca_file: &self.ca_file }
    }

    /// Reads the files of the way out.
    pub(super) fn resolve(self, folder: &Path, secrets: Secrets) -> Result<Wechat, InvalidKey> {
        let refused = |(key, wrong)| InvalidKey { key: format!("wechat.{key}"), wrong };
        let egress = self.egress().resolve(folder, secrets).map_err(refused)?;
        let Self { base_url, timeout, in_flight, per_second, .. } = self;
        Ok(Wechat { base_url, timeout, in_flight, per_second, egress })
    }
}
