//! What `main` does: one function per command, and the exit codes.

mod check;
mod completions;
mod countersign;
mod demo;
mod dev;
mod health;
mod keys;
mod lease;
mod load;
mod logging;
mod miner;
mod pool;
mod profiles;
mod receipt;
mod reload;
mod report;
mod run;
mod signals;
mod taking_over;
mod top;

use std::io::Write;
use std::process::ExitCode;

use crate::cli::{Cli, Command, ConfigArgs};
use clap::Parser;
use logging::{LogHandle, start_logging};

use crate::config::{self, Config, ConfigErrors, Loaded};
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
        Command::Top(args) => top::top(&args),
        Command::Report(args) => report::make(&args),
        Command::Lease(args) => lease::lease(&args),
        Command::Receipt(args) => receipt::receipt(&args),
        Command::Health(args) => health::health(&args),
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => completions::man(&args),
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
