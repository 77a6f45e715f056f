//! A source that declares templates to a pool: its state machine, its two connections, its templates and its queues.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use engine::OutgoingShare;
use engine::source::{Declared, DeclaredEffects, DownReason, FoundBlock, JdsState, SourceCommand};
use sv2::FrameHeader;
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::line::{Line, LineEvent, LineSettings};
use super::messages::{SourceFigures, SourceReport};
use super::outlet::Outlet;
use super::reporter::Reporter;
use super::{BATCH, GATHER, OUTBOX_FULL};
use crate::blocks::{BlockDesk, Finding};
use crate::clock::Clock;
use crate::templates::{HubNews, TemplateHub};

/// It is shown at least this often.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// What the task is made of.
pub struct DeclaredTask {
    /// Where its events and answers go.
    pub outlet: Outlet,
    /// Its state machine.
    pub machine: Declared,
    /// The way to the pool.
    pub pool: LineSettings,
    /// The way to its job declarator server.
    pub jds: LineSettings,
    /// Its templates.
    pub templates: TemplateHub,
    /// Where its blocks go.
    pub desk: BlockDesk,
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
pub async fn run_declared(mut task: DeclaredTask) {
    let mut pool = Line::new(task.pool.clone());
    let mut jds = Line::new(task.jds.clone());
    let mut fx = DeclaredEffects::default();
    let mut batch = Vec::with_capacity(BATCH);
    let mut gather_until = Duration::ZERO;
    let mut tip = None;
    let mut said = DownReason::NotStarted;
    loop {
        if task.machine.pool().wants_connection() {
            pool.dial();
        }
        if task.machine.jds().wants_connection() {
            jds.dial();
        }
        task.show(&mut said);
        let now = task.clock.now().mono;
        let room = if pool.outbox() < OUTBOX_FULL { task.machine.pool().room().min(BATCH) } else { 0 };
        let gathered = now >= gather_until;
        let look_again = if gathered { now + SHOW_EVERY } else { gather_until };
        let deadline = task.machine.deadline().unwrap_or(Duration::MAX);
        tokio::select! {
            biased;
            // Before all else.
            Some(share) = task.solutions.recv() => {
                task.machine.share(&share, task.clock.now(), &mut fx);
            }
            news = task.templates.next() => task.hear(news, &mut tip, &mut fx),
            event = pool.event() => task.on_pool(&mut pool, event, &mut fx),
            event = jds.event() => task.on_jds(&mut jds, event, &mut fx),
            command = task.commands.recv() => {
                let end = command.is_none();
                task.machine.command(command.unwrap_or(SourceCommand::Stop), task.clock.now(), &mut fx);
                if end {
                    // The end of the process: what is still open will never be answered.
                    task.carry_out(&mut pool, &mut jds, &mut fx).await;
                    return;
                }
            }
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
        task.carry_out(&mut pool, &mut jds, &mut fx).await;
    }
}

impl DeclaredTask {
    /// Shows how it is, and says in the log why its server is away, each reason once: the route may never come to use a
    /// source that lacks it.
    fn show(&self, said: &mut DownReason) {
        let status = self.machine.status();
        if let Some(declared) = &status.declared {
            if declared.jds == JdsState::Ready {
                *said = DownReason::NotStarted;
            } else if declared.jds_last_down != *said {
                *said = declared.jds_last_down.clone();
                if *said != DownReason::NotStarted {
                    warn!(source = self.outlet.name, reason = %said, "no job declarator server");
                }
            }
        }
        let now = self.clock.now().mono;
        self.figures.states.enter(&status.state, now);
        self.report.show(SourceReport { status, at: now });
    }

    fn on_pool(&mut self, line: &mut Line, event: LineEvent, fx: &mut DeclaredEffects) {
        let now = self.clock.now();
        match event {
            LineEvent::Up { security, certificate_until, took } => {
                self.outlet.latencies.handshake().observe(took);
                let until = certificate_until.map_or(0, u64::from);
                self.figures.certificate_until.store(until, Relaxed);
                self.machine.pool_connected(security, now, fx);
            }
            LineEvent::Down(why) => {
                if matches!(why, engine::source::DownReason::Handshake(_)) {
                    self.figures.handshake_failures.fetch_add(1, Relaxed);
                }
                self.figures.certificate_until.store(0, Relaxed);
                self.machine.pool_disconnected(why, now, fx);
            }
            LineEvent::Ready => {
                let read = frames(line, |header, payload| {
                    self.machine.pool_frame(header, payload, now, fx);
                    !fx.pool.hang_up
                });
                if let Err(event) = read {
                    self.on_pool(line, event, fx);
                }
            }
        }
    }

    fn on_jds(&mut self, line: &mut Line, event: LineEvent, fx: &mut DeclaredEffects) {
        let now = self.clock.now();
        match event {
            LineEvent::Up { security, .. } => self.machine.jds_connected(security, now, fx),
            LineEvent::Down(why) => self.machine.jds_disconnected(why, now, fx),
            LineEvent::Ready => {
                let read = frames(line, |header, payload| {
                    self.machine.jds_frame(header, payload, now, fx);
                    !fx.jds.hang_up
                });
                if let Err(event) = read {
                    self.on_jds(line, event, fx);
                }
            }
        }
    }

    fn hear(&mut self, news: HubNews, tip: &mut Option<[u8; 32]>, fx: &mut DeclaredEffects) {
        let now = self.clock.now();
        match news {
            HubNews::Template(offered) => {
                let template = Arc::clone(offered.template());
                self.figures.count_job(now.mono);
                if tip.replace(template.prev_hash) != Some(template.prev_hash) {
                    self.figures.count_tip(now.mono);
                }
                self.machine.template(template, now, fx);
            }
            HubNews::Transactions(offered) => {
                if let Some(transactions) = offered.transactions() {
                    self.machine.transactions(offered.template(), transactions, now, fx);
                }
            }
            HubNews::Lost(why) => self.machine.templates_lost(&why, now, fx),
        }
    }

    /// Hands blocks in, sends what the machine wants sent, and tells who is to be told.
    async fn carry_out(&mut self, pool: &mut Line, jds: &mut Line, fx: &mut DeclaredEffects) {
        for block in std::mem::take(&mut fx.blocks) {
            self.hand_in(block);
        }
        if let Some(needed) = fx.constraints.take() {
            self.templates.require(needed);
        }
        for waited in fx.acknowledged_after.drain(..) {
            self.outlet.latencies.template_to_ack().observe(waited);
        }
        // A link that ends while it is written to has its consequences, which may be to be sent on the other one.
        loop {
            let mut ended = false;
            if let Err(event) = pool.send(&mut fx.pool.frames) {
                self.on_pool(pool, event, fx);
                ended = true;
            }
            if let Err(event) = jds.send(&mut fx.jds.frames) {
                self.on_jds(jds, event, fx);
                ended = true;
            }
            if !ended {
                break;
            }
        }
        if std::mem::take(&mut fx.pool.hang_up) {
            pool.hang_up(fx.pool.reconnect_to.take());
        }
        if std::mem::take(&mut fx.jds.hang_up) {
            jds.hang_up(fx.jds.reconnect_to.take());
        }
        self.figures.outbox.store(pool.outbox(), Relaxed);
        self.outlet.deliver(&mut fx.pool).await;
    }

    fn hand_in(&self, found: FoundBlock) {
        let FoundBlock { number, template, header, coinbase } = found;
        let finding = self.templates.offered(&template).map(|offered| Finding {
            source: self.outlet.name.clone(),
            number,
            offered,
            header,
            coinbase,
            outcome: None,
        });
        if finding.is_none_or(|finding| self.desk.hand_in(finding).is_err()) {
            let block = header.hash().to_string();
            error!(
                source = self.outlet.name,
                block, "too many blocks at once: this one goes to the pool alone"
            );
        }
    }
}

/// Gives every frame that has come to `take`, until it says that it is enough.
fn frames(line: &mut Line, mut take: impl FnMut(&FrameHeader, &[u8]) -> bool) -> Result<(), LineEvent> {
    line.read()?;
    while let Some(frame) = line.frame()? {
        if !take(&FrameHeader::parse(&frame.header), &frame.payload) {
            break;
        }
    }
    Ok(())
}
