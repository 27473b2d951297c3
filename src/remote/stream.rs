//! The stream of events of a daemon (text/event-stream): followed for as long as its reader wants, also over connections that
//! end; what came in between is sent on from the last event that was seen.

use std::time::Duration;

use bytes::BytesMut;
use reqwest::Response;

use super::{client::Server, failure::Failure};

/// How long to wait before a stream is opened again.
const COME_BACK: Duration = Duration::from_secs(3);

/// Openings in a row that fail before the reader is told; a restart of the daemon takes less.
const FAILURES_MAX: u32 = 20;

/// Bytes of one event at most.
const EVENT_MAX: usize = 4 << 20;

/// An event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Its sequence.
    pub id: String,
    /// Its type; `reset` where some in between are kept no longer.
    pub kind: String,
    /// What it says.
    pub data: String,
}

/// Events as they happen.
#[derive(Debug)]
pub struct Stream<'s> {
    server: &'s Server,
    response: Option<Response>,
    buffer: BytesMut,
    last: Option<String>,
}

impl<'s> Stream<'s> {
    /// Begins to follow: what happens after this is not missed.
    ///
    /// # Errors
    /// [`Failure`] of the first opening.
    pub async fn open(server: &'s Server) -> Result<Self, Failure> {
        let mut stream = Self { server, response: None, buffer: BytesMut::new(), last: None };
        stream.response = Some(stream.opened().await?);
        Ok(stream)
    }

    async fn opened(&self) -> Result<Response, Failure> {
        self.server.open("/api/v1/events", "text/event-stream", self.last.as_deref()).await
    }

    /// The next event. Whoever waits must not begin anew now and then, or a lost connection never comes back.
    ///
    /// # Errors
    /// [`Failure`] when the daemon cannot be reached for a minute, or does not want to be followed any more.
    pub async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            if let Some(event) = self.buffered() {
                return Ok(event);
            }
            if self.buffer.len() > EVENT_MAX {
                return Err(Failure::Unreadable { server: self.server.name(), why: "an event without end".to_owned() });
            }
            let Some(response) = &mut self.response else {
                self.again().await?;
                continue;
            };
            match response.chunk().await {
                Ok(Some(bytes)) => self.buffer.extend_from_slice(&bytes),
                // It ends after an hour, with the daemon, or with the connection.
                Ok(None) | Err(_) => self.response = None,
            }
        }
    }

    async fn again(&mut self) -> Result<(), Failure> {
        self.buffer.clear();
        let mut failures = 0;
        loop {
            tokio::time::sleep(COME_BACK).await;
            match self.opened().await {
                Ok(response) => {
                    self.response = Some(response);
                    return Ok(());
                }
                Err(failure) if failure.is_lasting() || failures == FAILURES_MAX => return Err(failure),
                Err(_) => failures += 1,
            }
        }
    }

    /// The first whole event of what has come.
    fn buffered(&mut self) -> Option<Event> {
        loop {
            let end = self.buffer.windows(2).position(|two| two == b"\n\n")?;
            let block = self.buffer.split_to(end + 2);
            let event = read(&String::from_utf8_lossy(&block));
            if !event.id.is_empty() {
                self.last = Some(event.id.clone());
            }
            if !event.kind.is_empty() || !event.data.is_empty() {
                return Some(event);
            }
        }
    }
}

/// One event of its lines; a comment makes none.
fn read(block: &str) -> Event {
    let mut event = Event::default();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => value.clone_into(&mut event.id),
            "event" => value.clone_into(&mut event.kind),
            "data" => {
                if !event.data.is_empty() {
                    event.data.push('\n');
                }
                event.data.push_str(value);
            }
            _ => {}
        }
    }
    event
}

impl Failure {
    /// Whether a later try would end in the same way.
    const fn is_lasting(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Unauthenticated { .. } | Self::Redirected { .. } | Self::Unusable { .. } => true,
            Self::Unreachable { .. }
            | Self::Lost { .. }
            | Self::Foreign { .. }
            | Self::Unreadable { .. }
            | Self::Later { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_from_its_lines() {
        let event = read("id: 42\nevent: amplinkd.request.linked\ndata: {\"a\":\ndata: 1}\n\n");
        assert_eq!(
            (event.id.as_str(), event.kind.as_str(), event.data.as_str()),
            ("42", "amplinkd.request.linked", "{\"a\":\n1}")
        );
        assert_eq!(read(": still here\nretry: 3000\n\n"), Event::default());
    }
}
