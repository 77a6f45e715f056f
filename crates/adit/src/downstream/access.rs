//! Which addresses may come to a listener, and how often.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{Config, Listener, Name, Network};

/// A listener's rules.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Who may come; everybody where it is empty.
    pub allow: Vec<Network>,
    /// Who may not, even so.
    pub deny: Vec<Network>,
    /// Connections per public address.
    pub per_address: u32,
    /// Addresses with as many connections as they like.
    pub unlimited: Vec<Network>,
}

impl Access {
    /// Whether an address may come.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        (self.allow.is_empty() || is_in(&self.allow, address)) && !is_in(&self.deny, address)
    }

    fn of(listener: &Listener) -> Self {
        Self {
            allow: listener.allow.clone(),
            deny: listener.deny.clone(),
            per_address: listener.max_connections_per_address,
            unlimited: listener.unlimited_addresses.clone(),
        }
    }
}

/// The rules in force; looked at when a connection comes, never afterwards.
#[derive(Debug, Default)]
pub struct Rules(Mutex<Arc<Access>>);

impl Rules {
    fn of(listener: &Listener) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Arc::new(Access::of(listener)))))
    }

    /// Those in force.
    #[must_use]
    pub fn current(&self) -> Arc<Access> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The rules of all listeners.
#[derive(Debug, Default)]
pub struct AllRules(Mutex<BTreeMap<Name, Arc<Rules>>>);

impl AllRules {
    /// Those of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let rules = |(name, listener): (&Name, &Listener)| (name.clone(), Rules::of(listener));
        Self(Mutex::new(config.listeners.iter().map(rules).collect()))
    }

    /// Those of a listener.
    #[must_use]
    pub fn of_listener(&self, listener: &Name) -> Arc<Rules> {
        self.lock().get(listener).map(Arc::clone).unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Name, Arc<Rules>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts those of another configuration in force, for all connections that come from now on. The listeners whose rules
    /// are others now, but those that are new.
    pub fn exchange(&self, config: &Config) -> Vec<Name> {
        let mut exchanged = Vec::new();
        let mut known = self.lock();
        for (name, listener) in &config.listeners {
            let Some(rules) = known.get(name) else {
                known.insert(name.clone(), Rules::of(listener));
                continue;
            };
            let fresh = Access::of(listener);
            let mut current = rules.0.lock().unwrap_or_else(PoisonError::into_inner);
            if **current != fresh {
                *current = Arc::new(fresh);
                exchanged.push(name.clone());
            }
        }
        exchanged
    }
}

/// Whether an address is in one of these networks.
pub(super) fn is_in(networks: &[Network], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_allowed_and_not_denied_may_come() {
        let networks = |texts: &[&str]| texts.iter().map(|text| Network::parse(text).expect(text)).collect();
        let may = |allow: &[&str], deny: &[&str], address: &str| {
            let access = Access { allow: networks(allow), deny: networks(deny), ..Access::default() };
            access.permits(address.parse().expect(address))
        };
        assert!(may(&[], &[], "203.0.113.7") && may(&[], &[], "2001:db8::1"));
        assert!(
            may(&["203.0.113.0/24"], &[], "203.0.113.7")
                && may(&["203.0.113.0/24"], &[], "::ffff:203.0.113.7")
        );
        assert!(
            !may(&["203.0.113.0/24"], &[], "203.0.114.7") && !may(&["203.0.113.0/24"], &[], "2001:db8::1")
        );
        assert!(!may(&[], &["203.0.113.7"], "203.0.113.7") && may(&[], &["203.0.113.7"], "203.0.113.8"));
        assert!(!may(&["203.0.113.0/24"], &["203.0.113.7"], "203.0.113.7"));
        assert!(!may(&[], &["203.0.113.0/24"], "::ffff:203.0.113.7"));
    }
}
