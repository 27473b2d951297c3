//! New requests: one with its key, or many at once, all or none.

use std::collections::{BTreeMap, HashMap};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ArrayBuilder, ObjectBuilder, Type},
    },
};

use super::{
    body::{self, Batch, Body},
    identity::Caller,
    problem::{Fault, Problem},
    query::{Query, parsed},
    requests::{self, Beside},
    state::Api,
    tag,
    text::Text,
    word::Word,
};
use crate::{
    domain::request::{Kind, LinkOptions, OptIn},
    engine::wish::{AskError, WORD_MAX, Wish},
    store::{StoreError, read::views::RequestView, write::requests::Accepted},
};

/// Requests that one call makes at most.
const BATCH_MAX: usize = 10_000;

/// Mistakes that are told at once: whoever sent more has one that repeats.
const FAULTS_MAX: usize = 100;

/// The name of the header that a key may stand in.
const KEY_HEADER: &str = "idempotency-key";

/// A request to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRequest {
    /// `link` or `unlink`
    #[schema(schema_with = kinds)]
    kind: String,
    /// The official account's appid
    #[schema(pattern = "^wx[0-9A-Za-z]{16}$")]
    account: String,
    /// The mini program's appid, another than the account's
    #[schema(pattern = "^wx[0-9A-Za-z]{16}$")]
    program: String,
    /// The program's gh_ id, when it is known; of a link only
    #[schema(pattern = "^gh_[0-9A-Za-z_-]{1,61}$")]
    username: Option<String>,
    /// Whether WeChat messages every follower of the account; needs `confirm_notify_users`
    #[serde(default)]
    notify_users: bool,
    /// That every follower is really meant
    #[serde(default)]
    confirm_notify_users: bool,
    /// Whether the program is shown on the account's profile; of a link only
    #[serde(default)]
    show_profile: bool,
    /// Your own words to find it by, at most 32 of at most 256 bytes
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Your own name for it: the same key always means the same request
    #[schema(min_length = 1, max_length = 256)]
    key: Option<String>,
}

fn kinds() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["link", "unlink"])).into()
}

/// Many requests to make, all or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRequests {
    /// The requests, at most 10,000
    #[schema(schema_with = many)]
    requests: Vec<Value>,
    /// Only check them: nothing is written, and the answer is empty
    #[serde(default)]
    dry_run: bool,
}

fn many() -> RefOr<Schema> {
    let one = utoipa::openapi::Ref::from_schema_name("NewRequest");
    ArrayBuilder::new().items(one).min_items(Some(1)).max_items(Some(BATCH_MAX)).into()
}

/// The request that a wish became, or that was there before.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AcceptedRequest {
    /// Its id.
    id: String,
    /// Whether it was there before.
    existing: bool,
}

/// A request, and whether it was there before.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AnsweredRequest {
    #[serde(flatten)]
    row: RequestView,
    /// Whether it was there before: by its key, as an open request for the same pair, or as a link that stands.
    existing: bool,
}

/// What is wrong with the members of one request.
struct Reader<'f> {
    /// Where it stands in the body.
    at: String,
    faults: &'f mut Vec<Fault>,
}

impl Reader<'_> {
    fn wrong(&mut self, member: &str, detail: Text) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { pointer: format!("{}/{member}", self.at), detail });
        }
    }

    fn read<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, member: &str, text: &str) -> Option<T> {
        parsed(text).map_err(|wrong| self.wrong(member, wrong)).ok()
    }
}

impl NewRequest {
    /// The wish that it is.
    fn wish(self, mut reader: Reader<'_>) -> Option<Wish> {
        let kind = self.kind(&mut reader);
        let account = reader.read("account", &self.account);
        let program = reader.read("program", &self.program);
        let username = self.username.as_deref().map(|username| reader.read("username", username));
        if self.account.trim() == self.program.trim() {
            let text = Text::fixed("the account and the program are the same appid", "公众号与小程序的 appid 相同");
            reader.wrong("program", text);
        }
        let (labels, key) = (self.labels, self.key);
        let username = username.map_or(Some(None), |username| username.map(Some))?;
        let wish = Wish { kind: kind?, account: account?, program: program?, username, key, labels };
        check_words(&wish, &mut reader);
        Some(wish)
    }

    fn kind(&self, reader: &mut Reader<'_>) -> Option<Kind> {
        let options =
            LinkOptions { notify_users: OptIn::from(self.notify_users), show_profile: OptIn::from(self.show_profile) };
        match self.kind.as_str() {
            "link" => {
                if self.notify_users && !self.confirm_notify_users {
                    let (en, zh) = (
                        "WeChat would message every follower of the account: send `confirm_notify_users: true`, too",
                        "微信将向该公众号的全部粉丝发送消息：请同时发送 `confirm_notify_users: true`",
                    );
                    reader.wrong("confirm_notify_users", Text::fixed(en, zh));
                }
                Some(Kind::Link(options))
            }
            "unlink" => {
                let of_links = [
                    ("notify_users", self.notify_users),
                    ("show_profile", self.show_profile),
                    ("username", self.username.is_some()),
                ];
                for (member, _) in of_links.iter().filter(|(_, is_given)| *is_given) {
                    reader.wrong(member, Text::fixed("only a link has it", "仅关联请求可用"));
                }
                Some(Kind::Unlink)
            }
            _ => {
                reader.wrong("kind", Text::fixed("expected `link` or `unlink`", "应为 `link` 或 `unlink`"));
                None
            }
        }
    }
}

/// Whether its key and its labels are legal.
fn check_words(wish: &Wish, reader: &mut Reader<'_>) {
    let keyed = Wish { labels: BTreeMap::new(), ..wish.clone() };
    let labelled = Wish { key: None, ..wish.clone() };
    for (member, part) in [("key", keyed), ("labels", labelled)] {
        if let Err(wrong) = part.check().and_then(|()| part.check_words()) {
            let zh = format!("键和标签不得为空、不得超过 {WORD_MAX} 字节、不得含有不可见字符，标签最多 32 个");
            reader.wrong(member, Text::new(wrong.to_string(), zh));
        }
    }
}

/// The key of the header, where there is one; a text in quotes means what stands between them.
fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(KEY_HEADER).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let key = std::str::from_utf8(key.as_bytes()).ok().filter(|_| keys.next().is_none()).map(str::trim);
    let key = key.map(|key| key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key));
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        let text = Text::fixed(
            "expected the header Idempotency-Key once, in UTF-8",
            "Idempotency-Key 请求头应只出现一次，且为 UTF-8",
        );
        Problem::invalid(vec![Fault { pointer: "/key".to_owned(), detail: text }])
    })
}

/// The address of a request.
pub(super) fn location(api: &Api, id: &str) -> String {
    format!("{}/api/v1/requests/{id}", api.http.base_path)
}

/// A request that was asked for: 201 where it is new.
pub(super) async fn answer(api: &Api, accepted: Accepted) -> Result<Response, Problem> {
    let Accepted { id, existing } = accepted;
    let row = requests::row(api, &requests::id(&id)?).await?;
    let status = if existing { StatusCode::OK } else { StatusCode::CREATED };
    let tag = tag::tag(&row, &Beside::default());
    let headers = [(header::LOCATION, location(api, &id))];
    Ok((status, headers, [(header::ETAG, tag)], Json(AnsweredRequest { row, existing })).into_response())
}

/// Asks for a link or an unlink. A wish that is there already, by its key, as an open request for the same pair or as a link
/// that stands, is answered with that request.
#[utoipa::path(post, path = "/api/v1/requests", tag = "requests", request_body = NewRequest, params(
    ("Idempotency-Key" = Option<String>, Header, description = "The key, where the body has none"),
), responses(
    (status = 201, body = AnsweredRequest, headers(("Location" = String, description = "Where the request is")), description = "It is on disk"),
    (status = 200, body = AnsweredRequest, description = "It was there before; `existing` is true"),
))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    query: Query,
    Body(mut new): Body<NewRequest>,
) -> Result<Response, Problem> {
    query.done()?;
    if new.key.is_none() {
        new.key = key_of(&headers)?;
    }
    let mut faults = Vec::new();
    let wish = new.wish(Reader { at: String::new(), faults: &mut faults });
    let Some(wish) = wish.filter(|_| faults.is_empty()) else { return Err(Problem::invalid(faults)) };
    let accepted = accept(&api, &caller, vec![wish]).await?;
    match accepted.into_iter().next() {
        Some(accepted) => answer(&api, accepted).await,
        None => Err(Problem::of(Word::Defect)),
    }
}

/// Asks for many at once, all or none; the answer has them in their order.
#[utoipa::path(post, path = "/api/v1/requests/batch", tag = "requests", request_body = NewRequests, responses((status = 200, body = Vec<AcceptedRequest>)))]
pub(super) async fn batch(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    query: Query,
    Batch(NewRequests { requests, dry_run }): Batch<NewRequests>,
) -> Result<Json<Vec<AcceptedRequest>>, Problem> {
    query.done()?;
    if headers.contains_key(KEY_HEADER) {
        let text = Text::fixed(
            "a batch has no key of its own: give each request its `key`",
            "批量请求没有自己的键，请为每个请求设置 `key`",
        );
        return Err(Problem::invalid(vec![Fault { pointer: String::new(), detail: text }]));
    }
    let wishes = wishes(requests)?;
    if dry_run {
        let keys = keys_of(&wishes);
        let checked = api.recorder().by(caller.by()).check(wishes).await;
        return match checked {
            Ok(()) => Ok(Json(Vec::new())),
            Err(error) => Err(not_taken(&api, error, &keys).await?),
        };
    }
    // A caller who goes away leaves nothing half done.
    let taken = tokio::spawn(async move { accept(&api, &caller, wishes).await }).await;
    let accepted = taken.map_err(|_| Problem::of(Word::Defect))??;
    let answer = |Accepted { id, existing }| AcceptedRequest { id, existing };
    Ok(Json(accepted.into_iter().map(answer).collect()))
}

fn wishes(requests: Vec<Value>) -> Result<Vec<Wish>, Problem> {
    if requests.is_empty() || requests.len() > BATCH_MAX {
        let (en, zh) = (format!("expected 1 to {BATCH_MAX} requests"), format!("应为 1 到 {BATCH_MAX} 个请求"));
        return Err(Problem::invalid(vec![Fault { pointer: "/requests".to_owned(), detail: Text::new(en, zh) }]));
    }
    let (mut wishes, mut faults) = (Vec::with_capacity(requests.len()), Vec::new());
    for (place, request) in requests.into_iter().enumerate() {
        let at = format!("/requests/{place}");
        match body::object::<NewRequest>(request, &at) {
            Ok(new) => wishes.extend(new.wish(Reader { at, faults: &mut faults })),
            Err(wrong) if faults.len() < FAULTS_MAX => faults.push(wrong),
            Err(_) => {}
        }
    }
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    match doubled(&wishes) {
        Some(fault) => Err(Problem::invalid(vec![fault])),
        None => Ok(wishes),
    }
}

/// The first key that stands for two different wishes.
fn doubled(wishes: &[Wish]) -> Option<Fault> {
    let mut keys: HashMap<&str, (usize, &Wish)> = HashMap::new();
    for (place, wish) in wishes.iter().enumerate() {
        let Some(key) = wish.key.as_deref() else { continue };
        let (first, same) = *keys.entry(key).or_insert((place, wish));
        let pair = |wish: &Wish| (wish.kind.as_str(), wish.account.clone(), wish.program.clone());
        if pair(same) != pair(wish) {
            let (en, zh) =
                (format!("request {first} of the batch has this key, too"), format!("本批第 {first} 个请求也使用此键"));
            return Some(Fault { pointer: format!("/requests/{place}/key"), detail: Text::new(en, zh) });
        }
    }
    None
}

fn keys_of(wishes: &[Wish]) -> Vec<Option<String>> {
    wishes.iter().map(|wish| wish.key.clone()).collect()
}

/// Takes wishes.
async fn accept(api: &Api, caller: &Caller, wishes: Vec<Wish>) -> Result<Vec<Accepted>, Problem> {
    let keys = keys_of(&wishes);
    match api.recorder().by(caller.by()).accept(wishes).await {
        Ok(accepted) => Ok(accepted),
        Err(error) => Err(not_taken(api, error, &keys).await?),
    }
}

/// Why wishes with these keys are not taken; one whose key stands for another request is shown that request.
async fn not_taken(api: &Api, error: AskError, keys: &[Option<String>]) -> Result<Problem, Problem> {
    let AskError::Store(StoreError::KeyTaken { key, id, .. }) = &error else { return Ok(error.into()) };
    let place = keys.iter().position(|mine| mine.as_ref() == Some(key)).unwrap_or_default();
    let pointer = if keys.len() == 1 { "/key".to_owned() } else { format!("/requests/{place}/key") };
    let current = api.reading(api.store().request_view(id)).await?;
    let fault = Fault { pointer, detail: Word::KeyTaken.detail() };
    let problem = Problem::from(error).with_faults(vec![fault]);
    Ok(match current {
        Some(row) => problem.with_current(&row),
        None => problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Wish, Vec<String>> {
        let new: NewRequest = serde_json::from_str(text).unwrap();
        let mut faults = Vec::new();
        let wish = new.wish(Reader { at: "/requests/17".to_owned(), faults: &mut faults });
        let pointers = || faults.iter().map(|fault| fault.pointer["/requests/17".len()..].to_owned()).collect();
        wish.filter(|_| faults.is_empty()).ok_or_else(pointers)
    }

    fn with(more: &str) -> String {
        format!("{{\"kind\":\"link\",\"account\":\"wx00000000000000aa\",\"program\":\"wx00000000000000bb\"{more}}}")
    }

    #[test]
    fn every_member_is_checked_where_it_stands() {
        assert!(read(&with("")).is_ok());
        let wrong = |text: &str| read(text).unwrap_err();
        assert_eq!(wrong(&with("").replace("bb\"", "aa\"")), ["/program"]);
        assert_eq!(
            wrong(&with("").replace("\"link\"", "\"join\"").replace("wx0", "wy0")),
            ["/kind", "/account", "/program"]
        );
        assert_eq!(wrong(&with(",\"notify_users\":true")), ["/confirm_notify_users"]);
        assert!(read(&with(",\"notify_users\":true,\"confirm_notify_users\":true")).is_ok());
        assert_eq!(wrong(&with(",\"username\":\"no\",\"key\":\"\"")), ["/username"]);
        assert_eq!(wrong(&with(",\"key\":\"\",\"labels\":{\"\":\"a\"}")), ["/key", "/labels"]);
        assert_eq!(wrong(&with(",\"key\":\"a\u{200b}\"")), ["/key"]);
        let unlink = with(",\"show_profile\":true,\"username\":\"gh_a\"").replace("\"link\"", "\"unlink\"");
        assert_eq!(wrong(&unlink), ["/show_profile", "/username"]);
    }

    #[test]
    fn a_key_stands_in_a_header_with_quotes_or_without() {
        let of = |keys: &[&str]| {
            let mut headers = HeaderMap::new();
            for key in keys {
                headers.append(KEY_HEADER, key.parse().unwrap());
            }
            key_of(&headers).map_err(|problem| problem.word())
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["\"order 7\""]), Ok(Some("order 7".to_owned())));
        assert_eq!(of(&["order-7"]), Ok(Some("order-7".to_owned())));
        assert_eq!(of(&["a", "b"]), Err(Word::Invalid));
    }
}
