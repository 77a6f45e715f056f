//! How much memory the process has, and how much it may have.

use std::fmt;
use std::path::Path;

/// Limits of control groups above this mean that there is none.
const NO_LIMIT: u64 = 1 << 60;

/// Where a budget comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetFrom {
    /// `limits.memory`.
    Configuration,
    /// The limit of the process's control group, or of one around it.
    ControlGroup,
    /// Half of the machine's memory.
    Machine,
}

impl fmt::Display for BudgetFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "limits.memory",
            Self::ControlGroup => "the control group's limit",
            Self::Machine => "half of the machine's memory",
        })
    }
}

/// The memory that Adit may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes.
    pub bytes: u64,
    /// Who says so.
    pub from: BudgetFrom,
}

impl Budget {
    /// What is configured, or else the control group's limit, or else half of the machine's memory. `None` where
    /// nothing is configured and the system tells nothing.
    #[must_use]
    pub fn find(configured: Option<usize>) -> Option<Self> {
        Self::find_with(configured, &|path| std::fs::read_to_string(path).ok())
    }

    fn find_with(configured: Option<usize>, read: &dyn Fn(&Path) -> Option<String>) -> Option<Self> {
        if let Some(bytes) = configured {
            return Some(Self { bytes: bytes as u64, from: BudgetFrom::Configuration });
        }
        let machine = read(Path::new("/proc/meminfo")).and_then(|text| total_memory(&text));
        let group = read(Path::new("/proc/self/cgroup"))
            .and_then(|text| text.lines().filter_map(|line| group_limit(line, read)).min());
        match (group, machine) {
            // A limit that the machine cannot reach is none.
            (Some(group), machine) if machine.is_none_or(|machine| group < machine) => {
                Some(Self { bytes: group, from: BudgetFrom::ControlGroup })
            }
            (_, Some(machine)) => Some(Self { bytes: machine / 2, from: BudgetFrom::Machine }),
            _ => None,
        }
    }
}

/// The smallest memory limit of a control group and those around it. A line is `NUMBER:CONTROLLERS:PATH`; in
/// version 2 there is one, without controllers.
fn group_limit(line: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        list if list.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let root = Path::new(root);
    // In a container the path may be the host's and not exist: the root, which is the container's own, counts too.
    let whole = root.join(path.trim_start_matches('/'));
    whole
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .filter_map(|folder| read(&folder.join(file))?.trim().parse().ok())
        .filter(|limit| *limit < NO_LIMIT)
        .min()
}

/// `MemTotal:  123 kB`
fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Resident memory of this process, bytes; `None` where the system does not tell it.
#[must_use]
pub fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Option<Budget> {
        let read = |path: &Path| {
            let file = files.iter().find(|(name, _)| Path::new(name) == path);
            file.map(|(_, text)| (*text).to_owned())
        };
        Budget::find_with(None, &read)
    }

    const MACHINE: (&str, &str) = ("/proc/meminfo", "MemTotal:        8000 kB\nMemFree: 1 kB\n");
    const HALF: Option<Budget> = Some(Budget { bytes: 4_096_000, from: BudgetFrom::Machine });

    fn group(bytes: u64) -> Option<Budget> {
        Some(Budget { bytes, from: BudgetFrom::ControlGroup })
    }

    #[test]
    fn what_is_configured_counts_alone() {
        let budget = Budget::find(Some(1 << 26));
        assert_eq!(budget, Some(Budget { bytes: 1 << 26, from: BudgetFrom::Configuration }));
    }

    #[test]
    fn without_a_control_group_it_is_half_of_the_machine() {
        assert_eq!(found(&[MACHINE]), HALF);
        assert_eq!(found(&[MACHINE, ("/proc/self/cgroup", "0::/a\n")]), HALF);
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn in_version_2_the_smallest_limit_on_the_way_up_counts() {
        let line = ("/proc/self/cgroup", "0::/system.slice/adit.service\n");
        let own = ("/sys/fs/cgroup/system.slice/adit.service/memory.max", "max\n");
        let slice = ("/sys/fs/cgroup/system.slice/memory.max", "2000000\n");
        assert_eq!(found(&[MACHINE, line, own]), HALF);
        assert_eq!(found(&[MACHINE, line, own, slice]), group(2_000_000));
        // A container that sees its own group as the root.
        let root = ("/sys/fs/cgroup/memory.max", "1000000\n");
        assert_eq!(found(&[MACHINE, ("/proc/self/cgroup", "0::/\n"), root]), group(1_000_000));
    }

    #[test]
    fn in_version_1_the_memory_controllers_limit_counts() {
        let line = ("/proc/self/cgroup", "9:cpu,cpuacct:/x\n5:memory:/docker/7\n0::/x\n");
        let own = ("/sys/fs/cgroup/memory/docker/7/memory.limit_in_bytes", "3000000\n");
        let root = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(found(&[MACHINE, line, root]), HALF);
        assert_eq!(found(&[MACHINE, line, root, own]), group(3_000_000));
        let large = ("/sys/fs/cgroup/memory/docker/7/memory.limit_in_bytes", "8192000\n");
        assert_eq!(found(&[MACHINE, line, large]), HALF, "as much as the machine has is no limit");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_memory() {
        assert!(resident().is_some_and(|bytes| bytes > 100_000), "{:?}", resident());
    }
}
