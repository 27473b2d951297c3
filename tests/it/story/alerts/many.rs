//! Ten thousand requests that are stuck at the same moment, and over at the same moment: one message for each, to every
//! channel. No time is asserted.

use amplinkd::{
    alerting::deliver::{ChannelEndpoint, Deliver},
    clock::SystemClock,
    domain::{action, text::Language},
    notify::{Channel, ChannelSettings, Kind as Way},
};

use super::*;
use crate::told::receiver::Receiver;

const MANY: usize = 10_000;

/// Somebody who reads machines' events, somebody who reads a group's chat, and what sends to both.
struct Told {
    hook: Receiver,
    robot: Receiver,
    deliver: Deliver,
}

impl Told {
    fn by(guarded: &Guarded) -> Self {
        let (hook, robot) = (Receiver::start(), Receiver::start());
        let outlet = |name: &str, kind, receiver: &Receiver| {
            let settings = ChannelSettings {
                url: Some(receiver.url().into()),
                secrets: vec![Receiver::secret().into()],
                ..ChannelSettings::new(name, kind, seconds(60))
            };
            let channel = Channel::new(&settings).unwrap();
            ChannelEndpoint {
                name: name.to_owned(),
                pace: channel.pace(),
                channel,
                language: Language::En,
                zone: amplinkd::domain::time::BEIJING,
                link: None,
            }
        };
        let outlets = vec![outlet("hook", Way::Webhook, &hook), outlet("robot", Way::Wecom, &robot)];
        let engine = guarded.daemon.engine();
        let deliver = Deliver::new(engine.store().clone(), Arc::clone(engine.clock()), outlets, days(3));
        Self { hook, robot, deliver }
    }

    /// Lets time pass for the watch and the channels alone: nobody polls.
    async fn run_for(&mut self, guarded: &mut Guarded, span: Duration) {
        let clock = Arc::clone(&guarded.daemon.clock);
        let end = clock.monotonic() + span;
        loop {
            let watch = guarded.daemon.watch.as_mut().unwrap();
            watch.settle().await.unwrap();
            self.deliver.settle().await.unwrap();
            let now = clock.monotonic();
            if now >= end {
                return;
            }
            let due = [watch.next_due().await.unwrap(), self.deliver.next_due().await.unwrap()];
            let due = due.into_iter().flatten().min().unwrap_or(end);
            clock.advance(due.max(now + Duration::from_millis(1)).min(end).saturating_sub(now));
        }
    }

    /// Each got one message that it had not: of so many, within a minute.
    async fn assert_one_each(&self, guarded: &Guarded, number: usize, kind: &str, from: Time) {
        let events = self.hook.events();
        assert_eq!((events.len(), self.robot.calls()), (number, number));
        let event = events.last().unwrap();
        assert_eq!(event.kind, kind);
        let data = &serde_json::from_str::<serde_json::Value>(&event.body).unwrap()["data"];
        let listed = data["alerts"].as_array().unwrap().iter().map(|alert| alert["key"].as_str().unwrap());
        let more = data["more"].as_array().unwrap().iter().map(|key| key.as_str().unwrap());
        let mut keys: Vec<&str> = listed.chain(more).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!((keys.len(), data["count"].as_u64()), (MANY, Some(10_000)));
        assert!(event.body.len() < 1_000_000, "{}", event.body.len());
        let ledger = self.robot.ledger();
        let body: serde_json::Value = serde_json::from_str(&ledger.last().unwrap().body).unwrap();
        let content = body["markdown"]["content"].as_str().unwrap();
        assert!(content.len() <= 4_096 && content.contains("10000 ") && content.contains(" more"), "{content}");
        println!("{kind}: {} bytes for machines, {} for people, ending in {:?}", event.body.len(), content.len(), {
            content.lines().rev().take(2).collect::<Vec<_>>()
        });
        let mut connection = guarded.daemon.connection().await;
        let sql = "SELECT delivered_at FROM delivery WHERE event_id = $1 AND state = 'delivered'";
        let at: Vec<i64> = sqlx::query_scalar(sql).bind(&event.id).fetch_all(&mut connection).await.unwrap();
        assert_eq!(at.len(), 2);
        assert!(at.iter().all(|at| *at <= (from + minutes(1)).ms()), "{at:?}");
    }
}

/// Asks for so many links, of as many accounts, that the watch has heard of.
async fn ask_for_many(guarded: &mut Guarded) {
    let wishes =
        (0..MANY).map(|number| to_link(&format!("wxcccc{number:012}"), &format!("wxdddd{number:012}"))).collect();
    guarded.daemon.engine().recorder().by(action::By::simulated()).accept(wishes).await.unwrap();
    guarded.daemon.watch.as_mut().unwrap().settle().await.unwrap();
}

/// All of them move, as a mass of answers would do it, and are to be looked at now.
async fn all_move(guarded: &Guarded, state: &str, seen: i64, since: Time) {
    let (since, now) = (since.ms(), guarded.daemon.clock.now().ms());
    let sql = format!(
        "BEGIN IMMEDIATE;
         UPDATE request SET state = '{state}', seen_status = {seen}, since = {since}, attempt = 1;
         INSERT INTO vigil (request_id, due_at) SELECT id, {now} FROM request WHERE true
         ON CONFLICT (request_id) DO UPDATE SET due_at = excluded.due_at;
         COMMIT"
    );
    guarded.daemon.sql(&sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_at_once_are_one_message_when_they_fire_and_one_when_they_are_over() {
    let machine = SystemClock::new();
    let mut guarded = Guarded::with(|alerting| {
        let alerts = |name| Subscription { transitions: false, conflicts: false, ..everything(name) };
        alerting.subscriptions = vec![alerts("hook"), alerts("robot")];
    })
    .await;
    let mut told = Told::by(&guarded);
    ask_for_many(&mut guarded).await;
    println!("asked after {:?}", machine.monotonic());

    let from = guarded.daemon.clock.now();
    all_move(&guarded, "awaiting_account_admin", 12, from - days(1)).await;
    let begun = machine.monotonic();
    told.run_for(&mut guarded, minutes(1)).await;
    println!("told that they are stuck in {:?}", machine.monotonic().saturating_sub(begun));
    told.assert_one_each(&guarded, 1, "amplinkd.alert.fired", from).await;

    let from = guarded.daemon.clock.now();
    all_move(&guarded, "awaiting_program_admin", 2, from).await;
    let begun = machine.monotonic();
    told.run_for(&mut guarded, minutes(1)).await;
    println!("told that it is over in {:?}", machine.monotonic().saturating_sub(begun));
    told.assert_one_each(&guarded, 2, "amplinkd.alert.resolved", from).await;
    told.run_for(&mut guarded, hours(1)).await;
    assert_eq!((told.hook.calls(), told.robot.calls()), (2, 2), "nothing more comes of it");
}
