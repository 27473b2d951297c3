//! What Prometheus sees of a daemon in the small world. Stories read the text as a scraper does.

#![expect(clippy::float_cmp, clippy::cast_precision_loss, reason = "a text has counts, and times to the millisecond")]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    process::{Command, Stdio},
};

use amplinkd::{
    alerting::meters::LastHeard,
    http::{
        metrics as door,
        server::{self, Limits, Listener},
    },
    metrics::{
        Format, Metrics, Sources,
        catalog::{self, CATALOG},
        http::HttpMeters,
    },
    shutdown::Shutdown,
    sim::refuses_after,
    store::Role,
};

use super::{alerts::Guarded, *};

/// Metrics that have no series while nothing of them happened, or where the world lacks what they tell of.
const SOMETIMES: [&str; 6] = [
    "amplinkd_http_requests_total",
    "amplinkd_heartbeat_last_success_timestamp_seconds",
    "amplinkd_deliveries_total",
    "amplinkd_delivery_duration_seconds",
    "amplinkd_deliveries_owed",
    "amplinkd_oldest_delivery_timestamp_seconds",
];

/// Everything that a text has: series by their name and labels.
#[derive(Debug, Clone)]
struct Scrape {
    text: String,
    series: BTreeMap<String, f64>,
}

impl Scrape {
    async fn of(metrics: &Metrics) -> Self {
        Self::read(metrics.text(Format::Prometheus).await)
    }

    fn read(text: String) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let series = samples.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        Self { series: series.collect(), text }
    }

    /// The value of a series as it is written.
    fn get(&self, series: &str) -> f64 {
        *self.series.get(series).unwrap_or_else(|| panic!("{series} is missing:\n{}", self.text))
    }

    /// The types that are declared.
    fn types(&self) -> BTreeMap<&str, &str> {
        let declared = self.text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        declared.map(|line| line.split_once(' ').unwrap()).collect()
    }

    /// Series without a sample.
    fn empty(&self) -> BTreeSet<&str> {
        let has_series = |name: &str, kind: &str| {
            let first = if kind == "histogram" { format!("{name}_bucket{{") } else { name.to_owned() };
            self.series.keys().any(|series| {
                series
                    .strip_prefix(&first)
                    .is_some_and(|rest| kind == "histogram" || rest.is_empty() || rest.starts_with('{'))
            })
        };
        self.types().into_iter().filter(|(name, kind)| !has_series(name, kind)).map(|(name, _)| name).collect()
    }
}

/// What is measured of the daemon of a story.
fn measured(guarded: &Guarded) -> Metrics {
    let daemon = &guarded.daemon;
    Metrics::new(Sources {
        engine: Arc::clone(daemon.engine()),
        alerting: daemon.watch.as_ref().unwrap().meters(),
        deliveries: guarded.delivery_meters(),
        heartbeat: LastHeard::default(),
        http: HttpMeters::default(),
    })
}

#[tokio::test]
async fn every_metric_is_there_from_the_start_with_its_type_and_a_help_text() {
    let guarded = Guarded::start().await;
    let scrape = Scrape::of(&measured(&guarded)).await;
    let declared = scrape.types();
    for metric in CATALOG.iter().filter(|metric| !SOMETIMES.contains(&metric.name)) {
        assert_eq!(declared.get(metric.name), Some(&metric.kind.as_str()), "{}", metric.name);
        assert!(scrape.text.contains(&format!("# HELP {} {}\n", metric.name, metric.help)), "{}", metric.name);
        assert!(!scrape.empty().contains(metric.name), "{} has no series", metric.name);
    }
    let known: BTreeSet<&str> = CATALOG.iter().map(|metric| metric.name).collect();
    assert!(declared.keys().all(|name| known.contains(name)), "one is not in the catalog: {declared:?}");
    assert_eq!(scrape.get("amplinkd_transitions_total{kind=\"link\",to=\"linked\",cause=\"listing\"}"), 0.0);
}

#[tokio::test]
async fn names_and_labels_keep_the_rules_of_their_kind() {
    for metric in CATALOG {
        let is_ours = metric.name.starts_with("amplinkd_") != metric.name.starts_with("process_");
        assert!(is_ours, "{}", metric.name);
        assert_eq!(metric.name.ends_with("_total"), metric.kind == catalog::Kind::Counter, "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
        for label in metric.labels {
            assert!(!["account", "program", "request", "path", "user", "token"].contains(label), "{}", metric.name);
        }
    }
}

#[tokio::test]
async fn there_are_about_seven_hundred_series_however_many_accounts_and_programs_there_are() {
    let mut guarded = Guarded::start().await;
    let metrics = measured(&guarded);
    let before = Scrape::of(&metrics).await.series.len();
    for number in 0..60 {
        let (account, program) = (format!("wxaaaa{number:012}"), format!("wxbbbb{number:012}"));
        guarded.daemon.ask(wish(Kind::Link(LinkOptions::default()), &account, &program)).await;
    }
    guarded.run_for(hours(3)).await;
    let after = Scrape::of(&metrics).await;
    assert_eq!(after.get("amplinkd_requests{kind=\"link\",state=\"linked\"}"), 60.0);
    assert_eq!(after.series.len(), before, "the same series");
    assert!((500..800).contains(&before), "{before}");
    assert!(!after.text.contains("wxaaaa") && !after.text.contains("wxbbbb"), "no account is named");
}

#[tokio::test]
async fn a_link_is_seen_in_polls_calls_steps_and_approvals() {
    let mut guarded = Guarded::start().await;
    let metrics = measured(&guarded);
    guarded.daemon.link().await;
    guarded.run_for(minutes(30)).await;
    let waiting = Scrape::of(&metrics).await;
    assert_eq!(waiting.get("amplinkd_requests{kind=\"link\",state=\"awaiting_account_admin\"}"), 1.0);
    let since = waiting.get("amplinkd_oldest_waiting_timestamp_seconds{stage=\"account_admin\"}");
    assert!((since - MORNING.ms() as f64 / 1_000.0).abs() < 60.0, "{since}");
    assert_eq!(waiting.get("amplinkd_oldest_waiting_timestamp_seconds{stage=\"program_admin\"}"), 0.0);

    guarded.run_for(hours(3)).await;
    let over = Scrape::of(&metrics).await;
    assert_eq!(over.get("amplinkd_wechat_calls_total{api=\"wxamplink\",class=\"done\"}"), 1.0);
    let calls = over.get("amplinkd_wechat_calls_total{api=\"wxamplinkget\",class=\"done\"}");
    let polls: f64 = ["changed", "unchanged", "failed"]
        .map(|result| over.get(&format!("amplinkd_polls_total{{result=\"{result}\"}}")))
        .iter()
        .sum();
    assert!(polls > 3.0, "{polls}");
    assert_eq!(calls, polls, "every poll is a call");
    assert_eq!(over.get("amplinkd_poll_lateness_seconds_count"), polls);
    assert_eq!(over.get("amplinkd_wechat_call_duration_seconds_count{api=\"wxamplink\"}"), 1.0);
    assert_eq!(
        over.get("amplinkd_token_fetches_total{result=\"granted\"}"),
        over.get("amplinkd_token_fetch_duration_seconds_count")
    );
    assert!(over.get("amplinkd_budget_calls_total") >= polls);
    for (to, cause) in
        [("requested", "accepted"), ("initiating", "call"), ("initiated", "answer"), ("linked", "listing")]
    {
        let series = format!("amplinkd_transitions_total{{kind=\"link\",to=\"{to}\",cause=\"{cause}\"}}");
        assert_eq!(over.get(&series), 1.0, "{series}");
    }
    assert_eq!(over.get("amplinkd_requests_accepted_total{via=\"cli\"}"), 1.0);
    for stage in ["account_admin", "program_admin"] {
        assert_eq!(over.get(&format!("amplinkd_approval_duration_seconds_count{{stage=\"{stage}\"}}")), 1.0);
        let took = over.get(&format!("amplinkd_approval_duration_seconds_sum{{stage=\"{stage}\"}}"));
        assert!((3_000.0..5_400.0).contains(&took), "about an hour: {took}");
    }
    assert!(over.get("amplinkd_db_commit_pieces_count") > 5.0);
    assert_eq!(over.get("amplinkd_db_writable"), 1.0);
    assert!(over.get("amplinkd_db_size_bytes") > 0.0 && over.get("amplinkd_db_wal_bytes") > 10_000.0);
    assert_eq!(over.get("amplinkd_events_sequence"), over.get("amplinkd_events_read_sequence"));
}

#[tokio::test]
async fn steps_that_a_command_writes_are_counted_by_the_daemon() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.nobody_answers();
    let metrics = measured(&guarded);
    let id = guarded.daemon.link().await;
    guarded.run_for(minutes(5)).await;
    // As another process does: through the file alone.
    let location = crate::place::location(guarded.daemon.database(), 0o640);
    let other = Store::open(&location, Role::Tool).await.unwrap();
    let clock: Arc<dyn Clock> = guarded.daemon.clock.clone();
    let command = amplinkd::engine::record::Recorder::new(other.clone(), clock, Policy::default());
    let request = command.store().request(&id).await.unwrap().unwrap();
    let cancel = amplinkd::domain::observation::Observation::CancelAsked;
    command.observe(&request, &cancel, amplinkd::store::Record::default()).await.unwrap();
    other.close().await;
    guarded.run_for(minutes(1)).await;
    let scrape = Scrape::of(&metrics).await;
    assert_eq!(scrape.get("amplinkd_transitions_total{kind=\"link\",to=\"cancelled\",cause=\"operator\"}"), 1.0);
}

#[tokio::test]
async fn unlinks_are_told_apart_from_links_and_their_oldest_is_found() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.link().await;
    guarded.run_for(hours(3)).await;
    guarded.daemon.nobody_answers();
    guarded.daemon.unlink().await;
    guarded.run_for(hours(2)).await;
    let scrape = Scrape::of(&measured(&guarded)).await;
    assert_eq!(scrape.get("amplinkd_requests{kind=\"unlink\",state=\"initiated\"}"), 1.0);
    assert_eq!(scrape.get("amplinkd_requests{kind=\"link\",state=\"initiated\"}"), 0.0);
    assert_eq!(scrape.get("amplinkd_requests{kind=\"link\",state=\"linked\"}"), 1.0);
    let since = scrape.get("amplinkd_oldest_waiting_timestamp_seconds{stage=\"unlink\"}");
    let asked = (MORNING + hours(3)).ms() as f64 / 1_000.0;
    assert!((since - asked).abs() < 120.0, "{since} for {asked}");
    assert_eq!(scrape.get("amplinkd_oldest_waiting_timestamp_seconds{stage=\"initiated\"}"), 0.0);
}

#[tokio::test]
async fn codes_and_alerts_are_counted_by_what_they_are() {
    let mut guarded = Guarded::start().await;
    let metrics = measured(&guarded);
    guarded.daemon.people(PlanSet {
        account_admin: Some(approves_after(Span::minutes(10))),
        program_admin: Some(refuses_after(Span::minutes(10))),
        unlink: None,
    });
    guarded.daemon.link().await;
    guarded.daemon.sim.world().account(OTHER_ACCOUNT).answers_always = Some(48_001);
    guarded.daemon.ask(wish(Kind::Link(LinkOptions::default()), OTHER_ACCOUNT, OTHER_PROGRAM)).await;
    guarded.run_for(hours(2)).await;
    let scrape = Scrape::of(&metrics).await;
    assert!(scrape.get("amplinkd_wechat_errcodes_total{errcode=\"48001\"}") >= 1.0);
    assert!(scrape.get("amplinkd_wechat_calls_total{api=\"wxamplinkget\",class=\"permission_missing\"}") >= 1.0);
    assert_eq!(scrape.get("amplinkd_wechat_errcodes_total{errcode=\"other\"}"), 0.0);
    assert_eq!(scrape.get("amplinkd_alerts{rule=\"rejected\",state=\"firing\"}"), 1.0);
    assert_eq!(scrape.get("amplinkd_alerts_fired_total{rule=\"rejected\"}"), 1.0);
    assert_eq!(scrape.get("amplinkd_alerts{rule=\"account_suspended\",state=\"firing\"}"), 1.0);
    assert!(scrape.get("amplinkd_polls_total{result=\"failed\"}") >= 1.0);
}

#[tokio::test]
async fn the_database_is_asked_every_fifteen_seconds_at_most_and_what_is_counted_is_there_without_it() {
    let mut guarded = Guarded::start().await;
    let metrics = measured(&guarded);
    let first = Scrape::of(&metrics).await;
    let read_at = first.get("amplinkd_scrape_snapshot_timestamp_seconds");
    guarded.daemon.link().await;
    guarded.settle().await;
    guarded.daemon.clock.advance(seconds(14));
    let (one, other) = tokio::join!(Scrape::of(&metrics), Scrape::of(&metrics));
    for scrape in [one, other] {
        assert_eq!(scrape.get("amplinkd_scrape_snapshot_timestamp_seconds"), read_at);
        assert_eq!(scrape.get("amplinkd_events_sequence"), 0.0, "as it was");
        assert!(scrape.get("amplinkd_polls_total{result=\"changed\"}") >= 1.0, "as it is");
    }
    guarded.daemon.clock.advance(seconds(1));
    let later = Scrape::of(&metrics).await;
    assert!(later.get("amplinkd_events_sequence") > 0.0);
    assert_eq!(later.get("amplinkd_scrape_snapshot_timestamp_seconds"), read_at + 15.0);

    // Nobody can read it any more; the figures grow old, and say so.
    let polls = later.get("amplinkd_poll_lateness_seconds_count");
    guarded.daemon.store().clone().close().await;
    guarded.daemon.clock.advance(minutes(5));
    let cut_off = Scrape::of(&metrics).await;
    assert_eq!(cut_off.get("amplinkd_scrape_snapshot_timestamp_seconds"), read_at + 15.0);
    assert_eq!(cut_off.get("amplinkd_poll_lateness_seconds_count"), polls);
    let blind = Scrape::of(&measured(&guarded)).await;
    assert_eq!(blind.get("amplinkd_scrape_snapshot_timestamp_seconds"), 0.0);
    assert!(!blind.text.contains("\namplinkd_requests{"), "what is not known is not 0");
    assert_eq!(blind.get("amplinkd_poll_lateness_seconds_count"), polls);
}

/// Both formats, as a scraper asks for them over HTTP, and what the layer counts of that.
#[tokio::test]
async fn prometheus_gets_the_format_that_it_asks_for_and_its_requests_are_counted() {
    let guarded = Guarded::start().await;
    let metrics = measured(&guarded);
    let (scraped, counted) = (metrics.clone(), metrics.clone());
    let scrape = move |headers: axum::http::HeaderMap| {
        let scraped = scraped.clone();
        async move { door::scrape(&scraped, &headers).await }
    };
    let count = move |request: axum::extract::Request, next: axum::middleware::Next| {
        let counted = counted.clone();
        async move { door::count(&counted, request, next).await }
    };
    let app = axum::Router::new().route("/metrics", axum::routing::get(scrape));
    let app = app.layer(axum::middleware::from_fn(count));
    let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}/metrics", listener.address().unwrap());
    let shutdown = Shutdown::new();
    let serving = tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            server::serve(
                listener,
                app,
                Limits { connections: 8, request: seconds(10), answer: seconds(10) },
                &shutdown,
            )
            .await;
        }
    });
    let client = reqwest::Client::new();
    let ask = async |url: &str, accept: &str| client.get(url).header("accept", accept).send().await.unwrap();

    let plain = ask(&url, "*/*").await;
    assert_eq!(plain.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(plain.headers()["cache-control"], "no-store");
    let plain = plain.text().await.unwrap();
    assert!(!plain.contains("# EOF"));
    let open = ask(&url, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5").await;
    assert_eq!(open.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let open = open.text().await.unwrap();
    assert!(open.ends_with("# EOF\n") && open.contains("# TYPE amplinkd_loop_turns counter\n"), "{open}");
    let strays = ask(&url.replace("/metrics", "/nowhere/wx0123456789abcdef"), "*/*").await;
    assert_eq!(strays.status().as_u16(), 404);

    let scrape = Scrape::read(ask(&url, "*/*").await.text().await.unwrap());
    assert_eq!(scrape.get("amplinkd_http_requests_total{method=\"GET\",route=\"/metrics\",code=\"200\"}"), 2.0);
    assert_eq!(scrape.get("amplinkd_http_requests_total{method=\"GET\",route=\"other\",code=\"404\"}"), 1.0);
    assert_eq!(scrape.get("amplinkd_http_request_duration_seconds_count{kind=\"metrics\"}"), 2.0);
    assert!(!scrape.text.contains("wx0123456789abcdef"));
    shutdown.ask();
    serving.await.unwrap();
}

/// Debian's `promtool` reads a text as Prometheus does, and knows the rules for names.
#[tokio::test]
async fn promtool_has_nothing_to_say_against_a_text() {
    let mut guarded = Guarded::start().await;
    let metrics = measured(&guarded);
    guarded.daemon.link().await;
    guarded.run_for(hours(3)).await;
    let text = metrics.text(Format::Prometheus).await;
    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut promtool) = promtool else {
        crate::skip::skipped("there is no promtool: apt-get install prometheus");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    assert!(said.status.success() && said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
}
