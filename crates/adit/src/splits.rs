//! How a listener's extranonce is split: as the configuration says, or, where it does not, as the Stratum V1 pools of its
//! routes leave room for.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{
    Config, Declared, EXTRANONCE1_SIZE, EXTRANONCE2_SIZE, Goal, Listener, Name, Route, Source,
};

/// Bytes of a miner's `extranonce1` and of its extranonce2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) extranonce1: u8,
    pub(crate) extranonce2: u8,
}

impl Split {
    fn bytes(self) -> usize {
        usize::from(self.extranonce1) + usize::from(self.extranonce2)
    }

    /// How many miners one upstream channel can tell apart.
    pub(crate) fn miners(self) -> u64 {
        1 << (8 * u32::from(self.extranonce1.min(7)))
    }
}

/// What is known of a Stratum V1 pool.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) pool: String,
    /// Bytes that it leaves, once it has said so.
    pub(crate) extranonce2_size: Option<usize>,
}

/// A listener's split.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) split: Split,
    /// The pool that leaves least of those that it fits, where that made it smaller than it would be.
    pub(crate) because: Option<Offer>,
    /// Pools that leave too little for it.
    pub(crate) without: Vec<Offer>,
    /// Pools that have said nothing.
    pub(crate) unheard: Vec<String>,
}

/// What a listener says of its split: nothing, one of the sizes, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    extranonce1: Option<u8>,
    extranonce2: Option<u8>,
}

impl Given {
    pub(crate) fn of(listener: &Listener) -> Self {
        Self { extranonce1: listener.extranonce1_size, extranonce2: listener.extranonce2_size }
    }

    /// Nothing is left to be chosen.
    pub(crate) fn is_whole(self) -> bool {
        self.extranonce1.is_some() && self.extranonce2.is_some()
    }

    /// As long as no pool leaves too little for it.
    pub(crate) fn usual(self) -> Split {
        Split {
            extranonce1: self.extranonce1.unwrap_or(EXTRANONCE1_SIZE),
            extranonce2: self.extranonce2.unwrap_or(EXTRANONCE2_SIZE),
        }
    }

    /// The split with most miners that `space` bytes have room for and that leaves each of them enough to roll.
    fn within(self, space: usize) -> Option<Split> {
        let space = u8::try_from(space).unwrap_or(u8::MAX);
        let usual = self.usual();
        let split = match (self.extranonce1, self.extranonce2) {
            (None, None) => {
                let extranonce1 = match space {
                    0 | 1 => return None,
                    2 | 3 => 1,
                    4..=6 => 2,
                    7 => 3,
                    _ => usual.extranonce1,
                };
                Split { extranonce1, extranonce2: (space - extranonce1).min(usual.extranonce2) }
            }
            (None, Some(extranonce2)) => {
                let extranonce1 = space.checked_sub(extranonce2)?.min(usual.extranonce1);
                (extranonce1 > 0).then_some(Split { extranonce1, extranonce2 })?
            }
            (Some(extranonce1), None) => {
                let extranonce2 = space.checked_sub(extranonce1)?.min(usual.extranonce2);
                (extranonce2 > 0).then_some(Split { extranonce1, extranonce2 })?
            }
            (Some(_), Some(_)) => usual,
        };
        (split.bytes() <= usize::from(space)).then_some(split)
    }

    /// Without an `extranonce1`, each miner on a channel of its own: what is left where there is room for nothing else.
    fn empty_within(self, space: usize) -> Option<Split> {
        if self.extranonce1.is_some_and(|size| size > 0) {
            return None;
        }
        let space = u8::try_from(space).ok()?;
        let extranonce2 = self.extranonce2.unwrap_or(space);
        ((1..=space).contains(&extranonce2)).then_some(Split { extranonce1: 0, extranonce2 })
    }
}

/// Chooses a listener's split by what the Stratum V1 pools of its routes leave. `others`: it has sources of another kind,
/// which give what they are asked for.
pub(crate) fn choose(given: Given, offers: &[Offer], others: bool) -> Chosen {
    let usual = given.usual();
    let heard = || offers.iter().filter(|offer| offer.extranonce2_size.is_some());
    let left = |offer: &Offer| offer.extranonce2_size.unwrap_or(0);
    let smallest =
        heard().filter(|offer| given.within(left(offer)).is_some()).min_by_key(|offer| left(offer));
    let (split, because) = match smallest {
        Some(offer) if left(offer) < usual.bytes() => {
            (given.within(left(offer)).unwrap_or(usual), Some(offer.clone()))
        }
        Some(_) => (usual, None),
        // It would turn most miners away: only where no other source takes them either.
        None if !others && heard().count() == offers.len() => {
            let fits = heard().filter_map(|offer| Some((given.empty_within(left(offer))?, offer)));
            let smallest = fits.min_by_key(|(split, _)| split.bytes());
            smallest.map_or((usual, None), |(split, offer)| (split, Some(offer.clone())))
        }
        None => (usual, None),
    };
    Chosen {
        split,
        because,
        without: heard().filter(|offer| left(offer) < split.bytes()).cloned().collect(),
        unheard: offers
            .iter()
            .filter(|offer| offer.extranonce2_size.is_none())
            .map(|offer| offer.pool.clone())
            .collect(),
    }
}

/// Who is bound to whom.
#[derive(Clone, Copy)]
pub(crate) struct Bindings<'a> {
    pub(crate) listeners: &'a BTreeMap<Name, Listener>,
    pub(crate) sources: &'a BTreeMap<Name, Source>,
    pub(crate) declared: &'a BTreeMap<Name, Declared>,
    pub(crate) routes: &'a BTreeMap<Name, Route>,
    pub(crate) goals: &'a BTreeMap<Name, Goal>,
}

impl<'a> Bindings<'a> {
    pub(crate) fn of(config: &'a Config) -> Self {
        let Config { listeners, sources, declared, routes, goals, .. } = config;
        Self { listeners, sources, declared, routes, goals }
    }

    /// All sources of a route, its goals' too.
    pub(crate) fn sources_of(self, route: &Name) -> Vec<&'a Name> {
        let own = self.routes.get(route).into_iter().flat_map(|route| &route.sources);
        let goals = self.goals.values().filter(|goal| goal.route == *route);
        own.chain(goals.flat_map(|goal| &goal.sources)).collect()
    }

    /// The sources that may get work of a listener's miners.
    pub(crate) fn sources_of_listener(self, listener: &Name) -> BTreeSet<&'a Name> {
        let routes = self.routes.iter().filter(|(_, route)| route.listeners.contains(listener));
        routes.flat_map(|(route, _)| self.sources_of(route)).collect()
    }

    /// The Stratum V1 pools among them.
    pub(crate) fn sv1_pools(self, listener: &Name) -> Vec<(&'a Name, &'a Source)> {
        let sv1 = |name| self.sources.get(name).filter(|source| source.url.sv2().is_none());
        let sources = self.sources_of_listener(listener).into_iter();
        sources.filter_map(|name| Some((name, sv1(name)?))).collect()
    }

    /// The listener has sources that are no Stratum V1 pools.
    pub(crate) fn has_others(self, listener: &Name) -> bool {
        self.sources_of_listener(listener).len() > self.sv1_pools(listener).len()
    }

    /// In how many spaces the same miner ids may be given out to a listener's miners: so many connections does each Stratum
    /// V1 pool of theirs allow, shared among the listeners with other splits. One where nothing forces a short
    /// `extranonce1`, and where templates are declared, whose jobs are for one channel.
    pub(crate) fn id_spaces(self, listener: &Name) -> u16 {
        let sources = self.sources_of_listener(listener);
        if sources.iter().any(|name| self.declared.contains_key(*name)) {
            return 1;
        }
        let of = |(pool, source): (&Name, &Source)| {
            let users =
                self.listeners.iter().filter(|(other, _)| self.sources_of_listener(other).contains(pool));
            let mut splits: Vec<Given> = Vec::new();
            for given in users.map(|(_, other)| Given::of(other)) {
                if !splits.contains(&given) {
                    splits.push(given);
                }
            }
            let splits = u16::try_from(splits.len()).unwrap_or(u16::MAX);
            (source.sv1_connections() / splits.max(1)).max(1)
        };
        self.sv1_pools(listener).into_iter().map(of).min().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOTHING: Given = Given { extranonce1: None, extranonce2: None };

    fn offers(sizes: &[Option<usize>]) -> Vec<Offer> {
        let offer =
            |(at, size): (usize, &Option<usize>)| Offer { pool: format!("p{at}"), extranonce2_size: *size };
        sizes.iter().enumerate().map(offer).collect()
    }

    fn chosen(given: Given, sizes: &[Option<usize>], others: bool) -> (u8, u8) {
        let split = choose(given, &offers(sizes), others).split;
        (split.extranonce1, split.extranonce2)
    }

    #[test]
    fn the_smallest_pool_decides_where_it_leaves_too_little_for_the_usual_split() {
        for (sizes, split) in [
            (&[][..], (4, 4)),
            (&[Some(8)], (4, 4)),
            (&[Some(12), Some(8)], (4, 4)),
            (&[Some(8), Some(4)], (2, 2)),
            (&[Some(7)], (3, 4)),
            (&[Some(6)], (2, 4)),
            (&[Some(5)], (2, 3)),
            (&[Some(3)], (1, 2)),
            (&[Some(2), Some(4), Some(8)], (1, 1)),
            (&[None, Some(4)], (2, 2)),
            (&[None], (4, 4)),
            (&[Some(0)], (4, 4)),
        ] {
            assert_eq!(chosen(NOTHING, sizes, true), split, "{sizes:?}");
        }
        let chosen = choose(NOTHING, &offers(&[Some(8), Some(4), None, Some(1)]), true);
        assert_eq!(chosen.because.map(|offer| offer.pool), Some("p1".to_owned()));
        assert_eq!(chosen.without.iter().map(|offer| offer.pool.as_str()).collect::<Vec<_>>(), ["p3"]);
        assert_eq!(chosen.unheard, ["p2"]);
    }

    #[test]
    fn an_empty_extranonce1_is_chosen_only_where_no_source_has_room_for_more() {
        assert_eq!(chosen(NOTHING, &[Some(1)], false), (0, 1));
        assert_eq!(chosen(NOTHING, &[Some(1)], true), (4, 4), "the other source takes everybody");
        assert_eq!(chosen(NOTHING, &[Some(1), None], false), (4, 4), "the other may");
        assert_eq!(chosen(NOTHING, &[Some(1), Some(8)], false), (4, 4));
        let eight = Given { extranonce2: Some(8), ..NOTHING };
        assert_eq!(chosen(eight, &[Some(8)], false), (0, 8));
        assert_eq!(chosen(eight, &[Some(8)], true), (4, 8));
    }

    #[test]
    fn what_the_listener_says_is_kept() {
        let first = Given { extranonce1: Some(3), extranonce2: None };
        assert_eq!(chosen(first, &[Some(4)], false), (3, 1));
        assert_eq!(chosen(first, &[Some(3)], false), (3, 4), "and the pool is left out");
        let second = Given { extranonce1: None, extranonce2: Some(3) };
        assert_eq!(chosen(second, &[Some(4)], false), (1, 3));
        let both = Given { extranonce1: Some(4), extranonce2: Some(8) };
        assert_eq!(chosen(both, &[Some(4)], false), (4, 8));
        let empty = Given { extranonce1: Some(0), extranonce2: None };
        assert_eq!(chosen(empty, &[Some(2)], false), (0, 2));
    }

    proptest! {
        #[test]
        fn a_split_is_one_that_a_listener_can_have_and_no_smaller_than_need_be(
            sizes in prop::collection::vec(prop::option::of(0usize..40), 0..5),
            others: bool,
        ) {
            let chosen = choose(NOTHING, &offers(&sizes), others);
            let split = chosen.split;
            prop_assert!(split.extranonce1 <= work::MAX_MINER_ID && (1..=8).contains(&split.extranonce2));
            prop_assert_eq!(chosen.because.is_some(), split != NOTHING.usual());
            if let Some(offer) = chosen.because {
                prop_assert!(offer.extranonce2_size.is_some_and(|size| split.bytes() <= size && size < 8));
            }
            prop_assert!(chosen.without.iter().all(|offer| offer.extranonce2_size < Some(split.bytes())));
        }
    }
}
