//! The one typed snapshot that metrics, probes and API are served from.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use engine::books::{Books, RefuseCode, RejectReason, Totals, UnsentReason};
use engine::miner::CloseReason;
use engine::router::GoalReport;
use engine::source::{DeclaredState, DeclaredStatus, DownReason, JdsState, SourceState as State};
use link::Resolver;
use telemetry::{
    AccountSnapshot, BlocksSnapshot, BooksSnapshot, DeclarationSnapshot, DeclarationState, GoalSnapshot,
    LeaseSnapshot, LimitSnapshot, ListenerSnapshot, MinersSnapshot, OverloadSnapshot, Readiness, Reasons,
    RouteSnapshot, RouteSourceSnapshot, Snapshot, SourceKind, SourceSnapshot, SourceState, TemplateSnapshot,
    WorkSnapshot,
};
use tokio::sync::{mpsc, watch};

use crate::alarms::Alarms;
use crate::blocks::{BlockCounts, BlockFigures};
use crate::clock::{self, Clock};
use crate::downstream::{Admission, ListenerFigures};
use crate::overload::OverloadFigures;
use crate::proxy::ReloadFigures;
use crate::templates::ProviderNews;
use crate::upstream::{RouterStatus, SourceDoor, SourceFigures, SourceReport};

/// What is done because memory runs short, with the rung from which on it is done.
const OVERLOAD: [(&str, usize); 4] =
    [("stop_accepting", 1), ("send_away_idle", 2), ("raise_difficulty", 2), ("shed", 3)];

/// A source, as far as a snapshot needs it.
pub(crate) struct SourceView {
    pub(crate) name: String,
    pub(crate) kind: SourceKind,
    pub(crate) address: Option<String>,
    /// Of its job declarator server.
    pub(crate) jds_address: Option<String>,
    pub(crate) report: watch::Receiver<SourceReport>,
    pub(crate) figures: Arc<SourceFigures>,
    pub(crate) door: SourceDoor,
    pub(crate) insecure: bool,
    pub(crate) resolver: Option<Arc<Resolver>>,
}

/// A listener, as far as a snapshot needs it.
pub(crate) struct ListenerView {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) figures: Arc<ListenerFigures>,
}

/// A route, as far as a snapshot needs it.
pub(crate) struct RouteView {
    pub(crate) name: String,
    pub(crate) sources: Vec<usize>,
    pub(crate) listeners: Vec<usize>,
    pub(crate) goals: Vec<GoalView>,
    /// Other routes have miners of its listeners, too.
    pub(crate) shares_listeners: bool,
}

/// A goal of a route, as far as a snapshot needs it.
pub(crate) struct GoalView {
    pub(crate) name: String,
    /// Its place among the goals of all routes.
    pub(crate) at: usize,
    pub(crate) sources: Vec<usize>,
}

/// Makes snapshots.
pub(crate) struct SnapshotMaker {
    pub(crate) clock: Clock,
    pub(crate) dev_mode: bool,
    pub(crate) draining: watch::Receiver<bool>,
    pub(crate) books: Arc<Books>,
    pub(crate) listeners: Vec<ListenerView>,
    pub(crate) sources: Vec<SourceView>,
    pub(crate) templates: Option<watch::Receiver<Vec<ProviderNews>>>,
    pub(crate) blocks: Arc<BlockFigures>,
    pub(crate) routes: Vec<RouteView>,
    pub(crate) router: watch::Receiver<RouterStatus>,
    pub(crate) max_connections: u64,
    pub(crate) alarms: Alarms,
    pub(crate) admission: Arc<Admission>,
    pub(crate) overload: Arc<OverloadFigures>,
    pub(crate) reloads: Arc<ReloadFigures>,
}

impl SnapshotMaker {
    /// The proxy at this moment, with its sums and alarms.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.without_alarms().with_sums();
        let insecure: Vec<bool> = self.sources.iter().map(|source| source.insecure).collect();
        snapshot.alarms = self.alarms.judge(&snapshot, &insecure);
        snapshot
    }

    fn without_alarms(&self) -> Snapshot {
        let now = self.clock.now();
        let sources: Vec<SourceSnapshot> = self.sources.iter().map(|s| self.source(s)).collect();
        let routes = self.routes(&sources);
        let pools = || self.sources.iter().filter_map(|s| s.report.borrow().status.pool);
        let sum = |of: fn(&ListenerFigures) -> u64| self.listeners.iter().map(|l| of(&l.figures)).sum();
        let events_total = Reasons::from([
            ("connection_panic".into(), sum(|f| f.panicked.load(Relaxed))),
            ("connection_refused".into(), sum(|f| f.refused.load(Relaxed))),
            ("connection_refused_address".into(), sum(|f| f.refused_address.load(Relaxed))),
            ("connection_denied".into(), sum(|f| f.denied.load(Relaxed))),
            ("accept_error".into(), sum(|f| f.accept_errors.load(Relaxed))),
            ("accept_paced".into(), self.admission.paced()),
            ("config_reloaded".into(), self.reloads.applied.load(Relaxed)),
            ("config_reload_refused".into(), self.reloads.refused.load(Relaxed)),
            (
                "source_lookup_failed".into(),
                self.sources.iter().filter_map(|s| s.resolver.as_ref()).map(|r| r.failures()).sum(),
            ),
            ("channel_refused".into(), sum(|f| f.channels_refused.load(Relaxed))),
            ("probe".into(), sum(|f| f.probes.load(Relaxed))),
            ("worker_name_shortened".into(), sum(|f| f.names_cut.load(Relaxed))),
            (
                "source_handshake_failed".into(),
                self.sources.iter().map(|s| s.figures.handshake_failures.load(Relaxed)).sum(),
            ),
        ]);
        let connections = sum(|f| f.connected.load(Relaxed));
        let rung = self.overload.rung.load(Relaxed);
        let (used, budget) = (self.overload.used.load(Relaxed), self.overload.budget.load(Relaxed));
        let mut limits =
            vec![LimitSnapshot { name: "connections".into(), used: connections, max: self.max_connections }];
        if budget > 0 {
            limits.push(LimitSnapshot { name: "memory".into(), used, max: budget });
        }
        Snapshot {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_seconds: now.mono.as_secs_f64(),
            unix_time: u64::from(clock::unix_time()),
            dev_mode: self.dev_mode,
            readiness: Readiness::judge(&routes, *self.draining.borrow()),
            listeners: self.listeners.iter().map(listener).collect(),
            sources,
            templates: self.templates(now.mono),
            blocks: self.blocks(),
            routes,
            books: BooksSnapshot::default(),
            accounts: self.accounts(),
            unknown_messages_total: pools().map(|s| s.unknown_messages).sum(),
            stray_answers_total: pools().map(|s| s.stray_answers).sum(),
            events_total,
            alarms: Vec::new(),
            limits,
            overload: OVERLOAD
                .map(|(what, from)| OverloadSnapshot { rung: what.into(), active: rung >= from })
                .into(),
        }
    }

    fn source(&self, view: &SourceView) -> SourceSnapshot {
        let SourceReport { status, .. } = view.report.borrow().clone();
        let now = self.clock.now().mono;
        let age = |total: u64, at_ms: u64| {
            (total > 0).then(|| (now.as_secs_f64() - Duration::from_millis(at_ms).as_secs_f64()).max(0.0))
        };
        let jobs = view.figures.jobs.load(Relaxed);
        let tips = view.figures.tips.load(Relaxed);
        let until = view.figures.certificate_until.load(Relaxed);
        SourceSnapshot {
            name: view.name.clone(),
            kind: view.kind,
            address: view.address.clone(),
            state: match status.state {
                State::Off => SourceState::Off,
                State::Waiting { .. } => SourceState::Waiting,
                State::Dialling => SourceState::Connecting,
                State::SettingUp { .. } => SourceState::SettingUp,
                State::Negotiating { .. } => SourceState::Negotiating,
                State::AwaitingDeclarator => SourceState::AwaitingDeclarator,
                State::AwaitingTemplate => SourceState::AwaitingTemplate,
                State::Ready => SourceState::Ready,
            },
            state_since_seconds: now.saturating_sub(status.since).as_secs_f64(),
            last_down: (status.last_down != DownReason::NotStarted).then(|| status.last_down.to_string()),
            reconnects_total: u64::from(status.connections.saturating_sub(1)),
            channels: status.channels as u64,
            open_shares: status.open_shares as u64,
            open_shares_max: status.open_shares_max as u64,
            queue_depth: depth(&view.door.shares) + depth(&view.door.solutions),
            worker_names: status.pool.map(|pool| pool.worker_names),
            declaration: status.declared.as_ref().map(|declared| declaration(declared, view)),
            jobs_total: jobs,
            tips_total: tips,
            job_age_seconds: age(jobs, view.figures.last_job_ms.load(Relaxed)),
            prev_hash_age_seconds: age(tips, view.figures.last_tip_ms.load(Relaxed)),
            certificate_expires_unix: (until > 0).then_some(until),
            books: BooksSnapshot::default(),
        }
    }

    fn templates(&self, now: Duration) -> Vec<TemplateSnapshot> {
        let board = self.templates.as_ref().map(|board| board.borrow().clone()).unwrap_or_default();
        let template = |news: ProviderNews| {
            let newest = news.newest.as_ref().map(|offered| offered.template());
            TemplateSnapshot {
                name: news.name,
                up: news.up.is_some(),
                what: news.up,
                state_since_seconds: now.saturating_sub(news.since).as_secs_f64(),
                last_down: Some(news.why_down).filter(|why| !why.is_empty()),
                losses_total: news.losses,
                templates_total: news.templates,
                height: newest.and_then(|template| template.coinbase.height()).map(u64::from),
                value_remaining_sat: newest.map(|template| template.coinbase.value_remaining),
                age_seconds: newest.map(|_| now.saturating_sub(news.newest_at).as_secs_f64()),
            }
        };
        board.into_iter().map(template).collect()
    }

    fn blocks(&self) -> BlocksSnapshot {
        let BlockCounts { found, taken, refused, passed_over, in_work, waiting, disk_errors } =
            self.blocks.read();
        BlocksSnapshot {
            found_total: found,
            taken_total: taken,
            refused_total: refused,
            passed_over_total: passed_over,
            in_work,
            waiting_on_disk: waiting,
            disk_errors_total: disk_errors,
        }
    }

    fn routes(&self, sources: &[SourceSnapshot]) -> Vec<RouteSnapshot> {
        let status = self.router.borrow().clone();
        let route = |(at, view): (usize, &RouteView)| {
            let report = status.routes.get(at);
            let active = report.and_then(|r| r.active).map(|s| usize::from(s.0));
            let of = |source: &usize| {
                let left_out = report
                    .and_then(|r| r.unusable.iter().find(|(s, _)| usize::from(s.0) == *source))
                    .map(|u| u.1.clone());
                let snapshot = &sources[*source];
                let ready = snapshot.state == SourceState::Ready;
                let reason = left_out.or_else(|| {
                    let state = snapshot.state.as_str();
                    (!ready).then(|| snapshot.last_down.clone().unwrap_or_else(|| state.to_owned()))
                });
                RouteSourceSnapshot { name: snapshot.name.clone(), usable: reason.is_none(), reason }
            };
            RouteSnapshot {
                name: view.name.clone(),
                active: active.map(|s| sources[s].name.clone()),
                has_work: active.is_some_and(|s| sources[s].jobs_total > 0 && sources[s].tips_total > 0),
                switches_total: report.map_or(0, |r| r.switches),
                hashrate_hs: report.map_or(0.0, |r| r.hashrate),
                miners: if view.shares_listeners {
                    view.goals
                        .iter()
                        .filter_map(|goal| status.goals.get(goal.at))
                        .map(|(g, _)| g.miners)
                        .sum()
                } else {
                    view.listeners.iter().map(|l| self.listeners[*l].figures.mining.load(Relaxed)).sum()
                },
                sources: view.sources.iter().map(of).collect(),
                goals: goals(view, &status.goals, sources),
                books: BooksSnapshot::default(),
            }
        };
        self.routes.iter().enumerate().map(route).collect()
    }

    fn accounts(&self) -> Vec<AccountSnapshot> {
        let account = |(key, totals): (engine::books::AccountKey, Totals)| AccountSnapshot {
            listener: self.listeners[usize::from(key.listener)].name.clone(),
            route: self.routes[usize::from(key.route)].name.clone(),
            source: key.source.map(|s| self.sources[usize::from(s)].name.clone()),
            books: books(&totals),
        };
        self.books.all().into_iter().map(account).collect()
    }
}

fn declaration(status: &DeclaredStatus, view: &SourceView) -> DeclarationSnapshot {
    DeclarationSnapshot {
        state: match status.state {
            DeclaredState::Off => DeclarationState::Off,
            DeclaredState::Resting { .. } => DeclarationState::Resting,
            DeclaredState::NoPool => DeclarationState::NoPool,
            DeclaredState::NoDeclarator => DeclarationState::NoDeclarator,
            DeclaredState::NoTemplate => DeclarationState::NoTemplate,
            DeclaredState::Ready => DeclarationState::Ready,
            DeclaredState::Declaring => DeclarationState::Declaring,
            DeclaredState::Acknowledged => DeclarationState::Acknowledged,
        },
        jds_address: view.jds_address.clone().unwrap_or_default(),
        jds_up: status.jds == JdsState::Ready,
        jds_last_down: (status.jds_last_down != DownReason::NotStarted)
            .then(|| status.jds_last_down.to_string()),
        acknowledged_total: status.acknowledged,
        refused_total: status.refused,
        held_shares: status.held as u64,
    }
}

fn goals(route: &RouteView, reports: &[(GoalReport, f64)], sources: &[SourceSnapshot]) -> Vec<GoalSnapshot> {
    let report = |goal: &GoalView| reports.get(goal.at).copied().unwrap_or_default();
    let all: f64 = route.goals.iter().map(|goal| report(goal).0.work).sum();
    let goal = |view: &GoalView| {
        let (report, uncertain) = report(view);
        let active = report.active.and_then(|source| sources.get(usize::from(source.0)));
        GoalSnapshot {
            name: view.name.clone(),
            weight: report.weight,
            share_wanted: report.wanted,
            share_delivered: if all > 0.0 { report.work / all } else { 0.0 },
            owed_hashes: report.owed,
            work_hashes: report.work,
            hashrate_hs: report.hashrate,
            miners: report.miners,
            active: active.map(|source| source.name.clone()),
            open: report.open,
            ended: report.ended,
            lease: report.work_max.map(|work_max| LeaseSnapshot {
                work_hashes: report.earlier + report.work,
                work_max_hashes: work_max,
                uncertain_hashes: uncertain,
            }),
        }
    };
    route.goals.iter().map(goal).collect()
}

fn depth<T>(sender: &mpsc::Sender<T>) -> u64 {
    (sender.max_capacity() - sender.capacity()) as u64
}

fn listener(view: &ListenerView) -> ListenerSnapshot {
    let figures = &view.figures;
    let mut closed: Reasons = CloseReason::ALL
        .iter()
        .zip(&figures.closed)
        .map(|(why, count)| (why.as_str().into(), count.load(Relaxed)))
        .collect();
    closed.insert("left".into(), figures.left.load(Relaxed));
    ListenerSnapshot {
        name: view.name.clone(),
        address: view.address.clone(),
        extranonce1_size: figures.split.get().map(|split| split.0),
        extranonce2_size: figures.split.get().map(|split| split.1),
        miners: MinersSnapshot {
            connected: figures.connected.load(Relaxed),
            authorised: figures.mining.load(Relaxed),
        },
        connections_total: figures.accepted.load(Relaxed),
        closed_total: closed,
        books: BooksSnapshot::default(),
    }
}

/// The engine's words for a share are telemetry's.
pub(crate) fn books(totals: &Totals) -> BooksSnapshot {
    fn by<R: Copy>(all: &[R], word: fn(R) -> &'static str, counts: &[u64]) -> Reasons {
        all.iter().zip(counts).map(|(reason, count)| (word(*reason).into(), *count)).collect()
    }
    BooksSnapshot {
        submitted: totals.submitted(),
        rejected: by(RejectReason::ALL, RejectReason::as_str, &totals.rejected),
        rejected_total: totals.rejected_sum(),
        local: totals.local,
        held: totals.held,
        unsent: by(UnsentReason::ALL, UnsentReason::as_str, &totals.unsent),
        unsent_total: totals.unsent_sum(),
        forwarded: totals.forwarded(),
        acknowledged: totals.acknowledged,
        refused: by(RefuseCode::ALL, RefuseCode::as_str, &totals.refused),
        refused_total: totals.refused_sum(),
        unknown: totals.unknown,
        pending: totals.pending,
        told_true_lost: totals.told_true_lost,
        blocks_found: totals.blocks,
        work: WorkSnapshot {
            rejected: totals.work_rejected,
            local: totals.work_local,
            unsent: totals.work_unsent,
            acknowledged: totals.work_acknowledged,
            refused: totals.work_refused,
            unknown: totals.work_unknown,
            verified: totals.work_verified(),
        },
    }
}
