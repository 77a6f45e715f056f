//! Whom a pool's jobs pay, with a pool by hand: its frames in, what the router hears out.

use bytes::BytesMut;
use sv2::mining::{NewExtendedMiningJob, OpenExtendedMiningChannelSuccess, SetNewPrevHash};

use super::*;
use crate::source::event::OpenChannel;

/// Our script, and somebody else's.
const OURS: [u8; 2] = [0x51, 0x52];
const THEIRS: [u8; 1] = [0x53];
const CHANNEL: u32 = 7;
const GROUP: u32 = 8;
/// The prefix of the pool and what is rolled.
const PREFIX: [u8; 4] = [9; 4];
const ROLLED: u16 = 8;

fn now() -> Now {
    Now { mono: Duration::from_secs(1), unix: 1_700_000_000 }
}

/// A pool whose machine has one channel, opened by hand.
struct Pool {
    machine: Sv2Pool,
    fx: Effects,
}

impl Pool {
    fn new(least_parts: u32) -> Self {
        let settings = SourceSettings {
            id: SourceId(0),
            host: "pool.example".into(),
            port: 3333,
            insecure: false,
            worker_names: false,
            tlv_byte_order: sv2::TlvByteOrder::LittleEndian,
            ntime_slack: 600,
            unsettled_max: None,
            work_selection: false,
            payout: Some(PayoutRule { script: OURS.into(), least_parts }),
            tag_room: 0,
        };
        let mut pool = Self { machine: Sv2Pool::new(settings, 1), fx: Effects::default() };
        pool.machine.command(SourceCommand::Start, now(), &mut pool.fx);
        pool.machine.connected(LinkSecurity::Authenticated, now(), &mut pool.fx);
        pool.say(&sv2::common::SetupConnectionSuccess { used_version: 2, flags: 0 });
        let wish = OpenChannel {
            request: 1,
            user_identity: "farm".into(),
            nominal_hashrate: 1.0,
            max_target: work::Target::MAX,
            miner_id_size: 4,
            extranonce2_size: 4,
            space: 0,
            standby: false,
        };
        pool.machine.command(SourceCommand::Open(wish), now(), &mut pool.fx);
        pool.say(&OpenExtendedMiningChannelSuccess {
            request_id: 1,
            channel_id: CHANNEL,
            target: work::Target::MAX.to_le_bytes(),
            extranonce_size: ROLLED,
            extranonce_prefix: sv2::B032::new(&PREFIX).unwrap(),
            group_channel_id: GROUP,
        });
        assert!(matches!(pool.fx.events.last(), Some(SourceEvent::Opened { .. })));
        pool.fx.events.clear();
        pool
    }

    /// The pool says something.
    fn say<'a, M: Message<'a>>(&mut self, message: &M) {
        let mut frame = BytesMut::new();
        sv2::write_frame(message, &mut frame);
        let (header, payload, _) = FrameHeader::split(&frame).unwrap();
        self.machine.frame(&header, payload, now(), &mut self.fx);
    }

    /// A job on the pool's own tip, or for one to come, whose coinbase pays the outputs.
    fn job(&mut self, address: u32, job_id: u32, future: bool, outputs: &[(u64, &[u8])]) {
        let script = 4 + PREFIX.len() + usize::from(ROLLED);
        let prefix =
            [&[2, 0, 0, 0, 1][..], &[0; 32], &[0xff; 4], &[u8::try_from(script).unwrap()], &[3; 4]].concat();
        let outputs: Vec<_> = outputs
            .iter()
            .map(|(value, script)| work::coinbase::Output { value: *value, script_pubkey: (*script).into() })
            .collect();
        let suffix = [&[0xff; 4][..], &work::coinbase::write_outputs(&outputs), &[0; 4]].concat();
        self.say(&NewExtendedMiningJob {
            channel_id: address,
            job_id,
            min_ntime: (!future).then_some(1_700_000_000),
            version: 0x2000_0000,
            version_rolling_allowed: true,
            merkle_path: sv2::Seq0255::from_slice(&[]).unwrap(),
            coinbase_tx_prefix: sv2::B064K::new(&prefix).unwrap(),
            coinbase_tx_suffix: sv2::B064K::new(&suffix).unwrap(),
        });
    }

    fn tip(&mut self, address: u32, job_id: u32) {
        self.say(&SetNewPrevHash {
            channel_id: address,
            job_id,
            prev_hash: [1; 32],
            min_ntime: 1_700_000_000,
            nbits: 0x1d00_ffff,
        });
    }

    /// Jobs that went to the router since the last look, and why the source went down, if it did.
    fn heard(&mut self) -> (usize, Option<DownReason>) {
        let (mut jobs, mut down) = (0, None);
        for event in self.fx.events.drain(..) {
            match event {
                SourceEvent::Work(_) => jobs += 1,
                SourceEvent::Down(why) => down = Some(why),
                _ => {}
            }
        }
        (jobs, down)
    }
}

#[test]
fn jobs_that_pay_as_promised_are_given_to_miners() {
    let mut pool = Pool::new(980_000);
    pool.job(GROUP, 1, true, &[(98, &OURS), (2, &THEIRS)]);
    pool.tip(GROUP, 1);
    pool.job(CHANNEL, 2, false, &[(100, &OURS), (0, &THEIRS)]);
    assert_eq!(pool.heard(), (2, None));
    assert!(pool.machine.has_connection());
}

#[test]
fn a_job_that_pays_others_takes_the_source_down_and_reaches_no_miner() {
    let mut pool = Pool::new(980_000);
    pool.job(GROUP, 1, true, &[(100, &OURS)]);
    pool.tip(GROUP, 1);
    assert_eq!(pool.heard(), (1, None));

    pool.job(GROUP, 2, false, &[(97, &OURS), (3, &THEIRS)]);
    let (jobs, down) = pool.heard();
    assert_eq!(jobs, 0);
    let why = down.unwrap();
    assert!(matches!(why, DownReason::Payout(_)), "{why}");
    assert_eq!(
        why.to_string(),
        "the pool's job pays others: expected at least 98 % to 5152, and its coinbase pays 97 of 100 satoshi there \
         (97 %); most goes to 5152 (97), 53 (3)"
    );
    assert!(pool.fx.hang_up && !pool.machine.has_connection());
    assert_eq!(pool.machine.status().last_down, why);
}

#[test]
fn a_future_job_that_pays_others_is_not_waited_for() {
    for address in [CHANNEL, GROUP] {
        let mut pool = Pool::new(1_000_000);
        pool.job(address, 1, true, &[(100, &THEIRS)]);
        assert!(matches!(pool.heard(), (0, Some(DownReason::Payout(_)))), "address {address}");
    }
}

#[test]
fn a_coinbase_that_cannot_be_read_is_an_unusable_job() {
    let mut pool = Pool::new(1_000_000);
    pool.job(GROUP, 1, true, &[]);
    assert!(matches!(pool.heard(), (0, Some(DownReason::BadJob(_)))));
}
