//! Commands against a daemon elsewhere, over its HTTP API: the same arguments, tables, documents and exit codes. Rows come
//! from [`crate::remote`] and go to the printers of each noun; nothing is decided here.

mod accounts;
mod alerts;
mod bulk;
mod channels;
mod desk;
mod import;
mod lists;
mod people;
mod place;
mod reports;
mod requests;
mod watch;
mod wire;

use self::desk::Desk;
pub(super) use self::place::{Place, place};
use super::{
    Command, account, authorizer, component,
    context::{Context, ExitStatus, Usage},
    gate, request,
};

/// What a command is called that works on the machine of its daemon alone; `None` for one that the API has, too.
#[must_use]
pub(super) fn local_name(command: &Command) -> Option<&'static str> {
    match command {
        Command::Demo(_) => Some("demo"),
        Command::Run(_) => Some("run"),
        Command::Account(account::Command::Check(_)) => Some("account check"),
        Command::Authorizer(authorizer::Command::Sync) => Some("authorizer sync"),
        Command::Authorizer(authorizer::Command::Refresh { .. }) => Some("authorizer refresh"),
        Command::Gate(gate::Command::Open(_)) => Some("gate open"),
        Command::Node(_) => Some("node"),
        Command::Heartbeat(_) => Some("heartbeat"),
        Command::Db(_) => Some("db"),
        Command::Secrets(_) => Some("secrets"),
        Command::TokenKey(_) => Some("token-key"),
        Command::Config(_) => Some("config"),
        Command::Simulate(_) => Some("simulate"),
        Command::Selftest(_) => Some("selftest"),
        Command::Completions(_) => Some("completions"),
        Command::Man(_) => Some("man"),
        Command::Request(_)
        | Command::Account(
            account::Command::List(_)
            | account::Command::Show { .. }
            | account::Command::Suspend(_)
            | account::Command::Resume(_),
        )
        | Command::Authorizer(authorizer::Command::List { .. } | authorizer::Command::Show { .. })
        | Command::Component(component::Command::Status)
        | Command::Program(_)
        | Command::Conflict(_)
        | Command::Gate(gate::Command::List(_))
        | Command::Alert(_)
        | Command::Channel(_)
        | Command::Report(_)
        | Command::Plan(_)
        | Command::Status(_)
        | Command::Health(_)
        | Command::Audit(_)
        | Command::User(_)
        | Command::ApiToken(_)
        | Command::Action(_) => None,
    }
}

/// Whether a command speaks to no daemon at all, so that variables about one do not concern it.
const fn is_about_no_daemon(command: &Command) -> bool {
    matches!(
        command,
        Command::Demo(_) | Command::Simulate(_) | Command::Selftest(_) | Command::Completions(_) | Command::Man(_)
    )
}

/// Refuses what works on the machine of its daemon alone, before anything else is looked at; whether the command is one that
/// no daemon is asked for, which a variable does not hinder.
///
/// # Errors
/// [`Usage`] that says how to have it here.
pub(super) fn must_be_remote(command: &Command, place: &Place) -> Result<bool, Usage> {
    let Some(name) = local_name(command) else { return Ok(true) };
    if place.is_of_environment() && is_about_no_daemon(command) {
        return Ok(false);
    }
    Err(Usage(format!("`amplinkd {name}` works on this machine alone, not over HTTP: {}", place.without())))
}

/// Does what a command says, at the daemon of this place.
///
/// # Errors
/// What the daemon says, or why it cannot be asked.
pub(super) async fn run(context: &Context, place: Place, command: Command) -> anyhow::Result<ExitStatus> {
    before_asking(context, &command)?;
    let desk = Desk::open(context, place).await?;
    match command {
        Command::Request(command) => requests::run(&desk, command).await,
        Command::Account(command) => accounts::run(&desk, command).await,
        Command::Alert(command) => alerts::run(&desk, command).await,
        Command::Channel(command) => channels::run(&desk, command).await,
        Command::Program(command) => lists::programs(&desk, command).await,
        Command::Conflict(command) => lists::conflicts(&desk, command).await,
        Command::Gate(gate::Command::List(wanted)) => lists::gates(&desk, &wanted).await,
        Command::Authorizer(command) => lists::authorizers(&desk, command).await,
        Command::Action(command) => lists::actions(&desk, command).await,
        Command::User(command) => people::users(&desk, command).await,
        Command::ApiToken(command) => people::tokens(&desk, command).await,
        Command::Component(component::Command::Status) => reports::component(&desk).await,
        Command::Report(report) => reports::report(&desk, report).await,
        Command::Plan(plan) => reports::plan(&desk, &plan).await,
        Command::Status(_) => reports::status(&desk).await,
        Command::Health(_) => reports::health(&desk).await,
        Command::Audit(asked) => reports::audit(&desk, &asked).await,
        Command::Demo(_)
        | Command::Run(_)
        | Command::Gate(gate::Command::Open(_))
        | Command::Node(_)
        | Command::Heartbeat(_)
        | Command::Db(_)
        | Command::Secrets(_)
        | Command::TokenKey(_)
        | Command::Config(_)
        | Command::Simulate(_)
        | Command::Selftest(_)
        | Command::Completions(_)
        | Command::Man(_) => anyhow::bail!("this command works on this machine alone"),
    }
}

/// What is wrong with a command whatever a daemon says.
fn before_asking(context: &Context, command: &Command) -> Result<(), Usage> {
    match command {
        Command::Status(_) => super::status::must_be_a_document(context),
        Command::Request(request::Command::History(history)) if history.proof => {
            request::show::in_form_of_a_proof(context).map(drop)
        }
        _ => Ok(()),
    }
}
