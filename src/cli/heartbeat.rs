//! `amplinkd heartbeat`: one beat now, and what came back. The URL is not printed.

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::context::{Context, ExitStatus};
use crate::{
    clock::{Clock, SystemClock},
    notify::{SendError, heartbeat::HeartbeatClient},
};

/// What can be done with the heartbeat.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Send one heartbeat that says all is well, and print the result; exit code 1 if it is not accepted
    #[command(after_help = "\
Example:
  amplinkd heartbeat test

It is sent directly and at once, in the way of [heartbeat] kind, without asking whether all is well. The daemon need not \
run; the service then misses the next one.")]
    Test,
}

/// What came of a test.
#[derive(Debug, Serialize)]
struct Tested {
    kind: &'static str,
    result: &'static str,
    took_ms: u64,
}

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::Test => test(context).await.map(|()| ExitStatus::Success),
    }
}

async fn test(context: &Context) -> anyhow::Result<()> {
    let section = context.config_with_channels()?.heartbeat;
    let settings = section.settings().context("there is no heartbeat: set `url` or `url_file` in [heartbeat]")?;
    let client = HeartbeatClient::new(settings).context("[heartbeat] url")?;
    let clock = SystemClock::new();
    let began = clock.now();
    if let Err(wrong) = beat(&client, &clock).await {
        let meaning = match &wrong {
            SendError::Later { .. } => "the daemon would try again with its next one",
            SendError::Unconfirmed { .. } => "the response is not understood: check the address and the kind",
            SendError::Refused { .. } | SendError::Gone { .. } => "the service refuses it: fix the configuration",
        };
        bail!("the heartbeat was not accepted: {wrong} ({meaning})");
    }
    let took_ms = u64::try_from(clock.now().since(began).as_millis()).unwrap_or(u64::MAX);
    context.print_one(&Tested { kind: section.kind.as_str(), result: "taken", took_ms })
}

/// Both ends of a beat, as the daemon sends them.
async fn beat(client: &HeartbeatClient, clock: &dyn Clock) -> Result<(), SendError> {
    client.start(clock.now()).await?;
    client.ok(clock.now()).await
}
