//! What is said of an account: whether its list is read, since when not and why, what holds its calls back, and who can end
//! that. It words rows and decides nothing.

use super::{accounts::used_today, view::View};
use crate::{
    domain::{
        account::{SuspendedBy, Trouble},
        errcode::{self, Refusal},
        text::refusal_zh,
    },
    store::{
        read::{actions::ActionView, views::AccountView},
        write::gates::GateView,
    },
};

/// What is known of an account.
pub(super) struct Told<'t> {
    pub(super) view: &'t View,
    pub(super) account: &'t AccountView,
    /// Those that hold its calls back.
    pub(super) gates: &'t [GateView],
    /// Who suspended it last, on an operator's word.
    pub(super) suspension: Option<&'t ActionView>,
    /// Polls of a day.
    pub(super) budget: u32,
}

impl Told<'_> {
    /// Sentences, in reading order; the first says how it stands.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut told = match SuspendedBy::from_word(self.account.suspended_by.as_deref().unwrap_or_default()) {
            Some(SuspendedBy::Operator) => self.suspended_by_an_operator(),
            Some(SuspendedBy::Wechat) => self.suspended_by_wechat(),
            None => self.read(),
        };
        told.extend(self.held_calls());
        told.extend(self.gates.iter().map(|gate| self.gate(gate)));
        told.extend(self.budget());
        told.extend(self.emptied());
        told.extend(self.overfull());
        told
    }

    fn say(&self, en: String, zh: String) -> String {
        self.view.language().pick(en, zh)
    }

    /// A moment and how far it is.
    fn at(&self, at: &str) -> String {
        let (moment, distance) = (self.view.moment(at), self.view.distance(at));
        if self.view.is_ahead(at) {
            return self.say(format!("{moment} ({distance})"), format!("{moment}（{distance}）"));
        }
        self.say(format!("{moment} ({distance} ago)"), format!("{moment}（{distance}前）"))
    }

    /// When something is tried next.
    fn next(&self, at: Option<&str>) -> String {
        match at {
            Some(at) if self.view.is_ahead(at) => self.say(format!("at {}", self.at(at)), self.at(at)),
            Some(_) => self.view.t("at once", "立即").to_owned(),
            None => self.view.t("when somebody asks for it", "有人要求时").to_owned(),
        }
    }

    fn suspended_by_an_operator(&self) -> Vec<String> {
        let since = self.at(&self.account.since);
        let mut told = vec![self.say(
            format!("An operator has suspended this account since {since}: it is neither polled nor called until somebody resumes it."),
            format!("该公众号自 {since}起被人工暂停：恢复之前不轮询也不调用。"),
        )];
        if let Some(ActionView { actor, reason: Some(reason), .. }) = self.suspension {
            told.push(self.say(format!("{actor} gave the reason: {reason}"), format!("{actor} 填写的原因：{reason}")));
        }
        told.push(self.say(
            "Invitations that are out may still be answered; the answers are seen once it is resumed.".to_owned(),
            "已发出的邀请仍可能得到答复，恢复后才能得知。".to_owned(),
        ));
        told
    }

    fn suspended_by_wechat(&self) -> Vec<String> {
        let (since, next) = (self.at(&self.account.since), self.next(self.account.next_check_at.as_deref()));
        let mut told = vec![self.say(
            format!("WeChat has refused us access to this account since {since}: nothing is called for it."),
            format!("微信自 {since}起拒绝我们访问该公众号：在此期间不进行任何调用。"),
        )];
        told.extend(self.account.errcode.map(|code| self.meant(code, self.account.errmsg.as_deref())));
        told.push(self.say(
            format!("It resumes by itself once WeChat allows it: amplinkd asks once an hour, next {next}. Resuming it asks at once."),
            format!("微信放行后自动恢复：每小时试探一次，下一次：{next}。点“恢复”会立即重试。"),
        ));
        told
    }

    /// A code, what it means and who can do something about it.
    fn meant(&self, errcode: i64, errmsg: Option<&str>) -> String {
        let errmsg = errmsg.unwrap_or_default().to_owned();
        let en = match errcode::meaning(errcode) {
            Some(row) => format!("WeChat says {errcode}: {}. What to do: {}.", row.means, row.remedy),
            None => format!("WeChat says {errcode}, which is not documented: {errmsg}"),
        };
        self.say(en, refusal_zh(&Refusal { errcode, errmsg }))
    }

    fn read(&self) -> Vec<String> {
        let AccountView { unread_since, last_read_at, next_check_at, failures, .. } = self.account;
        let next = self.next(next_check_at.as_deref());
        let first = match (unread_since, last_read_at, next_check_at) {
            (Some(since), ..) => return self.unread(since, &next),
            (None, None, None) => self.say(
                "Nothing of this account is followed: it has no open request and no linked program, so it is not polled.".to_owned(),
                "该公众号没有需要跟踪的内容：既无进行中的请求，也无已关联的小程序，因此不轮询。".to_owned(),
            ),
            (None, None, Some(_)) => self.say(
                format!("Its list has not been read yet; it is polled {next}."),
                format!("尚未读取过其列表；下次轮询：{next}。"),
            ),
            (None, Some(read), None) => {
                let read = self.at(read);
                self.say(
                    format!("Its list was read at {read}. Nothing of it waits, so no poll is planned."),
                    format!("其列表于 {read} 读取成功。目前没有等待中的事项，未安排轮询。"),
                )
            }
            (None, Some(read), Some(_)) => {
                let read = self.at(read);
                self.say(
                    format!("Its list can be read: last at {read}, next {next}."),
                    format!("其列表读取正常：上次 {read}，下次：{next}。"),
                )
            }
        };
        let mut told = vec![first];
        if *failures > 0 {
            told.extend(self.last_error());
        }
        told
    }

    fn unread(&self, since: &str, next: &str) -> Vec<String> {
        let since = self.at(since);
        let ((seen, seen_zh), (who, who_zh)) = trouble(self.account.trouble.as_deref().and_then(Trouble::from_word));
        let mut told = vec![
            self.say(
                format!("Its list has not been readable since {since}: {seen}."),
                format!("其列表自 {since}起无法读取：{seen_zh}。"),
            ),
            self.say(format!("{who}."), format!("{who_zh}。")),
        ];
        told.extend(self.last_error());
        told.push(self.say(
            format!("What administrators have done since then is not known yet, and nothing is called. It is polled again {next}."),
            format!("管理员此后的操作尚不得知，在此期间也不调用。下次轮询：{next}。"),
        ));
        told
    }

    fn last_error(&self) -> Option<String> {
        let (error, failures) = (self.account.last_error.as_deref()?, self.account.failures);
        let times = if failures == 1 {
            "The last poll failed".to_owned()
        } else {
            format!("{failures} polls failed in a row, the last one")
        };
        Some(self.say(format!("{times} with: {error}"), format!("已连续失败 {failures} 次，最近一次：{error}")))
    }

    fn held_calls(&self) -> Option<String> {
        let since = self.at(self.account.calls_refused_since.as_deref()?);
        let error = self.account.call_error.as_deref().unwrap_or("–");
        let next = self.next(self.account.next_call_at.as_deref());
        let times = self.account.call_failures;
        Some(self.say(
            format!("Calls of this account have been refused since {since}, {times} in a row, the last one with: {error}. They are made again {next}; resuming the account makes them at once."),
            format!("该公众号的调用自 {since}起被拒绝（连续 {times} 次），最近一次：{error}。下次调用：{next}；点“恢复”会立即重试。"),
        ))
    }

    fn gate(&self, gate: &GateView) -> String {
        let GateView { kind, subject, until, errcode, errmsg, early, .. } = gate;
        let (next, name) = (self.next(Some(until)), subject.rsplit('/').next().unwrap_or_default());
        match (kind.as_str(), early) {
            ("ip", _) => self.say(
                format!("WeChat does not allow our address (errcode {errcode}: {errmsg}): whoever runs the platform must add it to the IP whitelist. No account can be called until then; it is tried again {next}."),
                format!("微信不允许我们的地址（errcode {errcode}：{errmsg}）：请平台管理员将其加入 IP 白名单。在此之前所有公众号都无法调用；下次尝试：{next}。"),
            ),
            ("api_day", true) => self.say(
                format!("WeChat's new day may not have begun yet: {name} is tried again {next} (errcode {errcode})."),
                format!("微信的新一天可能尚未开始：{name} 下次尝试：{next}（errcode {errcode}）。"),
            ),
            ("api_day", false) => self.say(
                format!("WeChat's daily quota of {name} is used up for this account (errcode {errcode}). Nobody must act: it goes on by itself {next}."),
                format!("该公众号的 {name} 每日额度已用完（errcode {errcode}）。无需处理，恢复时间：{next}。"),
            ),
            (_, true) => self.say(
                format!("WeChat's new month may not have begun yet (errcode {errcode}): one call finds out for all that wait, next {next}."),
                format!("微信的新一月可能尚未开始（errcode {errcode}）：由一次调用代所有等待者试探，下次：{next}。"),
            ),
            (_, false) => self.say(
                format!("A monthly quota of this account is used up (errcode {errcode}: {errmsg}). It goes on by itself {next}; whoever has bought quota opens it with `amplinkd gate open {kind} {subject}`."),
                format!("该公众号的月度额度已用完（errcode {errcode}：{errmsg}），恢复时间：{next}；如已购买额度，可执行 `amplinkd gate open {kind} {subject}`。"),
            ),
        }
    }

    fn budget(&self) -> Option<String> {
        let is_used_up = used_today(self.view, self.account) >= i64::from(self.budget);
        is_used_up.then(|| {
            let budget = self.budget;
            self.say(
                format!("All {budget} polls of the day are used ([polling] daily_budget): the next one comes after midnight, Beijing time."),
                format!("今日 {budget} 次轮询已用完（[polling] daily_budget）：北京时间零点之后继续。"),
            )
        })
    }

    fn emptied(&self) -> Option<String> {
        let since = self.at(self.account.emptied_since.as_deref()?);
        Some(self.say(
            format!("Since {since} its list has shown nothing of all that stood in it. That is not believed at once and ends nothing yet: see whether the account gets a token of its own."),
            format!("自 {since}起其列表突然清空。暂不采信，也不据此结束任何请求：请检查 token 是否属于该公众号。"),
        ))
    }

    fn overfull(&self) -> Option<String> {
        let since = self.at(self.account.overfull_since.as_deref()?);
        Some(self.say(
            format!("Since {since} its list has held more items than are remembered: those of requests are found all the same, the rest is not shown below."),
            format!("自 {since}起其列表超出可记录的条数：不影响请求的跟踪，超出部分不在下方显示。"),
        ))
    }
}

/// What is seen of a trouble, and who can end it; whole sentences without their full stop.
const fn trouble(trouble: Option<Trouble>) -> ((&'static str, &'static str), (&'static str, &'static str)) {
    match trouble {
        Some(Trouble::Token) => (
            ("there is no token that WeChat accepts", "没有微信接受的 token"),
            ("Whoever runs the token service can end this", "需要 token 服务的维护者处理"),
        ),
        Some(Trouble::Refused) => (
            ("WeChat answers with a code in place of the list", "微信返回错误码而非列表"),
            ("Look the code below up, and ask WeChat if it lasts", "请查明下面的错误码；如持续出现请咨询微信"),
        ),
        Some(Trouble::Unreadable) => (
            ("what is answered is not WeChat's list", "应答内容不是微信的列表"),
            ("See whether a proxy stands between, and ask WeChat if it lasts", "请检查中间代理；如持续出现请咨询微信"),
        ),
        Some(Trouble::Unreachable) => (
            ("no answer comes", "没有应答"),
            (
                "Whoever runs this machine checks network, proxy, DNS and [wechat] base_url",
                "请检查本机网络、代理、DNS 和 [wechat] base_url",
            ),
        ),
        None => (("nobody knows why", "原因不明"), ("The log of the daemon may tell more", "请查看服务日志")),
    }
}
