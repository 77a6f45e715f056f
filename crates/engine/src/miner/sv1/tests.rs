//! One miner by hand. What many do together is the simulator's.

use work::{ChannelTerms, Job, JobParts, Target};

use super::*;
use crate::feed::{ChannelState, Feed, GroupMeter};
use crate::ids::{ChannelKey, ListenerId, RouteId, SourceId};
use crate::miner::IdentityRule;
use crate::miner::ReplyMode;
use crate::share::OutgoingShare;

/// A quarter of all hashes is a share.
const DIFFICULTY: f64 = 1e-9;

struct OneId;

impl MinerIdSource for OneId {
    fn allocate(&mut self, size: u8) -> Option<MinerId> {
        MinerId::from_bytes(&vec![1; usize::from(size)]).ok()
    }
}

struct Nowhere;

impl ShareSink for Nowhere {
    fn forward(&mut self, _share: OutgoingShare) -> Result<(), crate::books::UnsentReason> {
        Ok(())
    }
}

fn policy(vardiff_enabled: bool) -> Arc<ListenerPolicy> {
    Arc::new(ListenerPolicy {
        id: ListenerId(0),
        route: RouteId(0),
        extranonce1_size: 4,
        extranonce2_size: 4,
        vardiff: work::vardiff::Settings { shares_per_minute: 20.0, min: DIFFICULTY, max: 1.0 },
        vardiff_enabled,
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
    })
}

fn feed() -> Arc<Feed> {
    let key = ChannelKey { source: SourceId(0), connection: 1, channel_id: 1 };
    feed_of(ChannelState::new(key), 0x1d00_ffff)
}

fn feed_of(channel: ChannelState, nbits: u32) -> Arc<Feed> {
    let prefix = [&[2, 0, 0, 0, 1][..], &[0; 32], &[0xff; 4], &[12], &[3, 1, 2, 3]].concat();
    let suffix = [&[0xff; 4][..], &[1], &[0; 8], &[1, 0x51], &[0; 4]].concat();
    let parts = JobParts {
        id: 1,
        version: 0x2000_0000,
        version_rolling_allowed: true,
        prev_hash: [7; 32],
        nbits,
        min_ntime: 1_700_000_000,
        merkle_path: Box::default(),
        coinbase_tx_prefix: prefix.clone().into(),
        coinbase_tx_suffix: suffix.clone().into(),
    };
    let terms = ChannelTerms {
        source: work::SourceId(0),
        generation: 0,
        extranonce_prefix: &[],
        filler: &[],
        source_target: Target::from_difficulty(work::Difficulty::new(DIFFICULTY).unwrap()),
        ntime_slack: 600,
        received_at: work::Seconds(0),
    };
    let job = Arc::new(Job::new(parts, 8).unwrap());
    Arc::new(Feed {
        sequence: 1,
        channel: Arc::new(channel),
        generation: 0,
        job: Arc::new(work::ChannelJob::new(job, terms).unwrap()),
        notify: Arc::new(sv1::notify::render_job(&[7; 32], &prefix, &suffix, &[], 0x2000_0000, nbits)),
        received: Duration::ZERO,
    })
}

/// The hashrate in the group's meter after a miner whose difficulty does not change has sent `shares` shares, `every`
/// milliseconds, and then none for `silence` seconds.
fn metered(vardiff_enabled: bool, password: &str, (shares, every): (u32, u64), silence: u64) -> f64 {
    let mut out = Vec::new();
    let after =
        |shares: u32| Now { mono: Duration::from_millis(every * u64::from(shares)), unix: 1_700_000_000 };
    let at = |seconds: u64| Now { mono: Duration::from_secs(seconds), unix: 1_700_000_000 };
    let mut machine = Sv1Miner::new(policy(vardiff_enabled), Arc::new(Books::default()), MinerRef(1), at(0));
    let meter = Arc::new(GroupMeter::default());
    let mut step = |machine: &mut Sv1Miner, now: Now, line: &str| {
        out.clear();
        let mut io = Io { now, out: &mut out, shares: &mut Nowhere, ids: &mut OneId };
        match line {
            "join" => machine.joined(Arc::clone(&meter), 0.0, Some(feed()), &mut io),
            "timer" => machine.timer(&mut io).unwrap(),
            line => {
                machine.line(line.as_bytes(), &mut io).unwrap();
            }
        }
        String::from_utf8(out.clone()).unwrap()
    };
    step(&mut machine, at(0), r#"{"id":1,"method":"mining.subscribe","params":["cpu"]}"#);
    step(
        &mut machine,
        at(0),
        &format!(r#"{{"id":2,"method":"mining.authorize","params":["a","{password}"]}}"#),
    );
    step(&mut machine, at(0), "join");
    let (mut taken, mut nonce) = (0, 0);
    while taken < shares {
        let submit = format!(
            r#"{{"id":9,"method":"mining.submit","params":["a","1","00000001","6553f100","{nonce:08x}"]}}"#
        );
        nonce += 1;
        taken += u32::from(step(&mut machine, after(taken + 1), &submit).contains("true"));
    }
    let end = after(shares).mono + Duration::from_secs(silence);
    while let Some(deadline) = machine.deadline().filter(|deadline| *deadline <= end) {
        step(&mut machine, Now { mono: deadline, unix: 1_700_000_000 }, "timer");
    }
    meter.hashrate()
}

#[test]
fn a_source_hears_of_miners_whose_difficulty_never_changes() {
    // A share a second, each worth DIFFICULTY.
    let real = DIFFICULTY * work::hashrate::HASHES_PER_DIFFICULTY;
    for (vardiff, password) in [(false, "x"), (true, "fd=0.000000001")] {
        let working = metered(vardiff, password, (200, 1_000), 0);
        assert!((0.7..1.4).contains(&(working / real)), "{working} instead of {real}");
        let silent = metered(vardiff, password, (200, 1_000), 3_600);
        assert!(silent < 0.3 * real, "{silent} after an hour without shares");
    }
}

#[test]
fn a_guess_that_is_far_off_gives_way_to_what_is_seen_within_seconds() {
    // Twenty shares a second, where the listener aims at twenty a minute.
    let real = 20.0 * DIFFICULTY * work::hashrate::HASHES_PER_DIFFICULTY;
    let guessed = metered(false, "x", (0, 50), 0);
    assert!(guessed < 0.05 * real, "{guessed}");
    let seen = metered(false, "x", (41, 50), 0);
    assert!((0.4..2.0).contains(&(seen / real)), "{seen} instead of {real} after two seconds");
}

#[test]
fn without_vardiff_a_difficulty_stays_whatever_the_miner_brings() {
    let at = |seconds: u64| Now { mono: Duration::from_secs(seconds), unix: 1_700_000_000 };
    let mut out = Vec::new();
    let mut policy = ListenerPolicy::clone(&policy(false));
    policy.vardiff.min = DIFFICULTY / 100.0;
    let mut machine = Sv1Miner::new(Arc::new(policy), Arc::new(Books::default()), MinerRef(1), at(0));
    let mut io = Io { now: at(0), out: &mut out, shares: &mut Nowhere, ids: &mut OneId };
    machine.line(br#"{"id":1,"method":"mining.subscribe","params":["cpu"]}"#, &mut io).unwrap();
    // Far easier than the source's: there is room above.
    let authorize = br#"{"id":2,"method":"mining.authorize","params":["a","d=0.00000000001"]}"#;
    machine.line(authorize, &mut io).unwrap();
    machine.joined(Arc::default(), 0.0, Some(feed()), &mut io);
    let told = machine.difficulty();
    assert!(told.is_some_and(|told| told < DIFFICULTY));
    // Far more than the listener's shares a minute.
    for nonce in 0..200_u32 {
        let submit = format!(
            r#"{{"id":9,"method":"mining.submit","params":["a","1","00000001","6553f100","{nonce:08x}"]}}"#
        );
        let mut io =
            Io { now: at(u64::from(nonce / 10)), out: &mut out, shares: &mut Nowhere, ids: &mut OneId };
        machine.line(submit.as_bytes(), &mut io).unwrap();
    }
    assert!(String::from_utf8_lossy(&out).matches("true").count() > 100);
    let mut io = Io { now: at(30), out: &mut out, shares: &mut Nowhere, ids: &mut OneId };
    machine.feed(&feed(), &mut io);
    assert_eq!(machine.difficulty(), told);
}

/// Counts what comes.
#[derive(Default)]
struct Counter(usize);

impl ShareSink for Counter {
    fn forward(&mut self, share: OutgoingShare) -> Result<(), crate::books::UnsentReason> {
        self.0 += usize::from(share.is_block);
        Ok(())
    }
}

#[test]
fn a_block_on_the_farms_own_template_is_forwarded_though_its_channel_has_gone() {
    let key = ChannelKey { source: SourceId(0), connection: 1, channel_id: 1 };
    for (channel, forwarded) in [(ChannelState::of_own_blocks(key), true), (ChannelState::new(key), false)] {
        let now = Now { mono: Duration::ZERO, unix: 1_700_000_000 };
        let (mut out, mut counter) = (Vec::new(), Counter::default());
        let mut machine = Sv1Miner::new(policy(false), Arc::new(Books::default()), MinerRef(1), now);
        // Nearly every hash is a block.
        let feed = feed_of(channel, 0x207f_ffff);
        let mut io = Io { now, out: &mut out, shares: &mut counter, ids: &mut OneId };
        machine.line(br#"{"id":1,"method":"mining.subscribe","params":["cpu"]}"#, &mut io).unwrap();
        machine.line(br#"{"id":2,"method":"mining.authorize","params":["a","x"]}"#, &mut io).unwrap();
        machine.joined(Arc::default(), 0.0, Some(Arc::clone(&feed)), &mut io);
        feed.channel.end();
        for nonce in 0..64 {
            let line = format!(
                r#"{{"id":9,"method":"mining.submit","params":["a","1","00000001","6553f100","{nonce:08x}"]}}"#
            );
            machine.line(line.as_bytes(), &mut io).unwrap();
        }
        assert_eq!(counter.0 > 0, forwarded);
    }
}

mod firmware;
mod workers;

#[test]
fn who_brings_no_share_for_as_long_as_is_allowed_is_closed_and_not_before() {
    let at = |seconds: u64| Now { mono: Duration::from_secs(seconds), unix: 1_700_000_000 };
    let (policy, mut out) = (policy(true), Vec::new());
    let idle = policy.idle_deadline.as_secs();
    let mut machine = Sv1Miner::new(policy, Arc::new(Books::default()), MinerRef(1), at(0));
    let mut io = Io { now: at(5), out: &mut out, shares: &mut Nowhere, ids: &mut OneId };
    machine.line(br#"{"id":1,"method":"mining.subscribe","params":["cpu"]}"#, &mut io).unwrap();
    machine.line(br#"{"id":2,"method":"mining.authorize","params":["a","x"]}"#, &mut io).unwrap();
    machine.joined(Arc::default(), 0.0, Some(feed()), &mut io);
    let mut end = None;
    while end.is_none() {
        let now = Now { mono: machine.deadline().expect("it has one"), unix: 1_700_000_000 };
        let mut io = Io { now, out: &mut out, shares: &mut Nowhere, ids: &mut OneId };
        end = machine.timer(&mut io).err().map(|why| (why, now.mono.as_secs()));
    }
    assert_eq!(end, Some((CloseReason::Idle, 5 + idle)));
}

#[test]
fn shares_are_known_by_the_name_that_a_miner_gives_and_go_up_by_the_listeners_rules() {
    let now = Now { mono: Duration::ZERO, unix: 1_700_000_000 };
    let mut policy = ListenerPolicy::clone(&policy(false));
    policy.identity = vec![IdentityRule::new("old.*", "account.*").expect("a rule")];
    let mut out = Vec::new();
    let mut machine = Sv1Miner::new(Arc::new(policy), Arc::new(Books::default()), MinerRef(1), now);
    let mut io = Io { now, out: &mut out, shares: &mut Nowhere, ids: &mut OneId };
    machine.line(br#"{"id":1,"method":"mining.subscribe","params":["cpu"]}"#, &mut io).unwrap();
    machine.line(br#"{"id":2,"method":"mining.authorize","params":["old.rig","x"]}"#, &mut io).unwrap();
    assert_eq!(machine.identity().map(|name| &**name), Some("account.rig"));
    machine.joined(Arc::default(), 0.0, Some(feed()), &mut io);
    for (name, known) in [("old.rig", true), ("account.rig", false)] {
        let before = out.len();
        let line = format!(
            r#"{{"id":9,"method":"mining.submit","params":["{name}","1","00000001","6553f100","00000001"]}}"#
        );
        let mut io = Io { now, out: &mut out, shares: &mut Nowhere, ids: &mut OneId };
        machine.line(line.as_bytes(), &mut io).unwrap();
        let said = String::from_utf8_lossy(&out[before..]).into_owned();
        assert_eq!(!said.contains("[24,"), known, "{name}: {said}");
    }
}
