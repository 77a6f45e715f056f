//! What the machine allows.

use super::tables::OPEN_FILES_RESERVE;

/// Limits of the machine that a configuration is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Machine {
    /// How many files and sockets this process may have open; nothing where it is unknown or unlimited.
    pub open_files: Option<u64>,
}

impl Machine {
    /// The machine that this process runs on. Linux tells the soft limit on open files; elsewhere it is
    /// taken as unknown.
    #[must_use]
    pub fn here() -> Self {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self { open_files: open_files(&limits) }
    }

    /// How many of the wished connections the limit on open files allows, less a reserve of
    /// [`OPEN_FILES_RESERVE`], or of half the files where there are few. At least one.
    #[must_use]
    pub fn connections(self, wished: u32) -> u32 {
        let Some(files) = self.open_files else {
            return wished;
        };
        let spare = files.saturating_sub(u64::from(OPEN_FILES_RESERVE)).max(files / 2).max(1);
        wished.min(u32::try_from(spare).unwrap_or(u32::MAX))
    }
}

/// The soft limit of the line `Max open files  SOFT  HARD  files`.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read() {
        let text = "Limit   Soft   Hard   Units\nMax open files            1024     524288     files     \n";
        assert_eq!(open_files(text), Some(1024));
        assert_eq!(open_files("Max open files unlimited unlimited files"), None);
        assert_eq!(open_files(""), None);
    }

    #[test]
    fn connections_leave_a_reserve_of_files() {
        let of = |files| Machine { open_files: files }.connections(20_000);
        assert_eq!(of(None), 20_000);
        assert_eq!(of(Some(1_000_000)), 20_000);
        assert_eq!(of(Some(20_000)), 19_500);
        assert_eq!(of(Some(256)), 128);
        assert_eq!(of(Some(0)), 1);
    }
}
