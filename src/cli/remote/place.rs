//! Which daemon a command is for: the one of this machine, or one elsewhere that options or variables name.

use std::path::PathBuf;

use crate::{
    cli::context::{Usage, note},
    config::{self, Profile, RemoteVariables, SERVER_VARIABLE, TOKEN_VARIABLE},
    remote::{Address, Target, address::Plain},
};

/// A daemon elsewhere, as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Place {
    /// By `--server`.
    Server(String),
    /// By `--profile`.
    Profile(String),
    /// By `AMPLINKD_SERVER`.
    Variable(String),
}

/// Which daemon is meant; `None` for the one of this machine. What is typed goes before what the environment says.
///
/// # Errors
/// [`Usage`]: two are named.
pub(in crate::cli) fn place(
    (server, profile): (Option<String>, Option<String>),
    names_a_file: bool,
    variables: &RemoteVariables,
) -> Result<Option<Place>, Usage> {
    match (server, profile) {
        (Some(_), Some(_)) => Err(Usage("--server and --profile name a daemon each: give one of them".to_owned())),
        (Some(_), None) | (None, Some(_)) if names_a_file => Err(Usage(
            "--config is about the daemon of this machine, --server and --profile about one elsewhere: give one of them"
                .to_owned(),
        )),
        (Some(server), None) => Ok(Some(Place::Server(server))),
        (None, Some(name)) => Ok(Some(Place::Profile(name))),
        (None, None) => {
            let Some(server) = variables.server.clone() else { return Ok(None) };
            if names_a_file {
                note(format!("--config goes before {SERVER_VARIABLE}: this is about the daemon of this machine"));
                return Ok(None);
            }
            Ok(Some(Place::Variable(server)))
        }
    }
}

impl Place {
    /// Whether the environment names it.
    #[must_use]
    pub(in crate::cli) const fn is_of_environment(&self) -> bool {
        matches!(self, Self::Variable(_))
    }

    /// How to do without it.
    #[must_use]
    pub(in crate::cli) fn without(&self) -> String {
        match self {
            Self::Server(_) => "leave out --server".to_owned(),
            Self::Profile(_) => "leave out --profile".to_owned(),
            Self::Variable(_) => format!("unset {SERVER_VARIABLE}, or name a file with --config"),
        }
    }

    /// Whom to speak to, with the token.
    ///
    /// # Errors
    /// [`Usage`]: the address, the profile or the file of the token is wrong.
    pub(super) fn target(self, variables: RemoteVariables) -> Result<Target, Usage> {
        let (named, profile) = match self {
            Self::Server(server) => ("--server", of_variables(server, variables.token_file)?),
            Self::Variable(server) => (SERVER_VARIABLE, of_variables(server, variables.token_file)?),
            Self::Profile(name) => ("--profile", of_profiles(&name, variables.profiles)?),
        };
        let Profile { server, token_file, egress, insecure } = profile;
        let plain = if insecure { Plain::Allowed } else { Plain::Refused };
        let address = Address::parse(&server, plain).map_err(|wrong| Usage(format!("{named}: {wrong}")))?;
        let token = config::token(&token_file).map_err(Usage)?;
        Ok(Target { address, token, token_file, egress })
    }
}

fn of_variables(server: String, token_file: Option<PathBuf>) -> Result<Profile, Usage> {
    let token_file = token_file.ok_or_else(|| {
        Usage(format!(
            "{TOKEN_VARIABLE} names the file of the token for {server}, and is not set; `amplinkd api-token new` on the \
             machine of the daemon makes a token"
        ))
    })?;
    Ok(Profile::at(server, token_file))
}

fn of_profiles(name: &str, file: Option<PathBuf>) -> Result<Profile, Usage> {
    let file =
        file.ok_or_else(|| Usage("--profile: neither XDG_CONFIG_HOME nor HOME says where profiles are".to_owned()))?;
    config::profile(&file, name).map_err(Usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_goes_before_the_environment() {
        let of = |server: Option<&str>, profile: Option<&str>, file, variable: Option<&str>| {
            let variables = RemoteVariables { server: variable.map(str::to_owned), ..RemoteVariables::default() };
            place((server.map(str::to_owned), profile.map(str::to_owned)), file, &variables).ok()
        };
        let (a, b) = ("https://a.example", "https://b.example");
        assert_eq!(of(None, None, false, None), Some(None));
        assert_eq!(of(Some(a), None, false, Some(b)), Some(Some(Place::Server(a.to_owned()))));
        assert_eq!(of(None, Some("p"), false, Some(b)), Some(Some(Place::Profile("p".to_owned()))));
        assert_eq!(of(None, None, false, Some(b)), Some(Some(Place::Variable(b.to_owned()))));
        assert_eq!(of(None, None, true, Some(b)), Some(None));
        for two in [(Some(a), Some("p"), false), (Some(a), None, true), (None, Some("p"), true)] {
            assert_eq!(of(two.0, two.1, two.2, None), None, "{two:?}");
        }
    }
}
