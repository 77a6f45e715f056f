//! Who mines over a connection.

use std::net::IpAddr;
use std::sync::Arc;

use engine::miner::WorkerStanding;

/// Who mines over a connection, and what it is.
#[derive(Clone, Debug)]
pub struct Presence {
    /// The listener's number.
    pub listener: u16,
    /// It speaks Stratum V2.
    pub sv2: bool,
    /// Where it comes from.
    pub address: IpAddr,
    /// What it calls itself.
    pub agent: Option<Arc<str>>,
    /// Its workers, or channels.
    pub workers: Standings,
}

/// How the workers of a connection stand. Most have one: it needs no memory elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Standings {
    first: Option<WorkerStanding>,
    others: Vec<WorkerStanding>,
}

impl Standings {
    /// All of them, in the order of the connection.
    pub fn iter(&self) -> impl Iterator<Item = &WorkerStanding> {
        self.first.iter().chain(&self.others)
    }

    /// Reads a little of what is read of them.
    pub(super) fn touch(&self) -> u8 {
        self.first.as_ref().and_then(|first| first.name.bytes().next()).unwrap_or(0)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// These are all, from now on. Memory that is there is used again.
    pub(super) fn replace(&mut self, each: impl FnOnce(&mut dyn FnMut(WorkerStanding))) {
        let mut count = 0_usize;
        each(&mut |standing| {
            match (count, self.others.get_mut(count.wrapping_sub(1))) {
                (0, _) => self.first = Some(standing),
                (_, Some(known)) => *known = standing,
                (_, None) => self.others.push(standing),
            }
            count += 1;
        });
        if count == 0 {
            self.first = None;
        }
        self.others.truncate(count.saturating_sub(1));
    }
}

impl FromIterator<WorkerStanding> for Standings {
    fn from_iter<I: IntoIterator<Item = WorkerStanding>>(all: I) -> Self {
        let mut standings = Self::default();
        standings.replace(|put| all.into_iter().for_each(put));
        standings
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use engine::RouteId;

    use super::*;

    fn standing(name: usize) -> WorkerStanding {
        WorkerStanding {
            name: name.to_string().into(),
            route: RouteId(0),
            source: None,
            standard: false,
            since: Duration::ZERO,
            difficulty: 0.0,
            hashrate: None,
        }
    }

    #[test]
    fn whoever_was_there_before_the_last_are_all() {
        let mut standings = Standings::default();
        for count in [1, 0, 3, 2, 5, 1, 4, 0, 0, 2] {
            standings.replace(|put| (0..count).map(standing).for_each(put));
            let names: Vec<_> = standings.iter().map(|standing| standing.name.to_string()).collect();
            assert_eq!(names, (0..count).map(|name| name.to_string()).collect::<Vec<_>>());
            assert_eq!((standings.len(), standings.is_empty()), (count, count == 0));
        }
    }
}
