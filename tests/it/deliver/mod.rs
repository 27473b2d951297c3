//! What is owed is sent: a real database, real channels over HTTP, a nasty service, a clock that is moved by hand.
//! Stories tell what is owed and what the service is like, let time pass and look at its ledger. They do not reach into
//! a loop.

mod outage;

mod order;

mod trouble;

mod crash;

mod kill;

mod calendar;

mod house;

mod chance;

mod receiver;

mod robots;

mod reload;

use std::{sync::Arc, time::Duration};

use amplinkd::{
    alerting::deliver::{ChannelEndpoint, Deliver, Health},
    clock::{Clock, ManualClock},
    domain::{text::Language, time::Time},
    notify::{Channel, ChannelSettings, Kind, Pace},
    store::{Role, Store},
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use self::receiver::{Answer, Receiver};

/// Where every story begins: the morning of 10 March 2026 in Beijing.
const MORNING: Time = Time::from_ms(1_773_100_800_000);

/// After this a message that is still not taken is given up.
const GIVE_UP_AFTER: Duration = Duration::from_hours(72);

/// A step of the clock never exceeds this, so that a story with nothing to do still ends.
const STEP_MAX: Duration = Duration::from_hours(1);

/// How often the daemon asks what is due.
const TICK: Duration = Duration::from_millis(250);

/// A channel that people read.
fn robot((name, kind, url): &(&'static str, Kind, String)) -> ChannelEndpoint {
    let is_mail = *kind == Kind::Email;
    let channel = Channel::new(&ChannelSettings {
        url: Some(url.clone().into()),
        from: is_mail.then(|| "amplinkd@ops.test".to_owned()),
        to: if is_mail { vec!["boss@ops.test".to_owned()] } else { Vec::new() },
        ..ChannelSettings::new(*name, *kind, Duration::from_secs(20))
    })
    .unwrap();
    let (pace, zone) = (channel.pace(), jiff::tz::TimeZone::UTC);
    ChannelEndpoint { name: (*name).to_owned(), channel, pace, language: Language::En, zone, link: None }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

fn hours(count: u64) -> Duration {
    Duration::from_hours(count)
}

/// One daemon's post: what is owed, and the channels.
struct Post {
    clock: Arc<ManualClock>,
    receiver: Receiver,
    /// Their names; each is a webhook of the one receiver.
    channels: Vec<&'static str>,
    pace: Option<Pace>,
    /// Further channels: name, kind, address.
    robots: Vec<(&'static str, Kind, String)>,
    dir: tempfile::TempDir,
    running: Option<(Store, Deliver)>,
    connection: SqliteConnection,
    events: u64,
}

impl Post {
    async fn open(channels: &[&'static str]) -> Self {
        Self::seeded(channels, 0).await
    }

    async fn seeded(channels: &[&'static str], seed: u64) -> Self {
        let clock = ManualClock::seeded(MORNING, seed);
        let receiver = Receiver::start(Arc::clone(&clock)).await;
        let dir = tempfile::Builder::new().prefix("e_").tempdir().unwrap();
        let path = dir.path().join("amplinkd.db");
        let store = Store::open(&crate::place::location(path.clone(), 0o640), Role::Daemon).await.unwrap();
        store.close().await;
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(5));
        let connection = SqliteConnection::connect_with(&options).await.unwrap();
        let channels = channels.to_vec();
        let mut post = Self {
            clock,
            receiver,
            channels,
            pace: None,
            robots: Vec::new(),
            dir,
            running: None,
            connection,
            events: 0,
        };
        post.start().await;
        post
    }

    /// The channels as a daemon makes them at its start.
    fn outlets(&self) -> Vec<ChannelEndpoint> {
        let outlet = |name: &&'static str| {
            let channel = Channel::new(&ChannelSettings {
                url: Some(format!("{}/{name}", self.receiver.url).into()),
                secrets: vec![Receiver::secret().into()],
                ..ChannelSettings::new(*name, Kind::Webhook, Duration::from_secs(20))
            })
            .unwrap();
            let pace = self.pace.unwrap_or_else(|| channel.pace());
            ChannelEndpoint {
                name: (*name).to_owned(),
                channel,
                pace,
                language: Language::En,
                zone: jiff::tz::TimeZone::UTC,
                link: None,
            }
        };
        self.channels.iter().map(outlet).chain(self.robots.iter().map(robot)).collect()
    }

    async fn start(&mut self) {
        let location = crate::place::location(self.dir.path().join("amplinkd.db"), 0o640);
        let store = Store::open(&location, Role::Daemon).await.unwrap();
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        let deliver = Deliver::new(store.clone(), clock, self.outlets(), GIVE_UP_AFTER);
        deliver.give_up_unconfigured().await.unwrap();
        self.running = Some((store, deliver));
    }

    async fn stop(&mut self) {
        let (store, deliver) = self.running.take().unwrap();
        drop(deliver);
        store.close().await;
    }

    async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    fn store(&self) -> &Store {
        &self.running.as_ref().unwrap().0
    }

    fn deliver(&mut self) -> &mut Deliver {
        &mut self.running.as_mut().unwrap().1
    }

    fn health(&mut self, channel: &str) -> Health {
        self.deliver().channels().health()[channel].clone()
    }

    /// Owes an event of a type to channels.
    async fn owe_as(&mut self, channels: &[&str], (kind, key, data): (&str, &str, &str)) -> String {
        let id = self.owe_to(channels, key).await;
        sqlx::query("UPDATE log SET type = $1, data = $2 WHERE id = $3")
            .bind(kind)
            .bind(data)
            .bind(&id)
            .execute(&mut self.connection)
            .await
            .unwrap();
        id
    }

    /// Owes an event to every channel, as the fan-out does.
    async fn owe(&mut self, key: &str) -> String {
        let channels = self.channels.clone();
        self.owe_to(&channels, key).await
    }

    async fn owe_to(&mut self, channels: &[&str], key: &str) -> String {
        self.events += 1;
        let (id, now) = (format!("event-{:06}", self.events), self.clock.now().ms());
        let seq: i64 = sqlx::query_scalar(
            "INSERT INTO log (id, type, subject, partition_key, at, data)
             VALUES ($1, 'amplinkd.request.linked', $2, $2, $3, '{\"a\":1}') RETURNING seq",
        )
        .bind(&id)
        .bind(key)
        .bind(now)
        .fetch_one(&mut self.connection)
        .await
        .unwrap();
        for channel in channels {
            sqlx::query(
                "INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, created_at, next_at)
                 VALUES ($1 || '/' || $4, $1, $2, $3, $4, 'pending', $5, $5)",
            )
            .bind(&id)
            .bind(seq)
            .bind(key)
            .bind(*channel)
            .bind(now)
            .execute(&mut self.connection)
            .await
            .unwrap();
        }
        id
    }

    /// Owes one event under each of many keys.
    async fn owe_many(&mut self, count: u32) {
        for number in 0..count {
            self.owe(&format!("key-{number}")).await;
        }
    }

    async fn settle(&mut self) {
        self.deliver().settle().await.unwrap();
    }

    /// Lets time pass, from due time to due time.
    async fn run_for(&mut self, span: Duration) {
        let end = self.clock.monotonic() + span;
        loop {
            self.settle().await;
            let now = self.clock.monotonic();
            if now >= end {
                return;
            }
            let due = self.deliver().next_due().await.unwrap().unwrap_or(Duration::MAX);
            // What is overdue and cannot be sent is asked for as often as the daemon asks.
            let due = if due > now { due } else { now + TICK };
            let step = due.min(now + STEP_MAX).min(end);
            self.clock.advance(step.saturating_sub(now));
        }
    }

    /// Runs SQL behind the daemon's back.
    async fn sql(&mut self, statements: &str) {
        let statements = sqlx::AssertSqlSafe(crate::past::in_words(statements));
        sqlx::raw_sql(statements).execute(&mut self.connection).await.unwrap();
    }

    async fn count(&mut self, filter: &str) -> i64 {
        let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM delivery WHERE {filter}"));
        sqlx::query_scalar(query).fetch_one(&mut self.connection).await.unwrap()
    }

    /// What one delivery looks like: state, tries, refusals.
    async fn delivery(&mut self, event: &str, channel: &str) -> (String, i64, i64) {
        sqlx::query_as("SELECT state, attempts, refusals FROM delivery WHERE event_id = $1 AND channel = $2")
            .bind(event)
            .bind(channel)
            .fetch_one(&mut self.connection)
            .await
            .unwrap()
    }

    /// The audit's findings about messages.
    async fn stuck(&self) -> Vec<String> {
        let before = self.clock.now() - minutes(15);
        let found = self.store().audit(before.ms(), amplinkd::store::read::audit::Histories::All, 100).await.unwrap();
        found.into_iter().filter(|found| found.rule == "delivery_stuck").map(|found| found.subject).collect()
    }
}
