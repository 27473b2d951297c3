//! Parses the answer of a token source, also of one that wraps it. What it says beside a token it does not give is for
//! people, and for whoever knows the secrets to clean first.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Unreadable, code, fault,
    lenient::Lenient,
    members::{Members, scalar, walk},
    no_json, object, refusal, tolerantly,
};
use crate::domain::errcode::Refusal;

/// What a token source answered.
#[derive(Debug)]
pub(in crate::wechat) struct Granted {
    /// The token, as it was spelt.
    pub(in crate::wechat) token: secrecy::SecretString,
    /// Seconds, if it said so.
    pub(in crate::wechat) expires_in: Option<i64>,
}

/// Where an answer has what is needed: the names of a JSON pointer (RFC 6901), from the root down. None at all means
/// `WeChat`'s own names at the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantNames {
    /// Where the token is. Empty: `access_token` or `authorizer_access_token`.
    pub token: Vec<String>,
    /// Where its seconds are. Empty: `expires_in` beside the token.
    pub expires_in: Vec<String>,
}

#[derive(Deserialize)]
struct GrantBody<'a> {
    #[serde(default, borrow)]
    errcode: Lenient<'a>,
    #[serde(default, borrow)]
    errmsg: Lenient<'a>,
    #[serde(default, borrow)]
    access_token: Lenient<'a>,
    #[serde(default, borrow)]
    authorizer_access_token: Lenient<'a>,
    #[serde(default, borrow)]
    expires_in: Lenient<'a>,
}

/// What a token is called by `WeChat`, in `cgi-bin/token` and in `api_authorizer_token`.
const TOKEN_NAMES: [&str; 2] = ["access_token", "authorizer_access_token"];

const EXPIRES_IN: &str = "expires_in";

/// Reads a token source's answer: a token where `names` say, or an errcode.
pub(in crate::wechat) fn grant(body: &[u8], names: &GrantNames) -> Result<Result<Granted, Refusal>, Unreadable> {
    tolerantly(body, |body| if *names == GrantNames::default() { plain(body) } else { wrapped(body, names) })
}

/// `WeChat`'s own names at the root.
fn plain(body: &[u8]) -> Result<Result<Granted, Refusal>, Unreadable> {
    let found: GrantBody<'_> = object(body)?;
    if let Some(code) = code(&found.errcode)?.filter(|code| *code != 0) {
        return Ok(Err(refusal(code, &found.errmsg)));
    }
    let names = (&found.access_token, &found.authorizer_access_token);
    let ((Lenient::Text(token), Lenient::Absent | Lenient::Null)
    | (Lenient::Absent | Lenient::Null, Lenient::Text(token))) = names
    else {
        let advice = elsewhere(body).map(|place| format!("; set [tokens] token = \"{place}\"")).unwrap_or_default();
        return Err(Unreadable { advice, ..fault("there is no single text \"access_token\"") });
    };
    Ok(Ok(Granted { token: secrecy::SecretString::from(&**token), expires_in: seconds(&found.expires_in)? }))
}

/// A token where the pointers lead. One that is there counts, whatever codes stand around it: they are the service's own.
/// Where there is none, an errcode on the way to it says why.
fn wrapped(body: &[u8], names: &GrantNames) -> Result<Result<Granted, Refusal>, Unreadable> {
    let root: &RawValue = raw(body)?;
    let default: Vec<String> = vec![TOKEN_NAMES[0].to_owned()];
    let place = if names.token.is_empty() { &default } else { &names.token };
    let (found, passed) = walk(root, place)?;
    let found = match found.map(scalar) {
        None if names.token.is_empty() => walk(root, &[TOKEN_NAMES[1].to_owned()])?.0.map(scalar),
        found => found,
    };
    if let Some(Lenient::Text(token)) = found.filter(|found| found.text().is_some()) {
        let beside: Vec<String>;
        let at = if names.expires_in.is_empty() {
            beside = place[..place.len() - 1].iter().cloned().chain([EXPIRES_IN.to_owned()]).collect();
            &beside
        } else {
            &names.expires_in
        };
        let said = walk(root, at)?.0.map_or(Lenient::Absent, scalar);
        return Ok(Ok(Granted { token: secrecy::SecretString::from(&*token), expires_in: seconds(&said)? }));
    }
    if let Some(refusal) = passed.iter().find_map(refused_by) {
        return Ok(Err(refusal));
    }
    let advice = format!(" at {}{}", pointer(place), instead(&passed));
    Err(Unreadable { advice, ..fault("there is no text") })
}

fn raw(body: &[u8]) -> Result<&RawValue, Unreadable> {
    serde_json::from_slice(body).map_err(|error| no_json(&error))
}

fn seconds(said: &Lenient<'_>) -> Result<Option<i64>, Unreadable> {
    match said {
        Lenient::Absent | Lenient::Null => Ok(None),
        given => given.integer().map(Some).ok_or_else(|| fault("\"expires_in\" is no number")),
    }
}

/// `WeChat`'s code in an object.
fn refused_by(members: &Members<'_>) -> Option<Refusal> {
    let code = members.first(&["errcode"])?.integer().filter(|code| *code != 0)?;
    Some(refusal(code, &members.first(&["errmsg"]).unwrap_or_default()))
}

/// A pointer as it is written.
fn pointer(names: &[String]) -> String {
    let escaped = |name: &String| name.replace('~', "~0").replace('/', "~1");
    names.iter().flat_map(|name| ["/".to_owned(), escaped(name)]).collect()
}

/// Names that are shown of an answer: more help nobody. And how long one may be, in bytes.
const NAMES_MAX: usize = 8;
const NAME_MAX: usize = 32;

/// Whether a name is a word that may be shown. One with digits may be an id or a key.
fn is_word(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphabetic() || b"_-".contains(&byte))
}

/// What the innermost object on the way has instead: names only.
fn instead(passed: &[Members<'_>]) -> String {
    let names = passed.last().into_iter().flat_map(Members::names).filter(|name| is_word(name));
    let names: Vec<&str> = names.take(NAMES_MAX).collect();
    let parent = passed.len().saturating_sub(1);
    match (names.is_empty(), parent) {
        (true, _) => String::new(),
        (false, 0) => format!("; at its root it has {}", names.join(", ")),
        (false, _) => format!("; where that ends it has {}", names.join(", ")),
    }
}

/// Where a wrapped answer has the token that is missing at the root: one level down, where services put it.
fn elsewhere(body: &[u8]) -> Option<String> {
    let root = Members::of(raw(body).ok()?)?;
    root.names().filter(|name| is_word(name)).find_map(|name| {
        let inner = Members::of(root.get(name).ok()??)?;
        let token = TOKEN_NAMES.into_iter().find(|token| matches!(inner.first(&[token]), Some(Lenient::Text(_))))?;
        Some(pointer(&[name.to_owned(), token.to_owned()]))
    })
}

/// What services call their code, and what they call their words, the most telling first.
const CODES: [&str; 7] = ["errcode", "code", "error_code", "errorCode", "ret", "status", "error"];
const WORDS: [&str; 9] =
    ["errmsg", "error_description", "message", "msg", "error_msg", "errorMessage", "detail", "error", "title"];

/// What a service says of itself in an object without a token: its code and its words, whatever it calls them; the whole
/// answer's first, then those of an object called `error`. Nobody has cleaned or cut them.
pub(in crate::wechat) fn words(body: &[u8]) -> Option<String> {
    let told = |body: &[u8]| {
        let root = Members::of(raw(body)?).ok_or_else(|| fault("it is no object"))?;
        let inner = root.get("error").ok().flatten().and_then(Members::of);
        Ok(said(&root).or_else(|| said(&inner?)))
    };
    tolerantly(body, told).ok().flatten()
}

fn said(members: &Members<'_>) -> Option<String> {
    let words = members.first(&WORDS).and_then(|words| words.text().map(std::borrow::Cow::into_owned));
    let code = members.first(&CODES).and_then(|code| code.text().map(std::borrow::Cow::into_owned));
    match (code, words) {
        (Some(code), Some(words)) if code != words => Some(format!("code {code}: {words}")),
        (_, Some(words)) => Some(words),
        (Some(code), None) => Some(format!("code {code}")),
        (None, None) => None,
    }
}
