//! Bulk imports: staged in pages that nobody sees, accepted at one moment, moved in pages to where the loop finds them.
//! Killed before that moment, nothing remains; after it, any process continues. Between two pages everybody else can
//! write.

use std::{collections::HashMap, time::Duration};

use super::{
    Engine,
    operator::Operator,
    paging::Paging,
    record::Recorder,
    wish::{AT_ONCE_MAX, AskError, Wish, check_all},
};
use crate::{
    domain::{action::ActionKind, time::Time},
    shutdown::Shutdown,
    store::{
        StoreError,
        write::{
            action::Action,
            import::{Claimed, ImportRow},
            requests::Accepted,
            urgency::Urgency,
        },
    },
};

/// How often a daemon looks after imports that somebody left.
const TEND_EVERY: Duration = Duration::from_secs(5);

/// Who moves lines writes a page every second: after so long the daemon goes on with them.
const LEFT_AFTER: Duration = Duration::from_secs(5);

/// Nobody stages so slowly, nor waits so long for the file: the process is gone, or comes too late.
const DEAD_AFTER: Duration = Duration::from_mins(10);

/// Tries to find a moment in which nobody else asks for the same. Each time somebody else has got a request, so that so
/// many mean another import of the same file that never ends.
const MOMENTS_MAX: u32 = 1_000;

/// Lines that are let wait in one go because they cannot be moved. More than these are not a few rows that somebody changed.
const STUCK_MAX: u32 = 100;

/// Wishes that were taken.
#[derive(Debug)]
pub struct Imported {
    /// What became of each, in their order.
    pub accepted: Vec<Accepted>,
    /// Why not all of them are moved to where the daemon finds them; it will do that itself.
    pub interrupted: Option<StoreError>,
}

/// How far an import is, in wishes: each is written once for nobody, and once for all.
pub type Told<'t> = &'t (dyn Fn(usize) + Sync);

impl Operator<'_> {
    /// Takes any number of wishes, all or none, as [`Operator::accept`] does, in the turn of their accounts; everybody
    /// sees all of them at one moment, and nobody who writes beside it waits for long. `told` hears how far it is, up to
    /// twice their number.
    ///
    /// # Errors
    /// [`AskError`]: none was taken, and what was written for nobody is taken away.
    pub async fn import(self, wishes: Vec<Wish>, told: Told<'_>) -> Result<Imported, AskError> {
        check_all(&wishes)?;
        if wishes.len() <= AT_ONCE_MAX {
            let accepted = self.accept_at_once(wishes, Urgency::InTurn).await?;
            return Ok(Imported { accepted, interrupted: None });
        }
        let count = wishes.len();
        let import = self.recorder.store().begin_import(self.recorder.clock().now()).await?;
        let accepted = match self.stage_and_accept(import, wishes, told).await {
            Ok(accepted) => accepted,
            Err(unsure @ AskError::Unsure(_)) => return Err(unsure),
            Err(error) => {
                self.recorder.give_up(import).await;
                return Err(error);
            }
        };
        let interrupted = self.recorder.move_all(import, &|moved| told(count + moved)).await.err();
        Ok(Imported { accepted, interrupted })
    }

    async fn stage_and_accept(
        &self,
        import: i64,
        wishes: Vec<Wish>,
        told: Told<'_>,
    ) -> Result<Vec<Accepted>, AskError> {
        let begun = self.recorder.clock().now();
        let (mut order, mut staged) = (Vec::with_capacity(wishes.len()), Vec::with_capacity(wishes.len()));
        let mut wishes = in_order(wishes).into_iter();
        let mut pages = Paging::default();
        loop {
            let page: Vec<(usize, Wish)> = wishes.by_ref().take(pages.rows() as usize).collect();
            if page.is_empty() {
                break;
            }
            order.extend(page.iter().map(|(place, _)| *place));
            let requests = page.into_iter().map(|(_, wish)| self.recorder.request_for(wish, begun)).collect();
            let watch = self.recorder.clock().monotonic();
            staged.extend(self.recorder.store().stage(import, requests, self.recorder.clock().now()).await?);
            pages = pages.after(self.recorder.clock().monotonic().saturating_sub(watch));
            told(staged.len());
            pages.let_others().await;
        }
        let fresh = staged.iter().filter(|accepted| !accepted.existing).count();
        let claimed = self.find_the_moment(import, fresh as u64).await?;
        Ok(answers(&order, staged, &claimed))
    }

    /// Accepts the import as soon as nothing stands between; the lines whose wishes others hold.
    async fn find_the_moment(&self, import: i64, fresh: u64) -> Result<Vec<Claimed>, AskError> {
        for _ in 0..MOMENTS_MAX {
            // One at a time is being moved, and what is moved claims lines of this one.
            for other in self.recorder.store().imports().await?.iter().filter(|other| other.is_accepted()) {
                self.recorder.move_all(other.id, &|_| {}).await?;
            }
            // A page of nothing: the import lives.
            self.recorder.store().stage(import, Vec::new(), self.recorder.clock().now()).await?;
            let (claims, claimed) = self.recorder.store().claims(import).await?;
            let (store, now) = (self.recorder.store(), self.recorder.clock().now());
            let fresh = fresh.saturating_sub(claimed.len() as u64);
            let action = Action::of_many(ActionKind::Request, fresh, &self.by, now);
            match store.accept_import(import, claims, action, now).await {
                Ok(true) => return Ok(claimed),
                Ok(false) => Paging::pause().await,
                Err(error) => match self.is_accepted_after_all(import).await {
                    Some(true) => return Ok(claimed),
                    Some(false) => return Err(error.into()),
                    None => return Err(AskError::Unsure(error)),
                },
            }
        }
        Err(StoreError::ImportGone.into())
    }

    /// A commit can fail and be on disk all the same; `None` when nobody can tell.
    async fn is_accepted_after_all(&self, import: i64) -> Option<bool> {
        let is_given_up = self.recorder.store().abandon_import(import, None).await.ok()?;
        let imports = self.recorder.store().imports().await.ok()?;
        let state = imports.iter().find(|row| row.id == import).map(|row| row.state.as_str());
        match state {
            Some("abandoned") => Some(false),
            None if is_given_up => Some(false),
            Some(_) => Some(true),
            None => None,
        }
    }
}

impl Recorder {
    /// Moves everything of an accepted import, page by page; others may do the same.
    async fn move_all(&self, import: i64, told: Told<'_>) -> Result<(), StoreError> {
        let (mut pages, mut moved, mut stuck) = (Paging::default(), 0, 0);
        loop {
            let watch = self.clock().monotonic();
            match self.store().move_lines(import, pages.rows(), self.clock().now()).await {
                Ok(0) => return Ok(()),
                Ok(lines) => moved += usize::try_from(lines).unwrap_or(0),
                Err(error) if error.is_of_one_row() => {
                    if pages.rows() == 1 {
                        stuck += 1;
                        if stuck > STUCK_MAX {
                            return Err(error);
                        }
                        self.store().stick_line(import).await?;
                    }
                    pages = Paging::alone();
                    continue;
                }
                Err(error) => return Err(error),
            }
            pages = pages.after(self.clock().monotonic().saturating_sub(watch));
            told(moved);
            pages.let_others().await;
        }
    }

    /// Takes away what was staged. What cannot be taken away now is never seen, and goes later.
    async fn give_up(&self, import: i64) {
        let taken_away = async {
            self.store().abandon_import(import, None).await?;
            self.sweep(import).await
        };
        if let Err(error) = taken_away.await {
            tracing::warn!(import, error = %error, "staged lines will be deleted later");
        }
    }

    async fn sweep(&self, import: i64) -> Result<(), StoreError> {
        let mut pages = Paging::default();
        loop {
            let watch = self.clock().monotonic();
            if self.store().sweep_import(import, pages.rows()).await? == 0 {
                return Ok(());
            }
            pages = pages.after(self.clock().monotonic().saturating_sub(watch));
            pages.let_others().await;
        }
    }

    /// Goes on with every import that somebody left: what is accepted is moved, what is not is taken away.
    ///
    /// # Errors
    /// [`StoreError`]: the pages so far are done, the rest waits for the next time.
    pub async fn tend_imports(&self) -> Result<(), StoreError> {
        for ImportRow { id, state, beat_at } in self.store().imports().await? {
            // A calendar that was stepped back is no sign of life.
            let (now, beat) = (self.clock().now(), Time::from_ms(beat_at));
            let silent = now.since(beat).max(beat.since(now));
            match state.as_str() {
                "accepted" if silent >= LEFT_AFTER => self.move_all(id, &|_| {}).await?,
                "abandoned" => self.sweep(id).await?,
                "staged" if silent >= DEAD_AFTER && self.store().abandon_import(id, Some(beat)).await? => {
                    self.sweep(id).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Engine {
    /// Looks after imports until the end is asked for.
    pub async fn tend_imports(&self, shutdown: &Shutdown) {
        let tend = async {
            let mut tended = self.try_again_what_is_stuck().await;
            loop {
                tended = tended.and(self.recorder().tend_imports().await);
                // That nothing can be written is said once, where it is watched.
                if let Err(error) = &tended
                    && !error.is_of_disk()
                {
                    tracing::error!(
                        event = "engine.imports.failed",
                        error = %error,
                        "could not process imports; will retry"
                    );
                }
                tokio::time::sleep(TEND_EVERY).await;
                tended = Ok(());
            }
        };
        tokio::select! {
            () = shutdown.wait() => {}
            () = tend => {}
        }
    }
}

impl Engine {
    /// Somebody may have mended the rows before this start.
    async fn try_again_what_is_stuck(&self) -> Result<(), StoreError> {
        if self.store().imports().await?.iter().any(|row| row.state == "stuck") {
            let lines = self.store().retry_stuck_lines().await?;
            tracing::info!(lines, "import lines on hold are retried");
        }
        Ok(())
    }
}

/// What a wish is for.
fn of(wish: &Wish) -> (&str, &str, &str) {
    (wish.account.as_str(), wish.program.as_str(), wish.kind.as_str())
}

/// Wishes by account and pair, each with its place: neighbours in the file of the database are written together, and each
/// page touches few of its pages. Those for the same stay in their order, for the first of them counts.
fn in_order(wishes: Vec<Wish>) -> Vec<(usize, Wish)> {
    let mut order: Vec<(usize, Wish)> = wishes.into_iter().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| of(a).cmp(&of(b)));
    order
}

/// What became of each wish, in the order in which they were given.
fn answers(order: &[usize], staged: Vec<Accepted>, claimed: &[Claimed]) -> Vec<Accepted> {
    let twins: HashMap<&str, &str> =
        claimed.iter().map(|claimed| (claimed.line.as_str(), claimed.twin.as_str())).collect();
    let mut answers: Vec<(usize, Accepted)> = order.iter().copied().zip(staged).collect();
    answers.sort_unstable_by_key(|(place, _)| *place);
    let held = |accepted: Accepted| match twins.get(accepted.id.as_str()) {
        Some(twin) => Accepted { id: (*twin).to_owned(), existing: true },
        None => accepted,
    };
    answers.into_iter().map(|(_, accepted)| held(accepted)).collect()
}
