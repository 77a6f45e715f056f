//! What `main` does: one function per command, and the exit codes.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use tracing::{info, warn};

use crate::cli::{Cli, Command, ConfigArgs, KeysArgs, RunArgs};
use crate::config::{self, Config, ConfigErrors, Loaded, LogFormat};
use crate::proxy::Proxy;

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
            return if error.use_stderr() {
                ExitCode::from(EX_USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match cli.command {
        Command::Run(args) => run(&args),
        Command::Check(args) => check(&args),
        Command::Keys(args) => keys(&args),
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
            complain("no configuration");
        }
        ExitCode::from(EX_USAGE)
    })
}

fn start_logging(config: &Config) {
    use tracing_subscriber::EnvFilter;
    let filter =
        EnvFilter::try_from_env("ADIT_LOG").unwrap_or_else(|_| EnvFilter::new(config.log.level.to_string()));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr);
    // A second call in one process (tests) keeps the first one's choice.
    let _ = match config.log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

fn runtime() -> Result<tokio::runtime::Runtime, ExitCode> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            complain(format_args!("cannot start: {error}"));
            ExitCode::from(EX_UNAVAILABLE)
        })
}

fn run(args: &RunArgs) -> ExitCode {
    let loaded = match load(&args.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    start_logging(&loaded.config);
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let code = runtime.block_on(async {
        let proxy = match Proxy::start(&loaded.config, false).await {
            Ok(proxy) => proxy,
            Err(error) => {
                complain(error);
                return ExitCode::from(EX_UNAVAILABLE);
            }
        };
        let signal = ended().await;
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
        ExitCode::SUCCESS
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    code
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

fn check(args: &ConfigArgs) -> ExitCode {
    match load(args) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                complain(format_args!("warning: {warning}"));
            }
            say(loaded.config.effective_toml());
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

fn keys(args: &KeysArgs) -> ExitCode {
    use noise::AuthoritySecretKey;
    let secret = match &args.public_of {
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => match text.trim().parse::<AuthoritySecretKey>() {
                Ok(secret) => secret,
                Err(error) => {
                    complain(format_args!("{}: {error}", path.display()));
                    return ExitCode::from(EX_USAGE);
                }
            },
            Err(error) => {
                complain(format_args!("{}: {error}", path.display()));
                return ExitCode::from(EX_USAGE);
            }
        },
        None => loop {
            // Nearly every 32 bytes are a key.
            if let Ok(secret) = AuthoritySecretKey::from_bytes(rand::random()) {
                break secret;
            }
        },
    };
    say(format_args!("authority_public_key = \"{}\"", secret.public()));
    if args.public_of.is_none() {
        say(format_args!(
            "authority_secret_key = \"{}\"",
            *secret.to_base58check()
        ));
    }
    ExitCode::SUCCESS
}
