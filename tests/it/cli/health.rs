//! `amplinkd health`: what a container is told of its daemon.

use std::{thread, time::Duration};

use super::{
    ACCOUNT, Desk, PROGRAM, Said,
    process::{NOWHERE, daemon},
};

/// How often a daemon is given time to begin.
const TRIES: u32 = 300;

/// What is said once it is this code.
fn until(desk: &Desk, code: i32) -> Said {
    let mut said = desk.run("health");
    for _ in 0..TRIES {
        if said.code == code {
            break;
        }
        thread::sleep(Duration::from_millis(100));
        said = desk.run("health");
    }
    assert_eq!(said.code, code, "{}{}", said.out, said.err);
    said
}

#[test]
fn a_daemon_is_healthy_from_its_first_mark_until_it_is_killed() {
    let desk = Desk::new();
    desk.run("health").refused(1, "a.db");
    desk.link(ACCOUNT, PROGRAM);
    desk.run("health").refused(1, "not alive: no daemon runs on");
    let running = daemon(&desk, NOWHERE);
    let well = until(&desk, 0);
    assert_eq!((well.out.as_str(), well.err.as_str()), ("", ""), "nobody reads what is well");
    drop(running);
    until(&desk, 1).refused(1, "not alive: no daemon runs on");
}

#[test]
fn a_daemon_that_writes_nothing_any_more_is_not_ready_and_one_with_alerts_is() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    let running = daemon(&desk, NOWHERE);
    until(&desk, 0);
    desk.sql(
        "INSERT INTO alert (id, key, rule, reason, state, since, fired_at, message_en, message_zh)
         VALUES ('a', 'a', 'daemon', 'daemon.x', 'firing', 1, 1, 'm', 'm')",
    );
    assert_eq!(desk.run("health").code, 0, "a restart mends no alert");
    desk.sql("UPDATE daemon SET written_at = 1");
    desk.run("health").refused(1, "not ready: the daemon has written nothing since 1970-01-01");
    drop(running);
}

#[test]
fn a_restored_backup_that_waits_for_its_daemon_is_not_ready() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    desk.sql("INSERT INTO copy (made_at) VALUES (1)");
    desk.run("health").refused(1, "not ready: no daemon has started on this restored backup");
}
