//! What the last audit found, and the jobs that run by themselves.

use askama::Template;
use axum::{extract::State, response::Response};

use super::view::View;
use crate::{
    domain::text::format::rfc3339,
    engine::{audit::FINDINGS_MAX, whole_audit::WholeAudit},
    http::api::{problem::Problem, query::Query, state::Api},
    store::read::{
        actions::{ActionFilter, ActionView},
        audit::Finding,
    },
};

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage<'p> {
    view: &'p View,
    /// Nothing before the first audit of this process.
    findings: Option<Vec<Rule>>,
    /// The last audit of everything.
    whole: Option<Whole>,
    jobs: Vec<Job>,
    /// Who asked for an audit last.
    asked: Option<ActionView>,
}

/// An audit of every row and history.
struct Whole {
    action: String,
    ran_at: String,
    rules: Vec<Rule>,
}

/// All that breaks one rule.
struct Rule {
    name: String,
    found: Vec<Finding>,
    /// There may be more.
    is_cut: bool,
}

/// A job; moments as views write them.
struct Job {
    name: String,
    ran_at: Option<String>,
    due_at: Option<String>,
}

impl AuditPage<'_> {
    /// The page of what a finding is about, where there is one.
    fn page_of(&self, found: &Finding) -> Option<String> {
        let Finding { rule, subject, .. } = found;
        let path = match (rule.as_str(), subject.len()) {
            // Their ids have no page of their own.
            ("conflict_left_open" | "delivery_stuck" | "bad_row", _) => return None,
            ("alert_untold", 36) => "/alerts/",
            (_, 36) => "/requests/",
            (_, 18) if subject.starts_with("wx") => "/accounts/",
            _ => return None,
        };
        Some(self.view.url(&format!("{path}{subject}")))
    }
}

/// The page.
pub(super) async fn show(State(api): State<Api>, view: View, query: Query) -> Result<Response, Problem> {
    query.done()?;
    let jobs = api.reading(api.store().jobs()).await?.into_iter().map(|job| Job {
        name: job.name,
        ran_at: job.ran_at.map(rfc3339),
        due_at: job.due_at.map(rfc3339),
    });
    let asked = ActionFilter { action: Some("audit".to_owned()), ..ActionFilter::default() };
    let asked = api.reading(api.store().action_page(&asked, None, 1)).await?.pop();
    let findings = api.engine().findings().map(by_rule);
    let whole = api.engine().whole_audit().map(|WholeAudit { action, ran_at, findings }| Whole {
        action,
        ran_at: rfc3339(ran_at),
        rules: by_rule(findings),
    });
    Ok(view.page(&AuditPage { findings, whole, jobs: jobs.collect(), asked, view: &view }))
}

fn by_rule(findings: Vec<Finding>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for found in findings {
        match rules.iter_mut().find(|rule| rule.name == found.rule) {
            Some(rule) => rule.found.push(found),
            None => rules.push(Rule { name: found.rule.clone(), found: vec![found], is_cut: false }),
        }
    }
    for rule in &mut rules {
        rule.is_cut = rule.found.len() >= FINDINGS_MAX as usize;
    }
    rules
}
