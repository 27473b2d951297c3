//! Parses the `wxopens` of a listing. A listing is complete or unreadable: one with a missing item would end a request.
//!
//! One item with an unreadable status must not hold up every other program of its account. If it names something, it
//! stays in the listing with [`UNREADABLE_STATUS`]; an item that names nothing could be any program, and the listing is
//! unreadable.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, json};

use super::{
    lenient::{Field, Lenient, Object},
    repair_json::LOST,
};
use crate::{
    domain::listing::{Item, Profile, Status},
    wechat::errmsg::clip,
};

/// Items of one listing. An account has a few dozen; hundreds of times that is no listing, and memory is bounded.
pub const ITEMS_MAX: usize = 10_000;

/// Characters of an appid or a `gh_` id. Published ones have 18 and 15. A longer one is a fault, for a name that was cut
/// names something else.
const NAME_CHARS_MAX: usize = 128;

/// Characters kept of a nickname, an address and other texts that nobody decides by.
const TEXT_CHARS_MAX: usize = 1_024;

/// 0: no readable status was listed. The pages know no status 0, so it is kept as every undocumented one is, and nothing
/// is decided by it: the program is listed, and that is all.
const UNREADABLE_STATUS: Status = Status::Other(0);

/// Functions kept of one item; two are documented.
const FUNCTIONS_MAX: usize = 32;

/// What stands in `wxopens`.
#[derive(Debug)]
pub(super) enum Open {
    /// Its `items`.
    Items(Vec<Item>),
    /// Nothing at all: `{}`, or `[]` as PHP writes an empty map.
    Nothing,
}

impl<'de> Deserialize<'de> for Open {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OpenVisitor)
    }
}

struct OpenVisitor;

impl<'de> Visitor<'de> for OpenVisitor {
    type Value = Open;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"wxopens\" as an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Open, A::Error> {
        match seq.next_element::<IgnoredAny>()? {
            None => Ok(Open::Nothing),
            Some(_) => Err(A::Error::custom("\"wxopens\" is an array")),
        }
    }

    /// Other keys without `items` mean that the items may stand elsewhere, so that is nothing to rely on.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Open, A::Error> {
        let mut found: Option<Vec<Item>> = None;
        let mut others = false;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key != "items" {
                others = true;
                map.next_value::<IgnoredAny>()?;
            } else if found.is_some() {
                return Err(A::Error::duplicate_field("items"));
            } else {
                found = Some(map.next_value::<Option<Items>>()?.map_or_else(Vec::new, |items| items.0));
            }
        }
        match found {
            None if others => Err(A::Error::custom("\"wxopens\" has no \"items\"")),
            None => Ok(Open::Nothing),
            Some(items) => Ok(Open::Items(items)),
        }
    }
}

struct Items(Vec<Item>);

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ItemsVisitor)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"items\" as an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Items, A::Error> {
        let mut items = Vec::new();
        while let Some(Object(body)) = seq.next_element::<Object<ItemBody<'de>>>()? {
            if items.len() == ITEMS_MAX {
                return Err(A::Error::custom(format_args!("more than {ITEMS_MAX} items")));
            }
            items.push(item(&body).map_err(|what| A::Error::custom(format_args!("item {}: {what}", items.len() + 1)))?);
        }
        Ok(Items(items))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ItemBody<'a> {
    #[serde(borrow)]
    status: Lenient<'a>,
    #[serde(borrow)]
    appid: Lenient<'a>,
    #[serde(borrow)]
    username: Lenient<'a>,
    #[serde(borrow)]
    nickname: Lenient<'a>,
    #[serde(borrow)]
    headimg_url: Lenient<'a>,
    #[serde(borrow)]
    email: Lenient<'a>,
    #[serde(borrow)]
    source: Lenient<'a>,
    #[serde(borrow)]
    selected: Lenient<'a>,
    #[serde(borrow)]
    nearby_display_status: Lenient<'a>,
    #[serde(borrow)]
    released: Lenient<'a>,
    #[serde(borrow)]
    copy_verify_status: Lenient<'a>,
    /// The page's example says `func_infos`, its prose `func_info`.
    func_infos: Field<Value>,
    func_info: Field<Value>,
}

fn item(body: &ItemBody<'_>) -> Result<Item, &'static str> {
    let appid = name(&body.appid, "the appid is no name")?;
    let username = name(&body.username, "the username is no name")?;
    let named = appid.is_some() || username.is_some();
    let status = body.status.integer().map(Status::from_number).or_else(|| named.then_some(UNREADABLE_STATUS));
    Ok(Item {
        status: status.ok_or("no readable status and no name")?,
        appid,
        username,
        profile: Profile {
            nickname: text(&body.nickname),
            headimg_url: text(&body.headimg_url),
            email: text(&body.email),
            source: text(&body.source),
            selected: body.selected.flag(),
            nearby_display_status: body.nearby_display_status.flag(),
            released: body.released.flag(),
            copy_verify_status: body.copy_verify_status.flag(),
            func_infos: functions(&body.func_infos).or_else(|| functions(&body.func_info)),
        },
    })
}

/// A name, whole or not at all. Missing, null and blank are no name, which is documented; anything else that is no text
/// is a fault.
fn name(found: &Lenient<'_>, fault: &'static str) -> Result<Option<String>, &'static str> {
    match (found, found.text()) {
        (Lenient::Absent | Lenient::Null | Lenient::Text(_), None) => Ok(None),
        (_, Some(name)) if name.chars().nth(NAME_CHARS_MAX).is_none() && !name.contains(LOST) => {
            Ok(Some(name.into_owned()))
        }
        (_, _) => Err(fault),
    }
}

fn text(found: &Lenient<'_>) -> Option<String> {
    found.text().map(|text| clip(&text, TEXT_CHARS_MAX))
}

/// `[{"id":…,"status":…,"name":…}]` as compact JSON. Nobody decides by it, so what is not of that shape is left out.
fn functions(found: &Field<Value>) -> Option<String> {
    let Field::Value(Value::Array(listed)) = found else { return None };
    let kept: Vec<Value> = listed
        .iter()
        .filter_map(Value::as_object)
        .take(FUNCTIONS_MAX)
        .map(|function| {
            let number = |key: &str| function.get(key).and_then(|value| Lenient::deserialize(value).ok()?.flag());
            let name = function.get("name").and_then(Value::as_str).map(|name| clip(name, TEXT_CHARS_MAX));
            json!({ "id": number("id"), "status": number("status"), "name": name })
        })
        .collect();
    Some(Value::Array(kept).to_string())
}
