//! One call with an effect: gate, token, permit, whether it is still wanted, intent on disk, call, result on disk.
//! Nothing waits between intent and call, so an intent without a result is a call that was sent, or a process that died
//! at that very moment.

use std::sync::atomic::Ordering;

use super::{Engine, Meters, gates::api, record::Intent};
use crate::{
    domain::{
        errcode::{Class, Refusal},
        observation::Observation,
        request::{Kind, Request},
        tenure::lease::Lease,
    },
    store::{Record, StoreError, write::gates::Gate},
    wechat::{CallError, LinkOptions, Token, TokenError},
};

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Called {
    /// `WeChat` took it.
    Accepted,
    /// `WeChat` said no.
    Refused(Refusal),
    /// It may have been sent, and nobody knows whether `WeChat` took it.
    Lost,
    /// It was surely not sent.
    NotSent(Unsent),
}

/// Why a call was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unsent {
    /// A quota holds it back.
    HeldBack,
    /// There is no token to call with.
    NoToken(TokenError),
    /// `WeChat` cannot be reached.
    Unreachable,
    /// Somebody changed the request meanwhile, as a cancel does, or makes its call.
    NotWanted,
    /// The account is suspended, our address is refused, or the daemon is to end.
    NotAllowed,
}

/// A request whose call was not sent, as it is then, and why.
pub(super) type NotSent = (Request, Unsent);

/// A call whose intent is on disk.
#[derive(Debug)]
pub(super) struct Intended {
    /// The request, initiating.
    pub(super) request: Request,
    token: Token,
    /// The gates that the call asks for all.
    asking: Vec<Gate>,
}

impl Engine {
    /// Writes the intent to call for a request whose list was just read, where nothing forbids it.
    ///
    /// # Errors
    /// [`StoreError`]: the intent could not be written, so nothing may be called.
    #[tracing::instrument(name = "engine.submit", level = "debug", skip_all, fields(request.id = %request.id))]
    pub(super) async fn intend(&self, request: &Request) -> Result<Result<Intended, NotSent>, StoreError> {
        let token = match self.token_for_call(request).await? {
            Ok(token) => token,
            Err(not_sent) => return Ok(Err(not_sent)),
        };
        // It has waited for its turn, and perhaps for a token: whatever may be different is asked again.
        let asking = match self.confirm(request).await? {
            Ok(asking) => asking,
            Err(not_sent) => return Ok(Err(not_sent)),
        };
        Ok(match self.write_intent(request, &asking).await? {
            Ok(request) => Ok(Intended { request, token, asking }),
            Err(not_sent) => Err(not_sent),
        })
    }

    /// Makes the call, for as long as its account is this daemon's. Answers what was seen of it, what it came to, and what
    /// that means for gates, which is to be written with it.
    pub(super) async fn call(&self, intended: &Intended, lease: Lease) -> (Observation, Called, Record) {
        let Intended { request, token, asking } = intended;
        let ownership = self.ownership();
        let (seen, called) = if ownership.stands(lease) {
            Meters::count(&self.meters.calls);
            match ownership.while_it_stands(lease, self.send(request, token)).await {
                Some(answer) => observed(answer),
                None => (Observation::CallLost, Called::Lost),
            }
        } else {
            (Observation::CallNotSent, Called::NotSent(Unsent::NotAllowed))
        };
        let mut more = self.heed_call(request, asking, &called);
        if let Called::Refused(refusal) = &called
            && refusal.class() == Class::IpNotAllowed
        {
            more.gates.push(self.close_address(refusal, self.clock().now()));
        }
        (seen, called, more)
    }

    /// A token to call with, unless a quota holds the call back anyway.
    async fn token_for_call(&self, request: &Request) -> Result<Result<Token, NotSent>, StoreError> {
        if self.is_day_used(request) {
            return Ok(Err((unlooked(request), Unsent::HeldBack)));
        }
        if let Some(wait) = self.held(request).await? {
            return Ok(Err((self.hold_back(request, wait).await?, Unsent::HeldBack)));
        }
        Ok(match self.in_force().wechat.token_for(&request.account).await {
            Ok(token) => Ok(token),
            Err(CallError::NoToken(error)) => Err((unlooked(request), Unsent::NoToken(error))),
            // A token is all that was asked for.
            Err(CallError::NotSent(_) | CallError::Refused(_) | CallError::Lost(_) | CallError::Unreadable(_)) => {
                Err((unlooked(request), Unsent::Unreachable))
            }
        })
    }

    /// Whether the call is allowed by what is known without the database. Answers the gates that the call asks for all.
    async fn confirm(&self, request: &Request) -> Result<Result<Vec<Gate>, NotSent>, StoreError> {
        let is_refused_everywhere = self.gates.closed_until(self.clock().now()).is_some();
        if self.is_ending.load(Ordering::Relaxed) || is_refused_everywhere {
            return Ok(Err((unlooked(request), Unsent::NotAllowed)));
        }
        if self.is_day_used(request) {
            return Ok(Err((unlooked(request), Unsent::HeldBack)));
        }
        Ok(match self.go_through(request).await? {
            Ok(asking) => Ok(asking),
            Err(wait) => Err((self.hold_back(request, wait).await?, Unsent::HeldBack)),
        })
    }

    /// Writes the intent to call, where the request and its account are still as they were and nobody says no. Only the one
    /// who wrote the intent may call.
    async fn write_intent(&self, request: &Request, asking: &[Gate]) -> Result<Result<Request, NotSent>, StoreError> {
        let intent = self.recorder.intend(request, asking).await;
        let refused = match intent {
            Ok(Intent::Written(started)) => return Ok(Ok(started)),
            Ok(Intent::NotAllowed) => Ok(Err((unlooked(request), Unsent::NotAllowed))),
            Ok(Intent::NotWanted(there)) => Ok(Err((there.unwrap_or_else(|| unlooked(request)), Unsent::NotWanted))),
            Err(error) => Err(error),
        };
        // Nothing is called, so nobody asks: the gates stand open a moment sooner than is written.
        self.gates.give_back(asking, self.clock().now());
        refused
    }

    async fn send(&self, request: &Request, token: &Token) -> Result<(), CallError> {
        match request.kind {
            Kind::Link(options) => {
                let options = LinkOptions {
                    notify_users: options.notify_users.wanted(),
                    show_profile: options.show_profile.wanted(),
                };
                self.in_force().wechat.link(&request.account, token, &request.program, options).await
            }
            Kind::Unlink => self.in_force().wechat.unlink(&request.account, token, &request.program).await,
        }
    }

    /// Whether this API's day is used up for the account: the request stays where it is until it is over.
    fn is_day_used(&self, request: &Request) -> bool {
        self.gates.api(&request.account, api(request.kind), self.clock().now()).is_some()
    }
}

/// The request as it is when its call was not made: the look that allowed it is spent, the next poll takes another.
fn unlooked(request: &Request) -> Request {
    Request { looked_at: None, ..request.clone() }
}

fn observed(answer: Result<(), CallError>) -> (Observation, Called) {
    match answer {
        Ok(()) => (Observation::CallAccepted, Called::Accepted),
        Err(CallError::Refused(refusal)) => (Observation::CallRefused(refusal.clone()), Called::Refused(refusal)),
        Err(CallError::NoToken(error)) => {
            tracing::warn!(event = "engine.submit.not_sent", error = %error, "call not sent");
            (Observation::CallNotSent, Called::NotSent(Unsent::NoToken(error)))
        }
        Err(error @ CallError::NotSent(_)) => {
            tracing::warn!(event = "engine.submit.not_sent", error = %error, "call not sent");
            (Observation::CallNotSent, Called::NotSent(Unsent::Unreachable))
        }
        Err(error @ (CallError::Lost(_) | CallError::Unreadable(_))) => {
            tracing::warn!(
                event = "engine.submit.outcome_unknown",
                error = %error,
                "outcome of a call unknown: the account's list will tell"
            );
            (Observation::CallLost, Called::Lost)
        }
    }
}
