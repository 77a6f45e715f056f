//! What a source shows of itself.

use std::time::Duration;

use super::declared::DeclaredStatus;
use super::event::DownReason;
use super::tag::TagStatus;

/// Where a source stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// Not wanted.
    Off,
    /// Waits to try again.
    Waiting {
        /// When it will.
        until: Duration,
    },
    /// The caller connects and shakes hands.
    Dialling,
    /// Waits for SetupConnection.Success.
    SettingUp {
        /// The last moment for it.
        deadline: Duration,
    },
    /// Waits for RequestExtensions.Success.
    Negotiating {
        /// The last moment for it.
        deadline: Duration,
    },
    /// Waits for the job declarator server.
    AwaitingDeclarator,
    /// Waits for a template.
    AwaitingTemplate,
    /// Channels can be opened.
    Ready,
}

impl SourceState {
    /// The word for it in metrics and API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Waiting { .. } => "waiting",
            Self::Dialling => "connecting",
            Self::SettingUp { .. } => "setting_up",
            Self::Negotiating { .. } => "negotiating",
            Self::AwaitingDeclarator => "awaiting_declarator",
            Self::AwaitingTemplate => "awaiting_template",
            Self::Ready => "ready",
        }
    }
}

/// A source's state as shown to people.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// Where it stands.
    pub state: SourceState,
    /// Since when.
    pub since: Duration,
    /// Why it was last down.
    pub last_down: DownReason,
    /// Connections made, ever; of a source without any, its times of being ready.
    pub connections: u32,
    /// Open channels.
    pub channels: usize,
    /// Shares sent and not answered.
    pub open_shares: usize,
    /// The bound on them.
    pub open_shares_max: usize,
    /// The lease's tag in its shares.
    pub tag: TagStatus,
    /// What only a pool has.
    pub pool: Option<PoolStatus>,
    /// What only a source that declares has.
    pub declared: Option<DeclaredStatus>,
}

impl SourceStatus {
    /// Of a source that was never started.
    #[must_use]
    pub fn off() -> Self {
        Self {
            state: SourceState::Off,
            since: Duration::ZERO,
            last_down: DownReason::NotStarted,
            connections: 0,
            channels: 0,
            open_shares: 0,
            open_shares_max: 0,
            tag: TagStatus::default(),
            pool: None,
            declared: None,
        }
    }
}

/// The part of a source's state that only a pool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// Worker names go up.
    pub worker_names: bool,
    /// Messages that Adit does not know, ignored.
    pub unknown_messages: u64,
    /// Answers for shares or channels that are not open, ignored.
    pub stray_answers: u64,
    /// Bytes that a Stratum V1 pool leaves to be rolled (its `extranonce2`), as it last answered `mining.subscribe`.
    pub extranonce2_size: Option<usize>,
}
