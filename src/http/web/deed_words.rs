//! What deeds, those who do them and what they are done to are called, in both languages; and what steps say beside their
//! columns. A word that nobody has named is shown as it is.

use super::view::View;
use crate::domain::text::parse;

/// What a step keeps beside its columns, and the same in Chinese. What stands in a step is part of its hash and stays as it is.
const DETAILS: [(&str, &str); 8] = [
    ("nothing had been sent", "此前未发送任何内容"),
    (
        "no longer followed; WeChat cannot withdraw what was sent, so an administrator may still agree",
        "不再跟踪；微信无法撤回已发出的邀请，管理员仍可能同意",
    ),
    ("its gate was opened", "已人工解除限制"),
    ("the call did not reach WeChat", "调用未到达微信"),
    ("a copy was restored: whether it was called since is not known", "恢复了备份：此后是否调用过尚不清楚"),
    ("a copy was restored: it was called since, with what answer is not known", "恢复了备份：此后调用过，结果尚不清楚"),
    ("a copy was restored: WeChat has taken the call since", "恢复了备份：此后微信已受理调用"),
    ("a copy was restored: it had been cancelled since", "恢复了备份：此后已取消"),
];

impl View {
    /// What was done, or is done to many.
    pub(super) fn action<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "request" => self.t("Request", "发起请求"),
            "cancel" => self.t("Cancel", "取消"),
            "retry" => self.t("Send again", "重新发送"),
            "nudge" => self.t("Remind", "催办"),
            "suspend" => self.t("Suspend", "暂停"),
            "resume" => self.t("Resume", "恢复"),
            "check" => self.t("Poll now", "立即轮询"),
            "acknowledge" => self.t("Acknowledge", "确认"),
            "snooze" => self.t("Snooze", "静默"),
            "resolve" => self.t("Resolve", "解决"),
            "retry_deliveries" => self.t("Send messages again", "重新发送消息"),
            "test_channel" => self.t("Test a channel", "测试通知渠道"),
            "open_gate" => self.t("Open a gate", "解除限制"),
            "refresh_token" => self.t("Refresh a token", "刷新令牌"),
            "sync_authorizers" => self.t("Read all authorizations", "同步授权列表"),
            "audit" => self.t("Audit", "审计"),
            "backup" => self.t("Back up", "备份"),
            "prune" => self.t("Take old requests away", "清理旧请求"),
            "sign_in" => self.t("Sign in", "登录"),
            "sign_out" => self.t("Sign out", "退出登录"),
            "add_user" => self.t("Add a user", "新增用户"),
            "change_user" => self.t("Change a user", "修改用户"),
            "change_password" => self.t("Change a password", "修改密码"),
            "remove_user" => self.t("Remove a user", "删除用户"),
            "new_api_token" => self.t("Make a token", "创建令牌"),
            "revoke_api_token" => self.t("Revoke a token", "撤销令牌"),
            other => other,
        }
    }

    /// What an action on many is done to, behind their number.
    pub(super) fn subject(&self, word: &str) -> &'static str {
        match word {
            "accounts" => self.t("accounts", "个公众号"),
            "alerts" => self.t("alerts", "条告警"),
            _ => self.t("requests", "个请求"),
        }
    }

    /// What kind of thing something was done to.
    pub(super) fn subject_kind<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "request" => self.t("request", "请求"),
            "account" => self.t("account", "公众号"),
            "alert" => self.t("alert", "告警"),
            "channel" => self.t("channel", "通知渠道"),
            "gate" => self.t("gate", "限制"),
            "user" => self.t("user", "用户"),
            "api_token" => self.t("token", "令牌"),
            "session" => self.t("session", "会话"),
            "database" => self.t("database", "数据库"),
            other => other,
        }
    }

    /// The door somebody came in by.
    pub(super) fn via<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "cli" => self.t("command", "命令行"),
            "api" => self.t("token", "令牌"),
            "web" => self.t("dashboard", "仪表板"),
            other => other,
        }
    }

    /// What came of an action.
    pub(super) fn outcome<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "done" => self.t("done", "已完成"),
            "partly" => self.t("partly done", "部分完成"),
            "failed" => self.t("failed", "失败"),
            other => other,
        }
    }

    /// How an alert or a conflict ended.
    pub(super) fn resolution<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "over" => self.t("no longer so", "情况已消除"),
            "aged_out" => self.t("too old to be told", "超出通知期限"),
            "operator" => self.t("by a person", "人工解决"),
            other => self.state(other),
        }
    }

    /// What a user may do.
    pub(super) fn role<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "viewer" => self.t("viewer", "查看者"),
            "operator" => self.t("operator", "操作员"),
            "admin" => self.t("admin", "管理员"),
            other => other,
        }
    }

    /// What a program may do with a token.
    pub(super) fn scope<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "read" => self.t("read", "读取"),
            "events" => self.t("events", "事件"),
            "metrics" => self.t("metrics", "指标"),
            "requests" => self.t("requests", "请求"),
            "accounts" => self.t("accounts", "公众号"),
            "alerts" => self.t("alerts", "告警"),
            "channels" => self.t("channels", "通知渠道"),
            "backup" => self.t("backup", "备份"),
            "users" => self.t("users", "用户"),
            other => other,
        }
    }

    /// Why something was done. Of new users and tokens the record says what they may, in English; people's words stay as they
    /// are.
    pub(super) fn reason(&self, action: &str, reason: &str) -> String {
        let may = reason.strip_prefix("as ").filter(|_| ["add_user", "new_api_token"].contains(&action));
        let Some(may) = may.filter(|_| self.lang() != "en") else { return reason.to_owned() };
        let (role, scopes) = may.split_once(", for ").unwrap_or((may, ""));
        let scopes: Vec<&str> = scopes.split_whitespace().map(|scope| self.scope(scope)).collect();
        let joint = if scopes.is_empty() { "" } else { "，范围：" };
        format!("角色：{}{joint}{}", self.role(role), scopes.join("、"))
    }

    /// A sentence in Chinese whose codes and moments are told as pages tell them. Commands stay as they are.
    pub(super) fn told(&self, sentence: &str) -> String {
        if self.lang() == "en" {
            return sentence.to_owned();
        }
        let mut told = String::new();
        for (number, part) in sentence.split('`').enumerate() {
            if number % 2 == 1 {
                told.extend(["`", part, "`"]);
            } else {
                self.tell(part, &mut told);
            }
        }
        told
    }

    fn tell(&self, text: &str, told: &mut String) {
        let is_of_code = |sign: char| sign.is_ascii_alphanumeric() || "_-:.".contains(sign);
        let mut rest = text;
        while let Some(begin) = rest.find(is_of_code) {
            let len = rest[begin..].find(|sign| !is_of_code(sign)).unwrap_or(rest.len() - begin);
            let code = &rest[begin..begin + len];
            told.push_str(&rest[..begin]);
            told.push_str(&self.code(code));
            rest = &rest[begin + len..];
        }
        told.push_str(rest);
    }

    /// A word of the database as people say it.
    fn code(&self, code: &str) -> String {
        if parse::moment(code).is_some() {
            return self.moment(code);
        }
        let known = [self.state(code), self.conflict(code), self.cause(code)].into_iter().find(|known| *known != code);
        known.map_or_else(|| code.to_owned(), |known| format!("“{known}”"))
    }

    /// What holds calls back.
    pub(super) fn gate<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "program_month" => self.t("month of a program", "小程序月度额度"),
            "account_month" => self.t("month of an account", "公众号月度额度"),
            "api_day" => self.t("day of an API", "接口每日额度"),
            "ip" => self.t("our address", "服务器地址"),
            other => other,
        }
    }

    /// What a step says beside its columns: what somebody gave as a reason, and `WeChat`'s own text, stay as they are.
    pub(super) fn detail(&self, detail: &str) -> String {
        if self.lang() == "en" {
            return detail.to_owned();
        }
        let (by, known) = match DETAILS.iter().find(|(en, _)| detail.ends_with(en)) {
            Some((en, zh)) => (detail[..detail.len() - en.len()].trim_end_matches("; "), (*zh).to_owned()),
            None => without_known(detail),
        };
        match by.strip_prefix("by ").map(|by| by.split_once(": ").unwrap_or((by, ""))) {
            None => format!("{by}{known}"),
            Some((name, reason)) => {
                let parts = [format!("操作人 {name}"), reason.to_owned(), known];
                parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("；")
            }
        }
    }
}

/// What ends in a number or an id.
fn without_known(detail: &str) -> (&str, String) {
    if let Some(earlier) = detail.strip_prefix("retry of ") {
        return ("", format!("重试自 {earlier}"));
    }
    let numbered = detail.strip_prefix("call ").and_then(|rest| rest.strip_suffix(" left no trace in the list"));
    numbered.map_or((detail, String::new()), |number| ("", format!("第 {number} 次调用未在列表中留下痕迹")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        action::{ActionKind, Via},
        gate::GateKind,
        identity::{Role, Scope},
        text::Language,
    };

    #[test]
    fn every_word_of_a_deed_has_a_chinese_one() {
        let zh = View::of_test(Language::Zh);
        let mut words: Vec<(&str, &str)> = Vec::new();
        for kind in ActionKind::ALL {
            let (action, subject) = (kind.as_str(), kind.subject().as_str());
            words.extend([(action, zh.action(action)), (subject, zh.subject_kind(subject))]);
        }
        words.extend(Via::ALL.map(|via| (via.as_str(), zh.via(via.as_str()))));
        words.extend(Role::ALL.map(|role| (role.as_str(), zh.role(role.as_str()))));
        words.extend(GateKind::ALL.map(|gate| (gate.as_str(), zh.gate(gate.as_str()))));
        words.extend(Role::Admin.scopes().iter().map(|scope: &Scope| (scope.as_str(), zh.scope(scope.as_str()))));
        for (word, told) in words {
            assert!(told.chars().all(|sign| !sign.is_ascii_alphabetic()), "{word}: {told}");
        }
    }

    #[test]
    fn details_and_sentences_are_told_in_chinese_and_names_stay() {
        let (zh, en) = (View::of_test(Language::Zh), View::of_test(Language::En));
        for (detail, told) in [
            ("by lena", "操作人 lena"),
            ("by lena: 客户已离开; nothing had been sent", "操作人 lena；客户已离开；此前未发送任何内容"),
            ("by lena; its gate was opened", "操作人 lena；已人工解除限制"),
            ("the call did not reach WeChat", "调用未到达微信"),
            ("call 2 left no trace in the list", "第 2 次调用未在列表中留下痕迹"),
            ("retry of 0197c2d4", "重试自 0197c2d4"),
            ("api unauthorized rid: 1", "api unauthorized rid: 1"),
        ] {
            assert_eq!((zh.detail(detail), en.detail(detail)), (told.to_owned(), detail.to_owned()));
        }
        let said = "自 2026-03-05T09:00:00.000Z 起处于状态 linked（adopted），见 `amplinkd request show linked`。";
        let told =
            "自 2026-03-05 09:00 起处于状态 “已关联”（“跟进他人发起的邀请”），见 `amplinkd request show linked`。";
        assert_eq!((zh.told(said), en.told(said)), (told.to_owned(), said.to_owned()));
        assert_eq!(zh.reason("new_api_token", "as viewer, for read events"), "角色：查看者，范围：读取、事件");
        assert_eq!(zh.reason("cancel", "as viewer"), "as viewer", "a person said so");
    }
}
