//! What Linux says of this process; 0 where it says nothing.

/// A line of `/proc/self/status`, in MB: `VmRSS`, the memory that the process holds, or `VmHWM`, the most that it held.
#[allow(dead_code, reason = "not every benchmark asks for it")]
pub fn memory_mb(name: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// User and system time, from `/proc/self/stat` (hundredths of a second).
#[allow(dead_code, reason = "not every benchmark asks for it")]
pub fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// The time that this thread has run, in seconds (to the nanosecond), which other programs do not lengthen.
#[allow(dead_code, reason = "not every benchmark asks for it")]
pub fn thread_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// The time that all threads of this process which are still there have run, in seconds (to the nanosecond).
#[allow(dead_code, reason = "not every benchmark asks for it")]
pub fn threads_seconds() -> f64 {
    let ran = |folder: std::fs::DirEntry| {
        let text = std::fs::read_to_string(folder.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten().filter_map(ran).sum::<f64>() / 1e9
}
