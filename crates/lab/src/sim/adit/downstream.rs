//! A miner's machine, whichever protocol it speaks. All miners of the simulator speak SV1 lines; those that mine by SV2 have
//! somebody in between who speaks it to Adit's machine for them, one extended channel each: so the same miners, with the same
//! mischief and the same idea of what they may expect, try both machines.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use engine::books::{AccountKey, Books, Final, RejectReason};
use engine::miner::{CloseReason, Io, ListenerPolicy, Sv1Miner, Sv2Io, Sv2Miner};
use engine::{Answer, Feed, GroupId, GroupMeter, MinerRef, Now};
use sv1::{ErrorCode, Id, IdBuf, Method};
use sv2::common::SetupConnection;
use sv2::extensions::{RequestExtensions, UserIdentity, WORKER_HASHRATE_TRACKING};
use sv2::mining::{OpenExtendedMiningChannel, SubmitSharesExtended};
use sv2::{
    AnyMessage, B032, FrameHeader, Message, MiningMessage, Seq064K, Str0255, TlvByteOrder, write_frame,
    write_share_with_worker,
};
use work::{MinerId, Target};

/// The group that a translated miner's only channel is in, whatever the router calls it.
const GROUP: GroupId = GroupId(0);

/// See the module.
pub(in crate::sim) enum Downstream {
    Sv1(Box<Sv1Miner>),
    Sv2(Box<Translated>),
}

/// A future job, until it is activated.
struct FutureJob {
    id: u32,
    version: u32,
    prefix: Vec<u8>,
    suffix: Vec<u8>,
    path: Vec<[u8; 32]>,
}

/// An SV2 machine behind somebody who translates.
pub(in crate::sim) struct Translated {
    machine: Sv2Miner,
    policy: Arc<ListenerPolicy>,
    books: Arc<Books>,
    me: MinerRef,
    id: Option<MinerId>,
    subscribe: Option<IdBuf>,
    subscribed: bool,
    workers: Vec<Arc<str>>,
    mask: Option<u32>,
    channel_id: u32,
    tip: ([u8; 32], u32),
    future: Option<FutureJob>,
    versions: VecDeque<(u32, u32)>,
    sequence: u32,
    /// Submits without an answer, by their sequence numbers.
    open: VecDeque<(u32, IdBuf)>,
    /// The protocol was broken.
    broken: Option<String>,
}

impl Downstream {
    pub(super) fn new(
        is_sv2: bool,
        policy: Arc<ListenerPolicy>,
        books: Arc<Books>,
        me: MinerRef,
        now: Now,
    ) -> Self {
        if !is_sv2 {
            return Self::Sv1(Box::new(Sv1Miner::new(policy, books, me, now)));
        }
        let machine = Sv2Miner::new(Arc::clone(&policy), Arc::clone(&books), me, now);
        Self::Sv2(Box::new(Translated {
            machine,
            policy,
            books,
            me,
            id: None,
            subscribe: None,
            subscribed: false,
            workers: Vec::new(),
            mask: None,
            channel_id: 0,
            tip: ([0; 32], 0),
            future: None,
            versions: VecDeque::new(),
            sequence: 0,
            open: VecDeque::new(),
            broken: None,
        }))
    }

    pub(super) fn line(&mut self, line: &[u8], io: &mut Io<'_>) -> Result<(), CloseReason> {
        match self {
            Self::Sv1(machine) => machine.line(line, io),
            Self::Sv2(translated) => translated.line(line, io),
        }
    }

    pub(super) fn line_too_long(&mut self) -> Result<(), CloseReason> {
        Err(CloseReason::LineTooLong)
    }

    /// What is wrong with what the SV2 machine said.
    pub(super) fn take_broken(&mut self) -> Option<String> {
        match self {
            Self::Sv1(_) => None,
            Self::Sv2(translated) => translated.broken.take(),
        }
    }

    pub(super) fn wants_to_join(&self) -> bool {
        match self {
            Self::Sv1(machine) => machine.wants_to_join(),
            Self::Sv2(translated) => translated.machine.wants_to_join().is_some(),
        }
    }

    pub(super) fn identity(&self) -> Option<Arc<str>> {
        match self {
            Self::Sv1(machine) => machine.identity().cloned(),
            Self::Sv2(translated) => translated.workers.first().cloned(),
        }
    }

    pub(super) fn remember(&mut self, difficulty: f64) {
        match self {
            Self::Sv1(machine) => machine.remember(difficulty),
            Self::Sv2(translated) => translated.machine.remember(difficulty),
        }
    }

    pub(super) fn first_hashrate(&self) -> f64 {
        match self {
            Self::Sv1(machine) => machine.first_hashrate(),
            Self::Sv2(translated) => translated.machine.wants_to_join().map_or(0.0, |wish| wish.hashrate),
        }
    }

    pub(super) fn joined(
        &mut self,
        meter: Arc<GroupMeter>,
        metered: f64,
        feed: Option<Arc<Feed>>,
        io: &mut Io<'_>,
    ) {
        match self {
            Self::Sv1(machine) => machine.joined(meter, metered, feed, io),
            Self::Sv2(translated) => {
                let me = translated.me;
                let _ = translated.step(io, |machine, io| {
                    machine.joined((me, GROUP), meter, metered, feed.as_ref(), io);
                    Ok(())
                });
            }
        }
    }

    pub(super) fn feed(&mut self, feed: &Arc<Feed>, io: &mut Io<'_>) {
        match self {
            Self::Sv1(machine) => machine.feed(feed, io),
            Self::Sv2(translated) => {
                let _ = translated.step(io, |machine, io| {
                    machine.feed(GROUP, feed, io);
                    Ok(())
                });
            }
        }
    }

    /// The miner is in another group, whose work is to follow.
    pub(super) fn moved(&mut self, meter: Arc<GroupMeter>, io: &mut Io<'_>) {
        match self {
            Self::Sv1(machine) => machine.moved(meter),
            Self::Sv2(translated) => {
                let me = translated.me;
                let _ = translated.step(io, |machine, io| {
                    machine.moved(me, GROUP, meter, None, io);
                    Ok(())
                });
            }
        }
    }

    pub(super) fn answer(&mut self, answer: Answer, io: &mut Io<'_>) {
        match self {
            Self::Sv1(machine) => machine.answer(answer, io.out),
            Self::Sv2(translated) => {
                let _ = translated.step(io, |machine, io| {
                    machine.answer(answer, io.out);
                    Ok(())
                });
            }
        }
    }

    pub(super) fn timer(&mut self, io: &mut Io<'_>) -> Result<(), CloseReason> {
        match self {
            Self::Sv1(machine) => machine.timer(io),
            Self::Sv2(translated) => translated.step(io, Sv2Miner::timer),
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Sv1(machine) => machine.deadline(),
            Self::Sv2(translated) => translated.machine.deadline(),
        }
    }

    pub(super) fn tell(&self, text: &str, out: &mut Vec<u8>) {
        match self {
            Self::Sv1(machine) => machine.tell(text, out),
            Self::Sv2(translated) => {
                if translated.subscribed {
                    sv1::write_show_message(out, text);
                }
            }
        }
    }

    pub(super) fn ended(&mut self) {
        match self {
            Self::Sv1(machine) => machine.ended(),
            Self::Sv2(translated) => translated.machine.ended(),
        }
    }

    pub(super) fn miner_id(&self) -> Option<MinerId> {
        match self {
            Self::Sv1(machine) => machine.miner_id(),
            Self::Sv2(translated) => translated.id,
        }
    }

    pub(in crate::sim) fn hashrate(&self) -> f64 {
        match self {
            Self::Sv1(machine) => machine.hashrate(),
            Self::Sv2(translated) => translated.machine.hashrate(),
        }
    }

    /// What vardiff had learnt; to be asked when it has ended.
    pub(super) fn learnt_difficulty(&mut self) -> Option<f64> {
        match self {
            Self::Sv1(machine) => machine.learnt_difficulty(),
            Self::Sv2(translated) => translated.machine.take_left().first().and_then(|left| left.learnt),
        }
    }

    pub(super) fn relieve(&mut self, factor: f64) {
        match self {
            Self::Sv1(machine) => machine.relieve(factor),
            Self::Sv2(translated) => translated.machine.relieve(factor),
        }
    }
}

impl Translated {
    fn line(&mut self, line: &[u8], io: &mut Io<'_>) -> Result<(), CloseReason> {
        let request = match sv1::parse_request(line) {
            Ok(request) => request,
            Err(error) => {
                // No proxy passes that on.
                sv1::write_request_error(io.out, &error);
                return Ok(());
            }
        };
        let id = request.id;
        match request.method {
            Method::Submit(submit) => return self.submit(id, &submit, io),
            Method::Subscribe(_) if self.subscribe.is_none() => {
                self.subscribe = Some(id.to_owned());
                return self.open(io);
            }
            Method::Authorize { user, .. } => {
                let user: Arc<str> = Arc::from(user.trim());
                if !self.workers.contains(&user) {
                    self.workers.push(user);
                }
                sv1::write_true(io.out, id);
            }
            Method::Configure(wish) => {
                let rolling = wish.version_rolling.as_ref().map(|rolling| {
                    let mask = rolling.mask & self.policy.version_mask;
                    self.mask = Some(mask);
                    sv1::VersionRollingResult::Granted { mask }
                });
                let result = sv1::ConfigureResult {
                    version_rolling: rolling,
                    minimum_difficulty: wish.minimum_difficulty.map(|_| false),
                    subscribe_extranonce: None,
                    info: None,
                    unknown: &wish.unknown,
                };
                sv1::write_configure_result(io.out, id, &result);
            }
            Method::Pong | Method::Response { .. } => {}
            _ => sv1::write_true(io.out, id),
        }
        Ok(())
    }

    /// The whole set-up of the SV2 side.
    fn open(&mut self, io: &mut Io<'_>) -> Result<(), CloseReason> {
        let setup = SetupConnection {
            protocol: 0,
            min_version: 2,
            max_version: 2,
            flags: 0,
            endpoint_host: Str0255::EMPTY,
            endpoint_port: 0,
            vendor: Str0255::truncated("sim"),
            hardware_version: Str0255::EMPTY,
            firmware: Str0255::EMPTY,
            device_id: Str0255::EMPTY,
        };
        self.send(&setup, io)?;
        let extensions = [WORKER_HASHRATE_TRACKING];
        let requested_extensions = Seq064K::from_slice(&extensions).unwrap_or_default();
        self.send(&RequestExtensions { request_id: 1, requested_extensions }, io)?;
        let identity = self.workers.first().cloned().unwrap_or_else(|| Arc::from("farm.sv2"));
        let open = OpenExtendedMiningChannel {
            request_id: 1,
            user_identity: Str0255::truncated(&identity),
            nominal_hash_rate: 1.0,
            max_target: [0xff; 32],
            min_extranonce_size: u16::from(self.policy.extranonce2_size),
        };
        self.send(&open, io)?;
        self.id = self.machine.pending_miner_id();
        if self.id.is_none()
            && let Some(id) = self.subscribe.take()
        {
            sv1::write_error(io.out, id.as_id(), ErrorCode::Other, "Full: no channel");
            return Err(CloseReason::NoMinerId);
        }
        Ok(())
    }

    fn submit(&mut self, id: Id<'_>, submit: &sv1::Submit<'_>, io: &mut Io<'_>) -> Result<(), CloseReason> {
        // What a proxy refuses by itself.
        let why = if !self.subscribed {
            Some((RejectReason::NotSubscribed, ErrorCode::NotSubscribed))
        } else if !self.workers.iter().any(|worker| **worker == *submit.worker) {
            Some((RejectReason::Unauthorized, ErrorCode::Unauthorized))
        } else {
            None
        };
        if let Some((why, code)) = why {
            let key = AccountKey { listener: self.policy.id.0, route: self.policy.route.0, source: None };
            let tally = self.books.tally(&Arc::from("refused by the proxy"), key);
            tally.settle_at_once(self.me, Final::Rejected(why), 0.0, false);
            sv1::write_error(io.out, id, code, "refused by the proxy");
            return Ok(());
        }
        let job_id = match submit.job_id {
            sv1::JobId::Number(job_id) => job_id,
            sv1::JobId::Unparsable => u32::MAX,
        };
        let version = self.versions.iter().find(|(job, _)| *job == job_id).map_or(0, |(_, version)| *version);
        let mask = self.mask.unwrap_or(self.policy.version_mask);
        let bits = submit.version_bits.unwrap_or(0);
        let version = if bits & !mask == 0 {
            submit.version_bits.map_or(version, |bits| (version & !mask) | bits)
        } else {
            // Outside of what was granted: outside of what Adit allows, too.
            (version & !mask) ^ (bits | 1)
        };
        self.sequence += 1;
        self.open.push_back((self.sequence, id.to_owned()));
        let share = SubmitSharesExtended {
            channel_id: self.channel_id,
            sequence_number: self.sequence,
            job_id,
            nonce: submit.nonce,
            ntime: submit.ntime,
            version,
            extranonce: B032::new(submit.extranonce2.as_slice()).unwrap_or_default(),
        };
        let mut bytes = BytesMut::new();
        match UserIdentity::new(submit.worker.as_bytes()) {
            Ok(name) => write_share_with_worker(&share, name, TlvByteOrder::LittleEndian, &mut bytes),
            // The channel's own name is cut as Adit cuts it.
            Err(_) => write_frame(&share, &mut bytes),
        }
        self.frames(&bytes, io)
    }

    fn send<'a, M: Message<'a>>(&mut self, message: &M, io: &mut Io<'_>) -> Result<(), CloseReason> {
        let mut bytes = BytesMut::new();
        write_frame(message, &mut bytes);
        self.frames(&bytes, io)
    }

    fn frames(&mut self, bytes: &[u8], io: &mut Io<'_>) -> Result<(), CloseReason> {
        self.step(io, |machine, io| {
            let mut rest = bytes;
            while let Some((header, payload, after)) = FrameHeader::split(rest) {
                machine.frame(&header, payload, io)?;
                rest = after;
            }
            Ok(())
        })
    }

    /// Runs the machine and translates what it says.
    fn step(
        &mut self,
        io: &mut Io<'_>,
        work: impl FnOnce(&mut Sv2Miner, &mut Sv2Io<'_>) -> Result<(), CloseReason>,
    ) -> Result<(), CloseReason> {
        let mut frames = BytesMut::new();
        let mut sv2 = Sv2Io { now: io.now, out: &mut frames, shares: &mut *io.shares, ids: &mut *io.ids };
        let result = work(&mut self.machine, &mut sv2);
        self.machine.flush(&mut frames);
        let mut rest = &frames[..];
        while let Some((header, payload, after)) = FrameHeader::split(rest) {
            rest = after;
            match AnyMessage::decode(&header, payload) {
                Ok(AnyMessage::Mining(message)) => self.hear(&message, io.out),
                Ok(AnyMessage::Common(_) | AnyMessage::Extensions(_)) => {}
                other => self.broken = Some(format!("Adit sent {other:?}")),
            }
        }
        if !rest.is_empty() {
            self.broken = Some("Adit sent half a frame".to_owned());
        }
        result
    }

    fn hear(&mut self, message: &MiningMessage<'_>, out: &mut Vec<u8>) {
        match message {
            MiningMessage::OpenExtendedMiningChannelSuccess(m) => {
                self.channel_id = m.channel_id;
                self.subscribed = true;
                if let Some(id) = &self.subscribe {
                    let size = u8::try_from(m.extranonce_size).unwrap_or(u8::MAX);
                    sv1::write_subscribe_result(out, id.as_id(), "sv2", m.extranonce_prefix.as_slice(), size);
                }
                set_difficulty(m.target, out);
            }
            MiningMessage::SetTarget(m) => set_difficulty(m.maximum_target, out),
            MiningMessage::NewExtendedMiningJob(m) => {
                let job = FutureJob {
                    id: m.job_id,
                    version: m.version,
                    prefix: m.coinbase_tx_prefix.as_slice().to_vec(),
                    suffix: m.coinbase_tx_suffix.as_slice().to_vec(),
                    path: m.merkle_path.iter().collect(),
                };
                match m.min_ntime {
                    Some(ntime) => self.notify(&job, ntime, false, out),
                    None => self.future = Some(job),
                }
            }
            MiningMessage::SetNewPrevHash(m) => {
                self.tip = (m.prev_hash, m.nbits);
                match self.future.take().filter(|job| job.id == m.job_id) {
                    Some(job) => self.notify(&job, m.min_ntime, true, out),
                    None => self.broken = Some(format!("job {} is no future job", m.job_id)),
                }
            }
            MiningMessage::SubmitSharesSuccess(m) => {
                for _ in 0..m.new_submits_accepted_count {
                    match self.open.pop_front() {
                        Some((_, id)) => sv1::write_true(out, id.as_id()),
                        None => self.broken = Some("more shares were accepted than sent".to_owned()),
                    }
                }
            }
            MiningMessage::SubmitSharesError(m) => {
                let at = self.open.iter().position(|(sequence, _)| *sequence == m.sequence_number);
                match at.and_then(|at| self.open.remove(at)) {
                    Some((_, id)) => {
                        let (code, text) = as_sv1(&m.error_code.to_str_lossy());
                        sv1::write_error(out, id.as_id(), code, text);
                    }
                    None => self.broken = Some(format!("share {} was never sent", m.sequence_number)),
                }
            }
            MiningMessage::OpenMiningChannelError(_) | MiningMessage::CloseChannel(_) => {}
            other => self.broken = Some(format!("Adit sent {other:?}")),
        }
    }

    fn notify(&mut self, job: &FutureJob, ntime: u32, clean_jobs: bool, out: &mut Vec<u8>) {
        if self.versions.len() == 64 {
            self.versions.pop_front();
        }
        self.versions.push_back((job.id, job.version));
        let (prev_hash, nbits) = self.tip;
        let parts =
            sv1::notify::render_job(&prev_hash, &job.prefix, &job.suffix, &job.path, job.version, nbits);
        parts.write(out, job.id, &[], ntime, clean_jobs);
    }
}

/// As exactly as the target is: the shortest number that means it.
fn set_difficulty(target: [u8; 32], out: &mut Vec<u8>) {
    let difficulty = Target::from_le_bytes(target).difficulty().get();
    let line = format!("{{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[{difficulty:e}]}}\n");
    out.extend_from_slice(line.as_bytes());
}

/// As Adit says it by SV1.
fn as_sv1(code: &str) -> (ErrorCode, &'static str) {
    match code {
        "stale-share" => (ErrorCode::JobNotFound, "Stale share"),
        "invalid-job-id" => (ErrorCode::JobNotFound, "Job not found"),
        "duplicate-share" => (ErrorCode::DuplicateShare, "Duplicate share"),
        "difficulty-too-low" => (ErrorCode::LowDifficulty, "Low difficulty share"),
        "no-source" => (ErrorCode::Other, "No pool: the share cannot be credited"),
        "queue-full" => (ErrorCode::Other, "Overloaded: the share was not sent"),
        _ => (ErrorCode::Other, "Refused"),
    }
}
