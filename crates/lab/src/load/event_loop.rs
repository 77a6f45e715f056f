//! One thread of the load generator: its connections, its sockets' events, its schedule.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::connection::{Common, Connection, Failure, ShareTally, Stage};
use super::fanout::Spread;
use super::options::Mode;
use super::pace::Pace;
use super::source_address::Dialler;
use super::ticker::Ticker;
use super::{LoadError, Shared, process};
use crate::histogram::Histogram;

/// Events taken at once.
const EVENTS: usize = 1_024;

/// Bytes read at once.
const SCRATCH: usize = 64 * 1_024;

/// The ticker's token; connections have theirs below.
const TICK: Token = Token(usize::MAX);

/// Longest wait while nothing is scheduled.
const IDLE_WAIT: Duration = Duration::from_millis(10);

/// Shares that the flooding connection makes before others get a turn.
const FLOOD_BATCH: usize = 256;

/// Connections dialled before others get a turn.
const DIAL_BATCH: usize = 64;

/// All connections' coming, the first time or after a storm.
#[derive(Debug, Default)]
pub(super) struct Coming {
    pub(super) connected: u64,
    pub(super) with_work: u64,
    pub(super) failed: u64,
    pub(super) tcp_up: Histogram,
    pub(super) first_job: Histogram,
    /// From its beginning to the last connection's first job.
    pub(super) to_all: Duration,
}

/// What one thread measured.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The first time, and each storm.
    pub(super) comings: Vec<Coming>,
    pub(super) closed_later: u64,
    pub(super) first_failure: Option<String>,
    pub(super) shares: ShareTally,
    pub(super) flood: ShareTally,
    pub(super) due: u64,
    pub(super) not_sent: u64,
    pub(super) spreads: Vec<Spread>,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) notifies: u64,
    pub(super) too_hard: Option<f64>,
    pub(super) difficulty: Option<(f64, f64)>,
    pub(super) cpu_connecting: Duration,
    pub(super) cpu_running: Duration,
    pub(super) run_time: Duration,
}

impl Outcome {
    /// The coming that goes on, or was the last.
    fn coming(&mut self) -> &mut Coming {
        let last = self.comings.len().saturating_sub(1);
        &mut self.comings[last]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    /// All connections are settled; waits for the other threads.
    Waiting,
    Running,
    Draining {
        until: Instant,
    },
}

/// A thread's whole state.
#[derive(Debug)]
pub(super) struct EventLoop {
    shared: Arc<Shared>,
    /// Numbers of this thread's connections: every `threads`-th.
    first: usize,
    count: usize,
    poll: Poll,
    ticker: Ticker,
    dialler: Dialler,
    connections: Vec<Option<Connection>>,
    /// Connections that have no answer yet.
    unanswered: usize,
    /// Connections that have not ended.
    alive: usize,
    /// Connections that have neither work nor failed.
    unsettled: usize,
    /// In the order of dialling: who is given up next.
    waiting: VecDeque<usize>,
    common: Common,
    outcome: Outcome,
    pace: Option<Pace>,
    /// Connection that sends the next share.
    next: usize,
    touched: Vec<usize>,
    /// What the ticker is set to.
    armed: Option<Instant>,
    phase: Phase,
    /// When the connections began to come, this time.
    coming_since: Instant,
    cpu_mark: Duration,
    run_start: Option<Instant>,
}

impl EventLoop {
    pub(super) fn new(index: usize, shared: Arc<Shared>) -> io::Result<EventLoop> {
        let poll = Poll::new()?;
        let ticker = Ticker::new(poll.registry(), TICK)?;
        let (miners, threads) = (shared.options.miners, shared.options.threads);
        let count = miners / threads + usize::from(index < miners % threads);
        let common = Common::new(shared.began, shared.began_unix.as_secs(), SCRATCH);
        Ok(EventLoop {
            dialler: Dialler::new(shared.server, threads),
            coming_since: shared.began,
            shared,
            first: index,
            count,
            poll,
            ticker,
            connections: Vec::with_capacity(count),
            unanswered: 0,
            alive: 0,
            unsettled: 0,
            waiting: VecDeque::new(),
            common,
            outcome: Outcome { comings: vec![Coming::default()], ..Outcome::default() },
            pace: None,
            next: 0,
            touched: Vec::new(),
            armed: None,
            phase: Phase::Connecting,
            cpu_mark: Duration::ZERO,
            run_start: None,
        })
    }

    pub(super) fn run(mut self) -> Result<Outcome, LoadError> {
        self.cpu_mark = process::thread_cpu();
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let now = Instant::now();
            let Some(wait) = self.advance(now)? else { break };
            match self.poll.poll(&mut events, Some(wait)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                if event.token() != TICK {
                    self.on_event(event.token().0, event.is_readable(), event.is_writable());
                }
            }
        }
        Ok(self.finish())
    }

    /// Most connections would have to mine their shares. A server that forgets a few difficulties can be measured.
    fn is_too_hard(&self) -> bool {
        self.common.hard * 2 > self.count
    }

    /// Does what is due in the present phase. Returns how long to wait for events; `None`: the end.
    fn advance(&mut self, now: Instant) -> io::Result<Option<Duration>> {
        // Without a single connection there is nothing left to do or to wait for.
        let deserted = self.phase != Phase::Connecting && self.alive == 0;
        let stop = self.shared.stop.load(Ordering::Relaxed) || self.is_too_hard() || deserted;
        match self.phase {
            Phase::Connecting => {
                let wait = self.dial_due(now);
                self.give_up_silent(now);
                let dialled = self.connections.len() == self.count;
                let settled = dialled && self.unsettled == 0;
                if settled && !stop && self.outcome.comings.len() <= self.shared.options.storms {
                    self.come_again();
                    return Ok(Some(Duration::ZERO));
                }
                if stop || settled {
                    self.phase = Phase::Waiting;
                    self.outcome.cpu_connecting = process::thread_cpu().saturating_sub(self.cpu_mark);
                    self.common.fanouts.begin(self.common.jobs);
                    self.shared.ready.fetch_add(1, Ordering::AcqRel);
                }
                Ok(Some(wait))
            }
            Phase::Waiting if deserted => Ok(None),
            Phase::Waiting => match self.shared.start.get() {
                Some(start) if *start <= now => {
                    self.begin(*start);
                    Ok(Some(Duration::ZERO))
                }
                Some(start) => Ok(Some(*start - now)),
                // The coordinator sets the start even when it is to stop.
                None => Ok(Some(IDLE_WAIT)),
            },
            Phase::Running => {
                let busy = self.send_due(now);
                self.send_flood(now);
                let start = self.run_start.unwrap_or(now);
                if stop || now >= start + self.shared.options.duration {
                    self.outcome.cpu_running = process::thread_cpu().saturating_sub(self.cpu_mark);
                    self.outcome.run_time = now - start;
                    // What was due by now and never had its turn was not sent either.
                    while self.pace.as_mut().is_some_and(|pace| pace.take(now).is_some()) {
                        self.outcome.not_sent += 1;
                    }
                    self.phase = Phase::Draining { until: now + self.shared.options.drain };
                    return Ok(Some(Duration::ZERO));
                }
                Ok(Some(if busy || self.flood_has_room() { Duration::ZERO } else { self.wait_for_due(now)? }))
            }
            Phase::Draining { until } => {
                let open = self.connections.iter().flatten().any(|connection| connection.open() > 0);
                Ok((open && now < until).then_some(IDLE_WAIT))
            }
        }
    }

    // --- connecting ---

    /// Dials what is due as far as the window allows. Returns how long to wait.
    fn dial_due(&mut self, now: Instant) -> Duration {
        let options = &self.shared.options;
        #[expect(clippy::cast_precision_loss, reason = "at most 20,000 connections")]
        let due = |index: usize| {
            let share = (self.first + index * options.threads) as f64 / options.miners as f64;
            self.coming_since + options.connect_over.mul_f64(share)
        };
        let window = (options.connect_window / options.threads).max(1);
        for _ in 0..DIAL_BATCH {
            let index = self.connections.len();
            if index >= self.count {
                return IDLE_WAIT;
            }
            let due = due(index);
            if due > now {
                return (due - now).min(IDLE_WAIT);
            }
            if self.unanswered >= window {
                return IDLE_WAIT;
            }
            // A paced connection counts from when it was due, another from now.
            let dialled = if options.connect_over.is_zero() { Instant::now() } else { due };
            let number = self.first + index * options.threads;
            let floods = options.mode == Mode::Flood && number == 0;
            let connection = self.dialler.dial().and_then(|mut stream| {
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(&mut stream, Token(index), interest)?;
                Ok(stream)
            });
            match connection {
                Ok(stream) => {
                    let number = u32::try_from(number).unwrap_or(u32::MAX);
                    self.connections.push(Some(Connection::new(stream, number, floods, dialled)));
                    self.alive += 1;
                    self.unanswered += 1;
                    self.unsettled += 1;
                    self.waiting.push_back(index);
                }
                Err(error) => {
                    self.connections.push(None);
                    self.outcome.coming().failed += 1;
                    self.outcome.first_failure.get_or_insert_with(|| error.to_string());
                }
            }
        }
        Duration::ZERO
    }

    /// A storm: all connections are closed at once, and begun anew.
    fn come_again(&mut self) {
        for connection in &mut self.connections {
            // Closed when it is dropped, whatever becomes of its registration.
            let Some(mut connection) = connection.take() else { continue };
            let _ = self.poll.registry().deregister(&mut connection.stream);
        }
        self.connections.clear();
        self.waiting.clear();
        (self.unanswered, self.alive, self.unsettled, self.common.hard) = (0, 0, 0, 0);
        self.outcome.comings.push(Coming::default());
        self.coming_since = Instant::now();
    }

    /// Gives up connections that have had no work for too long.
    fn give_up_silent(&mut self, now: Instant) {
        while let Some(&index) = self.waiting.front() {
            match &self.connections[index] {
                Some(connection) if connection.stage != Stage::Working => {
                    if now < connection.dialled + self.shared.options.connect_timeout {
                        return;
                    }
                    self.close(index, "no job in time");
                }
                _ => {}
            }
            self.waiting.pop_front();
        }
    }

    // --- events ---

    fn on_event(&mut self, index: usize, readable: bool, writable: bool) {
        let Some(Some(connection)) = self.connections.get_mut(index) else {
            return;
        };
        let before = connection.stage;
        let (options, common) = (&self.shared.options, &mut self.common);
        let mut result = Ok(());
        if before == Stage::Dialling && (writable || readable) {
            result = connection.greet(options, common);
            if result.is_ok() {
                let took = connection.dialled.elapsed();
                let coming = self.outcome.coming();
                coming.connected += 1;
                coming.tcp_up.record(took);
            }
        } else if writable && connection.has_unsent() {
            result = connection.flush(common);
        }
        if readable && result.is_ok() {
            result = connection.read(options, common, Instant::now());
        }
        let after = connection.stage;
        if before < Stage::Greeted && after >= Stage::Greeted {
            self.unanswered -= 1;
        }
        if before != Stage::Working && after == Stage::Working {
            let now = Instant::now();
            let (dialled, since) = (connection.dialled, self.coming_since);
            let coming = self.outcome.coming();
            coming.first_job.record(now.saturating_duration_since(dialled));
            coming.to_all = now.saturating_duration_since(since);
            coming.with_work += 1;
            self.unsettled -= 1;
        }
        if let Err(failure) = result {
            self.fail(index, &failure);
        }
    }

    fn fail(&mut self, index: usize, failure: &Failure) {
        self.close(index, &failure.to_string());
    }

    fn close(&mut self, index: usize, why: &str) {
        let Some(mut connection) = self.connections[index].take() else {
            return;
        };
        connection.give_up_open(&mut self.common);
        self.common.hard -= usize::from(connection.hard);
        self.alive -= 1;
        if connection.stage < Stage::Greeted {
            self.unanswered -= 1;
        }
        if connection.stage == Stage::Working {
            self.outcome.closed_later += 1;
        } else {
            self.unsettled -= 1;
            self.outcome.coming().failed += 1;
        }
        self.outcome.first_failure.get_or_insert_with(|| why.to_owned());
        // Errors here leave nothing to be done: the socket is closed next.
        let _ = self.poll.registry().deregister(&mut connection.stream);
    }

    // --- shares ---

    fn begin(&mut self, start: Instant) {
        let options = &self.shared.options;
        self.phase = Phase::Running;
        self.run_start = Some(start);
        self.cpu_mark = process::thread_cpu();
        if options.mode != Mode::Idle && options.shares_per_second > 0.0 {
            #[expect(clippy::cast_precision_loss, reason = "at most 20,000 connections")]
            let part = self.count as f64 / options.miners as f64;
            self.pace = Some(Pace::new(start, options.shares_per_second * part, options.duration));
        }
    }

    /// Sends all shares that are due, up to a batch. `true`: more are due.
    fn send_due(&mut self, now: Instant) -> bool {
        let Some(pace) = &mut self.pace else { return false };
        let mut more = true;
        // A late generator must not keep replies waiting for ever.
        for _ in 0..EVENTS {
            let Some(due) = pace.take(now) else {
                more = false;
                break;
            };
            let index = next_sender(&self.connections, &mut self.next);
            let Some(connection) = index.and_then(|index| self.connections[index].as_mut()) else {
                self.outcome.not_sent += 1;
                continue;
            };
            let options = &self.shared.options;
            if !connection.has_room(options) || !connection.queue_share(due, options, &mut self.common) {
                self.outcome.not_sent += 1;
                continue;
            }
            if !connection.touched {
                connection.touched = true;
                self.touched.extend(index);
            }
        }
        let mut touched = std::mem::take(&mut self.touched);
        for index in touched.drain(..) {
            let Some(connection) = &mut self.connections[index] else {
                continue;
            };
            connection.touched = false;
            if let Err(failure) = connection.flush(&mut self.common) {
                self.fail(index, &failure);
            }
        }
        self.touched = touched;
        more
    }

    fn wait_for_due(&mut self, now: Instant) -> io::Result<Duration> {
        let end = self.run_start.unwrap_or(now) + self.shared.options.duration;
        let due = self.pace.as_ref().and_then(Pace::next_due).unwrap_or(end).min(end);
        let after = due.saturating_duration_since(now);
        if self.armed != Some(due) {
            self.ticker.wake_after(after)?;
            self.armed = Some(due);
        }
        Ok(self.ticker.timeout(after))
    }

    fn flood_has_room(&self) -> bool {
        self.flooder()
            .is_some_and(|connection| connection.has_room(&self.shared.options) && !connection.has_unsent())
    }

    fn flooder(&self) -> Option<&Connection> {
        self.connections.first()?.as_ref().filter(|connection| connection.floods)
    }

    /// The flooding connection sends as much as the socket takes, a batch at a time.
    fn send_flood(&mut self, now: Instant) {
        if !self.flood_has_room() {
            return;
        }
        let Some(Some(connection)) = self.connections.first_mut() else {
            return;
        };
        let options = &self.shared.options;
        for _ in 0..FLOOD_BATCH {
            if !connection.has_room(options) || !connection.queue_share(now, options, &mut self.common) {
                break;
            }
        }
        if let Err(failure) = connection.flush(&mut self.common) {
            self.fail(0, &failure);
        }
    }

    fn finish(mut self) -> Outcome {
        for connection in self.connections.iter_mut().flatten() {
            connection.give_up_open(&mut self.common);
        }
        let too_hard = self.is_too_hard();
        let common = self.common;
        Outcome {
            shares: common.shares,
            flood: common.flood,
            due: self.pace.as_ref().map_or(0, Pace::given),
            spreads: common.fanouts.into_spreads(),
            bytes_sent: common.bytes_sent,
            bytes_received: common.bytes_received,
            notifies: common.notifies,
            too_hard: common.too_hard.filter(|_| too_hard),
            difficulty: common.difficulty,
            ..self.outcome
        }
    }
}

/// The next connection in turn that can send shares, the flooding one excepted.
fn next_sender(connections: &[Option<Connection>], next: &mut usize) -> Option<usize> {
    for _ in 0..connections.len() {
        let index = *next % connections.len();
        *next = index + 1;
        if connections[index].as_ref().is_some_and(|c| c.stage == Stage::Working && !c.floods && !c.hard) {
            return Some(index);
        }
    }
    None
}
