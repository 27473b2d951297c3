//! Lists that are only read: programs, conflicts, gates, authorizers, actions.

use anyhow::bail;

use super::desk::Desk;
use crate::{
    cli::{action, authorizer, conflict, context::ExitStatus, gate, pages, program},
    domain::authorizer::AuthorizerState,
    remote::{Query, query::escaped},
    store::read::{actions::ActionView, authorizers::AuthorizerView, id_suffix::Noun, views::ConflictView},
};

/// The mini programs that WeChat shows.
pub(super) async fn programs(desk: &Desk<'_>, command: program::Command) -> anyhow::Result<ExitStatus> {
    let program::Command::List { account, program } = command;
    let is_filtered = account.is_some() || program.is_some();
    let query = Query::new().with("account", account).with("program", program);
    let mut rows = desk.pages("/api/v1/programs", query, usize::MAX);
    program::print(desk.context, desk.now(), is_filtered, async |_| rows.next().await).await?;
    Ok(ExitStatus::Success)
}

/// Conflicts.
pub(super) async fn conflicts(desk: &Desk<'_>, command: conflict::Command) -> anyhow::Result<ExitStatus> {
    match command {
        conflict::Command::List(filters) => list_conflicts(desk, filters).await?,
        conflict::Command::Show { id } => {
            let id = desk.id_of(Noun::Conflict, &id).await?;
            let Some(row) = desk.server.find::<ConflictView>(&format!("/api/v1/conflicts/{id}")).await? else {
                bail!(conflict::unknown(id.as_str()));
            };
            desk.context.print_one(&row)?;
        }
    }
    Ok(ExitStatus::Success)
}

async fn list_conflicts(desk: &Desk<'_>, filters: conflict::Filters) -> anyhow::Result<()> {
    let conflict::Filters { open, resolved, account, request } = filters;
    let is_filtered = open || resolved || account.is_some() || request.is_some();
    let request = match &request {
        Some(named) => Some(desk.id_of(Noun::Request, named).await?),
        None => None,
    };
    let query = Query::new().with_flag("open", open).with_flag("resolved", resolved);
    let query = query.with("account", account).with("request", request);
    let mut rows = desk.pages("/api/v1/conflicts", query, usize::MAX);
    conflict::print(desk.context, desk.now(), is_filtered, async |_| rows.next().await).await
}

/// What holds calls back.
pub(super) async fn gates(desk: &Desk<'_>, wanted: &gate::List) -> anyhow::Result<ExitStatus> {
    let query = Query::new().with_all("kind", &wanted.kinds);
    let mut rows = desk.pages("/api/v1/gates", query, pages::bound(desk.context, wanted.limit));
    gate::print(desk.context, wanted, desk.now(), async |_| rows.next().await).await?;
    Ok(ExitStatus::Success)
}

/// Accounts that authorized the platform.
pub(super) async fn authorizers(desk: &Desk<'_>, command: authorizer::Command) -> anyhow::Result<ExitStatus> {
    match command {
        authorizer::Command::List { state, limit } => {
            let query = Query::new().with("state", state.map(AuthorizerState::as_str));
            let mut rows = desk.pages("/api/v1/authorizers", query, pages::bound(desk.context, limit));
            authorizer::print(desk.context, (state, limit), desk.now(), async |_| rows.next().await).await?;
        }
        authorizer::Command::Show { account } => {
            match desk.server.find::<AuthorizerView>(&format!("/api/v1/authorizers/{account}")).await? {
                Some(row) => desk.context.print_one(&row)?,
                None => bail!(authorizer::unknown(&account)),
            }
        }
        authorizer::Command::Sync | authorizer::Command::Refresh { .. } => bail!("this works on this machine alone"),
    }
    Ok(ExitStatus::Success)
}

/// Who did what.
pub(super) async fn actions(desk: &Desk<'_>, command: action::Command) -> anyhow::Result<ExitStatus> {
    match command {
        action::Command::List { actor, subject, action, limit } => {
            let query = Query::new().with("actor", actor).with("subject", subject).with("action", action);
            let mut rows = desk.pages("/api/v1/actions", query, pages::bound(desk.context, limit));
            action::print(desk.context, limit, desk.now(), async |_| rows.next().await).await?;
        }
        action::Command::Show { id } => {
            match desk.server.find::<ActionView>(&format!("/api/v1/actions/{}", escaped(id.as_str()))).await? {
                Some(row) => desk.context.print_one(&row)?,
                None => bail!(action::unknown(&id)),
            }
        }
    }
    Ok(ExitStatus::Success)
}
