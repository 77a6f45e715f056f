//! The lease's tag on a pool's channels, with the pool by hand: its frames in, ours out.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use sv2::mining::{
    NewExtendedMiningJob, OpenExtendedMiningChannel, OpenExtendedMiningChannelSuccess,
    OpenMiningChannelError, SetExtranoncePrefix, SetNewPrevHash, SetTarget, SubmitSharesExtended,
};
use sv2::{FrameHeader, Message};
use work::{Extranonce, Target};

use super::*;
use crate::books::{AccountKey, Books};
use crate::feed::Feed;
use crate::ids::{MinerRef, SourceId};
use crate::share::OutgoingShare;
use crate::source::event::{DownReason, SourceCommand};
use crate::source::sv2_pool::{LinkSecurity, SourceSettings, parse};

const PREFIX: [u8; 4] = [9; 4];
const TAG: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

fn at(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(seconds), unix: 1_700_000_000 }
}

fn tag(length: usize) -> LeaseTag {
    LeaseTag::new(&TAG[..length]).unwrap()
}

struct Pool {
    machine: Sv2Pool,
    fx: Effects,
    now: Now,
    books: Arc<Books>,
}

impl Pool {
    fn new(tag_room: u8) -> Self {
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
            payout: None,
            tag_room,
        };
        let mut pool = Self {
            machine: Sv2Pool::new(settings, 1),
            fx: Effects::default(),
            now: at(1),
            books: Arc::default(),
        };
        pool.tell(SourceCommand::Start);
        pool.connect();
        pool
    }

    fn connect(&mut self) {
        self.machine.connected(LinkSecurity::Authenticated, self.now, &mut self.fx);
        self.say(&sv2::common::SetupConnectionSuccess { used_version: 2, flags: 0 });
        self.fx.frames.clear();
    }

    fn tell(&mut self, command: SourceCommand) {
        self.machine.command(command, self.now, &mut self.fx);
    }

    fn say<'a, M: Message<'a>>(&mut self, message: &M) {
        let mut frame = BytesMut::new();
        sv2::write_frame(message, &mut frame);
        let (header, payload, _) = FrameHeader::split(&frame).unwrap();
        self.machine.frame(&header, payload, self.now, &mut self.fx);
    }

    /// The one frame that was sent, a message of this kind.
    fn sent(&mut self) -> Vec<u8> {
        let frames = std::mem::take(&mut self.fx.frames);
        let (_, payload, rest) = FrameHeader::split(&frames).unwrap();
        assert!(rest.is_empty(), "one frame");
        payload.to_vec()
    }

    /// Wishes for a channel: which request, and how many bytes are asked for.
    fn wish(&mut self) -> (u32, u16) {
        self.tell(SourceCommand::Open(OpenChannel {
            request: 1,
            user_identity: "farm".into(),
            nominal_hashrate: 1.0,
            max_target: Target::MAX,
            miner_id_size: 4,
            extranonce2_size: 4,
            space: 0,
            standby: false,
        }));
        self.asked()
    }

    fn asked(&mut self) -> (u32, u16) {
        let payload = self.sent();
        let open: OpenExtendedMiningChannel<'_> = parse(&payload).unwrap();
        (open.request_id, open.min_extranonce_size)
    }

    fn open(&mut self, request_id: u32, channel_id: u32, extranonce_size: u16) {
        self.say(&OpenExtendedMiningChannelSuccess {
            request_id,
            channel_id,
            target: Target::MAX.to_le_bytes(),
            extranonce_size,
            extranonce_prefix: sv2::B032::new(&PREFIX).unwrap(),
            group_channel_id: 0,
        });
    }

    fn refuse(&mut self, request_id: u32, code: &str) {
        self.say(&OpenMiningChannelError { request_id, error_code: sv2::Str0255::truncated(code) });
    }

    /// A job for the next tip of a channel that rolls so many bytes, or for the present one.
    fn job(&mut self, channel_id: u32, job_id: u32, rolled: usize, future: bool) {
        let script = u8::try_from(4 + PREFIX.len() + rolled).unwrap();
        let prefix = [&[2, 0, 0, 0, 1][..], &[0; 32], &[0xff; 4], &[script], &[3; 4]].concat();
        let paid = [work::coinbase::Output { value: 50, script_pubkey: [0x51].into() }];
        let suffix = [&[0xff; 4][..], &work::coinbase::write_outputs(&paid), &[0; 4]].concat();
        self.say(&NewExtendedMiningJob {
            channel_id,
            job_id,
            min_ntime: (!future).then_some(1_700_000_000),
            version: 0x2000_0000,
            version_rolling_allowed: true,
            merkle_path: sv2::Seq0255::from_slice(&[[4; 32]]).unwrap(),
            coinbase_tx_prefix: sv2::B064K::new(&prefix).unwrap(),
            coinbase_tx_suffix: sv2::B064K::new(&suffix).unwrap(),
        });
    }

    fn tip(&mut self, channel_id: u32, job_id: u32) {
        self.say(&SetNewPrevHash {
            channel_id,
            job_id,
            prev_hash: [u8::try_from(job_id).unwrap(); 32],
            min_ntime: 1_700_000_000,
            nbits: 0x1d00_ffff,
        });
    }

    /// A channel that rolls so many bytes, on its first job.
    fn mining(tag_room: u8, rolled: u16) -> Self {
        let mut pool = Self::new(tag_room);
        let (request, _) = pool.wish();
        pool.open(request, 7, rolled);
        pool.job(7, 1, rolled.into(), true);
        pool.tip(7, 1);
        pool
    }

    /// Feeds that miners were given since the last look.
    fn feeds(&mut self) -> Vec<Feed> {
        let work = |event| match event {
            SourceEvent::Work(feed) => Some(feed),
            _ => None,
        };
        self.fx.events.drain(..).filter_map(work).collect()
    }

    fn feed(&mut self) -> Feed {
        let mut feeds = self.feeds();
        assert_eq!(feeds.len(), 1, "{feeds:?}");
        feeds.remove(0)
    }

    /// A share of this feed goes up: its job and its extranonce as the pool sees it.
    fn share(&mut self, feed: &Feed) -> (u32, Vec<u8>) {
        let tally = self.books.tally(&"w".into(), AccountKey { listener: 0, route: 0, source: Some(0) });
        tally.open(MinerRef(0));
        let share = OutgoingShare {
            channel: feed.channel.key,
            generation: feed.generation,
            job_id: feed.job.job.id,
            nonce: 1,
            ntime: 1_700_000_000,
            version: feed.job.job.version,
            extranonce: Extranonce::concat(&[feed.job.filler(), &[6; 8]]).unwrap(),
            difficulty: 1.0,
            is_block: false,
            tally,
            miner: MinerRef(0),
            worker: "w".into(),
            told_true: true,
            token: None,
        };
        self.machine.share(&share, self.now, &mut self.fx);
        let payload = self.sent();
        let message: SubmitSharesExtended<'_> = parse(&payload).unwrap();
        (message.job_id, message.extranonce.as_slice().to_vec())
    }
}

#[test]
fn a_job_goes_to_its_miners_once_more_with_the_tag_and_shares_of_both_go_up_as_they_were_found() {
    let mut pool = Pool::mining(8, 18);
    let before = pool.feed();
    assert_eq!(before.job.filler(), [0; 10]);
    pool.say(&SetTarget { channel_id: 7, maximum_target: Target::DIFFICULTY_1.to_le_bytes() });
    pool.say(&SetExtranoncePrefix { channel_id: 7, extranonce_prefix: sv2::B032::new(&[8; 4]).unwrap() });
    pool.feeds();
    pool.now = at(20);
    pool.tell(SourceCommand::SetTag(tag(8)));
    let tagged = pool.feed();
    assert_eq!(tagged.job.filler(), [&TAG[..], &[0, 0]].concat());
    assert!(Arc::ptr_eq(&tagged.job.job, &before.job.job) && Arc::ptr_eq(&tagged.notify, &before.notify));
    let terms = |feed: &Feed| {
        let job = &feed.job;
        (job.extranonce_prefix().to_vec(), job.source_target, job.received_at, feed.generation)
    };
    assert_eq!(terms(&tagged), terms(&before), "what the pool judges this job's shares by");
    assert_eq!(tagged.received, at(20).mono);
    assert_eq!(pool.share(&before), (1, [&[0; 10][..], &[6; 8]].concat()));
    assert_eq!(pool.share(&tagged), (1, [&TAG[..], &[0, 0], &[6; 8]].concat()));

    pool.tell(SourceCommand::SetTag(tag(8)));
    assert!(pool.feeds().is_empty(), "nothing has changed");
    pool.job(7, 2, 18, false);
    let next = pool.feed();
    assert_eq!((next.job.filler(), next.job.extranonce_prefix()), (tagged.job.filler(), &[8; 4][..]));
    pool.tell(SourceCommand::SetTag(LeaseTag::NONE));
    assert_eq!(pool.feed().job.filler(), [0; 10]);
    assert_eq!(pool.machine.status().tag, TagStatus::default());
}

#[test]
fn a_filler_without_room_stays_zeros_and_the_status_says_so() {
    let mut pool = Pool::mining(0, 12);
    pool.feeds();
    let (request, _) = pool.wish();
    pool.open(request, 8, 16);
    pool.job(8, 5, 16, true);
    pool.tip(8, 5);
    pool.feeds();
    pool.tell(SourceCommand::SetTag(tag(8)));
    let tagged = pool.feed();
    assert_eq!((tagged.channel.key.channel_id, tagged.job.filler()), (8, &TAG[..]));
    assert_eq!(pool.machine.status().tag, TagStatus { tag: tag(8), channels_without: 1, shortest: 4 });
    pool.job(7, 2, 12, false);
    assert_eq!(pool.feed().job.filler(), [0; 4]);
    // A shorter one has room in both.
    pool.tell(SourceCommand::SetTag(tag(4)));
    let mut fillers: Vec<_> = pool.feeds().iter().map(|feed| feed.job.filler().to_vec()).collect();
    fillers.sort();
    assert_eq!(fillers, [TAG[..4].to_vec(), [&TAG[..4], &[0; 4]].concat()]);
    assert_eq!(pool.machine.status().tag.channels_without, 0);
}

#[test]
fn a_channel_that_is_being_closed_gets_no_further_job() {
    let mut pool = Pool::mining(8, 16);
    pool.feeds();
    pool.tell(SourceCommand::Close { channel_id: 7 });
    pool.tell(SourceCommand::SetTag(tag(8)));
    assert!(pool.feeds().is_empty());
    assert_eq!(pool.machine.status().tag.channels_without, 0);
}

#[test]
fn room_for_a_tag_is_asked_for_and_a_pool_that_refuses_it_is_asked_without_and_not_again() {
    let mut pool = Pool::new(8);
    let (request, bytes) = pool.wish();
    assert_eq!(bytes, 16);
    pool.refuse(request, "whatever it calls that");
    let (again, bytes) = pool.asked();
    assert_eq!(bytes, 8);
    assert!(!pool.fx.events.iter().any(|event| matches!(event, SourceEvent::NotOpened { .. })));
    pool.open(again, 7, 8);
    let (request, bytes) = pool.wish();
    assert_eq!(bytes, 8, "it is known that this pool has none");
    // That one is the pool's word for good.
    pool.refuse(request, "unknown-user");
    let refused =
        pool.fx.events.iter().filter(|event| matches!(event, SourceEvent::NotOpened { .. })).count();
    assert_eq!((refused, pool.fx.frames.len()), (1, 0));

    pool.machine.disconnected(DownReason::Lost("gone".into()), pool.now, &mut pool.fx);
    pool.now = at(1_000);
    pool.machine.timer(pool.now, &mut pool.fx);
    pool.connect();
    assert_eq!(pool.wish().1, 16, "it may be another pool's machine");
    assert_eq!(Pool::new(0).wish().1, 8, "nobody issues receipts");
}

#[test]
fn a_pool_that_refuses_the_channel_whatever_is_asked_for_has_the_last_word() {
    let mut pool = Pool::new(8);
    let (request, _) = pool.wish();
    pool.refuse(request, "unknown-user");
    let (request, _) = pool.asked();
    pool.refuse(request, "unknown-user");
    let refused =
        pool.fx.events.iter().filter(|event| matches!(event, SourceEvent::NotOpened { .. })).count();
    assert_eq!((refused, pool.fx.frames.len()), (1, 0));
    assert_eq!(pool.wish().1, 16, "that says nothing about room");
}
