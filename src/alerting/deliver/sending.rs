//! One try of one message: put into words, sent, measured and traced. What it means is decided elsewhere.

use std::{future::Future, sync::Arc, time::Duration};

use tracing::{Instrument as _, Span, field::Empty};

use super::{ChannelEndpoint, parcel::Parcel};
use crate::{alerting::meters::ChannelMeters, clock::SharedClock, domain::text::render, notify::SendError};

/// How long one message may take whatever its channel promises: a channel that never ends must not hold its line for ever.
const SEND_MAX: Duration = Duration::from_mins(5);

/// Sends a message by its channel; answers what came of it.
pub(super) fn sending(
    (outlet, clock): (Arc<ChannelEndpoint>, SharedClock),
    parcel: &Parcel,
    meters: Arc<ChannelMeters>,
) -> impl Future<Output = Result<(), SendError>> + Send + 'static {
    let told = parcel.event();
    let span = tracing::debug_span!(
        "alerting.deliver",
        otel.kind = "client",
        channel = outlet.name,
        event.id = parcel.first.event_id,
        event.kind = parcel.first.kind,
        result = Empty,
    );
    let sending = async move {
        let begun = clock.monotonic();
        let message = render::message(&told, outlet.language, &outlet.zone, outlet.link.as_deref());
        let sent = tokio::time::timeout(SEND_MAX, outlet.channel.send(&message, clock.now())).await;
        meters.took(clock.monotonic().saturating_sub(begun));
        let sent = sent.unwrap_or_else(|_| Err(SendError::Later { why: "it did not end".to_owned(), after: None }));
        Span::current().record("result", word(&sent));
        sent
    };
    sending.instrument(span)
}

/// What came of it, without what the service said.
const fn word(sent: &Result<(), SendError>) -> &'static str {
    match sent {
        Ok(()) => "taken",
        Err(SendError::Later { .. }) => "later",
        Err(SendError::Unconfirmed { .. }) => "unconfirmed",
        Err(SendError::Refused { .. }) => "refused",
        Err(SendError::Gone { .. }) => "gone",
    }
}
