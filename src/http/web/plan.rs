//! Polling demand, what there is to meet it, how late each class will be, and what to change.

use std::time::Duration;

use askama::Template;
use axum::{extract::State, response::Response};

use super::{overview::SEEN, view::View};
use crate::{
    engine::capacity_report::{CapacityReport, ClassReport},
    http::api::{machine, problem::Problem, query::Query, state::Api},
};

#[derive(Template)]
#[template(path = "plan.html")]
struct PlanPage<'p> {
    view: &'p View,
    report: &'p CapacityReport,
    sentences: Vec<String>,
    /// What to change, if anything.
    advice: Vec<String>,
    classes: Vec<Row<'p>>,
    /// The rate that is asked for in place of the configured one.
    per_second: Option<u32>,
}

/// A class, and which part of all that can be polled it asks for, in thousandths.
struct Row<'p> {
    row: &'p ClassReport,
    part: u64,
}

impl PlanPage<'_> {
    fn rate(&self, number: &f64) -> String {
        rate(*number)
    }

    fn a_day(&self, number: &f64) -> String {
        self.view.number(&whole(*number))
    }

    fn every(&self, seconds: &Option<u64>) -> String {
        seconds.map_or_else(|| "–".to_owned(), |seconds| self.span(&seconds))
    }

    fn span(&self, seconds: &u64) -> String {
        self.view.span(Duration::from_secs(*seconds))
    }
}

/// A rate, with as many digits as tell something.
fn rate(number: f64) -> String {
    if number > 0.0 && number < 0.1 { format!("{number:.4}") } else { format!("{number:.1}") }
}

/// A figure that is not negative, rounded.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, and cut to what fits")]
const fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// The page.
pub(super) async fn show(State(api): State<Api>, view: View, mut query: Query) -> Result<Response, Problem> {
    let per_second = machine::per_second(&mut query);
    query.done()?;
    let report = machine::planned(&api, per_second).await?;
    let most = report.supply_per_second.max(report.demand_per_second).max(f64::MIN_POSITIVE);
    let row = |row: &'_ ClassReport| match whole(row.demand_per_second * 1_000.0 / most) {
        part if row.demand_per_second > 0.0 => part.max(SEEN),
        part => part,
    };
    Ok(view.page(&PlanPage {
        sentences: sentences(&view, &report),
        advice: advice(&view, &report),
        classes: report.classes.iter().map(|class| Row { row: class, part: row(class) }).collect(),
        per_second,
        report: &report,
        view: &view,
    }))
}

fn sentences(view: &View, report: &CapacityReport) -> Vec<String> {
    let say = |en: String, zh: String| view.language().pick(en, zh);
    let (demand, supply, stretch) = (rate(report.demand_per_second), rate(report.supply_per_second), report.stretch);
    let mut told = vec![if stretch > 1.0 {
        say(
            format!("Demand exceeds supply: every interval is stretched {stretch:.1} times."),
            format!("需求超过供给：所有轮询间隔放大 {stretch:.1} 倍。"),
        )
    } else {
        say("Every account is polled as often as configured.".to_owned(), "所有公众号均按配置的间隔轮询。".to_owned())
    }];
    told.push(say(
        format!(
            "All accounts together ask for {demand} polls a second; {supply} can be made ([wechat] per_second = {}).",
            report.per_second
        ),
        format!(
            "全部公众号每秒需要 {demand} 次轮询，可提供 {supply} 次（[wechat] per_second = {}）。",
            report.per_second
        ),
    ));
    told.extend(report.stretch_in_force.filter(|now| *now > 1.0).map(|now| {
        say(
            format!("The running daemon stretches intervals {now:.1} times at the moment."),
            format!("运行中的服务目前将间隔放大 {now:.1} 倍。"),
        )
    }));
    if report.unseen > 0 && report.first_looks_seconds > 0 {
        let (unseen, span) = (view.number(&report.unseen), view.span(Duration::from_secs(report.first_looks_seconds)));
        told.push(say(
            format!("{unseen} accounts wait for their first poll and call: at this rate all are done in {span}."),
            format!("{unseen} 个公众号等待首次轮询和调用，按此速率需要 {span}。"),
        ));
    }
    let (first, budget) = (report.looks_of_the_first_day, report.daily_budget);
    told.push(say(
        format!("A request that nobody answers costs its account {first} polls on the first day, of {budget} that are allowed ([polling] daily_budget)."),
        format!("无人答复的请求在第一天需要 {first} 次轮询，每个公众号每日上限 {budget} 次（[polling] daily_budget）。"),
    ));
    told
}

fn advice(view: &View, report: &CapacityReport) -> Vec<String> {
    let say = |en: String, zh: String| view.language().pick(en, zh);
    let (mut told, needed) = (Vec::new(), report.per_second_needed);
    if report.stretch > 1.0 {
        told.push(say(
            format!("To keep the intervals, set [wechat] per_second to {needed} or more, or lengthen the last steps of [polling] steps."),
            format!("要保持配置的间隔，请将 [wechat] per_second 设为 {needed} 或更大，或延长 [polling] steps 的后几档。"),
        ));
    }
    let (first, budget) = (report.looks_of_the_first_day, report.daily_budget);
    if first > u64::from(budget) {
        told.push(say(
            format!("[polling] daily_budget = {budget} is used up before the end of the first day: raise it above {first}, or lengthen the first steps."),
            format!("[polling] daily_budget = {budget} 在第一天结束前就会用完：请设为大于 {first}，或延长前几档间隔。"),
        ));
    }
    told
}
