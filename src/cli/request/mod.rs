//! `amplinkd request`: create, list, explain, cancel and retry requests.

pub(super) mod ask;
pub(super) mod change;
pub(super) mod filters;
pub(super) mod list;
pub(super) mod nudge;
pub(super) mod show;
pub(super) mod watch;

pub use self::{
    ask::{Link, Unlink},
    change::{Cancel, Retry},
    filters::Filters,
    list::List,
    nudge::Nudge,
    show::{Explain, History},
    watch::Watch,
};
use super::{
    context::{Context, ExitStatus},
    import,
    named::Named,
    output::Column,
};
pub(super) use crate::store::read::request_page::label;

/// What can be done with requests.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Request a link: invites both administrators and tracks their answers
    Link(Link),
    /// Request an unlink; the account's administrator must agree
    Unlink(Unlink),
    /// Import many link requests from a file, all or none
    Import(import::Import),
    /// List requests, newest first
    List(List),
    /// Show everything about one request, its history and its conflicts
    #[command(after_help = "Example:\n  amplinkd request show 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b")]
    Show {
        /// The request's id, or its last 6 characters or more
        id: Named,
    },
    /// List every step of one request, first to last
    History(History),
    /// Print every step as it happens, until ctrl-C
    Watch(Watch),
    /// Cancel requests; an invitation that was already sent cannot be withdrawn
    Cancel(Cancel),
    /// Retry finished requests, each as a new request
    Retry(Retry),
    /// Draft a reminder for the administrator who has not answered, to paste or to send
    Nudge(Nudge),
    /// Explain why a request is in its state, who must act, and what comes next
    Explain(Explain),
}

/// The columns of `v_request`, in their order.
pub(super) const FIELDS: [Column; 24] = [
    Column::hidden("id"),
    Column::hidden("kind"),
    Column::hidden("account"),
    Column::hidden("program"),
    Column::hidden("username"),
    Column::hidden("state"),
    Column::hidden("waiting_on"),
    Column::hidden("since"),
    Column::hidden("requested_at"),
    Column::hidden("finished_at"),
    Column::hidden("attempt"),
    Column::hidden("outcome_unknown"),
    Column::hidden("errcode"),
    Column::hidden("errmsg"),
    Column::hidden("next_check_at"),
    Column::hidden("retry_of"),
    Column::hidden("labels"),
    Column::hidden("failure"),
    Column::hidden("key"),
    Column::hidden("notify_users"),
    Column::hidden("show_profile"),
    Column::hidden("seen_status"),
    Column::hidden("called_at"),
    Column::hidden("account_state"),
];

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::Link(wish) => ask::link(context, wish).await,
        Command::Unlink(wish) => ask::unlink(context, wish).await,
        Command::Import(file) => import::run(context, file).await,
        Command::List(list) => list::run(context, list).await,
        Command::Show { id } => show::show(context, &id).await,
        Command::History(history) => show::history(context, &history).await,
        Command::Watch(watch) => watch::run(context, watch).await,
        Command::Cancel(cancel) => change::cancel(context, cancel).await,
        Command::Retry(retry) => change::retry(context, retry).await,
        Command::Nudge(nudge) => nudge::run(context, nudge).await,
        Command::Explain(explain) => show::explain(context, &explain).await,
    }
}
