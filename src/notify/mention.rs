//! Who is called by name when somebody must act: what each service knows people by. Texts from outside call nobody: only
//! what the configuration names is ever written as a mention.

use serde::{Deserialize, Deserializer, de::Error};

use super::Kind;
use crate::domain::message::{Message, Severity};

/// People that one message may call: more is "all", and their names would take the room of the message.
const CALLED_MAX: usize = 50;

/// What a mistake in the key is answered with.
const EXPECTED: &str = "expected \"all\" or a list such as [\"13800138000\"]";

/// Bytes of an id of a person, the most that any service gives out.
const ID_BYTES_MAX: usize = 64;

/// Who is called, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Mention {
    /// Nobody.
    #[default]
    Nobody,
    /// Everybody in the group.
    All,
    /// These: phone numbers or ids.
    These(Vec<String>),
}

impl<'de> Deserialize<'de> for Mention {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wrong = || D::Error::custom(EXPECTED);
        match toml::Value::deserialize(from)? {
            toml::Value::String(all) if all == "all" => Ok(Self::All),
            toml::Value::Array(people) if people.is_empty() => Ok(Self::Nobody),
            toml::Value::Array(people) => {
                let text = |person: toml::Value| person.as_str().map(str::to_owned).ok_or_else(wrong);
                people.into_iter().map(text).collect::<Result<_, _>>().map(Self::These)
            }
            _ => Err(wrong()),
        }
    }
}

impl Mention {
    /// Whether a channel of this kind can call them.
    ///
    /// # Errors
    /// A sentence that says who cannot be called, and what the service knows people by.
    pub fn check(&self, kind: Kind) -> Result<(), String> {
        Callees::of(self, kind).map(drop)
    }
}

/// Who is called, as a service knows them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Callees {
    pub(super) all: bool,
    /// Phone numbers.
    pub(super) mobiles: Vec<String>,
    /// Ids of people; for Slack, also of groups, and names with an `@`.
    pub(super) users: Vec<String>,
}

impl Callees {
    /// The people whom this kind of channel can call.
    pub(super) fn of(mention: &Mention, kind: Kind) -> Result<Self, String> {
        let mut callees = Self::default();
        let people = match mention {
            Mention::Nobody => return Ok(callees),
            Mention::All => &[][..],
            Mention::These(people) => people,
        };
        let place = placing(kind).ok_or("only wecom, dingtalk, feishu and slack can call people by name")?;
        if people.len() > CALLED_MAX {
            return Err(format!("more than {CALLED_MAX} people: write \"all\""));
        }
        callees.all = *mention == Mention::All;
        for person in people {
            let list = match place(person)? {
                Known::ByPhone => &mut callees.mobiles,
                Known::ById => &mut callees.users,
            };
            if !list.contains(person) {
                list.push(person.clone());
            }
        }
        Ok(callees)
    }

    /// Whether nobody is called.
    pub(super) const fn is_empty(&self) -> bool {
        !self.all && self.mobiles.is_empty() && self.users.is_empty()
    }

    /// Who this message calls: an alert that fires or still does needs a person. What is over, a step, a reminder or a
    /// digest calls nobody.
    pub(super) fn of_message(&self, message: &Message) -> Option<&Self> {
        let needs_a_person = match message.mood {
            Severity::Fired | Severity::Repeated => true,
            Severity::Resolved | Severity::News => false,
        };
        (needs_a_person && !self.is_empty()).then_some(self)
    }
}

/// What a service knows a person by.
#[derive(Debug, Clone, Copy)]
enum Known {
    ByPhone,
    ById,
}

/// Tells a phone number and an id apart; the error is a sentence about what is neither.
type Placing = fn(&str) -> Result<Known, String>;

/// How a kind of channel does that; nothing when it can call nobody.
const fn placing(kind: Kind) -> Option<Placing> {
    match kind {
        Kind::Wecom => Some(wecom),
        Kind::Dingtalk => Some(dingtalk),
        Kind::Feishu => Some(feishu),
        Kind::Slack => Some(slack),
        Kind::Webhook | Kind::Email | Kind::Alertmanager | Kind::Log => None,
    }
}

/// Phone numbers of `mentioned_mobile_list` and user ids of `mentioned_list`
/// (<https://developer.work.weixin.qq.com/document/path/91770>). A user id of eleven digits would be taken for a number.
fn wecom(person: &str) -> Result<Known, String> {
    match person {
        number if is_mobile(number) => Ok(Known::ByPhone),
        id if is_id(id, "_-@.") && !id.starts_with('@') => Ok(Known::ById),
        _ => Err(format!("{person:?} is no member of WeCom: write a phone number of eleven digits or a userid")),
    }
}

/// Phone numbers of `atMobiles` and user ids of `atUserIds`
/// (<https://open.dingtalk.com/document/robots/custom-robot-access>); a number from abroad as `+852-61234567`.
fn dingtalk(person: &str) -> Result<Known, String> {
    let abroad = person.strip_prefix('+').is_some_and(|number| {
        number.len() <= ID_BYTES_MAX && number.contains('-') && number.bytes().all(|b| b.is_ascii_digit() || b == b'-')
    });
    match person {
        number if is_mobile(number) || abroad => Ok(Known::ByPhone),
        id if is_id(id, "_-@.") && !id.starts_with('@') => Ok(Known::ById),
        _ => Err(format!(
            "{person:?} is no member of DingTalk: write a phone number (13800138000, +852-61234567) or a userId"
        )),
    }
}

/// Open ids (`ou_…`) and user ids. A bot of a group can look up neither numbers, addresses nor other ids
/// (<https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot>).
fn feishu(person: &str) -> Result<Known, String> {
    let is_other = ["on_", "oc_", "cli_"].iter().any(|prefix| person.starts_with(prefix));
    if is_mobile(person) || is_other || !is_id(person, "_-") {
        return Err(format!(
            "{person:?} cannot be called: a bot of Feishu knows people by open_id (ou_…) or user_id alone, not by phone \
             number, mail address or union_id"
        ));
    }
    Ok(Known::ById)
}

/// Members (`U…`, `W…`) and groups (`S…`) of Slack
/// (<https://docs.slack.dev/messaging/formatting-message-text#mentioning-users>), and names as Mattermost takes them.
fn slack(person: &str) -> Result<Known, String> {
    let is_slacks = person.starts_with(['U', 'W', 'S'])
        && (3..=ID_BYTES_MAX).contains(&person.len())
        && person.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let is_name = person.strip_prefix('@').is_some_and(|name| {
        is_id(name, "_-.") && !["all", "channel", "here", "everyone"].contains(&name.to_ascii_lowercase().as_str())
    });
    if is_slacks || is_name {
        return Ok(Known::ById);
    }
    Err(format!(
        "{person:?} cannot be called: write a member's id (U012AB3CD, from \"Copy member ID\" in the profile), a group's \
         (S012AB3CD), \"@name\" on Mattermost, or mention = \"all\""
    ))
}

/// Eleven digits that begin with 1: a phone number of China.
fn is_mobile(text: &str) -> bool {
    text.len() == 11 && text.starts_with('1') && text.bytes().all(|b| b.is_ascii_digit())
}

/// Letters, digits and these marks: nothing that could end a mention or begin another one.
fn is_id(text: &str, marks: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::fixture::message;

    fn callees(kind: Kind, people: &[&str]) -> Result<Callees, String> {
        Callees::of(&Mention::These(people.iter().map(|person| (*person).to_owned()).collect()), kind)
    }

    #[test]
    fn each_service_knows_people_by_its_own_names() {
        let numbers_and_ids = |kind, people: &[&str]| {
            let Callees { all, mobiles, users } = callees(kind, people).unwrap();
            assert!(!all);
            [mobiles.join(" "), users.join(" ")]
        };
        assert_eq!(
            numbers_and_ids(Kind::Wecom, &["13800138000", "li.si@corp", "13800138000"]),
            ["13800138000", "li.si@corp"]
        );
        assert_eq!(numbers_and_ids(Kind::Dingtalk, &["+852-61234567", "0123"]), ["+852-61234567", "0123"]);
        assert_eq!(numbers_and_ids(Kind::Feishu, &["ou_84aad35d084aa403a838cf73ee18467", "7f1b"])[0], "");
        assert_eq!(numbers_and_ids(Kind::Slack, &["U012AB3CD", "S0FF", "@li.si"]), ["", "U012AB3CD S0FF @li.si"]);
    }

    #[test]
    fn who_cannot_be_called_is_refused_with_what_can() {
        for (kind, person, word) in [
            (Kind::Wecom, "@all", "eleven digits or a userid"),
            (Kind::Wecom, "张三", "eleven digits or a userid"),
            (Kind::Dingtalk, "138 0013 8000", "no member of DingTalk"),
            (Kind::Feishu, "13800138000", "not by phone"),
            (Kind::Feishu, "li@example.com", "open_id"),
            (Kind::Feishu, "on_8ed6aa67826108097d9ee143816345", "union_id"),
            (Kind::Feishu, "ou_1></at><at id=all", "open_id"),
            (Kind::Slack, "li", "member's id"),
            (Kind::Slack, "@channel", "mention = \"all\""),
            (Kind::Slack, "U1|<!channel>", "member's id"),
            (Kind::Email, "li@example.com", "only wecom, dingtalk, feishu and slack"),
        ] {
            let wrong = callees(kind, &[person]).unwrap_err();
            assert!(wrong.contains(word), "{person}: {wrong}");
        }
        assert!(callees(Kind::Wecom, &["a"; 51]).unwrap_err().contains("more than 50"));
        assert!(Mention::All.check(Kind::Log).is_err() && Mention::Nobody.check(Kind::Log).is_ok());
    }

    #[test]
    fn only_what_needs_a_person_calls_one() {
        let called = Callees { all: true, ..Callees::default() };
        for (mood, is_called) in
            [(Severity::Fired, true), (Severity::Repeated, true), (Severity::Resolved, false), (Severity::News, false)]
        {
            let message = Message { mood, ..message() };
            assert_eq!(called.of_message(&message).is_some(), is_called, "{mood:?}");
            assert_eq!(Callees::default().of_message(&message), None);
        }
    }
}
