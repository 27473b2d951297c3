//! Probes: whether the process is worth keeping, and whether it can be asked. They tell by their status alone; nobody needs
//! a credential.

use std::time::Duration;

use axum::{extract::State, http::StatusCode};

use super::{problem::Problem, state::Api, word::Word};
use crate::shutdown::Shutdown;

/// How often it is looked whether the loop goes round, in the machine's time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Watches the loop until the end is asked for.
pub(super) async fn watch(api: &Api, shutdown: &Shutdown) {
    while shutdown.unless_asked(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        api.pulse.note(api.engine().readings().turns);
    }
    api.pulse.end();
}

/// Whether the main loop goes round. It never asks the disk: a full one is no reason to end.
#[utoipa::path(get, path = "/livez", tag = "health", security(()), responses((status = 200, body = String, content_type = "text/plain", description = "It does")))]
pub(super) async fn livez(State(api): State<Api>) -> Result<(StatusCode, &'static str), Problem> {
    if api.pulse.beats() { Ok((StatusCode::OK, "ok\n")) } else { Err(Problem::of(Word::Busy)) }
}

/// Whether requests are taken: the database can be written, and the daemon does not end.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()), responses((status = 200, body = String, content_type = "text/plain", description = "They are")))]
pub(super) async fn readyz(State(api): State<Api>) -> Result<(StatusCode, &'static str), Problem> {
    let is_ready =
        api.engine().readings().unwritable_since.is_none() && api.store().is_in_place() && !api.pulse.is_ending();
    if is_ready { Ok((StatusCode::OK, "ok\n")) } else { Err(Problem::of(Word::Busy)) }
}
