//! What a source is told and what it tells.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use work::coinbase::PayoutMismatch;
use work::{LeaseTag, SplitError, Target};

use crate::feed::{ChannelState, Feed};
use crate::ids::MinerRef;
use crate::share::Answer;

/// A wish for a channel.
#[derive(Clone, Debug)]
pub struct OpenChannel {
    /// The asker's number for it; comes back in the answer.
    pub request: u64,
    /// Who mines on it.
    pub user_identity: Arc<str>,
    /// Hashes per second of all miners to come on it.
    pub nominal_hashrate: f64,
    /// No easier target is asked for.
    pub max_target: Target,
    /// Bytes of miner id in each miner's extranonce.
    pub miner_id_size: u8,
    /// Bytes of extranonce2 in each miner's extranonce.
    pub extranonce2_size: u8,
    /// The space of the miners' ids ([`work::MinerId::space`]): what is given to one must not reach those of another, who
    /// may have the same bytes. A channel with an extranonce prefix of its own is enough.
    pub space: u8,
    /// Nobody mines on it: it shows that the source works.
    pub standby: bool,
}

/// What a source is told to do.
#[derive(Clone, Debug)]
pub enum SourceCommand {
    /// Connect, and stay connected.
    Start,
    /// Disconnect, and stay away.
    Stop,
    /// Open a channel.
    Open(OpenChannel),
    /// The miners on a channel changed.
    Update {
        /// The channel.
        channel_id: u32,
        /// Hashes per second of all miners on it.
        nominal_hashrate: f64,
    },
    /// Every share is of the lease with this tag from now on, or of none: it stands in the filler, where that has room, and
    /// the newest jobs go to their miners once more with it.
    SetTag(LeaseTag),
    /// Nobody mines on the channel any more: close it when its open shares are answered.
    Close {
        /// The channel.
        channel_id: u32,
    },
}

/// Why a channel could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelRefusal {
    /// The pool said no.
    #[error("the pool refused the channel: {0}")]
    ByPool(String),
    /// The pool's extranonce cannot be split as the listener needs it.
    #[error("{0}")]
    Extranonce(#[from] SplitError),
    /// The pool did not answer in time.
    #[error("the pool did not answer OpenExtendedMiningChannel in time")]
    Silent,
    /// The connection to the pool ended first.
    #[error("the connection ended before the channel was there: {0}")]
    LinkEnded(DownReason),
    /// A Stratum V1 pool has all connections that it may have.
    #[error(
        "all {0} connections that there may be to this pool are in use: raise connections_max of the source, or give \
         the listeners one split and a larger extranonce1_size"
    )]
    Connections(usize),
    /// A Stratum V1 pool does not tell its connections apart.
    #[error(
        "the pool gave two connections the same extranonce1, so that miners on them would search the same: set \
         connections_max = 1"
    )]
    SameExtranonce,
}

/// Why a source does not give work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownReason {
    /// Not wanted now.
    #[error("not started")]
    NotStarted,
    /// No TCP connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// No Noise session.
    #[error("handshake failed: {0}")]
    Handshake(String),
    /// The pool's authority key was not verified and the configuration does not allow that.
    #[error("the pool's authority key was not verified")]
    NotAuthenticated,
    /// A step of the set-up got no answer.
    #[error("no answer to {0} in time")]
    Silent(&'static str),
    /// `SetupConnection.Error`
    #[error("the pool refused the connection: {0}")]
    Refused(String),
    /// Flags that Adit cannot live with.
    #[error("the pool requires {0}")]
    Requires(&'static str),
    /// Extensions that Adit has not.
    #[error("the pool requires extensions that Adit does not have: {0}")]
    RequiresExtensions(String),
    /// The pool broke the protocol.
    #[error("the pool broke the protocol: {0}")]
    Protocol(String),
    /// The pool does not let miners roll the version bits that they were told they may (BIP 310).
    #[error(
        "the pool allows version bits {granted:08x}, but miners of this source may roll {needed:08x}: set \
         `version_mask` of their listeners to what the pool allows, or give them another source"
    )]
    VersionRolling {
        /// The pool's mask.
        granted: u32,
        /// The miners'.
        needed: u32,
    },
    /// The pool sends no jobs any more.
    #[error("no job for {0:?}")]
    NoJob(Duration),
    /// The pool's jobs cannot be given to miners.
    #[error("the pool's job is unusable: {0}")]
    BadJob(String),
    /// The pool's job does not pay whom the configuration says.
    #[error("the pool's job pays others: {0}")]
    Payout(Box<PayoutMismatch>),
    /// Nobody gives templates.
    #[error("no templates: {0}")]
    NoTemplates(String),
    /// The template of a new tip cannot be mined on.
    #[error("the template is unusable: {0}")]
    BadTemplate(String),
    /// The pool refuses all shares.
    #[error("the pool refuses every share ({0})")]
    RefusesShares(&'static str),
    /// The pool stopped answering shares.
    #[error("the pool stopped answering shares")]
    IgnoresShares,
    /// `Reconnect`
    #[error("the pool asked to reconnect")]
    Reconnect,
    /// The link ended.
    #[error("the connection ended: {0}")]
    Lost(String),
    /// The job declarator server is not there.
    #[error("no job declarator server: {0}")]
    NoDeclarator(String),
    /// The JDS takes no connection that reveals no transactions; its code.
    #[error("the job declarator server takes whole templates only ({0}): set `mode = \"full-template\"`")]
    WholeTemplatesOnly(&'static str),
    /// The JDS takes no connection that reveals transactions; its code.
    #[error("the job declarator server takes coinbases only ({0}): set `mode = \"coinbase-only\"`")]
    CoinbasesOnly(&'static str),
    /// The JDS does not take us; its code.
    #[error("the job declarator server refused the connection: {0}")]
    RefusedByDeclarator(String),
    /// The JDS or the pool does not take a job of ours.
    #[error("the pool does not take the job that was declared: {0}")]
    JobRefused(String),
    /// The tip has changed, and no job on the new one was acknowledged.
    #[error("no declared job was acknowledged within {0:?}")]
    Unacknowledged(Duration),
}

/// What a source tells the router.
#[derive(Clone, Debug)]
pub enum SourceEvent {
    /// Set up: channels can be opened.
    Ready {
        /// Worker names go up with each share.
        worker_names: bool,
    },
    /// A channel was opened; work follows.
    Opened {
        /// The asker's number.
        request: u64,
        /// The channel.
        channel: Arc<ChannelState>,
        /// The target it was opened with.
        target: Target,
    },
    /// A channel was not opened.
    NotOpened {
        /// The asker's number.
        request: u64,
        /// Why.
        why: ChannelRefusal,
    },
    /// New work on a channel.
    Work(Feed),
    /// The channel's target for jobs to come.
    TargetChanged {
        /// The channel.
        channel_id: u32,
        /// The new target.
        target: Target,
    },
    /// The source closed a channel.
    Closed {
        /// The channel.
        channel_id: u32,
        /// Its reason.
        reason: String,
    },
    /// The source has gone; all its channels with it.
    Down(DownReason),
}

/// A pool's answer to `SetCustomMiningJob` (5.3.19, 5.3.20).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomJobAnswer {
    /// The channel.
    pub channel_id: u32,
    /// The request that it answers.
    pub request_id: u32,
    /// The pool's number for the job, or its reason against it.
    pub answer: Result<u32, String>,
}

/// What comes out of a source's state machine; the caller empties it after each call. Kept and reused, so
/// that a share costs no allocation.
#[derive(Debug, Default)]
pub struct Effects {
    /// Whole plaintext frames to encrypt and send, in order.
    pub frames: BytesMut,
    /// For the router.
    pub events: Vec<SourceEvent>,
    /// For miners that wait for the source's answer.
    pub answers: Vec<(MinerRef, Answer)>,
    /// How long acknowledged shares waited for their answer.
    pub ack_latencies: Vec<Duration>,
    /// With work selection: answers to custom jobs.
    pub custom_jobs: Vec<CustomJobAnswer>,
    /// With work selection: channels whose extranonce prefix has changed.
    pub new_prefixes: Vec<u32>,
    /// With work selection: the pool refuses every share of jobs that it has acknowledged, with this code.
    pub refuses_shares: Option<&'static str>,
    /// The connection must end (after `frames` went out).
    pub hang_up: bool,
    /// Connect here instead, next time (section 3.6.5): host and port, empty and 0 meaning the same as now.
    pub reconnect_to: Option<(String, u16)>,
}
