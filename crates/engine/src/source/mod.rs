//! Sources: everything upstream that gives work and takes shares.

mod backoff;
mod declared;
mod event;
mod jds;
mod ready_job;
mod settle;
mod solo;
mod status;
mod sv1_pool;
pub(crate) mod sv2_pool;
mod tag;

pub use backoff::Backoff;
pub use declared::{
    Declared, DeclaredEffects, DeclaredSettings, DeclaredState, DeclaredStatus, SET_CUSTOM_JOB_DEADLINE,
    UNACKNOWLEDGED_AT_MOST,
};
pub use event::{
    ChannelRefusal, CustomJobAnswer, DownReason, Effects, OpenChannel, SourceCommand, SourceEvent,
};
pub use jds::{
    DECLARE_DEADLINE, Declaration, DeclareFailure, JdsEffects, JdsEvent, JdsSettings, JdsState,
    JobDeclarator, MAX_MISSING_REQUESTS, PushedSolution,
};
pub use settle::{MAX_BATCH_SEEN, OpenShares};
pub use solo::{BlockOutcome, FoundBlock, Solo, SoloError, SoloSettings};
pub use status::{PoolStatus, SourceState, SourceStatus};
pub use sv1_pool::{
    JOB_SILENCE, MAX_SV1_CONNECTIONS, Sv1Effects, Sv1Notice, Sv1Offer, Sv1Pool, Sv1Settings, may_follow,
};
pub use sv2_pool::{LinkSecurity, SourceSettings, Sv2Pool};
pub use tag::TagStatus;
