//! The sentences for one request: who must act, on what, since when, in English and Chinese. They claim nothing that
//! `WeChat` leaves unknown.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::{
    Halves, Localized,
    format::{duration, duration_zh, marked_moment},
};
use crate::domain::{
    account::SuspendedBy,
    alert_rules::{LearnedThreshold, OpenConflict, Reading, Rule, Stage},
    decide::ConflictKind,
    errcode::{Refusal, meaning},
    id::AccountId,
    request::{Failure, Kind, Request, State},
    time::Time,
};

/// A sentence begins with a capital.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

fn what(request: &Request) -> Halves {
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

fn lesson_words(lesson: Option<LearnedThreshold>) -> Halves {
    match lesson {
        Some(LearnedThreshold { requests, .. }) => (
            format!(" (learned: the 95th percentile of the last {requests} approvals)"),
            format!("（自动学习：最近 {requests} 次确认用时的 95 分位数）"),
        ),
        None => (String::new(), String::new()),
    }
}

/// Why a stage counts as too long.
pub(in crate::domain) struct Late {
    pub(in crate::domain) stage: Stage,
    pub(in crate::domain) patience: Duration,
    pub(in crate::domain) lesson: Option<LearnedThreshold>,
}

impl Late {
    /// "longer than 1d": a half sentence.
    fn words(&self) -> Halves {
        let (learned, learned_zh) = lesson_words(self.lesson);
        (
            format!("longer than {}{learned}", duration(self.patience)),
            format!("已超过 {}{learned_zh}", duration_zh(self.patience)),
        )
    }
}

pub(in crate::domain) fn stuck(request: &Request, late: &Late, reading: Reading, zone: &TimeZone) -> Localized {
    let since = marked_moment(request.since, zone);
    let ((what, what_zh), (longer, longer_zh)) = (what(request), late.words());
    let (account, program) = (&request.account, &request.program);
    let (who, who_zh) = match late.stage {
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
        Stage::Requested => match unread(&request.account, reading, zone) {
            Some((unread, unread_zh)) => (
                format!("nothing was sent to WeChat, for {unread}; whoever mends the account must act"),
                format!("尚未向微信发起调用，因为{unread_zh}；请先修复该公众号"),
            ),
            None => (
                "nothing was sent to WeChat yet; `amplinkd request explain` says why".to_owned(),
                "尚未向微信发起调用；请运行 `amplinkd request explain` 查看原因".to_owned(),
            ),
        },
    };
    Localized::new(
        format!("{what} has waited since {since}, {longer}: {who}."),
        format!("{what_zh}：自 {since} 起等待，{longer_zh}；{who_zh}。"),
    )
}

/// Of a request that is late by a list which is too old to blame anybody.
pub(in crate::domain) fn unknown(request: &Request, late: &Late, reading: Reading, zone: &TimeZone) -> Localized {
    let since = marked_moment(request.since, zone);
    let ((what, what_zh), (longer, longer_zh)) = (what(request), late.words());
    let (unread, unread_zh) = unread(&request.account, reading, zone).unwrap_or_default();
    Localized::new(
        format!(
            "{what} had waited since {since}, {longer}, but whether anybody still has to answer is not known: {unread}. \
             Whoever mends the account must act, and no administrator."
        ),
        format!(
            "{what_zh}：自 {since} 起等待，{longer_zh}，但是否仍待确认不得而知：{unread_zh}。请先修复该公众号，无需催促管理员。"
        ),
    )
}

/// Since when nobody knows what the list of an account shows; nothing while it is read. A half sentence.
fn unread(account: &AccountId, reading: Reading, zone: &TimeZone) -> Option<Halves> {
    let (last_read, suspended, suspended_zh) = match reading {
        Reading::Read => return None,
        Reading::Unread { last_read, .. } | Reading::ShutOut { last_read, .. } => {
            (last_read, String::new(), String::new())
        }
        Reading::Suspended { by, since, last_read } => {
            let (since, (by, by_zh)) = (marked_moment(since, zone), suspender(by));
            (last_read, format!(" (suspended by {by} since {since})"), format!("（自 {since} 起被{by_zh}暂停）"))
        }
    };
    Some(match last_read.map(|at| marked_moment(at, zone)) {
        Some(at) => (
            format!("the list of account {account} has not been read since {at}{suspended}"),
            format!("公众号 {account} 的列表自 {at} 起未能读取{suspended_zh}"),
        ),
        None => (
            format!("the list of account {account} was never read{suspended}"),
            format!("公众号 {account} 的列表从未成功读取{suspended_zh}"),
        ),
    })
}

const fn suspender(by: SuspendedBy) -> (&'static str, &'static str) {
    match by {
        SuspendedBy::Wechat => ("WeChat", "微信"),
        SuspendedBy::Operator => ("an operator", "运维人员"),
    }
}

/// What a code means and what helps, as far as the table knows it.
pub(super) fn refused(refusal: Option<&Refusal>) -> Halves {
    let Some(refusal) = refusal else { return (String::new(), String::new()) };
    let code = refusal.errcode;
    match meaning(code) {
        Some(row) => (format!(" WeChat says {} (errcode {code}): {}.", row.means, row.remedy), refusal_zh(refusal)),
        None => (format!(" WeChat says errcode {code}: {:?}.", refusal.errmsg), refusal_zh(refusal)),
    }
}

/// A code in Chinese: what helps as far as the table knows it, or its text.
#[must_use]
pub fn refusal_zh(refusal: &Refusal) -> String {
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

pub(in crate::domain) fn ended(request: &Request, rule: Rule, zone: &TimeZone) -> Localized {
    let (at, id) = (marked_moment(request.since, zone), &request.id);
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
    Localized::new(format!("{what} {said}"), format!("{what_zh}：{said_zh}"))
}

pub(in crate::domain) fn deferred(request: &Request, until: Time, zone: &TimeZone) -> Localized {
    let (until, (what, what_zh)) = (marked_moment(until, zone), what(request));
    let code = request.refusal.as_ref().map_or(0, |refusal| refusal.errcode);
    let means = meaning(code).map_or("a monthly quota is used up", |row| row.means);
    Localized::new(
        format!("{what} waits until {until}: {means} (errcode {code}). Nobody must act; it goes on by itself."),
        format!("{what_zh}：月度额度已用完（errcode {code}），{until} 后自动继续，无需处理。"),
    )
}

pub(in crate::domain) fn conflict(request: &Request, conflict: &OpenConflict, zone: &TimeZone) -> Localized {
    let (at, (what, what_zh)) = (marked_moment(conflict.at, zone), what(request));
    let code = conflict.errcode.map(|code| format!(" (errcode {code})")).unwrap_or_default();
    let code_zh = conflict.errcode.map(|code| format!("（errcode {code}）")).unwrap_or_default();
    let program = &request.program;
    let (said, said_zh) = match conflict.kind {
        ConflictKind::InvitationAlreadyOut => (
            "an invitation was out already, sent by whom is not known; nobody must act beyond answering it".to_owned(),
            "此前已有关联邀请（发起方未知），等待管理员处理该邀请即可".to_owned(),
        ),
        ConflictKind::LinkingFromConsole => (
            format!("it was begun in the account's own console; the administrator of program {program} must answer"),
            format!("已在公众号后台发起，请小程序 {program} 的管理员确认"),
        ),
        ConflictKind::AlreadyLinked => {
            ("it is linked already; the list will confirm it".to_owned(), "双方已关联，等待列表确认".to_owned())
        }
        ConflictKind::UnlinkAlreadyOut => (
            "an unlink is out already; the account's administrator must answer it".to_owned(),
            "此前已有解除关联请求，请公众号管理员确认".to_owned(),
        ),
        ConflictKind::Adopted => (
            "somebody else's invitation was listed before our first call; it is followed as ours".to_owned(),
            "首次调用前列表中已有他人发起的邀请，现按该邀请跟进".to_owned(),
        ),
        ConflictKind::Backward => (
            "the list went back to the account's administrator, who must answer again".to_owned(),
            "列表状态退回到等待公众号管理员，请其再次确认".to_owned(),
        ),
        ConflictKind::Vanished => {
            ("the world contradicts our record: vanished".to_owned(), "微信侧状态与记录不一致：vanished".to_owned())
        }
    };
    Localized::new(
        format!("{what} met a conflict at {at}{code}: {said}."),
        format!("{what_zh}：{at} 出现冲突{code_zh}，{said_zh}。"),
    )
}
