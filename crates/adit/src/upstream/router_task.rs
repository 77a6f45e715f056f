//! The router's task: its state machine, and the cells through which groups get their news.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use engine::router::{Output, Place, Router};
use engine::source::SourceCommand;
use engine::{Feed, GoalId, GroupId, MinerRef, RouteId, SourceId};
use telemetry::{JobFanout, Latencies};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::job_board::JobBoard;
use super::messages::{GroupNews, Joined, Moved, Reshape, RouteReport, RouterMessage, RouterStatus};
use super::pins::Pins;
use super::sources::Sources;
use crate::clock::Clock;
use crate::leases::Leases;

/// Messages taken at once.
const BATCH: usize = 512;
/// The status is renewed at most this often.
const SHOW_EVERY: Duration = Duration::from_millis(500);

/// What miners are told whose source serves others and not them.
const UNSERVED: &str = "The pool takes no further connection for you: use your backup pool";
const OUTAGE: &str = "No pool is reachable: use your backup pool";

struct Cells {
    /// The miners of routes that move them.
    movers: HashMap<MinerRef, watch::Sender<Option<Moved>>>,
    by_group: HashMap<GroupId, (RouteId, watch::Sender<GroupNews>)>,
    /// The job that was published last, by its source and when it was read: one job goes to many groups.
    spreading: Option<(SourceId, Duration, Arc<JobFanout>)>,
    latencies: Latencies,
    clock: Clock,
    jobs: Arc<JobBoard>,
}

impl Cells {
    fn publish(&mut self, group: GroupId, feed: Arc<Feed>) {
        let Some((route, cell)) = self.by_group.get(&group) else { return };
        self.jobs.pin(*route, &feed);
        let (source, received) = (feed.source(), feed.received);
        let known = self.spreading.take().filter(|(s, at, _)| (*s, *at) == (source, received));
        let fanout = known.map_or_else(
            || Arc::new(JobFanout::new(&self.latencies, self.clock.instant(received).into_std())),
            |(_, _, fanout)| fanout,
        );
        self.spreading = Some((source, received, Arc::clone(&fanout)));
        cell.send_modify(|news| {
            news.farewell.take_if(|farewell| *farewell == UNSERVED);
            news.feed = Some(feed);
            news.fanout = Some(fanout);
        });
    }

    fn cell(
        &mut self,
        group: GroupId,
        route: RouteId,
        feed: Option<Arc<Feed>>,
    ) -> watch::Receiver<GroupNews> {
        if let Some(feed) = &feed {
            self.jobs.pin(route, feed);
        }
        let cell = self
            .by_group
            .entry(group)
            .or_insert_with(|| (route, watch::Sender::new(GroupNews { feed, ..GroupNews::default() })));
        let mut news = cell.1.subscribe();
        news.mark_changed();
        news
    }

    fn moved(&mut self, miner: MinerRef, route: RouteId, place: Place) {
        let news = self.cell(place.group, route, place.feed);
        if let Some(mover) = self.movers.get(&miner) {
            mover.send_replace(Some(Moved { group: place.group, meter: place.meter, news }));
        }
    }

    fn unserved(&self, group: GroupId) {
        if let Some((_, cell)) = self.by_group.get(&group) {
            cell.send_modify(|news| news.farewell = news.farewell.or(Some(UNSERVED)));
        }
    }

    fn farewell(&self, route: Option<RouteId>, text: &'static str) {
        for (of, cell) in self.by_group.values() {
            if route.is_none_or(|r| r == *of) {
                cell.send_modify(|news| news.farewell = Some(text));
            }
        }
    }
}

/// Runs until [`RouterMessage::End`].
pub async fn run_router(
    mut router: Router,
    route_names: Vec<String>,
    mut messages: mpsc::Receiver<RouterMessage>,
    sources: &mut Sources,
    status: watch::Sender<RouterStatus>,
    (latencies, clock, jobs): (Latencies, Clock, Arc<JobBoard>),
    (mut leases, mut pins): (Option<Leases>, Pins),
) {
    let mut cells =
        Cells { movers: HashMap::new(), by_group: HashMap::new(), spreading: None, latencies, clock, jobs };
    let mut batch = Vec::with_capacity(BATCH);
    let mut shown = Duration::ZERO;
    let mut draining = None;
    if let Some(leases) = &leases {
        leases.begin(&mut router);
    }
    carry_out(&mut router, &mut cells, sources, &route_names);
    loop {
        let now = clock.now();
        if now.since(shown) >= SHOW_EVERY || shown.is_zero() {
            shown = now.mono;
            status.send_replace(report(&router, route_names.len(), sources.len(), leases.as_ref()));
        }
        sources.let_go(now.mono);
        if let Some(leases) = &mut leases {
            leases.note(&router, now.mono);
        }
        let deadline = router.deadline(now).min(now.mono + SHOW_EVERY);
        tokio::select! {
            taken = messages.recv_many(&mut batch, BATCH) => {
                if taken == 0 {
                    return;
                }
            }
            () = tokio::time::sleep_until(clock.instant(deadline)) => router.timer(clock.now()),
        }
        let now = clock.now();
        for message in batch.drain(..) {
            match message {
                RouterMessage::Join { mut request, reply } => {
                    let (miner, route, hashrate) = (request.miner, request.route, request.hashrate);
                    if draining.is_some() || router.is_told(route) {
                        continue; // the dropped reply says no
                    }
                    request.goal = pins.goal(route, &request.identity);
                    let (group, meter, feed) = router.join(&request, now);
                    meter.shift_hashrate(hashrate);
                    let news = cells.cell(group, route, feed);
                    let moves = router.moves_miners(route).then(|| {
                        let mover = cells.movers.entry(miner).or_insert_with(|| watch::Sender::new(None));
                        mover.subscribe()
                    });
                    let joined = Joined { group, meter: meter.clone(), news, moves };
                    if reply.send(joined).is_err() {
                        meter.shift_hashrate(-hashrate);
                        cells.movers.remove(&miner);
                        router.leave(miner, group, now);
                    } else {
                        router.joined(group, now);
                    }
                }
                RouterMessage::End => {
                    if let Some(leases) = leases.take() {
                        // All miners are gone: this is the exact figure. The disk is waited for once, at the end.
                        leases.end(&router);
                    }
                    return;
                }
                RouterMessage::Leave(miner, group) => {
                    cells.movers.remove(&miner);
                    router.leave(miner, group, now);
                }
                RouterMessage::Source(source, event) => router.event(source, event, now),
                RouterMessage::Change(changes) => {
                    for change in changes {
                        router.change_goal(change.goal, change.share, change.term, now);
                    }
                }
                RouterMessage::Reshape(reshape) => {
                    let Reshape { sources: made, mut change, pins: fresh } = *reshape;
                    change.sources = made.iter().map(|made| made.plan.clone()).collect();
                    made.into_iter().for_each(|made| sources.add(made));
                    router.change(change, now);
                    pins = fresh;
                    router.bind_workers(|route, worker| pins.goal(route, worker));
                }
                RouterMessage::Tags(tags) => {
                    for (source, tag) in tags {
                        sources.command(source, SourceCommand::SetTag(tag));
                    }
                }
                RouterMessage::Answer(to) => crate::service::answer(&to),
                RouterMessage::Drain(text) => {
                    draining = Some(text);
                    cells.farewell(None, text);
                }
            }
            // Work goes on to the miners at once, not after the batch.
            carry_out(&mut router, &mut cells, sources, &route_names);
        }
        carry_out(&mut router, &mut cells, sources, &route_names);
    }
}

fn carry_out(router: &mut Router, cells: &mut Cells, sources: &mut Sources, route_names: &[String]) {
    while let Some(output) = router.poll() {
        match output {
            Output::Publish(group, feed) => {
                cells.publish(group, feed);
            }
            Output::Moved(miner, place) => {
                if let Some(route) = router.route_of(place.group) {
                    cells.moved(miner, route, place);
                }
            }
            Output::Ended(group) => {
                cells.by_group.remove(&group);
            }
            Output::Command(source, command) => {
                sources.command(source, command);
            }
            Output::OutageTold(route) => {
                warn!(
                    route = route_names[usize::from(route.0)],
                    "no pool for too long: miners are sent away"
                );
                cells.farewell(Some(route), OUTAGE);
            }
            Output::Unserved(group) => {
                let route = router.route_of(group).map_or("", |r| route_names[usize::from(r.0)].as_str());
                warn!(
                    route,
                    "a pool that serves other miners has no channel for some, which are sent away: the status says why"
                );
                cells.unserved(group);
            }
            Output::OutageOver(route) => {
                info!(route = route_names[usize::from(route.0)], "a pool is there again");
            }
            Output::Switched(route, _, from, to) => {
                let route = route_names[usize::from(route.0)].as_str();
                info!(route, from = sources.name(from), to = sources.name(to), "route switched");
            }
            Output::Retired(source) => sources.retire(source, cells.clock.now().mono),
        }
    }
}

fn report(router: &Router, routes: usize, sources: usize, leases: Option<&Leases>) -> RouterStatus {
    let ids = |n: usize| (0..n).filter_map(|n| u16::try_from(n).ok());
    let routes = ids(routes).map(RouteId).map(|route| RouteReport {
        active: router.active(route),
        switches: router.switches(route),
        hashrate: router.hashrate(route),
        unusable: ids(sources)
            .map(SourceId)
            .filter_map(|s| router.unusable(route, s).map(|why| (s, why.to_owned())))
            .collect(),
    });
    let goals = (0..router.goals()).filter_map(|n| u16::try_from(n).ok()).map(GoalId);
    let uncertain = |goal| leases.map_or(0.0, |leases| leases.uncertain(goal));
    RouterStatus {
        routes: routes.collect(),
        goals: goals.map(|goal| (router.goal(goal), uncertain(goal))).collect(),
    }
}
