//! Warnings of `config check`: values that are legal and look like a mistake.

use super::inspect;

/// The warnings of a configuration, without those of the token service that nobody has named.
fn warnings(text: &str) -> Vec<String> {
    let found = inspect(text, &[]).unwrap().config.warnings();
    found.into_iter().filter(|warning| !warning.starts_with("tokens.url: the host")).collect()
}

/// The only warning begins with this key and says this.
fn warns(text: &str, key: &str, says: &str) {
    let found = warnings(text);
    let [one] = found.as_slice() else { panic!("{text}: {found:#?}") };
    assert!(one.starts_with(&format!("{key}: ")) && one.contains(says), "{text}: {one}");
}

fn channel(kind: &str, rest: &str) -> String {
    format!("[[alerts.channel]]\nname = \"ops\"\nkind = \"{kind}\"\n{rest}\n")
}

const ROBOT: &str = "url = \"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7aaa\"";

#[test]
fn what_is_fine_is_not_warned_of() {
    let mail = "url = \"smtps://me%40h.cn@mail.h.cn\"\nsecret = \"pa${x}$Y5\"\nfrom = \"a@h.cn\"\nto = [\"b@h.cn\"]";
    let other = "url = \"https://h.cn/hook?a=%20b\"\nevents = [\"alert\", \"transition\"]";
    for text in [
        channel("wecom", ROBOT),
        channel("email", mail),
        channel("webhook", other),
        channel("log", ""),
        channel("alertmanager", "url = \"http://alertmanager:9093\""),
        format!("[alerts]\nrepeat_every = \"never\"\nquiet_hours = \"22:00-08:00\"\n{}", channel("wecom", ROBOT)),
        "[tokens]\nurl = \"https://h.cn/token?appid={account}\"\n[alerts]\nlink = \"https://h.cn/a?rule={rule}\""
            .to_owned(),
    ] {
        assert_eq!(warnings(&text), Vec::<String>::new(), "{text}");
    }
    let fresh = inspect("", &[]).unwrap().config.warnings();
    assert!(fresh.len() == 1 && fresh[0].starts_with("tokens.url: "), "nobody has named a token service: {fresh:?}");
}

#[test]
fn placeholders_are_named_by_their_key_and_never_shown() {
    let key = "alerts.channel.1.url";
    warns(&channel("webhook", "url = \"https://h.cn/${HOOK_KEY}\""), key, "${…}");
    warns(&channel("webhook", "url = \"https://h.cn/$HOOK_KEY\""), key, "$NAME");
    warns(&channel("webhook", "url = \"https://h.cn/<token>\""), key, "<…>");
    warns(&channel("webhook", "url = \"https://h.cn/%s\""), key, "%s");
    warns(
        &channel("wecom", "url = \"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=YOUR-KEY\""),
        key,
        "from the examples",
    );
    warns(&channel("webhook", "url = \"https://hooks.example.com/x\""), key, "host");
    warns("[database]\nurl = \"sqlite:$STATE_DIRECTORY/a.db\"", "database.url", "$NAME");
    warns("[database]\nurl = \"sqlite:~/a.db\"", "database.url", "~");
    warns(
        "[tokens]\nsource = \"command\"\ncommand = [\"token\", \"$TOKEN_FILE\"]",
        "tokens.command",
        "not run by a shell",
    );
    warns("[tokens.headers]\nAuthorization = \"<token>\"", "tokens.headers.Authorization", "<…>");
    warns("[heartbeat]\nurl = \"https://hc-ping.com/{uuid}\"", "heartbeat.url", "{…}");
    warns("[alerts]\nlink = \"https://h.cn/{rules}\"", "alerts.link", "{…}");
    let robot =
        channel("dingtalk", "url = \"https://oapi.dingtalk.com/robot/send?access_token=a\"\nsecret = \"${SECRET}\"");
    warns(&robot, "alerts.channel.1.secret", "${…}");
    assert!(!warnings(&robot).concat().contains("SECRET"));
}

#[test]
fn a_service_that_is_called_the_wrong_way_is_named() {
    let key = "alerts.channel.1.url";
    warns(&channel("wecom", &ROBOT.replace("https", "http")), key, "https://");
    warns(&channel("feishu", ROBOT), key, "does not accept messages of this kind");
    warns("[wechat]\nbase_url = \"http://api.weixin.qq.com\"", "wechat.base_url", "https://");
    warns(
        &channel("slack", "url = \"https://hooks.slack.com/services/a\"\nsecret = \"b\""),
        "alerts.channel.1.secret",
        "does not use a secret",
    );
    let mail = "url = \"smtps://mail.h.cn\"\nfrom = \"a@h.cn\"\nto = [\"Ops <ops@example.com>\"]";
    warns(&channel("email", mail), "alerts.channel.1.to", "reserved for examples");
}

#[test]
fn two_channels_with_one_address_are_named() {
    let two = |kind: &str, first: &str, second: &str| {
        format!("{}{}", channel(kind, first), channel(kind, second).replace("\"ops\"", "\"team\""))
    };
    warns(
        &two("wecom", ROBOT, ROBOT),
        "alerts.channel.2.url",
        "channel \"team\": channel \"ops\" has the same address",
    );
    let (one, other) = ("url = \"https://H.cn:443/hook\"", "url = \"https://h.cn/hook\"");
    warns(&two("webhook", one, other), "alerts.channel.2.url", "same address");
    assert_eq!(warnings(&two("webhook", one, "url = \"https://h.cn/other\"")), Vec::<String>::new());
    let mail = |to: &str| format!("url = \"smtps://mail.h.cn\"\nfrom = \"a@h.cn\"\nto = [\"{to}\"]");
    warns(&two("email", &mail("b@h.cn"), &mail("B@h.cn")), "alerts.channel.2.url", "same address");
    assert_eq!(warnings(&two("email", &mail("b@h.cn"), &mail("c@h.cn"))), Vec::<String>::new());
}

#[test]
fn times_that_cannot_work_are_named() {
    let manager = |rest: &str, alerts: &str| {
        format!("[alerts]\n{alerts}\n{}", channel("alertmanager", &format!("url = \"http://am:9093\"\n{rest}")))
    };
    let never = "resend_every = \"never\"";
    warns(&manager(never, "repeat_every = \"never\""), "alerts.repeat_every", "forgets");
    warns(&manager(never, "repeat_every = \"10d\""), "alerts.repeat_every", "eight days");
    warns(&manager(never, ""), "alerts.channel.1.resend_every", "forgets");
    warns(&manager("resend_every = \"20m\"", ""), "alerts.channel.1.resend_every", "20m");
    warns(&manager("events = [\"transition\"]", ""), "alerts.channel.1.events", "alerts only");
    let with = |alerts: &str| format!("[alerts]\n{alerts}\n{}", channel("wecom", ROBOT));
    warns(&with("repeat_every = \"20s\""), "alerts.repeat_every", "group_within (30s)");
    warns(&with("repeat_every = \"2m\""), "alerts.repeat_every", "every 2m");
    warns(&with("give_up_after = \"1m\""), "alerts.give_up_after", "upgrade");
    warns(&with("quiet_hours = \"08:00-07:00\""), "alerts.quiet_hours", "four hours");
    warns(
        &channel("wecom", &format!("{ROBOT}\nevents = [\"transition\"]\nafter = \"1h\"")),
        "alerts.channel.1.after",
        "`events`",
    );
    let late = format!("{ROBOT}\nrules = [\"rejected\"]\nafter = \"8d\"");
    warns(&channel("wecom", &late), "alerts.channel.1.after", "keep_outcomes");
    let digest = format!("[digest]\nchannels = [\"ops\"]\n{}", channel("alertmanager", "url = \"http://am:9093\""));
    warns(&digest, "digest.channels", "nobody will see it");
}

#[test]
fn how_often_an_alertmanager_is_told_is_checked() {
    let with = |kind: &str, every: &str| {
        let text = channel(kind, &format!("url = \"http://am:9093\"\nresend_every = \"{every}\""));
        inspect(&text, &[]).map(|loaded| loaded.config.alerts.channels[0].resend_every)
    };
    let minutes = std::time::Duration::from_mins;
    let default = inspect(&channel("alertmanager", "url = \"http://am:9093\""), &[]).unwrap();
    assert_eq!(default.config.alerts.channels[0].resend_every, Some(minutes(1)));
    assert_eq!(with("alertmanager", "2m"), Ok(Some(minutes(2))));
    assert_eq!(with("alertmanager", "never"), Ok(None));
    assert!(with("alertmanager", "2h").unwrap_err().contains("\"1s\" to \"1h\""));
    assert!(with("alertmanager", "500ms").unwrap_err().contains("resend_every"));
    assert!(with("webhook", "1m").unwrap_err().contains("only kind = \"alertmanager\""));
}

#[test]
fn a_word_that_is_no_level_is_named() {
    for filter in ["warning", "verbose", "info,critical", "WARNING"] {
        let word = filter.rsplit(',').next().unwrap();
        warns(&format!("[log]\nfilter = \"{filter}\""), "log.filter", &format!("{word:?} is not a level"));
    }
    for filter in
        ["warn", "INFO", "off", "3", "info,amplinkd=debug", "amplinkd", "info,amplinkd::engine=trace", "sqlx=off"]
    {
        assert_eq!(warnings(&format!("[log]\nfilter = \"{filter}\"")), Vec::<String>::new(), "{filter}");
    }
}
