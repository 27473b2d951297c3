//! The sentences of what people must know about the platform itself: its ticket, its secret, who must authorize it.

use super::Localized;
use crate::domain::{
    alert_rules::Count, authorizer::OWN_CAP, errcode::Refusal, id::AccountId, text::account_alerts::counted,
};

pub(super) fn ticket_missing(component: &str, last: Option<String>, since: &str) -> Localized {
    let (last, last_zh) = match last {
        Some(at) => (format!("the last push came at {at}"), format!("最近一次推送：{at}")),
        None => ("none has ever come".to_owned(), "从未收到推送".to_owned()),
    };
    Localized::new(
        format!(
            "No usable component_verify_ticket has reached platform {component} since {since} ({last}). WeChat pushes one \
             every ten minutes to the event URL: check that URL, the proxy before `[callback] listen`, and the message \
             token and key. Twelve hours after the last ticket no account can be reached."
        ),
        format!(
            "第三方平台 {component} 自 {since} 起未收到可用的 component_verify_ticket（{last_zh}）。微信每 10 分钟向授权事件接收 URL \
             推送一次：请检查该 URL、`[callback] listen` 前的代理，以及消息校验 Token 与消息加解密 Key。\
             最后一张 ticket 满 12 小时后，所有公众号均无法访问。"
        ),
    )
}

pub(super) fn refused(component: &str, refusal: &Refusal, since: &str) -> Localized {
    let Refusal { errcode, errmsg } = refusal;
    if *errcode == OWN_CAP {
        return Localized::new(
            format!(
                "amplinkd's own cap of component calls a day for the platform {component} is reached ({errmsg}). The list of \
                 authorizers is read on from the next Beijing day: a list of more than 150,000 accounts takes several days."
            ),
            format!(
                "第三方平台 {component} 当日调用次数已达 amplinkd 自身上限（{errmsg}）。授权方列表将于次日（北京时间）继续拉取；\
                 超过 15 万个授权方时需要数日。"
            ),
        );
    }
    let (what, what_zh) = match errcode {
        40_013 | 40_125 | 41_004 => (
            "Check `[component] appid` and `secret_file`, then restart amplinkd: it does not try again before that.",
            "请检查 `[component] appid` 与 `secret_file`，然后重启 amplinkd；在此之前不会再试。",
        ),
        45_009 => (
            "Its calls of this day are used up: some other system may be calling in a loop. It is tried again tomorrow.",
            "当日调用次数已用完，可能有其他系统在循环调用；次日自动重试。",
        ),
        _ => ("It is tried again by itself.", "将自动重试。"),
    };
    Localized::new(
        format!(
            "WeChat has refused the platform {component} since {since}: {errmsg:?} (errcode {errcode}). Tokens are not renewed \
             meanwhile. {what}"
        ),
        format!(
            "自 {since} 起微信拒绝第三方平台 {component}：{errmsg}（errcode {errcode}）。期间无法刷新 token。{what_zh}"
        ),
    )
}

pub(super) fn needs_authorization(account: &AccountId, refusal: &Refusal, since: &str) -> Localized {
    if refusal.errcode == 61_007 {
        return Localized::new(
            format!(
                "Account {account} authorized the platform without permission set 33 (小程序关联管理), so nothing of it has gone on \
                 since {since}: its administrator must authorize again and tick that set."
            ),
            format!(
                "公众号 {account} 授权时未勾选权限集 33（小程序关联管理），自 {since} 起全部请求停止；请其管理员重新授权并勾选该权限集。"
            ),
        );
    }
    let Refusal { errcode, errmsg } = refusal;
    Localized::new(
        format!(
            "Account {account} is not authorized, so nothing of it has gone on since {since}: its administrator must scan the \
             platform's authorization code and grant permission set 33 (小程序关联管理). The reason: {errmsg} (errcode {errcode})."
        ),
        format!(
            "公众号 {account} 未授权本平台，自 {since} 起全部请求停止；请其管理员扫描第三方平台授权二维码，并授予权限集 33（小程序关联管理）。\
             原因：{errmsg}（errcode {errcode}）。"
        ),
    )
}

pub(super) fn foreign_refresher(component: &str, count: Count, example: &str) -> Localized {
    let (count, count_zh) = counted(count);
    Localized::new(
        format!(
            "In the last hour the tokens of {count} accounts, {example} among them, stopped working long before their end, and \
             no authorization was withdrawn: another system refreshes the tokens of platform {component}, too. Only one may: \
             stop the other one, and let it ask amplinkd's `[token_service]`."
        ),
        format!(
            "一小时内有{count_zh}个公众号（例如 {example}）的 token 提前失效，而期间并无取消授权：另有系统也在刷新第三方平台 {component} 的 token。\
             只能由一个系统刷新：请停用另一个，改为向 amplinkd 的 `[token_service]` 获取。"
        ),
    )
}

pub(super) fn token_key_refused(listener: &str) -> Localized {
    Localized::new(
        format!(
            "The token service at {listener} has refused at least 20 requests within a minute: they show no key, or one that \
             nobody has. Either one of your systems still uses an old key (compare `key_sha256` in \
             `[[token_service.caller]]`), or somebody is trying keys: let only your own systems reach that address. None of \
             these requests got a token."
        ),
        format!(
            "token 服务（{listener}）在一分钟内拒绝了至少 20 次请求：未带密钥，或密钥无效。可能是自有系统仍在使用旧密钥\
             （请核对 `[[token_service.caller]]` 的 `key_sha256`），也可能有人在试探密钥：请只允许自有系统访问该地址。\
             这些请求均未获得 token。"
        ),
    )
}
