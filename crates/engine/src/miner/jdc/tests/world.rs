//! Both sides of a JDC's mining connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use sv2::common::SetupConnectionSuccess;
use sv2::mining::{
    OpenExtendedMiningChannel, OpenExtendedMiningChannelSuccess, SetCustomMiningJob, SetCustomMiningJobError,
    SetCustomMiningJobSuccess, SubmitSharesError, SubmitSharesExtended, SubmitSharesSuccess,
};
use sv2::{B032, FrameHeader, Message, Seq0255, Str0255, write_frame};
use work::vardiff::Settings;
use work::{Header, Target};

use crate::books::{Books, Totals};
use crate::ids::{ListenerId, MinerRef, RouteId, SourceId};
use crate::miner::jdc::{JdcConnection, JdcMining, PoolWay};
use crate::miner::{CloseReason, ListenerPolicy, ReplyMode};
use crate::now::Now;
use crate::source::{DownReason, LinkSecurity, SourceSettings};

pub(super) const ABOVE: u32 = 40;
pub(super) const PREFIX: [u8; 6] = [1, 2, 3, 4, 5, 6];
/// Bytes that the JDC rolls.
pub(super) const ROLLED: usize = 16;
const UNIX: u32 = 1_700_000_000;

pub(super) fn at(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(seconds), unix: UNIX + u32::try_from(seconds).unwrap() }
}

/// One hash in 256 is a share.
pub(super) fn target() -> Target {
    let mut bytes = [0xff; 32];
    bytes[31] = 0;
    Target::from_le_bytes(bytes)
}

pub(super) fn policy() -> Arc<ListenerPolicy> {
    Arc::new(ListenerPolicy {
        id: ListenerId(0),
        route: RouteId(0),
        extranonce1_size: 4,
        extranonce2_size: 4,
        vardiff: Settings { shares_per_minute: 20.0, min: 1e-9, max: 1e15 },
        vardiff_enabled: true,
        difficulty_start: 1.0,
        version_mask: 0x1fff_e000,
        sv2_version_mask: 0x1fff_ffe0,
        identity: Vec::new(),
        reply: ReplyMode::Local,
        setup_deadline: Duration::from_secs(10),
        idle_deadline: Duration::from_secs(600),
        declarators: true,
        hash_seed: 3,
        retargets: Arc::default(),
        firmware: Arc::default(),
    })
}

/// What was sent, each with its number and payload.
pub(super) type Frames = Vec<(u8, Vec<u8>)>;

pub(super) fn take(frames: &mut BytesMut) -> Frames {
    let bytes = std::mem::take(frames);
    let (mut list, mut rest) = (Vec::new(), &bytes[..]);
    while !rest.is_empty() {
        let (header, payload, after) = FrameHeader::split(rest).unwrap();
        list.push((header.msg_type, payload.to_vec()));
        rest = after;
    }
    list
}

pub(super) fn frame<'a>(message: &impl Message<'a>) -> (FrameHeader, Vec<u8>) {
    let mut bytes = BytesMut::new();
    write_frame(message, &mut bytes);
    let (header, payload, _) = FrameHeader::split(&bytes).unwrap();
    (header, payload.to_vec())
}

pub(super) struct World {
    pub(super) jdc: JdcMining,
    pub(super) books: Arc<Books>,
    out: BytesMut,
    /// Not looked at yet.
    pub(super) below: Frames,
    pub(super) above: Frames,
    nonce: u32,
    sequence: u32,
}

impl World {
    pub(super) fn new() -> Self {
        let books = Arc::new(Books::default());
        let settings = SourceSettings {
            id: SourceId(2),
            host: "pool".to_owned(),
            port: 1,
            insecure: false,
            worker_names: false,
            tlv_byte_order: sv2::TlvByteOrder::LittleEndian,
            ntime_slack: 600,
            unsettled_max: None,
            work_selection: false,
            payout: None,
            tag_room: 0,
        };
        let way = PoolWay { settings, user_identity: Some("farm".into()), route: RouteId(1) };
        let jdc = JdcMining::new(policy(), Arc::clone(&books), MinerRef(7), way, 1, at(0));
        let (out, below, above) = (BytesMut::new(), Vec::new(), Vec::new());
        Self { jdc, books, out, below, above, nonce: 0, sequence: 0 }
    }

    /// Set up on both sides.
    pub(super) fn ready() -> Self {
        let mut world = Self::new();
        assert!(world.jdc.wants_connection());
        world.jdc.connected(LinkSecurity::Authenticated, at(0), &mut world.out).unwrap();
        world.look();
        world.pool(&SetupConnectionSuccess { used_version: 2, flags: 0 }, at(0)).unwrap();
        world.sent_below(SetupConnectionSuccess::MSG_TYPE).expect("the JDC is set up");
        world
    }

    /// With a channel; gives its id.
    pub(super) fn with_channel() -> (Self, u32) {
        let mut world = Self::ready();
        let id = world.open(ABOVE, at(1));
        (world, id)
    }

    /// With a job that the pool has taken as number `job_id`; gives the channel's id and the JDC's number of the job.
    pub(super) fn mining() -> (Self, u32, u32) {
        let (mut world, channel) = Self::with_channel();
        let job = world.take_job(channel, 1, 900, at(2));
        (world, channel, job)
    }

    pub(super) fn pool<'a>(&mut self, message: &impl Message<'a>, now: Now) -> Result<(), CloseReason> {
        let (header, payload) = frame(message);
        let result = self.jdc.hear_upstream(&header, &payload, now, &mut self.out);
        self.look();
        result
    }

    pub(super) fn say<'a>(&mut self, message: &impl Message<'a>, now: Now) -> Result<(), CloseReason> {
        let (header, payload) = frame(message);
        self.say_raw(&header, &payload, now)
    }

    pub(super) fn say_raw(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Now,
    ) -> Result<(), CloseReason> {
        let result = self.jdc.hear_jdc(header, payload, now, &mut self.out);
        self.look();
        result
    }

    pub(super) fn pool_raw(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Now,
    ) -> Result<(), CloseReason> {
        let result = self.jdc.hear_upstream(header, payload, now, &mut self.out);
        self.look();
        result
    }

    pub(super) fn lose(&mut self, now: Now) -> CloseReason {
        let why = DownReason::Lost("closed".to_owned());
        let ended = self.jdc.disconnected(why, now, &mut self.out).unwrap_err();
        self.look();
        ended
    }

    pub(super) fn timer(&mut self, now: Now) -> Result<(), CloseReason> {
        let result = self.jdc.timer(now, &mut self.out);
        self.look();
        result
    }

    fn look(&mut self) {
        self.below.extend(take(&mut self.out));
        self.above.extend(take(self.jdc.upward()));
    }

    pub(super) fn sent_below(&mut self, kind: u8) -> Option<Vec<u8>> {
        let at = self.below.iter().position(|(of, _)| *of == kind)?;
        Some(self.below.remove(at).1)
    }

    pub(super) fn sent_above(&mut self, kind: u8) -> Option<Vec<u8>> {
        let at = self.above.iter().position(|(of, _)| *of == kind)?;
        Some(self.above.remove(at).1)
    }

    /// Opens a channel that has this number at the pool; gives the JDC's.
    pub(super) fn open(&mut self, above: u32, now: Now) -> u32 {
        let open = OpenExtendedMiningChannel {
            request_id: 5,
            user_identity: Str0255::truncated("jdc.one"),
            nominal_hash_rate: 1e9,
            max_target: Target::MAX.to_le_bytes(),
            min_extranonce_size: 12,
        };
        self.say(&open, now).unwrap();
        let asked = self.sent_above(OpenExtendedMiningChannel::MSG_TYPE).expect("a channel is asked for");
        let asked = OpenExtendedMiningChannel::decode(&asked).unwrap();
        assert_eq!((asked.min_extranonce_size, asked.user_identity.as_bytes()), (12, &b"farm"[..]));
        let message = OpenExtendedMiningChannelSuccess {
            request_id: asked.request_id,
            channel_id: above,
            target: target().to_le_bytes(),
            extranonce_size: 16,
            extranonce_prefix: B032::new(&PREFIX).unwrap(),
            group_channel_id: 99,
        };
        self.pool(&message, now).unwrap();
        let opened = self.sent_below(OpenExtendedMiningChannelSuccess::MSG_TYPE).expect("it is told");
        let opened = OpenExtendedMiningChannelSuccess::decode(&opened).unwrap();
        assert_eq!((opened.request_id, opened.extranonce_prefix.as_slice()), (5, &PREFIX[..]));
        assert_eq!((opened.extranonce_size, opened.target), (16, target().to_le_bytes()));
        opened.channel_id
    }

    /// Sets a custom job on a tip; gives the pool's request, if it went so far.
    pub(super) fn set_job(&mut self, channel_id: u32, tip: u8, now: Now) -> Option<u32> {
        self.set_job_with(channel_id, tip, &outputs(), now)
    }

    pub(super) fn set_job_with(&mut self, channel_id: u32, tip: u8, outputs: &[u8], now: Now) -> Option<u32> {
        let job = custom_job(channel_id, tip, outputs);
        self.say(&job, now).unwrap();
        let passed_on = self.sent_above(SetCustomMiningJob::MSG_TYPE)?;
        let passed_on = SetCustomMiningJob::decode(&passed_on).unwrap();
        assert_eq!(passed_on.coinbase_tx_outputs.as_slice(), outputs);
        assert_eq!((passed_on.prev_hash, passed_on.channel_id), ([tip; 32], ABOVE));
        Some(passed_on.request_id)
    }

    /// A custom job that the pool takes under a number of its own; gives the JDC's.
    pub(super) fn take_job(&mut self, channel: u32, tip: u8, job_id: u32, now: Now) -> u32 {
        let request_id = self.set_job(channel, tip, now).expect("it is passed on");
        self.pool(&SetCustomMiningJobSuccess { channel_id: ABOVE, request_id, job_id }, now).unwrap();
        let taken = self.sent_below(SetCustomMiningJobSuccess::MSG_TYPE).expect("it is told");
        let taken = SetCustomMiningJobSuccess::decode(&taken).unwrap();
        assert_eq!((taken.channel_id, taken.request_id), (channel, 77));
        taken.job_id
    }

    pub(super) fn refused_job(&mut self) -> Option<String> {
        let payload = self.sent_below(SetCustomMiningJobError::MSG_TYPE)?;
        Some(SetCustomMiningJobError::decode(&payload).unwrap().error_code.to_string())
    }

    /// A share of a job on a tip that meets the target, or does not.
    pub(super) fn share(
        &mut self,
        channel_id: u32,
        job_id: u32,
        tip: u8,
        good: bool,
    ) -> SubmitSharesExtended<'static> {
        let rolled = [0x33; ROLLED];
        let coinbase = [head(), PREFIX.to_vec(), rolled.to_vec(), tail()].concat();
        let root = work::sha256d::hash(&coinbase);
        let share = loop {
            self.nonce += 1;
            let header = Header {
                version: 0x2000_0000,
                prev_hash: [tip; 32],
                merkle_root: root,
                ntime: UNIX + 1,
                nbits: 0x1d00_ffff,
                nonce: self.nonce,
            };
            if header.hash().meets(&target()) == good {
                break header;
            }
        };
        self.sequence += 1;
        const ROLL: [u8; ROLLED] = [0x33; ROLLED];
        SubmitSharesExtended {
            channel_id,
            sequence_number: self.sequence,
            job_id,
            nonce: share.nonce,
            ntime: share.ntime,
            version: share.version,
            extranonce: B032::new(&ROLL).unwrap(),
        }
    }

    /// Submits a good share; gives the pool's sequence number and job.
    pub(super) fn submit(&mut self, channel: u32, job: u32, tip: u8, now: Now) -> Option<(u32, u32)> {
        let share = self.share(channel, job, tip, true);
        self.say(&share, now).unwrap();
        let passed_on = self.sent_above(SubmitSharesExtended::MSG_TYPE)?;
        let passed_on = SubmitSharesExtended::decode(&passed_on).unwrap();
        assert_eq!(passed_on.extranonce, share.extranonce);
        assert_eq!((passed_on.nonce, passed_on.channel_id), (share.nonce, ABOVE));
        Some((passed_on.sequence_number, passed_on.job_id))
    }

    pub(super) fn share_error(&mut self) -> Option<(u32, String)> {
        let payload = self.sent_below(SubmitSharesError::MSG_TYPE)?;
        let error = SubmitSharesError::decode(&payload).unwrap();
        Some((error.sequence_number, error.error_code.to_string()))
    }

    pub(super) fn share_success(&mut self) -> Option<(u32, u32)> {
        let payload = self.sent_below(SubmitSharesSuccess::MSG_TYPE)?;
        let success = SubmitSharesSuccess::decode(&payload).unwrap();
        Some((success.last_sequence_number, success.new_submits_accepted_count))
    }

    /// The pool acknowledges.
    pub(super) fn acknowledge(&mut self, last_sequence_number: u32, count: u32, now: Now) {
        let message = SubmitSharesSuccess {
            channel_id: ABOVE,
            last_sequence_number,
            new_submits_accepted_count: count,
            new_shares_sum: 1,
        };
        self.pool(&message, now).unwrap();
    }

    pub(super) fn totals(&self) -> Totals {
        self.books.totals()
    }
}

/// A custom job on a tip, as a JDC sets it.
pub(super) fn custom_job(channel_id: u32, tip: u8, outputs: &[u8]) -> SetCustomMiningJob<'_> {
    SetCustomMiningJob {
        channel_id,
        request_id: 77,
        mining_job_token: (&[1, 2, 3][..]).try_into().unwrap(),
        version: 0x2000_0000,
        prev_hash: [tip; 32],
        min_ntime: UNIX - 5_000,
        nbits: 0x1d00_ffff,
        coinbase_tx_version: 2,
        coinbase_prefix: (&[2, 0x10, 0x27][..]).try_into().unwrap(),
        coinbase_tx_input_n_sequence: u32::MAX,
        coinbase_tx_outputs: outputs.try_into().unwrap(),
        coinbase_tx_locktime: 0,
        merkle_path: Seq0255::default(),
    }
}

/// An output that anyone can spend.
pub(super) fn outputs() -> Vec<u8> {
    let mut list = vec![1];
    list.extend_from_slice(&5_000_000_000_u64.to_le_bytes());
    list.extend_from_slice(&[1, 0x51]);
    list
}

fn head() -> Vec<u8> {
    let mut head = vec![2, 0, 0, 0, 1];
    head.extend_from_slice(&[0; 32]);
    head.extend_from_slice(&[0xff; 4]);
    head.push(u8::try_from(3 + PREFIX.len() + ROLLED).unwrap());
    head.extend_from_slice(&[2, 0x10, 0x27]);
    head
}

fn tail() -> Vec<u8> {
    [vec![0xff; 4], outputs(), vec![0; 4]].concat()
}
