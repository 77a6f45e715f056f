//! `adit profiles`

use std::path::Path;
use std::process::ExitCode;

use super::{complain, load, say};
use crate::cli::{ConfigArgs, ProfilesArgs};
use crate::config::{self, Config, Firmware, Name, VERSION_BITS_ROLLABLE};

pub(super) fn profiles(args: &ProfilesArgs) -> ExitCode {
    let own = match args.config.as_deref() {
        Some(path) => match load(&ConfigArgs { config: Some(Path::to_owned(path)) }) {
            Ok(loaded) => loaded.config.firmware,
            Err(code) => return code,
        },
        None => std::collections::BTreeMap::new(),
    };
    let profiles = Config::known_firmware(&own);
    match &args.user_agent {
        None => {
            for (name, firmware) in &profiles {
                say(describe(name, firmware, own.contains_key(name)));
            }
            ExitCode::SUCCESS
        }
        Some(agent) => {
            let matching = profiles
                .iter()
                .find(|(name, firmware)| config::engine_firmware(name, firmware).matches(agent));
            match matching {
                Some((name, firmware)) => {
                    say(describe(name, firmware, own.contains_key(name)));
                    ExitCode::SUCCESS
                }
                None => {
                    complain(format_args!("no profile goes by {agent:?}: nothing is known to limit it"));
                    ExitCode::FAILURE
                }
            }
        }
    }
}

/// A profile for people: its name, whom it is for, then one line for each limit.
fn describe(name: &Name, firmware: &Firmware, own: bool) -> String {
    let mut lines = vec![format!("{name}{}", if own { " (of this configuration)" } else { "" })];
    lines.push(format!("  user agents: {}", firmware.user_agents.join(", ")));
    let (least, most) = (firmware.extranonce2_min, firmware.extranonce2_max);
    match (least > 0, most < config::FIRMWARE_EXTRANONCE2_MAX) {
        (true, true) => lines.push(format!("  extranonce2: {least} to {most} bytes")),
        (true, false) => lines.push(format!("  extranonce2: at least {least} bytes")),
        (false, true) => lines.push(format!("  extranonce2: at most {most} bytes")),
        (false, false) => {}
    }
    if let Some(most) = firmware.coinbase_max {
        lines.push(format!("  coinbase: at most {most} bytes"));
    }
    if firmware.version_mask != VERSION_BITS_ROLLABLE {
        lines.push(format!("  version bits: {:08x}", firmware.version_mask));
    }
    if let Some(least) = firmware.difficulty_min {
        lines.push(format!("  difficulty: at least {least}"));
    }
    if firmware.difficulty_with_clean_jobs {
        lines.push("  a new difficulty only with clean jobs".to_owned());
    }
    if firmware.empty_extranonce1 {
        lines.push("  works with an empty extranonce1".to_owned());
    }
    if firmware.probe {
        lines.push("  also connects only to see whether a pool is there".to_owned());
    }
    lines.push(format!("  known from: {}", firmware.known_from.as_deref().unwrap_or("its owner")));
    lines.join("\n")
}
