//! The process as the system sees it, under the names that every Prometheus client uses. Where the system does not tell,
//! the metric is left out.

use std::{fmt, fs};

use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
};

use super::page::{Page, count, timestamp};
use crate::domain::time::Time;

pub(super) fn write(page: &mut Page<'_>, started_at: Time) -> fmt::Result {
    if let Some(seconds) = cpu_seconds() {
        page.seconds_counter("process_cpu_seconds_total", seconds)?;
    }
    if let Some(bytes) = resident_bytes() {
        page.gauge("process_resident_memory_bytes", count(bytes))?;
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the folder itself.
        page.gauge("process_open_fds", count((open.count() as u64).saturating_sub(1)))?;
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        page.gauge("process_max_fds", count(most))?;
    }
    page.gauge("process_start_time_seconds", timestamp(Some(started_at)))
}

/// User and system time, from `/proc/self/stat`: its fields 14 and 15, of which the second is the program's name in
/// parentheses.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let ticks: Vec<u64> = rest.split(' ').skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    let [user, system] = ticks[..] else { return None };
    Some(count(user + system) / count(clock_ticks_per_second()))
}

fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * page_size() as u64)
}
