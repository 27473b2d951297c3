//! An operator's day.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_longest_is_found_understood_and_taken_care_of() {
    let (house, ids) = House::lived_in().await;
    for scripts in [Scripts::On, Scripts::Off] {
        let Some(browser) = house.signed_in(scripts).await else { return };
        browser.says("Who is waited for").await;
        browser.says("refused").await;
        browser.click("#waiting ~ div tbody tr:first-child a.id").await;
        browser.until(async || browser.url().await.ends_with(&ids[0])).await;
        browser.says("must act").await;
        browser.click("form[action$='/nudge'] button").await;
        // The account cannot be read, so that nobody knows whether anybody still has to answer.
        browser.says("nobody is nudged").await;
        browser.click("section.card a").await;
        browser.until(async || browser.url().await.ends_with(&ids[0])).await;
        browser.go(&format!("/alerts/{REFUSED}")).await;
        browser.click("details.more:nth-child(1) > summary").await;
        browser.fill("form[action$='/acknowledge'] [name=note]", "I call them today").await;
        browser.click("form[action$='/acknowledge'] button").await;
        browser.says("I call them today").await;
        browser.says("Acknowledged").await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.close().await;
        house.sql("UPDATE alert SET state = 'firing', acknowledged_at = NULL, acknowledged_by = NULL, note = NULL; DELETE FROM nudge").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_are_cancelled_by_filter_after_a_look() {
    let house = House::open("").await;
    house.user(USER, Role::Operator, PASSWORD).await;
    let operator = house.operator().await;
    let wish = |number: u32| json!({ "kind": "link", "account": ACCOUNT, "program": format!("wx{number:016}"), "labels": { "shop": "12" } });
    let wishes: Vec<Value> = (0..300).map(wish).collect();
    house.post("/api/v1/requests/batch", &operator, json!({ "requests": wishes })).await;
    let Some(browser) = house.signed_in(Scripts::On).await else { return };
    browser.go("/requests?label=shop%3D12&open=true").await;
    browser.click(".bulk form:nth-of-type(1) button").await;
    browser.says("300").await;
    browser.fill("form.fields input[required]", "300").await;
    browser.fill("[name=reason]", "the shop has closed").await;
    browser.click("button.danger").await;
    browser.until(async || browser.url().await.contains("/actions/")).await;
    browser.says("300 / 300").await;
    browser.says("the shop has closed").await;
    assert_eq!(house.number("SELECT count(*) FROM request WHERE state = 'cancelled'").await, 300);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_goes_by_keyboard_alone() {
    let (house, ids) = House::lived_in().await;
    let Some(browser) = Browser::open(&house.base, Scripts::On).await else { return };
    browser.go("/requests").await;
    browser.sees("[name=name]").await;
    browser.press(USER).await;
    browser.press("\u{e004}").await;
    browser.press(PASSWORD).await;
    browser.press("\u{e007}").await;
    browser.until(async || browser.url().await.ends_with("/requests")).await;
    browser.sees("tbody tr").await;
    browser.press("?").await;
    browser.until(async || browser.script("return document.getElementById('keys').open").await == true).await;
    browser.press("\u{e00c}").await;
    browser.press("jj").await;
    browser.press("\u{e007}").await;
    browser.until(async || browser.url().await.ends_with(&ids[4])).await;
    browser.press("ga").await;
    browser.until(async || browser.url().await.ends_with("/alerts")).await;
    browser.press("/").await;
    browser.press(&ids[1]).await;
    browser.press("\u{e007}").await;
    browser.until(async || browser.url().await.ends_with(&ids[1])).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_not_read_is_found_and_says_why_in_both_languages() {
    let (house, _) = House::lived_in().await;
    let Some(browser) = house.signed_in(Scripts::Off).await else { return };
    for (look, unread, why) in [("lang=en&theme=dark", "unread", "token"), ("lang=zh&theme=light", "无法读取", "token")]
    {
        browser.go(&format!("/?{look}")).await;
        browser.says(unread).await;
        browser.click("#machine ~ dl a[href*='trouble=token']").await;
        browser.until(async || browser.url().await.contains("trouble=token")).await;
        browser.click("tbody a[href*='wx00000000000000c2']").await;
        browser.until(async || browser.url().await.ends_with("/accounts/wx00000000000000c2")).await;
        browser.says(why).await;
        browser.says("no token came").await;
    }
    browser.close().await;
}
