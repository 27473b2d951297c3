//! One response of `wxamplinkget`, as far as it concerns us, independent of its encoding.

use std::collections::BTreeSet;

use super::id::Username;

/// What an answer of `wxamplinkget` that is no refusal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The whole list, which may be empty.
    Whole(Listing),
    /// A 0 without a list. No page says how `WeChat` writes an account without links, so this may be one, or half an
    /// answer: enough for a first call (89010 or 89015 come back when something was there), and never evidence that
    /// anything is gone.
    Weak,
}

impl Reading {
    /// The list, when there is one.
    #[must_use]
    pub fn whole(self) -> Option<Listing> {
        match self {
            Self::Whole(listing) => Some(listing),
            Self::Weak => None,
        }
    }
}

/// Every program of one account, in the order `WeChat` listed them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The items, at most as many as the reader's bound.
    pub items: Vec<Item>,
}

/// The items of one listing whose statuses no page documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undocumented<'a> {
    /// How many there are.
    pub items: usize,
    /// Their statuses, each once.
    pub statuses: BTreeSet<i64>,
    /// The first of them.
    pub example: &'a Item,
}

impl Listing {
    /// What it shows of statuses that no page documents; `None` when it shows none.
    #[must_use]
    pub fn undocumented(&self) -> Option<Undocumented<'_>> {
        let mut found: Option<Undocumented<'_>> = None;
        for item in &self.items {
            let Status::Other(number) = item.status else { continue };
            let found = found.get_or_insert(Undocumented { items: 0, statuses: BTreeSet::new(), example: item });
            found.items += 1;
            found.statuses.insert(number);
        }
        found
    }
}

/// One program of an account. Every field but the status may be missing: `WeChat` documents a rejected item without an
/// appid, and in 2018 no item had one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where the link stands.
    pub status: Status,
    /// The program's appid, whatever its shape.
    pub appid: Option<String>,
    /// The program's `gh_` id.
    pub username: Option<String>,
    /// Everything else that the page documents, kept for the people who query it.
    pub profile: Profile,
}

/// What a listing tells about a program besides its link
/// (<https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Official__Accounts/Mini_Program_Management_Permission.html>).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// The program's name.
    pub nickname: Option<String>,
    /// The address of its picture.
    pub headimg_url: Option<String>,
    /// Its e-mail address.
    pub email: Option<String>,
    /// Where the link came from, as in `SOURCE_NORMAL`.
    pub source: Option<String>,
    /// 1 when it is shown on the account's page.
    pub selected: Option<i64>,
    /// 1 when it is shown among the programs nearby.
    pub nearby_display_status: Option<i64>,
    /// 1 when it is published.
    pub released: Option<i64>,
    /// The state of its copied registration.
    pub copy_verify_status: Option<i64>,
    /// The `func_infos` array as compact JSON: id 1 is 微信认证, id 2 is 微信支付.
    pub func_infos: Option<String>,
}

/// The `status` of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// 1: linked.
    Linked,
    /// 2: waits for the program's administrator.
    AwaitingProgramAdmin,
    /// 3: the program's administrator refused.
    Rejected,
    /// 12: waits for the account's administrator.
    AwaitingAccountAdmin,
    /// A number that no page documents: kept, and never acted on.
    Other(i64),
}

impl Status {
    /// The status with this number.
    #[must_use]
    pub const fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Linked,
            2 => Self::AwaitingProgramAdmin,
            3 => Self::Rejected,
            12 => Self::AwaitingAccountAdmin,
            other => Self::Other(other),
        }
    }

    /// The number `WeChat` lists.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Linked => 1,
            Self::AwaitingProgramAdmin => 2,
            Self::Rejected => 3,
            Self::AwaitingAccountAdmin => 12,
            Self::Other(number) => number,
        }
    }

    /// Smaller is more alive: a program that is listed twice counts by its most alive item. An undocumented status
    /// may be alive, so it goes before a refusal, which is not.
    #[must_use]
    pub const fn liveliness(self) -> u8 {
        match self {
            Self::Linked => 0,
            Self::AwaitingProgramAdmin => 1,
            Self::AwaitingAccountAdmin => 2,
            Self::Other(_) => 3,
            Self::Rejected => 4,
        }
    }
}

impl Item {
    /// The `gh_` id, when it has the shape of one.
    #[must_use]
    pub fn gh(&self) -> Option<Username> {
        self.username.as_deref()?.parse().ok()
    }
}
