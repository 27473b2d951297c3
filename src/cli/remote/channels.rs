//! Channels: listed, tested, sent again what they did not take.

use anyhow::bail;
use serde::{Deserialize, Serialize};

use super::desk::Desk;
use crate::{
    cli::{
        channel::{self, Command, Tested},
        context::ExitStatus,
        named::Named,
    },
    domain::text::channel_test,
    remote::{Pages, Query, Repeat, query::escaped},
    store::read::{alert_views::ChannelView, id_suffix::Noun},
};

const CHANNELS: &str = "/api/v1/channels";

#[derive(Debug, Serialize)]
struct Testing {
    event: &'static str,
}

/// What came of a test, as the API has it.
#[derive(Debug, Deserialize)]
struct Answer {
    channel: String,
    kind: String,
    event: String,
    taken: bool,
    error: Option<String>,
    took_ms: u64,
}

#[derive(Debug, Serialize)]
struct Retrying {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ids: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Retried {
    count: u64,
}

/// Does what a command says.
pub(super) async fn run(desk: &Desk<'_>, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::List => channel::print(desk.context, all(desk).await?, desk.now())?,
        Command::Test { name, event } => test(desk, &name, event.into()).await?,
        Command::Retry { name, ids, dry_run: true } => dead(desk, &name, &ids).await?,
        Command::Retry { name, ids, dry_run: false } => retry(desk, &name, &ids).await?,
    }
    Ok(ExitStatus::Success)
}

async fn all(desk: &Desk<'_>) -> anyhow::Result<Vec<ChannelView>> {
    Ok(Pages::whole(&desk.server, CHANNELS, Query::new()).rest().await?)
}

/// Refuses a channel that is not configured.
async fn must_be_known(desk: &Desk<'_>, name: &str) -> anyhow::Result<()> {
    let channels = all(desk).await?;
    let names: Vec<&str> =
        channels.iter().filter(|channel| channel.kind.is_some()).map(|channel| channel.name.as_str()).collect();
    if names.contains(&name) { Ok(()) } else { bail!(channel::unknown(&names, name)) }
}

async fn test(desk: &Desk<'_>, name: &str, event: channel_test::Event) -> anyhow::Result<()> {
    must_be_known(desk, name).await?;
    desk.name_server();
    let path = format!("{CHANNELS}/{}/test", escaped(name));
    let Answer { channel, kind, event, taken, error, took_ms } =
        desk.server.post(&path, &Testing { event: event.as_str() }, Repeat::Never).await?;
    if !taken {
        bail!("channel {name} did not accept the test: {}", error.unwrap_or_default());
    }
    desk.context.print_one(&Tested { channel, kind, event, result: "taken", took_ms })
}

async fn whole(desk: &Desk<'_>, name: &str, ids: &[Named]) -> anyhow::Result<Vec<String>> {
    Ok(desk.ids_of(Noun::GivenUp(name), ids).await?.into_iter().map(String::from).collect())
}

async fn dead(desk: &Desk<'_>, name: &str, ids: &[Named]) -> anyhow::Result<()> {
    must_be_known(desk, name).await?;
    let ids = whole(desk, name, ids).await?;
    let path = format!("{CHANNELS}/{}/deliveries", escaped(name));
    let mut pages = desk.pages(&path, Query::new().with("state", Some("dead")), usize::MAX);
    channel::print_dead(desk.context, &ids, desk.now(), async |_| pages.next().await).await
}

async fn retry(desk: &Desk<'_>, name: &str, ids: &[Named]) -> anyhow::Result<()> {
    must_be_known(desk, name).await?;
    let ids = whole(desk, name, ids).await?;
    let wanted = ids.len() as u64;
    desk.name_server();
    let path = format!("{CHANNELS}/{}/deliveries/retry", escaped(name));
    let Retried { count } = desk.server.post(&path, &Retrying { ids }, Repeat::Once).await?;
    channel::print_retried(desk.context, name, count, wanted)
}
