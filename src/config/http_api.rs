//! `[http]` and `[metrics]`: the door for programs and people. Nothing listens until `listen` is set; whatever is set is
//! checked all the same.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::Deserialize;

use super::{InvalidKey, component::Listen, value};

/// Connections at once: each costs a file descriptor and some kilobytes.
const CONNECTIONS_MAX: u32 = 100_000;

/// Event streams at once: each is a connection for as long as somebody watches.
const STREAMS_MAX: u32 = 10_000;

/// Bytes of a request's body: a single request of ours has some hundred.
const BODY_BYTES_MIN: u32 = 16 << 10;
const BODY_BYTES_MAX: u32 = 64 << 20;

/// `[http]`, when it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Where it listens.
    pub listen: Listen,
    /// Names that a request may give as its host, in small letters; besides them only a peer on this machine may call it
    /// `localhost` or by a loopback address.
    pub hosts: Vec<String>,
    /// What stands before every path, as in `/amplinkd`; empty for nothing.
    pub base_path: String,
    /// A proxy that says who its users are.
    pub proxy: Option<TrustedProxy>,
    /// Where backups may be made that are asked for here; `None`: none may.
    pub backup_dir: Option<PathBuf>,
    /// Connections at once, at least 1; more wait to be accepted.
    pub connections: u32,
    /// Of these, event streams, at least 1.
    pub streams: u32,
    /// Bytes of a request's body; one of many requests may have 16 times as many.
    pub body_bytes: u32,
}

impl Http {
    /// At an address of this machine, with everything else as it is by default.
    #[must_use]
    pub fn on_loopback(port: u16) -> Self {
        let RawHttp { connections, streams, body_bytes, .. } = RawHttp::default();
        Self {
            listen: Listen::Tcp((Ipv4Addr::LOCALHOST, port).into()),
            hosts: Vec::new(),
            base_path: String::new(),
            proxy: None,
            backup_dir: None,
            connections,
            streams,
            body_bytes,
        }
    }
}

/// `[http.proxy]`: whose word is taken for who a user is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxy {
    /// The addresses that the proxy calls from; never empty.
    pub from: Vec<Network>,
    /// The header with the user's name, in small letters.
    pub user: String,
    /// The header with the user's groups, with commas between, in small letters.
    pub groups: String,
    /// Groups whose users are operators.
    pub operators: Vec<String>,
    /// Groups whose users are administrators.
    pub admins: Vec<String>,
}

/// `[metrics]`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Whoever reaches the listener may read them, without a token.
    pub open: bool,
}

/// Addresses that begin alike, as in `10.0.0.0/8`; a single one without the slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address is one of them. An IPv4 address in IPv6 clothes is the IPv4 address.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let equal_bits = match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (ours.to_bits() ^ theirs.to_bits()).leading_zeros(),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits() ^ theirs.to_bits()).leading_zeros(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        equal_bits >= u32::from(self.bits)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no network such as \"10.0.0.0/8\" or \"127.0.0.1/32\"");
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if bits > most { Err(wrong()) } else { Ok(Self { address, bits }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// `[http]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawHttp {
    pub(super) listen: String,
    pub(super) hosts: Vec<String>,
    pub(super) base_path: String,
    pub(super) proxy: Option<RawProxy>,
    pub(super) backup_dir: String,
    #[serde(deserialize_with = "value::whole::<1, CONNECTIONS_MAX, _>")]
    pub(super) connections: u32,
    #[serde(deserialize_with = "value::whole::<1, STREAMS_MAX, _>")]
    pub(super) streams: u32,
    #[serde(deserialize_with = "value::whole::<BODY_BYTES_MIN, BODY_BYTES_MAX, _>")]
    pub(super) body_bytes: u32,
}

impl Default for RawHttp {
    fn default() -> Self {
        Self {
            listen: String::new(),
            hosts: Vec::new(),
            base_path: String::new(),
            proxy: None,
            backup_dir: String::new(),
            connections: 1_200,
            streams: 64,
            body_bytes: 1 << 20,
        }
    }
}

/// `[http.proxy]` as it is written.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawProxy {
    pub(super) from: Vec<String>,
    pub(super) user: String,
    pub(super) groups: String,
    pub(super) operators: Vec<String>,
    pub(super) admins: Vec<String>,
}

impl Default for RawProxy {
    fn default() -> Self {
        Self {
            from: Vec::new(),
            user: "X-Forwarded-User".to_owned(),
            groups: "X-Forwarded-Groups".to_owned(),
            operators: Vec::new(),
            admins: Vec::new(),
        }
    }
}

fn wrong(key: &str, wrong: impl Into<String>) -> InvalidKey {
    InvalidKey { key: format!("http.{key}"), wrong: wrong.into() }
}

impl RawHttp {
    /// Checks all of it; `None` when it does not listen.
    pub(super) fn resolve(self, folder: &Path) -> Result<Option<Http>, InvalidKey> {
        let hosts = self.hosts.iter().map(|name| host(name)).collect::<Result<Vec<_>, _>>();
        let hosts = hosts.map_err(|bad| wrong("hosts", bad))?;
        let base_path = base_path(&self.base_path).map_err(|bad| wrong("base_path", bad))?;
        let proxy = self.proxy.filter(|proxy| *proxy != RawProxy::default());
        let proxy = proxy.map(RawProxy::resolve).transpose().map_err(|bad| wrong("proxy", bad))?;
        let backup_dir = (!self.backup_dir.is_empty()).then(|| folder.join(&self.backup_dir));
        if self.listen.is_empty() {
            return Ok(None);
        }
        let listen = super::component::listen(&self.listen, folder).map_err(|bad| wrong("listen", bad))?;
        if let Listen::Tcp(address) = listen
            && !address.ip().is_loopback()
            && hosts.is_empty()
        {
            let bad = "whoever listens beyond this machine must know its names, or any web page could reach it through its \
                       readers' browsers (DNS rebinding): list them in hosts, as in hosts = [\"links.example\"], or listen \
                       on 127.0.0.1";
            return Err(wrong("listen", bad));
        }
        let Self { connections, streams, body_bytes, .. } = self;
        Ok(Some(Http { listen, hosts, base_path, proxy, backup_dir, connections, streams, body_bytes }))
    }
}

impl RawProxy {
    fn resolve(self) -> Result<TrustedProxy, String> {
        if self.from.is_empty() {
            return Err("from is missing: without the proxy's addresses anybody could claim to be anybody; \
                        name them, as in from = [\"127.0.0.1/32\"]"
                .to_owned());
        }
        let from = self.from.iter().map(|network| network.parse()).collect::<Result<_, _>>()?;
        let header = |name: &str| {
            reqwest::header::HeaderName::from_bytes(name.as_bytes())
                .map(|name| name.as_str().to_owned())
                .map_err(|_| format!("{name:?} is no name of an HTTP header"))
        };
        let (user, groups) = (header(&self.user)?, header(&self.groups)?);
        if user == groups || [&user, &groups].iter().any(|name| ["authorization", "cookie"].contains(&name.as_str())) {
            return Err("user and groups need a header each, neither Authorization nor Cookie".to_owned());
        }
        Ok(TrustedProxy { from, user, groups, operators: self.operators, admins: self.admins })
    }

    /// As the file would write it.
    pub(super) fn shown(&self, quoted: impl Fn(&str) -> String) -> String {
        if *self == Self::default() {
            return "{}".to_owned();
        }
        let list = |all: &[String]| format!("[{}]", all.iter().map(|one| quoted(one)).collect::<Vec<_>>().join(", "));
        let Self { from, user, groups, operators, admins } = self;
        format!(
            "{{ from = {}, user = {}, groups = {}, operators = {}, admins = {} }}",
            list(from),
            quoted(user),
            quoted(groups),
            list(operators),
            list(admins)
        )
    }
}

/// A host's name in small letters, or an address.
fn host(name: &str) -> Result<String, String> {
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    let is_name =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || [b'.', b'-', b'_'].contains(&b));
    if is_name {
        return Ok(name.trim_end_matches('.').to_ascii_lowercase());
    }
    Err(format!(
        "{name:?} is no host such as \"links.example\": a name or an address, without https://, port or path; each is \
                 written out, without *"
    ))
}

fn base_path(path: &str) -> Result<String, String> {
    let path = if path == "/" { "" } else { path };
    let is_segment = |segment: &str| {
        !segment.is_empty()
            && !segment.bytes().all(|b| b == b'.')
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || [b'-', b'_', b'.', b'~'].contains(&b))
    };
    let is_path = path.strip_prefix('/').is_none_or(|rest| rest.split('/').all(is_segment));
    if path.is_empty() || (path.starts_with('/') && is_path) {
        return Ok(path.to_owned());
    }
    Err("expected a path such as \"/amplinkd\": a slash before each part and none at the end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<Option<Http>, (String, String)> {
        let raw: RawHttp = toml::from_str(text).unwrap();
        raw.resolve(Path::new("/etc/amplinkd")).map_err(|bad| (bad.key, bad.wrong))
    }

    #[test]
    fn nothing_listens_until_it_is_told_to_and_beyond_this_machine_only_with_names() {
        assert_eq!(resolved("").unwrap(), None);
        let http = resolved("listen = '127.0.0.1:8750'\nbase_path = '/x'\nbackup_dir = 'copies'").unwrap().unwrap();
        assert_eq!((http.base_path.as_str(), http.hosts.len(), http.streams), ("/x", 0, 64));
        assert_eq!(http.backup_dir.as_deref(), Some(Path::new("/etc/amplinkd/copies")));
        assert!(resolved("listen = 'unix:/run/amplinkd/http.sock'").unwrap().is_some());
        let (key, bad) = resolved("listen = '0.0.0.0:8750'").unwrap_err();
        assert!(key == "http.listen" && bad.contains("list them in hosts"), "{bad}");
        let http = resolved("listen = '0.0.0.0:8750'\nhosts = ['Links.Example.', '[::1]']").unwrap().unwrap();
        assert_eq!(http.hosts, ["links.example", "::1"]);
        for bad in ["https://a.example", "a.example:80", "*.example", "", "a/b"] {
            assert_eq!(resolved(&format!("hosts = ['{bad}']")).unwrap_err().0, "http.hosts", "{bad}");
        }
        for bad in ["x", "/x/", "//x", "/a b", "/..", "/x/./y", "/%41"] {
            assert_eq!(resolved(&format!("base_path = '{bad}'")).unwrap_err().0, "http.base_path", "{bad}");
        }
    }

    #[test]
    fn a_proxy_that_anybody_could_be_is_refused() {
        let (key, bad) = resolved("[proxy]\noperators = ['ops']").unwrap_err();
        assert!(key == "http.proxy" && bad.contains("from is missing"), "{bad}");
        let text = "listen = '127.0.0.1:1'\n[proxy]\nfrom = ['10.0.0.0/8', '::1']\noperators = ['ops']\n";
        let proxy = resolved(text).unwrap().unwrap().proxy.unwrap();
        assert_eq!((proxy.user.as_str(), proxy.groups.as_str()), ("x-forwarded-user", "x-forwarded-groups"));
        assert_eq!(proxy.operators, ["ops"]);
        for bad in ["from = ['10.0.0.0/33']", "from = ['proxy.example']", "from = ['::1']\nuser = 'Cookie'"] {
            assert_eq!(resolved(&format!("[proxy]\n{bad}")).unwrap_err().0, "http.proxy", "{bad}");
        }
    }

    #[test]
    fn a_network_has_the_addresses_that_begin_alike() {
        let has = |network: &str, address: &str| network.parse::<Network>().unwrap().has(address.parse().unwrap());
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(
            has("127.0.0.1", "127.0.0.1") && has("127.0.0.1", "::ffff:127.0.0.1") && !has("127.0.0.1", "127.0.0.2")
        );
        assert!(has("0.0.0.0/0", "8.8.8.8") && !has("0.0.0.0/0", "::1") && has("fd00::/8", "fd12::1"));
    }
}
