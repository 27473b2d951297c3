//! The account as a state machine: its whole table, written by hand and held against the code, and what holds for every
//! sequence of outcomes.

use std::time::Duration;

use amplinkd::domain::{
    account::{AccountState, Calls, Evidence, Outcome, RETRY_MAX, Status, SuspendedBy, Trouble},
    errcode::Class as Code,
    pace::{Class, PROBE_EVERY, Pace, Stretch},
    plan::AccountPlan,
    policy::{LOOK_EVERY_MAX, Policy},
    time::Time,
};
use proptest::prelude::*;

use super::{START, markdown, minutes};

/// What a look comes to, by what the account was. A cell: what it is then (`·`: as it was), and when it is looked at next.
const LOOKS: &str = "
a look comes to… | active | unread since three looks | suspended by WeChat | suspended by an operator
the list as it was | · in 30 s | active in 30 s | active in 30 s | · never
a list | · as planned | active as planned | active as planned | · never
a list, nothing waits | · never | active never | active never | · never
no list, nothing depends on it | · as planned | active as planned | active as planned | · never
no list, something depends on it | unread:unreadable in 30 s | unread:unreadable in 4 m | · in 1 h | · never
no token | unread:token in 30 s | unread:token in 4 m | · in 1 h | · never
no answer | unread:unreachable in 30 s | unread:unreachable in 4 m | · in 1 h | · never
an answer that is no list | unread:unreadable in 30 s | unread:unreadable in 4 m | · in 1 h | · never
a defect of ours | unread:unreadable in 30 s | unread:unreadable in 4 m | · in 1 h | · never
authorization gone | suspended in 1 h | suspended in 1 h | · in 1 h | · never
permission missing | suspended in 1 h | suspended in 1 h | · in 1 h | · never
account restricted | suspended in 1 h | suspended in 1 h | · in 1 h | · never
the token is bad | unread:token in 30 s | unread:token in 4 m | · in 1 h | · never
too fast | unread:refused in 1 m | unread:refused in 4 m | · in 1 h | · never
our address is refused | · in 30 s | · in 30 s | · in 30 s | · never
the day's quota is used up | · in 30 s | · in 30 s | · in 30 s | · never
busy, or any other code | unread:refused in 30 s | unread:refused in 4 m | · in 1 h | · never
held back by a gate until then | · at the gate | · at the gate | · at the gate | · never
requests moved without a look | · as planned | · as planned | · as before | · never
a person says stop | operator never | operator never | operator never | · never
a person says go on | · now | active now | active now | active now
a copy was put back | · now | · now | · now | · never
";

/// What a call comes to, by whether the one before was refused, too.
const CALLS: &str = "
a call comes to… | the first time | after two that were refused
it is taken | · | calls go on
its answer is lost | · | ·
it could not be sent | held 30 s | held 2 m
a no to this request: 89007, 89008, 89009, 89015 and the like | · | calls go on
the token is bad | held 30 s | held 2 m
too fast | held 1 m | held 2 m
authorization gone, permission missing, account restricted | suspended, held 30 s | held 2 m
our address is refused, the day's quota is used up | · | ·
busy, our own bug, any other code | · | ·
";

const NOW: Time = START;

fn policy() -> Policy {
    Policy::default()
}

fn pace(policy: &Policy) -> Pace<'_> {
    Pace { policy, stretch: Stretch::NONE }
}

fn plan(due: Option<Time>) -> AccountPlan {
    AccountPlan { due, pace_from: due.map(|_| NOW), reread_at: None }
}

/// An account with something young open, which is a minute overdue.
fn account(status: Status, failures: u32) -> AccountState {
    let due = (status != Status::Suspended(SuspendedBy::Operator)).then_some(NOW - minutes(1));
    AccountState { status, failures, due, pace_from: Some(NOW), ..AccountState::new(7) }
}

fn columns() -> [AccountState; 4] {
    let since = NOW - minutes(3);
    [
        account(Status::Active, 0),
        account(Status::Unread { since, trouble: Trouble::Refused }, 3),
        account(Status::Suspended(SuspendedBy::Wechat), 1),
        account(Status::Suspended(SuspendedBy::Operator), 0),
    ]
}

fn look(row: &str) -> Vec<Outcome> {
    let planned = plan(Some(NOW + minutes(10)));
    match row {
        "the list as it was" => vec![Outcome::Unchanged],
        "a list" => vec![Outcome::Listed { plan: planned, hash: Some(1) }],
        "a list, nothing waits" => vec![Outcome::Listed { plan: plan(None), hash: Some(1) }],
        "no list, nothing depends on it" => vec![Outcome::Weak { plan: planned, evidence: Evidence::NotNeeded }],
        "no list, something depends on it" => vec![Outcome::Weak { plan: planned, evidence: Evidence::Needed }],
        "no token" => vec![Outcome::Failed(Trouble::Token)],
        "no answer" => vec![Outcome::Failed(Trouble::Unreachable)],
        "an answer that is no list" => vec![Outcome::Failed(Trouble::Unreadable)],
        "a defect of ours" => vec![Outcome::Panicked],
        "authorization gone" => vec![Outcome::Refused(Code::AuthorizationGone)],
        "permission missing" => vec![Outcome::Refused(Code::PermissionMissing)],
        "account restricted" => vec![Outcome::Refused(Code::AccountRestricted)],
        "the token is bad" => vec![Outcome::Refused(Code::TokenBad)],
        "too fast" => vec![Outcome::Refused(Code::TooFast)],
        "our address is refused" => vec![Outcome::Refused(Code::IpNotAllowed)],
        "the day's quota is used up" => vec![Outcome::Refused(Code::DailyQuota)],
        "busy, or any other code" => [
            Code::Busy,
            Code::Unknown,
            Code::OurBug,
            Code::Final,
            Code::Done,
            Code::InvitationOut,
            Code::ConsoleLink,
            Code::AlreadyLinked,
            Code::UnlinkOut,
            Code::ProgramMonth,
            Code::AccountMonth,
        ]
        .map(Outcome::Refused)
        .to_vec(),
        "held back by a gate until then" => vec![Outcome::HeldBack(NOW + minutes(5))],
        "requests moved without a look" => vec![Outcome::Moved { plan: planned }],
        "a person says stop" => vec![Outcome::Suspended],
        "a person says go on" => vec![Outcome::Resumed],
        "a copy was put back" => vec![Outcome::Restored],
        other => panic!("no outcome is called {other:?}"),
    }
}

fn call(row: &str) -> Vec<Outcome> {
    let codes: &[Code] = match row {
        "it is taken" => return vec![Outcome::CallAccepted],
        "its answer is lost" => return vec![Outcome::CallLost],
        "it could not be sent" => return vec![Outcome::CallNotSent],
        "a no to this request: 89007, 89008, 89009, 89015 and the like" => &[
            Code::Done,
            Code::InvitationOut,
            Code::ConsoleLink,
            Code::AlreadyLinked,
            Code::UnlinkOut,
            Code::ProgramMonth,
            Code::AccountMonth,
            Code::Final,
        ],
        "the token is bad" => &[Code::TokenBad],
        "too fast" => &[Code::TooFast],
        "authorization gone, permission missing, account restricted" => {
            &[Code::AuthorizationGone, Code::PermissionMissing, Code::AccountRestricted]
        }
        "our address is refused, the day's quota is used up" => &[Code::IpNotAllowed, Code::DailyQuota],
        "busy, our own bug, any other code" => &[Code::Busy, Code::OurBug, Code::Unknown],
        other => panic!("no call is called {other:?}"),
    };
    codes.iter().map(|code| Outcome::CallRefused(*code)).collect()
}

/// A wait in words, up to a tenth shorter: the spread takes no more away.
fn waits(wait: Duration) -> String {
    let named = [
        (Duration::from_secs(30), "30 s"),
        (minutes(1), "1 m"),
        (minutes(2), "2 m"),
        (minutes(4), "4 m"),
        (PROBE_EVERY, "1 h"),
    ];
    let fits = |(named, _): &&(Duration, &str)| {
        // A minute after 45011 is never shorter, and a look that found nothing new may come a tenth later.
        *named * 9 / 10 <= wait && wait <= *named * 112 / 100
    };
    named.iter().find(fits).map_or_else(|| format!("{wait:?}"), |(_, word)| (*word).to_owned())
}

fn word(status: Status) -> String {
    match status {
        Status::Active => "active".to_owned(),
        Status::Unread { trouble, .. } => format!("unread:{}", trouble.as_str()),
        Status::Suspended(SuspendedBy::Wechat) => "suspended".to_owned(),
        Status::Suspended(SuspendedBy::Operator) => "operator".to_owned(),
    }
}

fn said_of_look(before: &AccountState, outcome: Outcome) -> String {
    let policy = policy();
    let after = before.after(outcome, pace(&policy), NOW);
    let planned = NOW + minutes(10);
    let when = match after.due {
        None => "never".to_owned(),
        Some(due) if due == NOW => "now".to_owned(),
        Some(due) if Some(due) == before.due => "as before".to_owned(),
        Some(due) if outcome == Outcome::HeldBack(due) => "at the gate".to_owned(),
        Some(due) if due >= planned && due <= planned + minutes(1) => "as planned".to_owned(),
        Some(due) => format!("in {}", waits(NOW.until(due))),
    };
    let same = word(before.status) == word(after.status) && !matches!(after.status, Status::Unread { .. });
    let same = same
        || before.status == after.status
            && !matches!(outcome, Outcome::Failed(_) | Outcome::Refused(_) | Outcome::Panicked);
    let same = same || matches!(outcome, Outcome::Refused(Code::IpNotAllowed | Code::DailyQuota));
    if same { format!("· {when}") } else { format!("{} {when}", word(after.status)) }
}

fn said_of_call(before: &AccountState, outcome: Outcome) -> String {
    let policy = policy();
    let after = before.after(outcome, pace(&policy), NOW);
    let held = after.calls.after.map(|at| waits(NOW.until(at)));
    let word = match (after.calls == before.calls, held) {
        (true, _) => "·".to_owned(),
        (false, None) => "calls go on".to_owned(),
        (false, Some(held)) => format!("held {held}"),
    };
    if after.is_suspended() { format!("suspended, {word}") } else { word }
}

fn rows(table: &str) -> Vec<Vec<&str>> {
    table.trim().lines().map(|line| line.split('|').map(str::trim).collect()).collect()
}

fn wrong(
    table: &str,
    columns: &[AccountState],
    outcomes: fn(&str) -> Vec<Outcome>,
    said: fn(&AccountState, Outcome) -> String,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in &rows(table)[1..] {
        assert_eq!(row.len(), columns.len() + 1, "the row {:?} has a gap", row[0]);
        for (account, cell) in columns.iter().zip(&row[1..]) {
            for outcome in outcomes(row[0]) {
                let answered = said(account, outcome);
                if answered != *cell {
                    wrong.push(format!("{:?} after {outcome:?}: {cell:?}, the code {answered:?}", account.status));
                }
            }
        }
    }
    wrong
}

#[test]
fn every_look_makes_of_an_account_what_the_table_says() {
    let wrong = wrong(LOOKS, &columns(), look, said_of_look);
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_call_makes_of_an_account_what_the_table_says() {
    let calls = Calls { refused: 2, since: Some(NOW), after: Some(NOW) };
    let columns = [account(Status::Active, 0), AccountState { calls, ..account(Status::Active, 0) }];
    let wrong = wrong(CALLS, &columns, call, said_of_call);
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_printed_table_of_accounts_is_up_to_date() {
    let tables = [("A look at an account", rows(LOOKS)), ("A call for an account", rows(CALLS))];
    markdown::assert_printed("accounts", &tables);
}

fn codes() -> impl Strategy<Value = Code> {
    let all = [
        Code::Done,
        Code::InvitationOut,
        Code::ProgramMonth,
        Code::AccountMonth,
        Code::Final,
        Code::Busy,
        Code::TokenBad,
        Code::AuthorizationGone,
        Code::PermissionMissing,
        Code::AccountRestricted,
        Code::IpNotAllowed,
        Code::DailyQuota,
        Code::TooFast,
        Code::OurBug,
        Code::Unknown,
    ];
    prop::sample::select(all.to_vec())
}

fn failures() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        codes().prop_map(Outcome::Refused),
        prop::sample::select(Trouble::ALL.to_vec()).prop_map(Outcome::Failed),
        Just(Outcome::Panicked),
        Just(Outcome::Weak { plan: plan(Some(NOW)), evidence: Evidence::Needed }),
    ]
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let planned = (0..90_000_u64).prop_map(|wait| plan(Some(NOW + Duration::from_secs(wait))));
    prop_oneof![
        4 => failures(),
        1 => Just(Outcome::Unchanged),
        2 => planned.prop_map(|plan| Outcome::Listed { plan, hash: Some(1) }),
        1 => Just(Outcome::Weak { plan: plan(Some(NOW)), evidence: Evidence::NotNeeded }),
        1 => Just(Outcome::Moved { plan: plan(Some(NOW)) }),
        1 => Just(Outcome::CallAccepted),
        2 => codes().prop_map(Outcome::CallRefused),
        1 => Just(Outcome::CallNotSent),
        1 => Just(Outcome::CallLost),
        1 => Just(Outcome::Suspended),
        1 => Just(Outcome::Resumed),
        1 => Just(Outcome::Restored),
    ]
}

fn stretches() -> impl Strategy<Value = Stretch> {
    prop_oneof![Just(1_000), 1_000..200_000_u32, Just(u32::MAX)].prop_map(Stretch::from_thousandths)
}

/// What an account is after each of these, one when it is due after the other.
fn lived(outcomes: &[Outcome], pace: Pace<'_>) -> (AccountState, Time) {
    let start = (AccountState { due: Some(NOW), pace_from: Some(NOW), ..AccountState::new(7) }, NOW);
    outcomes.iter().fold(start, |(state, now), outcome| {
        let now = state.due.map_or(now + minutes(1), |due| due.max(now));
        (state.after(*outcome, pace, now), now)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing stalls: whatever came of its looks, an account with something open has a time that comes.
    #[test]
    fn an_account_with_something_open_is_due_unless_an_operator_suspended_it(
        outcomes in prop::collection::vec(outcomes(), 0..30), stretch in stretches(),
    ) {
        let policy = policy();
        let (state, now) = lived(&outcomes, Pace { policy: &policy, stretch });
        match state.status {
            Status::Suspended(SuspendedBy::Operator) => prop_assert_eq!(state.due, None),
            Status::Active | Status::Unread { .. } | Status::Suspended(SuspendedBy::Wechat) => {
                let longest = LOOK_EVERY_MAX + Duration::from_mins(5) + Duration::from_hours(25);
                prop_assert!(state.due.is_some_and(|due| due <= now + longest), "{state:?}");
            }
        }
    }

    #[test]
    fn no_sequence_of_failures_delays_a_look_beyond_the_cap(
        outcomes in prop::collection::vec(failures(), 1..60), stretch in stretches(),
    ) {
        let policy = policy();
        let (state, now) = lived(&outcomes, Pace { policy: &policy, stretch });
        let cap = if state.is_suspended() { PROBE_EVERY } else { RETRY_MAX };
        prop_assert!(state.due.is_some_and(|due| due <= now + cap), "{state:?} at {now}");
    }

    #[test]
    fn a_list_heals_what_failures_did(outcomes in prop::collection::vec(outcomes(), 0..30)) {
        let policy = policy();
        let (state, now) = lived(&outcomes, pace(&policy));
        let healed = state.after(Outcome::Listed { plan: plan(Some(now)), hash: Some(2) }, pace(&policy), now);
        prop_assert_eq!((healed.failures, healed.read_at, healed.listing_hash), (0, Some(now), Some(2)));
        // A person's word alone outlives it.
        let expected = match state.status {
            Status::Suspended(SuspendedBy::Operator) => state.status,
            Status::Active | Status::Unread { .. } | Status::Suspended(SuspendedBy::Wechat) => Status::Active,
        };
        prop_assert_eq!(healed.status, expected);
        let called = state.after(Outcome::CallAccepted, pace(&policy), now);
        prop_assert_eq!(called.calls, Calls::default());
    }

    /// Since when it is so does not move, and a success that comes twice changes nothing twice.
    #[test]
    fn the_same_outcome_twice_changes_nothing_twice(
        outcomes in prop::collection::vec(outcomes(), 0..20), last in outcomes(),
    ) {
        let policy = policy();
        let (state, now) = lived(&outcomes, pace(&policy));
        let once = state.after(last, pace(&policy), now);
        let twice = once.after(last, pace(&policy), now);
        prop_assert_eq!((once.status, once.read_at, once.calls.since), (twice.status, twice.read_at, twice.calls.since));
        if once.failures <= state.failures && once.calls.refused <= state.calls.refused {
            prop_assert_eq!(once, twice);
        }
    }

    #[test]
    fn a_refused_call_waits_no_longer_than_the_cap(codes in prop::collection::vec(codes(), 1..60)) {
        let policy = policy();
        let refused: Vec<Outcome> = codes.into_iter().map(Outcome::CallRefused).collect();
        let (state, now) = lived(&refused, pace(&policy));
        prop_assert!(state.calls.held_until(now).is_none_or(|until| until <= now + RETRY_MAX));
    }

    #[test]
    fn suspended_unread_and_active_are_told_apart(outcomes in prop::collection::vec(outcomes(), 0..30)) {
        let policy = policy();
        let (state, now) = lived(&outcomes, pace(&policy));
        match state.status {
            Status::Active => prop_assert_eq!(state.failures, 0),
            Status::Unread { .. } => prop_assert!(state.failures > 0),
            Status::Suspended(_) => prop_assert_eq!(state.class(now), Class::Drift),
        }
    }
}
