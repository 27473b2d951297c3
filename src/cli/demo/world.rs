//! The demo's world: administrators with habits, links that others started, a few faults.

use std::collections::{BTreeMap, HashMap};

use crate::{
    domain::request::{Kind, LinkOptions},
    engine::wish::Wish,
    sim::{
        Api, CallLogEntry, FaultKind, Faults, Phase, Plan, PlanSet, Sim, Span, approves_after, expires_after,
        never_answers, refuses_after,
    },
};

/// Requests per account, about: one list serves them all.
const PER_ACCOUNT: u32 = 3;

/// Programs that the accounts ask for.
const PROGRAMS: u32 = 40;

/// Bad luck for about one call in thirty, answers lost after the fact among it.
pub(super) fn luck() -> Faults {
    let mut luck = Faults::mild();
    // On a clock this fast a real second is an hour.
    luck.slow_for = Span::millis(30);
    luck.rates.insert(FaultKind::LostAnswer, 0.01);
    luck.rates.insert(FaultKind::ItemsWithoutAppid, 0.002);
    luck
}

/// Gives everybody their habits, and lets others begin a few links first.
pub(super) fn furnish(sim: &Sim, requests: u32) {
    let now = sim.now();
    let mut world = sim.world();
    // Invitations that nobody answers vanish one day; how long that takes at WeChat is unknown.
    world.switches.invitation_lifetime = Some(Span::hours(40));
    for number in 0..requests {
        let (account, program) = (account(number), program(number));
        let plans = PlanSet {
            account_admin: Some(account_admin(number)),
            program_admin: Some(program_admin(number)),
            unlink: None,
        };
        world.plans.set(Some(&account), Some(&program), plans);
        // What cannot be placed is there already: an account names a program once.
        let _ = match number % 50 {
            11 => world.place(&account, &program, Phase::Linked, now),
            23 => world.place(&account, &program, Phase::AwaitingAccountAdmin, now),
            37 => world.console_link(&account, &program, now),
            41 => world.place(&account, &program, Phase::Rejected, now),
            _ => Ok(()),
        };
    }
}

/// What the demo asks for.
pub(super) fn wishes(sim: &Sim, requests: u32) -> Vec<Wish> {
    let mut world = sim.world();
    (0..requests)
        .filter_map(|number| {
            let (account, program) = (account(number), program(number));
            Some(Wish {
                kind: Kind::Link(LinkOptions::default()),
                username: world.program(&program).username.parse().ok(),
                account: account.parse().ok()?,
                program: program.parse().ok()?,
                key: None,
                labels: BTreeMap::from([("demo".to_owned(), "yes".to_owned())]),
            })
        })
        .collect()
}

/// Invitations beyond the first that one attempt sent: what must never happen. Each attempt makes one call, so it is
/// an invitation that followed a delivered "yes" for the same pair.
pub(super) fn doubled(ledger: &[CallLogEntry]) -> usize {
    let mut taken: HashMap<(&str, &str), bool> = HashMap::new();
    let invitations = ledger.iter().filter(|call| call.api == Api::Link && call.effect);
    invitations
        .filter(|call| {
            let known = taken.entry((&call.account, &call.program)).or_insert(false);
            let was_known = *known;
            *known |= call.delivered;
            was_known
        })
        .count()
}

/// The accounts of so many requests.
pub(super) fn accounts(requests: u32) -> Vec<String> {
    (0..requests).step_by(usize::try_from(PER_ACCOUNT).unwrap_or(1)).map(account).collect()
}

fn account(number: u32) -> String {
    format!("wxacc{:013}", number / PER_ACCOUNT)
}

/// Programs of one account differ, and every program is asked for by many accounts.
fn program(number: u32) -> String {
    format!("wxapp{:013}", (number / PER_ACCOUNT * 7 + number % PER_ACCOUNT) % PROGRAMS)
}

fn account_admin(number: u32) -> Plan {
    match number % 20 {
        3 => never_answers(),
        9 => refuses_after(Span::hours(5)),
        other => approves_after(Span::minutes(i64::from(other) * 47 + 3)),
    }
}

fn program_admin(number: u32) -> Plan {
    match number % 17 {
        2 => refuses_after(Span::hours(3)),
        5 => expires_after(Span::hours(20)),
        other => approves_after(Span::minutes(i64::from(other) * 31 + 2)),
    }
}
