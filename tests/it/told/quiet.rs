//! Quiet hours: alerts wait for their end, over a restart, and nothing else does.

use super::{
    house::{House, QUICK, everything, now},
    proof::assert_told_all,
    receiver::Receiver,
};

/// Minutes of a day.
const DAY: i64 = 24 * 60;

/// Quiet hours from six hours ago until in six hours.
fn around_now() -> String {
    let minute = now() / 60_000 % DAY;
    let clock = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
    let (from, until) = ((minute + DAY - 360) % DAY, (minute + 360) % DAY);
    format!("{QUICK}\ntimezone = \"UTC\"\nquiet_hours = \"{}-{}\"", clock(from), clock(until))
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_hours_alerts_wait_and_after_them_each_is_told_once() {
    let receiver = Receiver::start();
    let channel = everything("ops", &receiver);
    let mut house = House::build(&[around_now(), channel.clone()].concat()).await;
    house.start().await;
    house.ask(0..20).await;
    let alerts = "SELECT count(*) FROM v_alert";
    let firing = "SELECT count(*) FROM v_alert WHERE rule = 'stuck' AND state = 'firing'";
    house.until("four are stuck", async |house| house.count(firing).await >= 4).await;
    // Two of the five in a row are told of as they end, and the contested are over.
    house
        .until("every request ends", async |house| {
            house.release(0..20);
            house.open().await == 0
        })
        .await;
    let untold = "SELECT (SELECT count(*) FROM outbox) - (SELECT count(*) FROM v_delivery WHERE state = 'delivered')";
    house.until("every transition is told", async |house| house.count(untold).await == 0).await;
    let quiet = "SELECT count(*) FROM v_alert WHERE notify_at IS NOT NULL AND notifications = 0";
    let waiting = house.count(quiet).await;
    assert!(waiting >= 12 && house.count(alerts).await == waiting, "{waiting} alerts wait");
    assert!(receiver.events().iter().all(|event| !event.kind.starts_with("amplinkd.alert.")));

    house.kill();
    house.configure(&[QUICK, "\nquiet_hours = \"never\"", &channel].concat());
    house.start().await;
    house.until("everything is told", async |house| house.is_told().await).await;
    assert_eq!(house.count(alerts).await, waiting, "none was lost, none fired again");
    assert_told_all(&house, "ops", &receiver).await;
    house.assert_sound();
}
