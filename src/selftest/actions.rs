//! Carries out the actions of a simulation: what people ask for and do, and faults of the network, the process and the
//! machine.

use std::time::Duration;

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};

use super::{
    daemon::Died,
    generator::Action,
    invariants::{Verdict, broken},
    runner::Runner,
};
use crate::{
    domain::request::{Kind, LinkOptions},
    engine::{
        accept::{AskError, Wish},
        record::Recorder,
    },
    sim::{By, EmptyItems, Faults, Phase, Plan, PlanSet, Quotas, RejectedItem, Span, Switches, World},
    store::{file::corrupt::spoil, write::accounts::Standing},
};

/// Accounts and programs of a life: few enough that they meet again and again.
pub(super) const ACCOUNTS: u64 = 4;
const PROGRAMS: u64 = 5;

/// How long a slow answer takes, in the machine's time.
const SLOW: Span = Span::millis(2);

/// Items that are nobody's: so many that their list is read off the loop's threads.
const STRANGERS: u64 = 600;

fn account(number: u64) -> String {
    format!("wxaaaa{number:012}")
}

fn program(number: u64) -> String {
    format!("wxbbbb{number:012}")
}

/// Every pair of a life.
pub(super) fn pairs() -> impl Iterator<Item = (String, String)> {
    (0..ACCOUNTS).flat_map(|a| (0..PROGRAMS).map(move |p| (account(a), program(p))))
}

/// What `WeChat` does not document is drawn once for a life; quotas and people, too. Hundreds of old rejections may stand in
/// one list, whether they name anybody or not.
pub(super) fn set_the_scene(world: &mut World, chance: &mut StdRng, now: i64) {
    let rarely = |chance: &mut StdRng| chance.random_ratio(1, 4);
    world.switches = Switches {
        listing_delay: Span::seconds(if rarely(chance) { chance.random_range(1..240) } else { 0 }),
        invitation_lifetime: rarely(chance).then(|| Span::hours(chance.random_range(24..200))),
        rejected_lifetime: rarely(chance).then(|| Span::hours(chance.random_range(1..200))),
        rejected_item: match chance.random_range(0..4) {
            0 => RejectedItem::StaysBeside,
            1 => RejectedItem::ReplacedAfter(Span::seconds(chance.random_range(1..240))),
            _ => RejectedItem::Replaced,
        },
        rejected_items_have_appid: chance.random_bool(0.5),
        lists_the_account_itself: rarely(chance),
        numbers_as_strings: rarely(chance),
        escaped_slashes: rarely(chance),
        empty_items: match chance.random_range(0..16) {
            0 => EmptyItems::Null,
            1 => EmptyItems::Absent,
            2 => EmptyItems::WxopensArray,
            3 => EmptyItems::NoWxopens,
            _ => EmptyItems::Array,
        },
        unlink_needs_approval: !rarely(chance),
        month_rolls_late_by: Span::minutes(if rarely(chance) { chance.random_range(1..400) } else { 0 }),
        day_rolls_late_by: Span::minutes(if rarely(chance) { chance.random_range(1..400) } else { 0 }),
        token_lifetime: if rarely(chance) { Span::minutes(chance.random_range(1..60)) } else { Span::hours(2) },
        ..Switches::default()
    };
    world.quotas = Quotas {
        program_links_per_month: rarely(chance).then(|| chance.random_range(1..4)),
        other_owner_links_per_month: rarely(chance).then(|| chance.random_range(1..4)),
        links_held: rarely(chance).then(|| chance.random_range(2..5)),
        calls_per_day: rarely(chance).then(|| chance.random_range(200..400)),
        ..Quotas::default()
    };
    world.faults.slow_for = SLOW;
    for number in 0..if rarely(chance) { STRANGERS } else { 0 } {
        // What the world does not let in stays away.
        let _ = world.place(&account(0), &format!("wxcccc{number:012}"), Phase::Rejected, now);
    }
    for (account, program) in pairs() {
        let mut plan = || match chance.random_range(0..10) {
            0..5 => Plan::ApprovesAfter(Span::minutes(chance.random_range(1..3_000))),
            5..7 => Plan::RefusesAfter(Span::minutes(chance.random_range(1..3_000))),
            7 => Plan::ExpiresAfter(Span::minutes(chance.random_range(60..6_000))),
            _ => Plan::NeverAnswers,
        };
        let plans = PlanSet { account_admin: Some(plan()), program_admin: Some(plan()), unlink: Some(plan()) };
        world.plans.set(Some(&account), Some(&program), plans);
    }
}

impl Runner {
    /// One thing happens.
    pub(super) async fn happen(&mut self, turn: Action) -> Verdict {
        if turn.is_absence() {
            return self.be_away(turn).await;
        }
        match turn {
            Action::AskToLink(_) | Action::AskToUnlink | Action::AskWithTheSameKey => self.ask(turn).await?,
            Action::Cancel | Action::Retry | Action::Suspend | Action::Resume => self.operate(turn).await?,
            Action::DieAtQuestion(_) | Action::DieDuringCall(_) => self.doom(turn),
            Action::ARowIsPoisoned => {
                let (account, _) = self.pair();
                let spoilt = spoil(&self.setup.database, &account).await;
                spoilt.unwrap_or_else(|error| panic!("somebody cannot write into the file: {error}"));
            }
            Action::CopyTheDatabase => self.make_a_copy().await?,
            Action::PutTheCopyBack => self.put_the_copy_back().await?,
            Action::AnAdministratorActs | Action::SomebodyElseLinks | Action::SomebodyRemoves | Action::AnOddStatus => {
                self.act_in_the_world(turn);
            }
            _ => self.befall(turn),
        }
        self.look().await
    }

    fn pair(&mut self) -> (String, String) {
        let (a, p) = (self.chance.random_range(0..ACCOUNTS), self.chance.random_range(0..PROGRAMS));
        (account(a), program(p))
    }

    fn wish(&mut self, kind: Kind, key: Option<String>) -> Wish {
        let (account, program) = self.pair();
        Wish {
            kind,
            account: account.parse().unwrap_or_else(|_| panic!("{account} is no appid")),
            program: program.parse().unwrap_or_else(|_| panic!("{program} is no appid")),
            username: None,
            key,
            labels: std::collections::BTreeMap::new(),
        }
    }

    /// Somebody asks: a command beside the daemon, or a door of its process.
    async fn ask(&mut self, turn: Action) -> Verdict {
        let link = Kind::Link(LinkOptions::default());
        let wishes: Vec<Wish> = match turn {
            Action::AskToLink(count) => (0..count).map(|_| self.wish(link, None)).collect(),
            Action::AskWithTheSameKey => {
                let key = format!("key-{}", self.chance.random_range(0..4));
                vec![self.wish(link, Some(key))]
            }
            _ => vec![self.wish(Kind::Unlink, None)],
        };
        let accepted = match self.daemon.take() {
            Some(daemon) if self.chance.random_bool(0.5) => {
                match daemon.ask(async move |recorder: &Recorder| recorder.accept(wishes).await).await {
                    Ok(answer) => {
                        self.daemon = Some(daemon);
                        answer
                    }
                    Err(Died) => return self.bury(daemon).await,
                }
            }
            daemon => {
                self.daemon = daemon;
                self.desk.accept(wishes).await
            }
        };
        match accepted {
            Ok(accepted) => accepted.iter().for_each(|one| self.promises.acknowledge(&one.id)),
            // A key that stands for another pair is refused, as it must be.
            Err(AskError::Store(crate::store::StoreError::KeyTaken { .. })) => {}
            Err(error) => return broken("a wish is taken", error.to_string()),
        }
        Ok(())
    }

    async fn operate(&mut self, turn: Action) -> Verdict {
        let wants_finished = matches!(turn, Action::Retry);
        let ids: Vec<String> = self
            .promises
            .requests()
            .filter(|request| request.finished_at.is_some() == wants_finished)
            .map(|request| request.id.clone())
            .collect();
        let id = ids.choose(&mut self.chance).and_then(|id| id.parse().ok());
        let (account, _) = self.pair();
        let account = account.parse().unwrap_or_else(|_| panic!("{account} is no appid"));
        let done = match (turn, id) {
            (Action::Cancel, Some(id)) => self.desk.cancel(&id).await.map(drop),
            (Action::Retry, Some(id)) => {
                self.desk.retry(&id).await.map(|accepted| self.promises.acknowledge(&accepted.id))
            }
            (Action::Suspend, _) => self.desk.set_standing(&account, Standing::SuspendedByOperator).await,
            (Action::Resume, _) => self.desk.set_standing(&account, Standing::Active).await,
            _ => Ok(()),
        };
        match done {
            Err(AskError::Store(error)) => broken("an operator is obeyed", error.to_string()),
            // Nobody ever asked for the account, or the request has just ended.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// What people do in `WeChat` itself. What is not possible there does not happen.
    fn act_in_the_world(&mut self, turn: Action) {
        let ((account, program), now) = (self.pair(), self.wechat_now());
        let (first, second) = (self.chance.random_bool(0.5), self.chance.random_bool(0.5));
        let by = if first { By::AccountAdmin } else { By::ProgramAdmin };
        let mut world = self.sim.world();
        let _ = match turn {
            Action::AnAdministratorActs if second => world.approve(&account, &program, by, now),
            Action::AnAdministratorActs => world.refuse(&account, &program, by, now),
            Action::SomebodyElseLinks if first => world.console_link(&account, &program, now),
            Action::SomebodyElseLinks => world.place(&account, &program, Phase::AwaitingAccountAdmin, now),
            Action::AnOddStatus => world.show_status(&account, &program, first.then_some(7), now),
            _ => world.remove(&account, &program, now),
        };
    }

    /// Weather, tokens, accounts, the calendar.
    fn befall(&mut self, turn: Action) {
        let (number, now) = (self.chance.random_range(0..ACCOUNTS), self.wechat_now());
        let weather = self.chance.random_range(0..4);
        let code = [-1, 61_007, 48_001, 45_009, 61_003].choose(&mut self.chance).copied();
        let mut world = self.sim.world();
        match turn {
            Action::TheWeatherChanges => {
                world.faults = match weather {
                    0 => Faults::none(),
                    1 => Faults::mild(),
                    _ => Faults::nasty(),
                };
                world.faults.slow_for = SLOW;
            }
            Action::TokensDie => world.expire_tokens(None, now),
            Action::AnAccountInTrouble => {
                let known = world.account(&account(number));
                known.answers_always = if known.answers_always.is_some() { None } else { code };
            }
            Action::StepTheCalendar(by_ms) => {
                drop(world);
                self.calendar_ahead += by_ms;
                self.time.step(by_ms);
            }
            _ => {}
        }
    }

    /// The end of the process is fixed, and comes when it comes.
    fn doom(&mut self, turn: Action) {
        let Some(daemon) = &self.daemon else { return };
        match turn {
            Action::DieAtQuestion(questions) => daemon.die_after(questions),
            Action::DieDuringCall(calls) => self.trap.set(calls, daemon.clock()),
            _ => {}
        }
    }

    /// The process is away for a while: ended, stopped, or asleep with its machine.
    async fn be_away(&mut self, turn: Action) -> Verdict {
        match turn {
            Action::Restart(away) => {
                if let Some(daemon) = self.daemon.take() {
                    daemon.stop().await;
                }
                self.promises.nothing_is_lost(&self.desk).await?;
                self.time.advance(away);
                self.boot(None).await
            }
            Action::StandStill(away) => {
                self.time.advance(away.max(Duration::from_millis(1)));
                Ok(())
            }
            Action::Sleep(away) => {
                self.sleep(away);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
