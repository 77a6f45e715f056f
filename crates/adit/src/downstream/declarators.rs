//! What the job declarator clients of a listener need: places, the ways to the pools, and which of them their route mines
//! for.

use std::sync::Arc;

use engine::miner::JdcSetup;
use engine::miner::jdc::{JdsWay, PoolWay};
use engine::{RouteId, SourceId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::pace::Pace;
use crate::upstream::{LineSettings, RouterStatus};

/// Connections upstream that a listener's JDCs have made a second, of each kind: whoever connects again and again is not to
/// make the pool think that the farm does.
const CONNECTIONS_PER_SECOND: u32 = 4;

/// The ways of a JDC to a source: a Stratum V2 pool.
#[derive(Clone)]
pub struct JdcWays {
    /// How the pool is used; the route is each JDC's own.
    pub pool: PoolWay,
    /// Where it is.
    pub to_pool: LineSettings,
    /// How its job declarator server is used, and where that is.
    pub jds: Option<(JdsWay, LineSettings)>,
}

/// Which pools there are, and which routes mine for them. The same for all listeners.
#[derive(Clone)]
pub struct JdcRoutes {
    /// By source.
    pub ways: Arc<[Option<JdcWays>]>,
    /// The sources' names.
    pub names: Arc<[String]>,
    /// The routes' names.
    pub routes: Arc<[String]>,
    /// Each route's goals, by their numbers among all.
    pub goals: Arc<[Vec<usize>]>,
    /// What the router shows of itself.
    pub status: watch::Receiver<RouterStatus>,
}

impl JdcRoutes {
    /// The sources that a route mines for, by goal.
    fn active(&self, route: RouteId) -> Vec<SourceId> {
        let status = self.status.borrow();
        let goals = self.goals.get(usize::from(route.0)).into_iter().flatten();
        goals.filter_map(|goal| status.goals.get(*goal)?.0.active).collect()
    }

    /// Whether a route mines for a source.
    pub(super) fn is_active(&self, route: RouteId, source: SourceId) -> bool {
        self.active(route).contains(&source)
    }

    /// The ways to a source.
    pub(super) fn ways(&self, source: SourceId) -> Option<&JdcWays> {
        self.ways.get(usize::from(source.0))?.as_ref()
    }

    /// A source's name.
    pub(super) fn name(&self, source: SourceId) -> &str {
        self.names.get(usize::from(source.0)).map_or("", String::as_str)
    }

    /// The first source that a route mines for and that a JDC can be tied to; what is to be done about it where it mines
    /// only for others. Waits while it mines for none.
    pub(super) async fn find(&mut self, route: RouteId, setup: JdcSetup) -> Result<SourceId, String> {
        loop {
            self.status.mark_unchanged();
            let active = self.active(route);
            let fits = |source: &&SourceId| match (self.ways(**source), setup) {
                (None, _) => false,
                (Some(_), JdcSetup::Mining) => true,
                (Some(ways), JdcSetup::Declaring { .. }) => ways.jds.is_some(),
            };
            if let Some(source) = active.iter().find(fits) {
                return Ok(*source);
            }
            if let Some(source) = active.first() {
                return Err(self.advice(route, *source));
            }
            if self.status.changed().await.is_err() {
                return Err("Adit is shutting down".to_owned());
            }
        }
    }

    fn advice(&self, route: RouteId, source: SourceId) -> String {
        let route = self.routes.get(usize::from(route.0)).map_or("", String::as_str);
        let name = self.name(source);
        if self.ways(source).is_some() {
            format!("[source.{name}] of [route.{route}] has no jds_url: set it to the pool's job declarator")
        } else {
            format!(
                "[route.{route}] mines for {name}, which is no Stratum V2 pool: give job declarator clients a \
                 listener whose route has such a [source] first"
            )
        }
    }
}

/// The job declarator clients of one listener.
pub struct Declarators {
    /// Places for mining connections.
    mining: Arc<Semaphore>,
    /// Places for connections of the Job Declaration Protocol.
    declaring: Arc<Semaphore>,
    mining_pace: Pace,
    declaring_pace: Pace,
    /// Where they can go.
    pub(super) routes: JdcRoutes,
}

impl Declarators {
    /// So many at a time.
    #[must_use]
    pub fn new(most: u32, routes: JdcRoutes) -> Self {
        let places = || Arc::new(Semaphore::new(most as usize));
        let pace = || Pace::new(CONNECTIONS_PER_SECOND);
        Self { mining: places(), declaring: places(), mining_pace: pace(), declaring_pace: pace(), routes }
    }

    /// Waits until one more connection upstream may be made.
    pub(super) async fn turn(&self, setup: JdcSetup) {
        match setup {
            JdcSetup::Mining => self.mining_pace.turn().await,
            JdcSetup::Declaring { .. } => self.declaring_pace.turn().await,
        }
    }

    /// A place for a connection, if there is one.
    pub(super) fn place(&self, setup: JdcSetup) -> Option<OwnedSemaphorePermit> {
        let places = match setup {
            JdcSetup::Mining => &self.mining,
            JdcSetup::Declaring { .. } => &self.declaring,
        };
        Arc::clone(places).try_acquire_owned().ok()
    }
}
