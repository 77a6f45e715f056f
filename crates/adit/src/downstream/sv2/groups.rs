//! The news of all groups that a connection's channels are in.

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use engine::{GroupId, MinerRef};

use crate::upstream::{GroupNews, Moved};

type News = watch::Receiver<GroupNews>;

/// One wait for a group's news: its number, and the news unless the router has ended.
type Wait = BoxFuture<'static, (u64, Option<News>)>;

/// See the module. A group that is waited for costs nothing until there is something new.
#[derive(Default)]
pub(super) struct Groups {
    waiting: FuturesUnordered<Wait>,
    /// Each with the number of its waits: one that was left and entered again has another one.
    known: Vec<(GroupId, u64)>,
    next_number: u64,
}

impl Groups {
    /// Waits for a group's news from now on, if it does not already.
    pub(super) fn watch(&mut self, group: GroupId, news: News) {
        if self.known.iter().all(|(known, _)| *known != group) {
            self.next_number += 1;
            self.known.push((group, self.next_number));
            self.wait(self.next_number, news);
        }
    }

    /// Only these groups matter any more.
    pub(super) fn keep(&mut self, kept: impl Fn(GroupId) -> bool) {
        self.known.retain(|(group, _)| kept(*group));
    }

    /// The next news. `None`: the router has ended. Never completes while there is no group.
    pub(super) async fn next(&mut self) -> Option<(GroupId, GroupNews)> {
        loop {
            let Some((number, news)) = self.waiting.next().await else {
                return std::future::pending().await;
            };
            // One that was left is not waited for any more.
            let group = self.known.iter().find(|(_, known)| *known == number).map(|(group, _)| *group);
            if let Some(group) = group {
                let mut news = news?;
                let newest = news.borrow_and_update().clone();
                self.wait(number, news);
                return Some((group, newest));
            }
        }
    }

    fn wait(&mut self, number: u64, mut news: News) {
        self.waiting.push(Box::pin(async move {
            let more = news.changed().await.is_ok();
            (number, more.then_some(news))
        }));
    }
}

/// One wait for a channel's move: the receiver unless it will never move again.
type MoveWait = BoxFuture<'static, (MinerRef, Option<Moves>)>;

type Moves = watch::Receiver<Option<Moved>>;

/// The moves of all of a connection's channels that their routes move.
#[derive(Default)]
pub(super) struct ChannelMoves(FuturesUnordered<MoveWait>);

impl ChannelMoves {
    /// Waits for a channel's moves from now on.
    pub(super) fn watch(&mut self, miner: MinerRef, mut moves: Moves) {
        self.0.push(Box::pin(async move {
            let more = moves.changed().await.is_ok();
            (miner, more.then_some(moves))
        }));
    }

    /// The next move. Never completes while there is nobody to move.
    pub(super) async fn next(&mut self) -> (MinerRef, Moved) {
        loop {
            let Some((miner, moves)) = self.0.next().await else {
                return std::future::pending().await;
            };
            // The router forgets those that leave.
            let Some(mut moves) = moves else { continue };
            let moved = moves.borrow_and_update().clone();
            self.watch(miner, moves);
            if let Some(moved) = moved {
                return (miner, moved);
            }
        }
    }
}
