//! Users, API tokens, and the record of who did what.

use serde_json::{Value, json};

use super::{ACCOUNT, Desk, PROGRAM, Said};

/// A command that reads `input`.
fn told(desk: &Desk, arguments: &str, input: &str) -> Said {
    Said::from(desk.command(arguments).write_stdin(input).output().expect("the binary runs"))
}

fn actions(desk: &Desk, filters: &str) -> Vec<Value> {
    desk.json(&format!("action list {filters}")).as_array().cloned().unwrap_or_default()
}

#[test]
fn users_are_added_changed_and_removed_and_it_is_on_record() {
    let desk = Desk::new();
    told(&desk, "user add lena --role admin", "correct horse\n").well();
    desk.write("new.txt", "battery staple\r\nnever read\n");
    desk.run("user add 张伟 --password-file new.txt").well();
    told(&desk, "user add lena", "correct horse").refused(1, "there is a user lena already");
    told(&desk, "user add mo", "short\n").refused(2, "at least 8 characters");
    told(&desk, "user add mo", "").refused(2, "at least 8 characters");
    let no_name = told(&desk, "user add m,o", "correct horse\n");
    assert_eq!((no_name.code, no_name.err.contains("letters, digits")), (2, true), "{}", no_name.err);
    let users = desk.json("user list");
    assert_eq!((&users[0]["name"], &users[0]["role"]), (&json!("lena"), &json!("admin")));
    assert_eq!((&users[1]["name"], &users[1]["role"]), (&json!("张伟"), &json!("viewer")));
    desk.run("user change 张伟 --role operator --disable").well();
    desk.run("user password lena --password-file new.txt").well();
    desk.run("user remove 张伟").well();
    desk.run("user remove 张伟").refused(1, "there is no user 张伟");
    assert_eq!(desk.run("user change lena").code, 2, "nothing to change");
    let deeds: Vec<Value> = actions(&desk, "").into_iter().map(|row| row["action"].clone()).collect();
    assert_eq!(deeds, ["remove_user", "change_password", "change_user", "change_user", "add_user", "add_user"]);
    assert_eq!(actions(&desk, "--subject lena").len(), 2);
    for secret in ["correct horse", "battery staple"] {
        assert!(!desk.holds(secret), "{secret}");
    }
}

#[test]
fn a_token_is_shown_once_and_revoked_at_once() {
    let desk = Desk::new();
    let made = desk.json("api-token new backend --role operator --scope requests,read --expires 2d");
    assert_eq!(made["scopes"], json!(["read", "requests"]));
    let token = made["token"].as_str().expect("a token");
    assert!(token.starts_with(&format!("amplinkd_{}_", made["id"].as_str().expect("an id"))), "{token}");
    assert!(!desk.holds(token), "only its digest is kept");
    desk.run("api-token new backend").refused(1, "there is a token backend already");
    desk.run("api-token new x --scope backup").refused(2, "use --role admin");
    assert_eq!(desk.run("api-token new x --expires 0s").code, 2);
    let listed = desk.json("api-token list");
    assert_eq!((&listed[0]["name"], &listed[0]["token"]), (&json!("backend"), &Value::Null));
    let table = desk.run("api-token list").well();
    assert!(table.out.contains("read requests") && table.out.contains("in 1d"), "{}", table.out);
    desk.run("api-token revoke backend").well();
    desk.run("api-token revoke backend").refused(1, "no token backend that still works");
    desk.run("api-token new backend --expires never").well();
    assert_eq!(actions(&desk, "--action new_api_token").len(), 2);
}

#[test]
fn whoever_acts_at_the_command_line_is_on_record_with_the_deed() {
    let desk = Desk::new();
    let request = desk.link(ACCOUNT, PROGRAM);
    let cancel = Said::from(
        desk.command("request cancel --account wx0123456789abcdef --yes --reason")
            .arg("the customer left")
            .env("SUDO_USER", "lena")
            .output()
            .expect("the binary runs"),
    );
    cancel.well();
    let [cancelled] = &actions(&desk, "--action cancel")[..] else { panic!("one") };
    assert_eq!(
        (&cancelled["actor"], &cancelled["via"], &cancelled["subject"], &cancelled["reason"], &cancelled["outcome"]),
        (&json!("lena"), &json!("cli"), &json!(request), &json!("the customer left"), &json!("done"))
    );
    assert_eq!(cancelled["filter"], r#"{"account":["wx0123456789abcdef"]}"#);
    let steps = desk.json(&format!("request history {request}"));
    let last = steps.as_array().and_then(|steps| steps.last()).expect("a step");
    assert_eq!(last["detail"], "by lena: the customer left; nothing had been sent");
    desk.run("db verify").well();

    desk.run(&format!("account suspend {ACCOUNT}")).well();
    desk.run(&format!("account suspend {ACCOUNT}")).well();
    assert_eq!(actions(&desk, "--action suspend").len(), 1, "what changes nothing is no deed");
    let shown = desk.run("action list --limit 2").well();
    assert!(shown.out.contains("WHO") && shown.err.contains("showing the first 2"), "{}{}", shown.out, shown.err);
    let id = cancelled["id"].as_str().expect("an id");
    assert_eq!(desk.json(&format!("action show {id}"))["state"], "finished");
    let asked = actions(&desk, "--action request");
    assert_eq!((asked.len(), &asked[0]["subject"]), (1, &json!(request)));
}
