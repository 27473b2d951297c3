//! The command line: one file per noun.

pub mod account;
pub mod action;
mod actor;
pub mod alert;
pub mod api_token;
pub mod audit;
pub mod authorizer;
pub mod channel;
pub mod completions;
pub mod component;
pub mod config;
pub mod conflict;
pub mod context;
pub mod db;
pub mod demo;
pub mod gate;
mod groups;
pub mod health;
pub mod heartbeat;
pub mod import;
pub mod man;
pub mod many;
pub mod named;
pub mod node;
mod open_files;
pub mod output;
mod pages;
pub mod plan;
pub mod program;
mod readers;
mod reload;
mod remote;
pub mod report;
pub mod request;
pub mod run;
pub mod secrets;
pub mod selftest;
pub mod simulate;
mod spreadsheet;
pub mod status;
mod systemd;
mod terminal_escape;
pub mod time_format;
pub mod token_key;
pub mod user;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{FromArgMatches as _, Parser};
use tracing::Level;

use self::{
    context::{Context, ExitStatus, Usage},
    output::{Format, Look},
};
use crate::{
    children,
    config::{file_of_environment, remote_variables},
    shutdown::Shutdown,
    telemetry,
};

/// Something failed.
const ERROR: u8 = 1;

/// The command line is wrong.
const USAGE: u8 = 2;

/// A check found problems.
const PROBLEMS: u8 = 3;

/// Link mini programs to WeChat official accounts, and follow every request to its end
#[derive(Debug, Parser)]
#[command(
    name = "amplinkd",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  amplinkd request link wx0123456789abcdef wxfedcba9876543210
  amplinkd request list --open
  amplinkd request explain ID

Exit codes: 0 success, 1 error, 2 usage error, 3 problems found"
)]
pub struct Cli {
    /// The configuration file.
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        help = "Configuration file [default: $AMPLINKD_CONFIG, or else ./amplinkd.toml]",
        help_heading = "Global options"
    )]
    pub config: Option<PathBuf>,

    /// Act on the daemon at this address over HTTP [default: `$AMPLINKD_SERVER`, or else this machine's]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub server: Option<String>,

    /// The same by a name of ~/.config/amplinkd/profiles.toml
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub profile: Option<String>,

    /// Output format
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Table, help_heading = "Global options")]
    pub output: Format,

    /// Begin CSV with a byte order mark, so that Excel reads Chinese
    #[arg(long, global = true, help_heading = "Global options")]
    pub excel: bool,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Nouns, each with its verbs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Watch it work: the daemon, a simulated WeChat and a few hundred requests on a fast clock
    Demo(demo::Demo),
    /// Run the daemon in the foreground
    Run(run::Run),
    /// Create and track link requests
    #[command(subcommand, visible_alias = "r")]
    Request(request::Command),
    /// List accounts; check, suspend and resume them
    #[command(subcommand)]
    Account(account::Command),
    /// List accounts that authorized the platform; have the daemon read or refresh them
    #[command(subcommand)]
    Authorizer(authorizer::Command),
    /// Show the platform's own ticket and token
    #[command(subcommand)]
    Component(component::Command),
    /// List the mini programs that WeChat shows for accounts
    #[command(subcommand)]
    Program(program::Command),
    /// List conflicts between WeChat and our records
    #[command(subcommand)]
    Conflict(conflict::Command),
    /// List quotas and blocks that hold calls back; open one
    #[command(subcommand)]
    Gate(gate::Command),
    /// List the daemons that share a PostgreSQL database; drain one
    #[command(subcommand)]
    Node(node::Command),
    /// List, acknowledge, snooze and resolve alerts
    #[command(subcommand)]
    Alert(alert::Command),
    /// List and test notification channels; resend what was given up
    #[command(subcommand)]
    Channel(channel::Command),
    /// Test the heartbeat
    #[command(subcommand)]
    Heartbeat(heartbeat::Command),
    /// Report approval times, and whether nudges help
    Report(report::Report),
    /// Show polling demand, capacity and expected delay by class
    Plan(plan::Plan),
    /// Show health, open work and required actions on one page; exit code 3 if action is required
    Status(status::Status),
    /// Tell whether the daemon is alive and ready, for containers and supervisors; exit code 1 if it is not
    Health(health::Health),
    /// Check for lost, stalled or inconsistent work; exit code 3 if any is found
    Audit(audit::Audit),
    /// Back up, restore, move, verify and prune the database
    #[command(subcommand)]
    Db(db::Command),
    /// Make and change the key that seals tokens in the database
    #[command(subcommand)]
    Secrets(secrets::Command),
    /// Make a key for a system that asks the daemon for tokens
    #[command(subcommand)]
    TokenKey(token_key::Command),
    /// Manage people who may sign in over HTTP
    #[command(subcommand)]
    User(user::Command),
    /// Make and revoke tokens of programs that use the HTTP API
    #[command(subcommand)]
    ApiToken(api_token::Command),
    /// Show who did what, by which door, and why
    #[command(subcommand)]
    Action(action::Command),
    /// Check and show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Run a WeChat simulator: the link APIs, a token endpoint and administrators
    Simulate(simulate::Simulate),
    /// Test this machine: randomized simulations, crashes, a full disk, pauses; exit code 3 if a promise is broken
    Selftest(selftest::Selftest),
    /// Print a completion script for a shell
    Completions(completions::Completions),
    /// Write the manual pages
    #[command(hide = true)]
    Man(man::Man),
}

/// What can be done with the configuration.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Read the configuration as the daemon would; print every key, its value and where it comes from
    #[command(
        after_help = "Examples:\n  amplinkd config check -c /etc/amplinkd/amplinkd.toml\n  amplinkd config check --quiet && systemctl reload amplinkd"
    )]
    Check {
        /// Print nothing when the configuration is right
        #[arg(short, long)]
        quiet: bool,
    },
}

/// The whole program: reads the command line, does what it says, and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match parsed() {
        Ok(cli) => cli,
        Err(wrong) => {
            // Help goes to stdout, mistakes to stderr; a reader who has gone misses nothing.
            if wrong.use_stderr() && telemetry::is_journal() {
                telemetry::say(Level::ERROR, &wrong.render().to_string());
            } else {
                let _ = wrong.print();
            }
            return ExitCode::from(u8::try_from(wrong.exit_code()).unwrap_or(USAGE));
        }
    };
    match begin(cli) {
        Ok(ExitStatus::Success) => ExitCode::SUCCESS,
        Ok(ExitStatus::ProblemsFound) => ExitCode::from(PROBLEMS),
        Err(error) => {
            telemetry::say(Level::ERROR, &format!("amplinkd: {}", sentence(&error)));
            ExitCode::from(if error.is::<Usage>() { USAGE } else { ERROR })
        }
    }
}

/// What the command line says.
fn parsed() -> Result<Cli, clap::Error> {
    let mut command = groups::command();
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches(&matches).map_err(|wrong| wrong.format(&mut command))
}

fn begin(cli: Cli) -> anyhow::Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    let ending = runtime.block_on(run(cli));
    // A thread that waits for stdin must not keep an ended program alive.
    runtime.shutdown_background();
    ending
}

async fn run(cli: Cli) -> anyhow::Result<ExitStatus> {
    crate::shutdown::outlive_file_limits().context("cannot listen for signals")?;
    if cli.excel && cli.output != Format::Csv {
        return Err(Usage("--excel is for CSV: use it with -o csv".to_owned()).into());
    }
    let look = Look { excel: cli.excel, ..Look::of_stdout() };
    let place = remote::place((cli.server, cli.profile), cli.config.is_some(), &remote_variables())?;
    let context = Context { config: cli.config.or_else(file_of_environment), format: cli.output, look };
    if let Some(place) = place
        && remote::must_be_remote(&cli.command, &place)?
    {
        return remote::run(&context, place, cli.command).await;
    }
    if may_inherit(&cli.command) && children::inherits_orphans() {
        tokio::spawn(children::reap_orphans());
    }
    match cli.command {
        Command::Demo(command) => Box::pin(demo::run(&command)).await.map(|()| ExitStatus::Success),
        Command::Run(run::Run {}) => Box::pin(run::run(context.config.as_deref())).await.map(|()| ExitStatus::Success),
        Command::Request(command) => request::run(&context, command).await,
        Command::Account(command) => account::run(&context, command).await,
        Command::Authorizer(command) => authorizer::run(&context, command).await,
        Command::Component(command) => component::run(&context, command).await,
        Command::Secrets(command) => secrets::run(&context, command).await,
        Command::TokenKey(command) => token_key::run(&context, &command),
        Command::User(command) => user::run(&context, command).await,
        Command::ApiToken(command) => api_token::run(&context, command).await,
        Command::Action(command) => action::run(&context, command).await,
        Command::Program(command) => program::run(&context, command).await,
        Command::Conflict(command) => conflict::run(&context, command).await,
        Command::Gate(command) => gate::run(&context, command).await,
        Command::Node(command) => node::run(&context, command).await,
        Command::Alert(command) => alert::run(&context, command).await,
        Command::Channel(command) => channel::run(&context, command).await,
        Command::Heartbeat(command) => heartbeat::run(&context, command).await,
        Command::Report(report) => report::run(&context, report).await,
        Command::Plan(command) => plan::run(&context, command).await,
        Command::Status(status::Status {}) => status::run(&context).await,
        Command::Health(health::Health {}) => health::run(&context).await,
        Command::Audit(command) => audit::run(&context, command).await,
        Command::Db(command) => db::run(&context, command).await,
        Command::Config(ConfigCommand::Check { quiet: true }) => {
            config::load(context.config.as_deref()).map(|_| ExitStatus::Success)
        }
        Command::Config(ConfigCommand::Check { quiet: false }) => {
            config::check(context.config.as_deref(), context.format, context.look)?;
            plan::warn_when_short(&context).await.map(|()| ExitStatus::Success)
        }
        Command::Simulate(command) => {
            let shutdown = Shutdown::new();
            shutdown.listen().context("cannot listen for signals")?;
            simulate::run(command, async move { shutdown.wait().await }).await.map(|()| ExitStatus::Success)
        }
        Command::Selftest(command) => {
            let shutdown = Shutdown::new();
            shutdown.listen().context("cannot listen for signals")?;
            let tried = Box::pin(shutdown.unless_asked(selftest::run(&context, command))).await;
            tried.context("interrupted: what it had started is ended, its folder taken away")?
        }
        Command::Completions(command) => completions::run(&command),
        Command::Man(command) => man::run(&command),
    }
}

/// Whether a command may be what a container begins with. The self-test waits for processes in a way of its own.
const fn may_inherit(command: &Command) -> bool {
    matches!(command, Command::Run(_) | Command::Demo(_) | Command::Simulate(_))
}

/// An error and its causes in one sentence. A cause that the error names itself is not said twice.
#[must_use]
pub fn sentence(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow::anyhow!("disk full").context("cannot write: disk full").context("no backup");
        assert_eq!(sentence(&error), "no backup: cannot write: disk full");
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let leaf = command.get_subcommands().next().is_none();
            assert!(!leaf || command.get_after_help().is_some(), "{path} has no example in its help");
            assert!(command.get_about().is_some(), "{path} does not say what it does");
            command.get_subcommands().for_each(|command| check(command, &path));
        }
        check(&Cli::command(), "");
    }
}
