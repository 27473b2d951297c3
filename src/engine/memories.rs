//! What the store remembers of names and of an account's earlier listings, for telling whose item is whose. It must never
//! tell by itself.

use std::collections::HashMap;

use crate::{
    domain::{
        id::{AccountId, ProgramId, Username},
        identify::Known,
        listing::{Listing, Status},
        time::Time,
    },
    store::{
        Record,
        programs::{ItemRow, difference},
    },
};

/// What the store remembers of names and of the account's earlier listings.
pub(super) struct Memories<'a> {
    pub(super) names: HashMap<String, ProgramId>,
    pub(super) mirror: &'a [ItemRow],
    pub(super) knows_every_request: bool,
}

impl Known for Memories<'_> {
    fn program(&self, username: &Username) -> Option<ProgramId> {
        self.names.get(username.as_str()).cloned()
    }

    fn knows_every_request(&self) -> bool {
        self.knows_every_request
    }

    /// An item that was alive before and is alive now is the same link, moved on; only a rejection that came alive, or a
    /// live one that was refused, is something new.
    fn standing_since(&self, username: &str, status: Status) -> Option<Time> {
        let rejected = Status::Rejected.number();
        let row = self.mirror.iter().find(|row| row.username.as_deref() == Some(username) && row.gone_at.is_none())?;
        let same = row.status == status.number();
        let alive = row.status != rejected && status != Status::Rejected;
        (same || alive).then(|| Time::from_ms(if same { row.status_since } else { row.first_seen_at }))
    }
}

/// Puts into the record what the listing shows of programs: changed items, gone items, names learned.
pub(super) fn mirror_into(
    record: &mut Record,
    account: &AccountId,
    listing: &Listing,
    known: &Memories<'_>,
    now: Time,
) {
    let (items, gone) = difference(account, listing, known.mirror, now);
    record.items = items;
    record.gone = gone.into_iter().map(|row| (row.account, row.item, now.ms())).collect();
    for item in &listing.items {
        let program = item.appid.as_deref().and_then(|appid| appid.parse::<ProgramId>().ok());
        if let (Some(username), Some(program)) = (item.gh(), program)
            && known.names.get(username.as_str()) != Some(&program)
        {
            record.names.push((username, program, now.ms()));
        }
    }
}
