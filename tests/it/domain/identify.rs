//! Stories of whose item is whose.

use std::collections::HashMap;

use amplinkd::domain::{
    id::{ProgramId, Username},
    listing::{Item, Listing, Profile, Status},
    matching::{Known, identify},
    observation::Observation as O,
    request::{Outcome, Request, State},
    time::Time,
};

use super::{START, link, minutes, program, unlink};

/// What earlier listings taught.
#[derive(Debug, Default)]
struct Taught {
    programs: HashMap<String, ProgramId>,
    standing: HashMap<(String, Status), Time>,
}

impl Taught {
    fn program(mut self, gh: &str, number: u8) -> Self {
        self.programs.insert(gh.to_owned(), program(number));
        self
    }

    fn standing(mut self, gh: &str, status: Status, since: Time) -> Self {
        self.standing.insert((gh.to_owned(), status), since);
        self
    }
}

impl Known for Taught {
    fn program(&self, username: &Username) -> Option<ProgramId> {
        self.programs.get(username.as_str()).cloned()
    }

    fn standing_since(&self, username: &str, status: Status) -> Option<Time> {
        self.standing.get(&(username.to_owned(), status)).copied()
    }

    fn unchanged_since(&self, username: &str, status: Status) -> Option<Time> {
        self.standing_since(username, status)
    }
}

fn item(status: Status, appid: Option<&str>, gh: Option<&str>) -> Item {
    Item { status, appid: appid.map(Into::into), username: gh.map(Into::into), profile: Profile::default() }
}

/// An item that only its `gh_` id names.
fn unnamed(status: Status, gh: &str) -> Item {
    item(status, None, Some(gh))
}

fn of_program(status: Status, number: u8, gh: Option<&str>) -> Item {
    item(status, Some(program(number).as_str()), gh)
}

fn invited(number: u8) -> Request {
    let called = Request { state: State::Initiated, attempt: 1, called_at: Some(START), ..link() };
    Request { program: program(number), ..called }
}

fn requested(number: u8) -> Request {
    Request { program: program(number), ..link() }
}

fn told(items: Vec<Item>, requests: &[Request], known: &Taught) -> Vec<O> {
    identify(&Listing { items }, requests, known).observations
}

const PENDING: Status = Status::AwaitingAccountAdmin;

#[test]
fn an_item_with_the_appid_is_the_requests_and_teaches_its_gh_id() {
    let listing = Listing { items: vec![of_program(PENDING, 1, Some("gh_one")), of_program(Status::Linked, 2, None)] };
    let findings = identify(&listing, &[invited(1), invited(3)], &Taught::default());
    assert_eq!(findings.observations, [O::Listed(PENDING), O::Absent]);
    assert_eq!(findings.usernames.get(&0).map(Username::as_str), Some("gh_one"));
    assert_eq!(findings.usernames.len(), 1);
}

#[test]
fn a_gh_id_given_with_the_request_names_the_item() {
    let given = Request { username: Some("gh_one".parse().unwrap()), ..requested(1) };
    let requests = [given, requested(2)];
    let seen = told(vec![unnamed(Status::Rejected, "gh_one")], &requests, &Taught::default());
    assert_eq!(seen, [O::Listed(Status::Rejected), O::Absent]);
}

#[test]
fn a_gh_id_learned_from_another_account_names_the_item() {
    let seen = told(vec![unnamed(PENDING, "gh_one")], &[requested(1)], &Taught::default().program("gh_one", 1));
    assert_eq!(seen, [O::Listed(PENDING)]);
}

#[test]
fn a_gh_id_that_stands_beside_an_appid_names_the_listings_other_items_too() {
    let items = vec![unnamed(Status::Rejected, "gh_two"), of_program(PENDING, 2, Some("gh_two"))];
    let seen = told(items, &[invited(1), invited(2)], &Taught::default());
    assert_eq!(seen, [O::Absent, O::Listed(PENDING)], "the old rejection is the second program's, nobody else's");
}

#[test]
fn what_wechat_showed_outweighs_what_a_person_typed() {
    let mistyped = Request { username: Some("gh_two".parse().unwrap()), ..requested(1) };
    let seen = told(vec![unnamed(Status::Linked, "gh_two")], &[mistyped], &Taught::default().program("gh_two", 2));
    assert_eq!(seen, [O::Absent]);
}

#[test]
fn a_gh_id_given_for_two_programs_names_neither() {
    let given = |number| Request { username: Some("gh_one".parse().unwrap()), ..requested(number) };
    let seen = told(vec![unnamed(Status::Linked, "gh_one")], &[given(1), given(2)], &Taught::default());
    assert_eq!(seen, [O::Unidentified, O::Unidentified]);
    let twice = [given(1), Request { program: program(1), ..unlink() }, given(1)];
    let seen = told(vec![unnamed(Status::Linked, "gh_one")], &twice, &Taught::default());
    assert_eq!(seen, [O::Listed(Status::Linked), O::Listed(Status::Linked), O::Listed(Status::Linked)]);
}

#[test]
fn the_one_new_item_belongs_to_the_one_request_that_waits_for_it() {
    let requests = [invited(1), invited(2)];
    let listing = Listing { items: vec![unnamed(PENDING, "gh_one"), of_program(PENDING, 2, None)] };
    let findings = identify(&listing, &requests, &Taught::default());
    assert_eq!(findings.observations, [O::Listed(PENDING), O::Listed(PENDING)]);
    assert_eq!(findings.usernames.get(&0).map(Username::as_str), Some("gh_one"));
}

#[test]
fn an_item_that_could_be_two_requests_is_nobodys() {
    let seen = told(vec![unnamed(PENDING, "gh_x")], &[invited(1), invited(2)], &Taught::default());
    assert_eq!(seen, [O::Unidentified, O::Unidentified]);
}

#[test]
fn two_new_items_are_nobodys() {
    let items = vec![unnamed(PENDING, "gh_x"), unnamed(Status::Rejected, "gh_y")];
    assert_eq!(told(items, &[invited(1)], &Taught::default()), [O::Unidentified]);
}

#[test]
fn an_unnamed_item_from_before_the_call_is_not_new() {
    for since in [START, START - minutes(1)] {
        let known = Taught::default().standing("gh_x", Status::Rejected, since);
        assert_eq!(told(vec![unnamed(Status::Rejected, "gh_x")], &[invited(1)], &known), [O::AbsentBesideOld]);
    }
    let known = Taught::default().standing("gh_x", PENDING, START + minutes(1));
    assert_eq!(told(vec![unnamed(PENDING, "gh_x")], &[invited(1)], &known), [O::Listed(PENDING)]);
}

/// FAULTS 3: the documented shape of a rejection names nobody, and every account that was ever refused has one.
#[test]
fn an_old_unnamed_item_does_not_hold_up_a_request_that_was_called() {
    let calling = |state| Request { state, ..invited(1) };
    let states = [
        State::Requested,
        State::Initiating(Outcome::Pending),
        State::Initiating(Outcome::Unknown),
        State::Initiated,
        State::AwaitingAccountAdmin,
        State::AwaitingProgramAdmin,
        State::Deferred(START + minutes(9)),
    ];
    for status in [Status::Rejected, Status::Linked, PENDING, Status::Other(7)] {
        let known = Taught::default().standing("gh_x", status, START);
        for state in states {
            let seen = told(vec![unnamed(status, "gh_x")], &[calling(state)], &known);
            assert_eq!(seen, [O::AbsentBesideOld], "{status:?} {state:?}");
        }
        assert_eq!(told(vec![unnamed(status, "gh_x")], &[requested(1)], &known), [O::Unidentified], "never called");
    }
}

#[test]
fn one_unnamed_item_that_is_new_holds_up_whatever_stands_beside_it() {
    let known = Taught::default().standing("gh_x", Status::Rejected, START);
    let old = || unnamed(Status::Rejected, "gh_x");
    for new in [unnamed(Status::Rejected, "gh_y"), item(Status::Rejected, None, None)] {
        let items = vec![old(), new.clone(), unnamed(PENDING, "gh_z")];
        assert_eq!(told(items, &[invited(1)], &known), [O::Unidentified], "{new:?}");
    }
    assert_eq!(told(vec![old(), unnamed(PENDING, "gh_y")], &[invited(1)], &known), [O::Listed(PENDING)]);
    // It changed since the call: whose it is decides what that means.
    let items = vec![unnamed(PENDING, "gh_x"), unnamed(PENDING, "gh_y")];
    assert_eq!(told(items, &[invited(1)], &known), [O::Unidentified]);
}

/// 89010 and 89035 say that the link was begun before the call, so its item may have stood there before, too: on its way,
/// not linked and not rejected.
#[test]
fn what_was_begun_elsewhere_may_be_an_old_item_on_its_way() {
    for code in [89_010, 89_035] {
        let begun = Request { refusal: Some(super::refusal(code)), ..invited(1) };
        for (status, seen) in [
            (PENDING, O::Unidentified),
            (Status::AwaitingProgramAdmin, O::Unidentified),
            (Status::Other(7), O::Unidentified),
            (Status::Linked, O::AbsentBesideOld),
            (Status::Rejected, O::AbsentBesideOld),
        ] {
            let known = Taught::default().standing("gh_x", status, START);
            assert_eq!(told(vec![unnamed(status, "gh_x")], std::slice::from_ref(&begun), &known), [seen], "{status:?}");
        }
    }
}

/// To them a rejected item says what no item says.
#[test]
fn an_unnamed_rejection_holds_up_neither_an_unlink_nor_the_end_of_a_link() {
    let linked = Request { state: State::Linked, ..invited(1) };
    let unlinking = Request { state: State::Initiated, attempt: 1, called_at: Some(START), ..unlink() };
    for (status, seen) in [
        (Status::Rejected, [O::Absent, O::AbsentAsAsked]),
        (Status::Linked, [O::Unidentified, O::Unidentified]),
        (PENDING, [O::Unidentified, O::Unidentified]),
    ] {
        let told = [&linked, &unlinking].map(|request| {
            told(vec![unnamed(status, "gh_x")], std::slice::from_ref(request), &Taught::default()).remove(0)
        });
        assert_eq!(told, seen, "{status:?}");
    }
}

/// Its call is the moment at which the copy was put back; what the copy remembers stood there before.
#[test]
fn what_a_copy_remembers_is_old_to_a_request_that_was_perhaps_called() {
    let perhaps = Request { state: State::Initiating(Outcome::Restored), ..invited(1) };
    let seen = |since| {
        let known = Taught::default().standing("gh_x", PENDING, since);
        told(vec![unnamed(PENDING, "gh_x"), unnamed(PENDING, "gh_x")], std::slice::from_ref(&perhaps), &known).remove(0)
    };
    assert_eq!(seen(START - minutes(1)), O::AbsentBesideOld);
    assert_eq!(seen(START), O::Unidentified, "first listed at that moment");
}

/// FAULTS 19. There is no clock here: were each item held against each other or against each request, this test would
/// take the better part of an hour.
#[test]
fn a_list_of_any_length_is_read_in_one_pass() {
    let number = |at: usize| format!("gh_{at:012}");
    let items: Vec<Item> = (0..60_000).map(|at| unnamed(Status::Rejected, &number(at))).collect();
    let of = |at: usize| format!("wx{at:016}").parse().unwrap();
    let requests: Vec<Request> = (0..4_000)
        .map(|at| Request { program: of(at), username: Some(number(at * 20).parse().unwrap()), ..invited(1) })
        .chain((0..4_000).map(|at| Request { program: of(4_000 + at), ..invited(1) }))
        .chain((0..4_000).map(|at| Request { program: of(at), state: State::Initiated, ..unlink() }))
        .collect();
    let mut known = Taught::default();
    for at in 0..60_000 {
        known = known.standing(&number(at), Status::Rejected, START);
    }
    let seen = told(items, &requests, &known);
    let count = |wanted: &O| seen.iter().filter(|seen| *seen == wanted).count();
    let named = count(&O::Listed(Status::Rejected));
    assert_eq!((named, count(&O::AbsentBesideOld), count(&O::AbsentAsAsked)), (3_000 + 3_000, 4_000, 1_000 + 1_000));
}

#[test]
fn a_request_that_was_never_called_waits_for_no_item() {
    assert_eq!(told(vec![unnamed(PENDING, "gh_x")], &[requested(1)], &Taught::default()), [O::Unidentified]);
    assert_eq!(told(vec![unnamed(PENDING, "gh_x")], &[unlink()], &Taught::default()), [O::Unidentified]);
}

#[test]
fn a_request_whose_lost_call_was_given_up_still_waits_for_its_item() {
    let given_up = Request { state: State::Requested, ..invited(1) };
    assert_eq!(told(vec![unnamed(PENDING, "gh_x")], &[given_up], &Taught::default()), [O::Listed(PENDING)]);
}

#[test]
fn an_item_without_any_name_may_be_anybodys_and_is_nobodys() {
    for nothing in [None, Some(""), Some(" ")] {
        let items = vec![item(Status::Linked, nothing, nothing)];
        let calling = Request { state: State::Initiating(Outcome::Unknown), ..invited(2) };
        assert_eq!(told(items.clone(), &[invited(1)], &Taught::default()), [O::Unidentified], "{nothing:?}");
        assert_eq!(told(items, &[calling, requested(3)], &Taught::default()), [O::Unidentified, O::Unidentified]);
    }
}

#[test]
fn an_empty_appid_is_no_appid() {
    let given = Request { username: Some("gh_one".parse().unwrap()), ..invited(1) };
    let items = vec![item(Status::Linked, Some(""), Some("gh_one"))];
    assert_eq!(told(items, &[given, invited(2)], &Taught::default()), [O::Listed(Status::Linked), O::Absent]);
}

#[test]
fn a_known_gh_id_keeps_a_request_from_other_items() {
    let known = Request { username: Some("gh_one".parse().unwrap()), ..invited(1) };
    assert_eq!(told(vec![unnamed(PENDING, "gh_other")], &[known], &Taught::default()), [O::Absent]);
}

#[test]
fn a_program_listed_twice_counts_by_its_most_alive_item() {
    let order = [Status::Linked, Status::AwaitingProgramAdmin, PENDING, Status::Other(9), Status::Rejected];
    for (at, alive) in order.iter().enumerate() {
        for other in &order[at..] {
            for pair in [[alive, other], [other, alive]] {
                let items = pair.map(|status| of_program(*status, 1, None)).to_vec();
                assert_eq!(told(items, &[invited(1)], &Taught::default()), [O::Listed(*alive)]);
            }
        }
    }
}

/// The old rejection has only its `gh_` id, the new invitation has both.
#[test]
fn an_old_unnamed_rejection_does_not_hide_the_new_invitation() {
    let items = vec![unnamed(Status::Rejected, "gh_one"), of_program(PENDING, 1, Some("gh_one"))];
    assert_eq!(told(items, &[invited(1)], &Taught::default()), [O::Listed(PENDING)]);
}

#[test]
fn other_programs_and_official_accounts_in_the_list_are_nobodys_business() {
    let items = vec![
        of_program(Status::Linked, 9, Some("gh_nine")),
        item(Status::Linked, Some("wx00000000000000ff"), Some("gh_account")),
        item(Status::Linked, Some("an appid of another shape"), None),
    ];
    assert_eq!(told(items, &[invited(1), requested(2)], &Taught::default()), [O::Absent, O::Absent]);
}

/// FAULTS 32: what is said of them is said once for a list, not once for each.
#[test]
fn undocumented_statuses_are_counted() {
    let listed = |statuses: &[i64]| {
        let items = statuses.iter().map(|number| of_program(Status::from_number(*number), 1, None)).collect();
        Listing { items }
    };
    assert_eq!(listed(&[1, 2, 3, 12]).undocumented(), None);
    let odd = listed(&[1, 7, 0, 7, 3, 7]);
    let found = odd.undocumented().unwrap();
    assert_eq!((found.items, found.statuses.into_iter().collect::<Vec<_>>()), (4, vec![0, 7]));
    assert_eq!(found.example, &odd.items[1]);
}

#[test]
fn an_empty_list_shows_nothing() {
    assert_eq!(
        told(vec![], &[invited(1), requested(2), unlink()], &Taught::default()),
        [O::Absent, O::Absent, O::Absent]
    );
}

#[test]
fn a_link_is_gone_as_asked_only_while_an_unlink_of_ours_explains_it() {
    let linked = Request { state: State::Linked, since: START, ..requested(1) };
    let unlinking = |state, since| Request { state, since, ..unlink() };
    let seen = |other: Request| told(vec![], &[linked.clone(), other], &Taught::default()).remove(0);
    assert_eq!(seen(unlinking(State::Initiated, START - minutes(9))), O::AbsentAsAsked);
    assert_eq!(seen(unlinking(State::Initiating(Outcome::Unknown), START)), O::AbsentAsAsked);
    assert_eq!(seen(unlinking(State::Unlinked, START + minutes(1))), O::AbsentAsAsked);
    assert_eq!(seen(unlinking(State::Unlinked, START - minutes(1))), O::Absent, "that was an earlier link");
    assert_eq!(seen(unlinking(State::Requested, START)), O::Absent, "nothing was called yet");
    assert_eq!(seen(unlinking(State::Cancelled, START)), O::Absent);
    let of_another = Request { program: program(2), ..unlinking(State::Initiated, START) };
    assert_eq!(seen(of_another), O::Absent);
}
