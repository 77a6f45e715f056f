//! The sources' tasks, as the router's task sees them: how they are told what to do, and how they end.

use std::time::Duration;

use engine::SourceId;
use engine::router::SourcePlan;
use engine::source::SourceCommand;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{error, info};

use super::messages::{SourceDoor, SourceReport};

/// A source that was taken out has so long for the answers to its shares. Its channels are given less by themselves.
const SETTLED_WITHIN: Duration = Duration::from_secs(20);

/// A source that was made; nothing of it runs yet.
pub struct MadeSource {
    /// Its name in the configuration.
    pub name: String,
    /// What the router has to know of it.
    pub plan: SourcePlan,
    /// To its task.
    pub commands: mpsc::Sender<SourceCommand>,
    /// The way to it for miners' tasks.
    pub door: SourceDoor,
    /// What it shows of itself.
    pub report: watch::Receiver<SourceReport>,
    /// Its task.
    pub task: BoxFuture<'static, ()>,
}

/// By its number.
struct Hand {
    name: String,
    /// Gone when it has been told to end.
    commands: Option<mpsc::Sender<SourceCommand>>,
    door: SourceDoor,
    report: watch::Receiver<SourceReport>,
    /// Nobody mines for it any more, since then.
    retired: Option<Duration>,
}

impl Hand {
    /// Every share that it got has its final state, as far as can be seen.
    fn is_settled(&self, since: Duration) -> bool {
        let report = self.report.borrow();
        let waits = |queue: &mpsc::Sender<_>| queue.max_capacity() != queue.capacity();
        report.at > since
            && report.status.channels == 0
            && report.status.open_shares == 0
            && !waits(&self.door.shares)
            && !waits(&self.door.solutions)
    }
}

/// All of them, in the order of their numbers.
#[derive(Default)]
pub struct Sources {
    hands: Vec<Hand>,
    tasks: JoinSet<()>,
    leaving: bool,
}

impl Sources {
    /// One more: its task begins.
    pub fn add(&mut self, made: MadeSource) {
        let MadeSource { name, commands, door, report, task, .. } = made;
        self.tasks.spawn(task);
        self.hands.push(Hand { name, commands: Some(commands), door, report, retired: None });
    }

    /// How many there ever were.
    pub(super) fn len(&self) -> usize {
        self.hands.len()
    }

    /// What the log calls one.
    pub(super) fn name(&self, source: Option<SourceId>) -> &str {
        let hand = source.and_then(|source| self.hands.get(usize::from(source.0)));
        hand.map_or("none", |hand| hand.name.as_str())
    }

    /// Tells one what to do.
    pub(super) fn command(&self, source: SourceId, command: SourceCommand) {
        let Some(hand) = self.hands.get(usize::from(source.0)) else { return };
        if let Some(commands) = &hand.commands
            && let Err(refused) = commands.try_send(command)
        {
            // Far more commands than a source can have to do: it stands still.
            error!(source = hand.name, %refused, "a source takes no commands");
        }
    }

    /// Nobody mines for one any more.
    pub(super) fn retire(&mut self, source: SourceId, now: Duration) {
        if let Some(hand) = self.hands.get_mut(usize::from(source.0)) {
            hand.retired = Some(now);
            self.leaving = true;
        }
    }

    /// Ends those that have left and have nothing open.
    pub(super) fn let_go(&mut self, now: Duration) {
        if !self.leaving {
            return;
        }
        self.leaving = false;
        for hand in &mut self.hands {
            let Some(since) = hand.retired.filter(|_| hand.commands.is_some()) else { continue };
            if !hand.is_settled(since) && now.saturating_sub(since) < SETTLED_WITHIN {
                self.leaving = true;
                continue;
            }
            hand.commands = None;
            info!(source = hand.name, "taken out: the connection is ended");
        }
        while let Some(Err(failed)) = self.tasks.try_join_next() {
            say_failed(&failed);
        }
    }

    /// Tells all to end, and waits for it.
    pub async fn end(mut self) {
        self.hands.clear();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(failed) = ended {
                say_failed(&failed);
            }
        }
    }
}

fn say_failed(failed: &tokio::task::JoinError) {
    error!(%failed, "a source's task ended by a mistake of Adit: please report it");
}
