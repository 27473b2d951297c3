//! What differs between a listing and the stored list of the account.

use std::collections::HashMap;

use super::{ITEMS_REMEMBERED_MAX, ItemRow, Mirror};
use crate::domain::{
    emptied::Before,
    id::AccountId,
    listing::{Item, Listing, Status},
    time::Time,
};

/// What a listing changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Items that are new or differ.
    pub items: Vec<ItemRow>,
    /// The places in the listing of all that are remembered.
    pub kept: Vec<usize>,
    /// Names of items that are no longer listed.
    pub gone: Vec<String>,
    /// Items for which there is no room.
    pub left_out: usize,
    /// What stood alive in the list before.
    pub before: Before,
}

/// What differs between the mirror and a listing whose items have these names. Where not all items can be remembered,
/// those at the places `first` are.
#[must_use]
pub fn difference(
    account: &AccountId,
    (listing, names): (&Listing, &[String]),
    mirror: &Mirror,
    first: impl IntoIterator<Item = usize>,
    now: Time,
) -> Difference {
    let mut unlisted: HashMap<&str, &ItemRow> = mirror.rows.iter().map(|row| (row.item.as_str(), row)).collect();
    let mut room = ITEMS_REMEMBERED_MAX.saturating_sub(mirror.remembered);
    let mut found = Difference::default();
    let mut is_met = vec![false; listing.items.len()];
    for at in first.into_iter().chain(0..listing.items.len()) {
        if std::mem::replace(&mut is_met[at], true) {
            continue;
        }
        let (name, item) = (&names[at], &listing.items[at]);
        let old = unlisted.remove(name.as_str());
        match old {
            Some(old) => found.before.still_listed |= stands_alive(old),
            None if room == 0 => {
                found.left_out += 1;
                continue;
            }
            None => room -= 1,
        }
        let row = mirrored(account, name, item, old, now);
        if old != Some(&row) {
            found.items.push(row);
        }
        found.kept.push(at);
    }
    for row in unlisted.into_values().filter(|row| row.gone_at.is_none()) {
        if stands_alive(row) {
            found.before.vanished.push(row.program.as_deref().and_then(|program| program.parse().ok()));
        }
        found.gone.push(row.item.clone());
    }
    found
}

fn stands_alive(row: &ItemRow) -> bool {
    row.gone_at.is_none() && row.status != Status::Rejected.number()
}

/// The names of a listing's items, in its order: the `gh_` id, else the appid, else the place. The most alive one of a
/// name has the bare name, so that it keeps its row.
#[must_use]
pub fn item_names(listing: &Listing) -> Vec<String> {
    let mut places: Vec<usize> = (0..listing.items.len()).collect();
    places.sort_by_key(|place| listing.items[*place].status.liveliness());
    let mut names = vec![String::new(); places.len()];
    let mut met: HashMap<&str, usize> = HashMap::new();
    for place in places {
        let item = &listing.items[place];
        names[place] = match item.username.as_deref().or(item.appid.as_deref()) {
            Some(name) => {
                let count = met.entry(name).and_modify(|count| *count += 1).or_insert(1);
                if *count == 1 { name.to_owned() } else { format!("{name}#{count}") }
            }
            None => format!("#{place}"),
        };
    }
    names
}

fn mirrored(account: &AccountId, name: &str, item: &Item, old: Option<&ItemRow>, now: Time) -> ItemRow {
    let status = item.status.number();
    let standing = old.filter(|old| old.status == status && old.gone_at.is_none());
    let profile = item.profile.clone();
    ItemRow {
        account: account.to_string(),
        item: name.to_owned(),
        program: item.appid.clone().or_else(|| old.and_then(|old| old.program.clone())),
        username: item.username.clone(),
        status,
        nickname: profile.nickname,
        headimg_url: profile.headimg_url,
        email: profile.email,
        source: profile.source,
        selected: profile.selected,
        nearby_display_status: profile.nearby_display_status,
        released: profile.released,
        copy_verify_status: profile.copy_verify_status,
        func_infos: profile.func_infos,
        status_since: standing.map_or(now.ms(), |old| old.status_since),
        first_seen_at: old.map_or(now.ms(), |old| old.first_seen_at),
        gone_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::listing::Profile;

    fn item(status: i64, username: Option<&str>, appid: Option<&str>) -> Item {
        let (username, appid) = (username.map(Into::into), appid.map(Into::into));
        Item { status: Status::from_number(status), appid, username, profile: Profile::default() }
    }

    fn account() -> AccountId {
        "wx00000000000000aa".parse().unwrap()
    }

    fn found(items: Vec<Item>, mirror: &Mirror, first: &[usize], now: i64) -> Difference {
        let listing = Listing { items };
        let names = item_names(&listing);
        difference(&account(), (&listing, &names), mirror, first.iter().copied(), Time::from_ms(now))
    }

    #[test]
    fn the_most_alive_item_of_a_name_keeps_its_row() {
        let items = vec![
            item(3, Some("gh_a"), None),
            item(1, Some("gh_a"), Some("wx1")),
            item(1, None, Some("wx2")),
            item(1, None, None),
            item(3, Some("gh_a"), None),
        ];
        assert_eq!(item_names(&Listing { items }), ["gh_a#2", "gh_a", "wx2", "#3", "gh_a#3"]);
    }

    #[test]
    fn an_unchanged_list_writes_nothing_and_a_changed_one_what_differs() {
        let shown = || vec![item(12, Some("gh_a"), Some("wx1")), item(3, Some("gh_b"), None)];
        let first = found(shown(), &Mirror::default(), &[], 5);
        assert_eq!((first.items.len(), first.gone.len(), first.kept.len()), (2, 0, 2));
        let mirror = Mirror { rows: first.items, remembered: 2, ..Mirror::default() };

        let again = found(shown(), &mirror, &[], 6);
        assert!(again.items.is_empty() && again.gone.is_empty());
        assert!(again.before.still_listed);

        let moved = found(vec![item(2, Some("gh_a"), None)], &mirror, &[], 7);
        assert_eq!(moved.gone, ["gh_b"]);
        let row = &moved.items[0];
        assert_eq!((row.status, row.status_since, row.first_seen_at, row.program.as_deref()), (2, 7, 5, Some("wx1")));
        assert_eq!(moved.before, Before { still_listed: true, vanished: vec![] }, "a rejection that goes is no loss");

        let lost = found(vec![item(3, Some("gh_b"), None), item(1, Some("gh_c"), None)], &mirror, &[], 8);
        assert_eq!(lost.before, Before { still_listed: false, vanished: vec![None] }, "wx1 is no appid");
    }

    #[test]
    fn where_room_is_short_what_is_asked_for_goes_first() {
        let names: Vec<String> = (0..5).map(|number| format!("gh_{number}")).collect();
        let list = || names.iter().map(|name| item(1, Some(name), None)).collect();
        let known = found(vec![item(1, Some("gh_0"), None)], &Mirror::default(), &[], 1).items;
        let mirror = Mirror { rows: known, remembered: ITEMS_REMEMBERED_MAX - 2, ..Mirror::default() };

        let found = found(list(), &mirror, &[4, 4, 0], 2);
        let written: Vec<&str> = found.items.iter().map(|row| row.item.as_str()).collect();
        assert_eq!((written, found.left_out, found.kept), (vec!["gh_4", "gh_1"], 2, vec![4, 0, 1]));
    }
}
