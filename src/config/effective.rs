//! The effective settings and where they come from, for people. Secrets are shown as set or not set.

use std::path::Path;

use secrecy::SecretString;

use super::{
    Digest, Log, LogFormat, PolicySection, RawConfig, RawPolling, Retention, Schedule,
    alerts::{Hours, RawAlerts, RawOverride, quoted},
    channels::RawChannel,
    component::{RawCallback, RawComponent, RawSecrets, RawTokenService},
    digest::RawNudge,
    heartbeat::RawHeartbeat,
    http_api::{Metrics, RawHttp},
    secret,
    tokens::{RawTokens, Source, veiled},
    traces::RawTelemetry,
    value::duration_text,
    wechat_api::RawWechat,
};
use crate::domain::{alert_rules::StuckAfter, text::Language};

/// One key in force.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The dotted key, such as `polling.steps`.
    pub key: &'static str,
    /// Its value as the file would write it; "(set)" for a secret.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// This line of the file.
    File(usize),
    /// This variable.
    Environment(String),
}

/// Every key there is, dotted, in the order of the example file.
#[must_use]
pub fn keys() -> Vec<&'static str> {
    values(&RawConfig::default(), Path::new("")).into_iter().map(|(key, _)| key).collect()
}

pub(super) fn list(written: &RawConfig, folder: &Path, origin_of: impl Fn(&str) -> Origin) -> Vec<Setting> {
    let values = values(written, folder).into_iter();
    values.map(|(key, value)| Setting { key, value, origin: origin_of(key) }).collect()
}

/// Each section is taken apart whole, so that a key cannot be forgotten here: the compiler asks for it.
fn values(written: &RawConfig, folder: &Path) -> Vec<(&'static str, String)> {
    let RawConfig {
        database,
        cluster,
        wechat,
        tokens,
        component,
        callback,
        secrets,
        token_service,
        http,
        metrics,
        polling,
        policy,
        retention,
        schedule,
        alerts,
        heartbeat,
        digest,
        nudge,
        log,
        telemetry,
    } = written;
    let RawPolling { steps, daily_budget } = polling;
    let PolicySection { appear_within, attempts, deadline, rollover_grace } = policy;
    let Retention { finished } = retention;
    let Schedule { timezone, drift, housekeeping, audit, digest: summary } = schedule;
    let Log { filter, format } = log;
    let steps = steps.iter().map(|step| {
        let until = step.until.map(|until| format!("until = \"{}\", ", duration_text(until))).unwrap_or_default();
        format!("{{ {until}every = \"{}\" }}", duration_text(step.every))
    });
    let mut all = database.shown(folder).to_vec();
    all.extend(cluster.shown());
    all.extend(wechat_values(wechat));
    all.extend(tokens_values(tokens));
    all.extend(component_values(component, callback, secrets, token_service));
    all.extend(http_values(http, *metrics));
    all.extend([
        ("polling.steps", format!("[ {} ]", steps.collect::<Vec<_>>().join(", "))),
        ("polling.daily_budget", daily_budget.to_string()),
        ("policy.appear_within", duration_text(*appear_within)),
        ("policy.attempts", attempts.to_string()),
        ("policy.deadline", deadline.map_or_else(|| "never".to_owned(), duration_text)),
        ("policy.rollover_grace", duration_text(*rollover_grace)),
        ("retention.finished", finished.map_or_else(|| "never".to_owned(), duration_text)),
        ("schedule.timezone", timezone.name().to_owned()),
        ("schedule.drift", drift.as_str().to_owned()),
        ("schedule.housekeeping", housekeeping.as_str().to_owned()),
        ("schedule.audit", audit.as_str().to_owned()),
        ("schedule.digest", summary.as_str().to_owned()),
    ]);
    all.extend(alerts_values(alerts));
    all.extend(telling_values(heartbeat, digest, nudge));
    all.extend([
        ("log.filter", filter.clone()),
        (
            "log.format",
            match format {
                LogFormat::Text => "text".to_owned(),
                LogFormat::Json => "json".to_owned(),
            },
        ),
    ]);
    all.extend(telemetry_values(telemetry));
    all
}

fn telemetry_values(telemetry: &RawTelemetry) -> [(&'static str, String); 5] {
    let RawTelemetry { otlp_endpoint, sample_ratio, proxy: _, proxy_file: _, ca_file: _ } = telemetry;
    let [proxy, proxy_file, ca_file] = telemetry.egress().shown();
    [
        ("telemetry.otlp_endpoint", otlp_endpoint.clone()),
        ("telemetry.sample_ratio", format!("{sample_ratio:?}")),
        ("telemetry.proxy", proxy),
        ("telemetry.proxy_file", proxy_file),
        ("telemetry.ca_file", ca_file),
    ]
}

fn wechat_values(wechat: &RawWechat) -> [(&'static str, String); 7] {
    let RawWechat { base_url, timeout, in_flight, per_second, proxy: _, proxy_file: _, ca_file: _ } = wechat;
    let [proxy, proxy_file, ca_file] = wechat.egress().shown();
    [
        ("wechat.base_url", base_url.clone()),
        ("wechat.timeout", duration_text(*timeout)),
        ("wechat.in_flight", in_flight.to_string()),
        ("wechat.per_second", per_second.to_string()),
        ("wechat.proxy", proxy),
        ("wechat.proxy_file", proxy_file),
        ("wechat.ca_file", ca_file),
    ]
}

fn alerts_values(alerts: &RawAlerts) -> [(&'static str, String); 14] {
    let RawAlerts {
        stuck_after,
        unread_after,
        crowd,
        repeat_every,
        group_within,
        quiet_hours,
        quiet_except,
        timezone,
        language,
        link,
        keep_outcomes,
        give_up_after,
        overrides,
        channels,
    } = alerts;
    let never = || "never".to_owned();
    let language = match language {
        Language::En => "en",
        Language::Zh => "zh",
    };
    [
        ("alerts.stuck_after", stuck_after.shown(Some(&StuckAfter::default()))),
        ("alerts.unread_after", duration_text(*unread_after)),
        ("alerts.crowd", crowd.to_string()),
        ("alerts.repeat_every", repeat_every.map_or_else(never, duration_text)),
        ("alerts.group_within", duration_text(*group_within)),
        ("alerts.quiet_hours", quiet_hours.map_or_else(never, Hours::shown)),
        ("alerts.quiet_except", listed(quiet_except.iter().map(|rule| quoted(rule.as_str())))),
        ("alerts.timezone", timezone.name().to_owned()),
        ("alerts.language", language.to_owned()),
        ("alerts.link", link.clone()),
        ("alerts.keep_outcomes", duration_text(*keep_outcomes)),
        ("alerts.give_up_after", duration_text(*give_up_after)),
        ("alerts.override", listed(overrides.iter().map(RawOverride::shown))),
        ("alerts.channel", names(channels.iter().map(RawChannel::shown))),
    ]
}

fn telling_values(heartbeat: &RawHeartbeat, digest: &Digest, nudge: &RawNudge) -> [(&'static str, String); 12] {
    let RawHeartbeat { url, url_file, every, timeout, kind, proxy: _, proxy_file: _, ca_file: _ } = heartbeat;
    let [proxy, proxy_file, ca_file] = heartbeat.egress().shown();
    let Digest { channels } = digest;
    let RawNudge { min_interval, effect_within, channels: routes } = nudge;
    let routes: Vec<String> =
        routes.iter().map(|(label, channel)| format!("{} = {}", quoted(label), quoted(channel))).collect();
    let routes = if routes.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", routes.join(", ")) };
    [
        ("heartbeat.kind", kind.as_str().to_owned()),
        ("heartbeat.url", secret::veiled(url.as_ref(), Some(url_file))),
        ("heartbeat.url_file", if url_file.is_empty() { "(not set)".to_owned() } else { url_file.clone() }),
        ("heartbeat.every", duration_text(*every)),
        ("heartbeat.timeout", duration_text(*timeout)),
        ("heartbeat.proxy", proxy),
        ("heartbeat.proxy_file", proxy_file),
        ("heartbeat.ca_file", ca_file),
        ("digest.channels", listed(channels.iter().map(|name| quoted(name)))),
        ("nudge.min_interval", duration_text(*min_interval)),
        ("nudge.effect_within", duration_text(*effect_within)),
        ("nudge.channels", routes),
    ]
}

/// A list as the file would write it.
fn listed(entries: impl Iterator<Item = String>) -> String {
    format!("[{}]", entries.collect::<Vec<_>>().join(", "))
}

fn tokens_values(tokens: &RawTokens) -> [(&'static str, String); 14] {
    let RawTokens {
        source,
        url,
        headers,
        headers_file,
        command,
        table,
        table_file,
        timeout,
        keep,
        proxy: _,
        proxy_file: _,
        ca_file: _,
        token,
        expires_in,
    } = tokens;
    let [proxy, proxy_file, ca_file] = tokens.egress().shown();
    let source = match source {
        Source::Http => "http",
        Source::Command => "command",
        Source::Static => "static",
        Source::Component => "component",
    };
    let files = |(name, file): (&String, &String)| format!("{name} = {file}");
    // Arguments may hold a password, a program's name does not.
    let program = match &command[..] {
        [] => "(not set)".to_owned(),
        [program] => program.clone(),
        [program, arguments @ ..] => format!("{program} (and {} arguments)", arguments.len()),
    };
    [
        ("tokens.source", source.to_owned()),
        ("tokens.url", veiled(url)),
        ("tokens.headers", names(headers.iter().map(named))),
        ("tokens.headers_file", names(headers_file.iter().map(files))),
        ("tokens.command", program),
        ("tokens.static", names(table.iter().map(named))),
        ("tokens.static_file", names(table_file.iter().map(files))),
        ("tokens.timeout", duration_text(*timeout)),
        ("tokens.keep", keep.to_string()),
        ("tokens.proxy", proxy),
        ("tokens.proxy_file", proxy_file),
        ("tokens.ca_file", ca_file),
        ("tokens.token", token.clone()),
        ("tokens.expires_in", expires_in.clone()),
    ]
}

fn component_values(
    component: &RawComponent,
    callback: &RawCallback,
    secrets: &RawSecrets,
    service: &RawTokenService,
) -> [(&'static str, String); 14] {
    let RawComponent {
        appid,
        secret_file,
        message_token_file,
        aes_key_file,
        previous_message_token_file,
        previous_aes_key_file,
    } = component;
    let RawCallback { listen, path, plain_json } = callback;
    let RawSecrets { key_file, previous_key_files } = secrets;
    let RawTokenService { listen: service_listen, behind_proxy, callers } = service;
    let text = |text: &String| if text.is_empty() { "(not set)".to_owned() } else { text.clone() };
    [
        ("component.appid", text(appid)),
        ("component.secret_file", text(secret_file)),
        ("component.message_token_file", text(message_token_file)),
        ("component.aes_key_file", text(aes_key_file)),
        ("component.previous_message_token_file", text(previous_message_token_file)),
        ("component.previous_aes_key_file", text(previous_aes_key_file)),
        ("callback.listen", text(listen)),
        ("callback.path", path.clone()),
        ("callback.plain_json", plain_json.to_string()),
        ("secrets.key_file", text(key_file)),
        ("secrets.previous_key_files", listed(previous_key_files.iter().cloned())),
        ("token_service.listen", text(service_listen)),
        ("token_service.behind_proxy", behind_proxy.to_string()),
        ("token_service.caller", names(callers.iter().map(|caller| caller.name.clone()))),
    ]
}

fn http_values(http: &RawHttp, metrics: Metrics) -> [(&'static str, String); 9] {
    let RawHttp { listen, hosts, base_path, proxy, backup_dir, connections, streams, body_bytes } = http;
    let Metrics { open } = metrics;
    [
        ("http.listen", listen.clone()),
        ("http.hosts", listed(hosts.iter().map(|name| quoted(name)))),
        ("http.base_path", base_path.clone()),
        ("http.backup_dir", backup_dir.clone()),
        ("http.connections", connections.to_string()),
        ("http.streams", streams.to_string()),
        ("http.body_bytes", body_bytes.to_string()),
        ("http.proxy", proxy.as_ref().map_or_else(|| "{}".to_owned(), |proxy| proxy.shown(quoted))),
        ("metrics.open", open.to_string()),
    ]
}

fn named((name, _): (&String, &SecretString)) -> String {
    format!("{name} (set)")
}

/// A table's names; a long one is counted instead.
fn names(entries: impl ExactSizeIterator<Item = String>) -> String {
    /// More would fill a screen and tell nobody anything.
    const SHOWN_MAX: usize = 10;
    match entries.len() {
        0 => "(not set)".to_owned(),
        1..=SHOWN_MAX => entries.collect::<Vec<_>>().join(", "),
        many => format!("{many} entries (set)"),
    }
}
