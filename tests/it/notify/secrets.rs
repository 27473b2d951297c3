//! Stories of services that quote what they were sent, and of everything that can be printed.

use super::{server::closed, *};

/// Every channel of HTTP with its key in the address, and a secret.
const CHANNELS: [(Kind, &str, &str); 5] = [
    (Kind::Webhook, "/hooks/9f8e7d6c5b4a39281706/in?tenant=Zx81Kq07Wm5v", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    (Kind::Wecom, "/cgi-bin/webhook/send?key=693a91f6-7aoc-4bc4-97a0-0ec2sifa5aaa", "unused-but-set-0123"),
    (Kind::Dingtalk, "/robot/send?access_token=566cc69da782ec33af5c1a1f0a3b5d7e", "SECa0ab7f3ba9742c0/+=x1"),
    (Kind::Feishu, "/open-apis/bot/v2/hook/2fe3a1c0-9d4b-4e77-8f6a-5b0c1d2e3f4a", "jOVtIZTqnKyGkqxHzBkQ1g"),
    (Kind::Slack, "/services/T0AB12CD3/B0EF45GH6/q7Lw0ZtYx3RkVbNm5sPdGh1J", "unused-but-set-0123"),
];

/// The keys of an address: what stands behind `=`, and parts of the path that are no words.
fn keys(path: &str, secret: &str) -> Vec<String> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut keys: Vec<String> = query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())).collect();
    keys.extend(path.split('/').filter(|part| part.len() > 8 && *part != "open-apis").map(str::to_owned));
    keys.push(secret.trim_start_matches("whsec_").to_owned());
    keys
}

/// No eight characters of a key in a row, however they are written.
fn assert_without(shown: &str, keys: &[String]) {
    let lower = shown.to_ascii_lowercase();
    for key in keys {
        let leak = key.to_ascii_lowercase().into_bytes();
        let leak = leak.windows(8).find(|piece| lower.contains(std::str::from_utf8(piece).unwrap()));
        assert!(leak.is_none(), "a part of {key} in: {shown}");
    }
}

#[tokio::test]
async fn a_service_that_quotes_us_does_not_give_us_away() {
    for (kind, path, secret) in CHANNELS {
        let keys = keys(path, secret);
        for status in [200, 400, 404, 410, 500, 503] {
            let server = Server::start(move |received| {
                let echo = format!("{:?} {} {:?} {secret}", received.query, received.path, received.headers);
                let body = match status {
                    200 => serde_json::json!({ "errcode": 7, "code": 7, "errmsg": echo, "msg": echo }).to_string(),
                    _ => echo.to_uppercase() + echo.as_str(),
                };
                Reply::Status(status, body)
            })
            .await;
            let channel = channel(kind, &format!("{}{path}", server.url), &[secret]);
            let error = match channel.send(&message(), NOW).await {
                // A webhook asks for no more than the status.
                Ok(()) => continue,
                Err(error) => error,
            };
            assert_without(&format!("{error} {error:?} {channel:?}"), &keys);
        }
    }
}

#[tokio::test]
async fn no_connection_is_told_without_the_address() {
    let (_held, nobody) = closed();
    for (kind, path, secret) in CHANNELS {
        let channel = channel(kind, &format!("http://user:pa55w0rd77@{nobody}{path}"), &[secret]);
        let error = channel.send(&message(), NOW).await.unwrap_err();
        assert!(matches!(error, SendError::Later { after: None, .. }), "{error:?}");
        let mut keys = keys(path, secret);
        keys.extend([nobody.to_string(), "pa55w0rd77".to_owned()]);
        assert_without(&format!("{error} {error:?}"), &keys);
    }
}

#[test]
fn nothing_that_is_printed_holds_a_key() {
    for (kind, path, secret) in CHANNELS {
        let settings = settings(kind, &format!("https://robots.example{path}"), &[secret]);
        let channel = Channel::new(&settings).unwrap();
        assert_without(&format!("{settings:?} {settings:#?} {channel:?} {channel:#?}"), &keys(path, secret));
    }
}

#[test]
fn a_wrong_address_is_refused_without_showing_it() {
    for (kind, path, secret) in CHANNELS {
        for begin in ["ftp://robots.example", "robots.example", "data:"] {
            let error = Channel::new(&settings(kind, &format!("{begin}{path}"), &[secret])).unwrap_err();
            assert!(error.to_string().starts_with("[[alerts.channel]] night: `url` "), "{error}");
            assert_without(&format!("{error} {error:?}"), &keys(path, secret));
        }
        let error = Channel::new(&ChannelSettings { url: None, ..settings(kind, "", &[secret]) }).unwrap_err();
        assert_eq!(error.to_string(), "[[alerts.channel]] night: `url` is missing");
    }
}
