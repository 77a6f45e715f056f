//! One connection of a simulated pool: set-up, channels, jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bytes::BytesMut;
use sv2::{AnyMessage, CommonMessage, ExtensionsMessage, MiningMessage, Tlvs, common, extensions, mining};

use super::job::{Body, JobRecord, JobTag};
use super::{Given, Pool, PoolAct, PoolIo, PoolTimer, say, text};
use crate::pow;
use crate::sim::link::LinkId;
use crate::sim::plan::{EASIEST, Extensions, NETWORK_BITS};
use crate::sim::tally::Message;
use crate::sim::time::{Micros, SECOND, unix};

/// Jobs on tips before this many tips ago are forgotten: their shares are for an unknown job.
const STALE_TIPS: usize = 3;
/// UpdateChannel within ten seconds, with room for what a paused link delivers at once.
const MOST_UPDATES: usize = 24;

/// One connection.
#[derive(Debug)]
pub(in crate::sim) struct PoolConnection {
    pub(in crate::sim) number: u32,
    pub(in crate::sim) link: LinkId,
    /// Bytes that came and are no whole frame yet.
    pub(in crate::sim) input: Vec<u8>,
    /// Bytes to be sent.
    pub(in crate::sim) out: BytesMut,
    pub(in crate::sim) authenticated: bool,
    /// What channels of this connection roll.
    pub(super) extranonce_size: u16,
    pub(in crate::sim) is_set_up: bool,
    pub(super) names: bool,
    /// Adit selects the work itself.
    pub(super) work_selection: bool,
    pub(in crate::sim) channels: BTreeMap<u32, PoolChannel>,
    /// New channels get this group.
    group: u32,
    next_id: u32,
    pub(super) next_job: u32,
    /// A future job that every channel has.
    announced: Option<u32>,
    /// Answers to shares go out in their order.
    pub(super) answered_at: Micros,
    /// Channels that Adit closed.
    pub(super) left: BTreeSet<u32>,
}

/// One channel.
#[derive(Debug)]
pub(in crate::sim) struct PoolChannel {
    pub(super) group: u32,
    pub(in crate::sim) prefix: Vec<u8>,
    pub(super) extranonce_size: u16,
    pub(super) nominal: f64,
    pub(super) max_target: [u8; 32],
    /// In force for what becomes active from now on.
    pub(in crate::sim) target: [u8; 32],
    pub(in crate::sim) difficulty: f64,
    pub(super) jobs: BTreeMap<u32, JobRecord>,
    /// Future jobs with the prefix in force when they were sent.
    pub(super) future: BTreeMap<u32, (Rc<Body>, Vec<u8>)>,
    pub(super) seen: BTreeSet<[u8; 32]>,
    pub(super) unanswered: u32,
    pub(super) unanswered_work: f64,
    pub(super) last_accepted: u32,
    pub(super) flush_is_due: bool,
    /// When it was updated, lately.
    updates: Vec<Micros>,
    /// By how many tips a stale job is old.
    ages: BTreeMap<u32, usize>,
}

impl PoolConnection {
    pub(super) fn new(number: u32, link: LinkId, authenticated: bool, extranonce_size: u16) -> Self {
        Self {
            number,
            link,
            input: Vec::new(),
            out: BytesMut::new(),
            authenticated,
            extranonce_size,
            is_set_up: false,
            names: false,
            work_selection: false,
            channels: BTreeMap::new(),
            group: 1,
            next_id: 1,
            next_job: 0,
            announced: None,
            answered_at: 0,
            left: BTreeSet::new(),
        }
    }

    /// Whether there ever was such a channel.
    pub(super) fn was_opened(&self, id: u32) -> bool {
        id > 1 && id < self.next_id
    }

    /// Where jobs for all go: the groups, or each channel by itself.
    fn addresses(&self, grouped: bool) -> Vec<(u32, Vec<u32>)> {
        if !grouped {
            return self.channels.keys().map(|id| (*id, vec![*id])).collect();
        }
        let mut groups: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (id, channel) in &self.channels {
            groups.entry(channel.group).or_default().push(*id);
        }
        groups.into_iter().collect()
    }
}

impl PoolChannel {
    /// A job becomes active with the target in force now.
    pub(super) fn activate(&mut self, id: u32, body: Rc<Body>, prefix: Vec<u8>, pool: (super::NetTip, u32)) {
        let record = JobRecord {
            body,
            prefix,
            tip: pool.0,
            min_ntime: pool.1,
            target: self.target,
            difficulty: self.difficulty,
            stale: false,
        };
        self.jobs.insert(id, record);
    }

    /// Jobs on another tip than this are stale; with `named`, those on the same tip are too: the message says that only the
    /// named job is valid.
    fn age(&mut self, tip: super::NetTip, named: Option<u32>) {
        for (job, record) in &mut self.jobs {
            if record.tip != tip || named.is_some_and(|named| named != *job) {
                record.stale = true;
                *self.ages.entry(*job).or_default() += 1;
            }
        }
        let ages = &self.ages;
        self.jobs.retain(|job, _| ages.get(job).is_none_or(|age| *age <= STALE_TIPS));
        self.seen.clear();
    }

    fn set_difficulty(&mut self, difficulty: f64) {
        let wish = pow::Target::from_difficulty(difficulty.max(EASIEST)).to_le_bytes();
        // No easier than the client can work with.
        let is_harder = |a: &[u8; 32], b: &[u8; 32]| a.iter().rev().lt(b.iter().rev());
        self.target = if is_harder(&self.max_target, &wish) { self.max_target } else { wish };
        let one = bitcoin::Target::from_le_bytes(self.target);
        self.difficulty = one.difficulty_float();
    }
}

impl Pool {
    pub(super) fn message(
        &mut self,
        at: usize,
        message: &AnyMessage<'_>,
        tlvs: &Tlvs<'_>,
        io: &mut PoolIo<'_>,
    ) {
        let is_set_up = self.connections[at].is_set_up;
        match message {
            AnyMessage::Common(CommonMessage::SetupConnection(setup)) => self.on_setup(at, setup, io),
            _ if !is_set_up => {
                io.acts.push(PoolAct::Complain(format!("{} before the set-up was done", message.name())));
            }
            AnyMessage::Extensions(ExtensionsMessage::RequestExtensions(request)) => {
                self.on_extensions(at, request, io);
            }
            AnyMessage::Mining(MiningMessage::OpenExtendedMiningChannel(open)) => self.on_open(at, open, io),
            AnyMessage::Mining(MiningMessage::UpdateChannel(update)) => self.on_update(at, update, io),
            AnyMessage::Mining(MiningMessage::CloseChannel(close)) => {
                io.tally.message(Message::CloseChannelUp);
                let connection = &mut self.connections[at];
                if connection.channels.remove(&close.channel_id).is_some() {
                    connection.left.insert(close.channel_id);
                }
            }
            AnyMessage::Mining(MiningMessage::SetCustomMiningJob(job)) => self.on_custom_job(at, job, io),
            AnyMessage::Mining(MiningMessage::SubmitSharesExtended(share)) => {
                self.on_share(at, share, tlvs, io)
            }
            other => io.acts.push(PoolAct::Complain(format!("Adit sent {}", other.name()))),
        }
    }

    fn on_setup(&mut self, at: usize, setup: &common::SetupConnection<'_>, io: &mut PoolIo<'_>) {
        io.tally.message(Message::SetupConnection);
        let connection = &mut self.connections[at];
        if self.mood.silent_setup {
            return;
        }
        let flags = mining::REQUIRES_VERSION_ROLLING;
        connection.work_selection = setup.flags & mining::REQUIRES_WORK_SELECTION != 0;
        let is_odd = connection.work_selection != self.plan.work_selection;
        if setup.protocol != common::PROTOCOL_MINING || setup.flags & flags == 0 || is_odd {
            io.acts.push(PoolAct::Complain(format!("an unexpected SetupConnection: {setup:?}")));
        }
        if self.mood.setup_refused {
            let error_code = text(io.rng.pick::<&str>(&[
                "unsupported-feature-flags",
                "unsupported-protocol",
                "\u{1}bad\n",
            ]));
            let error = common::SetupConnectionError { flags: 0, error_code };
            say(&mut connection.out, &error, Message::SetupError, io.tally);
            io.acts.push(PoolAct::Close(connection.link));
            return;
        }
        connection.is_set_up = true;
        let success = common::SetupConnectionSuccess { used_version: 2, flags: 0 };
        say(&mut connection.out, &success, Message::SetupSuccess, io.tally);
    }

    fn on_extensions(&mut self, at: usize, request: &extensions::RequestExtensions<'_>, io: &mut PoolIo<'_>) {
        io.tally.message(Message::RequestExtensions);
        let connection = &mut self.connections[at];
        let request_id = request.request_id;
        let names = [extensions::WORKER_HASHRATE_TRACKING];
        let seq = |ids| sv2::Seq064K::from_slice(ids).expect("one id at most");
        match self.plan.extensions {
            _ if self.mood.silent_extensions => {}
            Extensions::Silent => {}
            Extensions::WorkerNames | Extensions::Nothing => {
                connection.names = self.plan.extensions == Extensions::WorkerNames;
                let supported_extensions = seq(if connection.names { &names } else { &names[..0] });
                let success = extensions::RequestExtensionsSuccess { request_id, supported_extensions };
                say(&mut connection.out, &success, Message::ExtensionsSuccess, io.tally);
            }
            Extensions::Refuses => {
                let error = extensions::RequestExtensionsError {
                    request_id,
                    unsupported_extensions: seq(&names),
                    required_extensions: seq(&names[..0]),
                };
                say(&mut connection.out, &error, Message::ExtensionsError, io.tally);
            }
        }
    }

    fn on_open(&mut self, at: usize, open: &mining::OpenExtendedMiningChannel<'_>, io: &mut PoolIo<'_>) {
        io.tally.message(Message::OpenExtended);
        if self.mood.silent_open {
            return;
        }
        let request_id = open.request_id;
        let nominal = f64::from(open.nominal_hash_rate);
        if !nominal.is_finite() || nominal < 0.0 {
            io.acts.push(PoolAct::Complain(format!("a nominal hashrate of {nominal}")));
        }
        let connection = &mut self.connections[at];
        if self.mood.open_refused || open.min_extranonce_size > self.plan.extranonce_size {
            let error_code = text("unknown-user");
            let error = mining::OpenMiningChannelError { request_id, error_code };
            say(&mut connection.out, &error, Message::OpenError, io.tally);
            return;
        }
        let id = connection.next_id + 1;
        connection.next_id = id + 1;
        // Unique for the pool's life: who has another's prefix would search its space.
        let mut prefix = vec![u8::try_from(self.index).unwrap_or(u8::MAX)];
        prefix.extend_from_slice(&connection.number.to_be_bytes()[2..]);
        prefix.extend_from_slice(&id.to_be_bytes()[2..]);
        prefix.resize(self.plan.prefix_len, 0);
        let extranonce_size = connection.extranonce_size;
        let mut channel = PoolChannel {
            group: connection.group,
            prefix,
            extranonce_size,
            nominal,
            max_target: open.max_target,
            target: [0xff; 32],
            difficulty: 0.0,
            jobs: BTreeMap::new(),
            future: BTreeMap::new(),
            seen: BTreeSet::new(),
            unanswered: 0,
            unanswered_work: 0.0,
            last_accepted: 0,
            flush_is_due: false,
            updates: Vec::new(),
            ages: BTreeMap::new(),
        };
        let ideal = nominal * 60.0 / self.plan.shares_per_minute / 4_294_967_296.0;
        channel.set_difficulty(ideal.clamp(EASIEST, 1e-6));
        let success = mining::OpenExtendedMiningChannelSuccess {
            request_id,
            channel_id: id,
            target: channel.target,
            extranonce_size,
            extranonce_prefix: sv2::B032::new(&channel.prefix).expect("at most 32 bytes"),
            group_channel_id: connection.group,
        };
        say(&mut connection.out, &success, Message::OpenSuccess, io.tally);
        connection.channels.insert(id, channel);
        // The new channel does not have the job that was announced to the others.
        connection.announced = None;
        if connection.work_selection {
            self.note_prefix(at, id, io.now);
            return;
        }
        if self.mood.silent_job {
            return;
        }
        let (job, body) = self.make_job(at, self.tip.height + 1, io);
        self.send_future(at, id, &[id], job, &body, io);
        self.send_prev_hash(at, id, &[id], job, io);
        if io.rng.chance(0.2) {
            // Some pools correct the target at once, which holds for later jobs only.
            self.set_target(at, id, 1.0, io);
        }
    }

    fn on_update(&mut self, at: usize, update: &mining::UpdateChannel, io: &mut PoolIo<'_>) {
        io.tally.message(Message::UpdateChannel);
        let connection = &mut self.connections[at];
        let Some(channel) = connection.channels.get_mut(&update.channel_id) else {
            // It may have crossed our CloseChannel.
            return;
        };
        if self.mood.update_refused {
            let error_code = text("invalid-channel-id");
            let error = mining::UpdateChannelError { channel_id: update.channel_id, error_code };
            say(&mut connection.out, &error, Message::UpdateError, io.tally);
            return;
        }
        channel.updates.retain(|t| *t + 10 * SECOND > io.now);
        channel.updates.push(io.now);
        if channel.updates.len() > MOST_UPDATES {
            io.acts.push(PoolAct::Complain("UpdateChannel more than once a second".into()));
        }
        let nominal = f64::from(update.nominal_hash_rate);
        if !nominal.is_finite() || nominal < 0.0 {
            io.acts.push(PoolAct::Complain(format!("a nominal hashrate of {nominal}")));
        }
        channel.nominal = nominal;
        channel.max_target = update.maximum_target;
        let timer = PoolTimer::Retarget { connection: connection.number, channel: update.channel_id };
        io.acts.push(PoolAct::Later(io.now + self.plan.retarget_after, timer));
    }

    /// SetTarget for a channel: the hashrate's difficulty times `factor`.
    pub(in crate::sim) fn set_target(&mut self, at: usize, id: u32, factor: f64, io: &mut PoolIo<'_>) {
        let Some(channel) = self.connections[at].channels.get(&id) else {
            return;
        };
        let difficulty = self.difficulty_for(channel.nominal) * factor;
        let connection = &mut self.connections[at];
        let Some(channel) = connection.channels.get_mut(&id) else {
            return;
        };
        channel.set_difficulty(difficulty);
        let message = mining::SetTarget { channel_id: id, maximum_target: channel.target };
        say(&mut connection.out, &message, Message::SetTarget, io.tally);
        self.note_prefix(at, id, io.now);
    }

    fn make_job(&mut self, at: usize, height: u32, io: &mut PoolIo<'_>) -> (u32, Rc<Body>) {
        let connection = &mut self.connections[at];
        connection.next_job += 1;
        let job_id = connection.next_job;
        let tag = JobTag {
            pool: u8::try_from(self.index).unwrap_or(u8::MAX),
            connection: connection.number,
            job_id,
        };
        let extranonce = self.plan.prefix_len + usize::from(connection.extranonce_size);
        (job_id, Rc::new(Body::new(tag, height, extranonce, io.rng)))
    }

    fn send_future(
        &mut self,
        at: usize,
        address: u32,
        members: &[u32],
        job_id: u32,
        body: &Rc<Body>,
        io: &mut PoolIo<'_>,
    ) {
        self.send_body(at, address, job_id, body, None, io);
        let connection = &mut self.connections[at];
        for id in members {
            if let Some(channel) = connection.channels.get_mut(id) {
                channel.future.insert(job_id, (Rc::clone(body), channel.prefix.clone()));
            }
        }
    }

    fn send_body(
        &mut self,
        at: usize,
        address: u32,
        job_id: u32,
        body: &Body,
        min_ntime: Option<u32>,
        io: &mut PoolIo<'_>,
    ) {
        let connection = &mut self.connections[at];
        let message = mining::NewExtendedMiningJob {
            channel_id: address,
            job_id,
            min_ntime,
            version: body.version,
            version_rolling_allowed: true,
            merkle_path: sv2::Seq0255::from_slice(&body.merkle_path).expect("a few steps"),
            coinbase_tx_prefix: sv2::B064K::new(&body.prefix).expect("a short coinbase"),
            coinbase_tx_suffix: sv2::B064K::new(&body.suffix).expect("a short coinbase"),
        };
        let kind = if min_ntime.is_none() { Message::FutureJob } else { Message::ActiveJob };
        say(&mut connection.out, &message, kind, io.tally);
        if !connection.channels.contains_key(&address) {
            io.tally.message(Message::GroupJob);
        }
    }

    /// SetNewPrevHash with a future job that was sent before.
    fn send_prev_hash(&mut self, at: usize, address: u32, members: &[u32], job_id: u32, io: &mut PoolIo<'_>) {
        let (tip, min_ntime) = (self.tip, self.min_ntime());
        let connection = &mut self.connections[at];
        let message = mining::SetNewPrevHash {
            channel_id: address,
            job_id,
            prev_hash: tip.hash,
            min_ntime,
            nbits: NETWORK_BITS,
        };
        say(&mut connection.out, &message, Message::SetNewPrevHash, io.tally);
        for id in members {
            let Some(channel) = connection.channels.get_mut(id) else {
                continue;
            };
            channel.age(tip, Some(job_id));
            let Some((body, prefix)) = channel.future.remove(&job_id) else {
                continue;
            };
            channel.future.clear();
            channel.activate(job_id, body, prefix, (tip, min_ntime));
        }
        self.note_given(at, members, job_id, io.now);
    }

    fn note_given(&mut self, at: usize, members: &[u32], job_id: u32, now: Micros) {
        let connection = &self.connections[at];
        for id in members {
            let Some(record) = connection.channels.get(id).and_then(|c| c.jobs.get(&job_id)) else {
                continue;
            };
            let given = Given {
                difficulty: record.difficulty,
                authenticated: connection.authenticated,
                tip: record.tip,
                min_ntime: record.min_ntime,
                at: now,
            };
            self.given.insert((connection.number, job_id, record.prefix.clone()), given);
        }
    }

    /// A job on the present tip, for all channels or for one.
    pub(in crate::sim) fn send_job(&mut self, at: usize, only: Option<u32>, io: &mut PoolIo<'_>) {
        if self.mood.silent_job || self.connections[at].work_selection {
            return;
        }
        let mut addresses = match only {
            Some(id) => vec![(id, vec![id])],
            None => self.connections[at].addresses(self.plan.grouped),
        };
        // Channels that were opened while the pool was silent have no tip, and get no active job.
        for (address, members) in &mut addresses {
            let channels = &self.connections[at].channels;
            if members.iter().any(|id| channels.get(id).is_none_or(|c| c.jobs.is_empty())) {
                members.clear();
                *address = 0;
            }
        }
        for (address, members) in addresses.into_iter().filter(|(_, members)| !members.is_empty()) {
            let (job_id, body) = self.make_job(at, self.tip.height + 1, io);
            let min_ntime = self.min_ntime().max(unix(io.now));
            self.send_body(at, address, job_id, &body, Some(min_ntime), io);
            let tip = self.tip;
            for id in &members {
                if let Some(channel) = self.connections[at].channels.get_mut(id) {
                    channel.activate(job_id, Rc::clone(&body), channel.prefix.clone(), (tip, min_ntime));
                }
            }
            self.note_given(at, &members, job_id, io.now);
        }
    }

    /// A future job for everybody, long before its tip.
    pub(in crate::sim) fn announce(&mut self, at: usize, io: &mut PoolIo<'_>) {
        let connection = &self.connections[at];
        if self.mood.silent_job || connection.channels.is_empty() || connection.work_selection {
            return;
        }
        let addresses = self.connections[at].addresses(self.plan.grouped);
        let (job_id, body) = self.make_job(at, self.tip.height + 2, io);
        for (address, members) in addresses {
            self.send_future(at, address, &members, job_id, &body, io);
        }
        self.connections[at].announced = Some(job_id);
    }

    pub(super) fn send_tip(&mut self, at: usize, io: &mut PoolIo<'_>) {
        if self.connections[at].work_selection {
            // Nothing is sent; jobs on the old tip are stale all the same.
            let tip = self.tip;
            self.connections[at].channels.values_mut().for_each(|channel| channel.age(tip, None));
            return;
        }
        if self.mood.silent_job {
            return;
        }
        let addresses = self.connections[at].addresses(self.plan.grouped);
        let announced = self.connections[at].announced.take().filter(|job| {
            self.connections[at].channels.values().all(|channel| channel.future.contains_key(job))
        });
        let fresh = match announced {
            Some(_) => None,
            None => Some(self.make_job(at, self.tip.height + 1, io)),
        };
        for (address, members) in addresses {
            let job_id = match (&fresh, announced) {
                (Some((job, body)), _) => {
                    self.send_future(at, address, &members, *job, body, io);
                    *job
                }
                (None, Some(job)) => job,
                (None, None) => continue,
            };
            self.send_prev_hash(at, address, &members, job_id, io);
        }
    }

    /// SetExtranoncePrefix for every channel: the last byte counts.
    pub(in crate::sim) fn change_prefixes(&mut self, io: &mut PoolIo<'_>) {
        for at in 0..self.connections.len() {
            let ids: Vec<u32> = self.connections[at].channels.keys().copied().collect();
            for id in ids {
                self.change_prefix(at, id, io);
            }
        }
    }

    /// SetExtranoncePrefix for a channel.
    pub(super) fn change_prefix(&mut self, at: usize, id: u32, io: &mut PoolIo<'_>) {
        let connection = &mut self.connections[at];
        let Some(channel) = connection.channels.get_mut(&id) else {
            return;
        };
        if let Some(last) = channel.prefix.last_mut() {
            *last = last.wrapping_add(1);
        }
        let message = mining::SetExtranoncePrefix {
            channel_id: id,
            extranonce_prefix: sv2::B032::new(&channel.prefix).expect("at most 32 bytes"),
        };
        say(&mut connection.out, &message, Message::SetExtranoncePrefix, io.tally);
        self.note_prefix(at, id, io.now);
    }

    /// SetGroupChannel: all channels, or every other one, get a new group.
    pub(in crate::sim) fn regroup(&mut self, io: &mut PoolIo<'_>) {
        let all = io.rng.chance(0.5);
        for connection in &mut self.connections {
            let ids: Vec<u32> = connection
                .channels
                .keys()
                .copied()
                .enumerate()
                .filter(|(n, _)| all || n % 2 == 0)
                .map(|(_, id)| id)
                .collect();
            if ids.is_empty() {
                continue;
            }
            connection.next_id += 1;
            let group = connection.next_id;
            connection.group = group;
            for id in &ids {
                if let Some(channel) = connection.channels.get_mut(id) {
                    channel.group = group;
                }
            }
            let channel_ids = sv2::Seq064K::from_slice(&ids).expect("a few channels");
            let message = mining::SetGroupChannel { group_channel_id: group, channel_ids };
            say(&mut connection.out, &message, Message::SetGroupChannel, io.tally);
        }
    }

    /// CloseChannel for one channel, or a whole group.
    pub(in crate::sim) fn close_channel(&mut self, io: &mut PoolIo<'_>) {
        let grouped = self.plan.grouped && io.rng.chance(0.5);
        for connection in &mut self.connections {
            let Some(first) = connection.channels.keys().next().copied() else {
                continue;
            };
            let group = connection.channels[&first].group;
            let channel_id = if grouped { group } else { first };
            connection.channels.retain(|id, c| if grouped { c.group != group } else { *id != first });
            let message = mining::CloseChannel { channel_id, reason_code: text("maintenance") };
            say(&mut connection.out, &message, Message::CloseChannelDown, io.tally);
        }
    }
}
