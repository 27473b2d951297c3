//! A configuration: the file's text, then, below a line `--env--`, variables as `NAME=value`.

use std::{fmt::Write as _, path::PathBuf};

use amplinkd::{
    config::{Config, ConfigError, Loaded, Origin, Setting, keys},
    domain::time::Time,
    store::Location,
};
use toml::{Table, Value};

/// What seeds write where a secret belongs.
pub const SECRET: &str = "hUsh-5ecret-9";

/// Where the file would be; there is nothing.
const FILE: &str = "/nowhere/amplinkd.toml";

/// A moment to ask cron texts from.
const NOW: Time = Time::from_ms(1_773_100_800_000);

/// Variables whose values are secrets.
const SECRET_VARIABLES: [&str; 5] = [
    "AMPLINKD__TOKENS__URL",
    "AMPLINKD__TOKENS__HEADERS",
    "AMPLINKD__TOKENS__STATIC",
    "AMPLINKD__TOKENS__COMMAND",
    "AMPLINKD__ALERTS__CHANNEL",
];

/// Keys that hide secrets or name what hides one: they cannot be written down from what is shown.
const VEILED: [&str; 16] = [
    "tokens.",
    "wechat.proxy",
    "wechat.ca_file",
    "alerts.channel",
    "heartbeat.url",
    "heartbeat.url_file",
    "heartbeat.proxy",
    "heartbeat.ca_file",
    "component.",
    "secrets.",
    "token_service.",
    "digest.channels",
    "nudge.channels",
    "http.proxy",
    "telemetry.proxy",
    "telemetry.ca_file",
];

/// Every property of one configuration.
pub fn hold(data: &[u8]) {
    let Ok(data) = std::str::from_utf8(data) else { return };
    let (text, below) = data.split_once("--env--\n").unwrap_or((data, ""));
    let env: Vec<(String, String)> =
        below.lines().filter_map(|line| line.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let table: Option<Table> = text.parse().ok();
    if reads_files(table.as_ref(), &env) {
        return;
    }
    let loaded = read(text, &env);
    assert_eq!(format!("{loaded:?}"), format!("{:?}", read(text, &env)), "read twice, differently");
    if only_secrets(text, table.as_ref(), &env) {
        let shown = loaded.as_ref().map_or_else(ToString::to_string, |_| String::new());
        assert!(!shown.contains(SECRET), "a secret came out: {shown}");
        assert!(!format!("{loaded:?}").contains(SECRET), "a secret came out: {loaded:?}");
    }
    match loaded {
        Ok(loaded) => in_force(&loaded, text, &env),
        Err(error) => located(&error, text, table.as_ref(), &env),
    }
}

fn read(text: &str, env: &[(String, String)]) -> Result<Loaded, ConfigError> {
    Config::inspect_text(PathBuf::from(FILE), text, env)
}

/// Whether a secret's file would be opened outside the folder that is not there.
fn reads_files(table: Option<&Table>, env: &[(String, String)]) -> bool {
    let outside = |text: &str| text.contains('/') || text.contains('\\');
    let tokens = table.and_then(|table| table.get("tokens")?.as_table());
    let named = ["headers_file", "static_file"].iter().filter_map(|key| tokens?.get(*key)?.as_table());
    let heartbeat = table.and_then(|table| table.get("heartbeat")?.get("url_file")?.as_str());
    named.flat_map(Table::values).filter_map(Value::as_str).any(outside)
        || heartbeat.is_some_and(outside)
        || table.is_some_and(|table| channels(table.get("alerts")).any(has_file))
        || env.iter().any(|(name, value)| (name.contains("_FILE") || value.contains("_file")) && outside(value))
}

/// The entries of `[[alerts.channel]]`.
fn channels(alerts: Option<&Value>) -> impl Iterator<Item = &Table> {
    let channels = alerts.and_then(|alerts| alerts.get("channel")?.as_array());
    channels.into_iter().flatten().filter_map(Value::as_table)
}

fn has_file(channel: &Table) -> bool {
    channel.keys().any(|key| key.ends_with("_file") || key.ends_with("_files"))
}

/// Whether the secret stands nowhere but where secrets belong, which is all that can be promised.
fn only_secrets(text: &str, table: Option<&Table>, env: &[(String, String)]) -> bool {
    let in_file = match table {
        Some(table) => text.matches(SECRET).count() == in_tokens(table) + in_channels(table.get("alerts")),
        None => below_tokens(text),
    };
    in_file
        && env.iter().all(|(name, value)| {
            let in_place = SECRET_VARIABLES.contains(&name.as_str())
                && match (name.ends_with("COMMAND"), name.ends_with("URL")) {
                    _ if name.ends_with("CHANNEL") => format!("alerts = {{ channel = {value} }}")
                        .parse::<Table>()
                        .map_or(true, |table| in_channels(table.get("alerts")) == value.matches(SECRET).count()),
                    (true, _) => format!("x = {value}")
                        .parse::<Table>()
                        .is_ok_and(|table| table.get("x").map_or(0, in_arguments) == value.matches(SECRET).count()),
                    (_, true) => in_query(value) == value.matches(SECRET).count(),
                    // A table's names are shown.
                    (false, false) => format!("x = {value}")
                        .parse::<Table>()
                        .map_or(true, |table| table.get("x").map_or(0, in_texts) == value.matches(SECRET).count()),
                };
            !name.contains(SECRET) && (in_place || !value.contains(SECRET))
        })
}

/// How often the secret stands in `[tokens]` where one belongs.
fn in_tokens(table: &Table) -> usize {
    let Some(tokens) = table.get("tokens").and_then(Value::as_table) else { return 0 };
    let texts = ["headers", "static"].iter().filter_map(|key| tokens.get(*key)).map(in_texts);
    let url = tokens.get("url").and_then(Value::as_str).map_or(0, in_query);
    texts.sum::<usize>() + tokens.get("command").map_or(0, in_arguments) + url
}

/// How often the secret stands in channels where one belongs.
fn in_channels(alerts: Option<&Value>) -> usize {
    let of = |channel: &Table| {
        let texts = ["url", "secret"].iter().filter_map(|key| channel.get(*key)?.as_str());
        let list = channel.get("previous_secrets").and_then(Value::as_array).into_iter().flatten();
        texts.chain(list.filter_map(Value::as_str)).map(|text| text.matches(SECRET).count()).sum::<usize>()
    };
    channels(alerts).map(of).sum()
}

/// The first one is the program, which is shown.
fn in_arguments(command: &Value) -> usize {
    let arguments = command.as_array().map_or(&[][..], Vec::as_slice).iter().skip(1);
    arguments.filter_map(Value::as_str).map(|text| text.matches(SECRET).count()).sum()
}

fn in_texts(table: &Value) -> usize {
    let texts = table.as_table().into_iter().flat_map(Table::values).filter_map(Value::as_str);
    texts.map(|text| text.matches(SECRET).count()).sum()
}

/// The values of a query are hidden; what stands before them is shown.
fn in_query(url: &str) -> usize {
    let pairs = url.split_once('?').map_or("", |(_, query)| query).split('&');
    pairs.map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value).matches(SECRET).count()).sum()
}

/// Whether a text that is no TOML names the secret below a header of `[tokens]` alone.
fn below_tokens(text: &str) -> bool {
    let mut below = false;
    text.split('\n').all(|line| {
        if line.trim_start().starts_with('[') {
            below = matches!(line.trim_end(), "[tokens]" | "[tokens.headers]" | "[tokens.static]");
        }
        below || !line.contains(SECRET)
    })
}

/// A mistake has its place: a line and a column of the file and the key, or the variable.
fn located(error: &ConfigError, text: &str, table: Option<&Table>, env: &[(String, String)]) {
    match error {
        ConfigError::InFile(mistake) => {
            assert!(!mistake.key.is_empty() || table.is_none(), "{error}\nwithout its key");
            assert!(!mistake.wrong.is_empty(), "{error}");
            if let Some((line, column)) = mistake.place {
                let lines: Vec<&str> = text.split('\n').collect();
                assert!((1..=lines.len()).contains(&line), "{error}\nin {} lines", lines.len());
                assert!((1..=lines[line - 1].chars().count() + 1).contains(&column), "{error}");
            } else {
                assert!(mistake.key.starts_with("tokens."), "{error}\nwithout its place");
            }
        }
        ConfigError::InEnvironment { variable, wrong } => {
            assert!(env.iter().any(|(name, _)| name == variable) && !wrong.is_empty(), "{error}");
        }
        ConfigError::NoFile | ConfigError::Unreadable { .. } => panic!("a text was given: {error}"),
    }
}

/// What is in force is within its limits, comes from somewhere, and can be written down and read again.
fn in_force(loaded: &Loaded, text: &str, env: &[(String, String)]) {
    let config = &loaded.config;
    assert!(config.wechat.in_flight >= 1 && config.wechat.per_second >= 1 && config.polling.daily_budget >= 1);
    assert!(!config.wechat.timeout.is_zero() && !config.tokens.timeout.is_zero() && config.policy.attempts >= 1);
    if let Location::File { mode, .. } = &config.database.location {
        assert_eq!(mode & !0o664, 0, "the database's mode");
    }
    drop(config.policy());
    let schedule = &config.schedule;
    for cron in [&schedule.drift, &schedule.housekeeping, &schedule.audit, &schedule.digest] {
        assert!(cron.next_after(NOW, schedule.timezone).is_none_or(|next| next > NOW), "{cron:?} comes before now");
    }
    let settings = &loaded.settings;
    assert!(settings.iter().map(|setting| setting.key).eq(keys()), "a key was left out");
    for setting in settings {
        match &setting.origin {
            Origin::Default => {}
            Origin::File(line) => assert!((1..=text.split('\n').count()).contains(line), "{setting:?}"),
            Origin::Environment(variable) => assert!(env.iter().any(|(name, _)| name == variable), "{setting:?}"),
        }
    }
    written_again(loaded);
}

/// Every key but those that hide secrets, in a file of their own.
fn written_again(loaded: &Loaded) {
    let mut text = String::new();
    let is_open = |setting: &&Setting| !VEILED.iter().any(|veiled| setting.key.starts_with(veiled));
    let open = || loaded.settings.iter().filter(is_open);
    for setting in open() {
        let bare = [
            "urls",
            "in_flight",
            "per_second",
            "keep",
            "steps",
            "daily_budget",
            "attempts",
            "stuck_after",
            "crowd",
            "quiet_except",
            "override",
            "plain_json",
            "hosts",
            "connections",
            "streams",
            "body_bytes",
            "proxy",
            "open",
            "sample_ratio",
        ];
        let is_bare = bare.iter().any(|key| setting.key.ends_with(&format!(".{key}")));
        let value = if is_bare { setting.value.clone() } else { Value::String(setting.value.clone()).to_string() };
        writeln!(text, "{} = {value}", setting.key).unwrap();
    }
    let again = read(&text, &[]).unwrap_or_else(|error| panic!("what is in force is refused: {error}\n{text}"));
    let theirs = again.settings.iter().filter(is_open);
    for (ours, theirs) in open().zip(theirs) {
        assert_eq!(ours.value, theirs.value, "{} is read otherwise", ours.key);
    }
}
