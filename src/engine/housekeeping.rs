//! Work started by cron: the drift check of linked accounts, housekeeping. It runs in pages, so that it blocks nobody.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    sync::atomic::Ordering,
    time::Duration,
};

use serde::Serialize;

use super::{Engine, paging::Paging, record::Recorder};
use crate::{
    domain::time::Time,
    store::{
        StoreError,
        read::{
            proof::Proof,
            views::{ConflictView, RequestView},
        },
        write::{
            housekeeping::Retention,
            prune::{Belongings, ENDED, NudgeRecord, SpentPage},
        },
    },
};

/// Accounts that one transaction makes due: a few milliseconds of the writer's time.
const DRIFT_PAGE: u32 = 5_000;

/// A drift check of all accounts is spread over at least this time, so that it leaves room for open requests.
const DRIFT_SPREAD: Duration = Duration::from_hours(1);

/// Of all turns, the part that a drift check may take on average.
const DRIFT_PART: f64 = 0.25;

/// It is over before the next one begins.
const DRIFT_SPREAD_MAX: Duration = Duration::from_hours(20);

/// How long messages to the outside are kept that nobody is owed any more.
pub const KEEP_EVENTS: Duration = Duration::from_hours(24 * 30);

/// How long messages are kept that were given up: a person who looks once a quarter still finds them.
const KEEP_DEAD: Duration = Duration::from_hours(24 * 90);

/// How long pushes are known that are done with: a repetition comes within minutes, and this is days.
const KEEP_PUSHES: Duration = Duration::from_hours(24 * 7);

/// Finished requests that one night's housekeeping takes away: some minutes, in which no other job runs. Whoever sets a
/// retention for the first time waits some nights, or prunes by hand.
const PRUNE_MAX: u64 = 100_000;

impl Engine {
    /// Makes every account due that has linked requests and nothing open, spread over the next hour: links can be
    /// removed by anybody at any time, and the list alone tells.
    ///
    /// # Errors
    /// [`StoreError`]: the pages so far are due, the rest is not.
    #[tracing::instrument(name = "engine.drift", skip_all, err)]
    pub async fn begin_drift(&self) -> Result<(), StoreError> {
        let now = self.clock().now();
        let linked = self.store().linked_accounts().await?;
        self.note_linked(linked);
        let spread = DRIFT_SPREAD.max(self.time_for_looks(linked).mul_f64(1.0 / DRIFT_PART)).min(DRIFT_SPREAD_MAX);
        let mut last = Some(0);
        while let Some(after) = last {
            last = self.store().begin_drift(after, DRIFT_PAGE, now, spread).await?;
            self.reload.store(true, Ordering::Release);
        }
        self.store().have_reread().await
    }

    /// Takes spent rows away, a bounded number at a time; finished requests too, `retention` after their end.
    ///
    /// # Errors
    /// [`PruneError`]: what was taken so far is gone, the rest stays for the next time.
    #[tracing::instrument(name = "engine.housekeeping", skip_all, err)]
    pub async fn housekeep(&self, retention: Option<Duration>) -> Result<(), PruneError> {
        let recorder = self.recorder();
        recorder.prune_messages().await?;
        self.store().prune_pushes(self.clock().now() - KEEP_PUSHES).await?;
        if let Some(age) = retention {
            let pruned = recorder.prune_requests(self.clock().now() - age, PRUNE_MAX, &mut |_| Ok(())).await?;
            if pruned.requests() > 0 || pruned.unsound > 0 {
                tracing::info!(requests = pruned.requests(), unsound = pruned.unsound, "pruning old requests");
            }
        }
        Ok(())
    }
}

/// Why old requests were not taken away.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The database would not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was to be kept of them could not be written.
    #[error("cannot write the archive: {0}")]
    Export(io::Error),
}

/// A request that is about to be taken away, with all that is known of it.
#[derive(Debug, Serialize)]
pub struct Leaving {
    /// Its history, as `request history --proof` prints it.
    #[serde(flatten)]
    pub proof: Proof,
    /// Its row of `v_request`.
    pub record: Option<RequestView>,
    /// Its rows of `v_conflict`.
    pub conflicts: Vec<ConflictView>,
    /// Its rows of `v_nudge`.
    pub nudges: Vec<NudgeRecord>,
}

/// Which requests were taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// By the state in which they had ended.
    pub by_state: BTreeMap<&'static str, u64>,
    /// Those that stay because their history does not hold: it is evidence that somebody changed the file.
    pub unsound: u64,
}

impl Pruned {
    /// All of them.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.by_state.values().sum()
    }
}

impl Recorder {
    /// Takes messages away that nobody is owed, alerts that are over and gates that are open.
    ///
    /// # Errors
    /// [`StoreError`]: what was taken so far is gone, the rest stays for the next time.
    pub async fn prune_messages(&self) -> Result<u64, StoreError> {
        let now = self.clock().now();
        let keep = Retention { events: now - KEEP_EVENTS, dead: now - KEEP_DEAD };
        let mut taken = 0;
        loop {
            match self.store().prune(keep, now).await? {
                0 => return Ok(taken),
                some => taken += some,
            }
        }
    }

    /// Takes requests away that ended before then and that nothing needs, page by page, until these are at least `most`;
    /// `keep` has written down what it wants of a page before it goes.
    ///
    /// # Errors
    /// [`PruneError`]: the pages so far are gone, the rest stays.
    pub async fn prune_requests(
        &self,
        before: Time,
        most: u64,
        keep: &mut (dyn FnMut(&[Leaving]) -> io::Result<()> + Send),
    ) -> Result<Pruned, PruneError> {
        let mut pruned = Pruned::default();
        let Some(before) = self.store().prunable_before(before).await? else { return Ok(pruned) };
        let mut unsound = HashSet::new();
        loop {
            let mut taken = 0;
            for state in ENDED {
                let left = most.saturating_sub(pruned.requests());
                let gone = self.prune_state(before, state, left, &mut unsound, keep).await?;
                *pruned.by_state.entry(state).or_default() += gone;
                taken += gone;
            }
            // What a later try had named can go once that try has gone.
            if taken == 0 {
                pruned.unsound = unsound.len() as u64;
                return Ok(pruned);
            }
        }
    }

    async fn prune_state(
        &self,
        before: Time,
        state: &'static str,
        most: u64,
        unsound: &mut HashSet<String>,
        keep: &mut (dyn FnMut(&[Leaving]) -> io::Result<()> + Send),
    ) -> Result<u64, PruneError> {
        let (mut taken, mut pages, mut page) = (0, Paging::default(), SpentPage::first(before, state));
        while taken < most {
            page.limit = pages.rows();
            let ids = self.store().spent_requests(&page).await?;
            let Some(last) = ids.last() else { return Ok(taken) };
            page.below = last.clone();
            let leaving = self.leaving(&ids, unsound).await?;
            if leaving.is_empty() {
                continue;
            }
            keep(&leaving).map_err(PruneError::Export)?;
            let ids = leaving.into_iter().map(|one| one.proof.id().to_owned()).collect();
            let watch = self.clock().monotonic();
            taken += self.store().take_requests_away(ids, before).await?;
            pages = pages.after(self.clock().monotonic().saturating_sub(watch));
            pages.let_others().await;
        }
        Ok(taken)
    }

    /// Those of the requests whose histories hold, with everything that is known of them.
    async fn leaving(&self, ids: &[String], unsound: &mut HashSet<String>) -> Result<Vec<Leaving>, StoreError> {
        let (sound, broken): (Vec<Proof>, Vec<Proof>) =
            self.store().proofs(ids).await?.into_iter().partition(|proof| proof.findings.is_empty());
        for proof in broken {
            if unsound.insert(proof.id().to_owned()) {
                let finding = proof.findings.first();
                tracing::error!(request.id = proof.id(), finding, "request not pruned: its history does not verify");
            }
        }
        let ids: Vec<String> = sound.iter().map(|proof| proof.id().to_owned()).collect();
        let Belongings { requests, conflicts, nudges } = self.store().belongings(&ids).await?;
        let mut records: HashMap<String, RequestView> = requests.into_iter().map(|row| (row.id.clone(), row)).collect();
        let mut conflicts = grouped(conflicts, |row| &row.request_id);
        let mut nudges = grouped(nudges, |row| &row.request_id);
        let leaving = |proof: Proof| Leaving {
            record: records.remove(proof.id()),
            conflicts: conflicts.remove(proof.id()).unwrap_or_default(),
            nudges: nudges.remove(proof.id()).unwrap_or_default(),
            proof,
        };
        Ok(sound.into_iter().map(leaving).collect())
    }
}

fn grouped<T>(rows: Vec<T>, request: impl Fn(&T) -> &String) -> HashMap<String, Vec<T>> {
    let mut groups: HashMap<String, Vec<T>> = HashMap::new();
    for row in rows {
        groups.entry(request(&row).clone()).or_default().push(row);
    }
    groups
}
