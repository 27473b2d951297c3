//! `amplinkd man`: writes the manual pages, generated from the command line itself, for whoever packages it.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory;

use super::{Cli, context::ExitStatus};

/// Write a manual page for every command into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  amplinkd man target/man && man -l target/man/amplinkd-request-link.1")]
pub struct Man {
    /// The folder; it is created if it is missing
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// Writes the pages: `amplinkd.1`, `amplinkd-request.1`, `amplinkd-request-link.1` and so on.
///
/// # Errors
/// When the folder cannot be made or written.
pub fn run(command: &Man) -> anyhow::Result<ExitStatus> {
    let folder = &command.folder;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
    clap_mangen::generate_to(Cli::command(), folder)
        .with_context(|| format!("cannot write manual pages to {}", folder.display()))?;
    Ok(ExitStatus::Success)
}
