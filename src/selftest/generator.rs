//! Draws the next action of a simulation: of requests, people, the network, the machine.

use std::time::Duration;

use rand::{Rng, RngExt, rngs::StdRng};

/// Accounts and programs of a life: few enough that they meet again and again.
pub(super) const ACCOUNTS: u64 = 4;

pub(super) const PROGRAMS: u64 = 5;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Somebody asks for a link, or for several at once.
    AskToLink(usize),
    /// Somebody asks for an unlink.
    AskToUnlink,
    /// Somebody asks again, with the key of an earlier request.
    AskWithTheSameKey,
    /// An operator stops following a request.
    Cancel,
    /// An operator tries a finished request again.
    Retry,
    /// An operator stops all calls for an account.
    Suspend,
    /// And lets them go on.
    Resume,
    /// An administrator agrees or says no by hand.
    AnAdministratorActs,
    /// A person begins a link in the account's console, or another platform does.
    SomebodyElseLinks,
    /// Somebody takes a program out of the list.
    SomebodyRemoves,
    /// The list shows a number that nobody documented, or its own again.
    AnOddStatus,
    /// Every call of an account answers a code, or an answer again.
    AnAccountInTrouble,
    /// Somebody changes an account's row past us to what is not legal, or mends what was changed.
    ARowIsPoisoned,
    /// Other faults from now on.
    TheWeatherChanges,
    /// Tokens die.
    TokensDie,
    /// Somebody makes a copy of the database.
    CopyTheDatabase,
    /// The latest copy is put back in the place of the database.
    PutTheCopyBack,
    /// The process ends in good order and begins again after this long.
    Restart(Duration),
    /// The process dies at its so many-th look at the clock from now on.
    DieAtQuestion(u64),
    /// It dies while the so many-th call from now on is out.
    DieDuringCall(u64),
    /// The process stands still for so long.
    StandStill(Duration),
    /// The machine sleeps for so long: the stopwatch does not see it.
    Sleep(Duration),
    /// Somebody steps the calendar by so many milliseconds.
    StepTheCalendar(i64),
}

const fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

/// Draws what happens next.
pub(super) fn draw(chance: &mut StdRng) -> Action {
    match chance.random_range(0..100) {
        0..20 => Action::AskToLink(usize::from(chance.random_ratio(1, 5)) * 4 + 1),
        20..26 => Action::AskToUnlink,
        26..30 => Action::AskWithTheSameKey,
        30..34 => Action::Cancel,
        34..40 => Action::Retry,
        40..42 => Action::Suspend,
        42..46 => Action::Resume,
        46..54 => Action::AnAdministratorActs,
        54..57 => Action::SomebodyElseLinks,
        57..60 => Action::SomebodyRemoves,
        60..62 => Action::AnOddStatus,
        62..65 => Action::AnAccountInTrouble,
        65 => Action::ARowIsPoisoned,
        66..71 => Action::TheWeatherChanges,
        71..72 => Action::TokensDie,
        72..74 => Action::CopyTheDatabase,
        74 => Action::PutTheCopyBack,
        75..77 => Action::Restart(rarely_long(chance)),
        77..84 => Action::DieAtQuestion(up_to(chance, 400)),
        84..92 => Action::DieDuringCall(up_to(chance, 12)),
        92..95 => Action::StandStill(rarely_long(chance)),
        95..97 => Action::Sleep(rarely_long(chance)),
        _ => Action::StepTheCalendar(a_step(chance)),
    }
}

/// Small numbers are as likely as large ones: what is close together is where it breaks.
pub(super) fn up_to(chance: &mut impl Rng, most: u64) -> u64 {
    let bound = chance.random_range(0..=most);
    chance.random_range(0..=bound)
}

/// Mostly minutes, now and then hours, seldom days.
fn rarely_long(chance: &mut StdRng) -> Duration {
    match chance.random_range(0..10) {
        0..6 => minutes(up_to(chance, 30)),
        6..9 => minutes(up_to(chance, 600)),
        _ => minutes(up_to(chance, 4_000)),
    }
}

/// An hour either way, as daylight saving or a wrong zone brings it, or less.
fn a_step(chance: &mut StdRng) -> i64 {
    let size = if chance.random_ratio(1, 2) { 3_600_000 } else { chance.random_range(1_000..5_400_000) };
    if chance.random_ratio(1, 2) { size } else { -size }
}

/// Every pair of a life.
pub(super) fn pairs() -> impl Iterator<Item = (String, String)> {
    (0..ACCOUNTS).flat_map(|a| (0..PROGRAMS).map(move |p| (account(a), program(p))))
}

pub(super) fn account(number: u64) -> String {
    format!("wxaaaa{number:012}")
}

pub(super) fn program(number: u64) -> String {
    format!("wxbbbb{number:012}")
}
