//! A miner's connection: its link, its state machine, and the news of its group.

use std::sync::Arc;

use engine::books::UnsentReason;
use engine::miner::{CloseReason, Io, ReplyMode};
use engine::router::JoinRequest;
use engine::{MinerRef, OutgoingShare, ShareSink};

use super::downstream::Downstream;
use super::machine::Machine;
use super::{Connection, News, RouterMessage, SOLUTIONS, SourceTask};
use crate::sim::link::{End, LinkId};
use crate::sim::planted::{PlantedBug, is_planted};
use crate::sim::time::{MILLI, Micros, SECOND, engine_now, micros};
use crate::sim::world::{Task, World};

/// Bytes read at once, and so the most that one connection gets done before others have their turn.
const READ_AT_ONCE: usize = 16 * 1024;
/// A join is answered within this.
const JOIN_DEADLINE: Micros = 10 * SECOND;
/// A miner that takes nothing for this long is closed.
const WRITE_STALL: Micros = 20 * SECOND;
/// News reach a miner that reads within this, whatever the others do.
const FANOUT: Micros = 100 * MILLI;

/// Why a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Closing {
    Left,
    By(CloseReason),
}

/// Puts shares into their sources' queues, and remembers which.
struct Doors<'a> {
    sources: &'a mut [SourceTask],
    share_queue: usize,
    planted: Option<PlantedBug>,
    queued: Vec<usize>,
    /// Shares of channels that Adit knew to be gone.
    dead: u64,
}

impl ShareSink for Doors<'_> {
    fn forward(&mut self, mut share: OutgoingShare) -> Result<(), UnsentReason> {
        let at = usize::from(share.channel.source.0);
        let is_block = share.is_block;
        let source = self.sources.get_mut(at).ok_or(UnsentReason::NoSource)?;
        let channel = share.channel.channel_id;
        let newest = source.generations.get(&channel).copied();
        // An SV1 pool knows one channel, its connection, whatever the machine makes of it.
        let lives =
            if source.machine.is_old() { source.ledger.has_channels() } else { source.ledger.lives(channel) };
        let is_gone = source.link.is_none() || !lives;
        let is_declared = source.machine.declared().is_some();
        if is_block && is_declared && is_gone && is_planted(self.planted, PlantedBug::GoneChannelBlockDropped)
        {
            return Err(UnsentReason::NoSource);
        }
        if is_planted(self.planted, PlantedBug::WrongFiller)
            && let Some(wrong) = super::corrupt::other_filler(&share)
        {
            share = wrong;
        }
        if share.is_block {
            source.ledger.blocks_waiting.push(share.nonce);
            if is_planted(self.planted, PlantedBug::LateBlockDropped) && Some(share.generation) != newest {
                return Err(UnsentReason::StaleInQueue);
            }
        }
        if share.is_block
            && source.solutions.len() < SOLUTIONS
            && !is_planted(self.planted, PlantedBug::BlockBehindShares)
        {
            source.solutions.push_back(share);
        } else if source.shares.len() < self.share_queue {
            source.shares.push_back(share);
        } else if is_planted(self.planted, PlantedBug::TrueOnQueueFull) {
            // Taken and lost.
        } else {
            source.ledger.blocks_waiting.retain(|nonce| *nonce != share.nonce);
            return Err(UnsentReason::QueueFull);
        }
        // Blocks of a job of the farm's own go to its node, whatever has become of the channel.
        let has_node = !matches!(source.machine, Machine::Pool(_));
        let is_dead = is_gone && !(has_node && is_block);
        self.dead += u64::from(is_dead);
        source.ledger.queued += 1;
        self.queued.push(at);
        Ok(())
    }
}

impl World {
    /// A miner's connection was accepted.
    pub(in crate::sim) fn accept(&mut self, link: LinkId, miner: usize) -> usize {
        let me = MinerRef(self.adit.next_miner);
        self.adit.next_miner += 1;
        let (policy, books) = (Arc::clone(&self.adit.policy), Arc::clone(&self.adit.books));
        let is_sv2 = self.miners[miner].plan.sv2;
        let machine = Downstream::new(is_sv2, policy, books, me, self.engine_now());
        let connection = Connection {
            me,
            link,
            miner,
            machine,
            lines: sv1::LineReader::default(),
            outbox: Vec::new(),
            stalled_since: None,
            read_at: 0,
            group: None,
            news: News::default(),
            joining: None,
            place: None,
            answers: std::collections::VecDeque::new(),
            queued: false,
            armed: Micros::MAX,
            opened_at: self.now,
            told_id: None,
        };
        self.adit.connections.push(Some(Box::new(connection)));
        self.adit.live += 1;
        let at = self.adit.connections.len() - 1;
        self.wake(Task::Connection(at));
        at
    }

    /// One round of a connection's loop. Gives the time that it took.
    pub(in crate::sim) fn connection_turn(&mut self, at: usize) -> Micros {
        let Some(mut connection) = self.adit.connections[at].take() else {
            return 0;
        };
        let mut took = 5;
        let end = self.round(at, &mut connection, &mut took);
        match end {
            Ok(()) => {
                let deadline = self.deadline_of(&connection);
                let more = self.has_more(&connection);
                self.adit.connections[at] = Some(connection);
                self.arm(Task::Connection(at), deadline);
                if more {
                    self.wake(Task::Connection(at));
                }
            }
            Err(why) => self.end_connection(at, *connection, why),
        }
        took
    }

    fn deadline_of(&self, connection: &Connection) -> Micros {
        if let Some(since) = connection.joining {
            return since + JOIN_DEADLINE;
        }
        let stall = connection.stalled_since.map(|t| t + WRITE_STALL);
        let machine = connection.machine.deadline().map(micros);
        machine.into_iter().chain(stall).min().unwrap_or(Micros::MAX)
    }

    fn has_more(&self, connection: &Connection) -> bool {
        if connection.joining.is_some() {
            return connection.place.is_some();
        }
        let Some(link) = self.links.get(connection.link) else {
            return true;
        };
        if connection.machine.wants_to_join() {
            return true;
        }
        if connection.outbox.is_empty() {
            connection.news.changed.is_some()
                || !connection.answers.is_empty()
                || link.readable(End::Adit) > 0
                || link.is_over(End::Adit)
        } else {
            link.has_room(End::Adit)
        }
    }

    /// Does one thing; news of the group come before what the miner sends.
    fn round(&mut self, at: usize, c: &mut Connection, took: &mut Micros) -> Result<(), Closing> {
        if c.joining.is_some() {
            return self.wait_for_place(c);
        }
        if c.machine.wants_to_join() {
            self.ask_for_place(at, c);
            return Ok(());
        }
        let idle = c.outbox.is_empty();
        let over = self.links.get(c.link).is_none_or(|link| link.is_over(End::Adit));
        let readable = self.links.get(c.link).is_some_and(|link| link.readable(End::Adit) > 0);
        let busy = readable || c.read_at > 0 && self.now < c.read_at + 500 * MILLI;
        let greedy = busy && self.is_planted(PlantedBug::JobBehindShares);
        if idle
            && !greedy
            && let Some(since) = c.news.changed.take()
        {
            *took += 10;
            self.note_fanout(at, since);
            return self.on_news(c);
        }
        if idle && let Some(answer) = c.answers.pop_front() {
            let mut answered = (0, 0);
            let result = self.step(c, |machine, io| {
                let before = io.out.len();
                machine.answer(answer, io);
                let line = &io.out[before..];
                let taken = line.windows(13).any(|part| part == b"\"result\":true");
                answered = (u64::from(taken), u64::from(!taken && !line.is_empty()));
                Ok(())
            });
            self.adit.miners_ledger.later_taken += answered.0;
            self.adit.miners_ledger.later_refused += answered.1;
            return result;
        }
        if self.now >= self.deadline_of(c) {
            return self.on_deadline(c);
        }
        if !idle {
            // Whoever does not read waits for himself.
            c.news.changed = c.news.changed.map(|_| self.now);
            let outbox = std::mem::take(&mut c.outbox);
            let taken = self.write_link(c.link, End::Adit, &outbox);
            if taken > 0 {
                c.stalled_since = Some(self.now);
            }
            c.outbox = outbox[taken..].to_vec();
            if c.outbox.is_empty() {
                c.stalled_since = None;
            }
            return if over { Err(Closing::Left) } else { Ok(()) };
        }
        if readable {
            return self.on_readable(c, took);
        }
        if over { Err(Closing::Left) } else { Ok(()) }
    }

    fn note_fanout(&mut self, at: usize, since: Micros) {
        let waited = self.now - since;
        self.adit.longest_fanout = self.adit.longest_fanout.max(waited);
        if waited > FANOUT {
            self.broken(
                "I9",
                format!("connection {at} heard of a job {} ms after the others could", waited / MILLI),
            );
        }
    }

    fn ask_for_place(&mut self, at: usize, c: &mut Connection) {
        let policy = Arc::clone(&self.adit.policy);
        let identity = c.machine.identity().unwrap_or_default();
        if let Some(difficulty) = self.adit.memory.get(&identity) {
            c.machine.remember(*difficulty);
        }
        let hashrate = c.machine.first_hashrate();
        let request = JoinRequest {
            miner: c.me,
            route: policy.route,
            goal: None,
            hashrate,
            identity,
            miner_id_size: policy.extranonce1_size,
            extranonce2_size: policy.extranonce2_size,
            space: c.machine.miner_id().map_or(0, |id| id.space()),
        };
        c.joining = Some(self.now);
        c.place = None;
        self.tell_router(RouterMessage::Join { connection: at, request });
    }

    fn wait_for_place(&mut self, c: &mut Connection) -> Result<(), Closing> {
        let place = match c.place.take() {
            Some(place) => place,
            None if c.joining.is_some_and(|t| self.now >= t + JOIN_DEADLINE) => None,
            None => return Ok(()),
        };
        c.joining = None;
        let Some(place) = place else {
            c.machine.tell("No pool is reachable: use your backup pool", &mut c.outbox);
            return Err(Closing::By(CloseReason::NoSource));
        };
        c.group = Some(place.group);
        if self.adit.policy.reply == ReplyMode::Source {
            self.adit.mailboxes.insert(c.me, self.connection_index(c));
        }
        let hashrate = c.machine.first_hashrate();
        let feed = c.news.feed.take().or(place.feed);
        c.news.changed = None;
        let meter = place.meter;
        let moved = c.news.moved.take();
        self.step(c, |machine, io| {
            machine.joined(meter, hashrate, feed.clone(), io);
            if let Some(place) = moved {
                machine.moved(place.meter, io);
                if let Some(feed) = feed.or(place.feed) {
                    machine.feed(&feed, io);
                }
            }
            Ok(())
        })
    }

    fn connection_index(&self, c: &Connection) -> usize {
        usize::try_from(c.me.0).unwrap_or(usize::MAX)
    }

    fn on_news(&mut self, c: &mut Connection) -> Result<(), Closing> {
        if let Some(text) = c.news.farewell {
            c.machine.tell(text, &mut c.outbox);
            let why = if self.adit.draining { CloseReason::ShuttingDown } else { CloseReason::NoSource };
            return Err(Closing::By(why));
        }
        let relief = self.adit.relief;
        if let Some(place) = c.news.moved.take() {
            c.group = Some(place.group);
            let feed = c.news.feed.clone().or(place.feed);
            return self.step(c, |machine, io| {
                machine.relieve(relief);
                machine.moved(place.meter, io);
                if let Some(feed) = feed {
                    machine.feed(&feed, io);
                }
                Ok(())
            });
        }
        let Some(feed) = c.news.feed.clone() else {
            return Ok(());
        };
        self.step(c, |machine, io| {
            machine.relieve(relief);
            machine.feed(&feed, io);
            Ok(())
        })
    }

    fn on_deadline(&mut self, c: &mut Connection) -> Result<(), Closing> {
        if c.stalled_since.is_some_and(|t| self.now >= t + WRITE_STALL) {
            return Err(Closing::By(CloseReason::SlowReader));
        }
        self.step(c, Downstream::timer)
    }

    /// Runs the state machine and sends what it wrote.
    fn step(
        &mut self,
        c: &mut Connection,
        work: impl FnOnce(&mut Downstream, &mut Io<'_>) -> Result<(), CloseReason>,
    ) -> Result<(), Closing> {
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        let now = engine_now(self.now, self.adit.clock_error);
        let mut doors = Doors {
            sources: &mut self.adit.sources,
            share_queue: self.adit.share_queue,
            planted: self.planted,
            queued: Vec::new(),
            dead: 0,
        };
        let mut io = Io { now, out: &mut out, shares: &mut doors, ids: &mut self.adit.ids };
        let result = work(&mut c.machine, &mut io);
        let queued = doors.queued;
        self.adit.miners_ledger.for_dead_channels += doors.dead;
        for at in queued {
            self.wake(Task::Source(at));
        }
        self.note_broken(c);
        let sent = self.send(c, &out);
        self.scratch = out;
        sent?;
        result.map_err(Closing::By)
    }

    /// What an SV2 machine said that it must not say.
    fn note_broken(&mut self, c: &mut Connection) {
        if let Some(text) = c.machine.take_broken() {
            self.broken("sv2", format!("miner {}: {text}", c.miner));
        }
    }

    fn on_readable(&mut self, c: &mut Connection, took: &mut Micros) -> Result<(), Closing> {
        let mut bytes = Vec::new();
        c.read_at = self.now;
        let greedy = self.is_planted(PlantedBug::JobBehindShares);
        let most = if greedy { usize::MAX } else { READ_AT_ONCE };
        let Some(link) = self.links.get_mut(c.link) else {
            return Err(Closing::Left);
        };
        if link.read(End::Adit, most, &mut bytes) {
            self.room_again(c.link, End::Peer);
        }
        let mut chunk = bytes.as_slice();
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        let now = engine_now(self.now, self.adit.clock_error);
        let mut doors = Doors {
            sources: &mut self.adit.sources,
            share_queue: self.adit.share_queue,
            planted: self.planted,
            queued: Vec::new(),
            dead: 0,
        };
        let mut result = Ok(());
        let mut lines: u64 = 0;
        let mut any_share = false;
        while result.is_ok() {
            match c.lines.next_line(&mut chunk, sv1::MAX_LINE) {
                Ok(Some(line)) => {
                    lines += 1;
                    let (before, queued) = (out.len(), doors.queued.len());
                    let mut io = Io { now, out: &mut out, shares: &mut doors, ids: &mut self.adit.ids };
                    result = c.machine.line(line, &mut io);
                    let was_queued = doors.queued.len() > queued;
                    any_share |= self.adit.miners_ledger.note(was_queued, &out[before..]);
                }
                Ok(None) => break,
                Err(sv1::LineError::TooLong { .. }) => result = c.machine.line_too_long(),
            }
        }
        // A line costs three microseconds; one that reads all at once also keeps the others from theirs.
        *took += 3 * lines * if greedy { 100 } else { 1 };
        let queued = doors.queued;
        self.adit.miners_ledger.for_dead_channels += doors.dead;
        for at in queued {
            self.wake(Task::Source(at));
        }
        if c.machine.miner_id() != c.told_id {
            self.note_miner_id(c);
        }
        self.note_broken(c);
        let sent = self.send(c, &out);
        self.scratch = out;
        if any_share {
            self.check_miners();
        }
        sent?;
        result.map_err(Closing::By)
    }

    /// A miner was given an id: nobody else may have it.
    fn note_miner_id(&mut self, c: &mut Connection) {
        if c.told_id.is_some() {
            self.broken("extranonce1", format!("miner {} has another id now", c.miner));
        }
        c.told_id = c.machine.miner_id();
        let others = self.adit.connections.iter().flatten();
        if others.into_iter().any(|other| other.told_id.is_some() && other.told_id == c.told_id) {
            self.broken("I3", format!("two live miners have the id {:?}", c.told_id));
        }
    }

    /// Writes at once what the link takes; the rest waits in the outbox.
    fn send(&mut self, c: &mut Connection, bytes: &[u8]) -> Result<(), Closing> {
        if bytes.is_empty() {
            return Ok(());
        }
        let corrupted = self.corrupt_lines(bytes);
        let bytes = corrupted.as_deref().unwrap_or(bytes);
        let mut taken = 0;
        if c.outbox.is_empty() {
            taken = self.write_link(c.link, End::Adit, bytes);
        }
        let rest = &bytes[taken..];
        if !rest.is_empty() {
            if c.outbox.len() + rest.len() > self.adit.outbox {
                return Err(Closing::By(CloseReason::SlowReader));
            }
            c.outbox.extend_from_slice(rest);
            c.stalled_since.get_or_insert(self.now);
        }
        Ok(())
    }

    fn end_connection(&mut self, at: usize, mut c: Connection, why: Closing) {
        self.trace(|| format!("connection {at} of miner {} ends: {why:?}", c.miner));
        self.judge_end(&c, why);
        if let Closing::By(reason) = why {
            *self.adit.closed.entry(reason.as_str()).or_default() += 1;
        }
        let last_words = std::mem::take(&mut c.outbox);
        self.write_link(c.link, End::Adit, &last_words);
        if !self.is_planted(PlantedBug::HashrateLeak) {
            c.machine.ended();
        }
        self.adit.mailboxes.remove(&c.me);
        if let Some(id) = c.machine.miner_id() {
            let tips = self.adit.sources.iter().map(|source| source.tips).sum();
            self.adit.ids.release(id, tips);
        }
        if let (Some(worker), Some(difficulty)) = (c.machine.identity(), c.machine.learnt_difficulty()) {
            self.adit.memory.insert(worker, difficulty);
        }
        if let Some(group) = c.group {
            self.tell_router(RouterMessage::Leave { connection: at, group });
        }
        self.adit.live -= 1;
        self.close_link(c.link, End::Adit);
    }
}

impl crate::sim::witness::MinerLedger {
    /// Notes what a line was answered with. True: it was a share.
    fn note(&mut self, queued: bool, out: &[u8]) -> bool {
        if queued {
            self.submitted += 1;
            return true;
        }
        for line in out.split(|byte| *byte == b'\n') {
            let Some(rest) = line.strip_prefix(b"{\"id\":") else {
                continue;
            };
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            // Requests of the set-up have small ids.
            if digits < 4 {
                continue;
            }
            let has = |words: &[u8]| line.windows(words.len()).any(|part| part == words);
            self.submitted += 1;
            if has(b"\"result\":true") {
                self.taken += 1;
            } else if has(b"\"No pool") || has(b"\"Overloaded") {
                self.unsent += 1;
            } else {
                self.rejected += 1;
            }
            return true;
        }
        false
    }
}
