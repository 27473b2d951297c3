//! Actions on all that filters choose: shown first, then begun with what was shown as their condition, and done by the
//! daemon in the background, whatever becomes of the caller.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ObjectBuilder, Type},
    },
};

use super::{
    accounts, alerts,
    body::Body,
    identity::Caller,
    problem::{Fault, HadCondition, Problem},
    query::Query,
    requests, snoozed,
    state::Api,
    table::Access,
    text::Text,
    word::Word,
};
use crate::{
    domain::{
        action::{self, ActionKind, SubjectKind},
        identity::{Role, Scope},
        text::{format::rfc3339, parse},
        time::Time,
    },
    store::read::bulk::{BULK, Choice, Filters, Preview, bulk_kind},
};

/// How many of what is chosen a preview names, unless it is told how many.
const NAMED: usize = 10;

/// How many it names at most.
const NAMED_MAX: usize = 10_000;

/// The value of a filter.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// What is to be done to all that the filters choose.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BulkAsked {
    /// `cancel` or `retry` requests; `acknowledge`, `snooze` or `resolve` alerts; `suspend` or `resume` accounts.
    #[schema(schema_with = words)]
    action: String,
    /// The filters of the list, each a text or an array of texts; everything that is given must hold.
    filter: BTreeMap<String, OneOrMore>,
    /// Only show what would be touched.
    #[serde(default)]
    dry_run: bool,
    /// How many of them a preview names; 10 when it is left out.
    #[schema(maximum = 10_000)]
    sample: Option<usize>,
    /// The `cutoff` that was shown: nothing newer is touched.
    cutoff: Option<String>,
    /// The `digest` that was shown.
    digest: Option<String>,
    /// Why, for the record.
    reason: Option<String>,
    /// How long alerts are snoozed, such as 4h or 2d.
    #[serde(rename = "for")]
    wait: Option<String>,
    /// Until when alerts are snoozed; a time without an offset is in the time zone of `[alerts]`.
    until: Option<String>,
}

fn words() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(BULK.map(ActionKind::as_str))).into()
}

/// What an action would touch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BulkPreview {
    /// How many can be changed.
    count: u64,
    /// Send it back: nothing newer is touched.
    cutoff: String,
    /// The ids of the first ten, or of as many as were asked for, or their appids.
    sample: Vec<String>,
    /// Send it back: where it is another by then, nothing is done.
    digest: String,
}

/// An action that is begun.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BulkBegun {
    /// Its id: `/actions/{id}` tells how far it is.
    id: String,
    /// How many it touches.
    count: u64,
}

impl From<Preview> for BulkPreview {
    fn from(Preview { count, cutoff, sample, digest }: Preview) -> Self {
        Self { count, cutoff, sample, digest }
    }
}

/// Acts on all that filters choose, or shows what that would touch.
///
/// With `dry_run` it only shows what can be changed. Sent again with the `cutoff` and the `digest` of that, it is begun, and
/// the daemon does it in the background. A token needs the scope of what is acted on, too: requests, alerts or accounts.
#[utoipa::path(post, path = "/api/v1/actions", tag = "actions", request_body = BulkAsked, responses(
    (status = 200, body = BulkPreview, description = "What would be touched"),
    (status = 202, body = BulkBegun, description = "It is begun; Location says where its progress is", headers(
        ("Location" = String, description = "Where its progress is"),
    )),
))]
pub(super) async fn act(
    State(api): State<Api>,
    caller: Caller,
    query: Query,
    Body(asked): Body<BulkAsked>,
) -> Result<Response, Problem> {
    query.done()?;
    let mut faults = Vec::new();
    let kind = kind(&asked.action, &mut faults);
    if let Some(kind) = kind {
        caller.may(Access::May(Role::Operator, scope(kind)))?;
    }
    let reason = reason(asked.reason.as_deref(), &mut faults);
    let until = until(&asked, kind, &api, &mut faults);
    let filters = filters(&asked.filter, kind, api.now());
    let named = named(asked.sample, &mut faults);
    let shown = if asked.dry_run { None } else { shown(&asked, &mut faults) };
    let choice = kind.and_then(|kind| choice(kind, &filters, api.now(), &mut faults));
    let Some(choice) = choice.filter(|_| faults.is_empty()) else { return Err(Problem::invalid(faults)) };
    if filters.is_empty() {
        return Err(Problem::of(Word::FilterEmpty));
    }
    if api.reading(api.recorder().are_requests_moved()).await? {
        return Err(importing());
    }
    let Some((cutoff, digest)) = shown else {
        let preview = api.reporting(api.store().bulk_preview(&choice, None, named)).await?;
        return Ok(Json(BulkPreview::from(preview)).into_response());
    };
    let preview = api.reporting(api.store().bulk_preview(&choice, Some(cutoff), named)).await?;
    if preview.digest != digest {
        return Err(Problem::changed(json!(BulkPreview::from(preview)), HadCondition::No));
    }
    let (by, now, count) = (caller.by().because(reason), api.now(), preview.count);
    let id = api.store().begin_bulk(&choice, &preview, until, by, now).await?;
    let headers = [
        (header::LOCATION, format!("{}/api/v1/actions/{id}", api.http.base_path)),
        (header::RETRY_AFTER, "1".to_owned()),
    ];
    Ok((StatusCode::ACCEPTED, headers, Json(BulkBegun { id, count })).into_response())
}

fn fault(pointer: &str, detail: Text) -> Fault {
    Fault { pointer: pointer.to_owned(), detail }
}

fn kind(word: &str, faults: &mut Vec<Fault>) -> Option<ActionKind> {
    let kind = bulk_kind(word);
    if kind.is_none() {
        let all = BULK.map(ActionKind::as_str).join(", ");
        let text = Text::new(format!("expected one of {all}"), format!("应为以下之一：{all}"));
        faults.push(fault("/action", text));
    }
    kind
}

/// The scope that a token needs for it.
const fn scope(kind: ActionKind) -> Scope {
    match kind.subject() {
        SubjectKind::Account => Scope::Accounts,
        SubjectKind::Alert => Scope::Alerts,
        _ => Scope::Requests,
    }
}

fn reason(text: Option<&str>, faults: &mut Vec<Fault>) -> Option<String> {
    action::reason(text?).unwrap_or_else(|wrong| {
        let text = Text::new(wrong, "应为一行文字，最多 1000 字节，不含控制字符");
        faults.push(fault("/reason", text));
        None
    })
}

/// Until when alerts are to be silent: said of a snooze alone, and of one that is begun always.
fn until(asked: &BulkAsked, kind: Option<ActionKind>, api: &Api, faults: &mut Vec<Fault>) -> Option<Time> {
    let is_snooze = kind == Some(ActionKind::Snooze);
    let found = match (asked.wait.as_deref(), asked.until.as_deref()) {
        (None, None) if is_snooze && !asked.dry_run => Err(snoozed::missing()),
        (wait, until) if is_snooze => snoozed::until(wait, until, api),
        (None, None) => Ok(None),
        (wait, _) => {
            let pointer = if wait.is_some() { "/for" } else { "/until" };
            Err(fault(pointer, Text::fixed("only snooze takes it", "仅 snooze 使用该成员")))
        }
    };
    found.unwrap_or_else(|wrong| {
        faults.push(wrong);
        None
    })
}

/// How many of what is chosen are named.
fn named(asked: Option<usize>, faults: &mut Vec<Fault>) -> usize {
    let named = asked.unwrap_or(NAMED);
    if named > NAMED_MAX {
        let (en, zh) = (format!("expected at most {NAMED_MAX}"), format!("最多 {NAMED_MAX}"));
        faults.push(fault("/sample", Text::new(en, zh)));
    }
    named
}

/// The condition on which it is begun.
fn shown(asked: &BulkAsked, faults: &mut Vec<Fault>) -> Option<(String, String)> {
    let mut member = |pointer: &str, value: &Option<String>| {
        if value.is_none() {
            let text = Text::fixed(
                "needed: send what the same with dry_run answered",
                "必须提供：请发送先前 dry_run 所返回的值",
            );
            faults.push(fault(pointer, text));
        }
        value.clone()
    };
    let (cutoff, digest) = (member("/cutoff", &asked.cutoff), member("/digest", &asked.digest));
    cutoff.zip(digest)
}

/// The filters that are given, as they are kept: arrays of texts. How long ago something was becomes a moment: it is meant as
/// of now, and an action goes on.
fn filters(given: &BTreeMap<String, OneOrMore>, kind: Option<ActionKind>, now: Time) -> Filters {
    let is_of_requests = kind.is_some_and(|kind| kind.subject() == SubjectKind::Request);
    let kept = |name: &str, value: &String| match parse::when(value) {
        Ok(when) if is_of_requests && ["since", "until"].contains(&name) => rfc3339(when.seen_from(now)),
        _ => value.clone(),
    };
    let values = |name: &str, value: &OneOrMore| -> Vec<String> {
        match value {
            OneOrMore::One(value) => vec![kept(name, value)],
            OneOrMore::More(values) => values.iter().map(|value| kept(name, value)).collect(),
        }
    };
    let given = given.iter().map(|(name, value)| (name.clone(), values(name, value)));
    given.filter(|(_, values)| !values.is_empty()).map(|(name, values)| (name, Value::from(values))).collect()
}

/// What the filters choose, read as strictly as those of the list are.
fn choice(kind: ActionKind, filters: &Filters, now: Time, faults: &mut Vec<Fault>) -> Option<Choice> {
    let mut query = Query::of_members(filters);
    match kind.subject() {
        SubjectKind::Account => drop((accounts::filters(&mut query), query.labels())),
        SubjectKind::Alert => drop(alerts::filters(&mut query)),
        _ => drop(requests::filters(&mut query, now)),
    }
    faults.extend(query.faults());
    Choice::of(kind, filters)
}

/// While requests are moved to where they are looked for, not all of them are found.
fn importing() -> Problem {
    let text = Text::fixed("An import is being finished; try again in a moment.", "正在完成一次导入，请稍后重试。");
    Problem::new(Word::Busy, text)
}
