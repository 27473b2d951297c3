//! What arrived compared with what is written: nothing is missing, nothing is invented, nothing comes before its time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    house::House,
    receiver::{Event, Receiver},
};

/// An event as it was written down.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Owed {
    pub(super) id: String,
    pub(super) seq: i64,
    #[sqlx(rename = "type")]
    pub(super) kind: String,
    pub(super) subject: String,
    pub(super) partition_key: String,
    pub(super) data: String,
}

/// Every event, in order.
pub(super) async fn owed(house: &House) -> Vec<Owed> {
    let mut connection = house.connection().await;
    let sql = "SELECT id, seq, type, subject, partition_key, data FROM outbox ORDER BY seq";
    sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
}

/// The first arrival of each event.
fn first_arrivals(events: Vec<Event>) -> Vec<Event> {
    let mut known: HashMap<String, String> = HashMap::new();
    let mut first = Vec::new();
    for event in events {
        if let Some(body) = known.get(&event.id) {
            assert_eq!(*body, event.body, "one event, two bodies");
        } else {
            known.insert(event.id.clone(), event.body.clone());
            first.push(event);
        }
    }
    first
}

/// A channel that wants everything got everything: each event with its own id and bytes, of each key in order, of each
/// alert that it fires before that it is over, and each once.
pub(super) async fn assert_told_all(house: &House, name: &str, receiver: &Receiver) {
    let events = receiver.events();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    taken.extend(events.iter().filter(|event| event.was_taken).map(|event| event.id.clone()));
    let first = first_arrivals(events);
    let arrived: HashMap<&str, &Event> = first.iter().map(|event| (event.id.as_str(), event)).collect();
    let owed = owed(house).await;
    for owed in &owed {
        let Some(event) = arrived.get(owed.id.as_str()) else { panic!("{name} never heard of {owed:?}") };
        let told = (&event.kind, &event.subject, &event.key, event.sequence, &event.data);
        assert_eq!(told, (&owed.kind, &owed.subject, &owed.partition_key, owed.seq, &owed.data), "{name}");
        assert!(taken.contains(&owed.id), "{name} never took {owed:?}");
    }
    assert_eq!(first.len(), owed.len(), "{name} was told what is not written");
    let mut newest: HashMap<&str, i64> = HashMap::new();
    for event in &first {
        let before = newest.insert(&event.key, event.sequence).unwrap_or(0);
        assert!(before < event.sequence, "{name}: {event:?} came after number {before}");
    }
    assert_alerts(house, name, &first).await;
    assert_written(house, name, owed.len()).await;
}

async fn assert_alerts(house: &House, name: &str, first: &[Event]) {
    // By alert: the events that tell of it, in the order of arrival.
    let mut told: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for event in first.iter().filter(|event| event.kind.starts_with("amplinkd.alert.")) {
        for alert in event.alerts() {
            told.entry(alert).or_default().push(event.kind.trim_start_matches("amplinkd.alert."));
        }
    }
    let mut connection = house.connection().await;
    let sql = "SELECT id, state, notifications FROM v_alert";
    let alerts: Vec<(String, String, i64)> = sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
    assert_eq!(alerts.len(), told.len(), "{name}: alerts that nobody knows of, or that never were");
    for (id, state, notifications) in alerts {
        let is_over = state == "resolved";
        let expected: &[&str] = if is_over { &["fired", "resolved"] } else { &["fired"] };
        assert_eq!(told[&id], expected, "{name}: {id}, {state}");
        // What fired and ended within the time of grouping is told in one go.
        assert!((1..=2).contains(&notifications), "{id}: {notifications}");
    }
}

async fn assert_written(house: &House, name: &str, events: usize) {
    let of = |state: &str| format!("SELECT count(*) FROM v_delivery WHERE channel = '{name}' AND {state}");
    assert_eq!(house.count(&of("state <> 'delivered'")).await, 0, "{name}");
    let delivered = house.count(&of("state = 'delivered' AND delivered_at IS NOT NULL AND attempts > 0")).await;
    assert_eq!(usize::try_from(delivered), Ok(events), "{name}");
}
