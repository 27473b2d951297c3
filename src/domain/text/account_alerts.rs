//! Sentences for accounts that cannot be read or called, one or many, in English and Chinese.

use jiff::tz::TimeZone;

use super::{Halves, Localized, format::marked_moment, request_alerts::refused};
use crate::domain::{account::Trouble, alert_rules::Count, errcode::Refusal, id::AccountId, time::Time};

/// What is seen of a trouble, and who must look where: half sentences.
const fn words(trouble: Trouble) -> ((&'static str, &'static str), (&'static str, &'static str)) {
    match trouble {
        Trouble::Token => (
            ("there is no usable token", "无可用 token"),
            ("whoever runs the token service must look", "请检查 token 服务"),
        ),
        Trouble::Refused => (
            ("WeChat answers with a code in place of the list", "微信返回错误码而非列表"),
            ("look the code up, and ask WeChat when it lasts", "请查明该错误码；如持续出现请咨询微信"),
        ),
        Trouble::Unreadable => (
            ("what is answered is no list", "应答内容不是可读的列表"),
            (
                "see whether a proxy stands between, and ask WeChat when it lasts",
                "请检查中间代理；如持续出现请咨询微信",
            ),
        ),
        Trouble::Unreachable => (
            ("no answer comes", "没有应答"),
            ("see to the network, its proxy and DNS, or wait for WeChat", "请检查网络、代理与 DNS，或等待微信恢复"),
        ),
    }
}

/// "12" or "more than 10,000".
pub(super) fn counted(count: Count) -> Halves {
    if count.is_at_least() {
        (format!("more than {}", Count::MAX), format!("超过 {} ", Count::MAX))
    } else {
        (count.0.to_string(), format!("{} ", count.0))
    }
}

pub(super) fn unreadable(
    account: &AccountId,
    trouble: Trouble,
    error: &str,
    (since, last_read): (Time, Option<Time>),
    zone: &TimeZone,
) -> Localized {
    let since = marked_moment(since, zone);
    let ((seen, seen_zh), (who, who_zh)) = words(trouble);
    let (last, last_zh) = match last_read.map(|at| marked_moment(at, zone)) {
        Some(at) => (format!("it was last read at {at}"), format!("最后一次读取于 {at}")),
        None => ("it was never read".to_owned(), "从未成功读取".to_owned()),
    };
    Localized::new(
        format!(
            "The list of account {account} cannot be read since {since}: {seen}; {last}, and nothing of its requests goes \
             on: {who}. The last error: {error}."
        ),
        format!(
            "公众号 {account} 的列表自 {since} 起无法读取：{seen_zh}；{last_zh}，其全部请求停滞：{who_zh}。最近错误：{error}。"
        ),
    )
}

pub(super) fn unreachable(trouble: Trouble, count: Count, example: &AccountId, error: &str) -> Localized {
    let ((count, count_zh), ((seen, seen_zh), (who, who_zh))) = (counted(count), words(trouble));
    Localized::new(
        format!(
            "The lists of {count} accounts cannot be read, for one reason: {seen}. Nothing of their requests goes on: {who}. \
             One of them is {example}, with the last error: {error}."
        ),
        format!(
            "{count_zh}个公众号的列表因同一原因无法读取：{seen_zh}，其全部请求停滞：{who_zh}。例如公众号 {example}，最近错误：{error}。"
        ),
    )
}

pub(super) fn accounts_refused(refusal: &Refusal, count: Count, example: &AccountId) -> Localized {
    let ((count, count_zh), (why, why_zh)) = (counted(count), refused(Some(refusal)));
    Localized::new(
        format!(
            "{count} accounts are suspended with one code, {example} among them, and nothing of them goes on.{why}"
        ),
        format!("{count_zh}个公众号因同一错误码被暂停（例如 {example}），其全部请求停止。{why_zh}"),
    )
}

pub(super) fn calls_refused(account: &AccountId, count: Option<Count>, error: &str, since: &str) -> Localized {
    let (whose, whose_zh) = match count.map(counted) {
        Some((count, count_zh)) => {
            (format!("of {count} accounts, {account} among them"), format!("{count_zh}个公众号（例如 {account}）"))
        }
        None => (format!("of account {account}"), format!("公众号 {account} ")),
    };
    Localized::new(
        format!(
            "Calls {whose} are refused since {since} although lists can be read, so nothing new is asked of WeChat; they are \
             tried again by themselves, ever more seldom: look the code up. The last refusal: {error}."
        ),
        format!(
            "{whose_zh}的调用自 {since} 起被拒绝（列表可正常读取），因此未能发起新请求；将自动重试且间隔递增，请查明该错误码。最近拒绝：{error}。"
        ),
    )
}

pub(super) fn unknown_status(status: i64, count: Count, account: &AccountId, item: &str) -> Localized {
    let (count, count_zh) = counted(count);
    Localized::new(
        format!(
            "WeChat lists {count} items with status {status}, which no page documents, such as {item} of account {account}: \
             they are kept and nothing is decided by them, so their requests wait. Ask WeChat what it means."
        ),
        format!(
            "微信列表中有 {count_zh}项的状态为 {status}，官方文档未说明，例如公众号 {account} 的 {item}；已保留但不据此作任何判断，相关请求将等待。请咨询微信其含义。"
        ),
    )
}

pub(super) fn lists_emptied(count: Count, example: &AccountId, since: &str) -> Localized {
    let (count, count_zh) = counted(count);
    Localized::new(
        format!(
            "{count} accounts list nothing of all that they listed before, {example} among them, the first since {since}. \
             That is not believed at once: nothing ends by it unless it lasts. See whether each account gets a token of its \
             own, and look into one account's console."
        ),
        format!(
            "{count_zh}个公众号的列表突然清空（例如 {example}），最早自 {since} 起。暂不采信，持续一段时间后才会据此结束请求；请检查 token 是否与公众号对应，并登录其中一个公众号后台核实。"
        ),
    )
}
