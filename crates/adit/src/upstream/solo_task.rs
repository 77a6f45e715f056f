//! Solo mining: its state machine, its templates and the desk that its blocks go to.

use std::sync::Arc;

use engine::OutgoingShare;
use engine::source::{BlockOutcome, DownReason, Effects, FoundBlock, Solo, SourceCommand};
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::messages::{SourceFigures, SourceReport};
use super::outlet::Outlet;
use super::reporter::Reporter;
use crate::blocks::{BlockDesk, Finding};
use crate::clock::Clock;
use crate::templates::{HubNews, TemplateHub};

/// Words of the desk that wait to be taken.
const OUTCOMES: usize = 64;

/// What the task is made of.
pub struct SoloTask {
    /// Where its events and answers go.
    pub outlet: Outlet,
    /// Its state machine.
    pub machine: Solo,
    /// Its templates.
    pub templates: TemplateHub,
    /// Where its blocks go.
    pub desk: BlockDesk,
    /// From the router.
    pub commands: mpsc::Receiver<SourceCommand>,
    /// From miners: none, as long as every share that meets the channel's target is a block.
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
pub async fn run_solo(mut task: SoloTask) {
    let mut fx = Effects::default();
    let (outcome, mut outcomes) = mpsc::channel(OUTCOMES);
    let mut tip = None;
    loop {
        task.show();
        tokio::select! {
            biased;
            // Before all else.
            Some(share) = task.solutions.recv() => task.share(&share, &outcome, &mut fx),
            news = task.templates.next() => task.hear(news, &mut tip, &mut fx),
            command = task.commands.recv() => {
                let Some(command) = command else {
                    // The end of the process. The desk has written the blocks down.
                    task.machine.end(&mut fx);
                    task.outlet.deliver(&mut fx).await;
                    return;
                };
                task.machine.command(command, task.clock.now(), &mut fx);
            }
            Some(share) = task.shares.recv() => task.share(&share, &outcome, &mut fx),
            Some((number, outcome)) = outcomes.recv() => {
                task.machine.submitted(number, outcome, task.clock.now(), &mut fx);
            }
        }
        task.outlet.deliver(&mut fx).await;
    }
}

impl SoloTask {
    fn show(&self) {
        let report = SourceReport { status: self.machine.status(), at: self.clock.now().mono };
        self.figures.states.enter(&report.status.state, report.at);
        self.report.show(report);
    }

    fn share(
        &mut self,
        share: &OutgoingShare,
        outcome: &mpsc::Sender<(u64, BlockOutcome)>,
        fx: &mut Effects,
    ) {
        let now = self.clock.now();
        let Some(found) = self.machine.share(share, now, fx) else { return };
        let FoundBlock { number, template, header, coinbase } = found;
        let finding = self.templates.offered(&template).map(|offered| Finding {
            source: self.outlet.name.clone(),
            number,
            offered,
            header,
            coinbase,
            outcome: Some(outcome.clone()),
        });
        if finding.is_none_or(|finding| self.desk.hand_in(finding).is_err()) {
            let block = header.hash().to_string();
            error!(source = self.outlet.name, block, "too many blocks at once: this one is passed over");
            self.machine.submitted(number, BlockOutcome::NotAsked, now, fx);
        }
    }

    fn hear(&mut self, news: HubNews, tip: &mut Option<[u8; 32]>, fx: &mut Effects) {
        let now = self.clock.now();
        match news {
            HubNews::Template(offered) => {
                let template = Arc::clone(offered.template());
                let prev_hash = template.prev_hash;
                match self.machine.template(template, now, fx) {
                    Ok(()) => {
                        self.figures.count_job(now.mono);
                        if tip.replace(prev_hash) != Some(prev_hash) {
                            self.figures.count_tip(now.mono);
                        }
                    }
                    Err(reason) => {
                        warn!(source = self.outlet.name, %reason, "a template cannot be mined on");
                    }
                }
            }
            // The desk looks for them where the template is.
            HubNews::Transactions(_) => {}
            HubNews::Lost(why) => self.machine.lost(DownReason::NoTemplates(why), now, fx),
        }
    }
}
