//! `adit pool`: the embedded development pool by itself.

use std::process::ExitCode;
use std::time::Duration;

use lab::dev_pool::{DevPool, DevPoolKeys, DevPoolOptions, JdsMode, JdsOptions};
use noise::AuthoritySecretKey;
use template::ProviderHandle;
use template::core_ipc::{self, CoreIpcSettings};
use template::dev_chain::DevChainOptions;
use template::rpc::{self, RpcAuth, RpcNode, RpcSettings};

use super::{EX_UNAVAILABLE, EX_USAGE, complain, ended, runtime, say, start_logging};
use crate::cli::{self, PoolArgs};

/// A better template of the node's, on the same tip, makes a job when its reward is higher by this, satoshi.
const FEE_THRESHOLD: u64 = 1_000;
/// And no more often than this.
const MIN_INTERVAL: Duration = Duration::from_secs(5);

pub(super) fn pool(args: &PoolArgs) -> ExitCode {
    let _ = start_logging("info", crate::config::LogFormat::Text);
    let keys = match &args.secret_key_file {
        None => DevPoolKeys::random(),
        Some(path) => match std::fs::read_to_string(path)
            .map_err(|e| e.to_string())
            .and_then(|text| text.trim().parse::<AuthoritySecretKey>().map_err(|e| e.to_string()))
        {
            Ok(secret) if noise::is_published_example_key(&secret.public()) => {
                complain(format_args!(
                    "{}: a published example key: make one with `adit keys`",
                    path.display()
                ));
                return ExitCode::from(EX_USAGE);
            }
            Ok(secret) => DevPoolKeys::with_authority(secret),
            Err(error) => {
                complain(format_args!("{}: {error}", path.display()));
                return ExitCode::from(EX_USAGE);
            }
        },
    };
    let options = DevPoolOptions {
        chain: DevChainOptions { seed: args.chain, ..DevChainOptions::default() },
        shares_per_minute: args.shares_per_minute,
        share_batch_size: args.share_batch_size,
        block_interval: args.block_interval.map(Duration::from_secs_f64),
        jds: args.jds.then(|| JdsOptions {
            listen: args.jds_listen,
            mode: match args.jds_mode {
                cli::JdsMode::FullTemplate => JdsMode::FullTemplate,
                cli::JdsMode::CoinbaseOnly => JdsMode::CoinbaseOnly,
                cli::JdsMode::Both => JdsMode::Both,
            },
            ..JdsOptions::default()
        }),
        ..DevPoolOptions::default()
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    runtime.block_on(async {
        let node = match node(args) {
            Ok(node) => node,
            Err(error) => {
                complain(format_args!("cannot start: {error}"));
                return ExitCode::from(EX_UNAVAILABLE);
            }
        };
        let bound = async {
            match node {
                None => DevPool::bind(args.listen, options, keys).await,
                Some(node) => DevPool::bind_following(args.listen, options, keys, node).await,
            }
        };
        // The node may be long in coming.
        let pool = tokio::select! {
            bound = bound => match bound {
                Ok(pool) => pool,
                Err(error) => {
                    complain(error);
                    return ExitCode::from(EX_UNAVAILABLE);
                }
            },
            _ = ended() => return ExitCode::SUCCESS,
        };
        say(pool.url());
        if let Some(url) = pool.jds_url() {
            say(format_args!("job declarator server: {url}"));
        }
        let mut tick = tokio::time::interval(Duration::from_secs(10));
        tick.tick().await;
        loop {
            tokio::select! {
                _ = ended() => break,
                _ = tick.tick() => {
                    let stats = pool.stats();
                    tracing::info!(
                        connections = stats.connections,
                        channels = stats.channels,
                        accepted = stats.accepted,
                        rejected = stats.rejected.values().sum::<u64>(),
                        blocks = stats.blocks_found,
                        declared = stats.jds.declared,
                        custom_jobs = stats.jds.custom_jobs,
                        "pool"
                    );
                }
            }
        }
        pool.shutdown().await;
        ExitCode::SUCCESS
    })
}

/// The templates of the node that the pool is to follow. On the current runtime.
fn node(args: &PoolArgs) -> std::io::Result<Option<ProviderHandle>> {
    if let Some(path) = &args.node_ipc {
        let settings = CoreIpcSettings {
            path: path.clone(),
            schema: None,
            fee_threshold: FEE_THRESHOLD,
            min_interval: MIN_INTERVAL,
            // A test chain may stand still for years: its node would never be done catching up.
            cooldown: false,
        };
        return core_ipc::start(settings).map(Some);
    }
    let (Some(address), Some(cookie)) = (&args.node_rpc, &args.node_cookie) else { return Ok(None) };
    Ok(Some(rpc::start(RpcSettings {
        node: RpcNode { address: address.clone(), auth: RpcAuth::Cookie(cookie.clone()) },
        fee_threshold: FEE_THRESHOLD,
        min_interval: MIN_INTERVAL,
        // Other nodes than signets' do not mind.
        signet: true,
    })))
}
