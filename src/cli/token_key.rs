//! `amplinkd token-key`: keys of systems that ask the daemon for tokens.

use secrecy::ExposeSecret as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::context::{Context, ExitStatus, note};
use crate::{domain::history::hex, vault};

/// What can be done with keys.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a key for a caller of the token service, and its digest for the configuration
    #[command(after_help = "\
Example:
  amplinkd token-key new

Give the key to the caller, which sends it as `Authorization: Bearer KEY`; put key_sha256 into [[token_service.caller]]. The \
key is shown once and kept nowhere. For a rotation, key_sha256 takes a list of two.")]
    New,
}

/// A key and its digest.
#[derive(Debug, Serialize)]
struct Key {
    key: String,
    key_sha256: String,
}

/// Does what the command says.
pub fn run(context: &Context, command: &Command) -> anyhow::Result<ExitStatus> {
    let Command::New = command;
    let key = vault::new_key();
    let key = key.expose_secret().to_owned();
    let key_sha256 = hex(&Sha256::digest(key.as_bytes()));
    context.print_one(&Key { key, key_sha256 })?;
    if context.is_table() {
        note("the key is not kept: give it to the caller now");
    }
    Ok(ExitStatus::Success)
}
