//! What WeChat does not document, each question with a name.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::span::Span;

/// What a new invitation does to the rejected item (3) of the same program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RejectedItem {
    /// The old 3 is gone at once. Text: `"replaced"`.
    Replaced,
    /// The old 3 stays beside the new item. Text: `"stays beside"`.
    StaysBeside,
    /// Only the old 3 is listed for so long, then only the new item. Text: `"replaced after 10m"`.
    ReplacedAfter(Span),
}

impl FromStr for RejectedItem {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["replaced"] => Ok(Self::Replaced),
            ["stays", "beside"] => Ok(Self::StaysBeside),
            ["replaced", "after", after] => {
                after.parse().map(Self::ReplacedAfter).map_err(|e: super::NotASpan| e.to_string())
            }
            _ => Err(format!("{text:?}: write \"replaced\", \"stays beside\" or \"replaced after 10m\"")),
        }
    }
}

impl fmt::Display for RejectedItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replaced => f.write_str("replaced"),
            Self::StaysBeside => f.write_str("stays beside"),
            Self::ReplacedAfter(span) => write!(f, "replaced after {span}"),
        }
    }
}

impl TryFrom<String> for RejectedItem {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RejectedItem> for String {
    fn from(item: RejectedItem) -> Self {
        item.to_string()
    }
}

/// How the list of an account without links is written. WeChat's pages do not show one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyItems {
    /// `"items": []`
    Array,
    /// `"items": null`
    Null,
    /// `"wxopens": {}`
    Absent,
    /// `"wxopens": []`
    WxopensArray,
    /// `"wxopens": null`
    WxopensNull,
    /// no `wxopens` at all
    NoWxopens,
}

/// The key of an item's capabilities; WeChat's page uses both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FuncInfoKey {
    /// `func_infos`, as in the example
    FuncInfos,
    /// `func_info`, as in the prose
    FuncInfo,
}

/// How the request id is attached to an `errmsg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RidSpelling {
    /// `text rid: x`
    Space,
    /// `text, rid: x`
    Comma,
    /// `text rid:x`
    Tight,
    /// `text hint: [x]`
    Hint,
    /// no id
    Absent,
}

/// The header that comes with JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentType {
    /// `application/json; encoding=utf-8`
    JsonEncoding,
    /// `application/json; charset=utf-8`
    Json,
    /// `text/plain`
    TextPlain,
    /// no header
    Absent,
}

impl ContentType {
    pub(super) fn header(self) -> Option<&'static str> {
        match self {
            Self::JsonEncoding => Some("application/json; encoding=utf-8"),
            Self::Json => Some("application/json; charset=utf-8"),
            Self::TextPlain => Some("text/plain"),
            Self::Absent => None,
        }
    }
}

/// What becomes of a refresh token when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RefreshRotation {
    /// It stays. Text: `"never"`.
    Never,
    /// A new one comes back, and the old one is dead at once. Text: `"each"`.
    Each,
    /// A new one comes back, and the old one works so much longer. Text: `"after 5m grace"`.
    AfterGrace(Span),
}

impl FromStr for RefreshRotation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["never"] => Ok(Self::Never),
            ["each"] => Ok(Self::Each),
            ["after", grace, "grace"] => {
                grace.parse().map(Self::AfterGrace).map_err(|e: super::NotASpan| e.to_string())
            }
            _ => Err(format!("{text:?}: write \"never\", \"each\" or \"after 5m grace\"")),
        }
    }
}

impl fmt::Display for RefreshRotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Each => f.write_str("each"),
            Self::AfterGrace(span) => write!(f, "after {span} grace"),
        }
    }
}

impl TryFrom<String> for RefreshRotation {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RefreshRotation> for String {
    fn from(rotation: RefreshRotation) -> Self {
        rotation.to_string()
    }
}

/// In which order pushes go out that are due together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushOrder {
    /// as they were made
    Planned,
    /// the newest first
    Reversed,
    /// as the seed says
    Shuffled,
}

/// How a push is written. Pushes were seen in each of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushFormat {
    /// XML without CDATA, as on the documentation's page
    Xml,
    /// XML with every text in CDATA, as real pushes are
    Cdata,
    /// the same, numbers too
    CdataNumbers,
    /// XML that ends in `<xml>` instead of `</xml>`, as the documented examples do
    Malformed,
    /// plain JSON without encryption and signature, as WeChat's own cloud hosting hands it on
    Json,
}

/// In which order `api_get_authorizer_list` names accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizerOrder {
    /// the first authorized first
    OldestFirst,
    /// the last authorized first
    NewestFirst,
}

/// The shape of `api_get_authorizer_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizerInfoShape {
    /// `authorization_info.authorizer_appid`, with the refresh token
    New,
    /// `authorization_info.appid`, and `qrcode_url` beside it
    Old,
}

/// One answer to every question that WeChat's pages leave open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one yes-or-no question about WeChat, and JSON shows its name beside it"
)]
pub struct Switches {
    /// Accounts and programs that were never described are unknown (61003, 40013) instead of made up.
    pub strict: bool,
    /// How long after the call a new item appears in the list.
    pub listing_delay: Span,
    /// How long an invitation waits for either administrator before it vanishes; absent: for ever.
    pub invitation_lifetime: Option<Span>,
    /// How long a rejected item stays listed; absent: for ever.
    pub rejected_lifetime: Option<Span>,
    /// What a new invitation does to an old rejected item.
    pub rejected_item: RejectedItem,
    /// Whether items have an appid at all; in 2018 none had.
    pub items_have_appid: bool,
    /// Whether rejected items have one; in the documented example they do not.
    pub rejected_items_have_appid: bool,
    /// Whether the account itself stands in its list as a linked item.
    pub lists_the_account_itself: bool,
    /// Numbers of items as strings, `"status": "12"`.
    pub numbers_as_strings: bool,
    /// `/` written as `\/`.
    pub escaped_slashes: bool,
    /// Whether a success carries `errcode` and `errmsg`.
    pub success_has_errcode: bool,
    /// How an empty list is written.
    pub empty_items: EmptyItems,
    /// The key of an item's capabilities.
    pub func_info_key: FuncInfoKey,
    /// How the request id is attached to an `errmsg`.
    pub rid: RidSpelling,
    /// The header that comes with JSON.
    pub content_type: ContentType,
    /// Whether `wxamplinkget` with an empty body is refused with 44002.
    pub empty_body_is_refused: bool,
    /// Whether the account's administrator must agree to an unlink; otherwise it holds at once.
    pub unlink_needs_approval: bool,
    /// What `wxampunlink` answers where nothing is linked.
    pub unlink_of_nothing: i64,
    /// How long after midnight in Beijing a month's quotas are those of the month before.
    pub month_rolls_late_by: Span,
    /// How long after midnight in Beijing a day's quotas are those of the day before.
    pub day_rolls_late_by: Span,
    /// Unlinks of one pair after which a new invitation is refused with 1005; absent: never.
    pub cycles_max: Option<u32>,
    /// How long a token works.
    pub token_lifetime: Span,
    /// How long the token before it still works after a renewal.
    pub token_grace: Span,
    /// Characters of a token; never fewer than its account and its number need.
    pub token_length: usize,
    /// Whether the account's token is dead at once when the token service has renewed the platform's, or the other way.
    pub token_dies_on_refresh_of_another: bool,
    /// What an expired component token answers: 42001 or 42006.
    pub component_token_expired: i64,
    /// What becomes of a refresh token when it is used.
    pub refresh_token_rotates: RefreshRotation,
    /// What calls of an account answer whose owner changed the password: 42007 or 61023.
    pub password_changed: i64,
    /// How long an authorization code lives.
    pub code_lifetime: Span,
    /// Whether `api_get_authorizer_list` and `api_get_authorizer_info` leave refresh tokens out.
    pub list_hides_refresh: bool,
    /// In which order `api_get_authorizer_list` names accounts.
    pub list_order: AuthorizerOrder,
    /// The shape of `api_get_authorizer_info`.
    pub authorizer_info: AuthorizerInfoShape,
    /// How often a new ticket is made; at least a second.
    pub ticket_every: Span,
    /// How long a ticket is taken.
    pub ticket_lifetime: Span,
    /// How long after the event a push goes out.
    pub push_delay: Span,
    /// Whether every push goes out twice.
    pub push_twice: bool,
    /// In which order pushes go out that are due together.
    pub push_order: PushOrder,
    /// How pushes are written.
    pub push_format: PushFormat,
    /// How often a push is repeated that was not answered with `success`.
    pub push_repeats: u32,
    /// How long after the answer it is repeated.
    pub push_repeat_after: Span,
    /// Real time that an answer to a push is waited for, not the simulator's.
    pub push_timeout: Span,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            strict: false,
            listing_delay: Span::ZERO,
            invitation_lifetime: None,
            rejected_lifetime: None,
            rejected_item: RejectedItem::Replaced,
            items_have_appid: true,
            rejected_items_have_appid: false,
            lists_the_account_itself: false,
            numbers_as_strings: false,
            escaped_slashes: false,
            success_has_errcode: true,
            empty_items: EmptyItems::Array,
            func_info_key: FuncInfoKey::FuncInfos,
            rid: RidSpelling::Space,
            content_type: ContentType::JsonEncoding,
            empty_body_is_refused: true,
            unlink_needs_approval: true,
            unlink_of_nothing: -1,
            month_rolls_late_by: Span::ZERO,
            day_rolls_late_by: Span::ZERO,
            cycles_max: None,
            token_lifetime: Span::seconds(7_200),
            token_grace: Span::minutes(5),
            token_length: 157,
            token_dies_on_refresh_of_another: false,
            component_token_expired: 42001,
            refresh_token_rotates: RefreshRotation::Never,
            password_changed: 42007,
            code_lifetime: Span::hours(1),
            list_hides_refresh: false,
            list_order: AuthorizerOrder::OldestFirst,
            authorizer_info: AuthorizerInfoShape::New,
            ticket_every: Span::minutes(10),
            ticket_lifetime: Span::hours(12),
            push_delay: Span::ZERO,
            push_twice: false,
            push_order: PushOrder::Planned,
            push_format: PushFormat::Cdata,
            push_repeats: 0,
            push_repeat_after: Span::seconds(10),
            push_timeout: Span::seconds(5),
        }
    }
}
