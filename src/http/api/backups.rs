//! Backups into the one folder that the configuration names, under names of ours. A caller names no path, takes nothing
//! away and puts nothing back: that is for commands on the machine.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    identity::Caller, page::Page, problem::Problem, query::Query, state::Api, tag::Steady, text::Text, word::Word,
};
use crate::{
    domain::{text::format::rfc3339, time::Time},
    store::{Store, StoreError},
};

/// How a backup of ours begins and ends.
const PREFIX: &str = "amplinkd-";
const SUFFIX: &str = ".db";

/// Only the daemon and its group read a backup, as they do the database.
const MODE: u32 = 0o640;

/// A backup in the folder.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct BackupFile {
    /// Its name.
    name: String,
    /// How large it is.
    bytes: u64,
    /// When it was written last.
    written_at: Option<String>,
}

impl Steady for BackupFile {}

/// A backup that is begun.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BackupBegun {
    /// The id of the action: `/actions/{id}` tells when it is done.
    id: String,
    /// Its name in the folder.
    name: String,
}

fn folder(api: &Api) -> Result<PathBuf, Problem> {
    api.http.backup_dir.clone().ok_or_else(|| {
        let text = Text::fixed(
            "No backups are made here: [http] backup_dir names no folder.",
            "此处不做备份：[http] backup_dir 未指定目录。",
        );
        Problem::new(Word::NotFound, text)
    })
}

/// Backups that were made here, by name: the oldest first.
#[utoipa::path(get, path = "/api/v1/backups", tag = "daemon", responses((status = 200, body = Page<BackupFile>)))]
pub(super) async fn list(State(api): State<Api>, query: Query) -> Result<Page<BackupFile>, Problem> {
    query.done()?;
    let folder = folder(&api)?;
    let found = tokio::task::spawn_blocking(move || files(&folder)).await;
    let found = found.unwrap_or_else(|gone| Err(io::Error::other(gone)));
    found.map(Page::whole).map_err(|error| refused(&error))
}

fn files(folder: &Path) -> io::Result<Vec<BackupFile>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let about = entry.metadata()?;
        if about.is_file() && name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            let written = about.modified().ok().and_then(|at| jiff::Timestamp::try_from(at).ok());
            let written_at = written.map(|at| rfc3339(Time::from_ms(at.as_millisecond())));
            found.push(BackupFile { name, bytes: about.len(), written_at });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn refused(error: &io::Error) -> Problem {
    tracing::warn!(event = "http.backup_dir", error = %error, "[http] backup_dir cannot be used");
    let (en, zh) = (
        format!("The folder of [http] backup_dir cannot be used: {error}."),
        format!("无法使用 [http] backup_dir 所指的目录：{error}。"),
    );
    Problem::new(Word::Unwritable, Text::new(en, zh))
}

/// Makes a backup in the folder of `[http] backup_dir`.
///
/// It is done in the background, one at a time.
#[utoipa::path(post, path = "/api/v1/backups", tag = "daemon", responses(
    (status = 202, body = BackupBegun, description = "It is begun; Location says where its progress is", headers(
        ("Location" = String, description = "Where its progress is"),
    )),
))]
pub(super) async fn make(State(api): State<Api>, caller: Caller, query: Query) -> Result<Response, Problem> {
    query.done()?;
    let folder = folder(&api)?;
    let Ok(turn) = api.backups.clone().try_acquire_owned() else { return Err(Problem::of(Word::Running)) };
    let now = api.now();
    // Without marks that a file's name must not have.
    let name = format!("{PREFIX}{}{SUFFIX}", rfc3339(now).replace([':', '-'], ""));
    let to = folder.join(&name);
    let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&to).map_err(|error| refused(&error))?;
    let id = match api.store().begin_backup(caller.by(), now).await {
        Ok(id) => id,
        Err(error) => {
            let _ = std::fs::remove_file(&to);
            return Err(error.into());
        }
    };
    let (action, store, clock) = (id.clone(), api.store().clone(), api.clock().clone());
    drop(tokio::spawn(async move {
        let made = copy(&store, &to, &file, now).await;
        if let Err(error) = &made {
            // It was made a moment ago and is of no use to anybody.
            let _ = std::fs::remove_file(&to);
            tracing::error!(event = "http.backup_failed", file = %to.display(), error = %error, "no backup was made");
        }
        let _ = store.end_backup(action, made.is_ok(), clock.now()).await;
        drop(turn);
    }));
    let location = format!("{}/api/v1/actions/{id}", api.http.base_path);
    let headers = [(header::LOCATION, location), (header::RETRY_AFTER, "1".to_owned())];
    Ok((StatusCode::ACCEPTED, headers, Json(BackupBegun { id, name })).into_response())
}

async fn copy(store: &Store, to: &Path, file: &File, now: Time) -> anyhow::Result<()> {
    let Some(path) = store.path() else {
        anyhow::bail!("the database is at {}, which its own tools copy", store.place())
    };
    Store::backup(path, to, now).await?;
    if let Some(damage) = Store::verify(to, 1).await?.first() {
        anyhow::bail!("the backup is inconsistent ({}: {}); run `amplinkd db verify`", damage.id, damage.finding);
    }
    file.sync_all()?;
    if let Some(folder) = to.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Ends what a process that died has left under way.
///
/// # Errors
/// [`StoreError`]: it still looks as if it went on.
pub(super) async fn end_lost(api: &Api) -> Result<(), StoreError> {
    api.store().end_lost_backups(api.now()).await
}
