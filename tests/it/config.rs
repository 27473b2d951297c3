//! What an operator meets when writing a configuration.

mod alerts;

mod warnings;

use std::{fs, path::Path};

use amplinkd::{
    config::{self, Config, Loaded, Origin, TokenSource},
    store::Location,
};
use secrecy::ExposeSecret as _;

const EXAMPLE: &str = include_str!("../../config/amplinkd.example.toml");

fn inspect(text: &str, env: &[(&str, &str)]) -> Result<Loaded, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("amplinkd.toml");
    fs::write(&file, text).expect("a file in it");
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let shown = file.display().to_string();
    Config::inspect(Some(&file), env).map_err(|wrong| wrong.to_string().replace(&shown, "FILE"))
}

fn refused(text: &str, env: &[(&str, &str)]) -> String {
    inspect(text, env).expect_err(text)
}

fn value(loaded: &Loaded, key: &str) -> (String, Origin) {
    let found = loaded.settings.iter().find(|setting| setting.key == key).expect(key);
    (found.value.clone(), found.origin.clone())
}

#[test]
fn the_example_is_every_default_and_every_key() {
    let example = inspect(EXAMPLE, &[]).unwrap();
    let empty = inspect("", &[]).unwrap();
    assert_eq!(example.settings.len(), config::keys().len());
    for (ours, default) in example.settings.iter().zip(&empty.settings).filter(|(ours, _)| ours.key != "database.url") {
        assert_eq!(ours.value, default.value, "{}: the example must show the default", ours.key);
        assert!(matches!(ours.origin, Origin::File(_)), "{} is missing in the example", ours.key);
        assert_eq!(default.origin, Origin::Default);
    }
    let but_for_the_folder = |loaded: &Loaded| Config { database: Config::default().database, ..loaded.config.clone() };
    let defaults = format!("{:?}", Config::default());
    assert_eq!(format!("{:?}", but_for_the_folder(&example)), defaults);
    let Location::File { path, mode } = &example.config.database.location else { panic!("it is a file") };
    assert_eq!((path.file_name().unwrap().to_str().unwrap(), *mode), ("amplinkd.db", 0o640));
}

#[test]
fn the_defaults_are_the_policy_of_the_domain() {
    assert_eq!(Config::default().policy(), amplinkd::domain::policy::Policy::default());
}

#[test]
fn a_mistake_is_answered_with_its_place_and_what_is_allowed() {
    let text = "[wechat]\ntimeout = \"10\"\n";
    assert_eq!(
        refused(text, &[]),
        "FILE:2:11: [wechat] timeout: expected a duration such as \"30s\", \"15m\", \"1h 30m\", \"2d\" or \"500ms\"\n  \
         2 | timeout = \"10\"\n    |           ^^^^"
    );
    for (text, expected) in [
        ("[wechat]\ntimeout = 10", "FILE:2:11: [wechat] timeout: integer `10`, expected a duration such as"),
        ("[wechat]\nin_flight = 0", "FILE:2:13: [wechat] in_flight: integer `0`, expected a whole number from 1 to"),
        ("[wechat]\nper_second = 1.5", "FILE:2:14: [wechat] per_second: floating point `1.5`, expected a whole"),
        ("[wechat]\nbase_url = \"ftp://h\"", "FILE:2:12: [wechat] base_url: expected a URL that begins with http"),
        ("[wechat]\nbase_url = \"https://h/?a=b\"", "[wechat] base_url: expected a base URL"),
        ("[wechat]\nretries = 3", "FILE:2:1: [wechat] retries: unknown key `retries`, expected one of `base_url`"),
        ("[database]\nurl = \"mysql://h/d\"", "[database] url: expected \"sqlite:\" followed by the path"),
        ("[database]\nurl = \"sqlite:a.db?mode=ro\"", "[database] url: options after the path are not supported"),
        ("[database]\nmode = \"0777\"", "[database] mode: expected octal permissions in quotes"),
        ("[database]\nmode = 640", "[database] mode: integer `640`, expected octal permissions in quotes"),
        ("[polling]\nsteps = []", "FILE:2:9: [polling] steps: no steps: every step but the last needs"),
        ("[polling]\nsteps = [ { every = \"1s\" }, { every = \"1s\" } ]", "every step but the last needs an `until`"),
        ("[polling]\nsteps = [ { every = \"2d\" } ]", "[polling] steps: every `every` must be between 10ms and 1d"),
        ("[polling]\nsteps = [ { each = \"2d\" } ]", "FILE:2:13: [polling] steps: unknown key `each`"),
        ("[policy]\ndeadline = \"soon\"", "[policy] deadline: expected a duration such as"),
        ("[policy]\nrollover_grace = \"5h\"", "[policy] rollover_grace: longer than the maximum \"4h\""),
        ("[policy]\nrollover_grace = 20", "[policy] rollover_grace: integer `20`, expected a duration from \"0s\" to"),
        ("[policy]\nattempts = -1", "[policy] attempts: integer `-1`, expected a whole number from 1 to 100"),
        ("[schedule]\ndrift = \"30 4 * * *\"", "[schedule] drift: expected six cron fields"),
        ("[schedule]\ntimezone = \"Beijing\"", "[schedule] timezone: expected a time zone of the IANA database"),
        ("[log]\nformat = \"xml\"", "[log] format: unknown value `xml`, expected `text` or `json`"),
        ("[polls]\n", "FILE:1:2: [polls]: unknown key `polls`, expected one of `database`, `cluster`, `wechat`"),
        ("wechat = 3", "FILE:1:10: [wechat]: expected a section, as in [wechat]"),
        ("[wechat\n", "FILE:1:8: "),
        ("[tokens]\nurl = \"https://h/t\"", "FILE:2:1: [tokens] url: {account} is missing"),
        ("[tokens]\nsource = \"command\"", "FILE:2:1: [tokens] command: source = \"command\" needs a program"),
        ("[heartbeat]\nurl = \"hc.example\"", "FILE:2:1: [heartbeat] url: expected a URL that begins with http"),
        ("[digest]\nchannels = [\"ops\"]", "FILE:2:1: [digest] channels: there is no channel \"ops\", nor any other"),
        ("[nudge]\nchannels = { \"*\" = \"ops\" }", "FILE:2:14: [nudge] channels.*: there is no channel \"ops\""),
        ("[wechat]\nproxy = \"proxy.example:3128\"", "FILE:2:1: [wechat] proxy: the proxy's address must begin with"),
        ("[tokens]\nproxy_file = \"nowhere\"", "FILE:2:1: [tokens] proxy_file: "),
        ("[heartbeat]\nca_file = \"nowhere.pem\"", "FILE:2:1: [heartbeat] ca_file: "),
        (
            "[heartbeat]\nkind = \"uptime\"",
            "FILE:2:8: [heartbeat] kind: unknown value `uptime`, expected one of `healthchecks`",
        ),
    ] {
        let wrong = refused(text, &[]);
        assert!(wrong.contains(expected), "{text}\n{wrong}\nmust contain\n{expected}");
    }
}

#[test]
fn no_error_and_no_debug_shows_a_secret() {
    for text in [
        "[tokens.headers]\nAuthorization = hush\n",
        "[tokens.headers]\nAuthorization = [\"hush\"]\n",
        "[tokens]\nheaders = \"hush\"\n",
        "[tokens]\nurl = \"https://hush@h/{account}\"\n",
        "[tokens]\nurl = [\"https://h/{account}?key=hush\"]\n",
        "[tokens]\ntoken = \"hush\"\n",
        "[tokens]\ncommand = \"get --password hush\"\n",
        "[tokens]\nsource = \"static\"\n[tokens.static]\nwx1 = \"hush\"\n",
        "[tokens.static]\nwx0123456789abcdef = \"hush\n",
        "[tokens.headers]\nX-Key = \"hush\\u0007\"\n",
        "tokens = { headers = { a = \"hush\" }, nothing = 1 }\n",
        "tokens = \"hush\"\n",
        "[token.static]\nwx0123456789abcdef = \"hush\"\n",
        "[wechat]\nsecret = \"hush\"\n",
        "[database]\nurl = \"postgres://amplinkd:hush@db.example:many/amplinkd\"\n",
        "[database]\nurls = [\"postgres://amplinkd:hush@db.example:many/amplinkd\"]\n",
        "[[alerts.channel]]\nname = \"a\"\nkind = \"slack\"\nurl = \"ftp://hush\"\n",
        "[[alerts.channel]]\nname = \"a\"\nkind = \"slack\"\nurl = \"https://hush\n",
        "[[alerts.channel]]\nname = \"a\"\nkind = \"slack\"\nurl = [\"hush\"]\n",
        "[[alerts.channel]]\nname = \"a\"\nkind = \"slack\"\nurl = \"https://h\"\nprevious_secrets = \"hush\"\n",
        "[[alerts.channel]]\nname = \"a\"\nkind = \"slack\"\nsecret = \"hush\"\nnothing = 1\n",
        "[alerts]\nchannel = \"hush\"\n",
        "[alerts]\nchannel = [\"hush\"]\n",
        "[alerts]\nchannel = [ { kind = \"slak\", name = \"a\", url = \"hush\" } ]\n",
        "alerts = { quiet_hours = 3, channel = [ { kind = \"slack\", name = \"a\", url = \"hush\" } ] }\n",
        "[[alert.channel]]\nurl = \"https://hush\n",
        "[alerts]\nurl = \"https://hush/\"\n",
        "[heartbeat]\nurl = \"hush\"\n",
        "[wechat]\nproxy = \"https://user:hush@proxy.example\"\n",
        "[wechat]\nproxy = \"socks5://user:hush@proxy.example\"\n",
        "[wechat]\nproxy = \"user:hush@proxy.example:3128\"\n",
        "[wechat]\nproxy = [\"http://user:hush@proxy.example\"]\n",
        "[tokens]\nproxy = \"http://user:hush@proxy.example/x\"\n",
        "[heartbeat]\nproxy = \"http://user:hush@\"\n",
        "[telemetry]\nproxy = \"http://user:hush@\"\n",
        "[[alerts.channel]]\nname = \"a\"\nkind = \"slack\"\nurl = \"https://h\"\nproxy = \"hush:3128\"\n",
        "[heartbeat]\nuri = \"hush\"\n",
        "heartbeat = \"https://hush\"\n",
    ] {
        let wrong = refused(text, &[]);
        assert!(!wrong.contains("hush"), "{text}\n{wrong}");
    }
    for (name, text) in [
        ("AMPLINKD__TOKENS__HEADERS", "{ a = hush"),
        ("AMPLINKD__TOKENS__HEADERS", "hush"),
        ("AMPLINKD__TOKENS__STATIC", "[\"hush\"]"),
        ("AMPLINKD__TOKENS__URL", "https://hush@h/{account}"),
        ("AMPLINKD__TOKENS__COMMAND", "get hush"),
        ("AMPLINKD__TOKENS", "hush"),
        ("AMPLINKD__ALERTS__CHANNEL", "hush"),
        ("AMPLINKD__ALERTS__CHANNEL", "[ \"hush\" ]"),
        ("AMPLINKD__ALERTS__CHANNEL", "[ { name = hush"),
        ("AMPLINKD__ALERTS__CHANNEL", "[ { name = \"a\", kind = \"slack\", url = \"hush\" } ]"),
        ("AMPLINKD__HEARTBEAT__URL", "ftp://hush"),
    ] {
        let wrong = refused("", &[(name, text)]);
        assert!(!wrong.contains("hush") && wrong.starts_with(name), "{wrong}");
    }
    let text = "[tokens]\nurl = \"https://h/{account}?key=hush&a={account}\"\nheaders = { A = \"hush\" }\n\
                static = { wx0123456789abcdef = \"hush\" }\ncommand = [\"get\", \"hush\"]";
    let loaded = inspect(text, &[]).unwrap();
    assert!(!format!("{loaded:?}").contains("hush"), "{loaded:?}");
    assert_eq!(value(&loaded, "tokens.url").0, "https://h/{account}?key=(hidden)&a={account}");
    assert_eq!(value(&loaded, "tokens.headers").0, "A (set)");
    for source in ["static", "command"] {
        let loaded = inspect(text, &[("AMPLINKD__TOKENS__SOURCE", source)]).unwrap();
        assert!(!format!("{loaded:?}").contains("hush"), "{loaded:?}");
    }
}

#[test]
fn places_in_an_answer_are_json_pointers() {
    let loaded = inspect("[tokens]\ntoken = \"/data/0/a~1b~0c~01\"\nexpires_in = \"/\"\n", &[]).unwrap();
    assert_eq!(loaded.config.tokens.token, ["data", "0", "a/b~c~1"]);
    assert_eq!(loaded.config.tokens.expires_in, [""]);
    assert_eq!(value(&loaded, "tokens.token").0, "/data/0/a~1b~0c~01");
    for (text, expected) in [
        ("token = \"data.access_token\"", "FILE:2:1: [tokens] token: expected a JSON pointer (RFC 6901)"),
        ("token = \"#/data\"", "such as \"/data/access_token\""),
        ("expires_in = \"/a~b\"", "FILE:2:1: [tokens] expires_in: expected a JSON pointer"),
        ("expires_in = \"/a~\"", "a ~ in a name is written ~0"),
        ("token = [\"data\"]", "[tokens] token: expected a JSON pointer in quotes"),
    ] {
        let wrong = refused(&format!("[tokens]\n{text}\n"), &[]);
        assert!(wrong.contains(expected), "{text}\n{wrong}");
    }
    let env = [("AMPLINKD__TOKENS__TOKEN", "/data/access_token")];
    assert_eq!(inspect("", &env).unwrap().config.tokens.token, ["data", "access_token"]);
}

/// The error of a configuration whose token is in a file with these bytes, or the header's value.
fn header_of(bytes: &[u8]) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("amplinkd.toml");
    fs::write(&file, "[tokens.headers_file]\nAuthorization = \"key\"\n").unwrap();
    fs::write(folder.path().join("key"), bytes).unwrap();
    let config = Config::load(Some(&file), []).map_err(|wrong| wrong.to_string())?;
    let TokenSource::Http { headers, .. } = config.tokens.source else { panic!("http is the default") };
    Ok(headers["Authorization"].expose_secret().to_owned())
}

#[test]
fn the_file_of_a_secret_holds_what_people_see_and_nothing_else() {
    for text in ["Bearer hush", "\u{feff}Bearer hush\r\n", "  Bearer hush \t\n\n", "\u{feff}\nBearer hush"] {
        assert_eq!(header_of(text.as_bytes()).as_deref(), Ok("Bearer hush"), "{text:?}");
    }
    for (bytes, expected) in [
        (&b"Bearer hush\xe2\x80\x8b\n"[..], "U+200B (zero width space) at line 1, column 12"),
        (b"Bearer\xc2\xa0hush", "U+00A0 (no-break space) at line 1, column 7"),
        (b"\xef\xbb\xbf\xef\xbb\xbfBearer hush", "U+FEFF (byte order mark) at line 1, column 1"),
        (b"\nBearer hu\xe2\x80\xaesh", "U+202E (direction mark) at line 2, column 10"),
        (b"Bearer hu\rsh", "U+000D (carriage return) at line 1, column 10"),
        (b"Bearer hush\nBearer hush", "U+000A (line feed) at line 1, column 12"),
        (b"Bearer hush\xe3\x80\x80", "U+3000 (ideographic space) at line 1, column 12"),
        (b"Bearer hush\x1b[0m", "U+001B (control character) at line 1, column 12"),
        (b"Bearer\thush", "U+0009 (tab) at line 1, column 7"),
        (b"B\0e\0a\0r\0e\0r\0 \0h\0u\0s\0h\0", "U+0000 (null) at line 1, column 2"),
        (b"\xff\xfeB\0", "it is UTF-16: save it as UTF-8"),
        (b"Bearer hush\n\xc4\xe3", "it is not UTF-8 (line 2, column 1): save it as UTF-8"),
        (b"\xef\xbb\xbf\r\n", "the file is empty"),
    ] {
        let wrong = header_of(bytes).unwrap_err();
        assert!(wrong.contains(expected) && wrong.contains("key"), "{bytes:?}\n{wrong}");
        assert!(!wrong.contains("hush"), "{wrong}");
    }
}

#[test]
fn an_unseen_character_in_the_configuration_is_named() {
    assert_eq!(inspect("\u{feff}[policy]\r\nattempts = 7\r\n", &[]).unwrap().config.policy.attempts, 7);
    for (text, expected) in [
        ("[log]\nfilter =\u{a0}\"info\"\n", "the line holds U+00A0 (no-break space) at line 2, column 9"),
        ("[log]\nfil\u{200b}ter = \"info\"\n", "the line holds U+200B (zero width space) at line 2, column 4"),
        ("[log]\rfilter = \"info\"\n", "FILE:1:7: carriage return must be followed by newline"),
        ("[log]\nfilter = \"info\u{200b}\"\n", "FILE:2:10: [log] filter: it holds U+200B (zero width space), as its"),
        ("[wechat]\nbase_url = \"https://h.example/\u{a0}a\"\n", "the URL holds U+00A0 (no-break space) at line 1,"),
        ("[tokens.headers]\nAuthorization = \"hush\u{200b}\"\n", "[tokens] headers.Authorization: it holds U+200B"),
        ("[tokens.headers]\nAuthorization = \"hush\u{a0}hush\"\n", "[tokens] headers.Authorization: it holds U+00A0"),
        ("[tokens.static]\nwx0123456789abcdef = \"hu\u{feff}sh\"\n", "it holds U+FEFF (byte order mark)"),
        ("[heartbeat]\nurl = \"https://h.example/hu\u{200d}sh\"\n", "[heartbeat] url: it holds U+200D"),
        (
            "[[alerts.channel]]\nname = \"a\"\nkind = \"feishu\"\nurl = \"https://h.example/\"\nsecret = \"hu\u{a0}sh\"\n",
            "it holds U+00A0 (no-break space)",
        ),
    ] {
        let wrong = refused(text, &[]);
        assert!(wrong.contains(expected) && !wrong.contains("hush"), "{text}\n{wrong}");
    }
    let wrong = refused("", &[("AMPLINKD__HEARTBEAT__URL", "https://h.example/hush\u{200b}")]);
    assert!(wrong.starts_with("AMPLINKD__HEARTBEAT__URL: it holds U+200B") && !wrong.contains("hush"), "{wrong}");
}

#[test]
fn a_configuration_in_another_encoding_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("amplinkd.toml");
    for (bytes, expected) in [
        (&b"[log]\n# \xc4\xe3\xba\xc3\n"[..], "it is not UTF-8 (line 2, column 3): save it as UTF-8, not in GBK"),
        (b"\xff\xfe[\0l\0", "it is UTF-16: save it as UTF-8"),
    ] {
        fs::write(&file, bytes).unwrap();
        let wrong = Config::load(Some(&file), []).unwrap_err().to_string();
        assert!(wrong.contains(expected) && wrong.starts_with(&file.display().to_string()), "{wrong}");
    }
}

#[test]
fn the_environment_wins_and_its_mistakes_name_the_variable() {
    let env = [
        ("AMPLINKD__WECHAT__IN_FLIGHT", "3"),
        ("AMPLINKD__WECHAT__TIMEOUT", "250ms"),
        ("AMPLINKD__DATABASE__MODE", "0600"),
        ("AMPLINKD__POLLING__STEPS", "[ { every = \"1m\" } ]"),
        ("AMPLINKD__TOKENS__SOURCE", "static"),
        ("AMPLINKD__TOKENS__STATIC", "{ wx0123456789abcdef = \"t\" }"),
        ("AMPLINKD_CONFIG", "ignored, as a file was named"),
        ("HOME", "ignored"),
    ];
    let loaded = inspect("[wechat]\nin_flight = 9\n\nper_second = 7\n", &env).unwrap();
    assert_eq!(loaded.config.wechat.in_flight, 3);
    assert_eq!(loaded.config.wechat.timeout.as_millis(), 250);
    assert!(matches!(loaded.config.database.location, Location::File { mode: 0o600, .. }));
    assert!(matches!(&loaded.config.tokens.source, TokenSource::Static(table) if table.len() == 1));
    assert_eq!(
        value(&loaded, "wechat.in_flight"),
        ("3".to_owned(), Origin::Environment("AMPLINKD__WECHAT__IN_FLIGHT".to_owned()))
    );
    assert_eq!(value(&loaded, "wechat.per_second"), ("7".to_owned(), Origin::File(4)));
    assert_eq!(value(&loaded, "polling.steps").0, "[ { every = \"1m\" } ]");
    for (name, text, expected) in [
        ("AMPLINKD__WECHAT__IN_FLIGHT", "0", "AMPLINKD__WECHAT__IN_FLIGHT: integer `0`, expected a whole number"),
        ("AMPLINKD__WECHAT__IN_FLIGHT", "many", "AMPLINKD__WECHAT__IN_FLIGHT: string \"many\", expected a whole"),
        ("AMPLINKD__WECHAT__TIMEOUT", "10", "AMPLINKD__WECHAT__TIMEOUT: integer `10`, expected a duration"),
        ("AMPLINKD__WECHAT__RETRIES", "1", "AMPLINKD__WECHAT__RETRIES: no such key; the closest is AMPLINKD__WECHAT__"),
        ("AMPLINKD__TOKENS__URL", "https://h/", "AMPLINKD__TOKENS__URL: {account} is missing"),
        ("AMPLINKD__TOKENS__HEADERS__A", "x", "AMPLINKD__TOKENS__HEADERS__A: no such key"),
    ] {
        let wrong = refused("", &[(name, text)]);
        assert!(wrong.starts_with(expected), "{wrong}");
    }
}

#[test]
fn paths_start_at_the_folder_of_the_file_and_secrets_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    fs::write(folder.path().join("key"), "Bearer hush\n").unwrap();
    let load = |text: &str| {
        fs::write(&file, text).unwrap();
        Config::load(Some(&file), []).map_err(|wrong| wrong.to_string())
    };
    let config = load("[tokens.headers_file]\nAuthorization = \"key\"").unwrap();
    assert_eq!(config.database.location.path().unwrap(), folder.path().join("amplinkd.db"));
    let TokenSource::Http { headers, .. } = config.tokens.source else { panic!("http is the default") };
    assert_eq!(secrecy::ExposeSecret::expose_secret(&headers["Authorization"]), "Bearer hush");

    let config = load("[tokens]\nsource = \"command\"\ncommand = [\"./t.sh\", \"./left/alone\"]").unwrap();
    let TokenSource::Command(command) = config.tokens.source else { panic!("a command was asked for") };
    assert_eq!(Path::new(&command[0]), folder.path().join("./t.sh"));
    assert_eq!(command[1], "./left/alone");

    let wrong = load("[tokens.headers_file]\nAuthorization = \"nowhere\"").unwrap_err();
    assert!(wrong.contains(":2:1: [tokens] headers_file.Authorization: ") && wrong.contains("nowhere"), "{wrong}");
}

#[test]
fn the_way_out_of_every_section_is_read_and_its_password_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    let certificate = rcgen::generate_simple_self_signed(vec!["ca.example".to_owned()]).unwrap().cert;
    fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
    fs::write(folder.path().join("ca.der"), certificate.der()).unwrap();
    fs::write(folder.path().join("proxy"), "http://user:hush@proxy.example:3128\n").unwrap();
    let load = |text: &str| {
        fs::write(&file, text).unwrap();
        Config::inspect(Some(&file), []).map_err(|wrong| wrong.to_string())
    };
    let keys = "proxy = \"http://user:hush@proxy.example\"\nca_file = \"ca.pem\"\n";
    let from_file = "proxy_file = \"proxy\"\nca_file = \"ca.pem\"\n";
    let channel = "[[alerts.channel]]\nname = \"a\"\nkind = \"slack\"\nurl = \"https://h.example/hush\"\n";
    let text = format!(
        "[wechat]\n{keys}[tokens]\n{from_file}[heartbeat]\n{keys}{channel}{from_file}[telemetry]\n{keys}otlp_endpoint = \"https://traces.example\"\n"
    );
    let loaded = load(&text).unwrap();
    assert!(!format!("{loaded:?}").contains("hush"), "{loaded:?}");
    assert_eq!(value(&loaded, "wechat.proxy").0, "http://(hidden)@proxy.example:80");
    assert_eq!(value(&loaded, "tokens.proxy").0, "(in its file)");
    assert_eq!(value(&loaded, "heartbeat.ca_file"), ("ca.pem".to_owned(), Origin::File(9)));
    let Config { wechat, tokens, heartbeat, alerts, telemetry, .. } = &loaded.config;
    let channel_egress = &alerts.channels[0].egress;
    for egress in [&wechat.egress, &tokens.egress, &heartbeat.egress, channel_egress, &telemetry.egress] {
        assert!(egress.proxy.is_some() && format!("{:?}", egress.authorities) == "1 certificates", "{egress:?}");
    }
    assert!(loaded.config.direct_sides().is_empty());
    let direct = load(&format!("[wechat]\nbase_url = \"http://127.0.0.1:9\"\n{channel}")).unwrap();
    assert_eq!(direct.config.direct_sides(), ["[tokens]", "channel a"]);
    for (name, word) in [("ca.der", "DER, not PEM"), ("proxy", "no certificate"), ("nowhere.pem", "No such file")] {
        let wrong = load(&format!("[wechat]\nca_file = \"{name}\"")).unwrap_err();
        assert!(wrong.contains(":2:1: [wechat] ca_file: ") && wrong.contains(word), "{wrong}");
        assert!(wrong.contains(name), "{wrong}");
    }
    assert!(load("[wechat]\nproxy = \"http://p\"\nproxy_file = \"proxy\"").unwrap_err().contains("not both"));
    fs::write(&file, "[wechat]\nproxy_file = \"nowhere\"\nca_file = \"nowhere.pem\"").unwrap();
    assert!(Config::without_secrets(Some(&file), []).is_ok(), "a person who may not read them can still work");
}

#[test]
fn without_a_file_one_is_told_how_to_begin() {
    let wrong = Config::load(Some(Path::new("nowhere.toml")), []).unwrap_err().to_string();
    assert!(wrong.starts_with("nowhere.toml: cannot read the configuration"), "{wrong}");
    let env = [("AMPLINKD_CONFIG".to_owned(), "elsewhere.toml".to_owned())];
    assert!(Config::load(None, env).unwrap_err().to_string().starts_with("elsewhere.toml"));
    // The tests run in the crate's own folder, which has no amplinkd.toml.
    let wrong = Config::load(None, []).unwrap_err().to_string();
    assert!(wrong.contains("-c FILE") && wrong.contains("amplinkd demo"), "{wrong}");
}
