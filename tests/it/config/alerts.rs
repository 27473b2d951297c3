//! What an operator meets when writing who is to be told of what.

use std::{fs, time::Duration};

use amplinkd::{
    config::{Config, Origin},
    domain::{
        alert_rules::{Threshold, Whose},
        text::Language,
    },
    notify::Kind,
};

use super::{inspect, refused, value};

/// Everything that `[alerts]` and its neighbours can hold.
const ALERTS: &str = r#"
[alerts]
stuck_after = { account_admin = "12h", unlink = "learned", requested = "20m" }
unread_after = "5m"
repeat_every = "never"
group_within = "2s"
quiet_hours = "22:00-08:00"
quiet_except = []
timezone = "Europe/Berlin"
language = "en"
link = "https://dash.example/{rule}"
[[alerts.override]]
label = "team=shop"
stuck_after = { account_admin = "4h" }
[[alerts.override]]
account = "wx0123456789abcdef"
stuck_after = { initiated = "learned" }
[[alerts.channel]]
name = "ops"
kind = "webhook"
url = "https://h.example/hush"
secret = "hush-1"
previous_secrets = ["hush-0"]
events = ["alert", "transition", "conflict"]
rules = ["stuck", "daemon"]
[[alerts.channel]]
name = "boss"
kind = "email"
url = "smtps://hush@mail.example"
after = "2d"
language = "zh"
timeout = "30s"
from = "a@example.com"
to = ["b@example.com"]
[heartbeat]
url = "https://hc.example/hush"
[digest]
channels = ["boss"]
[nudge]
channels = { "*" = "ops", "team=shop" = "boss" }
"#;

#[test]
fn alerts_have_thresholds_quiet_hours_and_channels() {
    let loaded = inspect(ALERTS, &[]).unwrap();
    let alerts = &loaded.config.alerts;
    let hours = |count| Threshold::After(Duration::from_hours(count));
    let general = &alerts.thresholds.stuck_after;
    assert_eq!((general.account_admin, general.program_admin), (hours(12), hours(48)));
    assert_eq!((general.unlink, general.initiated), (Threshold::Learned, hours(1)));
    assert_eq!(general.requested, Threshold::After(Duration::from_mins(20)));
    assert_eq!(alerts.unread_after, Duration::from_mins(5));
    let whose: Vec<&Whose> = alerts.thresholds.overrides.iter().map(|one| &one.whose).collect();
    let label = Whose::Label("team".to_owned(), "shop".to_owned());
    assert_eq!(whose, [&label, &Whose::Account("wx0123456789abcdef".parse().unwrap())]);
    assert_eq!(alerts.thresholds.overrides[0].account_admin, Some(hours(4)));
    assert_eq!(alerts.thresholds.overrides[0].unlink, None);
    let quiet = alerts.quiet.clone().unwrap();
    assert_eq!((quiet.from, quiet.until, quiet.zone.iana_name()), (22 * 60, 8 * 60, Some("Europe/Berlin")));
    assert_eq!((alerts.repeat_every, alerts.group_within), (None, Duration::from_secs(2)));

    let [ops, boss] = alerts.channels.as_slice() else { panic!("two channels") };
    assert_eq!((ops.secrets.len(), ops.events.len(), ops.rules.len(), ops.after), (2, 3, 2, None));
    assert_eq!((ops.language, boss.language), (Language::En, Language::Zh));
    assert_eq!(boss.after, Some(Duration::from_hours(48)));
    assert_eq!((boss.kind, boss.from.as_deref()), (Kind::Email, Some("a@example.com")));
    assert!(loaded.config.heartbeat.url.is_some());
    let nudge = &loaded.config.nudge;
    let labels = |value: &str| [("team".to_owned(), value.to_owned())].into();
    assert_eq!(nudge.channel_of(&labels("shop")), Some("boss"));
    assert_eq!(nudge.channel_of(&labels("else")), Some("ops"));

    assert!(!format!("{loaded:?}").contains("hush"), "{loaded:?}");
    for (key, shown) in [
        ("alerts.channel", "ops (webhook), boss (email)"),
        ("alerts.quiet_hours", "22:00-08:00"),
        ("heartbeat.url", "https://hc.example/(hidden)"),
        ("nudge.channels", "{ \"*\" = \"ops\", \"team=shop\" = \"boss\" }"),
    ] {
        assert_eq!(value(&loaded, key).0, shown, "{key}");
    }
    assert_eq!(value(&loaded, "alerts.channel").1, Origin::File(18));
}

#[test]
fn a_mistake_in_alerts_is_answered_with_its_place_and_what_is_allowed() {
    let channel = |lines: &str| format!("[[alerts.channel]]\nname = \"ops\"\nkind = \"slack\"\n{lines}\n");
    let address = channel("url = \"https://h.example/\"");
    for (text, expected) in [
        ("[alerts]\nquiet_hours = \"22-8\"".to_owned(), "FILE:2:15: [alerts] quiet_hours: expected \"never\" or two"),
        (
            "[alerts]\nquiet_except = [\"all\"]".to_owned(),
            "[alerts] quiet_except: no such rule: expected some of stuck,",
        ),
        ("[alerts]\nstuck_after = \"1d\"".to_owned(), "FILE:2:15: [alerts] stuck_after: "),
        (
            "[alerts]\nstuck_after = { admin = \"1d\" }".to_owned(),
            "[alerts] stuck_after.admin: unknown key `admin`, expected",
        ),
        ("[alerts]\nstuck_after = { unlink = \"soon\" }".to_owned(), "\"learned\" is also allowed"),
        (
            "[alerts]\nstuck_after = { requested = \"learned\" }".to_owned(),
            "[alerts] stuck_after.requested: expected a duration",
        ),
        ("[alerts]\nunread_after = \"0s\"".to_owned(), "[alerts] unread_after: expected a duration"),
        ("[alerts]\nlanguage = \"de\"".to_owned(), "unknown value `de`, expected `en` or `zh`"),
        ("[[alerts.override]]\nstuck_after = {}".to_owned(), "FILE:1:1: [[alerts.override]]: whose thresholds"),
        (
            "[[alerts.override]]\nlabel = \"shop\"\nstuck_after = {}".to_owned(),
            "FILE:2:9: [[alerts.override]] label: expected a label",
        ),
        ("[[alerts.override]]\nlabel = \"a=b\"".to_owned(), "[[alerts.override]]: missing key `stuck_after`"),
        (channel(""), "FILE:1:1: [[alerts.channel]] url: channel \"ops\": kind = \"slack\" needs `url` or `url_file`"),
        (
            format!("{address}{address}"),
            "FILE:6:1: [[alerts.channel]] name: channel \"ops\": another channel already has this name",
        ),
        (format!("{address}events = []"), "FILE:5:10: [[alerts.channel]] events: a channel without events"),
        (format!("{address}rules = [\"x\"]"), "FILE:5:9: [[alerts.channel]] rules: no such rule"),
        (format!("{address}to = [\"a@b\"]"), "FILE:5:1: [[alerts.channel]] to: channel \"ops\": only kind = \"email\""),
        (format!("{address}url_file = \"key\""), "give `url` or `url_file`, not both"),
        (format!("{address}previous_secrets = [\"x\"]"), "previous secrets need a current one"),
        (format!("{address}mood = 1"), "FILE:5:1: [[alerts.channel]] mood: unknown key `mood`, expected one of `name`"),
        (channel("url_file = \"nowhere\""), "FILE:4:1: [[alerts.channel]] url_file: channel \"ops\": "),
        (address.replace("ops", "Ops"), "FILE:2:8: [[alerts.channel]] name: expected a name of 1 to 64 characters"),
        (
            address.replace("slack", "sms"),
            "FILE:3:8: [[alerts.channel]] kind: unknown value `sms`, expected one of `webhook`",
        ),
        (address.replace("slack", "log"), "kind = \"log\" writes to our own log"),
        (address.replace("slack", "email"), "kind = \"email\" needs `from`"),
        (format!("{address}[digest]\nchannels = [\"opps\"]"), "there is no channel \"opps\": expected one of ops"),
        (format!("{address}[nudge]\nchannels = {{ shop = \"ops\" }}"), "[nudge] channels.shop: expected a label"),
        (format!("{address}[nudge]\nchannels = {{ \"\" = \"ops\", \"*\" = \"ops\" }}"), "mean the same"),
    ] {
        let wrong = refused(&text, &[]);
        assert!(wrong.contains(expected), "{text}\n{wrong}\nmust contain\n{expected}");
    }
}

#[test]
fn what_a_kind_of_channel_cannot_do_is_refused() {
    let address = "[[alerts.channel]]\nname = \"ops\"\nkind = \"slack\"\nurl = \"https://h.example/\"\n";
    let log = "[[alerts.channel]]\nname = \"ops\"\nkind = \"log\"\nproxy = \"http://p\"\n";
    for (text, expected) in [
        (
            format!("{address}style = \"text\""),
            "FILE:5:1: [[alerts.channel]] style: channel \"ops\": only wecom, dingtalk",
        ),
        (format!("{address}style = \"bold\""), "FILE:5:9: [[alerts.channel]] style: unknown value `bold`, expected"),
        (
            format!("{address}hello = \"mon\""),
            "FILE:5:1: [[alerts.channel]] hello: channel \"ops\": only kind = \"email\"",
        ),
        (format!("{address}mention = \"ops\""), "FILE:5:11: [[alerts.channel]] mention: expected \"all\" or a list"),
        (format!("{address}mention = [138]"), "FILE:5:11: [[alerts.channel]] mention: expected \"all\" or a list"),
        (
            format!("{address}mention = [\"13800138000\"]"),
            "FILE:5:1: [[alerts.channel]] mention: channel \"ops\": \"13800138000\" cannot be called",
        ),
        (
            format!("{}mention = [\"13800138000\"]", address.replace("slack", "feishu")),
            "open_id (ou_…) or user_id alone, not by phone number",
        ),
        (format!("{}mention = \"all\"", address.replace("slack", "webhook")), "only wecom, dingtalk, feishu and slack"),
        (log.to_owned(), "without a connection"),
    ] {
        let wrong = refused(&text, &[]);
        assert!(wrong.contains(expected), "{text}\n{wrong}\nmust contain\n{expected}");
    }
}

#[test]
fn channels_come_from_the_environment_too() {
    let channels = "[ { name = \"ops\", kind = \"slack\", url = \"https://h.example/hush\" }, { name = \"log\", kind = \"log\" } ]";
    let env = [
        ("AMPLINKD__ALERTS__CHANNEL", channels),
        ("AMPLINKD__ALERTS__OVERRIDE", "[ { label = \"a=b\", stuck_after = { unlink = \"1h\" } } ]"),
        ("AMPLINKD__ALERTS__STUCK_AFTER", "{ account_admin = \"1h\" }"),
        ("AMPLINKD__HEARTBEAT__URL", "https://hc.example/hush"),
        ("AMPLINKD__DIGEST__CHANNELS", "[\"log\"]"),
        ("AMPLINKD__NUDGE__CHANNELS", "{ \"*\" = \"ops\" }"),
    ];
    let loaded = inspect("", &env).unwrap();
    assert_eq!(value(&loaded, "alerts.channel").0, "ops (slack), log (log)");
    assert_eq!(value(&loaded, "alerts.override").0, "[{ label = \"a=b\", stuck_after = { unlink = \"1h\" } }]");
    assert!(!format!("{loaded:?}").contains("hush"), "{loaded:?}");
    let wrong = refused("", &[("AMPLINKD__ALERTS__CHANNEL", "[ { name = \"ops\", kind = \"slack\" } ]")]);
    assert_eq!(wrong, "AMPLINKD__ALERTS__CHANNEL: channel \"ops\": kind = \"slack\" needs `url` or `url_file`");
    let wrong = refused("", &[("AMPLINKD__DIGEST__CHANNELS", "[\"ops\"]")]);
    assert!(wrong.starts_with("AMPLINKD__DIGEST__CHANNELS: there is no channel \"ops\""), "{wrong}");
}

#[test]
fn secrets_of_channels_come_from_files_which_a_person_without_rights_need_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    let text = "[[alerts.channel]]\nname = \"ops\"\nkind = \"dingtalk\"\nurl_file = \"url\"\nsecret_file = \"new\"\n\
                previous_secret_files = [\"old\"]\n[heartbeat]\nurl_file = \"url\"\n[digest]\nchannels = [\"ops\"]";
    fs::write(&file, text).unwrap();
    let left = Config::without_secrets(Some(&file), []).unwrap();
    assert!(left.alerts.channels[0].url.is_none() && left.heartbeat.url.is_none());
    assert_eq!(left.alerts.channels[0].secrets.len(), 0);
    assert!(Config::load(Some(&file), []).is_err());
    for (name, secret) in [("url", "https://h.example/hush\n"), ("new", "hush-1\n"), ("old", "hush-0\n")] {
        fs::write(folder.path().join(name), secret).unwrap();
    }
    let whole = Config::load(Some(&file), []).unwrap();
    let settings = whole.alerts.channels[0].settings();
    let secrets: Vec<&str> = settings.secrets.iter().map(secrecy::ExposeSecret::expose_secret).collect();
    assert_eq!(secrets, ["hush-1", "hush-0"]);
    assert_eq!(secrecy::ExposeSecret::expose_secret(settings.url.as_ref().unwrap()), "https://h.example/hush");
}
