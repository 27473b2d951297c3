//! Every metric by its name, with its type, its labels and what it means: a public interface, as the views are. Names,
//! labels and their words change only by addition. No label names an account, a program, a request or a path, so that the
//! number of series does not grow with them.

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from 0 at the start of the process.
    Counter,
    /// It is as it is.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Kind {
    /// The word of the text formats.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// As Prometheus shows it.
    pub name: &'static str,
    /// What its numbers are.
    pub kind: Kind,
    /// The names of its labels, in their order.
    pub labels: &'static [&'static str],
    /// What it tells, in a sentence.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, labels, help }
}

/// All of them, in the order in which they are written.
pub const CATALOG: &[Metric] = &[
    gauge(
        "amplinkd_build_info",
        &["version", "schema"],
        "1, with the version of the program and of its database schema.",
    ),
    counter("process_cpu_seconds_total", &[], "Processor time used by the process, user and system."),
    gauge("process_resident_memory_bytes", &[], "Memory of the process that is in RAM."),
    gauge("process_open_fds", &[], "Open file descriptors."),
    gauge("process_max_fds", &[], "File descriptors that may be open."),
    gauge("process_start_time_seconds", &[], "When the process began, Unix time."),
    // Polls.
    counter(
        "amplinkd_loop_turns_total",
        &[],
        "Rounds of the main loop; while it stands still, nothing is polled or called.",
    ),
    gauge("amplinkd_agenda_accounts", &[], "Accounts in memory that have something due."),
    counter(
        "amplinkd_polls_total",
        &["result"],
        "Polls of an account's list, by whether it had changed or could not be read.",
    ),
    histogram("amplinkd_poll_lateness_seconds", &[], "How long after its due time a poll began."),
    gauge(
        "amplinkd_overdue_accounts",
        &[],
        "Accounts that should have been polled more than 15 minutes ago, beyond what the plan allows.",
    ),
    gauge(
        "amplinkd_oldest_due_timestamp_seconds",
        &[],
        "When the account was due that is due first, Unix time; 0 when none is.",
    ),
    // Calls.
    counter(
        "amplinkd_wechat_calls_total",
        &["api", "class"],
        "Calls to WeChat's link APIs, by the class of the answer.",
    ),
    counter(
        "amplinkd_wechat_errcodes_total",
        &["errcode"],
        "Answers of the link APIs with a code other than 0; codes that amplinkd does not know are `other`.",
    ),
    histogram(
        "amplinkd_wechat_call_duration_seconds",
        &["api"],
        "How long a call to WeChat took, whatever it came to.",
    ),
    gauge("amplinkd_wechat_in_flight", &[], "Polls and calls under way."),
    gauge("amplinkd_wechat_in_flight_limit", &[], "Polls and calls that may be under way at once."),
    gauge(
        "amplinkd_gates",
        &["kind"],
        "Holds that keep calls back by WeChat's word: a program's month, an account's month, an API's day, our IP address.",
    ),
    counter("amplinkd_token_fetches_total", &["result"], "Access tokens fetched from their source."),
    histogram("amplinkd_token_fetch_duration_seconds", &[], "How long fetching an access token took."),
    gauge("amplinkd_accounts_without_token", &[], "Accounts that cannot be read because there is no token for them."),
    counter("amplinkd_budget_calls_total", &[], "Polls taken from the daily budgets of their accounts."),
    gauge("amplinkd_accounts_budget_exhausted", &[], "Accounts whose polls of this Beijing day are used up."),
    gauge("amplinkd_budget_limit", &[], "Polls of one account in a Beijing day."),
    // Requests.
    gauge("amplinkd_requests", &["kind", "state"], "Requests by what they ask for and where they stand."),
    counter(
        "amplinkd_transitions_total",
        &["kind", "to", "cause"],
        "Steps of requests, by the state that they led to and where they came from; commands' steps count, too.",
    ),
    counter(
        "amplinkd_requests_accepted_total",
        &["via"],
        "Requests that were accepted, by the door that they came in by.",
    ),
    gauge(
        "amplinkd_oldest_waiting_timestamp_seconds",
        &["stage"],
        "Since when the request stands that waits longest for whom `stage` names, Unix time; 0 when none waits.",
    ),
    histogram("amplinkd_approval_duration_seconds", &["stage"], "How long an administrator took to agree."),
    gauge(
        "amplinkd_outcome_unknown_requests",
        &[],
        "Requests whose call may have been taken by WeChat; the account's list will tell.",
    ),
    gauge("amplinkd_conflicts_open", &["kind"], "Conflicts that are not resolved."),
    // Alerts and messages.
    gauge("amplinkd_alerts", &["rule", "state"], "Open alerts."),
    counter("amplinkd_alerts_fired_total", &["rule"], "Alerts that began to fire."),
    counter("amplinkd_deliveries_total", &["channel", "result"], "Tries to deliver a message, by what came of it."),
    histogram("amplinkd_delivery_duration_seconds", &["channel"], "How long a try to deliver a message took."),
    gauge(
        "amplinkd_deliveries_owed",
        &["channel", "state"],
        "Messages that wait for a channel, or were given up and are kept.",
    ),
    gauge(
        "amplinkd_oldest_delivery_timestamp_seconds",
        &["channel"],
        "When the oldest message was written that waits for a channel, Unix time; 0 when none waits.",
    ),
    gauge("amplinkd_events_sequence", &[], "The number of the newest event."),
    gauge("amplinkd_events_read_sequence", &[], "The number of the last event that alerting has read."),
    gauge(
        "amplinkd_heartbeat_last_success_timestamp_seconds",
        &[],
        "When a heartbeat last arrived that said that all is well, Unix time; 0 before the first. Only where [heartbeat] is configured.",
    ),
    // The database.
    histogram(
        "amplinkd_db_commit_duration_seconds",
        &[],
        "How long a transaction took, from its beginning to the disk.",
    ),
    histogram("amplinkd_db_commit_pieces", &[], "Pieces of work in one transaction."),
    gauge("amplinkd_db_queue_pieces", &[], "Pieces of work that wait to be written."),
    gauge("amplinkd_db_queue_limit", &[], "Pieces of work that may wait to be written."),
    counter("amplinkd_db_refused_writes_total", &[], "Writes that the file or its disk refused."),
    gauge(
        "amplinkd_db_writable",
        &[],
        "1 while the last write was taken, 0 while writes are refused and nothing is sent to WeChat.",
    ),
    gauge("amplinkd_db_size_bytes", &[], "Size of the database file."),
    gauge("amplinkd_db_wal_bytes", &[], "Size of the write-ahead log beside it."),
    // Jobs and the audit.
    gauge(
        "amplinkd_job_last_success_timestamp_seconds",
        &["job"],
        "When a cron job last ran to its end, Unix time; 0 before it first did.",
    ),
    gauge(
        "amplinkd_job_due_timestamp_seconds",
        &["job"],
        "When a cron job is due, Unix time; 0 for one that never is.",
    ),
    gauge(
        "amplinkd_audit_findings",
        &["rule"],
        "What the last audit of this process found, at most a hundred of each rule.",
    ),
    gauge(
        "amplinkd_audit_last_run_timestamp_seconds",
        &[],
        "When the audit last ran to its end, Unix time; 0 before it first did.",
    ),
    // HTTP.
    counter(
        "amplinkd_http_requests_total",
        &["method", "route", "code"],
        "Requests over HTTP, by the pattern of the path that they matched.",
    ),
    histogram(
        "amplinkd_http_request_duration_seconds",
        &["kind"],
        "How long a request over HTTP took until its answer began; event streams are left out.",
    ),
    gauge("amplinkd_http_event_streams", &[], "Event streams that are open."),
    counter(
        "amplinkd_http_auth_failures_total",
        &["reason"],
        "Requests and sign-ins that were refused for who they said they are.",
    ),
    // Of the figures themselves.
    gauge(
        "amplinkd_scrape_snapshot_timestamp_seconds",
        &[],
        "When the figures of the database were read, Unix time; they are read anew after 15 seconds. 0 while they cannot be read.",
    ),
];

/// The metric with this name.
#[must_use]
pub fn metric(name: &str) -> Option<&'static Metric> {
    CATALOG.iter().find(|metric| metric.name == name)
}
