//! The one typed snapshot that metrics, probes and API are served from.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::books::{Books, RefuseCode, RejectReason, Totals, UnsentReason};
use engine::miner::{CloseReason, Retargets};
use engine::router::GoalReport;
use engine::source::{DeclaredState, DeclaredStatus, DownReason, JdsState, SourceState as State};
use link::Resolver;
use telemetry::{
    AccountSnapshot, BlocksSnapshot, BooksSnapshot, DeclarationSnapshot, DeclarationState, GoalSnapshot,
    HandshakesSnapshot, LeaseSnapshot, LeaseTagSnapshot, LimitSnapshot, ListenerSnapshot, MinersSnapshot,
    OverloadSnapshot, Readiness, Reasons, RetargetsSnapshot, RouteSnapshot, RouteSourceSnapshot, Snapshot,
    SourceKind, SourceSnapshot, SourceState, StateHistory, TemplateSnapshot, WorkSnapshot,
};
use tokio::sync::{mpsc, watch};

use crate::alarms::Alarms;
use crate::blocks::{BlockCounts, BlockFigures};
use crate::clock::{self, Clock};
use crate::downstream::{Admission, ListenerFigures};
use crate::ledger::LedgerFigures;
use crate::nats::NatsFigures;
use crate::overload::OverloadFigures;
use crate::proxy::ReloadFigures;
use crate::templates::ProviderNews;
use crate::upstream::{RouterStatus, SourceDoor, SourceFigures, SourceReport, state_word};

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
    pub(crate) history: Arc<StateHistory>,
    pub(crate) figures: Arc<SourceFigures>,
    pub(crate) door: SourceDoor,
    pub(crate) insecure: bool,
    pub(crate) resolver: Option<Arc<Resolver>>,
    /// The configuration has it no more.
    pub(crate) removed: bool,
}

/// A listener, as far as a snapshot needs it.
pub(crate) struct ListenerView {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) figures: Arc<ListenerFigures>,
    pub(crate) retargets: Arc<Retargets>,
    /// The configuration has it no more.
    pub(crate) removed: bool,
}

impl ListenerView {
    /// It is there, or some of its miners are.
    fn is_shown(&self) -> bool {
        !self.removed || self.figures.connected.load(Relaxed) > 0
    }
}

/// A route, as far as a snapshot needs it.
pub(crate) struct RouteView {
    pub(crate) name: String,
    pub(crate) sources: Vec<usize>,
    /// By name, those that were taken out with them.
    pub(crate) listeners: Vec<String>,
    pub(crate) goals: Vec<GoalView>,
    /// Other routes have, or had, miners of its listeners, too.
    pub(crate) shares_listeners: bool,
}

/// A goal of a route, as far as a snapshot needs it.
pub(crate) struct GoalView {
    pub(crate) name: String,
    /// Its place among the goals of all routes.
    pub(crate) at: usize,
    pub(crate) sources: Vec<usize>,
}

/// Listeners, sources and routes as they are shown: what a reload may change.
#[derive(Default)]
pub(crate) struct Views {
    /// By number. A listener that comes back has the number that it had.
    pub(crate) listeners: Vec<ListenerView>,
    /// By number. Of several with one name the newest is shown.
    pub(crate) sources: Vec<SourceView>,
    pub(crate) routes: Vec<RouteView>,
}

/// Shared with whoever changes them.
#[derive(Default)]
pub(crate) struct Shown(Mutex<Views>);

impl Shown {
    pub(crate) fn new(views: Views) -> Self {
        Self(Mutex::new(views))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Views> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Views {
    /// The listener with this name, also if it was taken out.
    pub(crate) fn listener(&self, name: &str) -> Option<&ListenerView> {
        self.listeners.iter().find(|view| view.name == name)
    }

    /// The name of the listener with this number.
    pub(crate) fn listener_name(&self, at: u16) -> &str {
        self.listeners.get(usize::from(at)).map_or("", |view| &view.name)
    }

    /// The numbers of the sources that are shown, in the order in which their names first came, so that none changes its
    /// place.
    fn listed(&self) -> Vec<usize> {
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut listed: Vec<usize> = Vec::new();
        for (at, view) in self.sources.iter().enumerate() {
            match places.get(view.name.as_str()) {
                Some(place) => listed[*place] = at,
                None => {
                    places.insert(&view.name, listed.len());
                    listed.push(at);
                }
            }
        }
        listed
    }
}

/// Makes snapshots.
pub(crate) struct SnapshotMaker {
    pub(crate) clock: Clock,
    pub(crate) dev_mode: bool,
    pub(crate) draining: watch::Receiver<bool>,
    pub(crate) books: Arc<Books>,
    pub(crate) shown: Arc<Shown>,
    pub(crate) templates: Option<watch::Receiver<Vec<ProviderNews>>>,
    /// Blocks between two halvings of the subsidy, by template provider.
    pub(crate) halvings: HashMap<String, u32>,
    pub(crate) blocks: Arc<BlockFigures>,
    pub(crate) router: watch::Receiver<RouterStatus>,
    pub(crate) alarms: Alarms,
    pub(crate) admission: Arc<Admission>,
    pub(crate) overload: Arc<OverloadFigures>,
    pub(crate) reloads: Arc<ReloadFigures>,
    /// Nothing where no ledger is kept.
    pub(crate) ledger: Option<Arc<LedgerFigures>>,
    /// Likewise.
    pub(crate) nats: Option<Arc<NatsFigures>>,
}

impl SnapshotMaker {
    /// The proxy at this moment, with its sums and alarms.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let shown = self.shown.lock();
        let mut snapshot = self.without_alarms(&shown).with_sums();
        let insecure = |at: usize| shown.sources[at].insecure && !shown.sources[at].removed;
        let insecure: Vec<bool> = shown.listed().into_iter().map(insecure).collect();
        drop(shown);
        snapshot.alarms = self.alarms.judge(&snapshot, &insecure);
        snapshot
    }

    fn without_alarms(&self, shown: &Views) -> Snapshot {
        let now = self.clock.now();
        let mut sources: Vec<SourceSnapshot> = shown.sources.iter().map(|s| self.source(s)).collect();
        let routes = self.routes(shown, &sources);
        let listed = shown.listed();
        let listed = listed.into_iter().map(|at| std::mem::take(&mut sources[at])).collect();
        let pools = || shown.sources.iter().filter_map(|s| s.report.borrow().status.pool);
        let sum = |of: fn(&ListenerFigures) -> u64| shown.listeners.iter().map(|l| of(&l.figures)).sum();
        let (workers, workers_max, overflows) = self.books.worker_figures();
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
                shown.sources.iter().filter_map(|s| s.resolver.as_ref()).map(|r| r.failures()).sum(),
            ),
            ("channel_refused".into(), sum(|f| f.channels_refused.load(Relaxed))),
            ("probe".into(), sum(|f| f.probes.load(Relaxed))),
            ("worker_counted_as_other".into(), overflows),
            ("worker_name_shortened".into(), sum(|f| f.names_cut.load(Relaxed))),
            (
                "source_handshake_failed".into(),
                shown.sources.iter().map(|s| s.figures.handshake_failures.load(Relaxed)).sum(),
            ),
        ]);
        let connections = sum(|f| f.connected.load(Relaxed));
        let rung = self.overload.rung.load(Relaxed);
        let (used, budget) = (self.overload.used.load(Relaxed), self.overload.budget.load(Relaxed));
        let mut limits = vec![LimitSnapshot {
            name: "connections".into(),
            used: connections,
            max: u64::from(self.admission.most()),
        }];
        limits.push(LimitSnapshot { name: "workers".into(), used: workers as u64, max: workers_max as u64 });
        if budget > 0 {
            limits.push(LimitSnapshot { name: "memory".into(), used, max: budget });
        }
        Snapshot {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_seconds: now.mono.as_secs_f64(),
            unix_time: u64::from(clock::unix_time()),
            dev_mode: self.dev_mode,
            readiness: Readiness::judge(&routes, *self.draining.borrow()),
            listeners: shown.listeners.iter().filter(|view| view.is_shown()).map(listener).collect(),
            sources: listed,
            templates: self.templates(now.mono),
            blocks: self.blocks(),
            routes,
            books: BooksSnapshot::default(),
            accounts: self.accounts(shown),
            unknown_messages_total: pools().map(|s| s.unknown_messages).sum(),
            stray_answers_total: pools().map(|s| s.stray_answers).sum(),
            events_total,
            alarms: Vec::new(),
            limits,
            ledger: self.ledger.as_ref().map(|ledger| ledger.snapshot()),
            nats: self.nats.as_ref().and_then(|nats| nats.snapshot()),
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
                State::Off if view.removed => SourceState::Removed,
                _ if view.removed => SourceState::Leaving,
                state => state_word(&state),
            },
            state_since_seconds: now.saturating_sub(status.since).as_secs_f64(),
            last_down: (status.last_down != DownReason::NotStarted).then(|| status.last_down.to_string()),
            reconnects_total: u64::from(status.connections.saturating_sub(1)),
            channels: status.channels as u64,
            open_shares: status.open_shares as u64,
            open_shares_max: status.open_shares_max as u64,
            queue_depth: depth(&view.door.shares) + depth(&view.door.solutions),
            worker_names: status.pool.map(|pool| pool.worker_names),
            lease_tag: (!status.tag.tag.is_empty()).then(|| LeaseTagSnapshot {
                tag: status.tag.tag.to_string(),
                channels_without_room: status.tag.channels_without as u64,
                room_bytes: (status.tag.channels_without > 0).then_some(status.tag.shortest),
            }),
            declaration: status.declared.as_ref().map(|declared| declaration(declared, view)),
            jobs_total: jobs,
            tips_total: tips,
            job_age_seconds: age(jobs, view.figures.last_job_ms.load(Relaxed)),
            prev_hash_age_seconds: age(tips, view.figures.last_tip_ms.load(Relaxed)),
            certificate_expires_unix: (until > 0).then_some(until),
            state_seconds_total: view
                .figures
                .states
                .read(now)
                .into_iter()
                .map(|(state, spent)| (state, spent.as_secs_f64()))
                .collect(),
            #[expect(clippy::cast_precision_loss, reason = "seconds")]
            clock_offset_seconds: view.figures.clock_offset.get().map(|offset| offset as f64),
            handshakes_failed_total: view.figures.handshake_failures.load(Relaxed),
            books: BooksSnapshot::default(),
        }
    }

    fn templates(&self, now: Duration) -> Vec<TemplateSnapshot> {
        let board = self.templates.as_ref().map(|board| board.borrow().clone()).unwrap_or_default();
        let template = |news: ProviderNews| {
            let halving = self.halvings.get(&news.name).copied();
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
                fees_sat: newest.and_then(|template| {
                    let height = template.coinbase.height()?;
                    Some(template.coinbase.value_remaining.saturating_sub(subsidy(height, halving?)))
                }),
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

    fn routes(&self, shown: &Views, sources: &[SourceSnapshot]) -> Vec<RouteSnapshot> {
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
                    let listeners = view.listeners.iter().filter_map(|name| shown.listener(name));
                    listeners.map(|listener| listener.figures.mining.load(Relaxed)).sum()
                },
                sources: view.sources.iter().map(of).collect(),
                goals: goals(view, &status.goals, sources),
                books: BooksSnapshot::default(),
            }
        };
        shown.routes.iter().enumerate().map(route).collect()
    }

    fn accounts(&self, shown: &Views) -> Vec<AccountSnapshot> {
        let account = |(key, totals): (engine::books::AccountKey, Totals)| AccountSnapshot {
            listener: shown.listener_name(key.listener).to_owned(),
            route: shown.routes[usize::from(key.route)].name.clone(),
            source: key.source.map(|s| shown.sources[usize::from(s)].name.clone()),
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

/// What a block of this height pays without fees, satoshi.
fn subsidy(height: u32, halving: u32) -> u64 {
    (50 * 100_000_000_u64).checked_shr(height / halving.max(1)).unwrap_or(0)
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
        handshakes: HandshakesSnapshot {
            noise_done_total: figures.noise.done.load(Relaxed),
            noise_failed_total: figures.noise.failed.load(Relaxed),
            tls_done_total: figures.tls.done.load(Relaxed),
            tls_failed_total: figures.tls.failed.load(Relaxed),
        },
        retargets: RetargetsSnapshot {
            harder_total: view.retargets.harder.load(Relaxed),
            easier_total: view.retargets.easier.load(Relaxed),
        },
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
            verified: totals.work_verified,
        },
    }
}
