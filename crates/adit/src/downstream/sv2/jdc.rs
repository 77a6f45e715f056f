//! One connection of a job declarator client, and the upstream connection that belongs to it.
//!
//! The two are one task: what one side does not take is not read from the other, so that little waits anywhere, and no one
//! else is concerned. There are few of them, so they have buffers of their own.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Shutdown};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::BytesMut;
use engine::miner::jdc::{PoolWay, refuse_setup};
use engine::miner::{CloseReason, JdcConnection, JdcDeclaring, JdcMining, JdcSetup};
use engine::source::DownReason;
use engine::{MinerRef, RouteId, SourceId};
use futures_util::FutureExt;
use noise::{OpenError, Opener, Sealer};
use socket2::SockRef;
use sv2::FrameHeader;
use tokio::io::Interest;
use tokio::time::Instant;
use tracing::info;

use crate::downstream::connection::READ_AT_ONCE;
use crate::downstream::context::ListenerContext;
use crate::downstream::declarators::{Declarators, JdcRoutes};
use crate::downstream::end::End;
use crate::downstream::opening::Opened;
use crate::downstream::outbox::{Full, Outbox};
use crate::downstream::roster::Attached;
use crate::upstream::{Line, LineEvent, OUTBOX_FULL};

/// At least so much may wait for a JDC: a list of the positions of all transactions that a block can have, and a few
/// answers.
const OUTBOX: usize = 512 * 1024;
/// What a JDC that has left sent before is answered within this, or its fate is unknown.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

/// The JDC's side of a connection, as far as it has come.
pub(super) struct Wire<'a> {
    pub(super) stream: &'a Attached,
    pub(super) sealer: Sealer,
    pub(super) opener: Opener,
    /// Ciphertext that is not a whole message yet.
    pub(super) input: BytesMut,
    pub(super) outbox: Outbox,
}

struct Connection<'a> {
    context: &'a ListenerContext,
    wire: Wire<'a>,
    machine: Box<dyn JdcConnection>,
    line: Line,
    routes: JdcRoutes,
    route: RouteId,
    source: SourceId,
    /// Frames for the JDC.
    out: BytesMut,
    sealed: BytesMut,
    read: Box<[u8]>,
    /// It is counted as mining.
    mining: bool,
    address: IpAddr,
}

/// Serves a connection whose `SetupConnection` has come until one side has enough.
pub(super) async fn serve(opened: &Opened, setup: JdcSetup, mut wire: Wire<'_>, context: &ListenerContext) {
    let Opened { address, me, .. } = opened;
    let Some(declarators) = &context.declarators else { return };
    let (connection, place) = match begin(opened, *me, setup, declarators, context).await {
        Ok(begun) => begun,
        Err(Refusal { why, code, advice }) => {
            let mut out = BytesMut::new();
            refuse_setup(setup, code, &mut out);
            last_words(&mut wire, &mut out, context);
            return context.say_closed(*address, why, &advice);
        }
    };
    let (machine, line, routes, route, source) = connection;
    if context.quiet.may_log(Some(address.ip())) {
        info!(listener = context.name, %address, source = routes.name(source), ?setup, "job declarator client");
    }
    let mut connection = Connection {
        context,
        wire,
        machine,
        line,
        routes,
        route,
        source,
        out: BytesMut::new(),
        sealed: BytesMut::new(),
        read: vec![0; READ_AT_ONCE].into(),
        mining: false,
        address: address.ip(),
    };
    // A mistake of ours costs one connection, not the process, and leaves nothing behind.
    let end = AssertUnwindSafe(connection.run()).catch_unwind().await;
    let end = end.map(|end| match (end, connection.wire.stream.why_closed()) {
        (End::Left, Some(why)) => End::Close(why),
        (end, _) => end,
    });
    match end {
        Ok(End::Left) => context.say_left(*address),
        Ok(End::Close(why)) => {
            let mut out = std::mem::take(&mut connection.out);
            connection.machine.tell(why.as_str(), &mut out);
            last_words(&mut connection.wire, &mut out, context);
            let detail = connection.machine.why_down().map(ToString::to_string);
            context.say_closed(*address, why, &detail.unwrap_or_default());
        }
        Err(_) => {
            context.say_panicked(*address);
        }
    }
    let parted = AssertUnwindSafe(connection.part()).catch_unwind().await;
    if parted.is_err() {
        context.figures.panicked.fetch_add(1, Relaxed);
    }
    drop(place);
}

/// Why a JDC is not served.
struct Refusal {
    why: CloseReason,
    /// For `SetupConnection.Error`.
    code: &'static str,
    /// For the log.
    advice: String,
}

type Begun = (Box<dyn JdcConnection>, Line, JdcRoutes, RouteId, SourceId);

/// Finds the pool that a connection is to be tied to.
async fn begin(
    opened: &Opened,
    me: MinerRef,
    setup: JdcSetup,
    declarators: &Declarators,
    context: &ListenerContext,
) -> Result<(Begun, tokio::sync::OwnedSemaphorePermit), Refusal> {
    let place = declarators.place(setup).ok_or_else(|| Refusal {
        why: CloseReason::SetupRefused,
        code: sv2::error_code::CHANNEL_CAPACITY_EXHAUSTED,
        advice: "job_declarators of the listener allows no more".to_owned(),
    })?;
    let route = context.routes.of("", opened.address.ip());
    let mut routes = declarators.routes.clone();
    let deadline = context.clock.instant(opened.began.mono + context.policy.setup_deadline);
    let find = async {
        let found = routes.find(route, setup).await;
        if found.is_ok() {
            declarators.turn(setup).await;
        }
        found
    };
    let source = match tokio::time::timeout_at(deadline, find).await {
        Ok(Ok(source)) => source,
        Ok(Err(advice)) => {
            let code = sv2::error_code::UNSUPPORTED_FEATURE_FLAGS;
            return Err(Refusal { why: CloseReason::SetupRefused, code, advice });
        }
        Err(_) => {
            let advice = "the route mines for no pool, or too many came before it".to_owned();
            return Err(Refusal { why: CloseReason::NoSource, code: "no-source", advice });
        }
    };
    let none = || Refusal { why: CloseReason::NoSource, code: "no-source", advice: String::new() };
    let ways = routes.ways(source).ok_or_else(none)?;
    let now = context.clock.now();
    let (machine, settings): (Box<dyn JdcConnection>, _) = match setup {
        JdcSetup::Mining => {
            let way = PoolWay { route, ..ways.pool.clone() };
            let (policy, books) = (Arc::clone(&context.policy), Arc::clone(&context.books));
            let machine = JdcMining::new(policy, books, me, way, rand::random(), now);
            (Box::new(machine), ways.to_pool.clone())
        }
        JdcSetup::Declaring { full_template } => {
            let (way, line) = ways.jds.clone().ok_or_else(none)?;
            (Box::new(JdcDeclaring::new(way, full_template, now)), line)
        }
    };
    Ok(((machine, Line::new(settings), routes, route, source), place))
}

/// What is to be said before closing, as far as the socket takes it at once.
fn last_words(wire: &mut Wire<'_>, plain: &mut BytesMut, context: &ListenerContext) {
    let mut sealed = BytesMut::new();
    if !plain.is_empty() && wire.sealer.seal(plain, &mut sealed).is_ok() {
        wire.outbox.last_words().extend_from_slice(&sealed);
    }
    let _ = wire.outbox.flush(wire.stream, context.clock.now().mono);
}

impl Connection<'_> {
    async fn run(&mut self) -> End {
        match self.run_until_end().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn run_until_end(&mut self) -> Result<Infallible, End> {
        // What came together with the set-up.
        let taken = self.frames();
        self.carry_out(taken)?;
        loop {
            if self.machine.wants_connection() {
                self.line.dial();
            }
            self.show();
            let clock = self.context.clock;
            let deadline = self.deadline();
            let idle = self.wire.outbox.is_empty();
            let interest = if idle { Interest::READABLE } else { Interest::WRITABLE };
            let reads = !idle || self.line.outbox() < OUTBOX_FULL;
            tokio::select! {
                biased;
                changed = self.routes.status.changed() => {
                    changed.map_err(|_| CloseReason::ShuttingDown)?;
                    if !self.routes.is_active(self.route, self.source) {
                        return Err(CloseReason::PoolChanged.into());
                    }
                }
                event = self.line.event(), if idle => {
                    let taken = self.on_line(event);
                    self.carry_out(taken)?;
                }
                () = tokio::time::sleep_until(clock.instant(deadline)), if deadline < Duration::MAX => {
                    self.on_deadline()?;
                }
                ready = self.wire.stream.ready(interest), if reads => {
                    ready?;
                    if idle {
                        self.on_readable()?;
                    } else {
                        self.wire.outbox.flush(self.wire.stream, clock.now().mono)?;
                    }
                }
            }
        }
    }

    fn deadline(&self) -> Duration {
        let stall = self.wire.outbox.stalled_since().map(|t| t + self.context.write_stall);
        engine::earliest(self.machine.deadline(), stall).unwrap_or(Duration::MAX)
    }

    fn on_deadline(&mut self) -> Result<(), End> {
        let now = self.context.clock.now();
        let stalled = self.wire.outbox.stalled_since();
        if stalled.is_some_and(|since| now.since(since) >= self.context.write_stall) {
            return Err(CloseReason::SlowReader.into());
        }
        let taken = self.machine.timer(now, &mut self.out).map_err(End::from);
        self.carry_out(taken)
    }

    fn on_line(&mut self, event: LineEvent) -> Result<(), End> {
        let now = self.context.clock.now();
        let result = match event {
            LineEvent::Up { security, .. } => self.machine.connected(security, now, &mut self.out),
            LineEvent::Down(why) => self.machine.disconnected(why, now, &mut self.out),
            LineEvent::Ready => match self.frames_above() {
                Ok(result) => result,
                Err(LineEvent::Down(why)) => self.machine.disconnected(why, now, &mut self.out),
                Err(_) => Ok(()),
            },
        };
        Ok(result?)
    }

    /// Takes what upstream has sent. The outer error is the line's end.
    fn frames_above(&mut self) -> Result<Result<(), CloseReason>, LineEvent> {
        self.line.read()?;
        while let Some(frame) = self.line.frame()? {
            let (header, now) = (FrameHeader::parse(&frame.header), self.context.clock.now());
            if let Err(why) = self.machine.hear_upstream(&header, &frame.payload, now, &mut self.out) {
                return Ok(Err(why));
            }
        }
        Ok(Ok(()))
    }

    fn on_readable(&mut self) -> Result<(), End> {
        match self.wire.stream.try_read(&mut self.read) {
            Ok(0) => return Err(self.wire.stream.why_closed().map_or(End::Left, End::Close)),
            Ok(n) => self.wire.input.extend_from_slice(&self.read[..n]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e.into()),
        }
        let taken = self.frames();
        self.carry_out(taken)
    }

    /// Takes all frames that have come whole.
    fn frames(&mut self) -> Result<(), End> {
        let now = self.context.clock.now();
        let most = self.machine.max_payload();
        loop {
            let frame = match self.wire.opener.open(&mut self.wire.input, most) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(OpenError::TooLong { .. }) => return Err(CloseReason::LineTooLong.into()),
                Err(_) => return Err(CloseReason::NotAuthentic.into()),
            };
            let header = FrameHeader::parse(&frame.header);
            self.machine.hear_jdc(&header, &frame.payload, now, &mut self.out)?;
        }
        if self.wire.input.is_empty() {
            self.wire.input = BytesMut::new();
        }
        Ok(())
    }

    /// Sends what is to be sent on both sides, whatever has happened.
    fn carry_out(&mut self, mut result: Result<(), End>) -> Result<(), End> {
        if let Err(LineEvent::Down(why)) = self.line.send(self.machine.upward()) {
            let now = self.context.clock.now();
            let ended = self.machine.disconnected(why, now, &mut self.out);
            result = result.and(ended.map_err(End::from));
        }
        let latencies = &self.context.latencies;
        self.machine.each_ack_latency(&mut |waited| latencies.share_to_ack().observe(waited));
        self.send()?;
        result
    }

    fn send(&mut self) -> Result<(), End> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.sealed.clear();
        self.wire.sealer.seal(&mut self.out, &mut self.sealed).map_err(|_| CloseReason::NotAuthentic)?;
        let (clock, most) = (self.context.clock, self.context.outbox.max(OUTBOX));
        let sent = self.wire.outbox.send(self.wire.stream, &self.sealed, most, || clock.now().mono)?;
        Ok(sent.map_err(|Full| CloseReason::SlowReader)?)
    }

    fn show(&mut self) {
        let (mining, hashrate, last_share) = self.machine.standing();
        self.wire.stream.show(mining, hashrate, last_share);
        if mining {
            // What it is was said before it was known to be a declarator's.
            self.wire.stream.introduce(|| self.context.presence(self.address, true, None));
        }
        self.wire.stream.show_workers(|tell| self.machine.each_worker(tell));
        self.count_mining(mining);
    }

    fn count_mining(&mut self, mining: bool) {
        let count = &self.context.figures.mining;
        match (std::mem::replace(&mut self.mining, mining), mining) {
            (false, true) => count.fetch_add(1, Relaxed),
            (true, false) => count.fetch_sub(1, Relaxed),
            _ => return,
        };
    }

    /// The JDC is gone: what it sent is given time to be answered, then upstream is left, too.
    async fn part(&mut self) {
        let _ = SockRef::from(&**self.wire.stream).shutdown(Shutdown::Write);
        self.count_mining(false);
        let clock = self.context.clock;
        self.machine.leave(clock.now());
        let until = Instant::now() + SETTLED_WITHIN;
        while !self.machine.is_settled() {
            if self.line.send(self.machine.upward()).is_err() {
                break;
            }
            let deadline = clock.instant(self.machine.deadline().unwrap_or(Duration::MAX)).min(until);
            let result = tokio::select! {
                event = self.line.event() => self.on_line(event),
                () = tokio::time::sleep_until(deadline) => {
                    if Instant::now() >= until {
                        break;
                    }
                    self.machine.timer(clock.now(), &mut self.out).map_err(End::from)
                }
            };
            self.out.clear();
            if result.is_err() {
                break;
            }
        }
        let _ = self.line.send(self.machine.upward());
        // What is still open will never be answered.
        let _ = self.machine.disconnected(DownReason::NotStarted, clock.now(), &mut self.out);
    }
}
