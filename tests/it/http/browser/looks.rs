//! What everybody gets, whatever their eyes, their screen and their language; and what hostile text may do.

use super::*;

const AXE: &str = include_str!("axe.min.js");

/// Every page there is.
fn pages(ids: &[String]) -> Vec<String> {
    let fixed = [
        "/",
        "/requests",
        "/requests?state=failed",
        "/alerts",
        "/accounts",
        "/programs",
        "/conflicts",
        "/channels",
        "/report",
        "/plan",
        "/audit",
        "/actions",
        "/me",
        "/nowhere",
    ];
    let one = [format!("/requests/{}", ids[0]), format!("/alerts/{REFUSED}"), format!("/accounts/{ACCOUNT}")];
    fixed.iter().map(|page| (*page).to_owned()).chain(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_shuts_anybody_out() {
    let (house, ids) = House::lived_in().await;
    let Some(browser) = house.signed_in(Scripts::On).await else { return };
    let mut wrong = Vec::new();
    for look in ["lang=en&theme=light", "lang=zh&theme=dark"] {
        for page in pages(&ids) {
            let joint = if page.contains('?') { '&' } else { '?' };
            browser.go(&format!("{page}{joint}{look}")).await;
            browser.sees("h1").await;
            browser.script(AXE).await;
            let found = browser
                .driver
                .execute_async(
                    "const done = arguments[0]; axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] })
                       .then((said) => done(said.violations.map((one) => one.id + ': ' + one.nodes.map((node) => node.html).join(' ; ').slice(0, 300))))",
                    Vec::new(),
                )
                .await
                .unwrap();
            let found: Vec<String> = serde_json::from_value(found.json().clone()).unwrap();
            wrong.extend(found.into_iter().map(|one| format!("{page} ({look}): {one}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_a_phone_and_a_wall() {
    let (house, ids) = House::lived_in().await;
    let Some(browser) = house.signed_in(Scripts::On).await else { return };
    for (width, height) in [(320, 640), (390, 844), (1280, 800), (3840, 2160)] {
        browser.screen(width, height).await;
        for page in pages(&ids) {
            browser.go(&page).await;
            let wide = browser.script("return document.documentElement.scrollWidth").await;
            let widest = "return [...document.querySelectorAll('body *')]
                .filter((one) => one.getBoundingClientRect().right > screen.width + 1).map((one) => one.outerHTML.slice(0, 200))";
            let is_fit = wide.as_u64().unwrap() <= u64::from(width);
            assert!(is_fit, "{page} is {wide} wide on {width}: {}", browser.script(widest).await);
        }
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_loaded_is_small_and_kept() {
    let (house, ids) = House::lived_in().await;
    let Some(browser) = house.signed_in(Scripts::On).await else { return };
    let loaded = async || {
        let sizes =
            "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
            .filter((one) => !one.name.includes('/api/')).map((one) => one.transferSize)";
        let sizes: Vec<u64> = serde_json::from_value(browser.script(sizes).await).unwrap();
        (sizes.len(), sizes.iter().sum::<u64>())
    };
    browser.command("Network.clearBrowserCache", json!({})).await;
    browser.go("/").await;
    browser.sees("h1").await;
    let (requests, bytes) = loaded().await;
    assert!(requests <= 8 && bytes <= 60_000, "{requests} requests, {bytes} bytes for a first visit");
    for page in pages(&ids) {
        browser.go(&page).await;
        let (_, bytes) = loaded().await;
        assert!(bytes <= 15_000, "{bytes} bytes for {page}");
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_only_text() {
    let (house, ids) = House::lived_in().await;
    house
        .sql(
            "UPDATE request SET errcode = 89007, errmsg = '\"><img src=x onerror=document.title=1><script>document.title=1</script>',
                 labels = json_object('\"><b>', '<script>document.title=1</script>');
             UPDATE account SET last_error = '\"><img src=x onerror=document.title=1>';
             UPDATE alert SET message_en = '<script>document.title=1</script>', note = '\"><svg onload=document.title=1>'",
        )
        .await;
    let Some(browser) = house.signed_in(Scripts::On).await else { return };
    for page in pages(&ids) {
        browser.go(&page).await;
        browser.sees("h1").await;
        let foreign = "return [document.title === '1', document.querySelectorAll('main script, main img[src=x], main svg[onload], main b').length]";
        assert_eq!(browser.script(foreign).await, json!([false, 0]), "{page}");
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}
