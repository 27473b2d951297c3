//! `amplinkd node`: the daemons that share a PostgreSQL database: who lives, who hands over, who is gone.

use std::time::Duration;

use serde::Serialize;

use super::{
    context::{Context, ExitStatus, Session, note},
    output::Column,
    time_format,
};
use crate::{domain::time::Time, store::server::nodes::NodeView};

/// How long `node drain` waits for the end of what is under way.
const DRAIN_WITHIN: Duration = Duration::from_secs(30);

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What can be done with daemons of one database.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the daemons that share the database
    List(List),
    /// Have a daemon hand over its accounts and duties, and wait until it has
    Drain(Named),
    /// Have a drained daemon take part again
    Resume(Named),
    /// Take a silent daemon off the list that will not come back
    Forget(Named),
}

/// List the daemons that share the database
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd node list
  amplinkd node list -o json

The states:
  active     it beats, and has its part of the 64 shards of accounts
  draining   it hands over what it has
  idle       it has handed over, until `amplinkd node resume` or its restart
  silent     it has not beaten for its lease; the others are about to take over
  fenced     it was taken over; if it still lives, it begins anew

JSON and CSV have every column of v_node.")]
pub struct List {}

/// A daemon.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd node list
  amplinkd node drain a && systemctl restart amplinkd@a

A drained daemon lives on and does nothing, until `amplinkd node resume` or its restart. The others have what it had within \
seconds. They take over from one that died without a word, too: docs/cluster.md says how long that takes.")]
pub struct Named {
    /// Its name, as `amplinkd node list` shows it
    pub name: String,
}

const TABLE: [Column; 6] = [
    Column::shown("name", "NAME"),
    Column::shown("state", "STATE"),
    Column::shown("since", "SINCE"),
    Column::shown("shards", "SHARDS"),
    Column::shown("version", "VERSION"),
    Column::shown("beat", "LAST BEAT"),
];

const FIELDS: [Column; 7] = [
    Column::hidden("name"),
    Column::hidden("state"),
    Column::hidden("since"),
    Column::hidden("shards"),
    Column::hidden("version"),
    Column::hidden("config_hash"),
    Column::hidden("beat_at"),
];

/// A row of the table.
#[derive(Debug, Serialize)]
struct TableRow {
    name: String,
    state: String,
    since: String,
    shards: i64,
    version: String,
    beat: String,
}

impl TableRow {
    fn of(node: NodeView, now: Time) -> Self {
        let ago = |at: &str| format!("{} ago", time_format::age(at, now));
        let (since, beat) = (ago(&node.since), ago(&node.beat_at));
        let NodeView { name, state, shards, version, .. } = node;
        Self { name, state, since, shards, version, beat }
    }
}

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::List(List {}) => context.with_view(async |session| list(context, session).await).await?,
        Command::Drain(Named { name }) => {
            context.with_database(async |session| drain(context, session, &name).await).await?;
        }
        Command::Resume(Named { name }) => {
            context
                .with_database(async |session| {
                    order(session, &name, false).await?;
                    context.print_one(&node(session, &name).await?)
                })
                .await?;
        }
        Command::Forget(Named { name }) => {
            context.with_database(async |session| forget(session, &name).await).await?;
        }
    }
    Ok(ExitStatus::Success)
}

async fn list(context: &Context, session: &Session) -> anyhow::Result<()> {
    let Some(nodes) = session.store().nodes().await? else {
        note("the database is a file, which one daemon has to itself: `amplinkd status` says how it does");
        return context.print_rows::<NodeView>(if context.is_table() { &TABLE } else { &FIELDS }, &[]);
    };
    if !context.is_table() {
        return context.print_rows(&FIELDS, &nodes);
    }
    let now = session.now();
    let rows: Vec<TableRow> = nodes.iter().cloned().map(|node| TableRow::of(node, now)).collect();
    context.print_rows(&TABLE, &rows)?;
    context.note_if_empty(rows.len(), "no daemon works on the database: `amplinkd run` starts one");
    if nodes.windows(2).any(|pair| pair[0].config_hash != pair[1].config_hash) {
        note("their configurations differ: `amplinkd node list -o json` has a hash of each");
    }
    Ok(())
}

async fn drain(context: &Context, session: &Session, name: &str) -> anyhow::Result<()> {
    order(session, name, true).await?;
    let idle = async {
        loop {
            let node = node(session, name).await?;
            if node.state != "draining" {
                return Ok::<_, anyhow::Error>(node);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(DRAIN_WITHIN, idle).await {
        Ok(node) => context.print_one(&node?),
        Err(_) => anyhow::bail!(
            "{name} still has something under way after 30 s; it hands that over when it is done: `amplinkd node list` \
             says `idle` then"
        ),
    }
}

async fn order(session: &Session, name: &str, is_to_drain: bool) -> anyhow::Result<()> {
    if session.store().order_node(name, is_to_drain).await? { Ok(()) } else { Err(unknown(session, name).await?) }
}

async fn forget(session: &Session, name: &str) -> anyhow::Result<()> {
    if session.store().forget_node(name).await? {
        return Ok(());
    }
    let nodes = session.store().nodes().await?.unwrap_or_default();
    if nodes.iter().any(|node| node.name == name) {
        anyhow::bail!("{name} lives: end it first, or drain it with `amplinkd node drain {name}`");
    }
    Err(unknown(session, name).await?)
}

async fn node(session: &Session, name: &str) -> anyhow::Result<NodeView> {
    let nodes = session.store().nodes().await?.unwrap_or_default();
    match nodes.into_iter().rfind(|node| node.name == name) {
        Some(node) => Ok(node),
        None => Err(unknown(session, name).await?),
    }
}

/// What to say of a name that no daemon has.
async fn unknown(session: &Session, name: &str) -> anyhow::Result<anyhow::Error> {
    Ok(match session.store().nodes().await? {
        None => {
            anyhow::anyhow!("the database is a file, which one daemon has to itself: there is nothing to hand over")
        }
        Some(_) => anyhow::anyhow!("no daemon of the database is called {name:?}: `amplinkd node list` shows them"),
    })
}
