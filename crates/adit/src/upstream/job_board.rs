//! The newest work of each route and source, for whoever wants to see what is mined.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{Feed, RouteId, SourceId};

/// One job of each source on each route: with a channel for each miner the same job comes many times.
#[derive(Debug, Default)]
pub struct JobBoard(Mutex<BTreeMap<(RouteId, SourceId), Arc<Feed>>>);

impl JobBoard {
    /// Work is published. Of the many channels of one job the first stays.
    pub(super) fn pin(&self, route: RouteId, feed: &Arc<Feed>) {
        let mut board = self.lock();
        match board.get_mut(&(route, feed.source())) {
            Some(there) if there.received == feed.received && there.channel.is_alive() => {}
            Some(there) => *there = Arc::clone(feed),
            None => {
                board.insert((route, feed.source()), Arc::clone(feed));
            }
        }
    }

    /// What hangs there, and can still be mined.
    #[must_use]
    pub fn read(&self) -> Vec<(RouteId, Arc<Feed>)> {
        let mut board = self.lock();
        board.retain(|_, feed| feed.channel.is_alive());
        board.iter().map(|((route, _), feed)| (*route, Arc::clone(feed))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(RouteId, SourceId), Arc<Feed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
