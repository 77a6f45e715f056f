//! Evidence: whole shares of which a few are kept for each worker, as proof of what it delivered.

use std::sync::Arc;

use work::{ChannelJob, Extranonce, Header};

use crate::books::Tally;

/// A good share that meets its worker's keep target, whatever became of it.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// Whose it is, and where it was counted: [`Tally::worker`], [`Tally::key`].
    pub tally: &'a Arc<Tally>,
    /// The job, as it stood on its channel: with the coinbase, the merkle path, and the extranonce prefix.
    pub job: &'a Arc<ChannelJob>,
    /// The whole rollable extranonce of the channel: filler, miner id, extranonce2.
    pub extranonce: &'a Extranonce,
    /// The header that was hashed.
    pub header: &'a Header,
    /// The difficulty that the miner was told with the job.
    pub difficulty: f64,
    /// The keep target in force when the share came, as a difficulty: a power of two. A share that meets it stands for so
    /// much work, or for `difficulty` where that is more.
    pub keep_difficulty: f64,
}

/// What of a share is needed for evidence.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) job: Arc<ChannelJob>,
    pub(crate) header: Header,
    pub(crate) keep_difficulty: f64,
}
