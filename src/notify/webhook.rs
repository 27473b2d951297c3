//! The channel `webhook`: a signed POST of the event: Standard Webhooks around a `CloudEvent`. The body of an event
//! never changes, so receivers can detect duplicates.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::{
    ChannelError, ChannelSettings, Pace, SendError,
    cloudevents::{CONTENT_TYPE, cloud_event},
    hmac::hmac_sha256,
    post::{Http, Post},
};
use crate::domain::{message::Message, time::Time};

/// A few at once: one slow answer must not hold back the events of everyone else. No service of ours limits the rest.
pub(super) const PACE: Pace = Pace { at_once: 8, most: None };

/// What a secret begins with
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme>).
const SECRET_PREFIX: &str = "whsec_";

/// Bytes of a secret's key (the same page: "between 24 bytes and 64 bytes").
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// With or without `=` at the end: both are copied around.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An address that takes our events.
#[derive(Debug)]
pub struct Webhook {
    http: Http,
    /// The current key first, then those of before; each signs. None: nothing is signed.
    keys: Vec<SecretSlice<u8>>,
}

impl Webhook {
    pub(super) fn new(settings: &ChannelSettings) -> Result<Self, ChannelError> {
        let http = Http::new(settings)?;
        let keys = settings.secrets.iter().map(key).collect::<Result<_, _>>();
        let keys = keys.map_err(|wrong: String| ChannelError { name: settings.name.clone(), wrong })?;
        Ok(Self { http, keys })
    }

    /// The address of its service.
    pub(super) fn address(&self) -> &str {
        self.http.url().as_str()
    }

    pub(super) async fn send(&self, message: &Message, now: Time) -> Result<(), SendError> {
        let body = cloud_event(message);
        let timestamp = now.ms().div_euclid(1_000).to_string();
        let signatures = self.signatures(&message.id, &timestamp, &body);
        let mut post = Post::new(HeaderValue::from_static(CONTENT_TYPE), body.into_bytes())
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", &timestamp);
        if !self.keys.is_empty() {
            post = post.header("webhook-signature", &signatures);
        }
        self.http.post(post, now).await?.accepted()
    }

    /// One signature for each key, so that keys can be changed without a pause.
    fn signatures(&self, id: &str, timestamp: &str, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        let one = |key: &SecretSlice<u8>| format!("v1,{}", hmac_sha256(key.expose_secret(), &[signed.as_bytes()]));
        self.keys.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

/// The key in a secret. One without the prefix is refused although some libraries take it: a password that happens to
/// be base64 would be decoded here and taken as it is over there, and every signature would be wrong.
fn key(secret: &SecretString) -> Result<SecretSlice<u8>, String> {
    let needed = "it must be \"whsec_\" and then 24 to 64 random bytes in base64, as \
                  `echo whsec_$(openssl rand -base64 32)` makes one";
    let encoded = secret.expose_secret().trim().strip_prefix(SECRET_PREFIX);
    let encoded = encoded.ok_or_else(|| format!("a secret does not begin with \"whsec_\": {needed}"))?;
    let bytes = BASE64.decode(encoded).map_err(|_| format!("a secret is not base64 after \"whsec_\": {needed}"))?;
    if KEY_BYTES.contains(&bytes.len()) {
        Ok(bytes.into())
    } else {
        Err(format!("a secret has a key of {} bytes: {needed}", bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn webhook(secrets: &[&str]) -> Result<Webhook, ChannelError> {
        Webhook::new(&ChannelSettings {
            url: Some("http://127.0.0.1:9/hook".into()),
            secrets: secrets.iter().map(|secret| SecretString::from(*secret)).collect(),
            ..ChannelSettings::new("events", super::super::Kind::Webhook, std::time::Duration::from_secs(1))
        })
    }

    #[test]
    fn the_signature_is_that_of_the_standards_own_tests() {
        // https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/go/webhook_test.go
        let signed = webhook(&[SECRET]).unwrap().signatures(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_secret_signs_the_current_one_first() {
        let before = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
        let one = |secret| webhook(&[secret]).unwrap().signatures("a", "1", "{}");
        let both = webhook(&[SECRET, before]).unwrap().signatures("a", "1", "{}");
        assert_eq!(both, format!("{} {}", one(SECRET), one(before)));
    }

    #[test]
    fn a_wrong_secret_is_refused_in_words_that_do_not_show_it() {
        let wrong = |secret: &str| webhook(&[SECRET, secret]).unwrap_err().to_string();
        for (secret, said) in [
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "does not begin with"),
            ("hunter2", "does not begin with"),
            ("whsec_hunter2!hunter2!hunter2!hunter2!", "is not base64"),
            ("whsec_aHVudGVyMg==", "a key of 7 bytes"),
            (&format!("whsec_{}", "A".repeat(88)), "a key of 66 bytes"),
        ] {
            let shown = wrong(secret);
            assert!(shown.starts_with("[[alerts.channel]] events: a secret ") && shown.contains(said), "{shown}");
            assert!(!shown.contains(&secret[secret.len() - 6..]), "{shown}");
        }
    }

    #[test]
    fn the_end_of_base64_may_be_cut() {
        let full = webhook(&["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGA=="]).unwrap();
        let cut = webhook(&["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGA"]).unwrap();
        assert_eq!(full.signatures("a", "1", "{}"), cut.signatures("a", "1", "{}"));
    }
}
