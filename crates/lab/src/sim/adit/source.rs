//! A source's task: its state machine, its link and its queues.

use engine::OutgoingShare;
use engine::source::{DeclaredEffects, DownReason, LinkSecurity, SourceEvent};
use sv2::{FrameHeader, Message};

use super::{BATCH, Dialled, RouterMessage};
use crate::sim::link::{End, LinkId};
use crate::sim::planted::PlantedBug;
use crate::sim::time::{MILLI, Micros, SECOND, micros};
use crate::sim::world::{Event, Task, World};

/// No more shares are taken from the queue while this much waits to be written.
pub(super) const OUTBOX_FULL: usize = 256 * 1024;
/// A pool that takes nothing from a full outbox for this long is gone.
const WRITE_STALL: Micros = 20 * SECOND;
/// The largest frame that is taken, bytes.
const MAX_FRAME: u32 = 64 * 1024;
/// A handshake is given up after this.
pub(in crate::sim) const HANDSHAKE: Micros = 5 * SECOND;
/// A task with a link looks at its machine at least this often.
const LOOK: Micros = SECOND;
/// A timer that changes nothing so often in a row is a mistake.
const SPINS: u32 = 3;

impl World {
    /// One round of a source's loop. Gives the time that it took.
    pub(in crate::sim) fn source_turn(&mut self, at: usize) -> Micros {
        let side = self.side_turn(at);
        let took = match self.adit.sources[at].link {
            Some(link) => self.linked_turn(at, link),
            None => self.unlinked_turn(at),
        };
        self.start_dialling(at);
        self.start_dialling_jds(at);
        self.arm_source(at);
        self.check_source(at);
        side + took
    }

    /// A deadline that is still there after it was attended to keeps a thread busy for nothing.
    fn check_spin(&mut self, at: usize) {
        let now = self.engine_now();
        let source = &mut self.adit.sources[at];
        if !source.machine.is_due(now) {
            source.spins = 0;
            return;
        }
        source.spins += 1;
        if source.spins == SPINS {
            let deadline = source.machine.deadline().unwrap_or_default();
            let text = format!(
                "source {at}: its deadline {deadline:?} stays in the past after its timer, {SPINS} times"
            );
            self.broken("spin", text);
        }
    }

    /// Without a link shares are settled by the machine as unsent.
    fn unlinked_turn(&mut self, at: usize) -> Micros {
        let now = self.engine_now();
        let timeless = self.is_timeless(at);
        let source = &mut self.adit.sources[at];
        let mut fx = std::mem::take(&mut source.fx);
        if let Some(dialled) = source.dialled.take() {
            source.dialling = false;
            match dialled {
                Dialled::Link(link) => {
                    source.link = Some(link);
                    let security = self.security(at);
                    let source = &mut self.adit.sources[at];
                    source.machine.connected(security, now, &mut fx);
                    self.carry_out_source(at, fx);
                    self.wake(Task::Source(at));
                    return 20;
                }
                Dialled::NoConnection(why) => {
                    source.machine.disconnected(DownReason::Connect(why.into()), now, &mut fx);
                }
                Dialled::NoHandshake(why) => {
                    source.machine.disconnected(DownReason::Handshake(why.into()), now, &mut fx);
                }
            }
        } else if let Some(command) = source.commands.pop_front() {
            source.machine.command(command, now, &mut fx);
        } else if source.machine.is_due(now) && !timeless {
            source.machine.timer(now, &mut fx);
            self.check_spin(at);
        } else {
            let mut shares: Vec<OutgoingShare> = Vec::new();
            let n = source.shares.len().min(BATCH);
            shares.extend(source.shares.drain(..n));
            shares.extend(source.solutions.pop_front());
            for share in shares {
                self.note_leaving(at, &share);
                self.adit.sources[at].machine.share(&share, now, &mut fx);
            }
        }
        self.carry_out_source(at, fx);
        self.adit.sources[at].fx.pool.hang_up = false;
        let source = &self.adit.sources[at];
        let due = source.machine.is_due(now) && !timeless;
        let more = source.has_side_work() || due;
        if more || !source.commands.is_empty() || !source.shares.is_empty() || !source.solutions.is_empty() {
            self.wake(Task::Source(at));
        }
        5
    }

    fn security(&self, at: usize) -> LinkSecurity {
        let authenticated = self.pools[at].is_authenticated() || self.is_planted(PlantedBug::TrustsAnyone);
        if authenticated { LinkSecurity::Authenticated } else { LinkSecurity::Unauthenticated }
    }

    /// One thing, in the order of their weight: blocks, what the pool sent, commands, shares, time.
    fn linked_turn(&mut self, at: usize, link: LinkId) -> Micros {
        let now = self.engine_now();
        let mut took = 5;
        let mut failed = None;
        let timeless = self.is_timeless(at);
        let source = &mut self.adit.sources[at];
        let mut fx = std::mem::take(&mut source.fx);
        let full = source.outbox.len() >= OUTBOX_FULL;
        let room = source.room();
        if !full {
            source.stalled_since = None;
        } else if self.now - *source.stalled_since.get_or_insert(self.now) > WRITE_STALL {
            failed = Some("the pool takes nothing");
        }
        let ready = self.links.get(link).is_some_and(|l| l.readable(End::Adit) > 0 || l.is_over(End::Adit));
        let source = &mut self.adit.sources[at];
        if failed.is_some() {
        } else if let Some(share) = source.solutions.pop_front() {
            self.note_leaving(at, &share);
            self.adit.sources[at].machine.share(&share, now, &mut fx);
        } else if ready {
            failed = self.read_link(at, link, &mut fx);
            took += 10;
        } else if let Some(command) = source.commands.pop_front() {
            source.machine.command(command, now, &mut fx);
        } else if room > 0 && !source.shares.is_empty() {
            let n = source.shares.len().min(room);
            let batch: Vec<OutgoingShare> = source.shares.drain(..n).collect();
            took += n as u64;
            for mut share in batch {
                if self.is_planted(PlantedBug::StaleForwarded)
                    && let Some(newest) = self.adit.sources[at].generations.get(&share.channel.channel_id)
                {
                    share.generation = *newest;
                }
                self.note_leaving(at, &share);
                self.adit.sources[at].machine.share(&share, now, &mut fx);
            }
        } else if !timeless {
            source.machine.timer(now, &mut fx);
            self.check_spin(at);
        }
        let hang_up = fx.pool.hang_up;
        self.carry_out_source(at, fx);
        if !self.flush_source(at, link) {
            failed.get_or_insert("the connection broke");
        }
        if let Some(why) = failed.filter(|_| !hang_up) {
            let mut fx = std::mem::take(&mut self.adit.sources[at].fx);
            self.adit.sources[at].machine.disconnected(DownReason::Lost(why.into()), now, &mut fx);
            self.carry_out_source(at, fx);
        }
        if hang_up || failed.is_some() {
            self.drop_link(at, link);
        }
        let source = &self.adit.sources[at];
        let room = source.room();
        let more = self.links.get(link).is_some_and(|l| l.readable(End::Adit) > 0 || l.is_over(End::Adit));
        if (source.link.is_some() && more)
            || source.has_side_work()
            || !source.commands.is_empty()
            || !source.solutions.is_empty()
            || (!source.shares.is_empty() && (source.link.is_none() || room > 0))
            || source.machine.is_due(now) && source.link.is_none()
        {
            self.wake(Task::Source(at));
        }
        took
    }

    fn drop_link(&mut self, at: usize, link: LinkId) {
        let source = &mut self.adit.sources[at];
        source.link = None;
        source.input.clear();
        source.outbox.clear();
        source.stalled_since = None;
        source.generations.clear();
        source.fx.pool.hang_up = false;
        source.redirect = source.fx.pool.reconnect_to.take();
        source.ledger.link_ended();
        self.close_link(link, End::Adit);
        self.wake(Task::Source(at));
    }

    /// Gives the machine all whole frames that have come.
    fn read_link(&mut self, at: usize, link: LinkId, fx: &mut DeclaredEffects) -> Option<&'static str> {
        let now = self.engine_now();
        let mut bytes = Vec::new();
        let over = {
            let Some(l) = self.links.get_mut(link) else {
                return Some("the connection broke");
            };
            let over = l.is_over(End::Adit);
            if l.read(End::Adit, 64 * 1024, &mut bytes) {
                self.room_again(link, End::Peer);
            }
            over
        };
        if over && bytes.is_empty() {
            return Some("closed by the pool");
        }
        let mut input = std::mem::take(&mut self.adit.sources[at].input);
        input.extend_from_slice(&bytes);
        let mut rest = input.as_slice();
        let mut failed = None;
        while let Some(head) = rest.first_chunk::<{ FrameHeader::SIZE }>() {
            if FrameHeader::parse(head).length > MAX_FRAME {
                failed = Some("a frame that is too long");
                break;
            }
            let Some((header, payload, after)) = FrameHeader::split(rest) else {
                break;
            };
            rest = after;
            self.take_frame(at, &header, payload, now, fx);
            if fx.pool.hang_up {
                break;
            }
        }
        self.adit.sources[at].input = rest.to_vec();
        failed
    }

    fn take_frame(
        &mut self,
        at: usize,
        header: &FrameHeader,
        payload: &[u8],
        now: engine::Now,
        fx: &mut DeclaredEffects,
    ) {
        let is_success =
            header.extension_type == 0 && header.msg_type == sv2::mining::SubmitSharesSuccess::MSG_TYPE;
        self.trace(|| format!("source {at} <- {}", describe(header, payload)));
        let source = &mut self.adit.sources[at];
        source.ledger.frame_in(header, payload);
        if header.extension_type == 0 && header.msg_type == sv2::mining::SetNewPrevHash::MSG_TYPE {
            source.note_tip(payload);
        }
        if is_success && self.planted(PlantedBug::DroppedSettle, 10) {
            return;
        }
        if self.is_unheard(at, header) {
            return;
        }
        let twice = is_success && self.planted(PlantedBug::DoubleSettle, 10);
        let source = &mut self.adit.sources[at];
        source.machine.frame(header, payload, now, fx);
        if twice {
            source.machine.frame(header, payload, now, fx);
        }
    }

    /// Sends what the machine wants sent, and tells who is to be told.
    pub(super) fn carry_out_source(&mut self, at: usize, mut fx: DeclaredEffects) {
        self.carry_out_side(at, &mut fx);
        let forgotten = self.adit.sources[at].machine.take_forgotten();
        self.adit.sources[at].ledger.forget_oldest(forgotten);
        self.corrupt_frames(at, &mut fx);
        self.note_frames(at, &fx.pool.frames);
        let source = &mut self.adit.sources[at];
        if source.link.is_some() {
            source.outbox.extend_from_slice(&fx.pool.frames);
        }
        fx.pool.frames.clear();
        fx.pool.ack_latencies.clear();
        for (miner, answer) in fx.pool.answers.drain(..) {
            if let Some(connection) = self.adit.mailboxes.get(&miner).copied()
                && let Some(c) = &mut self.adit.connections[connection]
                && c.answers.len() < engine::miner::sv1::MAX_WAITING
            {
                c.answers.push_back(answer);
                self.wake(Task::Connection(connection));
            }
        }
        let id = self.adit.sources[at].machine.id();
        let is_over = self.adit.sources[at].machine.declared().is_none() || fx.pool.hang_up;
        for event in fx.pool.events.drain(..) {
            if self.is_untold(at, &event) {
                continue;
            }
            match &event {
                SourceEvent::Ready { .. } => self.adit.sources[at].ready = true,
                SourceEvent::Down(why) => {
                    self.trace(|| format!("source {at} is down: {why}"));
                    self.judge_down(at, why);
                    let source = &mut self.adit.sources[at];
                    source.ready = false;
                    source.ledger.stop_declaring(None);
                    if is_over {
                        // The machine has settled what was open, in the same call.
                        source.ledger.link_ended();
                    }
                }
                SourceEvent::Work(feed) => {
                    let source = &mut self.adit.sources[at];
                    source.generations.insert(feed.channel.key.channel_id, feed.generation);
                }
                _ => {}
            }
            self.tell_router(RouterMessage::Source(id, event));
        }
        self.adit.sources[at].fx = fx;
    }

    /// Looks at the frames that leave.
    fn note_frames(&mut self, at: usize, frames: &[u8]) {
        let mut rest = frames;
        while let Some((header, payload, after)) = FrameHeader::split(rest) {
            rest = after;
            self.trace(|| format!("source {at} -> {}", describe(&header, payload)));
            let Some(left) = self.adit.sources[at].ledger.frame_out(&header, payload) else {
                continue;
            };
            let was_held = self.adit.sources[at].ledger.was_held(left.nonce);
            let waiting = &mut self.adit.sources[at].ledger.blocks_waiting;
            let block = waiting.iter().position(|nonce| *nonce == left.nonce);
            if left.is_unacknowledged {
                let text =
                    format!("source {at}: a share of job {}, which is not acknowledged, left", left.job_id);
                self.broken("unacknowledged", text);
                continue;
            }
            match block {
                Some(block) => {
                    waiting.remove(block);
                }
                None if was_held => {}
                None if !waiting.is_empty() => {
                    self.broken(
                        "I8",
                        format!("source {at}: a share of job {} left before a block", left.job_id),
                    );
                }
                None if left.is_stale => {
                    self.broken(
                        "stale",
                        format!("source {at}: a share of job {}, which is stale, left", left.job_id),
                    );
                }
                None => {}
            }
        }
        // A block that the machine did not send was settled as unsent, and waits no more.
        let source = &mut self.adit.sources[at];
        let holds = source.machine.declared().is_some();
        for nonce in source.leaving.drain(..) {
            source.ledger.blocks_waiting.retain(|waiting| *waiting != nonce);
            if holds {
                source.ledger.held_blocks.push(nonce);
            }
        }
    }

    /// A share is about to be given to the machine.
    fn note_leaving(&mut self, at: usize, share: &OutgoingShare) {
        self.trace(|| format!("source {at}: share of job {} nonce {:08x}", share.job_id, share.nonce));
        if share.is_block {
            self.adit.sources[at].leaving.push(share.nonce);
        }
    }

    /// Writes as much as the link takes. False: it is broken.
    fn flush_source(&mut self, at: usize, link: LinkId) -> bool {
        let outbox = std::mem::take(&mut self.adit.sources[at].outbox);
        if outbox.is_empty() {
            return true;
        }
        let taken = self.write_link(link, End::Adit, &outbox);
        self.adit.sources[at].outbox = outbox[taken..].to_vec();
        true
    }

    /// There is room on the link again.
    pub(in crate::sim) fn flush_waiting(&mut self, at: usize, link: LinkId) {
        if self.adit.sources[at].link == Some(link) {
            self.flush_source(at, link);
            self.wake(Task::Source(at));
        }
    }

    /// Connects if the machine wants that.
    fn start_dialling(&mut self, at: usize) {
        let source = &mut self.adit.sources[at];
        if !source.machine.wants_connection() || source.dialling || source.link.is_some() {
            return;
        }
        source.dialling = true;
        source.dials += 1;
        let pool = &self.pools[at];
        let latency = pool.plan.link.latency;
        // TCP's round trip, then Noise's.
        let after =
            if pool.mood.silent_handshake { HANDSHAKE } else { 4 * latency + self.rng.range(0, 2_000) };
        self.events.at(self.now + after, Event::Dialled { source: at });
    }

    /// An attempt to connect has come to its end.
    pub(in crate::sim) fn dialled(&mut self, at: usize) {
        let redirect = self.adit.sources[at].redirect.take();
        let away = redirect.is_some_and(|(host, _)| !host.is_empty() && host != host_of(at));
        let mood = &self.pools[at].mood;
        let dialled = if away {
            Dialled::NoConnection("no such host")
        } else if mood.silent_handshake {
            Dialled::NoHandshake("no answer in time")
        } else if mood.refuses_connections {
            Dialled::NoConnection("connection refused")
        } else {
            Dialled::Link(self.connect_pool(at))
        };
        self.adit.sources[at].dialled = Some(dialled);
        self.wake(Task::Source(at));
    }

    fn arm_source(&mut self, at: usize) {
        let source = &self.adit.sources[at];
        if source.dialling {
            return;
        }
        let mut deadline = source.machine.deadline().map(micros);
        let timeless = self.is_timeless(at);
        if source.spins > 0 || timeless {
            // The run must go on, faster than the product would.
            deadline = deadline.map(|t| t.max(self.now + 100 * MILLI));
        }
        let deadline = match source.link {
            Some(_) => deadline.unwrap_or(Micros::MAX).min(self.now + LOOK),
            None => deadline.unwrap_or(Micros::MAX),
        };
        self.arm(Task::Source(at), deadline);
    }
}

impl super::SourceTask {
    /// Counts the tips, not the messages: with a channel per miner each tip is told many times.
    fn note_tip(&mut self, payload: &[u8]) {
        let Ok(tip) = sv2::mining::SetNewPrevHash::decode(payload) else {
            return;
        };
        if self.last_tips.back() != Some(&tip.prev_hash) {
            self.tips += 1;
            if self.last_tips.len() == 4 {
                self.last_tips.pop_front();
            }
            self.last_tips.push_back(tip.prev_hash);
        }
    }
}

/// The name of a pool's host.
pub(in crate::sim) fn host_of(at: usize) -> String {
    format!("pool-{at}.example")
}

pub(super) fn describe(header: &FrameHeader, payload: &[u8]) -> String {
    match sv2::AnyMessage::decode_lenient(header, payload, &[sv2::extensions::WORKER_HASHRATE_TRACKING]) {
        Ok((message, _)) => {
            let mut text = format!("{message:?}");
            if text.len() > 300 {
                let mut end = 300;
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                text.truncate(end);
            }
            text
        }
        Err(error) => format!("{header:?} {error}"),
    }
}
