//! How a pool's source is made, at the start and while Adit runs.

use std::sync::Arc;
use std::time::Duration;

use engine::SourceId;
use engine::router::SourcePlan;
use engine::source::{SourceCommand, SourceSettings, SourceStatus, Sv1Pool, Sv1Settings, Sv2Pool};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use link::{Resolver, Sv1Url};
use telemetry::{SourceKind, StateHistory};
use tokio::sync::{mpsc, watch};

use super::settings::{lane_settings, position, source_plan, source_settings, sv1_settings, tag_room};
use super::upstream::Common;
use super::{COMMAND_QUEUE, StartError};
use crate::config::{self, Config};
use crate::snapshot::SourceView;
use crate::upstream::{
    LaneSettings, MadeSource, Outlet, Repeated, Reporter, SHARE_QUEUE, SOLUTION_QUEUE, SourceDoor,
    SourceFigures, SourceReport, SourceTask, Sv1Task, run_source, run_sv1,
};

/// The ends of a source's queues and cells.
pub(super) struct Ends {
    pub(super) id: SourceId,
    pub(super) outlet: Outlet,
    to: (mpsc::Sender<SourceCommand>, SourceDoor),
    report_seen: watch::Receiver<SourceReport>,
    pub(super) commands: mpsc::Receiver<SourceCommand>,
    pub(super) shares: mpsc::Receiver<engine::OutgoingShare>,
    pub(super) solutions: mpsc::Receiver<engine::OutgoingShare>,
    pub(super) report: Reporter,
    history: Arc<StateHistory>,
    pub(super) figures: Arc<SourceFigures>,
}

/// Those that are not its task's.
pub(super) struct OtherSide {
    name: String,
    commands: mpsc::Sender<SourceCommand>,
    door: SourceDoor,
    report: watch::Receiver<SourceReport>,
}

impl OtherSide {
    /// The source, with its task.
    pub(super) fn made(self, plan: SourcePlan, task: BoxFuture<'static, ()>) -> MadeSource {
        let Self { name, commands, door, report } = self;
        MadeSource { name, plan, commands, door, report, task }
    }
}

impl Common {
    /// A pool, with the number `at`.
    pub(super) fn pool(
        &self,
        at: usize,
        name: &config::Name,
        source: &config::Source,
        config: &Config,
    ) -> Result<(MadeSource, SourceView), StartError> {
        let ends = self.ends(at, name, "pool");
        let resolver = Resolver::system(config.limits.lookup);
        let url = match &source.url {
            config::SourceUrl::Sv2(url) => url,
            config::SourceUrl::Sv1(url) => {
                let settings = sv1_settings(ends.id, url, name, source, config);
                let lanes = lane_settings(url, name, source, config, resolver)?;
                let plan = source_plan(at, source);
                return Ok(self.sv1_pool(ends, (url, config.limits.frame), settings, lanes, plan));
            }
        };
        let view = SourceView {
            address: Some(url.host_and_port()),
            insecure: source.insecure,
            resolver: Some(Arc::clone(&resolver)),
            ..ends.view(SourceKind::Pool)
        };
        let settings = SourceSettings { tag_room: tag_room(config), ..source_settings(ends.id, url, source) };
        let machine = Sv2Pool::new(settings, rand::random());
        let to = ends.other_side();
        let task = SourceTask {
            outlet: ends.outlet,
            machine,
            url: url.clone(),
            resolver,
            connect_timeout: source.connect_timeout,
            handshake_timeout: config.limits.handshake,
            certificate_leeway: source.certificate_leeway,
            max_frame: config.limits.frame,
            commands: ends.commands,
            shares: ends.shares,
            solutions: ends.solutions,
            report: ends.report,
            figures: ends.figures,
            clock: self.clock,
        };
        Ok((to.made(source_plan(at, source), run_source(task).boxed()), view))
    }

    /// A pool that speaks Stratum V1.
    fn sv1_pool(
        &self,
        ends: Ends,
        (url, max_line): (&Sv1Url, usize),
        settings: Sv1Settings,
        lanes: LaneSettings,
        plan: SourcePlan,
    ) -> (MadeSource, SourceView) {
        let view = SourceView {
            address: Some(url.host_and_port()),
            resolver: Some(Arc::clone(&lanes.resolver)),
            ..ends.view(SourceKind::Pool)
        };
        let to = ends.other_side();
        let task = Sv1Task {
            outlet: ends.outlet,
            machine: Sv1Pool::new(settings, rand::random()),
            url: url.clone(),
            lanes,
            max_line,
            commands: ends.commands,
            shares: ends.shares,
            solutions: ends.solutions,
            report: ends.report,
            figures: ends.figures,
            clock: self.clock,
        };
        (to.made(plan, run_sv1(task).boxed()), view)
    }

    /// Queues and cells for the source with the number `at`.
    pub(super) fn ends(&self, at: usize, name: &config::Name, what: &'static str) -> Ends {
        let id = SourceId(position(at));
        let (command_tx, commands) = mpsc::channel(COMMAND_QUEUE);
        let (shares_tx, shares) = mpsc::channel(SHARE_QUEUE);
        let (solutions_tx, solutions) = mpsc::channel(SOLUTION_QUEUE);
        let (newest, report_seen) =
            watch::channel(SourceReport { status: SourceStatus::off(), at: Duration::ZERO });
        let history = Arc::<StateHistory>::default();
        let report = Reporter::new(newest, Arc::clone(&history));
        let figures = Arc::<SourceFigures>::default();
        let outlet = Outlet {
            id,
            name: name.to_string(),
            what,
            router: self.router.clone(),
            mailboxes: Arc::clone(&self.mailboxes),
            latencies: self.latencies.clone(),
            figures: Arc::clone(&figures),
            not_opened: Repeated::default(),
        };
        Ends {
            id,
            outlet,
            to: (command_tx, SourceDoor { shares: shares_tx, solutions: solutions_tx }),
            report_seen,
            commands,
            shares,
            solutions,
            report,
            history,
            figures,
        }
    }
}

impl Ends {
    /// What the router's task and miners' tasks hold of it.
    pub(super) fn other_side(&self) -> OtherSide {
        let (commands, door) = self.to.clone();
        OtherSide { name: self.outlet.name.clone(), commands, door, report: self.report_seen.clone() }
    }

    pub(super) fn view(&self, kind: SourceKind) -> SourceView {
        SourceView {
            name: self.outlet.name.clone(),
            kind,
            address: None,
            jds_address: None,
            report: self.report_seen.clone(),
            history: Arc::clone(&self.history),
            figures: Arc::clone(&self.figures),
            door: self.to.1.clone(),
            insecure: false,
            resolver: None,
            removed: false,
        }
    }
}
