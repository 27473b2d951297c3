//! Reads what `WeChat` pushes to the platform's event URL: a request as it came, into a [`Push`] or a refusal. Nothing
//! is believed before its signature holds; nothing is stored here, and nobody is asked.
//!
//! The pushes: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/component_verify_ticket.html>
//! and <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/authorize_event.html>.

use std::fmt::Write as _;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    crypt::{Crypt, Envelope},
    wire::xml::{BadXml, Children, children},
};
use crate::domain::{id::AccountId, text::format::clip, time::Time};

/// Bytes of a push. Real ones have under a thousand.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// Bytes of a ticket or a code. Real ones have about a hundred; one this long would not fit into a request's line.
const SECRET_BYTES_MAX: usize = 4_096;

/// Characters kept of an `InfoType` that we do not know.
const INFO_TYPE_CHARS_MAX: usize = 64;

/// The last second of the year 9999: a later `CreateTime` is none, and milliseconds of it must fit.
const CREATE_TIME_MAX: i64 = 253_402_300_799;

/// A push that is surely `WeChat`'s, and for us.
#[derive(Debug, Clone)]
pub struct Push {
    /// SHA-256 in lower-case hex of what was encrypted, or of a plain body: equal for the same push sent again.
    pub id: String,
    /// When `WeChat` made it (`CreateTime`), to the second.
    pub made: Time,
    /// What it says.
    pub event: Event,
}

/// What a push says.
#[derive(Debug, Clone)]
pub enum Event {
    /// `component_verify_ticket`: about every ten minutes, good for twelve hours.
    Ticket(SecretString),
    /// `authorized`: the account authorized the platform. The code can be traded once, within an hour.
    Authorized {
        /// Who did; an official account or a mini program.
        account: AccountId,
        /// `AuthorizationCode`.
        code: SecretString,
    },
    /// `updateauthorized`: the account authorized it anew. Its former token is dead already.
    UpdateAuthorized {
        /// Who did.
        account: AccountId,
        /// `AuthorizationCode`.
        code: SecretString,
    },
    /// `unauthorized`: the account took its authorization back.
    Unauthorized {
        /// Who did.
        account: AccountId,
    },
    /// Another `InfoType`, clipped: answer `success` and do nothing.
    Other(String),
}

/// Why a request is no push. The texts repeat nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not signed, not encrypted, or not for this platform; which of them is not said.
    #[error("not signed and encrypted for this platform")]
    Forbidden,
    /// Neither the form of a push, nor that of its message.
    #[error("not a readable push: {0}")]
    Unreadable(&'static str),
    /// More than [`BODY_BYTES_MAX`].
    #[error("more than 64 KiB")]
    TooLong,
}

impl From<BadXml> for Refused {
    fn from(fault: BadXml) -> Self {
        Self::Unreadable(match fault {
            BadXml::Broken => "it is not XML",
            BadXml::DocType => "it has a DOCTYPE",
            BadXml::Entity => "it has an entity that is not one of XML's own five",
            BadXml::TooMuch => "it has too many or too deep elements",
            BadXml::Twice => "an element that must stand there once stands there twice",
        })
    }
}

/// What pushes are taken.
#[derive(Debug)]
pub struct PushRules {
    /// Whose pushes, with which tokens and keys.
    pub crypt: Crypt,
    /// Whether pushes in plain JSON are taken, too: nothing signs them. Only behind `WeChat`'s own cloud hosting
    /// (微信云托管), where nobody else reaches the URL.
    pub plain_json: bool,
}

impl PushRules {
    /// Reads one request: its query, as it stands behind the `?`, and its body.
    ///
    /// # Errors
    ///
    /// When it is no push for this platform. Answer [`Refused::Forbidden`] with one status and one body, whatever the
    /// cause.
    pub fn read(&self, query: &str, body: &[u8]) -> Result<Push, Refused> {
        if body.len() > BODY_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        let text = std::str::from_utf8(body).map_err(|_| Refused::Unreadable("it is not UTF-8"))?;
        if text.trim_start().starts_with('{') {
            return self.read_json(text);
        }
        let outer = children(text)?;
        self.is_ours(&outer)?;
        let encrypt = outer.one("Encrypt")?.ok_or(Refused::Unreadable("there is no Encrypt"))?;
        let message = self.open(query, encrypt)?;
        let message = std::str::from_utf8(&message).map_err(|_| Refused::Unreadable("the message is not UTF-8"))?;
        let inner = children(message)?;
        self.is_ours(&inner)?;
        push(encrypt, &inner)
    }

    fn read_json(&self, text: &str) -> Result<Push, Refused> {
        if !self.plain_json {
            return Err(Refused::Forbidden);
        }
        let fields = serde_json::from_str(text).map_err(|_| Refused::Unreadable("it is not JSON"))?;
        let fields = PlainFields(fields);
        self.is_ours(&fields)?;
        push(text, &fields)
    }

    fn is_ours(&self, fields: &impl Fields) -> Result<(), Refused> {
        if *required(fields, "AppId", "there is no AppId")? == *self.crypt.appid() {
            Ok(())
        } else {
            Err(Refused::Forbidden)
        }
    }

    fn open(&self, query: &str, encrypt: &str) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let parameter = |name| parameter(query, name).ok_or(Refused::Forbidden);
        let (timestamp, nonce, msg_signature) =
            (parameter("timestamp")?, parameter("nonce")?, parameter("msg_signature")?);
        let envelope = Envelope { timestamp: &timestamp, nonce: &nonce, msg_signature: &msg_signature, encrypt };
        self.crypt.open(&envelope).map_err(|_| Refused::Forbidden)
    }
}

/// The value of a query's parameter that stands there once.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut values = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(found, _)| *found == name);
    let (_, value) = values.next().filter(|_| values.next().is_none())?;
    Some(percent_decode_str(&value.replace('+', " ")).decode_utf8().ok()?.into_owned())
}

/// A message's named texts, from XML or JSON.
trait Fields {
    fn text(&self, name: &str) -> Result<Option<Zeroizing<String>>, Refused>;
}

impl Fields for Children {
    fn text(&self, name: &str) -> Result<Option<Zeroizing<String>>, Refused> {
        Ok(self.one(name)?.map(|text| Zeroizing::new(text.trim().to_owned())))
    }
}

struct PlainFields(Map<String, Value>);

impl Fields for PlainFields {
    fn text(&self, name: &str) -> Result<Option<Zeroizing<String>>, Refused> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(Zeroizing::new(text.trim().to_owned()))),
            Some(Value::Number(number)) => Ok(Some(Zeroizing::new(number.to_string()))),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
                Err(Refused::Unreadable("a field is not a string"))
            }
        }
    }
}

/// The push in a message; `signed` is what makes it one of a kind.
fn push(signed: &str, fields: &impl Fields) -> Result<Push, Refused> {
    Ok(Push { id: id(signed), made: made(fields)?, event: event(fields)? })
}

fn id(signed: &str) -> String {
    let digest = Sha256::digest(signed);
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn made(fields: &impl Fields) -> Result<Time, Refused> {
    let seconds = required(fields, "CreateTime", "there is no CreateTime")?;
    let seconds = seconds.parse::<i64>().ok().filter(|seconds| (0..=CREATE_TIME_MAX).contains(seconds));
    seconds.map(|seconds| Time::from_ms(seconds * 1_000)).ok_or(Refused::Unreadable("CreateTime is not a time"))
}

fn event(fields: &impl Fields) -> Result<Event, Refused> {
    let info_type = required(fields, "InfoType", "there is no InfoType")?;
    Ok(match info_type.as_str() {
        "component_verify_ticket" => {
            Event::Ticket(secret(fields, "ComponentVerifyTicket", "there is no usable ComponentVerifyTicket")?)
        }
        "authorized" => Event::Authorized { account: account(fields)?, code: code(fields)? },
        "updateauthorized" => Event::UpdateAuthorized { account: account(fields)?, code: code(fields)? },
        "unauthorized" => Event::Unauthorized { account: account(fields)? },
        other => Event::Other(clip(other, INFO_TYPE_CHARS_MAX)),
    })
}

fn account(fields: &impl Fields) -> Result<AccountId, Refused> {
    let appid = required(fields, "AuthorizerAppid", "there is no AuthorizerAppid")?;
    appid.parse().map_err(|_| Refused::Unreadable("AuthorizerAppid is not an appid"))
}

fn code(fields: &impl Fields) -> Result<SecretString, Refused> {
    secret(fields, "AuthorizationCode", "there is no usable AuthorizationCode")
}

/// A secret that can be sent back. It is opaque: whatever else it looks like is not looked at.
fn secret(fields: &impl Fields, name: &str, missing: &'static str) -> Result<SecretString, Refused> {
    let text = required(fields, name, missing)?;
    let fits = text.len() <= SECRET_BYTES_MAX && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if fits { Ok(SecretString::from(text.as_str())) } else { Err(Refused::Unreadable(missing)) }
}

fn required(fields: &impl Fields, name: &str, missing: &'static str) -> Result<Zeroizing<String>, Refused> {
    fields.text(name)?.filter(|text| !text.is_empty()).ok_or(Refused::Unreadable(missing))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::{
        super::fixture::{APPID, KEY, TOKEN, crypt, encrypt, sign},
        *,
    };

    const TICKET: &str = "ticket@@@a-Ticket_of-ours";

    fn rules(plain_json: bool) -> PushRules {
        PushRules { crypt: crypt(TOKEN, KEY), plain_json }
    }

    /// A request that carries this message, as `WeChat` would send it.
    fn request(message: &str) -> (String, String) {
        let encrypt = encrypt(KEY, message.as_bytes(), APPID);
        (query(TOKEN, &encrypt), outer(APPID, &encrypt))
    }

    fn query(token: &str, encrypt: &str) -> String {
        let signed = sign([token, "1700000000", "n 0+ce", encrypt]);
        format!("signature=00&timestamp=1700000000&nonce=n+0%2Bce&encrypt_type=aes&msg_signature={signed}")
    }

    fn outer(appid: &str, encrypt: &str) -> String {
        format!("<xml>\n    <AppId><![CDATA[{appid}]]></AppId>\n    <Encrypt><![CDATA[{encrypt}]]></Encrypt>\n</xml>")
    }

    /// What comes of a message.
    fn read(message: &str) -> Result<String, Refused> {
        let (query, body) = request(message);
        rules(false).read(&query, body.as_bytes()).map(|push| said(&push))
    }

    /// A push in one line, with its secret.
    fn said(push: &Push) -> String {
        let seconds = push.made.ms() / 1_000;
        match &push.event {
            Event::Ticket(ticket) => format!("{seconds} ticket {}", ticket.expose_secret()),
            Event::Authorized { account, code } => format!("{seconds} authorized {account} {}", code.expose_secret()),
            Event::UpdateAuthorized { account, code } => {
                format!("{seconds} updateauthorized {account} {}", code.expose_secret())
            }
            Event::Unauthorized { account } => format!("{seconds} unauthorized {account}"),
            Event::Other(info_type) => format!("{seconds} other {info_type}"),
        }
    }

    fn message(info_type: &str, rest: &str) -> String {
        format!(
            "<xml><AppId>{APPID}</AppId><CreateTime>1413192760</CreateTime><InfoType>{info_type}</InfoType>{rest}</xml>"
        )
    }

    fn ticket() -> String {
        message("component_verify_ticket", &format!("<ComponentVerifyTicket>{TICKET}</ComponentVerifyTicket>"))
    }

    const ACCOUNT: &str = "<AuthorizerAppid>wx0123456789abcdef</AuthorizerAppid>";

    fn authorized(code: &str) -> String {
        let rest = "<AuthorizationCodeExpiredTime>3600</AuthorizationCodeExpiredTime><PreAuthCode>p</PreAuthCode>";
        message("authorized", &format!("{ACCOUNT}<AuthorizationCode>{code}</AuthorizationCode>{rest}"))
    }

    #[test]
    fn each_kind_of_push_is_read() {
        assert_eq!(read(&ticket()).unwrap(), format!("1413192760 ticket {TICKET}"));
        let granted = authorized("queryauthcode@@@x");
        assert_eq!(read(&granted).unwrap(), "1413192760 authorized wx0123456789abcdef queryauthcode@@@x");
        let again = granted.replace("authorized<", "updateauthorized<");
        assert_eq!(read(&again).unwrap(), "1413192760 updateauthorized wx0123456789abcdef queryauthcode@@@x");
        assert_eq!(read(&message("unauthorized", ACCOUNT)).unwrap(), "1413192760 unauthorized wx0123456789abcdef");
    }

    #[test]
    fn an_unknown_kind_is_kept_by_its_name() {
        let nested = "<appid>wx1</appid><info><name>n</name></info>";
        assert_eq!(
            read(&message("notify_third_fasteregister", nested)).unwrap(),
            "1413192760 other notify_third_fasteregister"
        );
        let long = read(&message(&"x".repeat(5_000), "")).unwrap();
        assert!(long.len() < 100, "{long}");
    }

    #[test]
    fn an_example_that_ends_in_an_open_tag_is_read() {
        let odd = authorized("c0de").replace("</xml>", "\n<xml>\n");
        assert_eq!(read(&odd).unwrap(), "1413192760 authorized wx0123456789abcdef c0de");
    }

    #[test]
    fn sections_entities_and_blanks_are_no_part_of_a_value() {
        let odd = authorized("<![CDATA[a&b]]>&amp;c&#x64;")
            .replace("1413192760", "<![CDATA[1413192760]]>")
            .replace(APPID, &format!("\n  <![CDATA[{APPID}]]>\n  "));
        assert_eq!(read(&odd).unwrap(), "1413192760 authorized wx0123456789abcdef a&b&cd");
    }

    #[test]
    fn a_folded_message_is_signed_as_it_stands() {
        let (_, body) = request(&ticket());
        let encrypt = encrypt(KEY, ticket().as_bytes(), APPID);
        let folded = format!("{}\r\n{}\n", &encrypt[..64], &encrypt[64..]);
        let body = body.replace(&encrypt, &folded);
        assert!(rules(false).read(&query(TOKEN, &folded), body.as_bytes()).is_ok());
        assert_eq!(rules(false).read(&query(TOKEN, &encrypt), body.as_bytes()).unwrap_err(), Refused::Forbidden);
    }

    #[test]
    fn a_push_that_is_sent_again_has_the_same_id() {
        let (query, body) = request(&ticket());
        let id = || rules(false).read(&query, body.as_bytes()).unwrap().id;
        assert_eq!(id(), id());
        assert!(id().len() == 64 && id().bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
        let other = request(&authorized("c0de"));
        assert_ne!(rules(false).read(&other.0, other.1.as_bytes()).unwrap().id, id());
    }

    #[test]
    fn whatever_is_wrong_with_signature_or_encryption_is_the_same_refusal() {
        let (good, body) = request(&ticket());
        let encrypt = encrypt(KEY, ticket().as_bytes(), APPID);
        let refused = |query: &str, body: &str| rules(false).read(query, body.as_bytes()).unwrap_err();
        // `signature` is right, as WeChat makes it of the three others, and does not count.
        let mut three = [TOKEN, "1700000000", "n 0+ce"];
        three.sort_unstable();
        let signature = sign(["", three[0], three[1], three[2]]);
        let (before, msg_signature) = good.split_once("msg_signature=").unwrap();
        for query in [
            "",
            before,
            &format!(
                "{}msg_signature={}",
                before.replace("signature=00", &format!("signature={signature}")),
                "0".repeat(40)
            ),
            &good.replace("timestamp=17", "timestamp=18"),
            &good.replace("nonce=n+", "nonce=n-"),
            &format!("{good}&msg_signature={msg_signature}"),
            &good.replace("nonce=n", "nonce=%FFn"),
            &query("another token", &encrypt),
        ] {
            assert_eq!(refused(query, &body), Refused::Forbidden, "{query}");
        }
        assert_eq!(refused(&good, &outer("wx00000000000000c1", &encrypt)), Refused::Forbidden);
        for wrong in [
            super::super::fixture::encrypt(KEY, ticket().as_bytes(), "wx00000000000000c1"),
            super::super::fixture::encrypt("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ticket().as_bytes(), APPID),
            super::super::fixture::encrypt(KEY, ticket().replace(APPID, "wx00000000000000c1").as_bytes(), APPID),
            "AAAA".to_owned(),
        ] {
            assert_eq!(refused(&query(TOKEN, &wrong), &outer(APPID, &wrong)), Refused::Forbidden);
        }
    }

    #[test]
    fn what_is_no_push_is_unreadable() {
        let refused = |body: &[u8]| rules(true).read(&query(TOKEN, ""), body).unwrap_err();
        for body in ["", "hello", "<html></html>", "<xml></xml>", "{", "[]", "{}", "<!DOCTYPE x><xml/>"] {
            assert!(matches!(refused(body.as_bytes()), Refused::Unreadable(_)), "{body}");
        }
        assert!(matches!(refused(b"\xFF\xFE<xml/>"), Refused::Unreadable(_)));
        assert!(matches!(refused(format!("<xml><AppId>{APPID}</AppId></xml>").as_bytes()), Refused::Unreadable(_)));
        let tags = format!("<xml>{}</xml>", "<b/>".repeat(10_000));
        assert!(matches!(refused(tags.as_bytes()), Refused::Unreadable(_)));
        let full = format!("<xml>{}", " ".repeat(BODY_BYTES_MAX - 5));
        assert!(matches!(refused(full.as_bytes()), Refused::Unreadable(_)));
        assert_eq!(refused(format!("{full} ").as_bytes()), Refused::TooLong);
    }

    #[test]
    fn a_message_that_lacks_something_is_unreadable() {
        let bomb = "<!DOCTYPE l [<!ENTITY l \"lol\">]>";
        for bad in [
            String::new(),
            "no xml".to_owned(),
            format!("{bomb}{}", ticket()),
            ticket().replace("InfoType", "Infotype"),
            ticket().replace("CreateTime", "CreateDate"),
            ticket().replace("1413192760", "soon"),
            ticket().replace("1413192760", "-1"),
            ticket().replace("1413192760", "9999999999999"),
            ticket().replace(TICKET, ""),
            ticket().replace(TICKET, "two words"),
            ticket().replace(TICKET, &"t".repeat(4_097)),
            ticket().replace(TICKET, "&lol;"),
            authorized("").replace("AuthorizationCode>", "Code>"),
            authorized("c0de").replace("wx0123456789abcdef", "公众号appid"),
            message("unauthorized", ""),
            message("unauthorized", &format!("{ACCOUNT}{ACCOUNT}")),
        ] {
            assert!(matches!(read(&bad), Err(Refused::Unreadable(_))), "{bad}");
        }
    }

    #[test]
    fn plain_json_is_taken_only_where_it_is_allowed() {
        let body = format!(
            r#" {{"AppId":"{APPID}","CreateTime":1413192605,"InfoType":"component_verify_ticket","ComponentVerifyTicket":"{TICKET}"}}"#
        );
        assert_eq!(rules(false).read("", body.as_bytes()).unwrap_err(), Refused::Forbidden);
        let push = rules(true).read("", body.as_bytes()).unwrap();
        assert_eq!(said(&push), format!("1413192605 ticket {TICKET}"));
        assert_eq!(push.id.len(), 64);
        let as_texts = body.replace("1413192605", "\"1413192605\"");
        assert!(rules(true).read("", as_texts.as_bytes()).is_ok());
        let foreign = body.replace(APPID, "wx00000000000000c1");
        assert_eq!(rules(true).read("", foreign.as_bytes()).unwrap_err(), Refused::Forbidden);
        let nested = body.replace("1413192605", "[1]");
        assert!(matches!(rules(true).read("", nested.as_bytes()), Err(Refused::Unreadable(_))));
        // Beside it, encrypted pushes are taken as ever, and plain XML never is.
        let (query, encrypted) = request(&ticket());
        assert!(rules(true).read(&query, encrypted.as_bytes()).is_ok());
        assert!(rules(true).read(&query, ticket().as_bytes()).is_err());
    }

    #[test]
    fn nothing_that_is_printed_shows_a_ticket_or_a_code() {
        for (message, secret) in [(ticket(), TICKET), (authorized("c0de-of-it"), "c0de-of-it")] {
            let (query, body) = request(&message);
            let shown = format!("{:?} {:?}", rules(false).read(&query, body.as_bytes()).unwrap(), rules(true));
            assert!(!shown.contains(secret) && !shown.contains(TOKEN) && !shown.contains(KEY), "{shown}");
        }
    }
}
