//! The embedded pool and the configuration of a proxy in front of it.

use std::net::SocketAddr;

use lab::dev_pool::{DevPool, DevPoolError, DevPoolKeys, DevPoolOptions};

use crate::config::{Config, ConfigErrors};

/// Where the proxy listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ports {
    /// On the ports that a configuration has when it names none.
    Usual,
    /// Wherever there is room, for a run that ends by itself.
    Any,
}

/// Why development mode cannot start.
#[derive(Debug, thiserror::Error)]
pub(super) enum DevError {
    #[error("the embedded pool cannot start: {0}")]
    Pool(#[from] DevPoolError),
    #[error("{0}")]
    Config(#[from] ConfigErrors),
}

/// Starts a pool on loopback and gives the configuration of a proxy in front of it.
pub(super) async fn start(ports: Ports) -> Result<(DevPool, Config), DevError> {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let pool = DevPool::bind(loopback, DevPoolOptions::default(), DevPoolKeys::random()).await?;
    let text = format!(
        "version = 1\n\
         [listener.main]\ndifficulty_start = 0.001\n\
         [source.dev]\nurl = \"{}\"\nuser_identity = \"dev\"\n\
         [route.main]\nlisteners = [\"main\"]\nsources = [\"dev\"]\n",
        pool.url()
    );
    let mut config = Config::from_str_named("development mode", &text)?.config;
    if ports == Ports::Any {
        config.listeners.values_mut().for_each(|listener| listener.listen = loopback);
        config.http.listen = loopback;
    }
    Ok((pool, config))
}
