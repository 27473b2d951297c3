//! Carries out the actions of a simulation: what people ask for and do, and faults of the network, the process and the
//! machine.

use std::time::Duration;

use rand::{RngExt, seq::IndexedRandom};

use super::{
    daemon::Died,
    generator::{ACCOUNTS, Action, PROGRAMS, account, program},
    runner::Runner,
    scene::SLOW,
    verdict::{Verdict, broken},
};
use crate::{
    domain::{
        action,
        request::{Kind, LinkOptions},
    },
    engine::{
        record::Recorder,
        wish::{AskError, Wish},
    },
    sim::{By, Faults, Phase},
    store::{file::corrupt::spoil, write::standing::Standing},
};

impl Runner {
    /// One thing happens.
    pub(super) async fn happen(&mut self, turn: Action) -> Verdict {
        if turn.is_absence() {
            return self.be_away(turn).await;
        }
        match turn {
            Action::OfTokens(action) => self.of_tokens(action).await?,
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
                match daemon
                    .ask(async move |recorder: &Recorder| recorder.by(action::By::simulated()).accept(wishes).await)
                    .await
                {
                    Ok(answer) => {
                        self.daemon = Some(daemon);
                        answer
                    }
                    Err(Died) => return self.bury(daemon).await,
                }
            }
            daemon => {
                self.daemon = daemon;
                self.desk.by(action::By::simulated()).accept(wishes).await
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

    /// Somebody asks for a link of this account.
    #[cfg(test)]
    pub(super) async fn follow(&mut self, account: &str) {
        let link = Kind::Link(LinkOptions::default());
        let wish = Wish { account: account.parse().unwrap(), ..self.wish(link, None) };
        let accepted = self.desk.by(action::By::simulated()).accept(vec![wish]).await.unwrap();
        for one in &accepted {
            self.promises.acknowledge(&one.id);
        }
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
            (Action::Cancel, Some(id)) => self.desk.by(action::By::simulated()).cancel(&id).await.map(drop),
            (Action::Retry, Some(id)) => self
                .desk
                .by(action::By::simulated())
                .retry(&id)
                .await
                .map(|accepted| self.promises.acknowledge(&accepted.id)),
            (Action::Suspend, _) => {
                self.desk.by(action::By::simulated()).set_standing(&account, Standing::SuspendedByOperator).await
            }
            (Action::Resume, _) => self.desk.by(action::By::simulated()).set_standing(&account, Standing::Active).await,
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
