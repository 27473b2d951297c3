//! Probes: whether the process is worth keeping, and whether it can be asked. They tell by their status alone, and nobody needs
//! a credential; those who may read can ask for more.

use std::time::Duration;

use axum::{extract::State, http::Uri};

use super::{
    pairs::pairs,
    problem::{Fault, Problem},
    state::Api,
    text::Text,
    word::Word,
};
use crate::shutdown::Shutdown;

/// Probes answer whatever they are called by, at the root and below the base: whoever probes knows an address alone.
pub(super) const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// How often it is looked whether the loop goes round, in the machine's time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Watches the loop until the end is asked for.
pub(super) async fn watch(api: &Api, shutdown: &Shutdown) {
    while shutdown.unless_asked(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        api.pulse.note(api.engine().readings().turns);
    }
    api.pulse.end();
}

/// What a probe looks at: its name, and whether it is well.
type Check = (&'static str, bool);

/// Whether a query asks a probe for more than its status, which is for those who may read.
pub(super) fn is_verbose(query: Option<&str>) -> bool {
    let pairs = pairs(query.unwrap_or_default());
    pairs.iter().any(|(name, value)| name == "verbose" && !["false", "0"].contains(&value.as_str()))
}

/// Whether the main loop goes round. It never asks the disk: a full one is no reason to end.
///
/// With `verbose`, for those who may read, each thing that was looked at in a line.
#[utoipa::path(get, path = "/livez", tag = "health", security(()), params(
    ("verbose" = Option<String>, Query, pattern = "^(true|1|false|0)?$", description = "Say what was looked at; needs the role viewer, and of a token the scope read"),
), responses((status = 200, body = String, content_type = "text/plain", description = "It does")))]
pub(super) async fn livez(State(api): State<Api>, uri: Uri) -> Result<String, Problem> {
    answer(&[("main loop", api.pulse.beats())], &uri)
}

/// Whether requests are taken: the database can be written, and the daemon does not end.
///
/// With `verbose`, for those who may read, each thing that was looked at in a line.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()), params(
    ("verbose" = Option<String>, Query, pattern = "^(true|1|false|0)?$", description = "Say what was looked at; needs the role viewer, and of a token the scope read"),
), responses((status = 200, body = String, content_type = "text/plain", description = "They are")))]
pub(super) async fn readyz(State(api): State<Api>, uri: Uri) -> Result<String, Problem> {
    let checks = [
        ("database can be written", api.engine().readings().unwritable_since.is_none()),
        ("database is in its place", api.store().is_in_place()),
        ("daemon goes on", !api.pulse.is_ending()),
    ];
    answer(&checks, &uri)
}

fn answer(checks: &[Check], uri: &Uri) -> Result<String, Problem> {
    let is_well = checks.iter().all(|(_, is_well)| *is_well);
    let query = uri.query();
    let given: Vec<_> = pairs(query.unwrap_or_default()).into_iter().filter(|(name, _)| name == "verbose").collect();
    if given.len() > 1 || given.iter().any(|(_, value)| !["", "true", "1", "false", "0"].contains(&value.as_str())) {
        let detail = Text::fixed(
            "expected once, with true, 1, false, 0 or nothing",
            "只能给出一次，值应为 true、1、false、0 或空",
        );
        return Err(Problem::invalid(vec![Fault { pointer: "?verbose".to_owned(), detail }]));
    }
    if !is_verbose(query) {
        return if is_well { Ok("ok\n".to_owned()) } else { Err(Problem::of(Word::Busy)) };
    }
    let lines = checks.iter().map(|(name, is_well)| format!("{name}: {}\n", if *is_well { "ok" } else { "failed" }));
    let told: String = lines.collect();
    if is_well { Ok(told) } else { Err(Problem::new(Word::Busy, Text::new(told.clone(), told))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::text::Language;

    #[test]
    fn details_are_asked_for_by_name() {
        for verbose in ["verbose", "verbose=", "verbose=true", "a=b&verbose=1"] {
            assert!(is_verbose(Some(verbose)), "{verbose}");
        }
        for plain in [None, Some(""), Some("verbose=false"), Some("verbose=0"), Some("quiet"), Some("verbosely")] {
            assert!(!is_verbose(plain), "{plain:?}");
        }
    }

    #[test]
    fn what_failed_is_told_to_those_who_asked() {
        let checks = [("one", true), ("other", false)];
        let said = |uri: &str| answer(&checks, &uri.parse().unwrap()).unwrap_err().told(Language::En, "1");
        assert!(!String::from_utf8(said("/readyz")).unwrap().contains("other"));
        let told = String::from_utf8(said("/readyz?verbose")).unwrap();
        assert!(told.contains("one: ok") && told.contains("other: failed"), "{told}");
    }
}
