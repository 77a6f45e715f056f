//! The news of all groups that a connection's channels are in.

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use engine::GroupId;

use crate::upstream::GroupNews;

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
