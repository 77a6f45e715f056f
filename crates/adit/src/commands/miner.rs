//! `adit miner`: a CPU miner for SV1 and SV2 servers.

use std::process::ExitCode;
use std::time::Duration;

use lab::sv1_miner::{Miner, MinerConfig};
use lab::sv2_miner::{LastingConfig, LastingMiner};
use serde::Serialize;

use super::{complain, ended, runtime, say, start_logging};
use crate::cli::MinerArgs;

/// Between two lines about what it does.
const EVERY: Duration = Duration::from_secs(10);

/// What is told on the way and at the end, whichever protocol it speaks.
struct Figures {
    connected: bool,
    hashrate: f64,
    difficulty: f64,
    accepted: u64,
    rejected: u64,
    unanswered: u64,
}

pub(super) fn miner(args: &MinerArgs) -> ExitCode {
    let _ = start_logging("info", crate::config::LogFormat::Text);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    match args.url.sv2 {
        None => {
            let mut config = MinerConfig::new(args.url.address.clone(), args.user.clone());
            config.password.clone_from(&args.password);
            config.threads = args.threads;
            config.hashes_per_second = args.hashes_per_second;
            let miner = Miner::new(config);
            let stats = miner.stats();
            let figures = |s: &lab::sv1_miner::MinerSnapshot| Figures {
                connected: s.connected,
                hashrate: s.hash_rate(),
                difficulty: s.difficulty,
                accepted: s.accepted,
                rejected: s.rejected_total(),
                unanswered: s.unanswered,
            };
            let books = runtime.block_on(miner.run(until_the_end(args, || figures(&stats.snapshot()))));
            tell(args, &books, &figures(&books))
        }
        Some(authority) => {
            let mut config = LastingConfig::new(args.url.address.clone(), authority, args.user.clone());
            config.standard = args.standard;
            config.threads = args.threads;
            config.hashes_per_second = args.hashes_per_second;
            let miner = LastingMiner::new(config);
            let books = miner.books();
            let figures = |s: &lab::sv2_miner::Sv2MinerSnapshot| Figures {
                connected: s.connected,
                hashrate: s.hash_rate(),
                difficulty: s.difficulty,
                accepted: s.accepted,
                rejected: s.rejected_total(),
                unanswered: s.unanswered,
            };
            let books = runtime.block_on(miner.run(until_the_end(args, || figures(&books.snapshot()))));
            tell(args, &books, &figures(&books))
        }
    }
}

/// Until somebody or the time ends it. Logs on the way.
async fn until_the_end(args: &MinerArgs, figures: impl Fn() -> Figures) {
    let limit = args.seconds.map_or(Duration::MAX, Duration::from_secs_f64);
    let mut tick = tokio::time::interval(EVERY);
    tick.tick().await;
    let timeout = tokio::time::timeout(limit, std::future::pending::<()>());
    tokio::pin!(timeout);
    loop {
        tokio::select! {
            _ = ended() => break,
            _ = &mut timeout => break,
            _ = tick.tick() => {
                let s = figures();
                tracing::info!(
                    connected = s.connected,
                    hashrate_hs = s.hashrate,
                    difficulty = s.difficulty,
                    accepted = s.accepted,
                    rejected = s.rejected,
                    "mining"
                );
            }
        }
    }
}

fn tell(args: &MinerArgs, books: &impl Serialize, figures: &Figures) -> ExitCode {
    if args.json {
        match serde_json::to_string(books) {
            Ok(line) => say(line),
            Err(error) => complain(error),
        }
    } else {
        say(format_args!(
            "{} accepted, {} rejected, {} unanswered, {:.0} H/s",
            figures.accepted, figures.rejected, figures.unanswered, figures.hashrate
        ));
    }
    if figures.accepted == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
