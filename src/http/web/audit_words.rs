//! What the rules of the audit and its jobs are called.

use super::view::View;

impl View {
    /// What a rule of the audit is about.
    pub(super) fn audit_rule<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "no_next_step" => {
                self.t("An open request whose account has no next poll", "进行中的请求，其公众号没有下次轮询")
            }
            "overdue" => self.t("An account that should have been polled", "应轮询而未轮询的公众号"),
            "deferred_overdue" => {
                self.t("A request whose quota has reset and that was not resumed", "额度已恢复而未继续的请求")
            }
            "call_unanswered" => self.t("A call that was neither answered nor given up", "既无应答也未放弃的调用"),
            "conflict_left_open" => {
                self.t("An open conflict of a request that has moved on", "请求已推进而冲突仍未解决")
            }
            "wakeup_left" => self.t("A command that the daemon has not noticed", "服务尚未处理的命令"),
            "delivery_stuck" => self.t("A message that was neither sent nor given up", "既未送达也未放弃的消息"),
            "event_unread" => self
                .t("An event that was not processed: alerts and messages are stalled", "未处理的事件：告警和消息停滞"),
            "unread" => {
                self.t("An account with open requests whose list cannot be read", "有进行中请求但列表无法读取的公众号")
            }
            "alert_untold" => self.t("An alert that was due and was not sent", "到期而未发送的告警"),
            "aged_unchecked" => {
                self.t("A request that waited long enough to alert and was not checked", "等待已久而未检查告警的请求")
            }
            "vigil_overdue" => self.t("A request that was due for an alert check", "到期而未检查告警的请求"),
            "cron_silent" => self.t("A job that did not run", "未按时运行的定时任务"),
            "bad_row" => self.t("A row that somebody edited into an invalid one", "被外部改坏的数据行"),
            "copy_waits" => self.t("A restored backup on which no daemon has started", "已恢复但尚未启动服务的备份"),
            "import_left" => self.t("A request of an import that was not moved to the others", "尚未并入的导入请求"),
            "push_left" => self.t("A push about an authorization that was not taken up", "未处理的授权推送"),
            "token_task_left" => self.t("A sync or refresh of authorizers that was not done", "未完成的授权同步或刷新"),
            "claim_left" => self.t("A fetch of a token that did not end", "未结束的 token 获取"),
            "unauthorized_active" => {
                self.t("An account that is polled although it is not authorized", "未授权却仍在轮询的公众号")
            }
            "authorized_suspended" => {
                self.t("An account that is suspended although it is authorized", "已授权却仍被暂停的公众号")
            }
            "state_without_history" => self.t("A request whose last step is missing", "缺少最后一步记录的请求"),
            "state_differs" => {
                self.t("A request whose state is not that of its last step", "状态与最后一步不一致的请求")
            }
            "chain_broken" => self.t("A last step that is not the one that was written", "最后一步被改动过"),
            other => other,
        }
    }

    /// What a job does.
    pub(super) fn job<'w>(&self, word: &'w str) -> &'w str {
        match word {
            "audit" => self.t("Looks for what is lost, stalled or inconsistent", "检查丢失、停滞或不一致的情况"),
            "drift" => self.t("Looks whether what was linked still is", "核对已关联的小程序是否仍然关联"),
            "housekeeping" => self.t("Takes spent rows away", "清理过期数据"),
            "digest" => self.t("Tells the channels of the day", "发送每日摘要"),
            other => other,
        }
    }
}
