//! One list, thought through: whose item is whose, how far it is believed, what of it is remembered. Pure, and for a long
//! list long work.

use std::{collections::HashMap, sync::Arc};

use super::memories::Memories;
use crate::{
    domain::{
        decide::regardless_of_age,
        emptied::{Ages, Loss, loss},
        id::{AccountId, ProgramId},
        identify::{Findings, identify},
        listing::Listing,
        observation::Observation,
        policy::Policy,
        request::Request,
        time::Time,
    },
    store::{
        Record,
        programs::{Difference, ListState, Mirror, difference},
    },
};

/// A list, and everything that is known of its account.
#[derive(Debug)]
pub(super) struct Study {
    pub(super) account: AccountId,
    pub(super) listing: Arc<Listing>,
    /// The names of its items.
    pub(super) names: Arc<Vec<String>>,
    pub(super) requests: Vec<Request>,
    pub(super) mirror: Mirror,
    /// The programs of `gh_` ids in it, as far as any list taught them.
    pub(super) programs: HashMap<String, ProgramId>,
    pub(super) knows_every_request: bool,
    pub(super) policy: Policy,
    pub(super) ages: Ages,
    pub(super) now: Time,
}

/// What a list says.
#[derive(Debug)]
pub(super) struct Studied {
    /// The requests it was read for.
    pub(super) requests: Vec<Request>,
    /// What it says of each.
    pub(super) findings: Findings,
    /// What must be remembered of it.
    pub(super) record: Record,
    /// How much of what stood in the list it lost.
    pub(super) loss: Loss,
    /// Items for which there is no room.
    pub(super) left_out: usize,
    /// Whether the same bytes would say the same another time.
    pub(super) is_final: bool,
}

impl Study {
    pub(super) fn read(self) -> Studied {
        let Self { listing, names, requests, mirror, now, .. } = &self;
        let known = Memories::of(&self.programs, &mirror.rows, self.knows_every_request);
        let mut findings = identify(listing, requests, &known);
        let first = findings.items.iter().flatten().copied();
        let found = difference(&self.account, (listing, names), mirror, first, *now);
        let judged = (self.ages, *now);
        let loss = loss((&findings, requests), &found.before, mirror.emptied_at, &self.policy, judged);
        let left_out = found.left_out;
        let mut record = Record { list: self.list_state(loss, left_out), ..Record::default() };
        match loss {
            Loss::Held { .. } => findings.hold(),
            Loss::Partial => self.remember(&mut record, found, *now),
            // It was gone when nobody believed it yet.
            Loss::Believed { since } => self.remember(&mut record, found, since),
        }
        if self.ages == Ages::Doubtful {
            let seen = std::mem::take(&mut findings.observations);
            findings.observations =
                requests.iter().zip(seen).map(|(request, seen)| regardless_of_age(request, seen)).collect();
        }
        // The same bytes may mean more once another list has taught a name, time has passed, or a row is mended.
        let is_open = |seen: &Observation| {
            matches!(seen, Observation::Unidentified | Observation::AbsentBesideOld | Observation::AbsentWithAll)
        };
        let is_final = self.knows_every_request && !findings.observations.iter().any(is_open);
        Studied { requests: self.requests, findings, record, loss, left_out, is_final }
    }

    /// How the list is as a whole, when that changed. A list that is not believed says nothing of its length.
    fn list_state(&self, loss: Loss, left_out: usize) -> Option<ListState> {
        let Mirror { emptied_at, overfull_since, .. } = self.mirror;
        let state = match loss {
            Loss::Held { since } => (Some(since), overfull_since),
            Loss::Partial | Loss::Believed { .. } if left_out == 0 => (None, None),
            Loss::Partial | Loss::Believed { .. } => (None, overfull_since.or(Some(self.now))),
        };
        let is_news = state != (emptied_at, overfull_since);
        is_news.then(|| ListState { account: self.account.clone(), emptied_at: state.0, overfull_since: state.1 })
    }

    /// Puts into the record what is to be remembered: changed items, gone items, names learned.
    fn remember(&self, record: &mut Record, found: Difference, gone_at: Time) {
        let account = self.account.as_str();
        record.gone = found.gone.into_iter().map(|item| (account.to_owned(), item, gone_at.ms())).collect();
        for at in found.kept {
            let item = &self.listing.items[at];
            let program = item.appid.as_deref().and_then(|appid| appid.parse::<ProgramId>().ok());
            if let (Some(username), Some(program)) = (item.gh(), program)
                && self.programs.get(username.as_str()) != Some(&program)
            {
                record.names.push((username, program, self.now.ms()));
            }
        }
        record.items = found.items;
    }
}
