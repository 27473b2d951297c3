//! A push on the wire: the message in XML or JSON, encrypted, with its query. Pure.

use rand::RngExt;
use serde_json::{Map, Value, json};

use super::{
    chance,
    crypt::{PushKeys, encrypted, signature},
    push::{Push, Spoil},
    switches::{PushFormat, Switches},
};

/// The component that spoilt pushes are for.
const ANOTHER: &str = "wxffffffffffffffff";

/// A key that no component has.
const NOBODYS_KEY: [u8; 32] = [0x5a; 32];

const DOCTYPE: &str = "<!DOCTYPE xml [<!ENTITY a \"b\">]>\n";

const XML_TYPE: &str = "text/xml";
const JSON_TYPE: &str = "application/json";

/// A push as it is posted.
pub(super) struct Written {
    pub(super) query: String,
    pub(super) body: String,
    pub(super) content_type: &'static str,
}

/// Writes a push. The same push is encrypted to the same text each time; its signature is made anew.
pub(super) fn written(seed: u64, appid: &str, keys: &PushKeys, push: &Push, switches: &Switches, now: i64) -> Written {
    let spoilt = |spoil| push.spoil == Some(spoil);
    let inner_appid = if spoilt(Spoil::InnerAppid) { ANOTHER } else { appid };
    if switches.push_format == PushFormat::Json {
        let body = json_message(push, inner_appid).to_string();
        return Written { query: String::new(), body: cut(push, body), content_type: JSON_TYPE };
    }
    let mut message = xml_message(push, inner_appid, switches.push_format);
    if spoilt(Spoil::Doctype) {
        message.insert_str(0, DOCTYPE);
    }
    let tail = if spoilt(Spoil::TailAppid) { ANOTHER } else { appid };
    // Keys were checked when they were set.
    let key = keys.aes_key().unwrap_or_default();
    let key = if spoilt(Spoil::Key) { NOBODYS_KEY } else { key };
    let random = chance::dice(seed, &["push"], push.id).random();
    let encrypt = encrypted(&key, random, &message, tail);
    let outer = if spoilt(Spoil::OuterAppid) { ANOTHER } else { appid };
    let body = format!(
        "<xml>\n    <AppId><![CDATA[{outer}]]></AppId>\n    <Encrypt><![CDATA[{encrypt}]]></Encrypt>\n</xml>\n"
    );
    let query = query(seed, keys, push, &encrypt, now);
    Written { query, body: cut(push, body), content_type: XML_TYPE }
}

fn cut(push: &Push, mut body: String) -> String {
    if push.spoil == Some(Spoil::Truncated) {
        body.truncate(body.len() / 2);
    }
    body
}

fn query(seed: u64, keys: &PushKeys, push: &Push, encrypt: &str, now: i64) -> String {
    let timestamp = now.div_euclid(1_000).to_string();
    let nonce: u32 = chance::dice(seed, &["nonce", &timestamp], push.id).random();
    let nonce = nonce.to_string();
    let plain = signature(&[&keys.token, &timestamp, &nonce]);
    let right = signature(&[&keys.token, &timestamp, &nonce, encrypt]);
    let over_body = if push.spoil == Some(Spoil::Signature) { &plain } else { &right };
    format!("signature={plain}&timestamp={timestamp}&nonce={nonce}&encrypt_type=aes&msg_signature={over_body}")
}

/// A value that stands as a number in WeChat's own pushes.
fn is_number(name: &str) -> bool {
    matches!(name, "CreateTime" | "AuthorizationCodeExpiredTime")
}

/// The fields of a message in their order.
fn fields<'p>(push: &'p Push, appid: &'p str) -> Vec<(&'p str, String)> {
    let head = [
        ("AppId", appid.to_owned()),
        ("CreateTime", push.made.div_euclid(1_000).to_string()),
        ("InfoType", push.info_type.clone()),
    ];
    let tail = push.fields.iter().map(|(name, value)| (*name, value.clone()));
    head.into_iter().chain(tail).collect()
}

fn xml_message(push: &Push, appid: &str, format: PushFormat) -> String {
    let lines = fields(push, appid).into_iter().map(|(name, value)| {
        let value = match format {
            PushFormat::Xml | PushFormat::Malformed | PushFormat::Json => escaped(&value),
            PushFormat::Cdata if is_number(name) => value,
            PushFormat::Cdata | PushFormat::CdataNumbers => format!("<![CDATA[{value}]]>"),
        };
        format!("<{name}>{value}</{name}>\n")
    });
    let end = if format == PushFormat::Malformed { "<xml>" } else { "</xml>" };
    format!("<xml>\n{}{end}", lines.collect::<String>())
}

fn escaped(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn json_message(push: &Push, appid: &str) -> Value {
    let pairs = fields(push, appid).into_iter().map(|(name, value)| {
        let number = value.parse::<i64>().ok().filter(|_| is_number(name));
        (name.to_owned(), number.map_or_else(|| json!(value), |number| json!(number)))
    });
    Value::Object(pairs.collect::<Map<_, _>>())
}
