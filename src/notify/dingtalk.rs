//! Placeholder of the channel `dingtalk`.

use super::{ChannelError, ChannelSettings, Pace, SendError};
use crate::domain::{message::Message, time::Time};

pub(super) const PACE: Pace = Pace { at_once: 1, most: None };

/// Placeholder.
#[derive(Debug)]
pub struct Dingtalk {}

impl Dingtalk {
    pub(super) fn new(_: &ChannelSettings) -> Result<Self, ChannelError> {
        Ok(Self {})
    }

    #[expect(clippy::unused_async, reason = "a placeholder")]
    pub(super) async fn send(&self, _: &Message, _: Time) -> Result<(), SendError> {
        Err(SendError::Gone { why: "not written yet".to_owned() })
    }
}
