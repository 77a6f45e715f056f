//! A process that never outlives its test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::{promise, wait};

/// How long a process may take to end after SIGTERM before it is killed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A started process with its output in one file. Killed, by its own id, when it is dropped.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: Process,
    log: PathBuf,
}

impl Child {
    /// Starts a process; what it prints is appended to `log`.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        Self::start_with_input(name, command, Stdio::null(), log)
    }

    /// With something at its standard input.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn start_with_input(name: &str, command: &mut Command, input: Stdio, log: &Path) -> Self {
        let open = || {
            let file = File::options().create(true).append(true).open(log);
            file.unwrap_or_else(|error| panic!("{}: {error}", log.display()))
        };
        let process = command.stdin(input).stdout(open()).stderr(open()).spawn();
        let process = process.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name: name.to_owned(), process, log: log.to_owned() }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// All that it has printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its exit status, if it has ended.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("the state of an own child can be asked for")
    }

    /// Waits for what the process has to do before it can be used.
    ///
    /// # Panics
    /// When it ends before, or does not get there in time: with the end of its log.
    pub fn wait_until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut ask: impl FnMut(&Self) -> Option<T>,
    ) -> T {
        let name = self.name.clone();
        wait::until(&format!("{name}: {what} ({})", self.log.display()), limit, || {
            if let Some(status) = self.ended() {
                let log = self.log();
                let tail: Vec<&str> = log.lines().rev().take(15).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                panic!("{name} ended ({status}) before {what}:\n{}", tail.join("\n"));
            }
            ask(self)
        })
    }

    /// Kills it at once (SIGKILL) and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Asks it to end (SIGTERM) and gives its exit status; a process that does not end in time is killed.
    pub fn terminate(&mut self) -> Option<ExitStatus> {
        self.signal("TERM");
        let deadline = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < deadline {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
        None
    }

    /// Sends a signal, by `kill`'s name for it.
    pub fn signal(&mut self, name: &str) {
        // The id is that of a child that was not waited for yet: it cannot be anybody else's.
        if self.ended().is_none() {
            let _ = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        }
    }

    /// CPU time of its threads so far, of those that have not ended; 0 where the system does not say.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.id())).into_iter().flatten().flatten();
        // Nanoseconds on a CPU are the first number of a thread's schedstat.
        let on_cpu = threads.filter_map(|thread| {
            let figures = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            figures.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(on_cpu.sum())
    }

    /// Its open files; 0 where the system does not say.
    #[must_use]
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).map_or(0, Iterator::count)
    }

    /// Memory that is resident, bytes; 0 where the system does not say.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
    }
}

/// Lines of a process's output that a test which fails shows.
const LAST_LINES: usize = 30;

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            // The files may be gone when somebody asks why.
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
            promise::say(&format!("the last lines of {}:\n{}", self.name, last.join("\n")));
        }
    }
}
