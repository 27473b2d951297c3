//! What people do by hand: the two administrators, the account's own console, and WeChat itself.

use serde::{Deserialize, Serialize};

use super::{
    advance::{approved, refused},
    world::{Phase, Starter, World},
};

/// Which administrator acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The account's: answers invitations (12) and unlink requests.
    AccountAdmin,
    /// The program's: answers what the account's has agreed to (2).
    ProgramAdmin,
}

/// The link does not wait for that, so nothing was changed. Look at the account's links first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchMove {
    /// The account has no such link, or only an old rejection.
    #[error("{program} is not linked or being linked to {account}")]
    NoLink {
        /// The account that was named.
        account: String,
        /// The program that was named.
        program: String,
    },
    /// The link waits for someone else, or for nobody.
    #[error("the link is {phase:?}, which does not wait for this administrator")]
    WaitsForAnother {
        /// Where it stands.
        phase: Phase,
    },
    /// Something is there already.
    #[error("there is a link already, and it is {phase:?}")]
    AlreadyThere {
        /// Where it stands.
        phase: Phase,
    },
}

impl World {
    /// An administrator agrees now, whatever their plan was.
    ///
    /// # Errors
    ///
    /// The link does not wait for this administrator.
    pub fn approve(&mut self, account: &str, program: &str, by: By, now: i64) -> Result<(), NoSuchMove> {
        let phase = self.waiting_for(account, program, by, now)?;
        self.settle(account, program, phase, approved(phase), now);
        Ok(())
    }

    /// An administrator says no now, whatever their plan was.
    ///
    /// # Errors
    ///
    /// The link does not wait for this administrator.
    pub fn refuse(&mut self, account: &str, program: &str, by: By, now: i64) -> Result<(), NoSuchMove> {
        let phase = self.waiting_for(account, program, by, now)?;
        self.settle(account, program, phase, refused(phase), now);
        Ok(())
    }

    /// A person begins a link in the account's own console: it waits for the program's administrator (2).
    ///
    /// # Errors
    ///
    /// The program is linked or being linked already.
    pub fn console_link(&mut self, account: &str, program: &str, now: i64) -> Result<(), NoSuchMove> {
        self.place(account, program, Phase::AwaitingProgramAdmin, now)
    }

    /// Puts a link where somebody else brought it: another platform, the console, or WeChat itself.
    ///
    /// # Errors
    ///
    /// The program is linked or being linked already.
    pub fn place(&mut self, account: &str, program: &str, phase: Phase, now: i64) -> Result<(), NoSuchMove> {
        self.up_to_date(account, now);
        if let Some((phase, _)) = self.alive(account, program) {
            return Err(NoSuchMove::AlreadyThere { phase });
        }
        self.begin(account, program, phase, Starter::Console, now, now);
        Ok(())
    }

    /// Takes every item of the program out of the account's list, rejected ones too.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn remove(&mut self, account: &str, program: &str, now: i64) -> Result<(), NoSuchMove> {
        let links = &mut self.up_to_date(account, now).links;
        let before = links.len();
        links.retain(|link| link.program != program);
        if links.len() == before {
            return Err(no_link(account, program));
        }
        Ok(())
    }

    /// Makes the list show a number nobody documented for the program's latest item, or its own again for all its items.
    ///
    /// # Errors
    ///
    /// The program is not in the account's list.
    pub fn show_status(
        &mut self,
        account: &str,
        program: &str,
        status: Option<i64>,
        now: i64,
    ) -> Result<(), NoSuchMove> {
        let links = &mut self.up_to_date(account, now).links;
        let mut listed = links.iter_mut().rev().filter(|link| link.program == program);
        let latest = listed.next().ok_or_else(|| no_link(account, program))?;
        latest.shows_status = status;
        if status.is_none() {
            // An old rejection beside it may have been the latest once.
            listed.for_each(|link| link.shows_status = None);
        }
        Ok(())
    }

    fn waiting_for(&mut self, account: &str, program: &str, by: By, now: i64) -> Result<Phase, NoSuchMove> {
        self.up_to_date(account, now);
        let (phase, _) = self.alive(account, program).ok_or_else(|| no_link(account, program))?;
        match (phase, by) {
            (Phase::AwaitingAccountAdmin | Phase::LinkedUnlinkAsked, By::AccountAdmin)
            | (Phase::AwaitingProgramAdmin, By::ProgramAdmin) => Ok(phase),
            (_, By::AccountAdmin | By::ProgramAdmin) => Err(NoSuchMove::WaitsForAnother { phase }),
        }
    }

    fn settle(&mut self, account: &str, program: &str, from: Phase, to: Option<Phase>, now: i64) {
        if let Some(phase) = to {
            self.move_to(account, program, phase, now);
            return;
        }
        let known = self.account(account);
        known.links.retain(|link| link.program != program || link.phase == Phase::Rejected);
        if from == Phase::LinkedUnlinkAsked {
            *known.unlinked.entry(program.to_owned()).or_default() += 1;
        }
    }
}

fn no_link(account: &str, program: &str) -> NoSuchMove {
    NoSuchMove::NoLink { account: account.to_owned(), program: program.to_owned() }
}
