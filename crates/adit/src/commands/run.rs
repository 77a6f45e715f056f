//! `adit run`

use std::process::ExitCode;
use std::time::Duration;

use tracing::{info, warn};

use super::reload::{Changeable, reload};
use super::signals::{Asked, Signals};
use super::taking_over::{self, Taking};
use super::{EX_UNAVAILABLE, complain, dev, load, runtime, start_logging};
use crate::cli::RunArgs;
use crate::handover::{Offer, Successor, Word};
use crate::proxy::{Embedded, Parting, Proxy};
use crate::service::{Attendant, Manager, Ports};

/// How often the owner is reminded that the embedded pool earns nothing.
const DEV_REMINDER: Duration = Duration::from_secs(60);
/// A second SIGINT ended it: 128 and the signal's number, as a shell says it.
const INTERRUPTED: u8 = 130;

pub(super) fn run(args: &RunArgs) -> ExitCode {
    // Before there are threads.
    let ports = Ports::from_service_manager();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let code = runtime.block_on(run_until_told(args, ports));
    runtime.shutdown_timeout(Duration::from_millis(250));
    code
}

#[expect(clippy::too_many_lines, reason = "a table of contents: the life of the process")]
async fn run_until_told(args: &RunArgs, ports: Ports) -> ExitCode {
    let manager = Manager::find();
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
        match dev::start(dev::Ports::Usual, dev::Size::SMALL).await {
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
    let taking = match taking_over::begin(args, &config, ports).await {
        Ok(taking) => taking,
        Err(error) => {
            complain(error);
            return ExitCode::from(EX_UNAVAILABLE);
        }
    };
    let Taking { ports, closed, predecessor } = taking;
    let embedded = Embedded { dev_mode: args.dev, ports, closed, ..Embedded::default() };
    let proxy = match Proxy::start(&config, embedded).await {
        Ok(proxy) => proxy,
        Err(error) => {
            complain(error);
            return ExitCode::from(EX_UNAVAILABLE);
        }
    };
    if let Some(predecessor) = predecessor {
        taking_over::finish(predecessor, &proxy).await;
    }
    let mut offer = open_offer(&config, &proxy);
    if let Err(error) = proxy.watchdog().begin(manager) {
        complain(format_args!("cannot start a thread: {error}"));
        return ExitCode::from(EX_UNAVAILABLE);
    }
    let mut attendant = Some(Attendant::begin(manager, proxy.look()));
    let reloads = proxy.reloads();
    let changeable = Changeable {
        control: proxy.control(),
        certificates: proxy.certificates(),
        rules: proxy.rules(),
        served: proxy.served(),
        events: proxy.events(),
        shown: proxy.running(),
        live: proxy.live(),
        nats: proxy.nats(),
    };
    let mut reminder = tokio::time::interval(DEV_REMINDER);
    let mut next = None;
    let ending = loop {
        // A signal that came while the last one was obeyed is next.
        if let Some(asked) = next.take() {
            match asked {
                Asked::Reload if args.dev => info!("SIGHUP: development mode has no configuration to read"),
                Asked::Reload => {
                    // Ready or not is told anew when it is over.
                    drop(attendant.take());
                    manager.reloading();
                    let reloading = reload(&args.config, &mut config, &log, &reloads, &changeable);
                    // New pools are asked first: that takes a while. Until it is over nothing has changed.
                    tokio::select! {
                        () = reloading => {}
                        asked = signals.next() => next = Some(asked),
                    }
                    attendant = Some(Attendant::begin(manager, proxy.look()));
                }
                asked => break Ending::Asked(asked),
            }
            continue;
        }
        tokio::select! {
            asked = signals.next() => next = Some(asked),
            successor = successor(&mut offer) => break Ending::Succeeded(successor),
            _ = reminder.tick(), if args.dev => {
                warn!("development mode: the pool is embedded, nothing that is mined here earns anything");
            }
        }
    };
    drop(attendant);
    manager.stopping("stopping: miners are parted with, open shares are waited for");
    let grace = config.limits.shutdown_grace;
    let parting = match &ending {
        Ending::Asked(asked) => {
            info!(signal = asked.name(), ?grace, "stopping: no new miners, open shares are waited for");
            if let Some(offer) = offer {
                offer.withdraw();
            }
            Parting::Drain
        }
        Ending::Succeeded(successor) => {
            info!(?grace, "stopping: another Adit has taken the ports over, open shares are waited for");
            match successor.word {
                Word::Serves => Parting::Served,
                Word::End => Parting::Awaited,
            }
        }
    };
    let books = tokio::select! {
        books = proxy.stop_for(parting) => books,
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
    if let Some(mut pool) = pool {
        pool.leave().await;
    }
    ExitCode::SUCCESS
}

/// Why it ends. A successor's link ends with the process.
enum Ending {
    Asked(Asked),
    Succeeded(Successor),
}

/// Lets another Adit take over, if the configuration says where.
fn open_offer(config: &crate::config::Config, proxy: &Proxy) -> Option<Offer> {
    let path = config.state.handover_socket.as_deref()?;
    match Offer::open(path, proxy.ports()) {
        Ok(offer) => Some(offer),
        Err(error) => {
            warn!(path = %path.display(), %error, "no other Adit can take over: the socket cannot be opened");
            None
        }
    }
}

async fn successor(offer: &mut Option<Offer>) -> Successor {
    match offer {
        Some(offer) => offer.successor().await,
        None => std::future::pending().await,
    }
}
