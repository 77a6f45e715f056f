//! A pool that speaks Stratum V1: its state machine, its connections and its queues.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use engine::OutgoingShare;
use engine::source::{DownReason, SourceCommand, Sv1Effects, Sv1Notice, Sv1Pool};
use link::Sv1Url;
use sv1::LineReader;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::messages::{SourceFigures, SourceReport};
use super::outlet::Outlet;
use super::repeated::Repeated;
use super::reporter::Reporter;
use super::sv1_lane::{LaneDoor, LaneNews, LaneSettings, open_lane};
use super::{BATCH, GATHER, OUTBOX_FULL};
use crate::clock::Clock;

/// Reads that wait for the machine, of all connections together.
const READS: usize = 64;
/// The status is renewed at least this often.
const SHOW_EVERY: Duration = Duration::from_secs(1);
/// Why a connection that is written to has ended.
const DOWN: &str = "it took nothing from a full outbox";

/// What the task is made of.
pub struct Sv1Task {
    /// Where its events and answers go.
    pub outlet: Outlet,
    /// Its state machine.
    pub machine: Sv1Pool,
    /// Where it is.
    pub url: Sv1Url,
    /// How connections are made.
    pub lanes: LaneSettings,
    /// The longest line that is taken, bytes.
    pub max_line: usize,
    /// From the router.
    pub commands: mpsc::Receiver<SourceCommand>,
    /// From miners.
    pub shares: mpsc::Receiver<OutgoingShare>,
    /// From miners: blocks.
    pub solutions: mpsc::Receiver<OutgoingShare>,
    /// What it shows of itself.
    pub report: Reporter,
    /// Its figures.
    pub figures: Arc<SourceFigures>,
    /// The process's clock.
    pub clock: Clock,
}

/// The connections that there are.
struct Lanes {
    open: HashMap<u32, (LaneDoor, LineReader)>,
    news: mpsc::Sender<(u32, LaneNews)>,
    /// A redirection holds for one attempt: if it fails, the configured address is tried again.
    moved: Option<Sv1Url>,
    messages: Repeated,
    strange: Repeated,
}

impl Lanes {
    fn outbox(&self) -> usize {
        self.open.values().map(|(door, _)| door.outbox()).sum()
    }
}

/// Runs until every sender of its commands is gone.
pub async fn run_sv1(mut task: Sv1Task) {
    let mut fx = Sv1Effects::default();
    let (news, mut heard) = mpsc::channel(READS);
    let mut lanes = Lanes {
        open: HashMap::new(),
        news,
        moved: None,
        messages: Repeated::default(),
        strange: Repeated::default(),
    };
    let mut batch = Vec::with_capacity(BATCH);
    let mut gather_until = Duration::ZERO;
    loop {
        while let Some(number) = task.machine.to_dial() {
            let url = lanes.moved.take().unwrap_or_else(|| task.url.clone());
            let door = open_lane(number, url, task.lanes.clone(), lanes.news.clone());
            lanes.open.insert(number, (door, LineReader::new()));
        }
        task.show();
        let now = task.clock.now().mono;
        let room = if lanes.outbox() < OUTBOX_FULL { task.machine.room().min(BATCH) } else { 0 };
        let gathered = now >= gather_until;
        let look_again = if gathered { now + SHOW_EVERY } else { gather_until };
        let deadline = task.machine.deadline().unwrap_or(Duration::MAX);
        tokio::select! {
            biased;
            // Before all else.
            Some(share) = task.solutions.recv() => {
                task.machine.share(&share, task.clock.now(), &mut fx);
            }
            Some((number, news)) = heard.recv() => task.hear(&mut lanes, number, news, &mut fx),
            command = task.commands.recv() => match command {
                Some(command) => task.machine.command(command, task.clock.now(), &mut fx),
                None => return task.leave(&mut lanes, &mut fx).await,
            },
            taken = task.shares.recv_many(&mut batch, room), if room > 0 && gathered => {
                let now = task.clock.now();
                if taken < BATCH {
                    gather_until = now.mono + GATHER;
                }
                for share in batch.drain(..) {
                    task.machine.share(&share, now, &mut fx);
                }
            }
            () = tokio::time::sleep_until(task.clock.instant(deadline.min(look_again))) => {
                let now = task.clock.now();
                if now.mono >= deadline {
                    task.machine.timer(now, &mut fx);
                }
            }
        }
        task.carry_out(&mut lanes, &mut fx).await;
    }
}

impl Sv1Task {
    /// The end: what is still open will never be answered, and what waits never sent.
    async fn leave(&mut self, lanes: &mut Lanes, fx: &mut Sv1Effects) {
        self.machine.command(SourceCommand::Stop, self.clock.now(), fx);
        self.shares.close();
        self.solutions.close();
        while let Some(share) = self.solutions.recv().await {
            self.machine.share(&share, self.clock.now(), fx);
        }
        while let Some(share) = self.shares.recv().await {
            self.machine.share(&share, self.clock.now(), fx);
        }
        self.carry_out(lanes, fx).await;
        self.show();
    }

    fn show(&self) {
        let report = SourceReport { status: self.machine.status(), at: self.clock.now().mono };
        self.figures.states.enter(&report.status.state, report.at);
        self.report.show(report);
    }

    fn hear(&mut self, lanes: &mut Lanes, number: u32, news: LaneNews, fx: &mut Sv1Effects) {
        let now = self.clock.now();
        match news {
            LaneNews::Up => self.machine.connected(number, now, fx),
            LaneNews::Down(why) => {
                if matches!(why, DownReason::Handshake(_)) {
                    self.figures.handshake_failures.fetch_add(1, Relaxed);
                }
                lanes.open.remove(&number);
                self.machine.disconnected(number, why, now, fx);
            }
            LaneNews::Read(bytes) => {
                let Some((_, reader)) = lanes.open.get_mut(&number) else { return };
                let mut chunk = bytes.as_slice();
                loop {
                    match reader.next_line(&mut chunk, self.max_line) {
                        Ok(Some(line)) => self.machine.line(number, line, now, fx),
                        Ok(None) => break,
                        Err(error) => {
                            let why = DownReason::Protocol(error.to_string());
                            self.machine.disconnected(number, why, now, fx);
                        }
                    }
                    if !self.machine.has(number) {
                        break;
                    }
                }
            }
        }
    }

    /// Sends what the machine wants sent, ends what it wants ended, and tells who is to be told.
    async fn carry_out(&mut self, lanes: &mut Lanes, fx: &mut Sv1Effects) {
        let now = self.clock.now();
        while let Some((number, lines)) = fx.lines.pop() {
            let taken = lanes.open.get(&number).is_none_or(|(door, _)| door.send(lines));
            if !taken {
                self.machine.disconnected(number, DownReason::Lost(DOWN.into()), now, fx);
            }
        }
        for number in fx.hang_up.drain(..) {
            lanes.open.remove(&number);
        }
        self.figures.outbox.store(lanes.outbox(), Relaxed);
        let (jobs, tips) = std::mem::take(&mut fx.jobs);
        (0..jobs).for_each(|_| self.figures.count_job(now.mono));
        (0..tips).for_each(|_| self.figures.count_tip(now.mono));
        for notice in fx.notices.drain(..) {
            self.tell(lanes, &notice);
        }
        if let Some((host, port)) = fx.reconnect_to.take() {
            self.moved(lanes, &host, port);
        }
        self.outlet.deliver(&mut fx.common).await;
    }

    fn tell(&self, lanes: &Lanes, notice: &Sv1Notice) {
        let source = self.outlet.name.as_str();
        match notice {
            Sv1Notice::Message(text) => {
                if let Some(left_out) = lanes.messages.next(Instant::now()) {
                    info!(source, left_out, "the pool says: {text}");
                }
            }
            Sv1Notice::StrangeReconnect(to) => {
                if let Some(left_out) = lanes.strange.next(Instant::now()) {
                    warn!(
                        source,
                        to,
                        left_out,
                        "the pool asked to reconnect outside of its domain, which is not followed: if the pool \
                         announced this move, set its new url, or allow_reconnect = true"
                    );
                }
            }
        }
    }

    fn moved(&self, lanes: &mut Lanes, host: &str, port: u16) {
        let host = if host.is_empty() { self.url.host() } else { host };
        let port = if port == 0 { self.url.port() } else { port };
        // Whoever had to prove who he is has to where he sends us, too.
        match Sv1Url::new(host, port, self.url.is_tls()) {
            Ok(url) => {
                info!(source = self.outlet.name, to = url.host_and_port(), "the pool asked to reconnect");
                lanes.moved = Some(url);
            }
            Err(error) => {
                warn!(source = self.outlet.name, %error, "the pool asked to reconnect to a bad address");
            }
        }
    }
}
