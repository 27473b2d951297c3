//! The same commands on the machine and over HTTP, each on its own twins of the same rows: what they print is the same but for
//! names and moments, and so is how they end.

use std::{
    collections::{BTreeMap, HashMap},
    net::TcpListener,
};

use super::*;
use crate::told::receiver::Receiver;

/// Who does something to twins: on the machine or over HTTP, for programs or for people.
struct Lane {
    is_far: bool,
    form: &'static str,
    /// Its letter, in which its account, its keys and its channel end.
    letter: char,
    /// The ids of its requests, oldest first.
    ids: Vec<String>,
}

const ALERTS: usize = 3;

impl Lane {
    fn all() -> Vec<Self> {
        let lane = |(is_far, form, letter)| Self { is_far, form, letter, ids: Vec::new() };
        [(false, "-o json", 'a'), (true, "-o json", 'b'), (false, "", 'c'), (true, "", 'd')].map(lane).into()
    }

    fn account(&self) -> String {
        format!("wx000000000000{0}{0}{0}{0}", self.letter)
    }

    fn alert(&self, number: usize) -> String {
        format!("0197c2d7-0000-7000-8000-000000000{number}{0}{0}", self.letter)
    }

    /// A command about its own rows.
    fn command(&self, far: &Far, command: &str) -> String {
        let mut command =
            command.replace("ACCOUNT", &self.account()).replace("CHANNEL", &format!("ops-{}", self.letter));
        command = command
            .replace("LANE", &format!("lane=own-{}", self.letter))
            .replace("KEY", &format!("key-{}", self.letter));
        for (number, id) in self.ids.iter().enumerate() {
            command = command.replace(&format!("REQUEST{number}"), id);
        }
        for number in 0..ALERTS {
            command = command.replace(&format!("ALERT{number}"), &self.alert(number));
        }
        command = command.replace("FILE", &far.house.path(&format!("{}.csv", self.letter)).display().to_string());
        format!("{command} {}", self.form)
    }

    fn runs(&self, far: &Far, command: &str) -> (i32, String) {
        let command = self.command(far, command);
        let said = if self.is_far { far.far(&command) } else { far.near(&command) };
        (said.code, self.same(&said.out))
    }

    /// What it printed without what its rows are called, and when they were changed by whom.
    fn same(&self, text: &str) -> String {
        let text = serde_json::from_str(text).map_or_else(|_| text.to_owned(), |found| at_rest(found).to_string());
        let (mut ids, mut words) = (HashMap::new(), Vec::new());
        let named = ["key", "ops", "own"].map(|what| format!("{what}-{}", self.letter));
        let marks: Vec<String> = named.into_iter().chain([self.account()]).collect();
        let mut last = String::new();
        for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && !"-_:+.".contains(c)) {
            let end = word.find(|c: char| !c.is_ascii_alphanumeric() && !"-_:+.".contains(c)).unwrap_or(word.len());
            let (word, rest) = word.split_at(end);
            if !word.is_empty() {
                let count = ids.len();
                let shown = match word {
                    _ if word.len() == 36 && word.matches('-').count() == 4 => {
                        format!("ID{}", ids.entry(word.to_owned()).or_insert(count))
                    }
                    _ if last == "took_ms" => "MS".to_owned(),
                    _ if last.ends_with("_by") && last != "suspended_by" && word != "-" => "SOMEBODY".to_owned(),
                    _ if is_moment(word) => "MOMENT".to_owned(),
                    _ => marks.iter().fold(word.to_owned(), |word, mark| word.replace(mark.as_str(), "OWN")),
                };
                word.trim_matches(':').clone_into(&mut last);
                words.push(shown);
            }
            if !rest.trim().is_empty() {
                words.push(rest.trim().to_owned());
            }
        }
        words.join(" ")
    }
}

/// A date, a time of the day, an offset, or a span from now.
fn is_moment(word: &str) -> bool {
    let word = word.trim_end_matches('.');
    let is_span =
        word.len() > 1 && word.ends_with(['s', 'm', 'h', 'd']) && word[..word.len() - 1].parse::<u32>().is_ok();
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let is_date = digits >= 8 && word.matches('-').count() >= 2;
    let is_time = digits >= 4 && word.contains(':') && word.bytes().all(|b| b.is_ascii_digit() || b":+.-".contains(&b));
    is_span || is_date || is_time || word == "due"
}

/// Rows without what moves by polls alone, and without whoever it was: on the machine a user of the system, over HTTP a token.
fn at_rest(value: Value) -> Value {
    const MOVING: [&str; 6] = ["next_check_at", "checked_at", "last_error", "budget_used", "last_read_at", "trouble"];
    match value {
        Value::Array(rows) => rows.into_iter().map(at_rest).collect(),
        Value::Object(row) => row
            .into_iter()
            .filter(|(name, _)| !MOVING.contains(&name.as_str()))
            .map(|(name, value)| {
                let is_somebody = name.ends_with("_by") && name != "suspended_by" && value.is_string();
                let value = if is_somebody { "SOMEBODY".into() } else { at_rest(value) };
                (name, value)
            })
            .collect(),
        value => value,
    }
}

/// A daemon whose WeChat never answers, so that rows stay as they are put there.
async fn quiet(receiver: &Receiver) -> (Far, TcpListener) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let channel = |letter| {
        format!(
            "[[alerts.channel]]\nname = \"ops-{letter}\"\nkind = \"webhook\"\nurl = \"{}\"\nsecret = \"{}\"\nevents = [\"conflict\"]\n",
            receiver.url(),
            Receiver::secret()
        )
    };
    let channels: String = ["a", "b", "c", "d"].map(channel).concat();
    let wechat = format!("base_url = \"http://{}\"\ntimeout = \"5m\"", silent.local_addr().unwrap());
    let accounts: Vec<String> = Lane::all().iter().map(Lane::account).collect();
    let accounts: Vec<&str> = accounts.iter().map(String::as_str).chain([crate::http::ACCOUNT]).collect();
    let more = format!("[polling]\nsteps = [{{ every = \"9h\" }}]\n[alerts]\nlanguage = \"en\"\n{channels}");
    (Far::of(House::beside(&wechat, &accounts, &more).await).await, silent)
}

impl Far {
    /// Runs a command in every lane, and wants the same of each pair.
    fn alike(&self, lanes: &[Lane], command: &str, code: i32) {
        let mut told: BTreeMap<&str, (i32, String)> = BTreeMap::new();
        for lane in lanes {
            let came = lane.runs(self, command);
            assert_eq!(came.0, code, "{command}, lane {}: {came:?}", lane.letter);
            let first = told.entry(lane.form).or_insert_with(|| came.clone());
            assert_eq!(came, *first, "{command}, lane {}", lane.letter);
        }
    }

    /// Runs one that changes nothing on the machine and over HTTP, and wants the same where nothing moves between two looks
    /// on the machine.
    fn rests(&self, command: &str) -> Printed {
        for _ in 0..40 {
            let (before, there, after) = (self.near(command), self.far(command), self.near(command));
            if (&before.out, before.code) == (&after.out, after.code) {
                assert_eq!((&there.out, there.code), (&before.out, before.code), "{command}: {there:?}");
                return there;
            }
        }
        panic!("{command}: it never rests");
    }

    /// The ids of every lane's requests, anew.
    fn look(&self, lanes: &mut [Lane]) {
        for lane in lanes {
            let rows = self.house.json(&format!("request list --account {}", lane.account()));
            lane.ids = rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
            lane.ids.reverse();
        }
    }

    fn write(&self, lanes: &[Lane], file: &str) {
        for lane in lanes {
            let text = file.replace("ACCOUNT", &lane.account()).replace("KEY", &format!("key-{}", lane.letter));
            std::fs::write(self.house.path(&format!("{}.csv", lane.letter)), text).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_requests_prints_the_same_and_ends_alike() {
    let receiver = Receiver::start();
    let (far, _silent) = quiet(&receiver).await;
    let mut lanes = Lane::all();
    let link = "request link ACCOUNT wx0000000000000001 --key KEY-1 --label LANE";
    far.alike(&lanes, link, 0);
    far.alike(&lanes, link, 0);
    far.alike(&lanes, "request link ACCOUNT wx0000000000000002 --key KEY-1", 1);
    far.alike(&lanes, "request link ACCOUNT ACCOUNT", 2);
    far.alike(&lanes, "request link ACCOUNT wx0000000000000002 --key KEY-2 --label LANE", 0);
    far.alike(&lanes, "request unlink ACCOUNT wx0000000000000003 --key KEY-3", 0);
    far.look(&mut lanes);
    for command in ["request list --account ACCOUNT", "request list --label LANE", "request show REQUEST0"] {
        far.alike(&lanes, command, 0);
    }
    far.alike(&lanes, "request cancel REQUEST0 --reason over", 0);
    far.alike(&lanes, "request retry REQUEST0", 0);
    far.alike(&lanes, "request retry REQUEST0 REQUEST1", 1);
    far.alike(&lanes, "request cancel --label LANE --dry-run", 0);
    far.alike(&lanes, "request cancel --label LANE", 1);
    far.alike(&lanes, "request cancel --label LANE --yes --reason over", 0);
    far.alike(&lanes, "request cancel --label LANE --yes", 0);
    far.alike(&lanes, "request cancel --label LANE --finished --yes", 2);
    far.alike(&lanes, "request retry --account ACCOUNT --dry-run", 0);
    // Of several the new ones are made at the same moment, in any order.
    far.alike(&lanes, "request retry --account ACCOUNT --program wx0000000000000002 --yes", 0);
    far.alike(&lanes, "request retry --account ACCOUNT --state linked --dry-run", 0);
    far.alike(&lanes, "request list --account ACCOUNT --finished", 0);

    far.write(&lanes, "account,program,key\nACCOUNT,wx0000000000000001,\nACCOUNT,wx0000000000000011,KEY-11\n");
    far.alike(&lanes, "request import FILE --dry-run", 0);
    far.alike(&lanes, "request import FILE", 0);
    far.alike(&lanes, "request import FILE", 0);
    far.write(
        &lanes,
        "account,program,key\nACCOUNT,wx0000000000000012,\nACCOUNT,nonsense,\nACCOUNT,wx0000000000000013,\n",
    );
    far.alike(&lanes, "request import FILE", 1);
    far.write(&lanes, "account,program,key\nACCOUNT,wx0000000000000012,\nACCOUNT,wx0000000000000013,KEY-11\n");
    far.alike(&lanes, "request import FILE", 1);
    far.alike(&lanes, "request list --account ACCOUNT", 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_alerts_and_accounts_prints_the_same_and_ends_alike() {
    let receiver = Receiver::start();
    let (far, _silent) = quiet(&receiver).await;
    let mut lanes = Lane::all();
    far.alike(&lanes, "request link ACCOUNT wx0000000000000001 --key KEY-1 --label LANE", 0);
    far.alike(&lanes, "request link ACCOUNT wx0000000000000002 --key KEY-2 --label LANE", 0);
    far.house
        .sql(
            "INSERT INTO alert (id, key, rule, reason, account, state, since, fired_at, message_en, message_zh)
             SELECT '0197c2d7-0000-7000-8000-000000000' || n.value || substr(a.account, -2), n.value || a.account, 'rejected',
                    'rejected', a.account, 'firing', 1, 1, 'so', '如此'
             FROM account AS a CROSS JOIN json_each('[0, 1, 2]') AS n",
        )
        .await;
    far.alike(&lanes, "alert list --account ACCOUNT", 0);
    far.alike(&lanes, "alert ack ALERT0 ALERT1 --dry-run", 0);
    far.alike(&lanes, "alert ack ALERT0 --note mine", 0);
    far.alike(&lanes, "alert ack ALERT0 ALERT1", 0);
    far.alike(&lanes, "alert snooze ALERT0 --for 4h --note later", 0);
    far.alike(&lanes, "alert snooze ALERT0 --until 2001-01-01T00:00:00Z", 2);
    far.alike(&lanes, "alert resolve ALERT0 --note done", 0);
    far.alike(&lanes, "alert resolve ALERT0 ALERT1", 1);
    far.alike(&lanes, "alert show ALERT1", 0);
    far.alike(&lanes, "alert snooze --account ACCOUNT --for 2h --dry-run", 0);
    far.alike(&lanes, "alert snooze --account ACCOUNT --for 2h --yes --note later", 0);
    far.alike(&lanes, "alert ack --account ACCOUNT --yes", 0);
    far.alike(&lanes, "alert ack --account ACCOUNT --yes", 0);
    far.alike(&lanes, "alert resolve --account ACCOUNT --state all --dry-run", 0);
    far.alike(&lanes, "alert list --account ACCOUNT --state all", 0);

    far.alike(&lanes, "account suspend --label LANE --dry-run", 0);
    far.alike(&lanes, "account suspend --label LANE --yes --reason moving", 0);
    far.alike(&lanes, "account suspend ACCOUNT", 0);
    far.alike(&lanes, "account resume ACCOUNT --reason moved", 0);
    far.alike(&lanes, "account suspend ACCOUNT wx00000000000000ff", 1);
    far.alike(&lanes, "account resume --label LANE --yes", 0);
    far.alike(&lanes, "account resume --label LANE --yes", 0);

    far.house.sql("UPDATE request SET state = 'awaiting_account_admin', attempt = 1").await;
    far.house
        .sql("UPDATE account SET unread_since = NULL, failures = 0, trouble = NULL, calls_refused_since = NULL")
        .await;
    far.look(&mut lanes);
    far.alike(&lanes, "request nudge REQUEST0 --dry-run", 0);
    far.alike(&lanes, "request nudge REQUEST0 --language en", 0);
    far.alike(&lanes, "request nudge REQUEST0", 1);
    far.alike(&lanes, "request nudge --account ACCOUNT --yes", 0);
    far.alike(&lanes, "request nudge REQUEST0 --force", 0);
    far.alike(&lanes, "request cancel REQUEST0", 0);
    far.alike(&lanes, "request cancel --account ACCOUNT --state awaiting_account_admin --yes", 0);

    far.alike(&lanes, "channel test CHANNEL --event conflict", 0);
    far.alike(&lanes, "channel test tpyo", 1);
    assert_eq!(receiver.calls(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_is_made_anew_and_finds_the_same() {
    let receiver = Receiver::start();
    let (far, _silent) = quiet(&receiver).await;
    for program in 1..=3 {
        far.house.json(&format!("request link {} wx000000000000000{program}", crate::http::ACCOUNT));
    }
    for command in ["audit -o json", "audit --all -o json", "audit --all"] {
        assert_eq!(far.rests(command).code, 0);
    }
    // Of the histories, and of what has an index.
    far.house
        .sql(
            "UPDATE request SET state = 'linked', finished_at = 1 WHERE program = 'wx0000000000000001';
             UPDATE request SET state = 'deferred', deferred_until = 1000 WHERE program = 'wx0000000000000002'",
        )
        .await;
    for command in ["audit -o json", "audit", "audit --all -o json", "audit --all", "audit --all -o csv"] {
        let said = far.rests(command);
        assert!(said.code == 3 && said.out.contains("state_differs"), "{command}: {said:?}");
        assert!(said.out.contains("deferred_overdue"), "{command}: {said:?}");
    }
    let begun = far.house.json("action list --action audit --actor nobody");
    assert_eq!(begun.as_array().unwrap().len(), 0);
    let alls = far.house.number("SELECT count(*) FROM action WHERE action = 'audit' AND subject = 'all'").await;
    assert!(alls >= 5, "{alls}");
    // Whoever may not have one made is shown the last one.
    let viewer = far.with(Role::Viewer, &[Scope::Read]).await;
    let last = far.far_as(&viewer, "audit -o json");
    assert!(last.code == 3 && last.err.contains("this token may not have an audit made"), "{last:?}");
    assert_eq!(last.json(), far.near("audit -o json").json());
    let refused = far.far_as(&viewer, "audit --all");
    assert!(refused.code == 1 && refused.err.contains(&viewer.display().to_string()), "{refused:?}");
}
