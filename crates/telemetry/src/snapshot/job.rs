//! What is mined now.

use schemars::JsonSchema;
use serde::Serialize;

use super::SourceKind;

/// The newest job of a source on a route. Of many channels with the same job one is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct JobSnapshot {
    /// The route.
    pub route: String,
    /// The source.
    pub source: String,
    /// What the source is.
    pub kind: SourceKind,
    /// The route mines on that source now.
    pub active: bool,
    /// The source's number for the job.
    pub job_id: u32,
    /// The source's number for the channel.
    pub channel_id: u32,
    /// The height of the block, as its coinbase has it (BIP 34).
    pub height: Option<u32>,
    /// The block before, as block explorers write it.
    pub prev_hash: String,
    /// The header's version before miners roll it, hexadecimal.
    pub version: String,
    /// Miners may roll its version bits.
    pub version_rolling: bool,
    /// The network's target in compact form, hexadecimal.
    pub nbits: String,
    /// The network's difficulty.
    pub network_difficulty: f64,
    /// The difficulty from which on the source credits shares: the channel's.
    pub difficulty: f64,
    /// The channel's target, hexadecimal, as a hash is written.
    pub target: String,
    /// The smallest time that a header may have, Unix seconds.
    pub min_ntime: u32,
    /// Steps from the coinbase to the merkle root: 0 is an empty block.
    pub merkle_steps: usize,
    /// Seconds since Adit had it.
    pub age_seconds: f64,
    /// What the coinbase pays, satoshi: subsidy and fees, as far as they are claimed.
    pub value_sat: Option<u64>,
    /// Whom the coinbase pays, in its order, the first 32.
    pub outputs: Vec<JobOutput>,
    /// All of its outputs.
    pub outputs_total: usize,
    /// What can be read of the coinbase's script around the extranonce, a pool's tag for instance: runs of at least four printable
    /// ASCII characters. Anybody can write anything there.
    pub coinbase_text: Vec<String>,
}

/// An output of a job's coinbase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct JobOutput {
    /// Satoshi.
    pub value_sat: u64,
    /// To whom, hexadecimal; cut after 80 bytes.
    pub script_pubkey: String,
    /// Its address, where the script has one, on the network of the configuration's templates; without any, on the main network, if
    /// the job is as hard as its jobs are.
    pub address: Option<String>,
}
