//! Sentences for conditions that are not about one request, in English and Chinese.

use std::net::IpAddr;

use jiff::tz::TimeZone;

use super::{
    Localized, account_alerts, cluster_alerts, component_alerts, format::marked_moment, request_alerts::refused,
};
use crate::domain::{
    alert_rules::{Count, SystemCondition},
    errcode::Refusal,
    id::AccountId,
    time::Time,
};

pub(in crate::domain) fn sentence(condition: &SystemCondition, zone: &TimeZone) -> Localized {
    match condition {
        SystemCondition::AccountUnreadable { account, trouble, error, since, last_read } => {
            account_alerts::unreadable(account, *trouble, error, (*since, *last_read), zone)
        }
        SystemCondition::WechatUnreachable { trouble, count, example, error, .. } => {
            account_alerts::unreachable(*trouble, *count, example, error)
        }
        SystemCondition::AccountsRefused { refusal, count, example, .. } => {
            account_alerts::accounts_refused(refusal, *count, example)
        }
        SystemCondition::CallsRefused { account, count, error, since } => {
            account_alerts::calls_refused(account, *count, error, &marked_moment(*since, zone))
        }
        SystemCondition::UnknownStatus { status, count, account, item, .. } => {
            account_alerts::unknown_status(*status, *count, account, item)
        }
        SystemCondition::ListsEmptied { count, example, since } => {
            account_alerts::lists_emptied(*count, example, &marked_moment(*since, zone))
        }
        SystemCondition::Capacity { stretch, since } => capacity(*stretch, &marked_moment(*since, zone)),
        SystemCondition::LogLarge { bytes, bound, .. } => log_large(*bytes, *bound),
        SystemCondition::AccountSuspended { account, refusal, since } => {
            suspended(account, refusal, &marked_moment(*since, zone))
        }
        SystemCondition::IpNotAllowed { refusal, addresses, since } => {
            not_allowed(refusal, addresses, &marked_moment(*since, zone))
        }
        SystemCondition::BudgetExhausted { account, count, refusal, since, until } => {
            exhausted((account, *count), refusal.as_ref(), (*since, *until), zone)
        }
        SystemCondition::TicketMissing { component, last, since } => component_alerts::ticket_missing(
            component,
            last.map(|at| marked_moment(at, zone)),
            &marked_moment(*since, zone),
        ),
        SystemCondition::ComponentRefused { component, refusal, since } => {
            component_alerts::refused(component, refusal, &marked_moment(*since, zone))
        }
        SystemCondition::NeedsAuthorization { account, refusal, since } => {
            component_alerts::needs_authorization(account, refusal, &marked_moment(*since, zone))
        }
        SystemCondition::ForeignRefresher { component, count, example, .. } => {
            component_alerts::foreign_refresher(component, *count, example)
        }
        SystemCondition::TokenKeyRefused { listener, .. } => component_alerts::token_key_refused(listener),
        SystemCondition::TokenFailing { account, error, since } => {
            no_token(account.as_ref(), error, &marked_moment(*since, zone))
        }
        SystemCondition::LeaseFree { count, example, since } => {
            cluster_alerts::lease_free(*count, example, &marked_moment(*since, zone))
        }
        SystemCondition::NodeSilent { node, since } => cluster_alerts::node_silent(node, &marked_moment(*since, zone)),
        SystemCondition::ClockDiffers { node, ahead_ms, .. } => cluster_alerts::clock_differs(node, *ahead_ms),
        SystemCondition::ConfigDiffers { nodes, .. } => cluster_alerts::config_differs(nodes),
        SystemCondition::ChannelFailing { channel, error, dead, since } => {
            failing(channel, error, *dead, &marked_moment(*since, zone))
        }
        SystemCondition::Daemon { finding, example, count, since } => {
            daemon(finding, example, *count, &marked_moment(*since, zone))
        }
    }
}

fn suspended(account: &AccountId, refusal: &Refusal, since: &str) -> Localized {
    let (why, why_zh) = refused(Some(refusal));
    Localized::new(
        format!("Account {account} has been suspended since {since}, and nothing of it goes on.{why}"),
        format!("公众号 {account} 自 {since} 起被暂停，其全部请求停止。{why_zh}"),
    )
}

fn not_allowed(refusal: &Refusal, addresses: &[IpAddr], since: &str) -> Localized {
    let Refusal { errcode, errmsg } = refusal;
    let all = |between: &str| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(between);
    let (ours, ours_zh) = match addresses {
        [] => ("our address".to_owned(), "本机出口 IP".to_owned()),
        [one] => (format!("our address {one}"), format!("本机出口 IP {one}")),
        [..] => (format!("our addresses {}", all(", ")), format!("本机的多个出口 IP（{}）", all("、"))),
    };
    let (it, it_zh) = if addresses.len() > 1 { ("all of them", "上述 IP 全部") } else { ("it", "该 IP ") };
    Localized::new(
        format!(
            "WeChat has refused {ours} since {since}, so no account can be reached: add {it} to the platform's IP \
             whitelist; calls go on by themselves. WeChat says {errmsg:?} (errcode {errcode})."
        ),
        format!(
            "自 {since} 起微信拒绝{ours_zh}，所有公众号均无法访问；请把{it_zh}加入第三方平台白名单，之后自动恢复。\
             微信返回：{errmsg}（errcode {errcode}）。"
        ),
    )
}

fn exhausted(
    (account, count): (&AccountId, Option<Count>),
    refusal: Option<&Refusal>,
    (since, until): (Time, Time),
    zone: &TimeZone,
) -> Localized {
    let (since, until) = (marked_moment(since, zone), marked_moment(until, zone));
    let (accounts, accounts_zh) = match count.map(account_alerts::counted) {
        Some((count, count_zh)) => {
            (format!("{count} accounts, {account} among them,"), format!("{count_zh}个公众号（例如 {account}）"))
        }
        None => (format!("account {account}"), format!("公众号 {account} ")),
    };
    let (whose, whose_zh) = match refusal {
        Some(Refusal { errcode, .. }) => {
            (format!("WeChat's daily quota, errcode {errcode}"), format!("微信每日额度（errcode {errcode}）"))
        }
        None => ("`[polling] daily_budget`".to_owned(), "每日查询预算 `[polling] daily_budget`".to_owned()),
    };
    Localized::new(
        format!(
            "The calls of {accounts} are used up for today since {since} ({whose}); they go on after {until}. \
             Raise it or poll less often if this happens again."
        ),
        format!("{accounts_zh}自 {since} 起已用完{whose_zh}，{until} 后恢复；如反复出现请调高预算或降低轮询频率。"),
    )
}

fn no_token(account: Option<&AccountId>, error: &str, since: &str) -> Localized {
    let (whose, whose_zh) = match account {
        Some(account) => (format!("Account {account}"), format!("公众号 {account}")),
        None => ("Many accounts".to_owned(), "大量公众号".to_owned()),
    };
    Localized::new(
        format!(
            "{whose}: no usable token, so nothing was read since {since}; whoever runs the token service must look. \
             The last error: {error}."
        ),
        format!("{whose_zh}：无可用 token，自 {since} 起未能读取列表；请检查 token 服务。最近错误：{error}。"),
    )
}

fn failing(channel: &str, error: &str, dead: u64, since: &str) -> Localized {
    let (lost, lost_zh) = if dead > 0 {
        (
            format!("{dead} messages were given up: mend it, then `amplinkd channel retry {channel}`."),
            format!("已放弃 {dead} 条消息，修复后请运行 `amplinkd channel retry {channel}`。"),
        )
    } else {
        ("Messages wait and are sent by themselves.".to_owned(), "消息在排队，恢复后自动发送。".to_owned())
    };
    Localized::new(
        format!("Channel {channel} has not taken messages since {since}: {error}. {lost}"),
        format!("通知渠道 {channel} 自 {since} 起无法送达：{error}。{lost_zh}"),
    )
}

/// A stretch in thousandths, as people say it: "2.4".
fn times(stretch: i64) -> String {
    format!("{}.{}", stretch / 1_000, stretch % 1_000 / 100)
}

fn capacity(stretch: i64, since: &str) -> Localized {
    let times = times(stretch);
    Localized::new(
        format!(
            "More looks at accounts are due than may be made since {since}: all waits are {times} times as long as they are \
             configured. `amplinkd plan` says what to change: a larger [wechat] per_second, or longer [polling] steps."
        ),
        format!(
            "自 {since} 起待查公众号超出可用调用能力，所有轮询间隔均为配置的 {times} 倍；请运行 `amplinkd plan`，调高 [wechat] per_second 或放宽 [polling] steps。"
        ),
    )
}

/// Bytes in one mebibyte.
const MIB: u64 = 1 << 20;

fn log_large(bytes: u64, bound: u64) -> Localized {
    let (bytes, bound) = (bytes / MIB, bound / MIB);
    Localized::new(
        format!(
            "The database's write-ahead log has grown to {bytes} MiB (it should stay below {bound} MiB): somebody has been \
             reading in one transaction for long, and until it ends the log fills the disk. `lsof` on the file that ends in \
             -wal names the processes; end the one that is not amplinkd, or its transaction."
        ),
        format!(
            "数据库预写日志已达 {bytes} MiB（应低于 {bound} MiB）：有进程长时间占用读事务，日志将持续增长直至占满磁盘；请对 -wal 文件运行 `lsof` 找出非 amplinkd 的进程并结束其事务。"
        ),
    )
}

fn daemon(finding: &str, example: &str, count: usize, since: &str) -> Localized {
    let (more, more_zh) = if count > 1 {
        (format!(" ({count} of this kind)"), format!("（共 {count} 项）"))
    } else {
        (String::new(), String::new())
    };
    Localized::new(
        format!("amplinkd itself needs an operator since {since}: {finding}: {example}{more}."),
        format!("amplinkd 自身需要运维处理，自 {since} 起：{finding}：{example}{more_zh}。"),
    )
}
