//! Analyzes one list: whose item is whose, how far it is believed, what to remember. Pure, and slow for a long list.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{change, known_names::KnownNames};
use crate::{
    domain::{
        account::{AccountState, Outcome},
        decide::{decide, regardless_of_age},
        emptied::{Ages, Loss, loss},
        id::{AccountId, ProgramId, RequestId},
        listing::{Listing, Status},
        matching::{Findings, identify},
        observation::Observation,
        pace::{Pace, Stretch},
        plan::{AccountPlan, plan_account},
        policy::Policy,
        request::Request,
        time::Time,
    },
    store::{
        BadRow, Record,
        account_row::AccountUpdate,
        write::{
            poll::Known,
            programs::{Difference, ItemRow, ListState, Mirror, difference},
            record::Change,
        },
    },
};

/// The rules as they are kept at the moment. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Judgement {
    pub(super) policy: Arc<Policy>,
    pub(super) stretch: Stretch,
    /// Whether ages can be believed.
    pub(super) ages: Ages,
}

impl Judgement {
    /// How often is looked.
    pub(super) fn pace(&self) -> Pace<'_> {
        Pace { policy: &self.policy, stretch: self.stretch }
    }

    /// The account's state after what came of it.
    pub(super) fn after(&self, state: &AccountState, outcome: Outcome, now: Time) -> AccountState {
        state.after(outcome, self.pace(), now)
    }

    /// What all requests of an account need of it.
    pub(super) fn plan(&self, state: &AccountState, requests: &[Request], now: Time) -> AccountPlan {
        let plan = plan_account(requests, self.pace(), state.calls.held_until(now), now);
        if self.ages == Ages::Known {
            return plan;
        }
        // What is due because of an age that is not believed would be due again at once.
        let soonest = now + self.policy.steps.every(Duration::ZERO);
        AccountPlan { due: plan.due.map(|due| due.max(soonest)), ..plan }
    }

    /// What every request becomes by what was seen of it, and what is to be written of that.
    pub(super) fn decide(&self, requests: &[Request], findings: &Findings, now: Time) -> (Vec<Request>, Vec<Change>) {
        let mut changes = Vec::new();
        let mut next = Vec::with_capacity(requests.len());
        for (index, (request, seen)) in requests.iter().zip(&findings.observations).enumerate() {
            let mut decision = decide(request, seen, &self.policy, now);
            if let Some(username) = findings.usernames.get(&index) {
                decision.next.username = Some(username.clone());
            }
            let (after, change) = change::change(request, seen, decision, now);
            changes.extend(change);
            next.push(after);
        }
        (next, changes)
    }
}

/// A list that is to be thought through, whatever is known of its account by then. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct ListingCase {
    pub(super) account: AccountId,
    /// How the account stood before.
    pub(super) state: AccountState,
    pub(super) listing: Arc<Listing>,
    /// The names of its items.
    pub(super) names: Arc<Vec<String>>,
    /// The fingerprint of its bytes.
    pub(super) hash: i64,
    pub(super) judge: Judgement,
    pub(super) now: Time,
}

/// What a list says.
#[derive(Debug)]
pub(super) struct Interpreted {
    /// The requests it was read for, as they were.
    pub(super) requests: Vec<Request>,
    /// What it says of each.
    pub(super) findings: Findings,
    /// The requests as they are from now on, once it is written down.
    pub(super) next: Vec<Request>,
    /// The account likewise.
    pub(super) state: AccountState,
    /// How much of what stood in the list it lost.
    pub(super) loss: Loss,
    /// Items for which there is no room.
    pub(super) left_out: usize,
    /// Since when the account's list was not believed, and was longer than is remembered.
    pub(super) before: (Option<Time>, Option<Time>),
    /// Whether a status that nobody documents is new in it.
    pub(super) has_odd_news: bool,
}

impl ListingCase {
    /// Thinks it through, all but the requests `apart`. Answers what must be written down, and what it says.
    pub(super) fn read(&self, known: Known, apart: &HashSet<RequestId>) -> (Record, Interpreted) {
        let Known { requests, mirror, programs } = known;
        let Watched { mut requests, bad } = Watched::of(&self.account, requests);
        requests.retain(|request| !apart.contains(&request.id));
        let knows_every_request = bad == 0 && apart.is_empty();
        let (now, policy) = (self.now, &self.judge.policy);

        let memories = KnownNames::of(&programs, &mirror.rows, knows_every_request);
        let mut findings = identify(&self.listing, &requests, &memories);
        let first = findings.items.iter().flatten().copied();
        let found = difference(&self.account, (&self.listing, &self.names), &mirror, first, now);
        let loss = loss((&findings, &requests), &found.before, mirror.emptied_at, policy, (self.judge.ages, now));
        let left_out = found.left_out;
        let mut record = Record { list: self.list_state(&mirror, loss, left_out), ..Record::default() };
        match loss {
            Loss::Held { .. } => findings.hold(),
            Loss::Partial => self.remember(&mut record, found, &programs, now),
            // It was gone when nobody believed it yet.
            Loss::Believed { since } => self.remember(&mut record, found, &programs, since),
        }
        if self.judge.ages == Ages::Doubtful {
            let seen = std::mem::take(&mut findings.observations);
            findings.observations =
                requests.iter().zip(seen).map(|(request, seen)| regardless_of_age(request, seen)).collect();
        }
        // The same bytes may mean more once another list has taught a name, time has passed, or a row is mended.
        let is_open = |seen: &Observation| {
            matches!(seen, Observation::Unidentified | Observation::AbsentBesideOld | Observation::AbsentWithAll)
        };
        let is_final = knows_every_request && !findings.observations.iter().any(is_open);

        let (next, changes) = self.judge.decide(&requests, &findings, now);
        let plan = self.judge.plan(&self.state, &next, now);
        let outcome = Outcome::Listed { plan, hash: is_final.then_some(self.hash) };
        let state = self.judge.after(&self.state, outcome, now);
        record.changes = changes;
        record.account = Some(AccountUpdate::of(&self.account, &state, now));
        let is_odd = |item: &ItemRow| matches!(Status::from_number(item.status), Status::Other(_));
        let has_odd_news = record.items.iter().any(is_odd);
        let before = (mirror.emptied_at, mirror.overfull_since);
        (record, Interpreted { requests, findings, next, state, loss, left_out, before, has_odd_news })
    }

    /// How the list is as a whole, when that changed. A list that is not believed says nothing of its length.
    fn list_state(&self, mirror: &Mirror, loss: Loss, left_out: usize) -> Option<ListState> {
        let Mirror { emptied_at, overfull_since, .. } = *mirror;
        let state = match loss {
            Loss::Held { since } => (Some(since), overfull_since),
            Loss::Partial | Loss::Believed { .. } if left_out == 0 => (None, None),
            Loss::Partial | Loss::Believed { .. } => (None, overfull_since.or(Some(self.now))),
        };
        let is_news = state != (emptied_at, overfull_since);
        is_news.then(|| ListState { account: self.account.clone(), emptied_at: state.0, overfull_since: state.1 })
    }

    /// Puts into the record what is to be remembered: changed items, gone items, names learned.
    fn remember(&self, record: &mut Record, found: Difference, programs: &HashMap<String, ProgramId>, gone_at: Time) {
        let account = self.account.as_str();
        record.gone = found.gone.into_iter().map(|item| (account.to_owned(), item, gone_at.ms())).collect();
        for at in found.kept {
            let item = &self.listing.items[at];
            let program = item.appid.as_deref().and_then(|appid| appid.parse::<ProgramId>().ok());
            if let (Some(username), Some(program)) = (item.gh(), program)
                && programs.get(username.as_str()) != Some(&program)
            {
                record.names.push((username, program, self.now.ms()));
            }
        }
        record.items = found.items;
    }
}

/// The requests of an account that its list may move.
pub(super) struct Watched {
    pub(super) requests: Vec<Request>,
    /// Rows beside them that are not legal.
    pub(super) bad: usize,
}

impl Watched {
    pub(super) fn of(account: &AccountId, rows: Vec<Result<Request, BadRow>>) -> Self {
        let mut watched = Self { requests: Vec::with_capacity(rows.len()), bad: 0 };
        for row in rows {
            match row {
                Ok(request) => watched.requests.push(request),
                Err(bad) => {
                    tracing::error!(
                        event = "db.bad_row",
                        account = %account,
                        error = %bad,
                        "invalid row skipped; other rows are not affected"
                    );
                    watched.bad += 1;
                }
            }
        }
        watched
    }
}
