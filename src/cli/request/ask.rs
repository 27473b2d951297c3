//! `request link` and `request unlink`: submit one wish, print the request that holds it.

use std::collections::BTreeMap;

use crate::store::read::request_page::label;
use crate::{
    cli::{
        actor,
        context::{Context, Database, ExitStatus, Session, Usage, note},
        time_format,
    },
    domain::{
        id::{AccountId, ProgramId, Username},
        request::{Kind, LinkOptions, OptIn},
    },
    engine::wish::Wish,
    store::{read::views::RequestView, write::requests::Accepted},
};

/// Request a link: invites both administrators and tracks their answers
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd request link wx0123456789abcdef wxfedcba9876543210
  amplinkd request link wx0123456789abcdef wxfedcba9876543210 --label shop=12 --key order-1138 -o json

Repeating it is safe: if the pair is already open or linked, or the key was used before, that request is returned. \
`request retry` requests a linked pair again.")]
pub struct Link {
    /// The official account's appid
    pub account: AccountId,
    /// The mini program's appid
    pub program: ProgramId,
    /// The program's gh_ id, if you know it: for some programs WeChat shows nothing else
    #[arg(long, value_name = "GH")]
    pub username: Option<Username>,
    /// Message EVERY follower of the account once it is linked
    #[arg(long)]
    pub notify_users: bool,
    /// Show the program on the account's profile
    #[arg(long)]
    pub show_profile: bool,
    /// Labels and key to find it by
    #[command(flatten)]
    pub words: Words,
}

/// Request an unlink; the account's administrator must agree
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  amplinkd request unlink wx0123456789abcdef wxfedcba9876543210")]
pub struct Unlink {
    /// The official account's appid
    pub account: AccountId,
    /// The mini program's appid
    pub program: ProgramId,
    /// Labels and key to find it by
    #[command(flatten)]
    pub words: Words,
}

/// The asker's own words about a wish.
#[derive(Debug, clap::Args)]
pub struct Words {
    /// Your own label; repeatable
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Idempotency key: the same key always returns the same request
    #[arg(long)]
    pub key: Option<String>,
}

impl Link {
    /// A link with its options; says so when every follower is messaged.
    pub(in crate::cli) fn kind(&self) -> Kind {
        let Self { notify_users, show_profile, .. } = *self;
        if notify_users {
            note("--notify-users: WeChat will message every follower of the account");
        }
        Kind::Link(LinkOptions { notify_users: OptIn::from(notify_users), show_profile: OptIn::from(show_profile) })
    }
}

/// Takes a wish for a link.
pub(super) async fn link(context: &Context, wish: Link) -> anyhow::Result<ExitStatus> {
    let kind = wish.kind();
    let Link { account, program, username, words, .. } = wish;
    take(context, kind, account, program, username, words).await
}

/// Takes a wish for an unlink.
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
    let wish = wish(kind, account, program, username, words)?;
    let key = wish.key.clone();
    context
        .with_session(Database::MadeIfMissing, async |session| {
            let accepted = session.recorder.by(actor::by()).accept(vec![wish]).await?;
            for accepted in &accepted {
                let row = answer(session, accepted, kind, key.as_deref()).await?;
                context.print_one(&row)?;
            }
            session.note_without_daemon("the request is saved, and begins when one starts (`amplinkd run`)").await;
            Ok(ExitStatus::Success)
        })
        .await
}

/// A wish of what was typed.
///
/// # Errors
/// [`Usage`] when it is none.
pub(in crate::cli) fn wish(
    kind: Kind,
    account: AccountId,
    program: ProgramId,
    username: Option<Username>,
    words: Words,
) -> Result<Wish, Usage> {
    if account.as_str() == program.as_str() {
        return Err(Usage(format!("{account} is both the account and the program: give two different appids")));
    }
    let mut labels = BTreeMap::new();
    for (name, value) in words.labels {
        if labels.insert(name.clone(), value).is_some() {
            return Err(Usage(format!("the label {name:?} is given twice")));
        }
    }
    let wish = Wish { kind, account, program, username, key: words.key, labels };
    wish.check().and_then(|()| wish.check_words()).map_err(|wrong| Usage(wrong.to_string()))?;
    Ok(wish)
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
    if accepted.existing {
        tell_existing(&row, wanted, key);
    }
    Ok(row)
}

/// Says of a request that was there before why nothing new was requested, and what of the wish it does not have.
pub(in crate::cli) fn tell_existing(row: &RequestView, wanted: Kind, key: Option<&str>) {
    let is_by_key = key.is_some() && row.key.as_deref() == key;
    let shown = row.finished_at.as_deref().map(time_format::to_the_second);
    match &shown {
        Some(at) if row.state == "linked" && !is_by_key => note(format!(
            "linked since {at}: nothing new was requested, and the list is polled again now; `amplinkd request retry {}` requests it again anyway",
            row.id
        )),
        None => note(format!(
            "already open since {}: nothing new was requested",
            time_format::to_the_second(&row.requested_at)
        )),
        Some(at) => note(format!(
            "this key was used before, and its request is {} since {at}: nothing new was requested; `amplinkd request retry {}` requests it again",
            row.state, row.id
        )),
    }
    if let Some(lost) = key.and_then(|key| key_lost(key, row)) {
        note(lost);
    }
    if let Kind::Link(options) = wanted
        && (options.notify_users.wanted(), options.show_profile.wanted()) != (row.notify_users, row.show_profile)
    {
        note("the request keeps its original options: --notify-users and --show-profile have no effect now");
    }
}

/// What is to be said when a request that was there already did not take a key.
pub(in crate::cli) fn key_lost(key: &str, row: &RequestView) -> Option<String> {
    match row.key.as_deref() {
        Some(theirs) if theirs == key => None,
        Some(theirs) => Some(format!("the key {key:?} was not saved: request {} has the key {theirs:?}", row.id)),
        None => Some(format!("the key {key:?} was not saved: request {} has none", row.id)),
    }
}
