//! Gathers what is counted and what the database shows, in the order of the catalog.

use std::{fmt, time::Duration};

use super::{
    Sources,
    page::{Page, Unit, count, timestamp},
    process,
};
use crate::{
    alerting::meters::{APPROVALS, DeliveryResult, StepClass},
    domain::{
        action::Via,
        alert_rules::Rule,
        alert_state::AlertState,
        decide::ConflictKind,
        gate::GateKind,
        request::{KIND_WORDS, StateKind},
        time::Time,
    },
    engine::Readings,
    schedule::CronJob,
    store::{
        SCHEMA,
        read::{
            audit::RULES,
            snapshot::{Owed, Snapshot, WaitsFor},
        },
    },
    wechat::meters::{Api, CallResult, Fetched},
};

/// Upper bounds of how late a poll begins.
const LATENESS: [Duration; 10] = [
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_hours(1),
];

/// Writes everything. Without figures of the database, as while it cannot be read, what is counted is written alone.
pub(super) fn write(page: &mut Page<'_>, sources: &Sources, started_at: Time, now: Option<&Snapshot>) -> fmt::Result {
    let schema = SCHEMA.to_string();
    page.gauges("amplinkd_build_info", [([env!("CARGO_PKG_VERSION"), &schema], 1.0)])?;
    process::write(page, started_at)?;
    let readings = sources.engine.readings();
    polls(page, sources, readings, now)?;
    calls(page, sources, readings, now)?;
    requests(page, sources, now)?;
    alerts(page, sources, now)?;
    database(page, sources, readings)?;
    jobs(page, sources, now)?;
    sources.http.write(page)?;
    page.gauge("amplinkd_scrape_snapshot_timestamp_seconds", timestamp(now.map(|now| now.taken_at)))
}

fn polls(page: &mut Page<'_>, sources: &Sources, readings: Readings, now: Option<&Snapshot>) -> fmt::Result {
    page.counter("amplinkd_loop_turns_total", readings.turns)?;
    page.gauge("amplinkd_agenda_accounts", count(readings.on_agenda))?;
    let results =
        [(["changed"], readings.changed), (["unchanged"], readings.unchanged), (["failed"], readings.failed_polls)];
    page.counters("amplinkd_polls_total", results)?;
    let lateness = sources.engine.lateness().folded(&LATENESS);
    page.histogram("amplinkd_poll_lateness_seconds", Unit::Microseconds, lateness)?;
    let Some(now) = now else { return Ok(()) };
    page.gauge("amplinkd_overdue_accounts", count(now.overdue))?;
    page.gauge("amplinkd_oldest_due_timestamp_seconds", timestamp(now.oldest_due))
}

fn calls(page: &mut Page<'_>, sources: &Sources, readings: Readings, now: Option<&Snapshot>) -> fmt::Result {
    let calls = sources.engine.calls();
    let of = |api: Api| CallResult::all().map(move |result| (api, result));
    let results = Api::ALL.into_iter().flat_map(of);
    let results = results.map(|(api, result)| ([api.as_str(), result.as_str()], calls.calls(api, result)));
    page.counters("amplinkd_wechat_calls_total", results)?;
    let word = |code: Option<i64>| code.map_or_else(|| "other".to_owned(), |code| code.to_string());
    let codes: Vec<(String, u64)> = calls.errcodes().map(|(code, count)| (word(code), count)).collect();
    page.counters("amplinkd_wechat_errcodes_total", codes.iter().map(|(code, count)| ([code.as_str()], *count)))?;
    let took = Api::ALL.map(|api| ([api.as_str()], calls.durations(api).read()));
    page.histograms("amplinkd_wechat_call_duration_seconds", Unit::Microseconds, took)?;
    page.gauge("amplinkd_wechat_in_flight", count(readings.in_flight))?;
    page.gauge("amplinkd_wechat_in_flight_limit", count(sources.engine.in_flight_max() as u64))?;
    if let Some(now) = now {
        let closed = |kind: GateKind| now.gates.get(kind.as_str()).copied().unwrap_or(0);
        page.gauges("amplinkd_gates", GateKind::ALL.map(|kind| ([kind.as_str()], count(closed(kind)))))?;
    }
    let fetches = Fetched::ALL.map(|fetched| ([fetched.as_str()], calls.tokens.fetches(fetched)));
    page.counters("amplinkd_token_fetches_total", fetches)?;
    let took = calls.tokens.durations().read();
    page.histogram("amplinkd_token_fetch_duration_seconds", Unit::Microseconds, took)?;
    if let Some(now) = now {
        page.gauge("amplinkd_accounts_without_token", count(now.without_token))?;
    }
    page.counter("amplinkd_budget_calls_total", readings.budget_calls)?;
    if let Some(now) = now {
        page.gauge("amplinkd_accounts_budget_exhausted", count(now.budget_exhausted))?;
    }
    page.gauge("amplinkd_budget_limit", f64::from(sources.engine.daily_budget()))
}

/// Whether a request of this kind can stand in this state.
fn is_legal(kind: &str, state: StateKind) -> bool {
    use StateKind::{AwaitingAccountAdmin, AwaitingProgramAdmin, Linked, Rejected};
    kind == KIND_WORDS[0] || ![AwaitingAccountAdmin, AwaitingProgramAdmin, Linked, Rejected].contains(&state)
}

fn requests(page: &mut Page<'_>, sources: &Sources, now: Option<&Snapshot>) -> fmt::Result {
    if let Some(now) = now {
        let of = |(kind, states): (&'static str, [u64; StateKind::ALL.len()])| {
            let legal = StateKind::ALL.into_iter().zip(states).filter(move |(state, _)| is_legal(kind, *state));
            legal.map(move |(state, requests)| ([kind, state.as_str()], count(requests)))
        };
        page.gauges("amplinkd_requests", KIND_WORDS.into_iter().zip(now.requests).flat_map(of))?;
    }
    let steps = StepClass::all().map(|class| {
        let StepClass { kind, to, cause } = class;
        ([kind, to.as_str(), cause.as_str()], sources.alerting.steps(class))
    });
    page.counters("amplinkd_transitions_total", steps)?;
    let accepted = Via::ALL.map(|via| ([via.as_str()], sources.alerting.accepted(via)));
    page.counters("amplinkd_requests_accepted_total", accepted)?;
    if let Some(now) = now {
        let oldest = WaitsFor::ALL.into_iter().zip(now.oldest);
        let oldest = oldest.map(|(whom, since)| ([whom.as_str()], timestamp(since)));
        page.gauges("amplinkd_oldest_waiting_timestamp_seconds", oldest)?;
    }
    let approvals = APPROVALS.into_iter().zip(sources.alerting.approvals());
    let approvals = approvals.map(|(stage, took)| ([stage.as_str()], took.read()));
    page.histograms("amplinkd_approval_duration_seconds", Unit::Microseconds, approvals)?;
    let Some(now) = now else { return Ok(()) };
    page.gauge("amplinkd_outcome_unknown_requests", count(now.outcome_unknown))?;
    let open = |kind: ConflictKind| now.conflicts.get(kind.as_str()).copied().unwrap_or(0);
    page.gauges("amplinkd_conflicts_open", ConflictKind::ALL.map(|kind| ([kind.as_str()], count(open(kind)))))
}

fn alerts(page: &mut Page<'_>, sources: &Sources, now: Option<&Snapshot>) -> fmt::Result {
    if let Some(now) = now {
        let open = |rule: Rule, state: AlertState| {
            now.alerts.get(&(rule.as_str().to_owned(), state.as_str().to_owned())).copied().unwrap_or(0)
        };
        let of = |rule: Rule| AlertState::OPEN.map(|state| ([rule.as_str(), state.as_str()], count(open(rule, state))));
        page.gauges("amplinkd_alerts", Rule::ALL.into_iter().flat_map(of))?;
    }
    let fired = Rule::ALL.map(|rule| ([rule.as_str()], sources.alerting.alerts_fired(rule)));
    page.counters("amplinkd_alerts_fired_total", fired)?;
    deliveries(page, sources, now)?;
    if let Some(now) = now {
        page.gauge("amplinkd_events_sequence", count(now.newest_event.unsigned_abs()))?;
        page.gauge("amplinkd_events_read_sequence", count(now.read_event.unsigned_abs()))?;
    }
    match sources.heartbeat.get() {
        Some(at) => page.gauge("amplinkd_heartbeat_last_success_timestamp_seconds", timestamp(Some(at))),
        None => Ok(()),
    }
}

fn deliveries(page: &mut Page<'_>, sources: &Sources, now: Option<&Snapshot>) -> fmt::Result {
    let channels = sources.deliveries.all();
    let tries = channels.iter().flat_map(|(name, meters)| {
        DeliveryResult::ALL.map(|result| ([name.as_str(), result.as_str()], meters.tries(result)))
    });
    page.counters("amplinkd_deliveries_total", tries)?;
    let took = channels.iter().map(|(name, meters)| ([name.as_str()], meters.took.read()));
    page.histograms("amplinkd_delivery_duration_seconds", Unit::Microseconds, took)?;
    let Some(now) = now else { return Ok(()) };
    // What is owed to channels that are gone is given up, and told of by the audit.
    let owed: Vec<(&str, Owed)> =
        channels.keys().map(|name| (name.as_str(), now.owed.get(name).copied().unwrap_or_default())).collect();
    let states = owed
        .iter()
        .flat_map(|(name, owed)| [([*name, "pending"], count(owed.pending)), ([*name, "dead"], count(owed.dead))]);
    page.gauges("amplinkd_deliveries_owed", states)?;
    let oldest = owed.iter().map(|(name, owed)| ([*name], timestamp(owed.oldest)));
    page.gauges("amplinkd_oldest_delivery_timestamp_seconds", oldest)
}

fn database(page: &mut Page<'_>, sources: &Sources, readings: Readings) -> fmt::Result {
    let store = sources.engine.store();
    let commits = store.commits();
    page.histogram("amplinkd_db_commit_duration_seconds", Unit::Microseconds, commits.took.read())?;
    page.histogram("amplinkd_db_commit_pieces", Unit::One, commits.pieces.read())?;
    let queue = store.queue();
    page.gauge("amplinkd_db_queue_pieces", count(queue.pieces as u64))?;
    page.gauge("amplinkd_db_queue_limit", count(queue.limit as u64))?;
    page.counter("amplinkd_db_refused_writes_total", readings.refused_writes)?;
    page.gauge("amplinkd_db_writable", if readings.unwritable_since.is_none() { 1.0 } else { 0.0 })?;
    page.gauge("amplinkd_db_size_bytes", count(store.bytes()))?;
    page.gauge("amplinkd_db_wal_bytes", count(store.log_bytes()))
}

fn jobs(page: &mut Page<'_>, sources: &Sources, now: Option<&Snapshot>) -> fmt::Result {
    if let Some(now) = now {
        let row = |job: CronJob| now.jobs.iter().find(|row| row.name == job.name());
        let ran = CronJob::ALL.map(|job| ([job.name()], timestamp(row(job).and_then(|row| row.ran_at))));
        page.gauges("amplinkd_job_last_success_timestamp_seconds", ran)?;
        let due = CronJob::ALL.map(|job| ([job.name()], timestamp(row(job).and_then(|row| row.due_at))));
        page.gauges("amplinkd_job_due_timestamp_seconds", due)?;
    }
    let findings = sources.engine.findings().unwrap_or_default();
    let of = |rule: &str| findings.iter().filter(|finding| finding.rule == rule).count();
    page.gauges("amplinkd_audit_findings", RULES.map(|rule| ([rule], count(of(rule) as u64))))?;
    let Some(now) = now else { return Ok(()) };
    let audit = now.jobs.iter().find(|row| row.name == CronJob::Audit.name());
    page.gauge("amplinkd_audit_last_run_timestamp_seconds", timestamp(audit.and_then(|row| row.ran_at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meters::HistogramReading;

    #[test]
    fn lateness_is_told_apart_from_a_millisecond_to_an_hour() {
        let HistogramReading { buckets, above, sum } =
            crate::engine::latency_histogram::LatencyHistogram::default().folded(&LATENESS);
        assert_eq!((buckets.len(), above, sum), (10, 0, 0));
        assert_eq!((buckets[0].0, buckets[9].0), (1_000, 3_600_000_000));
    }
}
