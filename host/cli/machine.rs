//! What this machine has: memory, as the system tells it.

/// The memory of the machine, in bytes, where the system says so.
pub(super) fn total_memory() -> Option<u64> {
    field("MemTotal:")
}

/// What programs may take of it now, in bytes, where the system says so.
pub(super) fn available_memory() -> Option<u64> {
    let limit = limit();
    let free = field("MemAvailable:")?;
    Some(limit.map_or(free, |limit| limit.min(free)))
}

/// What the control group of this process may take (cgroup version 2), in bytes.
pub(super) fn limit() -> Option<u64> {
    let text = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok()?;
    text.trim().parse().ok()
}

fn field(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

/// Bytes in GB, or in MB where they are few.
pub(super) fn gigabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
