//! The world of a simulation: who is there, what they are like, what goes wrong.

use rand::{RngExt, rngs::StdRng};

use super::generator::{account, pairs};
use crate::sim::{EmptyItems, Phase, Plan, PlanSet, Quotas, RejectedItem, Span, Switches, World};

/// How long a slow answer takes, in the machine's time.
pub(super) const SLOW: Span = Span::millis(2);

/// Items that are nobody's: so many that their list is read off the loop's threads.
const STRANGERS: u64 = 600;

/// What `WeChat` does not document is drawn once for a life; quotas and people, too. Hundreds of old rejections may stand in
/// one list, whether they name anybody or not.
pub(super) fn set_the_scene(world: &mut World, chance: &mut StdRng, now: i64) {
    let rarely = |chance: &mut StdRng| chance.random_ratio(1, 4);
    world.switches = Switches {
        listing_delay: Span::seconds(if rarely(chance) { chance.random_range(1..240) } else { 0 }),
        invitation_lifetime: rarely(chance).then(|| Span::hours(chance.random_range(24..200))),
        rejected_lifetime: rarely(chance).then(|| Span::hours(chance.random_range(1..200))),
        rejected_item: match chance.random_range(0..4) {
            0 => RejectedItem::StaysBeside,
            1 => RejectedItem::ReplacedAfter(Span::seconds(chance.random_range(1..240))),
            _ => RejectedItem::Replaced,
        },
        rejected_items_have_appid: chance.random_bool(0.5),
        lists_the_account_itself: rarely(chance),
        numbers_as_strings: rarely(chance),
        escaped_slashes: rarely(chance),
        empty_items: match chance.random_range(0..16) {
            0 => EmptyItems::Null,
            1 => EmptyItems::Absent,
            2 => EmptyItems::WxopensArray,
            3 => EmptyItems::NoWxopens,
            _ => EmptyItems::Array,
        },
        unlink_needs_approval: !rarely(chance),
        month_rolls_late_by: Span::minutes(if rarely(chance) { chance.random_range(1..400) } else { 0 }),
        day_rolls_late_by: Span::minutes(if rarely(chance) { chance.random_range(1..400) } else { 0 }),
        token_lifetime: if rarely(chance) { Span::minutes(chance.random_range(1..60)) } else { Span::hours(2) },
        ..Switches::default()
    };
    world.quotas = Quotas {
        program_links_per_month: rarely(chance).then(|| chance.random_range(1..4)),
        other_owner_links_per_month: rarely(chance).then(|| chance.random_range(1..4)),
        links_held: rarely(chance).then(|| chance.random_range(2..5)),
        calls_per_day: rarely(chance).then(|| chance.random_range(200..400)),
        ..Quotas::default()
    };
    world.faults.slow_for = SLOW;
    for number in 0..if rarely(chance) { STRANGERS } else { 0 } {
        // What the world does not let in stays away.
        let _ = world.place(&account(0), &format!("wxcccc{number:012}"), Phase::Rejected, now);
    }
    for (account, program) in pairs() {
        let mut plan = || match chance.random_range(0..10) {
            0..5 => Plan::ApprovesAfter(Span::minutes(chance.random_range(1..3_000))),
            5..7 => Plan::RefusesAfter(Span::minutes(chance.random_range(1..3_000))),
            7 => Plan::ExpiresAfter(Span::minutes(chance.random_range(60..6_000))),
            _ => Plan::NeverAnswers,
        };
        let plans = PlanSet { account_admin: Some(plan()), program_admin: Some(plan()), unlink: Some(plan()) };
        world.plans.set(Some(&account), Some(&program), plans);
    }
}
