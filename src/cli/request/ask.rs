//! `request link` and `request unlink`: one wish, answered with the request that holds it. It must never message
//! anybody's fans unasked.

use std::collections::BTreeMap;

use super::filters::label;
use crate::{
    cli::context::{Context, Database, ExitStatus, Session, Usage, note},
    domain::{
        id::{AccountId, ProgramId, Username},
        request::{Kind, LinkOptions, OptIn},
    },
    engine::accept::Wish,
    store::{read::views::RequestView, write::requests::Accepted},
};

/// Ask for a link: both administrators are invited, and followed until they have answered
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd request link wx0123456789abcdef wxfedcba9876543210
  amplinkd request link wx0123456789abcdef wxfedcba9876543210 --label shop=12 --key order-1138 -o json

It is safe to repeat: a pair that is open or linked already, or a key that was used before, is answered with that
request. `request retry` asks for a pair again that is linked.")]
pub struct Link {
    /// The official account's appid
    pub account: AccountId,
    /// The mini program's appid
    pub program: ProgramId,
    /// The program's gh_ id, when you know it: WeChat names some programs by nothing else
    #[arg(long, value_name = "GH")]
    pub username: Option<Username>,
    /// Message EVERY fan of the account once it is linked
    #[arg(long)]
    pub notify_users: bool,
    /// Show the program on the account's profile
    #[arg(long)]
    pub show_profile: bool,
    /// What you want to find it by later
    #[command(flatten)]
    pub words: Words,
}

/// Ask for an unlink: the account's administrator must agree
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  amplinkd request unlink wx0123456789abcdef wxfedcba9876543210")]
pub struct Unlink {
    /// The official account's appid
    pub account: AccountId,
    /// The mini program's appid
    pub program: ProgramId,
    /// What you want to find it by later
    #[command(flatten)]
    pub words: Words,
}

/// The asker's own words about a wish.
#[derive(Debug, clap::Args)]
pub struct Words {
    /// A word of your own about it; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Your own name for it: the same key is the same request, however often you ask
    #[arg(long)]
    pub key: Option<String>,
}

/// Takes a wish for a link.
///
/// # Errors
/// When it is not legal or the database cannot be used.
pub(super) async fn link(context: &Context, wish: Link) -> anyhow::Result<ExitStatus> {
    let Link { account, program, username, notify_users, show_profile, words } = wish;
    let options = LinkOptions { notify_users: OptIn::from(notify_users), show_profile: OptIn::from(show_profile) };
    if notify_users {
        note("--notify-users: WeChat will message every fan of the account");
    }
    take(context, Kind::Link(options), account, program, username, words).await
}

/// Takes a wish for an unlink.
///
/// # Errors
/// As [`link`].
pub(super) async fn unlink(context: &Context, wish: Unlink) -> anyhow::Result<ExitStatus> {
    let Unlink { account, program, words } = wish;
    take(context, Kind::Unlink, account, program, None, words).await
}

async fn take(
    context: &Context,
    kind: Kind,
    account: AccountId,
    program: ProgramId,
    username: Option<Username>,
    words: Words,
) -> anyhow::Result<ExitStatus> {
    if account.as_str() == program.as_str() {
        return Err(Usage(format!("{account} is named as the account and as the program: they are two appids")).into());
    }
    let mut labels = BTreeMap::new();
    for (name, value) in words.labels {
        if labels.insert(name.clone(), value).is_some() {
            return Err(Usage(format!("the label {name:?} is given twice")).into());
        }
    }
    let key = words.key.clone();
    let wish = Wish { kind, account, program, username, key: words.key, labels };
    wish.check().map_err(|wrong| Usage(wrong.to_string()))?;
    context
        .with_session(Database::MadeIfMissing, async |session| {
            let accepted = session.recorder.accept(vec![wish]).await?;
            for accepted in &accepted {
                let row = answer(session, accepted, kind, key.as_deref()).await?;
                context.print_one(&row)?;
            }
            Ok(ExitStatus::Success)
        })
        .await
}

async fn answer(
    session: &Session,
    accepted: &Accepted,
    wanted: Kind,
    key: Option<&str>,
) -> anyhow::Result<RequestView> {
    let Some(row) = session.store().request_view(&accepted.id).await? else {
        anyhow::bail!("request {} was written and cannot be found: run `amplinkd db verify`", accepted.id);
    };
    if !accepted.existing {
        return Ok(row);
    }
    let is_by_key = key.is_some() && row.key.as_deref() == key;
    match &row.finished_at {
        Some(at) if row.state == "linked" && !is_by_key => note(format!(
            "linked since {at}: nothing new was asked, and the list is looked at again now; `amplinkd request retry {}` asks again all the same",
            row.id
        )),
        None => note(format!("already open, since {}: nothing new was asked", row.requested_at)),
        Some(at) => note(format!(
            "this key was used before, and that request is {} since {at}: nothing new was asked; `amplinkd request retry {}` asks again",
            row.state, row.id
        )),
    }
    if let Some(lost) = key.and_then(|key| key_lost(key, &row)) {
        note(lost);
    }
    if let Kind::Link(options) = wanted
        && (options.notify_users.wanted(), options.show_profile.wanted()) != (row.notify_users, row.show_profile)
    {
        note("it keeps the options it was asked with: --notify-users and --show-profile change nothing now");
    }
    Ok(row)
}

/// What is to be said when a request that was there already did not take a key.
pub(in crate::cli) fn key_lost(key: &str, row: &RequestView) -> Option<String> {
    match row.key.as_deref() {
        Some(theirs) if theirs == key => None,
        Some(theirs) => Some(format!("the key {key:?} was not kept: request {} has the key {theirs:?}", row.id)),
        None => Some(format!("the key {key:?} was not kept: request {} has none", row.id)),
    }
}
