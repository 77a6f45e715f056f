//! What the configuration says about routes and how sources are shared.

use std::sync::Arc;
use std::time::Duration;

use super::share_out::Share;
use super::term::Term;
use crate::ids::{GoalId, RouteId, SourceId};

/// How many miners share one upstream channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinersPerChannel {
    /// Each has its own, opened under its own name.
    One,
    /// Up to so many.
    UpTo(u32),
    /// All of the route.
    All,
}

impl MinersPerChannel {
    /// With worker names (extension 0x0002) a channel's shares should show each worker often enough
    /// (its section 4.1): a channel's shares are few.
    pub const WITH_WORKER_NAMES: Self = Self::UpTo(50);

    /// The limit as a number.
    #[must_use]
    pub fn limit(self) -> u32 {
        match self {
            Self::One => 1,
            Self::UpTo(n) => n.max(1),
            Self::All => u32::MAX,
        }
    }
}

/// How a source is used.
#[derive(Clone, Debug)]
pub struct SourcePlan {
    /// Which.
    pub id: SourceId,
    /// Who mines there, where miners share a channel.
    pub user_identity: Arc<str>,
    /// Hashes per second to open channels with at least.
    pub nominal_hashrate: Option<f64>,
    /// Fixed by the configuration, else decided by what is negotiated.
    pub miners_per_channel: Option<MinersPerChannel>,
    /// Each of its channels needs a declaration of its own: all miners of a route that has it share one.
    pub declares: bool,
}

/// A part of a route's work, with its sources in the order of preference.
#[derive(Clone, Debug)]
pub struct GoalSettings {
    /// Which.
    pub id: GoalId,
    /// How much of the route's work it is to have.
    pub share: Share,
    /// When it is to have any.
    pub term: Term,
    /// Best first.
    pub sources: Vec<SourceId>,
}

impl GoalSettings {
    /// All of a route's work.
    #[must_use]
    pub fn whole(id: GoalId, sources: Vec<SourceId>) -> Self {
        Self { id, share: Share { weight: 1.0, hashrate_max: None }, term: Term::default(), sources }
    }
}

/// A route: miners on one side, goals with their sources on the other.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// Which.
    pub id: RouteId,
    /// At least one. Its miners' work is shared out among them.
    pub goals: Vec<GoalSettings>,
    /// How long a better source must be ready before a goal goes back to it.
    pub return_after: Duration,
    /// How long miners keep hashing the last job while no source is up, before they are told.
    pub outage_grace: Duration,
    /// A job this old is sent again with its time advanced.
    pub keepalive: Duration,
    /// Goals may be added to it while it runs: its miners are ready to be moved from the start.
    pub grows: bool,
}
