//! The limit of open files: raised as far as the daemon needs and the system permits, and calls in flight that fit into it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Files that are open whatever is called: the database with its readers, channels, the log, programs that are started.
const RESERVED: u64 = 48;

/// Connections of one call: to the token service and to `WeChat`.
const PER_CALL: u64 = 2;

/// The configuration with as many calls in flight and connections of the API as fit into the limit; calls come first.
pub(super) fn fitted(config: &Config) -> Config {
    let mut fitted = config.clone();
    let calls = RESERVED + PER_CALL * u64::from(config.wechat.in_flight);
    let connections = config.http.as_ref().map_or(0, |http| http.connections);
    let needed = calls + u64::from(connections);
    let Some(limit) = raised(needed).filter(|limit| *limit < needed) else { return fitted };
    if limit < calls {
        fitted.wechat.in_flight = fitting(config.wechat.in_flight, limit, calls);
    }
    if let Some(http) = &mut fitted.http {
        let room = limit.saturating_sub(RESERVED + PER_CALL * u64::from(fitted.wechat.in_flight));
        http.connections = u32::try_from(room).unwrap_or(u32::MAX).clamp(1, connections);
        tracing::warn!(
            event = "daemon.few_files",
            limit,
            needed,
            connections = http.connections,
            "the limit of open files is too low for [http] connections = {connections}: raise LimitNOFILE= or ulimit -n"
        );
    }
    fitted
}

/// How many calls may be in flight of those that are configured. With more, connections and the database would fail in turn,
/// and accounts would be blamed for it.
fn fitting(in_flight: u32, limit: u64, needed: u64) -> u32 {
    let room = limit.saturating_sub(RESERVED) / PER_CALL;
    let fitting = u32::try_from(room).unwrap_or(u32::MAX).clamp(1, in_flight);
    tracing::warn!(
        event = "daemon.few_files",
        limit,
        needed,
        in_flight = fitting,
        "the limit of open files is too low for [wechat] in_flight = {in_flight}: raise LimitNOFILE= or ulimit -n"
    );
    fitting
}

/// The limit, after it was raised to `needed` if that is permitted; nothing is no limit.
fn raised(needed: u64) -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let current = current.filter(|current| *current < needed)?;
    let target = maximum.map_or(needed, |maximum| maximum.min(needed)).max(current);
    let new = Rlimit { current: Some(target), maximum };
    Some(setrlimit(Resource::Nofile, new).map_or(current, |()| target))
}
