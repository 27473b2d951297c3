//! Matches the items of a listing to an account's requests: one observation per request. It never guesses: an item that
//! could belong to two requests counts for neither, because a wrong match would end the wrong request.
//!
//! Whoever writes a list decides how long it is, so the work grows with items plus requests, never with their product.

mod unnamed;

use std::collections::HashMap;

use self::unnamed::{Among, Unnamed};
use super::{
    id::{ProgramId, Username},
    listing::{Item, Listing, Status},
    observation::Observation,
    request::{Kind, Request, State},
    time::Time,
};

/// What is known of `gh_` ids and of the account's earlier listings.
pub trait Known {
    /// The program with this `gh_` id, given with a request or learned from any listing of any account.
    fn program(&self, username: &Username) -> Option<ProgramId>;

    /// Since when the item with this `gh_` id stands in the account's list, with this status or as the same link with
    /// another; `None` when it is new.
    fn standing_since(&self, username: &str, status: Status) -> Option<Time>;

    /// Since when the item with this `gh_` id stands in the account's list with this very status; `None` when the listing
    /// before did not show it so.
    fn unchanged_since(&self, username: &str, status: Status) -> Option<Time>;

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
    /// Which item is each request's, in their order.
    pub items: Vec<Option<usize>>,
    /// `gh_` ids that this listing taught, by request index: found by elimination or beside the appid.
    pub usernames: HashMap<usize, Username>,
}

/// Reads `listing` for `requests`, all of one account.
#[must_use]
pub fn identify(listing: &Listing, requests: &[Request], known: &impl Known) -> Findings {
    let by_name = Names::of(listing, requests);
    let named: Vec<Option<ProgramId>> = listing.items.iter().map(|item| by_name.program(item, known)).collect();
    let mut found = most_alive(listing, &named, requests);
    if known.knows_every_request() {
        eliminate(listing, requests, &named, known, &mut found);
    }
    let unnamed = Unnamed::of(listing, &named, known);
    let unlinks = Unlinks::of(requests);

    let mut findings = Findings::default();
    for (index, request) in requests.iter().enumerate() {
        findings.observations.push(match (found[index], unnamed.among(request)) {
            (Some(at), _) => Observation::Listed(listing.items[at].status),
            (None, Among::Perhaps) => Observation::Unidentified,
            (None, Among::OnlyOld) => Observation::AbsentBesideOld,
            (None, Among::Surely) if unlinks.explain(request) => Observation::AbsentAsAsked,
            (None, Among::Surely) => Observation::Absent,
        });
        if let Some(username) = found[index].and_then(|at| listing.items[at].gh()) {
            findings.usernames.insert(index, username);
        }
    }
    findings.items = found;
    findings
}

/// The names of one listing and of the requests it is read for.
struct Names<'a> {
    /// The appid that stands beside a `gh_` id in the listing.
    beside: HashMap<&'a str, &'a str>,
    /// The program for which people gave a `gh_` id; `None` when they gave it for two.
    given: HashMap<&'a str, Option<&'a ProgramId>>,
}

impl<'a> Names<'a> {
    fn of(listing: &'a Listing, requests: &'a [Request]) -> Self {
        let mut names = Self { beside: HashMap::new(), given: HashMap::new() };
        for item in &listing.items {
            if let (Some(username), Some(appid)) = (username(item), appid(item)) {
                names.beside.entry(username).or_insert(appid);
            }
        }
        for request in requests {
            let Some(username) = &request.username else { continue };
            names
                .given
                .entry(username.as_str())
                .and_modify(|given| *given = given.filter(|program| **program == request.program))
                .or_insert(Some(&request.program));
        }
        names
    }

    /// The program an item names: by appid, or by a `gh_` id that we know. What `WeChat` showed outweighs what people
    /// typed.
    fn program(&self, item: &Item, known: &impl Known) -> Option<ProgramId> {
        if let Some(appid) = appid(item) {
            return appid.parse().ok();
        }
        let username = item.gh()?;
        match self.beside.get(username.as_str()) {
            Some(appid) => appid.parse().ok(),
            None => known.program(&username).or_else(|| self.given.get(username.as_str()).copied().flatten().cloned()),
        }
    }
}

/// The appid of an item; an empty one is none.
fn appid(item: &Item) -> Option<&str> {
    item.appid.as_deref().map(str::trim).filter(|appid| !appid.is_empty())
}

/// Whatever stands where the `gh_` id belongs; an empty one is none.
fn username(item: &Item) -> Option<&str> {
    item.username.as_deref().map(str::trim).filter(|username| !username.is_empty())
}

/// The most alive item that names each request's program, the first of equals.
fn most_alive(listing: &Listing, named: &[Option<ProgramId>], requests: &[Request]) -> Vec<Option<usize>> {
    let mut best: HashMap<&ProgramId, Option<usize>> =
        requests.iter().map(|request| (&request.program, None)).collect();
    let liveliness = |at: usize| listing.items[at].status.liveliness();
    for (at, program) in named.iter().enumerate() {
        if let Some(best) = program.as_ref().and_then(|program| best.get_mut(program))
            && best.is_none_or(|before| liveliness(at) < liveliness(before))
        {
            *best = Some(at);
        }
    }
    requests.iter().map(|request| best.get(&request.program).copied().flatten()).collect()
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
        let is_new = || {
            username(item).is_none_or(|username| {
                known.standing_since(username, item.status).is_none_or(|since| since > called_at)
            })
        };
        is_unnamed(item, named[*at].as_ref()) && fits(item, request) && is_new()
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
    called && request.is_link()
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

/// What our own unlinks explain, by program.
struct Unlinks<'a>(HashMap<&'a ProgramId, Unlinking>);

#[derive(Default, Clone, Copy)]
struct Unlinking {
    /// One was called and has not come to its end.
    is_out: bool,
    /// When the last one reached its goal.
    done_at: Option<Time>,
}

impl<'a> Unlinks<'a> {
    fn of(requests: &'a [Request]) -> Self {
        let mut unlinks: HashMap<&ProgramId, Unlinking> = HashMap::new();
        for request in requests.iter().filter(|request| matches!(request.kind, Kind::Unlink)) {
            let unlinking = unlinks.entry(&request.program).or_default();
            match request.state {
                State::Initiating(_) | State::Initiated => unlinking.is_out = true,
                State::Unlinked => unlinking.done_at = unlinking.done_at.max(Some(request.since)),
                State::Requested
                | State::AwaitingAccountAdmin
                | State::AwaitingProgramAdmin
                | State::Deferred(_)
                | State::Linked
                | State::Rejected
                | State::Failed(_)
                | State::Lapsed
                | State::Cancelled => {}
            }
        }
        Self(unlinks)
    }

    /// Whether a request of ours asked to unlink what `request` had linked. An unlink that ended before this link stood
    /// removed an earlier link.
    fn explain(&self, request: &Request) -> bool {
        self.0
            .get(&request.program)
            .is_some_and(|unlinking| unlinking.is_out || unlinking.done_at.is_some_and(|at| at >= request.since))
    }
}
