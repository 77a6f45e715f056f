//! Which addresses may come to a listener, and which of them speak for others.

use std::net::IpAddr;

use crate::config::Network;

/// A listener's rules.
#[derive(Debug, Default)]
pub struct Access {
    /// Who may come; everybody where it is empty.
    pub allow: Vec<Network>,
    /// Who may not, even so.
    pub deny: Vec<Network>,
    /// Load balancers: each connection of theirs begins with a PROXY header.
    pub proxies: Vec<Network>,
}

impl Access {
    /// Whether an address may come.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        (self.allow.is_empty() || is_in(&self.allow, address)) && !is_in(&self.deny, address)
    }

    /// Whether a connection from there must begin with a PROXY header. Of no other may it.
    #[must_use]
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        is_in(&self.proxies, address)
    }
}

fn is_in(networks: &[Network], address: IpAddr) -> bool {
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
