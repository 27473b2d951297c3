//! Secrets of those who are told: nothing that can be read afterwards holds one.

use serde_json::Value;

use super::{
    house::{House, QUICK, everything},
    receiver::{Answer, Receiver},
};

/// A robot's key.
const ROBOT: &str = "693a91f6-7a0c-4bc4-97a0-0ec2f1fa5aaa";

/// A heartbeat's.
const CHECK: &str = "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278";

/// Characters of a key in a row that are too many.
const PIECE: usize = 10;

/// Every part of every secret.
fn pieces() -> Vec<String> {
    let secrets = [Receiver::secret().trim_start_matches("whsec_").to_owned(), ROBOT.to_owned(), CHECK.to_owned()];
    let of = |secret: &String| {
        let pieces = secret.as_bytes().windows(PIECE);
        pieces.map(|piece| String::from_utf8_lossy(piece).into_owned()).collect::<Vec<_>>()
    };
    secrets.iter().flat_map(of).collect()
}

/// Every column of every table.
async fn columns(house: &House) -> Vec<(String, String)> {
    let mut connection = house.connection().await;
    let sql = "SELECT m.name, c.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table'";
    sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_log_or_in_the_database() {
    let (hook, robot, pulse) = (Receiver::start(), Receiver::start(), Receiver::start());
    for receiver in [&hook, &robot, &pulse] {
        // They quote what they were sent, and each other's secrets, before they take it.
        let mut calls = 0;
        receiver.mood(move |_| {
            calls += 1;
            match calls {
                1..=3 => Answer::Status(500),
                4 => Answer::Status(404),
                5 => Answer::Lost,
                _ => Answer::Taken,
            }
        });
    }
    let others = format!(
        "
        [[alerts.channel]]
        name = \"robot\"
        kind = \"wecom\"
        url = \"{}/cgi-bin/webhook/send?key={ROBOT}\"
        [heartbeat]
        url = \"{}/ping/{CHECK}\"
        every = \"200ms\"
        timeout = \"1s\"",
        robot.url(),
        pulse.url()
    );
    let mut house = House::build(&[QUICK, &everything("hook", &hook), &others].concat()).await;
    house.start().await;
    house.ask(0..10).await;
    house.until("somebody is stuck", async |house| house.count("SELECT count(*) FROM v_alert").await > 5).await;
    // Nobody there at all: the error names the connection.
    for receiver in [&hook, &robot, &pulse] {
        receiver.close();
    }
    house.release(0..10);
    let failed = "SELECT count(*) FROM v_delivery WHERE last_error LIKE '%connect%'";
    house.until("a connection is refused", async |house| house.count(failed).await > 0).await;
    let failed = "SELECT count(*) FROM v_delivery WHERE channel = 'robot' AND last_error IS NOT NULL";
    assert!(house.count(failed).await > 0);
    house.kill();
    for part in ["amplinkd::", "hyper"] {
        let spoke = |line: &Value| line["target"].as_str().is_some_and(|target| target.starts_with(part));
        assert!(!house.log.such(spoke).is_empty(), "the log is as loud as it can be: {part}");
    }
    assert_kept(&house).await;
}

/// No part of a secret in a line, in a file of the database, or in a column.
async fn assert_kept(house: &House) {
    let lines = house.log.lines();
    let files = ["amplinkd.db", "amplinkd.db-wal"].map(|name| std::fs::read(house.path(name)).unwrap());
    let files = files.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    for piece in pieces() {
        let leak = lines.iter().find(|line| line.contains(&piece));
        assert!(leak.is_none(), "{piece} in the log: {leak:?}");
        assert!(!files.iter().any(|file| file.contains(&piece)), "{piece} in the file");
    }
    // A long text is spread over a file's pages.
    let columns = columns(house).await;
    assert!(columns.iter().any(|(table, column)| table == "delivery" && column == "last_error"));
    for (table, column) in &columns {
        let holds: Vec<String> = pieces().iter().map(|piece| format!("instr(\"{column}\", '{piece}') > 0")).collect();
        let found = format!("SELECT count(*) FROM \"{table}\" WHERE {}", holds.join(" OR "));
        assert_eq!(house.count(&found).await, 0, "a part of a secret in {table}.{column}");
    }
}
