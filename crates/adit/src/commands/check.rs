//! `adit check`

use std::process::ExitCode;

use super::{complain, load, say};
use crate::cli::ConfigArgs;

pub(super) fn check(args: &ConfigArgs) -> ExitCode {
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
