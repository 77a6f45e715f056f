//! Miners: our own on the CPU, and a foreign one, `para miner`.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

use lab::sv1_miner::{Miner, MinerConfig, MinerSnapshot, MinerStats, ServerAddress};
use lab::sv2_miner::{SessionOptions, SessionStats, Sv2Miner, Sv2MinerError, Sv2MinerView};
use tokio::sync::oneshot;

use crate::child::Child;
use crate::peers;

/// Our CPU miner, running in threads of its own.
#[derive(Debug)]
pub struct CpuMiner {
    stats: Arc<MinerStats>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl CpuMiner {
    /// Starts a miner on a port, throttled.
    ///
    /// # Panics
    /// When no thread can be had.
    #[must_use]
    pub fn start(port: u16, user: &str, hashes_per_second: f64) -> Self {
        let server = ServerAddress { host: "127.0.0.1".to_owned(), port };
        let mut config = MinerConfig::new(server, user);
        config.hashes_per_second = Some(hashes_per_second);
        let miner = Miner::new(config);
        let stats = miner.stats();
        let (end, ended) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be had");
        let thread = std::thread::spawn(move || {
            runtime.block_on(miner.run(async {
                let _ = ended.await;
            }));
        });
        Self { stats, end: Some(end), thread: Some(thread) }
    }

    /// Its books now.
    #[must_use]
    pub fn books(&self) -> MinerSnapshot {
        self.stats.snapshot()
    }

    /// Ends it and gives its books.
    #[must_use]
    pub fn stop(mut self) -> MinerSnapshot {
        self.end();
        self.books()
    }

    fn end(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for CpuMiner {
    fn drop(&mut self) {
        self.end();
    }
}

/// Our CPU miner for SV2, running in threads of its own.
#[derive(Debug)]
pub struct Sv2CpuMiner {
    view: Sv2MinerView,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<SessionStats, Sv2MinerError>>>,
}

impl Sv2CpuMiner {
    /// Starts a miner on an Adit's port, throttled.
    ///
    /// # Panics
    /// When no thread can be had.
    #[must_use]
    pub fn start(port: u16, options: SessionOptions, hashes_per_second: f64) -> Self {
        let miner = Sv2Miner::new(options, hashes_per_second);
        let view = miner.view();
        let (end, ended) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be had");
        let thread = std::thread::spawn(move || {
            let address = ([127, 0, 0, 1], port).into();
            let over = async {
                let _ = ended.await;
            };
            runtime.block_on(miner.run(address, crate::proxy::authority().public(), over))
        });
        Self { view, end: Some(end), thread: Some(thread) }
    }

    /// Its books now.
    #[must_use]
    pub fn books(&self) -> SessionStats {
        self.view.stats()
    }

    /// Its channels' extranonce prefixes.
    #[must_use]
    pub fn prefixes(&self) -> Vec<Vec<u8>> {
        self.view.prefixes()
    }

    /// Ends it and gives its books, with the answers that came in the end.
    ///
    /// # Panics
    /// When its connection had ended before.
    #[must_use]
    pub fn stop(mut self) -> SessionStats {
        drop(self.end.take());
        let thread = self.thread.take().expect("it runs");
        thread.join().expect("no panic").expect("the connection lasts as long as the miner wants")
    }
}

/// What the foreign miner has logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParaShares {
    /// Shares answered `true`.
    pub accepted: u64,
    /// Shares answered otherwise.
    pub refused: u64,
}

/// `para miner`, running.
#[derive(Debug)]
pub struct ParaMiner {
    child: Child,
}

impl ParaMiner {
    /// Starts it on a port with one thread, throttled. Its user must be a Bitcoin address, a dot, a worker.
    #[must_use]
    pub fn start(port: u16, user: &str, hashes_per_second: u64, folder: &Path) -> Self {
        let mut command = Command::new(peers::program("para"));
        command
            .args(["miner", &format!("127.0.0.1:{port}"), "--username", user])
            .args(["--password", "x", "--cpu-cores", "1", "--throttle", &hashes_per_second.to_string()])
            .env("RUST_LOG", "info")
            .env("NO_COLOR", "1")
            .current_dir(folder);
        Self { child: Child::start("para miner", &mut command, &folder.join("para.log")) }
    }

    /// What it has logged of shares.
    #[must_use]
    pub fn shares(&self) -> ParaShares {
        let log = self.child.log();
        let count = |text: &str| log.matches(text).count() as u64;
        ParaShares { accepted: count("submitted successfully"), refused: count("Failed to submit share") }
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.child.log()
    }

    /// Ends it and gives what it has logged of shares.
    #[must_use]
    pub fn stop(mut self) -> ParaShares {
        self.child.terminate();
        self.shares()
    }
}
