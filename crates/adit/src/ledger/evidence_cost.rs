//! What evidence, from which receipts are made, costs on the way of a share: a measurement, and no test. Miners with and without it
//! take the same lines by turns, a few at a time, so that whatever else the machine does meets both.
//!
//! `cargo test --release -p adit --lib evidence_cost -- --ignored --nocapture`; also a part of `integration-tests/measure observed`.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use engine::books::Books;
use engine::miner::{Io, ListenerPolicy, MinerIdSource, ReplyMode, Sv1Miner};
use engine::{ChannelKey, ChannelState, Feed, ListenerId, MinerRef, Now, RouteId, SourceId};
use work::{ChannelJob, ChannelTerms, Difficulty, Job, JobParts, MinerId, Target};

use super::evidence::EvidenceDoor;
use super::keeper::Told;
use crate::downstream::Doors;
use crate::upstream::SourceDoors;

/// Each hash is a share.
const DIFFICULTY: f64 = 1e-10;
/// Lines that are taken at a time.
const TURN: u32 = 250;
/// Turns of each kind with one pair of miners: what they know of duplicates is bounded.
const TURNS: u32 = 40;
/// Pairs of miners.
const PAIRS: u32 = 100;
/// With 20 shares a minute, which is the default, and 3,000 a day that are kept it is one of ten; with one a second of 29.
const ONE_IN: [f64; 2] = [8.0, 32.0];

struct OneId;

impl MinerIdSource for OneId {
    fn allocate(&mut self, size: u8) -> Option<MinerId> {
        MinerId::from_bytes(&vec![1; usize::from(size)]).ok()
    }
}

fn now() -> Now {
    Now { mono: Duration::ZERO, unix: 1_700_000_000 }
}

fn policy() -> ListenerPolicy {
    ListenerPolicy {
        id: ListenerId(0),
        route: RouteId(0),
        extranonce1_size: 4,
        extranonce2_size: 4,
        vardiff: work::vardiff::Settings { shares_per_minute: 20.0, min: DIFFICULTY, max: 1.0 },
        vardiff_enabled: false,
        difficulty_start: DIFFICULTY,
        version_mask: 0x1fff_e000,
        sv2_version_mask: 0x1fff_ffe0,
        reply: ReplyMode::Local,
        setup_deadline: Duration::from_secs(10),
        idle_deadline: Duration::from_secs(7_200),
        identity: Vec::new(),
        declarators: false,
        hash_seed: 3,
        retargets: Arc::default(),
        firmware: Arc::default(),
    }
}

/// A job as pools have it: a coinbase of some 200 bytes, twelve nodes to the root. The pool wants no share of it.
fn feed() -> Arc<Feed> {
    let (prev_hash, path) = ([7; 32], vec![[9; 32]; 12]);
    let prefix = [&[2, 0, 0, 0, 1][..], &[0; 32], &[0xff; 4], &[40], &[3; 32]].concat();
    let suffix = [&[0xff; 4][..], &[1], &[0; 8], &[100], &[0x51; 100], &[0; 4]].concat();
    let parts = JobParts {
        id: 1,
        version: 0x2000_0000,
        version_rolling_allowed: true,
        prev_hash,
        nbits: 0x1d00_ffff,
        min_ntime: 1_700_000_000,
        merkle_path: path.clone().into(),
        coinbase_tx_prefix: prefix.clone().into(),
        coinbase_tx_suffix: suffix.clone().into(),
    };
    let terms = ChannelTerms {
        source: work::SourceId(0),
        generation: 0,
        extranonce_prefix: &[],
        filler: &[],
        source_target: Target::from_difficulty(Difficulty::new(1e9).expect("a difficulty")),
        ntime_slack: 600,
        received_at: work::Seconds(0),
    };
    let job = Arc::new(Job::new(parts, 8).expect("a job"));
    let key = ChannelKey { source: SourceId(0), connection: 1, channel_id: 1 };
    Arc::new(Feed {
        sequence: 1,
        channel: Arc::new(ChannelState::new(key)),
        generation: 0,
        job: Arc::new(ChannelJob::new(job, terms).expect("a job")),
        notify: Arc::new(sv1::notify::render_job(
            &prev_hash,
            &prefix,
            &suffix,
            &path,
            0x2000_0000,
            0x1d00_ffff,
        )),
        received: Duration::ZERO,
    })
}

/// A miner, its books, and the way of its shares.
struct Side {
    machine: Sv1Miner,
    books: Arc<Books>,
    doors: SourceDoors,
    out: Vec<u8>,
    nonce: u32,
}

impl Side {
    fn new(evidence: Option<EvidenceDoor>) -> Self {
        let books = Arc::new(Books::default());
        let machine = Sv1Miner::new(Arc::new(policy()), Arc::clone(&books), MinerRef(1), now());
        let doors = SourceDoors::for_sources(1);
        if let Some(door) = evidence {
            doors.keep_evidence(door);
        }
        let mut side = Self { machine, books, doors, out: Vec::new(), nonce: 0 };
        side.line(r#"{"id":1,"method":"mining.subscribe","params":["cpu"]}"#);
        side.line(r#"{"id":2,"method":"mining.authorize","params":["farm.rig","x"]}"#);
        let mut io = Io { now: now(), out: &mut side.out, shares: &mut Doors(&side.doors), ids: &mut OneId };
        side.machine.joined(Arc::default(), 0.0, Some(feed()), &mut io);
        // The worker is known from its first share on.
        side.turn();
        side
    }

    fn line(&mut self, line: &str) {
        self.out.clear();
        let mut io = Io { now: now(), out: &mut self.out, shares: &mut Doors(&self.doors), ids: &mut OneId };
        self.machine.line(line.as_bytes(), &mut io).expect("it is taken");
    }

    /// Takes some shares: how long it took.
    fn turn(&mut self) -> Duration {
        let lines: Vec<String> = (self.nonce..self.nonce + TURN)
            .map(|nonce| {
                format!(
                    r#"{{"id":9,"method":"mining.submit","params":["farm.rig","1","00000001","6553f100","{nonce:08x}"]}}"#
                )
            })
            .collect();
        self.nonce += TURN;
        let began = Instant::now();
        for line in &lines {
            self.line(line);
        }
        began.elapsed()
    }

    fn shares(&self) -> u64 {
        self.books.totals().local
    }
}

/// The middle of some numbers, and that of their distances from it.
fn middle(numbers: &mut [f64]) -> (f64, f64) {
    let of = |numbers: &mut [f64]| {
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    let half = of(numbers);
    let mut distances: Vec<f64> = numbers.iter().map(|number| (number - half).abs()).collect();
    (half, of(&mut distances))
}

#[test]
#[ignore = "a measurement: cargo test --release -p adit --lib evidence_cost -- --ignored --nocapture"]
fn what_evidence_costs_on_the_way_of_a_share() {
    for one_in in ONE_IN {
        let (queue, taken) = sync_channel::<Told>(1 << 16);
        let (mut differences, mut bases, mut kept, mut shares) = (Vec::new(), Vec::new(), 0_u64, 0_u64);
        for _ in 0..PAIRS {
            let door = EvidenceDoor::new(queue.clone(), Arc::new(AtomicU64::new(0)));
            let (mut on, mut off) = (Side::new(Some(door)), Side::new(None));
            // Hashes a second: as many as make 3,000 days' parts of so many hashes each.
            let worker = on.books.worker("farm.rig").expect("it is known").worker;
            worker.aim(one_in * 3_000.0 / 86_400.0);
            let before = on.shares();
            for turn in 0..TURNS {
                // The first of a pair finds colder caches.
                let (mut a, mut b) = (&mut on, &mut off);
                if turn % 2 == 1 {
                    (a, b) = (b, a);
                }
                let (first, second) = (a.turn().as_secs_f64(), b.turn().as_secs_f64());
                let (on, off) = if turn % 2 == 1 { (second, first) } else { (first, second) };
                differences.push((on - off) * 1e9 / f64::from(TURN));
                bases.push(off * 1e9 / f64::from(TURN));
                kept += taken.try_iter().count() as u64;
            }
            shares += on.shares() - before;
            assert_eq!(on.shares(), off.shares(), "both take the same");
        }
        let pairs = differences.len() as f64;
        let (difference, spread) = middle(&mut differences);
        let (base, _) = middle(&mut bases);
        // The standard error of a median, 1.4826 x 1.2533 x the median distance / sqrt(n).
        let error = 1.858 * spread / pairs.sqrt();
        assert!(kept > 0 && shares == u64::from(PAIRS * TURNS * TURN), "{kept} kept of {shares}");
        println!(
            "evidence, one share of {:.1} kept: {difference:+.1} ns (standard error {error:.1}) on {base:.0} ns a share without it",
            shares as f64 / kept as f64
        );
    }
}
