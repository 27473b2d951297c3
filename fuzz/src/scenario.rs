//! A file of `amplinkd simulate --plans`: plans, switches, quotas and faults, and a world that lives by them. It must
//! never let a world stop.

use amplinkd::sim::{Flags, Scenario, World, advance};

use super::ending::{ACCOUNT, PROGRAM};

/// When the simulated world begins.
const START: i64 = 1_773_100_800_000;

/// Moments at which the world is looked at, in milliseconds from its start: at once, and up to more than a month later.
const MOMENTS: [i64; 6] = [0, 1, 60_000, 7_200_000, 86_400_000, 40 * 86_400_000];

/// Every property of one file.
pub fn hold(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(scenario) = toml::from_str::<Scenario>(text) else { return };
    let mut world = World::new(1);
    if let Err(wrong) = scenario.apply(&mut world) {
        assert!(!wrong.to_string().is_empty());
        assert_eq!(world.quotas, World::new(1).quotas, "a refused file changed the world");
        return;
    }
    let written = toml::to_string(&scenario).expect("a scenario can be written down");
    assert_eq!(toml::from_str::<Scenario>(&written).as_ref(), Ok(&scenario), "written down as {written}");
    for after in MOMENTS {
        let now = START + after;
        world.link(ACCOUNT, PROGRAM, Flags::default(), now);
        world.unlink(ACCOUNT, PROGRAM, now);
        advance(&mut world, now);
        drop(world.listing(ACCOUNT, now));
    }
}
