//! The decision table, written by hand from the rules and held against the code cell by cell.

mod cells;

use std::time::Duration;

use amplinkd::domain::{
    decide::{Verdict, decide, verdict},
    errcode,
    listing::Status,
    observation::{Observation as O, ResetBy, RestoredFate},
    policy::Policy,
    request::{Baseline, Failure, Outcome, PendingConfirmation, Request, Sighting, State},
    time::Time,
};

use self::cells::{LINK_ELSE, LINK_LISTED, REFUSED, RESTORED, TABLES, UNLINK_ELSE, UNLINK_LISTED};
use super::{START, link, markdown, minutes, refusal, refused, unlink};

/// Every request that stands as the table's first column says: where several do, all must answer the same.
fn standing(new: &Request, name: &str) -> Vec<Request> {
    let called = |state, attempt| Request { state, attempt, called_at: Some(START), ..new.clone() };
    let listed = |state, status| {
        let mut request = called(state, 1);
        request.memory.seen = Some(status);
        request
    };
    let until = START + minutes(60 * 24 * 20);
    let both = |attempt| [Outcome::Pending, Outcome::Unknown].map(|o| called(State::Initiating(o), attempt)).to_vec();
    match name {
        "requested" => vec![new.clone()],
        "requested again" => vec![called(State::Requested, 1), called(State::Requested, 2)],
        "initiating" => [both(1), both(2)].concat(),
        "initiating, last attempt" => both(policy().attempts),
        "initiating, perhaps" => {
            [1, policy().attempts].map(|attempt| called(State::Initiating(Outcome::Restored), attempt)).to_vec()
        }
        "initiated" => vec![called(State::Initiated, 1)],
        "account" => vec![listed(State::AwaitingAccountAdmin, Status::AwaitingAccountAdmin)],
        "program" => vec![listed(State::AwaitingProgramAdmin, Status::AwaitingProgramAdmin)],
        "program by 89035" => vec![called(State::AwaitingProgramAdmin, 1)],
        "deferred" => vec![Request { state: State::Deferred(until), ..new.clone() }],
        "deferred, due" => vec![Request { state: State::Deferred(START), ..new.clone() }],
        "deferred again" => vec![called(State::Deferred(until), 1)],
        "linked" => vec![listed(State::Linked, Status::Linked)],
        "linked by 89015" => vec![called(State::Linked, 1)],
        "ended" => {
            let failures = [Failure::Refused, Failure::OurBug, Failure::Attempts, Failure::Deadline];
            let others = [State::Rejected, State::Lapsed, State::Cancelled, State::Unlinked];
            failures.map(State::Failed).into_iter().chain(others).map(|state| called(state, 1)).collect()
        }
        "later" => ["initiated", "account", "program", "deferred", "linked", "ended"]
            .iter()
            .flat_map(|name| standing(new, name))
            .collect(),
        other => panic!("the table names a standing that nobody knows: {other:?}"),
    }
}

/// Every observation a column stands for, with the baseline that its head names.
fn observed(head: &str) -> Vec<(O, Baseline)> {
    let clear = |seen: O| vec![(seen, Baseline::Clear)];
    match head {
        "1" => clear(O::Listed(Status::Linked)),
        "12" => clear(O::Listed(Status::AwaitingAccountAdmin)),
        "2" => clear(O::Listed(Status::AwaitingProgramAdmin)),
        "3" => clear(O::Listed(Status::Rejected)),
        "3 as before the call" => vec![(O::Listed(Status::Rejected), Baseline::Rejected)],
        "other" => [0, 4, -1, i64::MIN, i64::MAX].map(|n| (O::Listed(Status::Other(n)), Baseline::Clear)).to_vec(),
        "absent" => [Baseline::Clear, Baseline::Rejected].map(|baseline| (O::Absent, baseline)).to_vec(),
        "absent as asked" => clear(O::AbsentAsAsked),
        "absent beside old" => {
            [Baseline::Clear, Baseline::Rejected].map(|baseline| (O::AbsentBesideOld, baseline)).to_vec()
        }
        "absent with all" => {
            [Baseline::Clear, Baseline::Rejected].map(|baseline| (O::AbsentWithAll, baseline)).to_vec()
        }
        "unidentified" => clear(O::Unidentified),
        "weak" => [Baseline::Clear, Baseline::Rejected].map(|baseline| (O::Weak, baseline)).to_vec(),
        "unreadable" => clear(O::Unreadable),
        "call started" => clear(O::CallStarted),
        "call accepted" => [O::CallAccepted, refused(0)].map(|seen| (seen, Baseline::Clear)).to_vec(),
        "call lost" => clear(O::CallLost),
        "call not sent" => clear(O::CallNotSent),
        "held back" => clear(O::HeldBack { until: START + minutes(60 * 24), refusal: refusal(89_007) }),
        "quota reset, early" | "quota reset, due" => clear(O::QuotaReset { by: ResetBy::Calendar }),
        "opened by hand" => clear(O::QuotaReset { by: ResetBy::Operator }),
        "deadline" => clear(O::DeadlinePassed),
        "cancel" => clear(O::CancelAsked),
        "perhaps called" => restored(RestoredFate::Unknown),
        "called" => restored(RestoredFate::Called),
        "taken" => restored(RestoredFate::Taken),
        "cancelled" => restored(RestoredFate::Cancelled),
        "any other code" => [1, -2, 89_999, i64::MAX].map(|code| (refused(code), Baseline::Clear)).to_vec(),
        codes => codes.split(", ").map(|c| (refused(c.parse().expect("a code")), Baseline::Clear)).collect(),
    }
}

fn restored(since: RestoredFate) -> Vec<(O, Baseline)> {
    let both = [Baseline::Clear, Baseline::Rejected];
    both.map(|baseline| (O::Restored { since, baseline }, Baseline::Clear)).to_vec()
}

/// The four kinds of doubt and two times in which every cell is asked.
#[derive(Debug, Clone, Copy)]
struct Situation {
    late: bool,
    second: bool,
    doubt: fn(Sighting, Time) -> Option<PendingConfirmation>,
}

fn situations() -> Vec<Situation> {
    let none: fn(Sighting, Time) -> Option<PendingConfirmation> = |_, _| None;
    let same_earlier = |sighting, now: Time| Some(PendingConfirmation { sighting, at: now - minutes(1) });
    let same_moment = |sighting, at| Some(PendingConfirmation { sighting, at });
    let clock_stepped_back = |sighting, now: Time| Some(PendingConfirmation { sighting, at: now + minutes(300) });
    let of_something_else = |_, now: Time| {
        Some(PendingConfirmation { sighting: Sighting::Listed(Status::Other(77)), at: now - minutes(1) })
    };
    let doubts = [
        (false, none),
        (true, same_earlier),
        (false, same_moment),
        (true, clock_stepped_back),
        (false, of_something_else),
    ];
    [false, true].into_iter().flat_map(|late| doubts.map(|(second, doubt)| Situation { late, second, doubt })).collect()
}

/// What the cell demands in this situation, in the words of [`answered`].
fn demanded(cell: &str, situation: Situation, request: &Request) -> String {
    let (waits, cell) = cell.strip_prefix("late ").map_or((false, cell), |rest| (!situation.late, rest));
    if cell == "held" {
        return "doubt".to_owned();
    }
    let (doubts, goal) = cell.strip_prefix("2x ").map_or((false, cell), |rest| (true, rest));
    if doubts && (waits || !situation.second) {
        "doubt".to_owned()
    } else if waits || goal == word(request.state) {
        "·".to_owned()
    } else {
        goal.to_owned()
    }
}

fn answered(request: &Request, verdict: Verdict) -> String {
    match verdict {
        Verdict::Stay => "·".to_owned(),
        Verdict::PendingConfirmation(_) => "doubt".to_owned(),
        Verdict::Advance(to) if to == request.state => "·".to_owned(),
        Verdict::Advance(State::Deferred(_)) if matches!(request.state, State::Deferred(_)) => {
            "deferred anew".to_owned()
        }
        Verdict::Advance(to) => word(to),
        Verdict::Conflict(kind, to) => format!("{} !{}", word(to), kind.as_str()),
    }
}

fn word(state: State) -> String {
    match state {
        State::Initiating(Outcome::Unknown) => "initiating:unknown".to_owned(),
        State::Initiating(Outcome::Restored) => "initiating:perhaps".to_owned(),
        State::AwaitingAccountAdmin => "account".to_owned(),
        State::AwaitingProgramAdmin => "program".to_owned(),
        State::Failed(failure) => format!("failed:{}", failure.as_str()),
        State::Requested
        | State::Initiating(Outcome::Pending)
        | State::Initiated
        | State::Deferred(_)
        | State::Linked
        | State::Rejected
        | State::Lapsed
        | State::Cancelled
        | State::Unlinked => state.as_str().to_owned(),
    }
}

fn policy() -> Policy {
    Policy { deadline: Some(Duration::from_secs(1)), ..Policy::default() }
}

/// Asks the code what the cell says, in every situation; returns what it answered otherwise.
fn wrong_answers(standings: &[Request], head: &str, cell: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (standing, (seen, baseline), situation) in standings
        .iter()
        .flat_map(|request| observed(head).into_iter().map(move |seen| (request, seen)))
        .flat_map(|(request, seen)| situations().into_iter().map(move |situation| (request, seen.clone(), situation)))
    {
        let now = START + if situation.late { policy().appear_within } else { minutes(2) };
        let sighting = match (&seen, seen.status()) {
            (O::AbsentWithAll, _) => Sighting::AbsentWithAll,
            (_, status) => status.map_or(Sighting::Absent, Sighting::Listed),
        };
        let mut request = standing.clone();
        request.memory.baseline = baseline;
        request.memory.doubt = (situation.doubt)(sighting, now);
        if let (State::Deferred(_), "quota reset, due") = (request.state, head) {
            request.state = State::Deferred(now);
        }
        let (demanded, verdict) = (demanded(cell, situation, &request), verdict(&request, &seen, &policy(), now));
        let answered = answered(&request, verdict);
        let next = decide(&request, &seen, &policy(), now).next;
        let applied = match verdict {
            Verdict::Stay => next.state == request.state,
            Verdict::PendingConfirmation(of) => {
                next.state == request.state && of == sighting && next.memory.doubt.is_some()
            }
            Verdict::Advance(to) | Verdict::Conflict(_, to) => next.state == to,
        };
        if demanded != answered || !applied {
            wrong.push(format!(
                "{:?}, attempt {}, sees {seen:?} ({}, doubt {:?}): the table says {demanded}, the code {answered}",
                request.state,
                request.attempt,
                if situation.late { "late" } else { "young" },
                request.memory.doubt,
            ));
        }
    }
    wrong
}

/// The rows of a table: name and cells, the heads first.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table.trim().lines().map(|line| line.split('|').map(str::trim).collect()).collect()
}

fn assert_table(table: &str, new: &Request) {
    let rows = rows(table);
    let mut wrong = Vec::new();
    for row in &rows[1..] {
        assert_eq!(row.len(), rows[0].len(), "the row {:?} has a gap", row[0]);
        for (head, cell) in rows[0].iter().zip(row).skip(1) {
            wrong.extend(wrong_answers(&standing(new, row[0]), head, cell));
        }
    }
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_listing_means_to_a_link_what_the_table_says() {
    assert_table(LINK_LISTED, &link());
}

#[test]
fn every_listing_means_to_an_unlink_what_the_table_says() {
    assert_table(UNLINK_LISTED, &unlink());
}

#[test]
fn everything_else_means_to_a_link_what_the_table_says() {
    assert_table(LINK_ELSE, &link());
}

#[test]
fn everything_else_means_to_an_unlink_what_the_table_says() {
    assert_table(UNLINK_ELSE, &unlink());
}

#[test]
fn a_copy_that_is_put_back_means_what_the_table_says() {
    assert_table(RESTORED, &link());
    assert_table(RESTORED, &unlink());
}

/// No unlink ever stands there, but a total function must answer: as it would for a link.
#[test]
fn an_unlink_in_a_state_of_links_alone_is_judged_like_a_link() {
    for table in [LINK_LISTED, LINK_ELSE] {
        let of_links_alone = |row: &&str| ["account", "program", "linked"].iter().any(|name| row.starts_with(name));
        let head = table.trim().lines().next().into_iter();
        let rows: Vec<&str> = head.chain(table.trim().lines().skip(1).filter(of_links_alone)).collect();
        assert_table(&rows.join("\n"), &unlink());
    }
}

#[test]
fn every_code_means_what_the_table_says() {
    let rows = rows(REFUSED);
    let mut wrong = Vec::new();
    for row in &rows[1..] {
        for (head, cell) in rows[0].iter().zip(row).skip(1) {
            let standings = match head.split_once(", ") {
                Some(("link", state)) => standing(&link(), state),
                Some(("unlink", state)) => standing(&unlink(), state),
                _ => [standing(&link(), "later"), standing(&unlink(), "later")].concat(),
            };
            wrong.extend(wrong_answers(&standings, row[0], cell));
        }
    }
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_code_we_know_has_its_row() {
    for meaning in errcode::TABLE {
        let code = meaning.code.to_string();
        assert!(rows(REFUSED).iter().any(|row| row[0].split(", ").any(|c| c == code)), "{code} is in no row");
    }
}

#[test]
fn the_printed_table_is_up_to_date() {
    markdown::assert_printed("decisions", &TABLES.map(|(title, table)| (title, rows(table))));
}
