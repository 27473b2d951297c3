//! Whose item is whose: from one listing to one observation for every request of the account. It must never guess: an
//! item that could be two requests' is nobody's.

use std::collections::HashMap;

use super::{
    id::{ProgramId, Username},
    listing::{Item, Listing, Status},
    observation::Observation,
    request::{Kind, Outcome, Request, State},
    time::Time,
};

/// What is known of `gh_` ids and of the account's earlier listings.
pub trait Known {
    /// The program with this `gh_` id, given with a request or learned from any listing of any account.
    fn program(&self, username: &Username) -> Option<ProgramId>;

    /// Since when the item with this `gh_` id stands in the account's list with this status; `None` when it is new.
    fn standing_since(&self, username: &str, status: Status) -> Option<Time>;

    /// Whether every request of the account is among those that are identified. Where one is missing, nothing can be
    /// told by elimination.
    fn knows_every_request(&self) -> bool {
        true
    }
}

/// What one listing says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// One observation for each request, in their order.
    pub observations: Vec<Observation>,
    /// `gh_` ids that this listing taught, by request index: found by elimination or beside the appid.
    pub usernames: HashMap<usize, Username>,
}

/// Reads `listing` for `requests`, all of one account.
#[must_use]
pub fn identify(listing: &Listing, requests: &[Request], known: &impl Known) -> Findings {
    let named: Vec<Option<ProgramId>> =
        listing.items.iter().map(|item| named(item, listing, requests, known)).collect();
    let mut found: Vec<Option<usize>> =
        requests.iter().map(|request| most_alive(listing, &named, &request.program)).collect();
    if known.knows_every_request() {
        eliminate(listing, requests, &named, known, &mut found);
    }

    let mut findings = Findings::default();
    for (index, request) in requests.iter().enumerate() {
        findings.observations.push(match found[index] {
            Some(at) => Observation::Listed(listing.items[at].status),
            None if could_be_unnamed(listing, &named, request, known) => Observation::Unidentified,
            None if was_asked_for(request, requests) => Observation::AbsentAsAsked,
            None => Observation::Absent,
        });
        if let Some(username) = found[index].and_then(|at| listing.items[at].gh()) {
            findings.usernames.insert(index, username);
        }
    }
    findings
}

/// The program an item names: by appid, or by a `gh_` id that we know. What `WeChat` showed outweighs what people typed.
fn named(item: &Item, listing: &Listing, requests: &[Request], known: &impl Known) -> Option<ProgramId> {
    if let Some(appid) = appid(item) {
        return appid.parse().ok();
    }
    let username = item.gh()?;
    let beside = listing.items.iter().filter(|other| other.gh().as_ref() == Some(&username)).find_map(appid);
    match beside {
        Some(appid) => appid.parse().ok(),
        None => known.program(&username).or_else(|| given(&username, requests)),
    }
}

/// The program for which people gave this `gh_` id, unless they gave it for two.
fn given(username: &Username, requests: &[Request]) -> Option<ProgramId> {
    let mut programs =
        requests.iter().filter(|request| request.username.as_ref() == Some(username)).map(|request| &request.program);
    let first = programs.next()?;
    programs.all(|program| program == first).then(|| first.clone())
}

/// The appid of an item; an empty one is none.
fn appid(item: &Item) -> Option<&str> {
    item.appid.as_deref().map(str::trim).filter(|appid| !appid.is_empty())
}

/// Whatever stands where the `gh_` id belongs; an empty one is none.
fn username(item: &Item) -> Option<&str> {
    item.username.as_deref().map(str::trim).filter(|username| !username.is_empty())
}

fn most_alive(listing: &Listing, named: &[Option<ProgramId>], program: &ProgramId) -> Option<usize> {
    (0..named.len())
        .filter(|at| named[*at].as_ref() == Some(program))
        .min_by_key(|at| listing.items[*at].status.liveliness())
}

/// Where exactly one request was called and not found, and exactly one unnamed item is new since, they belong together.
fn eliminate(
    listing: &Listing,
    requests: &[Request],
    named: &[Option<ProgramId>],
    known: &impl Known,
    found: &mut [Option<usize>],
) {
    let mut missing =
        requests.iter().enumerate().filter(|(index, request)| found[*index].is_none() && waits_for_item(request));
    let (Some((index, request)), None) = (missing.next(), missing.next()) else { return };
    let Some(called_at) = request.called_at else { return };
    let mut unnamed = (0..named.len()).filter(|at| {
        let item = &listing.items[*at];
        // Of an item without any name nobody can say whether it is new.
        let is_new = username(item)
            .is_none_or(|username| known.standing_since(username, item.status).is_none_or(|since| since > called_at));
        is_unnamed(item, named[*at].as_ref()) && fits(item, request) && is_new
    });
    if let (Some(at), None) = (unnamed.next(), unnamed.next())
        && username(&listing.items[at]).is_some()
    {
        found[index] = Some(at);
    }
}

/// Whether the list should show this request soon, if it does not yet.
const fn waits_for_item(request: &Request) -> bool {
    let called = match request.state {
        State::Initiating(_) | State::Initiated | State::AwaitingAccountAdmin | State::AwaitingProgramAdmin => true,
        // A call whose answer was lost may show late.
        State::Requested | State::Deferred(_) => request.attempt > 0,
        State::Linked | State::Rejected | State::Failed(_) | State::Lapsed | State::Cancelled | State::Unlinked => {
            false
        }
    };
    called && matches!(request.kind, Kind::Link(_))
}

/// An item with an appid names a program, whatever the shape of that appid.
fn is_unnamed(item: &Item, named: Option<&ProgramId>) -> bool {
    appid(item).is_none() && named.is_none()
}

/// An item whose `gh_` id differs from the request's known one cannot be its.
fn fits(item: &Item, request: &Request) -> bool {
    match (username(item), &request.username) {
        (Some(listed), Some(known)) => listed == known.as_str(),
        (None, _) | (_, None) => true,
    }
}

fn could_be_unnamed(listing: &Listing, named: &[Option<ProgramId>], request: &Request, known: &impl Known) -> bool {
    let mut unnamed = listing.items.iter().zip(named).filter(|(item, named)| is_unnamed(item, named.as_ref()));
    unnamed.any(|(item, _)| fits(item, request) && !stood_before(item, request, known))
}

/// Whether an item stood in the list before a copy of the database was put back. A call that was perhaps made since did
/// not bring it about; otherwise an old rejection without a name would hold up every request of a restored account.
fn stood_before(item: &Item, request: &Request, known: &impl Known) -> bool {
    let restored = matches!(request.state, State::Initiating(Outcome::Restored));
    let since = username(item).and_then(|username| known.standing_since(username, item.status));
    restored && since.is_some_and(|since| request.called_at.is_some_and(|called_at| since < called_at))
}

/// Whether a request of ours asked to unlink what this one had linked.
fn was_asked_for(request: &Request, requests: &[Request]) -> bool {
    requests.iter().any(|other| {
        matches!(other.kind, Kind::Unlink)
            && other.program == request.program
            && match other.state {
                State::Initiating(_) | State::Initiated => true,
                // One that ended before this link stood removed an earlier link.
                State::Unlinked => other.since >= request.since,
                State::Requested
                | State::AwaitingAccountAdmin
                | State::AwaitingProgramAdmin
                | State::Deferred(_)
                | State::Linked
                | State::Rejected
                | State::Failed(_)
                | State::Lapsed
                | State::Cancelled => false,
            }
    })
}
