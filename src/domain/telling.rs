//! The words for what happened: an event becomes the message that every channel writes down. It must never know how a
//! channel does that, nor when it is sent.

use serde::{Deserialize, Serialize};

use super::{
    alert_rules::local,
    message::{AlertFacts, Language, Message, Severity},
    time::Time,
};

/// An event as it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its id: the same in every try and on every channel.
    pub id: String,
    /// Its type, such as `amplinkd.request.linked`.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// Events with the same key come in order.
    pub partition_key: String,
    /// Its place among all events.
    pub sequence: i64,
    /// When it happened.
    pub at: Time,
    /// Its data: a JSON object as text.
    pub data: String,
}

/// The data of an alert's event: alerts of one reason that fired, are repeated or are over together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertNews {
    /// The rule, such as `stuck`.
    pub rule: String,
    /// The case, such as `stuck.account_admin`.
    pub reason: String,
    /// `fired`, `repeated` or `resolved`.
    pub state: String,
    /// How many alerts.
    pub count: usize,
    /// The age of the alerts from which this is told, milliseconds; 0 when it is told at once.
    pub level: i64,
    /// What they have in common, in English.
    pub title_en: String,
    /// The same in Chinese.
    pub title_zh: String,
    /// All of them, the one that is due the longest first.
    pub alerts: Vec<AlertFacts>,
    /// To other systems: the keys of those that are not listed any more, so that the body stays below a megabyte.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<String>,
}

/// Alerts that are told to other systems with everything: about 800 bytes each. Servers commonly take a megabyte
/// (<https://nginx.org/en/docs/http/ngx_http_core_module.html#client_max_body_size>).
const LISTED_MAX: usize = 500;

impl AlertNews {
    /// The same, the first of them listed and the others by their keys alone.
    fn shortened(mut self) -> Self {
        let rest = self.alerts.split_off(LISTED_MAX.min(self.alerts.len()));
        self.more = rest.into_iter().map(|alert| alert.key).collect();
        self
    }

    /// As the event's data.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts and numbers: nothing of them can fail to be written.
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }
}

/// A text for people in one language, with a table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Words {
    /// One line, without an end mark.
    pub title: String,
    /// A sentence or two.
    pub lead: String,
    /// The heads of the table's columns.
    pub columns: Vec<String>,
    /// The table; each row as long as `columns`.
    pub rows: Vec<Vec<String>>,
    /// How many things it concerns.
    #[serde(default)]
    pub total: usize,
    /// The command that shows more.
    #[serde(default)]
    pub hint: String,
}

/// The data of an event that is for people alone, such as a digest or a nudge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// In English.
    pub en: Words,
    /// In Chinese.
    pub zh: Words,
}

/// The message for people and systems, in one language, with the times of one zone. `{rule}` in the link becomes the
/// rule's word.
#[must_use]
pub fn message(event: &Told, language: Language, zone: chrono_tz::Tz, link: Option<&str>) -> Message {
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
        zone,
        title: event.kind.clone(),
        lead: String::new(),
        columns: Vec::new(),
        rows: Vec::new(),
        total: 1,
        link: link.map(|link| link.replace("{rule}", "")),
        hint: String::new(),
        alerts: Vec::new(),
    };
    if let Ok(news) = serde_json::from_str::<AlertNews>(&event.data) {
        of_alerts(&mut message, news, zone, link);
    } else if let Ok(Note { en, zh }) = serde_json::from_str::<Note>(&event.data) {
        let words = if language == Language::En { en } else { zh };
        (message.title, message.lead, message.hint) = (words.title, words.lead, words.hint);
        message.total = words.total.max(words.rows.len());
        (message.columns, message.rows) = (words.columns, words.rows);
    } else if let Ok(change) = serde_json::from_str::<Change>(&event.data) {
        of_change(&mut message, &change, zone);
    }
    message
}

fn of_alerts(message: &mut Message, news: AlertNews, zone: chrono_tz::Tz, link: Option<&str>) {
    let is_english = message.language == Language::En;
    let say = |en: &str, zh: &str| if is_english { en.to_owned() } else { zh.to_owned() };
    let sentence = |alert: &AlertFacts| if is_english { alert.message_en.clone() } else { alert.message_zh.clone() };
    let title = if is_english { &news.title_en } else { &news.title_zh };
    message.title.clone_from(title);
    message.mood = match news.state.as_str() {
        "resolved" => Severity::Resolved,
        _ if !wants_a_person(&news.reason) => Severity::News,
        "repeated" => Severity::Repeated,
        _ => Severity::Fired,
    };
    message.total = news.count;
    message.link = link.map(|link| link.replace("{rule}", &news.rule));
    let moment = |ms: i64| local(Time::from_ms(ms), zone);
    match news.alerts.as_slice() {
        [one] => {
            message.lead = match one.resolved_at {
                Some(at) if news.state == "resolved" => {
                    let at = moment(at);
                    if one.resolution.as_deref() == Some("aged_out") {
                        message.title = say(&format!("Nobody acted: {title}"), &format!("无人处理：{title}"));
                    }
                    say(
                        &format!("Over since {at}. It was: {}", one.message_en),
                        &format!("已于 {at} 结束。原告警：{}", one.message_zh),
                    )
                }
                _ => sentence(one),
            };
            message.hint = match &one.request {
                Some(request) => format!("amplinkd request explain {request}"),
                None => format!("amplinkd alert show {}", one.alert),
            };
        }
        many => {
            let oldest = many.iter().map(|alert| alert.since).min().map(moment).unwrap_or_default();
            message.lead = say(&format!("The oldest since {oldest}."), &format!("最早自 {oldest} 起。"));
            let state = if news.state == "resolved" { " --state resolved" } else { "" };
            message.hint = format!("amplinkd alert list --rule {}{state}", news.rule);
            (message.columns, message.rows) = table(many, is_english, moment);
        }
    }
    if news.alerts.len() > LISTED_MAX {
        message.data = news.clone().shortened().to_json();
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
fn table(alerts: &[AlertFacts], is_english: bool, moment: impl Fn(i64) -> String) -> (Vec<String>, Vec<Vec<String>>) {
    let has = |field: fn(&AlertFacts) -> &Option<String>| alerts.iter().any(|alert| field(alert).is_some());
    let (accounts, programs, requests) = (has(|a| &a.account), has(|a| &a.program), has(|a| &a.request));
    let mut columns = vec![if is_english { "Since" } else { "起始时间" }];
    if accounts {
        columns.push(if is_english { "Account" } else { "公众号" });
    }
    if programs {
        columns.push(if is_english { "Program" } else { "小程序" });
    }
    if requests {
        columns.push(if is_english { "Request" } else { "请求" });
    }
    if !accounts {
        columns.push(if is_english { "What" } else { "内容" });
    }
    let row = |alert: &AlertFacts| {
        let mut row = vec![moment(alert.since)];
        let shown = [(accounts, &alert.account), (programs, &alert.program), (requests, &alert.request)];
        row.extend(
            shown.into_iter().filter(|(is_shown, _)| *is_shown).map(|(_, text)| text.clone().unwrap_or_default()),
        );
        if !accounts {
            row.push(if is_english { alert.message_en.clone() } else { alert.message_zh.clone() });
        }
        row
    };
    (columns.into_iter().map(str::to_owned).collect(), alerts.iter().map(row).collect())
}

/// What transitions and conflicts have in their data.
#[derive(Debug, Deserialize)]
struct Change {
    request: String,
    account: String,
    program: String,
    kind: String,
    from: Option<String>,
    to: Option<String>,
    errcode: Option<i64>,
    conflict: Option<String>,
    resolution: Option<String>,
}

fn of_change(message: &mut Message, change: &Change, zone: chrono_tz::Tz) {
    let is_english = message.language == Language::En;
    let at = local(message.at, zone);
    let Change { request, account, program, kind, .. } = change;
    let code = change.errcode.map(|code| format!(" (errcode {code})")).unwrap_or_default();
    message.hint = format!("amplinkd request show {request}");
    if change.conflict.is_some() {
        let is_over = change.resolution.is_some();
        message.title = match (is_english, is_over) {
            (true, false) => format!("Conflict: {}{code}", kind.replace('_', " ")),
            (true, true) => format!("Conflict resolved: {}{code}", kind.replace('_', " ")),
            (false, false) => format!("出现冲突：{kind}{code}"),
            (false, true) => format!("冲突已解决：{kind}{code}"),
        };
    } else {
        let (from, to) = (change.from.as_deref().unwrap_or("-"), change.to.as_deref().unwrap_or("-"));
        message.title = format!("{kind}: {from} → {to}{code}");
    }
    message.lead = if is_english {
        format!("Account {account}, program {program}, at {at}.")
    } else {
        format!("公众号 {account}，小程序 {program}，{at}。")
    };
}
