//! What each fault does.

use bytes::{BufMut, BytesMut};
use sv2::{common, mining};

use super::adit::RouterMessage;
use super::faults::{Fault, FaultKind, Victim};
use super::link::{Arrivals, End, LinkId};
use super::pool::job::NetTip;
use super::pool::{Pool, PoolIo};
use super::tally::Message;
use super::time::{MILLI, Micros, SECOND};
use super::world::{Event, Owner, World};

/// TCP notices a dead peer after this (keep-alive and user timeout), at the latest.
pub(super) const DEAD_PEER: Micros = 30 * SECOND;

impl World {
    fn fault(&self, number: usize) -> Fault {
        self.plan.faults[number]
    }

    /// Frames of a pool's own making, whatever they are, on its newest connection.
    fn inject(&mut self, at: usize, make: impl FnOnce(&mut Pool, &mut BytesMut, &mut PoolIo<'_>)) -> bool {
        let mut done = false;
        self.with_pool(at, |pool, io| {
            let mut bytes = BytesMut::new();
            if pool.connections.is_empty() {
                return;
            }
            make(pool, &mut bytes, io);
            if let Some(connection) = pool.connections.last_mut() {
                connection.out.extend_from_slice(&bytes);
                done = true;
            }
        });
        done
    }

    fn pool_link(&self, at: usize) -> Option<LinkId> {
        self.pools[at].connections.last().map(|c| c.link)
    }

    /// Begins a fault. What does not find its victim does not count.
    pub(super) fn begin(&mut self, number: usize) {
        let fault = self.fault(number);
        self.trace(|| {
            format!("FAULT {} {:?} until {:.1}", fault.kind.name(), fault.victim, fault.until as f64 / 1e6)
        });
        let done = match fault.victim {
            Victim::Pool(at) => {
                self.fall_ill(at);
                self.draw_luck(at);
                self.begin_pool(fault.kind, at, fault.until)
            }
            Victim::Miner(at) => self.begin_miner(number, fault.kind, at),
            Victim::All => self.begin_all(number, fault),
        };
        if done {
            self.tally.fault(fault.kind);
        }
        self.events.at(fault.until, Event::Over(number));
    }

    fn fall_ill(&mut self, at: usize) {
        self.pools[at].ill += 1;
        self.pools[at].well_since = None;
    }

    fn recover(&mut self, at: usize) {
        let now = self.now;
        let pool = &mut self.pools[at];
        pool.ill -= 1;
        if pool.ill == 0 {
            pool.well_since = Some(now);
        }
    }

    fn begin_pool(&mut self, kind: FaultKind, at: usize, until: Micros) -> bool {
        let link = self.pool_link(at);
        let mood = &mut self.pools[at].mood;
        match kind {
            FaultKind::SilentHandshake => mood.silent_handshake = true,
            FaultKind::SilentSetup => mood.silent_setup = true,
            FaultKind::SilentExtensions => mood.silent_extensions = true,
            FaultKind::SilentOpen => mood.silent_open = true,
            FaultKind::SilentJob => mood.silent_job = true,
            FaultKind::ConnectRefused => mood.refuses_connections = true,
            FaultKind::SetupRefused => mood.setup_refused = true,
            FaultKind::OpenRefused => mood.open_refused = true,
            FaultKind::SmallExtranonce => mood.small_extranonce = true,
            FaultKind::Unauthenticated => mood.unauthenticated = true,
            FaultKind::UpdateRefused => mood.update_refused = true,
            FaultKind::LateAcks => mood.late_acks = true,
            FaultKind::BatchedAcks => mood.large_batches = true,
            FaultKind::LateErrors => mood.late_errors = true,
            FaultKind::NeverAck => mood.never_ack = true,
            FaultKind::RefuseAll => {
                let codes = ["invalid-share", "difficulty-too-low", "duplicate-share", "out-of-coffee"];
                mood.refuse_all = Some(codes[usize::try_from(until % 4).unwrap_or(0)]);
            }
            FaultKind::PoolDoesNotRead => mood.does_not_read = true,
            _ if kind.is_of_declaration() => return self.begin_declaration(kind, at),
            _ => return self.strike_pool(kind, at, link),
        }
        // Those of the set-up only show with a new connection.
        if kind <= FaultKind::Unauthenticated
            && kind >= FaultKind::SilentHandshake
            && let Some(link) = link
        {
            self.reset_link(link);
        }
        true
    }

    /// Faults that are a moment.
    fn strike_pool(&mut self, kind: FaultKind, at: usize, link: Option<LinkId>) -> bool {
        match kind {
            FaultKind::NewTip => {
                self.network_block();
                return true;
            }
            FaultKind::TwoTips => {
                self.network_block();
                let after = self.rng.range(MILLI, 900 * MILLI);
                self.events.at(self.now + after, Event::Block);
                return true;
            }
            FaultKind::TipFlap => {
                let Some(last) = self.tips.last().copied() else {
                    return false;
                };
                let other = NetTip { hash: self.rng.hash(), height: last.height };
                self.publish_tip(other);
                self.publish_tip_later(last, 2 * SECOND);
                return true;
            }
            FaultKind::Reorg => {
                let depth = usize::try_from(self.rng.range(1, 3)).unwrap_or(1);
                let Some(old) = self.tips.iter().rev().nth(depth).copied() else {
                    return false;
                };
                for n in 1..=u32::try_from(depth).unwrap_or(1) + 1 {
                    let tip = NetTip { hash: self.rng.hash(), height: old.height + n };
                    self.publish_tip_later(tip, u64::from(n) * 400 * MILLI);
                }
                return true;
            }
            _ => {}
        }
        let Some(link) = link else { return false };
        match kind {
            FaultKind::LinkFin => {
                self.pools[at].forget(link, self.now);
                self.close_link(link, End::Peer);
                true
            }
            FaultKind::LinkReset => {
                self.reset_link(link);
                true
            }
            FaultKind::HalfOpen => {
                if let Some(l) = self.links.get_mut(link) {
                    l.fall_silent();
                }
                let dead = self.rng.range(20 * SECOND, DEAD_PEER);
                self.events.at(self.now + dead, Event::Broken(link, End::Adit));
                self.events.at(self.now + dead + 10 * SECOND, Event::Broken(link, End::Peer));
                true
            }
            FaultKind::LinkPause => {
                if let Some(l) = self.links.get_mut(link) {
                    l.fall_silent();
                }
                true
            }
            FaultKind::GarbageFrames => self.inject(at, |_, bytes, io| {
                bytes.extend_from_slice(&io.rng.bytes(200));
            }),
            FaultKind::TruncatedFrame => self.inject(at, |_, bytes, io| {
                // A whole frame by its header, whose message needs more than that.
                let kind = *io.rng.pick(&[0x14, 0x1c, 0x1f, 0x20, 0x21]);
                bytes.put_slice(&[0, 0x80, kind, 5, 0, 0, 1, 2, 3, 4, 5]);
            }),
            FaultKind::OversizedFrame => self.inject(at, |_, bytes, _| {
                bytes.put_slice(&[0, 0x80, 0x1f, 0xff, 0xff, 0xff]);
                bytes.put_bytes(0, 1000);
            }),
            FaultKind::UnknownMessages => self.inject(at, |_, bytes, _| {
                bytes.put_slice(&[0, 0, 0x7e, 3, 0, 0, 1, 2, 3]);
                bytes.put_slice(&[0x42, 0x40, 0x01, 2, 0, 0, 9, 9]);
                bytes.put_slice(&[0, 0x80, 0x6f, 4, 0, 0, 1, 0, 0, 0]);
            }),
            FaultKind::WrongChannel => self.inject(at, wrong_channel),
            FaultKind::WrongOrder => self.inject(at, |pool, bytes, _| {
                if let Some(connection) = pool.connections.last_mut() {
                    connection.is_set_up = true;
                }
                let again = common::SetupConnectionSuccess { used_version: 2, flags: 0 };
                sv2::write_frame(&again, bytes);
            }),
            FaultKind::ZeroTarget => self.inject(at, |pool, bytes, _| {
                let id = pool.connections.last().and_then(|c| c.channels.keys().next().copied()).unwrap_or(1);
                let message = mining::SetTarget { channel_id: id, maximum_target: [0; 32] };
                sv2::write_frame(&message, bytes);
            }),
            FaultKind::BadJob => self.inject(at, bad_job),
            FaultKind::TargetRaised => self.retarget(at, 0.3),
            FaultKind::TargetLowered => self.retarget(at, 3.0),
            FaultKind::PrefixChange => {
                self.with_pool(at, |pool, io| {
                    if io.rng.chance(0.5) {
                        for n in 0..pool.connections.len() {
                            pool.announce(n, io);
                        }
                    }
                    pool.change_prefixes(io);
                });
                true
            }
            FaultKind::Regroup => {
                self.with_pool(at, Pool::regroup);
                true
            }
            FaultKind::PoolClosesChannel => {
                self.with_pool(at, Pool::close_channel);
                true
            }
            FaultKind::Reconnect | FaultKind::ReconnectAway => {
                let host = match kind {
                    FaultKind::Reconnect if self.rng.chance(0.5) => String::new(),
                    FaultKind::Reconnect => super::adit::host_of(at),
                    _ => "elsewhere.example".to_owned(),
                };
                self.inject(at, |_, bytes, io| {
                    io.tally.message(Message::Reconnect);
                    let new_host = sv2::Str0255::truncated(&host);
                    sv2::write_frame(&common::Reconnect { new_host, new_port: 0 }, bytes);
                })
            }
            FaultKind::EndpointChanged => self.inject(at, |pool, bytes, io| {
                io.tally.message(Message::EndpointChanged);
                let id = pool.connections.last().and_then(|c| c.channels.keys().next().copied()).unwrap_or(1);
                sv2::write_frame(&common::ChannelEndpointChanged { channel_id: id }, bytes);
            }),
            FaultKind::StrayAcks => {
                self.with_pool(at, Pool::stray_answers);
                true
            }
            _ => false,
        }
    }

    fn publish_tip_later(&mut self, tip: NetTip, after: Micros) {
        let place = u32::try_from(self.tips.len()).unwrap_or(u32::MAX);
        self.tips.push(tip);
        self.spread_tip(place, after);
    }

    fn retarget(&mut self, at: usize, factor: f64) -> bool {
        self.with_pool(at, |pool, io| {
            for n in 0..pool.connections.len() {
                let ids: Vec<u32> = pool.connections[n].channels.keys().copied().collect();
                for id in ids {
                    pool.set_target(n, id, factor, io);
                }
                if io.rng.chance(0.5) {
                    pool.send_job(n, None, io);
                }
            }
        });
        true
    }

    fn begin_miner(&mut self, number: usize, kind: FaultKind, at: usize) -> bool {
        if self.miners[at].plan.sv2 && kind.is_of_sv1() {
            return false;
        }
        match kind {
            FaultKind::MinerReset => {
                let Some(link) = self.miners[at].link else {
                    return false;
                };
                self.reset_link(link);
                true
            }
            FaultKind::SlowReader => {
                let m = &mut self.miners[at];
                m.reads = false;
                m.was_slow = true;
                let link = m.link;
                // A miner that does not read for long enough to notice must be sent something.
                self.events.at(self.now + SECOND, Event::Again(number));
                link.is_some()
            }
            FaultKind::SilentMiner => {
                self.miners[at].silent = true;
                self.miner_leaves(at);
                true
            }
            FaultKind::Growth => {
                self.miners[at].factor = 100.0;
                self.aim_again(at);
                true
            }
            FaultKind::Standstill => {
                self.miners[at].stands_still = true;
                self.aim_again(at);
                true
            }
            _ => {
                let until = self.fault(number).until;
                self.miners[at].mischief = Some((kind, until));
                self.events.at(self.now, Event::Again(number));
                false
            }
        }
    }

    fn begin_all(&mut self, number: usize, fault: Fault) -> bool {
        match fault.kind {
            FaultKind::Outage | FaultKind::LongOutage => {
                for at in 0..self.pools.len() {
                    self.fall_ill(at);
                    self.pools[at].mood.refuses_connections = true;
                    self.reset_jds(at);
                    if let Some(link) = self.pool_link(at) {
                        self.reset_link(link);
                    }
                }
            }
            FaultKind::ReconnectStorm | FaultKind::IdExhaustion => {
                self.events.at(self.now, Event::Again(number))
            }
            FaultKind::ClockJump => {
                let jumps = [-3_600, -60, 60, 86_400, -1_000_000_000];
                self.adit.clock_error = *self.rng.pick(&jumps);
            }
            FaultKind::QueueFull => {
                self.adit.sources_stand_still(true);
                let middle = (fault.at + fault.until) / 2;
                self.events.at(middle, Event::Again(number));
            }
            FaultKind::MemoryShort => self.adit.relief = 4.0,
            FaultKind::LeaseTags => {
                let middle = (fault.at + fault.until) / 2;
                self.events.at(middle, Event::Again(number));
                self.change_tags();
            }
            FaultKind::Drain => {
                self.tell_router(RouterMessage::Drain("Adit is shutting down"));
            }
            _ => return false,
        }
        true
    }

    /// A fault that does something again and again.
    /// Each source is told a tag, or that there is none any more.
    fn change_tags(&mut self) {
        for at in 0..self.adit.sources.len() {
            let length = *self.rng.pick(&[0, 4, 6, 8]);
            if let Ok(tag) = work::LeaseTag::new(&self.rng.bytes(length)) {
                self.adit.sources[at].tell(engine::source::SourceCommand::SetTag(tag));
                self.wake(super::world::Task::Source(at));
            }
        }
    }

    pub(super) fn again(&mut self, number: usize) {
        let fault = self.fault(number);
        let next = match (fault.kind, fault.victim) {
            (FaultKind::ReconnectStorm | FaultKind::IdExhaustion, _) => {
                for at in 0..self.miners.len() {
                    self.miner_leaves(at);
                    let after = self.rng.range(0, 300 * MILLI);
                    self.schedule_connect(at, after);
                }
                self.rng.range(SECOND, 2 * SECOND)
            }
            (FaultKind::LeaseTags, _) => return self.change_tags(),
            (FaultKind::QueueFull, _) => {
                // A block behind shares that wait, then a tip that makes those shares stale.
                let at = self.rng.index(self.miners.len());
                self.with_miner(at, super::miner::Miner::find_block);
                self.network_block();
                return;
            }
            (FaultKind::SlowReader, Victim::Miner(at)) => {
                // It asks and does not listen; not so often that it would be a flood.
                let requests = if self.miners[at].misbehaved { 9 } else { 150 };
                self.with_miner(at, |_, io| {
                    for _ in 0..requests {
                        io.out.extend_from_slice(b"{\"id\":999,\"method\":\"mining.ping\",\"params\":[]}\n");
                    }
                });
                self.miners[at].misbehaved = true;
                SECOND
            }
            (kind, Victim::Miner(at)) => {
                if self.miners[at].mischief.is_none_or(|(is, _)| is != kind) {
                    return;
                }
                if self.with_miner(at, |miner, io| miner.do_wrong(kind, io)) {
                    self.tally.fault(kind);
                }
                match kind {
                    FaultKind::Flood => 10 * MILLI,
                    FaultKind::EasyShares => 100 * MILLI,
                    FaultKind::LateBlock => self.rng.range(20 * SECOND, 60 * SECOND),
                    _ => self.rng.range(SECOND, 8 * SECOND),
                }
            }
            _ => return,
        };
        if self.now + next < fault.until {
            self.events.at(self.now + next, Event::Again(number));
        }
    }

    /// A fault is over.
    pub(super) fn over(&mut self, number: usize) {
        let fault = self.fault(number);
        self.trace(|| format!("OVER {}", fault.kind.name()));
        match fault.victim {
            Victim::Pool(at) => {
                self.over_pool(fault.kind, at);
                self.recover(at);
            }
            Victim::Miner(at) => self.over_miner(fault.kind, at),
            Victim::All => match fault.kind {
                FaultKind::Outage | FaultKind::LongOutage => {
                    for at in 0..self.pools.len() {
                        self.pools[at].mood.refuses_connections = false;
                        self.recover(at);
                    }
                }
                FaultKind::ClockJump => self.adit.clock_error = 0,
                FaultKind::MemoryShort => self.adit.relief = 1.0,
                FaultKind::LeaseTags => self.change_tags(),
                FaultKind::QueueFull => {
                    self.adit.sources_stand_still(false);
                    for at in 0..self.pools.len() {
                        self.wake(super::world::Task::Source(at));
                    }
                }
                _ => {}
            },
        }
    }

    fn over_pool(&mut self, kind: FaultKind, at: usize) {
        let mood = &mut self.pools[at].mood;
        match kind {
            FaultKind::SilentHandshake => mood.silent_handshake = false,
            FaultKind::SilentSetup => mood.silent_setup = false,
            FaultKind::SilentExtensions => mood.silent_extensions = false,
            FaultKind::SilentOpen => mood.silent_open = false,
            FaultKind::SilentJob => mood.silent_job = false,
            FaultKind::ConnectRefused => mood.refuses_connections = false,
            FaultKind::SetupRefused => mood.setup_refused = false,
            FaultKind::OpenRefused => mood.open_refused = false,
            FaultKind::SmallExtranonce => mood.small_extranonce = false,
            FaultKind::Unauthenticated => mood.unauthenticated = false,
            FaultKind::UpdateRefused => mood.update_refused = false,
            FaultKind::LateAcks => mood.late_acks = false,
            FaultKind::BatchedAcks => mood.large_batches = false,
            FaultKind::LateErrors => mood.late_errors = false,
            FaultKind::NeverAck => mood.never_ack = false,
            FaultKind::RefuseAll => mood.refuse_all = None,
            FaultKind::PoolDoesNotRead => {
                mood.does_not_read = false;
                let links: Vec<LinkId> = self.pools[at].connections.iter().map(|c| c.link).collect();
                for link in links {
                    self.pool_reads(at, link);
                }
            }
            FaultKind::LinkPause | FaultKind::HalfOpen => self.speak_again(Owner::Source(at)),
            _ if kind.is_of_declaration() => self.end_declaration(kind, at),
            _ => {}
        }
        // Such a pool is restarted: what it opened meanwhile is of no use, and after garbage its frames are not
        // found any more.
        if matches!(kind, FaultKind::SilentJob | FaultKind::SmallExtranonce | FaultKind::GarbageFrames)
            && let Some(link) = self.pool_link(at)
        {
            self.reset_link(link);
        }
    }

    pub(super) fn speak_again(&mut self, owner: Owner) {
        for id in self.links.of(owner) {
            let mut arrivals: [Arrivals; 2] = Default::default();
            let now = self.now;
            let Some(link) = self.links.get_mut(id).filter(|l| l.is_silent()) else {
                continue;
            };
            link.speak_again(now, &mut arrivals);
            for (end, arrivals) in [End::Adit, End::Peer].into_iter().zip(arrivals) {
                for at in arrivals {
                    self.events.at(at, Event::Arrive(id, end));
                }
            }
        }
    }

    fn over_miner(&mut self, kind: FaultKind, at: usize) {
        match kind {
            FaultKind::SlowReader => {
                self.miners[at].reads = true;
                if let Some(link) = self.miners[at].link {
                    self.miner_reads(at, link);
                }
            }
            FaultKind::SilentMiner => {
                self.miners[at].silent = false;
                self.miner_leaves(at);
            }
            FaultKind::Growth => {
                self.miners[at].factor = 1.0;
                self.aim_again(at);
            }
            FaultKind::Standstill => {
                self.miners[at].stands_still = false;
                self.aim_again(at);
            }
            _ => {
                if self.miners[at].mischief.is_some_and(|(is, _)| is == kind) {
                    self.miners[at].mischief = None;
                }
            }
        }
    }
}

/// Messages for channels that are not there.
fn wrong_channel(_: &mut Pool, bytes: &mut BytesMut, io: &mut PoolIo<'_>) {
    let id = 1_000_000 + io.rng.word() / 2;
    sv2::write_frame(&mining::SetTarget { channel_id: id, maximum_target: [0xff; 32] }, bytes);
    let prefix = [1, 2, 3];
    let extranonce_prefix = sv2::B032::new(&prefix).expect("three bytes");
    sv2::write_frame(&mining::SetExtranoncePrefix { channel_id: id, extranonce_prefix }, bytes);
    let reason_code = sv2::Str0255::truncated("gone");
    sv2::write_frame(&mining::CloseChannel { channel_id: id, reason_code }, bytes);
    let tip = mining::SetNewPrevHash {
        channel_id: id,
        job_id: 1,
        prev_hash: io.rng.hash(),
        min_ntime: 1,
        nbits: super::plan::NETWORK_BITS,
    };
    sv2::write_frame(&tip, bytes);
    let success = mining::SubmitSharesSuccess {
        channel_id: id,
        last_sequence_number: 1,
        new_submits_accepted_count: 1,
        new_shares_sum: 1,
    };
    sv2::write_frame(&success, bytes);
}

/// A job that cannot be mined, on a channel that is there.
fn bad_job(pool: &mut Pool, bytes: &mut BytesMut, io: &mut PoolIo<'_>) {
    let id = pool.connections.last().and_then(|c| c.channels.keys().next().copied()).unwrap_or(2);
    let job = mining::NewExtendedMiningJob {
        channel_id: id,
        job_id: 4_000_000,
        min_ntime: Some(super::time::unix(io.now)),
        version: 0x2000_0000,
        version_rolling_allowed: io.rng.chance(0.7),
        merkle_path: sv2::Seq0255::from_slice(&[]).expect("empty"),
        coinbase_tx_prefix: sv2::B064K::new(&[1, 2, 3]).expect("three bytes"),
        coinbase_tx_suffix: sv2::B064K::new(&[4]).expect("one byte"),
    };
    sv2::write_frame(&job, bytes);
}
