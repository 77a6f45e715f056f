//! `adit check`

use std::process::ExitCode;

use super::{EX_UNAVAILABLE, EX_USAGE, complain, load, say};
use crate::cli::CheckArgs;
use crate::config::Config;
use crate::downstream::FreshCertificates;
use crate::nats::NatsSettings;
use crate::probe::probe;

pub(super) fn check(args: &CheckArgs) -> ExitCode {
    let loaded = match load(&args.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    for warning in &loaded.warnings {
        complain(format_args!("warning: {warning}"));
    }
    if let Err(error) = FreshCertificates::read(&loaded.config) {
        complain(error);
        return ExitCode::from(EX_USAGE);
    }
    if let Err(why) = NatsSettings::check_all(&loaded.config) {
        complain(why);
        return ExitCode::from(EX_USAGE);
    }
    if args.probe {
        return probe_all(&loaded.config);
    }
    say(loaded.config.effective_toml());
    ExitCode::SUCCESS
}

/// Asks every pool, and says what each offers.
fn probe_all(config: &Config) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format_args!("cannot start a thread: {error}"));
            return ExitCode::from(EX_UNAVAILABLE);
        }
    };
    let probed = runtime.block_on(probe(config));
    let good = probed.iter().all(|one| one.good);
    for one in probed {
        say(one.text.trim_end());
    }
    if good { ExitCode::SUCCESS } else { ExitCode::from(EX_UNAVAILABLE) }
}
