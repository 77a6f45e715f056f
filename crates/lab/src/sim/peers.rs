//! Pools and miners at the far ends of their links, and the network above them.

use super::faults::FaultKind;
use super::link::{End, LinkId};
use super::miner::{MinerAct, MinerIo};
use super::pool::job::NetTip;
use super::pool::{Pool, PoolAct, PoolIo, PoolTimer};
use super::time::{MILLI, Micros, SECOND, from_seconds};
use super::world::{Event, FoundBlock, Owner, World};

/// A block that a miner found has reached its pool after this, or will not.
pub(super) const BLOCK_DUE: Micros = 5 * SECOND;

impl World {
    // ---- pools ----

    /// Adit's connection to a pool stands.
    pub(super) fn connect_pool(&mut self, at: usize) -> LinkId {
        let manner = self.pools[at].plan.link;
        let link = self.new_link(manner, Owner::Source(at));
        self.pools[at].accept(link);
        link
    }

    /// Lets a pool do something, and does what it wants done.
    pub(super) fn with_pool(&mut self, at: usize, act: impl FnOnce(&mut Pool, &mut PoolIo<'_>)) {
        let mut acts = Vec::new();
        let mut io = PoolIo { now: self.now, rng: &mut self.rng, tally: &mut self.tally, acts: &mut acts };
        act(&mut self.pools[at], &mut io);
        self.flush_pool(at);
        for act in acts {
            match act {
                PoolAct::Later(when, timer) => self.events.at(when, Event::Pool(at, timer)),
                PoolAct::Close(link) => {
                    self.pools[at].forget(link, self.now);
                    self.close_link(link, End::Peer);
                }
                PoolAct::Block => {
                    let after = self.rng.range(0, 200 * MILLI);
                    self.events.at(self.now + after, Event::Block);
                }
                PoolAct::TipNow(kind) => {
                    self.tally.fault(kind);
                    self.network_block();
                }
                PoolAct::Judged { hash, taken } => self.switches.judged(hash, taken),
                PoolAct::Complain(text) => self.broken("pool", format!("pool {at}: {text}")),
                PoolAct::BlockSeen { tag, nonce } => {
                    if let Some(block) =
                        self.blocks.iter_mut().rev().find(|b| b.tag == tag && b.nonce == nonce)
                    {
                        block.seen = true;
                    }
                }
            }
        }
    }

    pub(super) fn pool_timer(&mut self, at: usize, timer: PoolTimer) {
        if self.winding_down && matches!(timer, PoolTimer::Template) {
            return;
        }
        self.with_pool(at, |pool, io| pool.timer(timer, io));
    }

    pub(super) fn pool_reads(&mut self, at: usize, id: LinkId) {
        if !self.pools[at].mood.does_not_read {
            self.peer_reads(at, id, Pool::input);
        }
    }

    pub(super) fn jds_reads(&mut self, at: usize, id: LinkId) {
        self.peer_reads(at, id, Pool::jds_input);
    }

    fn peer_reads(&mut self, at: usize, id: LinkId, input: fn(&mut Pool, LinkId, &[u8], &mut PoolIo<'_>)) {
        let Some(link) = self.links.get_mut(id) else {
            return;
        };
        let mut bytes = Vec::new();
        let waited = link.read(End::Peer, usize::MAX, &mut bytes);
        let over = link.is_over(End::Peer);
        if waited {
            self.room_again(id, End::Adit);
        }
        if !bytes.is_empty() {
            self.with_pool(at, |pool, io| input(pool, id, &bytes, io));
        }
        if over {
            self.pools[at].forget(id, self.now);
            self.close_link(id, End::Peer);
        }
    }

    /// Sends what a pool has to say.
    pub(super) fn flush_pool(&mut self, at: usize) {
        for n in 0..self.pools[at].jds.connections.len() {
            let connection = &mut self.pools[at].jds.connections[n];
            let (link, bytes) = (connection.link, connection.out.split());
            let taken = self.write_link(link, End::Peer, &bytes);
            let rest = &bytes[taken..];
            self.pools[at].jds.connections[n].out.extend_from_slice(rest);
        }
        for n in 0..self.pools[at].connections.len() {
            let connection = &mut self.pools[at].connections[n];
            if connection.out.is_empty() {
                continue;
            }
            let (link, bytes) = (connection.link, connection.out.split());
            let taken = self.write_link(link, End::Peer, &bytes);
            if taken < bytes.len() {
                let rest = &bytes[taken..];
                self.pools[at].connections[n].out.extend_from_slice(rest);
            }
        }
    }

    // ---- the network ----

    /// A block is found, here or elsewhere: pools hear of it one after the other.
    pub(super) fn network_block(&mut self) {
        let Some(last) = self.tips.last().copied() else {
            return;
        };
        let tip = NetTip { hash: self.rng.hash(), height: last.height + 1 };
        self.publish_tip(tip);
    }

    pub(super) fn publish_tip(&mut self, tip: NetTip) {
        let place = u32::try_from(self.tips.len()).unwrap_or(u32::MAX);
        self.tips.push(tip);
        self.spread_tip(place, 0);
    }

    /// Pools and the farm's node hear of a tip, one after the other.
    pub(super) fn spread_tip(&mut self, place: u32, after: Micros) {
        for pool in 0..self.pools.len() {
            let mut more = self.rng.range(0, 300 * MILLI);
            if self.pools[pool].mood.late_tips {
                more += self.rng.range(SECOND, 8 * SECOND);
                self.tally.fault(FaultKind::PoolTipsLate);
            }
            self.events.at(self.now + after + more, Event::Tip { pool, height: place });
        }
        self.spread_to_node(place, after);
    }

    /// The next block of others.
    pub(super) fn schedule_block(&mut self) {
        let after = from_seconds(self.rng.exponential(self.plan.block_every));
        self.events.at(self.now + after.max(SECOND), Event::Block);
    }

    pub(super) fn pool_hears(&mut self, at: usize, place: u32) {
        if self.winding_down {
            return;
        }
        let Some(tip) = self.tips.get(place as usize).copied() else {
            return;
        };
        // One block of others follows the other; the first pool's news keep the chain going.
        if at == 0 {
            self.schedule_block();
        }
        if place < self.pools[at].tip_place {
            // It has heard of a later one meanwhile.
            return;
        }
        self.pools[at].tip_place = place;
        self.trace(|| format!("pool {at} has tip {:02x?} at {}", &tip.hash[..4], tip.height));
        self.with_pool(at, |pool, io| pool.new_tip(tip, io));
    }

    // ---- miners ----

    /// A miner tries to connect.
    pub(super) fn connect_miner(&mut self, miner: usize, attempt: u32) {
        let m = &self.miners[miner];
        if m.link.is_some() || m.away || m.attempt != attempt || self.winding_down {
            return;
        }
        let manner = m.plan.link;
        let link = self.new_link(manner, Owner::Miner { miner, connection: usize::MAX });
        let connection = self.accept(link, miner);
        self.links.set_owner(link, Owner::Miner { miner, connection });
        self.with_miner(miner, |miner, io| miner.connected(link, io));
    }

    /// A miner comes back after a while.
    pub(super) fn schedule_connect(&mut self, miner: usize, after: Micros) {
        let m = &mut self.miners[miner];
        m.attempt += 1;
        let attempt = m.attempt;
        self.events.at(self.now + after, Event::Connect { miner, attempt });
    }

    /// Lets a miner do something, and does what it wants done.
    pub(super) fn with_miner<R>(
        &mut self,
        at: usize,
        act: impl FnOnce(&mut super::miner::Miner, &mut MinerIo<'_>) -> R,
    ) -> R {
        let (mut out, mut acts) = (Vec::new(), Vec::new());
        let mut io = MinerIo {
            now: self.now,
            rng: &mut self.rng,
            tally: &mut self.tally,
            out: &mut out,
            acts: &mut acts,
        };
        let result = act(&mut self.miners[at], &mut io);
        if let Some(link) = self.miners[at].link {
            self.miners[at].outbox.extend_from_slice(&out);
            self.flush_miner(at, link);
        }
        for act in acts {
            match act {
                MinerAct::Broken(code, text) => self.broken(code, format!("miner {at}: {text}")),
                MinerAct::Job { tag, prefix_at, prev_hash, ntime, difficulty } => {
                    self.note_move(at, tag);
                    self.check_job(at, tag, &prefix_at, prev_hash, ntime, difficulty);
                }
                MinerAct::Good { tag, prefix_at, hash } => self.follow_share(at, tag, &prefix_at, hash),
                MinerAct::Answered { hash, taken } => self.switches.answered(hash, taken),
                MinerAct::Block { tag, mut prefix_at, nonce, hash } => {
                    let pool = self.pools.get(usize::from(tag.pool));
                    let len = pool.map_or(super::declaring::SOLO_PREFIX, |pool| pool.plan.prefix_len);
                    prefix_at.truncate(len);
                    let session = self.miners[at].session;
                    let found = FoundBlock {
                        miner: at,
                        session,
                        tag,
                        prefix: prefix_at,
                        nonce,
                        hash,
                        seen: false,
                        handed_out: 0,
                    };
                    self.blocks.push(found);
                    let block = self.blocks.len() - 1;
                    self.events.at(self.now + BLOCK_DUE, Event::BlockDue(block));
                }
                MinerAct::Aim => self.aim(at),
            }
        }
        result
    }

    pub(super) fn flush_miner(&mut self, at: usize, link: LinkId) {
        let outbox = std::mem::take(&mut self.miners[at].outbox);
        let taken = self.write_link(link, End::Peer, &outbox);
        if taken < outbox.len() {
            self.miners[at].outbox = outbox[taken..].to_vec();
        }
    }

    pub(super) fn miner_reads(&mut self, at: usize, id: LinkId) {
        if self.miners[at].link != Some(id) {
            // It has turned its back on this link.
            return;
        }
        if !self.miners[at].reads {
            return;
        }
        let Some(link) = self.links.get_mut(id) else {
            return;
        };
        let mut bytes = Vec::new();
        let waited = link.read(End::Peer, usize::MAX, &mut bytes);
        let over = link.is_over(End::Peer);
        if waited {
            self.room_again(id, End::Adit);
        }
        if !bytes.is_empty() {
            self.with_miner(at, |miner, io| miner.input(&bytes, io));
        }
        if over && self.miners[at].link == Some(id) {
            self.miner_leaves(at);
        }
    }

    /// A miner closes its connection, and will come back.
    pub(super) fn miner_leaves(&mut self, at: usize) {
        let Some(link) = self.miners[at].link.take() else {
            return;
        };
        // Firmware that got no work does not knock at once again.
        let patience = if self.miners[at].jobs.is_empty() { 8 * SECOND } else { 0 };
        self.miners[at].disconnected();
        self.close_link(link, End::Peer);
        let after = self.miners[at].plan.returns_after.max(patience);
        self.schedule_connect(at, after);
    }

    /// Draws when a miner finds its next share: the time to it is memoryless, so it may be drawn anew at any time.
    fn aim(&mut self, at: usize) {
        self.miners[at].aim += 1;
        let aim = self.miners[at].aim;
        let Some(mean) = self.miners[at].seconds_per_share() else {
            return;
        };
        let after = from_seconds(self.rng.exponential(mean));
        self.events.at(self.now + after.max(1), Event::Find { miner: at, aim });
    }

    /// A miner's hashrate changed.
    pub(super) fn aim_again(&mut self, at: usize) {
        self.miners[at].unsettled_at = self.now;
        self.aim(at);
    }

    pub(super) fn miner_finds(&mut self, at: usize, aim: u32) {
        if self.miners[at].aim == aim && !self.winding_down {
            self.with_miner(at, super::miner::Miner::find);
        }
    }
}
