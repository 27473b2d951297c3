//! Parses what the component APIs answer. Their successes carry no `errcode`, so a missing one is 0 and the fields that
//! must be there decide. A field that may be missing is read leniently: an answer that brings a new refresh token must
//! not be lost for a lifetime that is spelt oddly.

use std::{borrow::Cow, time::Duration};

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Unreadable, code, fault,
    lenient::{Field, Lenient, Object},
    object, refusal, tolerantly,
};
use crate::domain::{
    errcode::Refusal,
    id::{AccountId, Username},
    time::Time,
};

/// Bytes of the longest token, ticket or code that is taken, as of every other token.
const SECRET_BYTES_MAX: usize = 4_096;

/// Permission sets read of one account. A hundred or so are documented.
const FUNC_IDS_MAX: usize = 1_000;

/// Seconds of a time of authorization that still fit as milliseconds: the year 9999.
const SECONDS_MAX: i64 = 253_402_300_799;

/// What a component API answered, or the code it refused with.
pub(in crate::wechat) type Said<T> = Result<Result<T, Refusal>, Unreadable>;

/// The component's own token.
#[derive(Debug, Clone)]
pub struct ComponentGrant {
    /// `component_access_token`.
    pub token: SecretString,
    /// How long it lives, if the answer says so; zero when it is over already.
    pub lives: Option<Duration>,
}

/// An account's token, refreshed.
#[derive(Debug, Clone)]
pub struct AuthorizerGrant {
    /// `authorizer_access_token`.
    pub token: SecretString,
    /// How long it lives, if the answer says so; zero when it is over already.
    pub lives: Option<Duration>,
    /// `authorizer_refresh_token`, to store in place of the former; none when it is empty: keep the former then.
    pub refresh: Option<SecretString>,
}

/// What an authorization code was traded for.
#[derive(Debug, Clone)]
pub struct Authorization {
    /// Whose authorization it is.
    pub account: AccountId,
    /// `authorizer_access_token`; none for an account without any API permission.
    pub token: Option<SecretString>,
    /// How long it lives, if the answer says so.
    pub lives: Option<Duration>,
    /// `authorizer_refresh_token`; none for an account without any API permission.
    pub refresh: Option<SecretString>,
    /// Ids of the permission sets granted; 33 is 小程序关联管理.
    pub func_ids: Vec<i64>,
}

/// A page of the list of accounts that authorized the platform.
#[derive(Debug, Clone)]
pub struct AuthorizerPage {
    /// `total_count`: accounts on all pages.
    pub total: u64,
    /// Rows of this page, the unreadable ones too: the next page begins so many further on.
    pub rows: usize,
    /// Those whose appid is readable.
    pub listed: Vec<ListedAuthorizer>,
}

/// One account of that list.
#[derive(Debug, Clone)]
pub struct ListedAuthorizer {
    /// Its appid.
    pub account: AccountId,
    /// `refresh_token`; none when it is empty, as `WeChat` gives it for some accounts.
    pub refresh: Option<SecretString>,
    /// `auth_time`: when the account last authorized the platform, to the second.
    pub authorized: Option<Time>,
}

/// Who an account is.
#[derive(Debug, Clone)]
pub struct AuthorizerInfo {
    /// Its appid as the answer has it, in either of the two places.
    pub account: Option<AccountId>,
    /// `user_name`: the `gh_` id; `None` when it is something else.
    pub username: Option<Username>,
    /// `nick_name`.
    pub nickname: Option<String>,
    /// Ids of the permission sets granted.
    pub func_ids: Vec<i64>,
}

/// A code, if there is any.
#[derive(Deserialize)]
struct Verdict<'a> {
    #[serde(default, borrow)]
    errcode: Lenient<'a>,
    #[serde(default, borrow)]
    errmsg: Lenient<'a>,
}

/// Reads the body twice: for its code, and where that is 0 or missing for its fields.
fn said<'a, F: Deserialize<'a>, T>(body: &'a [u8], read: impl FnOnce(F) -> Result<T, Unreadable>) -> Said<T> {
    let Verdict { errcode, errmsg } = object(body)?;
    match code(&errcode)? {
        Some(0) | None => object(body).and_then(read).map(Ok),
        Some(code) => Ok(Err(refusal(code, &errmsg))),
    }
}

/// `api_start_push_ticket`.
pub(in crate::wechat) fn done(body: &[u8]) -> Said<()> {
    tolerantly(body, |body| said(body, |_: Verdict<'_>| Ok(())))
}

#[derive(Deserialize)]
struct ComponentTokenBody<'a> {
    #[serde(default, borrow)]
    component_access_token: Lenient<'a>,
    #[serde(default, borrow)]
    expires_in: Lenient<'a>,
}

/// `api_component_token`.
pub(in crate::wechat) fn component_token(body: &[u8]) -> Said<ComponentGrant> {
    tolerantly(body, |body| {
        said(body, |found: ComponentTokenBody<'_>| {
            let token = secret(&found.component_access_token);
            let token = token.ok_or_else(|| fault("there is no usable \"component_access_token\""))?;
            Ok(ComponentGrant { token, lives: lifetime(&found.expires_in) })
        })
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthorizationBody<'a> {
    #[serde(borrow)]
    authorizer_appid: Lenient<'a>,
    /// The place of the appid in older answers.
    #[serde(borrow)]
    appid: Lenient<'a>,
    #[serde(borrow)]
    authorizer_access_token: Lenient<'a>,
    #[serde(borrow)]
    expires_in: Lenient<'a>,
    #[serde(borrow)]
    authorizer_refresh_token: Lenient<'a>,
    func_info: Field<Value>,
}

impl AuthorizationBody<'_> {
    fn account(&self) -> Option<AccountId> {
        account(&self.authorizer_appid).or_else(|| account(&self.appid))
    }
}

/// `api_authorizer_token`.
pub(in crate::wechat) fn authorizer_token(body: &[u8]) -> Said<AuthorizerGrant> {
    tolerantly(body, |body| {
        said(body, |found: AuthorizationBody<'_>| {
            let token = secret(&found.authorizer_access_token);
            let token = token.ok_or_else(|| fault("there is no usable \"authorizer_access_token\""))?;
            let refresh = secret(&found.authorizer_refresh_token);
            Ok(AuthorizerGrant { token, lives: lifetime(&found.expires_in), refresh })
        })
    })
}

#[derive(Deserialize)]
struct QueryAuthBody<'a> {
    #[serde(borrow)]
    authorization_info: Object<AuthorizationBody<'a>>,
}

/// `api_query_auth`.
pub(in crate::wechat) fn authorization(body: &[u8]) -> Said<Authorization> {
    tolerantly(body, |body| {
        said(body, |QueryAuthBody { authorization_info: Object(found) }| {
            Ok(Authorization {
                account: found.account().ok_or_else(|| fault("there is no appid in \"authorization_info\""))?,
                token: secret(&found.authorizer_access_token),
                lives: lifetime(&found.expires_in),
                refresh: secret(&found.authorizer_refresh_token),
                func_ids: func_ids(&found.func_info),
            })
        })
    })
}

#[derive(Deserialize)]
struct PageBody<'a> {
    #[serde(default, borrow)]
    total_count: Lenient<'a>,
    #[serde(default, borrow)]
    list: Field<Vec<Object<RowBody<'a>>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RowBody<'a> {
    #[serde(borrow)]
    authorizer_appid: Lenient<'a>,
    #[serde(borrow)]
    refresh_token: Lenient<'a>,
    #[serde(borrow)]
    auth_time: Lenient<'a>,
}

/// `api_get_authorizer_list`. No list at all is an empty one only beside a total of 0: otherwise accounts would seem to
/// be gone.
pub(in crate::wechat) fn authorizers(body: &[u8]) -> Said<AuthorizerPage> {
    tolerantly(body, |body| {
        said(body, |found: PageBody<'_>| {
            let total = found.total_count.integer().and_then(|total| u64::try_from(total).ok());
            let total = total.ok_or_else(|| fault("there is no \"total_count\""))?;
            let rows = match found.list {
                Field::Value(rows) => rows,
                Field::Absent | Field::Null if total == 0 => Vec::new(),
                Field::Absent | Field::Null => return Err(fault("there is no \"list\"")),
            };
            Ok(AuthorizerPage { total, rows: rows.len(), listed: rows.iter().filter_map(listed).collect() })
        })
    })
}

fn listed(Object(row): &Object<RowBody<'_>>) -> Option<ListedAuthorizer> {
    let seconds = row.auth_time.integer().filter(|seconds| (1..=SECONDS_MAX).contains(seconds));
    Some(ListedAuthorizer {
        account: account(&row.authorizer_appid)?,
        refresh: secret(&row.refresh_token),
        authorized: seconds.map(|seconds| Time::from_ms(seconds * 1_000)),
    })
}

#[derive(Deserialize)]
struct InfoBody<'a> {
    #[serde(borrow)]
    authorizer_info: Object<WhoBody<'a>>,
    #[serde(default, borrow)]
    authorization_info: Field<Object<AuthorizationBody<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WhoBody<'a> {
    #[serde(borrow)]
    user_name: Lenient<'a>,
    #[serde(borrow)]
    nick_name: Lenient<'a>,
}

/// `api_get_authorizer_info`. Its refresh token, which some answers hold, is not read: nothing says how old it is.
pub(in crate::wechat) fn info(body: &[u8]) -> Said<AuthorizerInfo> {
    tolerantly(body, |body| {
        said(body, |InfoBody { authorizer_info: Object(who), authorization_info }| {
            let rights = match authorization_info {
                Field::Value(Object(found)) => found,
                Field::Absent | Field::Null => AuthorizationBody::default(),
            };
            Ok(AuthorizerInfo {
                account: rights.account(),
                username: who.user_name.text().and_then(|name| name.parse().ok()),
                nickname: who.nick_name.text().map(Cow::into_owned),
                func_ids: func_ids(&rights.func_info),
            })
        })
    })
}

/// A text that can be sent back as a token. An empty one, or one that no token can be, is none.
fn secret(found: &Lenient<'_>) -> Option<SecretString> {
    let Lenient::Text(text) = found else { return None };
    let fits = (1..=SECRET_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| SecretString::from(&**text))
}

/// Seconds, as a number or as a text.
fn lifetime(found: &Lenient<'_>) -> Option<Duration> {
    found.integer().map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

fn account(found: &Lenient<'_>) -> Option<AccountId> {
    found.text()?.parse().ok()
}

/// Of `[{"funcscope_category":{"id":33},…},…]`.
fn func_ids(found: &Field<Value>) -> Vec<i64> {
    let Field::Value(Value::Array(listed)) = found else { return Vec::new() };
    let id = |function: &Value| Lenient::deserialize(&function["funcscope_category"]["id"]).ok()?.integer();
    listed.iter().filter_map(id).take(FUNC_IDS_MAX).collect()
}
