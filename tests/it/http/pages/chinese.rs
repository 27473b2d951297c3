//! Pages in Chinese are in Chinese: what stands on them in Latin letters is a name, an id, a code or a command.

use super::*;

/// Words that Chinese texts have as they are: names of things that have no other, units, and what people here are called.
const WORDS: [&str; 24] = [
    "amplinkd",
    "appid",
    "id",
    "token",
    "errcode",
    "API",
    "IP",
    "UTC",
    "SQL",
    "English",
    "vera",
    "olga",
    "root",
    "shop",
    "per_second",
    "wxamplink",
    "wx",
    "t",
    "m",
    "h",
    "d",
    "w",
    "x",
    "×",
];

/// Accounts, requests, alerts, steps, deeds and findings of every kind that pages tell of. What `WeChat` and people say is in
/// Chinese here, so that whatever is not is ours.
const RICH: &str = "
    INSERT INTO account (account, state, since, suspended_by, errcode, errmsg)
    VALUES ('wx00000000000000c1', 'suspended', 1790000000000, 'wechat', 61999, '未授权');
    INSERT INTO account (account, state, since, suspended_by)
    VALUES ('wx00000000000000c5', 'suspended', 1790000000000, 'operator');
    INSERT INTO account (account, state, since, trouble, failures, last_error, unread_since, emptied_at, overfull_since)
    VALUES ('wx00000000000000c2', 'active', 1790000000000, 'token', 3, '无响应', 1790000000000, 1790000000000, 1790000000000),
           ('wx00000000000000c6', 'active', 1790000000000, 'refused', 3, '无响应', 1790000000000, NULL, NULL),
           ('wx00000000000000c7', 'active', 1790000000000, 'unreadable', 3, NULL, 1790000000000, NULL, NULL),
           ('wx00000000000000c8', 'active', 1790000000000, 'unreachable', 3, '无响应', 1790000000000, NULL, NULL);
    INSERT INTO account (account, state, since, call_failures, calls_refused_since, call_error)
    VALUES ('wx00000000000000c3', 'active', 1790000000000, 2, 1790000000000, '稍后再试');
    INSERT INTO gate (kind, subject, until, errcode, errmsg, at)
    VALUES ('account_month', 'wx00000000000000c3/89017', 4000000000000, 89017, '额度', 1),
           ('program_month', 'wx00000000000000d1', 4000000000000, 89007, '额度', 1),
           ('ip', 'all', 4000000000000, 40164, '白名单', 1);
    INSERT INTO program (account, item, program, status, nickname, status_since, first_seen_at)
    VALUES ('wx00000000000000c1', 'gh_1', 'wx00000000000000d1', 2, '小店', 1790000000000, 1790000000000),
           ('wx00000000000000c1', 'gh_2', 'wx00000000000000d2', 7, '小店', 1790000000000, 1790000000000);
    INSERT INTO authorizer (appid, state, since, username, nickname, errcode, errmsg)
    VALUES ('wx00000000000000c1', 'unknown', 1790000000000, 'gh_2', '公众号', 61003, '未授权');
    UPDATE request SET state = 'awaiting_account_admin', since = since - 400000000, attempt = 1 WHERE program GLOB '*1';
    UPDATE request SET state = 'awaiting_program_admin', since = since - 7200000, attempt = 1 WHERE program GLOB '*2';
    UPDATE request SET state = 'rejected', finished_at = since, attempt = 1, seen_status = 3 WHERE program GLOB '*3';
    UPDATE request SET state = 'linked', finished_at = 1790000000000, since = 1790000000000, attempt = 1 WHERE program GLOB '*4';
    UPDATE request SET state = 'failed', finished_at = since, failure = 'refused', errcode = 89008, errmsg = '不可关联'
    WHERE program GLOB '*5';
    UPDATE transition SET status = 3, errcode = 89008, detail = 'call 2 left no trace in the list'
    WHERE request_id IN (SELECT r.id FROM request AS r WHERE r.program GLOB '*5');
    INSERT INTO conflict (id, request_id, kind, errcode, errmsg, at, our_state, their_status)
    SELECT '0197c2d5-1a2b-7c3d-8e4f-5a6b7c8d9e0f', id, 'linking_from_console', 89035, '已发起', 1790000000000, 'initiating', 2
    FROM request WHERE program GLOB '*3';
    INSERT INTO conflict (id, request_id, kind, at, our_state, their_status, resolved_at, resolution)
    SELECT printf('0197c2d5-1a2b-7c3d-8e4f-%012d', row), id, 'adopted', 1790000000000, 'requested', 12, 1790000000000, 'linked'
    FROM request WHERE program GLOB '*[4]';
    INSERT INTO alert (id, key, rule, reason, request_id, account, program, state, since, fired_at, resolved_at, resolution,
                       message_en, message_zh)
    SELECT printf('0197c2d6-0000-7000-8000-%012d', r.row), 'k/' || r.id,
           CASE WHEN r.state = 'rejected' THEN 'rejected' ELSE 'stuck' END,
           CASE WHEN r.state = 'rejected' THEN 'rejected.program_admin' ELSE 'stuck.account_admin' END, r.id, r.account, r.program,
           CASE WHEN r.finished_at IS NULL THEN 'firing' ELSE 'resolved' END, r.since, r.since, r.finished_at,
           CASE WHEN r.finished_at IS NOT NULL THEN 'aged_out' END, 'It was refused.', '需要处理。'
    FROM request AS r WHERE r.program GLOB '*[123]';";

/// Every page, the alerts, requests and actions that `RICH` has among them.
const ALL: [&str; 12] = [
    "/",
    "/requests",
    "/requests?state=failed&since=24h",
    "/alerts",
    "/alerts?state=resolved",
    "/channels",
    "/actions",
    "/me",
    "/nowhere",
    "/requests?tpyo=1",
    "/search?q=%E6%B2%A1%E6%9C%89",
    "/sign-in",
];

/// What people read of a page: its title, its text, and what attributes say to those who hear it.
fn read(page: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut hidden: Option<&str> = None;
    for part in page.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or((part, ""));
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        for said in ["aria-label=\"", "data-name=\"", "alt=\""] {
            texts.extend(attributes.split(said).skip(1).filter_map(|value| value.split('"').next()).map(str::to_owned));
        }
        // What was answered is told as it was.
        let is_name = ["small said", "id", "id\" href", "copy"]
            .iter()
            .any(|class| attributes.contains(&format!("class=\"{class}\"")));
        match hidden {
            // Names as they are.
            None if ["code", "kbd", "pre", "script", "style"].contains(&name) || is_name => hidden = Some(name),
            Some(within) if tag.strip_prefix('/') == Some(within) => {
                hidden = None;
                texts.push(text.to_owned());
            }
            Some(_) => {}
            None => texts.push(text.to_owned()),
        }
    }
    texts
}

/// Words in Latin letters that are no names.
fn foreign(text: &str) -> Vec<&str> {
    let is_of_word = |sign: char| sign.is_ascii_alphanumeric() || "_./-`[]=+:,…".contains(sign);
    // An error, and names that are listed, are told as they are.
    let text = ["最后一次：", "最近一次：", "可用的参数有"]
        .iter()
        .find_map(|before| text.split_once(before))
        .map_or(text, |(text, _)| text);
    let mut is_command = false;
    let mut words = Vec::new();
    for word in text.split(|sign| !is_of_word(sign)) {
        let was_command = is_command;
        is_command ^= word.matches('`').count() % 2 == 1;
        let is_name = was_command
            || word.contains('`')
            || WORDS.contains(&word.trim_matches(|sign| "./-[]:,…".contains(sign)))
            // A filter, or how one is written.
            || word.contains('=')
            // A key of the configuration, a document, and whatever has a digit: ids, codes, moments, spans.
            || word.starts_with('[')
            || word.starts_with("docs/")
            || word.chars().any(|sign| sign.is_ascii_digit())
            || ["daily_budget", "base_url", "steps", "effect_within", "timezone"].contains(&word);
        if !is_name && word.chars().filter(char::is_ascii_alphabetic).count() > 0 {
            words.push(word);
        }
    }
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_in_chinese_has_a_word_of_english() {
    let house = House::open("").await;
    let operator = house.operator().await;
    let mut ids = Vec::new();
    for digit in 0..8 {
        ids.push(house.request(&operator, &format!("wx000000000000000{digit}")).await);
    }
    let reason = json!({ "reason": "客户已离开" });
    house.post(&format!("/api/v1/requests/{}/cancel", ids[6]), &operator, reason.clone()).await;
    house.post(&format!("/api/v1/requests/{}/retry", ids[6]), &operator, reason.clone()).await;
    house.sql(RICH).await;
    house.post("/api/v1/accounts/wx00000000000000c8/suspend", &operator, reason).await;
    let cookie = format!("{}; lang=zh", house.seat("olga", Role::Admin).await);
    let mut shown = Vec::new();
    for (form, fields) in [
        ("/do/audit", [("_back", "/audit"), ("", ""), ("", ""), ("", "")]),
        ("/do/tokens", [("name", "shop"), ("expires", "365d"), ("scopes[]", "read"), ("_show", "token")]),
        ("/do/actions", [("_show", "preview"), ("action", "cancel"), ("dry_run!", "1"), ("filter.open", "true")]),
        ("/do/actions", [("_show", "preview"), ("action", "snooze"), ("dry_run!", "1"), ("filter.state", "firing")]),
        ("/do/actions", [("_show", "preview"), ("action", "suspend"), ("dry_run!", "1"), ("filter.state", "active")]),
        ("/do/actions", [("_show", "preview"), ("action", "retry"), ("dry_run!", "1"), ("filter.tpyo", "active")]),
        (&format!("/do/requests/{}/nudge", ids[1]), [("_show", "nudge"), ("language", "zh"), ("", ""), ("", "")]),
        (&format!("/do/requests/{}/retry", ids[1]), [("_back", "/"), ("", ""), ("", ""), ("", "")]),
        ("/do/accounts/wx00000000000000c8/suspend", [("_back", "/"), ("", ""), ("", ""), ("", "")]),
    ] {
        let said = house.ask(Method::POST, form).header("Accept", "text/html").header("Cookie", &cookie);
        let said =
            said.header("Sec-Fetch-Site", "same-origin").header("Content-Type", "application/x-www-form-urlencoded");
        let fields = fields.into_iter().filter(|(name, _)| !name.is_empty());
        let body: Vec<String> = fields.map(|(name, value)| format!("{name}={value}")).collect();
        shown.push((form.to_owned(), Said::of(said.body(body.join("&")).send().await.unwrap()).await.text));
    }
    let deeds = house.page("/actions", &cookie).await.text;
    let deeds = links(&deeds).into_iter().filter(|link| link.starts_with("/actions/"));
    let alerts = house.page("/alerts?state=all", &cookie).await.text;
    let alerts = links(&alerts).into_iter().filter(|link| link.starts_with("/alerts/"));
    let requests = ids.iter().map(|id| format!("/requests/{id}"));
    let accounts = (1..=8).map(|number| format!("/accounts/wx00000000000000c{number}"));
    let fixed = ALL.into_iter().chain(PAGES).map(str::to_owned);
    for path in fixed.chain(requests).chain(accounts).chain(alerts).chain(deeds) {
        let page = house.page(&path, &cookie).await.text;
        shown.push((path, page));
    }
    let mut found = BTreeSet::new();
    for (path, page) in shown {
        assert!(page.is_empty() || page.contains("<html lang=\"zh-CN\""), "{path}: {page}");
        for text in read(&page) {
            let words = foreign(&text);
            if !words.is_empty() {
                found.insert(format!("{path}: {words:?} in {text:?}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_word_of_english_is_seen() {
    assert_eq!(foreign("账号 adopted，sign_in"), ["adopted", "sign_in"]);
    assert_eq!(foreign("执行 `amplinkd gate open ip all`，errcode 89007，[polling] daily_budget"), [""; 0]);
    assert_eq!(
        read("<p aria-label=\"say it\">中<code>x y</code> and<a class=\"id\" href=\"/\">wx</a></p>"),
        ["say it", "中", " and", "", ""]
    );
}
