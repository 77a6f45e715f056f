//! The router's task.

use engine::router::{Output, Place};
use engine::source::SourceCommand;
use engine::{MinerRef, SourceId};

use super::{Cell, Joined, ROUTER_BATCH, RouterMessage};
use crate::sim::planted::PlantedBug;
use crate::sim::time::{Micros, micros};
use crate::sim::world::{Task, World};

const OUTAGE: &str = "No pool is reachable: use your backup pool";

/// A miner's number is its connection's.
fn miner_of(connection: usize) -> MinerRef {
    MinerRef(connection as u64)
}

impl World {
    pub(in crate::sim) fn tell_router(&mut self, message: RouterMessage) {
        self.adit.messages.push_back(message);
        self.wake(Task::Router);
    }

    /// One round of the router's loop. Gives the time that it took.
    pub(in crate::sim) fn router_turn(&mut self) -> Micros {
        let now = self.engine_now();
        if self.adit.messages.is_empty() && now.mono >= self.adit.router.deadline(now) {
            self.adit.router.timer(now);
        }
        let mut took = 5;
        for _ in 0..ROUTER_BATCH {
            let Some(message) = self.adit.messages.pop_front() else {
                break;
            };
            took += 2;
            match message {
                RouterMessage::Join { connection, request } => {
                    let hashrate = request.hashrate;
                    if self.adit.draining || self.adit.router.is_told(request.route) {
                        self.give_place(connection, None);
                        continue;
                    }
                    let route = request.route;
                    let (group, meter, feed) = self.adit.router.join(&request, now);
                    meter.shift_hashrate(hashrate);
                    if !self.adit.cells.contains_key(&group) {
                        self.adit.groups += 1;
                    }
                    let cell = self.adit.cells.entry(group).or_insert_with(|| Cell::new(route, feed));
                    let alive = self.adit.connections[connection].is_some();
                    if alive {
                        cell.members.push(connection);
                        let place = Joined { group, meter, feed: cell.feed.clone() };
                        self.give_place(connection, Some(place));
                        self.adit.router.joined(group, now);
                    } else {
                        meter.shift_hashrate(-hashrate);
                        self.adit.router.leave(request.miner, group, now);
                    }
                }
                RouterMessage::Leave { connection, group } => {
                    if self.is_planted(PlantedBug::LeaveForgotten) && connection % 3 == 1 {
                        continue;
                    }
                    for cell in self.adit.cells.values_mut() {
                        cell.members.retain(|c| *c != connection);
                    }
                    self.adit.router.leave(miner_of(connection), group, now);
                }
                RouterMessage::Source(source, event) => self.adit.router.event(source, event, now),
                RouterMessage::Drain(text) => {
                    self.adit.draining = true;
                    self.say_farewell(text);
                }
            }
            self.carry_out_router();
        }
        self.carry_out_router();
        if self.adit.router.active(engine::RouteId(0)).is_some() {
            self.adit.active_at = self.now;
        }
        let deadline = micros(self.adit.router.deadline(self.engine_now()));
        self.arm(Task::Router, deadline);
        if !self.adit.messages.is_empty() {
            self.wake(Task::Router);
        }
        took
    }

    fn give_place(&mut self, connection: usize, place: Option<Joined>) {
        if let Some(c) = &mut self.adit.connections[connection] {
            c.place = Some(place);
            self.wake(Task::Connection(connection));
        }
    }

    fn say_farewell(&mut self, text: &'static str) {
        let mut told = Vec::new();
        for cell in self.adit.cells.values_mut() {
            cell.farewell = Some(text);
            told.extend_from_slice(&cell.members);
        }
        for connection in told {
            self.news_for(connection, |news| news.farewell = Some(text));
        }
    }

    fn news_for(&mut self, connection: usize, set: impl FnOnce(&mut super::News)) {
        let now = self.now;
        if let Some(c) = &mut self.adit.connections[connection] {
            set(&mut c.news);
            c.news.changed.get_or_insert(now);
            self.wake(Task::Connection(connection));
        }
    }

    pub(in crate::sim) fn carry_out_router(&mut self) {
        while let Some(output) = self.adit.router.poll() {
            match output {
                Output::Publish(group, feed) => {
                    let feed = self.corrupt_feed(feed);
                    let Some(cell) = self.adit.cells.get_mut(&group) else {
                        continue;
                    };
                    let old = cell.feed.replace(feed.clone());
                    let members = cell.members.clone();
                    for connection in members {
                        let feed = match &old {
                            Some(old) if self.planted(PlantedBug::OldNews, 20) => old.clone(),
                            _ => feed.clone(),
                        };
                        if self.is_planted(PlantedBug::NewsForgotten) && connection % 4 == 1 {
                            continue;
                        }
                        self.news_for(connection, |news| news.feed = Some(feed));
                    }
                }
                Output::Moved(miner, place) => self.move_miner(miner, place),
                Output::Ended(group) => {
                    if self.adit.cells.remove(&group).is_some() {
                        self.adit.groups -= 1;
                    }
                }
                Output::Command(SourceId(source), command) => {
                    let at = usize::from(source);
                    if self.adit.sources[at].commands.len() >= super::COMMANDS {
                        self.broken("I4", format!("source {at} takes no commands any more"));
                    } else {
                        self.trace(|| format!("router -> source {at}: {command:?}"));
                        if let SourceCommand::Close { channel_id } = &command {
                            self.adit.sources[at].ledger.stop_declaring(Some(*channel_id));
                        }
                        self.adit.sources[at].commands.push_back(command);
                    }
                    self.wake(Task::Source(at));
                }
                Output::OutageTold(_) => {
                    self.trace(|| "outage told".to_owned());
                    self.adit.outage_told = true;
                    self.say_farewell(OUTAGE);
                }
                Output::Unserved(group) => {
                    self.trace(|| format!("no channel for group {group:?}"));
                    self.broken(
                        "I5",
                        format!("a source that serves others has no channel for group {group:?}"),
                    );
                }
                Output::OutageOver(_) => {
                    self.trace(|| "outage over".to_owned());
                    self.adit.outage_told = false;
                    for cell in self.adit.cells.values_mut() {
                        cell.farewell = None;
                    }
                }
                Output::Switched(_, _, from, to) => {
                    self.trace(|| format!("route switched from {from:?} to {to:?}"));
                    if self.is_planted(PlantedBug::ClosesOnOutage) && from.is_some() {
                        self.say_farewell(OUTAGE);
                    }
                }
            }
        }
    }

    /// A miner is in another group: it hears of that one's news from now on.
    fn move_miner(&mut self, miner: MinerRef, place: Place) {
        let Some(connection) = usize::try_from(miner.0).ok() else { return };
        for cell in self.adit.cells.values_mut() {
            cell.members.retain(|c| *c != connection);
        }
        if !self.adit.cells.contains_key(&place.group) {
            self.adit.groups += 1;
        }
        let cell = self.adit.cells.entry(place.group);
        let cell = cell.or_insert_with(|| Cell::new(engine::RouteId(0), place.feed.clone()));
        cell.members.push(connection);
        self.trace(|| format!("connection {connection} moves to {:?}", place.group));
        self.news_for(connection, |news| {
            // What is newer comes after.
            news.feed = None;
            news.moved = Some(place);
        });
    }

    pub(in crate::sim) fn route_of_cells(&self) -> usize {
        self.adit.cells.values().filter(|cell| cell.route == engine::RouteId(0)).count()
    }
}
