//! What the machine tells of this process (proc(5)).

use std::time::Duration;

/// CPU time of this process, user and system, all threads.
pub(crate) fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 14 and 15, counted behind the name in parentheses, in ticks of 10 ms (proc(5)).
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect())
        .unwrap_or_default();
    Duration::from_millis(fields.iter().sum::<u64>() * 10)
}

/// The most memory this process ever held, in MB.
pub(crate) fn peak_memory_mb() -> f64 {
    status_mb("VmHWM:")
}

/// The memory this process holds now, in MB.
pub(crate) fn memory_mb() -> f64 {
    status_mb("VmRSS:")
}

/// The memory that another process holds now, in MB.
pub(crate) fn memory_of_mb(process: u32) -> f64 {
    status_mb_of(&process.to_string(), "VmRSS:")
}

fn status_mb(field: &str) -> f64 {
    status_mb_of("self", field)
}

fn status_mb_of(process: &str, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or("0 kB");
    let kb: f64 = line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0.0);
    kb / 1024.0
}

/// Processor and memory, as a heading of the figures wants them.
pub(crate) fn description() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let names: Vec<&str> = cpus.lines().filter(|line| line.starts_with("model name")).collect();
    let name = names.first().and_then(|line| line.split_once(": ")).map_or("unknown", |(_, name)| name);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kb = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or(0.0);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?");
    format!("{} × {name}, {:.0} GB, load before the run {load}", names.len(), kb / 1024.0 / 1024.0)
}
