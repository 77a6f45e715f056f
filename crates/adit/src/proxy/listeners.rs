//! Listeners: opened at the start, and while Adit runs, changed, moved and taken out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::books::Books;
use engine::miner::Firmwares;
use telemetry::Latencies;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use super::StartError;
use super::door::{Door, let_in};
use super::ports::OpenPort;
use super::settings::{self, listener_policy};
use super::splitting::Splitting;
use super::stopping::part_with;
use crate::clock::Clock;
use crate::config::{AuthoritySecret, Config, Listener, Name};
use crate::downstream::{
    Admission, Agents, AllRules, Cap, Certificates, Conditions, Declarators, JdcRoutes, ListenerContext,
    MinerIdPool, Roster, Sv2Identity, WorkerMemory,
};
use crate::handover::OpenPorts;
use crate::snapshot::{ListenerView, Shown};
use crate::splits::{Bindings, Given};
use crate::upstream::{Mailboxes, RouterMessage, SourceDoors};

/// A miner that takes nothing it is sent for this long is closed: before the system gives its socket up (after 20 s,
/// see `sockets`), so that it is counted and told as what it is.
const WRITE_STALL: Duration = Duration::from_secs(15);
/// Listeners that there may have been while Adit runs: their numbers are not given to others.
const LISTENERS_EVER: usize = 1_000;

/// What all listeners of the process share.
pub(super) struct Shared {
    pub(super) books: Arc<Books>,
    pub(super) admission: Arc<Admission>,
    pub(super) roster: Arc<Roster>,
    pub(super) ids: Arc<MinerIdPool>,
    pub(super) agents: Arc<Agents>,
    pub(super) memory: Arc<WorkerMemory>,
    pub(super) next_miner: Arc<AtomicU64>,
    pub(super) router: mpsc::Sender<RouterMessage>,
    pub(super) doors: Arc<SourceDoors>,
    pub(super) mailboxes: Arc<Mailboxes>,
    pub(super) latencies: Latencies,
    pub(super) clock: Clock,
    pub(super) certificates: Arc<Certificates>,
    pub(super) rules: Arc<AllRules>,
    pub(super) jdc_routes: JdcRoutes,
    pub(super) shown: Arc<Shown>,
    /// For a successor.
    pub(super) ports: Arc<OpenPorts>,
    /// Of all miners.
    pub(super) tasks: TaskTracker,
    pub(super) stop_accepting: CancellationToken,
    /// Cancelled when miners are let in.
    pub(super) gate: CancellationToken,
}

/// All listeners, those that were taken out with them.
pub(crate) struct Listeners {
    shared: Shared,
    known: Mutex<BTreeMap<Name, Known>>,
}

/// A listener that there is or was.
struct Known {
    /// Its number.
    at: usize,
    conditions: Arc<Conditions>,
    /// Nothing where it was taken out.
    door: Option<Door>,
    /// Cancelled when it comes back before its miners were parted with.
    parting: CancellationToken,
}

/// Ports for listeners that come, or come to another address: open already.
#[derive(Debug, Default)]
pub(crate) struct FreshPorts(BTreeMap<Name, OpenPort>);

impl Listeners {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared, known: Mutex::default() }
    }

    /// Opens those of the start, and lets miners in as soon as it is known how their extranonce is split.
    pub(super) fn open_all(&self, config: &Config, ports: Vec<OpenPort>) {
        let fresh = config.listeners.keys().cloned().zip(ports).collect();
        self.apply(config, config, FreshPorts(fresh), None);
    }

    /// Opens the ports that `next` has and what is `running` has not. Nothing else has changed when one cannot be had.
    ///
    /// # Errors
    /// Why one cannot be had.
    pub(crate) fn prepare(&self, running: &Config, next: &Config) -> Result<FreshPorts, String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let new = next.listeners.keys().filter(|name| !known.contains_key(*name)).count();
        if known.len() + new > LISTENERS_EVER {
            return Err(format!(
                "{LISTENERS_EVER} listeners have come since Adit was started, as many as can: start it anew to have more"
            ));
        }
        let stays = |name: &Name| {
            let listen = |config: &Config| config.listeners.get(name).map(|listener| listener.listen);
            listen(running).is_some() && listen(running) == listen(next)
        };
        let mut fresh = BTreeMap::new();
        for (name, listener) in next.listeners.iter().filter(|(name, _)| !stays(name)) {
            let address = listener.listen;
            // The port of a listener that leaves it, such as one that has another name now: nobody is refused.
            let left = known.iter().filter(|(of, _)| !stays(of)).find_map(|(_, of)| {
                let door = of.door.as_ref().filter(|door| door.configured == address && address.port() != 0);
                let door = door.filter(|door| door.shared == listener.reuse_port)?;
                Some(OpenPort { socket: door.socket.upgrade()?, given: door.given })
            });
            let opened = match left {
                Some(port) => Ok(port),
                None => crate::sockets::listen(address, listener.reuse_port)
                    .map(|socket| OpenPort { socket: Arc::new(socket), given: false }),
            };
            let failed = |error| StartError::Bind { what: format!("listener.{name}"), address, error };
            fresh.insert(name.clone(), opened.map_err(|error| failed(error).to_string())?);
        }
        Ok(FreshPorts(fresh))
    }

    /// Puts the listeners of `next` in force in place of those of what is `running`: for whoever comes from now on. Miners
    /// of those that are taken out are closed after `drain`, or left alone.
    pub(crate) fn apply(&self, running: &Config, next: &Config, fresh: FreshPorts, drain: Option<Duration>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = known.iter_mut().filter(|(name, _)| !next.listeners.contains_key(*name));
        for (name, of) in gone.filter(|(_, of)| of.door.is_some()) {
            self.take_out(name, of, drain);
        }
        let firmware = settings::firmware(next);
        let FreshPorts(mut fresh) = fresh;
        for (name, listener) in &next.listeners {
            let given = running.listeners.get(name).map(Given::of);
            let resplit = given.is_none_or(|was| was != Given::of(listener));
            match known.get_mut(name) {
                Some(of) => {
                    let (at, config) = (of.at, (next, running));
                    of.conditions.change(|context| {
                        let changed = self.context(at, (name, listener), config, &firmware, Some(context));
                        *context = changed;
                    });
                }
                None => {
                    let at = self.enter(name);
                    let context = self.context(at, (name, listener), (next, running), &firmware, None);
                    let conditions = Arc::new(Conditions::new(context));
                    let mut shown = self.shared.shown.lock();
                    if let Some(view) = shown.listeners.get_mut(at) {
                        let context = conditions.current();
                        view.figures = Arc::clone(&context.figures);
                        view.retargets = Arc::clone(&context.policy.retargets);
                    }
                    drop(shown);
                    let parting = CancellationToken::new();
                    known.insert(name.clone(), Known { at, conditions, door: None, parting });
                }
            }
            let Some(of) = known.get_mut(name) else { continue };
            let port = match fresh.remove(name) {
                Some(port) => port,
                // It is split anew behind the same port.
                None if resplit => match of
                    .door
                    .as_ref()
                    .and_then(|door| Some(OpenPort { socket: door.socket.upgrade()?, given: door.given }))
                {
                    Some(port) => port,
                    None => continue,
                },
                None => continue,
            };
            self.open(name, listener, next, of, port, resplit);
        }
    }

    /// A listener that was not there before has a number, and can be shown.
    fn enter(&self, name: &Name) -> usize {
        let mut shown = self.shared.shown.lock();
        shown.listeners.push(ListenerView {
            name: name.to_string(),
            address: String::new(),
            figures: Arc::default(),
            retargets: Arc::default(),
            removed: false,
        });
        shown.listeners.len() - 1
    }

    /// What holds for connections that come from now on. `was` is what held for those before.
    fn context(
        &self,
        at: usize,
        (name, listener): (&Name, &Listener),
        (config, running): (&Config, &Config),
        firmware: &Arc<Firmwares>,
        was: Option<&ListenerContext>,
    ) -> ListenerContext {
        let shared = &self.shared;
        let choices = settings::route_choices(name, config);
        let route = usize::from(choices.rest.0);
        let mut policy = listener_policy(at, route, (name, listener), config, firmware);
        let key = |config: &Config| config.listeners.get(name)?.authority_secret_key.clone();
        let mut identity = was.and_then(|was| was.identity.clone());
        if was.is_none() || key(running) != key(config) {
            let made = |key: &AuthoritySecret| Arc::new(Sv2Identity::new(key.reveal().clone()));
            identity = listener.authority_secret_key.as_ref().map(made);
        }
        if let Some(was) = was {
            // Chosen before; if it is to be chosen anew, it will be before anybody comes.
            policy.extranonce1_size = was.policy.extranonce1_size;
            policy.extranonce2_size = was.policy.extranonce2_size;
            // Counted since the start.
            policy.retargets = Arc::clone(&was.policy.retargets);
            was.cap.set(listener.max_connections);
        }
        let declarators = match was {
            Some(was) => was.declarators.clone(),
            None => (listener.job_declarators > 0)
                .then(|| Arc::new(Declarators::new(listener.job_declarators, shared.jdc_routes.clone()))),
        };
        ListenerContext {
            name: name.to_string(),
            protocol: listener.protocol,
            identity,
            policy: Arc::new(policy),
            declarators,
            routes: choices,
            books: Arc::clone(&shared.books),
            admission: Arc::clone(&shared.admission),
            cap: was.map_or_else(|| Arc::new(Cap::new(listener.max_connections)), |was| Arc::clone(&was.cap)),
            rules: shared.rules.of_listener(name),
            proxies: listener.proxy_protocol_from.clone(),
            max_line: config.limits.line,
            outbox: config.limits.outbox,
            handshake: config.limits.handshake,
            certificate: shared.certificates.of(name),
            write_stall: WRITE_STALL,
            roster: Arc::clone(&shared.roster),
            ids: Arc::clone(&shared.ids),
            id_spaces: Bindings::of(config).id_spaces(name),
            agents: Arc::clone(&shared.agents),
            memory: Arc::clone(&shared.memory),
            router: shared.router.clone(),
            doors: Arc::clone(&shared.doors),
            mailboxes: Arc::clone(&shared.mailboxes),
            latencies: shared.latencies.clone(),
            figures: was.map(|was| Arc::clone(&was.figures)).unwrap_or_default(),
            clock: shared.clock,
            next_miner: Arc::clone(&shared.next_miner),
            quiet: was.map(|was| Arc::clone(&was.quiet)).unwrap_or_default(),
        }
    }

    /// Begins to take miners at a port, and no more where it took them until now. They are let in as soon as it is known
    /// how their extranonce is split.
    fn open(
        &self,
        name: &Name,
        listener: &Listener,
        config: &Config,
        of: &mut Known,
        port: OpenPort,
        resplit: bool,
    ) {
        let OpenPort { socket, given } = port;
        let address = socket.local_addr().unwrap_or(listener.listen);
        let context = of.conditions.current();
        let was = {
            let mut shown = self.shared.shown.lock();
            let view = shown.listeners.get_mut(of.at);
            view.map(|view| {
                view.removed = false;
                std::mem::replace(&mut view.address, address.to_string())
            })
        };
        if was.is_none_or(|was| was != address.to_string()) {
            if let Some(identity) = &context.identity {
                // As miners are told it.
                let url = format!("stratum2+tcp://{address}/{}", identity.public());
                info!(listener = %name, %url, "for Stratum V2 miners");
            }
            info!(listener = %name, %address, "listening for miners");
        }
        // What was chosen holds on, unless it is to be chosen anew.
        let splitting = (resplit || context.figures.split.get().is_none())
            .then(|| Splitting::of(name, listener, config, &self.shared.shown.lock().sources));
        let stop = self.shared.stop_accepting.child_token();
        let door = Door {
            configured: listener.listen,
            shared: listener.reuse_port,
            given,
            socket: Arc::downgrade(&socket),
            stop: stop.clone(),
        };
        self.shared.ports.add(name.as_str(), &socket);
        of.parting.cancel();
        if let Some(before) = of.door.replace(door) {
            before.close(name, &socket);
        }
        let (tasks, gate) = (self.shared.tasks.clone(), self.shared.gate.clone());
        tokio::spawn(let_in(socket, Arc::clone(&of.conditions), (splitting, gate), tasks, stop));
    }

    /// Takes no more miners there, and parts with those that there are when it is time.
    fn take_out(&self, name: &Name, of: &mut Known, drain: Option<Duration>) {
        let Some(door) = of.door.take() else { return };
        door.stop.cancel();
        door.warn_if_given(name);
        self.shared.ports.remove(name.as_str());
        if let Some(view) = self.shared.shown.lock().listeners.get_mut(of.at) {
            view.removed = true;
        }
        let miners = of.conditions.current().figures.connected.load(Relaxed);
        match drain {
            None => info!(listener = %name, miners, "taken out: its miners stay until they leave"),
            Some(after) => {
                info!(listener = %name, miners, ?after, "taken out: its miners are closed, one after the other, after that");
                of.parting = CancellationToken::new();
                let at = u16::try_from(of.at).unwrap_or(u16::MAX);
                tokio::spawn(part_with(
                    Arc::clone(&self.shared.roster),
                    at,
                    after,
                    (of.parting.clone(), self.shared.stop_accepting.clone()),
                ));
            }
        }
    }
}
