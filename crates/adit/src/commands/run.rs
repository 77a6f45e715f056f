//! `adit run`

use std::process::ExitCode;
use std::time::Duration;

use tracing::{info, warn};

use super::{EX_UNAVAILABLE, complain, dev, ended, load, runtime, start_logging};
use crate::cli::RunArgs;
use crate::proxy::Proxy;

/// How often the owner is reminded that the embedded pool earns nothing.
const DEV_REMINDER: Duration = Duration::from_secs(60);

pub(super) fn run(args: &RunArgs) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let code = runtime.block_on(async {
        let mut pool = None;
        let config = if args.dev {
            start_logging("info", crate::config::LogFormat::Text);
            match dev::start(dev::Ports::Usual).await {
                Ok((dev_pool, config)) => {
                    pool = Some(dev_pool);
                    config
                }
                Err(error) => {
                    complain(error);
                    return ExitCode::from(EX_UNAVAILABLE);
                }
            }
        } else {
            match load(&args.config) {
                Ok(loaded) => {
                    start_logging(&loaded.config.log.level.to_string(), loaded.config.log.format);
                    for warning in &loaded.warnings {
                        warn!("{warning}");
                    }
                    loaded.config
                }
                Err(code) => return code,
            }
        };
        let proxy = match Proxy::start(&config, args.dev).await {
            Ok(proxy) => proxy,
            Err(error) => {
                complain(error);
                return ExitCode::from(EX_UNAVAILABLE);
            }
        };
        let mut reminder = tokio::time::interval(DEV_REMINDER);
        let signal = loop {
            tokio::select! {
                signal = ended() => break signal,
                _ = reminder.tick(), if args.dev => {
                    warn!("development mode: the pool is embedded, nothing that is mined here earns anything");
                }
            }
        };
        info!(signal, "stopping: no new miners, open shares are waited for");
        let books = tokio::select! {
            books = proxy.stop() => books,
            _ = ended() => return ExitCode::from(130),
        };
        info!(
            submitted = books.submitted(),
            acknowledged = books.acknowledged,
            refused = books.refused_sum(),
            unknown = books.unknown,
            unsent = books.unsent_sum(),
            pending = books.pending,
            "stopped"
        );
        if let Some(pool) = pool {
            pool.shutdown().await;
        }
        ExitCode::SUCCESS
    });
    runtime.shutdown_timeout(Duration::from_millis(500));
    code
}
