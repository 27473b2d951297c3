//! What docs/events.md promises: real events are as its schema says, and nothing of them is unsaid; its examples are
//! events; its recipes check what a webhook really sends.

mod schema;

use std::{
    collections::BTreeSet,
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use amplinkd::{
    clock::{Clock as _, SystemClock},
    domain::{
        action,
        alert_rules::Rule,
        event::{OutboxEvent, to_json},
        id::RequestId,
        message::Message,
        text::{Language, Localized, Report, render},
        time::{BEIJING, Time},
    },
    notify::{Channel, ChannelSettings, Kind as ChannelKind, cloudevents::cloud_event},
    sim::{Flags, PlanSet, Span, approves_after},
    store::{
        Role, Store,
        write::nudges::{NewNudge, Occasion},
    },
};
use serde_json::Value;
use sqlx::AnyConnection;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use self::schema::Schema;
use crate::place;
use crate::story::{ACCOUNT, OTHER_PROGRAM, PROGRAM, alerts::Guarded, days, hours, minutes, to_link};

const DOCUMENT: &str = include_str!("../../docs/events.md");

/// The secret that the document uses, too.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Every fenced block of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    crate::database_docs::blocks(DOCUMENT, language)
}

fn document_schema() -> Value {
    let [schema] = blocks("json-schema")[..] else { panic!("one schema") };
    serde_json::from_str(schema).unwrap()
}

fn message(told: &OutboxEvent) -> Message {
    render::message(told, Language::En, &BEIJING, None)
}

/// As a webhook sends it.
fn sent(told: &OutboxEvent) -> Value {
    serde_json::from_str(&cloud_event(&message(told))).unwrap()
}

/// What a daemon wrote down, in its order.
async fn outbox(connection: &mut AnyConnection) -> Vec<OutboxEvent> {
    let sql = "SELECT id, type, subject, partition_key, seq, at, data FROM outbox ORDER BY seq";
    let rows: Vec<(String, String, String, String, i64, i64, String)> =
        sqlx::query_as(sql).fetch_all(connection).await.unwrap();
    let told = |(id, kind, subject, partition_key, sequence, at, data)| OutboxEvent {
        id,
        kind,
        subject,
        partition_key,
        sequence,
        at: Time::from_ms(at),
        data,
    };
    rows.into_iter().map(told).collect()
}

/// A daemon's weeks: somebody else's invitation, an administrator who answers after days, an account that is suspended.
async fn weeks() -> Vec<OutboxEvent> {
    let mut guarded = Guarded::start().await;
    guarded.daemon.nobody_answers();
    let now = guarded.daemon.sim.now();
    guarded.daemon.sim.world().switches.listing_delay = Span::minutes(5);
    guarded.daemon.sim.world().link(ACCOUNT, PROGRAM, Flags::default(), now);
    let mut wish = to_link(ACCOUNT, PROGRAM);
    wish.labels.insert("customer".to_owned(), "0042".to_owned());
    let link = guarded.daemon.ask(wish).await;
    guarded.daemon.ask(to_link(ACCOUNT, OTHER_PROGRAM)).await;
    guarded.run_for(days(3)).await;
    nudge(&guarded, &link).await;
    amplinkd::alerting::digest::record(guarded.daemon.engine(), "digest").await.unwrap();
    guarded.daemon.people(PlanSet {
        account_admin: Some(approves_after(Span::hours(1))),
        program_admin: Some(approves_after(Span::hours(1))),
        unlink: None,
    });
    guarded.agree();
    guarded.run_for(hours(5)).await;
    guarded.daemon.sim.world().account(ACCOUNT).answers_always = Some(61_003);
    guarded.run_for(days(1) + minutes(30)).await;
    outbox(&mut guarded.daemon.connection().await).await
}

/// A reminder that is to be sent.
async fn nudge(guarded: &Guarded, link: &RequestId) {
    let request = guarded.daemon.request(link).await;
    let nudge = NewNudge {
        request_id: link.to_string(),
        account: request.account.to_string(),
        program: request.program.to_string(),
        state: request.state.as_str(),
        since: request.since,
        stage: "account_admin",
        language: "zh",
        channel: Some("ops".to_owned()),
        title: "……".to_owned(),
        text: "您好".to_owned(),
    };
    let now = guarded.daemon.clock.now();
    let occasion = Occasion { now, min_interval: days(1), effect_within: days(1) };
    guarded.daemon.store().nudge(vec![nudge], occasion, action::By::simulated()).await.unwrap();
}

/// A link and an unlink, each with its beginning and a step from every state to the same.
const STEPS: &str = "
    INSERT INTO account (account, state, since) VALUES ('wxaaaa000000000009', 'active', 0);
    INSERT INTO request (id, kind, account, program, notify_users, show_profile, state, outcome_unknown, since, requested_at,
                         attempt, baseline_rejected, labels, version, last_seq, chain)
    SELECT '0197c2da-6f70-7182-9394-0000000000' || k.value, k.key, 'wxaaaa000000000009', 'wxbbbb000000000009', 0, 0,
           'requested', 0, 0, 0, 0, 0, '{\"customer\":\"0042\"}', 0, 1, zeroblob(32)
    FROM json_each('{\"link\":10,\"unlink\":11}') AS k;
    WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 12)
    INSERT INTO log (at, request, step, from_state, to_state, cause, hash, attempt, refusal)
    SELECT 1772439330123, r.row, c.n + 1, CASE c.n WHEN 0 THEN NULL ELSE c.n - 1 END, max(c.n - 1, 0), c.n > 0,
           CAST(printf('%032d', r.row * 100 + c.n) AS BLOB), c.n, CASE WHEN c.n > 5 THEN 89010 END
    FROM request AS r, c WHERE r.account = 'wxaaaa000000000009'";

/// Every step that a request can have told, of both kinds.
async fn steps() -> Vec<OutboxEvent> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    Store::open(&place::location(&path, 0o600), Role::Tool).await.unwrap().close().await;
    let mut connection = place::connection(&path).await;
    sqlx::raw_sql(STEPS).execute(&mut connection).await.unwrap();
    let told = outbox(&mut connection).await;
    assert_eq!(told.len(), 26);
    told
}

/// An event as an operator's own system gets it, in ASCII.
fn digest() -> OutboxEvent {
    let words = Report { title: "98 wait".to_owned(), ..Report::default() };
    OutboxEvent {
        id: "0197c2da-6f70-7182-9394-afb02c3d4e5f".to_owned(),
        kind: "amplinkd.digest".to_owned(),
        subject: "digest".to_owned(),
        partition_key: "digest".to_owned(),
        sequence: 8,
        at: Time::from_ms(0),
        data: to_json(&Localized { en: words.clone(), zh: words }),
    }
}

/// An alert's event with more of its kind than are listed.
fn crowd(lived: &[OutboxEvent]) -> Value {
    let alert = lived.iter().find(|told| told.kind.starts_with("amplinkd.alert.")).unwrap();
    let mut data: Value = serde_json::from_str(&alert.data).unwrap();
    let one = data["alerts"][0].clone();
    data["alerts"] = Value::from(vec![one; 501]);
    sent(&OutboxEvent { data: data.to_string(), ..alert.clone() })
}

async fn everything() -> Vec<Value> {
    weeks().await.iter().chain(&steps().await).map(sent).collect()
}

/// The paths of all objects in a value, the outermost first.
fn objects(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.push(path.to_owned());
            fields.iter().for_each(|(name, field)| objects(field, &format!("{path}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| objects(item, &format!("{path}/{at}"), found));
        }
        _ => {}
    }
}

#[tokio::test]
async fn events_are_as_the_schema_says_and_nothing_of_them_is_unsaid() {
    let (schema, events) = (document_schema(), everything().await);
    let schema = Schema::new(&schema);
    for event in &events {
        assert_eq!(schema.faults(event), Vec::<String>::new(), "{event:#}");
        let mut places = Vec::new();
        objects(event, "", &mut places);
        // Labels have the names that people give them.
        for place in places.iter().filter(|place| !place.ends_with("/labels")) {
            let mut changed = event.clone();
            changed.pointer_mut(place).unwrap()["surprise"] = Value::from(1);
            assert!(!schema.faults(&changed).is_empty(), "{place} may have any field: {event:#}");
        }
        for name in event.as_object().unwrap().keys() {
            let mut lacking = event.clone();
            lacking.as_object_mut().unwrap().remove(name);
            assert!(!schema.faults(&lacking).is_empty(), "{name} may be missing");
        }
    }
}

#[tokio::test]
async fn the_document_tells_of_no_type_and_no_field_that_never_comes() {
    let (schema, lived) = (document_schema(), weeks().await);
    let crowd = crowd(&lived);
    assert_eq!(Schema::new(&schema).faults(&crowd), Vec::<String>::new());
    let events: Vec<Value> = lived.iter().chain(&steps().await).map(sent).chain([crowd]).collect();
    let types: BTreeSet<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    let mut described = BTreeSet::new();
    for branch in schema["else"]["oneOf"].as_array().unwrap() {
        let kind = &branch["properties"]["type"];
        described.extend(kind["const"].as_str());
        described.extend(kind["enum"].as_array().into_iter().flatten().filter_map(Value::as_str));
    }
    assert_eq!(types, described);
    let text = serde_json::to_string(&events).unwrap();
    for (name, definition) in schema["$defs"].as_object().unwrap().iter().filter(|(name, _)| *name != "test") {
        for field in definition["properties"].as_object().into_iter().flatten().map(|(field, _)| field) {
            assert!(text.contains(&format!("\"{field}\":")), "{name}.{field} never comes");
        }
    }
}

#[test]
fn the_schema_names_every_rule_and_no_other() {
    let schema = document_schema();
    let named: BTreeSet<&str> =
        schema["$defs"]["rule"]["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(named, BTreeSet::from(Rule::ALL.map(Rule::as_str)));
}

#[test]
fn the_examples_are_events() {
    let schema = document_schema();
    let sample = DOCUMENT.lines().find(|line| line.starts_with("{\"specversion\"")).expect("the sample of a POST");
    let examples = blocks("json");
    assert!(examples.len() >= 4);
    for example in examples.into_iter().chain([sample]) {
        let example: Value = serde_json::from_str(example).unwrap();
        assert_eq!(Schema::new(&schema).faults(&example), Vec::<String>::new(), "{example:#}");
    }
}

#[test]
fn what_is_wrong_is_found() {
    let schema = document_schema();
    let example: Value = serde_json::from_str(blocks("json")[0]).unwrap();
    for (place, wrong) in [
        ("/sequence", Value::from("42")),
        ("/time", Value::from("yesterday")),
        ("/type", Value::from("amplinkd.alert.fired")),
        ("/type", Value::from("amplinkd.request.lost")),
        ("/data/to", Value::from("lost")),
        ("/data/attempt", Value::from(-1)),
        ("/data/errcode", Value::from("89010")),
        ("/data/labels/customer", Value::from(42)),
        ("/id", Value::from("")),
    ] {
        let mut changed = example.clone();
        *changed.pointer_mut(place).unwrap() = wrong;
        assert!(!Schema::new(&schema).faults(&changed).is_empty(), "{place}");
    }
}

/// A POST as it arrived: its headers in lower case, and its body.
struct Post {
    headers: Value,
    body: String,
}

/// Takes one POST and answers 204.
async fn receive(listener: &tokio::net::TcpListener) -> Post {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut text = String::new();
    loop {
        let mut piece = [0; 4_096];
        let length = stream.read(&mut piece).await.unwrap();
        text.push_str(std::str::from_utf8(&piece[..length]).expect("the event of this test is ASCII"));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let headers: Value = fields.map(|(name, value)| (name.to_lowercase(), Value::from(value))).collect();
        if headers["content-length"].as_str() == Some(body.len().to_string().as_str()) {
            stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
            return Post { headers, body: body.to_owned() };
        }
    }
}

/// What a webhook with these secrets sends at this moment.
async fn posted(secrets: &[&str]) -> Post {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks/amplinkd", listener.local_addr().unwrap());
    let channel = Channel::new(&ChannelSettings {
        url: Some(url.into()),
        secrets: secrets.iter().map(|secret| (*secret).into()).collect(),
        ..ChannelSettings::new("platform", ChannelKind::Webhook, Duration::from_secs(10))
    });
    let (channel, message) = (channel.unwrap(), message(&digest()));
    let (post, taken) = tokio::join!(receive(&listener), channel.send(&message, SystemClock::new().now()));
    taken.unwrap();
    post
}

/// Runs a recipe on a body that it reads; `None` where there is nothing to run it with.
fn run(program: &str, flag: &str, recipe: &str, body: &str) -> Option<bool> {
    let mut command = Command::new(program);
    let piped = command.args([flag, recipe]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = piped.spawn().ok()?;
    child.stdin.take().expect("a pipe").write_all(body.as_bytes()).expect("it reads");
    Some(child.wait().expect("it ends").success())
}

/// What the recipe of a language says of a body with these headers, for a receiver that knows this secret.
fn is_verified(language: &str, headers: &Value, body: &str, secret: &str) -> Option<bool> {
    let [recipe] = blocks(language)[..] else { panic!("one recipe in {language}") };
    let (program, flag, call) = if language == "python" {
        ("python3", "-c", format!("import sys\nverify(sys.stdin.buffer.read(), {headers}, [{secret:?}])"))
    } else {
        ("node", "-e", format!("verify(require(\"node:fs\").readFileSync(0), {headers}, [{secret:?}]);"))
    };
    run(program, flag, &format!("{recipe}\n{call}"), body)
}

#[tokio::test]
async fn the_recipes_take_what_a_webhook_sends_and_nothing_else() {
    let next = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGA==";
    let (one, both) = (posted(&[SECRET]).await, posted(&[next, SECRET]).await);
    for language in ["python", "js"] {
        let check = |post: &Post, secret| is_verified(language, &post.headers, &post.body, secret);
        let Some(is_taken) = check(&one, SECRET) else { continue };
        assert!(is_taken, "{language}");
        assert_eq!(
            [check(&both, SECRET), check(&both, next), check(&one, next)],
            [Some(true), Some(true), Some(false)]
        );
        let changed = one.body.replace("98", "99");
        assert_eq!(is_verified(language, &one.headers, &changed, SECRET), Some(false), "{language}");
        let mut old = one.headers.clone();
        old["webhook-timestamp"] = "1614265330".into();
        assert_eq!(is_verified(language, &old, &one.body, SECRET), Some(false), "{language}");
    }
}

#[test]
fn the_sample_of_a_post_is_signed_as_it_says() {
    let field = |name: &str| {
        let line = DOCUMENT.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        Value::from(line.trim_start_matches(": "))
    };
    let body = DOCUMENT.lines().find(|line| line.starts_with("{\"specversion\"")).expect("a body");
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: Value = names.iter().map(|name| ((*name).to_owned(), field(name))).collect();
    let [recipe] = blocks("python")[..] else { panic!("one recipe") };
    let at = headers["webhook-timestamp"].as_str().unwrap();
    let call = format!("import sys\nverify(sys.stdin.buffer.read(), {headers}, [{SECRET:?}], now={at})");
    assert_ne!(run("python3", "-c", &format!("{recipe}\n{call}"), body), Some(false));
}
