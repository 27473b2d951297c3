//! Backups that are asked for over HTTP: into one folder, one at a time, and whole.

use std::time::Duration;

use reqwest::Method;

use super::*;
use crate::harness::wait_for;

const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_where_the_configuration_says_and_can_be_restored() {
    let mut house = House::open("backup_dir = \"copies\"").await;
    std::fs::create_dir(house.path("copies")).unwrap();
    house.json(&format!("request link {ACCOUNT} {PROGRAM}"));
    let admin = house.token(Role::Admin, &Role::Admin.scopes()).await;
    let operator = house.token(Role::Operator, &Role::Operator.scopes()).await;
    let make = async |token: &str| {
        Said::of(house.ask(Method::POST, "/api/v1/backups").bearer_auth(token).send().await.unwrap()).await
    };
    assert_eq!(make(&operator).await.problem(), (403, "forbidden".to_owned()));
    let begun = make(&admin).await;
    assert_eq!((begun.status.as_u16(), begun.header("retry-after")), (202, "1"), "{begun:?}");
    let (id, name) =
        (begun.json()["id"].as_str().unwrap().to_owned(), begun.json()["name"].as_str().unwrap().to_owned());
    assert_eq!(begun.header("location"), format!("/api/v1/actions/{id}"));
    let store = house.store().await;
    let outcome = async || store.action_view(&id).await.unwrap().unwrap().outcome;
    assert!(wait_for(PATIENCE, async || outcome().await.is_some()).await);
    assert_eq!(outcome().await.as_deref(), Some("done"), "{}", house.log.tail());
    store.close().await;
    let listed = house.get("/api/v1/backups", &admin).await.json();
    let file = std::fs::metadata(house.path("copies").join(&name)).unwrap();
    assert_eq!((&listed["items"][0]["name"], &listed["items"][0]["bytes"]), (&name.into(), &file.len().into()));
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    // What a process that died has left under way is at its end.
    let store = house.store().await;
    let lost = store.begin_backup(By::new(Actor::on_machine("root")), now()).await.unwrap();
    house.again().await;
    let row = store.action_view(&lost).await.unwrap().unwrap();
    assert_eq!((row.outcome.as_deref(), row.failed), (Some("failed"), 1));
    store.close().await;
    house.daemon.take().unwrap().stop();
    let name = listed["items"][0]["name"].as_str().unwrap();
    let restored = house.command(&format!("db restore copies/{name} --yes")).output().unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    assert_eq!(house.json("request list")[0]["program"], PROGRAM);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_folder_there_are_no_backups() {
    let house = House::open("").await;
    let admin = house.token(Role::Admin, &Role::Admin.scopes()).await;
    let said = house.get("/api/v1/backups", &admin).await;
    assert_eq!(said.problem(), (404, "not_found".to_owned()));
    assert!(said.json()["detail"].as_str().unwrap().contains("backup_dir"), "{said:?}");
}
