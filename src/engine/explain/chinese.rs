//! The same explanation in Chinese: what is said, and when, is decided as in English.

use std::time::Duration;

use super::{Facts, STEPS_TOLD_MAX, whole_seconds};
use crate::{
    domain::{
        account::{SuspendedBy, Trouble},
        gate::GateKind,
        listing::Status,
        quota::Period,
        request::{Failure, Kind, Outcome, Request, Sighting, State},
        text::{
            format::{duration_zh, moment_as},
            parse, refusal_zh,
        },
        time::{BEIJING, Time},
    },
    engine::alert_deadlines::OVERDUE_AFTER,
    store::{read::views::AccountView, write::gates::Gate},
};

/// Sentences in Chinese, in the order of [`super::explain`].
#[must_use]
pub fn explain_zh(facts: &Facts<'_>) -> Vec<String> {
    let chinese = Chinese(facts);
    let mut told = vec![chinese.stands()];
    told.extend(chinese.came_here());
    told.extend(chinese.means());
    told.extend(chinese.doubt());
    told.extend(chinese.refusal());
    told.extend(chinese.conflicts());
    told.extend(chinese.account());
    told.extend(chinese.gates());
    told.extend(chinese.next());
    told.extend(chinese.deadline());
    told.push(chinese.retry());
    told
}

/// Facts, told in Chinese.
struct Chinese<'f>(&'f Facts<'f>);

fn beijing(at: Time) -> String {
    moment_as(at, &BEIJING, "北京时间 %Y-%m-%d %H:%M")
}

fn moment(text: Option<&str>) -> Option<Time> {
    parse::moment(text?)
}

impl Chinese<'_> {
    fn ago(&self, at: Time) -> String {
        match whole_seconds(self.0.now.since(at)) {
            Duration::ZERO => format!("{}（刚刚）", self.0.moment(at)),
            ago => format!("{}（{}前）", self.0.moment(at), duration_zh(ago)),
        }
    }

    fn ahead(&self, at: Time) -> String {
        if at <= self.0.now {
            format!("{}（已过）", self.0.moment(at))
        } else {
            format!("{}（{}后）", self.0.moment(at), duration_zh(whole_seconds(self.0.now.until(at))))
        }
    }

    fn stands(&self) -> String {
        let Request { kind, account, program, state, since, .. } = self.0.request;
        let what = match kind {
            Kind::Link(_) => format!("此请求要把小程序 {program} 关联到公众号 {account}"),
            Kind::Unlink => format!("此请求要解除小程序 {program} 与公众号 {account} 的关联"),
        };
        format!("{what}，自 {} 起处于状态 {}。", self.ago(*since), state.as_str())
    }

    fn came_here(&self) -> Option<String> {
        let history = self.0.history;
        let told = &history[history.len().saturating_sub(STEPS_TOLD_MAX)..];
        let (first, rest) = told.split_first()?;
        if rest.is_empty() {
            return None;
        }
        let before = if history.len() > told.len() { "… " } else { "" };
        let steps = rest.iter().map(|step| format!(" → {}（{}）", step.to_state, step.cause));
        Some(format!("经过的状态：{before}{}{}。", first.to_state, steps.collect::<String>()))
    }

    fn means(&self) -> Vec<String> {
        let request = self.0.request;
        let told = match (request.state, request.kind) {
            (State::Requested, _) => return self.requested(),
            (State::Initiating(outcome), _) => return self.initiating(outcome),
            (State::Initiated, Kind::Link(_)) => return self.initiated(),
            (State::Deferred(until), _) => return self.deferred(until),
            (State::Initiated, Kind::Unlink) => &[
                "微信已受理解除关联，但列表不显示其状态：在解除之前，小程序会一直列出。",
                "需要公众号管理员操作：打开微信发出的消息，同意移除该小程序。如消息已丢失，管理员可在 mp.weixin.qq.com 公众号后台解除关联。",
            ][..],
            (State::AwaitingAccountAdmin, _) => &[
                "微信列表中的状态为 12：邀请已发出，公众号管理员尚未答复。",
                "需要公众号管理员操作：打开微信发到其个人微信的模板消息，同意关联。随后才会询问小程序管理员。",
                "公众号管理员的“拒绝”没有对应状态：该项只会从列表中消失，请求随即以 lapsed 结束。",
            ],
            (State::AwaitingProgramAdmin, _) => &[
                "微信列表中的状态为 2：公众号管理员已同意，小程序管理员尚未答复。",
                "需要小程序管理员操作：打开微信发到其个人微信的模板消息并同意。若拒绝，列表会显示 3，请求以 rejected 结束。",
            ],
            (State::Linked, _) if request.memory.seen == Some(Status::Linked) => {
                &["微信列表中的状态为 1：已关联，无需操作。若列表日后不再显示它，此请求会变为 unlinked。"]
            }
            (State::Linked, _) => &["微信答复它已关联；列表尚未确认，后续的查询会见分晓。"],
            (State::Rejected, _) => &["微信列表中的状态为 3：小程序管理员已拒绝。重试前请先向该管理员了解原因。"],
            (State::Failed(failure), _) => return vec![self.failed(failure)],
            (State::Lapsed, _) => &[
                "它曾在等待中，如今未经关联便从列表消失：公众号管理员拒绝了，或邀请已过期或被撤回。微信不说明是哪一种，请询问公众号管理员。",
            ],
            (State::Cancelled, _) if request.called_at.is_some() => {
                &["调用之后由操作员取消。微信无法撤回邀请，管理员仍可能同意，但不再有人跟踪。"]
            }
            (State::Cancelled, _) => &["在向微信发出任何内容之前由操作员取消。"],
            (State::Unlinked, Kind::Unlink) => &["小程序已如所请从公众号的列表中消失。"],
            (State::Unlinked, Kind::Link(_)) => &["它曾关联成功，此后列表显示关联已不存在。"],
        };
        told.iter().map(|sentence| (*sentence).to_owned()).collect()
    }

    fn requested(&self) -> Vec<String> {
        let used = self.0.request.attempt;
        let so_far = if used == 0 {
            "微信对此一无所知：尚未调用，或调用没有生效。".to_owned()
        } else {
            format!("先前的一次调用没有出现在列表中；{} 次调用已用 {used} 次。", self.0.policy.attempts)
        };
        let nobody = if self.0.is_suspended() { "" } else { "其他人无需操作。" };
        let next = format!("接下来由 amplinkd 处理：先读取公众号的列表，仍有必要时才调用 {}。{nobody}", self.0.api());
        vec![so_far, next]
    }

    fn initiating(&self, outcome: Outcome) -> Vec<String> {
        let called = self.0.request.called_at.unwrap_or(self.0.request.since);
        let (at, api) = (self.ago(called), self.0.api());
        let (used, all) = (self.0.request.attempt, self.0.policy.attempts);
        let (first, then) = match outcome {
            Outcome::Pending => return vec![format!("调用 {api} 的意图已于 {at} 写入，尚无答复记录。")],
            Outcome::Restored => (
                format!("amplinkd 于 {at} 发现数据库由备份恢复。备份之后是否调用过 {api}，其中没有记录。"),
                "它回到 requested 并进行调用".to_owned(),
            ),
            Outcome::Unknown if used < all => (
                format!("{api} 已于 {at} 调用，微信没有答复是否受理。"),
                format!("它回到 requested 并再次调用（{all} 次调用已用 {used} 次）"),
            ),
            Outcome::Unknown => (
                format!("{api} 已于 {at} 调用，微信没有答复是否受理。"),
                format!("它将失败，因为 {all} 次调用已全部用完"),
            ),
        };
        let appear = self.ahead(called + self.0.policy.appear_within);
        vec![
            first,
            format!("amplinkd 从不盲目重复这样的调用，以列表为准。若到 {appear} 列表仍未显示且两次查询一致，{then}。"),
        ]
    }

    fn initiated(&self) -> Vec<String> {
        let called = self.0.request.called_at.unwrap_or(self.0.request.since);
        let appear = self.ahead(called + self.0.policy.appear_within);
        vec![
            format!("微信已于 {} 受理调用，但列表尚未显示邀请。", self.ago(called)),
            format!(
                "等待微信：邀请应在 {appear} 之前出现在列表中。若此后两次查询仍未显示，请求以 lapsed 结束。公众号管理员可能已收到消息并可同意。"
            ),
        ]
    }

    fn deferred(&self, until: Time) -> Vec<String> {
        vec![
            format!("月度额度已用完。等待至{}，即 {}，随后自动继续。", beijing(until), self.ahead(until)),
            "无需操作。若其间有人手动关联，列表会显示，请求以 linked 结束。".to_owned(),
        ]
    }

    fn failed(&self, failure: Failure) -> String {
        match failure {
            Failure::Refused => "微信已最终拒绝该调用；没有向任何人发送消息。".to_owned(),
            Failure::OurBug => "微信称我们发送的内容有误，这是 amplinkd 或中间代理的缺陷。".to_owned(),
            Failure::Attempts => format!(
                "已调用 {} 次，达到 `[policy] attempts` 的上限，均未出现在列表中。请向公众号管理员确认是否收到消息。",
                self.0.request.attempt
            ),
            Failure::Deadline => "在微信受理调用之前，`[policy] deadline` 已过。".to_owned(),
        }
    }

    fn doubt(&self) -> Option<String> {
        let doubt = self.0.request.memory.doubt.filter(|_| self.0.is_followed())?;
        let at = self.ago(doubt.at);
        let seen = match doubt.sighting {
            Sighting::Absent => "没有显示它".to_owned(),
            Sighting::AbsentWithAll => {
                return Some(format!(
                    "自 {at} 的查询起，公众号的列表失去了原有的全部内容；在 `[policy] appear_within` 过去之前不予采信。"
                ));
            }
            Sighting::Listed(status) => format!("显示其状态为 {}", status.number()),
        };
        Some(format!("{at} 的查询{seen}；待下一次查询确认后才算数。"))
    }

    fn refusal(&self) -> Option<String> {
        self.0.request.refusal.as_ref().map(refusal_zh)
    }

    fn conflicts(&self) -> Vec<String> {
        let open = self.0.conflicts.iter().filter(|conflict| conflict.resolved_at.is_none());
        open.map(|conflict| {
            let code = conflict.errcode.map(|code| format!("（错误码 {code}）")).unwrap_or_default();
            format!(
                "自 {} 起有一个未决冲突：{}{code}，当时请求为 {}；列表了结该请求时冲突随之解决（`amplinkd conflict show {}`）。",
                conflict.at, conflict.kind, conflict.our_state, conflict.id
            )
        })
        .collect()
    }

    fn account(&self) -> Vec<String> {
        let Some(account) = self.0.account.filter(|_| self.0.request.is_open()) else { return Vec::new() };
        let (mut told, name) = (Vec::new(), &account.account);
        if self.0.is_unauthorized() {
            let code = account.errcode.map(|code| format!("（错误码 {code}）")).unwrap_or_default();
            return vec![format!(
                "需要公众号管理员先授权：自 {} 起该公众号未授权{code}。授权之前不调用；微信的推送或缓慢的试探会得知，`amplinkd account resume {name}` 可立即询问。",
                self.since(account)
            )];
        }
        if account.suspended_by.as_deref() == Some(SuspendedBy::Operator.as_str()) {
            told.push(format!(
                "该公众号自 {} 起被操作员暂停：在 `amplinkd account resume {name}` 之前不查询也不调用。",
                self.since(account)
            ));
        } else if account.state == "suspended" {
            let code = account.errcode.map(|code| format!("（错误码 {code}）")).unwrap_or_default();
            told.push(format!("微信自 {} 起拒绝我们访问该公众号{code}。在其恢复之前不调用：会缓慢试探；`amplinkd account resume {name}` 可立即询问。", self.since(account)));
        }
        told.extend(self.unread(account));
        told.extend(self.held_calls(account));
        let is_today = account.budget_day.as_deref() == Some(moment_as(self.0.now, &BEIJING, "%Y-%m-%d").as_str());
        if is_today && account.budget_used >= i64::from(self.0.daily_budget) {
            let again = Period::Day.begins_again(self.0.now, self.0.policy.rollover_grace);
            told.push(format!(
                "该公众号今日的 {} 次查询已用完（`[polling] daily_budget`）；下一次最早在{}之后。",
                self.0.daily_budget,
                beijing(again)
            ));
        }
        told
    }

    fn since(&self, account: &AccountView) -> String {
        moment(Some(&account.since)).map_or_else(|| account.since.clone(), |since| self.ago(since))
    }

    fn unread(&self, account: &AccountView) -> Vec<String> {
        if account.failures == 0 {
            return Vec::new();
        }
        let why = account.last_error.as_deref().unwrap_or("没有留下原因");
        let mut told = vec![format!("最近 {} 次读取该公众号列表失败，最后一次：{why}。", account.failures)];
        let Some(since) = moment(account.unread_since.as_deref()) else { return told };
        let cause = match account.trouble.as_deref().and_then(Trouble::from_word) {
            Some(Trouble::Token) => "没有微信接受的 token：请检查 token 服务",
            Some(Trouble::Refused) => "微信以错误码代替列表作答",
            Some(Trouble::Unreadable) => "答复不是微信的列表：请检查中间环节，例如代理",
            Some(Trouble::Unreachable) => "没有答复：请检查网络和 `[wechat] base_url`",
            None => "原因不明",
        };
        told.push(format!("列表自 {} 起无法读取：{cause}。管理员此后做了什么尚不得知，也不进行调用；`amplinkd account check {}` 可立即查询。", self.ago(since), account.account));
        told
    }

    fn held_calls(&self, account: &AccountView) -> Option<String> {
        let since = moment(account.calls_refused_since.as_deref())?;
        let with = account.call_error.as_deref().map(|error| format!("，最后一次：{error}")).unwrap_or_default();
        let after = moment(account.next_call_at.as_deref()).filter(|after| *after > self.0.now);
        let then = after
            .map_or_else(|| "下一次查询时会重试".to_owned(), |after| format!("在 {} 之前不再调用", self.ahead(after)));
        Some(format!(
            "该公众号最近 {} 次调用被拒绝，第一次在 {}{with}。其列表可以读取。{then}；原因排除后，`amplinkd account resume {}` 可立即重试。",
            account.call_failures,
            self.ago(since),
            account.account
        ))
    }

    fn gates(&self) -> Vec<String> {
        let held = self.0.gates.iter().filter(|_| self.0.request.is_open());
        held.filter_map(|gate| self.gate(gate)).collect()
    }

    fn gate(&self, gate: &Gate) -> Option<String> {
        let Request { account, program, refusal, .. } = self.0.request;
        let (call, listing) = (format!("{account}/{}", self.0.api()), format!("{account}/wxamplinkget"));
        let until = Time::from_ms(gate.until);
        let there = format!("{}，即 {}", beijing(until), self.ahead(until));
        let api = gate.subject.rsplit('/').next().unwrap_or_default();
        let is_of_month = match gate.kind {
            GateKind::Ip => {
                let next = if until > self.0.now { self.ahead(until) } else { "现在".to_owned() };
                return Some(format!(
                    "微信不允许我们的地址（错误码 {}）：请将其加入第三方平台的 IP 白名单。下一次尝试：{next}。",
                    gate.errcode
                ));
            }
            GateKind::ApiDay if gate.subject != call && gate.subject != listing => return None,
            GateKind::ApiDay if gate.early => {
                return Some(format!("微信的新一天可能尚未开始：{api} 答复旧额度已用完，将于{there}再次询问。"));
            }
            GateKind::ApiDay => return Some(format!("该公众号 {api} 的每日额度已用完，直到{there}。")),
            GateKind::ProgramMonth => gate.subject == program.as_str() && self.0.request.is_link(),
            GateKind::AccountMonth => {
                refusal.as_ref().is_some_and(|refusal| gate.subject == format!("{account}/{}", refusal.errcode))
            }
        };
        is_of_month.then(|| {
            if gate.early {
                return format!("微信的新一月可能尚未开始：它以 {} 答复旧额度已用完。由一次调用代所有等待者试探，下一次在{there}。", gate.errcode);
            }
            let whose = if gate.kind == GateKind::ProgramMonth { "小程序在所有公众号上的" } else { "公众号的" };
            format!("{whose}本月额度已用完（错误码 {}），直到{there}；如已购买额度，`amplinkd gate open {} {}` 可立即恢复调用。", gate.errcode, gate.kind, gate.subject)
        })
    }

    fn next(&self) -> Option<String> {
        let facts = self.0;
        Some(match (facts.request.state, facts.next_check) {
            (State::Deferred(_) | State::Linked, _) if !facts.is_followed() || facts.request.is_open() => return None,
            (_, _) if !facts.is_followed() => "此后无事：请求已结束。".to_owned(),
            (_, None) if facts.account.is_some_and(|account| account.suspended_by.is_some()) => return None,
            (_, Some(_)) if facts.gates.iter().any(|gate| gate.kind == GateKind::Ip) => return None,
            (_, None) => "没有计划查询该公众号：`amplinkd audit` 说明原因。".to_owned(),
            (_, Some(due)) if facts.now.since(due) > OVERDUE_AFTER && due.ms() > 0 => {
                format!("该公众号应在 {} 查询而没有查询：`amplinkd run` 在运行吗？", self.ago(due))
            }
            (_, Some(due)) if due <= facts.now => {
                "接下来读取公众号的列表：若 `amplinkd run` 在运行，现在即到时。".to_owned()
            }
            (_, Some(due)) => format!("接下来在 {} 读取公众号的列表。", self.ahead(due)),
        })
    }

    fn deadline(&self) -> Option<String> {
        let after = self.0.policy.deadline.filter(|_| self.0.request.is_open())?;
        let deadline = self.0.request.requested_at + after;
        Some(format!("若无定论，它将在 {} 自行结束（`[policy] deadline`）。", self.ahead(deadline)))
    }

    fn retry(&self) -> String {
        let id = &self.0.request.id;
        match (self.0.request.state, self.0.request.kind) {
            (state, _) if !state.is_finished() => "尚未结束时不能重试：它正在被跟踪。".to_owned(),
            (State::Linked, _) => "重试会先读取列表，发现已关联，不发送任何内容。".to_owned(),
            (State::Unlinked, Kind::Unlink) => "重试会先读取列表，发现无可解除，不发送任何内容。".to_owned(),
            (_, Kind::Unlink) => format!(
                "重试（`amplinkd request retry {id}`）会新建请求：先读取列表，再次询问公众号管理员，并占用公众号的月度额度。"
            ),
            (_, Kind::Link(options)) => {
                let fans = if options.notify_users.wanted() {
                    "还会向该公众号的每位粉丝发送消息（notify_users）。"
                } else {
                    ""
                };
                format!(
                    "重试（`amplinkd request retry {id}`）会新建请求：先读取列表，再次邀请两位管理员，并占用公众号和小程序的月度额度。{fans}"
                )
            }
        }
    }
}
