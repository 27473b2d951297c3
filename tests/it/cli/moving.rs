//! `db move`: everything goes to another database and is driven there, however often that is interrupted.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use amplinkd::{
    sim::{Api, FaultKind, PlanSet, Sim, SimConfig, Span, approves_after},
    store::{Location, Role, Store, server::address::ServerAddress},
};
use rusqlite::Connection;
use secrecy::SecretString;

use super::{ACCOUNT, Desk, OTHER, PROGRAM, Said, block_on};
use crate::{
    database_docs::lived,
    harness::{Log, Process, until},
    postgres::Database,
};

/// Rows of tables that the world of the documents leaves empty, and words, bytes and numbers that another database may take
/// for something else. Numbers were given beyond the rows that are there.
const ODD_ROWS: &str = r#"
    INSERT INTO import (id, state, begun_at, beat_at, accepted_at, claims)
    VALUES (3, 'accepted', 1, 2, 3, 0), (7, 'staged', 1, 2, NULL, 9223372036854775807);
    INSERT INTO import_line (import, id, kind, account, program, username, notify_users, show_profile, requested_at, key,
                             labels, chain, twin, claimed, stuck)
    VALUES (3, 'i1', 'link', 'wx0123456789abcdef', 'p1', 'gh', 1, 0, 4, 'k', '{"a":"b"}', zeroblob(32), NULL, 0, 0),
           (3, 'i2', 'unlink', 'nowhere', 'p2', '', 0, 1, 5, NULL, ' { "a b" : "c  \" d" } ', randomblob(32), NULL, 0, 1),
           (7, 'i2', 'link', 'nowhere', 'p4', NULL, 0, 1, 5, NULL, '{}', x'00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff', 'i1', 1, 0);
    INSERT INTO salvage SELECT min(id), 'called' FROM request;
    INSERT OR REPLACE INTO vigil SELECT max(id), -9223372036854775808 FROM request;
    INSERT OR REPLACE INTO watch (one, seq, policy) VALUES (1, 3, 'a "policy" {:?} \n');
    INSERT OR REPLACE INTO pace (one, stretch, late_ms, strained_since, at) VALUES (1, 1000, 0, NULL, 1);
    INSERT INTO wakeup (seq, account, at, asked) VALUES (1004, 'wx0123456789abcdef', 1, 1), (1090, 'é小', -1, 0);
    DELETE FROM wakeup WHERE seq = 1090;
    INSERT INTO gate_opening (kind, subject, at) VALUES ('ip', 'all', 1);
    INSERT OR REPLACE INTO job (name, ran_at, due_at) VALUES ('digest', NULL, 9223372036854775807);
    INSERT INTO copy (made_at, restored_at) VALUES (5, NULL), (5, NULL), (1, 3);
    INSERT INTO user VALUES ('lena', 'admin', '$argon2id$v=19$m=1,t=1,p=1$a$b', 1, 2, NULL), ('李', 'viewer', '', 1, 2, 3);
    INSERT INTO session VALUES (x'00', 's1', 'lena', 1, 2, 3, '::1', 'a; b\t"c"'), (x'', 's2', '李', 1, 2, 3, NULL, NULL),
                               (x'ff00', 's3', 'lena', 1, 2, 3, NULL, '🔑');
    INSERT INTO api_token VALUES ('t1', 'ci', 'viewer', '[]', x'0102', NULL, 1, 'cli', NULL, NULL, NULL),
                                 ('t2', 'ci', 'admin', '["a", "b"]', x'', 'lena', 1, 'lena', 2, 3, 4);
    INSERT INTO component (appid, key_check, ticket, ticket_made, ticket_at, open_keys)
    VALUES ('wxc0000000000000000', x'00010203', x'27005c7f80ff', 1, 2, 'k1 k2');
    INSERT INTO push (id, appid, kind, made, at, code) VALUES ('p', 'wx1', 'authorized', 1, 2, x'5c78303027');
    INSERT INTO token_task (id, kind, appid, at, said) VALUES (12, 'refresh', 'wx1', 1, char(1, 9, 10, 13, 34, 39, 92, 127, 233, 128273));
    INSERT OR REPLACE INTO program_name VALUES ('gh_b', '', 1), ('gh_B', 'NULL', 1), ('_', '\N', 1);
    UPDATE account SET last_error = char(10, 92, 39) || 'x', listing_hash = -9223372036854775808, budget_used = 3;
    INSERT INTO log (at, id, type, subject, partition_key, reach, data)
    SELECT 1, 'm1', 't', 's', 'k', NULL, ' { "a" : [ 1.50, "\u0000" ] } ';
    INSERT INTO log (seq, at, id, type, subject, partition_key, data) VALUES (100000, 1, 'm2', 't', 's', 'k', '{}');
    DELETE FROM log WHERE seq = 100000;
"#;

/// Rows enough for a move to take a while.
const MANY_ROWS: &str = "
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
    INSERT INTO log (at, id, type, subject, partition_key, data)
    SELECT i, 'many' || i, 't', 's', 'k', '{\"text\":\"' || hex(randomblob(150)) || '\"}' FROM n;
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
    INSERT INTO program_name SELECT 'many' || i, 'wx' || i, i FROM n";

/// Tables that a move leaves alone.
const OWN: [&str; 3] = ["_sqlx_migrations", "sqlite_sequence", "move"];

/// A lived-in database, and a folder with a configuration for it.
fn furnished(rows: &str) -> Desk {
    let desk = Desk::new();
    block_on(async {
        let (folder, world, reader) = lived().await;
        drop((world, reader));
        let from = Connection::open(folder.path().join("amplinkd.db")).expect("it opens");
        let to = desk.path("a.db");
        from.execute("VACUUM INTO ?1", [to.to_str().expect("a text")]).expect("it is copied");
    });
    let file = Connection::open(desk.path("a.db")).expect("it opens");
    file.execute_batch(rows).expect("rows are inserted");
    desk
}

/// Every row of every table, value by value, and the last numbers that were given.
fn all(path: &Path) -> Vec<String> {
    let file = Connection::open(path).expect("it opens");
    let texts = |sql: &str| -> Vec<String> {
        let mut asked = file.prepare(sql).expect(sql);
        let rows = asked.query_map([], |row| row.get(0)).expect(sql);
        rows.collect::<Result<_, _>>().expect(sql)
    };
    let mut found = texts("SELECT name || ' goes on from ' || seq FROM sqlite_sequence WHERE seq > 0 ORDER BY name");
    for table in texts("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name") {
        if OWN.contains(&table.as_str()) {
            continue;
        }
        let columns =
            texts(&format!("SELECT 'quote(\"' || name || '\")' FROM pragma_table_info('{table}') ORDER BY cid"));
        let rows = texts(&format!("SELECT {} AS row FROM \"{table}\" ORDER BY row", columns.join(" || ' ' || ")));
        found.extend(rows.into_iter().map(|row| format!("{table}: {row}")));
    }
    found
}

fn tables(path: &Path) -> Vec<String> {
    let file = Connection::open(path).expect("it opens");
    let mut asked = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").expect("tables");
    let names = asked.query_map([], |row| row.get(0)).expect("names");
    names.collect::<Result<_, _>>().expect("names")
}

fn count(path: &Path, table: &str) -> i64 {
    let file = Connection::open(path).expect("it opens");
    file.query_row(&format!("SELECT count(*) FROM \"{table}\""), [], |row| row.get(0)).expect("a number")
}

/// A configuration of the database at a server, for the same folder.
fn at_server(desk: &Desk, server: &Database) -> &'static str {
    desk.write("server.url", &server.url());
    desk.write("server.toml", "[database]\nurl_file = \"server.url\"\n");
    "-c server.toml"
}

fn location(server: &Database) -> Location {
    Location::Server(ServerAddress::of(&[SecretString::from(server.url())]).expect("a URL"))
}

#[test]
fn every_row_of_every_table_comes_back_from_a_server_as_it_was() {
    let Some(server) = Database::new() else { return };
    let desk = furnished(ODD_ROWS);
    let before = all(&desk.path("a.db"));
    let tables = tables(&desk.path("a.db"));
    for table in tables.iter().filter(|table| !OWN.contains(&table.as_str())) {
        assert!(count(&desk.path("a.db"), table) > 0, "{table} has no row that could get lost");
    }
    let there = at_server(&desk, &server);
    let moved = desk.json("db move --to-file server.url");
    assert_eq!((&moved["moved_now"], &moved["rows"]), (&true.into(), &before_rows(&before).into()));
    assert_eq!(server.ask("SELECT seq FROM ledger"), ["100000"]);
    assert_eq!(
        server.ask("SELECT pg_sequence_last_value(pg_get_serial_sequence('wakeup', 'seq')::regclass)"),
        ["1090"]
    );
    assert_eq!(
        server.ask("SELECT count(*) FROM pg_constraint WHERE conname = 'request_retry_of_fkey'"),
        ["1"],
        "requests are held to those that they retry"
    );
    desk.run(&format!("{there} db verify")).well();
    let back = desk.run(&format!("{there} db move --to sqlite:back.db")).well();
    assert!(back.err.contains("set [database] url = \"sqlite:/"), "{}", back.err);
    assert_eq!(all(&desk.path("back.db")), before);
    // From a file to a file it is the same.
    desk.write("back.toml", "[database]\nurl = \"sqlite:back.db\"\n");
    desk.run("-c back.toml db move --to sqlite:third.db").well();
    assert_eq!(all(&desk.path("third.db")), before);
}

/// Rows among the lines of [`all`].
fn before_rows(all: &[String]) -> usize {
    all.iter().filter(|line| !line.contains(" goes on from ")).count()
}

#[test]
fn what_was_moved_is_read_and_never_written_or_driven_again() {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    desk.run("db backup before.db").well();
    desk.run("db move --to sqlite:b.db").well();
    let gone = format!("a.db was moved to {}", desk.path("b.db").canonicalize().expect("a path").display());
    desk.run(&format!("request link {ACCOUNT} {OTHER}")).refused(1, &gone);
    desk.run(&format!("request cancel {id}")).refused(1, &gone);
    desk.run("run").refused(1, &gone);
    desk.run("db restore before.db --yes").refused(1, "was moved to");
    desk.run("db move --abandon").refused(1, &gone);
    desk.run("db move --to sqlite:c.db").refused(1, &gone);
    assert_eq!(desk.json("request list")[0]["id"], id.as_str(), "it is still read");
    desk.run("audit").well();
    let again = desk.json("db move --to sqlite:b.db");
    assert_eq!(again["moved_now"], false);
    // Back there is no way but to an empty one.
    desk.write("b.toml", "[database]\nurl = \"sqlite:b.db\"\n");
    desk.run("-c b.toml db move --to sqlite:a.db").refused(1, "empty it, or name an empty database");
    desk.run(&format!("-c b.toml request cancel {id}")).well();
    fs::rename(desk.path("a.db"), desk.path("old.db")).expect("renamed");
    desk.run("-c b.toml db move --to sqlite:a.db").well();
    assert_eq!(desk.json("request list")[0]["state"], "cancelled");
}

#[test]
fn whoever_had_opened_it_before_writes_nothing_after_it_was_moved() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let location = Location::file(desk.path("a.db"), 0o640);
    let store = runtime.block_on(Store::open(&location, Role::Tool)).expect("it opens");
    desk.run("db move --to sqlite:b.db").well();
    let now = amplinkd::domain::time::Time::from_ms(1);
    let refused = runtime.block_on(store.add_component("wx0123456789abcdef", vec![1], now)).expect_err("it was moved");
    assert!(refused.to_string().contains("was moved to"), "{refused}");
    assert_eq!(count(&desk.path("a.db"), "component"), 0);
}

#[test]
fn it_is_refused_while_a_daemon_works_there_and_where_the_target_is_not_empty() {
    let Some(server) = Database::new() else { return };
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    let there = at_server(&desk, &server);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let open = |location: &Location| runtime.block_on(Store::open(location, Role::Daemon)).expect("it opens");

    let daemon = open(&Location::file(desk.path("a.db"), 0o640));
    desk.run("db move --to-file server.url").refused(1, "stop it, and do not start it before the move is done");
    runtime.block_on(daemon.close());
    let daemon = open(&location(&server));
    desk.run(&format!("{there} db move --to sqlite:b.db")).refused(1, "an amplinkd works on postgres:");
    runtime.block_on(daemon.close());
    assert_eq!(count(&desk.path("a.db"), "move"), 0, "nothing was begun");

    desk.run(&format!("{there} request link {ACCOUNT} {OTHER}")).well();
    desk.run("db move --to-file server.url").refused(1, "is not empty: name an empty database");
    desk.run("db move --to sqlite:a.db").refused(1, "cannot be moved to itself");
    assert_eq!(count(&desk.path("a.db"), "move"), 0, "nothing was begun");
    desk.link(ACCOUNT, OTHER);
}

#[test]
fn no_error_quotes_the_url_and_standard_input_is_read() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    for wrong in ["mysql://u:hunter2@h/d", "postgres://u:hunter2@h:many/d", "postgres://u:hunter2@/", "hunter2"] {
        desk.write("wrong.url", wrong);
        for arguments in [format!("db move --to {wrong}"), "db move --to-file wrong.url".to_owned()] {
            let said = desk.run(&arguments);
            assert!(said.code > 0 && !said.err.contains("hunter2"), "{}", said.err);
        }
    }
    let away = desk.run("db move --to postgres://u:hunter2@127.0.0.1:1/d");
    assert!(away.code == 1 && !away.err.contains("hunter2") && away.err.contains("127.0.0.1:1/d"), "{}", away.err);
    assert_eq!(count(&desk.path("a.db"), "move"), 0, "nothing was begun");
    let said = desk.command("db move --to-file -").write_stdin("sqlite:b.db\n").output().expect("it runs");
    Said::from(said).well();
    let both = desk.run("db move --to sqlite:c.db --to-file -");
    assert_eq!(both.code, 2, "{}", both.err);
    let elsewhere = desk.run("--server http://127.0.0.1:1 db move --to sqlite:c.db");
    assert!(elsewhere.code > 0 && elsewhere.err.contains("db"), "{}", elsewhere.err);
}

/// Whether a daemon or a command would work with the source, and whether with the target.
fn driveable(desk: &Desk, server: &Database) -> (bool, bool) {
    let source = count(&desk.path("a.db"), "move") == 0;
    let target = server.ask("SELECT count(*) FROM move WHERE way = 'in' AND done_at IS NOT NULL") == ["1"];
    (source, target)
}

#[test]
fn killed_at_any_moment_it_goes_on_and_never_are_both_driven() {
    const KILLS: u64 = 14;
    let Some(server) = Database::new() else { return };
    let desk = furnished(MANY_ROWS);
    let before = all(&desk.path("a.db"));
    let there = at_server(&desk, &server);
    let mut unfinished = 0;
    for kill in 1..=KILLS {
        let mut moving = desk.process("db move --to-file server.url");
        let mut moving = moving.stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(kill * 45));
        moving.kill().expect("it is ours");
        moving.wait().expect("it ends");
        let (source, target) = driveable(&desk, &server);
        assert!(!(source && target), "both can be driven after kill {kill}");
        if !source && !target {
            unfinished += 1;
            let said = desk.run(&format!("request link {ACCOUNT} {OTHER}"));
            assert!(said.code == 1 && said.err.contains("db move"), "{}", said.err);
            let other = desk.run("db move --to sqlite:other.db");
            assert!(other.code == 1 && other.err.contains("run the same `amplinkd db move` again"), "{}", other.err);
        }
    }
    assert!(unfinished > 2, "{unfinished} kills met a move under way");
    desk.run("db move --to-file server.url").well();
    assert_eq!(driveable(&desk, &server), (false, true));
    // Killed between the two marks: the source is marked, and the target does not know yet.
    server.ask("UPDATE move SET done_at = NULL");
    desk.run(&format!("{there} request list")).refused(1, "holds an unfinished move of");
    desk.run(&format!("{there} run")).refused(1, "holds an unfinished move of");
    assert_eq!(desk.json("db move --to-file server.url")["moved_now"], false);
    desk.run(&format!("{there} db move --to sqlite:back.db")).well();
    assert_eq!(all(&desk.path("back.db")), before);
}

#[test]
fn a_move_is_given_up_and_its_target_is_nobodys() {
    let Some(server) = Database::new() else { return };
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    let there = at_server(&desk, &server);
    // What the target does not take ends the move half way.
    desk.sql("INSERT INTO wakeup (account, at, asked) VALUES ('a' || char(0), 1, 0)");
    let odd = desk.run("db move --to-file server.url");
    assert!(odd.code == 1 && odd.err.contains("\"wakeup\"") && odd.err.contains("--abandon"), "{}", odd.err);
    desk.run("run").refused(1, "is being moved to");
    let given_up = desk.json("db move --abandon");
    assert!(given_up["abandoned"].as_str().is_some_and(|place| place.starts_with("postgres:")), "{given_up}");
    desk.sql("DELETE FROM wakeup WHERE instr(account, char(0)) > 0");
    desk.link(ACCOUNT, OTHER);
    desk.run(&format!("{there} request list")).refused(1, "holds an unfinished move of");
    desk.run("db move --to-file server.url").refused(1, "was given up: empty it");
    assert_eq!(desk.json("db move --abandon")["abandoned"], serde_json::Value::Null);
}

fn configuration(sim: &Sim, database: &str) -> String {
    let (wechat, tokens) = (sim.url(), sim.token_url());
    format!(
        "[database]\n{database}\n[wechat]\nbase_url = \"{wechat}\"\ntimeout = \"2s\"\nper_second = 100000\n\
         [tokens]\nsource = \"http\"\nurl = \"{tokens}?appid={{account}}\"\n\
         [polling]\nsteps = [ {{ every = \"200ms\" }} ]\ndaily_budget = 1000000\n\
         [policy]\nappear_within = \"78s\"\nattempts = 50\n"
    )
}

fn daemon(desk: &Desk, configuration: &str, log: &Log) -> Process {
    let mut command: Command = desk.process("run -c");
    command.arg(PathBuf::from(configuration));
    Process::spawn(command, log)
}

#[test]
fn the_daemon_goes_on_at_the_target_and_invites_nobody_twice() {
    const PAIRS: usize = 24;
    let Some(server) = Database::new() else { return };
    let desk = Desk::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let sim = runtime.block_on(Sim::start(SimConfig { seed: 3, ..SimConfig::default() })).expect("it starts");
    {
        let mut world = sim.world();
        world.faults.rates.insert(FaultKind::LostAnswer, 0.2);
        let soon = Some(approves_after(Span::seconds(1)));
        world.plans.set(None, None, PlanSet { account_admin: soon, program_admin: soon, unlink: None });
    }
    desk.write("server.url", &server.url());
    desk.write("amplinkd.toml", &configuration(&sim, "url = \"sqlite:a.db\""));
    desk.write("server.toml", &configuration(&sim, "url_file = \"server.url\""));
    for number in 0..PAIRS {
        desk.link(&format!("wxmove{:012}", number / 4), &format!("wxprog{number:012}"));
    }
    let log = Log::default();
    let invited = |sim: &Sim| {
        let mut sent: HashMap<(String, String), usize> = HashMap::new();
        for call in sim.ledger().into_iter().filter(|call| call.api == Api::Link && call.effect) {
            *sent.entry((call.account, call.program)).or_default() += 1;
        }
        sent
    };
    let first = daemon(&desk, "amplinkd.toml", &log);
    until("some are invited", || invited(&sim).len() >= PAIRS / 4);
    first.kill();
    desk.run("db move --to-file server.url").well();
    desk.run("run").refused(1, "was moved to");
    let second = daemon(&desk, "server.toml", &log);
    let linked = || {
        let rows = desk.json("-c server.toml request list --state linked");
        rows.as_array().map_or(0, Vec::len)
    };
    until("all are linked", || linked() == PAIRS);
    second.stop();
    let sent = invited(&sim);
    assert!(sent.len() == PAIRS && sent.values().all(|sent| *sent == 1), "{sent:?}");
    desk.run("-c server.toml audit").well();
    desk.run("-c server.toml db verify").well();
    runtime.block_on(async { sim.shutdown().await }).expect("it ends");
}
