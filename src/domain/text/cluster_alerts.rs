//! Sentences about the daemons that share a database, in English and Chinese.

use super::Localized;
use crate::domain::alert_rules::Count;

pub(super) fn lease_free(Count(count): Count, example: &str, since: &str) -> Localized {
    Localized::new(
        format!(
            "{count} of the 66 parts of the work, {example} among them, have had no daemon since {since}: their accounts are \
             not polled and nothing of them is called. `amplinkd node list` shows who lives; resume a drained daemon, or \
             start one more."
        ),
        format!(
            "自 {since} 起，66 份工作中有 {count} 份（例如 {example}）没有守护进程负责：其公众号不被轮询，也不发起调用。\
             请用 `amplinkd node list` 查看存活的守护进程，恢复已排空的，或再启动一个。"
        ),
    )
}

pub(super) fn node_silent(node: &str, since: &str) -> Localized {
    Localized::new(
        format!(
            "Daemon {node} has been silent since {since}; the others take over what it had. Look at its machine and its \
             network. If it will not come back: `amplinkd node forget {node}`."
        ),
        format!(
            "守护进程 {node} 自 {since} 起没有心跳，其工作由其他守护进程接替。请检查其所在机器与网络；\
             若不再恢复，请执行 `amplinkd node forget {node}`。"
        ),
    )
}

/// How far apart two clocks may be that are told of in milliseconds.
const SHOWN_MS: i64 = 10_000;

pub(super) fn clock_differs(node: &str, ahead_ms: i64) -> Localized {
    let by = ahead_ms.unsigned_abs();
    let apart = if ahead_ms.abs() < SHOWN_MS { format!("{by} ms") } else { format!("{} s", by / 1_000) };
    let (way, way_zh) = if ahead_ms < 0 { ("behind", "慢") } else { ("ahead of", "快") };
    Localized::new(
        format!(
            "The clock of daemon {node} is {apart} {way} the database's. Above 2 s it gives its accounts to the others. Set \
             the clock: NTP is missing on one of the two machines."
        ),
        format!(
            "守护进程 {node} 的时钟比数据库{way_zh} {apart}；相差超过 2 秒时它会把公众号交给其他守护进程。\
             请校准时钟：两台机器之一没有启用 NTP。"
        ),
    )
}

pub(super) fn config_differs(nodes: &[String]) -> Localized {
    Localized::new(
        format!(
            "The daemons {} go by different configurations, so that whichever does the work decides what holds. Give them the \
             same one and reload; `amplinkd node list -o json` has a hash of each.",
            nodes.join(", ")
        ),
        format!(
            "守护进程 {} 的配置不一致，实际生效的取决于由谁处理。请统一配置并重新加载；\
             `amplinkd node list -o json` 列出各自的配置摘要。",
            nodes.join("、")
        ),
    )
}
