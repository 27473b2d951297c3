//! The words for what happened: an event becomes the message that every channel writes down. How a channel does that, and
//! when it is sent, is not known here.

use jiff::tz::TimeZone;

use super::{Language, Localized, Report, format::moment};
use crate::domain::{
    alert_state::Resolution,
    event::{AlertNotice, AlertPhase, ConflictChanged, Event, OutboxEvent, RequestMoved, to_json},
    message::{AlertFacts, Message, Severity},
    time::Time,
};

/// The message for people and systems, in one language, with the times of one zone. `{rule}` in the link becomes the
/// rule's word.
#[must_use]
pub fn message(event: &OutboxEvent, language: Language, zone: &TimeZone, link: Option<&str>) -> Message {
    let mut message = Message {
        id: event.id.clone(),
        kind: event.kind.clone(),
        subject: event.subject.clone(),
        partition_key: event.partition_key.clone(),
        sequence: event.sequence,
        at: event.at,
        data: event.data.clone(),
        mood: Severity::News,
        language,
        zone: zone.clone(),
        title: event.kind.clone(),
        lead: String::new(),
        columns: Vec::new(),
        rows: Vec::new(),
        total: 1,
        link: link.map(|link| link.replace("{rule}", "")),
        hint: String::new(),
        alerts: Vec::new(),
    };
    match Event::read(event) {
        Some(Event::Alert(notice)) => of_alerts(&mut message, notice, zone, link),
        Some(Event::Digest(words) | Event::Nudge(words)) => of_report(&mut message, words),
        Some(Event::Request(moved)) => of_move(&mut message, &moved),
        Some(Event::Conflict(conflict)) => of_conflict(&mut message, &conflict),
        // What another version wrote is sent under its type.
        None => {}
    }
    message
}

fn of_report(message: &mut Message, words: Localized<Report>) {
    let Report { title, lead, columns, rows, total, hint } = words.of(message.language);
    message.total = total.max(rows.len());
    (message.title, message.lead, message.hint) = (title, lead, hint);
    (message.columns, message.rows) = (columns, rows);
}

fn of_alerts(message: &mut Message, news: AlertNotice, zone: &TimeZone, link: Option<&str>) {
    let language = message.language;
    let is_over = news.state == AlertPhase::Resolved.as_str();
    let title = language.pick(&news.title_en, &news.title_zh);
    message.title.clone_from(title);
    message.mood = match news.state.as_str() {
        _ if is_over => Severity::Resolved,
        _ if !wants_a_person(&news.reason) => Severity::News,
        state if state == AlertPhase::Repeated.as_str() => Severity::Repeated,
        _ => Severity::Fired,
    };
    message.total = news.count;
    message.link = link.map(|link| link.replace("{rule}", &news.rule));
    let at = |ms: i64| moment(Time::from_ms(ms), zone);
    match news.alerts.as_slice() {
        [one] => {
            message.lead = match one.resolved_at {
                Some(over) if is_over => {
                    let over = at(over);
                    if one.resolution.as_deref() == Some(Resolution::AgedOut.as_str()) {
                        message.title = language.pick(format!("Nobody acted: {title}"), format!("无人处理：{title}"));
                    }
                    language.pick(
                        format!("Over since {over}. It was: {}", one.message_en),
                        format!("已于 {over} 结束。原告警：{}", one.message_zh),
                    )
                }
                _ => language.pick(&one.message_en, &one.message_zh).clone(),
            };
            message.hint = match &one.request {
                Some(request) => format!("amplinkd request explain {request}"),
                None => format!("amplinkd alert show {}", one.alert),
            };
        }
        many => {
            let oldest = many.iter().map(|alert| alert.since).min().map(at).unwrap_or_default();
            message.lead = language.pick(format!("The oldest since {oldest}."), format!("最早自 {oldest} 起。"));
            let state = if is_over { " --state resolved" } else { "" };
            message.hint = format!("amplinkd alert list --rule {}{state}", news.rule);
            (message.columns, message.rows) = table(many, message.language, at);
        }
    }
    if let Some(shortened) = news.shortened() {
        message.data = to_json(&shortened);
    }
    message.alerts = news.alerts;
}

/// Whether somebody must act on alerts of this reason: the others end by themselves.
#[must_use]
pub fn wants_a_person(reason: &str) -> bool {
    !["deferred.monthly_quota", "conflict.invitation_already_out", "conflict.already_linked", "conflict.adopted"]
        .contains(&reason)
}

/// What distinguishes several alerts of one reason.
fn table(alerts: &[AlertFacts], language: Language, at: impl Fn(i64) -> String) -> (Vec<String>, Vec<Vec<String>>) {
    type Field = fn(&AlertFacts) -> Option<&String>;
    let fields: [(&str, &str, Field); 3] = [
        ("Account", "公众号", |alert| alert.account.as_ref()),
        ("Program", "小程序", |alert| alert.program.as_ref()),
        ("Request", "请求", |alert| alert.request.as_ref()),
    ];
    let shown: Vec<_> = fields.into_iter().filter(|(.., of)| alerts.iter().any(|alert| of(alert).is_some())).collect();
    let names_an_account = alerts.iter().any(|alert| alert.account.is_some());
    let sentence = (!names_an_account).then_some(("What", "内容"));
    let heads = [("Since", "起始时间")].into_iter().chain(shown.iter().map(|(en, zh, _)| (*en, *zh))).chain(sentence);
    let row = |alert: &AlertFacts| {
        let cells = shown.iter().map(|(.., of)| of(alert).cloned().unwrap_or_default());
        let sentence = sentence.map(|_| language.pick(&alert.message_en, &alert.message_zh).clone());
        [at(alert.since)].into_iter().chain(cells).chain(sentence).collect()
    };
    (heads.map(|(en, zh)| language.pick(en, zh).to_owned()).collect(), alerts.iter().map(row).collect())
}

fn of_move(message: &mut Message, moved: &RequestMoved) {
    let RequestMoved { request, account, program, kind, from, to, errcode } = moved;
    let from = from.as_deref().unwrap_or("-");
    message.title = format!("{kind}: {from} → {to}{}", code(*errcode));
    of_pair(message, (request, account, program));
}

fn of_conflict(message: &mut Message, conflict: &ConflictChanged) {
    let ConflictChanged { request, account, program, kind, errcode, .. } = conflict;
    let (spaced, code) = (kind.replace('_', " "), code(*errcode));
    message.title = match conflict.resolution {
        None => message.language.pick(format!("Conflict: {spaced}{code}"), format!("出现冲突：{kind}{code}")),
        Some(_) => {
            message.language.pick(format!("Conflict resolved: {spaced}{code}"), format!("冲突已解决：{kind}{code}"))
        }
    };
    of_pair(message, (request, account, program));
}

fn code(errcode: Option<i64>) -> String {
    errcode.map(|code| format!(" (errcode {code})")).unwrap_or_default()
}

/// Which request it is about, and when that was.
fn of_pair(message: &mut Message, (request, account, program): (&str, &str, &str)) {
    let at = moment(message.at, &message.zone);
    message.hint = format!("amplinkd request show {request}");
    message.lead = message.language.pick(
        format!("Account {account}, program {program}, at {at}."),
        format!("公众号 {account}，小程序 {program}，{at}。"),
    );
}
