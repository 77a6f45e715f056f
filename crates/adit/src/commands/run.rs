//! `adit run`

use std::process::ExitCode;
use std::time::Duration;

use tracing::{info, warn};

use super::reload::{Changeable, reload};
use super::signals::{Asked, Signals};
use super::{EX_UNAVAILABLE, complain, dev, load, runtime, start_logging};
use crate::cli::RunArgs;
use crate::proxy::{Embedded, Proxy};

/// How often the owner is reminded that the embedded pool earns nothing.
const DEV_REMINDER: Duration = Duration::from_secs(60);
/// A second SIGINT ended it: 128 and the signal's number, as a shell says it.
const INTERRUPTED: u8 = 130;

pub(super) fn run(args: &RunArgs) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let code = runtime.block_on(run_until_told(args));
    runtime.shutdown_timeout(Duration::from_millis(250));
    code
}

async fn run_until_told(args: &RunArgs) -> ExitCode {
    // First of all: a signal during the start must not be lost.
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            complain(format_args!("cannot take signals: {error}"));
            return ExitCode::from(EX_UNAVAILABLE);
        }
    };
    let mut pool = None;
    let (mut config, log) = if args.dev {
        let log = start_logging("info", crate::config::LogFormat::Text);
        match dev::start(dev::Ports::Usual).await {
            Ok(dev) => {
                pool = Some(dev.pool);
                (dev.config, log)
            }
            Err(error) => {
                complain(error);
                return ExitCode::from(EX_UNAVAILABLE);
            }
        }
    } else {
        match load(&args.config) {
            Ok(loaded) => {
                let log = start_logging(&loaded.config.log.level.to_string(), loaded.config.log.format);
                for warning in &loaded.warnings {
                    warn!("{warning}");
                }
                (loaded.config, log)
            }
            Err(code) => return code,
        }
    };
    let proxy = match Proxy::start(&config, Embedded { dev_mode: args.dev, ..Embedded::default() }).await {
        Ok(proxy) => proxy,
        Err(error) => {
            complain(error);
            return ExitCode::from(EX_UNAVAILABLE);
        }
    };
    let reloads = proxy.reloads();
    let (control, certificates, rules) = (proxy.control(), proxy.certificates(), proxy.rules());
    let changeable = Changeable { control, certificates, rules };
    let mut reminder = tokio::time::interval(DEV_REMINDER);
    let mut next = None;
    let asked = loop {
        // A signal that came while the last one was obeyed is next.
        if let Some(asked) = next.take() {
            match asked {
                Asked::Reload if args.dev => info!("SIGHUP: development mode has no configuration to read"),
                Asked::Reload => {
                    let reloading = reload(&args.config, &mut config, &log, &reloads, &changeable);
                    // New pools are asked first: that takes a while. Until it is over nothing has changed.
                    tokio::select! {
                        () = reloading => {}
                        asked = signals.next() => next = Some(asked),
                    }
                }
                asked => break asked,
            }
            continue;
        }
        tokio::select! {
            asked = signals.next() => next = Some(asked),
            _ = reminder.tick(), if args.dev => {
                warn!("development mode: the pool is embedded, nothing that is mined here earns anything");
            }
        }
    };
    let grace = config.limits.shutdown_grace;
    info!(signal = asked.name(), ?grace, "stopping: no new miners, open shares are waited for");
    let books = tokio::select! {
        books = proxy.stop() => books,
        () = signals.interrupted() => {
            warn!("SIGINT again: ended at once");
            return ExitCode::from(INTERRUPTED);
        }
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
}
