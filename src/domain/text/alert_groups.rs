//! The title of several alerts with one reason, in English and Chinese.

use super::Localized;
use crate::domain::alert_rules::Rule;

/// What several alerts of one reason have in common: the title of their message. It ends without a mark.
#[must_use]
pub fn group_title(rule: Rule, reason: &str, count: usize) -> Localized {
    let case = reason.split_once('.').map_or("", |(_, case)| case);
    Localized::new(english(rule, case, count), chinese(rule, case, count))
}

fn english(rule: Rule, case: &str, count: usize) -> String {
    let many = |one: &str, more: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {more}") };
    match (rule, case) {
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
        (Rule::Stuck, "requested") => {
            many("request was not sent to WeChat yet", "requests were not sent to WeChat yet")
        }
        (Rule::Stuck, "unread") => many(
            "late request whose account's list cannot be read",
            "late requests whose accounts' lists cannot be read",
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
        (Rule::TicketMissing, _) => "The platform has no usable component_verify_ticket".to_owned(),
        (Rule::ComponentRefused, "0") => "The day's own cap of component calls is reached".to_owned(),
        (Rule::ComponentRefused, code) => format!("WeChat refuses the platform with errcode {code}"),
        (Rule::NeedsAuthorization, "permission") => {
            many("account has not granted permission set 33", "accounts have not granted permission set 33")
        }
        (Rule::NeedsAuthorization, _) => {
            many("account must authorize the platform", "accounts must authorize the platform")
        }
        (Rule::ForeignRefresher, _) => "Another system refreshes the platform's tokens, too".to_owned(),
        (Rule::TokenKeyRefused, _) => "Many requests to the token service show an unknown key".to_owned(),
        (Rule::TokenFailing, _) => many("account has no usable token", "accounts have no usable token"),
        (Rule::AccountUnreadable, _) => many("account cannot be read", "accounts cannot be read"),
        (Rule::WechatUnreachable, _) => "Many accounts cannot be read, for one reason".to_owned(),
        (Rule::AccountsRefused, code) => format!("Many accounts are suspended by WeChat with errcode {code}"),
        (Rule::CallsRefused, _) => many("account has its calls refused", "accounts have their calls refused"),
        (Rule::UnknownStatus, _) => many("undocumented status is listed", "undocumented statuses are listed"),
        (Rule::ListsEmptied, _) => "Lists are suddenly empty".to_owned(),
        (Rule::Capacity, _) => "More looks are due than may be made".to_owned(),
        (Rule::LogLarge, _) => "The database's log does not shrink".to_owned(),
        (Rule::LeaseFree, _) => "Accounts have no daemon".to_owned(),
        (Rule::NodeSilent, _) => many("daemon is silent", "daemons are silent"),
        (Rule::ClockDiffers, _) => many("daemon's clock is wrong", "daemons' clocks are wrong"),
        (Rule::ConfigDiffers, _) => "Daemons go by different configurations".to_owned(),
        (Rule::ChannelFailing, _) => many("channel does not take messages", "channels do not take messages"),
        (Rule::Daemon, _) => format!("amplinkd itself needs an operator: {}", spaced(case)),
    }
}

fn chinese(rule: Rule, case: &str, count: usize) -> String {
    match (rule, case) {
        (Rule::Stuck, "account_admin") => format!("{count} 个关联等待公众号管理员确认已超时"),
        (Rule::Stuck, "program_admin") => format!("{count} 个关联等待小程序管理员确认已超时"),
        (Rule::Stuck, "unlink") => format!("{count} 个解除关联等待公众号管理员确认已超时"),
        (Rule::Stuck, "requested") => format!("{count} 个请求尚未向微信发起"),
        (Rule::Stuck, "unread") => format!("{count} 个超时请求的公众号列表无法读取"),
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
        (Rule::TicketMissing, _) => "第三方平台没有可用的 component_verify_ticket".to_owned(),
        (Rule::ComponentRefused, "0") => "当日第三方平台调用次数已达自身上限".to_owned(),
        (Rule::ComponentRefused, code) => format!("微信拒绝第三方平台的调用（errcode {code}）"),
        (Rule::NeedsAuthorization, "permission") => format!("{count} 个公众号未授予权限集 33（小程序关联管理）"),
        (Rule::NeedsAuthorization, _) => format!("{count} 个公众号需要重新授权"),
        (Rule::ForeignRefresher, _) => "有其他系统也在刷新本平台的 token".to_owned(),
        (Rule::TokenKeyRefused, _) => "token 服务收到大量密钥无效的请求".to_owned(),
        (Rule::TokenFailing, _) => format!("{count} 个公众号无可用 token"),
        (Rule::AccountUnreadable, _) => format!("{count} 个公众号的列表无法读取"),
        (Rule::WechatUnreachable, _) => "大量公众号因同一原因无法读取".to_owned(),
        (Rule::AccountsRefused, code) => format!("大量公众号被微信暂停（errcode {code}）"),
        (Rule::CallsRefused, _) => format!("{count} 个公众号的调用被拒绝"),
        (Rule::UnknownStatus, _) => format!("{count} 种未公开的状态出现在列表中"),
        (Rule::ListsEmptied, _) => "公众号列表突然清空".to_owned(),
        (Rule::Capacity, _) => "待查公众号超出调用能力".to_owned(),
        (Rule::LogLarge, _) => "数据库日志持续增长".to_owned(),
        (Rule::LeaseFree, _) => "部分公众号没有守护进程负责".to_owned(),
        (Rule::NodeSilent, _) => format!("{count} 个守护进程没有心跳"),
        (Rule::ClockDiffers, _) => format!("{count} 个守护进程的时钟不准"),
        (Rule::ConfigDiffers, _) => "各守护进程的配置不一致".to_owned(),
        (Rule::ChannelFailing, _) => format!("{count} 个通知渠道无法送达"),
        (Rule::Daemon, _) => format!("amplinkd 自身需要运维处理：{case}"),
    }
}

fn spaced(word: &str) -> String {
    word.replace('_', " ")
}
