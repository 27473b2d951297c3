//! Pages that are open while the daemon is not there, and while things change.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::http::StatusCode;
use tokio::net::TcpListener;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_outlives_its_daemon_and_loses_nothing_that_was_typed() {
    let (mut house, _) = House::lived_in().await;
    let Some(browser) = house.signed_in(Scripts::On).await else { return };
    browser.go(&format!("/alerts/{REFUSED}")).await;
    browser.click("details.more:nth-child(1) > summary").await;
    browser.fill("form[action$='/acknowledge'] [name=note]", "half a sentence").await;
    house.daemon.take().unwrap().kill();
    browser.click("form[action$='/acknowledge'] button").await;
    browser.until(async || browser.script("return !document.getElementById('away').hidden").await == true).await;
    house.daemon = Some(Process::start(house.command("run"), &house.log).await);
    browser.until(async || browser.script("return document.getElementById('away').hidden").await == true).await;
    let typed = "return document.querySelector('form[action$=\"/acknowledge\"] [name=note]').value";
    assert_eq!(browser.script(typed).await, "half a sentence");
    browser.click("form[action$='/acknowledge'] button").await;
    browser.says("half a sentence").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_finds_no_daemon_is_told_from_a_daemon() {
    let (mut house, _) = House::lived_in().await;
    let Some(browser) = house.signed_in(Scripts::On).await else { return };
    browser.go("/alerts").await;
    browser.sees("tbody tr").await;
    house.daemon.take().unwrap().kill();
    let asked = Arc::new(AtomicU64::new(0));
    let tally = Arc::clone(&asked);
    let bad_gateway = axum::Router::new().fallback(move || async move {
        tally.fetch_add(1, Ordering::Relaxed);
        StatusCode::BAD_GATEWAY
    });
    let proxy = TcpListener::bind(("127.0.0.1", house.port)).await.unwrap();
    let answers = tokio::spawn(axum::serve(proxy, bad_gateway).into_future());
    browser.until(async || asked.load(Ordering::Relaxed) > 1).await;
    browser.until(async || browser.script("return !document.getElementById('away').hidden").await == true).await;
    browser.sees("tbody tr").await;
    answers.abort();
    let _ = answers.await;
    house.daemon = Some(Process::start(house.command("run"), &house.log).await);
    browser.until(async || browser.script("return document.getElementById('away').hidden").await == true).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_shows_what_happens_and_a_list_says_that_it_is_old() {
    let (house, ids) = House::lived_in().await;
    let Some(browser) = house.signed_in(Scripts::On).await else { return };
    browser.go(&format!("/requests/{}", ids[3])).await;
    browser.says("Requested").await;
    house.json(&format!("request cancel {}", ids[3]));
    browser.says("Cancelled").await;
    browser.go("/requests?open=true").await;
    browser.sees("tbody tr").await;
    let count = "return document.querySelectorAll('tbody tr').length";
    let before = browser.script(count).await;
    house.json(&format!("request link {ACCOUNT} wx00000000000000ff"));
    browser.until(async || browser.script("return !document.getElementById('fresh').hidden").await == true).await;
    assert_eq!(browser.script(count).await, before, "nothing moves under the reader's hand");
    browser.click("#fresh a").await;
    browser.until(async || browser.script(count).await != before).await;

    // What was opened stays open while its words change.
    house.sql("UPDATE alert SET state = 'acknowledged', acknowledged_at = since").await;
    browser.go("/").await;
    browser.click("#others > summary").await;
    browser.says("(1)").await;
    house
        .sql(
            "INSERT INTO alert (id, key, rule, reason, state, since, fired_at, acknowledged_at, message_en, message_zh)
             SELECT '0197c2d6-0000-7000-8000-000000000002', 'k', rule, 'stuck.account_admin', state, since, fired_at,
                    acknowledged_at, 'a', 'b' FROM alert",
        )
        .await;
    house.json(&format!("request cancel {}", ids[4]));
    browser.says("(2)").await;
    assert_eq!(browser.script("return document.getElementById('others').open").await, true);

    // Whoever is signed out elsewhere is asked who they are as soon as something happens.
    house.sql("DELETE FROM session").await;
    house.json(&format!("request link {ACCOUNT} wx00000000000000fe"));
    browser.until(async || browser.url().await.contains("/sign-in?next=")).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_tabs_share_one_stream() {
    let (house, ids) = House::lived_in().await;
    let Some(browser) = house.signed_in(Scripts::On).await else { return };
    for _ in 0..7 {
        browser.driver.new_tab().await.unwrap();
        let last = browser.driver.windows().await.unwrap().pop().unwrap();
        browser.driver.switch_to_window(last).await.unwrap();
        browser.go(&format!("/requests/{}", ids[3])).await;
        browser.says("Requested").await;
    }
    house.json(&format!("request cancel {}", ids[3]));
    browser.says("Cancelled").await;
    browser.close().await;
}
