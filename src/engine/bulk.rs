//! Actions on many, done in the background: page by page, each with how far it has come in one transaction, so that a
//! process which dies has done each thing once or not at all, and the next one goes on. Between two pages everybody else
//! can write.

use std::time::Duration;

use super::{
    Engine,
    change::{attribute, change},
    paging::Paging,
    record::Recorder,
};
use crate::{
    domain::{
        action::{ActionKind, By},
        decide::decide,
        id::RequestId,
        observation::Observation,
        request::{Request, State},
        time::Time,
    },
    shutdown::Shutdown,
    store::{
        Record, Recorded, StoreError,
        read::{
            bulk::{Choice, Found},
            bulk_under_way::UnderWay,
        },
        write::{
            account_actions::Word,
            action::Action,
            alert_actions::AlertChange,
            bulk_action::{BulkDeeds, BulkPage},
            import::ImportRow,
        },
    },
};

/// How often it is looked whether there is an action to go on with.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Things in one page: their decisions are some tens of milliseconds of the database thread, for which polls wait.
const PAGE_MAX: u32 = 250;

/// What is done, and on whose word.
struct Plan {
    choice: Choice,
    until: Option<Time>,
    by: By,
}

impl Engine {
    /// Goes on with imports that somebody left, with actions on many and with audits of everything until the end is asked
    /// for.
    pub async fn tend(&self, shutdown: &Shutdown) {
        tokio::join!(self.tend_imports(shutdown), self.tend_actions(shutdown), self.tend_audits(shutdown));
    }

    /// Goes on with actions on many until the end is asked for.
    pub async fn tend_actions(&self, shutdown: &Shutdown) {
        let tend = async {
            loop {
                // That nothing can be written is said once, where it is watched.
                if let Err(error) = self.recorder().tend_actions().await
                    && !error.is_of_disk()
                {
                    tracing::error!(
                        event = "engine.actions.failed",
                        error = %error,
                        "could not go on with an action; will retry"
                    );
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            () = shutdown.wait() => {}
            () = tend => {}
        }
    }
}

impl Recorder {
    /// Does everything that is left of actions on many, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`]: the pages so far are done, the rest waits for the next time.
    pub async fn tend_actions(&self) -> Result<(), StoreError> {
        while let Some(action) = self.store().bulk_under_way().await? {
            if let (Some(choice), by) = (action.choice(), action.by()) {
                let plan = Plan { choice, until: action.until(), by };
                // Requests that are being moved are not where they are looked for.
                if self.are_requests_moved().await? {
                    return Ok(());
                }
                self.carry_out(&action, &plan).await?;
            } else {
                tracing::error!(event = "engine.actions.unknown", action.id, "an action is not legible and was ended");
            }
            self.store().finish_bulk(action.id.clone(), self.clock().now()).await?;
            tracing::info!(event = "engine.actions.finished", action.id, "an action on many is finished");
        }
        Ok(())
    }

    /// Whether requests of an import are on their way to the others.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn are_requests_moved(&self) -> Result<bool, StoreError> {
        Ok(self.store().imports().await?.iter().any(ImportRow::is_accepted))
    }

    async fn carry_out(&self, action: &UnderWay, plan: &Plan) -> Result<(), StoreError> {
        let (mut pages, mut position) = (Paging::default(), action.position.clone());
        loop {
            let rows = pages.rows().min(PAGE_MAX);
            let found = self.store().bulk_page(&plan.choice, (&position, &action.cutoff), rows).await?;
            let Some(last) = found.last() else { return Ok(()) };
            let last = last.key.clone();
            let page = BulkPage { action: action.id.clone(), position: last.clone(), count: found.len() as u64 };
            let (watch, is_alone) = (self.clock().monotonic(), found.len() == 1);
            match self.do_page(plan, found, page.clone()).await {
                Ok(()) => {}
                Err(error) if error.is_of_one_row() && is_alone => {
                    tracing::error!(event = "db.bad_row", row = last, error = %error, "skipped by an action on many");
                    self.store().pass_bulk(page).await?;
                }
                Err(error) if error.is_of_one_row() => {
                    pages = Paging::alone();
                    continue;
                }
                Err(error) => return Err(error),
            }
            position = last;
            pages = pages.after(self.clock().monotonic().saturating_sub(watch));
            pages.let_others().await;
        }
    }

    async fn do_page(&self, plan: &Plan, found: Vec<Found>, page: BulkPage) -> Result<(), StoreError> {
        let (store, by, now) = (self.store(), plan.by.clone(), self.clock().now());
        let names: Vec<String> = found.into_iter().map(|found| found.name).collect();
        match plan.choice.kind() {
            ActionKind::Cancel => self.cancel_page(&by, &names, page).await,
            ActionKind::Retry => self.retry_page(by, &names, page).await,
            ActionKind::Acknowledge => store.change_alert_page(AlertChange::Acknowledge, names, by, now, page).await,
            ActionKind::Snooze => {
                let how = AlertChange::Snooze(plan.until.unwrap_or(now));
                store.change_alert_page(how, names, by, now, page).await
            }
            ActionKind::Resolve => store.change_alert_page(AlertChange::Resolve, names, by, now, page).await,
            ActionKind::Suspend => store.tell_page(Word::Suspend, names, by, now, page).await,
            ActionKind::Resume => store.tell_page(Word::Resume, names, by, now, page).await,
            // Nothing else is begun.
            _ => store.pass_bulk(page).await,
        }
    }

    /// Stops following these requests; one that somebody changes meanwhile is decided anew with its page.
    async fn cancel_page(&self, by: &By, ids: &[String], page: BulkPage) -> Result<(), StoreError> {
        loop {
            let requests = self.legal(ids).await?;
            let (now, policy) = (self.clock().now(), self.policy());
            let (mut changes, mut accounts, mut actions) = (Vec::new(), Vec::new(), Vec::new());
            for request in &requests {
                let decision = decide(request, &Observation::CancelAsked, &policy, now);
                let (next, step) = change(request, &Observation::CancelAsked, decision, now);
                if let (Some(mut step), State::Cancelled) = (step, next.state) {
                    attribute(&mut step, by);
                    changes.push(step);
                    accounts.push(request.account.to_string());
                    actions.push(Action::of(ActionKind::Cancel, request.id.as_str(), by, now));
                }
            }
            accounts.sort_unstable();
            accounts.dedup();
            let deeds = BulkDeeds { actions, page: page.clone() };
            let record = Record { changes, woken: Some((accounts, now)), bulk: Some(deeds), ..Record::default() };
            if self.write(record).await? == Recorded::Written {
                return Ok(());
            }
            Paging::pause().await;
        }
    }

    /// Asks again for what these requests were for.
    async fn retry_page(&self, by: By, ids: &[String], page: BulkPage) -> Result<(), StoreError> {
        let (requests, now) = (self.legal(ids).await?, self.clock().now());
        let again = |old: Request| {
            let of: RequestId = old.id;
            let request = Request::new(self.new_id(), old.kind, old.account, old.program, now);
            Request { username: old.username, labels: old.labels, retry_of: Some(of), ..request }
        };
        let requests = requests.into_iter().filter(|request| request.state.is_finished()).map(again).collect();
        self.store().accept_page(requests, by, now, page).await
    }

    /// These requests. One that is not legal is an error of its row, by which it is found.
    async fn legal(&self, ids: &[String]) -> Result<Vec<Request>, StoreError> {
        let found = self.store().requests_of(ids).await?.into_iter();
        Ok(found.collect::<Result<_, _>>()?)
    }
}
