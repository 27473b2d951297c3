//! The proof of the fast path: a listing that equals the last one may go unread until `reread_at` says otherwise, and
//! nothing is missed.

use amplinkd::domain::{
    decide::{Verdict, decide, verdict},
    listing::Status,
    observation::Observation as O,
    plan::{next_action, reread_at},
    policy::Policy,
    request::{Kind, State},
    time::Time,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::{
    START, after, link, minutes, refused, unlink,
    walk::{Life, Step, Teller, is_readable, kinds, listings, lives, policies, steps, waits},
};

/// The moments before `reread_at` at which the unchanged listing might come again; none when it must always be read.
fn unread(life: &Life, waits: &[std::time::Duration]) -> Vec<Time> {
    let until = reread_at(&life.request, &life.policy, life.now);
    let last_unread = until.map(|at| at - std::time::Duration::from_millis(1));
    waits
        .iter()
        .map(|wait| life.now + *wait)
        .chain(last_unread)
        .filter(|at| *at >= life.now && until.is_none_or(|until| *at < until))
        .collect()
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn reading_an_unchanged_listing_before_reread_at_would_change_nothing(
        mut life in lives(Teller::Lawful), listing in listings(), waits in prop::collection::vec(waits(), 8),
    ) {
        life.learn(listing.clone());
        for at in unread(&life, &waits) {
            let decision = decide(&life.request, &listing, &life.policy, at);
            prop_assert_eq!(verdict(&life.request, &listing, &life.policy, at), Verdict::Stay, "at {}", at);
            prop_assert!(!decision.changes(&life.request), "{:#?}\nwould become\n{decision:#?}", life.request);
            prop_assert!(decision.next.looked_at.is_none(), "it would have been called");
        }
    }

    /// The last listing may lie before other news: an answer, a quota, a person.
    #[test]
    fn whatever_was_learned_since_the_last_listing_it_may_go_unread_only_if_it_means_nothing(
        life in lives(Teller::Lawful), waits in prop::collection::vec(waits(), 8),
    ) {
        let Some((listing, _)) = &life.listing else { return Ok(()) };
        for at in unread(&life, &waits) {
            prop_assert_eq!(verdict(&life.request, listing, &life.policy, at), Verdict::Stay, "at {}", at);
        }
    }

    #[test]
    fn what_waits_for_a_second_look_or_for_time_is_always_read(life in lives(Teller::Lawful)) {
        let doubted = life.request.memory.doubt.is_some()
            && next_action(&life.request, &life.policy, life.now).is_some();
        let looks_first = matches!(life.request.state, State::Requested | State::Initiating(_));
        if doubted || looks_first {
            prop_assert_eq!(reread_at(&life.request, &life.policy, life.now), Some(life.now));
        }
    }
}

/// One daemon reads every listing, another lets unchanged ones go unread. Returns where their stories part.
fn parted(kind: Kind, policy: &Policy, steps: &[(bool, Step)]) -> Option<(Life, Life)> {
    let mut careful = Life::begin(kind, policy.clone());
    let mut fast = careful.clone();
    let mut listing: Option<O> = None;
    for (unchanged, step) in steps {
        let seen = match step {
            Step::Follow => {
                let seen = careful.follow();
                fast.now = careful.now;
                if let Some(seen) = seen {
                    fast.learn(seen);
                }
                continue;
            }
            Step::Learn(wait, seen) => {
                careful.now = careful.now + *wait;
                fast.now = careful.now;
                if is_readable(seen) && *unchanged { listing.clone().unwrap_or(seen.clone()) } else { seen.clone() }
            }
        };
        if !is_readable(&seen) {
            if careful.could_be_told(&seen) {
                careful.learn(seen.clone());
                fast.learn(seen);
            }
            continue;
        }
        careful.learn(seen.clone());
        let may_go_unread = reread_at(&fast.request, policy, fast.now).is_none_or(|at| fast.now < at);
        if listing.as_ref() != Some(&seen) || !may_go_unread {
            fast.learn(seen.clone());
        }
        listing = Some(seen);
        if (careful.request.state, careful.request.attempt) != (fast.request.state, fast.request.attempt) {
            return Some((careful, fast));
        }
    }
    (careful.story != fast.story).then_some((careful, fast))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_daemon_that_leaves_unchanged_listings_unread_tells_the_same_story(
        kind in kinds(), policy in policies(), steps in prop::collection::vec((prop::bool::weighted(0.7), steps()), 0..60),
    ) {
        let parted = parted(kind, &policy, &steps);
        prop_assert!(parted.is_none(), "{parted:#?}");
    }
}

/// The proof would be worth nothing if the fast path were never taken.
#[test]
fn the_fast_path_is_taken_where_people_wait_for_people() {
    let policy = Policy::default();
    let now = START + minutes(90);
    let called = [(0, O::Absent), (0, O::CallStarted), (0, O::CallAccepted)];
    let listed = |status| [&called[..], &[(1, O::Listed(status))]].concat();
    for status in [Status::AwaitingAccountAdmin, Status::AwaitingProgramAdmin, Status::Linked] {
        assert_eq!(reread_at(&after(link(), &listed(status), &policy), &policy, now), None, "{status:?}");
    }
    let unlinking =
        [(0, O::Listed(Status::Linked)), (0, O::CallStarted), (0, O::CallAccepted), (1, O::Listed(Status::Linked))];
    assert_eq!(reread_at(&after(unlink(), &unlinking, &policy), &policy, now), None);

    let mut runner = TestRunner::deterministic();
    let lives = std::iter::repeat_with(|| lives(Teller::Lawful).new_tree(&mut runner).expect("a life").current());
    let fast = lives.take(2_000).filter(|life| {
        life.request.is_open() && reread_at(&life.request, &life.policy, life.now).is_none_or(|at| at > life.now)
    });
    assert!(fast.count() > 50, "too few lives prove anything");
}

/// The list before the call equals every list after it: the account's console began the link and withdrew it at once.
#[test]
fn a_link_begun_in_the_console_that_is_never_listed_is_not_forgotten() {
    let policy = Policy::default();
    let mut request = after(link(), &[(0, O::Absent), (0, O::CallStarted), (0, refused(89_035))], &policy);
    for minute in [1, 9, 10] {
        let now = START + minutes(minute);
        assert_eq!(reread_at(&request, &policy, now), Some(now), "minute {minute}");
        request = decide(&request, &O::Absent, &policy, now).next;
    }
    assert_eq!(request.state, State::Lapsed);
}

/// The first listing without it came while the call was out, every later one is the same.
#[test]
fn an_unlink_that_takes_effect_before_its_answer_is_not_forgotten() {
    let policy = Policy::default();
    let seen = [(0, O::Listed(Status::Linked)), (0, O::CallStarted), (1, O::Absent), (1, O::CallAccepted)];
    let request = after(unlink(), &seen, &policy);
    let now = START + minutes(2);
    assert_eq!((request.state, reread_at(&request, &policy, now)), (State::Initiated, Some(now)));
    assert_eq!(after(request, &[(2, O::Absent), (3, O::Absent)], &policy).state, State::Unlinked);
}

#[test]
fn a_deferred_unlink_reads_every_listing_because_its_goal_needs_two() {
    let policy = Policy::default();
    let held_back = O::HeldBack { until: START + minutes(9_000), refusal: super::refusal(89_007) };
    let request = after(unlink(), &[(0, O::Listed(Status::Linked)), (0, held_back), (1, O::Absent)], &policy);
    let now = START + minutes(2);
    assert_eq!(reread_at(&request, &policy, now), Some(now));
    assert_eq!(after(request, &[(2, O::Absent)], &policy).state, State::Unlinked);
}
