//! What processes and threads use: CPU time, memory, open files.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Raises this process's limit of open files to what is needed, as far as its hard limit allows. Returns the
/// limit in force.
pub fn raise_open_files(needed: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= needed {
        return current;
    }
    let wanted = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
        Ok(()) => wanted,
        Err(_) => current,
    }
}

/// CPU time of the calling thread.
pub(super) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Resident memory of this process, bytes; `None` where there is no `/proc`.
pub(super) fn own_rss() -> Option<u64> {
    rss(&std::fs::read_to_string("/proc/self/statm").ok()?)
}

/// CPU time and memory of another process at one moment; `None` where it cannot be seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    pub(super) cpu: Option<Duration>,
    pub(super) rss: Option<u64>,
}

impl Observed {
    pub(super) fn now(pid: u32) -> Observed {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        Observed { cpu: cpu_of(pid), rss: read("statm").and_then(|text| rss(&text)) }
    }
}

/// Sum of the CPU times of a process's threads. `schedstat` counts nanoseconds, `stat` only hundredths of a
/// second; a thread that ended is missing from the sum.
fn cpu_of(pid: u32) -> Option<Duration> {
    let mut nanos = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        nanos += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(nanos))
}

/// The second field of `statm`, in pages.
fn rss(statm: &str) -> Option<u64> {
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).unwrap_or(4_096))
}
