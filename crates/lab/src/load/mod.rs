//! A load generator for SV1 and SV2 servers: up to the machine's limit of connections from one thread.
//!
//! Each connection subscribes and authorises as a miner does and then sends *valid* shares: it looks for a nonce
//! that meets the server's target, so the target must be easy ([`MAX_HASHES_PER_SHARE`]). Give the server a low
//! difficulty, or ask for one by the password.
//!
//! **Pace.** Open loop: share `k` of a run is due at a time that was fixed beforehand, whatever the server does,
//! and its latency counts from that time. A server (or a generator) that stalls is charged with all that was due
//! meanwhile (coordinated omission). Due times lie on a grid of one millisecond.
//!
//! **Own cost.** No task and no timer per connection: one event loop a thread, about 400 bytes a connection
//! besides the kernel's. Headers are hashed from a midstate that is kept per connection and job; job lines that
//! were seen before are recognised by comparing bytes. What the generator's own threads cost is in the
//! [`Report`], by their CPU clocks.

mod connection;
mod event_loop;
mod fanout;
mod job_cache;
mod options;
mod pace;
mod process;
mod reply;
mod report;
mod share_maker;
mod source_address;
mod sv2;
mod ticker;

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::sv1_miner::ServerAddress;
use event_loop::{EventLoop, Outcome};
use process::Observed;

pub use options::{MAX_MINERS, Mode, Options, OptionsError, Sv2Options};
pub use process::raise_open_files;
pub use report::{
    BytesReport, ConnectReport, FanoutReport, FloodReport, OwnReport, Report, ServerReport, SharesReport,
    StormReport,
};

/// Most hashes a share may take on average: above that this is no load generator but a miner.
pub const MAX_HASHES_PER_SHARE: f64 = 200_000.0;

/// Files besides the connections that the process needs.
const SPARE_FILES: u64 = 64;

/// How often the coordinating thread looks at its threads.
const LOOK: Duration = Duration::from_millis(10);

/// Why a run did not take place.
#[derive(Debug, Error)]
pub enum LoadError {
    /// An option is out of its range.
    #[error("{0}")]
    Options(#[from] OptionsError),
    /// The server's name means no address.
    #[error("{server} is no address: {source}")]
    Resolve {
        /// What was given.
        server: ServerAddress,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// The server's name means nothing.
    #[error("{0} has no address")]
    NoAddress(ServerAddress),
    /// More connections than the process may open files.
    #[error("{miners} connections need {needed} open files, the limit is {limit}: raise it (ulimit -n)")]
    OpenFiles {
        /// Connections asked for.
        miners: usize,
        /// Files needed.
        needed: u64,
        /// Files allowed.
        limit: u64,
    },
    /// The event loop could not be set up or failed.
    #[error("event loop: {0}")]
    Io(#[from] std::io::Error),
    /// No connection got as far as a job.
    #[error("none of {miners} connections got a job; first failure: {first}")]
    NoWork {
        /// Connections tried.
        miners: usize,
        /// What went wrong first.
        first: String,
    },
    /// Shares would have to be mined.
    #[error(
        "difficulty {difficulty} takes {hashes:.0} hashes a share, at most {MAX_HASHES_PER_SHARE} make sense: \
         give the server a difficulty around 1e-8, or ask for it in the password"
    )]
    TooHard {
        /// What the server set.
        difficulty: f64,
        /// Hashes a share takes on average.
        hashes: f64,
    },
    /// A thread of the generator panicked: a bug.
    #[error("a thread of the load generator panicked")]
    Panic,
}

/// What the threads of a run share.
#[derive(Debug)]
struct Shared {
    options: Options,
    server: SocketAddr,
    began: Instant,
    /// Wall clock at `began`, since the epoch.
    began_unix: Duration,
    /// Threads whose connections all have work (or have failed).
    ready: AtomicUsize,
    /// When shares start, once everybody is ready.
    start: OnceLock<Instant>,
    /// The caller's wish to end early.
    stop: Arc<AtomicBool>,
}

/// Runs the load and reports. Blocks: from async code call it within `spawn_blocking`.
///
/// `stop` ends the run early, once what was sent is answered (or not, for as long as [`Options::drain`]); what was measured
/// until then is reported.
///
/// # Errors
/// When the run did not take place or could not go on.
pub fn run(options: Options, stop: Arc<AtomicBool>) -> Result<Report, LoadError> {
    options.check()?;
    let server = resolve(&options.server)?;
    let needed = options.miners as u64 + SPARE_FILES;
    let limit = raise_open_files(needed);
    if limit < needed {
        return Err(LoadError::OpenFiles { miners: options.miners, needed, limit });
    }
    let threads = options.threads;
    let server_before = options.observe_pid.map(Observed::now);
    let began_unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let shared = Arc::new(Shared {
        server,
        began: Instant::now(),
        began_unix,
        ready: AtomicUsize::new(0),
        start: OnceLock::new(),
        stop,
        options,
    });
    let loops: Vec<EventLoop> =
        (0..threads).map(|index| EventLoop::new(index, Arc::clone(&shared))).collect::<Result<_, _>>()?;
    let handles: Vec<_> =
        loops.into_iter().map(|event_loop| std::thread::spawn(move || event_loop.run())).collect();
    let finished = || handles.iter().all(std::thread::JoinHandle::is_finished);

    while shared.ready.load(Ordering::Acquire) < threads && !finished() {
        std::thread::sleep(LOOK);
    }
    // Let the server come to rest: what it holds now is what idle connections cost.
    let rest = Instant::now() + shared.options.settle;
    while Instant::now() < rest && !finished() && !shared.stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
    }
    let server_start = shared.options.observe_pid.map(Observed::now);
    let own_rss = process::own_rss();
    let start = *shared.start.get_or_init(|| Instant::now() + LOOK);
    while Instant::now() < start + shared.options.duration && !finished() {
        std::thread::sleep(LOOK);
    }
    let server_end = shared.options.observe_pid.map(Observed::now);

    let mut outcomes = Vec::with_capacity(threads);
    for handle in handles {
        outcomes.push(handle.join().map_err(|_| LoadError::Panic)??);
    }
    check_outcomes(&shared.options, &outcomes)?;
    Ok(report::build(&shared, outcomes, own_rss, server_before.zip(server_start).zip(server_end)))
}

fn check_outcomes(options: &Options, outcomes: &[Outcome]) -> Result<(), LoadError> {
    if let Some(difficulty) = outcomes.iter().find_map(|outcome| outcome.too_hard) {
        return Err(LoadError::TooHard { difficulty, hashes: share_maker::hashes_per_share(difficulty) });
    }
    if outcomes.iter().flat_map(|outcome| &outcome.comings).all(|coming| coming.with_work == 0) {
        let first = outcomes.iter().find_map(|outcome| outcome.first_failure.clone());
        let first = first.unwrap_or_else(|| "no answer in time".to_owned());
        return Err(LoadError::NoWork { miners: options.miners, first });
    }
    Ok(())
}

fn resolve(server: &ServerAddress) -> Result<SocketAddr, LoadError> {
    (server.host.as_str(), server.port)
        .to_socket_addrs()
        .map_err(|source| LoadError::Resolve { server: server.clone(), source })?
        .next()
        .ok_or_else(|| LoadError::NoAddress(server.clone()))
}
