//! `[telemetry]`: where traces go, in a binary that was built with the feature `otel`.

use std::path::Path;

use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    InvalidKey,
    egress::RawEgress,
    secret::{self, Secrets},
};
use crate::net::egress::Egress;

/// `[telemetry]`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Telemetry {
    /// The collector, without a path of OTLP's; `None`: nothing is traced.
    pub endpoint: Option<Url>,
    /// The share of polls and of calls to `WeChat` that is traced, from 0 to 1.
    pub sample_ratio: f64,
    /// The way to the collector.
    pub egress: Egress,
}

/// `[telemetry]` as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTelemetry {
    pub(super) otlp_endpoint: String,
    pub(super) sample_ratio: f64,
    #[serde(deserialize_with = "secret::text")]
    pub(super) proxy: Option<SecretString>,
    pub(super) proxy_file: String,
    pub(super) ca_file: String,
}

impl RawTelemetry {
    pub(super) fn egress(&self) -> RawEgress<'_> {
        RawEgress { proxy: self.proxy.as_ref(), proxy_file: &self.proxy_file, ca_file: &self.ca_file }
    }

    /// Reads the files of the way out.
    pub(super) fn resolve(&self, folder: &Path, secrets: Secrets) -> Result<Telemetry, InvalidKey> {
        let invalid = |key: &str, wrong: &str| InvalidKey { key: format!("telemetry.{key}"), wrong: wrong.to_owned() };
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(invalid("sample_ratio", "expected a share from 0.0 (none) to 1.0 (all)"));
        }
        let endpoint = endpoint(&self.otlp_endpoint).map_err(|wrong| invalid("otlp_endpoint", wrong))?;
        let egress = self.egress().resolve(folder, secrets).map_err(|(key, wrong)| invalid(key, &wrong))?;
        Ok(Telemetry { endpoint, sample_ratio: self.sample_ratio, egress })
    }
}

fn endpoint(text: &str) -> Result<Option<Url>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = "expected an address such as \"http://127.0.0.1:4318\", without a name, a password or a query";
    let url = Url::parse(text).map_err(|_| wrong)?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    let is_http = ["http", "https"].contains(&url.scheme()) && url.fragment().is_none();
    if is_http && is_plain { Ok(Some(url)) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<Telemetry, String> {
        let raw: RawTelemetry = toml::from_str(text).unwrap();
        raw.resolve(Path::new("/nowhere"), Secrets::Read).map_err(|bad| bad.key)
    }

    #[test]
    fn an_endpoint_is_an_address_and_a_share_is_one() {
        assert_eq!(resolved("").unwrap(), Telemetry::default());
        let telemetry = resolved("otlp_endpoint = 'https://traces.example/otlp'\nsample_ratio = 0.01").unwrap();
        assert_eq!(telemetry.endpoint.unwrap().path(), "/otlp");
        for bad in ["127.0.0.1:4318", "grpc://a.example", "http://u:p@a.example", "http://a.example?key=1", "x"] {
            assert_eq!(resolved(&format!("otlp_endpoint = '{bad}'")).unwrap_err(), "telemetry.otlp_endpoint", "{bad}");
        }
        for bad in ["-0.1", "1.5", "nan", "inf"] {
            assert_eq!(resolved(&format!("sample_ratio = {bad}")).unwrap_err(), "telemetry.sample_ratio", "{bad}");
        }
        assert!(resolved("proxy = 'http://proxy.example:3128'").unwrap().egress.proxy.is_some());
        assert_eq!(resolved("proxy = 'socks5://proxy.example'").unwrap_err(), "telemetry.proxy");
        assert_eq!(resolved("ca_file = 'none.pem'").unwrap_err(), "telemetry.ca_file");
    }
}
