//! How a dev pool behaves.

use std::time::Duration;

use sv2::extensions::WORKER_HASHRATE_TRACKING;
use template::dev_chain::DevChainOptions;
use thiserror::Error;

use super::jds::JdsOptions;

/// Most bytes that prefix and rollable extranonce have together: a standard channel's prefix is a B0_32.
const MAX_EXTRANONCE: u8 = 32;

/// How a dev pool behaves. The default suits the demo.
#[derive(Clone, Debug)]
pub struct DevPoolOptions {
    /// The chain under it: difficulty, dummy transactions.
    pub chain: DevChainOptions,
    /// Stands in the coinbase after the height.
    pub coinbase_tag: Vec<u8>,
    /// Shares a minute that a channel's target aims at, given its nominal hash rate.
    pub shares_per_minute: f64,
    /// No channel gets a lower difficulty than this (unless its own maximum target asks for it). Default 0: none
    /// is too low.
    pub easiest_difficulty: f64,
    /// Shares that one SubmitShares.Success answers.
    pub share_batch_size: u32,
    /// A batch that is not full is answered after this time; `None`: never, as in the reference.
    pub acknowledge_after: Option<Duration>,
    /// Extensions that are granted when they are asked for.
    pub extensions: Vec<u16>,
    /// Whether jobs allow version rolling. If not, connections that require it are refused.
    pub version_rolling: bool,
    /// Bytes of the extranonce prefix, 1 to 31. With less than 4 the pool runs out of channels early.
    pub extranonce_prefix_size: u8,
    /// Rollable bytes of an extended channel; both sizes together are at most 32.
    pub extranonce_size: u8,
    /// Whether jobs go to the connection's group channel, or to each channel by itself.
    pub group_channels: bool,
    /// How often a channel's target is fitted to the work that arrives; `None`: only UpdateChannel changes it.
    pub vardiff_interval: Option<Duration>,
    /// Pause between templates on the same tip.
    pub template_interval: Duration,
    /// Mean time between blocks that are found elsewhere; `None`: none are.
    pub block_interval: Option<Duration>,
    /// Connections at a time.
    pub max_connections: usize,
    /// Channels of one connection at a time.
    pub max_channels: usize,
    /// Earlier jobs on the same tip whose shares are still taken.
    pub max_past_jobs: usize,
    /// Accepted shares of one channel on one tip; a channel with more costs its connection, as in the reference
    /// (whose budget is 1,200 minutes' shares).
    pub duplicate_budget: usize,
    /// The Job Declarator Server, and with it custom jobs; `None`: the pool takes none.
    pub jds: Option<JdsOptions>,
}

/// An option that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{option} is {got}, expected {expected}")]
pub struct BadOption {
    /// Which option.
    pub option: &'static str,
    /// What it is.
    pub got: String,
    /// What it may be.
    pub expected: &'static str,
}

impl Default for DevPoolOptions {
    fn default() -> Self {
        DevPoolOptions {
            chain: DevChainOptions::default(),
            coinbase_tag: b"/adit dev pool/".to_vec(),
            shares_per_minute: 20.0,
            easiest_difficulty: 0.0,
            share_batch_size: 10,
            acknowledge_after: Some(Duration::from_secs(1)),
            extensions: vec![WORKER_HASHRATE_TRACKING],
            version_rolling: true,
            extranonce_prefix_size: 6,
            extranonce_size: 16,
            group_channels: true,
            vardiff_interval: None,
            template_interval: Duration::from_secs(30),
            block_interval: None,
            max_connections: 1_000,
            max_channels: 20_000,
            max_past_jobs: 16,
            duplicate_budget: 1 << 22,
            jds: None,
        }
    }
}

impl DevPoolOptions {
    pub(super) fn check(&self) -> Result<(), BadOption> {
        let bad =
            |option, got: &dyn ToString, expected| Err(BadOption { option, got: got.to_string(), expected });
        if !(self.shares_per_minute > 0.0 && self.shares_per_minute.is_finite()) {
            return bad("shares_per_minute", &self.shares_per_minute, "a number above 0");
        }
        if !(self.easiest_difficulty >= 0.0 && self.easiest_difficulty.is_finite()) {
            return bad("easiest_difficulty", &self.easiest_difficulty, "0 or more");
        }
        if self.share_batch_size == 0 {
            return bad("share_batch_size", &0, "at least 1");
        }
        let (prefix, rollable) = (self.extranonce_prefix_size, self.extranonce_size);
        if prefix == 0 || prefix.saturating_add(rollable) > MAX_EXTRANONCE {
            let got = format!("{prefix} + {rollable}");
            return bad("extranonce_prefix_size + extranonce_size", &got, "at least 1, together at most 32");
        }
        for (option, time) in [
            ("template_interval", Some(self.template_interval)),
            ("vardiff_interval", self.vardiff_interval),
            ("block_interval", self.block_interval),
            ("acknowledge_after", self.acknowledge_after),
        ] {
            if time.is_some_and(|time| time.is_zero()) {
                return bad(option, &"0", "more than 0");
            }
        }
        for (option, count) in [
            ("max_connections", self.max_connections),
            ("max_channels", self.max_channels),
            ("duplicate_budget", self.duplicate_budget),
        ] {
            if !(1..1 << 26).contains(&count) {
                return bad(option, &count, "1 to 67108863");
            }
        }
        if self.max_past_jobs > 1_000 {
            return bad("max_past_jobs", &self.max_past_jobs, "at most 1000");
        }
        self.jds.as_ref().map_or(Ok(()), JdsOptions::check)
    }
}
