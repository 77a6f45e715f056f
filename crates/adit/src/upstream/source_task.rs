//! One source: its state machine, its link and its queues.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use engine::OutgoingShare;
use engine::source::{DownReason, Effects, SourceCommand, Sv2Pool};
use link::{DialError, Link, LinkError, Resolver};
use noise::PoolUrl;
use sv2::FrameHeader;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::messages::{SourceFigures, SourceReport};
use super::outlet::Outlet;
use super::reporter::Reporter;
use super::{BATCH, GATHER, OUTBOX_FULL, WRITE_STALL, security};
use crate::clock::Clock;

/// What a source's task is made of.
pub struct SourceTask {
    /// Where its events and answers go.
    pub outlet: Outlet,
    /// Its state machine.
    pub machine: Sv2Pool,
    /// Where it is.
    pub url: PoolUrl,
    /// Finds its addresses.
    pub resolver: Arc<Resolver>,
    /// A TCP connection stands within this.
    pub connect_timeout: Duration,
    /// The Noise handshake is done within this.
    pub handshake_timeout: Duration,
    /// How wrong clocks may be when certificates are judged.
    pub certificate_leeway: Duration,
    /// The largest frame that is taken, bytes.
    pub max_frame: usize,
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

/// Runs until every sender of its commands is gone.
pub async fn run_source(mut task: SourceTask) {
    run_until_left(&mut task).await;
    task.leave().await;
}

async fn run_until_left(task: &mut SourceTask) {
    let mut fx = Effects::default();
    let mut batch = Vec::with_capacity(BATCH);
    let mut url = task.url.clone();
    loop {
        task.show();
        if task.machine.wants_connection() {
            let address = url;
            let began = task.clock.now().mono;
            let resolver = Arc::clone(&task.resolver);
            let dialling = link::dial(
                &address,
                &resolver,
                task.connect_timeout,
                task.handshake_timeout,
                task.certificate_leeway,
            );
            tokio::pin!(dialling);
            let dialled = loop {
                tokio::select! {
                    biased;
                    command = task.commands.recv() => {
                        let Some(command) = command else { return };
                        task.machine.command(command, task.clock.now(), &mut fx);
                        task.carry_out(&mut fx, None).await;
                        if !task.machine.wants_connection() { break None; }
                    }
                    dialled = &mut dialling => break Some(dialled),
                    _ = task.shares.recv_many(&mut batch, BATCH) => task.take(&mut batch, &mut fx).await,
                    Some(share) = task.solutions.recv() => {
                        batch.push(share);
                        task.take(&mut batch, &mut fx).await;
                    }
                }
            };
            // A redirection holds for one attempt: if it fails, the configured address is tried again.
            url = task.url.clone();
            match dialled {
                Some(Ok(link)) => {
                    task.outlet.latencies.handshake().observe(task.clock.now().since(began));
                    if let Some(moved) = task.run_link(link, &mut fx, &mut batch).await {
                        url = moved;
                    }
                }
                Some(Err(error)) => {
                    let why = match error {
                        DialError::Connect(text) => DownReason::Connect(text),
                        DialError::Handshake(text) => {
                            task.figures.handshake_failures.fetch_add(1, Relaxed);
                            DownReason::Handshake(text)
                        }
                    };
                    task.machine.disconnected(why, task.clock.now(), &mut fx);
                    task.carry_out(&mut fx, None).await;
                }
                None => {}
            }
            continue;
        }
        let deadline = task.machine.deadline();
        tokio::select! {
            biased;
            command = task.commands.recv() => {
                let Some(command) = command else { return };
                task.machine.command(command, task.clock.now(), &mut fx);
            }
            () = sleep_until(&task.clock, deadline) => task.machine.timer(task.clock.now(), &mut fx),
            _ = task.shares.recv_many(&mut batch, BATCH) => task.take(&mut batch, &mut fx).await,
            Some(share) = task.solutions.recv() => {
                batch.push(share);
                task.take(&mut batch, &mut fx).await;
            }
        }
        task.carry_out(&mut fx, None).await;
    }
}

async fn sleep_until(clock: &Clock, deadline: Option<Duration>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(clock.instant(deadline)).await,
        None => std::future::pending().await,
    }
}

impl SourceTask {
    /// The end: what still waits to be sent never will be.
    async fn leave(&mut self) {
        let mut fx = Effects::default();
        self.machine.command(SourceCommand::Stop, self.clock.now(), &mut fx);
        self.shares.close();
        self.solutions.close();
        while let Some(share) = self.solutions.recv().await {
            self.machine.share(&share, self.clock.now(), &mut fx);
        }
        while let Some(share) = self.shares.recv().await {
            self.machine.share(&share, self.clock.now(), &mut fx);
        }
        self.carry_out(&mut fx, None).await;
        self.show();
    }

    fn show(&self) {
        let report = SourceReport { status: self.machine.status(), at: self.clock.now().mono };
        self.figures.states.enter(&report.status.state, report.at);
        self.report.show(report);
    }

    /// Gives shares to the machine; without a link it settles them as unsent.
    async fn take(&mut self, batch: &mut Vec<OutgoingShare>, fx: &mut Effects) {
        let now = self.clock.now();
        for share in batch.drain(..) {
            self.machine.share(&share, now, fx);
        }
        self.carry_out(fx, None).await;
    }

    /// Sends what the machine wants sent, and tells who is to be told.
    async fn carry_out(&mut self, fx: &mut Effects, link: Option<&mut Link>) -> Option<LinkError> {
        let mut failed = None;
        match link {
            Some(link) if !fx.frames.is_empty() => {
                failed = link.send(&mut fx.frames).and_then(|()| link.flush()).err();
                self.figures.outbox.store(link.outbox(), Relaxed);
            }
            _ => fx.frames.clear(),
        }
        self.outlet.deliver(fx).await;
        failed
    }

    /// Runs a connection to its end. Gives the address to go to next if the pool named one.
    async fn run_link(
        &mut self,
        mut link: Link,
        fx: &mut Effects,
        batch: &mut Vec<OutgoingShare>,
    ) -> Option<PoolUrl> {
        // What an earlier attempt left says nothing about this link.
        fx.hang_up = false;
        fx.reconnect_to = None;
        self.figures.certificate_until.store(link.certificate_until().map_or(0, u64::from), Relaxed);
        self.machine.connected(security(&link), self.clock.now(), fx);
        let mut failed = self.carry_out(fx, Some(&mut link)).await;
        let mut stalled_since = None;
        let mut shown = Duration::ZERO;
        let mut gather_until = Duration::ZERO;
        while failed.is_none() && !fx.hang_up {
            let now = self.clock.now().mono;
            if now.saturating_sub(shown) >= Duration::from_millis(200) {
                shown = now;
                self.show();
            }
            let room = if link.outbox() < OUTBOX_FULL { self.machine.room().min(BATCH) } else { 0 };
            if link.outbox() < OUTBOX_FULL {
                stalled_since = None;
            } else if now.saturating_sub(*stalled_since.get_or_insert(now)) > WRITE_STALL {
                failed = Some(LinkError::Io(std::io::ErrorKind::TimedOut.into()));
                break;
            }
            let gathered = now >= gather_until;
            let machine_deadline = self.machine.deadline().unwrap_or(Duration::MAX);
            let look_again = if gathered { now + Duration::from_secs(1) } else { gather_until };
            tokio::select! {
                biased;
                Some(share) = self.solutions.recv() => {
                    // Before all else, whatever room there is.
                    self.machine.share(&share, self.clock.now(), fx);
                }
                ready = link.ready() => {
                    failed = ready.err().or_else(|| self.read(&mut link, fx).err());
                    if failed.is_none() {
                        failed = link.flush().err();
                        self.figures.outbox.store(link.outbox(), Relaxed);
                    }
                }
                command = self.commands.recv() => match command {
                    Some(command) => self.machine.command(command, self.clock.now(), fx),
                    None => {
                        // The end of the process: what is still open will never be answered.
                        self.machine.disconnected(DownReason::NotStarted, self.clock.now(), fx);
                        self.carry_out(fx, None).await;
                        return None;
                    }
                },
                taken = self.shares.recv_many(batch, room), if room > 0 && gathered => {
                    let now = self.clock.now();
                    if taken < BATCH {
                        gather_until = now.mono + GATHER;
                    }
                    for share in batch.drain(..) {
                        self.machine.share(&share, now, fx);
                    }
                }
                () = tokio::time::sleep_until(self.clock.instant(machine_deadline.min(look_again))) => {
                    let now = self.clock.now();
                    if now.mono >= machine_deadline {
                        self.machine.timer(now, fx);
                    }
                }
            }
            let sent = self.carry_out(fx, Some(&mut link)).await;
            failed = failed.or(sent);
        }
        if let Some(error) = failed {
            self.machine.disconnected(DownReason::Lost(error.to_string()), self.clock.now(), fx);
        }
        self.carry_out(fx, Some(&mut link)).await;
        debug_assert!(!self.machine.has_connection(), "the machine knows that its link has ended");
        fx.hang_up = false;
        self.figures.outbox.store(0, Relaxed);
        self.figures.certificate_until.store(0, Relaxed);
        let (host, port) = fx.reconnect_to.take()?;
        let host = if host.is_empty() { self.url.host().to_owned() } else { host };
        let port = if port == 0 { self.url.port() } else { port };
        // Under the same authority key, or not at all (specification, 3.6.5).
        match PoolUrl::new(&host, port, self.url.authority().copied()) {
            Ok(url) => {
                info!(source = self.outlet.name, to = url.host_and_port(), "the pool asked to reconnect");
                Some(url)
            }
            Err(error) => {
                warn!(source = self.outlet.name, %error, "the pool asked to reconnect to a bad address");
                None
            }
        }
    }

    fn read(&mut self, link: &mut Link, fx: &mut Effects) -> Result<(), LinkError> {
        link.read()?;
        let now = self.clock.now();
        while let Some(frame) = link.frame(self.max_frame)? {
            let header = FrameHeader::parse(&frame.header);
            self.count(&header, now.mono);
            self.machine.frame(&header, &frame.payload, now, fx);
            if fx.hang_up {
                break;
            }
        }
        Ok(())
    }

    fn count(&self, header: &FrameHeader, now: Duration) {
        use sv2::Message;
        if header.extension_type != 0 {
            return;
        }
        if header.msg_type == sv2::mining::NewExtendedMiningJob::MSG_TYPE {
            self.figures.count_job(now);
        } else if header.msg_type == sv2::mining::SetNewPrevHash::MSG_TYPE {
            self.figures.count_tip(now);
        }
    }
}
