//! One push to a platform as data: what it says, when and where it goes, how often, and what was answered.

use serde::{Deserialize, Serialize};

/// A field of a push, by WeChat's name.
pub(super) type Field = (&'static str, String);

/// A way in which a push is not WeChat's own, or was damaged on its way. A platform must refuse each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spoil {
    /// `msg_signature` is wrong, while `signature` is right.
    Signature,
    /// Another component's appid stands behind the message.
    TailAppid,
    /// Another component's appid stands in the message.
    InnerAppid,
    /// Another component's appid stands outside, beside `Encrypt`.
    OuterAppid,
    /// It is encrypted with a key that nobody has, and signed well.
    Key,
    /// The message declares a document type.
    Doctype,
    /// The body is cut in the middle.
    Truncated,
}

/// What came back for a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PushAnswer {
    /// Which copy it was, from 0.
    pub copy: u32,
    /// When the answer was there or given up, milliseconds UTC on the simulator's time.
    pub at: i64,
    /// The HTTP status; absent if no answer came.
    pub status: Option<u16>,
    /// The beginning of the body, or why no answer came.
    pub body: String,
}

impl PushAnswer {
    /// Whether the platform took the push: HTTP 200 and the word `success`.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status == Some(200) && self.body.trim() == "success"
    }
}

/// One push.
#[derive(Clone, Debug, Serialize)]
pub struct Push {
    /// Its number, from 1.
    pub id: u64,
    /// `component_verify_ticket`, `authorized`, `updateauthorized`, `unauthorized` or any other.
    pub info_type: String,
    /// The account it is about.
    pub account: Option<String>,
    /// Its `CreateTime` in milliseconds UTC.
    pub made: i64,
    /// When it goes out, milliseconds UTC; absent once it has.
    pub due: Option<i64>,
    /// Where it goes.
    pub to: String,
    /// How many copies go out.
    pub times: u32,
    /// Whether the copies go out at once instead of one after the other.
    pub at_once: bool,
    /// How it is spoilt.
    pub spoil: Option<Spoil>,
    /// How it was answered, in the order of the answers.
    pub answers: Vec<PushAnswer>,
    #[serde(skip)]
    pub(super) fields: Vec<Field>,
    #[serde(skip)]
    pub(super) keys: usize,
    #[serde(skip)]
    pub(super) repeats: u32,
}
