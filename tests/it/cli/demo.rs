//! The demo, with the tokens of either source, and what its database says afterwards.

use super::Desk;

#[test]
fn the_demo_of_a_platform_ends_by_itself_and_its_database_can_be_asked() {
    let desk = Desk::new();
    let said = desk.run("demo --plain --tokens component --requests 6 --speed 20000 --dir kept");
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("Everything is settled"), "{}", said.out);
    assert!(said.out.contains("authorizes the platform") && said.out.contains("account tokens"), "{}", said.out);
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:kept/amplinkd.db\"\n");
    let listed = desk.json("authorizer list");
    let authorized = listed.as_array().expect("rows").iter().filter(|row| row["state"] == "authorized").count();
    assert_eq!(authorized, 2, "{listed}");
    assert_eq!(desk.json("component status")["errcode"], serde_json::Value::Null);
}
