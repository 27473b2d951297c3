//! What people must know about the daemons that share a database. One of them tells it for all.

use super::AlertEvaluator;
use crate::{
    domain::{
        alert_rules::{Count, Rule, SystemCondition},
        tenure::member::Ahead,
        time::Time,
    },
    store::{StoreError, server::nodes::Standing},
};

/// The rules that are looked at here.
pub(super) const OF_CLUSTER: [Rule; 4] = [Rule::LeaseFree, Rule::NodeSilent, Rule::ClockDiffers, Rule::ConfigDiffers];

impl AlertEvaluator {
    /// How the daemons do; nothing in a file, which has one.
    pub(super) async fn cluster(&self) -> Result<Vec<SystemCondition>, StoreError> {
        Ok(self.store().standing().await?.map(conditions).unwrap_or_default())
    }
}

fn conditions(standing: Standing) -> Vec<SystemCondition> {
    let Standing { free, silent, living } = standing;
    let known = Time::default();
    let free = free.map(|(count, example, since)| SystemCondition::LeaseFree { count: Count(count), example, since });
    let silent = silent.into_iter().map(|(node, since)| SystemCondition::NodeSilent { node, since });
    let differs = living.windows(2).any(|pair| pair[0].2 != pair[1].2);
    let nodes = || living.iter().map(|(node, ..)| node.clone()).collect();
    let config = differs.then(|| SystemCondition::ConfigDiffers { nodes: nodes(), since: known });
    let apart = living.iter().filter(|(_, ahead_ms, _)| Ahead(*ahead_ms).differs());
    let apart = apart.map(|(node, ahead_ms, _)| SystemCondition::ClockDiffers {
        node: node.clone(),
        ahead_ms: *ahead_ms,
        since: known,
    });
    free.into_iter().chain(silent).chain(config).chain(apart).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_daemons_is_told_each_by_its_rule() {
        let living = |name: &str, ahead_ms, hash: &str| (name.to_owned(), ahead_ms, hash.to_owned());
        let well = Standing { living: vec![living("a", 2_000, "x"), living("b", -2_000, "x")], ..Standing::default() };
        assert_eq!(conditions(well), []);
        let since = Time::from_ms(5);
        let ill = Standing {
            free: Some((2, "house".to_owned(), since)),
            silent: vec![("c".to_owned(), since)],
            living: vec![living("a", 2_001, "x"), living("b", 0, "y")],
        };
        let known = Time::default();
        let expected = [
            SystemCondition::LeaseFree { count: Count(2), example: "house".to_owned(), since },
            SystemCondition::NodeSilent { node: "c".to_owned(), since },
            SystemCondition::ConfigDiffers { nodes: vec!["a".to_owned(), "b".to_owned()], since: known },
            SystemCondition::ClockDiffers { node: "a".to_owned(), ahead_ms: 2_001, since: known },
        ];
        assert_eq!(conditions(ill), expected);
    }
}
