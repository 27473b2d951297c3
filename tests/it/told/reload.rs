//! A configuration that is replaced while the daemon works: what changes does so at once, nothing is lost or told twice for
//! it, and a wrong one changes nothing.

use std::{collections::BTreeSet, time::Duration};

use rustix::process::Signal;

use super::{
    house::{House, QUICK, everything},
    proof::assert_told_all,
    receiver::{Answer, Receiver},
};

/// Reloads under load.
const RELOADS: usize = 12;

/// Requests asked for before each of them.
const AT_ONCE: usize = 4;

/// How long a message takes that is under way while the configuration changes.
const SLOWLY: Duration = Duration::from_millis(30);

/// Two looks of anybody here.
const A_WHILE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn channels_come_change_and_go_and_nothing_is_lost_or_told_twice() {
    let (ops, other) = (Receiver::start(), Receiver::start());
    for receiver in [&ops, &other] {
        receiver.mood(|_| Answer::Slowly(SLOWLY));
    }
    let channel = everything("ops", &ops);
    // What might be late in a minute is looked at until then.
    let quick = QUICK.replace("\"1m\"", "\"2h\", requested = \"3h\"");
    let mut house = House::build(&[&quick, &channel[..]].concat()).await;
    house.start().await;
    for turn in 0..RELOADS {
        house.ask(turn * AT_ONCE..(turn + 1) * AT_ONCE).await;
        let timeout = format!("\ntimeout = \"{}s\"", 30 + turn);
        let changed = channel.replace("\n        timeout = \"1s\"", &timeout);
        let second = if turn % 2 == 0 { everything("second", &other) } else { String::new() };
        house.configure(&[&quick, &changed[..], &second].concat());
        house.reload().await;
    }
    house.configure(&[&quick, &channel[..]].concat());
    house.reload().await;
    assert_eq!(house.log.count("config.rejected"), 0);
    let all = 0..RELOADS * AT_ONCE;
    house
        .until("every request ends", async |house| {
            house.release(all.clone());
            house.open().await == 0
        })
        .await;
    house.until("everything is told", async |house| house.is_told().await).await;
    assert_told_all(&house, "ops", &ops).await;
    for receiver in [&ops, &other] {
        let events = receiver.events();
        let ids: BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids.len(), events.len(), "each was told once");
    }
    assert!(other.calls() > 0, "the second one was told while it was there");
    let known = other.calls();
    house.ask(all.end..all.end + 1).await;
    house.until("it is told", async |house| house.is_told().await && house.open().await == 0).await;
    assert_eq!(other.calls(), known, "and nothing once it was gone");
    house.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_changes_nothing_and_is_told() {
    let receiver = Receiver::start();
    let mut house = House::build(&[QUICK, &everything("ops", &receiver)].concat()).await;
    house.start().await;
    let right = house.config();
    std::fs::write(house.path("key"), "").unwrap();
    for (wrong, place) in [
        (format!("{right}\n[polling]\nsteps = 7\n"), "duplicate key"),
        (right.replace("timeout = \"2s\"", "timeout = \"soon\""), "[wechat] timeout"),
        (right.replace("kind = \"webhook\"", "kind = \"email\""), "[[alerts.channel]] from"),
        (
            right.replace("[tokens]", "[tokens]\nheaders_file = { Authorization = \"nothing\" }"),
            "headers_file.Authorization",
        ),
        (right.replace("[tokens]", "[tokens]\nheaders_file = { Authorization = \"key\" }"), "the file is empty"),
    ] {
        house.write(&wrong);
        let (known, began, ready) = (
            house.log.count("config.rejected"),
            house.told_systemd("RELOADING=1\nMONOTONIC_USEC="),
            house.told_systemd("READY=1"),
        );
        house.reload().await;
        assert_eq!(house.log.count("config.rejected"), known + 1, "{place}");
        let said = house.log.such(|line| line["event"] == "config.rejected").pop().unwrap();
        assert!(said["error"].as_str().unwrap().contains(place), "{said}");
        assert_eq!(house.told_systemd("RELOADING=1\nMONOTONIC_USEC="), began + 1);
        house.until("systemd hears the end of it", async |house| house.told_systemd("READY=1") > ready).await;
    }
    std::fs::remove_file(house.path("amplinkd.toml")).unwrap();
    house.reload().await;
    assert_eq!((house.log.count("config.rejected"), house.log.count("config.reloaded")), (6, 0));
    assert!(house.told_systemd("STATUS=CONFIGURATION REJECTED, the previous one stays in effect: ") >= 6);
    let secret = Receiver::secret();
    assert!(house.log.lines().iter().all(|line| !line.contains(&secret)), "a secret was told");

    house.ask(0..4).await;
    house.write(&right);
    house.until("it works by the old one", async |_| receiver.calls() > 8).await;
    house.reload().await;
    assert_eq!(house.log.count("config.reloaded"), 1);
    let known = house.told_systemd("CONFIGURATION REJECTED");
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(house.told_systemd("CONFIGURATION REJECTED"), known, "it is no longer said");
    house.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn intervals_rate_and_patience_apply_at_once() {
    let receiver = Receiver::start();
    let slow = QUICK.replace("\"1s\"", "\"9d\"");
    let mut house = House::build(&[&slow, &everything("ops", &receiver)[..]].concat()).await;
    let quick = house.config();
    house.write(&quick.replace("every = \"200ms\"", "every = \"1d\"").replace("per_second = 100000", "per_second = 1"));
    house.start().await;
    // The second of five is answered by nobody, and all of an account wait a day for its next poll.
    house.ask(0..2).await;
    let called = "SELECT count(*) FROM v_request WHERE state = 'initiated'";
    house.until("both are called", async |house| house.count(called).await == 2).await;
    let polls = || house.sim.stats().wxamplinkget;
    let known = polls();
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(polls(), known, "nothing is due today");

    house.write(&quick);
    house.reload().await;
    house.until("it is polled at once, and often", async |_| polls() > known + 8).await;
    let fired = "SELECT count(*) FROM v_alert WHERE rule = 'stuck'";
    assert_eq!(house.count(fired).await, 0);
    house.configure(&[QUICK, &everything("ops", &receiver)].concat());
    house.reload().await;
    house.until("the one that nobody answers is late", async |house| house.count(fired).await == 1).await;
    house
        .until("somebody is told", async |_| receiver.events().iter().any(|event| event.kind == "amplinkd.alert.fired"))
        .await;

    house.write(&house.config().replace("[policy]", "[policy]\ndeadline = \"1s\""));
    house.reload().await;
    house.until("it ends by its deadline", async |house| house.open().await == 0).await;
    house.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_secrets_are_read_again() {
    let mut house = House::build(QUICK).await;
    let account = "wxacc0000000000000";
    let url = format!("{}?appid={account}", house.sim.token_url());
    let tokens = format!("source = \"static\"\nstatic_file = {{ {account} = \"token\" }}\nurl =");
    house.write(&house.config().replace("source = \"http\"\n            url =", &tokens));
    std::fs::write(house.path("token"), "no-token-of-wechats").unwrap();
    house.start().await;
    house.ask(0..1).await;
    let refused = "SELECT count(*) FROM v_account WHERE trouble = 'token'";
    house.until("the token is refused", async |house| house.count(refused).await == 1).await;

    let answer = tokio::process::Command::new("curl").args(["-s", &url]).output().await;
    let Ok(answer) = answer else { return crate::skip::skipped("there is no curl") };
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    std::fs::write(house.path("token"), answer["access_token"].as_str().unwrap()).unwrap();
    house.reload().await;
    let changed = house.log.such(|line| line["event"] == "config.reloaded").pop().unwrap();
    assert_eq!(changed["changed"], "tokens.static_file");
    house.until("its request ends", async |house| house.open().await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_comes_and_goes() {
    let pulse = Receiver::start();
    let mut house = House::build(QUICK).await;
    house.start().await;
    let section = format!("\n[heartbeat]\nurl = \"{}/ping/1\"\nevery = \"50ms\"", pulse.url());
    house.configure(&[QUICK, &section].concat());
    house.reload().await;
    house.until("it beats", async |_| pulse.calls() >= 8).await;
    house.configure(QUICK);
    house.reload().await;
    // One that was on its way may still come.
    tokio::time::sleep(A_WHILE).await;
    let known = pulse.calls();
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(pulse.calls(), known);
}

#[tokio::test(flavor = "multi_thread")]
async fn hangups_by_the_dozen_end_nothing_and_delay_no_end() {
    let receiver = Receiver::start();
    let mut house = House::build(&[QUICK, &everything("ops", &receiver)].concat()).await;
    house.spawn();
    // Before it is ready too, as soon as it can hear.
    house.until("it begins", async |house| !house.log.lines().is_empty()).await;
    house.signal(Signal::HUP);
    house.until("it is ready", async |house| house.log.count("daemon.ready") == 1).await;
    for _ in 0..50 {
        house.signal(Signal::HUP);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    house.until("it has heeded them", async |house| house.log.count("config.reloaded") > 2).await;
    house.signal(Signal::HUP);
    house.signal(Signal::TERM);
    assert!(house.end().success());
    assert_eq!(house.log.count("daemon.ended"), 1);
}
