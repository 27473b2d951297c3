//! Pages of accounts, programs, conflicts, reports, the plan and the audit, as a browser without script gets them: whatever
//! WeChat or people write comes out as text, and every form asks the API.

mod chinese;
mod figures;
mod manners;

use std::{collections::BTreeSet, time::Duration};

use reqwest::Method;

use super::*;
use crate::harness::wait_for;

const PATIENCE: Duration = Duration::from_mins(1);
const PASSWORD: &str = "a long password of a test";

/// What must never come out as a tag.
const HOSTILE: &str = r#""><img src=x onerror=alert(1)>"#;

/// Accounts that WeChat suspended, that cannot be read, whose calls are refused, and that is to be suspended.
const REFUSED: &str = "wx00000000000000c1";
const UNREAD: &str = "wx00000000000000c2";
const HELD: &str = "wx00000000000000c3";
const CALM: &str = "wx00000000000000c4";

const WORLD: &str = r#"
    INSERT INTO account (account, state, since, suspended_by, errcode, errmsg)
    VALUES ('wx00000000000000c1', 'suspended', 1790000000000, 'wechat', 61999, '"><img src=x onerror=alert(1)>');
    INSERT INTO account (account, state, since, trouble, failures, last_error, unread_since)
    VALUES ('wx00000000000000c2', 'active', 1790000000000, 'token', 3, '"><img src=x onerror=alert(1)>', 1790000000000);
    INSERT INTO account (account, state, since, call_failures, calls_refused_since, call_error)
    VALUES ('wx00000000000000c3', 'active', 1790000000000, 2, 1790000000000, '"><img src=x onerror=alert(1)>');
    INSERT INTO account (account, state, since) VALUES ('wx00000000000000c4', 'active', 1790000000000);
    INSERT INTO gate (kind, subject, until, errcode, errmsg, at)
    VALUES ('account_month', 'wx00000000000000c3/89017', 4000000000000, 89017, '"><img src=x onerror=alert(1)>', 1);
    INSERT INTO program (account, item, program, status, nickname, headimg_url, status_since, first_seen_at)
    VALUES ('wx00000000000000c1', 'gh_1', 'wx00000000000000d1', 2, '"><img src=x onerror=alert(1)>',
            'https://outside.example/head.png', 1790000000000, 1790000000000);
    INSERT INTO authorizer (appid, state, since, username, nickname, errcode, errmsg)
    VALUES ('wx00000000000000c1', 'unknown', 1790000000000, 'gh_2', '"><img src=x onerror=alert(1)>', 61003,
            '"><img src=x onerror=alert(1)>');
    INSERT INTO conflict (id, request_id, kind, errcode, errmsg, at, our_state, their_status)
    SELECT '0197c2d5-1a2b-7c3d-8e4f-5a6b7c8d9e0f', id, 'linking_from_console', 89035, '"><img src=x onerror=alert(1)>',
           1790000000000, 'initiating', 2
    FROM request LIMIT 1;"#;

/// Every page of these, with and without filters.
const PAGES: [&str; 14] = [
    "/accounts",
    "/accounts?trouble=token,refused&limit=1",
    "/accounts/wx00000000000000c1",
    "/accounts/wx00000000000000c2",
    "/accounts/wx00000000000000c3",
    "/accounts/wx00000000000000c4",
    "/programs",
    "/programs?program=wx00000000000000d1",
    "/conflicts",
    "/conflicts?open=true",
    "/report",
    "/report?by=label:shop&since=30d",
    "/plan?per_second=3",
    "/audit",
];

/// Those of them on which something hostile stands, when [`House::populated`] has made it.
const TOLD: [&str; 8] = [
    "/accounts",
    "/accounts/wx00000000000000c1",
    "/accounts/wx00000000000000c2",
    "/accounts/wx00000000000000c3",
    "/accounts/wx00000000000000c4",
    "/programs",
    "/conflicts",
    "/report?by=label:shop&since=30d",
];

/// The value of a hidden field of a page.
fn hidden<'p>(page: &'p str, name: &str) -> &'p str {
    let (_, behind) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{name}: {page}"));
    behind.split_once('"').unwrap().0
}

/// Where the links of a page go.
fn links(page: &str) -> BTreeSet<String> {
    let links = page.split("href=\"").skip(1).filter_map(|behind| behind.split_once('"'));
    links
        .map(|(link, _)| link.replace("&amp;", "&").replace("&#38;", "&"))
        .filter(|link| link.starts_with('/'))
        .collect()
}

impl House {
    /// Somebody who has signed in: their cookie.
    async fn seat(&self, name: &str, role: Role) -> String {
        self.user(name, role, PASSWORD).await;
        let said = self.sign_in(name, PASSWORD).await;
        said.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    async fn page(&self, path: &str, cookie: &str) -> Said {
        let asked = self.ask(Method::GET, path).header("Cookie", cookie).header("Accept", "text/html");
        Said::of(asked.send().await.unwrap()).await
    }

    async fn form(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Said {
        let asked = self.ask(Method::POST, path).header("Cookie", cookie).header("Sec-Fetch-Site", "same-origin");
        let asked = asked.header("Content-Type", "application/x-www-form-urlencoded");
        let encoded =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        Said::of(asked.body(pairs.join("&")).send().await.unwrap()).await
    }

    /// A request that was cancelled, with an open conflict, and accounts with whatever may be wrong with one.
    async fn populated(&self) {
        let operator = self.operator().await;
        let wish = json!({ "kind": "link", "account": ACCOUNT, "program": PROGRAM, "labels": { "shop": HOSTILE } });
        let said = self.post("/api/v1/requests", &operator, wish).await;
        let id = said.json()["id"].as_str().unwrap().to_owned();
        let said = self.post(&format!("/api/v1/requests/{id}/cancel"), &operator, json!({ "reason": HOSTILE })).await;
        assert_eq!(said.status, StatusCode::OK, "{said:?}");
        self.sql(WORLD).await;
        let path = format!("/api/v1/accounts/{CALM}/suspend");
        let said = self.post(&path, &operator, json!({ "reason": HOSTILE })).await;
        assert_eq!(said.status, StatusCode::OK, "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_reads_every_page_in_both_languages_and_finds_no_button() {
    let house = House::open("").await;
    house.populated().await;
    let cookie = house.seat("vera", Role::Viewer).await;
    for path in PAGES {
        for (language, tag) in [("en", "<html lang=\"en\""), ("zh", "<html lang=\"zh-CN\"")] {
            let joint = if path.contains('?') { '&' } else { '?' };
            let said = house.page(&format!("{path}{joint}lang={language}"), &cookie).await;
            assert_eq!(said.status, StatusCode::OK, "{path}: {said:?}");
            assert!(said.text.contains(tag), "{path} {language}");
            assert!(
                !said.text.contains("<img src=x") && !said.text.contains("outside.example"),
                "{path}: {}",
                said.text
            );
            assert!(!said.text.contains("/do/") && !said.text.contains("style=\""), "{path}: {}", said.text);
        }
    }
    for path in TOLD {
        let said = house.page(path, &cookie).await;
        assert!(said.text.contains("img src=x onerror=alert(1)"), "{path} hides it: {}", said.text);
    }
    let forbidden = house.form(&format!("/do/accounts/{UNREAD}/resume"), &cookie, &[]).await;
    assert_eq!(forbidden.status, StatusCode::FORBIDDEN, "{forbidden:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_of_these_pages_leads_somewhere() {
    let house = House::open("base_path = \"/x\"").await;
    house.populated().await;
    let cookie = house.seat("vera", Role::Viewer).await;
    let mut all = BTreeSet::new();
    for path in PAGES.into_iter().chain(["/"]) {
        all.extend(links(&house.page(path, &cookie).await.text));
    }
    assert!(all.iter().any(|link| link.starts_with("/x/accounts?trouble=")), "{all:?}");
    for link in all {
        let below = link.strip_prefix("/x").unwrap_or_else(|| panic!("{link} leaves the base"));
        let said = house.page(below, &cookie).await;
        assert_eq!(said.status, StatusCode::OK, "{link}: {}", said.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_as_a_page() {
    let house = House::open("").await;
    let cookie = house.seat("vera", Role::Viewer).await;
    for (path, status, told) in [
        ("/accounts/wx0000000000000404", 404, "account_unknown"),
        ("/accounts/nonsense", 404, "not_found"),
        ("/accounts?trouble=ip", 422, "token, refused, unreadable, unreachable"),
        ("/accounts?stat=active", 422, "there are state, suspended_by, trouble, label, limit, after"),
        ("/programs?account=1", 422, "account"),
        ("/conflicts?open=true&resolved=true", 422, "excludes open"),
        ("/report?since=soon", 422, "since"),
        ("/report?by=shop", 422, "and a label"),
        ("/plan?per_second=0", 422, "from 1 to 1000000"),
        ("/audit?all=true", 422, "takes no parameters"),
    ] {
        let said = house.page(path, &cookie).await;
        assert_eq!(said.status.as_u16(), status, "{path}: {said:?}");
        assert!(said.header("content-type").starts_with("text/html"), "{path}");
        assert!(said.text.contains(told), "{path}: {}", said.text);
    }
    let unknown = house.page(&format!("/accounts?trouble={}", "%3Cimg src=x%3E".replace(' ', "%20")), &cookie).await;
    assert!(unknown.status == StatusCode::UNPROCESSABLE_ENTITY && !unknown.text.contains("<img src=x"), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_page_says_what_would_be_here() {
    let house = House::open("").await;
    let cookie = house.seat("vera", Role::Viewer).await;
    for (path, command) in [
        ("/accounts", "amplinkd request link ACCOUNT PROGRAM"),
        ("/programs", "amplinkd request link ACCOUNT PROGRAM"),
        ("/conflicts", "amplinkd conflict list"),
        ("/report", "amplinkd request list --open"),
        ("/plan", "amplinkd plan"),
        ("/audit", "amplinkd audit"),
    ] {
        let said = house.page(path, &cookie).await;
        assert!(said.text.contains(&format!("<code>{command}")), "{path}: {}", said.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_filters_choose_are_suspended_after_a_preview() {
    let house = House::open("").await;
    house.populated().await;
    let cookie = house.seat("olga", Role::Operator).await;
    let list = house.page("/accounts?trouble=token", &cookie).await;
    assert!(list.text.contains(UNREAD) && !list.text.contains(REFUSED), "{}", list.text);
    let chosen = [("action", hidden(&list.text, "action")), ("filter.trouble", hidden(&list.text, "filter.trouble"))];
    let back = hidden(&list.text, "_back");
    let shown = [("_show", "preview"), ("_back", back), ("dry_run!", "1"), chosen[0], chosen[1]];
    let preview = house.form("/do/actions", &cookie, &shown).await;
    assert!(preview.status == StatusCode::OK && preview.text.contains("<strong>1</strong>"), "{preview:?}");
    assert_eq!(house.number("SELECT count(*) FROM account WHERE suspended_by = 'operator'").await, 1, "only shown");

    let (cutoff, digest) = (hidden(&preview.text, "cutoff"), hidden(&preview.text, "digest"));
    let agreed = [chosen[0], chosen[1], ("cutoff", cutoff), ("digest", digest), ("reason", "too late")];
    let begun = house.form("/do/actions", &cookie, &agreed).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{begun:?}");
    assert!(begun.header("location").starts_with("/actions/"), "{begun:?}");
    let path = format!("/accounts/{UNREAD}");
    let is_suspended =
        async || house.page(&path, &cookie).await.text.contains("An operator has suspended this account");
    assert!(wait_for(PATIENCE, is_suspended).await, "{}", house.log.tail());
    let page = house.page(&path, &cookie).await.text;
    assert!(page.contains("olga gave the reason: too late"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_account_is_suspended_and_resumed_as_it_was_seen() {
    let house = House::open("").await;
    house.populated().await;
    let cookie = house.seat("olga", Role::Operator).await;
    let (path, does) = (format!("/accounts/{HELD}"), format!("/do/accounts/{HELD}"));
    let page = house.page(&path, &cookie).await.text;
    assert!(page.contains("A monthly quota of this account is used up (errcode 89017"), "{page}");
    let tag = hidden(&page, "_tag").replace("&#34;", "\"");
    let blank = [("_back", path.as_str()), ("_tag", tag.as_str()), ("reason", " ")];
    let without = house.form(&format!("{does}/suspend"), &cookie, &blank).await;
    assert_eq!(without.status, StatusCode::UNPROCESSABLE_ENTITY, "a reason is needed: {without:?}");
    let fields = [("_back", path.as_str()), ("_tag", tag.as_str()), ("reason", "it was sold")];
    let done = house.form(&format!("{does}/suspend"), &cookie, &fields).await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, path.as_str()), "{done:?}");
    let page = house.page(&path, &cookie).await.text;
    assert!(page.contains("olga gave the reason: it was sold"), "{page}");

    let stale = house.form(&format!("{does}/resume"), &cookie, &[("_back", &path), ("_tag", &tag)]).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "it stands otherwise now: {stale:?}");
    let tag = hidden(&page, "_tag").replace("&#34;", "\"");
    let done = house.form(&format!("{does}/resume"), &cookie, &[("_back", &path), ("_tag", &tag)]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{done:?}");
    assert_eq!(house.number("SELECT count(*) FROM account WHERE suspended_by = 'operator'").await, 1, "the other one");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_is_run_by_a_button_and_its_findings_are_shown() {
    let house = House::open("").await;
    let cookie = house.seat("olga", Role::Operator).await;
    let run = async || house.form("/do/audit", &cookie, &[("_back", "/audit")]).await;
    assert_eq!(run().await.header("location"), "/audit");
    let page = house.page("/audit", &cookie).await.text;
    assert!(
        page.contains("The last audit found nothing") && page.contains("olga") && !page.contains("conflict_left_open"),
        "{page}"
    );
    house.populated().await;
    house.sql("UPDATE request SET finished_at = 1790000000000").await;
    assert_eq!(run().await.status, StatusCode::SEE_OTHER);
    let page = house.page("/audit?lang=zh", &cookie).await.text;
    assert!(page.contains("请求已推进而冲突仍未解决") && page.contains("conflict_left_open"), "{page}");

    let begun = house.form("/do/audit", &cookie, &[("_back", "/audit"), ("all!", "1")]).await;
    let action = begun.header("location").to_owned();
    assert!(begun.status == StatusCode::SEE_OTHER && action.starts_with("/actions/"), "{begun:?}");
    let is_done = async || house.page("/audit", &cookie).await.text.contains(&format!("href=\"{action}\""));
    assert!(wait_for(PATIENCE, is_done).await, "{}", house.log.tail());
}
