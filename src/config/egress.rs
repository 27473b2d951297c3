//! `proxy`, `proxy_file` and `ca_file`, which every section has that speaks to somebody outside. A proxy's user and
//! password are never shown.

use std::{io::Read as _, path::Path};

use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Config, TokenSource,
    secret::{self, Secrets},
};
use crate::{
    net::{egress::Egress, proxy::Proxy, trust::Authorities},
    notify::Kind,
};

/// A bundle of authorities is a few hundred kilobytes at most; more is the wrong file.
const CA_FILE_MAX: u64 = 4 << 20;

/// The three keys of one section as they are written; empty is not set.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawEgress<'s> {
    pub(super) proxy: Option<&'s SecretString>,
    pub(super) proxy_file: &'s str,
    pub(super) ca_file: &'s str,
}

impl RawEgress<'_> {
    /// Whether any of the keys is set.
    pub(super) const fn is_set(&self) -> bool {
        self.proxy.is_some() || !self.proxy_file.is_empty() || !self.ca_file.is_empty()
    }

    /// Reads both files; a mistake comes with its key.
    pub(super) fn resolve(self, folder: &Path, secrets: Secrets) -> Result<Egress, (&'static str, String)> {
        let key = if self.proxy_file.is_empty() { "proxy" } else { "proxy_file" };
        let proxy = secret::one("proxy", self.proxy.cloned(), Some(self.proxy_file), folder, secrets);
        let proxy = proxy.and_then(|text| text.as_ref().map(Proxy::parse).transpose()).map_err(|wrong| (key, wrong))?;
        let authorities = match (self.ca_file, secrets) {
            ("", _) | (_, Secrets::Left) => Authorities::default(),
            (file, Secrets::Read) => authorities(&folder.join(file)).map_err(|wrong| ("ca_file", wrong))?,
        };
        Ok(Egress { proxy, authorities })
    }

    /// Each key with its value as it may be shown.
    pub(super) fn shown(self) -> [String; 3] {
        let or_not_set = |text: &str| if text.is_empty() { "(not set)".to_owned() } else { text.to_owned() };
        let proxy = match (self.proxy, self.proxy_file) {
            // One that is none is an error before anybody sees this.
            (Some(proxy), _) => Proxy::parse(proxy).map_or_else(|_| "(set)".to_owned(), |proxy| proxy.shown()),
            (None, "") => "(not set)".to_owned(),
            (None, _) => "(in its file)".to_owned(),
        };
        [proxy, or_not_set(self.proxy_file), or_not_set(self.ca_file)]
    }
}

impl Config {
    /// What is called without a proxy, in the words of the file: `[wechat]`, `channel ops`. Addresses of this machine do
    /// not count, nor does what has none.
    #[must_use]
    pub fn direct_sides(&self) -> Vec<String> {
        let tokens = match &self.tokens.source {
            TokenSource::Http { url, .. } => Some(SecretString::from(url.template())),
            TokenSource::Command(_) | TokenSource::Static(_) | TokenSource::Component => None,
        };
        let wechat = Some(SecretString::from(self.wechat.base_url.as_str()));
        let mut sides = vec![
            ("[wechat]".to_owned(), wechat, &self.wechat.egress),
            ("[tokens]".to_owned(), tokens, &self.tokens.egress),
        ];
        for channel in self.alerts.channels.iter().filter(|channel| channel.kind != Kind::Log) {
            sides.push((format!("channel {}", channel.name), channel.url.clone(), &channel.egress));
        }
        sides.push(("[heartbeat]".to_owned(), self.heartbeat.url.clone(), &self.heartbeat.egress));
        let collector = self.telemetry.endpoint.as_ref().map(|endpoint| SecretString::from(endpoint.as_str()));
        sides.push(("[telemetry]".to_owned(), collector, &self.telemetry.egress));
        let leaves = |url: &SecretString| !is_this_machine(url.expose_secret());
        let direct =
            sides.into_iter().filter(|(_, url, egress)| egress.proxy.is_none() && url.as_ref().is_some_and(leaves));
        direct.map(|(side, ..)| side).collect()
    }
}

fn is_this_machine(url: &str) -> bool {
    let host = url.parse::<reqwest::Url>().ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The beginning of a file of certificates, one byte more than the most that is taken.
pub(super) fn read_certificates(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(CA_FILE_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn authorities(path: &Path) -> Result<Authorities, String> {
    let named = |wrong: &dyn std::fmt::Display| format!("{}: {wrong}", path.display());
    let bytes = read_certificates(path).map_err(|wrong| named(&wrong))?;
    if bytes.len() as u64 > CA_FILE_MAX {
        return Err(named(&"too large for certificates"));
    }
    Authorities::from_pem(&bytes).map_err(|wrong| named(&wrong))
}
