//! SIGHUP: the configuration is read anew.
//!
//! What can be changed in a running process is changed, all of it or nothing: `log.level`, the listeners' certificates and
//! access rules, pools, and what routes, goals and pins say of them. Pools that come are asked first whether they fit. For the rest the
//! process has to be started anew, and the log says for which keys.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::future::join_all;
use tracing::{error, info, warn};

use super::LogHandle;
use crate::cli::ConfigArgs;
use crate::config::{self, Config};
use crate::downstream::{AllRules, Certificates, FreshCertificates};
use crate::probe::{Objection, object_to};
use crate::proxy::{Plan, Planned, ReloadFigures, RouteControl};

/// What a reload changes of what runs.
pub(super) struct Changeable {
    pub(super) control: Arc<RouteControl>,
    pub(super) certificates: Arc<Certificates>,
    pub(super) rules: Arc<AllRules>,
}

/// Reads and checks the configuration, and takes over what can be. `running` is what is in force. Until the pools that come
/// have answered nothing is changed: it may be given up and begun anew meanwhile.
pub(super) async fn reload(
    args: &ConfigArgs,
    running: &mut Config,
    log: &LogHandle,
    figures: &ReloadFigures,
    changeable: &Changeable,
) {
    match prepare(args, running, &changeable.control).await {
        Ok(fresh) => match take_over(fresh, running, log, changeable) {
            Ok(taken) => {
                figures.applied.fetch_add(1, Relaxed);
                say_taken(&taken);
            }
            Err(why) => refuse(&why, figures),
        },
        Err(why) => refuse(&why, figures),
    }
}

fn refuse(why: &str, figures: &ReloadFigures) {
    figures.refused.fetch_add(1, Relaxed);
    error!("SIGHUP: the configuration is refused, the old one stays in force:\n{why}");
}

/// A configuration that is good.
struct Fresh {
    config: Config,
    certificates: FreshCertificates,
    plan: Option<Plan>,
    /// What sources and routes would need a new start for.
    restart: Vec<String>,
}

/// What was taken over, and what has to wait.
struct Taken {
    keys: Vec<String>,
    /// Keys that differ still.
    left: Vec<String>,
    restart: Vec<String>,
}

/// Reads it, checks it, and asks the pools that come.
async fn prepare(args: &ConfigArgs, running: &Config, control: &RouteControl) -> Result<Fresh, String> {
    let loaded = Config::load(args.config.as_deref(), config::environment()).map_err(|e| e.to_string())?;
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let config = loaded.config;
    let certificates = FreshCertificates::read(&config).map_err(|e| e.to_string())?;
    let (plan, restart) = match control.plan(running, &config) {
        Planned::Same => (None, Vec::new()),
        Planned::Change(plan) => (Some(*plan), Vec::new()),
        Planned::Restart(reasons) => (None, reasons),
        Planned::Refused(problems) => return Err(problems.join("\n")),
    };
    if let Some(plan) = &plan {
        ask_the_new(plan, control).await?;
    }
    Ok(Fresh { config, certificates, plan, restart })
}

/// A pool that cannot be reached now is taken all the same: routes go on without it until it can. One that would not do is
/// not.
async fn ask_the_new(plan: &Plan, control: &RouteControl) -> Result<(), String> {
    let splits = control.splits(&plan.config);
    let asked = plan.added.iter().map(|(_, name)| object_to(name, &plan.config, &splits));
    let objections = join_all(asked).await;
    let mut unfit = Vec::new();
    for objection in objections.into_iter().flatten() {
        match objection {
            Objection::Unreachable(why) => {
                warn!("SIGHUP: whether a new pool fits is not known yet, it is taken all the same: {why}");
            }
            Objection::Unfit(why) => unfit.push(why),
        }
    }
    if unfit.is_empty() { Ok(()) } else { Err(unfit.join("\n")) }
}

/// Puts it in force.
fn take_over(
    fresh: Fresh,
    running: &mut Config,
    log: &LogHandle,
    Changeable { control, certificates, rules }: &Changeable,
) -> Result<Taken, String> {
    let Fresh { config, certificates: fresh_certificates, plan, restart } = fresh;
    let mut taken: Vec<String> = Vec::new();
    // First what may not be possible.
    if let Some(plan) = plan {
        let told = plan.told(running);
        let config = plan.config.clone();
        control.apply(plan)?;
        taken.extend(told);
        *running = config;
    } else if config.same_goals(running) {
        // What a PATCH has changed gives way to the file, too.
        if control.replace(&config.goals)? {
            taken.push("goals".to_owned());
        }
        running.goals.clone_from(&config.goals);
    }
    if config.log.level != running.log.level {
        match log.set_level(&config.log.level.to_string()) {
            Ok(true) => taken.push("log.level".to_owned()),
            Ok(false) => warn!("log.level has no effect while ADIT_LOG is set"),
            Err(why) => error!(why, "SIGHUP: the log level cannot be changed"),
        }
        running.log.level = config.log.level;
    }
    let exchanged = certificates.exchange(fresh_certificates);
    taken.extend(exchanged.iter().map(|listener| format!("the certificate of listener.{listener}")));
    let exchanged = rules.exchange(&config);
    taken.extend(exchanged.iter().map(|listener| format!("who may connect to listener.{listener}")));
    for (name, listener) in &mut running.listeners {
        if let Some(fresh) = config.listeners.get(name) {
            listener.certificate_file.clone_from(&fresh.certificate_file);
            listener.private_key_file.clone_from(&fresh.private_key_file);
            listener.allow.clone_from(&fresh.allow);
            listener.deny.clone_from(&fresh.deny);
            listener.max_connections_per_address = fresh.max_connections_per_address;
            listener.unlimited_addresses.clone_from(&fresh.unlimited_addresses);
        }
    }
    Ok(Taken { keys: taken, left: running.differences(&config), restart })
}

fn say_taken(taken: &Taken) {
    let Taken { keys, left, restart } = taken;
    let keys = if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") };
    if left.is_empty() {
        info!(taken = keys, "SIGHUP: the configuration is good and in force");
        return;
    }
    let why = (!restart.is_empty()).then(|| restart.join("; "));
    warn!(
        taken = keys,
        restart_for = left.join(", "),
        why,
        "SIGHUP: the configuration is good; start Adit anew to apply the rest"
    );
}
