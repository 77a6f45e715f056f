//! What a seed means: the farm, its pools, the settings, and what will go wrong.

use std::time::Duration;

use engine::miner::ReplyMode;
use engine::router::MinersPerChannel;

use super::faults::{self, Fault, FaultKind};
use super::link::LinkManner;
use super::rng::Rng;
use super::time::{MILLI, MINUTE, Micros, SECOND};

/// The lowest difficulty: nearly every hash is a share.
pub(super) const EASIEST: f64 = 2.4e-10;
/// Network difficulty: a farm of 30 H/s finds a block in some minutes.
pub(super) const NETWORK_BITS: u32 = 0x1f04_0000;

/// One miner in so many mines by SV2.
const SV2_EVERY: usize = 4;

/// One run in so many declares jobs.
const DECLARES: u64 = 3;

/// What a run is asked for.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Names the run.
    pub seed: u64,
    /// Virtual time until the farm is taken down.
    pub duration: Micros,
    /// Faults to draw.
    pub faults: usize,
    /// Only this kind of fault (and nothing else) is drawn, for looking at one.
    pub only: Option<FaultKind>,
    /// Miners, at least.
    pub miners: usize,
    /// The work is shared out by these weights among as many pools, by exactly so many miners, and no jobs are declared.
    pub weights: Option<&'static [f64]>,
    /// A mistake that is made on purpose (see `planted`).
    pub planted: Option<super::planted::PlantedBug>,
    /// Events are told as lines.
    pub trace: bool,
}

impl RunOptions {
    /// One virtual hour with at least 20 miners, 2 pools and 30 faults.
    #[must_use]
    pub fn hour(seed: u64) -> Self {
        Self {
            seed,
            duration: 60 * MINUTE,
            faults: 30,
            only: None,
            miners: 20,
            weights: None,
            planted: None,
            trace: false,
        }
    }
}

/// How a pool answers RequestExtensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extensions {
    WorkerNames,
    Nothing,
    Refuses,
    Silent,
}

#[derive(Clone, Debug)]
pub(super) struct PoolPlan {
    /// Jobs go to the group channel.
    pub(super) grouped: bool,
    pub(super) extranonce_size: u16,
    pub(super) prefix_len: usize,
    /// Accepted shares that are answered with one message.
    pub(super) batch: u32,
    /// An incomplete batch is answered after this.
    pub(super) ack_timer: Option<Micros>,
    pub(super) ack_delay: Micros,
    pub(super) shares_per_minute: f64,
    pub(super) extensions: Extensions,
    pub(super) template_every: Micros,
    /// A future job is sent long before its tip.
    pub(super) announces: bool,
    /// SetTarget follows UpdateChannel after this.
    pub(super) retarget_after: Micros,
    /// The configuration takes the pool without a verified key, and it has none.
    pub(super) insecure: bool,
    pub(super) unsettled_max: Option<usize>,
    /// Jobs are declared to it; it sends none of its own.
    pub(super) work_selection: bool,
    /// It speaks Stratum V1.
    pub(super) sv1: bool,
    pub(super) nominal_hashrate: Option<f64>,
    pub(super) miners_per_channel: Option<MinersPerChannel>,
    pub(super) link: LinkManner,
}

#[derive(Clone, Debug)]
pub(super) struct MinerPlan {
    pub(super) name: String,
    /// Hashes per second.
    pub(super) hashrate: f64,
    /// Version bits that it can roll, if it asks.
    pub(super) mask: Option<u32>,
    pub(super) suggests: Option<f64>,
    pub(super) suggests_target: bool,
    pub(super) password: String,
    /// Sends all of its set-up at once.
    pub(super) pipelined: bool,
    /// Authorises before it subscribes.
    pub(super) authorizes_first: bool,
    /// Asks for things that few miners ask for.
    pub(super) chatty: bool,
    /// Comes back after this.
    pub(super) returns_after: Micros,
    /// Rolls ntime along with the clock.
    pub(super) rolls_time: bool,
    pub(super) starts_at: Micros,
    /// It may be moved between goals: a job before a clean one may still be good.
    pub(super) moves: bool,
    /// The pool that speaks Stratum V1, if there is one.
    pub(super) sv1_pool: Option<usize>,
    pub(super) link: LinkManner,
    /// It mines by SV2.
    pub(super) sv2: bool,
}

/// Job declaration: to the first pool, with templates of the farm's own node, and solo mining as the last resort.
#[derive(Clone, Debug)]
pub(super) struct Declaring {
    /// Templates are declared with their transactions; otherwise coinbases only.
    pub(super) full_template: bool,
    /// To the declarator server.
    pub(super) link: LinkManner,
    /// The declarator server thinks for so long.
    pub(super) answers_after: Micros,
    /// How often it knows a transaction.
    pub(super) knows: f64,
    /// From the node to Adit.
    pub(super) node_latency: Micros,
    /// How much later than the first the node may hear of a tip.
    pub(super) node_lag: Micros,
    /// A better template comes after this.
    pub(super) template_every: Micros,
    /// How often a template's transactions come after it.
    pub(super) late_transactions: f64,
    /// What the farm's own output in declared coinbases pays; none.
    pub(super) own_output: Option<u64>,
}

impl Declaring {
    fn draw(rng: &mut Rng) -> Self {
        Self {
            full_template: rng.chance(0.7),
            link: LinkManner {
                latency: rng.range(MILLI, 120 * MILLI),
                jitter: rng.range(0, 50 * MILLI),
                cut: *rng.pick(&[0.0, 0.02, 0.3]),
                window: 256 * 1024,
            },
            answers_after: rng.range(0, 300 * MILLI),
            knows: *rng.pick(&[0.0, 0.5, 0.9, 1.0]),
            node_latency: rng.range(100, 50 * MILLI),
            node_lag: *rng.pick(&[0, 300 * MILLI, 2 * SECOND]),
            template_every: rng.range(10 * SECOND, 60 * SECOND),
            late_transactions: *rng.pick(&[0.0, 0.3, 1.0]),
            own_output: rng.chance(0.3).then_some(1_000_000),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) duration: Micros,
    /// The first pool is declared to.
    pub(super) declaring: Option<Declaring>,
    pub(super) pools: Vec<PoolPlan>,
    /// The route shares its work out among goals by these weights, one for each pool.
    pub(super) weights: Option<&'static [f64]>,
    pub(super) miners: Vec<MinerPlan>,
    pub(super) faults: Vec<Fault>,
    pub(super) extranonce1_size: u8,
    /// Spaces in which the same miner ids are given out.
    pub(super) id_spaces: usize,
    pub(super) extranonce2_size: u8,
    /// Bytes that pools are asked for besides, for a lease's tag.
    pub(super) tag_room: u8,
    pub(super) reply: ReplyMode,
    pub(super) shares_per_minute: f64,
    pub(super) difficulty_start: f64,
    pub(super) return_after: Duration,
    pub(super) outage_grace: Duration,
    pub(super) keepalive: Duration,
    pub(super) idle: Duration,
    pub(super) worker_names: bool,
    pub(super) share_queue: usize,
    pub(super) outbox: usize,
    pub(super) block_every: f64,
}

impl Plan {
    pub(super) fn draw(options: &RunOptions, rng: &mut Rng) -> Self {
        let pools = if rng.chance(0.3) { 3 } else { 2 };
        let pools = options.weights.map_or(pools, <[f64]>::len);
        let more = rng.index(6);
        let miners = options.miners + if options.weights.is_some() { 0 } else { more };
        let outage_grace = Duration::from_secs(rng.range(60, 300));
        let grace = outage_grace.as_secs() * SECOND;
        // One run in three declares; each kind of run walks through its own faults.
        let declares = options.weights.is_none()
            && options.only.map_or(options.seed.is_multiple_of(DECLARES), FaultKind::is_of_declaration);
        let seed = if declares { options.seed / DECLARES } else { options.seed };
        let farm = (pools, miners);
        let mut faults =
            faults::draw(seed, options.faults, options.duration, farm, grace, declares, &mut rng.fork());
        if let Some(kind) = options.only {
            faults.iter_mut().for_each(|fault| *fault = faults::of(kind, options.duration, farm, grace, rng));
            faults.sort_by_key(|fault| fault.at);
        }
        let has = |kind| faults.iter().any(|fault| fault.kind == kind);
        let few_ids = has(FaultKind::IdExhaustion);
        let small_queues = has(FaultKind::QueueFull) || rng.chance(0.1);
        let extranonce1_size = if few_ids { 1 } else { *rng.pick(&[2, 3, 4, 4, 4]) };
        let extranonce2_size = *rng.pick(&[2, 4, 4, 8]);
        let need = u16::from(extranonce1_size) + u16::from(extranonce2_size);
        let never_ack = has(FaultKind::NeverAck);
        let mut pools: Vec<PoolPlan> = (0..pools).map(|_| PoolPlan::draw(need, never_ack, rng)).collect();
        let slow_links = rng.chance(0.3);
        let mut miners: Vec<MinerPlan> = (0..miners).map(|n| MinerPlan::draw(n, slow_links, rng)).collect();
        let declaring = declares.then(|| Declaring::draw(rng));
        if let Some(first) = pools.first_mut() {
            first.work_selection = declares;
        }
        // Of the runs that do not declare one in four shares out.
        let shares_out = options.weights.is_some() || !declares && options.seed % 4 == 1;
        miners.iter_mut().for_each(|miner| miner.moves = shares_out);
        let drawn: &[f64] = if pools.len() == 2 { &[70.0, 30.0] } else { &[50.0, 30.0, 20.0] };
        let weights = options.weights.unwrap_or(drawn);
        speak_sv1(&mut pools, options.seed, rng);
        let sv1_pool = pools.iter().position(|pool| pool.sv1);
        miners.iter_mut().for_each(|miner| miner.sv1_pool = sv1_pool);
        let reply = if rng.chance(0.25) { ReplyMode::Source } else { ReplyMode::Local };
        // Not drawn: so that all else is as it was before there were any. What a batch of the source's answers is for cannot
        // be told by SV1.
        let sv2 = |n: usize| reply == ReplyMode::Local && n % SV2_EVERY == 1;
        miners.iter_mut().enumerate().for_each(|(n, miner)| miner.sv2 = sv2(n));
        Self {
            duration: options.duration,
            declaring,
            weights: shares_out.then_some(weights),
            pools,
            miners,
            faults,
            extranonce1_size,
            // Not drawn, either. The simulated pools that speak SV1 have one connection, and a declared job one channel.
            id_spaces: if declares || sv1_pool.is_some() { 1 } else { 2 },
            extranonce2_size,
            // Nor is this.
            tag_room: if options.seed.is_multiple_of(2) { work::MAX_LEASE_TAG } else { 0 },
            reply,
            shares_per_minute: rng.log_range(3.0, 8.0),
            difficulty_start: rng.log_range(5e-10, 5e-9),
            return_after: Duration::from_secs(rng.range(10, 90)),
            outage_grace,
            keepalive: Duration::from_secs(rng.range(20, 60)),
            // A slow miner that insists on a difficulty may bring nothing for minutes, moved or not.
            idle: Duration::from_secs_f64(rng.log_range(250.0, 7200.0).max(if options.weights.is_some() {
                7200.0
            } else {
                0.0
            })),
            worker_names: rng.chance(0.6),
            share_queue: if small_queues { usize::try_from(rng.range(1, 8)).unwrap_or(1) } else { 65_536 },
            outbox: 64 * 1024,
            block_every: rng.log_range(120.0, 900.0),
        }
    }
}

/// In one run of three one of the pools speaks Stratum V1. It has one connection, answers each share by itself, and proves
/// nothing; and no route with it has a channel for each miner.
fn speak_sv1(pools: &mut [PoolPlan], seed: u64, rng: &mut Rng) {
    if !(seed / DECLARES + seed).is_multiple_of(3) {
        return;
    }
    let at = rng.index(pools.len());
    if pools[at].work_selection {
        return;
    }
    let old = &mut pools[at];
    (old.sv1, old.batch, old.insecure) = (true, 1, true);
    for pool in pools {
        if pool.miners_per_channel == Some(MinersPerChannel::One) {
            pool.miners_per_channel = Some(MinersPerChannel::UpTo(5));
        }
    }
}

impl PoolPlan {
    fn draw(need: u16, never_ack: bool, rng: &mut Rng) -> Self {
        let batch = *rng.pick(&[1, 1, 3, 10, 10, 100, 1000]);
        Self {
            grouped: rng.chance(0.6),
            extranonce_size: (need + *rng.pick(&[0, 0, 1, 2, 4, 8])).min(20),
            prefix_len: 6 + rng.index(7),
            batch,
            ack_timer: rng.chance(0.5).then(|| rng.range(SECOND, 20 * SECOND)),
            ack_delay: rng.range(0, 30 * MILLI),
            shares_per_minute: rng.log_range(4.0, 40.0),
            extensions: *rng.pick(&[
                Extensions::WorkerNames,
                Extensions::WorkerNames,
                Extensions::Nothing,
                Extensions::Refuses,
                Extensions::Silent,
            ]),
            template_every: rng.range(20 * SECOND, 60 * SECOND),
            announces: rng.chance(0.5),
            retarget_after: rng.range(0, 3 * SECOND),
            insecure: rng.chance(0.05),
            unsettled_max: (batch == 1 && (never_ack || rng.chance(0.1))).then(|| 16 + rng.index(48)),
            work_selection: false,
            sv1: false,
            nominal_hashrate: rng.chance(0.3).then(|| rng.log_range(1.0, 100.0)),
            miners_per_channel: *rng.pick(&[
                None,
                None,
                Some(MinersPerChannel::All),
                Some(MinersPerChannel::One),
                Some(MinersPerChannel::UpTo(5)),
            ]),
            link: LinkManner {
                latency: rng.range(MILLI, 120 * MILLI),
                jitter: rng.range(0, 50 * MILLI),
                cut: *rng.pick(&[0.0, 0.02, 0.3]),
                window: 256 * 1024,
            },
        }
    }
}

impl MinerPlan {
    fn draw(number: usize, slow_links: bool, rng: &mut Rng) -> Self {
        let long = if rng.chance(0.1) { "with-a-very-long-name-that-does-not-fit" } else { "" };
        let suggests = rng.chance(0.2).then(|| rng.log_range(3e-10, 2e-8));
        let password = match rng.index(6) {
            0 => format!("d={:.12}", rng.log_range(3e-10, 2e-8)),
            1 => format!("md={:.12}", rng.log_range(3e-10, 1e-9)),
            2 if rng.chance(0.3) => format!("fd={:.12}", rng.log_range(1e-9, 5e-9)),
            _ => "x".to_owned(),
        };
        let slow = slow_links && rng.chance(0.3);
        Self {
            name: format!("farm.m{number}{long}"),
            hashrate: rng.log_range(0.3, 3.0),
            mask: rng.chance(0.7).then(|| *rng.pick(&[0x1fff_e000, 0x1fff_ffff, 0x00ff_e000])),
            suggests,
            suggests_target: rng.chance(0.5),
            password,
            pipelined: rng.chance(0.4),
            authorizes_first: rng.chance(0.2),
            chatty: rng.chance(0.3),
            returns_after: rng.range(100 * MILLI, 10 * SECOND),
            rolls_time: rng.chance(0.5),
            starts_at: rng.range(0, 20 * SECOND),
            moves: false,
            sv1_pool: None,
            link: LinkManner {
                latency: if slow { rng.range(50 * MILLI, 300 * MILLI) } else { rng.range(100, 5 * MILLI) },
                jitter: rng.range(0, 5 * MILLI),
                cut: *rng.pick(&[0.0, 0.0, 0.02, 0.5]),
                window: 16 * 1024,
            },
            sv2: false,
        }
    }
}
