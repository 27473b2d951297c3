//! Tests of the pure world: calls, administrators and time, without HTTP.

use super::*;

const ACCOUNT: &str = "wxaccount";
const PROGRAM: &str = "wxprogram";

/// 2026-01-31T15:00:00Z, an hour before February in Beijing.
const START: i64 = 1_769_871_600_000;

fn world(account_admin: Plan, program_admin: Plan) -> World {
    let mut world = World::new(1);
    world.plans.set(
        None,
        None,
        PlanSet { account_admin: Some(account_admin), program_admin: Some(program_admin), unlink: None },
    );
    world
}

fn after(span: Span) -> i64 {
    START + span.as_millis()
}

fn link(world: &mut World, now: i64) -> i64 {
    world.link(ACCOUNT, PROGRAM, Flags::default(), now).errcode
}

fn statuses(world: &mut World, now: i64) -> Vec<i64> {
    let listing = world.listing(ACCOUNT, now).unwrap();
    listing.items.iter().map(Item::status).collect()
}

fn linked() -> World {
    let mut world = world(approves_after(Span::hours(1)), never_answers());
    world.place(ACCOUNT, PROGRAM, Phase::Linked, START).unwrap();
    world
}

#[test]
fn both_administrators_agree() {
    let mut world = world(approves_after(Span::hours(2)), approves_after(Span::hours(5)));
    assert_eq!(link(&mut world, START), 0);
    assert_eq!(statuses(&mut world, START), [12]);
    assert_eq!(statuses(&mut world, after(Span::hours(2)) - 1), [12]);
    assert_eq!(statuses(&mut world, after(Span::hours(2))), [2]);
    assert_eq!(statuses(&mut world, after(Span::hours(7)) - 1), [2]);
    assert_eq!(statuses(&mut world, after(Span::hours(7))), [1]);
    assert_eq!(link(&mut world, after(Span::hours(8))), 89015);
    assert_eq!(world.invitations(ACCOUNT, PROGRAM), 1);
}

#[test]
fn waits_follow_each_other_even_when_nobody_looked() {
    let mut world = world(approves_after(Span::hours(2)), approves_after(Span::hours(5)));
    link(&mut world, START);
    advance(&mut world, after(Span::days(1)));
    assert_eq!(world.links(ACCOUNT)[0].since, after(Span::hours(7)));
}

#[test]
fn an_account_admin_who_refuses_leaves_nothing_behind() {
    let mut world = world(refuses_after(Span::hours(2)), never_answers());
    link(&mut world, START);
    assert!(statuses(&mut world, after(Span::hours(2))).is_empty());
}

#[test]
fn an_ignored_invitation_expires() {
    let mut world = world(never_answers(), never_answers());
    world.switches.invitation_lifetime = Some(Span::days(3));
    link(&mut world, START);
    assert_eq!(statuses(&mut world, after(Span::days(3)) - 1), [12]);
    assert!(statuses(&mut world, after(Span::days(3))).is_empty());
}

#[test]
fn an_invitation_in_flight_is_not_sent_again() {
    let mut world = world(never_answers(), never_answers());
    link(&mut world, START);
    assert_eq!(link(&mut world, START), 89010);
    world.approve(ACCOUNT, PROGRAM, By::AccountAdmin, START).unwrap();
    assert_eq!(link(&mut world, START), 89010);
    assert_eq!(world.invitations(ACCOUNT, PROGRAM), 1);
}

#[test]
fn a_link_begun_in_the_console_cannot_be_begun_again() {
    let mut world = world(never_answers(), never_answers());
    world.console_link(ACCOUNT, PROGRAM, START).unwrap();
    assert_eq!(statuses(&mut world, START), [2]);
    assert_eq!(link(&mut world, START), 89035);
}

#[test]
fn what_becomes_of_a_rejected_item_is_a_switch() {
    let again = |rejected_item| {
        let mut world = world(approves_after(Span::hours(1)), refuses_after(Span::hours(1)));
        world.switches.rejected_item = rejected_item;
        link(&mut world, START);
        let now = after(Span::hours(2));
        assert_eq!(statuses(&mut world, now), [3]);
        assert_eq!(link(&mut world, now), 0);
        let later = now + Span::minutes(10).as_millis();
        (statuses(&mut world, now), statuses(&mut world, later))
    };
    assert_eq!(again(RejectedItem::Replaced), (vec![12], vec![12]));
    assert_eq!(again(RejectedItem::StaysBeside), (vec![3, 12], vec![3, 12]));
    let slow = RejectedItem::ReplacedAfter(Span::minutes(10));
    assert_eq!(again(slow), (vec![3], vec![12]));
}

#[test]
fn a_new_item_may_appear_late() {
    let mut world = world(never_answers(), never_answers());
    world.switches.listing_delay = Span::seconds(30);
    link(&mut world, START);
    assert!(statuses(&mut world, START).is_empty());
    assert_eq!(link(&mut world, START), 89010);
    assert_eq!(statuses(&mut world, after(Span::seconds(30))), [12]);
}

#[test]
fn an_unlink_waits_for_the_account_admin() {
    let mut world = linked();
    assert_eq!(world.unlink(ACCOUNT, PROGRAM, START).errcode, 0);
    assert_eq!(world.unlink(ACCOUNT, PROGRAM, START).errcode, 89018);
    assert_eq!(statuses(&mut world, START), [1]);
    let agreed = after(Span::hours(1));
    assert!(statuses(&mut world, agreed).is_empty());
    assert_eq!(world.unlink(ACCOUNT, PROGRAM, agreed).errcode, -1);
    world.switches.cycles_max = Some(1);
    assert_eq!(link(&mut world, agreed), 1005);
}

#[test]
fn an_unlink_that_is_refused_leaves_the_link() {
    let mut world = linked();
    world.unlink(ACCOUNT, PROGRAM, START);
    world.refuse(ACCOUNT, PROGRAM, By::AccountAdmin, START).unwrap();
    assert_eq!(statuses(&mut world, after(Span::days(9))), [1]);
    assert_eq!(world.unlink(ACCOUNT, PROGRAM, START).errcode, 0);
}

#[test]
fn some_programs_cannot_be_linked_or_unlinked() {
    let mut world = linked();
    world.program(PROGRAM).nearby = true;
    assert_eq!(world.unlink(ACCOUNT, PROGRAM, START).errcode, 89011);
    world.program(PROGRAM).nearby = false;
    world.program(PROGRAM).store = true;
    assert_eq!(world.unlink(ACCOUNT, PROGRAM, START).errcode, 89012);
    world.remove(ACCOUNT, PROGRAM, START).unwrap();
    world.program(PROGRAM).banned = true;
    assert_eq!(link(&mut world, START), 89013);
    world.program(PROGRAM).overseas = true;
    assert_eq!(link(&mut world, START), 89008);
}

#[test]
fn a_programs_quota_holds_on_every_account_until_the_beijing_month_rolls() {
    let mut world = world(never_answers(), never_answers());
    world.quotas.program_links_per_month = Some(1);
    let call = |world: &mut World, account, now| {
        let flags = Flags::default();
        world.link(account, PROGRAM, flags, now).errcode
    };
    assert_eq!(call(&mut world, "wxone", START), 0);
    assert_eq!(call(&mut world, "wxtwo", START), 89007);
    let february = after(Span::hours(1));
    assert_eq!(call(&mut world, "wxtwo", february), 0);
}

#[test]
fn months_and_days_may_roll_late() {
    let mut world = world(never_answers(), never_answers());
    world.switches.month_rolls_late_by = Span::hours(3);
    world.switches.day_rolls_late_by = Span::minutes(90);
    world.quotas.program_links_per_month = Some(1);
    assert_eq!(world.link("wxone", PROGRAM, Flags::default(), START).errcode, 0);
    let call = |world: &mut World, hours| world.link("wxtwo", PROGRAM, Flags::default(), after(hours)).errcode;
    assert_eq!([1, 3, 4].map(|hours| call(&mut world, Span::hours(hours))), [89007, 89007, 0]);

    world.quotas.calls_per_day = Some(1);
    assert!(world.listing("wxthree", START).is_ok());
    let list = |world: &mut World, minutes| world.listing("wxthree", after(Span::minutes(minutes))).is_ok();
    assert_eq!([60, 149, 150].map(|minutes| list(&mut world, minutes)), [false, false, true]);
}

#[test]
fn an_accounts_quotas_depend_on_the_owner() {
    let mut world = world(never_answers(), never_answers());
    world.quotas.same_owner_links_per_month = Some(0);
    world.account(ACCOUNT).owner = "us".into();
    world.program(PROGRAM).owner = "us".into();
    assert_eq!(link(&mut world, START), 89016);
    world.program(PROGRAM).owner = "them".into();
    world.quotas.other_owner_links_per_month = Some(0);
    assert_eq!(link(&mut world, START), 89017);
    world.quotas = Quotas::default();
    world.quotas.operations_per_month = Some(0);
    assert_eq!(link(&mut world, START), 89030);
    world.quotas = Quotas::default();
    world.quotas.links_held = Some(0);
    assert_eq!(link(&mut world, START), 89009);
    world.quotas = Quotas::default();
    assert_eq!(link(&mut world, START), 0);
}

#[test]
fn a_days_calls_are_limited_per_account_and_api() {
    let mut world = world(never_answers(), never_answers());
    world.quotas.calls_per_day = Some(1);
    assert!(world.listing(ACCOUNT, START).is_ok());
    assert_eq!(world.listing(ACCOUNT, START), Err(45009));
    assert!(world.listing("wxother", START).is_ok());
    assert_eq!(link(&mut world, START), 0);
    assert!(world.listing(ACCOUNT, after(Span::hours(1))).is_ok());
}

#[test]
fn a_strict_world_knows_only_what_was_described() {
    let mut world = world(never_answers(), never_answers());
    world.switches.strict = true;
    assert_eq!(world.listing(ACCOUNT, START), Err(61003));
    world.account(ACCOUNT);
    assert_eq!(link(&mut world, START), 40013);
    world.program(PROGRAM);
    assert_eq!(link(&mut world, START), 0);
}

#[test]
fn the_wrong_kind_of_appid_is_refused() {
    let mut world = linked();
    assert_eq!(world.listing(PROGRAM, START), Err(48001));
    let flags = Flags::default();
    assert_eq!(world.link("wxother", ACCOUNT, flags, START).errcode, -1);
}

#[test]
fn an_administrator_can_only_answer_what_waits_for_them() {
    let mut world = world(never_answers(), never_answers());
    let by = By::ProgramAdmin;
    assert!(world.approve(ACCOUNT, PROGRAM, by, START).is_err());
    link(&mut world, START);
    let phase = Phase::AwaitingAccountAdmin;
    assert_eq!(world.approve(ACCOUNT, PROGRAM, by, START), Err(NoSuchMove::WaitsForAnother { phase }));
}
