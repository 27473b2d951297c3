//! One call that has an effect: gate, token, intent on disk, call, answer on disk. It must never call before the intent
//! is written, and never call twice for one intent.

use std::sync::atomic::Ordering;

use super::{Engine, Meters, record::Wrote};
use crate::{
    domain::{
        account::{Status, SuspendedBy},
        decide::after_the_month,
        errcode::{Class, Refusal},
        id::AccountId,
        observation::Observation,
        request::{Kind, Outcome, Request, State},
        time::Time,
    },
    store::{Record, StoreError, gates::Gate},
    wechat::{CallError, LinkOptions, Token, TokenError},
};

/// What became of a request whose list allowed a call.
#[derive(Debug)]
pub(super) struct Submitted {
    /// The request as it is then.
    pub(super) request: Request,
    /// What the call came to.
    pub(super) came: Came,
}

/// What a call came to.
#[derive(Debug)]
pub(super) enum Came {
    /// None was made: it is held back, or not wanted any more.
    NotCalled,
    /// `errcode` 0.
    Accepted,
    /// Another `errcode`, of the call or of the token for it.
    Refused(Refusal),
    /// It was surely not sent, and why.
    NotSent(String),
    /// Its answer was lost.
    Lost,
}

impl Submitted {
    const fn not_called(request: Request) -> Self {
        Self { request, came: Came::NotCalled }
    }
}

impl Engine {
    /// Makes the call of a request whose list was just read; the turn for it is taken. Answers the request as it is then,
    /// and what the call came to, which the whole account may have to heed.
    ///
    /// # Errors
    /// [`StoreError`]: the intent could not be written, so nothing was called.
    #[tracing::instrument(name = "engine.submit", level = "debug", skip_all, fields(request.id = %request.id))]
    pub(super) async fn submit(&self, request: &Request) -> Result<Submitted, StoreError> {
        let now = self.clock().now();
        // The quota is one of links: an unlink is not held back by it.
        if request.is_link()
            && let Some(gate) = self.gates.program(&request.program, now)
        {
            return Ok(Submitted::not_called(self.hold_back(request, &gate).await?));
        }
        if self.gates.api(&request.account, api(request.kind), now).is_some() {
            return Ok(Submitted::not_called(unlooked(request)));
        }
        let token = match self.wechat.ticket(&request.account).await {
            Ok(token) => token,
            Err(error) => return Ok(Submitted { request: unlooked(request), came: not_sent(error) }),
        };
        if self.must_not_call(&request.account).await? {
            return Ok(Submitted::not_called(unlooked(request)));
        }
        let intent = self.recorder.try_observe(request, &Observation::CallStarted, Record::default()).await?;
        let started = intent.request;
        if intent.wrote != Wrote::TheMove || !matches!(started.state, State::Initiating(Outcome::Pending)) {
            // Only the one who wrote the intent may call. Somebody changed the request meanwhile, as a cancel does.
            return Ok(Submitted::not_called(started));
        }
        Meters::count(&self.meters.calls);
        let answer = self.call(&started, &token).await;
        let (seen, came) = observed(answer);
        let gates = match &came {
            Came::Refused(refusal) => self.gate_of(&started, refusal, self.clock().now()).into_iter().collect(),
            Came::NotCalled | Came::Accepted | Came::NotSent(_) | Came::Lost => Vec::new(),
        };
        let answered = self.recorder.observe_surely(&started, &seen, Record { gates, ..Record::default() }).await;
        Ok(Submitted { request: answered, came })
    }

    /// Whether an operator has suspended the account since its list was asked for, or its row has become one that says
    /// nothing for certain, or the daemon is to end.
    async fn must_not_call(&self, account: &AccountId) -> Result<bool, StoreError> {
        if self.is_ending.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let accounts = self.store().accounts(&[account.to_string()]).await?;
        Ok(accounts.first().is_none_or(|known| known.state.status == Status::Suspended(SuspendedBy::Operator)))
    }

    async fn call(&self, request: &Request, token: &Token) -> Result<(), CallError> {
        match request.kind {
            Kind::Link(options) => {
                let options = LinkOptions {
                    notify_users: options.notify_users.wanted(),
                    show_profile: options.show_profile.wanted(),
                };
                self.wechat.link(&request.account, token, &request.program, options).await
            }
            Kind::Unlink => self.wechat.unlink(&request.account, token, &request.program).await,
        }
    }

    async fn hold_back(&self, request: &Request, gate: &Gate) -> Result<Request, StoreError> {
        let until = after_the_month(&request.id, Time::from_ms(gate.at));
        let refusal = Refusal { errcode: gate.errcode, errmsg: gate.errmsg.clone() };
        self.recorder.observe(request, &Observation::HeldBack { until, refusal }, Record::default()).await
    }

    /// The gate that a refusal closes for more than this request.
    fn gate_of(&self, request: &Request, refusal: &Refusal, now: Time) -> Option<Gate> {
        match (refusal.class(), request.kind) {
            (Class::ProgramMonth, Kind::Link(_)) => Some(self.gates.close_program(&request.program, refusal, now)),
            (Class::IpNotAllowed, _) => Some(self.close_address(refusal, now)),
            (Class::DailyQuota, kind) => Some(self.gates.close_api(&request.account, api(kind), refusal, now)),
            _ => None,
        }
    }
}

/// The request as it is when its call was not made: the look that allowed it is spent, the next poll takes another.
fn unlooked(request: &Request) -> Request {
    Request { looked_at: None, ..request.clone() }
}

/// The name of the call.
const fn api(kind: Kind) -> &'static str {
    match kind {
        Kind::Link(_) => "wxamplink",
        Kind::Unlink => "wxampunlink",
    }
}

fn observed(answer: Result<(), CallError>) -> (Observation, Came) {
    match answer {
        Ok(()) => (Observation::CallAccepted, Came::Accepted),
        Err(CallError::Refused(refusal)) => (Observation::CallRefused(refusal.clone()), Came::Refused(refusal)),
        Err(error @ (CallError::NoToken(_) | CallError::NotSent(_))) => {
            tracing::warn!(error = %error, "engine.submit.not_sent");
            (Observation::CallNotSent, not_sent(error))
        }
        Err(error @ CallError::Lost(_)) => {
            tracing::warn!(error = %error, "engine.submit.outcome_unknown");
            (Observation::CallLost, Came::Lost)
        }
    }
}

fn not_sent(error: CallError) -> Came {
    match error {
        CallError::Refused(refusal) | CallError::NoToken(TokenError::Refused(refusal)) => Came::Refused(refusal),
        CallError::NoToken(_) | CallError::NotSent(_) | CallError::Lost(_) => Came::NotSent(error.to_string()),
    }
}
