//! Documents about all of it: status, health, audit, plan, reports, the platform's component.

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::{bulk, desk::Desk};
use crate::{
    cli::{
        audit,
        context::{ExitStatus, note},
        plan, report, status, time_format,
    },
    domain::digest::Digest,
    engine::{
        approvals::ApprovalsReport, capacity_report::CapacityReport, component_status::ComponentStatus, status::Report,
    },
    remote::{Query, Repeat, Server},
    store::read::audit::Finding,
};

/// How much is audited.
#[derive(Debug, Serialize)]
struct Auditing {
    all: bool,
}

/// What an audit found just now.
#[derive(Debug, Deserialize)]
struct Audited {
    findings: Vec<Finding>,
}

/// An audit of everything that is under way.
#[derive(Debug, Deserialize)]
struct Begun {
    id: String,
}

/// The last audits of a daemon.
#[derive(Debug, Deserialize)]
struct LastAudit {
    ran_at: Option<String>,
    findings: Option<Vec<Finding>>,
    all: Option<AuditOfAll>,
}

/// The last audit of everything.
#[derive(Debug, Deserialize)]
struct AuditOfAll {
    action: String,
    findings: Vec<Finding>,
}

const AUDIT: &str = "/api/v1/audit";

/// One page about all of it.
pub(super) async fn status(desk: &Desk<'_>) -> anyhow::Result<ExitStatus> {
    status::print(desk.context, &desk.server.get::<Report>("/api/v1/status", &Query::new()).await?)
}

/// Says nothing where the daemon is ready.
///
/// # Errors
/// It is not.
pub(super) async fn health(desk: &Desk<'_>) -> anyhow::Result<ExitStatus> {
    let server: &Server = &desk.server;
    match server.probe("/readyz").await? {
        200..=299 => Ok(ExitStatus::Success),
        503 => bail!("not ready: the daemon says so; its log and `amplinkd status` say why"),
        status => bail!("not ready: /readyz answered {status}"),
    }
}

/// What an audit finds now. Whoever may not have one made is shown what the daemon's last one found.
pub(super) async fn audit(desk: &Desk<'_>, asked: &audit::Audit) -> anyhow::Result<ExitStatus> {
    if asked.all {
        return audit_all(desk).await;
    }
    match desk.server.post::<Audited>(AUDIT, &Auditing { all: false }, Repeat::Once).await {
        Ok(Audited { findings }) => audit::print(desk.context, findings, true),
        Err(failure) if failure.is("forbidden") => last_audit(desk).await,
        Err(failure) => Err(failure.into()),
    }
}

async fn last_audit(desk: &Desk<'_>) -> anyhow::Result<ExitStatus> {
    let LastAudit { ran_at, findings, .. } = desk.server.get(AUDIT, &Query::new()).await?;
    let findings = findings.context("the daemon has made no audit since it started: ask again in a few minutes")?;
    let itself = ran_at.map(|at| format!("; by itself it audited at {}", time_format::to_the_second(&at)));
    note(format!(
        "this token may not have an audit made: shown is what the daemon found last{}",
        itself.unwrap_or_default()
    ));
    audit::print(desk.context, findings, true)
}

/// Has everything audited by the daemon, and waits for it.
async fn audit_all(desk: &Desk<'_>) -> anyhow::Result<ExitStatus> {
    let Begun { id } = desk.server.post(AUDIT, &Auditing { all: true }, Repeat::Once).await?;
    note(format!("action {id}: the daemon goes on with it also without this command"));
    bulk::finished(desk, &id, "auditing").await?;
    let LastAudit { all, .. } = desk.server.get(AUDIT, &Query::new()).await?;
    let found = all.filter(|all| all.action == id);
    let found = found
        .context("the daemon was restarted, or audited again, before it could be asked what it found: try again")?;
    audit::print(desk.context, found.findings, true)
}

/// Demand, capacity and delay.
pub(super) async fn plan(desk: &Desk<'_>, asked: &plan::Plan) -> anyhow::Result<ExitStatus> {
    let query = Query::new().with("per_second", asked.per_second);
    plan::print(desk.context, &desk.server.get::<CapacityReport>("/api/v1/plan", &query).await?)
}

/// How long approvals took, or the day in figures.
pub(super) async fn report(desk: &Desk<'_>, asked: report::Report) -> anyhow::Result<ExitStatus> {
    if asked.digest {
        let digest: Digest = desk.server.get("/api/v1/reports/digest", &Query::new()).await?;
        report::digest::print_digest(desk.context, &digest, asked.language.as_deref(), desk.language)?;
        return Ok(ExitStatus::Success);
    }
    let asked = asked.checked()?;
    let query = Query::new()
        .with("by", asked.by_word())
        .with("account", asked.account.as_ref())
        .with_labels(&asked.labels)
        .with("since", asked.since.map(|since| format!("{}m", since.as_secs() / 60)));
    let found: ApprovalsReport = desk.server.get("/api/v1/reports/approvals", &query).await?;
    report::print_report(desk.context, &asked, desk.now(), &found)?;
    Ok(ExitStatus::Success)
}

/// The platform's own ticket and token.
pub(super) async fn component(desk: &Desk<'_>) -> anyhow::Result<ExitStatus> {
    let found = desk.server.find::<ComponentStatus>("/api/v1/component").await?;
    let found = found
        .context("the daemon knows no component: it does once it has started with [tokens] source = \"component\"")?;
    desk.context.print_one(&found)?;
    Ok(ExitStatus::Success)
}
