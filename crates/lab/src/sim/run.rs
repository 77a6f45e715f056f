//! One run: a seed from its beginning to its end.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use super::adit::Adit;
use super::miner::Miner;
use super::node::Node;
use super::plan::{Plan, RunOptions};
use super::pool::job::NetTip;
use super::pool::{Pool, PoolTimer};
use super::rng::Rng;
use super::switching::Switching;
use super::tally::Tally;
use super::time::{Micros, SECOND};
use super::witness::Violation;
use super::world::{Event, Teller, World};

/// What a run came to.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// Its seed.
    pub seed: u64,
    /// All that happened, in one number.
    pub event_hash: u64,
    /// Events handled.
    pub events: u64,
    /// What occurred.
    pub tally: Tally,
    /// What was wrong.
    pub violations: Vec<Violation>,
    /// Expected failures that were seen, with how often, by the mistake behind them.
    pub known: BTreeMap<&'static str, u64>,
    /// Faults drawn for it.
    pub faults: u64,
    /// Miners of the farm.
    pub miners: usize,
    /// Shares submitted, by the books.
    pub submitted: u64,
    /// Shares acknowledged by pools, by the books.
    pub acknowledged: u64,
    /// Blocks that the farm found.
    pub blocks: u64,
    /// The longest that a miner that reads waited for a published job, virtual microseconds.
    pub longest_fanout: Micros,
    /// Shares and moves, where work is shared out.
    pub switching: Switching,
}

/// Runs a seed to its end, or until an invariant breaks.
#[must_use]
pub fn run(options: &RunOptions, teller: Option<Teller>) -> RunReport {
    let mut rng = Rng::new(options.seed);
    let plan = Plan::draw(options, &mut rng);
    let mut world = build(plan, options, &mut rng);
    world.teller = teller;
    let miners = world.miners.len();
    // A panic of the engine is a finding like any other; what is left of the world is only read.
    let panic = std::panic::catch_unwind(AssertUnwindSafe(|| {
        world.run_until(options.duration);
        if world.witness.violations.is_empty() {
            world.wind_down();
        }
    }));
    if let Err(panic) = panic {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        world.witness.broken("I6", world.now, format!("panic: {text}"));
    }
    let totals = world.adit.books.totals();
    world.tally.shares(&totals);
    for (why, n) in world.adit.closed.clone() {
        world.tally.closed(why, n);
    }
    let disconnects = world.adit.closed.values().sum();
    let switching = world.switches.finish(disconnects);
    RunReport {
        seed: options.seed,
        event_hash: world.event_hash(),
        events: world.handled,
        tally: world.tally.clone(),
        known: std::mem::take(&mut world.witness.known),
        violations: std::mem::take(&mut world.witness.violations),
        faults: world.plan.faults.len() as u64,
        miners,
        submitted: totals.submitted(),
        acknowledged: totals.acknowledged,
        blocks: totals.blocks,
        longest_fanout: world.adit.longest_fanout,
        switching,
    }
}

fn build(plan: Plan, options: &RunOptions, rng: &mut Rng) -> World {
    let tip = NetTip { hash: rng.hash(), height: 800_000 };
    let adit = Adit::new(&plan, options.planted, rng);
    let mut pools: Vec<Pool> =
        plan.pools.iter().enumerate().map(|(n, pool)| Pool::new(n, pool.clone(), tip)).collect();
    if let (Some(declaring), Some(first)) = (&plan.declaring, pools.first_mut()) {
        first.jds.answers_after = declaring.answers_after;
        first.jds.knows = declaring.knows;
    }
    let miners: Vec<Miner> =
        plan.miners.iter().enumerate().map(|(n, miner)| Miner::new(n, miner.clone())).collect();
    let node = plan.declaring.clone().map(|plan| Node::new(plan, tip));
    let mut world = World::assemble(rng.fork(), plan, adit, pools, miners, tip, options.planted);
    world.node = node;
    for at in 0..world.pools.len() {
        let first = rng.range(SECOND, world.pools[at].plan.template_every);
        world.events.at(first, Event::Pool(at, PoolTimer::Template));
    }
    world.begin_templates();
    for at in 0..world.miners.len() {
        let after = world.miners[at].plan.starts_at;
        world.schedule_connect(at, after);
    }
    for (number, fault) in world.plan.faults.clone().iter().enumerate() {
        world.events.at(fault.at, Event::Begin(number));
    }
    world.schedule_block();
    world.events.at(SECOND, Event::Look);
    world.carry_out_router();
    world.wake(super::world::Task::Router);
    world
}

impl World {
    /// Tells every source to stop: the process ends.
    pub(super) fn stop_sources(&mut self) {
        for at in 0..self.adit.sources.len() {
            self.adit.sources[at].tell(engine::source::SourceCommand::Stop);
            self.wake(super::world::Task::Source(at));
        }
    }
}
