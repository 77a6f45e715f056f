//! What a configuration that was read anew changes of listeners and limits. What is not taken over stays different, and is
//! named in the log.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::books::Books;

use super::listeners::{FreshPorts, Listeners};
use crate::config::{Config, Limits, Name};
use crate::downstream::Admission;
use crate::overload::{Budget, OverloadFigures};

/// How miners are parted with at the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    /// They are left alone for so long.
    pub(super) delay: Duration,
    /// More are taken meanwhile.
    pub(super) accept: bool,
    /// Then they are closed over so long; nothing where that follows from the grace.
    pub(super) spread: Option<Duration>,
    /// What the end may take after that.
    pub(super) grace: Duration,
}

impl Drain {
    pub(super) fn of(limits: &Limits) -> Self {
        Self {
            delay: limits.drain_delay,
            accept: limits.drain_accept,
            spread: limits.drain_spread,
            grace: limits.shutdown_grace,
        }
    }
}

/// What can be changed of listeners and limits.
pub struct Live {
    listeners: Listeners,
    admission: Arc<Admission>,
    overload: Arc<OverloadFigures>,
    books: Arc<Books>,
    drain: Mutex<Drain>,
}

impl Live {
    pub(super) fn new(
        listeners: Listeners,
        admission: Arc<Admission>,
        overload: Arc<OverloadFigures>,
        books: Arc<Books>,
        limits: &Limits,
    ) -> Self {
        Self { listeners, admission, overload, books, drain: Mutex::new(Drain::of(limits)) }
    }

    /// How miners are parted with, as it stands.
    pub(super) fn drain(&self) -> Drain {
        *self.drain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the ports that listeners of `next` need and what is `running` has not.
    ///
    /// # Errors
    /// Why one cannot be had; nothing has changed then.
    pub(crate) fn prepare(&self, running: &Config, next: &Config) -> Result<FreshPorts, String> {
        self.listeners.prepare(running, next)
    }

    /// Puts listeners and limits in force in place of what was `before`. The listeners in `running` are those that are to
    /// be; of the rest of `fresh` it takes over what can be. The keys that were others, but those of listeners that are
    /// new or taken out.
    pub(crate) fn apply(
        &self,
        before: &Config,
        running: &mut Config,
        fresh: &Config,
        ports: FreshPorts,
    ) -> Vec<String> {
        running.firmware.clone_from(&fresh.firmware);
        let budget =
            (running.limits.memory != fresh.limits.memory).then(|| Budget::find(fresh.limits.memory));
        // Nobody looks at memory where there was no budget at the start.
        let budget = budget.flatten().filter(|_| self.overload.budget.load(Relaxed) > 0);
        take_limits(&mut running.limits, &fresh.limits, budget.is_some());
        if let Some(budget) = budget {
            self.overload.budget.store(budget.bytes, Relaxed);
        }
        self.admission.set_most(running.limits.max_connections);
        self.admission.set_rate(running.limits.accept_rate);
        self.books.set_workers_max(running.limits.workers_max as usize);
        *self.drain.lock().unwrap_or_else(PoisonError::into_inner) = Drain::of(&running.limits);
        self.listeners.apply(before, running, ports, running.limits.drain_removed);
        taken(before, running)
    }
}

/// The keys of listeners that stay, of limits and of firmware that were others `before`.
fn taken(before: &Config, now: &Config) -> Vec<String> {
    let stays =
        |(name, _): &(&Name, &_)| before.listeners.contains_key(*name) && now.listeners.contains_key(*name);
    let only = |config: &Config| Config {
        listeners: config
            .listeners
            .iter()
            .filter(stays)
            .map(|(name, of)| (name.clone(), of.clone()))
            .collect(),
        firmware: config.firmware.clone(),
        limits: config.limits.clone(),
        ..before.clone()
    };
    let (was, is) = (only(before), only(now));
    let mut taken = was.differences(&is);
    taken.retain(|key| key != "a secret");
    // Secrets are masked, and would not be told.
    let secrets = is.listeners.iter().filter(|(name, listener)| {
        let before = was.listeners.get(*name).map(|listener| &listener.authority_secret_key);
        before != Some(&listener.authority_secret_key)
    });
    for key in secrets.map(|(name, _)| format!("listener.{name}.authority_secret_key")) {
        if !taken.contains(&key) {
            taken.push(key);
        }
    }
    taken
}

/// All of the limits but those of links to pools, which hold for as long as a link lives.
fn take_limits(running: &mut Limits, fresh: &Limits, with_memory: bool) {
    let Limits { frame, lookup, memory, .. } = *running;
    *running = fresh.clone();
    (running.frame, running.lookup) = (frame, lookup);
    if !with_memory {
        running.memory = memory;
    }
}
