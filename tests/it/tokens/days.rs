//! Months of a platform in minutes: what its tokens cost, account by account and day by day, and that none is used that is
//! dead. What counts is what the simulator was asked.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use amplinkd::{
    domain::id::AccountId,
    sim::{AuthorizerKind, ComponentApi, FaultKind},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::keeper::{LINKS, Platform, text};

const STEP_MINUTES: u64 = 5;
const STEPS_PER_DAY: usize = 24 * 60 / 5;
const STEPS_PER_HOUR: usize = 12;

/// Accounts whose tokens one caller asks for, one after the other.
const AT_ONCE: usize = 64;

/// How long a refresh may take, in real time.
const PATIENCE: Duration = Duration::from_mins(1);

/// No two refreshes of an account that was left alone lie closer together: a life of two hours less its margin.
const APART_MS: i64 = 99 * 60_000;

/// How often an account's token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// At every step.
    Constant,
    Hourly,
    /// As its list is read when nothing is going on.
    EverySixHours,
    Never,
}

impl Use {
    const fn of(number: usize) -> Self {
        match number % 10 {
            0..6 => Self::Constant,
            6 | 7 => Self::Hourly,
            8 => Self::EverySixHours,
            _ => Self::Never,
        }
    }

    const fn asks_at(self, step: usize, number: usize) -> bool {
        match self {
            Self::Constant => true,
            Self::Hourly => step % STEPS_PER_HOUR == number % STEPS_PER_HOUR,
            Self::EverySixHours => (step + number).is_multiple_of(6 * STEPS_PER_HOUR),
            Self::Never => false,
        }
    }
}

/// What the simulator was asked.
#[derive(Debug, Default)]
struct Asked {
    refreshes: BTreeMap<Use, u64>,
    component_tokens: u64,
    /// Refreshes whose answer was lost: each is followed by one more.
    lost: u64,
    events: u64,
    /// Tokens that were given out.
    given: u64,
    /// Callers who got none, because an answer was lost and the token before had ended.
    without: u64,
}

struct Days {
    platform: Platform,
    accounts: Vec<AccountId>,
    dice: StdRng,
    asked: Asked,
    /// The last refresh of each account, when it was and whether its answer was lost.
    last: HashMap<String, (i64, bool)>,
    /// Whose authorization changed, and when.
    events: Vec<(String, i64)>,
    seen: usize,
    step: usize,
}

impl Days {
    /// A platform that moves in with so many accounts.
    async fn new(accounts: usize) -> Self {
        let platform = Platform::new().await;
        platform.ticket().await;
        let accounts: Vec<AccountId> =
            (0..accounts).map(|number| format!("wx{number:016x}").parse().unwrap()).collect();
        {
            let mut world = platform.sim.world();
            world.quotas.component_calls_per_day = None;
            for account in &accounts {
                world.authorize(account.as_str(), AuthorizerKind::Account, Some(&LINKS), platform.now()).unwrap();
            }
            world.drop_pushes().unwrap();
        }
        platform.keeper.sync(&amplinkd::shutdown::Shutdown::new()).await.unwrap();
        platform.sim.world().faults.rates.insert(FaultKind::LostAnswer, 0.001);
        let seen = platform.sim.world().component().unwrap().calls().count();
        let dice = StdRng::seed_from_u64(100);
        Self {
            platform,
            accounts,
            dice,
            asked: Asked::default(),
            last: HashMap::new(),
            events: Vec::new(),
            seen,
            step: 0,
        }
    }

    async fn pass_a_day(&mut self) {
        for _ in 0..STEPS_PER_DAY {
            self.platform.pass(0, STEP_MINUTES);
            self.step += 1;
            if self.step.is_multiple_of(STEPS_PER_HOUR) {
                self.platform.ticket().await;
                self.let_something_happen().await;
            }
            self.use_tokens().await;
            let until_quiet = async {
                while self.platform.keeper.under_way() > 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(PATIENCE, until_quiet).await.expect("a refresh ends");
        }
        self.count();
    }

    /// One account in two hundred authorizes anew in a day, and every third of them had withdrawn before.
    async fn let_something_happen(&mut self) {
        if !self.dice.random_bool((number(self.accounts.len()) / 200.0 / 24.0).min(1.0)) {
            return;
        }
        let account = self.accounts[self.dice.random_range(0..self.accounts.len())].to_string();
        let now = self.platform.now();
        if self.dice.random_bool(1.0 / 3.0) {
            self.platform.sim.world().revoke(&account, now).unwrap();
            self.platform.taken_up_in_time().await;
            self.platform.pass(0, 1);
            let now = self.platform.now();
            self.platform.sim.world().authorize(&account, AuthorizerKind::Account, None, now).unwrap();
        } else {
            self.platform.sim.world().reauthorize(&account, None, now).unwrap();
        }
        self.platform.taken_up_in_time().await;
        self.events.push((account, now));
        self.asked.events += 1;
    }

    async fn use_tokens(&mut self) {
        let now = self.platform.now();
        let users = self.accounts.iter().enumerate().filter(|(number, _)| Use::of(*number).asks_at(self.step, *number));
        let users: Vec<AccountId> = users.map(|(_, account)| account.clone()).collect();
        let asking = users.chunks(AT_ONCE).map(|users| {
            let (keeper, users) = (self.platform.keeper.clone(), users.to_vec());
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for account in users {
                    answers.push((keeper.get(&account).await, account));
                }
                answers
            })
        });
        for answers in asking.collect::<Vec<_>>() {
            for (answer, account) in answers.await.unwrap() {
                let Ok(token) = answer else {
                    self.asked.without += 1;
                    continue;
                };
                let (token, world) = (text(&token), self.platform.sim.world());
                assert_eq!(world.account_of(&token, now), Ok(account.as_str()), "a dead token in use");
                self.asked.given += 1;
            }
        }
    }

    /// Reads what the simulator was asked since.
    fn count(&mut self) {
        let world = self.platform.sim.world();
        let component = world.component().unwrap();
        let made: usize =
            ComponentApi::ALL.into_iter().map(|api| usize::try_from(component.called(api)).unwrap()).sum();
        let kept = component.calls().count();
        let new = made - self.seen;
        assert!(new <= kept, "the simulator has forgotten calls that were not counted");
        for call in component.calls().skip(kept - new) {
            match call.api {
                ComponentApi::AuthorizerToken => {
                    let account = call.authorizer.clone().unwrap();
                    let number = usize::from_str_radix(&account[2..], 16).unwrap();
                    *self.asked.refreshes.entry(Use::of(number)).or_default() += 1;
                    self.asked.lost += u64::from(!call.delivered);
                    let last = self.last.insert(account.clone(), (call.at, !call.delivered));
                    if let Some((at, is_lost)) = last.filter(|(at, _)| call.at - at < APART_MS) {
                        let has_changed = self.events.iter().any(|(who, when)| *who == account && *when >= at);
                        assert!(is_lost || has_changed, "{call:?}: the last one was at {at}");
                    }
                }
                ComponentApi::ComponentToken => self.asked.component_tokens += 1,
                _ => {}
            }
        }
        self.seen = made;
    }

    /// What an account of this use costs in a day.
    fn refreshes_a_day(&self, of: Use, days: u64) -> f64 {
        let accounts = (0..self.accounts.len()).filter(|number| Use::of(*number) == of).count();
        number(self.asked.refreshes.get(&of).copied().unwrap_or(0)) / number(accounts) / number(days)
    }
}

fn number(count: impl TryInto<u32, Error: std::fmt::Debug>) -> f64 {
    f64::from(count.try_into().unwrap())
}

async fn lived(days: u64, accounts: usize) {
    const USES: [Use; 4] = [Use::Constant, Use::Hourly, Use::EverySixHours, Use::Never];
    let mut life = Days::new(accounts).await;
    for day in 1..=days {
        life.pass_a_day().await;
        if day % 10 == 0 {
            println!("{day} days: {:?}", life.asked);
        }
    }
    let a_day = USES.map(|of| life.refreshes_a_day(of, days));
    let component = number(life.asked.component_tokens) / number(days);
    println!("refreshes a day and account {a_day:.2?}, component tokens a day {component:.2}: {:?}", life.asked);
    let [constant, hourly, sixth, never] = a_day;
    // A token is renewed from 10 to 20 minutes before its end, by the account, and at the next step of five minutes.
    assert!((12.5..=14.5).contains(&constant), "{constant}");
    assert!(hourly <= 12.2, "{hourly}");
    assert!(sixth <= 4.2, "{sixth}");
    assert!(never < 0.01, "{never}: who is not asked for costs nothing");
    assert!(component <= 14.5, "{component}");
    // Whoever got none had lost an answer, and its token had ended.
    assert!(life.asked.without <= life.asked.lost + 2 * life.asked.events, "{:?}", life.asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn four_days_of_a_hundred_accounts_cost_what_their_use_needs() {
    lived(4, 100).await;
}

/// The figures of docs/tokens.md: `cargo test --test it a_hundred_days_of_a -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "an hour"]
async fn a_hundred_days_of_a_thousand_accounts_cost_what_their_use_needs() {
    lived(100, 1_000).await;
}
