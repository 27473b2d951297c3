//! What the audit finds, in Chinese. The store words a finding once, in English; a page in Chinese says the same of its rule,
//! with the moments, commands and words that stand in the finding.

use super::view::View;
use crate::{
    domain::text::parse,
    store::read::{audit::Finding, request_page::STATES},
};

impl View {
    /// What a finding says.
    pub(super) fn finding(&self, found: &Finding) -> String {
        let Finding { rule, finding, .. } = found;
        if self.lang() == "en" {
            return finding.clone();
        }
        let (at, run) = (self.first_moment(finding), command(finding));
        let state = self.state(first_state(finding));
        match rule.as_str() {
            "no_next_step" => format!("处于“{state}”，但其公众号没有下次轮询时间：执行 {run} 可立即轮询；请反馈此问题"),
            "overdue" => format!("应于 {at} 轮询而未轮询：请确认服务正在运行；如果来不及，请调大 [wechat] per_second"),
            "deferred_overdue" => {
                format!("推迟至 {at}，到期后未继续：请确认服务正在运行，否则先取消，再执行 `amplinkd request retry`")
            }
            "call_unanswered" => {
                format!("自 {at} 发起的调用既无应答也未放弃：请在日志中查找数据库错误，然后重启服务")
            }
            "conflict_left_open" => {
                format!("冲突仍未解决，但其请求已结束（{state}）：不会再自动解决；请反馈此问题")
            }
            "wakeup_left" => format!("有命令于 {at} 更改了它，而服务尚未处理：请确认服务正在运行"),
            "delivery_stuck" => {
                let channel = between(finding, "a message for ", " was due ");
                format!("发往 {channel} 的消息应于 {at} 发送，既未送达也未放弃：请确认服务正在运行")
            }
            "event_unread" => {
                format!("{at} 的事件未处理，告警和消息因此停滞：请查看日志，否则重启服务")
            }
            "vigil_overdue" => format!("应于 {at} 前检查告警而未检查：请查看日志，否则重启服务"),
            "cron_silent" => format!("应于 {at} 前运行而未运行：请确认服务正在运行，否则重启服务"),
            "copy_waits" => format!("{at} 的备份已恢复，但此后服务从未启动：请启动服务"),
            "import_left" if finding.contains("not legal") => {
                format!("导入已于 {at} 接受，但该行不合法：请修正后重启服务")
            }
            "import_left" => format!("导入已于 {at} 接受，但该行尚未并入：请确认服务正在运行"),
            "unread" => {
                let kept = between(finding, " (", "), so its open requests");
                let (word, error) = kept.split_once(", ").unwrap_or((kept, ""));
                let why = if word == "no reason was kept" { "原因未记录" } else { self.trouble(word) };
                let joint = if error.is_empty() { "" } else { "，" };
                format!("其列表自 {at} 起无法读取（{why}{joint}{error}），进行中的请求停滞：处理方法见 docs/alerts.md")
            }
            "alert_untold" => format!("告警应于 {at} 前通知而未通知：请查看日志，否则重启服务"),
            "aged_unchecked" => {
                format!("自 {at} 起处于“{state}”，从未检查告警：请查看日志，否则重启服务")
            }
            "push_left" => {
                format!("{at} 收到的推送未处理：请查看 `amplinkd component status` 和日志；执行 {run} 可重新获取令牌")
            }
            "token_task_left" => format!("{at} 的 {run} 未完成：请确认服务正在运行，然后重新执行"),
            "claim_left" => {
                format!("获取令牌的操作自 {at} 起既未结束也未重新开始：请在日志中查找数据库错误；重启服务可解除")
            }
            "unauthorized_active" => format!("自 {at} 起未授权却仍在轮询：执行 {run} 查看微信的应答；请反馈此问题"),
            "authorized_suspended" => {
                format!("自 {at} 起因 61003 被暂停，但已授权权限集 33：执行 {run} 解除；请反馈此问题")
            }
            "state_without_history" | "state_differs" | "chain_broken" => changed(state, finding),
            "bad_row" => {
                let (wrong, _) = finding.split_once(", which is not legal").unwrap_or((finding, ""));
                format!("不合法（{wrong}）：在有人用 SQL 修正之前不会处理，方法见 docs/database.md")
            }
            _ => finding.clone(),
        }
    }

    /// The first moment of a sentence, as pages write it.
    fn first_moment(&self, sentence: &str) -> String {
        let mut words = sentence.split([' ', ',', '(', ')']).map(|word| word.trim_end_matches(':'));
        words.find(|word| parse::moment(word).is_some()).map_or_else(|| "？".to_owned(), |at| self.moment(at))
    }
}

/// A row whose history says otherwise.
fn changed(state: &str, finding: &str) -> String {
    let what = if finding.contains("without the transition") {
        format!("处于“{state}”，但缺少到达该状态的记录")
    } else if finding.contains("since another time") {
        format!("处于“{state}”，但时间与历史记录不符")
    } else if finding.contains("its history ends in") {
        format!("处于“{state}”，但历史记录的最后一步是另一状态")
    } else if finding.contains("goes on after its end") {
        "历史记录在结束之后仍有后续".to_owned()
    } else {
        "最后一步不是当初写入的那一步".to_owned()
    };
    format!("{what}：有人改动过数据库文件；请先保留副本并执行 `amplinkd db verify`，再做其他处理")
}

/// The first command of a sentence, with its marks.
fn command(sentence: &str) -> &str {
    let begin = sentence.find('`').unwrap_or(sentence.len());
    let len = sentence[begin..].char_indices().skip(1).find(|(_, sign)| *sign == '`').map_or(0, |(at, _)| at + 1);
    &sentence[begin..begin + len]
}

/// The first word of a sentence that is a state of requests.
fn first_state(sentence: &str) -> &str {
    let mut words = sentence.split([' ', ',', ':']);
    words.find(|word| STATES.contains(word)).unwrap_or_default()
}

/// What stands between two texts.
fn between<'s>(sentence: &'s str, before: &str, behind: &str) -> &'s str {
    let rest = sentence.split_once(before).map_or("", |(_, rest)| rest);
    rest.rsplit_once(behind).map_or("", |(within, _)| within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::text::Language;

    const STATEMENTS: [&str; 2] =
        [include_str!("../../store/read/audit.rs"), include_str!("../../store/read/platform_audit.rs")];

    fn told(rule: &str, finding: &str) -> String {
        let (rule, finding) = (rule.to_owned(), finding.to_owned());
        let found = Finding { rule, subject: String::new(), finding };
        assert_eq!(View::of_test(Language::En).finding(&found), found.finding);
        View::of_test(Language::Zh).finding(&found)
    }

    /// The rules of the audit, as its statements name them.
    fn rules() -> Vec<&'static str> {
        let lines = STATEMENTS.iter().flat_map(|text| text.lines());
        let named = lines.filter_map(|line| match line.split_once(" AS rule") {
            Some((before, _)) => Some(before.trim_end_matches(" END")),
            None => line.contains("THEN 'state_").then_some(line),
        });
        named.filter_map(|line| line.trim_end().strip_suffix('\'')?.rsplit_once('\'').map(|(_, word)| word)).collect()
    }

    #[test]
    fn every_rule_is_told_in_chinese() {
        let finding =
            "in linked since 2026-03-05T09:00:00.000Z (token, no answer), so its open requests: `amplinkd x` helps";
        let rules = rules();
        for rule in &rules {
            let told = told(rule, finding);
            let left = ["in ", "since", "helps", "linked", "T09:00"].iter().find(|word| told.contains(**word));
            assert!(left.is_none() && told.chars().any(|sign| sign > '\u{2e80}'), "{rule}: {told}");
        }
        assert!(rules.len() >= 20 && rules.contains(&"chain_broken") && rules.contains(&"push_left"), "{rules:?}");
    }

    #[test]
    fn moments_commands_states_and_reasons_are_kept() {
        let at = "2026-03-05T09:00:00.000Z";
        for (rule, finding, parts) in [
            (
                "no_next_step",
                "open in initiated, but its account wx1 has no due time: `amplinkd account resume wx1` makes it due",
                ["已发起", "`amplinkd account resume wx1`"],
            ),
            ("overdue", &format!("due since {at} and not looked at"), ["2026-03-05 09:00", "[wechat] per_second"]),
            (
                "delivery_stuck",
                &format!("a message for ops was due {at} and was neither"),
                ["发往 ops", "2026-03-05 09:00"],
            ),
            (
                "unread",
                &format!("its list cannot be read since {at} (token, no answer), so its open requests stand still"),
                ["2026-03-05 09:00", "无可用 token，no answer"],
            ),
            (
                "unread",
                "its list cannot be read since ? (no reason was kept), so its open requests stand still",
                ["？", "原因未记录"],
            ),
            (
                "state_differs",
                "stands in linked, its history ends in failed: somebody changed the file",
                ["已关联", "另一状态"],
            ),
            (
                "bad_row",
                "state is 'x', which is not legal: the row is left alone",
                ["state is 'x'", "docs/database.md"],
            ),
            ("claim_left", &format!("a fetch was begun since {at}: see the log"), ["2026-03-05 09:00", "重启服务"]),
        ] {
            let told = told(rule, finding);
            assert!(parts.iter().all(|part| told.contains(part)), "{rule}: {told}");
        }
    }
}
