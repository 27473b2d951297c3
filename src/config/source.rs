//! Merges the file and the environment, and knows where each value comes from.
//!
//! An override is first checked alone, as a file that holds nothing else, so that its errors name the variable; then it
//! replaces the value in the file's table. Any error after that is in the file.

use std::{
    ffi::OsString,
    ops::Range,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::IntoDeserializer};
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::{
    Config, ConfigError, InvalidKey, Origin, RawConfig, Setting,
    changes::Contents,
    effective::{self, keys},
    error::{self, DEFAULT_FILE, FILE_VARIABLE, InFile},
    secret::Secrets,
    text_file,
    unseen::{hidden, hidden_in, with_unseen},
};

/// A configuration is a page or two, with a long table of tokens at most; more is the wrong file.
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// Keys that hold a list of sections, each with a header of its own.
const SECTIONS: [&str; 3] = ["override", "channel", "caller"];

/// What the names of overriding variables begin with.
const PREFIX: &str = "AMPLINKD__";

/// A configuration and where each of its values comes from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    /// The file it was read from; `None` when the environment alone says all.
    pub file: Option<PathBuf>,
    /// Every key with its value (secrets veiled) and origin, in the order of the example file.
    pub settings: Vec<Setting>,
    pub(super) contents: Contents,
}

impl Loaded {
    /// Reads the same file again, or the environment alone if that was all there was.
    ///
    /// # Errors
    /// As [`Config::load`]; this one is as it was.
    pub fn again(&self, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let env: Vec<(String, String)> = env.into_iter().collect();
        let text = self.file.as_deref().map(read).transpose()?;
        load(self.file.clone(), &text.unwrap_or_default(), &env, [Secrets::Read; 2])
    }
}

/// Every variable of this process that replaces a key. This is the one place where the environment is read.
///
/// # Errors
/// [`ConfigError::InEnvironment`]: the value of one is not UTF-8.
pub fn environment() -> Result<Vec<(String, String)>, ConfigError> {
    let ours = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    ours.filter(|(name, _)| name.starts_with(PREFIX)).map(|(name, value)| decoded(name, value)).collect()
}

fn decoded(variable: String, value: OsString) -> Result<(String, String), ConfigError> {
    match value.into_string() {
        Ok(value) => Ok((variable, value)),
        Err(_) => Err(ConfigError::InEnvironment {
            variable,
            wrong: "its value is not UTF-8: set it in UTF-8, and rename a path that is not".to_owned(),
        }),
    }
}

/// The file that `AMPLINKD_CONFIG` of this process names, in whatever encoding.
#[must_use]
pub fn file_of_environment() -> Option<PathBuf> {
    std::env::var_os(FILE_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Who became this process's user by `sudo`.
#[must_use]
pub fn user_before_sudo() -> Option<String> {
    std::env::var_os("SUDO_USER").and_then(|name| name.into_string().ok()).filter(|name| !name.is_empty())
}

/// Where colours are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// Nowhere.
    Never,
    /// On a terminal.
    OnTerminal,
    /// Also where none is.
    Always,
}

/// What the user wants of colours: `NO_COLOR` refuses them (<https://no-color.org>), `CLICOLOR_FORCE` asks for them also in a
/// pipe (<https://bixense.com/clicolors>), and a terminal that calls itself dumb has none.
#[must_use]
pub fn colours() -> Colours {
    let value = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let is_zero = |value: &std::ffi::OsString| value == "0";
    if value("NO_COLOR").is_some() {
        Colours::Never
    } else if value("CLICOLOR_FORCE").is_some_and(|value| !is_zero(&value)) {
        Colours::Always
    } else if value("TERM").is_some_and(|term| term == "dumb") || value("CLICOLOR").is_some_and(|value| is_zero(&value))
    {
        Colours::Never
    } else {
        Colours::OnTerminal
    }
}

/// The variables of this process that name a proxy for other programs; none where `NO_PROXY=*` takes them back. Ours come
/// from the configuration alone.
#[must_use]
pub fn proxy_variables() -> Vec<String> {
    if ["NO_PROXY", "no_proxy"].iter().any(|name| std::env::var_os(name).is_some_and(|value| value == "*")) {
        return Vec::new();
    }
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    names.into_iter().filter(|name| is_set(name)).map(str::to_owned).collect()
}

/// Which stream systemd has connected to the journal for this process, as `DEVICE:INODE` (systemd.exec(5)).
#[must_use]
pub fn journal_stream() -> Option<String> {
    std::env::var_os("JOURNAL_STREAM")?.into_string().ok()
}

/// The file that was named, or the one that lies here; none where the environment says something by itself.
pub(super) fn choose(path: Option<&Path>, env: &[(String, String)]) -> Result<Option<PathBuf>, ConfigError> {
    let named = || env.iter().find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
    match path.map(Path::to_owned).or_else(|| named().map(|(_, value)| PathBuf::from(value))) {
        Some(path) => Ok(Some(path)),
        // A link that leads nowhere is a mistake in it, too.
        None if Path::new(DEFAULT_FILE).symlink_metadata().is_ok() => Ok(Some(PathBuf::from(DEFAULT_FILE))),
        None if env.iter().any(|(name, _)| name.starts_with(PREFIX)) => Ok(None),
        None => Err(ConfigError::NoFile),
    }
}

pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    text_file::read(path, FILE_MAX, "too large for a configuration file")
        .map_err(|reason| ConfigError::Unreadable { path: path.to_owned(), reason })
}

/// Everything from the text of a file and the environment. Of secrets, those of `[alerts]` and `[heartbeat]` come first,
/// those of `[tokens]` last.
pub(super) fn load(
    file: Option<PathBuf>,
    text: &str,
    env: &[(String, String)],
    secrets: [Secrets; 2],
) -> Result<Loaded, ConfigError> {
    let file = file.map(|file| std::path::absolute(&file).unwrap_or(file));
    let text = text_file::without_mark(text);
    let refused = |span, key: &str, wrong: &str| match &file {
        Some(file) => ConfigError::InFile(InFile::at(file.clone(), text, span, key, wrong)),
        None => ConfigError::InEnvironment { variable: variable_of(known(key)), wrong: wrong.to_owned() },
    };
    let mut table = DeTable::parse(text)
        .map_err(|wrong| refused(wrong.span(), "", &with_unseen(text, wrong.span(), wrong.message())))?;
    let origin = table.get_ref().clone();
    if let Some((span, hidden)) = hidden_in(&origin) {
        let key = key_at(&origin, span.start);
        return Err(refused(Some(span), &key, &hidden));
    }
    let overrides = Override::all(env)?;
    for change in &overrides {
        change.apply(table.get_mut());
    }
    let merged = table.get_ref().clone();
    let written = RawConfig::deserialize(table.into_deserializer()).map_err(|wrong| {
        let key = wrong.span().map(|span| key_at(&origin, span.start)).unwrap_or_default();
        refused(wrong.span(), &key, &in_our_words(&key, wrong.message()))
    })?;
    let origin_of = |key: &str| match overrides.iter().find(|change| key == change.key()) {
        Some(change) => Origin::Environment(change.variable.clone()),
        None => find(&origin, key).map_or(Origin::Default, |span| Origin::File(error::place(text, span.start).0)),
    };
    let folder = match &file {
        Some(file) => file.parent().unwrap_or(Path::new("/")).to_owned(),
        None => std::path::absolute(".").unwrap_or_default(),
    };
    let settings = effective::list(&written, &folder, origin_of);
    let [of_channels, of_tokens] = secrets;
    let config =
        written.resolve(&folder, of_channels, of_tokens).map_err(|InvalidKey { key, wrong }| {
            match overrides.iter().find(|change| change.holds(&key)) {
                Some(change) => ConfigError::InEnvironment { variable: change.variable.clone(), wrong },
                None => refused(nearest(&origin, &key), &key, &wrong),
            }
        })?;
    // Whoever may not read the secrets compares nothing.
    let contents = if secrets == [Secrets::Read; 2] { Contents::of(&merged, &folder) } else { Contents::default() };
    Ok(Loaded { config, file, settings, contents })
}

/// One variable that replaces one key.
struct Override<'e> {
    variable: String,
    section: String,
    name: String,
    value: Spanned<DeValue<'e>>,
}

impl<'e> Override<'e> {
    fn all(env: &'e [(String, String)]) -> Result<Vec<Self>, ConfigError> {
        let ours = env.iter().filter(|(variable, _)| variable.starts_with(PREFIX));
        ours.map(|(variable, value)| Self::parse(variable, value)).collect()
    }

    fn parse(variable: &str, text: &'e str) -> Result<Self, ConfigError> {
        let refused = |wrong: String| ConfigError::InEnvironment { variable: variable.to_owned(), wrong };
        let key = variable.trim_start_matches(PREFIX).to_ascii_lowercase().replacen("__", ".", 1);
        let Some((section, name)) = keys().into_iter().find(|known| *known == key).and_then(|key| key.split_once('.'))
        else {
            return Err(refused(no_such_key(&key)));
        };
        if let Some(wrong) = hidden(text) {
            return Err(refused(wrong));
        }
        let change =
            |value| Self { variable: variable.to_owned(), section: section.to_owned(), name: name.to_owned(), value };
        // Numbers and tables are written as in the file. What is not that is a text, which needs no quotes here.
        let as_written = DeValue::parse(text).map(change);
        let as_text = change(Spanned::new(0..text.len(), DeValue::String(text.into())));
        let wrong = match as_written {
            Ok(change) => match change.check() {
                Ok(()) => return Ok(change),
                Err(wrong) => as_text.check().map(|()| as_text).map_err(|_| wrong),
            },
            Err(_) => as_text.check().map(|()| as_text),
        };
        wrong.map_err(|wrong| refused(in_our_words(&key, wrong.message())))
    }

    /// Whether the value would be legal in a file that holds nothing else.
    fn check(&self) -> Result<(), toml::de::Error> {
        let mut alone = DeTable::new();
        self.apply(&mut alone);
        RawConfig::deserialize(Spanned::new(0..0, alone).into_deserializer()).map(drop)
    }

    fn apply(&self, table: &mut DeTable<'e>) {
        let unplaced = |name: &str| Spanned::new(0..0, name.to_owned().into());
        let section =
            table.entry(unplaced(&self.section)).or_insert_with(|| Spanned::new(0..0, DeValue::Table(DeTable::new())));
        // A section that is no table is a mistake in the file, and stays there to be found.
        if let DeValue::Table(section) = section.get_mut() {
            section.insert(unplaced(&self.name), self.value.clone());
        }
    }

    /// Whether a dotted key is this one or a name below it.
    fn holds(&self, key: &str) -> bool {
        key.strip_prefix(&self.key()).is_some_and(|below| below.is_empty() || below.starts_with('.'))
    }

    fn key(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}

/// The variable that overrides a dotted key.
pub(super) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

/// The key that a dotted name is, or is below: one of a table.
fn known(key: &str) -> &str {
    let is_above = |above: &&str| key.strip_prefix(above).is_some_and(|below| below.starts_with('.'));
    keys().into_iter().find(is_above).unwrap_or(key)
}

/// The nearest key, and the others of its section.
fn no_such_key(key: &str) -> String {
    let known = keys();
    let section = |key: &str| key.split('.').next().unwrap_or_default().to_owned();
    let nearest = known.iter().min_by_key(|known| (section(known) != section(key), distance(known, key)));
    let Some(nearest) = nearest else { return "no such key".to_owned() };
    let wanted = if known.iter().any(|known| section(known) == section(key)) { section(key) } else { section(nearest) };
    let there = known.iter().filter(|known| section(known) == wanted).map(|key| variable_of(key));
    let there = there.collect::<Vec<_>>().join(", ");
    format!("no such key; the closest is {}. Keys of [{wanted}]: {there}", variable_of(nearest))
}

/// Characters to add, remove or replace until one text is the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (line, a) in from.chars().enumerate() {
        let mut before = line;
        let mut left = line + 1;
        row[0] = left;
        for (b, cell) in to.chars().zip(row.iter_mut().skip(1)) {
            left = (before + usize::from(a != b)).min(*cell + 1).min(left + 1);
            before = std::mem::replace(cell, left);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The parser's message in the words of a configuration. Where a secret may stand, the parser's own words, which
/// repeat what they found, are replaced.
fn in_our_words(key: &str, message: &str) -> String {
    let secret = |expected: &str| format!("expected {expected}");
    match key.split('.').collect::<Vec<_>>()[..] {
        ["tokens", "url"] => secret("a string such as \"https://tokens.example/token?appid={account}\""),
        ["tokens", "headers", ..] => secret("a table of strings such as { Authorization = \"Bearer ...\" }"),
        ["tokens", "static", ..] => secret("a table of strings such as { wx0123456789abcdef = \"token\" }"),
        ["tokens", "command", ..] => secret("a list of strings such as [\"./token.sh\", \"--json\"]"),
        ["tokens", "token" | "expires_in"] => secret("a JSON pointer in quotes, such as \"/data/access_token\""),
        ["tokens", "headers_file" | "static_file", ..] => secret("a table of names and files"),
        ["alerts", "channel"] | ["alerts", "channel", _] if message.starts_with("invalid type") => {
            secret("[[alerts.channel]] sections, each with a `name` and a `kind`")
        }
        ["alerts", "override"] | ["alerts", "override", _] if message.starts_with("invalid type") => {
            secret("[[alerts.override]] sections, each with a `label` or an `account`, and `stuck_after`")
        }
        [section] if !message.starts_with("unknown field") => format!("expected a section, as in [{section}]"),
        _ => message
            .replacen("unknown field", "unknown key", 1)
            .replacen("unknown variant", "unknown value", 1)
            .replacen("missing field", "missing key", 1)
            .replacen("invalid type: ", "", 1)
            .replacen("invalid value: ", "", 1),
    }
}

/// The dotted key that an offset of the file belongs to; empty when it belongs to none. Sections of which there may be
/// several, such as `[[alerts.channel]]`, are numbered from 1.
fn key_at(table: &DeTable<'_>, offset: usize) -> String {
    table
        .iter()
        .find_map(|(name, value)| {
            let here = name.span().contains(&offset) || value.span().contains(&offset);
            // A table's own span is its header; its keys stand below it.
            let below = match value.get_ref() {
                DeValue::Table(table) => Some(key_at(table, offset)),
                DeValue::Array(list) if SECTIONS.contains(&name.get_ref().as_ref()) => key_in(list, offset),
                _ => None,
            };
            match below.filter(|key| !key.is_empty()) {
                Some(below) => Some(format!("{}.{below}", name.get_ref())),
                None => here.then(|| name.get_ref().clone().into_owned()),
            }
        })
        .unwrap_or_default()
}

fn key_in(list: &DeArray<'_>, offset: usize) -> Option<String> {
    (1..).zip(list.iter()).find_map(|(number, entry)| {
        let below = key_at(entry.get_ref().as_table()?, offset);
        match below.as_str() {
            "" => entry.span().contains(&offset).then(|| format!("{number}")),
            below => Some(format!("{number}.{below}")),
        }
    })
}

/// Where a dotted key stands in the file. Names below a section may have dots of their own.
fn find(table: &DeTable<'_>, key: &str) -> Option<Range<usize>> {
    table.iter().find_map(|(name, value)| {
        let rest = key.strip_prefix(name.get_ref().as_ref())?;
        if rest.is_empty() {
            return Some(name.span());
        }
        let rest = rest.strip_prefix('.')?;
        match value.get_ref() {
            DeValue::Table(table) => find(table, rest),
            DeValue::Array(list) => {
                let (number, below) = rest.split_once('.').map_or((rest, None), |(number, key)| (number, Some(key)));
                let entry = list.get(number.parse::<usize>().ok()?.checked_sub(1)?)?;
                match below {
                    Some(below) => find(entry.get_ref().as_table()?, below),
                    None => Some(entry.span()),
                }
            }
            _ => None,
        }
    })
}

/// Where a dotted key stands, or what it is missed from: a key that is missing is missed because of the chosen source
/// of tokens, or in its section.
fn nearest(table: &DeTable<'_>, key: &str) -> Option<Range<usize>> {
    let because = key.starts_with("tokens.").then(|| find(table, "tokens.source")).flatten();
    let above = || key.rmatch_indices('.').find_map(|(at, _)| find(table, &key[..at]));
    find(table, key).or(because).or_else(above)
}
