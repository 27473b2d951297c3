//! Whoever asks for the same while an import is written, accepted or moved: one request, and everybody is answered with it.

use super::*;

#[tokio::test]
async fn whoever_asks_for_the_same_before_the_moment_has_the_request_and_the_line_is_answered_with_it() {
    let desk = Desk::open().await;
    let (import, staged) = desk.stage(0..10).await;
    assert!(staged.iter().all(|staged| !staged.existing));
    let asked = desk.ask(without_key(4)).await;
    assert!(!asked.existing, "what may vanish answers nobody");

    let (claims, claimed) = desk.store().claims(import).await.unwrap();
    let held: Vec<(&str, &str)> = claimed.iter().map(|line| (line.line.as_str(), line.twin.as_str())).collect();
    assert_eq!(held, [(request(4).id.as_str(), asked.id.as_str())]);
    // Whoever asks after that was read makes it old: the moment waits for another look.
    desk.ask(without_key(6)).await;
    assert!(!desk.store().accept_import(import, claims, imported(), NOW).await.unwrap());
    assert_eq!(desk.seen().await, 2);
    assert!(desk.accept(import).await);
    assert_eq!(desk.seen().await, 10);
    desk.move_all(import).await;
    desk.assert_whole(10).await;
    let keys = "SELECT count(*) FROM v_request WHERE key IS NOT NULL";
    assert_eq!(desk.number(keys).await, 10, "those that were asked for meanwhile take the keys of the lines");
}

#[tokio::test]
async fn a_key_that_somebody_takes_meanwhile_for_another_pair_refuses_all() {
    let desk = Desk::open().await;
    let (import, _) = desk.stage(0..10).await;
    desk.ask(Wish { key: Some("key-2".to_owned()), ..wish(500) }).await;
    let taken = desk.store().claims(import).await;
    assert!(matches!(&taken, Err(StoreError::KeyTaken { key, .. }) if key == "key-2"), "{taken:?}");

    // And for a line that only brings its key to an open request.
    desk.ask(without_key(20)).await;
    let (import, staged) = desk.stage(20..22).await;
    assert!(staged[0].existing && !staged[1].existing);
    desk.ask(Wish { key: Some("key-20".to_owned()), ..wish(501) }).await;
    assert!(matches!(desk.store().claims(import).await, Err(StoreError::KeyTaken { .. })));
    assert_eq!(desk.seen().await, 3);
}

#[tokio::test]
async fn an_import_with_a_key_of_somebody_else_is_refused_whole_and_leaves_nothing() {
    let desk = Desk::open().await;
    desk.ask(Wish { key: Some(format!("key-{}", MANY - 1)), ..wish(9_000) }).await;
    let refused = desk.recorder.by(action::By::simulated()).accept((0..MANY).map(wish).collect()).await;
    assert!(matches!(refused, Err(AskError::Store(StoreError::KeyTaken { .. }))), "{refused:?}");
    desk.assert_whole(1).await;
    let mut wishes: Vec<Wish> = (0..MANY).map(wish).collect();
    wishes[9].key = wishes[5].key.clone();
    assert!(matches!(desk.recorder.by(action::By::simulated()).accept(wishes).await, Err(AskError::BadWord(_))));
    desk.assert_whole(1).await;
}

#[tokio::test]
async fn whoever_asks_for_the_same_after_the_moment_is_answered_with_the_request() {
    let desk = Desk::open().await;
    let import = desk.accepted(0..10).await;
    let by_pair = desk.ask(without_key(3)).await;
    let by_key = desk.ask(wish(5)).await;
    assert!(by_pair.existing && by_key.existing);
    assert_eq!([by_pair.id.as_str(), by_key.id.as_str()], [request(3).id.as_str(), request(5).id.as_str()]);
    let other = Wish { key: Some("key-7".to_owned()), ..wish(500) };
    let taken = desk.other.by(action::By::simulated()).accept(vec![other]).await;
    assert!(matches!(taken, Err(AskError::Store(StoreError::KeyTaken { .. }))), "{taken:?}");
    assert_eq!(desk.seen().await, 10);
    desk.move_all(import).await;
    desk.assert_whole(10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_imports_of_the_same_at_once_are_one() {
    let desk = Desk::open().await;
    let wishes = || (0..MANY).map(wish).collect::<Vec<Wish>>();
    let (one, two) = tokio::join!(
        desk.recorder.by(action::By::simulated()).import(wishes(), &|_| {}),
        desk.other.by(action::By::simulated()).import(wishes(), &|_| {})
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    desk.assert_whole(ROWS).await;
    let fresh = |all: &Imported| all.accepted.iter().filter(|one| !one.existing).count();
    assert_eq!(fresh(&one) + fresh(&two), MANY);
    for (one, two) in one.accepted.iter().zip(&two.accepted) {
        assert_eq!(one.id, two.id);
    }
}

#[tokio::test]
async fn links_that_stand_answer_the_lines_of_an_import_too() {
    let desk = Desk::open().await;
    let first = desk.recorder.by(action::By::simulated()).accept((0..MANY).map(without_key).collect()).await.unwrap();
    desk.sql(
        "UPDATE request SET state = 'linked', finished_at = since, seen_status = 1, attempt = 1;
         UPDATE account SET next_check_at = NULL; DELETE FROM wakeup",
    )
    .await;
    let again = desk.recorder.by(action::By::simulated()).accept((0..MANY).map(wish).collect()).await.unwrap();
    assert!(again.iter().zip(&first).all(|(again, first)| again.existing && again.id == first.id));
    assert_eq!((desk.seen().await, desk.lines().await), (ROWS, 0));
    assert_eq!(desk.number("SELECT count(*) FROM request WHERE key LIKE 'key-%'").await, ROWS);
    assert_eq!(desk.number("SELECT count(*) FROM wakeup").await, 0, "so many are looked at by the daily check");
}
