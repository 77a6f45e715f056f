//! What `main` does: one function per command, and the exit codes.

mod check;
mod demo;
mod dev;
mod keys;
mod load;
mod miner;
mod pool;
mod profiles;
mod reload;
mod run;
mod signals;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, ConfigArgs};
use crate::config::{self, Config, ConfigErrors, Loaded, LogFormat};
use crate::open_files;

/// The command line or the configuration is wrong (sysexits' EX_USAGE).
const EX_USAGE: u8 = 64;
/// Something that is needed cannot be had (sysexits' EX_UNAVAILABLE).
const EX_UNAVAILABLE: u8 = 69;

/// Runs the command that the command line names.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EX_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    if matches!(cli.command, Command::Run(_) | Command::Check(_) | Command::Demo(_)) {
        open_files::raise();
    }
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Check(args) => check::check(&args),
        Command::Profiles(args) => profiles::profiles(&args),
        Command::Keys(args) => keys::keys(&args),
        Command::Pool(args) => pool::pool(&args),
        Command::Miner(args) => miner::miner(&args),
        Command::Load(args) => load::load(&args),
    }
}

fn say(text: impl std::fmt::Display) {
    // A closed pipe is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn complain(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "adit: {text}");
}

fn load(args: &ConfigArgs) -> Result<Loaded, ExitCode> {
    Config::load(args.config.as_deref(), config::environment()).map_err(|error| {
        complain(&error);
        if matches!(error, ConfigErrors::NotFound { .. }) {
            complain("to see Adit at work without one: adit demo");
        }
        ExitCode::from(EX_USAGE)
    })
}

/// Changes what is logged while the process runs.
struct LogHandle {
    replace: Box<dyn Fn(EnvFilter) -> Result<(), String>>,
    /// `ADIT_LOG` decides.
    overridden: bool,
}

impl LogHandle {
    /// From now on this is the least important level that is logged. False: `ADIT_LOG` decides, not this.
    fn set_level(&self, level: &str) -> Result<bool, String> {
        if self.overridden {
            return Ok(false);
        }
        (self.replace)(EnvFilter::new(level)).map(|()| true)
    }
}

/// Logs to standard error, so that standard output holds results only.
fn start_logging(level: &str, format: LogFormat) -> LogHandle {
    let given = EnvFilter::try_from_env("ADIT_LOG");
    let overridden = given.is_ok();
    let filter = given.unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr);
    // A second call in one process (tests) keeps the first one's choice.
    let replace: Box<dyn Fn(EnvFilter) -> Result<(), String>> = match format {
        LogFormat::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = builder.try_init();
            Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
        }
        LogFormat::Json => {
            let builder = builder.json().with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = builder.try_init();
            Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
        }
    };
    LogHandle { replace, overridden }
}

fn runtime() -> Result<tokio::runtime::Runtime, ExitCode> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        complain(format_args!("cannot start: {error}"));
        ExitCode::from(EX_UNAVAILABLE)
    })
}

/// SIGINT or SIGTERM.
async fn ended() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the signals end the process by themselves.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}
