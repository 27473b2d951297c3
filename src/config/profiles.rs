//! Daemons that the command line speaks to over HTTP: by profiles of the user, or by two variables. A token stands in a file
//! of its own and is shown in no error.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use serde::Deserialize;

use super::{
    egress::RawEgress,
    error,
    secret::{self, Secrets},
    secret_files::OTHERS,
    text_file,
};
use crate::net::egress::Egress;

/// A few dozen profiles are a few kilobytes; more is the wrong file.
const FILE_MAX: u64 = 1 << 20;

/// The variable that names a daemon, as `--server` does.
pub const SERVER_VARIABLE: &str = "AMPLINKD_SERVER";

/// The variable that names the file of the token for it.
pub const TOKEN_VARIABLE: &str = "AMPLINKD_TOKEN_FILE";

/// What the environment of this process says about remote daemons.
#[derive(Debug, Clone, Default)]
pub struct RemoteVariables {
    /// `AMPLINKD_SERVER`.
    pub server: Option<String>,
    /// `AMPLINKD_TOKEN_FILE`.
    pub token_file: Option<PathBuf>,
    /// Where profiles are kept: below `XDG_CONFIG_HOME`, else below `HOME`.
    pub profiles: Option<PathBuf>,
}

impl RemoteVariables {
    /// Those of this process; an empty value is none.
    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = path("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute());
        let folder = folder.or_else(|| path("HOME").map(|home| home.join(".config")));
        Self {
            server: variable(SERVER_VARIABLE)
                .map(|value| value.to_string_lossy().into_owned())
                .filter(|server| !server.is_empty()),
            token_file: path(TOKEN_VARIABLE),
            profiles: folder.map(|folder| folder.join("amplinkd").join("profiles.toml")),
        }
    }
}

/// What this process's environment says about remote daemons.
#[must_use]
pub fn remote_variables() -> RemoteVariables {
    RemoteVariables::read(|name| std::env::var_os(name))
}

/// One daemon, and how it is reached.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its address, as it is written.
    pub server: String,
    /// The file that holds the token.
    pub token_file: PathBuf,
    /// Proxy and authorities.
    pub egress: Egress,
    /// Whether the token may be sent without TLS to another machine.
    pub insecure: bool,
}

/// A profile as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProfile {
    server: String,
    token_file: String,
    #[serde(default)]
    ca_file: String,
    #[serde(default, deserialize_with = "secret::text")]
    proxy: Option<SecretString>,
    #[serde(default)]
    proxy_file: String,
    #[serde(default)]
    insecure: bool,
}

/// The profile of this name. Relative files are beside the file of profiles.
///
/// # Errors
/// A sentence: the file cannot be read or is wrong, with the line; or there is no such profile, with those that there are.
pub fn profile(file: &Path, name: &str) -> Result<Profile, String> {
    let shown = file.display();
    if !file.exists() {
        return Err(format!(
            "there is no file of profiles {shown}: make it with a section [{name}], as docs/remote.md shows"
        ));
    }
    let text =
        text_file::read(file, FILE_MAX, "too large for a file of profiles").map_err(|why| format!("{shown}: {why}"))?;
    let placed = |wrong: toml::de::Error| match wrong.span() {
        Some(span) => format!("{shown}, line {}: {}", error::place(&text, span.start).0, wrong.message()),
        None => format!("{shown}: {}", wrong.message()),
    };
    let mut profiles: BTreeMap<String, RawProfile> = toml::from_str(&text).map_err(placed)?;
    let Some(raw) = profiles.remove(name) else {
        let names: Vec<&str> = profiles.keys().map(String::as_str).collect();
        let there = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
        return Err(format!("there is no profile {name:?} in {shown}; {there}"));
    };
    raw.resolve(file).map_err(|(key, wrong)| format!("{shown}: [{name}] {key}: {wrong}"))
}

impl Profile {
    /// A daemon at this address, without a proxy and authorities of its own.
    #[must_use]
    pub fn at(server: String, token_file: PathBuf) -> Self {
        Self { server, token_file, egress: Egress::default(), insecure: false }
    }
}

impl RawProfile {
    /// Reads the files that it names, but the token's.
    fn resolve(self, file: &Path) -> Result<Profile, (&'static str, String)> {
        let folder = file.parent().unwrap_or(Path::new("/"));
        let Self { server, token_file, ca_file, proxy, proxy_file, insecure } = self;
        let empty = || "expected a value".to_owned();
        if server.is_empty() {
            return Err(("server", empty()));
        }
        if token_file.is_empty() {
            return Err(("token_file", empty()));
        }
        let raw = RawEgress { proxy: proxy.as_ref(), proxy_file: &proxy_file, ca_file: &ca_file };
        let egress = raw.resolve(folder, Secrets::Read)?;
        Ok(Profile { server, token_file: folder.join(token_file), egress, insecure })
    }
}

/// A token from its file, which nobody but its owner and group may read.
///
/// # Errors
/// A sentence, without anything of the file.
pub fn token(file: &Path) -> Result<SecretString, String> {
    let shown = file.display();
    let is_exposed = std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & OTHERS != 0);
    if is_exposed {
        return Err(format!("every user of this machine may read the token in {shown}: chmod 600"));
    }
    secret::read(file).map_err(|why| format!("cannot read the token in {shown}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, name: &str) -> Result<Profile, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("profiles.toml");
        std::fs::write(&file, text).unwrap();
        profile(&file, name).map_err(|wrong| wrong.replace(&format!("{}/", folder.path().display()), ""))
    }

    #[test]
    fn a_profile_is_found_by_its_name_and_every_mistake_has_its_place() {
        let good = "[prod]\nserver = \"https://a.example\"\ntoken_file = \"prod.token\"\n";
        let found = said(good, "prod").unwrap();
        assert!(found.token_file.ends_with("prod.token") && found.token_file.is_absolute() && !found.insecure);
        let wrong = |text: &str, name: &str| said(text, name).unwrap_err();
        assert_eq!(wrong(good, "test"), "there is no profile \"test\" in profiles.toml; it has prod");
        let unknown = wrong(&format!("{good}tokn = \"secret\"\n"), "prod");
        assert!(unknown.starts_with("profiles.toml, line 4: unknown field `tokn`"), "{unknown}");
        let missing = wrong("[prod]\nserver = \"https://a.example\"\n", "prod");
        assert!(missing.contains("missing field `token_file`"), "{missing}");
        let secret = wrong(&format!("{good}proxy = 4711\n"), "prod");
        assert!(!secret.contains("4711"), "{secret}");
        assert!(wrong(&format!("{good}ca_file = \"none.pem\"\n"), "prod").starts_with("profiles.toml: [prod] ca_file"));
    }

    #[test]
    fn profiles_lie_below_the_users_configuration() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs: Vec<(String, OsString)> = pairs.iter().map(|(a, b)| ((*a).to_owned(), b.into())).collect();
            RemoteVariables::read(|name| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
        };
        let at = |pairs: &[(&str, &str)]| of(pairs).profiles.map(|path| path.display().to_string());
        assert_eq!(at(&[("HOME", "/h")]).as_deref(), Some("/h/.config/amplinkd/profiles.toml"));
        assert_eq!(at(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]).as_deref(), Some("/x/amplinkd/profiles.toml"));
        assert_eq!(
            at(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "x")]).as_deref(),
            Some("/h/.config/amplinkd/profiles.toml")
        );
        assert_eq!(at(&[]), None);
        assert_eq!(of(&[("AMPLINKD_SERVER", "")]).server, None);
    }
}
