//! SIGHUP: the configuration is read anew.
//!
//! What can be changed in a running process is changed, all of it or nothing: `log.level`, the listeners' certificates,
//! and the goals' weights, caps, dates and hours. For the rest the
//! process has to be started anew, and the log says for which keys.

use std::sync::atomic::Ordering::Relaxed;

use tracing::{error, info, warn};

use super::LogHandle;
use crate::cli::ConfigArgs;
use crate::config::{self, Config};
use crate::downstream::{Certificates, FreshCertificates};
use crate::proxy::{ReloadFigures, RouteControl};

/// Reads and checks the configuration, and takes over what can be. `running` is what is in force.
pub(super) fn reload(
    args: &ConfigArgs,
    running: &mut Config,
    log: &LogHandle,
    figures: &ReloadFigures,
    (control, certificates): (&RouteControl, &Certificates),
) {
    let loaded = match Config::load(args.config.as_deref(), config::environment()) {
        Ok(loaded) => loaded,
        Err(problems) => {
            figures.refused.fetch_add(1, Relaxed);
            error!("SIGHUP: the configuration is refused, the old one stays in force:\n{problems}");
            return;
        }
    };
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let fresh = loaded.config;
    let fresh_certificates = match FreshCertificates::read(&fresh) {
        Ok(fresh) => fresh,
        Err(error) => {
            figures.refused.fetch_add(1, Relaxed);
            error!("SIGHUP: a certificate is refused, the old configuration stays in force: {error}");
            return;
        }
    };
    let mut taken: Vec<String> = Vec::new();
    // What a PATCH has changed gives way to the file, too.
    if fresh.same_goals(running) {
        match control.replace(&fresh.goals) {
            Ok(changed) if changed.is_empty() => {}
            Ok(_) => taken.push("goals".to_owned()),
            Err(why) => {
                figures.refused.fetch_add(1, Relaxed);
                error!(why, "SIGHUP: the goals cannot be changed, the old ones stay in force");
                return;
            }
        }
        running.goals.clone_from(&fresh.goals);
    }
    if fresh.log.level != running.log.level {
        match log.set_level(&fresh.log.level.to_string()) {
            Ok(true) => taken.push("log.level".to_owned()),
            Ok(false) => warn!("log.level has no effect while ADIT_LOG is set"),
            Err(why) => {
                figures.refused.fetch_add(1, Relaxed);
                error!(why, "SIGHUP: the log level cannot be changed, the old configuration stays in force");
                return;
            }
        }
        running.log.level = fresh.log.level;
    }
    let exchanged = certificates.exchange(fresh_certificates);
    taken.extend(exchanged.iter().map(|listener| format!("the certificate of listener.{listener}")));
    for (name, listener) in &mut running.listeners {
        if let Some(fresh) = fresh.listeners.get(name) {
            listener.certificate_file.clone_from(&fresh.certificate_file);
            listener.private_key_file.clone_from(&fresh.private_key_file);
        }
    }
    figures.applied.fetch_add(1, Relaxed);
    let left = running.differences(&fresh);
    let taken = if taken.is_empty() { "nothing".to_owned() } else { taken.join(", ") };
    if left.is_empty() {
        info!(taken, "SIGHUP: the configuration is good and in force");
    } else {
        warn!(
            taken,
            restart_for = left.join(", "),
            "SIGHUP: the configuration is good; start Adit anew to apply the rest"
        );
    }
}
