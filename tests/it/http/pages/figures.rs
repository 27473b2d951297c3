//! Figures of the overview: each is as many as the list has that it leads to, whatever happened long ago.

use super::*;

/// Requests by the last digit of their program: what came to its end lately, and the same a day and an hour ago.
const LIVES: &str = "
    INSERT INTO account (account, state, since, next_check_at)
    VALUES ('wx00000000000000a7', 'active', 1790000000000, 4000000000000);
    UPDATE request SET account = 'wx00000000000000a7';
    UPDATE request SET attempt = 1,
           kind = CASE WHEN program GLOB '*[ab]' THEN 'unlink' ELSE 'link' END;
    UPDATE request SET state = 'linked', finished_at = since, seen_status = 1 WHERE program GLOB '*[012]';
    UPDATE request SET state = 'rejected', finished_at = since, seen_status = 3 WHERE program GLOB '*[34]';
    UPDATE request SET state = 'failed', finished_at = since, failure = 'refused', errcode = 89008 WHERE program GLOB '*[56]';
    UPDATE request SET state = 'lapsed', finished_at = since WHERE program GLOB '*[78]';
    UPDATE request SET state = 'unlinked', finished_at = since WHERE program GLOB '*[9abc]';
    UPDATE request SET state = 'awaiting_account_admin', seen_status = 12 WHERE program GLOB '*d';
    UPDATE request SET state = 'awaiting_program_admin', seen_status = 2 WHERE program GLOB '*[ef]';
    UPDATE transition SET to_state = (SELECT r.state FROM request AS r WHERE r.id = request_id);
    UPDATE transition SET at = at - 90000000
    WHERE request_id IN (SELECT r.id FROM request AS r WHERE r.program GLOB '*[02468bf]');
    UPDATE request SET since = since - 90000000, finished_at = finished_at - 90000000 WHERE program GLOB '*[02468bf]';
    INSERT INTO account (account, state, since, suspended_by, errcode)
    VALUES ('wx00000000000000f1', 'suspended', 1790000000000, 'wechat', 61003),
           ('wx00000000000000f2', 'suspended', 1790000000000, 'wechat', 61007);
    INSERT INTO account (account, state, since, trouble, failures, unread_since)
    VALUES ('wx00000000000000f3', 'active', 1790000000000, 'token', 3, 1790000000000),
           ('wx00000000000000f4', 'active', 1790000000000, 'token', 3, 1790000000000);
    INSERT INTO alert (id, key, rule, reason, request_id, account, program, state, since, fired_at,
                       acknowledged_at, message_en, message_zh)
    SELECT printf('0197c2d6-0000-7000-8000-%012d', r.row), 'rejected/' || r.id, 'rejected', 'rejected.program_admin', r.id,
           r.account, r.program, CASE WHEN r.program GLOB '*3' THEN 'firing' ELSE 'acknowledged' END, r.since, r.since,
           CASE WHEN r.program GLOB '*4' THEN r.since END, 'It was refused.', 'x'
    FROM request AS r WHERE r.state = 'rejected';
    UPDATE request SET account = 'wx00000000000000f3' WHERE program GLOB '*f';";

/// A text without its tags.
fn plain(html: &str) -> String {
    html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect()
}

/// The number that a text begins with.
fn leading(text: &str) -> Option<usize> {
    let digits: String = text
        .trim_start()
        .chars()
        .take_while(|sign| sign.is_ascii_digit() || *sign == ',')
        .filter(|sign| *sign != ',')
        .collect();
    digits.parse().ok()
}

/// Links of a page that are, or stand before, a figure, with that.
fn figures(page: &str) -> Vec<(String, usize)> {
    let links = page.split("<a ").skip(1).filter_map(|link| {
        let (_, behind) = link.split_once("href=\"")?;
        let (to, behind) = behind.split_once('"')?;
        let (text, behind) = behind.split_once('>')?.1.split_once("</a>")?;
        let beside = behind.strip_prefix("</th><td class=\"num\">").and_then(leading);
        Some((to.replace("&amp;", "&").replace("&#38;", "&"), beside.or_else(|| leading(&plain(text)))?))
    });
    links.filter(|(to, _)| !to.starts_with("/audit")).collect()
}

/// Rows of the table of a list.
fn rows(page: &str) -> usize {
    page.split("<tbody>")
        .nth(1)
        .and_then(|body| body.split("</tbody>").next())
        .map_or(0, |body| body.matches("<tr>").count())
}

impl House {
    /// Requests, each with a life, of an account that nobody polls.
    async fn of_all_ages() -> (Self, String) {
        let house = Self::open("").await;
        let operator = house.operator().await;
        for digit in 0..16 {
            house.request(&operator, &format!("wx000000000000000{digit:x}")).await;
        }
        house.sql(LIVES).await;
        (house, operator)
    }

    /// Figures that are not as many as their lists have.
    async fn misfits(&self, figures: &[(String, usize)], cookie: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for (to, count) in figures {
            let joint = if to.contains('?') { '&' } else { '?' };
            let list = self.page(&format!("{to}{joint}limit=500"), cookie).await;
            if list.status != StatusCode::OK || rows(&list.text) != *count {
                wrong.push(format!("{to}: {count}, and its list has {}", rows(&list.text)));
            }
        }
        wrong
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_as_many_as_its_list_has() {
    let (house, _) = House::of_all_ages().await;
    let cookie = house.seat("vera", Role::Viewer).await;
    let (mut seen, mut wrong) = (Vec::new(), Vec::new());
    // The daemon evaluates alerts meanwhile: a list may be newer than the page before it.
    let fit = async || {
        seen = figures(&house.page("/", &cookie).await.text);
        wrong = house.misfits(&seen, &cookie).await;
        wrong.is_empty()
    };
    let is_fit = wait_for(PATIENCE, fit).await;
    assert!(is_fit, "{wrong:?}");
    let counted = |to: &str| seen.iter().find(|(link, _)| link == to).map(|(_, count)| *count);
    for (to, count) in [
        ("/requests?state=linked&since=24h", 1),
        ("/requests?state=rejected&since=24h", 1),
        ("/requests?state=failed&since=24h", 1),
        ("/requests?state=lapsed&since=24h", 1),
        ("/requests?state=cancelled&since=24h", 0),
        ("/requests?state=unlinked&kind=unlink&since=24h", 1),
        ("/requests?state=awaiting_account_admin&read=true", 1),
        ("/requests?state=awaiting_program_admin&read=true", 1),
        ("/requests?state=initiated,awaiting_account_admin,awaiting_program_admin&unread=true", 1),
        ("/accounts", 6),
        ("/accounts?trouble=token", 2),
        ("/accounts?suspended_by=wechat", 2),
    ] {
        assert_eq!(counted(to), Some(count), "{to}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_a_request_stands_there_is_a_filter_of_every_door() {
    let (house, operator) = House::of_all_ages().await;
    let noon = "2026-01-01T12:00:00%2B08:00";
    for (filter, flags, count) in [
        ("since=24h", "--since 24h", 9),
        ("until=1d", "--until 1d", 7),
        ("since=2d&until=24h", "--since 2d --until 24h", 7),
        ("state=linked&since=1440m", "--state linked --since 1440m", 1),
        (&format!("until={noon}"), "--until 2026-01-01T12:00:00+08:00", 0),
        (&format!("since={noon}&open=true"), "--since 2026-01-01T12:00:00+08:00 --open", 3),
        ("unread=true", "--unread", 1),
        ("read=true&open=true", "--read --open", 2),
        ("label=a=b&read=true", "--label a=b --read", 0),
    ] {
        let told = house.get(&format!("/api/v1/requests?{filter}"), &operator).await.json();
        assert_eq!(told["items"].as_array().map(Vec::len), Some(count), "{filter}");
        let counted = house.get(&format!("/api/v1/requests/count?{filter}"), &operator).await.json();
        assert_eq!(counted["count"], count, "{filter}");
        let ids = |rows: &Value| rows.as_array().unwrap().iter().map(|row| row["id"].to_string()).collect::<Vec<_>>();
        assert_eq!(ids(&house.json(&format!("request list {flags}"))), ids(&told["items"]), "{flags}");
    }
    for wrong in ["since=soon", "since=0d", "until=24", "since=1d&since=2d", "read=true&unread=true", "unread=maybe"] {
        let said = house.get(&format!("/api/v1/requests?{wrong}"), &operator).await;
        assert_eq!(said.problem(), (422, "invalid".to_owned()), "{wrong}");
    }
    let watch = house.command("request watch --since 1d").output().unwrap();
    assert_eq!(watch.status.code(), Some(2), "{watch:?}");

    // What is done to many is done to those alone, and what is kept of it is a moment.
    let asked =
        json!({ "action": "retry", "filter": { "state": ["failed", "lapsed"], "since": "24h" }, "dry_run": true });
    let shown = house.post("/api/v1/actions", &operator, asked.clone()).await.json();
    assert_eq!(shown["count"], 2, "{shown}");
    let mut asked = asked;
    asked["dry_run"] = json!(false);
    (asked["cutoff"], asked["digest"]) = (shown["cutoff"].clone(), shown["digest"].clone());
    let begun = house.post("/api/v1/actions", &operator, asked).await;
    assert_eq!(begun.status, StatusCode::ACCEPTED, "{begun:?}");
    let made = async || house.number("SELECT count(*) FROM request WHERE retry_of IS NOT NULL").await == 2;
    assert!(wait_for(PATIENCE, made).await, "{}", house.log.tail());
    let kept = async |sql: &'static str| house.number(sql).await;
    assert!(kept("SELECT count(*) FROM action WHERE filter ->> '$.since[0]' GLOB '20*-*-*T*Z'").await > 0);
    assert_eq!(kept("SELECT count(*) FROM action WHERE filter ->> '$.since[0]' = '24h'").await, 0);
}
