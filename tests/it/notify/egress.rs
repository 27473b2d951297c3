//! Stories of the way out: servers with certificates of an intranet, and a proxy that alone can find their names. WeChat,
//! the token service, every kind of channel and the heartbeat go the same way.

pub(crate) mod authority;
pub(crate) mod proxy;

use std::{net::SocketAddr, sync::Arc};

use amplinkd::{
    clock::{SharedClock, SystemClock},
    net::{egress::Egress, trust::Authorities},
    notify::heartbeat::{HeartbeatClient, HeartbeatKind, HeartbeatSettings},
    wechat::{CallError, Client, ClientConfig, HttpSource, LinkOptions, Token, TokenError, TokenSource, Tokens},
};

use self::{
    authority::{Authority, Identity},
    proxy::{CorporateProxy, Manner, PASSWORD, USER},
};
use super::{smtp::SmtpServer, *};

/// A name that only the proxy can find.
const HOST: &str = "intranet.example";

/// Answers whatever is asked in the way of whoever is asked.
fn everything(received: &Received) -> Reply {
    let body = match received.path.as_str() {
        "/cgi-bin/wxopen/wxamplinkget" => r#"{"errcode":0,"errmsg":"ok","wxopens":{"items":[]}}"#,
        "/cgi-bin/wxopen/wxamplink" => r#"{"errcode":0,"errmsg":"ok"}"#,
        "/token" => r#"{"access_token":"t0","expires_in":7200}"#,
        "/hook" => "",
        "/robot" => r#"{"errcode":0,"errmsg":"ok"}"#,
        "/ping" => "OK",
        path => panic!("nobody has {path}"),
    };
    Reply::Status(200, body.to_owned())
}

async fn service() -> (Server, SocketAddr) {
    let server = Server::start(everything).await;
    let address = server.url.trim_start_matches("http://").parse().unwrap();
    (server, address)
}

fn trusting(pem: &str) -> Egress {
    Egress { proxy: None, authorities: Authorities::from_pem(pem.as_bytes()).unwrap() }
}

fn clock() -> SharedClock {
    Arc::new(SystemClock::new())
}

fn patience() -> Duration {
    Duration::from_secs(20)
}

/// What each of our clients meets at this base URL, by the same way: sent, or the error's words.
async fn all_clients(base: &str, egress: &Egress) -> Vec<(&'static str, Result<(), String>)> {
    let in_words = |error: &dyn std::fmt::Display| error.to_string();
    let config = ClientConfig {
        base_url: base.to_owned(),
        timeout: patience(),
        connect_timeout: patience(),
        egress: egress.clone(),
        ..ClientConfig::default()
    };
    let wechat = Client::new(&config).unwrap();
    let listing = wechat.listing(&Token::new("t0".into()).unwrap()).await;
    let source = HttpSource {
        url: format!("{base}/token?appid={{account}}"),
        timeout: patience(),
        egress: egress.clone(),
        ..HttpSource::default()
    };
    let tokens = Tokens::new(TokenSource::Http(source), clock()).unwrap();
    let granted = tokens.get(&"wx0123456789abcdef".parse().unwrap()).await;
    let channel = |kind, path: &str| {
        let url = Some(format!("{base}{path}").into());
        Channel::new(&ChannelSettings {
            url,
            egress: egress.clone(),
            ..ChannelSettings::new("night", kind, patience())
        })
        .unwrap()
    };
    let url = format!("{base}/ping").into();
    let settings = HeartbeatSettings { kind: HeartbeatKind::Plain, url, timeout: patience(), egress: egress.clone() };
    let beat = HeartbeatClient::new(settings).unwrap();
    vec![
        ("wechat", listing.map(drop).map_err(|error| in_words(&error))),
        ("tokens", granted.map(drop).map_err(|error| in_words(&error))),
        ("webhook", channel(Kind::Webhook, "/hook").send(&message(), NOW).await.map_err(|error| in_words(&error))),
        ("wecom", channel(Kind::Wecom, "/robot").send(&message(), NOW).await.map_err(|error| in_words(&error))),
        ("heartbeat", beat.ok(NOW).await.map_err(|error| in_words(&error))),
    ]
}

fn mail(url: String, egress: Egress) -> Channel {
    let base = ChannelSettings::new("mail", Kind::Email, patience());
    let (from, to) = (Some("amplinkd@example.com".to_owned()), vec!["ops@example.com".to_owned()]);
    Channel::new(&ChannelSettings { url: Some(url.into()), from, to, egress, ..base }).unwrap()
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let (server, plain) = service().await;
    let authority = Authority::new("the intranet");
    let tls = authority.issue(&["localhost"]).wrap(plain).await;
    let base = format!("https://localhost:{}", tls.port());
    for (client, answer) in all_clients(&base, &trusting(&authority.pem)).await {
        assert_eq!(answer, Ok(()), "{client}");
    }
    assert_eq!(server.received().len(), 5);
    let stranger = Authority::new("a stranger");
    for (client, answer) in all_clients(&base, &trusting(&stranger.pem)).await {
        let why = answer.unwrap_err();
        assert!(why.contains("`ca_file`"), "{client}: {why}");
    }
    assert_eq!(server.received().len(), 5);
}

#[tokio::test]
async fn a_mail_server_of_the_intranet_is_trusted_over_tls_and_over_starttls() {
    let authority = Authority::new("the intranet");
    let server = SmtpServer::friendly().await;
    let behind = SocketAddr::from(([127, 0, 0, 1], server.port));
    let wrapped = authority.issue(&["localhost"]).wrap(behind).await;
    let starttls = authority.issue(&["localhost"]).starttls(behind).await;
    for (sent, (scheme, address)) in (1..).zip([("smtps", wrapped), ("smtp", starttls)]) {
        let url = format!("{scheme}://localhost:{}", address.port());
        let trusted = mail(url.clone(), trusting(&authority.pem)).send(&message(), NOW).await;
        assert_eq!(outcome(trusted), ("sent", None, String::new()), "{scheme}");
        assert_eq!(server.heard().mails.len(), sent);
        let (what, _, why) =
            outcome(mail(url, trusting(&Authority::new("a stranger").pem)).send(&message(), NOW).await);
        assert!(what == "refused" && why.contains("`ca_file`"), "{scheme}: {why}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told_at_once_with_what_helps() {
    let authority = Authority::new("the intranet");
    let self_made = Identity::self_made("localhost", true);
    let own = self_made.pem.clone();
    for (identity, trusted, word) in [
        (authority.issue_expired("localhost"), authority.pem.clone(), "ended at 2020-02-29T00:00:00"),
        (authority.issue(&["mail.example"]), authority.pem.clone(), "for other names"),
        (authority.issue(&["localhost"]), Authority::new("a stranger").pem, "`ca_file`"),
        (authority.issue(&["localhost"]), Authority::new("the intranet").pem, "an older one"),
        (self_made, own, "CA:FALSE"),
    ] {
        let (_server, plain) = service().await;
        let port = identity.wrap(plain).await.port();
        let url = Some(format!("https://localhost:{port}/hook").into());
        let settings = ChannelSettings { url, egress: trusting(&trusted), ..settings(Kind::Webhook, "", &[]) };
        let (what, _, why) = outcome(Channel::new(&settings).unwrap().send(&message(), NOW).await);
        assert!(what == "refused" && why.contains(word), "{word}: {what} {why}");
        let mail = mail(format!("smtps://localhost:{port}"), trusting(&trusted)).send(&message(), NOW).await;
        let (what, _, why) = outcome(mail);
        assert!(what == "refused" && why.contains(word), "{word}: {what} {why}");
    }
}

#[tokio::test]
async fn a_certificate_that_a_server_made_itself_is_trusted_by_itself() {
    let (_server, plain) = service().await;
    let identity = Identity::self_made("localhost", false);
    let egress = trusting(&identity.pem);
    let port = identity.wrap(plain).await.port();
    for (client, answer) in all_clients(&format!("https://localhost:{port}"), &egress).await {
        assert_eq!(answer, Ok(()), "{client}");
    }
}

#[tokio::test]
async fn a_service_without_tls_behind_https_is_a_persons_task() {
    let (_server, plain) = service().await;
    let url = format!("https://localhost:{}/hook", plain.port());
    let egress = trusting(&Authority::new("a stranger").pem);
    let settings = ChannelSettings { egress, ..settings(Kind::Webhook, &url, &[]) };
    let (what, _, why) = outcome(Channel::new(&settings).unwrap().send(&message(), NOW).await);
    assert!(what == "refused" && why.contains("http://"), "{what} {why}");
}

#[tokio::test]
async fn everything_goes_through_the_proxy_where_it_is_the_only_way_out() {
    let (server, plain) = service().await;
    let authority = Authority::new("the intranet");
    let tls = authority.issue(&[HOST]).wrap(plain).await;
    for (base, behind, pem) in
        [(format!("https://{HOST}"), tls, authority.pem.as_str()), (format!("http://{HOST}:8080"), plain, "")]
    {
        let proxy = CorporateProxy::start(Manner::Friendly, behind).await;
        let before = server.received().len();
        for (client, answer) in all_clients(&base, &proxy.egress(pem)).await {
            assert_eq!(answer, Ok(()), "{base} {client}");
        }
        assert_eq!(server.received().len(), before + 5, "{base}");
        assert_eq!(proxy.log().len(), 5, "each goes through it: {:?}", proxy.log());
        let seen = server.received().into_iter().skip(before);
        assert!(seen.into_iter().all(|request| request.header("proxy-authorization").is_empty()));
    }
}

#[tokio::test]
async fn mails_go_through_the_proxy_with_every_kind_of_tls() {
    let authority = Authority::new("the intranet");
    let server = SmtpServer::friendly().await;
    let behind = SocketAddr::from(([127, 0, 0, 1], server.port));
    let wrapped = authority.issue(&[HOST]).wrap(behind).await;
    let starttls = authority.issue(&[HOST]).starttls(behind).await;
    for (url, port, to, pem) in [
        (format!("smtp://{HOST}?tls=none"), 25, behind, ""),
        (format!("smtps://{HOST}"), 465, wrapped, &authority.pem),
        (format!("smtp://{HOST}:2587"), 2587, starttls, &authority.pem),
    ] {
        let proxy = CorporateProxy::start(Manner::Friendly, to).await;
        let sent = mail(url.clone(), proxy.egress(pem)).send(&message(), NOW).await;
        assert_eq!(outcome(sent), ("sent", None, String::new()), "{url}");
        assert_eq!(proxy.log(), [format!("CONNECT {HOST}:{port} HTTP/1.1")]);
    }
    assert_eq!(server.heard().mails.len(), 3);
}

#[tokio::test]
async fn a_proxy_that_does_not_know_us_is_a_persons_task_and_gives_nothing_away() {
    let (server, plain) = service().await;
    let proxy = CorporateProxy::start(Manner::Friendly, plain).await;
    let wrong = proxy.egress_as("somebody:wrong-password@", "");
    let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("{USER}:{PASSWORD}"));
    let hidden = ["somebody", "wrong-password"];
    for base in [format!("https://{HOST}"), format!("http://{HOST}")] {
        for (client, answer) in all_clients(&base, &wrong).await {
            let why = answer.unwrap_err();
            let is_told =
                why.contains("`proxy`") || client == "wechat" && base.starts_with("http:") || client == "tokens";
            assert!(is_told && why.contains(if is_told { "" } else { "407" }), "{base} {client}: {why}");
            assert!(hidden.iter().all(|secret| !why.contains(secret)), "{base} {client}: {why}");
        }
    }
    let (what, _, why) = outcome(mail(format!("smtp://{HOST}?tls=none"), wrong).send(&message(), NOW).await);
    assert!(what == "refused" && why.contains("407") && why.contains("`proxy`"), "{what} {why}");
    assert!(server.received().is_empty());

    // What a proxy quotes of our own password does not go on.
    let proxy = CorporateProxy::start(Manner::Answers("403 Forbidden"), plain).await;
    for (client, answer) in all_clients(&format!("http://{HOST}"), &proxy.egress("")).await {
        let why = answer.unwrap_err();
        assert!(!why.contains(&encoded) && !why.contains(PASSWORD), "{client}: {why}");
    }
    let (what, _, why) = outcome(mail(format!("smtp://{HOST}?tls=none"), proxy.egress("")).send(&message(), NOW).await);
    assert!(what == "refused" && why.contains("allow CONNECT"), "{what} {why}");
}

#[tokio::test]
async fn a_proxy_in_trouble_is_waited_for_and_nothing_was_sent() {
    let (server, plain) = service().await;
    for manner in [Manner::Answers("503 Service Unavailable"), Manner::Silent] {
        let proxy = CorporateProxy::start(manner, plain).await;
        let egress = proxy.egress("");
        let short = Duration::from_millis(400);
        let config = ClientConfig {
            base_url: format!("https://{HOST}"),
            timeout: short,
            egress: egress.clone(),
            ..ClientConfig::default()
        };
        let token = Token::new("t0".into()).unwrap();
        let program = "wx00000000000000aa".parse().unwrap();
        let linked = Client::new(&config).unwrap().link(&token, &program, LinkOptions::default()).await;
        assert!(matches!(linked, Err(CallError::NotSent(_))), "{manner:?}: {linked:?}");
        let base = ChannelSettings { egress: egress.clone(), ..ChannelSettings::new("night", Kind::Webhook, short) };
        let webhook = ChannelSettings { url: Some(format!("https://{HOST}/hook").into()), ..base.clone() };
        assert_eq!(outcome(Channel::new(&webhook).unwrap().send(&message(), NOW).await).0, "later", "{manner:?}");
        let (kind, from, to) = (Kind::Email, Some("a@example.com".to_owned()), vec!["b@example.com".to_owned()]);
        let mail = ChannelSettings { kind, from, to, url: Some(format!("smtps://{HOST}").into()), ..base };
        assert_eq!(outcome(Channel::new(&mail).unwrap().send(&message(), NOW).await).0, "later", "{manner:?}");
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_token_service_that_is_not_trusted_is_no_refusal_of_wechats() {
    let (_server, plain) = service().await;
    let port = Authority::new("a stranger").issue(&["localhost"]).wrap(plain).await.port();
    let url = format!("https://localhost:{port}/token?appid={{account}}");
    let source = HttpSource { url, egress: trusting(&Authority::new("a stranger").pem), ..HttpSource::default() };
    let tokens = Tokens::new(TokenSource::Http(source), clock()).unwrap();
    let error = tokens.get(&"wx0123456789abcdef".parse().unwrap()).await.unwrap_err();
    assert!(matches!(&error, TokenError::Unavailable(why) if why.contains("`ca_file`")), "{error}");
}
