//! A miner's side of one connection, and work to give it.

use std::collections::BTreeMap;

use sv2::common::SetupConnection;
use sv2::extensions::RequestExtensions;
use sv2::mining::{OpenExtendedMiningChannel, OpenStandardMiningChannel, SubmitSharesStandard};
use sv2::{Seq064K, Tlv, TlvByteOrder, write_frame_with_tlvs};
use work::{ChannelJob, ChannelTerms, Header, Job, JobParts, Target};

use super::super::*;
use crate::feed::{ChannelState, Feed, GroupMeter};
use crate::ids::{ChannelKey, ListenerId, RouteId};
use crate::miner::ReplyMode;
use crate::share::OutgoingShare;

/// A quarter of all hashes is a share.
pub(super) const DIFFICULTY: f64 = 1e-9;
pub(super) const GROUP: GroupId = GroupId(7);
pub(super) const MASK: u32 = 0x1fff_e000;

#[derive(Default)]
struct Ids(u32);

impl MinerIdSource for Ids {
    fn allocate(&mut self, size: u8) -> Option<MinerId> {
        self.0 += 1;
        MinerId::from_bytes(&self.0.to_be_bytes()[4 - usize::from(size)..]).ok()
    }
}

#[derive(Default)]
struct Sink(Vec<OutgoingShare>);

impl ShareSink for Sink {
    fn forward(&mut self, share: OutgoingShare) -> Result<(), crate::books::UnsentReason> {
        self.0.push(share);
        Ok(())
    }
}

/// What the miner knows of a job.
#[derive(Clone, Debug)]
pub(super) struct KnownJob {
    pub(super) id: u32,
    pub(super) version: u32,
    /// Set in a standard job; an extended one has the coinbase's halves and the path.
    pub(super) root: Option<[u8; 32]>,
    coinbase: (Vec<u8>, Vec<u8>),
    path: Vec<[u8; 32]>,
    pub(super) ntime: Option<u32>,
}

/// What the miner knows of a channel.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownChannel {
    pub(super) prefix: Vec<u8>,
    pub(super) size: usize,
    pub(super) group: u32,
    pub(super) target: [u8; 32],
    pub(super) jobs: Vec<KnownJob>,
    pub(super) active: u32,
    tip: ([u8; 32], u32),
}

/// Both sides of a connection.
pub(super) struct World {
    pub(super) machine: Sv2Miner,
    pub(super) books: Arc<Books>,
    pub(super) meter: Arc<GroupMeter>,
    pub(super) now: Now,
    ids: Ids,
    sink: Sink,
    pub(super) channels: BTreeMap<u32, KnownChannel>,
    /// The names of all messages that came, with the channel that they were for.
    pub(super) heard: Vec<(&'static str, u32)>,
    /// Error codes that came.
    pub(super) errors: Vec<String>,
    /// Shares told as accepted, and the sum of their difficulties.
    pub(super) accepted: (u32, u64),
    pub(super) setup_flags: Option<u32>,
    sequence: u32,
}

pub(super) fn policy(reply: ReplyMode) -> Arc<ListenerPolicy> {
    Arc::new(ListenerPolicy {
        id: ListenerId(0),
        route: RouteId(0),
        extranonce1_size: 4,
        extranonce2_size: 4,
        vardiff: work::vardiff::Settings { shares_per_minute: 20.0, min: DIFFICULTY, max: 1.0 },
        vardiff_enabled: true,
        difficulty_start: DIFFICULTY,
        version_mask: 0,
        sv2_version_mask: MASK,
        reply,
        setup_deadline: Duration::from_secs(10),
        idle_deadline: Duration::from_secs(7_200),
        declarators: false,
        hash_seed: 3,
        retargets: Arc::default(),
        firmware: Arc::default(),
        identity: Vec::new(),
    })
}

/// What a feed differs in.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) source: u16,
    pub(super) tip: u8,
    /// The source's number of the job.
    pub(super) job: u32,
    pub(super) prefix: &'a [u8],
    pub(super) difficulty: f64,
    pub(super) rolling: bool,
}

impl Default for Terms<'_> {
    fn default() -> Self {
        Self { source: 0, tip: 1, job: 1, prefix: &[0xaa; 5], difficulty: DIFFICULTY, rolling: true }
    }
}

pub(super) fn feed(terms: Terms<'_>) -> Arc<Feed> {
    let filler = [0; 2];
    let extranonce = terms.prefix.len() + filler.len() + 8;
    let script = u8::try_from(4 + extranonce).unwrap();
    let prefix = [&[2, 0, 0, 0, 1][..], &[0; 32], &[0xff; 4], &[script], &[3, 1, 2, 3]].concat();
    let suffix = [&[0xff; 4][..], &[1], &[0; 8], &[1, 0x51], &[0; 4]].concat();
    let parts = JobParts {
        id: terms.job,
        version: 0x2000_0000,
        version_rolling_allowed: terms.rolling,
        prev_hash: [terms.tip; 32],
        nbits: 0x1d00_ffff,
        min_ntime: 1_700_000_000,
        merkle_path: vec![[5; 32], [6; 32]].into(),
        coinbase_tx_prefix: prefix.clone().into(),
        coinbase_tx_suffix: suffix.clone().into(),
    };
    let channel = ChannelTerms {
        source: work::SourceId(terms.source),
        generation: u32::from(terms.tip),
        extranonce_prefix: terms.prefix,
        filler: &filler,
        source_target: Target::from_difficulty(work::Difficulty::new(terms.difficulty).unwrap()),
        ntime_slack: 600,
        received_at: work::Seconds(0),
    };
    let job = Arc::new(Job::new(parts, extranonce).unwrap());
    let key = ChannelKey { source: SourceId(terms.source), connection: 1, channel_id: 1 };
    Arc::new(Feed {
        sequence: 1,
        channel: Arc::new(ChannelState::new(key)),
        generation: u32::from(terms.tip),
        job: Arc::new(ChannelJob::new(job, channel).unwrap()),
        notify: Arc::new(sv1::notify::render_job(&[7; 32], &prefix, &suffix, &[], 0x2000_0000, 0x1d00_ffff)),
        received: Duration::ZERO,
    })
}

impl World {
    pub(super) fn new(reply: ReplyMode) -> Self {
        let books = Arc::new(Books::default());
        let now = Now { mono: Duration::ZERO, unix: 1_700_000_000 };
        Self {
            machine: Sv2Miner::new(policy(reply), Arc::clone(&books), MinerRef(1), now),
            books,
            meter: Arc::default(),
            now,
            ids: Ids::default(),
            sink: Sink::default(),
            channels: BTreeMap::new(),
            heard: Vec::new(),
            errors: Vec::new(),
            accepted: (0, 0),
            setup_flags: None,
            sequence: 0,
        }
    }

    /// One that is set up with these flags.
    pub(super) fn set_up(flags: u32) -> Self {
        let mut world = Self::new(ReplyMode::Local);
        world.send(&setup(flags)).unwrap();
        world
    }

    /// Runs the machine, and hears what it says.
    pub(super) fn step(
        &mut self,
        work: impl FnOnce(&mut Sv2Miner, &mut Sv2Io<'_>) -> Result<(), CloseReason>,
    ) -> Result<(), CloseReason> {
        let mut out = BytesMut::new();
        let mut io = Sv2Io { now: self.now, out: &mut out, shares: &mut self.sink, ids: &mut self.ids };
        let result = work(&mut self.machine, &mut io);
        self.machine.flush(&mut out);
        self.hear(&out);
        result
    }

    pub(super) fn send<'a, M: Message<'a>>(&mut self, message: &M) -> Result<(), CloseReason> {
        self.send_with(message, &[])
    }

    pub(super) fn send_with<'a, M: Message<'a>>(
        &mut self,
        message: &M,
        tlvs: &[Tlv<'_>],
    ) -> Result<(), CloseReason> {
        let mut bytes = BytesMut::new();
        write_frame_with_tlvs(message, tlvs, TlvByteOrder::LittleEndian, &mut bytes).unwrap();
        let (header, payload, _) = FrameHeader::split(&bytes).unwrap();
        self.step(|machine, io| machine.frame(&header, payload, io))
    }

    pub(super) fn negotiate(&mut self, extensions: &[u16]) {
        let requested_extensions = Seq064K::from_slice(extensions).unwrap();
        self.send(&RequestExtensions { request_id: 1, requested_extensions }).unwrap();
    }

    /// Gives the channels that wait for it a place, and work if there is any.
    pub(super) fn join(&mut self, feed: Option<&Arc<Feed>>) {
        while let Some(wish) = self.machine.wants_to_join() {
            self.meter.shift_hashrate(wish.hashrate);
            let meter = Arc::clone(&self.meter);
            let number = self.channels.len() as u64;
            self.step(|machine, io| {
                machine.joined((MinerRef(number), GROUP), meter, wish.hashrate, feed, io);
                Ok(())
            })
            .unwrap();
        }
    }

    pub(super) fn open_extended(&mut self, min_extranonce_size: u16, feed: Option<&Arc<Feed>>) -> u32 {
        self.send(&extended(min_extranonce_size)).unwrap();
        self.join(feed);
        self.machine.next_channel_id
    }

    pub(super) fn open_standard(&mut self, feed: Option<&Arc<Feed>>) -> u32 {
        self.send(&standard()).unwrap();
        self.join(feed);
        self.machine.next_channel_id
    }

    pub(super) fn feed(&mut self, feed: &Arc<Feed>) {
        self.step(|machine, io| {
            machine.feed(GROUP, feed, io);
            Ok(())
        })
        .unwrap();
    }

    /// Shares that went to the source since the last call.
    pub(super) fn forwarded(&mut self) -> Vec<OutgoingShare> {
        std::mem::take(&mut self.sink.0)
    }

    /// Finds a share of a channel's active job, from what was said alone.
    pub(super) fn find_share(&mut self, channel_id: u32) -> SubmitSharesExtendedOwned {
        let channel = &self.channels[&channel_id];
        let job = channel.jobs.iter().find(|job| job.id == channel.active).unwrap();
        self.sequence += 1;
        let mut extranonce = vec![0; channel.size];
        if let Some(first) = extranonce.first_mut() {
            *first = 0x5a;
        }
        let merkle_root = job.root.unwrap_or_else(|| {
            let whole = [&*job.coinbase.0, &channel.prefix, &extranonce, &*job.coinbase.1].concat();
            let txid = work::sha256d::hash(&whole);
            work::merkle::root(txid, &job.path)
        });
        let target = Target::from_le_bytes(channel.target);
        let version = job.version | 0x0000_6000;
        let ntime = 1_700_000_000;
        let nonce = (self.sequence * 1_000..)
            .find(|nonce| {
                let (prev_hash, nbits) = channel.tip;
                Header { version, prev_hash, merkle_root, ntime, nbits, nonce: *nonce }.hash().meets(&target)
            })
            .unwrap();
        SubmitSharesExtendedOwned {
            channel_id,
            sequence_number: self.sequence,
            job_id: job.id,
            nonce,
            ntime,
            version,
            extranonce,
        }
    }

    /// Sends a share. True: it was told as accepted at once.
    pub(super) fn submit(&mut self, share: &SubmitSharesExtendedOwned) -> bool {
        let before = self.accepted.0;
        let is_standard = self.channels.get(&share.channel_id).is_some_and(|channel| channel.size == 0);
        if is_standard { self.send(&share.standard()) } else { self.send(&share.message()) }.unwrap();
        self.accepted.0 > before
    }

    fn hear(&mut self, mut bytes: &[u8]) {
        while let Some((header, payload, rest)) = FrameHeader::split(bytes) {
            bytes = rest;
            let message = AnyMessage::decode(&header, payload).unwrap();
            self.heard.push((message.name(), header.channel_id(payload).unwrap_or_default()));
            match message {
                AnyMessage::Common(CommonMessage::SetupConnectionSuccess(m)) => {
                    self.setup_flags = Some(m.flags);
                }
                AnyMessage::Common(CommonMessage::SetupConnectionError(m)) => {
                    self.errors.push(format!("{} {}", m.error_code, m.flags));
                }
                AnyMessage::Mining(message) => self.hear_mining(&message),
                _ => {}
            }
        }
        assert!(bytes.is_empty(), "whole frames");
    }

    /// The channels that a message is for: one, or a group's.
    fn addressed(&mut self, id: u32) -> impl Iterator<Item = &mut KnownChannel> {
        self.channels.iter_mut().filter(move |(of, c)| **of == id || c.group == id).map(|(_, c)| c)
    }

    fn hear_mining(&mut self, message: &MiningMessage<'_>) {
        match message {
            MiningMessage::OpenExtendedMiningChannelSuccess(m) => {
                let channel = KnownChannel {
                    prefix: m.extranonce_prefix.as_slice().to_vec(),
                    size: usize::from(m.extranonce_size),
                    group: m.group_channel_id,
                    target: m.target,
                    ..KnownChannel::default()
                };
                assert!(self.channels.insert(m.channel_id, channel).is_none());
            }
            MiningMessage::OpenStandardMiningChannelSuccess(m) => {
                let channel = KnownChannel {
                    prefix: m.extranonce_prefix.as_slice().to_vec(),
                    group: m.group_channel_id,
                    target: m.target,
                    ..KnownChannel::default()
                };
                assert!(self.channels.insert(m.channel_id, channel).is_none());
            }
            MiningMessage::NewExtendedMiningJob(m) => {
                let job = KnownJob {
                    id: m.job_id,
                    version: m.version,
                    root: None,
                    coinbase: (
                        m.coinbase_tx_prefix.as_slice().to_vec(),
                        m.coinbase_tx_suffix.as_slice().to_vec(),
                    ),
                    path: m.merkle_path.iter().collect(),
                    ntime: m.min_ntime,
                };
                for channel in self.addressed(m.channel_id) {
                    channel.add(job.clone());
                }
            }
            MiningMessage::NewMiningJob(m) => {
                let job = KnownJob {
                    id: m.job_id,
                    version: m.version,
                    root: Some(m.merkle_root),
                    coinbase: Default::default(),
                    path: Vec::new(),
                    ntime: m.min_ntime,
                };
                let channel = self.channels.get_mut(&m.channel_id).unwrap();
                assert_eq!(channel.size, 0, "a standard job is for a standard channel");
                channel.add(job);
            }
            MiningMessage::SetNewPrevHash(m) => {
                for channel in self.addressed(m.channel_id) {
                    let job = channel.jobs.iter().find(|job| job.id == m.job_id).unwrap();
                    assert_eq!(job.ntime, None, "only a future job is activated");
                    channel.active = m.job_id;
                    channel.tip = (m.prev_hash, m.nbits);
                }
            }
            MiningMessage::SetGroupChannel(m) => {
                for id in m.channel_ids.iter() {
                    self.channels.get_mut(&id).unwrap().group = m.group_channel_id;
                }
            }
            MiningMessage::SetTarget(m) => {
                let target = m.maximum_target;
                self.addressed(m.channel_id).for_each(|channel| channel.target = target);
            }
            MiningMessage::SubmitSharesSuccess(m) => {
                self.accepted.0 += m.new_submits_accepted_count;
                self.accepted.1 += m.new_shares_sum;
            }
            MiningMessage::SubmitSharesError(m) => self.errors.push(m.error_code.to_string()),
            MiningMessage::OpenMiningChannelError(m) => self.errors.push(m.error_code.to_string()),
            MiningMessage::UpdateChannelError(m) => self.errors.push(m.error_code.to_string()),
            MiningMessage::SetCustomMiningJobError(m) => self.errors.push(m.error_code.to_string()),
            MiningMessage::CloseChannel(_) => {}
            other => unreachable!("{other:?}"),
        }
    }
}

impl KnownChannel {
    fn add(&mut self, job: KnownJob) {
        assert!(self.jobs.iter().all(|known| known.id != job.id), "an id is not used again");
        if job.ntime.is_some() {
            self.active = job.id;
        }
        self.jobs.push(job);
    }
}

#[derive(Clone, Debug)]
pub(super) struct SubmitSharesExtendedOwned {
    pub(super) channel_id: u32,
    pub(super) sequence_number: u32,
    pub(super) job_id: u32,
    pub(super) nonce: u32,
    pub(super) ntime: u32,
    pub(super) version: u32,
    pub(super) extranonce: Vec<u8>,
}

impl SubmitSharesExtendedOwned {
    pub(super) fn message(&self) -> SubmitSharesExtended<'_> {
        SubmitSharesExtended {
            channel_id: self.channel_id,
            sequence_number: self.sequence_number,
            job_id: self.job_id,
            nonce: self.nonce,
            ntime: self.ntime,
            version: self.version,
            extranonce: sv2::B032::new(&self.extranonce).unwrap(),
        }
    }

    fn standard(&self) -> SubmitSharesStandard {
        SubmitSharesStandard {
            channel_id: self.channel_id,
            sequence_number: self.sequence_number,
            job_id: self.job_id,
            nonce: self.nonce,
            ntime: self.ntime,
            version: self.version,
        }
    }
}

pub(super) fn setup(flags: u32) -> SetupConnection<'static> {
    SetupConnection {
        protocol: 0,
        min_version: 2,
        max_version: 2,
        flags,
        endpoint_host: Str0255::truncated("adit"),
        endpoint_port: 3336,
        vendor: Str0255::truncated("test"),
        hardware_version: Str0255::EMPTY,
        firmware: Str0255::EMPTY,
        device_id: Str0255::EMPTY,
    }
}

pub(super) fn extended(min_extranonce_size: u16) -> OpenExtendedMiningChannel<'static> {
    OpenExtendedMiningChannel {
        request_id: 9,
        user_identity: Str0255::truncated("farm.a"),
        nominal_hash_rate: 1.0,
        max_target: [0xff; 32],
        min_extranonce_size,
    }
}

pub(super) fn standard() -> OpenStandardMiningChannel<'static> {
    OpenStandardMiningChannel {
        request_id: 9,
        user_identity: Str0255::truncated("farm.b"),
        nominal_hash_rate: 1.0,
        max_target: [0xff; 32],
    }
}
