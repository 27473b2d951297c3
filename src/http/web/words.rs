//! What things are called on pages, in both languages. A word that nobody has named is shown as it is.

use super::view::View;
use crate::domain::{
    alert_rules::Rule,
    listing::Status,
    text::{Language, parse},
};

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
            "unread" => self.t("Cannot be read", "无法读取"),
            "held" => self.t("Calls held back", "调用被暂缓"),
            "firing" => self.t("Firing", "告警中"),
            "acknowledged" => self.t("Acknowledged", "已确认"),
            "snoozed" => self.t("Snoozed", "已静默"),
            "resolved" => self.t("Resolved", "已解决"),
            "pending" => self.t("Pending", "待发送"),
            "delivered" => self.t("Delivered", "已送达"),
            "dead" => self.t("Given up", "已放弃"),
            "running" => self.t("Running", "进行中"),
            "done" | "finished" => self.t("Done", "已完成"),
            "authorized" => self.t("Authorized", "已授权"),
            "unauthorized" => self.t("Withdrawn", "已取消授权"),
            "unknown" => self.t("Not known yet", "尚不清楚"),
            other => other,
        }
    }

    /// How a state looks: good, bad, waiting for somebody, or neither.
    pub(super) fn tone(&self, word: &str) -> &'static str {
        match word {
            "linked" | "unlinked" | "active" | "resolved" | "delivered" | "done" | "finished" | "authorized" => "good",
            "rejected" | "failed" | "firing" | "dead" | "suspended" | "unread" | "unauthorized" => "bad",
            "awaiting_account_admin"
            | "awaiting_program_admin"
            | "initiated"
            | "snoozed"
            | "acknowledged"
            | "pending"
            | "held"
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
            "us" => "amplinkd",
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
            "answer" => self.t("Answered. The next poll will see it.", "已答复，下次轮询即可看到。"),
            _ => self.t("Done.", "已完成。"),
        })
    }

    /// When something comes, or that it is due.
    pub(super) fn due(&self, at: &str) -> String {
        if self.is_ahead(at) { self.distance(at) } else { self.t("due now", "即将进行").to_owned() }
    }

    /// Whether a moment of a view is still to come.
    pub(super) fn is_ahead(&self, at: &str) -> bool {
        parse::moment(at).is_some_and(|at| at > self.now)
    }

    /// Why a list cannot be read.
    pub(super) fn trouble<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "token" => self.t("no usable token", "无可用 token"),
            "refused" => self.t("WeChat refuses", "微信拒绝"),
            "unreadable" => self.t("the answer is no list", "应答不是列表"),
            "unreachable" => self.t("no answer", "没有应答"),
            other => other,
        }
    }

    /// Who suspended an account.
    pub(super) fn suspended_by<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "operator" => self.t("by an operator", "人工暂停"),
            "wechat" => self.t("by WeChat", "被微信拒绝"),
            other => other,
        }
    }

    /// What a list of WeChat's says of a program.
    pub(super) fn status(&self, number: &i64) -> String {
        match Status::from_number(*number) {
            Status::Linked => self.t("Linked", "已关联").to_owned(),
            Status::AwaitingProgramAdmin => self.state("awaiting_program_admin").to_owned(),
            Status::Rejected => self.t("Refused", "已拒绝").to_owned(),
            Status::AwaitingAccountAdmin => self.state("awaiting_account_admin").to_owned(),
            Status::Other(other) => self.language().pick(format!("status {other}"), format!("状态 {other}")),
        }
    }

    pub(super) fn status_tone(&self, number: &i64) -> &'static str {
        match Status::from_number(*number) {
            Status::Linked => "good",
            Status::AwaitingProgramAdmin | Status::AwaitingAccountAdmin => "wait",
            Status::Rejected => "bad",
            Status::Other(_) => "calm",
        }
    }

    pub(super) fn yes_or_no<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "yes" => self.t("yes", "有"),
            "no" => self.t("no", "无"),
            "unknown" => self.t("not known yet", "尚不清楚"),
            other => other,
        }
    }

    /// How our record and the world differ.
    pub(super) fn conflict<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "invitation_already_out" => self.t("An invitation was out already", "此前已有关联邀请"),
            "linking_from_console" => self.t("Begun in the account's console", "已在公众号后台发起"),
            "already_linked" => self.t("Linked already", "此前已关联"),
            "unlink_already_out" => self.t("An unlink was out already", "此前已有解除关联请求"),
            "adopted" => self.t("Somebody else's invitation is followed", "跟进他人发起的邀请"),
            "backward" => self.t("Back to the account's admin", "退回待公众号管理员确认"),
            "vanished" => self.t("The link is gone", "关联已消失"),
            other => other,
        }
    }

    /// How long ago a moment was, as a phrase.
    pub(super) fn past(&self, at: &str) -> String {
        let distance = self.distance(at);
        self.language().pick(format!("{distance} ago"), format!("{distance}前"))
    }

    /// A part of a request's life that is measured.
    pub(super) fn measured<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "initiated" => self.t("WeChat lists the invitation", "微信列出邀请"),
            "account_admin" => self.t("The account's administrator agrees", "公众号管理员同意"),
            "program_admin" => self.t("The program's administrator agrees", "小程序管理员同意"),
            "unlink" => self.t("The account's administrator confirms an unlink", "公众号管理员确认解除"),
            "total" => self.t("From the asking to the end", "从发起到完成"),
            other => other,
        }
    }

    /// A step of a histogram, such as `1h-4h`.
    pub(super) fn range(&self, range: &str) -> String {
        let range = range.replace('-', "–");
        if self.language() == Language::En {
            return range;
        }
        let units = [('m', "分"), ('h', "时"), ('d', "天")];
        let words = range.replace("under ", "不足").replace("over ", "超过");
        units.into_iter().fold(words, |words, (unit, name)| words.replace(unit, name))
    }

    /// How urgent polls are.
    pub(super) fn class<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "asked" => self.t("Asked for", "人工触发"),
            "young" => self.t("Young", "新请求"),
            "old" => self.t("Old", "老请求"),
            "drift" => self.t("Drift", "例行核对"),
            other => other,
        }
    }

    /// Which accounts a class has.
    pub(super) fn class_means(&self, word: &str) -> &'static str {
        match word {
            "asked" => self.t("somebody waits for this poll", "有人正在等待这次轮询"),
            "young" => self.t("something is in its first hour", "有一小时内的请求"),
            "old" => self.t("all that is open is older", "进行中的请求均已超过一小时"),
            _ => self.t("nothing is open: is what was linked still so?", "无进行中请求，核对已关联的是否仍在"),
        }
    }
}
