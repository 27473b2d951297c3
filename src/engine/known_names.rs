//! What the store knows of names and of an account's earlier listings, for matching items to requests.

use std::collections::HashMap;

use crate::{
    domain::{
        id::{ProgramId, Username},
        listing::Status,
        matching::Known,
        time::Time,
    },
    store::write::programs::ItemRow,
};

/// What the store remembers of names and of the account's earlier listings.
#[derive(Debug)]
pub(super) struct KnownNames<'a> {
    names: &'a HashMap<String, ProgramId>,
    /// What stood in the list, by `gh_` id.
    standing: HashMap<&'a str, Vec<&'a ItemRow>>,
    knows_every_request: bool,
}

impl<'a> KnownNames<'a> {
    pub(super) fn of(names: &'a HashMap<String, ProgramId>, mirror: &'a [ItemRow], knows_every_request: bool) -> Self {
        let mut standing: HashMap<&str, Vec<&ItemRow>> = HashMap::new();
        for row in mirror.iter().filter(|row| row.gone_at.is_none()) {
            if let Some(username) = row.username.as_deref() {
                standing.entry(username).or_default().push(row);
            }
        }
        Self { names, standing, knows_every_request }
    }

    fn rows(&self, username: &str) -> impl Iterator<Item = &ItemRow> {
        self.standing.get(username).into_iter().flatten().copied()
    }

    fn with_status(&self, username: &str, status: Status) -> impl Iterator<Item = Time> {
        let same = self.rows(username).filter(move |row| row.status == status.number());
        same.map(|row| Time::from_ms(row.status_since))
    }
}

impl Known for KnownNames<'_> {
    fn program(&self, username: &Username) -> Option<ProgramId> {
        self.names.get(username.as_str()).cloned()
    }

    fn knows_every_request(&self) -> bool {
        self.knows_every_request
    }

    /// An item that was alive before and is alive now is the same link, moved on; only a rejection that came alive, or a
    /// live one that was refused, is something new. Of several with one name the oldest counts: what may be old is not
    /// taken for new.
    fn standing_since(&self, username: &str, status: Status) -> Option<Time> {
        let alive = |row: &&ItemRow| row.status != Status::Rejected.number() && status != Status::Rejected;
        let moved_on = || self.rows(username).filter(alive).map(|row| Time::from_ms(row.first_seen_at)).min();
        self.with_status(username, status).min().or_else(moved_on)
    }

    /// Of several with one name the youngest counts: what may be new is not taken for old.
    fn unchanged_since(&self, username: &str, status: Status) -> Option<Time> {
        self.with_status(username, status).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(username: &str, status: i64, status_since: i64, first_seen_at: i64, gone_at: Option<i64>) -> ItemRow {
        ItemRow {
            account: "wx00000000000000aa".to_owned(),
            item: format!("{username}#{status_since}"),
            program: None,
            username: Some(username.to_owned()),
            status,
            nickname: None,
            headimg_url: None,
            email: None,
            source: None,
            selected: None,
            nearby_display_status: None,
            released: None,
            copy_verify_status: None,
            func_infos: None,
            status_since,
            first_seen_at,
            gone_at,
        }
    }

    #[test]
    fn what_moved_on_is_the_same_link_and_what_changed_is_not_unchanged() {
        let mirror = [
            row("gh_moved", 12, 50, 10, None),
            row("gh_refused", 3, 50, 10, None),
            row("gh_gone", 12, 50, 10, Some(60)),
            row("gh_twice", 3, 20, 20, None),
            row("gh_twice", 3, 70, 70, None),
        ];
        let names = HashMap::new();
        let known = KnownNames::of(&names, &mirror, true);
        let since = |name, status| known.standing_since(name, status).map(Time::ms);
        let unchanged = |name, status| known.unchanged_since(name, status).map(Time::ms);
        let (pending, accepted) = (Status::AwaitingAccountAdmin, Status::AwaitingProgramAdmin);

        assert_eq!((since("gh_moved", pending), unchanged("gh_moved", pending)), (Some(50), Some(50)));
        assert_eq!((since("gh_moved", accepted), unchanged("gh_moved", accepted)), (Some(10), None));
        assert_eq!((since("gh_moved", Status::Rejected), unchanged("gh_moved", Status::Rejected)), (None, None));
        assert_eq!((since("gh_refused", pending), unchanged("gh_refused", pending)), (None, None), "it came alive");
        assert_eq!((since("gh_gone", pending), unchanged("gh_gone", pending)), (None, None));
        assert_eq!((since("gh_new", pending), unchanged("gh_new", pending)), (None, None));
        let twice = (since("gh_twice", Status::Rejected), unchanged("gh_twice", Status::Rejected));
        assert_eq!(twice, (Some(20), Some(70)), "neither old for new nor new for old");
    }
}
