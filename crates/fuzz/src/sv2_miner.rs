//! An SV2 miner's connection: whatever a miner sends, and whatever work comes meanwhile.
//!
//! Input: actions, a byte for each and a few more that say how ([`World::act`]).
//!
//! Promises, checked after every action:
//! - what is written are whole frames that can be read strictly, and a server's to send;
//! - every share is answered exactly once, and stands in the books exactly once;
//! - an id of a channel or a group is given once; a job's id is not given again while the channel may know it; a
//!   `SetNewPrevHash` names a future job that the channel was sent;
//! - an extranonce never changes, and no two channels have the same;
//! - no target is easier than the miner asked for, and no job goes out with one that is harder than that and every source's;
//! - what is forwarded stands on the channel of its job, in that channel's extranonce;
//! - no deadline is left in the past by its timer;
//! - at the end nothing is left in the group's sums.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use engine::books::{Books, Final, RefuseCode, UnsentReason};
use engine::miner::{CloseReason, ListenerPolicy, MinerIdSource, ReplyMode, Sv2Io, Sv2Miner};
use engine::{
    Answer, ChannelKey, ChannelState, Feed, GroupId, GroupMeter, ListenerId, MinerRef, Now, OutgoingShare,
    RouteId, ShareSink, SourceId,
};
use sv2::common::SetupConnection;
use sv2::extensions::RequestExtensions;
use sv2::mining::{
    CloseChannel, OpenExtendedMiningChannel, OpenStandardMiningChannel, SubmitSharesExtended,
    SubmitSharesStandard, UpdateChannel,
};
use sv2::{
    AnyMessage, B032, CommonMessage, FrameHeader, Message, MiningMessage, Seq064K, Str0255, write_frame,
};
use work::{ChannelJob, ChannelTerms, Difficulty, Job, JobParts, MinerId, Target};

use crate::cursor::Cursor;

/// Actions of one run.
const ACTIONS: usize = 300;
const GROUPS: u8 = 3;

/// See the module.
pub fn target(data: &[u8]) {
    check(data, false);
}

/// With `planted` the judge does not hear of errors.
pub(crate) fn check(data: &[u8], planted: bool) {
    let mut input = Cursor(data);
    let mut world = World::new(planted, input.byte().unwrap_or(0));
    for _ in 0..ACTIONS {
        if world.act(&mut input).is_none() || world.over {
            break;
        }
    }
    world.end();
}

#[derive(Default)]
struct Ids(u32);

impl MinerIdSource for Ids {
    fn allocate(&mut self, size: u8) -> Option<MinerId> {
        self.0 += 1;
        MinerId::from_bytes(&self.0.to_be_bytes()[4 - usize::from(size)..]).ok()
    }
}

#[derive(Default)]
struct Sink {
    shares: Vec<OutgoingShare>,
    full: bool,
}

impl ShareSink for Sink {
    fn forward(&mut self, share: OutgoingShare) -> Result<(), UnsentReason> {
        if self.full {
            return Err(UnsentReason::QueueFull);
        }
        self.shares.push(share);
        Ok(())
    }
}

/// What the miner knows of a channel.
#[derive(Debug)]
struct Known {
    group: u32,
    size: usize,
    target: Target,
    max_target: Target,
    /// Jobs since the last tip, and whether they are future ones.
    jobs: BTreeMap<u32, bool>,
}

struct World {
    machine: Sv2Miner,
    books: Arc<Books>,
    meters: Vec<Arc<GroupMeter>>,
    feeds: Vec<Option<Arc<Feed>>>,
    now: Duration,
    ids: Ids,
    sink: Sink,
    planted: bool,
    over: bool,
    requests: BTreeMap<u32, Target>,
    channels: BTreeMap<u32, Known>,
    used_ids: BTreeSet<u32>,
    prefixes: BTreeSet<Vec<u8>>,
    sent: u64,
    answered: u64,
    waiting: Vec<(u32, OutgoingShare)>,
    next_request: u32,
    next_job: u32,
    joined: u64,
    /// The hardest of all sources' targets.
    hardest: Target,
    /// No share's answer was lost with its channel.
    exact: bool,
}

impl World {
    fn new(planted: bool, how: u8) -> Self {
        let books = Arc::new(Books::default());
        let policy = ListenerPolicy {
            id: ListenerId(0),
            route: RouteId(0),
            extranonce1_size: 4,
            extranonce2_size: 4,
            vardiff: work::vardiff::Settings { shares_per_minute: 20.0, min: 1e-9, max: 1e6 },
            vardiff_enabled: how & 1 == 0,
            difficulty_start: 1e-9,
            version_mask: 0,
            sv2_version_mask: if how & 2 == 0 { 0x1fff_ffe0 } else { 0 },
            reply: if how & 4 == 0 { ReplyMode::Local } else { ReplyMode::Source },
            setup_deadline: Duration::from_secs(10),
            idle_deadline: Duration::from_secs(7_200),
            declarators: false,
            hash_seed: 3,
            retargets: Arc::default(),
            firmware: Arc::default(),
            identity: Vec::new(),
        };
        let now = Now { mono: Duration::ZERO, unix: 1_700_000_000 };
        let machine = Sv2Miner::new(Arc::new(policy), Arc::clone(&books), MinerRef(1), now);
        Self {
            machine,
            books,
            meters: (0..GROUPS).map(|_| Arc::default()).collect(),
            feeds: vec![None; usize::from(GROUPS)],
            now: Duration::ZERO,
            ids: Ids::default(),
            sink: Sink::default(),
            planted,
            over: false,
            requests: BTreeMap::new(),
            channels: BTreeMap::new(),
            used_ids: BTreeSet::new(),
            prefixes: BTreeSet::new(),
            sent: 0,
            answered: 0,
            waiting: Vec::new(),
            next_request: 0,
            next_job: 0,
            joined: 0,
            hardest: Target::MAX,
            exact: true,
        }
    }

    /// The next action; none at the input's end.
    fn act(&mut self, input: &mut Cursor<'_>) -> Option<()> {
        match input.byte()? % 13 {
            0 => self.send(&setup(u32::from(input.byte()?))),
            1 => {
                let extensions: Vec<u16> = input.bytes()?.iter().map(|byte| u16::from(*byte)).collect();
                let requested_extensions = Seq064K::from_slice(&extensions).unwrap_or_default();
                self.send(&RequestExtensions { request_id: 1, requested_extensions });
            }
            2 => self.open(input)?,
            3 => {
                let at = usize::from(input.byte()? % GROUPS);
                self.join(at);
            }
            4 => self.feed(input)?,
            5 => self.submit(input)?,
            6 => {
                let channel_id = self.channel(input.byte()?);
                let nominal_hash_rate = rate(input.byte()?);
                let maximum_target = target_of(input.byte()?);
                if nominal_hash_rate.is_finite()
                    && nominal_hash_rate >= 0.0
                    && maximum_target != [0; 32]
                    && Target::from_le_bytes(maximum_target).difficulty().get() <= 1e6
                    && let Some(channel) = self.channels.get_mut(&channel_id)
                {
                    channel.max_target = Target::from_le_bytes(maximum_target);
                }
                self.send(&UpdateChannel { channel_id, nominal_hash_rate, maximum_target });
            }
            7 => {
                let channel_id = self.channel(input.byte()?);
                let is_group = input.byte()? & 1 == 0;
                let group = self.channels.get(&channel_id).map(|channel| channel.group);
                let channel_id = group.filter(|_| is_group).unwrap_or(channel_id);
                self.exact &= self.waiting.is_empty();
                // What it says on these channels before it has read this is for nobody.
                self.channels.retain(|id, channel| *id != channel_id && channel.group != channel_id);
                self.send(&CloseChannel { channel_id, reason_code: Str0255::EMPTY });
            }
            8 => {
                let (extension_type, msg_type) = (u16::from(input.byte()? % 4), input.byte()?);
                let payload = input.bytes()?;
                let length = u32::try_from(payload.len()).unwrap_or(0);
                let header = FrameHeader { extension_type, channel_msg: msg_type & 1 == 0, msg_type, length };
                let is_share = extension_type == 0 && matches!(msg_type, 0x1a | 0x1b);
                // It may be a share, an opened or a closed channel: what is told of those is not looked at any more.
                self.over |= matches!(msg_type, 0x10..=0x18);
                self.hand(&header, payload);
                self.over |= is_share;
            }
            9 => {
                self.now += Duration::from_millis(u64::from(input.byte()?).pow(3));
                self.timer();
            }
            10 => self.answer(input.byte()?),
            12 => {
                let miner = MinerRef(u64::from(input.byte()? % 8));
                let at = usize::from(input.byte()? % GROUPS);
                let (meter, feed) = (Arc::clone(&self.meters[at]), self.feeds[at].clone());
                self.step(|machine, io| {
                    machine.moved(miner, GroupId(at as u64), meter, feed.as_ref(), io);
                    Ok(())
                });
            }
            _ => self.sink.full = input.byte()? & 1 == 1,
        }
        Some(())
    }

    fn open(&mut self, input: &mut Cursor<'_>) -> Option<()> {
        self.next_request += 1;
        let request_id = self.next_request;
        let (nominal_hash_rate, max_target) = (rate(input.byte()?), target_of(input.byte()?));
        let kind = input.byte()?;
        let name = input.bytes()?;
        let user_identity = Str0255::new(name).unwrap_or(Str0255::EMPTY);
        self.requests.insert(request_id, Target::from_le_bytes(max_target));
        if kind & 1 == 0 {
            self.send(&OpenStandardMiningChannel {
                request_id,
                user_identity,
                nominal_hash_rate,
                max_target,
            });
        } else {
            let min_extranonce_size = u16::from(kind >> 4);
            self.send(&OpenExtendedMiningChannel {
                request_id,
                user_identity,
                nominal_hash_rate,
                max_target,
                min_extranonce_size,
            });
        }
        Some(())
    }

    /// Gives the channel that waits longest a place, or none.
    fn join(&mut self, at: usize) {
        let Some(wish) = self.machine.wants_to_join() else { return };
        let (meter, feed) = (Arc::clone(&self.meters[at]), self.feeds[at].clone());
        if at == usize::from(GROUPS) - 1 && feed.is_none() {
            return self.step(|machine, io| {
                machine.not_joined("no-source", io);
                Ok(())
            });
        }
        meter.shift_hashrate(wish.hashrate);
        let miner = MinerRef(self.joined);
        self.joined += 1;
        self.step(|machine, io| {
            machine.joined((miner, GroupId(at as u64)), meter, wish.hashrate, feed.as_ref(), io);
            Ok(())
        });
    }

    fn feed(&mut self, input: &mut Cursor<'_>) -> Option<()> {
        let at = usize::from(input.byte()? % GROUPS);
        let (tip, how) = (input.byte()? % 4, input.byte()?);
        self.next_job += 1;
        let feed = match self.feeds[at].clone().filter(|_| how & 1 == 1) {
            // The same again.
            Some(feed) => Arc::new((*feed).clone()),
            None => make_feed(self.next_job, tip, how),
        };
        self.feeds[at] = Some(Arc::clone(&feed));
        self.hardest = self.hardest.harder(feed.job.source_target);
        self.step(|machine, io| {
            machine.feed(GroupId(at as u64), &feed, io);
            Ok(())
        });
        Some(())
    }

    fn submit(&mut self, input: &mut Cursor<'_>) -> Option<()> {
        let channel_id = self.channel(input.byte()?);
        let (job, how, nonce) = (input.byte()?, input.byte()?, input.byte()?);
        let known = self.channels.get(&channel_id);
        let newest = known.and_then(|channel| channel.jobs.keys().next_back().copied()).unwrap_or(0);
        let job_id = newest.wrapping_sub(u32::from(job % 4));
        let sequence_number = u32::try_from(self.sent).unwrap_or(0);
        let (nonce, ntime) = (u32::from(nonce) * 7, 1_700_000_000 + u32::from(how >> 6) * 400);
        let version = 0x2000_0000 | (u32::from(how & 0x0f) << 13) | u32::from(how & 0x10);
        self.sent += 1;
        if known.is_some_and(|channel| channel.size == 0) != (how & 0x20 != 0) {
            let share = SubmitSharesStandard { channel_id, sequence_number, job_id, nonce, ntime, version };
            self.send(&share);
        } else {
            let extranonce = vec![how; if job & 0x80 == 0 { 4 } else { usize::from(job & 0x1f) }];
            let extranonce = B032::new(&extranonce).unwrap_or_default();
            let share = SubmitSharesExtended {
                channel_id,
                sequence_number,
                job_id,
                nonce,
                ntime,
                version,
                extranonce,
            };
            self.send(&share);
        }
        Some(())
    }

    /// The source answers the oldest share that waits, or none that there is.
    fn answer(&mut self, how: u8) {
        let end = match how % 4 {
            0 => Final::Acknowledged,
            1 => Final::Refused(RefuseCode::StaleShare),
            2 => Final::Unknown,
            _ => Final::Unsent(UnsentReason::StaleInQueue),
        };
        let token = if self.waiting.is_empty() {
            u32::from(how) + 1_000_000
        } else {
            let (token, share) = self.waiting.remove(0);
            share.tally.settle(share.miner, end, share.difficulty, false);
            token
        };
        self.step(|machine, io| {
            machine.answer(Answer { token, end }, io.out);
            Ok(())
        });
    }

    fn timer(&mut self) {
        let due = self.machine.deadline().is_some_and(|deadline| deadline <= self.now);
        if !due {
            return;
        }
        self.step(Sv2Miner::timer);
        if !self.over {
            let next = self.machine.deadline();
            assert!(next.is_none_or(|next| next > self.now), "{next:?} at {:?}", self.now);
        }
    }

    /// One of the channels, or one that there is not.
    fn channel(&self, byte: u8) -> u32 {
        self.channels.keys().nth(usize::from(byte % 8)).copied().unwrap_or(u32::from(byte))
    }

    fn send<'a, M: Message<'a>>(&mut self, message: &M) {
        let mut bytes = BytesMut::new();
        write_frame(message, &mut bytes);
        let (header, payload, _) = FrameHeader::split(&bytes).expect("a whole frame");
        self.hand(&header, payload);
    }

    fn hand(&mut self, header: &FrameHeader, payload: &[u8]) {
        self.step(|machine, io| machine.frame(header, payload, io));
    }

    fn step(&mut self, work: impl FnOnce(&mut Sv2Miner, &mut Sv2Io<'_>) -> Result<(), CloseReason>) {
        let mut out = BytesMut::new();
        let now = Now { mono: self.now, unix: 1_700_000_000 };
        let mut io = Sv2Io { now, out: &mut out, shares: &mut self.sink, ids: &mut self.ids };
        let result = work(&mut self.machine, &mut io);
        self.machine.flush(&mut out);
        self.hear(&out);
        self.over |= result.is_err();
        for left in self.machine.take_left() {
            assert!(left.miner_id.as_bytes().len() == 4);
        }
        for share in std::mem::take(&mut self.sink.shares) {
            self.forwarded(share);
        }
    }

    fn forwarded(&mut self, share: OutgoingShare) {
        let rolled = share.extranonce.as_slice();
        // Filler of two bytes, then the miner's number.
        let standing = self.prefixes.iter().any(|prefix| rolled[2..].starts_with(prefix));
        assert!(standing, "a share in nobody's extranonce");
        match share.token {
            Some(token) => self.waiting.push((token, share)),
            None => {
                share.tally.settle(share.miner, Final::Acknowledged, share.difficulty, true);
            }
        }
    }

    fn hear(&mut self, mut bytes: &[u8]) {
        while let Some((header, payload, rest)) = FrameHeader::split(bytes) {
            bytes = rest;
            match AnyMessage::decode(&header, payload).expect("strictly a message") {
                AnyMessage::Mining(message) => self.hear_mining(&message),
                AnyMessage::Extensions(_)
                | AnyMessage::Common(
                    CommonMessage::SetupConnectionSuccess(_) | CommonMessage::SetupConnectionError(_),
                ) => {}
                other => unreachable!("{other:?} from a server"),
            }
        }
        assert!(bytes.is_empty(), "whole frames");
    }

    fn opened(
        &mut self,
        (request, id, group): (u32, u32, u32),
        prefix: &[u8],
        size: usize,
        target: [u8; 32],
    ) {
        let max_target = self.requests.remove(&request).expect("asked for");
        assert!(self.used_ids.insert(id), "channel {id} twice");
        let is_known = self.channels.values().any(|channel| channel.group == group);
        assert!(is_known || self.used_ids.insert(group), "group {group} twice");
        assert!(self.prefixes.insert(prefix.to_vec()), "an extranonce twice");
        assert_eq!(prefix.len() + size, 8);
        let target = Target::from_le_bytes(target);
        assert!(target <= max_target, "easier than asked for");
        let known = Known { group, size, target, max_target, jobs: BTreeMap::new() };
        self.channels.insert(id, known);
    }

    fn addressed(&mut self, id: u32) -> impl Iterator<Item = &mut Known> {
        self.channels
            .iter_mut()
            .filter(move |(of, known)| **of == id || known.group == id)
            .map(|(_, known)| known)
    }

    fn hear_mining(&mut self, message: &MiningMessage<'_>) {
        match message {
            MiningMessage::OpenStandardMiningChannelSuccess(m) => self.opened(
                (m.request_id, m.channel_id, m.group_channel_id),
                m.extranonce_prefix.as_slice(),
                0,
                m.target,
            ),
            MiningMessage::OpenExtendedMiningChannelSuccess(m) => self.opened(
                (m.request_id, m.channel_id, m.group_channel_id),
                m.extranonce_prefix.as_slice(),
                usize::from(m.extranonce_size),
                m.target,
            ),
            MiningMessage::OpenMiningChannelError(m) => {
                assert!(self.requests.remove(&m.request_id).is_some() || self.over);
            }
            MiningMessage::NewMiningJob(m) => self.job(m.channel_id, m.job_id, m.min_ntime.is_none()),
            MiningMessage::NewExtendedMiningJob(m) => {
                self.job(m.channel_id, m.job_id, m.min_ntime.is_none());
            }
            MiningMessage::SetNewPrevHash(m) => {
                for known in self.addressed(m.channel_id) {
                    assert_eq!(known.jobs.get(&m.job_id), Some(&true), "no future job");
                    known.jobs.retain(|job, _| *job == m.job_id);
                }
            }
            MiningMessage::SetGroupChannel(m) => {
                let group = m.group_channel_id;
                let is_known = self.channels.values().any(|channel| channel.group == group);
                assert!(is_known || self.used_ids.insert(group), "group {group} twice");
                for id in m.channel_ids.iter() {
                    self.channels.get_mut(&id).expect("an open channel").group = group;
                }
            }
            MiningMessage::SetTarget(m) => {
                let target = Target::from_le_bytes(m.maximum_target);
                self.addressed(m.channel_id).for_each(|known| known.target = target);
            }
            MiningMessage::SubmitSharesSuccess(m) => self.answered += u64::from(m.new_submits_accepted_count),
            MiningMessage::SubmitSharesError(_) => self.answered += u64::from(!self.planted),
            MiningMessage::UpdateChannelError(_)
            | MiningMessage::SetCustomMiningJobError(_)
            | MiningMessage::CloseChannel(_) => {}
            other => unreachable!("{other:?} from a server"),
        }
    }

    fn job(&mut self, address: u32, job_id: u32, is_future: bool) {
        let hardest = self.hardest;
        for known in self.addressed(address) {
            assert!(known.jobs.insert(job_id, is_future).is_none(), "job {job_id} twice");
            assert!(known.target >= hardest.harder(known.max_target), "harder than the source's");
        }
    }

    fn end(&mut self) {
        if !self.over {
            let waiting = self.waiting.len() as u64;
            if self.exact {
                assert_eq!(self.sent, self.answered + waiting, "a share without an answer");
            }
            assert_eq!(self.books.totals().submitted(), self.sent);
            assert_eq!(self.books.totals().pending, waiting);
        }
        self.machine.ended();
        for meter in &self.meters {
            let left = meter.hashrate();
            assert!(left.abs() <= 1e-3 * 1e12, "{left} h/s are left");
        }
    }
}

fn setup(flags: u32) -> SetupConnection<'static> {
    SetupConnection {
        protocol: 0,
        min_version: 2,
        max_version: 2,
        flags,
        endpoint_host: Str0255::EMPTY,
        endpoint_port: 0,
        vendor: Str0255::EMPTY,
        hardware_version: Str0255::EMPTY,
        firmware: Str0255::EMPTY,
        device_id: Str0255::EMPTY,
    }
}

/// From nothing over a few hashes and a farm to what is no hashrate.
fn rate(byte: u8) -> f32 {
    match byte {
        0..=63 => 0.0,
        250.. => [f32::NAN, f32::INFINITY, -1.0, f32::MIN_POSITIVE, 1e12, 1e9][usize::from(byte - 250)],
        other => f32::from(other),
    }
}

fn target_of(byte: u8) -> [u8; 32] {
    match byte {
        0..=127 => [0xff; 32],
        128 => [0; 32],
        129 => Target::MIN.to_le_bytes(),
        other => {
            let difficulty = f64::from(other) * 1e-10;
            Difficulty::new(difficulty).map_or(Target::MAX, Target::from_difficulty).to_le_bytes()
        }
    }
}

/// Work of one of two sources, on one of four tips, whose difficulty and prefix are what `how` says.
fn make_feed(job: u32, tip: u8, how: u8) -> Arc<Feed> {
    let source = u16::from(how >> 1 & 1);
    let prefix_bytes = vec![how; usize::from(how >> 2 & 7) + 1];
    let filler = [0; 2];
    let extranonce = prefix_bytes.len() + filler.len() + 8;
    let script = u8::try_from(4 + extranonce).expect("short");
    let prefix = [&[2, 0, 0, 0, 1][..], &[0; 32], &[0xff; 4], &[script], &[3, 1, 2, 3]].concat();
    let suffix = [&[0xff; 4][..], &[1], &[0; 8], &[1, 0x51], &[0; 4]].concat();
    let nbits = if how & 0x80 == 0 { 0x1d00_ffff } else { 0x207f_ffff };
    let parts = JobParts {
        id: job,
        version: 0x2000_0000,
        version_rolling_allowed: how & 0x60 != 0x60,
        prev_hash: [tip; 32],
        nbits,
        min_ntime: 1_700_000_000,
        merkle_path: vec![[5; 32]].into(),
        coinbase_tx_prefix: prefix.clone().into(),
        coinbase_tx_suffix: suffix.clone().into(),
    };
    let difficulty = 1e-9 * f64::from(1 + (how >> 5));
    let terms = ChannelTerms {
        source: work::SourceId(source),
        generation: u32::from(tip),
        extranonce_prefix: &prefix_bytes,
        filler: &filler,
        source_target: Difficulty::new(difficulty).map_or(Target::MAX, Target::from_difficulty),
        ntime_slack: 600,
        received_at: work::Seconds(0),
    };
    let made = Arc::new(Job::new(parts, extranonce).expect("a good job"));
    let key = ChannelKey { source: SourceId(source), connection: 1, channel_id: 1 };
    Arc::new(Feed {
        sequence: u64::from(job),
        channel: Arc::new(ChannelState::new(key)),
        generation: u32::from(tip),
        job: Arc::new(ChannelJob::new(made, terms).expect("it stands on the channel")),
        notify: Arc::new(sv1::notify::render_job(&[tip; 32], &prefix, &suffix, &[], 0x2000_0000, nbits)),
        received: Duration::ZERO,
    })
}
