//! `adit miner`: a CPU miner for SV1 servers.

use std::process::ExitCode;
use std::time::Duration;

use lab::sv1_miner::{Miner, MinerConfig};

use super::{complain, ended, runtime, say, start_logging};
use crate::cli::MinerArgs;

pub(super) fn miner(args: &MinerArgs) -> ExitCode {
    let _ = start_logging("info", crate::config::LogFormat::Text);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let mut config = MinerConfig::new(args.url.clone(), args.user.clone());
    config.password.clone_from(&args.password);
    config.threads = args.threads;
    config.hashes_per_second = args.hashes_per_second;
    let books = runtime.block_on(async {
        let miner = Miner::new(config);
        let stats = miner.stats();
        let end = async {
            let limit = args.seconds.map_or(Duration::MAX, Duration::from_secs_f64);
            let mut tick = tokio::time::interval(Duration::from_secs(10));
            tick.tick().await;
            let timeout = tokio::time::timeout(limit, std::future::pending::<()>());
            tokio::pin!(timeout);
            loop {
                tokio::select! {
                    _ = ended() => break,
                    _ = &mut timeout => break,
                    _ = tick.tick() => {
                        let s = stats.snapshot();
                        tracing::info!(
                            connected = s.connected,
                            hashrate_hs = s.hash_rate(),
                            difficulty = s.difficulty,
                            accepted = s.accepted,
                            rejected = s.rejected_total(),
                            "mining"
                        );
                    }
                }
            }
        };
        miner.run(end).await
    });
    if args.json {
        match serde_json::to_string(&books) {
            Ok(line) => say(line),
            Err(error) => complain(error),
        }
    } else {
        say(format_args!(
            "{} accepted, {} rejected, {} unanswered, {:.0} H/s",
            books.accepted,
            books.rejected_total(),
            books.unanswered,
            books.hash_rate()
        ));
    }
    if books.accepted == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
