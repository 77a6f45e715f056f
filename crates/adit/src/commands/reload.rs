//! SIGHUP: the configuration is read anew.
//!
//! What can be changed in a running process is changed, all of it or nothing. Pools that come are asked first whether they
//! fit, and ports that come are opened. For the rest the process has to be started anew, and the log says for which keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::future::join_all;
use telemetry::{EventKind, EventLevel};
use tracing::{error, info, warn};

use super::LogHandle;
use crate::cli::ConfigArgs;
use crate::config::{self, Config, Listener, Name};
use crate::details::RunningConfig;
use crate::downstream::{AllRules, Certificates, FreshCertificates};
use crate::nats::{NatsControl, NatsSettings};
use crate::probe::{Objection, object_to};
use crate::proxy::{FreshHttp, FreshPorts, Live, Plan, Planned, ReloadFigures, RouteControl, Served};

/// What a reload changes of what runs.
pub(super) struct Changeable {
    pub(super) control: Arc<RouteControl>,
    pub(super) certificates: Arc<Certificates>,
    pub(super) rules: Arc<AllRules>,
    pub(super) served: Arc<Served>,
    pub(super) events: Arc<telemetry::Events>,
    /// What is shown as the configuration in force.
    pub(super) shown: Arc<RunningConfig>,
    pub(super) live: Arc<Live>,
    /// Nothing where no ledger is kept.
    pub(super) nats: Option<NatsControl>,
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
    match prepare(args, running, changeable).await {
        Ok(fresh) => match take_over(fresh, running, log, changeable) {
            Ok(taken) => {
                figures.applied.fetch_add(1, Relaxed);
                changeable.shown.replace(running.clone());
                let text = say_taken(&taken);
                changeable.events.note(EventKind::Reloaded, EventLevel::Info, "", text);
            }
            Err(why) => refuse(&why, figures, changeable),
        },
        Err(why) => refuse(&why, figures, changeable),
    }
}

fn refuse(why: &str, figures: &ReloadFigures, changeable: &Changeable) {
    figures.refused.fetch_add(1, Relaxed);
    changeable.events.note(EventKind::ReloadRefused, EventLevel::Error, "", why.to_owned());
    error!("SIGHUP: the configuration is refused, the old one stays in force:\n{why}");
}

/// A configuration that is good.
struct Fresh {
    config: Config,
    certificates: FreshCertificates,
    plan: Option<Plan>,
    /// Of listeners, what is in force without a plan.
    listeners: Option<BTreeMap<Name, Listener>>,
    ports: FreshPorts,
    http: FreshHttp,
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
async fn prepare(
    args: &ConfigArgs,
    running: &Config,
    Changeable { control, live, served, .. }: &Changeable,
) -> Result<Fresh, String> {
    let loaded = Config::load(args.config.as_deref(), config::environment()).map_err(|e| e.to_string())?;
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let config = loaded.config;
    let certificates = FreshCertificates::read(&config).map_err(|e| e.to_string())?;
    NatsSettings::check(&config)?;
    let (plan, listeners, restart) = match control.plan(running, &config) {
        Planned::Same => (None, None, Vec::new()),
        Planned::Change(plan) => (Some(*plan), None, Vec::new()),
        Planned::Restart(reasons, listeners) => (None, Some(listeners), reasons),
        Planned::Refused(problems) => return Err(problems.join("\n")),
    };
    if let Some(plan) = &plan {
        ask_the_new(plan, control).await?;
    }
    // Last: nothing that comes to them meanwhile waits long.
    let ports = match (&plan, &listeners) {
        (Some(plan), _) => live.prepare(running, &plan.config)?,
        (None, Some(listeners)) => {
            live.prepare(running, &Config { listeners: listeners.clone(), ..running.clone() })?
        }
        (None, None) => FreshPorts::default(),
    };
    let http = served.prepare(&running.http, &config.http)?;
    Ok(Fresh { config, certificates, plan, listeners, ports, http, restart })
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
    Changeable { control, certificates, rules, served, live, nats, .. }: &Changeable,
) -> Result<Taken, String> {
    let Fresh { config, certificates: fresh_certificates, plan, listeners, ports, http, restart } = fresh;
    let before = running.clone();
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
    if let Some(listeners) = listeners {
        running.listeners = listeners;
    }
    if config.log.level != running.log.level {
        match log.set_level(&config.log.level.to_string()) {
            Ok(true) => taken.push("log.level".to_owned()),
            Ok(false) => warn!("log.level has no effect while ADIT_LOG is set"),
            Err(why) => error!(why, "SIGHUP: the log level cannot be changed"),
        }
        running.log.level = config.log.level;
    }
    if config.log.format != running.log.format {
        match log.set_format(config.log.format) {
            Ok(()) => {
                taken.push("log.format".to_owned());
                running.log.format = config.log.format;
            }
            Err(why) => error!(why, "SIGHUP: the form of the log cannot be changed"),
        }
    }
    if let Some(nats) = nats {
        taken.extend(publish_otherwise(running, &config, nats));
    }
    taken.extend(served.apply(&mut running.http, &config.http, http));
    // Those of listeners that come first: they are to have them when they open.
    let exchanged = certificates.exchange(fresh_certificates);
    taken.extend(exchanged.iter().map(|listener| format!("the certificate of listener.{listener}")));
    let exchanged = rules.exchange(&config);
    taken.extend(exchanged.iter().map(|listener| format!("who may connect to listener.{listener}")));
    taken.extend(live.apply(&before, running, &config, ports));
    Ok(Taken { keys: taken, left: running.differences(&config), restart })
}

/// Publishes the ledger as the configuration has it now. The keys that were others. How long the ledger keeps its seconds is
/// decided at the start.
fn publish_otherwise(running: &mut Config, fresh: &Config, nats: &NatsControl) -> Vec<String> {
    let before = running.clone();
    let spool_age = running.nats.spool_age;
    running.nats.clone_from(&fresh.nats);
    running.nats.spool_age = spool_age;
    if running.nats == before.nats {
        return Vec::new();
    }
    nats.apply(NatsSettings::of(running));
    let mut keys = before.differences(running);
    for key in keys.iter_mut().filter(|key| *key == "a secret") {
        "a secret of nats".clone_into(key);
    }
    keys
}

/// In the log; and in words, for the list of events.
fn say_taken(taken: &Taken) -> String {
    let Taken { keys, left, restart } = taken;
    let keys = if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") };
    if left.is_empty() {
        info!(taken = keys, "SIGHUP: the configuration is good and in force");
        return format!("taken over: {keys}");
    }
    let why = (!restart.is_empty()).then(|| restart.join("; "));
    warn!(
        taken = keys,
        restart_for = left.join(", "),
        why,
        "SIGHUP: the configuration is good; start Adit anew to apply the rest"
    );
    format!("taken over: {keys}; after a new start: {}", left.join(", "))
}
