//! Everything together, and what holds after each action.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use engine::books::{Books, Totals};
use engine::miner::{CloseReason, Io, ListenerPolicy, ReplyMode, Sv1Miner};
use engine::router::{
    GoalSettings, JoinRequest, MinersPerChannel, Output, RouteSettings, Router, SourcePlan,
};
use engine::source::{SourceCommand, SourceEvent, SourceSettings, Sv2Pool};
use engine::{Feed, GoalId, GroupId, ListenerId, MinerRef, Now, RouteId, SourceId};
use sv1::client;
use sv2::FrameHeader;
use work::vardiff;

use super::action::Action;
use super::miner::{Asked, Doors, Ids, Miner, Outcome};
use super::source::Source;

const ROUTE: RouteId = RouteId(0);
const EXTRANONCE2: u8 = 4;
/// Rounds between router and sources that one action may cause: each can cause another.
const ROUNDS: usize = 64;
/// The route's sum of hashrates is a sum of floats: this part of the largest may be left.
const ROUNDING: f64 = 1e-6;

/// See the module.
pub(super) struct World {
    now: Now,
    router: Router,
    sources: [Source; 2],
    miners: [Option<Miner>; 4],
    /// Each group's newest work.
    groups: BTreeMap<GroupId, Option<Arc<Feed>>>,
    books: Arc<Books>,
    policy: Arc<ListenerPolicy>,
    ids: Ids,
    next_miner: u64,
    queue: usize,
    lazy: bool,
    planted: bool,
    /// Shares counted at the lines.
    shares: u64,
    most_hashrate: f64,
}

impl World {
    /// A process that has just begun, with the settings that three bytes stand for.
    pub(super) fn new([a, b, c]: [u8; 3], planted: bool) -> Self {
        let now = Now { mono: Duration::from_secs(1_000), unix: 1_700_000_000 };
        let books = Arc::new(Books::default());
        let id_size = 2 + a % 3;
        let policy = ListenerPolicy {
            id: ListenerId(0),
            route: ROUTE,
            extranonce1_size: id_size,
            extranonce2_size: EXTRANONCE2,
            vardiff: vardiff::Settings { shares_per_minute: 20.0, min: 2.4e-10, max: 1e-3 },
            vardiff_enabled: a & 4 == 0,
            difficulty_start: 1e-9,
            version_mask: 0x1fff_e000,
            sv2_version_mask: 0x1fff_ffe0,
            reply: if a & 8 == 0 { ReplyMode::Local } else { ReplyMode::Source },
            setup_deadline: Duration::from_secs(10),
            idle_deadline: Duration::from_secs(7_200),
            identity: Vec::new(),
            declarators: false,
            hash_seed: 1,
            retargets: Arc::default(),
            firmware: Arc::default(),
        };
        let settings = |id: u16| SourceSettings {
            id: SourceId(id),
            host: format!("pool-{id}.example"),
            port: 3333,
            insecure: a & 16 != 0,
            worker_names: a & 32 == 0,
            tlv_byte_order: if a & 64 == 0 {
                sv2::TlvByteOrder::LittleEndian
            } else {
                sv2::TlvByteOrder::BigEndian
            },
            ntime_slack: 600,
            unsettled_max: (b & 1 == 1).then_some(3),
            work_selection: false,
            payout: None,
            tag_room: 8 * u8::from(id > 0),
        };
        let plan = |id: u16| SourcePlan {
            id: SourceId(id),
            user_identity: Arc::from("farm"),
            nominal_hashrate: (b & 2 == 2).then_some(1e12),
            miners_per_channel: [
                None,
                Some(MinersPerChannel::One),
                Some(MinersPerChannel::UpTo(2)),
                Some(MinersPerChannel::All),
            ][usize::from(b >> 2) % 4],
            declares: false,
        };
        let route = RouteSettings {
            id: ROUTE,
            goals: vec![GoalSettings::whole(GoalId(0), vec![SourceId(0), SourceId(1)])],
            return_after: Duration::from_secs(u64::from(b >> 4)),
            outage_grace: Duration::from_secs(30),
            keepalive: Duration::from_secs(30),
            grows: false,
        };
        let source = |id: u16| Source::new(Sv2Pool::new(settings(id), u64::from(id)));
        let mut world = Self {
            now,
            router: Router::new(vec![plan(0), plan(1)], vec![route], 1, now),
            sources: [source(0), source(1)],
            miners: [const { None }; 4],
            groups: BTreeMap::new(),
            policy: Arc::new(policy),
            ids: Ids { size: id_size, next: u32::from(c), live: 0 },
            next_miner: 0,
            queue: if c & 1 == 0 { 1_000 } else { 2 },
            lazy: c & 2 == 2,
            planted,
            shares: 0,
            most_hashrate: 0.0,
            books,
        };
        world.settle();
        world
    }

    /// Does it, and checks what has to hold afterwards.
    pub(super) fn act(&mut self, action: &Action<'_>) {
        let before = self.books.totals().submitted();
        let shares = self.shares;
        self.step(action);
        self.settle();
        let after = self.books.totals();
        assert_eq!(after.submitted() - before, self.shares - shares, "{action:?} changed what was submitted");
        self.balance(&after);
        self.nobody_searches_what_another_does();
        self.most_hashrate = self.most_hashrate.max(self.router.hashrate(ROUTE));
    }

    /// Where the same id is given out in two spaces, no channel has both.
    fn nobody_searches_what_another_does(&self) {
        let mut searched = BTreeSet::new();
        for miner in self.miners.iter().flatten() {
            let feed = miner.group.and_then(|group| self.groups.get(&group)?.as_ref());
            let (Some(feed), Some(id)) = (feed, miner.machine.miner_id()) else { continue };
            let key = feed.channel.key;
            let space = (key.source, key.connection, key.channel_id, id.as_bytes().to_vec());
            assert!(searched.insert(space), "two miners with id {id} on one channel");
        }
    }

    fn balance(&self, totals: &Totals) {
        assert_eq!(totals.submitted(), self.shares, "submitted");
        let waiting: usize =
            self.sources.iter().map(|source| source.queue.len() + source.machine.status().open_shares).sum();
        assert_eq!(totals.pending, waiting as u64, "pending");
        assert_eq!(totals.held, 0);
        let told = self.policy.reply == ReplyMode::Local;
        assert!(told || totals.told_true_lost == 0, "shares told true before the source answered");
        assert!(totals.work_verified.is_finite() && totals.work_rejected.is_finite());
        let hashrate = self.router.hashrate(ROUTE);
        assert!(hashrate.is_finite() && hashrate >= 0.0, "a hashrate of {hashrate}");
    }

    fn step(&mut self, action: &Action<'_>) {
        let now = self.now;
        match *action {
            Action::Connect { slot } => self.connect(slot),
            Action::Leave { slot } => self.leave(usize::from(slot) % 4),
            Action::SetUp { slot, how } => self.set_up(slot, how),
            Action::Request { slot, which, value } => self.line(slot, &request(which, value)),
            Action::Line { slot, line } => {
                line.split(|byte| *byte == b'\n').for_each(|line| self.line(slot, line));
            }
            Action::Mine { slot, job, nonce, oddity } => self.mine(slot, job, nonce, oddity),
            Action::Tick { how } => self.tick(how),
            Action::Link { source, how: how @ 0xf0.. } => {
                let tag = [0xee; 8];
                let tag = work::LeaseTag::new(&tag[..4 * usize::from(how % 3)]).expect("0, 4 or 8 bytes");
                self.source(source).command(SourceCommand::SetTag(tag), now);
            }
            Action::Link { source, how } => self.source(source).link(how, now),
            Action::PoolSetUp { source, how } => self.source(source).pool_says(now, |pool| pool.set_up(how)),
            Action::PoolOpens { source, how, space } => {
                self.source(source).pool_says(now, |pool| pool.opens(how, space));
            }
            Action::PoolJob { source, to, how, tip } => {
                self.source(source).pool_says(now, |pool| pool.job(to, how, tip));
            }
            Action::PoolAnswers { source, how, count } => {
                self.source(source).pool_says(now, |pool| pool.answers(how, count));
            }
            Action::PoolSays { source, which, value } => {
                self.source(source).pool_says(now, |pool| pool.says(which, value));
            }
            Action::Frame { source, extension, msg_type, payload } => {
                let source = self.source(source);
                if let Some(pool) = &mut source.pool {
                    pool.goes_wild();
                }
                let header = FrameHeader {
                    extension_type: u16::from(extension >> 1) % 4,
                    channel_msg: extension & 1 == 1,
                    msg_type,
                    length: u32::try_from(payload.len()).unwrap_or(u32::MAX),
                };
                source.frame(&header, payload, now);
            }
            Action::Pump { source, count } => self.source(source).pump(usize::from(count), now),
            Action::Turn { slot } => self.turn(usize::from(slot) % 4),
        }
    }

    fn source(&mut self, at: u8) -> &mut Source {
        &mut self.sources[usize::from(at % 2)]
    }

    fn connect(&mut self, slot: u8) {
        let slot = &mut self.miners[usize::from(slot) % 4];
        if slot.is_none() {
            let me = MinerRef(self.next_miner);
            self.next_miner += 1;
            let machine = Sv1Miner::new(Arc::clone(&self.policy), Arc::clone(&self.books), me, self.now);
            *slot = Some(Miner::new(me, machine));
        }
    }

    fn leave(&mut self, at: usize) {
        let Some(mut miner) = self.miners[at].take() else { return };
        miner.machine.ended();
        self.ids.live -= usize::from(miner.machine.miner_id().is_some());
        if let Some(group) = miner.group {
            self.router.leave(miner.me, group, self.now);
        }
    }

    fn set_up(&mut self, slot: u8, how: u8) {
        let mut lines: [Vec<u8>; 3] = Default::default();
        client::write_subscribe(&mut lines[0], 1, "fuzzer/1", None);
        let worker = ["farm.one", "farm.two", "f", "ä"][usize::from(how) % 4];
        let password = if how & 4 == 0 { "x" } else { "d=0.000001;md=1e-9" };
        client::write_authorize(&mut lines[1], 2, worker, password);
        client::write_configure(&mut lines[2], 3, 0x1fff_e000, how >> 6);
        lines.rotate_left(usize::from(how >> 3) % 3);
        let count = if how & 32 == 0 { 3 } else { 2 };
        for line in &lines[..count] {
            self.line(slot, line.strip_suffix(b"\n").unwrap_or(line));
        }
    }

    fn mine(&mut self, slot: u8, job: u8, nonce: u8, oddity: u8) {
        let Some(miner) = &self.miners[usize::from(slot) % 4] else { return };
        let (job, ntime) = miner.job(job);
        let worker = miner.machine.identity().map_or("", |name| name).to_owned();
        let worker = if oddity == 200 { "somebody else".to_owned() } else { worker };
        let ntime = if oddity == 201 { ntime.wrapping_add(8_000) } else { ntime };
        let extranonce2 = if oddity == 202 { &[1; 3][..] } else { &[1; 4] };
        let bits = match oddity % 4 {
            0 | 1 => None,
            2 => Some(0x2000),
            _ if oddity > 203 => Some(1),
            _ => Some(0),
        };
        let mut line = Vec::new();
        client::write_submit(&mut line, 9, &worker, &job, extranonce2, ntime, nonce.into(), bits);
        self.line(slot, line.strip_suffix(b"\n").unwrap_or(&line));
    }

    fn line(&mut self, slot: u8, line: &[u8]) {
        let at = usize::from(slot) % 4;
        if self.miners[at].is_none() {
            return;
        }
        let asked = Asked::of(line);
        let before = self.books.totals();
        let outcome = self.call(at, |machine, io| machine.line(line, io)).unwrap_or_default();
        let after = self.books.totals();
        let shares = after.submitted() - before.submitted();
        assert_eq!(shares, u64::from(asked == Asked::Share), "a line counts as {shares} shares");
        self.shares += shares;
        let waits = self.policy.reply == ReplyMode::Source && outcome.taken > 0;
        // Who floods is not answered any more.
        let unanswered = waits || outcome.closed == Some(CloseReason::Flood);
        let answers = if unanswered { 0 } else { u64::from(asked != Asked::Nothing) };
        assert_eq!(outcome.answers, answers, "answers to a line, {outcome:?}");
        if asked == Asked::Share {
            let local = after.local - before.local;
            let taken = if waits { 0 } else { outcome.taken };
            assert_eq!(outcome.trues, local + taken, "true for a share, {outcome:?}");
        }
        self.join(at);
    }

    /// A miner that is ready for work gets its place, or is turned away.
    fn join(&mut self, at: usize) {
        let Some(miner) = &mut self.miners[at] else { return };
        if !miner.machine.wants_to_join() {
            return;
        }
        if self.router.is_told(ROUTE) {
            return self.leave(at);
        }
        let hashrate = miner.machine.first_hashrate();
        let request = JoinRequest {
            miner: miner.me,
            route: ROUTE,
            goal: None,
            hashrate,
            identity: miner.machine.identity().cloned().unwrap_or_default(),
            miner_id_size: self.policy.extranonce1_size,
            extranonce2_size: self.policy.extranonce2_size,
            space: miner.machine.miner_id().map_or(0, |id| id.space()),
        };
        let (group, meter, feed) = self.router.join(&request, self.now);
        meter.shift_hashrate(hashrate);
        miner.group = Some(group);
        let feed = self.groups.entry(group).or_insert(feed).clone();
        self.router.joined(group, self.now);
        self.call(at, |machine, io| {
            machine.joined(meter, hashrate, feed, io);
            Ok(())
        });
        self.settle();
    }

    /// Calls a miner's machine; a miner that is to be closed leaves.
    fn call(
        &mut self,
        at: usize,
        call: impl FnOnce(&mut Sv1Miner, &mut Io<'_>) -> Result<(), CloseReason>,
    ) -> Option<Outcome> {
        let miner = self.miners[at].as_mut()?;
        let mut doors =
            Doors { sources: &mut self.sources, queue: self.queue, taken: 0, planted: self.planted };
        let outcome = miner.call(&mut doors, &mut self.ids, self.now, call);
        if outcome.closed.is_some() {
            self.leave(at);
        }
        Some(outcome)
    }

    fn turn(&mut self, at: usize) {
        let Some(news) = self.miners[at].as_mut().map(|miner| miner.news.take()) else { return };
        if let Some(feed) = news {
            self.call(at, |machine, io| {
                machine.feed(&feed, io);
                Ok(())
            });
        }
        for _ in 0..3 {
            let now = self.now.mono;
            let due = |miner: &Miner| miner.machine.deadline().is_some_and(|at| at <= now);
            if !self.miners[at].as_ref().is_some_and(due) {
                return;
            }
            self.call(at, Sv1Miner::timer);
        }
        let left = self.miners[at].as_ref().and_then(|miner| miner.machine.deadline());
        assert!(left.is_none_or(|at| at > self.now.mono), "a miner's deadline {left:?} stays in the past");
    }

    fn tick(&mut self, how: u8) {
        let ms = [0, 1, 100, 1_000, 2_500, 11_000, 31_000, 600_000, 8_000_000][usize::from(how) % 9];
        self.now.mono += Duration::from_millis(ms);
        self.now.unix = match how {
            255 => self.now.unix.saturating_sub(100_000),
            _ => self.now.unix.saturating_add(u32::try_from(ms / 1_000).unwrap_or(0)),
        };
        let now = self.now;
        for source in &mut self.sources {
            source.timer(now);
        }
        self.settle();
        for _ in 0..3 {
            if self.router.deadline(now) <= now.mono {
                self.router.timer(now);
                self.settle();
            }
        }
        assert!(self.router.deadline(now) > now.mono, "the router's deadline stays in the past");
        (0..4).for_each(|at| self.turn(at));
    }

    /// Carries what the machines want to each other until nothing is left to carry.
    fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let mut quiet = true;
            for at in 0..self.sources.len() {
                let fx = &mut self.sources[at].fx;
                fx.ack_latencies.clear();
                let (events, answers) = (std::mem::take(&mut fx.events), std::mem::take(&mut fx.answers));
                for (me, answer) in answers {
                    quiet = false;
                    let slot = self.miners.iter().position(|m| m.as_ref().is_some_and(|m| m.me == me));
                    if let Some(slot) = slot {
                        let outcome = self.call(slot, |machine, io| {
                            machine.answer(answer, io.out);
                            Ok(())
                        });
                        let answers = outcome.map_or(0, |outcome| outcome.answers);
                        assert_eq!(answers, 1, "a share that waits for its source is answered once");
                    }
                }
                for event in events {
                    quiet = false;
                    self.check_event(at, &event);
                    self.router.event(SourceId(u16::try_from(at).unwrap_or(0)), event, self.now);
                }
            }
            while let Some(output) = self.router.poll() {
                quiet = false;
                self.carry_out(output);
            }
            if quiet {
                return;
            }
        }
        assert!(
            self.sources.iter().all(|source| source.fx.events.is_empty()),
            "router and sources never agree"
        );
    }

    fn check_event(&self, at: usize, event: &SourceEvent) {
        if let SourceEvent::Work(feed) = event {
            assert_eq!(usize::from(feed.source().0), at);
            let source = &self.sources[at];
            assert!(source.pool.is_some() || !feed.channel.is_alive(), "work on a channel of no link");
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            // There is one goal.
            Output::Moved(..) => {}
            Output::Publish(group, feed) => {
                let Some(cell) = self.groups.get_mut(&group) else { return };
                *cell = Some(Arc::clone(&feed));
                for at in 0..self.miners.len() {
                    let Some(miner) = self.miners[at].as_mut().filter(|m| m.group == Some(group)) else {
                        continue;
                    };
                    miner.news = Some(Arc::clone(&feed));
                    if !self.lazy {
                        self.turn(at);
                    }
                }
            }
            Output::Ended(group) => {
                assert!(
                    self.miners.iter().flatten().all(|miner| miner.group != Some(group)),
                    "a group with miners ends"
                );
                self.groups.remove(&group);
            }
            Output::Command(SourceId(at), command) => {
                let now = self.now;
                self.sources[usize::from(at)].command(command, now);
            }
            Output::OutageTold(_) | Output::Unserved(_) => {
                let of = match output {
                    Output::Unserved(group) => Some(group),
                    _ => None,
                };
                for at in 0..self.miners.len() {
                    let its = |group: GroupId| of.is_none_or(|of| of == group);
                    let mined = self.miners[at].as_ref().is_some_and(|miner| miner.group.is_some_and(its));
                    if mined {
                        self.call(at, |machine, io| {
                            machine.tell("No pool is reachable", io.out);
                            Ok(())
                        });
                        self.leave(at);
                    }
                }
            }
            Output::OutageOver(_) | Output::Switched(..) | Output::Retired(_) => {}
        }
    }

    /// Everybody leaves, every link ends: nothing may be left.
    pub(super) fn end(mut self) {
        (0..4).for_each(|at| self.leave(at));
        self.settle();
        let now = self.now;
        for source in &mut self.sources {
            source.link(3, now);
            let waiting = source.queue.len();
            source.pool = None;
            source.machine.command(SourceCommand::Stop, now, &mut source.fx);
            source.fx.hang_up = false;
            source.fx.frames.clear();
            source.pump(waiting, now);
        }
        self.settle();
        let totals = self.books.totals();
        self.balance(&totals);
        assert_eq!(totals.pending, 0, "shares that no end was found for");
        assert!(self.groups.is_empty(), "groups without miners: {:?}", self.groups.keys());
        assert_eq!(self.ids.live, 0, "miner ids of nobody");
        let left = self.router.hashrate(ROUTE);
        assert!(left <= self.most_hashrate * ROUNDING, "{left} of {} hashes per second", self.most_hashrate);
    }
}

/// A request as firmware sends it, and as none does.
fn request(which: u8, value: u8) -> Vec<u8> {
    let number = [
        "1",
        "0.000000001",
        "0",
        "-1",
        "1e308",
        "1e-308",
        "\"512\"",
        "1e400",
        "null",
        "5e-324",
        "16777216",
        "[]",
    ][usize::from(value) % 12];
    let (method, params) = match which % 12 {
        0 => ("mining.suggest_difficulty", format!("[{number}]")),
        1 => (
            "mining.suggest_target",
            format!("[\"{:0width$x}\"]", value, width = usize::from(value) % 64 + 1),
        ),
        2 => (
            "mining.configure",
            format!(
                "[[\"version-rolling\",\"minimum-difficulty\",\"x\"],{{\"version-rolling.mask\":\"{value:08x}\",\
                 \"version-rolling.min-bit-count\":{},\"minimum-difficulty.value\":{number}}}]",
                value % 40
            ),
        ),
        3 => ("mining.authorize", format!("[\"farm.{value}\",\"d={number},fd={number}\"]")),
        4 => ("mining.extranonce.subscribe", "[]".to_owned()),
        5 => ("mining.ping", "[]".to_owned()),
        6 => ("pong", "[]".to_owned()),
        7 => ("mining.get_transactions", format!("[{number}]")),
        8 => ("mining.multi_version", format!("[{value}]")),
        9 => ("mining.subscribe", format!("[\"other/{value}\",{number}]")),
        10 => ("mining.submit", format!("[{number},\"{value:x}\"]")),
        _ => ("client.unheard_of", number.to_owned()),
    };
    format!("{{\"id\":{value},\"method\":\"{method}\",\"params\":{params}}}").into_bytes()
}
