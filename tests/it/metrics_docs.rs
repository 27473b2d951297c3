//! What documents, rules and the dashboard say of metrics: every name that they use exists, every metric is described, and
//! every rule leads to what to do.

use std::collections::BTreeSet;

use amplinkd::metrics::catalog::{CATALOG, Kind};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../docs/metrics.md");
const ALERTS: &str = include_str!("../../docs/alerts.md");
const RULES: &str = include_str!("../../config/prometheus.rules.yml");
const RULE_TESTS: &str = include_str!("../../config/prometheus.rules.test.yml");
const DASHBOARD: &str = include_str!("../../config/grafana-dashboard.json");

/// Words that begin like a metric and are none.
const NO_METRICS: [&str; 1] = ["amplinkd_token"];

/// Every `amplinkd_…` and `process_…` of a text.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("amplinkd_") || word.starts_with("process_")).collect()
}

/// Whether a series of this name is written.
fn is_written(name: &str) -> bool {
    CATALOG.iter().any(|metric| match metric.kind {
        Kind::Counter | Kind::Gauge => metric.name == name,
        Kind::Histogram => {
            name.strip_prefix(metric.name).is_some_and(|rest| ["_bucket", "_sum", "_count"].contains(&rest))
        }
    })
}

#[test]
fn rules_and_dashboard_name_metrics_that_there_are() {
    for (file, text) in [("rules", RULES), ("their tests", RULE_TESTS), ("dashboard", DASHBOARD)] {
        let used = names(text);
        assert!(used.len() > 10, "{file}: {used:?}");
        let unknown: Vec<&str> = used.into_iter().filter(|name| !is_written(name)).collect();
        assert!(unknown.is_empty(), "{file} names what is no series: {unknown:?}");
    }
}

#[test]
fn every_metric_is_on_the_dashboard() {
    let shown = names(DASHBOARD);
    let missing: Vec<&str> = CATALOG
        .iter()
        .map(|metric| metric.name)
        .filter(|name| !shown.iter().any(|shown| shown.starts_with(name)))
        .filter(|name| *name != "process_start_time_seconds")
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_document_describes_every_metric_and_no_other() {
    let rows: Vec<&str> =
        DOCUMENT.lines().filter(|line| line.starts_with("| `amplinkd_") || line.starts_with("| `process_")).collect();
    for metric in CATALOG {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        let row = format!("| `{}` | {} | {labels} | {} |", metric.name, metric.kind.as_str(), metric.help);
        assert!(rows.contains(&row.as_str()), "docs/metrics.md lacks\n{row}");
    }
    assert_eq!(rows.len(), CATALOG.len(), "each once");
    let unknown: Vec<&str> = names(DOCUMENT)
        .into_iter()
        .filter(|name| !NO_METRICS.contains(name) && !CATALOG.iter().any(|metric| metric.name == *name))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn every_rule_is_explained_tested_and_leads_to_what_to_do() {
    let alerts: Vec<&str> = RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(alerts.iter().collect::<BTreeSet<_>>().len(), alerts.len(), "each once");
    for part in ["summary: ", "description: ", "runbook_url: ", "severity: "] {
        let lines = RULES.lines().filter(|line| line.trim_start().starts_with(part)).count();
        assert_eq!(lines, alerts.len(), "{part}");
    }
    for alert in alerts {
        let anchor = alert.to_lowercase();
        assert!(RULES.contains(&format!("runbook_url: docs/alerts.md#{anchor}\n")), "{alert} has no runbook");
        assert!(ALERTS.contains(&format!("\n### {alert}\n")), "docs/alerts.md does not say what to do about {alert}");
        let fires = RULE_TESTS.contains(&format!("runbook_url: docs/alerts.md#{anchor}\n"));
        assert!(fires, "no test in which {alert} fires");
    }
}

#[test]
fn the_dashboard_can_be_imported_and_shows_one_daemon_or_all() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&str> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "instance"]);
    let panels = dashboard["panels"].as_array().unwrap();
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let place = &panel["gridPos"];
        let (x, y, width) = (place["x"].as_u64().unwrap(), place["y"].as_u64().unwrap(), place["w"].as_u64().unwrap());
        assert!(x + width <= 24 && places.insert((x, y)), "{panel}");
        assert!(!panel["title"].as_str().unwrap().is_empty());
        if panel["type"] == "row" {
            continue;
        }
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel}");
            assert!(target["expr"].as_str().unwrap().contains("instance=~\"$instance\""), "{panel}");
        }
    }
}
