//! The end of a simulation: faults stop, everybody who waits gets an answer, and every request must end, in agreement
//! with the world.

use std::time::Duration;

use super::{
    generator::pairs,
    invariants::readable,
    runner::Runner,
    verdict::{Verdict, broken},
};
use crate::{
    domain::action,
    sim::{By, EmptyItems, Faults, Phase, Quotas},
    store::{file::corrupt::mend, write::standing::Standing},
};

const DAY: Duration = Duration::from_hours(24);

/// Days until everything must have ended: a monthly quota may hold a request back for a whole month, a look at an account
/// in trouble for a day.
const DAYS_MAX: u32 = 40;

impl Runner {
    /// Everything comes to its end, nothing is left over, and what is recorded is true.
    pub(super) async fn come_to_rest(&mut self) -> Verdict {
        self.tell("everything comes to rest");
        self.time.step(-self.calendar_ahead);
        self.calendar_ahead = 0;
        self.clear_the_weather();
        self.everybody_authorizes().await?;
        self.resume_everybody().await;
        for _ in 0..DAYS_MAX {
            self.everybody_answers();
            self.give_up_refused_unlinks().await;
            self.live_for(DAY, false).await?;
            self.audit().await?;
            if self.promises.requests().all(|request| request.finished_at.is_some()) {
                break;
            }
        }
        if let Some(open) = self.promises.requests().find(|request| request.finished_at.is_none()) {
            let account = readable(self.desk.store().account_views(Some(&open.account), None, 1).await);
            let what = format!("after {DAYS_MAX} quiet days: {open:#?} of {account:#?}");
            return broken("every request comes to its end", what);
        }
        // The drift check comes once a day.
        self.live_for(DAY * 2, false).await?;
        self.verify().await?;
        self.audit().await?;
        self.records_are_true()
    }

    fn clear_the_weather(&self) {
        let now = self.wechat_now();
        let mut world = self.sim.world();
        world.faults = Faults::none();
        world.quotas = Quotas::default();
        // An answer without a list is waited for to become one.
        world.switches.empty_items = EmptyItems::Array;
        for (account, program) in pairs() {
            world.account(&account).answers_always = None;
            // What is not listed shows nothing odd.
            let _ = world.show_status(&account, &program, None, now);
        }
    }

    async fn resume_everybody(&self) {
        let mended = mend(&self.setup.database).await;
        mended.unwrap_or_else(|error| panic!("nobody can mend the file: {error}"));
        for (account, _) in pairs() {
            let account = account.parse().unwrap_or_else(|_| panic!("{account} is no appid"));
            // One that nobody ever asked for needs no resuming.
            let _ = self.desk.by(action::By::simulated()).set_standing(&account, Standing::Active).await;
        }
    }

    fn everybody_answers(&self) {
        let now = self.wechat_now();
        let mut world = self.sim.world();
        for (account, program) in pairs() {
            for by in [By::AccountAdmin, By::ProgramAdmin] {
                // Who is not waited for says nothing.
                let _ = world.approve(&account, &program, by, now);
            }
        }
    }

    /// An administrator who refuses an unlink leaves no trace in the list: it waits until a person, or a deadline, ends it.
    async fn give_up_refused_unlinks(&self) {
        let waiting =
            self.promises.requests().filter(|request| request.kind == "unlink" && request.state == "initiated");
        for request in waiting {
            let asks = self
                .sim
                .world()
                .links(&request.account)
                .iter()
                .any(|link| link.program == request.program && link.phase == Phase::LinkedUnlinkAsked);
            if let (false, Ok(id)) = (asks, request.id.parse()) {
                // It may have ended since it was last seen.
                let _ = self.desk.by(action::By::simulated()).cancel(&id).await;
            }
        }
    }

    /// The latest of every pair's requests to link that ended in a link is one still, and what was unlinked is none.
    fn records_are_true(&self) -> Verdict {
        let world = self.sim.world();
        for request in self.promises.requests().filter(|request| request.kind == "link" && request.state == "linked") {
            let links = world.links(&request.account).iter().filter(|link| link.program == request.program);
            let is_linked =
                links.into_iter().any(|link| matches!(link.phase, Phase::Linked | Phase::LinkedUnlinkAsked));
            if !is_linked {
                return broken("the list is the only truth", format!("recorded as linked, and is not: {request:#?}"));
            }
        }
        Ok(())
    }
}
