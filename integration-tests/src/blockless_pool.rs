//! Our own pool in the test's process, on a chain on which a CPU finds no block: no tip changes, so that no share
//! becomes stale by chance.

use lab::dev_pool::{DevPool, DevPoolKeys, DevPoolOptions};
use tokio::runtime::Runtime;

/// Difficulty 1: at 200,000 hashes a second a block takes six hours.
const NBITS: u32 = 0x1d00_ffff;

/// A pool on a free loopback port. It wants a CPU's shares, ten a second.
#[derive(Debug)]
pub struct BlocklessPool {
    pool: DevPool,
    _runtime: Runtime,
}

impl BlocklessPool {
    /// Starts it.
    ///
    /// # Panics
    /// When the system has neither a thread nor a port for it.
    #[must_use]
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be had");
        let mut options =
            DevPoolOptions { shares_per_minute: 600.0, share_batch_size: 5, ..DevPoolOptions::default() };
        options.chain.nbits = NBITS;
        let bind = DevPool::bind(([127, 0, 0, 1], 0).into(), options, DevPoolKeys::random());
        let pool = runtime.block_on(bind).expect("loopback has a free port");
        Self { pool, _runtime: runtime }
    }

    /// How Adit is told to reach it.
    #[must_use]
    pub fn url(&self) -> String {
        self.pool.url()
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.pool.local_addr().port()
    }
}
