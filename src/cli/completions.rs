//! `amplinkd completions`: prints a completion script, generated from the command line itself.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, context::ExitStatus, readers::to_stdout};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd completions bash > ~/.local/share/bash-completion/completions/amplinkd
  amplinkd completions fish > ~/.config/fish/completions/amplinkd.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script.
pub fn run(command: &Completions) -> anyhow::Result<ExitStatus> {
    // Made in memory first: the generator gives up loudly when its reader has gone.
    let mut script = Vec::new();
    clap_complete::generate(command.shell, &mut Cli::command(), "amplinkd", &mut script);
    to_stdout(&script)?;
    Ok(ExitStatus::Success)
}
