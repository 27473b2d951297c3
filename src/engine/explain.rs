//! Explains why a request is in its state, in sentences: since when, who must act, what comes next and when, what a
//! retry would do. Pure: it words what the rules decide.

mod account;

mod calls;

pub mod chinese;

use std::time::Duration;

use jiff::tz::TimeZone;

use super::alert_deadlines::OVERDUE_AFTER;
use crate::{
    domain::{
        account::SuspendedBy,
        errcode,
        gate::GateKind,
        listing::Status,
        plan,
        policy::Policy,
        quota::Period,
        request::{Failure, Kind, Request, Sighting, State},
        text::format::{duration, moment_as},
        time::{BEIJING, Time},
    },
    store::{
        read::views::{AccountView, ConflictView, TransitionView},
        write::gates::Gate,
    },
};

/// Steps of its history that are told: the last few say how it came here, all of them are a page of their own.
const STEPS_TOLD_MAX: usize = 4;

/// Everything that is known about one request at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'f> {
    /// The request.
    pub request: &'f Request,
    /// Its account.
    pub account: Option<&'f AccountView>,
    /// When the account is looked at next.
    pub next_check: Option<Time>,
    /// Its steps, first to last.
    pub history: &'f [TransitionView],
    /// Its conflicts.
    pub conflicts: &'f [ConflictView],
    /// Calls that are held back, of whomever.
    pub gates: &'f [Gate],
    /// How patient we are.
    pub policy: &'f Policy,
    /// Looks at one account per Beijing day.
    pub daily_budget: u32,
    /// The moment.
    pub now: Time,
    /// The zone of the moments that are told; those of quotas are told in Beijing's.
    pub zone: &'f TimeZone,
}

/// Sentences, in reading order: where it stands, why, who must act, what comes next, what a retry would do.
#[must_use]
pub fn explain(facts: &Facts<'_>) -> Vec<String> {
    let mut told = vec![facts.stands()];
    told.extend(facts.came_here());
    told.extend(facts.means());
    told.extend(facts.doubt());
    told.extend(facts.refusal());
    told.extend(facts.conflicts());
    told.extend(facts.account());
    told.extend(facts.gates());
    told.extend(facts.next());
    told.extend(facts.deadline());
    told.push(facts.retry());
    told
}

/// A moment on a Beijing clock, in a form that `strftime` knows.
fn beijing_as(at: Time, form: &str) -> String {
    moment_as(at, &BEIJING, form)
}

fn beijing(at: Time) -> String {
    beijing_as(at, "%Y-%m-%d %H:%M Beijing time")
}

/// What a month's gate says to those behind it.
fn month(gate: &Gate, used_up: &str, until: &str) -> String {
    if gate.early {
        return format!(
            "WeChat's month may not have begun yet: it answers with {} that the old one is used up. One call probes for all that wait, next at {until}.",
            gate.errcode
        );
    }
    format!(
        "{used_up} until {until}; if quota was bought, `amplinkd gate open {} {}` lets calls resume now.",
        gate.kind, gate.subject
    )
}

/// A code, what it means and what a person can do.
fn meant(code: i64) -> String {
    match errcode::meaning(code) {
        Some(row) => format!("{code}: {}. What to do: {}.", row.means, row.remedy),
        None => format!("{code}, which is not documented."),
    }
}

/// Milliseconds tell a person nothing.
const fn whole_seconds(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs())
}

impl Facts<'_> {
    /// A moment to the second with its zone; of UTC as RFC 3339 writes it.
    fn moment(&self, at: Time) -> String {
        let is_utc = *self.zone == TimeZone::UTC;
        moment_as(at, self.zone, if is_utc { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%d %H:%M:%S %:z" })
    }

    fn ago(&self, at: Time) -> String {
        match whole_seconds(self.now.since(at)) {
            Duration::ZERO => format!("{} (just now)", self.moment(at)),
            ago => format!("{} ({} ago)", self.moment(at), duration(ago)),
        }
    }

    fn ahead(&self, at: Time) -> String {
        if at <= self.now {
            format!("{} (already past)", self.moment(at))
        } else {
            format!("{} (in {})", self.moment(at), duration(whole_seconds(self.now.until(at))))
        }
    }

    fn api(&self) -> &'static str {
        if self.request.is_link() { "wxamplink" } else { "wxampunlink" }
    }

    fn stands(&self) -> String {
        let Request { kind, account, program, state, since, .. } = self.request;
        let what = match kind {
            Kind::Link(_) => format!("This is a request to link program {program} to account {account}"),
            Kind::Unlink => format!("This is a request to unlink program {program} from account {account}"),
        };
        format!("{what}, in state {} since {}.", state.as_str(), self.ago(*since))
    }

    /// The last steps, when there is more to tell than where it stands.
    fn came_here(&self) -> Option<String> {
        let told = &self.history[self.history.len().saturating_sub(STEPS_TOLD_MAX)..];
        let (first, rest) = told.split_first()?;
        if rest.is_empty() {
            return None;
        }
        let before = if self.history.len() > told.len() { "… " } else { "" };
        let steps = rest.iter().map(|step| format!(" → {} (by {})", step.to_state, step.cause));
        Some(format!("It got here via {before}{}{}.", first.to_state, steps.collect::<String>()))
    }

    /// What the state means and who must act.
    fn means(&self) -> Vec<String> {
        match (self.request.state, self.request.kind) {
            (State::Requested, _) => self.requested(),
            (State::Initiating(outcome), _) => self.initiating(outcome),
            (State::Initiated, Kind::Link(_)) => self.initiated(),
            (State::Initiated, Kind::Unlink) => vec![
                "WeChat accepted the unlink and lists no status for it: the program stays listed until it is gone.".to_owned(),
                "The account's administrator must act: open the message that WeChat sent and agree to remove the program. If the message is lost, the administrator can unlink the program in the account's console on mp.weixin.qq.com.".to_owned(),
            ],
            (State::AwaitingAccountAdmin, _) => vec![
                "WeChat lists it with status 12: the invitation is out and the account's administrator has not answered.".to_owned(),
                "The account's administrator must act: open the template message that WeChat sent to the administrator's own WeChat and agree to link the program. After that the program's administrator is asked.".to_owned(),
                "A \"no\" of the account's administrator has no status: the item only disappears from the list, and the request then ends as lapsed.".to_owned(),
            ],
            (State::AwaitingProgramAdmin, _) => vec![
                "WeChat lists it with status 2: the account's administrator agreed, the program's administrator has not answered.".to_owned(),
                "The program's administrator must act: open the template message that WeChat sent to the administrator's own WeChat and agree. A \"no\" would be listed as 3 and end this request as rejected.".to_owned(),
            ],
            (State::Deferred(until), _) => vec![
                format!("A monthly quota is used up. It waits until {}, {}, then continues by itself.", beijing(until), self.ahead(until)),
                "No action needed. If somebody links the two by hand in the meantime, the list shows it and the request ends as linked.".to_owned(),
            ],
            (State::Linked, _) => self.linked(),
            (State::Rejected, _) => vec!["WeChat lists it with status 3: the program's administrator said no. Ask that administrator why before you retry.".to_owned()],
            (State::Failed(failure), _) => vec![self.failed(failure)],
            (State::Lapsed, _) => vec!["It was pending and is gone from the list without a link: the account's administrator refused, or the invitation expired or was withdrawn. WeChat does not tell which. Ask the account's administrator.".to_owned()],
            (State::Cancelled, _) => vec![if self.request.called_at.is_some() {
                "An operator cancelled it after a call had been made. WeChat cannot withdraw an invitation, so an administrator may still agree; nobody follows that.".to_owned()
            } else {
                "An operator cancelled it before anything was sent to WeChat.".to_owned()
            }],
            (State::Unlinked, Kind::Unlink) => vec!["The program is gone from the account's list, as requested.".to_owned()],
            (State::Unlinked, Kind::Link(_)) => vec!["It was linked, and the list has since shown that it no longer is.".to_owned()],
        }
    }

    fn requested(&self) -> Vec<String> {
        let used = self.request.attempt;
        let so_far = if used == 0 {
            "WeChat knows nothing of it: either no call was made yet, or the call had no effect.".to_owned()
        } else {
            format!("An earlier call did not show up in the list; {used} of {} calls are used.", self.policy.attempts)
        };
        let next = format!(
            "amplinkd acts next: it reads the account's list first and calls {} only if that is still needed.{}",
            self.api(),
            if self.is_suspended() { "" } else { " Nobody else needs to do anything." }
        );
        vec![so_far, next]
    }

    fn linked(&self) -> Vec<String> {
        let confirmed = self.request.memory.seen == Some(Status::Linked);
        vec![if confirmed {
            "WeChat lists it with status 1: it is linked; no action needed. If the list ever shows it gone, this request becomes unlinked.".to_owned()
        } else {
            "WeChat answered that it is linked already; the list has not confirmed it yet, which the next polls settle."
                .to_owned()
        }]
    }

    fn failed(&self, failure: Failure) -> String {
        match failure {
            Failure::Refused => "WeChat refused the call for good; nothing was sent to anybody.".to_owned(),
            Failure::OurBug => {
                "WeChat says that we sent something wrong, which is a defect of amplinkd or of a proxy between."
                    .to_owned()
            }
            Failure::Attempts => format!(
                "It made {} calls, as many as `[policy] attempts` allows, and none showed up in the list. Check with the account's administrator whether messages arrived.",
                self.request.attempt
            ),
            Failure::Deadline => "`[policy] deadline` passed before WeChat had accepted the call.".to_owned(),
        }
    }

    fn doubt(&self) -> Option<String> {
        let doubt = self.request.memory.doubt.filter(|_| self.is_followed())?;
        let at = self.ago(doubt.at);
        let seen = match doubt.sighting {
            Sighting::Absent => "did not show it".to_owned(),
            Sighting::AbsentWithAll => {
                return Some(format!(
                    "Since the poll at {at} the account's list has been missing everything it had; that is not trusted before `[policy] appear_within` is over."
                ));
            }
            Sighting::Listed(status) => format!("showed it with status {}", status.number()),
        };
        Some(format!("The poll at {at} {seen}; that counts once the next poll confirms it."))
    }

    /// What the last code means.
    fn refusal(&self) -> Option<String> {
        let refusal = self.request.refusal.as_ref()?;
        let text = if errcode::meaning(refusal.errcode).is_none() && !refusal.errmsg.is_empty() {
            format!(" Its text was {:?}.", refusal.errmsg)
        } else {
            String::new()
        };
        Some(format!("WeChat's last code was {}{text}", meant(refusal.errcode)))
    }

    fn conflicts(&self) -> Vec<String> {
        let open = self.conflicts.iter().filter(|conflict| conflict.resolved_at.is_none());
        open.map(|conflict| {
            let code = conflict.errcode.map(|code| format!(" (code {code})")).unwrap_or_default();
            format!(
                "An open conflict since {}: {}{code}, met while this request was {}; it is resolved when the list settles the request (`amplinkd conflict show {}`).",
                conflict.at, conflict.kind, conflict.our_state, conflict.id
            )
        })
        .collect()
    }

    fn account(&self) -> Vec<String> {
        let Some(account) = self.account.filter(|_| self.request.is_open()) else { return Vec::new() };
        let mut told = Vec::new();
        let name = &account.account;
        if self.is_unauthorized() {
            let code = account.errcode.map(meant).unwrap_or_default();
            return vec![format!(
                "The account's administrator must act first: the account has not authorized us, as WeChat has said since {} with code {code} Nothing is called until it has; a push of WeChat's or a slow probe tells, and `amplinkd account resume {name}` asks at once.",
                self.since(account)
            )];
        }
        if account.suspended_by.as_deref() == Some(SuspendedBy::Operator.as_str()) {
            told.push(format!("The account has been suspended by an operator since {}: nothing is polled or called until `amplinkd account resume {name}`.", self.since(account)));
        } else if account.state == "suspended" {
            let code = account.errcode.map_or_else(|| ".".to_owned(), |code| format!(" with code {}", meant(code)));
            told.push(format!("WeChat has refused us for this account since {}{code} Nothing is called until it answers again: a slow probe finds out; `amplinkd account resume {name}` asks at once.", self.since(account)));
        }
        told.extend(self.unread(account));
        told.extend(self.held_calls(account));
        let today = beijing_as(self.now, "%Y-%m-%d");
        let is_today = account.budget_day.as_deref() == Some(today.as_str());
        if is_today && account.budget_used >= i64::from(self.daily_budget) {
            told.push(format!("Today's {} polls of this account are used up (`[polling] daily_budget`); the next one is possible after {}.", self.daily_budget, beijing(Period::Day.begins_again(self.now, self.policy.rollover_grace))));
        }
        told
    }

    /// Calls of this request that a quota or a block holds back.
    fn gates(&self) -> Vec<String> {
        let Request { account, program, refusal, .. } = self.request;
        let call = format!("{account}/{}", self.api());
        let met = refusal.as_ref().map(|refusal| format!("{account}/{}", refusal.errcode));
        let listing = format!("{account}/wxamplinkget");
        let held = self.gates.iter().filter(|_| self.request.is_open());
        held.filter_map(|gate| {
            let until = Time::from_ms(gate.until);
            let (ahead, there) = (self.ahead(until), beijing(until));
            match gate.kind {
                GateKind::Ip => {
                    let next = if until > self.now { format!("at {ahead}") } else { "due now".to_owned() };
                    Some(format!("WeChat does not allow our address (code {}): add it to the platform's IP whitelist. The next try is {next}.", gate.errcode))
                }
                GateKind::ProgramMonth if gate.subject == program.as_str() && self.request.is_link() => Some(month(
                    gate,
                    "The program's links of this month are used up on every account",
                    &format!("{there}, {ahead}"),
                )),
                GateKind::AccountMonth if met.as_ref() == Some(&gate.subject) => Some(month(
                    gate,
                    &format!("The account's month is used up (code {})", gate.errcode),
                    &format!("{there}, {ahead}"),
                )),
                GateKind::ApiDay if gate.early && (gate.subject == call || gate.subject == listing) => Some(format!(
                    "WeChat's day may not have begun yet: {} answers that the old one's quota is used up, and is asked again at {there}, {ahead}.",
                    gate.subject.rsplit('/').next().unwrap_or_default()
                )),
                GateKind::ApiDay if gate.subject == call || gate.subject == listing => {
                    Some(format!("The account's daily quota of {} is used up until {there}, {ahead}.", gate.subject.rsplit('/').next().unwrap_or_default()))
                }
                GateKind::ProgramMonth | GateKind::AccountMonth | GateKind::ApiDay => None,
            }
        })
        .collect()
    }

    /// Whether anything is still due for this request.
    fn is_followed(&self) -> bool {
        plan::next_action(self.request, self.policy, self.now).is_some()
    }

    fn next(&self) -> Option<String> {
        Some(match (self.request.state, self.next_check) {
            (State::Deferred(_) | State::Linked, _) if !self.is_followed() || self.request.is_open() => return None,
            (_, _) if !self.is_followed() => "Nothing comes next: the request is finished.".to_owned(),
            // A suspension or the gate of our address has said so already.
            (_, None) if self.account.is_some_and(|account| account.suspended_by.is_some()) => return None,
            (_, Some(_)) if self.gates.iter().any(|gate| gate.kind == GateKind::Ip) => return None,
            (_, None) => "No poll of the account is planned: `amplinkd audit` shows why.".to_owned(),
            (_, Some(due)) if self.now.since(due) > OVERDUE_AFTER && due.ms() > 0 => {
                format!("The account was due at {} but was not polled: is `amplinkd run` running?", self.ago(due))
            }
            (_, Some(due)) if due <= self.now => {
                "Next, the account's list is read: it is due now, if `amplinkd run` is running.".to_owned()
            }
            (_, Some(due)) => format!("Next, the account's list is read at {}.", self.ahead(due)),
        })
    }

    fn deadline(&self) -> Option<String> {
        let after = self.policy.deadline.filter(|_| self.request.is_open())?;
        let deadline = self.request.requested_at + after;
        Some(format!("Without a settled answer it ends by itself at {} (`[policy] deadline`).", self.ahead(deadline)))
    }

    fn retry(&self) -> String {
        let id = &self.request.id;
        match (self.request.state, self.request.kind) {
            (state, _) if !state.is_finished() => {
                "A retry is not possible while it is open: it is being followed already.".to_owned()
            }
            (State::Linked, _) => "A retry would read the list first, find the link, and send nothing.".to_owned(),
            (State::Unlinked, Kind::Unlink) => {
                "A retry would read the list first, find nothing to unlink, and send nothing.".to_owned()
            }
            (_, Kind::Unlink) => format!(
                "A retry (`amplinkd request retry {id}`) makes a new request: it reads the list first, then asks the account's administrator again and uses the account's monthly quota."
            ),
            (_, Kind::Link(options)) => {
                let fans = if options.notify_users.wanted() {
                    " It would also message every fan of the account (notify_users)."
                } else {
                    ""
                };
                format!(
                    "A retry (`amplinkd request retry {id}`) makes a new request: it reads the list first, then invites both administrators again and uses the monthly quota of the account and of the program.{fans}"
                )
            }
        }
    }
}
