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

/// What of a page, in parts that are not for acting, is seen; and what of that is written in the colour of paper.
const SEEN: &str = "
    const acting = 'form, .acts, .tabs, .filters, .pager, .bulk, .hidden, .copy-it, [hidden]';
    const seen = [...document.querySelectorAll('main *')].filter((one) =>
      !one.closest(acting) && one.textContent.trim() !== '' && one.getClientRects().length > 0 &&
      getComputedStyle(one).visibility === 'visible');
    const light = (one) => {
      const [red, green, blue] = getComputedStyle(one).color.match(/[\\d.]+/g).map((part) => {
        const share = part / 255;
        return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const words = (one) => one.tagName + ' ' + one.textContent.trim().slice(0, 60);
    return [seen.map(words), seen.filter((one) => 1.05 / (light(one) + 0.05) < 3).map(words)]";

#[tokio::test(flavor = "multi_thread")]
async fn paper_has_all_that_a_screen_has_and_it_can_be_read() {
    let (house, ids) = House::lived_in().await;
    let Some(browser) = house.signed_in(Scripts::On).await else { return };
    let media = async |media: &str| browser.command("Emulation.setEmulatedMedia", json!({ "media": media })).await;
    for page in pages(&ids) {
        let joint = if page.contains('?') { '&' } else { '?' };
        media("screen").await;
        browser.go(&format!("{page}{joint}theme=dark")).await;
        browser.sees("h1").await;
        let screen: (Vec<String>, Vec<String>) = serde_json::from_value(browser.script(SEEN).await).unwrap();
        assert!(!screen.1.is_empty(), "{page} is dark");
        media("print").await;
        let paper: (Vec<String>, Vec<String>) = serde_json::from_value(browser.script(SEEN).await).unwrap();
        let missing: Vec<&String> = screen.0.iter().filter(|words| !paper.0.contains(words)).collect();
        assert!(missing.is_empty(), "{page} loses {missing:?}");
        assert!(paper.1.is_empty(), "{page} cannot be read on paper: {:?}", paper.1);
    }
    browser.go("/").await;
    let printed = browser.command("Page.printToPDF", json!({ "printBackground": false })).await;
    assert!(printed["data"].as_str().is_some_and(|data| data.len() > 10_000), "{printed}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_colours_take_nothing_away() {
    let (house, ids) = House::lived_in().await;
    let Some(browser) = house.signed_in(Scripts::On).await else { return };
    let forced = json!({ "features": [{ "name": "forced-colors", "value": "active" }] });
    browser.command("Emulation.setEmulatedMedia", forced).await;
    // What is a shape without a word in it: parts of bars, marks, and the row that the keys are at.
    let lost = "
        const look = (one, of) => getComputedStyle(one, of);
        const ground = look(document.body).backgroundColor;
        const all = (css) => [...document.querySelectorAll(css)];
        const words = (one) => one.outerHTML.slice(0, 120);
        return [
          ...all('svg.bar rect, svg.chart rect').filter((one) => look(one).fill === ground),
          ...all('.legend span').filter((one) => [ground, 'rgba(0, 0, 0, 0)'].includes(look(one).backgroundColor)),
          ...all('.chip, .banner:not([hidden]), .card, button').filter((one) => look(one).borderTopStyle === 'none'),
          ...all('.steps li:not(.gap)').filter((one) => look(one, '::before').borderTopColor === ground),
          ...all('tbody tr.at').filter((one) => look(one).outlineStyle === 'none'),
        ].map(words)";
    for page in pages(&ids) {
        browser.go(&page).await;
        browser.sees("h1").await;
        assert_eq!(browser.script("return matchMedia('(forced-colors: active)').matches").await, true);
        browser.press("j").await;
        assert_eq!(browser.script(lost).await, json!([]), "{page}");
    }
    browser.go("/requests").await;
    browser.press("j").await;
    browser.sees("tbody tr.at").await;
    browser.close().await;
}
