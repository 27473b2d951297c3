//! The pages in a real browser: what an operator does in a day, with a mouse, by keyboard and without scripts; what people
//! with other eyes get; what hostile text may do; and what happens when the daemon dies under an open page.
//!
//! It needs chromium and its driver (Debian: `chromium chromium-driver`). Where they are missing it says so and sees
//! nothing; with `AMPLINKD_BROWSER=required` that is a failure.

mod chrome;
mod journeys;
mod looks;
mod outages;

use super::*;
use chrome::{Browser, ENTER, ESCAPE, Scripts, TAB};

const USER: &str = "li.hua";
const PASSWORD: &str = "correct horse battery";

/// The alert of the world: an outcome, which nothing but a person ends.
const REFUSED: &str = "0197c2d6-0000-7000-8000-000000000001";

impl House {
    /// A house with a user, requests in many states, alerts and a conflict.
    async fn lived_in() -> (Self, Vec<String>) {
        let house = Self::open("").await;
        house.user(USER, Role::Admin, PASSWORD).await;
        let operator = house.operator().await;
        let mut ids = Vec::new();
        for number in 0..6 {
            ids.push(house.request(&operator, &format!("wx000000000000000{number}")).await);
        }
        house
            .sql(
                "UPDATE request SET state = 'awaiting_account_admin', since = since - 400000000, attempt = 1 WHERE program = 'wx0000000000000000';
                 UPDATE request SET state = 'awaiting_account_admin', since = since - 90000000, attempt = 1 WHERE program = 'wx0000000000000001';
                 UPDATE request SET state = 'awaiting_program_admin', since = since - 7200000, attempt = 1 WHERE program = 'wx0000000000000002';
                 UPDATE request SET state = 'rejected', finished_at = since, attempt = 1, seen_status = 3
                 WHERE program = 'wx0000000000000005';
                 INSERT INTO account (account, state, since, trouble, failures, last_error, unread_since)
                 VALUES ('wx00000000000000c2', 'active', 1790000000000, 'token', 3, 'no token came', 1790000000000);
                 INSERT INTO alert (id, key, rule, reason, request_id, account, program, state, since, fired_at, message_en,
                                    message_zh)
                 SELECT '0197c2d6-0000-7000-8000-000000000001', 'rejected/' || r.id, 'rejected', 'rejected.program_admin', r.id,
                        r.account, r.program, 'firing', r.since, r.since, 'It was refused.', '已被拒绝。'
                 FROM request AS r WHERE r.program = 'wx0000000000000005'",
            )
            .await;
        (house, ids)
    }

    async fn signed_in(&self, scripts: Scripts) -> Option<Browser> {
        let browser = Browser::open(&self.base, scripts).await?;
        browser.go("/sign-in").await;
        browser.fill("[name=name]", USER).await;
        browser.fill("[name=password]", PASSWORD).await;
        browser.click("form.fields button").await;
        browser.sees("h1").await;
        browser.until(async || !browser.url().await.contains("/sign-in")).await;
        Some(browser)
    }
}
