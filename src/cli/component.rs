//! `amplinkd component`: the platform itself, when the daemon keeps its tokens.

use anyhow::Context as _;

use super::context::{Context, ExitStatus};
use crate::{
    engine::component_status::ComponentStatus,
    store::{Store, write::component::ComponentRow},
};

/// What can be asked of the component.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show the ticket, the token and the last refusal of the platform's component
    #[command(after_help = "\
Example:
  amplinkd component status

WeChat pushes a component_verify_ticket every ten minutes. Without one for twelve hours no token can be fetched.")]
    Status,
}

/// The component of the configuration; where that names none, the one that the database knows.
async fn row(store: &Store, configured: Option<&str>) -> anyhow::Result<ComponentRow> {
    let row = match configured {
        Some(appid) => store.component(appid).await?,
        None => store.only_component().await?,
    };
    let others: Vec<String> = store.key_checks().await?.into_iter().map(|(appid, _)| appid).collect();
    row.with_context(|| match configured {
        Some(appid) if !others.is_empty() => format!(
            "the database knows no component {appid}, which [component] appid names, but {}; `amplinkd run` makes it known",
            others.join(", ")
        ),
        Some(_) | None => "the database knows no component: it does once `amplinkd run` has started with [tokens] source = \
             \"component\""
            .to_owned(),
    })
}

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    let Command::Status = command;
    context
        .with_view(async |session| {
            let configured = session.config.component.as_ref().map(|component| component.appid.as_str());
            let row = row(session.store(), configured).await?;
            context.print_one(&ComponentStatus::of(row, session.now()))
        })
        .await?;
    Ok(ExitStatus::Success)
}
