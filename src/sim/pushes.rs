//! Every push to a platform: planned as data, written when it is due, in the order of the switch.

use std::collections::VecDeque;

use rand::seq::SliceRandom;

use super::{
    chance,
    crypt::PushKeys,
    push::{Field, Push, PushAnswer, Spoil},
    push_body::{Written, written},
    switches::{PushOrder, Switches},
};

/// Pushes kept for who wants to look at them; beyond it the oldest go.
const PUSHES_MAX: usize = 100_000;

/// A push that is to be made.
pub(super) struct Plan {
    pub(super) info_type: String,
    pub(super) account: Option<String>,
    pub(super) fields: Vec<Field>,
    pub(super) to: String,
    pub(super) due: i64,
    pub(super) times: u32,
    /// Which generation of keys.
    pub(super) keys: usize,
}

/// How an earlier push is sent again.
#[derive(Clone, Debug)]
pub(super) struct Resend {
    pub(super) due: i64,
    pub(super) to: Option<String>,
    pub(super) times: u32,
    pub(super) at_once: bool,
    pub(super) spoil: Option<Spoil>,
    pub(super) keys: Option<usize>,
}

/// One request that is to be posted now.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) push: u64,
    pub(super) copy: u32,
    pub(super) at_once: bool,
    /// The URL with its query.
    pub(super) url: String,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

/// Every push, and what is to be posted now.
#[derive(Clone, Debug, Default)]
pub(super) struct Pushes {
    all: VecDeque<Push>,
    made: u64,
    /// Before this nothing is due; absent: nothing is planned.
    next_due: Option<i64>,
    batches: u64,
    held: bool,
    outbox: VecDeque<Outgoing>,
}

impl Pushes {
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Push> {
        self.all.iter()
    }

    fn get_mut(&mut self, id: u64) -> Option<&mut Push> {
        self.all.iter_mut().rev().find(|push| push.id == id)
    }

    pub(super) fn plan(&mut self, plan: Plan, now: i64) -> u64 {
        if self.all.len() >= PUSHES_MAX {
            self.all.pop_front();
        }
        self.made += 1;
        self.wait_for(plan.due);
        self.all.push_back(Push {
            id: self.made,
            info_type: plan.info_type,
            account: plan.account,
            made: now,
            due: Some(plan.due),
            to: plan.to,
            times: plan.times,
            at_once: false,
            spoil: None,
            answers: Vec::new(),
            fields: plan.fields,
            keys: plan.keys,
            repeats: 0,
        });
        self.made
    }

    /// Plans a push again, byte for byte but for its signature; `false` if nothing has that number any more.
    pub(super) fn resend(&mut self, id: u64, resend: Resend) -> bool {
        self.wait_for(resend.due);
        let Some(push) = self.get_mut(id) else { return false };
        push.due = Some(resend.due);
        push.to = resend.to.unwrap_or_else(|| push.to.clone());
        push.times = resend.times;
        push.at_once = resend.at_once;
        push.spoil = resend.spoil;
        push.keys = resend.keys.unwrap_or(push.keys);
        true
    }

    fn wait_for(&mut self, due: i64) {
        self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
    }

    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Lets what is due go out at the next step.
    pub(super) fn release(&mut self) {
        self.held = false;
    }

    /// What has not gone out never does; how many that were.
    pub(super) fn drop_planned(&mut self) -> usize {
        let planned = self.all.iter_mut().filter_map(|push| push.due.take());
        planned.count()
    }

    /// Whether pushes wait.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Writes every push that is due, in the order of the switch.
    pub(super) fn emit(&mut self, seed: u64, appid: &str, keys: &[PushKeys], switches: &Switches, now: i64) {
        if self.held || self.next_due.is_none_or(|due| now < due) {
            return;
        }
        let is_due = |push: &&mut Push| push.due.is_some_and(|due| due <= now);
        let mut due: Vec<&mut Push> = self.all.iter_mut().filter(is_due).collect();
        due.sort_by_key(|push| push.due);
        self.batches += 1;
        match switches.push_order {
            PushOrder::Planned => {}
            PushOrder::Reversed => due.reverse(),
            PushOrder::Shuffled => due.shuffle(&mut chance::dice(seed, &["push order"], self.batches)),
        }
        for push in due {
            push.due = None;
            let Some(keys) = keys.get(push.keys) else { continue };
            for copy in 0..push.times {
                let Written { query, body, content_type } = written(seed, appid, keys, push, switches, now);
                let joint = if push.to.contains('?') { '&' } else { '?' };
                let url = if query.is_empty() { push.to.clone() } else { format!("{}{joint}{query}", push.to) };
                self.outbox.push_back(Outgoing { push: push.id, copy, at_once: push.at_once, url, content_type, body });
            }
        }
        self.next_due = self.all.iter().filter_map(|push| push.due).min();
    }

    pub(super) fn outgoing(&self) -> usize {
        self.outbox.len()
    }

    pub(super) fn take_outgoing(&mut self) -> Vec<Outgoing> {
        self.outbox.drain(..).collect()
    }

    /// Keeps an answer, and plans the push again if WeChat would.
    pub(super) fn answered(&mut self, id: u64, answer: PushAnswer, switches: &Switches) {
        let Some(push) = self.get_mut(id) else { return };
        let again = answer.at.saturating_add(switches.push_repeat_after.as_millis());
        let is_repeated = !answer.is_success() && push.repeats < switches.push_repeats;
        if is_repeated {
            push.repeats += 1;
            push.times = 1;
            push.due = Some(again);
        }
        push.answers.push(answer);
        if is_repeated {
            self.wait_for(again);
        }
    }
}
