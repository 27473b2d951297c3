//! What an answer may do to a request, told by a second, simple reader of the same bytes. It shares no code with the
//! client's reader.

use std::{fmt::Debug, time::Duration};

use amplinkd::{
    domain::{
        decide::decide,
        errcode::{Class, classify},
        id::{ProgramId, RequestId, Username},
        listing::{Listing, Status},
        matching::{Known, identify},
        observation::Observation,
        policy::Policy,
        request::{Kind, LinkOptions, Outcome, Request, State},
        time::Time,
    },
    wechat::CallError,
};
use serde_json::Value;

/// The account that every request here is for.
pub const ACCOUNT: &str = "wxaaaa000000000001";

/// The program that every request here is for.
pub const PROGRAM: &str = "wxbbbb000000000001";

/// When every request here was made.
const START: Time = Time::from_ms(1_773_100_800_000);

/// The second reader: simple, and never stricter than the client may be.
///
/// It gives up, as the client need not, on what the client skips: numbers that no float holds and things far too deep.
/// Then, and only then, there is no reading.
pub fn second_reading(body: &[u8], what: &str) -> Option<Value> {
    match parsed(body) {
        Ok(reading) if reading.is_object() => Some(reading),
        Err(error) if ["number out of range", "recursion limit"].iter().any(|why| error.to_string().contains(why)) => {
            None
        }
        Ok(_) | Err(_) => panic!("{what} out of {}", String::from_utf8_lossy(body)),
    }
}

fn parsed(body: &[u8]) -> serde_json::Result<Value> {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let text: String = String::from_utf8_lossy(body).chars().map(|c| if c < ' ' { ' ' } else { c }).collect();
    serde_json::from_str(&text).or_else(|_| serde_json::from_str(&without_lone_surrogates(&text)))
}

/// Half a character, as `\ud83d` alone, is no JSON for serde; some backends cut names there.
fn without_lone_surrogates(text: &str) -> String {
    let units: Vec<char> = text.chars().collect();
    let unit = |at: usize| -> Option<u32> {
        let escape: String = units.get(at..at + 6)?.iter().collect();
        let digits = escape.strip_prefix("\\u")?;
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    };
    let (mut whole, mut at) = (String::new(), 0);
    while at < units.len() {
        let (shown, taken) = match (unit(at), unit(at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, 12),
            (Some(0xD800..=0xDFFF), _) => (0, 6),
            (Some(_), _) => (6, 6),
            (None, _) if units[at] == '\\' => (2, 2),
            (None, _) => (1, 1),
        };
        whole.extend(units[at..].iter().take(shown));
        at += taken;
    }
    whole
}

/// A number, or a text that is one.
pub fn number(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Nobody ever told us a `gh_` id.
struct Nothing;

impl Known for Nothing {
    fn program(&self, _: &Username) -> Option<ProgramId> {
        None
    }

    fn standing_since(&self, _: &str, _: Status) -> Option<Time> {
        None
    }

    fn unchanged_since(&self, _: &str, _: Status) -> Option<Time> {
        None
    }
}

/// Every `gh_` id is the program's, and every item is an old one.
struct Everything(ProgramId);

impl Known for Everything {
    fn program(&self, _: &Username) -> Option<ProgramId> {
        Some(self.0.clone())
    }

    fn standing_since(&self, _: &str, _: Status) -> Option<Time> {
        Some(START)
    }

    fn unchanged_since(&self, _: &str, _: Status) -> Option<Time> {
        Some(START)
    }
}

/// A request in every open state, and the linked one.
pub fn requests() -> Vec<Request> {
    let id: RequestId = "01a203a7-85dd-75d1-9d36-e65c7a0d93b2".parse().unwrap();
    let kinds = [Kind::Link(LinkOptions::default()), Kind::Unlink];
    let fresh =
        kinds.map(|kind| Request::new(id.clone(), kind, ACCOUNT.parse().unwrap(), PROGRAM.parse().unwrap(), START));
    let states = [
        State::Requested,
        State::Initiating(Outcome::Unknown),
        State::Initiated,
        State::AwaitingAccountAdmin,
        State::AwaitingProgramAdmin,
        State::Deferred(START + Duration::from_hours(9)),
        State::Linked,
    ];
    let mut all = Vec::new();
    for (request, count) in fresh.iter().zip([states.len(), 3]) {
        for state in &states[..count] {
            let called = !matches!(state, State::Requested | State::Deferred(_));
            let (attempt, called_at) = if called { (1, Some(START)) } else { (0, None) };
            all.push(Request { state: *state, attempt, called_at, ..request.clone() });
        }
    }
    all
}

fn items(reading: &Value) -> &[Value] {
    reading["wxopens"]["items"].as_array().map_or(&[], Vec::as_slice)
}

fn appid(item: &Value) -> Option<&str> {
    item.get("appid").and_then(Value::as_str).map(str::trim)
}

/// Whether a listing may have shown the program, or an item that could be it.
fn shows(reading: &Value, statuses: &[f64]) -> bool {
    items(reading).iter().any(|item| {
        let appid = appid(item).unwrap_or_default();
        (appid.is_empty() || appid == PROGRAM)
            && number(item.get("status")).is_some_and(|status| statuses.contains(&status))
    })
}

/// Whether the program's link may still stand. Items that name the program outweigh those that name nobody, and one with
/// a status outweighs one without.
fn may_stand(reading: &Value) -> bool {
    let all = items(reading);
    let named = || all.iter().filter(|item| appid(item) == Some(PROGRAM));
    if named().next().is_none() {
        return shows(reading, &[1.0]);
    }
    let status = |item: &Value| number(item.get("status"));
    let names_somebody = |item: &Value| appid(item).is_some_and(|appid| !appid.is_empty());
    named().any(|item| status(item) == Some(1.0))
        || named().all(|item| status(item).is_none()) && all.iter().all(names_somebody)
}

fn names_the_program(reading: &Value) -> bool {
    items(reading).iter().any(|item| appid(item) == Some(PROGRAM))
}

/// A listing is what the second reader finds, and read twice it moves a request only as that allows.
pub fn check_listing(body: &[u8], listing: &Listing) {
    let shown = || String::from_utf8_lossy(body).into_owned();
    let Some(reading) = second_reading(body, "a listing") else { return };
    assert!(reading.get("wxopens").is_some_and(Value::is_object), "{}", shown());
    let empty = listing.items.is_empty();
    assert!(!empty || number(reading.get("errcode")) == Some(0.0), "empty without a 0: {}", shown());
    assert!(number(reading.get("errcode")).is_none_or(|code| code == 0.0), "{}", shown());
    assert_eq!(items(&reading).len(), listing.items.len(), "an item was left out: {}", shown());
    let everything = Everything(PROGRAM.parse().unwrap());
    for before in requests() {
        let after = twice(&before, listing, &Nothing);
        let allowed = match after.state {
            State::Linked => before.state == State::Linked || shows(&reading, &[1.0]),
            State::Rejected => shows(&reading, &[3.0]),
            State::Lapsed => !names_the_program(&reading),
            State::Unlinked => !may_stand(&reading),
            _ => !after.state.is_finished(),
        };
        assert!(allowed, "{:?} became {:?} by {}", before.state, after.state, shown());
        drop(twice(&before, listing, &everything));
    }
}

/// An answer without a list says 0 and holds nothing where the list belongs; however often it comes, it moves nothing.
pub fn check_weak(body: &[u8]) {
    let shown = || String::from_utf8_lossy(body).into_owned();
    let Some(reading) = second_reading(body, "an answer without a list") else { return };
    assert_eq!(number(reading.get("errcode")), Some(0.0), "{}", shown());
    let nothing = match reading.get("wxopens") {
        None | Some(Value::Null) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(open)) => open.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => false,
    };
    assert!(nothing, "{}", shown());
    for before in requests() {
        let after = [20, 40, 4_000].into_iter().fold(before.clone(), |request, minutes| {
            decide(&request, &Observation::Weak, &Policy::default(), START + Duration::from_mins(minutes)).next
        });
        assert_eq!(after.state, before.state, "an answer without a list moved a request");
    }
}

/// The request after it met the listing at two moments.
fn twice(before: &Request, listing: &Listing, known: &impl Known) -> Request {
    [20, 40].into_iter().fold(before.clone(), |request, minutes| {
        let findings = identify(listing, std::slice::from_ref(&request), known);
        assert_eq!(findings.observations.len(), 1, "one observation for each request");
        let at = START + Duration::from_mins(minutes);
        decide(&request, &findings.observations[0], &Policy::default(), at).next
    })
}

/// What cannot be read ends nothing, however often it comes.
pub fn check_unreadable() {
    for before in requests() {
        let after = [20, 40, 4_000].into_iter().fold(before.clone(), |request, minutes| {
            decide(&request, &Observation::Unreadable, &Policy::default(), START + Duration::from_mins(minutes)).next
        });
        assert_eq!(after.state, before.state, "an unreadable listing moved a request");
    }
}

/// An effect's answer moves a request only by a code that the second reader finds.
pub fn check_answer(body: &[u8], answer: &Result<(), CallError>) {
    let shown: &dyn Debug = &String::from_utf8_lossy(body);
    let said = || second_reading(body, "an answer").map(|reading| number(reading.get("errcode")));
    let seen = match answer {
        Ok(()) => {
            assert!(said().is_none_or(|code| code == Some(0.0)), "a success out of {shown:?}");
            return;
        }
        Err(CallError::Refused(refusal)) => Observation::CallRefused(refusal.clone()),
        Err(CallError::Lost(_) | CallError::Unreadable(_)) => Observation::CallLost,
        Err(CallError::NotSent(_) | CallError::NoToken(_)) => panic!("it was sent: {shown:?}"),
    };
    for before in requests().into_iter().filter(Request::is_open) {
        let after = decide(&before, &seen, &Policy::default(), START + Duration::from_mins(1)).next;
        if after.state.is_finished() {
            let Observation::CallRefused(refusal) = &seen else { panic!("ended by silence: {shown:?}") };
            let code = Some(approximately(refusal.errcode));
            assert!(said().is_none_or(|said| said == code), "{shown:?}");
            let ends = matches!(classify(refusal.errcode), Class::Final | Class::OurBug | Class::AlreadyLinked);
            assert!(ends, "{shown:?}");
        }
    }
}

/// The code as the second reader spells it.
#[expect(clippy::cast_precision_loss, reason = "codes that mean anything are small")]
pub const fn approximately(errcode: i64) -> f64 {
    errcode as f64
}
