//! Which route a miner takes, by its name and where it comes from.

use std::net::IpAddr;

use engine::RouteId;
use engine::miner::glob;

use crate::config::Network;

/// A route that takes some of a listener's miners.
#[derive(Clone, Debug)]
pub struct RouteChoice {
    /// Patterns of workers' names; any when empty.
    pub workers: Vec<String>,
    /// Where they come from; anywhere when empty.
    pub networks: Vec<Network>,
    /// The route.
    pub route: RouteId,
}

/// A listener's routes.
#[derive(Clone, Debug)]
pub struct RouteChoices {
    /// The first that fits is taken.
    pub some: Vec<RouteChoice>,
    /// The route of everybody else.
    pub rest: RouteId,
}

impl RouteChoices {
    /// The route of a miner.
    #[must_use]
    pub fn of(&self, worker: &str, address: IpAddr) -> RouteId {
        let fits = |choice: &&RouteChoice| {
            let named = || choice.workers.iter().any(|pattern| glob(pattern.as_bytes(), worker.as_bytes()));
            let there = || choice.networks.iter().any(|network| network.contains(address));
            (choice.workers.is_empty() || named()) && (choice.networks.is_empty() || there())
        };
        self.some.iter().find(fits).map_or(self.rest, |choice| choice.route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_route_that_fits_by_name_and_address_is_taken() {
        let hall = Network::parse("10.7.0.0/16").expect("a network");
        let choice = |workers: &[&str], networks: &[Network], route| RouteChoice {
            workers: workers.iter().map(|pattern| (*pattern).to_owned()).collect(),
            networks: networks.to_vec(),
            route: RouteId(route),
        };
        let routes = RouteChoices {
            some: vec![
                choice(&["guest.*"], &[], 1),
                choice(&[], &[hall], 2),
                choice(&["farm.*"], &[hall], 3),
            ],
            rest: RouteId(0),
        };
        let of = |worker, address: &str| routes.of(worker, address.parse().expect("an address")).0;
        assert_eq!(of("guest.a", "10.7.1.1"), 1);
        assert_eq!(of("farm.a", "10.7.1.1"), 2);
        assert_eq!(of("farm.a", "10.8.1.1"), 0);
    }
}
