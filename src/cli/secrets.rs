//! `amplinkd secrets`: the key that seals tokens, tickets and codes in the database.

use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use anyhow::{Context as _, bail};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::context::{Context, ExitStatus, note};
use crate::{
    config::{Config, environment},
    daemon,
    store::{
        Role, Store,
        write::sealed::{Resealed, SealedColumn},
    },
    vault::{self, Place, Vault},
};

/// Values sealed anew in one transaction.
const PAGE: u32 = 500;

/// What can be done with the key.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make the key that seals tokens in the database
    #[command(after_help = "\
Example:
  amplinkd secrets new-key /etc/amplinkd/database.key

Keep a copy apart from the database's backups: without it nothing that is sealed can be read, and with both anyone can.")]
    NewKey {
        /// The file to make, readable by its owner alone
        file: PathBuf,
    },
    /// Seal everything anew under the current key
    #[command(after_help = "\
Example:
  amplinkd secrets rekey

To change the key: name the new one in key_file and the old one in previous_key_files, restart the daemon, run this, then \
take the old one out of previous_key_files. The daemon may run meanwhile; what was interrupted is continued by running it \
again.")]
    Rekey,
}

/// What was sealed anew.
#[derive(Debug, Serialize)]
struct Rekeyed {
    key: String,
    resealed: usize,
    already_current: usize,
}

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::NewKey { file } => new_key(&file)?,
        Command::Rekey => rekey(context).await?,
    }
    Ok(ExitStatus::Success)
}

fn new_key(file: &std::path::Path) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(file);
    let mut made = match made {
        Err(there) if there.kind() == std::io::ErrorKind::AlreadyExists => bail!(
            "{} is there already, and is not overwritten: what is sealed under it could never be read again. Choose another \
             name",
            file.display()
        ),
        made => made.with_context(|| format!("cannot make {}", file.display()))?,
    };
    let key = vault::new_key();
    writeln!(made, "{}", key.expose_secret())
        .and_then(|()| made.sync_all())
        .with_context(|| format!("cannot write {}", file.display()))?;
    note(format!("wrote a new key to {}; keep a copy apart from the database's backups", file.display()));
    Ok(())
}

async fn rekey(context: &Context) -> anyhow::Result<()> {
    let config = Config::load(context.config.as_deref(), environment()?)?;
    let Some(component) = &config.component else {
        bail!("nothing is sealed: [tokens] source is not \"component\"");
    };
    let vault = daemon::vault(component)?;
    let location = config.database.location.clone();
    super::context::must_exist(&location)?;
    let store = Store::open(&location, Role::Tool).await?;
    let resealed = match heeds_daemon(&store, &component.appid, &vault).await {
        Ok(()) => reseal(&store, &vault).await,
        Err(refused) => Err(refused),
    };
    store.close().await;
    context.print_one(&resealed?)
}

/// Whether a running daemon opens what this vault seals: one that was started before the key was named could no longer read
/// a token.
async fn heeds_daemon(store: &Store, appid: &str, vault: &Vault) -> anyhow::Result<()> {
    let (is_driven, current) = (store.has_daemon().await.unwrap_or(true), vault.current().to_string());
    let row = store.component(appid).await?;
    let keys = row.and_then(|row| row.open_keys).unwrap_or_default();
    if is_driven && !keys.split(' ').any(|key| key == current) {
        bail!(
            "the running daemon was started without key {current} and could not read what is sealed under it: restart it with \
             this configuration, then run this again; nothing was changed"
        );
    }
    Ok(())
}

async fn reseal(store: &Store, vault: &Vault) -> anyhow::Result<Rekeyed> {
    let mut done = Rekeyed { key: vault.current().to_string(), resealed: 0, already_current: 0 };
    let mut left: Vec<String> = Vec::new();
    for column in SealedColumn::ALL {
        let (table, name) = column.place();
        let mut after = String::new();
        loop {
            let page = store.sealed_page(column, &after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.key);
            let mut anew = Vec::with_capacity(page.len());
            for value in page {
                if vault.is_current(&value.sealed) {
                    done.already_current += 1;
                    continue;
                }
                let place = Place { table, column: name, appid: &value.appid };
                match vault.open(place, &value.sealed).map(|plain| vault.seal(place, &plain)) {
                    Ok(sealed) => anew.push((value, sealed)),
                    Err(error) => left.push(format!("{table}.{name} of {}: {error}", value.appid)),
                }
            }
            let Resealed { count, refused } = store.reseal(anew).await?;
            done.resealed += count;
            left.extend(refused.into_iter().map(|key| format!("{table}.{name} of {key}: its row is not valid")));
        }
    }
    match left.first() {
        None => Ok(done),
        Some(first) => bail!(
            "{} values are sealed anew, but {} values are as they were (the first is {first}): keep the previous keys until \
             `amplinkd audit --all` is clean and those accounts have authorized again, then run this again",
            done.resealed,
            left.len()
        ),
    }
}
