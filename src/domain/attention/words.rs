//! The sentences: who must act, on what, since when, in English and Chinese. They must never claim what `WeChat` leaves
//! unknown, and never name a secret.

use std::time::Duration;

use chrono_tz::Tz;

use super::{Lesson, OpenConflict, Rule, Stage};
use crate::domain::{
    errcode::{Refusal, meaning},
    request::{Failure, Kind, Request, State},
    time::{Time, in_words},
};

/// A sentence in both languages: English, Chinese.
pub(super) type Both = (String, String);

/// A sentence begins with a capital.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

/// A moment as people of this zone write it, to the minute: `2026-03-10 09:00`.
#[must_use]
pub fn local(moment: Time, zone: Tz) -> String {
    match chrono::DateTime::from_timestamp_millis(moment.ms()) {
        Some(utc) => utc.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string(),
        None => moment.to_string(),
    }
}

/// A duration as Chinese readers write it: "2 天 4 小时".
fn in_chinese(span: Duration) -> String {
    let mut text = in_words(span);
    for (unit, word) in [("ms", " 毫秒"), ("d", " 天"), ("h", " 小时"), ("m", " 分钟"), ("s", " 秒")] {
        if unit != "s" || !text.contains('毫') {
            text = text.replace(unit, word);
        }
    }
    text
}

fn what(request: &Request) -> Both {
    let (account, program) = (&request.account, &request.program);
    match request.kind {
        Kind::Link(_) => (
            format!("The link of program {program} to account {account}"),
            format!("小程序 {program} 关联公众号 {account}"),
        ),
        Kind::Unlink => (
            format!("The unlink of program {program} from account {account}"),
            format!("小程序 {program} 与公众号 {account} 解除关联"),
        ),
    }
}

fn lesson_words(lesson: Option<Lesson>) -> Both {
    match lesson {
        Some(Lesson { requests, .. }) => (
            format!(" (learned: the 95th percentile of the last {requests} approvals)"),
            format!("（自动学习：最近 {requests} 次确认用时的 95 分位数）"),
        ),
        None => (String::new(), String::new()),
    }
}

pub(super) fn stuck(request: &Request, stage: Stage, patience: Duration, lesson: Option<Lesson>, zone: Tz) -> Both {
    let since = local(request.since, zone);
    let ((what, what_zh), (learned, learned_zh)) = (what(request), lesson_words(lesson));
    let (account, program) = (&request.account, &request.program);
    let (who, who_zh) = match stage {
        Stage::AccountAdmin | Stage::Unlink => (
            format!("the administrator of account {account} must answer the message in WeChat"),
            format!("请公众号 {account} 的管理员在微信中处理确认消息"),
        ),
        Stage::ProgramAdmin => (
            format!("the administrator of program {program} must answer the message in WeChat"),
            format!("请小程序 {program} 的管理员在微信中处理确认消息"),
        ),
        Stage::Initiated => (
            "WeChat took the call or its answer was lost, and its list does not show it; see `amplinkd request explain`"
                .to_owned(),
            "微信已接收调用或应答丢失，但列表中尚未出现；请运行 `amplinkd request explain` 查看".to_owned(),
        ),
    };
    (
        format!("{what} has waited since {since}, longer than {}{learned}: {who}.", in_words(patience)),
        format!("{what_zh}：自 {since} 起等待，已超过 {}{learned_zh}；{who_zh}。", in_chinese(patience)),
    )
}

/// What a code means and what helps, as far as the table knows it.
pub(super) fn refused(refusal: Option<&Refusal>) -> Both {
    let Some(refusal) = refusal else { return (String::new(), String::new()) };
    let code = refusal.errcode;
    match meaning(code) {
        Some(row) => (format!(" WeChat says {} (errcode {code}): {}.", row.means, row.remedy), chinese(refusal)),
        None => (format!(" WeChat says errcode {code}: {:?}.", refusal.errmsg), chinese(refusal)),
    }
}

fn chinese(refusal: &Refusal) -> String {
    let advice = match refusal.errcode {
        89_008 => "海外主体的小程序不能关联",
        89_009 => "小程序的关联数已达上限，请其管理员腾出名额后重试",
        89_011 => "小程序已设为附近的小程序，请先取消后重试",
        89_012 => "门店小程序或小商店不能解除关联",
        89_013 => "小程序已被封禁，请其管理员处理后重试",
        1_003 | 1_005 => "请携 rid 咨询微信客服后再重试",
        42_007 | 50_001 | 61_003 | 61_023 => "请公众号管理员重新授权，然后运行 `amplinkd account resume`",
        48_001 | 61_007 => "请公众号授予权限集 33（小程序关联管理）",
        48_004 | 50_002 | 50_004 => "请公众号管理员登录 mp.weixin.qq.com 查看通知",
        40_164 | 61_004 => "请把出口 IP 加入第三方平台白名单",
        _ => return format!("微信返回 errcode {}：{}。", refusal.errcode, refusal.errmsg),
    };
    format!("微信返回 errcode {}：{advice}。", refusal.errcode)
}

pub(super) fn ended(request: &Request, rule: Rule, zone: Tz) -> Both {
    let (at, id) = (local(request.since, zone), &request.id);
    let (what, what_zh) = what(request);
    let (why, why_zh) = refused(request.refusal.as_ref());
    let again = format!("ask again with `amplinkd request retry {id}` when it is still wanted");
    let again_zh = format!("仍需要时请运行 `amplinkd request retry {id}`");
    let (said, said_zh) = match (rule, request.state) {
        (Rule::Rejected, _) => (
            format!(
                "was refused at {at} by the administrator of program {}: ask them why, then {again}.",
                request.program
            ),
            format!("已于 {at} 被小程序 {} 的管理员拒绝；请先与其沟通，{again_zh}。", request.program),
        ),
        (Rule::Vanished, _) => (
            format!(
                "was gone from WeChat's list at {at} although nobody asked amplinkd: ask the administrators of both sides, then {again}."
            ),
            format!("已于 {at} 从微信的关联列表中消失，并非由 amplinkd 解除；请向双方管理员核实，{again_zh}。"),
        ),
        (Rule::Lapsed, _) => (
            format!(
                "ended unanswered at {at} (it left WeChat's list: refused by the account's administrator, expired or withdrawn, nothing tells which; or the policy's deadline passed): ask the administrator of account {}, then {again}.",
                request.account
            ),
            format!(
                "已于 {at} 未获答复而结束（从列表中消失：管理员拒绝、过期或被撤回，微信不予区分；或超过策略期限）；请询问公众号 {} 的管理员，{again_zh}。",
                request.account
            ),
        ),
        (_, State::Failed(Failure::Attempts)) => (
            format!(
                "has failed at {at}: {} calls left no trace in WeChat's list. A person must look (`amplinkd request explain {id}`), then {again}.",
                request.attempt
            ),
            format!(
                "已于 {at} 失败：{} 次调用均未在列表中留下记录；请运行 `amplinkd request explain {id}` 查看，{again_zh}。",
                request.attempt
            ),
        ),
        (_, State::Failed(Failure::Deadline)) => (
            format!("was given up at {at}: the deadline of the policy passed. {}.", capital(&again)),
            format!("已于 {at} 超过策略期限而终止；{again_zh}。"),
        ),
        _ => (
            format!("has failed at {at}.{why} A person must act, then {again}."),
            format!("已于 {at} 失败。{why_zh}请处理后再继续，{again_zh}。"),
        ),
    };
    (format!("{what} {said}"), format!("{what_zh}：{said_zh}"))
}

pub(super) fn deferred(request: &Request, until: Time, zone: Tz) -> Both {
    let (until, (what, what_zh)) = (local(until, zone), what(request));
    let code = request.refusal.as_ref().map_or(0, |refusal| refusal.errcode);
    let means = meaning(code).map_or("a monthly quota is used up", |row| row.means);
    (
        format!("{what} waits until {until}: {means} (errcode {code}). Nobody must act; it goes on by itself."),
        format!("{what_zh}：月度额度已用完（errcode {code}），{until} 后自动继续，无需处理。"),
    )
}

pub(super) fn conflict(request: &Request, conflict: &OpenConflict, zone: Tz) -> Both {
    let (at, (what, what_zh)) = (local(conflict.at, zone), what(request));
    let code = conflict.errcode.map(|code| format!(" (errcode {code})")).unwrap_or_default();
    let code_zh = conflict.errcode.map(|code| format!("（errcode {code}）")).unwrap_or_default();
    let program = &request.program;
    let (said, said_zh) = match conflict.kind.as_str() {
        "invitation_already_out" => (
            "an invitation was out already, sent by whom is not known; nobody must act beyond answering it".to_owned(),
            "此前已有关联邀请（发起方未知），等待管理员处理该邀请即可".to_owned(),
        ),
        "linking_from_console" => (
            format!("it was begun in the account's own console; the administrator of program {program} must answer"),
            format!("已在公众号后台发起，请小程序 {program} 的管理员确认"),
        ),
        "already_linked" => {
            ("it is linked already; the list will confirm it".to_owned(), "双方已关联，等待列表确认".to_owned())
        }
        "unlink_already_out" => (
            "an unlink is out already; the account's administrator must answer it".to_owned(),
            "此前已有解除关联请求，请公众号管理员确认".to_owned(),
        ),
        "adopted" => (
            "somebody else's invitation was listed before our first call; it is followed as ours".to_owned(),
            "首次调用前列表中已有他人发起的邀请，现按该邀请跟进".to_owned(),
        ),
        "backward" => (
            "the list went back to the account's administrator, who must answer again".to_owned(),
            "列表状态退回到等待公众号管理员，请其再次确认".to_owned(),
        ),
        other => (format!("the world contradicts our record: {other}"), format!("微信侧状态与记录不一致：{other}")),
    };
    (format!("{what} met a conflict at {at}{code}: {said}."), format!("{what_zh}：{at} 出现冲突{code_zh}，{said_zh}。"))
}

/// What several alerts of one reason have in common: the title of their message. It ends without a mark.
#[must_use]
pub fn group_sentence(rule: Rule, reason: &str, count: usize) -> Both {
    let case = reason.split_once('.').map_or("", |(_, case)| case);
    let many = |one: &str, more: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {more}") };
    let en = match (rule, case) {
        (Rule::Stuck, "account_admin") => many(
            "link waits too long for an account's administrator",
            "links wait too long for their accounts' administrators",
        ),
        (Rule::Stuck, "program_admin") => many(
            "link waits too long for a program's administrator",
            "links wait too long for their programs' administrators",
        ),
        (Rule::Stuck, "unlink") => many(
            "unlink waits too long for an account's administrator",
            "unlinks wait too long for their accounts' administrators",
        ),
        (Rule::Stuck, _) => many("call has not appeared in WeChat's list", "calls have not appeared in WeChat's list"),
        (Rule::Rejected, _) => many("link was refused", "links were refused"),
        (Rule::Failed, _) => many("request failed", "requests failed"),
        (Rule::Lapsed, _) => many("request lapsed unanswered", "requests lapsed unanswered"),
        (Rule::Deferred, _) => many("request waits for next month's quota", "requests wait for next month's quota"),
        (Rule::Vanished, _) => many("link is gone without our asking", "links are gone without our asking"),
        (Rule::Conflict, _) => many(&format!("conflict: {}", spaced(case)), &format!("conflicts: {}", spaced(case))),
        (Rule::AccountSuspended, _) => many("account is suspended by WeChat", "accounts are suspended by WeChat"),
        (Rule::IpNotAllowed, _) => "Our address is not on WeChat's whitelist".to_owned(),
        (Rule::BudgetExhausted, _) => {
            many("account has used up its calls of today", "accounts have used up their calls of today")
        }
        (Rule::TokenFailing, _) => many("account has no usable token", "accounts have no usable token"),
        (Rule::ChannelFailing, _) => many("channel does not take messages", "channels do not take messages"),
        (Rule::Daemon, _) => format!("amplinkd itself needs an operator: {}", spaced(case)),
    };
    let zh = match (rule, case) {
        (Rule::Stuck, "account_admin") => format!("{count} 个关联等待公众号管理员确认已超时"),
        (Rule::Stuck, "program_admin") => format!("{count} 个关联等待小程序管理员确认已超时"),
        (Rule::Stuck, "unlink") => format!("{count} 个解除关联等待公众号管理员确认已超时"),
        (Rule::Stuck, _) => format!("{count} 个调用未出现在微信列表中"),
        (Rule::Rejected, _) => format!("{count} 个关联被拒绝"),
        (Rule::Failed, _) => format!("{count} 个请求失败"),
        (Rule::Lapsed, _) => format!("{count} 个请求未获答复而失效"),
        (Rule::Deferred, _) => format!("{count} 个请求等待下月额度"),
        (Rule::Vanished, _) => format!("{count} 个关联非由我方解除而消失"),
        (Rule::Conflict, _) => format!("{count} 个冲突（{case}）"),
        (Rule::AccountSuspended, _) => format!("{count} 个公众号被微信暂停"),
        (Rule::IpNotAllowed, _) => "出口 IP 不在微信白名单中".to_owned(),
        (Rule::BudgetExhausted, _) => format!("{count} 个公众号今日调用已用完"),
        (Rule::TokenFailing, _) => format!("{count} 个公众号无可用 token"),
        (Rule::ChannelFailing, _) => format!("{count} 个通知渠道无法送达"),
        (Rule::Daemon, _) => format!("amplinkd 自身需要运维处理：{case}"),
    };
    (en, zh)
}

fn spaced(word: &str) -> String {
    word.replace('_', " ")
}
