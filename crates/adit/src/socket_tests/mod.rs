//! Promises of the whole proxy that need its inside, over real sockets on loopback, in front of the development
//! pool. What can be shown from the outside is in `tests/process`.

mod accepting;
mod api;
mod caps;
#[path = "../../tests/process/client.rs"]
mod client;
mod declarators;
mod draining;
mod kept;
mod opening;
mod overload;
mod panicking;
mod proxied;
mod scraped;
mod sharing;
mod small_pools;
mod sv1_pools;
mod sv2_miners;
mod tls;
mod workers;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::dev_pool::{DevPool, DevPoolKeys, DevPoolOptions};

use crate::config::Config;
use crate::proxy::{Embedded, Proxy, StartError};

/// A proxy in front of a pool.
struct Farm {
    pool: DevPool,
    proxy: Proxy,
}

impl Farm {
    /// With these lines in `[limits]`.
    async fn start(limits: &str) -> Self {
        Self::start_with("", limits).await
    }

    /// With these lines in `[listener.main]` and `[limits]`.
    async fn start_with(listener: &str, limits: &str) -> Self {
        Self::try_start("listen = \"127.0.0.1:0\"", listener, limits).await.expect("a proxy")
    }

    /// With these lines in `[http]`.
    async fn start_serving(http: &str) -> Self {
        Self::start_whole("listen = \"127.0.0.1:0\"", "", http, "").await.expect("a proxy")
    }

    /// With this `listen` besides.
    async fn try_start(listen: &str, listener: &str, limits: &str) -> Result<Self, StartError> {
        Self::start_whole(listen, listener, "enabled = false", limits).await
    }

    async fn start_whole(listen: &str, listener: &str, http: &str, limits: &str) -> Result<Self, StartError> {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        // No share is a block here: a new tip would cost shares that are on their way.
        let mut options = DevPoolOptions::default();
        options.chain.nbits = 0x1d00_ffff;
        let pool = DevPool::bind(loopback, options, DevPoolKeys::random()).await.expect("a pool");
        let text = format!(
            "version = 1\n[listener.main]\n{listen}\ndifficulty_start = 1e-6\ndifficulty_min = 1e-6\nvardiff = false\n{listener}\n\
             [source.pool]\nurl = \"{}\"\nuser_identity = \"farm\"\nnominal_hashrate = \"1 MH/s\"\n\
             [route.main]\nlisteners = [\"main\"]\nsources = [\"pool\"]\n[state]\nhistory = false\n\
             [http]\n{http}\n[limits]\n{limits}\n",
            pool.url()
        );
        let config = Config::from_str_named("test", &text).expect("a configuration").config;
        let proxy = Proxy::start(&config, Embedded::default()).await?;
        Ok(Self { pool, proxy })
    }

    fn address(&self) -> SocketAddr {
        self.proxy.addresses()[0]
    }

    /// One of the counters of `adit_events_total`.
    fn event(&self, name: &str) -> u64 {
        self.proxy.snapshot().events_total.get(name).copied().expect(name)
    }

    /// Connections that are there.
    fn connected(&self) -> u64 {
        self.proxy.snapshot().listeners[0].miners.connected
    }
}

/// Waits until something is so, at most a minute.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs what blocks.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}
