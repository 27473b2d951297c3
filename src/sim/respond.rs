//! One call and its response on the wire, faults included. Pure.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api_name::Api,
    calls::{Answer, Flags},
    errcode,
    faults::FaultKind,
    listing::{Listing, empty_success},
    switches::{ContentType, RidSpelling},
    world::World,
};

const HTML: &str = "<html><head><title>Bad Gateway</title></head><body><h1>nginx</h1></body></html>";
const HTML_TYPE: &str = "text/html; charset=gbk";

/// What came in.
pub(super) struct Call<'r> {
    pub(super) api: Api,
    pub(super) is_post: bool,
    pub(super) is_form: bool,
    pub(super) token: &'r str,
    pub(super) body: &'r [u8],
}

/// What goes out.
pub(super) struct Served {
    pub(super) status: u16,
    pub(super) content_type: Option<&'static str>,
    pub(super) body: Vec<u8>,
    pub(super) delay: Option<Duration>,
    pub(super) reset: bool,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    appid: String,
    #[serde(default)]
    notify_users: Value,
    #[serde(default)]
    show_profile: Value,
}

/// What a body asks; the flags come as strings, numbers or booleans, depending on who wrote the client.
struct Asked {
    program: String,
    flags: Flags,
}

/// Either a list or a verdict, before it is spelt.
enum Reply {
    List(Listing),
    Verdict(i64),
}

/// Answers one call at `now` (milliseconds UTC).
pub(super) fn exchange(world: &mut World, call: &Call<'_>, now: i64) -> Served {
    world.stats.called(call.api);
    if !call.is_post {
        return verdict(world, errcode::POST_REQUIRED);
    }
    let account = match world.account_of(call.token, now) {
        Ok(account) => account.to_owned(),
        Err(code) => return verdict(world, code),
    };
    let fault = draw(world, call.api, &account, now);
    if let Some(kind) = fault
        && let Some(served) = before(world, call, &account, kind, now)
    {
        return served;
    }
    let reply = reply(world, call, &account, now);
    let reply = match (reply, fault) {
        (Reply::List(list), Some(FaultKind::DuplicateItems)) => Reply::List(list.doubled(&world.switches)),
        (Reply::List(list), Some(FaultKind::ReorderedItems)) => Reply::List(list.reordered()),
        (Reply::List(list), Some(FaultKind::ItemsWithoutAppid)) => Reply::List(list.without_appids()),
        (Reply::List(_), Some(FaultKind::EmptyList)) => Reply::List(Listing::default()),
        (reply, _) => reply,
    };
    let served = spell(world, &reply);
    match fault {
        Some(kind) => after(world, call.api, served, kind),
        None => served,
    }
}

fn draw(world: &mut World, api: Api, account: &str, now: i64) -> Option<FaultKind> {
    let calls = world.tokens.count_call(account);
    let kind = world.faults.draw(world.seed, api, account, calls, now)?;
    *world.stats.faults.entry(kind).or_default() += 1;
    Some(kind)
}

/// Faults that keep the call from having any effect.
fn before(world: &mut World, call: &Call<'_>, account: &str, kind: FaultKind, now: i64) -> Option<Served> {
    let code = refused_before(kind)?;
    if matches!(kind, FaultKind::TokenExpired | FaultKind::TokenInvalid) {
        world.tokens.expire(account, now);
    }
    let silent = matches!(kind, FaultKind::ResetBefore | FaultKind::BadGateway);
    if call.api != Api::Listing {
        let asked = asked(call.body).unwrap_or_else(|_| Asked::nothing());
        let answer = Answer { errcode: code, effect: false };
        world.record(call.api, account, &asked.program, asked.flags, answer, now);
        mark(world, kind, !silent);
    }
    Some(refusal(world, kind, code))
}

/// The verdict of a call that such a fault keeps from having any effect.
pub(super) fn refused_before(kind: FaultKind) -> Option<i64> {
    match kind {
        FaultKind::BusyBefore | FaultKind::ResetBefore | FaultKind::BadGateway => Some(errcode::BUSY),
        FaultKind::TokenExpired => Some(errcode::TOKEN_EXPIRED),
        FaultKind::TokenInvalid => Some(errcode::TOKEN_INVALID),
        FaultKind::IpRefused => Some(errcode::IP_REFUSED),
        FaultKind::TooFast => Some(errcode::TOO_FAST),
        FaultKind::Slow
        | FaultKind::LostAnswer
        | FaultKind::BusyAfter
        | FaultKind::HtmlPage
        | FaultKind::EmptyBody
        | FaultKind::TruncatedJson
        | FaultKind::DuplicateItems
        | FaultKind::ReorderedItems
        | FaultKind::ItemsWithoutAppid
        | FaultKind::EmptyList
        | FaultKind::WrongContentType => None,
    }
}

/// What its caller sees.
pub(super) fn refusal(world: &mut World, kind: FaultKind, code: i64) -> Served {
    match kind {
        FaultKind::ResetBefore => Served { reset: true, ..page(200) },
        FaultKind::BadGateway => page(502),
        _ => verdict(world, code),
    }
}

/// Faults that spoil what is said about a call that was carried out.
fn after(world: &mut World, api: Api, served: Served, kind: FaultKind) -> Served {
    let (spoilt, readable) = spoil(world, served, kind);
    if api != Api::Listing {
        mark(world, kind, readable);
    }
    spoilt
}

/// What is left of an answer that such a fault meets, and whether it can be read.
pub(super) fn spoil(world: &mut World, served: Served, kind: FaultKind) -> (Served, bool) {
    let mut readable = false;
    let spoilt = match kind {
        FaultKind::LostAnswer => Served { reset: true, ..served },
        FaultKind::BusyAfter => verdict(world, errcode::BUSY),
        FaultKind::HtmlPage => page(200),
        FaultKind::EmptyBody => Served { body: Vec::new(), content_type: Some(HTML_TYPE), ..served },
        FaultKind::TruncatedJson => {
            let half = served.body.len() / 2;
            let mut body = served.body;
            body.truncate(half);
            Served { body, ..served }
        }
        FaultKind::Slow => {
            readable = true;
            let delay = Some(world.faults.slow_for.as_duration());
            Served { delay, ..served }
        }
        FaultKind::WrongContentType => {
            readable = true;
            Served { content_type: Some(HTML_TYPE), ..served }
        }
        _ => {
            readable = true;
            served
        }
    };
    (spoilt, readable)
}

fn mark(world: &mut World, kind: FaultKind, delivered: bool) {
    if let Some(entry) = world.ledger.last_mut() {
        entry.fault = Some(kind);
        entry.delivered = delivered;
    }
}

fn reply(world: &mut World, call: &Call<'_>, account: &str, now: i64) -> Reply {
    if is_form(call) {
        return unrecorded(world, call.api, account, errcode::BUSY, now);
    }
    match call.api {
        Api::Listing if call.body.is_empty() && world.switches.empty_body_is_refused => {
            Reply::Verdict(errcode::BODY_EMPTY)
        }
        Api::Listing if !call.body.is_empty() && asked(call.body).is_err() => Reply::Verdict(errcode::BODY_NO_JSON),
        Api::Listing => match world.listing(account, now) {
            Ok(list) => Reply::List(list),
            Err(code) => Reply::Verdict(code),
        },
        Api::Link | Api::Unlink => match asked(call.body) {
            Err(code) => unrecorded(world, call.api, account, code, now),
            Ok(asked) if call.api == Api::Link => {
                Reply::Verdict(world.link(account, &asked.program, asked.flags, now).errcode)
            }
            Ok(asked) => Reply::Verdict(world.unlink(account, &asked.program, now).errcode),
        },
    }
}

/// A call that did not even say which program it meant stands in the ledger without one.
fn unrecorded(world: &mut World, api: Api, account: &str, code: i64, now: i64) -> Reply {
    if api != Api::Listing {
        let answer = Answer { errcode: code, effect: false };
        world.record(api, account, "", Flags::default(), answer, now);
    }
    Reply::Verdict(code)
}

fn is_form(call: &Call<'_>) -> bool {
    call.is_form || (call.body.contains(&b'=') && !call.body.contains(&b'{'))
}

fn asked(body: &[u8]) -> Result<Asked, i64> {
    if body.is_empty() {
        return Err(errcode::BODY_EMPTY);
    }
    let body: Body = serde_json::from_slice(body).map_err(|_| errcode::BODY_NO_JSON)?;
    Ok(Asked {
        program: body.appid,
        flags: Flags { notify_users: is_set(&body.notify_users), show_profile: is_set(&body.show_profile) },
    })
}

impl Asked {
    fn nothing() -> Self {
        Self { program: String::new(), flags: Flags::default() }
    }
}

fn is_set(flag: &Value) -> bool {
    match flag {
        Value::Bool(set) => *set,
        Value::Number(number) => number.as_i64() == Some(1),
        Value::String(text) => text == "1" || text == "true",
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

fn spell(world: &mut World, reply: &Reply) -> Served {
    match reply {
        Reply::Verdict(code) => verdict(world, *code),
        Reply::List(list) => {
            world.stats.answered(0);
            let body = list.body(&world.switches);
            sealed(world, body)
        }
    }
}

pub(super) fn verdict(world: &mut World, code: i64) -> Served {
    world.stats.answered(code);
    if code == 0 {
        let body = empty_success(&world.switches);
        return sealed(world, body);
    }
    let text = errcode::text(code);
    let errmsg = match world.switches.rid {
        RidSpelling::Space => format!("{text} rid: {}", world.next_rid()),
        RidSpelling::Comma => format!("{text}, rid: {}", world.next_rid()),
        RidSpelling::Tight => format!("{text} rid:{}", world.next_rid()),
        RidSpelling::Hint => format!("{text} hint: [{}]", world.next_rid()),
        RidSpelling::Absent => text.to_owned(),
    };
    let body = json!({ "errcode": code, "errmsg": errmsg });
    sealed(world, body.to_string().into_bytes())
}

pub(super) fn sealed(world: &World, body: Vec<u8>) -> Served {
    let body = if world.switches.escaped_slashes {
        // A slash stands nowhere in JSON but inside strings, where WeChat may escape it.
        String::from_utf8_lossy(&body).replace('/', "\\/").into_bytes()
    } else {
        body
    };
    Served {
        status: 200,
        content_type: ContentType::header(world.switches.content_type),
        body,
        delay: None,
        reset: false,
    }
}

fn page(status: u16) -> Served {
    Served { status, content_type: Some(HTML_TYPE), body: HTML.as_bytes().to_vec(), delay: None, reset: false }
}
