//! Stories of the webhook, told by a receiver that follows the page of Standard Webhooks word by word.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::{
    server::{closed, raw},
    *,
};

const CURRENT: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const BEFORE: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

/// Whether one of the signatures is that of this secret, within five minutes of the clock.
fn verified(received: &Received, secret: &str, now: Time) -> bool {
    let (id, timestamp) = (received.header("webhook-id"), received.header("webhook-timestamp"));
    let seconds: i64 = timestamp.parse().unwrap();
    if (now.ms() / 1_000 - seconds).abs() > 300 || id.contains('.') {
        return false;
    }
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    received.header("webhook-signature").split(' ').any(|signature| {
        let claimed = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{id}.{timestamp}.{}", received.text()).as_bytes());
        mac.verify_slice(&claimed).is_ok()
    })
}

/// A receiver that knows one secret and takes only what is signed with it.
async fn receiver(secret: &'static str) -> Server {
    Server::start(move |received| {
        let content = received.header("content-type") == "application/cloudevents+json; charset=utf-8";
        match (received.method.as_str(), content, verified(received, secret, NOW)) {
            ("POST", true, true) => Reply::Status(204, String::new()),
            ("POST", true, false) => Reply::Status(401, "invalid signature".to_owned()),
            _ => Reply::Status(415, String::new()),
        }
    })
    .await
}

async fn sent(server: &Server, secrets: &[&str]) -> (&'static str, Option<u64>, String) {
    let channel = channel(Kind::Webhook, &format!("{}/hooks/amplink?tenant=7", server.url), secrets);
    outcome(channel.send(&message(), NOW).await)
}

#[tokio::test]
async fn a_receiver_takes_a_signed_event() {
    let server = receiver(CURRENT).await;
    assert_eq!(sent(&server, &[CURRENT]).await, ("sent", None, String::new()));

    let received = server.only();
    assert_eq!((received.path.as_str(), received.query["tenant"].as_str()), ("/hooks/amplink", "7"));
    assert_eq!(received.header("user-agent"), concat!("amplinkd/", env!("CARGO_PKG_VERSION")));
    assert_eq!(received.header("webhook-id"), message().id);
    assert_eq!(received.header("webhook-timestamp"), "1795374188");
    assert_eq!(received.text(), amplinkd::notify::cloudevents::cloud_event(&message()));
    assert_eq!(
        received.json(),
        serde_json::json!({
            "specversion": "1.0",
            "id": "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b",
            "source": "/amplinkd",
            "type": "amplinkd.alert.fired",
            "subject": "wx0123456789abcdef",
            "time": "2026-11-22T19:03:07.042Z",
            "datacontenttype": "application/json",
            "partitionkey": "stuck/account_admin",
            "sequence": "0000000000000000042",
            "data": { "rule": "stuck", "total": 3 },
        })
    );
}

#[tokio::test]
async fn a_key_is_changed_without_a_pause() {
    let (ahead, behind) = (receiver(CURRENT).await, receiver(BEFORE).await);
    assert_eq!(sent(&ahead, &[CURRENT, BEFORE]).await.0, "sent");
    assert_eq!(sent(&behind, &[CURRENT, BEFORE]).await.0, "sent");
    assert_eq!(
        sent(&behind, &[CURRENT]).await,
        ("refused", None, "HTTP 401 Unauthorized: invalid signature".to_owned())
    );
}

#[tokio::test]
async fn a_retry_has_the_same_id_and_body_and_a_signature_of_its_own() {
    let server = Server::always(Reply::Status(200, String::new())).await;
    let channel = channel(Kind::Webhook, &server.url, &[CURRENT]);
    let later = NOW + Duration::from_hours(1);
    channel.send(&message(), NOW).await.unwrap();
    channel.send(&message(), later).await.unwrap();
    let received = server.received();
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!(received[0].body, received[1].body);
    assert!(verified(&received[0], CURRENT, NOW) && verified(&received[1], CURRENT, later));
    assert!(!verified(&received[0], CURRENT, later));
}

#[tokio::test]
async fn without_a_secret_nothing_is_signed() {
    let server = Server::always(Reply::Status(202, "queued".to_owned())).await;
    assert_eq!(sent(&server, &[]).await.0, "sent");
    let received = server.only();
    assert_eq!(received.header("webhook-signature"), "");
    assert_eq!(received.header("webhook-id"), message().id);
}

#[tokio::test]
async fn each_answer_says_what_is_to_be_done() {
    let page = "<html>\r\n<h1>503</h1>\u{7}\r\n</html>".to_owned();
    let wait = |value: &str| vec![("retry-after", value.to_owned())];
    for (reply, expected) in [
        (
            Reply::With(503, wait("120"), page.clone()),
            ("later", Some(120), "HTTP 503 Service Unavailable: <html> <h1>503</h1> </html>"),
        ),
        (
            Reply::With(429, wait("Sun, 22 Nov 2026 19:04:08 GMT"), String::new()),
            ("later", Some(60), "HTTP 429 Too Many Requests"),
        ),
        (Reply::With(429, wait("86400"), String::new()), ("later", Some(3_600), "HTTP 429 Too Many Requests")),
        (Reply::Status(500, String::new()), ("later", None, "HTTP 500 Internal Server Error")),
        (Reply::Status(408, String::new()), ("later", None, "HTTP 408 Request Timeout")),
        (Reply::Status(410, "unsubscribed".to_owned()), ("gone", None, "HTTP 410 Gone: unsubscribed")),
        (Reply::Status(413, String::new()), ("refused", None, "HTTP 413 Payload Too Large")),
        (Reply::Status(404, String::new()), ("refused", None, "HTTP 404 Not Found")),
        (Reply::Status(304, String::new()), ("refused", None, "HTTP 304 Not Modified")),
        (
            Reply::With(308, vec![("location", "http://127.0.0.1:9/elsewhere".to_owned())], String::new()),
            (
                "refused",
                None,
                "HTTP 308 Permanent Redirect: it points to another address, and redirects are not followed",
            ),
        ),
    ] {
        let server = Server::always(reply).await;
        let (what, after, why) = sent(&server, &[CURRENT]).await;
        assert_eq!((what, after, why.as_str()), expected);
        assert_eq!(server.received().len(), 1, "sent once");
    }
}

#[tokio::test]
async fn silence_and_a_closed_door_are_for_later() {
    let quick = |url: &str| {
        let settings = ChannelSettings { timeout: Duration::from_millis(300), ..settings(Kind::Webhook, url, &[]) };
        Channel::new(&settings).unwrap()
    };
    let silent = Server::always(Reply::Silence).await;
    let (what, after, why) = outcome(quick(&silent.url).send(&message(), NOW).await);
    assert_eq!((what, after, why.as_str()), ("later", None, "no answer within 300ms"));

    let (_held, nobody) = closed();
    let (what, after, why) =
        outcome(channel(Kind::Webhook, &format!("http://{nobody}/"), &[]).send(&message(), NOW).await);
    assert_eq!((what, after), ("later", None));
    assert!(why.contains("onnect") && !why.contains(&nobody.to_string()), "{why}");
}

/// A body that never ends must not cost us the status that stands before it.
#[tokio::test]
async fn a_taken_message_is_taken_though_the_answer_breaks_off() {
    let url = raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    let settings = ChannelSettings { timeout: Duration::from_secs(2), ..settings(Kind::Webhook, &url, &[]) };
    assert_eq!(outcome(Channel::new(&settings).unwrap().send(&message(), NOW).await).0, "sent");
}

#[tokio::test]
async fn a_long_answer_is_not_read_to_its_end() {
    let server = Server::always(Reply::Status(400, "字".repeat(1 << 20))).await;
    let (what, _, why) = sent(&server, &[CURRENT]).await;
    assert_eq!((what, why.chars().count()), ("refused", "HTTP 400 Bad Request: ".len() + 200));
}
