//! A look that taught nothing about any request: what it holds back, and until when. It must never end a request.

use std::time::Duration;

use super::{
    Engine,
    agenda::Facts,
    poll::{Due, LISTING_API, Look, Polled},
    rest::PROBE_EVERY,
};
use crate::{
    domain::{
        account::Trouble,
        errcode::{Class, Refusal},
        time::Time,
    },
    store::{
        Record, StoreError,
        accounts::{AccountUpdate, Standing},
    },
};

/// The longest pause after polls that failed in a row.
pub(super) const RETRY_MAX: Duration = Duration::from_mins(30);

/// How long an account rests after 45011.
const TOO_FAST_PAUSE: Duration = Duration::from_mins(1);

/// Polls in a row that taught nothing before a deadline ends a request unread: a list that can be had has its say first.
const UNREAD_BEFORE_EXPIRY: u32 = 3;

/// Doublings of the pause between failures; more would overflow before it reaches its maximum.
pub(super) const DOUBLINGS_MAX: u32 = 16;

impl Engine {
    /// `WeChat` will not tell: hold back what the code concerns, and nothing more.
    pub(super) async fn refused(&self, look: Look<'_>, refusal: &Refusal) -> Result<Polled, StoreError> {
        let mut record = Record::default();
        let (standing, due) = match refusal.class() {
            Class::IpNotAllowed => {
                let (gate, is_news) = self.gates.close_ip(refusal, look.now);
                if is_news {
                    tracing::error!(
                        errcode = refusal.errcode,
                        errmsg = refusal.errmsg,
                        "our address is not on WeChat's whitelist: no account can be reached; add it, calls go on by themselves"
                    );
                }
                let until = Time::from_ms(gate.until);
                record.gates.push(gate);
                (None, until)
            }
            Class::AuthorizationGone | Class::PermissionMissing | Class::AccountRestricted => {
                if !look.facts.is_suspended {
                    tracing::error!(account = %look.account, refusal = %refusal, "account suspended: a person must act");
                }
                let standing = Standing::SuspendedByWechat { errcode: refusal.errcode, errmsg: refusal.errmsg.clone() };
                (Some((standing, look.now)), self.jittered(look.now, look.now + PROBE_EVERY))
            }
            Class::DailyQuota => {
                record.gates.push(self.gates.close_api(look.account, LISTING_API, refusal, look.now));
                (None, self.jittered(look.now, look.now.next_beijing_day() + TOO_FAST_PAUSE))
            }
            Class::TooFast => (None, self.jittered(look.now, look.now + TOO_FAST_PAUSE)),
            Class::OurBug => (None, look.now + PROBE_EVERY),
            Class::Done
            | Class::InvitationOut
            | Class::ConsoleLink
            | Class::AlreadyLinked
            | Class::UnlinkOut
            | Class::ProgramMonth
            | Class::AccountMonth
            | Class::Final
            | Class::Busy
            | Class::Unknown => return self.failed(look, refusal.to_string(), Trouble::Refused).await,
            Class::TokenBad => return self.failed(look, refusal.to_string(), Trouble::Token).await,
        };
        self.set_back(look, record, standing, due, (refusal.to_string(), Trouble::Refused)).await
    }

    pub(super) async fn failed(&self, look: Look<'_>, why: String, trouble: Trouble) -> Result<Polled, StoreError> {
        let doublings = look.facts.failures.min(DOUBLINGS_MAX);
        let pause = self.policy().steps.every(Duration::ZERO).saturating_mul(1 << doublings).min(RETRY_MAX);
        let due = self.jittered(look.now, look.now + pause);
        self.set_back(look, Record::default(), None, due, (why, trouble)).await
    }

    /// A poll that taught nothing about requests: remember why, and when to try again.
    pub(super) async fn set_back(
        &self,
        look: Look<'_>,
        mut record: Record,
        standing: Option<(Standing, Time)>,
        due: Time,
        (why, trouble): (String, Trouble),
    ) -> Result<Polled, StoreError> {
        let failures = look.facts.failures.saturating_add(1);
        tracing::warn!(account = %look.account, failures, error = why, "engine.poll.failed");
        // What was suspended before is not suspended anew: it keeps its since.
        let standing = standing.filter(|_| !look.facts.is_suspended);
        let is_suspended = look.facts.is_suspended || standing.is_some();
        if failures >= UNREAD_BEFORE_EXPIRY || is_suspended {
            let mut requests = self.watched(look.account).await?.requests;
            self.expire(&mut requests, look.now).await?;
        }
        record.account = Some(AccountUpdate {
            account: look.account.clone(),
            next_check_at: Some(due),
            pace_from: look.facts.pace_from,
            reread_at: look.facts.reread_at,
            checked_at: look.facts.checked_at,
            listing_hash: look.facts.listing_hash,
            failures,
            last_error: Some(why),
            trouble: Some(trouble),
            unread_since: (!is_suspended).then_some(look.now),
            standing,
        });
        self.recorder.write(record).await?;
        Ok(Polled { facts: Facts { failures, is_suspended, ..look.facts }, due: Due::At(due) })
    }
}

/// Codes that concern the account as a whole, so that calling on would only repeat them.
pub(super) const fn stops_the_account(class: Class) -> bool {
    matches!(
        class,
        Class::IpNotAllowed
            | Class::AuthorizationGone
            | Class::PermissionMissing
            | Class::AccountRestricted
            | Class::TooFast
            | Class::TokenBad
    )
}
