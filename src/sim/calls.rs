//! The three link APIs on plain data, without HTTP, tokens or faults.

use super::{
    advance::Rules,
    api_name::Api,
    call_log::CallLogEntry,
    errcode,
    listing::{self, Listing},
    quota::reached,
    switches::RejectedItem,
    world::{Account, Link, Phase, Starter, World},
};

/// What a caller of `wxamplink` asks besides the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Message every fan of the account.
    pub notify_users: bool,
    /// Show the program on the account's profile.
    pub show_profile: bool,
}

/// The verdict of one call. 0 means taken; the text comes without the request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// WeChat's number.
    pub errcode: i64,
    /// Whether an invitation or unlink request went out.
    pub effect: bool,
}

impl Answer {
    fn of(verdict: Result<(), i64>) -> Self {
        Self { errcode: verdict.err().unwrap_or(0), effect: verdict.is_ok() }
    }

    /// WeChat's text for the number, without the request id.
    #[must_use]
    pub fn errmsg(self) -> &'static str {
        errcode::text(self.errcode)
    }
}

impl World {
    /// `wxamplink`: sends an invitation, or says why not. `now` is milliseconds UTC.
    pub fn link(&mut self, account: &str, program: &str, flags: Flags, now: i64) -> Answer {
        let answer = Answer::of(self.link_verdict(account, program, now));
        if answer.effect {
            self.spend_invitation(account, program, now);
            self.invite(account, program, now);
        }
        self.record(Api::Link, account, program, flags, answer, now);
        answer
    }

    /// `wxampunlink`: asks the account's administrator, or says why not.
    pub fn unlink(&mut self, account: &str, program: &str, now: i64) -> Answer {
        let answer = Answer::of(self.unlink_verdict(account, program, now));
        if answer.effect {
            self.ask_unlink(account, program, now);
        }
        self.record(Api::Unlink, account, program, Flags::default(), answer, now);
        answer
    }

    /// `wxamplinkget`: every program of one account.
    ///
    /// # Errors
    ///
    /// The code that WeChat answers instead of a list.
    pub fn listing(&mut self, account: &str, now: i64) -> Result<Listing, i64> {
        self.account_allows(account, Api::Listing, now)?;
        Ok(listing::of(self, account, now))
    }

    fn link_verdict(&mut self, account: &str, program: &str, now: i64) -> Result<(), i64> {
        self.account_allows(account, Api::Link, now)?;
        self.program_is_known(program)?;
        match self.alive(account, program) {
            Some((Phase::Linked | Phase::LinkedUnlinkAsked, _)) => {
                return Err(errcode::ALREADY_LINKED);
            }
            Some((_, Starter::Console)) => return Err(errcode::STARTED_FROM_CONSOLE),
            Some((_, Starter::Platform)) => return Err(errcode::LINK_IN_FLIGHT),
            None => {}
        }
        let subject = self.program(program);
        if subject.overseas {
            return Err(errcode::OVERSEAS);
        }
        if subject.banned {
            return Err(errcode::BANNED);
        }
        self.quotas_allow(account, program, now)
    }

    fn unlink_verdict(&mut self, account: &str, program: &str, now: i64) -> Result<(), i64> {
        self.account_allows(account, Api::Unlink, now)?;
        self.program_is_known(program)?;
        match self.alive(account, program) {
            Some((Phase::LinkedUnlinkAsked, _)) => return Err(errcode::UNLINK_IN_FLIGHT),
            Some((Phase::Linked, _)) => {}
            Some(_) | None => return Err(self.switches.unlink_of_nothing),
        }
        let subject = self.program(program);
        if subject.nearby {
            return Err(errcode::NEARBY);
        }
        if subject.store {
            return Err(errcode::STORE);
        }
        let (limit, month) = (self.quotas.operations_per_month, self.in_month(now));
        if reached(self.account(account).month.at(month).operations, limit) {
            return Err(errcode::OPERATIONS_QUOTA);
        }
        Ok(())
    }

    /// What holds for every call of an account, and the time that passed since its last one.
    fn account_allows(&mut self, account: &str, api: Api, now: i64) -> Result<(), i64> {
        if !self.accounts.contains_key(account) {
            if self.programs.contains_key(account) {
                return Err(errcode::API_UNAUTHORIZED);
            }
            if self.switches.strict {
                return Err(errcode::NOT_AUTHORIZED);
            }
        }
        let (limit, day) = (self.quotas.calls_per_day, self.in_day(now));
        let known = self.up_to_date(account, now);
        let of_calls = known.calls_answer.filter(|_| matches!(api, Api::Link | Api::Unlink));
        if let Some(code) = known.answers_always.or(of_calls) {
            return Err(code);
        }
        if known.today.take(api, day, limit) { Ok(()) } else { Err(errcode::DAILY_QUOTA) }
    }

    fn program_is_known(&mut self, program: &str) -> Result<(), i64> {
        if self.programs.contains_key(program) {
            return Ok(());
        }
        // An official account's appid in the place of a program's answers -1 for ever.
        if self.accounts.contains_key(program) {
            return Err(errcode::BUSY);
        }
        if self.switches.strict || program.is_empty() {
            return Err(errcode::PROGRAM_UNKNOWN);
        }
        self.program(program);
        Ok(())
    }

    fn quotas_allow(&mut self, account: &str, program: &str, now: i64) -> Result<(), i64> {
        let (quotas, month) = (self.quotas.clone(), self.in_month(now));
        let subject = self.program(program);
        if reached(subject.month.at(month).links, quotas.program_links_per_month) {
            return Err(errcode::PROGRAM_MONTH_QUOTA);
        }
        let owner = subject.owner.clone();
        let cycles_max = self.switches.cycles_max;
        let asker = self.account(account);
        if reached(asker.unlinked.get(program).copied().unwrap_or(0), cycles_max) {
            return Err(errcode::TOO_MANY_CYCLES);
        }
        let used = asker.month.at(month);
        let (of_owner, limit, code) = if asker.owner == owner {
            (used.same_owner, quotas.same_owner_links_per_month, errcode::SAME_OWNER_QUOTA)
        } else {
            (used.other_owner, quotas.other_owner_links_per_month, errcode::OTHER_OWNER_QUOTA)
        };
        if reached(of_owner, limit) {
            return Err(code);
        }
        if reached(used.operations, quotas.operations_per_month) {
            return Err(errcode::OPERATIONS_QUOTA);
        }
        if reached(held(asker), quotas.links_held) {
            return Err(errcode::HELD_LIMIT);
        }
        Ok(())
    }

    fn spend_invitation(&mut self, account: &str, program: &str, now: i64) {
        let month = self.in_month(now);
        let subject = self.program(program);
        subject.month = subject.month.at(month);
        subject.month.links += 1;
        let owner = subject.owner.clone();
        let asker = self.account(account);
        asker.month = asker.month.at(month);
        asker.month.operations += 1;
        if asker.owner == owner {
            asker.month.same_owner += 1;
        } else {
            asker.month.other_owner += 1;
        }
    }

    fn invite(&mut self, account: &str, program: &str, now: i64) {
        let mut visible_from = now + self.switches.listing_delay.as_millis();
        let rejected_item = self.switches.rejected_item;
        let old = self.account(account);
        let is_old = |link: &Link| link.program == program && link.phase == Phase::Rejected;
        match rejected_item {
            RejectedItem::Replaced => old.links.retain(|link| !is_old(link)),
            RejectedItem::StaysBeside => {}
            RejectedItem::ReplacedAfter(span) => {
                let gone_at = now + span.as_millis();
                for link in old.links.iter_mut().filter(|link| is_old(link)) {
                    link.change = Some(super::Change { at: gone_at, to: None });
                    visible_from = visible_from.max(gone_at);
                }
            }
        }
        let phase = Phase::AwaitingAccountAdmin;
        self.begin(account, program, phase, Starter::Platform, now, visible_from);
    }

    /// Adds a link to an account, with what its phase makes of it next.
    pub(super) fn begin(
        &mut self,
        account: &str,
        program: &str,
        phase: Phase,
        started_by: Starter,
        now: i64,
        visible_from: i64,
    ) {
        self.program(program);
        let mut link = Link {
            program: program.to_owned(),
            phase,
            started_by,
            since: now,
            visible_from,
            change: None,
            shows_status: None,
        };
        let rules = Rules { seed: self.seed, plans: &self.plans, switches: &self.switches };
        rules.enter(account, &mut link, phase, now);
        self.account(account).links.push(link);
    }

    fn ask_unlink(&mut self, account: &str, program: &str, now: i64) {
        let needs_approval = self.switches.unlink_needs_approval;
        let month = self.in_month(now);
        let asker = self.account(account);
        asker.month = asker.month.at(month);
        asker.month.operations += 1;
        if needs_approval {
            self.move_to(account, program, Phase::LinkedUnlinkAsked, now);
        } else {
            *asker.unlinked.entry(program.to_owned()).or_default() += 1;
            asker.links.retain(|link| link.program != program || link.phase != Phase::Linked);
        }
    }

    /// Puts the alive link of a pair into a phase.
    pub(super) fn move_to(&mut self, account: &str, program: &str, phase: Phase, now: i64) {
        let rules = Rules { seed: self.seed, plans: &self.plans, switches: &self.switches };
        let links = self.accounts.get_mut(account).map(|known| &mut known.links);
        let alive = links.into_iter().flatten().find(|link| link.program == program && link.phase != Phase::Rejected);
        if let Some(link) = alive {
            rules.enter(account, link, phase, now);
        }
    }

    /// The pair's link that is not an old rejection: there is never more than one.
    pub(super) fn alive(&self, account: &str, program: &str) -> Option<(Phase, Starter)> {
        self.links(account)
            .iter()
            .find(|link| link.program == program && link.phase != Phase::Rejected)
            .map(|link| (link.phase, link.started_by))
    }

    /// The account, with everything that happened by itself until `now`.
    pub(super) fn up_to_date(&mut self, name: &str, now: i64) -> &mut Account {
        self.account(name);
        let rules = Rules { seed: self.seed, plans: &self.plans, switches: &self.switches };
        if let Some(account) = self.accounts.get_mut(name) {
            rules.advance_account(name, account, now);
        }
        self.account(name)
    }

    pub(super) fn record(&mut self, api: Api, account: &str, program: &str, flags: Flags, answer: Answer, now: i64) {
        if answer.effect {
            self.stats.effect(api);
        }
        self.ledger.push(CallLogEntry {
            api,
            account: account.to_owned(),
            program: program.to_owned(),
            at: now,
            errcode: answer.errcode,
            effect: answer.effect,
            delivered: true,
            fault: None,
            notify_users: flags.notify_users,
            show_profile: flags.show_profile,
        });
    }
}

/// Links that take a place: everything but rejections.
fn held(account: &Account) -> u32 {
    let held = account.links.iter().filter(|link| link.phase != Phase::Rejected);
    u32::try_from(held.count()).unwrap_or(u32::MAX)
}
