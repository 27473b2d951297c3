//! Draws the next action of a simulation: of requests, people, the network, the machine.

use std::time::Duration;

use rand::{Rng, RngExt, rngs::StdRng};

use crate::sim::{ComponentApi, FaultKind};

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
    /// Something about a platform that keeps its tokens itself.
    OfTokens(TokenAction),
}

/// What happens to a platform that keeps its tokens itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenAction {
    /// An account authorizes the platform, or does so anew: with the permission set that links need, or without.
    Authorizes(bool),
    /// An account takes its authorization back.
    Revokes,
    /// Within one second, an account takes it back and grants it again, or the other way.
    ChangesItsMind,
    /// The owner of an account changes the password.
    PasswordChanges,
    /// A refresh token is lost, and the list has another one, or none.
    RefreshTokenIsLost(bool),
    /// For so long nothing is pushed; it comes late then, or never.
    PushesStay(Duration, bool),
    /// A push goes out again, once or often, now or later.
    PushedAgain(Duration),
    /// Pushes go out while nobody can write into the database.
    PushedWhileLocked,
    /// The process ends, pushes go out to nobody, and it begins again after this long.
    PushedToNobody(Duration),
    /// The tokens of the component die.
    ComponentTokensDie,
    /// `WeChat` does the next call of this kind, and its answer does not arrive.
    AnswerIsLost(ComponentApi, FaultKind),
    /// `WeChat` does the next call of this kind, and the process dies before it can write the answer down.
    DiesBeforeTheDisk(ComponentApi),
    /// The day's calls of the platform are used up, or not any more.
    DayIsUsedUp,
    /// Our address is refused for a while.
    AddressIsRefused,
    /// The component's secret is changed in `WeChat`'s console; later the daemon gets it, too.
    SecretChanges,
    /// So many other systems ask for an account's token at once.
    ManyAsk(usize),
    /// An operator asks for an account's next token, or for the whole list.
    OperatorAsks(bool),
}

/// Draws what happens next to a platform that keeps its tokens itself: what happens to every life, and more.
pub(super) fn draw_with_tokens(chance: &mut StdRng) -> Action {
    if chance.random_ratio(2, 3) { draw(chance) } else { Action::OfTokens(draw_of_tokens(chance)) }
}

fn draw_of_tokens(chance: &mut StdRng) -> TokenAction {
    const LOST: [FaultKind; 5] = [
        FaultKind::LostAnswer,
        FaultKind::BusyAfter,
        FaultKind::TruncatedJson,
        FaultKind::EmptyBody,
        FaultKind::HtmlPage,
    ];
    const FETCHES: [ComponentApi; 3] =
        [ComponentApi::ComponentToken, ComponentApi::AuthorizerToken, ComponentApi::QueryAuth];
    let api = FETCHES[chance.random_range(0..FETCHES.len())];
    match chance.random_range(0..100) {
        0..20 => TokenAction::Authorizes(chance.random_ratio(4, 5)),
        20..26 => TokenAction::Revokes,
        26..29 => TokenAction::ChangesItsMind,
        29..33 => TokenAction::PasswordChanges,
        33..38 => TokenAction::RefreshTokenIsLost(chance.random_bool(0.7)),
        38..45 => TokenAction::PushesStay(minutes(up_to(chance, 1_000)), chance.random_bool(0.4)),
        45..52 => TokenAction::PushedAgain(minutes(up_to(chance, 120))),
        52..54 => TokenAction::PushedWhileLocked,
        54..58 => TokenAction::PushedToNobody(rarely_long(chance)),
        58..62 => TokenAction::ComponentTokensDie,
        62..70 => TokenAction::AnswerIsLost(api, LOST[chance.random_range(0..LOST.len())]),
        70..80 => TokenAction::DiesBeforeTheDisk(api),
        80..83 => TokenAction::DayIsUsedUp,
        83..86 => TokenAction::AddressIsRefused,
        86..88 => TokenAction::SecretChanges,
        88..95 => TokenAction::ManyAsk(usize::from(chance.random_range(2..60_u8))),
        _ => TokenAction::OperatorAsks(chance.random_bool(0.5)),
    }
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
