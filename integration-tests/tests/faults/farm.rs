//! What most tests of faults begin with: Adit between miners and two pools of our own.

use std::time::{Duration, Instant};

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::sv1_client::Sv1Client;
use integration_tests::wait;

use crate::PATIENCE;

/// A pool that wants a CPU's shares, ten a second.
pub(crate) const FAST: [&str; 4] = ["--shares-per-minute", "600", "--share-batch-size", "5"];
/// What the sources announce from the start.
pub(crate) const NOMINAL: &str = "nominal_hashrate = 200000\n";
/// Hashes a second of the CPU miner.
const HASHRATE: f64 = 200_000.0;

/// Pool "a" by way of what breaks it, pool "b" as its standby, one that hashes and one that watches. In the order
/// in which they end.
#[derive(Debug)]
pub(crate) struct Farm {
    pub(crate) client: Sv1Client,
    pub(crate) miner: CpuMiner,
    pub(crate) adit: Adit,
    pub(crate) b: DevPool,
    pub(crate) folder: Folder,
    log_before: usize,
}

impl Farm {
    /// A farm that mines for the source "a" at `url`; "b" is ready.
    pub(crate) fn start(folder: Folder, url: &str) -> Self {
        Self::start_with(folder, url, Settings::for_cpus(), "a")
    }

    /// The same with more settings, mining for one of the two.
    pub(crate) fn start_with(folder: Folder, url: &str, settings: Settings, mines_for: &str) -> Self {
        let b = DevPool::start("pool-b", folder.path(), &FAST);
        let settings = settings.source("a", url, NOMINAL).source("b", &b.url(), NOMINAL);
        let adit = Adit::start_ready(folder.path(), &settings.route("return_after = \"1s\"\n"));
        wait::until_so(&format!("the route mines for {mines_for}"), PATIENCE, || {
            adit.active().as_deref() == Some(mines_for)
        });
        wait::until_so("the standby is ready", PATIENCE, || adit.source("b")["state"] == "ready");
        let client = Sv1Client::connect(adit.port(), "farm.watcher");
        let miner = CpuMiner::start(adit.port(), "farm.hashes", HASHRATE);
        let farm = Self { client, miner, adit, b, folder, log_before: 0 };
        farm.wait_acknowledged(mines_for, 5);
        Self { log_before: farm.log_lines(), ..farm }
    }

    /// Waits until a source has acknowledged so many more shares.
    pub(crate) fn wait_acknowledged(&self, source: &str, more: u64) {
        let before = self.adit.source_books(source).acknowledged;
        wait::until_so(&format!("{source} acknowledges {more} more shares"), PATIENCE, || {
            self.adit.source_books(source).acknowledged >= before + more
        });
    }

    /// Waits until so many more shares of the miners were good, whether the pool wants them or not: while many are connected
    /// who bring nothing yet it is told of their hashrate as a guess, and wants next to none of one miner's.
    pub(crate) fn wait_mined(&self, more: u64) {
        let good = || {
            let books = self.adit.books();
            books.submitted - books.rejected
        };
        let before = good();
        wait::until_so(&format!("{more} more shares are good"), PATIENCE, || good() >= before + more);
    }

    /// Waits until the route mines for a source.
    pub(crate) fn wait_active(&self, source: &str) {
        wait::until_so(&format!("the route mines for {source}"), PATIENCE, || {
            self.adit.active().as_deref() == Some(source)
        });
    }

    /// The time from `since` to the first job after it.
    pub(crate) fn time_to_job(&self, since: Instant) -> Duration {
        self.client.wait_job("", since, PATIENCE).at - since
    }

    /// Lines of Adit's log.
    fn log_lines(&self) -> usize {
        self.adit.log().lines().count()
    }

    /// Nobody noticed but who caused it: no miner was closed or given another number, every share has its final
    /// state, the log is short. Ends the farm; gives what is to be said.
    pub(crate) fn finish(self, log_lines_max: usize) -> String {
        assert_eq!(self.client.closed(), None, "the connection stands");
        assert_eq!(self.client.disturbances(), Vec::<serde_json::Value>::new());
        self.finish_with_who_mines(log_lines_max)
    }

    /// The same where whoever only watches may be sent away, for bringing nothing.
    pub(crate) fn finish_with_who_mines(mut self, log_lines_max: usize) -> String {
        let new_lines = self.log_lines() - self.log_before;
        assert!(new_lines <= log_lines_max, "{new_lines} lines in the log:\n{}", self.adit.log());
        let own = self.miner.stop();
        assert_eq!((own.connections, own.extranonce1_changes), (1, 0), "{own:?}");
        assert!(self.adit.lives());
        let what = "every share has its final state";
        let books = self.adit.wait_books(what, PATIENCE, |books| (books.pending, books.held) == (0, 0));
        self.adit.stop();
        drop((self.b, self.folder));
        format!("{books}; {new_lines} log lines")
    }
}
