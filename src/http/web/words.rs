//! What things are called on pages, in both languages. A word that nobody has named is shown as it is.

use super::view::View;
use crate::domain::alert_rules::Rule;

impl View {
    /// Where a request stands.
    pub(super) fn state<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "requested" => self.t("Requested", "已受理"),
            "initiating" => self.t("Calling WeChat", "正在发起"),
            "initiated" => self.t("Invitation sent", "已发起"),
            "awaiting_account_admin" => self.t("Account's admin must agree", "待公众号管理员确认"),
            "awaiting_program_admin" => self.t("Program's admin must agree", "待小程序管理员确认"),
            "deferred" => self.t("Waits for next month", "等待下月额度"),
            "linked" => self.t("Linked", "已关联"),
            "rejected" => self.t("Refused", "已拒绝"),
            "failed" => self.t("Failed", "失败"),
            "lapsed" => self.t("Lapsed", "已失效"),
            "cancelled" => self.t("Cancelled", "已取消"),
            "unlinked" => self.t("Unlinked", "已解除关联"),
            "active" => self.t("Active", "正常"),
            "suspended" => self.t("Suspended", "已暂停"),
            "firing" => self.t("Firing", "告警中"),
            "acknowledged" => self.t("Acknowledged", "已确认"),
            "snoozed" => self.t("Snoozed", "已静默"),
            "resolved" => self.t("Resolved", "已解决"),
            "pending" => self.t("Pending", "待发送"),
            "delivered" => self.t("Delivered", "已送达"),
            "dead" => self.t("Given up", "已放弃"),
            "running" => self.t("Running", "进行中"),
            "done" => self.t("Done", "已完成"),
            "authorized" => self.t("Authorized", "已授权"),
            "unauthorized" => self.t("Withdrawn", "已取消授权"),
            other => other,
        }
    }

    /// How a state looks: good, bad, waiting for somebody, or neither.
    pub(super) fn tone(&self, word: &str) -> &'static str {
        match word {
            "linked" | "unlinked" | "active" | "resolved" | "delivered" | "done" | "authorized" => "good",
            "rejected" | "failed" | "firing" | "dead" | "suspended" | "unauthorized" => "bad",
            "awaiting_account_admin"
            | "awaiting_program_admin"
            | "initiated"
            | "snoozed"
            | "acknowledged"
            | "pending"
            | "deferred" => "wait",
            _ => "calm",
        }
    }

    pub(super) fn kind<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "link" => self.t("Link", "关联"),
            "unlink" => self.t("Unlink", "解除关联"),
            other => other,
        }
    }

    /// Why a step was taken.
    pub(super) fn cause<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "accepted" => self.t("request accepted", "已受理请求"),
            "call" => self.t("about to call WeChat", "准备调用微信"),
            "answer" => self.t("WeChat answered the call", "微信返回调用结果"),
            "listing" => self.t("seen in the account's list", "在公众号的列表中看到"),
            "quota" => self.t("a monthly quota is used up", "当月额度已用完"),
            "deadline" => self.t("time ran out", "已到期限"),
            "operator" => self.t("by a person", "人工操作"),
            "restore" => self.t("a copy was put back", "恢复了备份"),
            other => other,
        }
    }

    /// Who is waited for, and what that is called.
    pub(super) fn waits_for(&self, word: &str) -> &'static str {
        match word {
            "us" | "requested" => self.t("amplinkd: not called yet", "amplinkd：尚未调用"),
            "initiated" => self.t("WeChat: not listed yet", "微信：列表中尚未出现"),
            "account_admin" => self.t("The account's administrator", "公众号管理员"),
            "program_admin" => self.t("The program's administrator", "小程序管理员"),
            "unlink" => self.t("The account's administrator, to unlink", "公众号管理员（解除关联）"),
            _ => self.t("Next month's quota", "下月额度"),
        }
    }

    /// The word of `waiting_on`.
    pub(super) fn waiting_on<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "account_admin" => self.t("account's administrator", "公众号管理员"),
            "program_admin" => self.t("program's administrator", "小程序管理员"),
            "wechat" => self.t("WeChat", "微信"),
            "quota" => self.t("next month's quota", "下月额度"),
            other => other,
        }
    }

    /// What alerts of one reason have in common.
    pub(super) fn group(&self, rule: &str, reason: &str, count: &i64) -> String {
        let count = usize::try_from(*count).unwrap_or_default();
        Rule::from_word(rule).map_or_else(
            || reason.to_owned(),
            |rule| crate::domain::text::group_title(rule, reason, count).of(self.language()),
        )
    }

    /// The pages of the navigation.
    pub(super) fn places(&self) -> [(&'static str, &'static str); 11] {
        [
            ("/", self.t("Overview", "概览")),
            ("/requests", self.t("Requests", "请求")),
            ("/alerts", self.t("Alerts", "告警")),
            ("/accounts", self.t("Accounts", "公众号")),
            ("/programs", self.t("Programs", "小程序")),
            ("/conflicts", self.t("Conflicts", "冲突")),
            ("/channels", self.t("Channels", "通知渠道")),
            ("/report", self.t("Report", "报表")),
            ("/plan", self.t("Plan", "轮询计划")),
            ("/audit", self.t("Audit", "审计")),
            ("/actions", self.t("Actions", "操作记录")),
        ]
    }

    /// The themes there are.
    pub(super) fn themes(&self) -> [(&'static str, &'static str); 3] {
        [("auto", self.t("system", "跟随系统")), ("light", self.t("light", "浅色")), ("dark", self.t("dark", "深色"))]
    }

    /// What is done to many.
    pub(super) fn action<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "cancel" => self.t("Cancel", "取消"),
            "retry" => self.t("Send again", "重新发送"),
            "nudge" => self.t("Remind", "催办"),
            "acknowledge" => self.t("Acknowledge", "确认"),
            "snooze" => self.t("Snooze", "静默"),
            "resolve" => self.t("Resolve", "解决"),
            "suspend" => self.t("Suspend", "暂停"),
            "resume" => self.t("Resume", "恢复"),
            other => other,
        }
    }

    /// What an action is done to.
    pub(super) fn subject(&self, word: &str) -> &'static str {
        match word {
            "accounts" => self.t("accounts", "个公众号"),
            "alerts" => self.t("alerts", "条告警"),
            _ => self.t("requests", "个请求"),
        }
    }

    /// What was done just now.
    pub(super) fn done(&self) -> Option<&'static str> {
        Some(match self.look.done.as_deref()? {
            "cancel" => self.t("Cancelled.", "已取消。"),
            "retry" => self.t("Sent again.", "已重新发送。"),
            "nudge" => self.t("Reminder sent.", "提醒已发送。"),
            "acknowledge" => self.t("Acknowledged.", "已确认。"),
            "snooze" => self.t("Snoozed.", "已静默。"),
            "resolve" => self.t("Resolved.", "已解决。"),
            "suspend" => self.t("Suspended.", "已暂停。"),
            "resume" => self.t("Resumed.", "已恢复。"),
            "audit" => self.t("The audit has run.", "已完成审计。"),
            _ => self.t("Done.", "已完成。"),
        })
    }
}
