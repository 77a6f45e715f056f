//! What of a configuration that was read anew can be in force without a new start.

use std::collections::BTreeMap;

use crate::config::{Config, Listener, Name};

/// What is `running` with everything of `fresh` that a change of listeners, sources, routes, goals and pins takes over. What
/// is left as it was needs a new start, or is taken over by itself.
pub(super) fn merged(running: &Config, fresh: &Config) -> Config {
    Config {
        listeners: merged_listeners(running, fresh, true),
        sources: fresh.sources.clone(),
        routes: fresh.routes.clone(),
        goals: fresh.goals.clone(),
        pins: fresh.pins.clone(),
        ..running.clone()
    }
}

/// The listeners as they can be. Not `whole`: routes and sources stay as they are, so that no listener comes or goes, and what
/// miners are granted stays.
pub(super) fn merged_listeners(running: &Config, fresh: &Config, whole: bool) -> BTreeMap<Name, Listener> {
    let is = |(name, listener): (&Name, &Listener)| {
        Some((
            name.clone(),
            match running.listeners.get(name) {
                Some(was) => merged_listener(was, listener, whole),
                None if whole => listener.clone(),
                None => return None,
            },
        ))
    };
    let left = running.listeners.iter().filter(|(name, _)| !whole && !fresh.listeners.contains_key(*name));
    let left = left.map(|(name, listener)| (name.clone(), listener.clone()));
    fresh.listeners.iter().filter_map(is).chain(left).collect()
}

fn merged_listener(was: &Listener, fresh: &Listener, whole: bool) -> Listener {
    let mut is = fresh.clone();
    // The ways to the pools were made at the start.
    is.job_declarators = was.job_declarators;
    if was.listen == fresh.listen {
        // The port is open.
        is.reuse_port = was.reuse_port;
    }
    if !whole {
        (is.extranonce1_size, is.extranonce2_size) = (was.extranonce1_size, was.extranonce2_size);
        is.version_mask = was.version_mask;
        if was.authority_secret_key.is_none() || fresh.authority_secret_key.is_none() {
            is.authority_secret_key.clone_from(&was.authority_secret_key);
        }
    }
    is
}
