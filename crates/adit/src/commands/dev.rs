//! The embedded pool and the configuration of a proxy in front of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lab::dev_pool::{DevPool, DevPoolError, DevPoolKeys, DevPoolOptions, JdsOptions};

use crate::config::{Config, ConfigErrors};
use crate::proxy::Embedded;

/// The name of the template provider in this process, of the pool, and of declaring to it.
const TEMPLATE: &str = "dev-node";
pub(super) const POOL: &str = "dev";
pub(super) const DECLARED: &str = "dev-declared";
/// Fees grow this often on the embedded node.
const REFRESH: Duration = Duration::from_secs(5);

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

/// What there is of development mode.
pub(super) struct Dev {
    pub(super) pool: DevPool,
    pub(super) config: Config,
    pub(super) embedded: Embedded,
}

/// Starts a pool on loopback and gives the configuration of a proxy in front of it.
pub(super) async fn start(ports: Ports) -> Result<Dev, DevError> {
    begin(ports, DevPoolOptions::default(), |_| String::new()).await
}

/// The same, with templates of the farm's own that are declared to the pool. `state` is a folder for the farm's blocks.
pub(super) async fn start_declaring(ports: Ports, state: &PathBuf) -> Result<Dev, DevError> {
    let mut options = DevPoolOptions { jds: Some(JdsOptions::default()), ..DevPoolOptions::default() };
    options.chain.witness_commitment = true;
    let mut dev = begin(ports, options, |pool| {
        let jds_url = pool.jds_url().unwrap_or_default();
        format!(
            "[state]\ndirectory = {state:?}\n\
             [template.{TEMPLATE}]\nkind = \"bitcoin-ipc\"\nsocket = \"in this process\"\nnetwork = \"regtest\"\n\
             [declared.{DECLARED}]\npool = \"{POOL}\"\njds_url = \"{jds_url}\"\ntemplates = [\"{TEMPLATE}\"]\n"
        )
    })
    .await?;
    dev.embedded.templates.insert(TEMPLATE.to_owned(), dev.pool.template_provider(REFRESH));
    Ok(dev)
}

async fn begin(
    ports: Ports,
    options: DevPoolOptions,
    further: impl FnOnce(&DevPool) -> String,
) -> Result<Dev, DevError> {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let declares = options.jds.is_some();
    let pool = DevPool::bind(loopback, options, DevPoolKeys::random()).await?;
    let sources = if declares { format!("\"{DECLARED}\", \"{POOL}\"") } else { format!("\"{POOL}\"") };
    let text = format!(
        "version = 1\n\
         [listener.main]\ndifficulty_start = 0.001\n\
         [source.{POOL}]\nurl = \"{}\"\nuser_identity = \"dev\"\n\
         [route.main]\nlisteners = [\"main\"]\nsources = [{sources}]\n{}",
        pool.url(),
        further(&pool)
    );
    let mut config = Config::from_str_named("development mode", &text)?.config;
    if ports == Ports::Any {
        config.listeners.values_mut().for_each(|listener| listener.listen = loopback);
        config.http.listen = loopback;
    }
    let embedded = Embedded { dev_mode: true, ..Embedded::default() };
    Ok(Dev { pool, config, embedded })
}
