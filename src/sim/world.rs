//! The state of the simulated WeChat, as plain data.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    api_name::Api,
    call_log::{CallLog, CallLogEntry, Stats},
    chance,
    component::Component,
    faults::Faults,
    plan::Plans,
    quota::{AccountMonth, CallsToday, ProgramMonth, Quotas},
    switches::Switches,
    token::Tokens,
};

/// Owners that made-up accounts and programs are spread over: few enough that some pairs share one.
const OWNERS: u64 = 16;

/// Where a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// 12
    AwaitingAccountAdmin,
    /// 2
    AwaitingProgramAdmin,
    /// 1
    Linked,
    /// 1 as well: an unlink request waits for the account's administrator, and no status tells.
    LinkedUnlinkAsked,
    /// 3
    Rejected,
}

impl Phase {
    /// The number the list shows.
    #[must_use]
    pub fn status(self) -> i64 {
        match self {
            Self::AwaitingAccountAdmin => 12,
            Self::AwaitingProgramAdmin => 2,
            Self::Linked | Self::LinkedUnlinkAsked => 1,
            Self::Rejected => 3,
        }
    }
}

/// Who began a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Starter {
    /// A call of `wxamplink`.
    Platform,
    /// A person in the account's own console.
    Console,
}

/// What happens next to a link by itself, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Milliseconds UTC on the simulator's time.
    pub at: i64,
    /// Where it goes; `None` means it leaves the list.
    pub to: Option<Phase>,
}

/// One program in one account's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The program's appid.
    pub program: String,
    /// Where it stands.
    pub phase: Phase,
    /// Who began it.
    pub started_by: Starter,
    /// When it came to stand there, milliseconds UTC.
    pub since: i64,
    /// From when the list shows it, milliseconds UTC.
    pub visible_from: i64,
    /// What happens next by itself.
    pub change: Option<Change>,
    /// A number the list shows instead of the phase's own, for statuses nobody documented.
    pub shows_status: Option<i64>,
}

/// One official account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Who it belongs to; programs of the same owner have their own quota.
    pub owner: String,
    /// A code that every call of this account answers, such as 61007 for a permission not granted.
    pub answers_always: Option<i64>,
    /// A code that its calls of `wxamplink` and `wxampunlink` answer while its list can be read.
    pub calls_answer: Option<i64>,
    /// Its links in the order they began.
    pub links: Vec<Link>,
    /// What it used of the monthly quotas.
    pub month: AccountMonth,
    /// Its calls of the day.
    pub today: CallsToday,
    /// Unlinks that came through, by program.
    pub unlinked: HashMap<String, u32>,
}

/// One mini program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "WeChat's own independent properties of a program")]
pub struct Program {
    /// Its `gh_` id.
    pub username: String,
    /// Its name.
    pub nickname: String,
    /// Who it belongs to.
    pub owner: String,
    /// Cannot be linked (89013).
    pub banned: bool,
    /// Cannot be linked (89008).
    pub overseas: bool,
    /// Shown in "nearby": cannot be unlinked (89011).
    pub nearby: bool,
    /// A store or mall: cannot be unlinked (89012).
    pub store: bool,
    /// Invitations of the month.
    pub month: ProgramMonth,
}

/// Everything the simulated WeChat remembers, and the bad luck that waits for its callers.
///
/// The fields that steer it are public and may be set at any time; accounts and programs change through methods.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// What everything made up depends on.
    pub seed: u64,
    /// What WeChat does not document.
    pub switches: Switches,
    /// How much is allowed.
    pub quotas: Quotas,
    /// What administrators will do.
    pub plans: Plans,
    /// The seeded faults.
    pub faults: Faults,
    /// How far the simulator's time runs ahead of the clock it was given, milliseconds; negative: behind it.
    pub time_ahead: i64,
    pub(super) accounts: HashMap<String, Account>,
    pub(super) programs: HashMap<String, Program>,
    pub(super) tokens: Tokens,
    pub(super) component: Option<Component>,
    pub(super) stats: Stats,
    pub(super) ledger: CallLog,
    pub(super) rids: u64,
}

impl World {
    /// A world without accounts, links, quotas and faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// An account, made up from the seed where it was not described.
    pub fn account(&mut self, account: &str) -> &mut Account {
        // The first look avoids a copy of the name on the path that every poll takes.
        if !self.accounts.contains_key(account) {
            let made_up = Account::made_up(self.seed, account);
            self.accounts.insert(account.to_owned(), made_up);
        }
        self.accounts.entry(account.to_owned()).or_insert_with(|| Account::made_up(self.seed, account))
    }

    /// A program, made up from the seed where it was not described.
    pub fn program(&mut self, program: &str) -> &mut Program {
        let seed = self.seed;
        self.programs.entry(program.to_owned()).or_insert_with(|| Program::made_up(seed, program))
    }

    /// An account's links as they stood at its last call; [`super::advance()`] brings them up to a time.
    #[must_use]
    pub fn links(&self, account: &str) -> &[Link] {
        self.accounts.get(account).map_or(&[], |account| &account.links)
    }

    /// Every call of `wxamplink` and `wxampunlink`, the newest last.
    pub fn ledger(&self) -> impl Iterator<Item = &CallLogEntry> {
        self.ledger.iter()
    }

    /// Entries dropped from the front of the ledger because it was full.
    #[must_use]
    pub fn ledger_forgotten(&self) -> u64 {
        self.ledger.forgotten()
    }

    /// Invitations that really went out for a pair: what a daemon must keep at one per attempt.
    #[must_use]
    pub fn invitations(&self, account: &str, program: &str) -> usize {
        self.ledger()
            .filter(|entry| entry.api == Api::Link && entry.effect)
            .filter(|entry| entry.account == account && entry.program == program)
            .count()
    }

    /// Lists that an account was asked for in the Beijing day of `now`, as its quotas count it.
    #[must_use]
    pub fn polls_today(&self, account: &str, now: i64) -> u32 {
        self.accounts.get(account).map_or(0, |known| known.today.of(Api::Listing, self.in_day(now)))
    }

    /// Counts since the start.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Kills an account's tokens at once, or everyone's.
    pub fn expire_tokens(&mut self, account: Option<&str>, now: i64) {
        match account {
            Some(account) => self.tokens.expire(account, now),
            None => self.tokens.expire_all(now),
        }
    }

    /// A request id that looks like WeChat's and is fixed by the seed and the number of refusals.
    pub(super) fn next_rid(&mut self) -> String {
        self.rids += 1;
        let n = self.rids.to_string();
        let high = chance::fixed(self.seed, &["rid", &n]);
        let low = chance::fixed(self.seed, &["rid", &n, "low"]) >> 32;
        format!("{:08x}-{:08x}-{low:08x}", high >> 32, high & 0xffff_ffff)
    }
}

impl Account {
    fn made_up(seed: u64, account: &str) -> Self {
        Self {
            owner: owner(seed, account),
            answers_always: None,
            calls_answer: None,
            links: Vec::new(),
            month: AccountMonth::default(),
            today: CallsToday::default(),
            unlinked: HashMap::new(),
        }
    }
}

impl Program {
    fn made_up(seed: u64, program: &str) -> Self {
        let number = chance::fixed(seed, &["program", program]);
        Self {
            username: format!("gh_{:012x}", number >> 16),
            nickname: format!("小程序{:04x}", number & 0xffff),
            owner: owner(seed, program),
            banned: false,
            overseas: false,
            nearby: false,
            store: false,
            month: ProgramMonth::default(),
        }
    }
}

fn owner(seed: u64, name: &str) -> String {
    format!("owner-{}", chance::fixed(seed, &["owner", name]) % OWNERS)
}
