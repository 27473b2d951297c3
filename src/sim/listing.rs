//! The list of one account, encoded as WeChat does.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{
    chance,
    switches::{EmptyItems, FuncInfoKey, Switches},
    world::{Link, Phase, Program, World},
};

/// WeChat's name for an item that came about in the normal way.
const SOURCE: &str = "SOURCE_NORMAL";

/// A number as WeChat should write it, or as it may write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Plain(i64),
    Text(i64),
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(number) => serializer.serialize_i64(*number),
            Self::Text(number) => serializer.collect_str(number),
        }
    }
}

/// One capability of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FuncInfo {
    status: Number,
    id: Number,
    name: &'static str,
}

/// One item of the list, with WeChat's field names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    status: Number,
    username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    appid: Option<String>,
    source: &'static str,
    nickname: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    selected: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nearby_display_status: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    released: Option<Number>,
    headimg_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    func_infos: Option<Vec<FuncInfo>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    func_info: Option<Vec<FuncInfo>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    copy_verify_status: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

impl Item {
    /// The number shown as `status`.
    #[must_use]
    pub fn status(&self) -> i64 {
        match self.status {
            Number::Plain(number) | Number::Text(number) => number,
        }
    }

    /// The `gh_` id.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The appid, where the item has one.
    #[must_use]
    pub fn appid(&self) -> Option<&str> {
        self.appid.as_deref()
    }
}

/// One account's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Every item, in the order the links began.
    pub items: Vec<Item>,
}

impl Listing {
    pub(super) fn without_appids(mut self) -> Self {
        for item in &mut self.items {
            item.appid = None;
        }
        self
    }

    /// The items from the last to the first.
    pub(super) fn reordered(mut self) -> Self {
        self.items.reverse();
        self
    }

    /// Every item twice, an old rejection first.
    pub(super) fn doubled(self, switches: &Switches) -> Self {
        let pairs = self.items.into_iter().flat_map(|item| {
            let mut old = item.clone();
            old.status = number(switches, Phase::Rejected.status());
            if !switches.rejected_items_have_appid {
                old.appid = None;
            }
            [old, item]
        });
        Self { items: pairs.collect() }
    }

    /// The body as WeChat writes it under these switches.
    pub(super) fn body(&self, switches: &Switches) -> Vec<u8> {
        let with_items = |items: &[u8]| [br#"{"items":"#, items, b"}"].concat();
        let wxopens = match switches.empty_items {
            EmptyItems::Array => with_items(&json_of(&self.items)),
            _ if !self.items.is_empty() => with_items(&json_of(&self.items)),
            EmptyItems::Null => with_items(b"null"),
            EmptyItems::Absent => b"{}".to_vec(),
            EmptyItems::WxopensArray => b"[]".to_vec(),
            EmptyItems::WxopensNull => b"null".to_vec(),
            EmptyItems::NoWxopens => return empty_success(switches),
        };
        let code: &[u8] = if switches.success_has_errcode { br#""errcode":0,"errmsg":"ok","# } else { b"" };
        [b"{", code, br#""wxopens":"#, &wxopens, b"}"].concat()
    }
}

/// A success that says nothing else.
pub(super) fn empty_success(switches: &Switches) -> Vec<u8> {
    let body: Value = if switches.success_has_errcode { json!({ "errcode": 0, "errmsg": "ok" }) } else { json!({}) };
    json_of(&body)
}

/// Every value here is made of strings and numbers, which always serialize; an empty body would show otherwise.
fn json_of<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The list as it stands at `now`; the account must be up to date.
pub(super) fn of(world: &World, account: &str, now: i64) -> Listing {
    let links = world.links(account).iter();
    let visible = links.filter(|link| link.visible_from <= now);
    let mut items: Vec<Item> =
        visible.filter_map(|link| Some(item(link, world.programs.get(&link.program)?, &world.switches))).collect();
    if world.switches.lists_the_account_itself {
        items.push(the_account_itself(world.seed, account, &world.switches));
    }
    Listing { items }
}

fn number(switches: &Switches, n: i64) -> Number {
    if switches.numbers_as_strings { Number::Text(n) } else { Number::Plain(n) }
}

fn item(link: &Link, program: &Program, switches: &Switches) -> Item {
    let n = |n| number(switches, n);
    let rejected = link.phase == Phase::Rejected;
    let has_appid = switches.items_have_appid && (!rejected || switches.rejected_items_have_appid);
    // The documented rejected item is the shorter one.
    let full = |value: i64| (!rejected).then(|| n(value));
    let capabilities = if rejected { Vec::new() } else { capabilities(switches) };
    let (func_infos, func_info) = match switches.func_info_key {
        FuncInfoKey::FuncInfos => (Some(capabilities), None),
        FuncInfoKey::FuncInfo => (None, Some(capabilities)),
    };
    Item {
        status: n(link.shows_status.unwrap_or(link.phase.status())),
        username: program.username.clone(),
        appid: has_appid.then(|| link.program.clone()),
        source: SOURCE,
        nickname: program.nickname.clone(),
        selected: full(1),
        nearby_display_status: full(i64::from(program.nearby)),
        released: full(1),
        headimg_url: format!("http://sim.invalid/head/{}.png", program.username),
        func_infos,
        func_info,
        copy_verify_status: full(0),
        email: (!rejected).then(|| format!("{}@sim.invalid", program.username)),
    }
}

/// The `gh_` id and the name of an official account.
pub(super) fn official_name(seed: u64, account: &str) -> (String, String) {
    let number = chance::fixed(seed, &["account", account]);
    (format!("gh_{:012x}", number >> 16), format!("公众号{:04x}", number & 0xffff))
}

fn the_account_itself(seed: u64, account: &str, switches: &Switches) -> Item {
    let (username, nickname) = official_name(seed, account);
    let own = Program {
        username,
        nickname,
        owner: String::new(),
        banned: false,
        overseas: false,
        nearby: false,
        store: false,
        month: super::quota::ProgramMonth::default(),
    };
    let link = Link {
        program: account.to_owned(),
        phase: Phase::Linked,
        started_by: super::Starter::Console,
        since: 0,
        visible_from: 0,
        change: None,
        shows_status: None,
    };
    item(&link, &own, switches)
}

fn capabilities(switches: &Switches) -> Vec<FuncInfo> {
    let info = |id, name| FuncInfo { status: number(switches, 0), id: number(switches, id), name };
    vec![info(1, "微信认证"), info(2, "微信支付")]
}
