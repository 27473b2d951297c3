//! A world described in a file: plans, switches, quotas, faults.

use serde::{Deserialize, Serialize};

use super::{faults::Faults, plan::PlanSet, quota::Quotas, switches::Switches, world::World};

/// The plans of a pair, of an account or program with every other, or of everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanRule {
    /// The account; absent: every one.
    pub account: Option<String>,
    /// The program; absent: every one.
    pub program: Option<String>,
    /// See [`PlanSet::account_admin`].
    pub account_admin: Option<super::Plan>,
    /// See [`PlanSet::program_admin`].
    pub program_admin: Option<super::Plan>,
    /// See [`PlanSet::unlink`].
    pub unlink: Option<super::Plan>,
}

/// What `amplinkd simulate --plans` reads. Everything may be left out; an unknown key is an error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// What administrators will do.
    pub plan: Vec<PlanRule>,
    /// What WeChat does not document; absent: as it stands.
    pub switches: Option<Switches>,
    /// The limits; absent: as they stand.
    pub quotas: Option<Quotas>,
    /// The faults; absent: as they stand.
    pub faults: Option<Faults>,
}

impl PlanRule {
    pub(super) fn apply(&self, world: &mut World) {
        let plans =
            PlanSet { account_admin: self.account_admin, program_admin: self.program_admin, unlink: self.unlink };
        world.plans.set(self.account.as_deref(), self.program.as_deref(), plans);
    }
}

/// A rate that is no chance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rate of {0:?} must be from 0 to 1")]
pub struct WrongRate(pub(super) super::FaultKind);

impl Scenario {
    /// Brings a world into the described state; what already waits keeps its plan.
    ///
    /// # Errors
    ///
    /// A fault's rate is not from 0 to 1; nothing was changed.
    pub fn apply(&self, world: &mut World) -> Result<(), WrongRate> {
        if let Some(kind) = self.faults.as_ref().and_then(Faults::wrong_rate) {
            return Err(WrongRate(kind));
        }
        for rule in &self.plan {
            rule.apply(world);
        }
        if let Some(switches) = &self.switches {
            world.switches = switches.clone();
        }
        if let Some(quotas) = &self.quotas {
            world.quotas = quotas.clone();
        }
        if let Some(faults) = &self.faults {
            world.faults = faults.clone();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::FaultKind;
    use super::*;

    #[test]
    fn a_scenario_file_describes_a_world() {
        let text = r#"
            [[plan]]
            account_admin = "approves after 2h"
            [[plan]]
            program = "wxprogram"
            program_admin = "never answers"
            [switches]
            rejected_item = "stays beside"
            [quotas]
            calls_per_day = 500
            [faults]
            rates = { lost_answer = 0.1 }
        "#;
        let scenario: Scenario = toml::from_str(text).unwrap();
        let mut world = World::new(1);
        scenario.apply(&mut world).unwrap();
        assert_eq!(world.quotas.calls_per_day, Some(500));
        assert!(world.faults.rates.contains_key(&FaultKind::LostAnswer));
        assert!(toml::from_str::<Scenario>("[switches]\nno_such = true").is_err());
    }

    #[test]
    fn a_rate_that_is_no_chance_changes_nothing() {
        let text = "[quotas]\ncalls_per_day = 5\n[faults]\nrates = { slow = 1.5 }";
        let scenario: Scenario = toml::from_str(text).unwrap();
        let mut world = World::new(1);
        let wrong = scenario.apply(&mut world);
        assert_eq!(wrong, Err(WrongRate(FaultKind::Slow)));
        assert_eq!(world.quotas, Quotas::default());
    }
}
