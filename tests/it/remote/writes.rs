//! What is changed over HTTP: by id and by filters, and that the daemon is named before.

use super::*;
use crate::http::{ACCOUNT, PROGRAM};

const AT_REST: &str = "[polling]\nsteps = [{ every = \"9h\" }]";

fn ids(rows: &Value) -> Vec<String> {
    rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_asked_for_once_and_the_daemon_is_named_before() {
    let far = Far::open(AT_REST).await;
    let first = far.far(&format!("request link {ACCOUNT} {PROGRAM} --label shop=1 --key order-1 -o json"));
    assert_eq!(first.code, 0, "{first:?}");
    assert!(first.err.contains(&format!("note: on {}", far.house.base)), "{first:?}");
    let again = far.far(&format!("request link {ACCOUNT} {PROGRAM} --key order-1 -o json"));
    assert_eq!(again.json()["id"], first.json()["id"]);
    assert!(again.err.contains("already open since"), "{again:?}");
    let near = far.near(&format!("request show {} -o json", first.json()["id"].as_str().unwrap()));
    assert_eq!(near.json()["labels"], first.json()["labels"]);
    let unnamed = far.far(&format!("request link {ACCOUNT} wx00000000000000cc -o json")).json();
    assert!(unnamed["key"].as_str().unwrap().starts_with("cli-"), "{unnamed}");
    let taken = far.far(&format!("request link {ACCOUNT} wx00000000000000dd --key order-1"));
    assert!(taken.code == 1 && taken.err.contains("order-1"), "{taken:?}");
    assert_eq!(far.house.number("SELECT count(*) FROM request").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_cancelled_by_id_and_all_that_match_after_being_shown() {
    let far = Far::open(AT_REST).await;
    for shop in 0..6 {
        far.house.json(&format!("request link {ACCOUNT} wx000000000000000{shop} --label shop={}", shop % 2));
    }
    let all = ids(&far.house.json("request list"));
    let shown = far.far("request cancel --label shop=1 --dry-run -o json");
    assert_eq!(ids(&shown.json()).len(), 3, "{shown:?}");
    assert!(shown.err.contains("3 requests to cancel; nothing was changed"), "{shown:?}");
    let unasked = far.far("request cancel --label shop=1");
    assert!(unasked.code == 1 && unasked.err.contains("use --yes"), "{unasked:?}");
    assert_eq!(far.house.json("request list --state cancelled").as_array().unwrap().len(), 0);
    let done = far.far("request cancel --label shop=1 --yes --reason closed -o json");
    assert_eq!((ids(&done.json()).len(), done.code), (3, 0), "{done:?}");
    let id = done.err.split("note: action ").nth(1).unwrap().split(':').next().unwrap().to_owned();
    let action = far.far(&format!("action show {id} -o json")).json();
    assert_eq!((&action["done"], &action["failed"], &action["reason"]), (&3.into(), &0.into(), &"closed".into()));
    assert_eq!(far.house.json("request list --state cancelled").as_array().unwrap().len(), 3);
    let open = ids(&far.house.json("request list --open"));
    let one = far.far(&format!("request cancel {} -o json", open[0]));
    assert_eq!((ids(&one.json()), one.code), (vec![open[0].clone()], 0), "{one:?}");
    let retried = far.far(&format!("request retry {} -o json", open[0]));
    assert_eq!(retried.json()[0]["retry_of"], open[0].as_str(), "{retried:?}");
    let nothing = far.far("request cancel --account wx00000000000000ff --yes -o json");
    assert_eq!((nothing.out.as_str(), nothing.code), ("[]\n", 0), "{nothing:?}");
    assert_eq!(all.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_alerts_users_and_tokens_are_changed() {
    let far = Far::open(AT_REST).await;
    far.house.request(&far.token, PROGRAM).await;
    let suspended = far.far(&format!("account suspend {ACCOUNT} -o json"));
    assert_eq!((&suspended.json()["suspended_by"], suspended.code), (&"operator".into(), 0), "{suspended:?}");
    let again = far.far(&format!("account suspend {ACCOUNT} -o json"));
    assert!(again.err.contains("is already suspended by an operator"), "{again:?}");
    let resumed = far.far("account resume --suspended-by operator --yes -o json");
    assert_eq!((&resumed.json()[0]["account"], resumed.code), (&ACCOUNT.into(), 0), "{resumed:?}");
    far.house
        .sql(
            "INSERT INTO alert (id, key, rule, reason, state, since, fired_at, message_en, message_zh)
             VALUES ('0197c2d7-0000-7000-8000-0000000000a1', 'k', 'rejected', 'rejected', 'firing', 1, 1, 'so', '如此')",
        )
        .await;
    let acked = far.far("alert ack 0000000000a1 --note mine -o json");
    assert_eq!(acked.json()[0]["state"], "acknowledged", "{acked:?}");
    let twice = far.far("alert ack 0000000000a1 -o json");
    assert!(twice.code == 0 && twice.err.contains("1 alert already acknowledged"), "{twice:?}");
    let snoozed = far.far("alert snooze 0000000000a1 --for 4h -o json");
    assert_eq!(snoozed.json()[0]["state"], "snoozed", "{snoozed:?}");
    let resolved = far.far("alert resolve --rule rejected --yes -o json");
    assert_eq!(resolved.json()[0]["state"], "resolved", "{resolved:?}");
    let over = far.far("alert resolve 0000000000a1");
    assert!(over.code == 1 && over.err.contains("is already resolved: nothing to resolve"), "{over:?}");
    let password = far.house.path("password");
    std::fs::write(&password, "correct horse\n").unwrap();
    let file = password.display();
    let added = far.far(&format!("user add lena --role operator --password-file {file} -o json"));
    assert_eq!((added.json(), added.code), (serde_json::json!({ "user": "lena", "done": "added" }), 0), "{added:?}");
    assert_eq!(far.far("user change lena --role viewer").code, 0);
    assert_eq!(far.far(&format!("user password lena --password-file {file}")).code, 0);
    assert_eq!(far.house.json("user list")[0]["role"], "viewer");
    assert_eq!(far.far("user remove lena").code, 0);
    let made = far.far("api-token new ci --scope read --expires 1h -o json");
    assert!(made.json()["token"].as_str().unwrap().starts_with("amplinkd_"), "{made:?}");
    let other = far.house.path("ci.token");
    write_token(&other, made.json()["token"].as_str().unwrap());
    assert_eq!(far.far_as(&other, "request list -o json").code, 0);
    assert_eq!(far.far("api-token revoke ci").code, 0);
    assert_eq!(far.far_as(&other, "request list").code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_imported_in_pieces_and_again_without_harm() {
    let far = Far::open(AT_REST).await;
    let lines: Vec<String> = (0..5_200).map(|n| format!("{ACCOUNT},wx{n:016},k{n}\n")).collect();
    let file = far.house.path("links.csv");
    std::fs::write(&file, format!("account,program,key\n{}", lines.concat())).unwrap();
    let import = format!("request import {} -o json", file.display());
    let first = far.far(&import);
    assert_eq!(first.json(), serde_json::json!({ "lines": 5200, "accepted": 5200, "existing": 0 }), "{first:?}");
    assert!(first.err.contains("5200 lines are checked, then go in 2 pieces"), "{first:?}");
    let again = far.far(&import);
    assert_eq!(again.json(), serde_json::json!({ "lines": 5200, "accepted": 0, "existing": 5200 }), "{again:?}");
    // A key that is taken is found in the last piece, too, before the first is sent.
    let lines: Vec<String> = (6_000..11_100).map(|n| format!("{ACCOUNT},wx{n:016},n{n}\n")).collect();
    for (before, line) in [(String::new(), 2), (lines.concat(), 5_102)] {
        std::fs::write(&file, format!("account,program,key\n{before}{ACCOUNT},wx00000000000000zz,k1\n")).unwrap();
        let (near, taken) = (far.near(&import), far.far(&import));
        assert_eq!((taken.code, taken.out.as_str()), (near.code, near.out.as_str()), "{taken:?}");
        let words = [format!("links.csv line {line}: "), "; nothing was written".to_owned()];
        assert!(words.iter().all(|word| taken.err.contains(word) && near.err.contains(word)), "{near:?} {taken:?}");
    }
    assert_eq!(far.house.number("SELECT count(*) FROM request").await, 5_200);
}
