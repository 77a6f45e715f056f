//! `adit check`

use std::process::ExitCode;

use super::{EX_USAGE, complain, load, say};
use crate::cli::ConfigArgs;
use crate::downstream::FreshCertificates;

pub(super) fn check(args: &ConfigArgs) -> ExitCode {
    match load(args) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                complain(format_args!("warning: {warning}"));
            }
            if let Err(error) = FreshCertificates::read(&loaded.config) {
                complain(error);
                return ExitCode::from(EX_USAGE);
            }
            say(loaded.config.effective_toml());
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}
