//! Every key of the configuration, changed in a running daemon: it is named, and the table of docs/running.md says of each
//! what the daemon does.

use amplinkd::config;
use toml::{Table, Value};

use super::house::{House, QUICK};

/// Every key with another value than the house's.
const OTHERWISE: &[(&str, &str)] = &[
    ("database.url", "'sqlite:other.db'"),
    ("database.urls", "['postgres://127.0.0.1:9/other']"),
    ("database.url_file", "'database'"),
    ("database.mode", "'0600'"),
    ("cluster.node", "'other'"),
    ("cluster.lease", "'20s'"),
    ("cluster.state", "'other'"),
    ("wechat.base_url", "'http://127.0.0.1:9'"),
    ("wechat.timeout", "'3s'"),
    ("wechat.in_flight", "7"),
    ("wechat.per_second", "1000"),
    ("wechat.proxy", "'http://127.0.0.1:9'"),
    ("wechat.proxy_file", "'proxy'"),
    ("wechat.ca_file", "'ca.pem'"),
    ("tokens.source", "'command'"),
    ("tokens.url", "'http://127.0.0.1:9/{account}'"),
    ("tokens.headers", "{ X-Key = 'k' }"),
    ("tokens.headers_file", "{ X-Key = 'secret' }"),
    ("tokens.command", "['false']"),
    ("tokens.static", "{ wx0123456789abcdef = 't' }"),
    ("tokens.static_file", "{ wx0123456789abcdef = 'secret' }"),
    ("tokens.timeout", "'3s'"),
    ("tokens.keep", "9"),
    ("tokens.proxy", "'http://127.0.0.1:9'"),
    ("tokens.proxy_file", "'proxy'"),
    ("tokens.ca_file", "'ca.pem'"),
    ("tokens.token", "'/data/access_token'"),
    ("tokens.expires_in", "'/data/expires_in'"),
    ("component.appid", "'wxcccccccccccccccc'"),
    ("component.secret_file", "'secret'"),
    ("component.message_token_file", "'secret'"),
    ("component.aes_key_file", "'secret'"),
    ("component.previous_message_token_file", "'secret'"),
    ("component.previous_aes_key_file", "'secret'"),
    ("callback.listen", "'127.0.0.1:9'"),
    ("callback.path", "'/other'"),
    ("callback.plain_json", "true"),
    ("secrets.key_file", "'secret'"),
    ("secrets.previous_key_files", "['secret']"),
    ("token_service.listen", "'127.0.0.1:9'"),
    ("token_service.behind_proxy", "true"),
    ("token_service.caller", "[ { name = 'other', key_sha256 = '', accounts = ['*'] } ]"),
    ("http.listen", "'127.0.0.1:9'"),
    ("http.hosts", "['links.example']"),
    ("http.base_path", "'/other'"),
    ("http.backup_dir", "'copies'"),
    ("http.connections", "77"),
    ("http.streams", "7"),
    ("http.body_bytes", "77777"),
    ("http.proxy", "{ from = ['127.0.0.1/32'] }"),
    ("metrics.open", "true"),
    ("polling.steps", "[ { every = '3s' } ]"),
    ("polling.daily_budget", "9999"),
    ("policy.appear_within", "'3s'"),
    ("policy.attempts", "7"),
    ("policy.deadline", "'30d'"),
    ("policy.rollover_grace", "'7m'"),
    ("retention.finished", "'400d'"),
    ("schedule.timezone", "'UTC'"),
    ("schedule.drift", "'0 31 4 * * *'"),
    ("schedule.housekeeping", "'0 11 4 * * *'"),
    ("schedule.audit", "'0 */6 * * * *'"),
    ("schedule.digest", "'0 1 9 * * *'"),
    ("alerts.stuck_after", "{ account_admin = '3d' }"),
    ("alerts.unread_after", "'7m'"),
    ("alerts.crowd", "77"),
    ("alerts.repeat_every", "'7h'"),
    ("alerts.group_within", "'7s'"),
    ("alerts.quiet_hours", "'22:00-08:00'"),
    ("alerts.quiet_except", "['stuck']"),
    ("alerts.timezone", "'UTC'"),
    ("alerts.language", "'en'"),
    ("alerts.link", "'https://h.example/{rule}'"),
    ("alerts.keep_outcomes", "'7h'"),
    ("alerts.give_up_after", "'7h'"),
    ("alerts.override", "[ { label = 'a=b', stuck_after = { unlink = '3d' } } ]"),
    ("alerts.channel", "[ { name = 'ops', kind = 'log', after = '3h' } ]"),
    ("heartbeat.kind", "'plain'"),
    ("heartbeat.url", "'http://127.0.0.1:9/'"),
    ("heartbeat.url_file", "'address'"),
    ("heartbeat.every", "'7m'"),
    ("heartbeat.timeout", "'7s'"),
    ("heartbeat.proxy", "'http://127.0.0.1:9'"),
    ("heartbeat.proxy_file", "'proxy'"),
    ("heartbeat.ca_file", "'ca.pem'"),
    ("digest.channels", "['ops']"),
    ("nudge.min_interval", "'3d'"),
    ("nudge.effect_within", "'3d'"),
    ("nudge.channels", "{ '*' = 'ops' }"),
    ("log.filter", "'debug'"),
    ("log.format", "'text'"),
    ("telemetry.otlp_endpoint", "'http://127.0.0.1:9'"),
    ("telemetry.sample_ratio", "0.5"),
    ("telemetry.proxy", "'http://127.0.0.1:9'"),
    ("telemetry.proxy_file", "'proxy'"),
    ("telemetry.ca_file", "'ca.pem'"),
];

/// The rows of the table: each key and what is said of it.
fn documented() -> Vec<(String, String)> {
    let text = include_str!("../../../docs/running.md");
    let (_, table) = text.split_once("<!-- reload:begin -->").unwrap();
    let (table, _) = table.split_once("<!-- reload:end -->").unwrap();
    let row = |line: &str| {
        let (key, says) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((key.to_owned(), says.to_owned()))
    };
    table.lines().filter_map(row).collect()
}

#[test]
fn the_table_has_every_key_and_what_waits_for_a_restart() {
    let documented = documented();
    let keys: Vec<&str> = documented.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, config::keys(), "docs/running.md: a row for every key, in the order of the example");
    for (key, says) in &documented {
        assert_eq!(says.starts_with("after a restart"), config::needs_restart(key), "docs/running.md: {key}");
    }
    let tried: Vec<&str> = OTHERWISE.iter().map(|(key, _)| *key).collect();
    assert_eq!(tried, config::keys(), "give every key another value here");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_named_when_it_changes() {
    let mut house = House::build(&[QUICK, "\nchannel = [ { name = \"ops\", kind = \"log\" } ]"].concat()).await;
    std::fs::write(house.path("secret"), "s").unwrap();
    std::fs::write(house.path("address"), "http://127.0.0.1:9/x").unwrap();
    std::fs::write(house.path("proxy"), "http://me:secret@127.0.0.1:9").unwrap();
    let authority = rcgen::generate_simple_self_signed(vec!["ca.example".to_owned()]).unwrap().cert;
    std::fs::write(house.path("ca.pem"), authority.pem()).unwrap();
    let mut before: Table = house.config().parse().unwrap();
    // One of three keys says where the database is: none says the same as the house does.
    before["database"].as_table_mut().unwrap().remove("url");
    std::fs::write(house.path("database"), "sqlite:other.db").unwrap();
    // Patient enough for a database at a server.
    set(&mut before, "policy.appear_within", "'2m'");
    // Whatever source is chosen has what it needs.
    set(&mut before, "tokens.command", "['true']");
    let caller = format!("[ {{ name = 'crm', key_sha256 = '{}', accounts = ['*'] }} ]", "0".repeat(64));
    set(&mut before, "token_service.caller", &caller);
    house.write(&before.to_string());
    house.start().await;
    for (key, value) in OTHERWISE {
        let mut after = before.clone();
        set(&mut after, key, value);
        house.write(&after.to_string());
        let waiting = house.log.count("config.needs_restart");
        house.reload().await;
        assert_eq!(house.log.count("config.rejected"), 0, "{key}: {}", house.log.tail());
        let said = house.log.such(|line| line["event"] == "config.reloaded").pop().unwrap();
        let named = house.log.such(|line| line["event"] == "config.needs_restart").split_off(waiting);
        // What a file holds is a part of what is said of the key that it stands for.
        let stem = key.trim_end_matches("_file").trim_end_matches('s');
        let is_meant = |keys: &[&str]| keys.contains(key) && keys.iter().all(|named| named.starts_with(stem));
        let changed: Vec<&str> = said["changed"].as_str().unwrap().split_terminator(' ').collect();
        let waiting_keys: Vec<&str> = named.iter().map(|line| line["key"].as_str().unwrap()).collect();
        let (meant, none) =
            if config::needs_restart(key) { (&waiting_keys, &changed) } else { (&changed, &waiting_keys) };
        assert!(is_meant(meant) && none.is_empty(), "{key}: {changed:?} {waiting_keys:?}");
        house.write(&before.to_string());
        house.reload().await;
        assert_eq!(house.log.count("config.needs_restart"), waiting + named.len(), "{key} is as it was");
    }
    assert!(!house.path("other.db").exists());
    house.stop();
}

fn set(config: &mut Table, key: &str, value: &str) {
    let (section, name) = key.split_once('.').unwrap();
    let value: Table = format!("it = {value}").parse().unwrap();
    let section = config.entry(section).or_insert_with(|| Value::Table(Table::new()));
    section.as_table_mut().unwrap().insert(name.to_owned(), value["it"].clone());
}
