//! `amplinkd config check`: the effective configuration and where each value comes from, without secrets.

use std::{io::Write, path::Path};

use anyhow::Context as _;
use serde::Serialize;

use super::{
    context::warning,
    output::{self, Column, Format, Look},
};
use crate::{
    config::{Config, Listen, Loaded, Origin, Setting, environment, proxy_variables},
    daemon,
    notify::{Channel, heartbeat::HeartbeatClient},
};

const COLUMNS: [Column; 3] =
    [Column::shown("key", "KEY"), Column::shown("value", "VALUE"), Column::shown("from", "FROM")];

/// One key in force.
#[derive(Debug, Serialize)]
struct Row<'s> {
    key: &'s str,
    value: &'s str,
    /// "default", a line of the file, or the name of a variable.
    from: String,
}

/// Reads the configuration as the daemon would and prints every key with its value and where that comes from.
/// Warnings go to stderr.
///
/// # Errors
/// The first mistake with its place, ready to be shown to a person.
pub fn check(config_path: Option<&Path>, format: Format, look: Look) -> anyhow::Result<()> {
    let loaded = load(config_path)?;
    report(&mut std::io::stdout().lock(), format, look, &loaded)?;
    loaded.config.warnings().iter().for_each(warning);
    loaded.exposed_secrets().iter().for_each(warning);
    daemon::oddities(&loaded.config, &proxy_variables()).iter().for_each(warning);
    Ok(())
}

/// Reads the configuration as the daemon would.
///
/// # Errors
/// As [`check`].
pub fn load(config_path: Option<&Path>) -> anyhow::Result<Loaded> {
    let loaded = Config::inspect(config_path, environment()?)?;
    for channel in &loaded.config.alerts.channels {
        Channel::new(&channel.settings())?;
    }
    if let Some(heartbeat) = loaded.config.heartbeat.settings() {
        HeartbeatClient::new(heartbeat).context("[heartbeat] url")?;
    }
    if let Some(component) = &loaded.config.component {
        daemon::platform(&loaded.config)?;
        daemon::vault(component)?;
    }
    loaded.config.listeners().into_iter().try_for_each(|(key, listen)| has_folder(key, listen))?;
    Ok(loaded)
}

/// A socket file can be made where its folder is.
fn has_folder(key: &str, listen: &Listen) -> anyhow::Result<()> {
    let Listen::Unix(path) = listen else { return Ok(()) };
    let folder = path.parent().unwrap_or(Path::new("/"));
    let (section, name) = key.split_once('.').unwrap_or((key, ""));
    anyhow::ensure!(
        folder.is_dir(),
        "[{section}] {name}: {} is no folder, so no socket can be made in it: make it first (systemd: RuntimeDirectory=)",
        folder.display()
    );
    Ok(())
}

fn report<'s>(out: &mut impl Write, format: Format, look: Look, loaded: &'s Loaded) -> std::io::Result<()> {
    let from = |origin: &Origin| match origin {
        Origin::Default => "default".to_owned(),
        Origin::File(line) => {
            let file = loaded.file.as_deref().unwrap_or(Path::new("")).display();
            format!("{file}:{line}")
        }
        Origin::Environment(variable) => variable.clone(),
    };
    let row = |setting: &'s Setting| Row { key: setting.key, value: &setting.value, from: from(&setting.origin) };
    let rows: Vec<Row<'s>> = loaded.settings.iter().map(row).collect();
    output::print(out, format, look, &COLUMNS, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_shown_with_its_value_and_where_it_comes_from() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "[policy]\nattempts = 5\n\n[tokens.headers]\nAuthorization = \"hush\"\n").unwrap();
        let env = [("AMPLINKD__LOG__FILTER".to_owned(), "warn".to_owned())];
        let mut out = Vec::new();
        report(&mut out, Format::Csv, Look::default(), &Config::inspect(Some(&file), env).unwrap()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 1 + crate::config::keys().len());
        for line in [
            format!("policy.attempts,5,{}:2\n", file.display()),
            format!("tokens.headers,Authorization (set),{}:4\n", file.display()),
            "log.filter,warn,AMPLINKD__LOG__FILTER\n".to_owned(),
            "policy.deadline,never,default\n".to_owned(),
        ] {
            assert!(text.contains(&line), "{text}");
        }
        assert!(!text.contains("hush"));
    }
}
