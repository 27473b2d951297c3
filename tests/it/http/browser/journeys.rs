//! An operator's day: who waits longest is found, understood and reminded, and an alert is taken; three hundred are cancelled by
//! filter; an account that is not read is found with the reason. In both languages and themes, with scripts and without; and by
//! keyboard alone.

use super::*;

/// How many are cancelled in each walk: those with its label.
const MANY: u32 = 300;

/// A language and a theme, and what pages say in it.
struct Tongue {
    look: &'static str,
    must_act: &'static str,
    reminder: &'static str,
    acknowledged: &'static str,
    unread: &'static str,
    no_token: &'static str,
}

const TONGUES: [Tongue; 4] = [
    Tongue { look: "lang=en&theme=light", ..ENGLISH },
    Tongue { look: "lang=en&theme=dark", ..ENGLISH },
    Tongue { look: "lang=zh&theme=light", ..CHINESE },
    Tongue { look: "lang=zh&theme=dark", ..CHINESE },
];

const ENGLISH: Tongue = Tongue {
    look: "",
    must_act: "must act",
    reminder: "pass these words on",
    acknowledged: "Acknowledged",
    unread: "no usable token",
    no_token: "there is no token that WeChat accepts",
};

const CHINESE: Tongue = Tongue {
    look: "",
    must_act: "确认",
    reminder: "请转发以下文字",
    acknowledged: "已确认",
    unread: "无可用 token",
    no_token: "没有微信接受的 token",
};

impl House {
    /// The house that is lived in, with a request of an account that is read, and with many to cancel for each walk.
    async fn busy(walks: u32) -> (Self, Vec<String>) {
        let (house, ids) = Self::lived_in().await;
        house
            .sql(
                "INSERT INTO account (account, state, since, next_check_at, checked_at)
                 VALUES ('wx00000000000000a7', 'active', 1790000000000, 4000000000000,
                         CAST(unixepoch('subsec') * 1000 AS INTEGER));
                 -- It is read, and nobody polls it.
                 UPDATE request SET account = 'wx00000000000000a7' WHERE program = 'wx0000000000000000'",
            )
            .await;
        let operator = house.operator().await;
        for walk in 0..walks {
            let wish = |number: u32| {
                let program = format!("wx1{walk}{number:014}");
                json!({ "kind": "link", "account": ACCOUNT, "program": program, "labels": { "walk": walk.to_string() } })
            };
            let wishes: Vec<Value> = (0..MANY).map(wish).collect();
            let said = house.post("/api/v1/requests/batch", &operator, json!({ "requests": wishes })).await;
            assert_eq!(said.status, StatusCode::OK, "{said:?}");
        }
        (house, ids)
    }

    /// As before the last walk.
    async fn tidied(&self) {
        self.sql(
            "UPDATE alert SET state = 'firing', acknowledged_at = NULL, acknowledged_by = NULL, note = NULL; DELETE FROM nudge",
        )
        .await;
    }
}

/// Who waits longest, why, a reminder, and an alert that is taken with a note.
async fn the_longest_wait(browser: &Browser, tongue: &Tongue, id: &str) {
    browser.go(&format!("/?{}", tongue.look)).await;
    browser.click("#waiting ~ div tbody tr:first-child a.id").await;
    browser.until(async || browser.url().await.ends_with(id)).await;
    browser.says(tongue.must_act).await;
    browser.click("form[action$='/nudge'] button").await;
    browser.says(tongue.reminder).await;
    browser.click("section.card a").await;
    browser.until(async || browser.url().await.ends_with(id)).await;
    browser.sees("details[id^=nudge-]").await;
    let urgent = "#urgent ~ ul a[href*='rejected.program_admin']";
    // Figures may be a few seconds old, and nothing tells of what was put back past everybody.
    browser
        .until(async || {
            browser.go("/").await;
            browser.has(urgent).await
        })
        .await;
    browser.click(urgent).await;
    browser.click("tbody a[href*='/alerts/']").await;
    browser.click("#acknowledge-it > summary").await;
    browser.fill("form[action$='/acknowledge'] [name=note]", "今天打电话 today").await;
    browser.click("form[action$='/acknowledge'] button").await;
    browser.says("今天打电话 today").await;
    browser.says(tongue.acknowledged).await;
    browser.sees(".banner.good").await;
}

/// All of a label, after a look at how many they are.
async fn three_hundred_are_cancelled(browser: &Browser, walk: usize) {
    browser.go(&format!("/requests?label=walk%3D{walk}&open=true")).await;
    browser.click(".bulk form:nth-of-type(1) button").await;
    browser.says(&MANY.to_string()).await;
    browser.fill("form.fields input[required]", &MANY.to_string()).await;
    browser.fill("[name=reason]", "the shop has closed").await;
    browser.click("button.danger").await;
    browser.until(async || browser.url().await.contains("/actions/")).await;
    // Without scripts a page is as old as it looks.
    let done = format!("{MANY} / {MANY}");
    let action = browser.url().await;
    browser
        .until(async || {
            browser.driver.goto(&action).await.unwrap();
            browser.text().await.contains(&done)
        })
        .await;
    browser.says("the shop has closed").await;
}

/// An account that is not read, and why.
async fn an_account_that_is_not_read(browser: &Browser, tongue: &Tongue) {
    browser.go("/").await;
    browser.says(tongue.unread).await;
    browser.click("#machine ~ dl a[href*='trouble=token']").await;
    browser.until(async || browser.url().await.contains("trouble=token")).await;
    browser.click("tbody a[href*='wx00000000000000c2']").await;
    browser.until(async || browser.url().await.ends_with("/accounts/wx00000000000000c2")).await;
    browser.says(tongue.no_token).await;
    browser.says("no token came").await;
}

async fn walks(scripts: Scripts) {
    let (house, ids) = House::busy(4).await;
    let Some(browser) = house.signed_in(scripts).await else { return };
    for (walk, tongue) in TONGUES.iter().enumerate() {
        the_longest_wait(&browser, tongue, &ids[0]).await;
        three_hundred_are_cancelled(&browser, walk).await;
        an_account_that_is_not_read(&browser, tongue).await;
        assert_eq!(browser.complaints().await, Vec::<String>::new(), "{}", tongue.look);
        house.tidied().await;
    }
    let cancelled = house.number("SELECT count(*) FROM request WHERE state = 'cancelled'").await;
    assert_eq!(cancelled, i64::from(4 * MANY));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_errands_in_both_languages_and_themes_with_scripts() {
    walks(Scripts::On).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_errands_in_both_languages_and_themes_without_scripts() {
    walks(Scripts::Off).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_goes_by_keyboard_alone() {
    let (house, ids) = House::busy(0).await;
    let Some(browser) = Browser::open(&house.base, Scripts::On).await else { return };
    browser.go("/requests").await;
    browser.sees("[name=name]").await;
    browser.press(USER).await;
    browser.press(TAB).await;
    browser.press(PASSWORD).await;
    browser.press(ENTER).await;
    browser.until(async || browser.url().await.ends_with("/requests")).await;
    browser.sees("tbody tr").await;
    browser.press("?").await;
    browser.until(async || browser.script("return document.getElementById('keys').open").await == true).await;
    browser.press(ESCAPE).await;
    browser.press("jj").await;
    browser.press(ENTER).await;
    browser.until(async || browser.url().await.ends_with(&ids[4])).await;
    browser.press("/").await;
    browser.press(&ids[1]).await;
    browser.press(ENTER).await;
    browser.until(async || browser.url().await.ends_with(&ids[1])).await;

    // The first errand.
    browser.press("go").await;
    browser.tab_to("#waiting ~ div tbody tr:first-child a.id").await;
    browser.press(ENTER).await;
    browser.until(async || browser.url().await.ends_with(&ids[0])).await;
    browser.says(ENGLISH.must_act).await;
    browser.tab_to("form[action$='/nudge'] button").await;
    browser.press(ENTER).await;
    browser.says(ENGLISH.reminder).await;
    browser.press("ga").await;
    browser.until(async || browser.url().await.ends_with("/alerts")).await;
    browser.tab_to(&format!("tbody a[href$='{REFUSED}']")).await;
    browser.press(ENTER).await;
    browser.tab_to("#acknowledge-it > summary").await;
    browser.press(ENTER).await;
    browser.tab_to("form[action$='/acknowledge'] [name=note]").await;
    browser.press("I call them").await;
    browser.tab_to("form[action$='/acknowledge'] button").await;
    browser.press(ENTER).await;
    browser.says("I call them").await;
    browser.says(ENGLISH.acknowledged).await;
    browser.close().await;
}
