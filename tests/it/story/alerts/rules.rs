//! Every rule: when it fires, what it says, and when it is over.

use amplinkd::{
    domain::{
        action,
        alert_rules::{Override, Threshold, Whose},
    },
    sim::{Flags, expires_after, refuses_after},
};

use super::*;

#[tokio::test]
async fn an_account_administrator_who_does_not_answer_is_told_of_after_a_day() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.nobody_answers();
    let link = guarded.daemon.link().await;
    guarded.run_for(hours(23)).await;
    assert_eq!(guarded.alerts().await, []);
    guarded.run_for(hours(2)).await;
    let alert = guarded.the("stuck").await;
    assert_eq!(alert.reason, "stuck.account_admin");
    assert_eq!(alert.key, format!("stuck/account_admin/{link}"));
    assert_eq!((alert.request_id.as_deref(), alert.account.as_deref()), (Some(link.as_str()), Some(ACCOUNT)));
    assert_eq!(alert.since, guarded.daemon.view(&link).await.since);
    assert!(alert.message_en.contains(&format!("the administrator of account {ACCOUNT} must")), "{}", alert.message_en);
    assert!(alert.message_zh.contains(&format!("公众号 {ACCOUNT} 的管理员")), "{}", alert.message_zh);
    assert_eq!(guarded.told().await, ["fired"]);
    assert_eq!(guarded.events().await[0].subject, link.as_str());
}

#[tokio::test]
async fn a_stage_that_is_left_is_over_and_the_next_one_has_its_own_time() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.people(PlanSet {
        account_admin: Some(approves_after(Span::hours(30))),
        program_admin: Some(never_answers()),
        unlink: None,
    });
    guarded.daemon.link().await;
    guarded.run_for(hours(32)).await;
    let alert = guarded.the("stuck").await;
    assert_eq!((alert.state.as_str(), alert.resolution.as_deref()), ("resolved", Some("over")));
    assert_eq!(guarded.told().await, ["fired", "resolved"]);
    guarded.run_for(hours(48)).await;
    let stuck = guarded.of("stuck").await;
    assert_eq!(stuck.len(), 2);
    assert_eq!((stuck[1].reason.as_str(), stuck[1].state.as_str()), ("stuck.program_admin", "firing"));
    assert!(
        stuck[1].message_en.contains(&format!("the administrator of program {PROGRAM}")),
        "{}",
        stuck[1].message_en
    );
}

#[tokio::test]
async fn a_call_that_is_not_listed_and_an_unlink_that_waits_are_stuck_too() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.people(PlanSet {
        account_admin: Some(approves_after(Span::hours(1))),
        program_admin: Some(approves_after(Span::hours(1))),
        unlink: Some(never_answers()),
    });
    guarded.daemon.link().await;
    guarded.run_for(hours(4)).await;
    let unlink = guarded.daemon.unlink().await;
    guarded.run_for(hours(50)).await;
    let alert = guarded.the("stuck").await;
    assert_eq!((alert.reason.as_str(), alert.request_id.as_deref()), ("stuck.unlink", Some(unlink.as_str())));
    assert!(alert.message_en.contains("The unlink of program"), "{}", alert.message_en);
}

#[tokio::test]
async fn thresholds_of_a_label_and_of_an_account_override_the_general_ones() {
    let mut guarded = Guarded::with(|alerting| {
        let own = |whose, hours| Override {
            whose,
            account_admin: Some(Threshold::After(Duration::from_hours(hours))),
            program_admin: None,
            unlink: None,
            initiated: None,
            requested: None,
        };
        alerting.attention.thresholds.overrides = vec![
            own(Whose::Label("team".to_owned(), "shop".to_owned()), 4),
            own(Whose::Account(OTHER_ACCOUNT.parse().unwrap()), 8),
        ];
    })
    .await;
    guarded.daemon.nobody_answers();
    let kind = Kind::Link(LinkOptions::default());
    let mut labelled = wish(kind, ACCOUNT, PROGRAM);
    labelled.labels.insert("team".to_owned(), "shop".to_owned());
    let labelled = guarded.daemon.ask(labelled).await;
    let other = guarded.daemon.ask(wish(kind, OTHER_ACCOUNT, PROGRAM)).await;
    guarded.daemon.ask(wish(kind, ACCOUNT, OTHER_PROGRAM)).await;
    guarded.run_for(hours(5)).await;
    assert_eq!(guarded.the("stuck").await.request_id.as_deref(), Some(labelled.as_str()));
    guarded.run_for(hours(5)).await;
    let both: Vec<_> = guarded.of("stuck").await.into_iter().filter_map(|alert| alert.request_id).collect();
    assert_eq!(both, [labelled.to_string(), other.to_string()]);
}

#[tokio::test]
async fn a_refusal_is_told_until_somebody_asks_again() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.people(PlanSet {
        account_admin: Some(approves_after(Span::hours(1))),
        program_admin: Some(refuses_after(Span::hours(1))),
        unlink: None,
    });
    let link = guarded.daemon.link().await;
    guarded.run_for(hours(4)).await;
    let alert = guarded.the("rejected").await;
    assert_eq!((alert.reason.as_str(), alert.state.as_str()), ("rejected.program_admin", "firing"));
    assert!(alert.message_en.contains(&format!("amplinkd request retry {link}")), "{}", alert.message_en);
    guarded.daemon.nobody_answers();
    guarded.daemon.link().await;
    guarded.run_for(minutes(2)).await;
    assert_eq!(guarded.the("rejected").await.resolution.as_deref(), Some("over"));
    assert_eq!(guarded.told().await, ["fired", "resolved"]);
}

#[tokio::test]
async fn an_end_on_which_nobody_acts_is_old_news_after_a_week() {
    let mut guarded = Guarded::with(|alerting| alerting.repeat_every = None).await;
    guarded.daemon.sim.world().program(PROGRAM).banned = true;
    guarded.daemon.link().await;
    guarded.run_for(hours(1)).await;
    let alert = guarded.the("failed").await;
    assert_eq!(alert.reason, "failed.refused");
    assert!(alert.message_en.contains("errcode 89013") && alert.message_zh.contains("封禁"), "{alert:?}");
    guarded.run_for(days(8)).await;
    assert_eq!(guarded.the("failed").await.resolution.as_deref(), Some("aged_out"));
    assert_eq!(guarded.told().await, ["fired", "resolved"]);
}

#[tokio::test]
async fn what_left_the_list_unanswered_is_told() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.people(PlanSet { account_admin: Some(expires_after(Span::hours(2))), ..PlanSet::default() });
    guarded.daemon.link().await;
    guarded.run_for(hours(6)).await;
    let alert = guarded.the("lapsed").await;
    assert_eq!(alert.reason, "lapsed.unanswered");
    assert!(alert.message_en.contains(&format!("ask the administrator of account {ACCOUNT}")), "{}", alert.message_en);
}

#[tokio::test]
async fn a_used_month_is_told_and_over_when_it_rolls() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.sim.world().quotas.program_links_per_month = Some(0);
    guarded.daemon.link().await;
    guarded.run_for(hours(1)).await;
    let alert = guarded.the("deferred").await;
    assert!(
        alert.message_en.contains("goes on by itself") && alert.message_en.contains("89007"),
        "{}",
        alert.message_en
    );
    guarded.daemon.sim.world().quotas.program_links_per_month = None;
    guarded.run_for(days(24)).await;
    assert_eq!(guarded.of("deferred").await[0].state, "resolved");
}

#[tokio::test]
async fn a_link_that_is_gone_without_our_asking_is_told_and_one_that_we_ended_is_not() {
    for is_ours in [true, false] {
        let mut guarded = Guarded::start().await;
        guarded.daemon.link().await;
        guarded.run_for(hours(4)).await;
        if is_ours {
            guarded.daemon.unlink().await;
        } else {
            let now = guarded.daemon.sim.now();
            guarded.daemon.sim.world().remove(ACCOUNT, PROGRAM, now).unwrap();
            guarded.daemon.engine().begin_drift().await.unwrap();
        }
        guarded.run_for(hours(26)).await;
        if is_ours {
            assert_eq!(guarded.alerts().await, []);
        } else {
            guarded.daemon.engine().begin_drift().await.unwrap();
            guarded.run_for(hours(26)).await;
            assert_eq!(guarded.the("vanished").await.state, "firing");
            assert_eq!(guarded.of("conflict").await, [], "one thing is told once");
        }
    }
}

#[tokio::test]
async fn a_conflict_is_told_and_over_when_the_list_settles_it() {
    let mut guarded = Guarded::start().await;
    let now = guarded.daemon.sim.now();
    guarded.daemon.sim.world().switches.listing_delay = Span::minutes(5);
    guarded.daemon.sim.world().link(ACCOUNT, PROGRAM, Flags::default(), now);
    let link = guarded.daemon.link().await;
    guarded.run_for(minutes(2)).await;
    let alert = guarded.the("conflict").await;
    assert_eq!(
        (alert.reason.as_str(), alert.request_id.as_deref()),
        ("conflict.invitation_already_out", Some(link.as_str()))
    );
    assert!(alert.message_en.contains("errcode 89010"), "{}", alert.message_en);
    guarded.run_for(hours(4)).await;
    assert_eq!(guarded.the("conflict").await.state, "resolved");
    assert_eq!(guarded.told().await, ["fired", "resolved"]);
    let kinds = guarded.queue("ops").await;
    let of_conflict: Vec<_> = kinds.iter().filter(|kind| kind.starts_with("amplinkd.conflict.")).collect();
    assert_eq!(of_conflict, ["amplinkd.conflict.opened", "amplinkd.conflict.resolved"]);
}

#[tokio::test]
async fn an_account_that_wechat_suspends_is_told_by_its_name() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.sim.world().account(ACCOUNT).answers_always = Some(61_003);
    guarded.daemon.link().await;
    guarded.run_for(minutes(5)).await;
    let alert = guarded.the("account_suspended").await;
    assert_eq!((alert.reason.as_str(), alert.account.as_deref()), ("account_suspended.61003", Some(ACCOUNT)));
    assert!(alert.message_zh.contains("重新授权"), "{}", alert.message_zh);
    assert_eq!(guarded.events().await[0].subject, ACCOUNT);
    guarded.daemon.sim.world().account(ACCOUNT).answers_always = None;
    guarded.run_for(hours(8)).await;
    assert_eq!(guarded.the("account_suspended").await.state, "resolved");
}

#[tokio::test]
async fn an_address_that_is_not_on_the_whitelist_is_told_once_for_all_accounts() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.sim.world().account(ACCOUNT).answers_always = Some(61_004);
    guarded.daemon.sim.world().account(OTHER_ACCOUNT).answers_always = Some(61_004);
    guarded.daemon.link().await;
    guarded.daemon.ask(to_link(OTHER_ACCOUNT, PROGRAM)).await;
    guarded.run_for(hours(2)).await;
    let alert = guarded.the("ip_not_allowed").await;
    assert!(alert.message_en.contains("whitelist"), "{}", alert.message_en);
    assert_eq!(guarded.told().await, ["fired"]);
    guarded.daemon.sim.world().account(ACCOUNT).answers_always = None;
    guarded.daemon.sim.world().account(OTHER_ACCOUNT).answers_always = None;
    guarded.run_for(minutes(30)).await;
    assert_eq!(guarded.the("ip_not_allowed").await.state, "resolved");
}

#[tokio::test]
async fn a_spent_budget_is_told_and_over_the_next_day_also_after_a_restart() {
    let daemon = Daemon::with(|settings| settings.daily_budget = 5).await;
    daemon.nobody_answers();
    let mut guarded = Guarded::around(daemon, |_| {}).await;
    guarded.daemon.link().await;
    guarded.run_for(hours(2)).await;
    let alert = guarded.the("budget_exhausted").await;
    assert_eq!((alert.reason.as_str(), alert.account.as_deref()), ("budget_exhausted.daily_budget", Some(ACCOUNT)));
    guarded.restart().await;
    guarded.run_for(hours(10)).await;
    assert_eq!(guarded.the("budget_exhausted").await.state, "firing");
    guarded.daemon.people(PlanSet::default());
    guarded.run_for(hours(4)).await;
    assert_eq!(guarded.of("budget_exhausted").await[0].state, "resolved");
}

#[tokio::test]
async fn many_spent_budgets_are_one_alert() {
    let daemon = Daemon::with(|settings| settings.daily_budget = 3).await;
    daemon.nobody_answers();
    let mut guarded = Guarded::around(daemon, |alerting| alerting.crowd = 20).await;
    for number in 0..30 {
        guarded.daemon.ask(to_link(&format!("wxaaaa{number:012}"), PROGRAM)).await;
    }
    guarded.attend(hours(1)).await;
    let alert = guarded.the("budget_exhausted").await;
    assert_eq!((alert.key.as_str(), alert.account), ("budget_exhausted/daily_budget", None));
    assert!(alert.message_en.contains("30 accounts"), "{}", alert.message_en);
    assert!(alert.message_zh.contains("30 个公众号"), "{}", alert.message_zh);
    guarded.run_for(hours(15)).await;
    assert_eq!(guarded.of("budget_exhausted").await[0].state, "resolved");
}

#[tokio::test]
async fn an_account_without_a_token_is_told_and_over_when_there_is_one() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.sim.world().account(ACCOUNT).answers_always = Some(40_001);
    guarded.daemon.link().await;
    guarded.run_for(hours(1)).await;
    let alert = guarded.the("token_failing").await;
    assert_eq!(alert.account.as_deref(), Some(ACCOUNT));
    guarded.daemon.sim.world().account(ACCOUNT).answers_always = None;
    guarded.run_for(hours(2)).await;
    assert_eq!(guarded.the("token_failing").await.state, "resolved");
}

#[tokio::test]
async fn what_the_audit_finds_is_told_until_it_finds_it_no_more() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.link().await;
    guarded.run_for(minutes(1)).await;
    guarded.daemon.sql("INSERT INTO job (name, due_at) VALUES ('audit', 1)").await;
    let findings = guarded.daemon.engine().recorder().audit().await.unwrap();
    guarded.daemon.engine().note_audit(findings);
    guarded.run_for(minutes(1)).await;
    let alert = guarded.the("daemon").await;
    assert_eq!((alert.reason.as_str(), alert.state.as_str()), ("daemon.cron_silent", "firing"));
    guarded.restart().await;
    guarded.run_for(minutes(1)).await;
    assert_eq!(guarded.the("daemon").await.state, "firing", "before its first audit a new process knows nothing else");
    guarded.daemon.engine().note_audit(Vec::new());
    guarded.run_for(minutes(2)).await;
    assert_eq!(guarded.the("daemon").await.state, "resolved");
    assert_eq!(guarded.told().await, ["fired", "resolved"]);
}

#[tokio::test]
async fn a_learned_threshold_is_what_the_past_teaches_and_says_so() {
    let mut guarded = Guarded::with(|alerting| {
        alerting.attention.thresholds.stuck_after.account_admin = Threshold::Learned;
    })
    .await;
    guarded.daemon.people(PlanSet {
        account_admin: Some(approves_after(Span::hours(3))),
        program_admin: Some(approves_after(Span::hours(1))),
        unlink: None,
    });
    let wishes = (0..60).map(|number| to_link(&format!("wxcccc{number:012}"), PROGRAM));
    guarded.daemon.engine().recorder().by(action::By::simulated()).accept(wishes.collect()).await.unwrap();
    guarded.run_for(hours(6)).await;
    guarded.daemon.nobody_answers();
    guarded.daemon.clock.advance(days(15));
    let link = guarded.daemon.link().await;
    guarded.run_for(hours(6)).await;
    let alert = guarded.the("stuck").await;
    assert_eq!(alert.request_id.as_deref(), Some(link.as_str()));
    assert!(alert.message_en.contains("the 95th percentile of the last 60 approvals"), "{}", alert.message_en);
}

#[tokio::test]
async fn a_token_that_fails_again_without_a_good_look_between_is_told_again() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.sim.world().account(ACCOUNT).answers_always = Some(40_001);
    guarded.daemon.link().await;
    guarded.run_for(hours(1)).await;
    assert_eq!(guarded.the("token_failing").await.state, "firing");
    guarded.daemon.sim.world().account(ACCOUNT).answers_always = Some(-1);
    guarded.run_for(hours(2)).await;
    assert_eq!(guarded.the("token_failing").await.state, "resolved");
    guarded.daemon.sim.world().account(ACCOUNT).answers_always = Some(40_001);
    guarded.run_for(hours(2)).await;
    let states: Vec<_> = guarded.of("token_failing").await.into_iter().map(|alert| alert.state).collect();
    assert_eq!(states, ["resolved", "firing"]);
}

#[tokio::test]
async fn a_log_that_a_forgotten_reader_keeps_from_being_cut_is_told_until_it_has_gone() {
    let mut guarded = Guarded::start().await;
    guarded.daemon.link().await;
    let mut reader = guarded.daemon.connection().await;
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM request").execute(&mut reader).await.unwrap();
    guarded.run_for(minutes(5)).await;
    // What is behind the last frame of a log means nothing: this is a large one without the time that writing it takes.
    let log = guarded.daemon.database().with_extension("db-wal");
    std::fs::OpenOptions::new().write(true).open(log).unwrap().set_len(300 << 20).unwrap();

    housekeep(&guarded).await;
    guarded.attend(minutes(1)).await;
    let alert = guarded.the("log_large").await;
    assert_eq!((alert.state.as_str(), alert.reason.as_str()), ("firing", "log_large.not_shrinking"));
    assert!(alert.message_en.contains("300 MiB"), "{}", alert.message_en);

    sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
    housekeep(&guarded).await;
    guarded.attend(hours(1)).await;
    assert_eq!(guarded.the("log_large").await.resolution.as_deref(), Some("over"));
}

/// What the daemon does every few seconds beside its polls.
async fn housekeep(guarded: &Guarded) {
    guarded.daemon.store().keep_log_small(guarded.daemon.clock.now()).await.unwrap();
}
